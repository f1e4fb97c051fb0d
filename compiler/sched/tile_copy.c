/* A padded copy of rows of a tensor in the scratch of a thread: [row][column][channel], zeros outside of the
 * map. */
#include "sched/amx.h"

static void put(Kb *k, const PadCopy *p, const Lx *at, int64_t stride, const Lx *v, const Lx *count) {
    Arena *a = k->a;
    if (!p->part) {
        kb_store_strided(k, p->to, at, stride, v, count);
        return;
    }
    int reg = amx_parts(k, v);
    for (int i = 0; i < AMX_PARTS; i++) kb_store_strided(k, p->to, ADD(at, INT(i * p->part)), stride, lx_reg(a, reg + i, NULL, v->width), count);
}

static void zero_run(Kb *k, const PadCopy *p, const Lx *at, const Lx *n, int64_t L) {
    Arena *a = k->a;
    if (n->kind == LX_INT && n->i <= 0) return;
    const Lx *i = kb_for(k, INT(0), n, L), *count = n->kind == LX_INT && n->i % L == 0 ? NULL : SUB(n, i);
    for (int part = 0; part < (p->part ? AMX_PARTS : 1); part++) kb_store(k, p->to, ADD(ADD(at, INT(part * p->part)), i), lx_float(a, 0, (int)L), count);
    kb_end(k);
}

static void copy_run(Kb *k, const PadCopy *p, const Lx *dst, const Lx *src, int64_t n, int64_t L) {
    Arena *a = k->a;
    int64_t main = n / L * L;
    if (main) {
        const Lx *i = kb_for(k, INT(0), INT(main), L);
        put(k, p, ADD(dst, i), 1, lx_load(a, p->from, ADD(src, i), (int)L, NULL), NULL);
        kb_end(k);
    }
    if (main < n) {
        const Lx *rest = INT(n - main);
        put(k, p, ADD(dst, INT(main)), 1, lx_load(a, p->from, ADD(src, INT(main)), (int)L, rest), rest);
    }
}

void tile_copy_padded(Kb *k, const PadCopy *p) {
    Arena *a = k->a;
    const View *x = &p->x;
    int64_t C = x->shape.dim[0], H = x->shape.dim[1], W = x->shape.dim[2], L = k->e->s->t.lanes,
            row = p->wide * C;
    int64_t lo = p->left < 0 ? -p->left : 0, hi = W - p->left;
    if (hi > p->wide) hi = p->wide;
    const Lx *r = kb_for(k, INT(0), p->rows, 1), *iy = ADD(p->first_row, r), *base = MUL(r, INT(row));
    if (p->at) base = ADD(p->at, base);
    kb_if(k, IAND(ILT(INT(-1), iy), ILT(iy, INT(H))));
    if (hi > lo) {
        const Lx *src = ADD(MUL(iy, INT(x->stride[1])), INT((lo + p->left) * x->stride[2]));
        if (p->sample && x->batched) src = ADD(src, MUL(p->sample, INT(x->sample)));
        const Lx *dst = ADD(base, INT(lo * C));
        zero_run(k, p, base, INT(lo * C), L);
        if ((x->stride[0] == 1 || C == 1) && x->stride[2] == C)
            copy_run(k, p, dst, src, (hi - lo) * C, L);
        else if (x->stride[0] == 1) {
            const Lx *c = kb_for(k, INT(0), INT(hi - lo), 1);
            copy_run(k, p, ADD(dst, MUL(c, INT(C))), ADD(src, MUL(c, INT(x->stride[2]))), C, L);
            kb_end(k);
        } else {
            const Lx *c = kb_for(k, INT(0), INT(C), 1), *i = kb_for(k, INT(0), INT(hi - lo), L),
                     *n = SUB(INT(hi - lo), i);
            const Lx *from = ADD(ADD(src, MUL(c, INT(x->stride[0]))), MUL(i, INT(x->stride[2])));
            const Lx *v = lx_gather(a, p->from, from, INT(x->stride[2]), (int)L, n);
            put(k, p, ADD(ADD(dst, c), MUL(i, INT(C))), C, v, n);
            kb_end(k);
            kb_end(k);
        }
        zero_run(k, p, ADD(base, INT(hi * C)), INT((p->wide - hi) * C), L);
    } else
        zero_run(k, p, base, INT(row), L);
    kb_else(k);
    zero_run(k, p, base, INT(row), L);
    kb_end(k);
    kb_end(k);
}

void amx_copy_interleaved(Kb *k, const PadCopy *p) {
    Arena *a = k->a;
    const View *x = &p->x;
    int L = k->e->s->t.lanes, V = p->interleaved;
    int64_t H = x->shape.dim[1], lo = p->left < 0 ? -p->left : 0, hi = x->shape.dim[2] - p->left;
    if (hi > p->wide) hi = p->wide;
    int rows = kb_reg(k, L, V);
    const Lx *r = kb_for(k, INT(0), p->rows, 1), *base = MUL(r, INT(p->wide * V));
    zero_run(k, p, base, INT(lo * V), L);
    const Lx *i = kb_for(k, INT(lo), INT(hi), L), *n = SUB(INT(hi), i), *none = INT(0);
    for (int v = 0; v < V; v++) {
        const Lx *iy = ADD(ADD(p->first_row, r), INT(v)), *here = IAND(ILT(INT(-1), iy), ILT(iy, INT(H)));
        const Lx *src = ADD(MUL(iy, INT(x->stride[1])), MUL(ADD(i, INT(p->left)), INT(x->stride[2])));
        if (p->sample && x->batched) src = ADD(src, MUL(p->sample, INT(x->sample)));
        kb_set(k, rows + v, NULL, lx_gather(a, p->from, src, INT(x->stride[2]), L, lx_iselect(a, here, n, none)));
    }
    for (int m = 0; m < V; m++) {
        const Lx *lane[LOOP_MAX_WIDTH];
        for (int l = 0; l < L; l++) lane[l] = lx_lane(a, lx_reg(a, rows + l % V, NULL, L), (m * L + l) / V);
        put(k, p, ADD(ADD(base, MUL(i, INT(V))), INT(m * L)), 1, lx_pack(a, lane, L), SUB(MUL(n, INT(V)), INT(m * L)));
    }
    kb_end(k);
    zero_run(k, p, ADD(base, INT(hi * V)), INT((p->wide - hi) * V), L);
    kb_end(k);
}
