/* Text: a line for what it is, for the processor and the program, one for each tile, and a checksum of all that. Nobody's file is trusted: what
   does not read to the letter is refused, and sched takes no tile that is none. */
#include "driver/tiles.h"
#include "driver/cache.h"
#include "driver/info.h"
#include "driver/link.h"
#include "driver/load.h"
#include <string.h>
#include <unistd.h>

enum { TILES_MOST = 1 << 20 };
static const char first[] = "csc tiles 1\n";

const char *tiles_path(Arena *a, const char *program) {
    size_t n = strlen(program);
    if (n > 4 && !strcmp(program + n - 4, ".csc")) n -= 4;
    return arena_printf(a, "%.*s.tiles", (int)n, program);
}

/* The program's text, whatever the command line sets: a tile belongs to a product, and products are compared one by one. */
static const char *program_hash(const Compile *c) {
    Compile bare = *c;
    bare.nset = 0;
    return info_source_hash(c->cx, &bare);
}

static const char *cpu_line(const Compile *c) {
    if (strcmp(c->cpu, "native")) return c->cpu;
    return arena_printf(c->cx->keep, "native-%016llx", (unsigned long long)cache_cpu());
}

static uint64_t sum_of(const char *s, size_t n) { /* FNV-1a */
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 1099511628211u;
    return h;
}

static const char *tile_line(Arena *a, const SchedTile *t) {
    return arena_printf(a, "tile %lld %lld %lld %lld %lld %d%d%d %d %d %d %d\n", (long long)t->out_ch, (long long)t->rows, (long long)t->cols, (long long)t->entries,
                        (long long)t->run, t->no_dots, t->dots_free, t->vectors_free, t->dots, t->kv, t->tile_rows, t->tile_cols);
}

static bool read_tile(Arena *a, const char *line, size_t len, SchedTile *t) {
    long long w[5];
    int f[3], dots, kv, rows, cols;
    if (sscanf(line, "tile %lld %lld %lld %lld %lld %1d%1d%1d %d %d %d %d", &w[0], &w[1], &w[2], &w[3], &w[4], &f[0], &f[1], &f[2], &dots, &kv, &rows, &cols) != 12)
        return false;
    *t = (SchedTile){w[0], w[1], w[2], w[3], w[4], f[0], f[1], f[2], dots, kv, rows, cols};
    const char *again = tile_line(a, t);
    return strlen(again) == len && !memcmp(again, line, len);
}

void tiles_open(Compile *c) {
    if (!c->o->words) return; /* no command line, no program beside which tiles could lie */
    Arena *a = c->cx->keep;
    const char *path = tiles_path(a, c->o->words[0]), *why = NULL;
    size_t len = 0;
    if (access(path, F_OK)) return;
    char *text = load_file(a, path, TILES_MOST, &len, &why);
    const char *cpu = arena_printf(a, "cpu %s\n", cpu_line(c)), *program = arena_printf(a, "program %s\n", program_hash(c));
    bool fits_cpu = false, fits_program = false, whole = false;
    Vec(SchedTile) tile = {0};
    int line = 0;
    size_t at = 0;
    if (text) text = arena_strndup(a, text, len);
    for (; !why && !whole && at < len; line++) {
        size_t n = strcspn(text + at, "\n") + 1;
        SchedTile t;
        if (at + n > len) why = "its last line is cut";
        else if (line == 0 && (n != strlen(first) || memcmp(text, first, n))) why = "it does not begin as such a file does";
        else if (line == 1) fits_cpu = n == strlen(cpu) && !memcmp(text + at, cpu, n), why = memcmp(text + at, "cpu ", 4) ? "it names no processor" : NULL;
        else if (line == 2) fits_program = n == strlen(program) && !memcmp(text + at, program, n), why = memcmp(text + at, "program ", 8) ? "it names no program" : NULL;
        else if (line > 2 && n == 21 && !memcmp(text + at, "sum ", 4)) {
            whole = !memcmp(text + at, arena_printf(a, "sum %016llx\n", (unsigned long long)sum_of(text, at)), n) && at + n == len;
            if (!whole) why = "its checksum is another";
        } else if (line > 2) {
            if (read_tile(a, text + at, n, &t)) vec_push(a, &tile, t);
            else why = arena_printf(a, "line %d is no tile", line + 1);
        }
        at += n;
    }
    if (!why && !whole) why = "it has no checksum";
    if (why) {
        Diag *d = diag_error(c->cx, E_TILES, (Span){0}, "'%s' cannot be used: %s", path, why);
        diag_help(c->cx, d, "cscc autotune %s writes it anew; without the file the compiler chooses by itself", c->o->words[0]);
        return;
    }
    if (!fits_cpu) c->tiles_said = arena_printf(a, "'%s' is for another processor and was not used", path);
    else if (!fits_program) c->tiles_said = arena_printf(a, "'%s' is for an older text of the program and was not used", path);
    else {
        c->tuned = tile.at, c->ntuned = tile.len;
        c->tiles_said = arena_printf(a, "%zu tiles come from '%s'", tile.len, path);
    }
}

bool tiles_write(Compile *c, const char *path, const SchedTile *tile, size_t n) {
    Arena *a = c->cx->keep;
    const char *text = arena_printf(a, "%scpu %s\nprogram %s\n", first, cpu_line(c), program_hash(c));
    for (size_t i = 0; i < n; i++) text = arena_printf(a, "%s%s", text, tile_line(a, &tile[i]));
    text = arena_printf(a, "%ssum %016llx\n", text, (unsigned long long)sum_of(text, strlen(text)));
    return link_write(c->cx, path, text, strlen(text));
}
