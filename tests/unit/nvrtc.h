/* NVRTC, where it is, for the tests: compiles a kernel's text and reads what ptxas says of it. */
#ifndef CSC_TESTS_NVRTC_H
#define CSC_TESTS_NVRTC_H
#include "unit/host_kernels.h"

typedef struct Nvrtc {
    int (*create)(void **p, const char *text, const char *name, int n, const char *const *headers, const char *const *names);
    int (*compile)(void *p, int n, const char *const *options);
    int (*log_size)(void *p, size_t *n);
    int (*log)(void *p, char *s);
    int (*ptx_size)(void *p, size_t *n);
    int (*ptx)(void *p, char *s);
    int (*cubin_size)(void *p, size_t *n);
    int (*cubin)(void *p, char *s);
    int (*destroy)(void **p);
} Nvrtc;

typedef struct KernelFigures {
    int registers, spills /* bytes stored and loaded */, stack, shared;
    int wgmma, mma; /* instructions in the PTX */
} KernelFigures;

static inline bool nvrtc_open(Nvrtc *v) {
    static const char *const places[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so"};
    void *library = getenv("CSC_NVRTC") ? dlopen(getenv("CSC_NVRTC"), RTLD_NOW) : NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places && !library; i++) library = dlopen(places[i], RTLD_NOW);
    if (!library) return false;
    *(void **)&v->create = dlsym(library, "nvrtcCreateProgram");
    *(void **)&v->compile = dlsym(library, "nvrtcCompileProgram");
    *(void **)&v->log_size = dlsym(library, "nvrtcGetProgramLogSize");
    *(void **)&v->log = dlsym(library, "nvrtcGetProgramLog");
    *(void **)&v->ptx_size = dlsym(library, "nvrtcGetPTXSize");
    *(void **)&v->ptx = dlsym(library, "nvrtcGetPTX");
    *(void **)&v->cubin_size = dlsym(library, "nvrtcGetCUBINSize");
    *(void **)&v->cubin = dlsym(library, "nvrtcGetCUBIN");
    *(void **)&v->destroy = dlsym(library, "nvrtcDestroyProgram");
    return v->create && v->compile && v->log && v->log_size && v->destroy && v->cubin && v->cubin_size && v->ptx && v->ptx_size;
}

static inline int nvrtc_figure(const char *log, const char *before, const char *after) { /* the number between; 0 where there is none */
    int most = 0;
    for (const char *s = log; (s = strstr(s, after)); s++) {
        const char *n = s;
        while (n > log && n[-1] >= '0' && n[-1] <= '9') n--;
        size_t len = strlen(before);
        if (n < s && (size_t)(n - log) >= len && !memcmp(n - len, before, len) && atoi(n) > most) most = atoi(n);
    }
    return most;
}

static inline int nvrtc_count(const char *text, const char *word) {
    int n = 0;
    for (; (text = strstr(text, word)); text++) n++;
    return n;
}

/* Compiles; fails the test where NVRTC does, or where it gave a pipeline up. CSC_KEEP: a folder for texts, logs and cubins. */
static inline KernelFigures nvrtc_kernel(const Nvrtc *v, Arena *a, const LpKernel *k, const char *arch) {
    const char *name = host_kernel_name(a, k), *text = arena_printf(a, "%s%s", host_prelude(a), cuda_text(a, k, name));
    const char *options[] = {arena_printf(a, "--gpu-architecture=%s", arch), "--fmad=false", "--std=c++17", "-default-device", "--ptxas-options=-v"};
    const char *keep = getenv("CSC_KEEP"), *ptx = "";
    void *p;
    size_t n = 0;
    CHECK(v->create(&p, text, arena_printf(a, "%s.cu", name), 0, NULL, NULL) == 0);
    int rc = v->compile(p, 5, options);
    CHECK(v->log_size(p, &n) == 0);
    char *log = arena_alloc(a, n + 1);
    v->log(p, log);
    if (keep) {
        FILE *f = fopen(arena_printf(a, "%s/%s.%s.cu", keep, name, arch), "w");
        fputs(text, f);
        fclose(f);
        f = fopen(arena_printf(a, "%s/%s.%s.log", keep, name, arch), "w");
        fputs(log, f);
        fclose(f);
        if (rc == 0 && v->cubin_size(p, &n) == 0) {
            char *cubin = arena_alloc(a, n);
            v->cubin(p, cubin);
            f = fopen(arena_printf(a, "%s/%s.%s.cubin", keep, name, arch), "w");
            fwrite(cubin, 1, n, f);
            fclose(f);
        }
    }
    if (rc == 0 && v->ptx_size(p, &n) == 0) {
        char *s = arena_alloc(a, n + 1);
        s[n] = 0;
        if (v->ptx(p, s) == 0) ptx = s;
    }
    v->destroy(&p);
    if (rc != 0 || strstr(log, "warning")) FAIL("%s (%s) for %s:\n%.3000s", name, k->name ? k->name : "", arch, log);
    for (int c = 7510; c <= 7519; c++)
        if (strstr(log, arena_printf(a, "C%d", c))) FAIL("%s for %s: %.3000s", name, arch, log);
    return (KernelFigures){.registers = nvrtc_figure(log, "Used ", " registers"),
                           .spills = nvrtc_figure(log, ", ", " bytes spill stores") + nvrtc_figure(log, ", ", " bytes spill loads"),
                           .stack = nvrtc_figure(log, "    ", " bytes stack frame"),
                           .shared = nvrtc_figure(log, ", ", " bytes smem"),
                           .wgmma = nvrtc_count(ptx, "wgmma.mma_async"),
                           .mma = nvrtc_count(ptx, "mma.sync.aligned")};
}
#endif
