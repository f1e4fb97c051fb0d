/* Hash and equality of kernels: what they do, whatever they are called. Expressions are compared as trees that may share nodes. */
#include "loop/lxmap.h"
#include <string.h>

typedef struct Hasher {
    Arena *a;
    LxMap seen; /* value: the node's hash */
} Hasher;

static uint64_t mix(uint64_t h, uint64_t v) {
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

static uint64_t bits_of(double f) {
    uint64_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static uint64_t hash_x(Hasher *s, const Lx *x) {
    if (!x) return 7;
    LxCell *c = lx_map_cell(s->a, &s->seen, x);
    if (c->turn == s->seen.turn) return (uint64_t)(uintptr_t)c->value;
    uint64_t h = mix(mix(mix((uint64_t)x->kind, (uint64_t)x->width), (uint64_t)x->i), bits_of(x->f));
    h = mix(mix(mix(h, hash_x(s, x->a)), hash_x(s, x->b)), hash_x(s, x->c));
    for (int i = 0; i < lx_list_len(x); i++) h = mix(h, hash_x(s, x->list[i]));
    c = lx_map_cell(s->a, &s->seen, x);
    c->turn = s->seen.turn;
    c->value = (void *)(uintptr_t)h;
    return h;
}

static uint64_t hash_mma(Hasher *s, const LsMma *m) {
    uint64_t form = (uint64_t)m->precision | (uint64_t)m->group << 1 | (uint64_t)m->a_across << 2 | (uint64_t)m->b_across << 3;
    uint64_t h = mix(mix(mix(mix(form, (uint64_t)m->m), (uint64_t)m->n), (uint64_t)m->depth), (uint64_t)m->a);
    h = mix(mix(mix(h, (uint64_t)m->b), hash_x(s, m->a_at)), hash_x(s, m->b_at));
    return mix(mix(mix(mix(h, (uint64_t)m->a_row), (uint64_t)m->a_col), (uint64_t)m->b_row), (uint64_t)m->b_col);
}

static uint64_t hash_list(Hasher *s, const Ls *l) {
    uint64_t h = 11;
    for (; l; l = l->next) {
        h = mix(mix(mix(mix(h, (uint64_t)l->kind), (uint64_t)l->unroll), (uint64_t)l->var), (uint64_t)l->reg);
        const Lx *x[] = {l->lo, l->hi, l->step, l->cond, l->index, l->value, l->other, l->count, l->stride, l->reg_at};
        h = mix(mix(h, (uint64_t)l->ptr), (uint64_t)l->aligned | (uint64_t)l->op << 1 | (uint64_t)l->near << 15 | (uint64_t)l->tile_a << 16 | (uint64_t)l->tile_b << 24);
        for (size_t i = 0; i < sizeof x / sizeof *x; i++) h = mix(h, hash_x(s, x[i]));
        if (l->mma) h = mix(h, hash_mma(s, l->mma));
        h = mix(mix(h, hash_list(s, l->body)), hash_list(s, l->orelse));
    }
    return h;
}

uint64_t loop_kernel_hash(const LpKernel *k) {
    Hasher s = {.a = arena_new(), .seen = {.turn = 1}};
    uint64_t h = mix(mix(mix(mix((uint64_t)k->nptr, (uint64_t)k->nint), (uint64_t)k->nvar), (uint64_t)k->nreg), (uint64_t)k->threads);
    for (int32_t i = 0; i < k->nreg; i++) h = mix(h, (uint64_t)k->reg_width[i]);
    for (int32_t i = 0; i < k->nptr; i++) {
        const LpParam *p = &k->ptr[i];
        h = mix(mix(h, (uint64_t)p->elem | (uint64_t)p->writes << 2 | (uint64_t)p->thread << 3 | (uint64_t)p->shared << 4), (uint64_t)p->bytes);
        h = mix(h, hash_x(&s, p->extent));
    }
    h = mix(h, hash_list(&s, k->body));
    arena_free(s.a);
    return h;
}

/* ---- equality ---- */
static bool same_x(Hasher *s, const Lx *x, const Lx *y) {
    if (x == y) return true;
    if (!x || !y || x->kind != y->kind || x->width != y->width || x->i != y->i || bits_of(x->f) != bits_of(y->f)) return false;
    LxCell *c = lx_map_cell(s->a, &s->seen, x);
    if (c->turn == s->seen.turn && c->value == y) return true; /* this pair was compared */
    if (!same_x(s, x->a, y->a) || !same_x(s, x->b, y->b) || !same_x(s, x->c, y->c) || !x->list != !y->list) return false;
    for (int i = 0; i < lx_list_len(x); i++)
        if (!same_x(s, x->list[i], y->list[i])) return false;
    c = lx_map_cell(s->a, &s->seen, x);
    c->turn = s->seen.turn;
    c->value = (void *)(uintptr_t)y;
    return true;
}

static bool same_mma(Hasher *s, const LsMma *p, const LsMma *q) {
    if (!p || !q) return p == q;
    return p->precision == q->precision && p->group == q->group && p->a_across == q->a_across && p->b_across == q->b_across && p->m == q->m && p->n == q->n && p->depth == q->depth && p->a == q->a && p->b == q->b &&
           p->a_row == q->a_row && p->a_col == q->a_col && p->b_row == q->b_row && p->b_col == q->b_col && same_x(s, p->a_at, q->a_at) &&
           same_x(s, p->b_at, q->b_at);
}

static bool same_list(Hasher *s, const Ls *p, const Ls *q) {
    for (; p && q; p = p->next, q = q->next) {
        if (p->kind != q->kind || p->unroll != q->unroll || p->var != q->var || p->reg != q->reg || p->ptr != q->ptr) return false;
        if (p->aligned != q->aligned || p->near != q->near || p->op != q->op || p->tile_a != q->tile_a || p->tile_b != q->tile_b || !same_mma(s, p->mma, q->mma)) return false;
        const Lx *x[] = {p->lo, p->hi, p->step, p->cond, p->index, p->value, p->other, p->count, p->stride, p->reg_at};
        const Lx *y[] = {q->lo, q->hi, q->step, q->cond, q->index, q->value, q->other, q->count, q->stride, q->reg_at};
        for (size_t i = 0; i < sizeof x / sizeof *x; i++)
            if (!same_x(s, x[i], y[i])) return false;
        if (!same_list(s, p->body, q->body) || !same_list(s, p->orelse, q->orelse)) return false;
    }
    return !p && !q;
}

bool loop_kernel_equal(const LpKernel *x, const LpKernel *y) {
    if (x->nptr != y->nptr || x->nint != y->nint || x->nvar != y->nvar || x->nreg != y->nreg || x->threads != y->threads) return false;
    for (int32_t i = 0; i < x->nreg; i++)
        if (x->reg_width[i] != y->reg_width[i]) return false;
    Hasher s = {.a = arena_new(), .seen = {.turn = 1}};
    bool same = true;
    for (int32_t i = 0; i < x->nptr && same; i++) {
        const LpParam *p = &x->ptr[i], *q = &y->ptr[i];
        same = same_x(&s, p->extent, q->extent);
        if (p->elem != q->elem || p->writes != q->writes || p->thread != q->thread || p->shared != q->shared || p->bytes != q->bytes) same = false;
    }
    same = same && same_list(&s, x->body, y->body);
    arena_free(s.a);
    return same;
}
