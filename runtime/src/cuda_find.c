/* Looks for the CUDA driver and for NVRTC: a file that was named, the loader's path, CUDA_HOME, the usual folders, pip's packages. */
#include "cuda_driver.h"
#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void *try_open(const char *path, RtText *looked) {
    void *l = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const char *why = l ? NULL : dlerror();
    if (!l && strchr(path, '/')) {
        struct stat st;
        if (stat(path, &st) != 0) why = "no such file";
    } else if (!l) why = "not on the loader's path";
    if (!l) rt_text_f(looked, "%s%s (%s)", looked->len ? ", " : "", path, why);
    return l;
}

static void *try_glob(const char *pattern, RtText *looked) {
    glob_t g;
    void *l = NULL;
    if (glob(pattern, 0, NULL, &g) == 0)
        for (size_t i = g.gl_pathc; i-- > 0 && !l;) l = try_open(g.gl_pathv[i], looked); /* the newest name first */
    globfree(&g);
    return l;
}

/* The folder above the one of the PATH that has python3; NULL: none has. */
static char *python_root(void) {
    const char *path = getenv("PATH");
    for (size_t n; path && *path; path += n + (path[n] == ':')) {
        n = strcspn(path, ":");
        char *python = n && *path == '/' ? rt_format("%.*s/python3", (int)n, path) : NULL;
        bool there = python && access(python, X_OK) == 0;
        free(python);
        if (there) return rt_format("%.*s/..", (int)n, path);
    }
    return NULL;
}

/* Where Python's packages lie: of the environment, of the python on the PATH, the user's, the system's. */
static void *try_python(const char *file, RtText *looked) {
    static const char *const inside[] = {"lib/python3*/site-packages/nvidia/*/lib", "lib/python3*/dist-packages/nvidia/*/lib"};
    const char *venv = getenv("VIRTUAL_ENV"), *conda = getenv("CONDA_PREFIX"), *home = getenv("HOME");
    char *local = home ? rt_format("%s/.local", home) : NULL, *own = python_root();
    const char *const roots[] = {venv, conda, own, local, "/usr/local", "/usr"};
    void *l = NULL;
    for (size_t i = 0; i < sizeof roots / sizeof *roots && !l; i++)
        for (size_t k = 0; roots[i] && *roots[i] && k < 2 && !l; k++) {
            char *pattern = rt_format("%s/%s/%s", roots[i], inside[k], file);
            if (pattern) l = try_glob(pattern, looked);
            free(pattern);
        }
    free(local);
    free(own);
    if (!l) rt_text_f(looked, ", %s in pip's nvidia packages", file);
    return l;
}

static void *try_folder(const char *folder, const char *file, RtText *looked) {
    char *path = folder && *folder ? rt_join(folder, file) : NULL;
    void *l = path ? try_glob(path, looked) : NULL;
    if (!l && path) rt_text_f(looked, ", %s", path);
    free(path);
    return l;
}

/* In one of n folders (NULL: none), or in what each has `inside`. */
static void *try_folders(const char *const *folder, size_t n, const char *inside, const char *file, RtText *looked) {
    void *l = NULL;
    for (size_t i = 0; i < n && !l; i++) {
        char *path = folder[i] && *folder[i] ? rt_format("%s%s", folder[i], inside) : NULL;
        l = try_folder(path, file, looked);
        free(path);
    }
    return l;
}

static bool symbols(void *library, const char *const *name, void *to, size_t n, const char *path, RtText *looked) {
    for (size_t i = 0; i < n; i++) {
        void *s = dlsym(library, name[i]);
        if (!s) {
            rt_text_f(looked, "%s%s has no %s: it is too old", looked->len ? ", " : "", path, name[i]);
            return false;
        }
        memcpy((char *)to + i * sizeof s, &s, sizeof s);
    }
    return true;
}

static char *path_of(void *symbol) {
    Dl_info at;
    char real[PATH_MAX];
    return dladdr(symbol, &at) && at.dli_fname ? strdup(realpath(at.dli_fname, real) ? real : at.dli_fname) : strdup("?");
}

void cuda_close_driver(CuApi *c) {
    if (c->library) dlclose(c->library);
    free(c->path);
    *c = (CuApi){0};
}

void cuda_close_rtc(RtcApi *r) {
    if (r->library) dlclose(r->library);
    free(r->path);
    *r = (RtcApi){0};
}

bool cuda_open_driver(CuApi *c, RtText *looked) {
#define X(name, symbol, params) #symbol,
    static const char *const names[] = {CU_CALLS(X)};
#undef X
    const char *own = getenv("CSC_CUDA_DRIVER");
    *c = (CuApi){0};
    if (own && *own) c->library = try_open(own, looked); /* what was named, and nothing else */
    else {
        c->library = try_open("libcuda.so.1", looked);
        /* containers have the host's driver in the first two, and do not always tell the loader */
        static const char *const usual[] = {"/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib/wsl/lib", "/run/opengl-driver/lib"};
        if (!c->library) c->library = try_folders(usual, sizeof usual / sizeof *usual, "", "libcuda.so.1", looked);
    }
    if (!c->library) return false;
    bool ok = symbols(c->library, names, &c->init, sizeof names / sizeof *names, own && *own ? own : "libcuda.so.1", looked);
    if (ok) {
        void *symbol;
        memcpy(&symbol, &c->init, sizeof symbol);
        c->path = path_of(symbol);
    } else cuda_close_driver(c);
    return ok;
}

bool cuda_open_rtc(RtcApi *r, RtText *looked) {
#define X(name, symbol, params) #symbol,
    static const char *const names[] = {RTC_CALLS(X) "nvrtcGetErrorString"};
#undef X
    static const char *const versions[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so"};
    const char *own = getenv("CSC_NVRTC"), *const cuda[] = {getenv("CUDA_HOME"), getenv("CUDA_PATH"), "/usr/local/cuda", "/opt/cuda", "/usr/local/cuda-*"};
    *r = (RtcApi){0};
    if (own && *own) r->library = try_open(own, looked);
    else {
        for (size_t i = 0; i < sizeof versions / sizeof *versions && !r->library; i++) r->library = try_open(versions[i], looked);
        if (!r->library) r->library = try_folders(cuda, sizeof cuda / sizeof *cuda, "/lib64", "libnvrtc.so*", looked);
        if (!r->library) r->library = try_python("libnvrtc.so*", looked);
    }
    if (!r->library) return false;
    bool ok = symbols(r->library, names, &r->version, sizeof names / sizeof *names, own && *own ? own : "libnvrtc", looked);
    if (ok && r->version(&r->major, &r->minor) != 0) ok = false;
    if (!ok) {
        cuda_close_rtc(r);
        return false;
    }
    void *symbol;
    memcpy(&symbol, &r->version, sizeof symbol);
    r->path = path_of(symbol);
    struct stat st;
    if (r->path && stat(r->path, &st) == 0) snprintf(r->build, sizeof r->build, "%lld %lld", (long long)st.st_size, (long long)st.st_mtim.tv_sec);
    return true;
}
