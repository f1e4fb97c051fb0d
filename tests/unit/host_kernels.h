/* Runs the text of block kernels on the host: built by the C compiler (with the sanitizers of this build), entries followed statement by
   statement. What a GPU runs is the same text. */
#ifndef CSC_TESTS_HOST_KERNELS_H
#define CSC_TESTS_HOST_KERNELS_H
#include "base/trouble.h"
#include "check.h"
#include "csc_model.h"
#include "cuda/text.h"
#include <dlfcn.h>
#include <inttypes.h>
#include <unistd.h>

static const char *host_more_flags = "";
typedef void HostBlock(void **args, long long block);

typedef struct HostRun {
    Arena *a;
    const LpModule *m;
    HostBlock **block; /* of each kernel */
    void *library;
    const LpEntry *e;
    const csc_call *call;
    int64_t *var;
} HostRun;

static inline char *host_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) FAIL("%s cannot be read", path);
    char *s = NULL;
    size_t n = 0, got;
    char buf[4096];
    FILE *to = open_memstream(&s, &n);
    while ((got = fread(buf, 1, sizeof buf, f))) fwrite(buf, 1, got, to);
    fclose(f);
    fclose(to);
    return s;
}

/* The prelude with the polynomials in their place. */
static inline const char *host_prelude(Arena *a) {
    char *prelude = host_file(CSC_SOURCE_DIR "/runtime/cuda/prelude.h"), *poly = host_file(CSC_SOURCE_DIR "/compiler/loop/poly.h");
    char *at = strstr(prelude, "/*POLY*/");
    CHECK(at);
    const char *all = arena_printf(a, "%.*s%s%s", (int)(at - prelude), prelude, poly, at + 8);
    free(prelude);
    free(poly);
    return all;
}

static inline const char *host_kernel_name(Arena *a, const LpKernel *k) {
    return arena_printf(a, "csc_k_%016" PRIx64, loop_kernel_hash(k));
}

/* All distinct kernels of m as one library. */
static inline HostRun host_build(Arena *a, const LpModule *m) {
    HostRun h = {.a = a, .m = m, .block = ARENA_ARRAY(a, HostBlock *, m->kernels.len)};
    const char *dir = getenv("CSC_WORK") ? getenv("CSC_WORK") : "/tmp";
    static int number;
    const char *base = arena_printf(a, "%s/host_kernels_%d_%d", dir, (int)getpid(), number++);
    const char *source = arena_printf(a, "%s.c", base), *library = arena_printf(a, "%s.so", base);
    FILE *f = fopen(source, "w");
    CHECK(f);
    fprintf(f, "%s", host_prelude(a));
    for (size_t i = 0; i < m->kernels.len; i++) {
        const LpKernel *k = &m->kernels.at[i];
        size_t first = 0;
        while (first < i && loop_kernel_hash(&m->kernels.at[first]) != loop_kernel_hash(k)) first++;
        if (first == i) fputs(cuda_text(a, k, host_kernel_name(a, k)), f);
    }
    fclose(f);
#ifdef __SANITIZE_ADDRESS__
    const char *flags = "-O0 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined";
#else
    const char *flags = "-O1";
#endif
    const char *command = arena_printf(a, "cc -std=c11 -DCSC_HOST %s %s -ffp-contract=off -fno-math-errno -Wall -Wextra -Werror -Wno-unused -Wno-bool-compare -Wno-int-in-bool-context -fPIC -shared -o %s %s -lm",
                                       flags, host_more_flags, library, source);
    if (system(command) != 0) FAIL("the compiler refuses %s", source);
    h.library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!h.library) FAIL("%s", dlerror());
    for (size_t i = 0; i < m->kernels.len; i++) {
        const char *symbol = arena_printf(a, "%s_host", host_kernel_name(a, &m->kernels.at[i]));
        *(void **)&h.block[i] = dlsym(h.library, symbol);
        CHECK(h.block[i]);
    }
    unlink(library);
    unlink(source);
    return h;
}

static inline int64_t host_int(HostRun *h, const Lx *x) {
    int64_t v = 0;
    bool *known = ARENA_ARRAY(h->a, bool, h->e->nvar);
    memset(known, 1, (size_t)h->e->nvar);
    CHECK(loop_fold(x, &(LoopKnown){known, h->var}, &v));
    return v;
}

static inline float *host_pointer(HostRun *h, const Lptr *p) {
    const csc_call *c = h->call;
    int64_t at = p->offset + (p->plus ? host_int(h, p->plus) : 0);
    float *work = c->workspace;
    switch (p->space) {
    case SP_FIXED: return work + at;
    case SP_BATCH: return work + h->e->fixed_floats + p->offset * c->batch + (at - p->offset);
    case SP_IN: return (float *)(uintptr_t)c->in[p->which] + at;
    case SP_OUT: return c->out[p->which] + at;
    case SP_PARAM: return (float *)(uintptr_t)c->params + at;
    case SP_GRAD: return c->grads + at;
    case SP_STATE: return (float *)(uintptr_t)c->state + at;
    case SP_STATE_OUT: return c->state_out + at;
    case SP_TUNABLE: return (float *)(uintptr_t)c->tunables + at;
    case SP_TABLE: return (float *)(uintptr_t)(h->m->tables.at[p->which].i + at);
    case SP_FTABLE: return (float *)(uintptr_t)(h->m->tables.at[p->which].f + at);
    case SP_LANE: case SP_PREPARED: case SP_KINDS: break; /* none on a GPU */
    }
    BUG("space %d", (int)p->space);
}

static inline void host_launch(HostRun *h, const Ls *s) {
    const LpKernel *k = &h->m->kernels.at[s->kernel];
    int32_t nptr = lp_launch_ptrs(k);
    void **args = ARENA_ARRAY(h->a, void *, 2 + nptr + k->nint), **ptr = ARENA_ARRAY(h->a, void *, nptr + 1);
    long long *ints = ARENA_ARRAY(h->a, long long, k->nint + 2);
    args[0] = &ints[0];
    args[1] = &ints[1];
    ints[0] = host_int(h, s->grid);
    ints[1] = h->var[LP_VAR_BATCH];
    for (int32_t i = 0; i < nptr; i++) {
        ptr[i] = host_pointer(h, &s->ptrs[i]);
        args[2 + i] = &ptr[i];
    }
    for (int32_t i = 0; i < k->nint; i++) {
        ints[2 + i] = host_int(h, s->ints[i]);
        args[2 + nptr + i] = &ints[2 + i];
    }
    for (long long b = 0; b < ints[0]; b++) h->block[s->kernel](args, b);
}

static inline bool host_list(HostRun *h, const Ls *s) { /* true: a break is under way */
    for (; s; s = s->next) {
        switch ((int)s->kind) {
        case LS_FOR: {
            int64_t lo = host_int(h, s->lo), hi = host_int(h, s->hi);
            for (int64_t i = lo; i < hi; i += s->step->i) {
                h->var[s->var] = i;
                if (host_list(h, s->body)) break;
            }
            break;
        }
        case LS_IF:
            if (host_list(h, host_int(h, s->cond) ? s->body : s->orelse)) return true;
            break;
        case LS_SETVAR: h->var[s->var] = host_int(h, s->cond); break;
        case LS_F2VAR: h->var[s->var] = (int64_t)*host_pointer(h, s->ptrs); break;
        case LS_BREAK_IF: /* where the device may have ended a loop: nobody has to know, and turns too many change nothing */
            if (s->cond && host_int(h, s->cond)) return true;
            break;
        case LS_LAUNCH: host_launch(h, s); break;
        default: BUG("statement of kind %d in an entry", (int)s->kind);
        }
    }
    return false;
}

static inline void host_run(HostRun *h, int entry, const csc_call *call) {
    h->e = &h->m->entries.at[entry];
    h->call = call;
    h->var = ARENA_ARRAY(h->a, int64_t, h->e->nvar);
    h->var[LP_VAR_BATCH] = call->batch;
    h->var[LP_VAR_SEED] = (int64_t)call->seed;
    h->var[LP_VAR_STEP] = (int64_t)call->step;
    h->var[LP_VAR_FIRST_SAMPLE] = (int64_t)call->first_sample;
    host_list(h, h->e->body);
}
static inline void host_close(HostRun *h) { dlclose(h->library); }
#endif
