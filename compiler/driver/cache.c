/* The cache of compiled code. A key covers the graphs, the layout of the blocks, the processor, and this very cscc and code generator; a file carries a
   checksum, is written under another name first, and the oldest go when there are too many. */
#include "driver/cache.h"
#include "csc_cuda.h"
#include "driver/codegen.h"
#include "driver/load.h"
#if defined __x86_64__
#include <cpuid.h>
#endif
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILES_MOST = 200, MAGIC = 16, HEAD = MAGIC + 16, OBJECT_MOST = 1 << 30 };
static const char magic[MAGIC + 1] = "csc cached code\n";

typedef struct Hash { /* two FNV-1a with different starts: 128 bits */
    uint64_t a, b;
} Hash;
static void mix(Hash *h, const void *p, size_t n) {
    const unsigned char *s = p;
    for (size_t i = 0; i < n; i++) {
        h->a = (h->a ^ s[i]) * 1099511628211u;
        h->b = (h->b ^ s[i] ^ 0x5a) * 0x100000001b3u + 0x9e3779b97f4a7c15u;
    }
}
static void mix_text(Hash *h, const char *s) { mix(h, s, strlen(s) + 1); }
static void mix_int(Hash *h, int64_t v) { mix(h, &v, sizeof v); }
static Hash start(void) { return (Hash){14695981039346656037u, 0x84222325cbf29ce4u}; }

static void mix_shape(Hash *h, Shape s) {
    mix_int(h, s.rank);
    for (int i = 0; i < s.rank; i++) mix_int(h, s.dim[i]);
}

static const char *folder(Arena *a) {
    char path[3000];
    return csc_cache_folder(path, sizeof path) ? arena_printf(a, "%s", path) : NULL;
}

static void mix_file(Hash *h, const char *path) {
    struct stat st;
    if (!path || stat(path, &st)) return;
    mix_int(h, st.st_size);
    mix_int(h, st.st_mtim.tv_sec);
    mix_int(h, st.st_mtim.tv_nsec);
}

/* What this processor is and can do (leaf 1's EBX names the core that asks, and is left out). */
static void mix_cpu(Hash *h) {
#if defined __x86_64__
    static const unsigned leaf[] = {1, 7, 0xd, 0x80000001};
    for (size_t i = 0; i < sizeof leaf / sizeof *leaf; i++) {
        unsigned r[4] = {0};
        __get_cpuid_count(leaf[i], leaf[i] == 0xd, &r[0], &r[1], &r[2], &r[3]);
        if (leaf[i] == 1 || leaf[i] == 0xd) r[1] = 0;
        mix(h, r, sizeof r);
    }
    mix_int(h, __builtin_cpu_supports("avx") + 2 * __builtin_cpu_supports("avx512f")); /* what the system saves */
#else
    (void)h;
#endif
}

uint64_t cache_cpu(void) {
    Hash h = start();
    mix_cpu(&h);
    return h.a;
}

const char *cache_path(const Compile *c) {
    Arena *a = c->cx->keep;
    const Program *p = c->program;
    const char *dir = folder(a);
    if (!dir) return NULL;
    Hash h = start();
    mix_text(&h, CSC_VERSION);
    const char *why = NULL;
    mix_file(&h, "/proc/self/exe");
    mix_file(&h, codegen_path(a, &why));
    mix_text(&h, c->cpu);
    mix_int(&h, c->gpu ? c->o->precision : -1);
    if (!strcmp(c->cpu, "native")) mix_cpu(&h);
    for (size_t i = 0; i < c->ntuned; i++) {
        const SchedTile *t = &c->tuned[i];
        const int64_t what[] = {t->out_ch, t->rows, t->cols, t->entries, t->run, t->no_dots, t->dots_free, t->vectors_free, t->dots, t->kv, t->tile_rows, t->tile_cols};
        mix(&h, what, sizeof what);
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
    return arena_printf(a, "%s/%016llx%016llx.o", dir, (unsigned long long)h.a, (unsigned long long)h.b);
}

static void checksum(char out[16], const char *bytes, size_t len) {
    Hash h = start();
    mix(&h, bytes, len);
    memcpy(out, &h.a, 8);
    memcpy(out + 8, &h.b, 8);
}

CodeObject *cache_read(Cx *cx, const char *path) {
    size_t len = 0;
    const char *why;
    char *file = load_file(cx->keep, path, OBJECT_MOST, &len, &why), sum[16];
    if (!file || len <= HEAD || memcmp(file, magic, MAGIC)) return NULL;
    checksum(sum, file + HEAD, len - HEAD);
    if (memcmp(file + MAGIC, sum, sizeof sum)) return NULL;
    utimensat(AT_FDCWD, path, NULL, 0); /* used today */
    CodeObject *o = ARENA_NEW(cx->keep, CodeObject);
    *o = (CodeObject){file + HEAD, len - HEAD};
    return o;
}

/* Removes the files that were not used for longest. Others may do the same at once: what is gone already is no trouble. */
static void tidy(Arena *a, const char *dir) {
    for (;;) {
        DIR *d = opendir(dir);
        if (!d) return;
        char oldest[300] = "";
        time_t when = 0;
        int n = 0;
        for (struct dirent *e; (e = readdir(d));) {
            struct stat st;
            if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, 0) || !S_ISREG(st.st_mode)) continue;
            if (!n++ || st.st_mtime < when) when = st.st_mtime, snprintf(oldest, sizeof oldest, "%s", e->d_name);
        }
        closedir(d);
        if (n <= FILES_MOST || unlink(arena_printf(a, "%s/%s", dir, oldest))) return;
    }
}

void cache_write(Cx *cx, const char *path, const CodeObject *object) {
    const char *dir = arena_strndup(cx->keep, path, (size_t)(strrchr(path, '/') - path));
    for (const char *p = dir + 1; *p; p++)
        if (*p == '/') mkdir(arena_strndup(cx->pass, dir, (size_t)(p - dir)), 0777);
    mkdir(dir, 0777);
    char *name = arena_printf(cx->keep, "%s/.new-XXXXXX", dir), sum[16];
    int fd = mkstemp(name);
    if (fd < 0) return;
    FILE *f = fdopen(fd, "wb");
    checksum(sum, object->bytes, object->len);
    bool ok = f && fwrite(magic, MAGIC, 1, f) && fwrite(sum, sizeof sum, 1, f) && fwrite(object->bytes, object->len, 1, f);
    if (f) ok = fclose(f) == 0 && ok;
    if (!ok || rename(name, path)) unlink(name);
    tidy(cx->pass, dir);
}
