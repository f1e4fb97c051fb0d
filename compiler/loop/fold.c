/* Folds integer expressions. */
#include "loop/fold.h"

bool loop_fold_op(LxKind k, int64_t x, int64_t y, int64_t *r) {
    uint64_t ux = (uint64_t)x, uy = (uint64_t)y;
    switch ((int)k) {
    case LX_IADD: *r = (int64_t)(ux + uy); return true;
    case LX_ISUB: *r = (int64_t)(ux - uy); return true;
    case LX_IMUL: *r = (int64_t)(ux * uy); return true;
    case LX_IDIV: return y > 0 && x >= 0 && (*r = x / y, true);
    case LX_IMOD: return y > 0 && x >= 0 && (*r = x % y, true);
    case LX_IMIN: *r = x < y ? x : y; return true;
    case LX_IMAX: *r = x > y ? x : y; return true;
    case LX_ILT: *r = x < y; return true;
    case LX_IEQ: *r = x == y; return true;
    case LX_IAND: *r = x && y; return true;
    case LX_IOR: *r = x || y; return true;
    case LX_INOT: *r = !x; return true;
    default: return false;
    }
}

bool loop_fold(const Lx *x, const LoopKnown *k, int64_t *v) {
    int64_t p, q = 0;
    if (x->kind == LX_INT) return *v = x->i, true;
    if (x->kind == LX_VAR) return k->known[x->i] && (*v = k->value[x->i], true);
    if (x->kind == LX_ITAB || x->kind == LX_F2I || x->kind == LX_THREAD || x->width != 0) return false;
    bool kp = loop_fold(x->a, k, &p);
    if (x->kind == LX_ISELECT) return kp && loop_fold(p ? x->b : x->c, k, v);
    bool kq = !x->b || loop_fold(x->b, k, &q);
    if (x->kind == LX_IAND && ((kp && !p) || (kq && !q))) return *v = 0, true;
    if (x->kind == LX_IOR && ((kp && p) || (kq && x->b && q))) return *v = 1, true;
    return kp && kq && loop_fold_op(x->kind, p, q, v);
}

int64_t loop_gcd(int64_t x, int64_t y) {
    while (y) {
        int64_t q = x % y;
        x = y;
        y = q;
    }
    return x < 0 ? -x : x;
}
