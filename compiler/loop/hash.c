/* Kernels compared: a structural hash and equality, names and remarks left out. */
#include "loop/loop.h"
#include <string.h>

static uint64_t mix(uint64_t h, uint64_t v) {
    h ^= v + 0x9E3779B97F4A7C15u + (h << 6) + (h >> 2);
    h *= 0xBF58476D1CE4E5B9u;
    return h ^ h >> 29;
}

static uint64_t hash_lx(uint64_t h, const Lx *x) {
    if (!x) return mix(h, 77);
    uint64_t bits;
    memcpy(&bits, &x->f, sizeof bits);
    h = mix(mix(mix(mix(h, (uint64_t)x->kind), (uint64_t)x->width), (uint64_t)x->i), bits);
    if (x->a) h = hash_lx(h, x->a);
    if (x->b) h = hash_lx(h, x->b);
    if (x->c) h = hash_lx(mix(h, 3), x->c);
    for (int i = 0; x->list && i < 5; i++) h = hash_lx(h, x->list[i]);
    return h;
}

static bool same_lx(const Lx *x, const Lx *y) {
    if (x == y) return true;
    if (!x || !y || x->kind != y->kind || x->width != y->width || x->i != y->i) return false;
    if (memcmp(&x->f, &y->f, sizeof x->f) || !x->list != !y->list) return false;
    for (int i = 0; x->list && i < 5; i++)
        if (!same_lx(x->list[i], y->list[i])) return false;
    return same_lx(x->a, y->a) && same_lx(x->b, y->b) && same_lx(x->c, y->c);
}

enum { PARTS = 9 };
static void parts(const Ls *s, const Lx *p[PARTS]) {
    const Lx *all[PARTS] = {s->lo, s->hi, s->step, s->cond, s->index, s->value, s->count, s->stride, s->reg_at};
    memcpy(p, all, sizeof all);
}

static uint64_t hash_ls(uint64_t h, const Ls *s) {
    for (; s; s = s->next) {
        h = mix(mix(h, (uint64_t)s->kind << 1 | s->unroll), (uint64_t)s->var);
        h = mix(mix(h, (uint64_t)s->reg), (uint64_t)s->ptr);
        const Lx *p[PARTS];
        parts(s, p);
        for (int i = 0; i < PARTS; i++)
            if (p[i]) h = hash_lx(mix(h, (uint64_t)i), p[i]);
        h = hash_ls(mix(h, 1), s->body);
        h = hash_ls(mix(h, 2), s->orelse);
    }
    return mix(h, 5);
}

static bool same_ls(const Ls *s, const Ls *t) {
    for (; s && t; s = s->next, t = t->next) {
        if (s->kind != t->kind || s->unroll != t->unroll || s->var != t->var || s->reg != t->reg || s->ptr != t->ptr) return false;
        const Lx *p[PARTS], *q[PARTS];
        parts(s, p), parts(t, q);
        for (int i = 0; i < PARTS; i++)
            if (!same_lx(p[i], q[i])) return false;
        if (!same_ls(s->body, t->body) || !same_ls(s->orelse, t->orelse)) return false;
    }
    return !s && !t;
}

uint64_t loop_kernel_hash(const LpKernel *k) {
    uint64_t h = mix(mix(mix(11, (uint64_t)k->nptr), (uint64_t)k->nint), (uint64_t)k->nvar);
    for (int32_t i = 0; i < k->nptr; i++) {
        const LpParam *p = &k->ptr[i];
        h = mix(h, (uint64_t)p->bytes << 3 | (uint64_t)p->is_int << 2 | (uint64_t)p->writes << 1 | p->thread);
        h = hash_lx(h, p->extent);
    }
    for (int32_t i = 0; i < k->nreg; i++) h = mix(h, (uint64_t)k->reg_width[i]);
    return hash_ls(h, k->body);
}

bool loop_kernel_equal(const LpKernel *x, const LpKernel *y) {
    if (x->nptr != y->nptr || x->nint != y->nint || x->nvar != y->nvar || x->nreg != y->nreg) return false;
    for (int32_t i = 0; i < x->nptr; i++) {
        const LpParam *p = &x->ptr[i], *q = &y->ptr[i];
        if (p->is_int != q->is_int || p->writes != q->writes || p->thread != q->thread || p->bytes != q->bytes) return false;
        if (!same_lx(p->extent, q->extent)) return false;
    }
    for (int32_t i = 0; i < x->nreg; i++)
        if (x->reg_width[i] != y->reg_width[i]) return false;
    return same_ls(x->body, y->body);
}
