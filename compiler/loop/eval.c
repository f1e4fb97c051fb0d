/* Runs an entry in float32 on plain memory, every access checked: bounds, extents, grid points and threads that touch each other's memory. */
#include "loop/eval.h"
#include "base/trouble.h"
#include "loop/noise.h"
#include "loop/scalar.h"
#include <math.h>
#include <string.h>

void eval_fail(Ev *e, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(e->a, fmt, ap);
    va_end(ap);
    const char *at = e->k ? arena_printf(e->a, " (kernel %s, point %lld)", e->k->name ? e->k->name : "?", (long long)e->point) : "";
    e->why = arena_printf(e->a, "entry %s: %s%s", e->entry->name ? e->entry->name : "?", text, at);
    longjmp(e->leave, 1);
}

/* ---- memory ---- */
int64_t eval_locate(Ev *e, const Mem *p, int64_t index) {
    int64_t at = p->at + index;
    if (at < p->lo || at >= p->hi)
        eval_fail(e, "index %lld of %s (%s + %lld) is outside of %lld .. %lld", (long long)index, p->name ? p->name : "a pointer", p->r->name,
             (long long)p->at, (long long)(p->lo - p->at), (long long)(p->hi - p->at));
    return at;
}

void eval_aligned(Ev *e, const Mem *p, int64_t index, int bytes) {
    if ((p->at + index) * lp_elem_bytes(p->elem) % bytes)
        eval_fail(e, "index %lld of %s (%s + %lld) is not aligned to %d bytes", (long long)index, p->name ? p->name : "a pointer", p->r->name,
             (long long)p->at, bytes);
}

void eval_not_busy(Ev *e, int64_t reg) {
    if (reg >= e->busy_from && reg < e->busy_to) eval_fail(e, "touches register %lld, to which a product may be adding", (long long)reg);
}

void eval_spoil(void *at, int64_t floats) { memset(at, 0xff, sizeof(float) * (size_t)floats); }

static const char *other_thread(Ev *e, int thread) {
    return thread < 0 ? "several threads" : arena_printf(e->a, "thread %d", thread);
}

/* The last write of a cell, seen from who touches it now. */
static void after_write(Ev *e, const Mem *p, int64_t at, Mark *k, const char *how) {
    if (k->copy) {
        if (k->copy > e->arrived) eval_fail(e, "%s entry %lld of %s, which a copy may not have brought yet", how, (long long)at, p->r->name);
        k->write_epoch = e->arrival.at[k->copy - 1];
        k->copy = 0;
    }
    if (k->wrote_in > e->lanes_from && k->wrote_in <= e->lane_from)
        eval_fail(e, "%s entry %lld of %s that another lane writes", how, (long long)at, p->r->name);
    if (k->wrote_in != e->launch) return;
    if (k->writer != e->point)
        eval_fail(e, "%s entry %lld of %s that point %d of this launch writes%s", how, (long long)at, p->r->name, (int)k->writer,
                  *how == 'w' ? " too" : "");
    if (k->write_thread != e->thread && k->write_epoch == e->epoch)
        eval_fail(e, "%s entry %lld of %s that %s writes before the next barrier", how, (long long)at, p->r->name,
                  other_thread(e, k->write_thread));
}

Mark *eval_marks(const Ev *e, const Mem *p, int64_t at, int *n) {
    *n = p->elem == LP_BF16 ? 1 : e->marks_per_float;
    return p->r->marks + (p->elem == LP_BF16 ? at : at * e->marks_per_float);
}

float eval_read(Ev *e, const Mem *p, int64_t index) {
    int64_t at = eval_locate(e, p, index);
    if (p->r->marks && e->k) {
        int n;
        for (Mark *k = eval_marks(e, p, at, &n); n > 0; n--, k++) {
            after_write(e, p, at, k, "reads");
            bool again = k->read_in == e->launch;
            bool here = again && k->reader == e->point && k->read_epoch == e->epoch;
            k->read_thread = here && k->read_thread != e->thread ? MANY : (int16_t)e->thread;
            k->reader = again && k->reader != e->point ? MANY : (int32_t)e->point;
            k->read_in = e->launch;
            k->read_epoch = e->epoch;
        }
    }
    uint32_t u = 0;
    if (p->elem == LP_BF16) memcpy((char *)&u + 2, p->r->base + at * 2, 2);
    else memcpy(&u, p->r->base + at * 4, 4);
    float f;
    memcpy(&f, &u, 4);
    return f;
}

void eval_write(Ev *e, const Mem *p, int64_t index, float f) {
    int64_t at = eval_locate(e, p, index);
    if (!p->r->writable) eval_fail(e, "writes to %s", p->r->name);
    if (p->r->marks) {
        int n;
        for (Mark *k = eval_marks(e, p, at, &n); n > 0; n--, k++) {
            after_write(e, p, at, k, "writes");
            if (k->mma) {
                if (k->mma > e->mmas_done) eval_fail(e, "writes entry %lld of %s, which a product may not have read yet", (long long)at, p->r->name);
                if (e->mma_done.at[k->mma - 1] > k->read_epoch) k->read_epoch = e->mma_done.at[k->mma - 1];
                k->mma = 0;
            }
            if (k->read_in > e->lanes_from && k->read_in <= e->lane_from)
                eval_fail(e, "writes entry %lld of %s that another lane reads", (long long)at, p->r->name);
            if (k->read_in == e->launch && k->reader != e->point)
                eval_fail(e, "writes entry %lld of %s that another point of this launch reads", (long long)at, p->r->name);
            if (k->read_in == e->launch && k->read_thread != e->thread && k->read_epoch == e->epoch)
                eval_fail(e, "writes entry %lld of %s that %s reads before the next barrier", (long long)at, p->r->name,
                          other_thread(e, k->read_thread));
            k->wrote_in = e->launch;
            k->writer = (int32_t)e->point;
            k->write_thread = (int16_t)e->thread;
            k->write_epoch = e->epoch;
        }
    }
    if (p->elem == LP_BF16) {
        uint16_t h = e->k->threads ? loop_bf16_bits(f) : loop_bf16_flushed(f);
        memcpy(p->r->base + at * 2, &h, 2);
    } else {
        if (p->elem == LP_F19) f = loop_tf32(f);
        memcpy(p->r->base + at * 4, &f, 4);
    }
}

static int32_t read_int(Ev *e, const Mem *p, int64_t index) {
    int64_t at = eval_locate(e, p, index);
    int32_t v;
    memcpy(&v, p->r->base + at * 4, 4);
    return v;
}

/* ---- expressions ---- */
/* Where the value of x is kept; *known: it is there already. */
static Known *known_of(Ev *e, const Lx *x, bool *known) {
    LxCell *c = lx_map_cell(e->a, &e->memo, x);
    *known = c->turn == e->memo.turn;
    if (!c->value) c->value = arena_alloc(e->a, x->width ? sizeof(float) * (size_t)x->width : sizeof(int64_t));
    c->turn = e->memo.turn;
    return c->value;
}

static float scalar(Ev *e, const Lx *x) {
    float v[LOOP_MAX_WIDTH];
    eval_float(e, x, v);
    return v[0];
}

static int64_t to_int(float f) {
    if (f != f) return 0;
    if (f >= 0x1p63f) return INT64_MAX;
    if (f < -0x1p63f) return INT64_MIN;
    return (int64_t)f;
}

static int64_t int_op(Ev *e, const Lx *x) {
    int64_t p = x->kind == LX_F2I ? 0 : eval_whole(e, x->a);
    int64_t q = x->b && x->kind != LX_ISELECT ? eval_whole(e, x->b) : 0;
    uint64_t up = (uint64_t)p, uq = (uint64_t)q;
    switch ((int)x->kind) {
    case LX_IADD: return (int64_t)(up + uq);
    case LX_ISUB: return (int64_t)(up - uq);
    case LX_IMUL: return (int64_t)(up * uq);
    case LX_IDIV: case LX_IMOD:
        if (p < 0 || q <= 0) eval_fail(e, "%lld divided by %lld", (long long)p, (long long)q);
        return x->kind == LX_IDIV ? p / q : p % q;
    case LX_IMIN: return p < q ? p : q;
    case LX_IMAX: return p > q ? p : q;
    case LX_ILT: return p < q;
    case LX_IEQ: return p == q;
    case LX_IAND: return p && q;
    case LX_IOR: return p || q;
    case LX_INOT: return !p;
    case LX_ISELECT: {
        int64_t t = eval_whole(e, x->b), f = eval_whole(e, x->c);
        return p ? t : f;
    }
    case LX_ITAB: return read_int(e, &e->ptr[x->i], p);
    case LX_F2I: return to_int(scalar(e, x->a));
    default: BUG("integer expression of kind %d", (int)x->kind);
    }
}

int64_t eval_whole(Ev *e, const Lx *x) {
    if (x->kind == LX_INT) return x->i;
    if (x->kind == LX_VAR) return e->var[x->i];
    if (x->kind == LX_THREAD) return e->thread;
    bool known;
    Known *k = known_of(e, x, &known);
    if (!known) k->i = int_op(e, x);
    return k->i;
}

static float larger(float x, float y) { return y != y ? y : x < y ? y : x; }
static float smaller(float x, float y) { return y != y ? y : y < x ? y : x; }

static float op1(LxKind k, float a) {
    switch ((int)k) {
    case LX_NEG: return -a;
    case LX_ABS: return fabsf(a);
    case LX_SQRT: return sqrtf(a);
    case LX_FLOOR: return floorf(a);
    case LX_BF16: return loop_widened(loop_bf16_flushed(a));
    case LX_EXP: return loop_exp(a);
    case LX_LOG: return loop_log(a);
    case LX_TANH: return loop_tanh(a);
    case LX_SIN: return sinf(a);
    case LX_COS: return cosf(a);
    default: BUG("operation of kind %d", (int)k);
    }
}

static float op2(LxKind k, float a, float b) {
    switch ((int)k) {
    case LX_ADD: return a + b;
    case LX_SUB: return a - b;
    case LX_MUL: return a * b;
    case LX_DIV: return a / b;
    case LX_POW: return powf(a, b);
    case LX_MAX: return larger(a, b);
    case LX_MIN: return smaller(a, b);
    case LX_LT: return a < b;
    case LX_LE: return a <= b;
    case LX_EQ: return a == b;
    default: BUG("operation of kind %d", (int)k);
    }
}

int64_t eval_lanes(Ev *e, const Lx *count, int width) {
    if (!count) return width;
    int64_t n = eval_whole(e, count);
    return n < 0 ? 0 : n < width ? n : width;
}

static void ev_memory(Ev *e, const Lx *x, float *r) {
    bool strided = x->kind == LX_GATHER;
    int64_t at = eval_whole(e, x->a), step = strided ? eval_whole(e, x->b) : 1;
    int64_t n = eval_lanes(e, strided ? x->c : x->b, x->width);
    if (!strided && x->f != 0) eval_aligned(e, &e->ptr[x->i], at, x->width * lp_elem_bytes(e->ptr[x->i].elem));
    for (int i = 0; i < x->width; i++) r[i] = i < n ? eval_read(e, &e->ptr[x->i], at + i * step) : 0.0f;
}

static void ev_across(Ev *e, const Lx *x, float *r) {
    float v[LOOP_MAX_WIDTH];
    eval_float(e, x->a, v);
    for (int n = x->a->width / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) v[i] = x->kind == LX_HSUM ? v[i] + v[i + n] : larger(v[i], v[i + n]);
    r[0] = v[0];
}

static void float_op(Ev *e, const Lx *x, float *r) {
    float a[LOOP_MAX_WIDTH], b[LOOP_MAX_WIDTH], c[LOOP_MAX_WIDTH];
    int w = x->width;
    switch ((int)x->kind) {
    case LX_LOAD: case LX_GATHER: ev_memory(e, x, r); return;
    case LX_HSUM: case LX_HMAX: ev_across(e, x, r); return;
    case LX_LANES: for (int i = 0; i < w; i++) r[i] = (float)i; return;
    case LX_I2F: {
        float f = (float)eval_whole(e, x->a);
        for (int i = 0; i < w; i++) r[i] = f;
        return;
    }
    case LX_LANE:
        eval_float(e, x->a, a);
        r[0] = a[x->i];
        return;
    case LX_PACK: for (int i = 0; i < w; i++) r[i] = scalar(e, x->list[i]); return;
    case LX_SPLAT: {
        float f = scalar(e, x->a);
        for (int i = 0; i < w; i++) r[i] = f;
        return;
    }
    case LX_NOISE: {
        uint64_t v[5];
        for (int i = 0; i < 5; i++) v[i] = (uint64_t)eval_whole(e, x->list[i]);
        for (int i = 0; i < w; i++) r[i] = loop_noise(x->f != 0, v[0], v[1], v[2], v[3], v[4] + (uint64_t)i);
        return;
    }
    case LX_FMA: case LX_SELECT:
        eval_float(e, x->a, a);
        eval_float(e, x->b, b);
        eval_float(e, x->c, c);
        for (int i = 0; i < w; i++) r[i] = x->kind == LX_FMA ? fmaf(a[i], b[i], c[i]) : a[i] != 0.0f ? b[i] : c[i];
        return;
    default: break;
    }
    eval_float(e, x->a, a);
    if (x->b) eval_float(e, x->b, b);
    for (int i = 0; i < w; i++) r[i] = x->b ? op2(x->kind, a[i], b[i]) : op1(x->kind, a[i]);
}

void eval_float(Ev *e, const Lx *x, float *r) {
    if (x->kind == LX_FLOAT) {
        for (int i = 0; i < x->width; i++) r[i] = (float)x->f;
        return;
    }
    if (x->kind == LX_REG) {
        int64_t n = x->i + (x->a ? eval_whole(e, x->a) : 0);
        if (n < 0 || n >= e->k->nreg || e->k->reg_width[n] != x->width) eval_fail(e, "reads register %lld as %d lanes", (long long)n, x->width);
        eval_not_busy(e, n);
        memcpy(r, e->reg[n], sizeof(float) * (size_t)x->width);
        return;
    }
    bool known;
    Known *k = known_of(e, x, &known);
    if (!known) float_op(e, x, k->v);
    memcpy(r, k->v, sizeof(float) * (size_t)x->width);
}

/* ---- pointers of an entry ---- */
static int64_t own_floats(const LpEntry *t) { return t->fixed_floats - t->prepared_floats - t->lane_floats; } /* SP_FIXED */

static Mem point_to(Ev *e, const Lptr *p, Name name, LpElem elem) {
    int64_t batch = e->call->batch, at = p->offset;
    Mem m = {.name = name, .elem = elem};
    switch (p->space) {
    case SP_FIXED: m.r = &e->work; m.hi = own_floats(e->entry); break;
    case SP_PREPARED: m.r = &e->prepared; break;
    case SP_LANE: m.r = &e->lane; break;
    case SP_BATCH:
        m.r = &e->work;
        m.lo = own_floats(e->entry);
        m.hi = m.lo + batch * e->entry->batch_floats;
        at = m.lo + p->offset * batch;
        break;
    case SP_IN: m.r = &e->in[p->which]; break;
    case SP_OUT: m.r = &e->out[p->which]; break;
    case SP_PARAM: m.r = &e->params; break;
    case SP_GRAD: m.r = &e->grads; break;
    case SP_STATE: m.r = &e->state; break;
    case SP_STATE_OUT: m.r = &e->state_out; break;
    case SP_TUNABLE: m.r = &e->tunables; break;
    case SP_TABLE: case SP_FTABLE: m.r = &e->tables[p->which]; break;
    case SP_KINDS: BUG("space %d", (int)p->space);
    }
    if (p->space != SP_FIXED && p->space != SP_BATCH) m.hi = m.r->len;
    if (m.r->len == UNKNOWN) m.lo = -UNKNOWN;
    m.at = at + (p->plus ? eval_whole(e, p->plus) : 0);
    if (elem == LP_BF16) m.at *= 2, m.lo *= 2, m.hi *= 2;
    if (!m.r->base && m.r->len) eval_fail(e, "the call passes no %s", m.r->name);
    return m;
}

static float float_at(Ev *e, const Lptr *p) {
    Mem m = point_to(e, p, NULL, LP_F32);
    return eval_read(e, &m, 0);
}

/* ---- statements ---- */
static void run_store(Ev *e, const Ls *s) {
    float v[LOOP_MAX_WIDTH];
    eval_float(e, s->value, v);
    int64_t at = eval_whole(e, s->index), step = s->kind == LS_STORE_STRIDED ? eval_whole(e, s->stride) : 1;
    int64_t n = eval_lanes(e, s->count, s->value->width);
    if (s->aligned) eval_aligned(e, &e->ptr[s->ptr], at, s->value->width * lp_elem_bytes(e->ptr[s->ptr].elem));
    for (int64_t i = 0; i < n; i++) eval_write(e, &e->ptr[s->ptr], at + i * step, v[i]);
}

static void run_set(Ev *e, const Ls *s) {
    float v[LOOP_MAX_WIDTH];
    eval_float(e, s->value, v);
    int64_t n = s->reg + (s->reg_at ? eval_whole(e, s->reg_at) : 0);
    if (n < 0 || n >= e->k->nreg || e->k->reg_width[n] != s->value->width)
        eval_fail(e, "sets register %lld to %d lanes", (long long)n, s->value->width);
    eval_not_busy(e, n);
    memcpy(e->reg[n], v, sizeof(float) * (size_t)s->value->width);
}

static void run_point(Ev *e, const Mem *scratch) {
    const LpKernel *k = e->k;
    memset(e->var + k->nint + 2, 0, sizeof *e->var * (size_t)(k->nvar - k->nint - 2));
    memset(e->reg, 0, sizeof *e->reg * (size_t)k->nreg);
    for (int32_t i = lp_launch_ptrs(k); i < k->nptr; i++) {
        eval_spoil(scratch[i].r->base, scratch[i].r->len);
        e->ptr[i] = scratch[i];
    }
    eval_spoil(e->tiles, sizeof e->tiles / sizeof(float));
    e->var[lp_grid_var(k)] = e->point;
    e->var[lp_batch_var(k)] = e->batch;
    eval_list(e, k->body);
}

static void run_launch(Ev *e, const Ls *s) {
    const LpKernel *k = &e->m->kernels.at[s->kernel];
    e->memo.turn++;
    int64_t grid = eval_whole(e, s->grid);
    if (grid <= 0) return;
    int64_t *var = ARENA_ARRAY(e->a, int64_t, k->nvar), *outer = e->var;
    Mem *ptr = ARENA_ARRAY(e->a, Mem, k->nptr);
    for (int32_t i = 0; i < k->nint; i++) var[i] = eval_whole(e, s->ints[i]);
    var[lp_batch_var(k)] = e->batch = outer[LP_VAR_BATCH];
    int32_t n = lp_launch_ptrs(k);
    for (int32_t i = 0; i < n; i++) ptr[i] = point_to(e, &s->ptrs[i], k->ptr[i].name, k->ptr[i].elem);
    e->k = k;
    e->var = var;
    e->ptr = ptr;
    e->point = -1;
    e->launch++;
    for (int32_t i = 0; i < k->nptr; i++) {
        const LpParam *p = &k->ptr[i];
        if (i >= n && k->threads) ptr[i] = (Mem){0}; /* eval_open_block */
        else if (i >= n) {
            Region *r = ARENA_NEW(e->a, Region);
            *r = (Region){.name = "thread scratch", .base = arena_alloc(e->a, (size_t)p->bytes), .len = p->bytes / 4, .writable = true};
            ptr[i] = (Mem){.r = r, .name = p->name, .elem = p->elem, .hi = p->bytes / lp_elem_bytes(p->elem)};
        } else if (p->extent) {
            e->memo.turn++; /* the variables are the kernel's now */
            int64_t len = eval_whole(e, p->extent), end = ptr[i].at + len;
            if (len > 0 && (ptr[i].at < ptr[i].lo || end > ptr[i].hi))
                eval_fail(e, "%s is given %s + %lld, and needs %lld floats there: the end is at %lld", p->name ? p->name : "a pointer", ptr[i].r->name,
                     (long long)ptr[i].at, (long long)len, (long long)ptr[i].hi);
            ptr[i].lo = ptr[i].at;
            ptr[i].hi = len > 0 ? end : ptr[i].at;
        }
    }
    Mem *fresh = arena_copy(e->a, ptr, sizeof *ptr * (size_t)k->nptr);
    if (grid > INT32_MAX) eval_fail(e, "%lld grid points", (long long)grid);
    e->points = grid;
    if (k->threads) {
        eval_open_block(e);
        for (e->point = 0; e->point < grid; e->point++) eval_block(e);
    } else {
        e->reg = arena_alloc(e->a, sizeof *e->reg * (size_t)k->nreg);
        for (e->point = 0; e->point < grid; e->point++) run_point(e, fresh);
    }
    e->thread = 0;
    e->epoch = 0;
    e->k = NULL;
    e->var = outer;
}

/* One after the other; odd ones are told that they run alone: that must make no difference. */
static void run_lanes(Ev *e, const Ls *s) {
    int64_t n = eval_whole(e, s->hi), len = e->entry->lane_floats;
    size_t vars = sizeof *e->var * (size_t)e->entry->nvar;
    int64_t *outer = arena_copy(e->a, e->var, vars);
    e->lanes_from = e->launch;
    for (int64_t i = 0; i < n; i++) {
        memcpy(e->var, outer, vars);
        e->var[s->var] = i;
        e->var[s->alone] = i & 1;
        e->lane_from = e->launch;
        eval_spoil(e->lane.base, len);
        memset(e->lane.marks, 0, sizeof *e->lane.marks * (size_t)(len * e->marks_per_float));
        eval_list(e, s->body);
    }
    e->lanes_from = e->lane_from = 0;
    memcpy(e->var, outer, vars);
}

/* Its variables and what it left in the workspace are gone afterwards. */
static void run_prepare(Ev *e, const Ls *s) {
    if (e->call->prepared && !e->prepares) return;
    int64_t *outer = arena_copy(e->a, e->var, sizeof *e->var * (size_t)e->entry->nvar);
    e->prepared.writable = true;
    eval_list(e, s->body);
    e->prepared.writable = false;
    memcpy(e->var, outer, sizeof *e->var * (size_t)e->entry->nvar);
    if (e->work.base) eval_spoil(e->work.base, own_floats(e->entry));
}

static bool run_one(Ev *e, const Ls *s) {
    e->memo.turn++;
    switch (s->kind) {
    case LS_FOR: {
        int64_t lo = eval_whole(e, s->lo), hi = eval_whole(e, s->hi), step = eval_whole(e, s->step);
        for (int64_t i = lo; i < hi; i += step) {
            e->var[s->var] = i;
            if (eval_list(e, s->body)) {
                if (s->unroll) return true;
                break;
            }
        }
        return false;
    }
    case LS_IF: return eval_list(e, eval_whole(e, s->cond) ? s->body : s->orelse);
    case LS_SETVAR: e->var[s->var] = eval_whole(e, s->cond); return false;
    case LS_BREAK_IF: return s->cond ? eval_whole(e, s->cond) != 0 : float_at(e, s->ptrs) != 0.0f;
    case LS_SET: run_set(e, s); return false;
    case LS_STORE: case LS_STORE_STRIDED: run_store(e, s); return false;
    case LS_PREFETCH: return false;
    case LS_TILE_CLEAR: case LS_TILE_LOAD: case LS_TILE_DOT: case LS_TILE_STORE: case LS_STORE_PAIRS:
        eval_tile_statement(e, s);
        return false;
    case LS_LAUNCH: run_launch(e, s); return false;
    case LS_LANES: run_lanes(e, s); return false;
    case LS_PREPARE: run_prepare(e, s); return false;
    case LS_F2VAR: e->var[s->var] = to_int(float_at(e, s->ptrs)); return false;
    case LS_THREADS: case LS_SYNC: case LS_LAST: case LS_MMA: case LS_MMA_WAIT: case LS_WARP: case LS_COPY: case LS_GROUP: case LS_WAIT:
        eval_block_statement(e, s);
        return false;
    case LS_KINDS: break;
    }
    BUG("statement of kind %d", (int)s->kind);
}

bool eval_list(Ev *e, const Ls *s) {
    for (; s; s = s->next)
        if (run_one(e, s)) return true;
    return false;
}

/* ---- the call ---- */
static Region region(Ev *e, const char *name, const void *base, int64_t len, bool writable) {
    Region r = {.name = name, .base = (char *)(uintptr_t)base, .len = len, .writable = writable};
    if (writable && base && len != UNKNOWN) r.marks = ARENA_ARRAY(e->a, Mark, len * e->marks_per_float);
    return r;
}

static void open_regions(Ev *e) {
    const csc_call *c = e->call;
    const LpEntry *t = e->entry;
    int64_t work = t->fixed_floats + (int64_t)c->batch * t->batch_floats - (c->prepared ? t->prepared_floats : 0);
    e->work = region(e, "workspace", c->workspace, work, true);
    if (c->workspace) eval_spoil(c->workspace, work); /* it promises nothing */
    e->lane = region(e, "the lane's memory", arena_alloc(e->a, sizeof(float) * (size_t)(t->lane_floats + 16)), t->lane_floats, true);
    void *prepared = c->prepared ? c->prepared : arena_alloc(e->a, sizeof(float) * (size_t)(t->prepared_floats + 16));
    e->prepared = region(e, "what is prepared", prepared, t->prepared_floats, true);
    e->params = region(e, "parameters", c->params, e->m->param_floats, false);
    e->grads = region(e, "gradients", c->grads, e->m->param_floats, true);
    e->state = region(e, "state", c->state, e->m->state_floats, false);
    e->state_out = region(e, "state_out", c->state_out, e->m->state_floats, true);
    if (c->state_out && c->state_out == c->state) e->state.marks = e->state_out.marks;
    e->tunables = region(e, "tunables", c->tunables, e->m->tunables, false);
    e->in = ARENA_ARRAY(e->a, Region, t->nin);
    e->out = ARENA_ARRAY(e->a, Region, t->nout);
    for (int32_t i = 0; i < t->nin + t->nout; i++) {
        bool is_in = i < t->nin;
        int32_t n = is_in ? i : i - t->nin;
        const LpArg *arg = is_in ? (t->in ? &t->in[n] : NULL) : t->out ? &t->out[n] : NULL;
        int64_t len = arg ? arg->floats * (arg->batched ? (int64_t)c->batch : 1) : UNKNOWN;
        const char *name = arena_printf(e->a, "%s %d", is_in ? "input" : "output", (int)n);
        const void *at = e->prepares ? NULL : is_in ? (const void *)c->in[n] : c->out[n];
        *(is_in ? &e->in[n] : &e->out[n]) = region(e, name, at, len, !is_in);
    }
    e->tables = ARENA_ARRAY(e->a, Region, e->m->tables.len);
    for (size_t i = 0; i < e->m->tables.len; i++) {
        const LpTable *b = &e->m->tables.at[i];
        e->tables[i] = region(e, arena_printf(e->a, "table %d", (int)i), b->is_int ? (const void *)b->i : b->f, b->len, false);
    }
}

static bool run_call(Arena *a, const LpModule *m, int entry, const csc_call *call, bool prepares, const char **why) {
    if (!loop_check(a, m, why)) return false;
    Ev *e = ARENA_NEW(a, Ev);
    e->a = a;
    e->m = m;
    e->call = call;
    e->entry = &m->entries.at[entry];
    e->prepares = prepares;
    e->blocks = arena_new();
    if (setjmp(e->leave)) {
        *why = e->why;
        arena_free(e->blocks);
        return false;
    }
    if (call->size < sizeof *call || call->batch < 1) eval_fail(e, "the call's size or batch is wrong");
    if (prepares && !call->prepared) eval_fail(e, "no block to prepare");
    e->marks_per_float = 1;
    for (size_t i = 0; i < m->kernels.len; i++)
        for (int32_t p = 0; p < m->kernels.at[i].nptr; p++)
            if (m->kernels.at[i].ptr[p].elem == LP_BF16) e->marks_per_float = 2;
    open_regions(e);
    e->var = ARENA_ARRAY(a, int64_t, e->entry->nvar);
    e->var[LP_VAR_BATCH] = call->batch;
    e->var[LP_VAR_SEED] = (int64_t)call->seed;
    e->var[LP_VAR_STEP] = (int64_t)call->step;
    e->var[LP_VAR_FIRST_SAMPLE] = (int64_t)call->first_sample;
    const Ls *body = e->entry->body;
    if (!prepares) eval_list(e, body);
    else if (body && body->kind == LS_PREPARE) run_prepare(e, body);
    arena_free(e->blocks);
    return true;
}

bool loop_eval(Arena *a, const LpModule *m, int entry, const struct csc_call *call, const char **why) {
    return run_call(a, m, entry, call, false, why);
}

bool loop_eval_prepare(Arena *a, const LpModule *m, int entry, const struct csc_call *call, const char **why) {
    return run_call(a, m, entry, call, true, why);
}
