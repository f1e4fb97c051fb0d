/* Weights for the matrix unit, made once for all their uses in an entry; numbers cut into parts. */
#include "sched/amx.h"

bool amx_near(const Taps *t) { return t->stride == 1 && tile_unit_steps(t); }

AmxRuns amx_runs(const TileConv *t, int64_t rows, int64_t columns, int64_t interleaved) {
    const Taps *ty = &t->taps[0], *tx = &t->taps[1];
    AmxRuns r = {.merged = tile_unit_steps(tx), .channels = t->x.shape.dim[0], .together = {rows, columns}, .interleaved = interleaved};
    r.per_row = r.merged ? 1 : tx->n;
    r.entries = (int32_t)ceil_div(ty->n + rows - 1, interleaved) * r.per_row;
    r.length = (r.merged ? tx->n + columns - 1 : 1) * r.channels * interleaved;
    r.blocks = ceil_div(r.length, AMX_DEPTH);
    return r;
}

int64_t amx_weight_step(const AmxRuns *r) { return r->entries * r->blocks * AMX_PARTS * AMX_WEIGHTS; }

int amx_parts(Kb *k, const Lx *v) {
    Arena *a = k->a;
    int reg = kb_reg(k, v->width, AMX_PARTS + 1), rest = reg + AMX_PARTS;
    const Lx *x = lx_reg(a, rest, NULL, v->width);
    kb_set(k, rest, NULL, v);
    for (int i = 0; i < AMX_PARTS; i++) {
        kb_set(k, reg + i, NULL, i + 1 < AMX_PARTS ? lx_f1(a, LX_BF16, x) : x);
        if (i + 1 < AMX_PARTS) kb_set(k, rest, NULL, lx_f2(a, LX_SUB, x, lx_reg(a, reg + i, NULL, v->width)));
    }
    return reg;
}

typedef struct Pk {
    Kb *k;
    Arena *a;
    const View *w;
    const AmxRuns *r;
    const Taps *taps;
    int from, tab, line; /* offsets of rows of taps, then of taps of a row; memory of the thread */
    const Lx *first; /* channel */
} Pk;

/* Number `at` of the run of entry e for all columns of a tile, into the thread's memory at float `to`. */
static void column(const Pk *p, const Lx *e, const Lx *at, int64_t to) {
    Kb *k = p->k;
    Arena *a = p->a;
    const AmxRuns *r = p->r;
    int64_t K = p->w->shape.dim[0], C = r->channels, V = r->interleaved, G = r->together[1], many = r->together[0] * G;
    const Lx *c = V > 1 ? INT(0) : kb_let(k, MOD(at, INT(C))), *step = INT(p->w->stride[0]);
    const Lx *row = ADD(MUL(DIV(e, INT(r->per_row)), INT(V)), MOD(at, INT(V))), *tap = r->merged ? DIV(at, INT(C * V)) : MOD(e, INT(r->per_row));
    kb_store(k, p->line, INT(to), lx_float(a, 0, AMX_SIDE), NULL);
    const Lx *j = many > 1 ? kb_for(k, INT(0), INT(many), 1) : INT(0), *i[2] = {kb_let(k, SUB(row, DIV(j, INT(G)))), kb_let(k, SUB(tap, MOD(j, INT(G))))};
    const Lx *ok = ILT(at, INT(r->length));
    for (int d = 0; d < 2; d++) ok = IAND(ok, IAND(ILT(INT(-1), i[d]), ILT(i[d], INT(p->taps[d].n))));
    kb_if(k, ok);
    const Lx *from = ADD(lx_itab(a, p->tab, i[0]), lx_itab(a, p->tab, ADD(INT(p->taps[0].n), i[1])));
    from = ADD(from, ADD(MUL(c, INT(p->w->stride[1])), MUL(p->first, step)));
    const Lx *count = many > 1 ? INT(K) : K % AMX_SIDE ? SUB(INT(K), p->first) : NULL;
    kb_store(k, p->line, ADD(INT(to), MUL(j, INT(K))), lx_gather(a, p->from, from, step, AMX_SIDE, count), many > 1 ? count : NULL);
    kb_end(k);
    if (many > 1) kb_end(k);
}

View amx_weights(Ent *e, const View *w, const Taps taps[2], const AmxRuns *r) {
    enum { KIND = -1 }; /* where others have a number of vectors */
    int64_t many = r->together[0] * r->together[1];
    int m = (int)((r->together[0] << 16) + (r->together[1] << 8) + r->interleaved);
    const View *had = pack_find(e, w, taps, KIND, m);
    if (had) return *had;
    Arena *a = e->a;
    int64_t vectors = many > 1 ? 1 : ceil_div(w->shape.dim[0], AMX_SIDE);
    View packed = view_new_row_major(e, shape_of(2, vectors, amx_weight_step(r) / 2), false, NULL, (Span){0});
    int32_t *tab = ARENA_ARRAY(a, int32_t, taps[0].n + taps[1].n);
    for (int d = 0, n = 0; d < 2; d++)
        for (int i = 0; i < taps[d].n; i++) tab[n++] = (int32_t)(taps[d].at[i] * w->stride[2 + d]);
    int level = pack_hoist(e, w);
    Kb *k = kb_new(e, "pack", 0);
    Pk p = {.k = k, .a = a, .w = w, .r = r, .taps = taps, .from = kb_ptr(k, w, false)};
    int to = kb_ptr(k, &packed, true);
    kb_as_bf16(k, to);
    p.tab = kb_table(k, tab, taps[0].n + taps[1].n);
    p.line = kb_scratch(k, 4 * AMX_SIDE);
    p.first = MUL(kb_grid(k), INT(AMX_SIDE));
    const Lx *entry = kb_for(k, INT(0), INT(r->entries), 1), *b = kb_for(k, INT(0), INT(r->blocks), 1), *pair = kb_for(k, INT(0), INT(AMX_SIDE), 1);
    const Lx *at = kb_let(k, ADD(MUL(b, INT(AMX_DEPTH)), MUL(pair, INT(2))));
    column(&p, entry, at, 0);
    column(&p, entry, ADD(at, INT(1)), 2 * AMX_SIDE);
    int even = amx_parts(k, lx_load(a, p.line, INT(0), AMX_SIDE, NULL)), odd = amx_parts(k, lx_load(a, p.line, INT(2 * AMX_SIDE), AMX_SIDE, NULL));
    const Lx *dst = ADD(MUL(kb_grid(k), INT(amx_weight_step(r))), MUL(ADD(MUL(entry, INT(r->blocks)), b), INT(AMX_PARTS * AMX_WEIGHTS)));
    for (int i = 0; i < AMX_PARTS; i++) {
        const Lx *where = ADD(dst, ADD(INT(i * AMX_WEIGHTS), MUL(pair, INT(2 * AMX_SIDE))));
        code_put(&k->code, ls_store_pairs(a, to, where, lx_reg(a, even + i, NULL, AMX_SIDE), lx_reg(a, odd + i, NULL, AMX_SIDE)));
    }
    for (int i = 0; i < 3; i++) kb_end(k);
    kb_launch(k, INT(vectors));
    return pack_keep(e, w, taps, KIND, m, level, packed);
}
