/* A convolution on the processor's matrix unit: when, and the kernel for a block of rows of a sample. */
#include "sched/amx.h"

enum { SUMS = 4, OPERAND = 4, PART = 5 /* tile registers: of sums; that of x; the first of the weights' */ };
enum { COPY_MOST = 512 * 1024, NEAR = 36 * 1024 /* bytes: of the copy; of the first cache */, INTERLEAVED = 4 /* rows */ };
enum { RATE = 16, PRODUCTS = 6 /* cycles of a product; products of parts */ };

/* Positions of the result: `together` neighbours each. Linear: those of all columns of the copy follow one another over the ends of rows, and the ones
   that stand in the padding are left out at the end; else a row has whole tiles, with the last reaching over its end. */
typedef struct Amx {
    const TileConv *t;
    Ent *e;
    Kb *k;
    Arena *a;
    AmxRuns r;
    int64_t K, C, H, OH, OW;
    int64_t C1;      /* numbers of a column of the copy */
    int64_t wide;    /* columns of the copy */
    int64_t rows_all, places; /* rows of positions; positions of a row */
    bool linear;
    int64_t per;     /* a row's positions (linear: with the padding), or its tiles */
    int64_t vectors; /* of channels */
    int at_once, shares; /* tiles of positions with one of channels; sums of each, since a product waits for the last into the same tile */
    int64_t part;    /* bf16 from one part of the copy to the next */
    int px, pw, po, tab, copy, sums;
    View weights;
    const Lx *sample, *lo, *rows; /* first row of positions of the block, how many */
} Amx;

static int64_t span(const Amx *q) { /* rows of the copy for a row of positions */
    const Taps *t = &q->t->taps[0];
    if (q->r.interleaved > 1) return (q->r.entries - 1) * q->r.interleaved + 1;
    return q->r.together[0] + tile_last_off(t) - t->off[0];
}

static int64_t row_step(const Amx *q) { return q->r.together[0] * q->t->taps[0].stride; }
static int64_t rows_read(const Amx *q, int64_t rows) { return (rows - 1) * row_step(q) + span(q); }

static int64_t tiles(const Amx *q, int64_t rows) {
    return q->linear ? ceil_div((rows - 1) * q->per + q->places, AMX_SIDE) : rows * q->per;
}

static void lay_out(Amx *q, int64_t rows, int64_t columns, int64_t interleaved) {
    const TileConv *t = q->t;
    const Taps *tx = &t->taps[1];
    q->r = amx_runs(t, rows, columns, interleaved);
    q->K = t->out.shape.dim[0], q->OH = t->out.shape.dim[1], q->OW = t->out.shape.dim[2];
    q->C = t->x.shape.dim[0], q->H = t->x.shape.dim[1], q->C1 = q->C * interleaved;
    q->rows_all = ceil_div(q->OH, rows), q->places = ceil_div(q->OW, columns);
    q->wide = (q->places * columns - 1) * tx->stride + tile_last_off(tx) - tx->off[0] + 1;
    int64_t row = ceil_div(q->wide, columns), per = ceil_div(q->places, AMX_SIDE); /* positions, tiles */
    q->linear = row_step(q) == 1 && tx->stride == 1 && (q->rows_all - 1) * row + q->places < q->rows_all * per * AMX_SIDE;
    q->per = q->linear ? row : per;
    if (q->linear) q->wide = row * columns;
    q->vectors = rows * columns > 1 ? 1 : ceil_div(q->K, AMX_SIDE);
    int64_t n = tiles(q, q->rows_all), most = SUMS;
    while (most > 1 && most * AMX_SIDE * columns * tx->stride * q->C1 * 2 * AMX_PARTS > NEAR) most /= 2;
    q->at_once = (int)ceil_div(n, ceil_div(n, most));
    q->shares = SUMS / q->at_once;
}

static int64_t products(const Amx *q) { return q->vectors * tiles(q, q->rows_all) * q->r.entries * q->r.blocks; }

/* Which neighbours are made together, by the fewest products. */
static Amx choose(const TileConv *t) {
    Amx best = {.t = t}, q = best;
    bool near = amx_near(&t->taps[0]), beside = amx_near(&t->taps[1]);
    int64_t K = t->out.shape.dim[0], V = t->x.shape.dim[0] == 1 && tile_unit_steps(&t->taps[0]) && tile_unit_steps(&t->taps[1]) && t->taps[0].n > 1 ? INTERLEAVED : 1;
    lay_out(&best, 1, 1, V);
    for (int64_t rows = 1; V == 1 && beside && rows * K <= AMX_SIDE && rows <= (near ? t->out.shape.dim[1] : 1); rows++)
        for (int64_t columns = 1; rows * columns * K <= AMX_SIDE && columns <= t->out.shape.dim[2]; columns++) {
            lay_out(&q, rows, columns, 1);
            if (products(&q) < products(&best)) best = q;
        }
    return best;
}

double amx_cost(const Ent *e, const TileConv *t) {
    if (!e->s->t.tiles || t->columns || t->spread[0]) return 0;
    Amx q = choose(t);
    double bytes = (double)(q.vectors * amx_weight_step(&q.r)) * 2;
    double product = PRODUCTS * RATE * 1.3;
    double copy = (double)(rows_read(&q, q.rows_all) * q.wide * q.C1) / AMX_SIDE * (t->x.stride[0] == 1 || q.C == 1 ? 8 : 60);
    double ending = (double)(q.OH * q.OW) * (double)ceil_div(q.K, AMX_SIDE) * 5;
    return (double)products(&q) * product + copy + ending + tile_far_cost(e, bytes) + bytes / 2 / 32;
}

/* ---- the kernel ---- */
/* The sums of the tiles whose first positions lie at at[]; y0, y1: the first and the last row of positions that they meet. */
static void emit_products(Amx *q, const Lx *kt, const Lx *const *at, const Lx *y0, const Lx *y1) {
    Kb *k = q->k;
    Arena *a = q->a;
    const Lx *from = INT(0), *to = INT(q->r.entries);
    if (q->r.together[0] == 1 && q->r.interleaved == 1)
        tile_tap_range(a, &q->t->taps[0], q->H, q->OH, q->r.per_row, ADD(q->lo, y0), ADD(q->lo, y1), &from, &to);
    for (int n = 0; n < q->at_once * q->shares; n++) code_put(&k->code, ls_tile_clear(a, n));
    const Lx *e = kb_for(k, from, to, 1), *x = kb_let(k, lx_itab(a, q->tab, e));
    const Lx *w = kb_let(k, ADD(MUL(kt, INT(amx_weight_step(&q->r))), MUL(e, INT(q->r.blocks * AMX_PARTS * AMX_WEIGHTS))));
    const Lx *b = kb_for(k, INT(0), INT(q->r.blocks), 1), *wb = ADD(w, MUL(b, INT(AMX_PARTS * AMX_WEIGHTS)));
    const Lx *xb = kb_let(k, ADD(x, MUL(b, INT(AMX_DEPTH)))), *pitch = INT(q->r.together[1] * q->t->taps[1].stride * q->C1);
    for (int p = 0; p < AMX_PARTS; p++) code_put(&k->code, ls_tile_load(a, PART + p, q->pw, ADD(wb, INT(p * AMX_WEIGHTS)), INT(AMX_DEPTH)));
    for (int n = 0; n < q->at_once; n++)
        for (int p = AMX_PARTS - 1, i = 0; p >= 0; p--) { /* the smallest products first */
            code_put(&k->code, ls_tile_load(a, OPERAND, q->copy, ADD(ADD(at[n], xb), INT(p * q->part)), pitch));
            for (int o = AMX_PARTS - 1 - p; o >= 0; o--, i++) code_put(&k->code, ls_tile_dot(a, i % q->shares * q->at_once + n, OPERAND, PART + o));
        }
    kb_end(k);
    kb_end(k);
    for (int n = 0; n < q->at_once * q->shares; n++) code_put(&k->code, ls_tile_store(a, n, q->sums, INT(n * AMX_FLOATS), INT(AMX_SIDE)));
}

/* Of so many neighbours from position u on, those inside of the map. */
static const Lx *inside(Amx *q, int d, const Lx *u, int64_t size) {
    Arena *a = q->a;
    int64_t n = q->r.together[d];
    return size % n ? IMIN(INT(n), SUB(INT(size), MUL(u, INT(n)))) : INT(n);
}

/* Position u of row y of the block: its sums, `at` in what emit_products left, to where they go. */
static void emit_ending(Amx *q, const Lx *kt, const Lx *y, const Lx *u, const Lx *at) {
    Kb *k = q->k;
    Arena *a = q->a;
    int64_t R = q->r.together[0], G = q->r.together[1];
    const Lx *row = ADD(q->lo, y), *i = R > 1 ? kb_for(k, INT(0), inside(q, 0, row, q->OH), 1) : INT(0);
    const Lx *j = G > 1 ? kb_for(k, INT(0), inside(q, 1, u, q->OW), 1) : INT(0);
    const Lx *ch = MUL(kt, INT(AMX_SIDE)), *count = q->K % AMX_SIDE ? SUB(INT(q->K), ch) : NULL;
    const Lx *from = ADD(MUL(at, INT(AMX_SIDE)), MUL(ADD(MUL(i, INT(G)), j), INT(q->K))), *value = lx_load(a, q->sums, from, AMX_SIDE, NULL);
    for (int n = 1; n < q->shares; n++)
        value = lx_f2(a, LX_ADD, value, lx_load(a, q->sums, ADD(from, INT(n * q->at_once * AMX_FLOATS)), AMX_SIDE, NULL));
    const Lx *place[3] = {ch, ADD(MUL(row, INT(R)), i), ADD(MUL(u, INT(G)), j)};
    const View *out = &q->t->out;
    Finish f = {.k = k, .sample = q->sample, .acc = q->t->acc, .value = value, .axes = 3, .at = place, .width = AMX_SIDE, .count = count};
    if (q->t->epilogue) value = finish(&f, q->t->epilogue);
    kb_store_strided(k, q->po, kb_at(k, out, q->sample, place), out->stride[0], value, count);
    if (G > 1) kb_end(k);
    if (R > 1) kb_end(k);
}

static void emit_linear(Amx *q) {
    Kb *k = q->k;
    Arena *a = q->a;
    int64_t group = q->at_once * AMX_SIDE, step = q->r.together[1] * q->C1;
    const Lx *n = ADD(MUL(SUB(q->rows, INT(1)), INT(q->per)), INT(q->places)), *p = kb_for(k, INT(0), n, group);
    const Lx *y0 = kb_let(k, DIV(p, INT(q->per))), *y1 = kb_let(k, IMIN(DIV(ADD(p, INT(group - 1)), INT(q->per)), SUB(q->rows, INT(1))));
    const Lx *first = kb_let(k, MUL(p, INT(step))), *at[SUMS];
    for (int i = 0; i < q->at_once; i++) at[i] = ADD(first, INT(i * AMX_SIDE * step));
    const Lx *kt = kb_for(k, INT(0), INT(q->vectors), 1);
    emit_products(q, kt, at, y0, y1);
    const Lx *y = kb_for(k, y0, ADD(y1, INT(1)), 1), *row = kb_let(k, SUB(MUL(y, INT(q->per)), p)); /* where its first position stands */
    const Lx *u = kb_for(k, IMAX(INT(0), SUB(INT(0), row)), IMIN(INT(q->places), SUB(INT(group), row)), 1);
    emit_ending(q, kt, y, u, ADD(row, u));
    for (int i = 0; i < 4; i++) kb_end(k);
}

static void emit_by_row(Amx *q) {
    Kb *k = q->k;
    Arena *a = q->a;
    int64_t step = q->r.together[1] * q->t->taps[1].stride * q->C1;
    const Lx *n = MUL(q->rows, INT(q->per)), *first = kb_for(k, INT(0), n, q->at_once), *at[SUMS], *y[SUMS] = {0};
    for (int i = 0; i < q->at_once; i++) {
        const Lx *tile = IMIN(ADD(first, INT(i)), SUB(n, INT(1)));
        y[i] = kb_let(k, DIV(tile, INT(q->per)));
        at[i] = kb_let(k, ADD(MUL(y[i], INT(row_step(q) * q->wide * q->C1)), MUL(MOD(tile, INT(q->per)), INT(AMX_SIDE * step))));
    }
    const Lx *kt = kb_for(k, INT(0), INT(q->vectors), 1);
    emit_products(q, kt, at, y[0], y[q->at_once - 1]);
    const Lx *tile = kb_for(k, first, IMIN(ADD(first, INT(q->at_once)), n), 1), *u0 = kb_let(k, MUL(MOD(tile, INT(q->per)), INT(AMX_SIDE)));
    const Lx *row = kb_let(k, DIV(tile, INT(q->per))), *u = kb_for(k, u0, IMIN(ADD(u0, INT(AMX_SIDE)), INT(q->places)), 1);
    emit_ending(q, kt, row, u, ADD(MUL(SUB(tile, first), INT(AMX_SIDE)), SUB(u, u0)));
    for (int i = 0; i < 4; i++) kb_end(k);
}

/* The copy of the rows that the block reads, in parts; numbers of the sum beyond a run may lie behind its end, where zeros are. */
static void copy_input(Amx *q) {
    Kb *k = q->k;
    Arena *a = q->a;
    const Taps *ty = &q->t->taps[0];
    const Lx *rows = kb_let(k, ADD(MUL(SUB(q->rows, INT(1)), INT(row_step(q))), INT(span(q))));
    PadCopy c = {.x = q->t->x,
                 .from = q->px,
                 .to = q->copy,
                 .part = q->part,
                 .interleaved = (int)q->r.interleaved,
                 .sample = q->sample,
                 .first_row = kb_let(k, ADD(MUL(q->lo, INT(row_step(q))), INT(ty->off[0]))),
                 .rows = rows,
                 .left = q->t->taps[1].off[0],
                 .wide = q->wide};
    (q->r.interleaved > 1 ? amx_copy_interleaved : tile_copy_padded)(k, &c);
    const Lx *end = MUL(rows, INT(q->wide * q->C1));
    for (int p = 0; p < AMX_PARTS; p++)
        for (int i = 0; i < AMX_DEPTH; i += AMX_SIDE) kb_store(k, q->copy, ADD(end, INT(p * q->part + i)), lx_float(a, 0, AMX_SIDE), NULL);
}

static const int32_t *entry_table(const Amx *q) {
    const Taps *ty = &q->t->taps[0], *tx = &q->t->taps[1];
    int32_t *tab = ARENA_ARRAY(q->a, int32_t, q->r.entries), per = q->r.per_row;
    for (int i = 0; i < q->r.entries; i++) { /* rows of taps are next to one another where neighbours' or interleaved ones come on top of them */
        int64_t row = i / per < ty->n && q->r.interleaved == 1 ? ty->off[i / per] - ty->off[0] : i / per * q->r.interleaved;
        tab[i] = (int32_t)(row * q->wide * q->C1 + (tx->off[i % per] - tx->off[0]) * q->C1);
    }
    return tab;
}

void amx_conv(Ent *e, const TileConv *t) {
    Arena *a = e->a;
    Amx *q = ARENA_NEW(a, Amx);
    *q = choose(t);
    q->e = e, q->a = a;
    int64_t least = 1, row = q->wide * q->C1;
    while (least < q->rows_all && rows_read(q, ceil_div(q->rows_all, least)) * row * AMX_PARTS * 2 > COPY_MOST) least++;
    /* an odd number of lines; the last tiles reach over the end */
    int64_t over = q->at_once * AMX_SIDE * q->r.together[1] * t->taps[1].stride * q->C1 + q->r.blocks * AMX_DEPTH, line = 32;
    q->part = (ceil_div(rows_read(q, ceil_div(q->rows_all, least)) * row + over, line) | 1) * line;
    q->weights = amx_weights(e, &t->w, t->taps, &q->r);

    Kb *k = q->k = kb_new(e, t->what, 1);
    const char *more = q->r.interleaved > 1 ? ", rows interleaved" : "";
    if (q->r.together[0] * q->r.together[1] > 1) more = arena_printf(a, ", %d x %d neighbours together", (int)q->r.together[0], (int)q->r.together[1]);
    k->detail = arena_printf(a, "%s: %d to %d channels, %dx%d taps on %dx%d, matrix unit, %d tiles of 16%s%s", t->what, (int)q->C, (int)q->K, t->taps[0].n,
                             t->taps[1].n, (int)q->OH, (int)q->OW, q->at_once, q->linear ? " over the ends of rows" : "", more);
    q->px = kb_ptr(k, &t->x, false);
    q->pw = kb_ptr(k, &q->weights, false);
    kb_as_bf16(k, q->pw);
    q->po = kb_ptr(k, &t->out, true);
    q->tab = kb_table(k, entry_table(q), q->r.entries);
    if (t->epilogue) finish_pointers(k, t->epilogue);
    if (t->epilogue) finish_over(k, t->epilogue, &t->out, q->po, (const int[]){q->px, q->pw}, 2);
    q->copy = kb_scratch(k, AMX_PARTS * q->part / 2);
    kb_as_bf16(k, q->copy);
    q->sums = kb_scratch(k, (q->at_once * q->shares + 1) * AMX_FLOATS);

    bool batched = t->out.batched;
    const Lx *blocks = IVAR(0), *block = batched ? MOD(kb_grid(k), blocks) : kb_grid(k);
    q->sample = batched ? DIV(kb_grid(k), blocks) : NULL;
    q->lo = kb_let(k, DIV(MUL(block, INT(q->rows_all)), blocks));
    q->rows = kb_let(k, SUB(DIV(MUL(ADD(block, INT(1)), INT(q->rows_all)), blocks), q->lo));
    kb_if(k, ILT(INT(0), q->rows));
    copy_input(q);
    (q->linear ? emit_linear : emit_by_row)(q);
    kb_end(k);
    if (least > 1)
        k->ints[0] = batched ? IMAX(INT(least), IVAR(e->blocks_var)) : INT(least);
    else
        k->ints[0] = batched && q->rows_all > 1 ? IVAR(e->blocks_var) : INT(!batched && q->rows_all > 8 ? 8 : 1);
    kb_launch(k, batched ? MUL(IVAR(LP_VAR_BATCH), k->ints[0]) : k->ints[0]);
}
