/* A padded copy of rows of a tensor in the scratch of a thread: [row][column][channel], zeros outside of the
 * map. */
#include "sched/internal.h"

static void zero_run(Kb *k, int ptr, const Lx *at, const Lx *n, int64_t L) {
    Arena *a = k->a;
    if (n->kind == LX_INT && n->i <= 0) return;
    const Lx *i = kb_for(k, INT(0), n, L);
    kb_store(k, ptr, ADD(at, i), lx_float(a, 0, (int)L),
             n->kind == LX_INT && n->i % L == 0 ? NULL : SUB(n, i));
    kb_end(k);
}

static void copy_run(Kb *k, int to, const Lx *dst, int from, const Lx *src, int64_t n, int64_t L) {
    Arena *a = k->a;
    int64_t main = n / L * L;
    if (main) {
        const Lx *i = kb_for(k, INT(0), INT(main), L);
        kb_store(k, to, ADD(dst, i), lx_load(a, from, ADD(src, i), (int)L, NULL), NULL);
        kb_end(k);
    }
    if (main < n) {
        const Lx *rest = INT(n - main);
        kb_store(k, to, ADD(dst, INT(main)), lx_load(a, from, ADD(src, INT(main)), (int)L, rest), rest);
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
        zero_run(k, p->to, base, INT(lo * C), L);
        if ((x->stride[0] == 1 || C == 1) && x->stride[2] == C)
            copy_run(k, p->to, dst, p->from, src, (hi - lo) * C, L);
        else if (x->stride[0] == 1) {
            const Lx *c = kb_for(k, INT(0), INT(hi - lo), 1);
            copy_run(k, p->to, ADD(dst, MUL(c, INT(C))), p->from, ADD(src, MUL(c, INT(x->stride[2]))), C, L);
            kb_end(k);
        } else {
            const Lx *c = kb_for(k, INT(0), INT(C), 1), *i = kb_for(k, INT(0), INT(hi - lo), L),
                     *n = SUB(INT(hi - lo), i);
            const Lx *from = ADD(ADD(src, MUL(c, INT(x->stride[0]))), MUL(i, INT(x->stride[2])));
            const Lx *v = lx_gather(a, p->from, from, INT(x->stride[2]), (int)L, n);
            kb_store_strided(k, p->to, ADD(ADD(dst, c), MUL(i, INT(C))), C, v, n);
            kb_end(k);
            kb_end(k);
        }
        zero_run(k, p->to, ADD(base, INT(hi * C)), INT((p->wide - hi) * C), L);
    } else
        zero_run(k, p->to, base, INT(row), L);
    kb_else(k);
    zero_run(k, p->to, base, INT(row), L);
    kb_end(k);
    kb_end(k);
}
