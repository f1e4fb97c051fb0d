/* Elementwise expressions and reductions as blocks of threads. A map: a thread for each entry. A reduction: a block of X results x Y shares of
   what is added; each thread adds its share, then the shares are added pairwise through shared memory. X, Y and the number of parts that a
   large sum is cut into depend on sizes alone, so the order of every sum does. */
#include "sched/map.h"
#include <math.h>

enum {
    MAP_THREADS = 256,
    FOLD_THREADS = 256,
    BATCH_GUESS = 64,  /* samples, where the shape of a block depends on how many there may be */
    SHARE_LEAST = 8,   /* entries a thread adds */
    PART_LEAST = 16384, PARTS_MOST = 64,
    ALONE_MOST = 16384, ALONE_THREADS = 512 /* a block that makes all results of few numbers */
};

static int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }
static int64_t power_below(int64_t n) { /* the largest power of two not above n >= 1 */
    int64_t p = 1;
    while (2 * p <= n) p *= 2;
    return p;
}

/* Are the samples one more turn of the outermost axis, for all operands? */
static bool samples_follow(const Walk *w) {
    if (!w->nmap || w->axis[0].fold) return false;
    const Axis *x = &w->axis[0];
    if (w->out_sample != x->out * x->dim) return false;
    for (int l = 0; l < w->nleaf; l++)
        if ((w->leaf[l]->view.batched ? w->leaf[l]->view.sample : 0) != x->leaf[l] * x->dim) return false;
    return true;
}

/* Sets the axes from .. end-1 and gives back what is left of the number: of the sample, where the first axis does not hold them all. */
static const Lx *set_axes(Walk *w, const Lx *number, int from, int end, bool first_whole) {
    Kb *k = w->k;
    Arena *a = w->a;
    for (int i = end; i-- > from;) {
        if (i == from && first_whole) {
            w->var[i] = number;
            return NULL;
        }
        const Lx *next = kb_let(k, DIV(number, INT(w->axis[i].dim)));
        w->var[i] = kb_let(k, MOD(number, INT(w->axis[i].dim)));
        number = next;
    }
    return number;
}

static int64_t product(const Walk *w, int from, int end) {
    int64_t n = 1;
    for (int i = from; i < end; i++) n *= w->axis[i].dim;
    return n;
}

/* The results of a block begin at number `start`: cut at block level into what may be large, a multiple of the axes that a thread takes apart,
   and what is small. */
typedef struct First {
    const Lx *far, *near;
    int from; /* the first axis that threads take apart */
} First;

static int whole_axes(const Walk *w) { return w->nmap && (!w->d->batched || samples_follow(w)); }

static First first_of(Walk *w, const Lx *start, int from) {
    Kb *k = w->k;
    Arena *a = w->a;
    First f = {.from = from};
    int64_t unit = product(w, f.from, w->nmap);
    start = kb_let(k, start);
    f.far = kb_let(k, DIV(start, INT(unit))), f.near = kb_let(k, MOD(start, INT(unit)));
    return f;
}

/* Result number `start + j` as its place; w->sample. Gives back whether there is one. */
static const Lx *set_result(Walk *w, const First *f, const Lx *j) {
    Kb *k = w->k;
    Arena *a = w->a;
    const Lx *outer = kb_let(k, ADD(f->far, set_axes(w, kb_let(k, ADD(f->near, j)), f->from, w->nmap, false)));
    w->sample = w->d->batched && !f->from ? outer : NULL;
    if (f->from) w->var[0] = outer;
    int64_t n = f->from ? w->axis[0].dim : 1;
    return ILT(outer, w->d->batched ? MUL(kb_batch(k), INT(n)) : INT(n));
}

/* May a thread do 4 neighbours of the innermost axis, with loads and stores of 16 bytes? */
static bool in_fours(const Walk *w, const View *out) {
    int m = w->nmap - 1;
    if (m < 0 || w->axis[m].dim % 4 || w->axis[m].out != 1 || !gpu_aligned(w->e, out)) return false;
    for (int i = 0; i < m; i++)
        if (w->axis[i].out % 4) return false;
    for (int l = 0; l < w->nleaf; l++) {
        if (w->axis[m].leaf[l] == 0) continue;
        if (w->axis[m].leaf[l] != 1 || !gpu_aligned(w->e, &w->leaf[l]->view)) return false;
        for (int i = 0; i < m; i++)
            if (w->axis[i].leaf[l] % 4) return false;
    }
    return true;
}

static void map(Walk *w, Ex *root, const View *out) {
    Kb *k = w->k;
    Arena *a = w->a;
    int from = whole_axes(w), m = w->nmap - 1, width = in_fours(w, out) ? 4 : 1;
    if (width > 1) w->axis[m].dim /= width, w->vec = m, w->aligned = true;
    int64_t each = map_work(w);
    k->threads = !w->d->batched && each < MAP_THREADS ? (int32_t)ceil_div(each, 32) * 32 : MAP_THREADS;
    const Lx *point = w->d->batched ? kb_grid(k) : MOD(kb_grid(k), INT(ceil_div(each, k->threads)));
    First f = first_of(w, MUL(point, INT(k->threads)), from);
    kb_threads(k);
    kb_if(k, set_result(w, &f, lx_thread(a)));
    if (width > 1) w->var[m] = MUL(w->var[m], INT(width));
    w->e->emission++;
    kb_store_aligned(k, w->out_ptr, map_result_at(w), map_value(w, root, width, NULL));
    kb_end(k);
    kb_end(k);
    if (w->d->batched) kb_launch_samples(k, each, k->threads, 1);
    else kb_launch(k, INT(ceil_div(each, k->threads)));
}

typedef struct Block { /* of a reduction */
    int64_t results, folded; /* in all, of one sample where batched (over the batch: of each sample) */
    int64_t x, y, parts;
    bool down; /* neighbours add entries that lie side by side; else they make neighbouring results */
} Block;

static Block block_of(const Walk *w) {
    Block b = {.results = product(w, 0, w->nmap), .folded = product(w, w->nmap, w->naxis), .parts = 1};
    int64_t folded = b.folded * (w->d->fold_batch ? BATCH_GUESS : 1), near[2] = {0, 0};
    for (int f = 0; f < 2; f++) { /* does anything lie side by side along the results, along what is folded? */
        int last = f ? w->naxis - 1 : w->nmap - 1;
        for (int l = 0; l < w->nleaf && last >= (f ? w->nmap : 0); l++) near[f] += w->axis[last].leaf[l] == 1;
    }
    b.down = near[1] > near[0];
    b.y = least(power_below(1 + folded / SHARE_LEAST), FOLD_THREADS);
    b.x = FOLD_THREADS / b.y;
    if (!b.down && b.x < 32) { /* whole lines of memory */
        b.x = least(32, 2 * power_below(b.results));
        if (b.x > b.results * 2) b.x = power_below(b.results);
        b.y = least(b.y, FOLD_THREADS / b.x);
    }
    if (!w->d->batched) b.x = least(b.x, 2 * power_below(b.results));
    while (b.x * b.y < 32) b.x *= 2;
    int64_t blocks = ceil_div(b.results, b.x), all = 2 * power_below(b.results - 1);
    if (!w->d->batched && blocks > 1 && all * b.y <= ALONE_THREADS && b.results * folded <= ALONE_MOST) {
        b.x = all; /* one block, which gpu_merge.c and gpu_last.c can make part of another launch; of no more threads than others have */
        while (b.x * b.y > FOLD_THREADS && b.y > 1) b.y /= 2;
        return b;
    }
    if (folded >= 4 * PART_LEAST && blocks < PARTS_MOST) b.parts = least(PARTS_MOST / blocks, folded / PART_LEAST);
    return b;
}

static const Lx *joined(Walk *w, const Lx *x, const Lx *y) { return lx_f2(w->a, w->fold == FOLD_SUM ? LX_ADD : LX_MAX, x, y); }

/* This thread's share of result number `result`, of the entries lo .. hi-1, every y-th of them. */
static void add_share(Walk *w, const Block *b, Ex *root, int acc, const Lx *y, const Lx *lo, const Lx *hi) {
    Kb *k = w->k;
    Arena *a = w->a;
    const Lx *f = kb_for(k, ADD(lo, y), hi, b->y), *rest = set_axes(w, f, w->nmap, w->naxis, !w->d->fold_batch && w->naxis > w->nmap);
    if (w->d->fold_batch) w->sample = rest;
    w->e->emission++;
    kb_set(k, acc, NULL, joined(w, lx_reg(a, acc, NULL, 1), map_value(w, root, 1, NULL)));
    kb_end(k);
}

static void reduce(Walk *w, Ex *root, const Block *b) {
    Kb *k = w->k;
    Arena *a = w->a;
    int64_t T = b->x * b->y;
    k->threads = (int32_t)T;
    int shared = b->y > 1 ? kb_shared(k, LP_F32, T) : 0, acc = kb_reg(k, 1, 1);
    const Lx *t = lx_thread(a), *x = b->down ? DIV(t, INT(b->y)) : MOD(t, INT(b->x)), *y = b->down ? MOD(t, INT(b->y)) : DIV(t, INT(b->x));
    const Lx *point = DIV(kb_grid(k), INT(b->parts)), *part = MOD(kb_grid(k), INT(b->parts));
    if (!w->d->batched) point = MOD(point, INT(ceil_div(b->results, b->x)));
    First first = first_of(w, MUL(point, INT(b->x)), whole_axes(w));
    const Lx *entries = w->d->fold_batch ? MUL(kb_batch(k), INT(b->folded)) : INT(b->folded);
    const Lx *lo = DIV(MUL(part, entries), INT(b->parts)), *hi = DIV(MUL(ADD(part, INT(1)), entries), INT(b->parts));

    kb_threads(k);
    kb_set(k, acc, NULL, lx_float(a, w->fold == FOLD_SUM ? 0 : -INFINITY, 1));
    kb_if(k, set_result(w, &first, x));
    add_share(w, b, root, acc, y, lo, hi);
    kb_end(k);
    if (b->y > 1) kb_store(k, shared, t, lx_reg(a, acc, NULL, 1), NULL);
    kb_end(k);
    for (int64_t h = b->y / 2; h > 0; h /= 2) {
        const Lx *other = ADD(t, INT(b->down ? h : h * b->x));
        kb_sync(k);
        kb_threads(k);
        kb_if(k, ILT(y, INT(h)));
        kb_set(k, acc, NULL, joined(w, lx_reg(a, acc, NULL, 1), lx_load(a, shared, other, 1, NULL)));
        if (h > 1) kb_store(k, shared, t, lx_reg(a, acc, NULL, 1), NULL);
        kb_end(k);
        kb_end(k);
    }
    kb_threads(k);
    kb_if(k, IAND(set_result(w, &first, x), IEQ(y, INT(0))));
    const Lx *at = b->parts > 1 ? ADD(MUL(ADD(MUL(point, INT(b->x)), x), INT(b->parts)), part) : map_result_at(w);
    const Lx *v = lx_reg(a, acc, NULL, 1);
    kb_store(k, w->out_ptr, at, w->d->more && b->parts == 1 ? joined(w, lx_load(a, w->out_ptr, at, 1, NULL), v) : v, NULL);
    kb_end(k);
    kb_end(k);
    if (w->d->batched) kb_launch_samples(k, b->results, b->x, b->parts);
    else kb_launch(k, INT(ceil_div(b->results, b->x) * b->parts));
}

/* Adds up the parts: [results, parts] for each sample. */
static void add_parts(Walk *w, const Block *b, const View *part, const View *out, const char *what) {
    Dom d = {.rank = w->nmap + 1, .batched = w->d->batched, .more = w->d->more};
    int64_t stride[DOM_MAX] = {0}, at = b->parts;
    int axis[2] = {0, w->nmap};
    Ex *leaf = ex_leaf(w->e, part, axis);
    leaf->stride[0] = 0, leaf->stride[w->nmap] = 1;
    for (int i = w->nmap; i-- > 0;) {
        d.dim[i] = w->axis[i].dim;
        stride[i] = w->axis[i].out;
        leaf->stride[i] = at;
        at *= w->axis[i].dim;
    }
    d.dim[w->nmap] = b->parts, d.fold[w->nmap] = true;
    lower_map(w->e, &d, w->fold, leaf, out, stride, what);
}

void gpu_map(Walk *w, Ex *root, const View *out, const char *what) {
    w->vec = -1;
    w->k = kb_new(w->e, what, 0);
    map_pointers(w, root);
    if (w->fold == FOLD_NONE) {
        w->out_ptr = kb_ptr(w->k, out, true);
        map(w, root, out);
        return;
    }
    MUST(!w->stores);
    Block b = block_of(w);
    View to = *out;
    if (b.parts > 1) to = view_new_row_major(w->e, shape_of(2, b.results, b.parts), w->d->batched, NULL, (Span){0});
    w->out_ptr = kb_ptr(w->k, &to, true);
    reduce(w, root, &b);
    if (b.parts > 1) add_parts(w, &b, &to, out, what);
}
