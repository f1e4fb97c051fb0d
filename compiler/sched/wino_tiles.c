/* The tiles of a map through the first of Winograd's transforms, into the scratch of a thread. */
#include "sched/wino.h"

static int64_t lanes_of(const WinoTiles *w) { return w->k->e->s->t.lanes; }

bool wino_taps(const Taps *t) {
    return t->n == 3 && t->stride == 1 && t->off[1] > t->off[0] && t->off[2] - t->off[1] == t->off[1] - t->off[0] && t->at[2] - t->at[1] == t->at[1] - t->at[0];
}

void wino_counts(WinoTiles *w, const Taps taps[2], const int64_t out[2]) {
    for (int d = 0; d < 2; d++) {
        w->step[d] = taps[d].off[1] - taps[d].off[0];
        w->count[d] = w->step[d] * ceil_div(ceil_div(out[d], w->step[d]), w->m);
    }
}

int64_t wino_pitch(const WinoTiles *w) { return ceil_div(w->channels, lanes_of(w)) * lanes_of(w); }

void wino_tiles_open(WinoTiles *w, int64_t most) {
    int64_t L = lanes_of(w), side = wino_in(w->what, w->m), nn = (w->m + 2) * (w->m + 2);
    w->next = (most * (wino_pitch(w) / L) | 1) * L; /* an odd number of lines, else all matrices meet in one set of the first cache */
    w->to = kb_scratch(w->k, nn * w->next), w->patch = kb_scratch(w->k, side * side * wino_pitch(w));
}

WinoPlace wino_place(const WinoTiles *w, const Lx *number) {
    Kb *k = w->k;
    Arena *a = k->a;
    int64_t per = w->count[0] * w->count[1];
    number = kb_let(k, number);
    const Lx *inside = kb_let(k, MOD(number, INT(per)));
    WinoPlace p = {.sample = w->batched ? kb_let(k, DIV(number, INT(per))) : NULL};
    const Lx *i[2] = {DIV(inside, INT(w->count[1])), MOD(inside, INT(w->count[1]))};
    for (int d = 0; d < 2; d++) {
        int64_t each = w->count[d] / w->step[d]; /* tiles that begin at 0, then at 1, .. */
        p.at[d] = kb_let(k, ADD(DIV(i[d], INT(each)), MUL(MOD(i[d], INT(each)), INT(w->step[d] * w->m))));
    }
    return p;
}

typedef struct Tile { /* begins at float `at` of a parameter, whose rows and columns are so far apart */
    const WinoTiles *w;
    int from;
    const Lx *at, *count, *to;
    int64_t row, column;
} Tile;

static const Lx *get(void *how, int i, const Lx *j) {
    Tile *t = how;
    Arena *a = t->w->k->a;
    return lx_load(a, t->from, ADD(ADD(t->at, MUL(j, INT(t->column))), INT(i * t->row)), (int)lanes_of(t->w), t->count);
}

static void put(void *how, const Lx *i, int j, const Lx *v) {
    Tile *t = how;
    Arena *a = t->w->k->a;
    kb_store(t->w->k, t->w->to, ADD(ADD(t->to, MUL(i, INT((t->w->m + 2) * t->w->next))), INT(j * t->w->next)), v, NULL);
}

/* What lies outside of the map is zero: such a tile is copied first. */
static void copy_patch(const WinoTiles *w, const Lx *base, const Lx *const y[2]) {
    Kb *k = w->k;
    Arena *a = k->a;
    int64_t L = lanes_of(w), side = wino_in(w->what, w->m);
    const Lx *i[2] = {kb_for(k, INT(0), INT(side), 1), kb_for(k, INT(0), INT(side), 1)}, *in = NULL, *from = base;
    for (int d = 0; d < 2; d++) {
        const Lx *at = ADD(y[d], MUL(i[d], INT(w->step[d]))), *ok = IAND(ILT(INT(-1), at), ILT(at, INT(w->v->shape.dim[1 + d])));
        in = in ? IAND(in, ok) : ok;
        from = ADD(from, MUL(at, INT(w->v->stride[1 + d])));
    }
    from = kb_let(k, from);
    const Lx *to = kb_let(k, MUL(ADD(MUL(i[0], INT(side)), i[1]), INT(wino_pitch(w))));
    kb_if(k, in);
    const Lx *c = kb_for(k, INT(0), INT(w->channels), L);
    kb_store(k, w->patch, ADD(to, c), lx_load(a, w->from, ADD(from, c), (int)L, w->channels % L ? SUB(INT(w->channels), c) : NULL), NULL);
    kb_end(k);
    kb_else(k);
    c = kb_for(k, INT(0), INT(w->channels), L);
    kb_store(k, w->patch, ADD(to, c), lx_float(a, 0, (int)L), NULL);
    for (int n = 0; n < 4; n++) kb_end(k);
}

void wino_tiles(const WinoTiles *w, const Lx *first, const Lx *n) {
    Kb *k = w->k;
    Arena *a = k->a;
    int64_t side = wino_in(w->what, w->m), L = lanes_of(w);
    const Lx *tile = kb_for(k, INT(0), n, 1), *y[2], *inside = NULL;
    WinoPlace p = wino_place(w, ADD(first, tile));
    const Lx *base = p.sample && w->v->batched ? MUL(p.sample, INT(w->v->sample)) : INT(0), *at = base;
    for (int d = 0; d < 2; d++) {
        y[d] = ADD(p.at[d], INT(w->off[d]));
        const Lx *ok = IAND(ILT(INT(-1), y[d]), ILT(ADD(y[d], INT((side - 1) * w->step[d])), INT(w->v->shape.dim[1 + d])));
        inside = inside ? IAND(inside, ok) : ok;
        at = ADD(at, MUL(y[d], INT(w->v->stride[1 + d])));
    }
    at = kb_let(k, at), inside = kb_let(k, inside);
    kb_if(k, inside);
    kb_else(k);
    copy_patch(w, base, y);
    kb_end(k);
    const Lx *c = kb_for(k, w->lo ? w->lo : INT(0), w->hi ? w->hi : INT(w->channels), L), *count = w->channels % L ? SUB(INT(w->channels), c) : NULL;
    WinoPlane plane = {.k = k, .what = w->what, .m = w->m, .width = (int)L, .reg = w->reg, .between = w->between};
    kb_if(k, inside);
    Tile in = {.w = w, .from = w->from, .at = ADD(at, c), .count = count};
    in.row = w->v->stride[1] * w->step[0], in.column = w->v->stride[2] * w->step[1];
    wino_columns(&plane, get, &in);
    kb_else(k);
    wino_columns(&plane, get, &(Tile){.w = w, .from = w->patch, .at = c, .row = side * wino_pitch(w), .column = wino_pitch(w)});
    kb_end(k);
    wino_rows(&plane, NULL, put, &(Tile){.w = w, .to = kb_let(k, ADD(MUL(tile, INT(wino_pitch(w))), c))});
    kb_end(k);
    kb_end(k);
}
