/* Expressions. A node met twice in a statement is written once; addresses are written as base + variable part + constant. */
#include "base/trouble.h"
#include "llvm/pure.h"

/* ---- integers ---- */
static Val truth_of(Emit *e, const Lx *x) {
    switch ((int)x->kind) {
    case LX_ILT: return pure_op(e, PURE_LT, emit_int(e, x->a), emit_int(e, x->b), NULL);
    case LX_IEQ: return pure_op(e, PURE_EQ, emit_int(e, x->a), emit_int(e, x->b), NULL);
    case LX_IAND: return pure_op(e, PURE_AND, emit_truth(e, x->a), emit_truth(e, x->b), NULL);
    case LX_IOR: return pure_op(e, PURE_OR, emit_truth(e, x->a), emit_truth(e, x->b), NULL);
    case LX_INOT: return pure_op(e, PURE_NOT, emit_truth(e, x->a), NULL, NULL);
    default: return pure_op(e, PURE_NE, emit_int(e, x), emit_i64(e, 0), NULL);
    }
}

Val emit_truth(Emit *e, const Lx *x) {
    int64_t v;
    if (loop_fold(x, &e->known, &v)) return LLVMConstInt(e->i1, v != 0, 0);
    return truth_of(e, x);
}

Val emit_to_int(Emit *e, Val scalar) {
    return emit_intrinsic(e, "llvm.fptosi.sat", (LLVMTypeRef[]){e->i64, e->f32}, 2, &scalar, 1);
}

static Val smaller_int(Emit *e, Val x, Val y) { return pure_op(e, PURE_SELECT, pure_op(e, PURE_LT, x, y, NULL), x, y); }
static Val larger_int(Emit *e, Val x, Val y) { return pure_op(e, PURE_SELECT, pure_op(e, PURE_LT, x, y, NULL), y, x); }

static Val table_entry(Emit *e, const Lx *x) {
    Val at = emit_int(e, x->a), from = LLVMBuildGEP2(e->b, e->i32, e->pointer[x->i], &at, 1, "");
    Val v = LLVMBuildLoad2(e->b, e->i32, from, "");
    LLVMSetAlignment(v, 4);
    return pure_here(e, LLVMBuildSExt(e->b, v, e->i64, ""));
}

/* An index as a sum: constants that unrolling made known are gathered, to end in the address's displacement; the other terms stay apart, so
   that those that a loop does not change are added up outside of it. */
enum { MOST_TERMS = 16 };
typedef struct Sum {
    Val term[MOST_TERMS];
    int32_t depth[MOST_TERMS]; /* rising */
    int n;
    int64_t plus;
} Sum;

static Val total(Emit *e, const Sum *s) {
    Val r = s->n ? s->term[0] : NULL;
    for (int i = 1; i < s->n; i++) r = pure_op(e, PURE_ADD, r, s->term[i], NULL);
    return r;
}

static void add_term(Emit *e, Sum *s, Val v) {
    if (s->n == MOST_TERMS) {
        s->term[0] = total(e, s);
        s->depth[0] = pure_depth(e, s->term[0]);
        s->n = 1;
    }
    int32_t d = pure_depth(e, v);
    int i = s->n++;
    for (; i > 0 && s->depth[i - 1] > d; i--) {
        s->term[i] = s->term[i - 1];
        s->depth[i] = s->depth[i - 1];
    }
    s->term[i] = v;
    s->depth[i] = d;
}

static void sum_of(Emit *e, const Lx *x, Sum *s) {
    int64_t v;
    if (loop_fold(x, &e->known, &v)) {
        s->plus = (int64_t)((uint64_t)s->plus + (uint64_t)v);
        return;
    }
    if (x->kind == LX_IADD) {
        sum_of(e, x->a, s);
        sum_of(e, x->b, s);
        return;
    }
    if (x->kind == LX_ISUB && loop_fold(x->b, &e->known, &v)) {
        s->plus = (int64_t)((uint64_t)s->plus - (uint64_t)v);
        sum_of(e, x->a, s);
        return;
    }
    bool right = x->kind == LX_IMUL && loop_fold(x->b, &e->known, &v);
    if (right || (x->kind == LX_IMUL && loop_fold(x->a, &e->known, &v))) {
        Sum inner = {0};
        sum_of(e, right ? x->a : x->b, &inner);
        s->plus = (int64_t)((uint64_t)s->plus + (uint64_t)inner.plus * (uint64_t)v);
        if (inner.n && v) add_term(e, s, v == 1 ? total(e, &inner) : pure_op(e, PURE_MUL, total(e, &inner), emit_i64(e, v), NULL));
        return;
    }
    add_term(e, s, emit_int(e, x));
}

static Val linear(Emit *e, const Lx *x) {
    Sum s = {0};
    sum_of(e, x, &s);
    Val r = total(e, &s);
    return !r ? emit_i64(e, s.plus) : s.plus ? pure_op(e, PURE_ADD, r, emit_i64(e, s.plus), NULL) : r;
}

static Val int_of(Emit *e, const Lx *x) {
    switch ((int)x->kind) {
    case LX_IADD: return linear(e, x);
    case LX_ISUB: return pure_op(e, PURE_SUB, emit_int(e, x->a), emit_int(e, x->b), NULL);
    case LX_IMUL: return pure_op(e, PURE_MUL, emit_int(e, x->a), emit_int(e, x->b), NULL);
    case LX_IDIV: return pure_op(e, PURE_DIV, emit_int(e, x->a), emit_int(e, x->b), NULL);
    case LX_IMOD: return pure_op(e, PURE_MOD, emit_int(e, x->a), emit_int(e, x->b), NULL);
    case LX_IMIN: return smaller_int(e, emit_int(e, x->a), emit_int(e, x->b));
    case LX_IMAX: return larger_int(e, emit_int(e, x->a), emit_int(e, x->b));
    case LX_ISELECT: return pure_op(e, PURE_SELECT, emit_truth(e, x->a), emit_int(e, x->b), emit_int(e, x->c));
    case LX_ITAB: return table_entry(e, x);
    case LX_F2I: return pure_here(e, emit_to_int(e, emit_float(e, x->a)));
    default: return pure_op(e, PURE_WIDEN, truth_of(e, x), NULL, NULL);
    }
}

Val emit_int(Emit *e, const Lx *x) {
    int64_t v;
    if (loop_fold(x, &e->known, &v)) return emit_i64(e, v);
    if (x->kind == LX_VAR) return e->slot[x->i] ? e->slot[x->i] : emit_zero(e, (int32_t)x->i);
    LxCell *c = lx_map_cell(e->a, &e->memo, x);
    if (c->turn == e->memo.turn) return c->value;
    Val r = int_of(e, x);
    c = lx_map_cell(e->a, &e->memo, x);
    c->turn = e->memo.turn;
    return c->value = r;
}

/* ---- memory ---- */
static bool is_short(const Emit *e, int64_t ptr) { return e->k->ptr[ptr].elem == LP_BF16; }

static Val element(Emit *e, int64_t ptr, Val base, Val index) { /* its address, here */
    return LLVMBuildGEP2(e->b, is_short(e, ptr) ? e->i16 : e->f32, base, &index, 1, "");
}

static LLVMTypeRef memory_type(Emit *e, int64_t ptr, int width) { return is_short(e, ptr) ? emit_svec(e, width) : emit_vec(e, width); }
static Val from_memory(Emit *e, int64_t ptr, Val v, int width) { return is_short(e, ptr) ? emit_widen(e, v, width) : v; }

Val emit_place(Emit *e, int64_t ptr, const Lx *index) {
    Sum s = {0};
    PureOp step = is_short(e, ptr) ? PURE_AT_SHORT : PURE_AT;
    Val base = e->pointer[ptr];
    sum_of(e, index, &s);
    for (int i = 0; i < s.n;) { /* one step of the address for each depth: the outer ones leave the loops */
        Val part = s.term[i];
        int j = i + 1;
        for (; j < s.n && s.depth[j] == s.depth[i]; j++) part = pure_op(e, PURE_ADD, part, s.term[j], NULL);
        base = pure_op(e, step, base, part, NULL);
        i = j;
    }
    return s.plus ? element(e, ptr, base, emit_i64(e, s.plus)) : base;
}

static Val aligned(Emit *e, int64_t ptr, Val access) {
    LLVMSetAlignment(access, (unsigned)lp_elem_bytes(e->k->ptr[ptr].elem));
    return access;
}

/* Lanes below count. */
static Val mask_of(Emit *e, const Lx *count, int width) {
    LLVMTypeRef mask = LLVMVectorType(e->i1, (unsigned)width);
    Val lane[LOOP_MAX_WIDTH], n = emit_int(e, count);
    for (int i = 0; i < width; i++) lane[i] = LLVMConstInt(e->i32, (uint64_t)i, 0);
    n = smaller_int(e, larger_int(e, n, emit_i64(e, 0)), emit_i64(e, width));
    n = emit_splat(e, pure_op(e, PURE_NARROW, n, NULL, NULL), width);
    if (width == 1) return LLVMBuildBitCast(e->b, LLVMBuildICmp(e->b, LLVMIntULT, lane[0], n, ""), mask, "");
    return LLVMBuildICmp(e->b, LLVMIntULT, LLVMConstVector(lane, (unsigned)width), n, "");
}

static Val lanes_at(Emit *e, int64_t ptr, const Lx *index, const Lx *stride, int width) { /* a vector of addresses */
    Val lane[LOOP_MAX_WIDTH];
    for (int i = 0; i < width; i++) lane[i] = emit_i64(e, i);
    Val step = emit_splat(e, emit_int(e, stride), width);
    Val at = LLVMBuildMul(e->b, step, LLVMConstVector(lane, (unsigned)width), "");
    return element(e, ptr, emit_place(e, ptr, index), at);
}

static LLVMTypeRef masked_type(Emit *e, int64_t ptr, int width) { return LLVMVectorType(is_short(e, ptr) ? e->i16 : e->f32, (unsigned)width); }
static Val alignment(Emit *e, int64_t ptr) { return LLVMConstInt(e->i32, (uint64_t)lp_elem_bytes(e->k->ptr[ptr].elem), 0); }

static Val load_of(Emit *e, const Lx *x, const Lx *count) {
    LLVMTypeRef one = memory_type(e, x->i, x->width);
    if (!count) return from_memory(e, x->i, aligned(e, x->i, LLVMBuildLoad2(e->b, one, emit_place(e, x->i, x->a), "")), x->width);
    LLVMTypeRef t = masked_type(e, x->i, x->width);
    Val args[] = {emit_place(e, x->i, x->a), alignment(e, x->i), mask_of(e, count, x->width), LLVMConstNull(t)};
    Val v = emit_intrinsic(e, "llvm.masked.load", (LLVMTypeRef[]){t, e->ptr}, 2, args, 4);
    return from_memory(e, x->i, x->width == 1 ? LLVMBuildBitCast(e->b, v, one, "") : v, x->width);
}

static Val gather_of(Emit *e, const Lx *x) {
    if (x->width == 1) return load_of(e, x, x->c);
    LLVMTypeRef t = memory_type(e, x->i, x->width);
    if (x->c) {
        Val args[] = {lanes_at(e, x->i, x->a, x->b, x->width), alignment(e, x->i), mask_of(e, x->c, x->width), LLVMConstNull(t)};
        return from_memory(e, x->i, emit_intrinsic(e, "llvm.masked.gather", (LLVMTypeRef[]){t, LLVMTypeOf(args[0])}, 2, args, 4), x->width);
    }
    Val r = LLVMGetPoison(t), base = emit_place(e, x->i, x->a), stride = emit_int(e, x->b);
    for (int i = 0; i < x->width; i++) {
        Val at = LLVMBuildMul(e->b, stride, emit_i64(e, i), "");
        Val one = aligned(e, x->i, LLVMBuildLoad2(e->b, memory_type(e, x->i, 1), element(e, x->i, base, at), ""));
        r = LLVMBuildInsertElement(e->b, r, one, LLVMConstInt(e->i32, (uint64_t)i, 0), "");
    }
    return from_memory(e, x->i, r, x->width);
}

void emit_store(Emit *e, const Ls *s) {
    Val v = emit_float(e, s->value);
    int w = s->value->width;
    if (is_short(e, s->ptr)) v = emit_narrow(e, v, w);
    bool strided = s->kind == LS_STORE_STRIDED && w > 1; /* a scalar has no neighbours */
    if (!s->count && !strided) {
        aligned(e, s->ptr, LLVMBuildStore(e->b, v, emit_place(e, s->ptr, s->index)));
        return;
    }
    if (s->count) {
        LLVMTypeRef t = masked_type(e, s->ptr, w);
        if (w == 1) v = LLVMBuildBitCast(e->b, v, t, "");
        Val at = strided ? lanes_at(e, s->ptr, s->index, s->stride, w) : emit_place(e, s->ptr, s->index);
        Val args[] = {v, at, alignment(e, s->ptr), mask_of(e, s->count, w)};
        emit_intrinsic(e, strided ? "llvm.masked.scatter" : "llvm.masked.store", (LLVMTypeRef[]){t, LLVMTypeOf(at)}, 2, args, 4);
        return;
    }
    Val base = emit_place(e, s->ptr, s->index), stride = emit_int(e, s->stride);
    for (int i = 0; i < w; i++) {
        Val one = LLVMBuildExtractElement(e->b, v, LLVMConstInt(e->i32, (uint64_t)i, 0), "");
        aligned(e, s->ptr, LLVMBuildStore(e->b, one, element(e, s->ptr, base, LLVMBuildMul(e->b, stride, emit_i64(e, i), ""))));
    }
}

void emit_prefetch(Emit *e, const Ls *s) {
    enum { READ, SECOND_LEVEL = 2, FIRST_LEVEL = 3, DATA = 1 };
    Val args[] = {emit_place(e, s->ptr, s->index), LLVMConstInt(e->i32, READ, 0), LLVMConstInt(e->i32, s->near ? FIRST_LEVEL : SECOND_LEVEL, 0), LLVMConstInt(e->i32, DATA, 0)};
    emit_intrinsic(e, "llvm.prefetch", &e->ptr, 1, args, 4);
}

/* ---- floats ---- */
static Val compare(Emit *e, const Lx *x) { /* LX_LT, LX_LE, LX_EQ as truth values, lane by lane */
    LLVMRealPredicate p = x->kind == LX_LT ? LLVMRealOLT : x->kind == LX_LE ? LLVMRealOLE : LLVMRealOEQ;
    return LLVMBuildFCmp(e->b, p, emit_float(e, x->a), emit_float(e, x->b), "");
}

static Val select_of(Emit *e, const Lx *x) {
    bool direct = x->a->kind == LX_LT || x->a->kind == LX_LE || x->a->kind == LX_EQ;
    Val c = direct ? compare(e, x->a) : LLVMBuildFCmp(e->b, LLVMRealUNE, emit_float(e, x->a), emit_f32s(e, 0, x->width), "");
    return LLVMBuildSelect(e->b, c, emit_float(e, x->b), emit_float(e, x->c), "");
}

/* max: x < y ? y : x keeps a NaN in x, and is one instruction; a NaN in y needs two more, unless y is constant. */
static Val extreme(Emit *e, LxKind k, Val x, Val y, bool y_is_number) {
    Val c = k == LX_MAX ? LLVMBuildFCmp(e->b, LLVMRealOLT, x, y, "") : LLVMBuildFCmp(e->b, LLVMRealOLT, y, x, "");
    Val r = LLVMBuildSelect(e->b, c, y, x, "");
    if (y_is_number) return r;
    return LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealUNO, y, y, ""), y, r, "");
}

static Val across(Emit *e, const Lx *x) {
    Val v = emit_float(e, x->a);
    if (x->a->width == 1) return v;
    for (int n = x->a->width / 2; n > 0; n /= 2) {
        Val lo[LOOP_MAX_WIDTH], hi[LOOP_MAX_WIDTH];
        for (int i = 0; i < n; i++) {
            lo[i] = LLVMConstInt(e->i32, (uint64_t)i, 0);
            hi[i] = LLVMConstInt(e->i32, (uint64_t)(i + n), 0);
        }
        Val poison = LLVMGetPoison(LLVMTypeOf(v));
        Val p = LLVMBuildShuffleVector(e->b, v, poison, LLVMConstVector(lo, (unsigned)n), "");
        Val q = LLVMBuildShuffleVector(e->b, v, poison, LLVMConstVector(hi, (unsigned)n), "");
        v = x->kind == LX_HSUM ? LLVMBuildFAdd(e->b, p, q, "") : extreme(e, LX_MAX, p, q, false);
    }
    return LLVMBuildExtractElement(e->b, v, LLVMConstInt(e->i32, 0, 0), "");
}

static Val unary(Emit *e, const Lx *x, const char *intrinsic) {
    Val v = emit_float(e, x->a);
    LLVMTypeRef t = LLVMTypeOf(v);
    return emit_intrinsic(e, intrinsic, &t, 1, &v, 1);
}

static Val libm(Emit *e, const Lx *x, const char *name) {
    Val args[] = {emit_float(e, x->a), x->b ? emit_float(e, x->b) : NULL};
    return emit_libm(e, name, args, x->b ? 2 : 1, x->width);
}

static Val lanes_of(Emit *e, int width) {
    Val lane[LOOP_MAX_WIDTH];
    for (int i = 0; i < width; i++) lane[i] = LLVMConstReal(e->f32, i);
    return width == 1 ? lane[0] : LLVMConstVector(lane, (unsigned)width);
}

static Val noise_of(Emit *e, const Lx *x) {
    Val args[5];
    for (int i = 0; i < 5; i++) args[i] = emit_int(e, x->list[i]);
    return emit_noise(e, x->f != 0, args, x->width);
}

static Val pack_of(Emit *e, const Lx *x) {
    Val r = LLVMGetPoison(emit_vec(e, x->width));
    for (int i = 0; i < x->width; i++)
        r = LLVMBuildInsertElement(e->b, r, emit_float(e, x->list[i]), LLVMConstInt(e->i32, (uint64_t)i, 0), "");
    return r;
}

static Val float_of(Emit *e, const Lx *x) {
    int w = x->width;
    switch ((int)x->kind) {
    case LX_LANES: return lanes_of(e, w);
    case LX_LOAD: return load_of(e, x, x->b);
    case LX_GATHER: return gather_of(e, x);
    case LX_SPLAT: return emit_splat(e, emit_float(e, x->a), w);
    case LX_LANE: return LLVMBuildExtractElement(e->b, emit_float(e, x->a), LLVMConstInt(e->i32, (uint64_t)x->i, 0), "");
    case LX_PACK: return pack_of(e, x);
    case LX_I2F: return emit_splat(e, LLVMBuildSIToFP(e->b, emit_int(e, x->a), e->f32, ""), w);
    case LX_NEG: return LLVMBuildFNeg(e->b, emit_float(e, x->a), "");
    case LX_ABS: return unary(e, x, "llvm.fabs");
    case LX_SQRT: return unary(e, x, "llvm.sqrt");
    case LX_FLOOR: return unary(e, x, "llvm.floor");
    case LX_BF16: return emit_widen(e, emit_narrow(e, emit_float(e, x->a), w), w);
    case LX_EXP: return emit_exp(e, emit_float(e, x->a), w);
    case LX_LOG: return emit_log(e, emit_float(e, x->a), w);
    case LX_TANH: return emit_tanh(e, emit_float(e, x->a), w);
    case LX_SIN: return libm(e, x, "sinf");
    case LX_COS: return libm(e, x, "cosf");
    case LX_POW: return libm(e, x, "powf");
    case LX_ADD: return LLVMBuildFAdd(e->b, emit_float(e, x->a), emit_float(e, x->b), "");
    case LX_SUB: return LLVMBuildFSub(e->b, emit_float(e, x->a), emit_float(e, x->b), "");
    case LX_MUL: return LLVMBuildFMul(e->b, emit_float(e, x->a), emit_float(e, x->b), "");
    case LX_DIV: return LLVMBuildFDiv(e->b, emit_float(e, x->a), emit_float(e, x->b), "");
    case LX_FMA: return emit_fma(e, emit_float(e, x->a), emit_float(e, x->b), emit_float(e, x->c));
    case LX_MAX: case LX_MIN:
        return extreme(e, x->kind, emit_float(e, x->a), emit_float(e, x->b), x->b->kind == LX_FLOAT && x->b->f == x->b->f);
    case LX_LT: case LX_LE: case LX_EQ: return LLVMBuildSelect(e->b, compare(e, x), emit_f32s(e, 1, w), emit_f32s(e, 0, w), "");
    case LX_SELECT: return select_of(e, x);
    case LX_HSUM: case LX_HMAX: return across(e, x);
    case LX_NOISE: return noise_of(e, x);
    default: BUG("expression of kind %d", (int)x->kind);
    }
}

Val emit_float(Emit *e, const Lx *x) {
    if (x->kind == LX_FLOAT) return emit_f32s(e, x->f, x->width);
    if (x->kind == LX_REG) {
        int64_t plus = 0;
        MUST(!x->a || loop_fold(x->a, &e->known, &plus));
        int32_t slot = (int32_t)(e->nvar + x->i + plus);
        return e->slot[slot] ? e->slot[slot] : emit_zero(e, slot);
    }
    LxCell *c = lx_map_cell(e->a, &e->memo, x);
    if (c->turn == e->memo.turn) return c->value;
    Val r = float_of(e, x);
    c = lx_map_cell(e->a, &e->memo, x);
    c->turn = e->memo.turn;
    return c->value = r;
}
