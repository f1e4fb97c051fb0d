/* cscc doctor: what was found on this machine, and what is missing for which command. */
#include "driver/commands.h"
#include "driver/device.h"
#include "driver/json.h"
#include "driver/link.h"
#include "csc.h"
#include "csc_cache.h"
#include "driver/codegen.h"
#include "sched/sched.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Finding {
    const char *what, *found; /* found NULL: missing */
    const char *need;         /* who needs it */
} Finding;

static const char *cpu_level(void) {
#if defined __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4")) return sched_target_runs("x86-64-v4+amx") ? "x86-64-v4 (its matrix unit: --cpu x86-64-v4+amx)" : "x86-64-v4";
    if (__builtin_cpu_supports("x86-64-v3")) return "x86-64-v3";
    if (__builtin_cpu_supports("x86-64-v2")) return "x86-64-v2";
    return "x86-64";
#else
    return "not x86-64";
#endif
}

static const char *data_folders(Arena *a) {
    static const char *const names[] = {"mnist", "cifar10", "cifar100", "natural"};
    const char *list = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = arena_printf(a, "data/%s", names[i]);
        struct stat st;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) list = list ? arena_printf(a, "%s, %s", list, path) : path;
    }
    return list;
}

int command_doctor(Cx *cx, const Options *o) {
    Arena *a = cx->keep;
    bool is_compiler = false;
    const char *linker = link_find(a, &is_compiler);
    char here[512] = "";
    bool writable = getcwd(here, sizeof here) && access(here, W_OK) == 0;
    double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1 << 30);
    const char *code = NULL, *why = NULL;
    const LlvmRoom *room = codegen_open(a, &why);
    SchedTarget target;
    if (room && sched_target("native", &target))
        code = arena_printf(a, "LLVM %s, vectors of %d floats, %d registers; %s", room->llvm_version(a), target.lanes, target.registers, codegen_path(a, &why));
    const DeviceFindings gpu = device_findings(a);
    csc_cache_info cache;
    bool kept = csc_cache_look(&cache, false);
    const Finding list[] = {
        {"version", CSC_VERSION, ""},
        {"processor", cpu_level(), ""},
        {"threads", arena_printf(a, "%d", csc_cpu_count()), ""},
        {"memory", arena_printf(a, "%.1f GB", memory), ""},
        {"code generator", code, code ? "" : arena_printf(a, "train, eval, run, build: %s", why)},
        {"CUDA", gpu.cuda, gpu.cuda_why},
        {"NVRTC", gpu.nvrtc, gpu.nvrtc_why},
        {"device", gpu.decided, ""},
        {"cache", kept ? cache.folder : NULL, "nothing is kept between runs: CSC_CACHE is off, or there is no home folder"},
        {"linker", linker, "build: on Debian, apt-get install binutils"},
        {"PNG", csc_has_png() ? "yes" : NULL, "pictures: rebuild with libpng"},
        {"JPEG", csc_has_jpeg() ? "yes" : NULL, "data from folders of JPEG: rebuild with libjpeg"},
        {"this folder", writable ? "can be written to" : NULL, "train: choose another folder with --out"},
        {"data here", data_folders(a), "examples that name data/...: see their first lines"},
    };
    size_t n = sizeof list / sizeof *list;
    if (o->json) printf("{");
    for (size_t i = 0; i < n; i++) {
        if (o->json) {
            printf("%s\n  ", i ? "," : "");
            json_text(stdout, list[i].what);
            printf(": ");
            json_text(stdout, list[i].found);
        } else if (list[i].found) printf("%-16s %s\n", list[i].what, list[i].found);
        else printf("%-16s missing (%s)\n", list[i].what, list[i].need);
    }
    if (o->json) printf("\n}\n");
    return 0;
}
