/* Tiles that were measured take the place of the model's choice; what there is to measure for a product. */
#include "sched/internal.h"

bool sched_tile_same_work(const SchedTile *x, const SchedTile *y) {
    return x->out_ch == y->out_ch && x->rows == y->rows && x->cols == y->cols && x->entries == y->entries &&
           x->run == y->run && x->no_dots == y->no_dots && x->dots_free == y->dots_free &&
           x->vectors_free == y->vectors_free;
}

static bool is_tile(const SchedTarget *t, const SchedTile *w) { /* the bounds that tile_choose keeps */
    int64_t vectors = w->dots ? w->out_ch : ceil_div(w->out_ch, t->lanes);
    if (w->dots && (w->no_dots || w->run < t->lanes / 2)) return false;
    if (w->kv < 1 || w->tile_rows < 1 || w->tile_cols < 1 || w->kv > 4) return false;
    if (w->tile_rows > w->rows || w->tile_cols > w->cols || w->kv > vectors) return false;
    int64_t p = (int64_t)w->tile_rows * w->tile_cols;
    return p <= 28 && w->kv * p + w->kv + 1 <= t->registers;
}

Shape2 tune_tile(Sched *s, const TileWork *w) {
    SchedTile x = {w->out_ch, w->rows, w->cols, w->entries, w->run, w->no_dots, w->dots_free, w->vectors_free, false, 0, 0, 0};
    Shape2 shape = {0};
    for (size_t i = 0; i < s->t.ntuned; i++) {
        const SchedTile *y = &s->t.tuned[i];
        if (sched_tile_same_work(&x, y) && is_tile(&s->t, y))
            shape = (Shape2){y->kv, y->tile_rows, y->tile_cols, y->dots, 0};
    }
    if (!shape.kv) shape = tile_choose(&s->t, w);
    x.kv = shape.kv, x.tile_rows = shape.rows, x.tile_cols = shape.cols, x.dots = shape.dots;
    for (size_t i = 0; i < s->r->tiles.len; i++)
        if (sched_tile_same_work(&x, &s->r->tiles.at[i])) return shape;
    vec_push(s->a, &s->r->tiles, x);
    return shape;
}

/* For each number of vectors the widest tiles of one, two and four rows, evened out over the columns. */
size_t sched_tile_choices(const SchedTarget *t, const SchedTile *work, SchedTile *out, size_t most) {
    size_t n = 0;
    for (int32_t kv = 1; kv <= 4; kv++)
        for (int32_t r = 1; r <= 4; r *= 2) {
            SchedTile x = *work;
            int64_t q = (t->registers - kv - 1) / (kv * r);
            if (q > 28 / r) q = 28 / r;
            if (q > x.cols) q = x.cols;
            if (q < 1) continue;
            x.kv = kv, x.tile_rows = r, x.tile_cols = (int32_t)ceil_div(x.cols, ceil_div(x.cols, q));
            for (size_t i = 0; i < n; i++)
                if (out[i].kv == kv && out[i].tile_rows == r && out[i].tile_cols == x.tile_cols) x.kv = 0;
            if (n < most && is_tile(t, &x)) out[n++] = x;
        }
    return n;
}
