/* What compiled code is kept under: a key covers the graphs, the layout of the blocks, the processor, and this very cscc and code generator. */
#include "driver/cache.h"
#include "driver/codegen.h"
#include "driver/load.h"
#if defined __x86_64__
#include <cpuid.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const csc_cache_kind kept = {NULL, ".o", "csc cached code\n", 200, 1 << 30};

typedef csc_cache_key Key;
static void mix_text(Key *k, const char *s) { csc_cache_key_mix(k, s, strlen(s) + 1); }
static void mix_int(Key *k, int64_t v) { csc_cache_key_mix(k, &v, sizeof v); }

static void mix_shape(Key *h, Shape s) {
    mix_int(h, s.rank);
    for (int i = 0; i < s.rank; i++) mix_int(h, s.dim[i]);
}

static void mix_file(Key *h, const char *path) {
    struct stat st;
    if (!path || stat(path, &st)) return;
    mix_int(h, st.st_size);
    mix_int(h, st.st_mtim.tv_sec);
    mix_int(h, st.st_mtim.tv_nsec);
}

/* What this processor is and can do (leaf 1's EBX names the core that asks, and is left out). */
static void mix_cpu(Key *h) {
#if defined __x86_64__
    static const unsigned leaf[] = {1, 7, 0xd, 0x80000001};
    for (size_t i = 0; i < sizeof leaf / sizeof *leaf; i++) {
        unsigned r[4] = {0};
        __get_cpuid_count(leaf[i], leaf[i] == 0xd, &r[0], &r[1], &r[2], &r[3]);
        if (leaf[i] == 1 || leaf[i] == 0xd) r[1] = 0;
        csc_cache_key_mix(h, r, sizeof r);
    }
    mix_int(h, __builtin_cpu_supports("avx") + 2 * __builtin_cpu_supports("avx512f") + 4 * sched_target_runs("x86-64-v4+amx")); /* what the system saves */
#else
    (void)h;
#endif
}

uint64_t cache_cpu(void) {
    Key h = csc_cache_key_start();
    mix_cpu(&h);
    return h.a;
}

const csc_cache_key *cache_key(const Compile *c) {
    Arena *a = c->cx->keep;
    const Program *p = c->program;
    Key h = csc_cache_key_start();
    mix_text(&h, CSC_VERSION);
    const char *why = NULL;
    mix_file(&h, "/proc/self/exe");
    mix_file(&h, codegen_path(a, &why));
    mix_text(&h, c->cpu);
    mix_int(&h, c->gpu ? c->o->precision : -1);
    mix_int(&h, c->o->direct);
    if (!strcmp(c->cpu, "native")) mix_cpu(&h);
    for (size_t i = 0; i < c->ntuned; i++) {
        const SchedTile *t = &c->tuned[i];
        const int64_t what[] = {t->out_ch, t->rows, t->cols, t->entries, t->run, t->no_dots, t->dots_free, t->vectors_free, t->dots, t->kv, t->tile_rows, t->tile_cols};
        csc_cache_key_mix(&h, what, sizeof what);
    }
    for (size_t i = 0; i < p->params.len; i++) {
        mix_shape(&h, p->params.at[i].shape);
        mix_int(&h, p->params.at[i].turns);
        mix_int(&h, p->params.at[i].offset);
    }
    for (size_t i = 0; i < p->states.len; i++) {
        mix_shape(&h, p->states.at[i].shape);
        mix_int(&h, p->states.at[i].offset);
    }
    mix_int(&h, p->param_floats);
    mix_int(&h, p->state_floats);
    mix_int(&h, (int64_t)p->tunables.len); /* their values are passed at each call */
    for (size_t i = 0; i < c->entries.len; i++) {
        const Entry *e = &c->entries.at[i];
        mix_text(&h, e->name);
        mix_int(&h, (int64_t)graph_hash(e->graph));
        for (int32_t k = 0; k < e->nin; k++) mix_shape(&h, e->in[k].shape);
        mix_int(&h, e->nin);
    }
    return arena_copy(a, &h, sizeof h);
}

CodeObject *cache_read(Cx *cx, const csc_cache_key *key) {
    size_t len = 0;
    void *bytes = csc_cache_read(&kept, key, &len);
    if (!bytes) return NULL;
    CodeObject *o = ARENA_NEW(cx->keep, CodeObject);
    *o = (CodeObject){arena_copy(cx->keep, bytes, len), len};
    free(bytes);
    return o;
}

void cache_write(const csc_cache_key *key, const CodeObject *object) {
    csc_cache_write(&kept, key, object->bytes, object->len);
    csc_cache_tidy(&kept);
}
