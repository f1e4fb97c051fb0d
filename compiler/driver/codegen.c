/* Finds and opens the code generator. */
#include "driver/codegen.h"
#include <dlfcn.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

const char *codegen_path(Arena *a, const char **why) {
    static const char *const places[] = {"", "lib/", "../lib/"};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return *why = "this program does not find itself in /proc", NULL;
    self[n] = 0;
    *strrchr(self, '/') = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *path = arena_printf(a, "%s/%slibcscc-llvm.so", self, places[i]);
        if (access(path, R_OK) == 0) return path;
    }
    *why = arena_printf(a, "libcscc-llvm.so is not in %s, nor in lib/ there or one above", self);
    return NULL;
}

const LlvmRoom *codegen_open(Arena *a, const char **why) {
    const char *path = codegen_path(a, why);
    void *module = path ? dlopen(path, RTLD_LAZY | RTLD_LOCAL) : NULL;
    if (path && !module) *why = dlerror();
    const LlvmRoom *room = module ? dlsym(module, "csc_llvm_room") : NULL;
    if (module && (!room || strcmp(room->version, CSC_VERSION))) return *why = arena_printf(a, "%s is of another version", path), NULL;
    return room;
}
