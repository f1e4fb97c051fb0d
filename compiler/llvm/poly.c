/* loop/poly.h and the random numbers in LLVM IR. */
#include "llvm/emit.h"
#include "loop/noise.h"
#include <math.h>

Val emit_fma(Emit *e, Val x, Val y, Val z) { /* fused where the target can: llvm.fma would become a call elsewhere */
    LLVMTypeRef t = LLVMTypeOf(x);
    return emit_intrinsic(e, "llvm.fmuladd", &t, 1, (Val[]){x, y, z}, 3);
}

static Val fabs_of(Emit *e, Val x) {
    LLVMTypeRef t = LLVMTypeOf(x);
    return emit_intrinsic(e, "llvm.fabs", &t, 1, &x, 1);
}

#define PV Val
#define PI Val
#define PM Val
#define P_CTX Emit *e,
#define P_GO e,
#define P_F(c_) emit_f32s(e, c_, e->width)
#define P_I(c_) emit_i32s(e, c_, e->width)
#define P_ADD(a_, b_) LLVMBuildFAdd(e->b, a_, b_, "")
#define P_MUL(a_, b_) LLVMBuildFMul(e->b, a_, b_, "")
#define P_DIV(a_, b_) LLVMBuildFDiv(e->b, a_, b_, "")
#define P_FMA(a_, b_, c_) emit_fma(e, a_, b_, c_)
#define P_ABS(a_) fabs_of(e, a_)
#define P_NEG(a_) LLVMBuildFNeg(e->b, a_, "")
#define P_LT(a_, b_) LLVMBuildFCmp(e->b, LLVMRealOLT, a_, b_, "")
#define P_EQ(a_, b_) LLVMBuildFCmp(e->b, LLVMRealOEQ, a_, b_, "")
#define P_SEL(m_, a_, b_) LLVMBuildSelect(e->b, m_, a_, b_, "")
#define P_BITS(f_) LLVMBuildBitCast(e->b, f_, emit_ivec(e, e->width), "")
#define P_FLOAT(i_) LLVMBuildBitCast(e->b, i_, emit_vec(e, e->width), "")
#define P_IADD(a_, b_) LLVMBuildAdd(e->b, a_, b_, "")
#define P_ISUB(a_, b_) LLVMBuildSub(e->b, a_, b_, "")
#define P_SHL(a_, n_) LLVMBuildShl(e->b, a_, P_I(n_), "")
#define P_SAR(a_, n_) LLVMBuildAShr(e->b, a_, P_I(n_), "")
#define P_I2F(a_) LLVMBuildSIToFP(e->b, a_, emit_vec(e, e->width), "")
#include "loop/poly.h"

Val emit_exp(Emit *e, Val x, int width) {
    e->width = width;
    return poly_exp(e, x);
}

Val emit_log(Emit *e, Val x, int width) {
    e->width = width;
    return poly_log(e, x);
}

Val emit_tanh(Emit *e, Val x, int width) {
    e->width = width;
    return poly_tanh(e, x);
}

/* ---- random numbers: one function for each kind, as loop_noise ---- */
static Val low32(Emit *e, Val v) { return LLVMBuildTrunc(e->b, v, e->i32, ""); }
static Val high32(Emit *e, Val v) { return low32(e, LLVMBuildLShr(e->b, v, emit_i64(e, 32), "")); }
static Val wide(Emit *e, Val v) { return LLVMBuildZExt(e->b, v, e->i64, ""); }

static void philox(Emit *e, Val c[4], Val k[2]) {
    for (int round = 0; round < 10; round++) {
        Val p0 = LLVMBuildMul(e->b, wide(e, c[0]), emit_i64(e, PHILOX_M0), "");
        Val p1 = LLVMBuildMul(e->b, wide(e, c[2]), emit_i64(e, PHILOX_M1), "");
        c[0] = LLVMBuildXor(e->b, LLVMBuildXor(e->b, high32(e, p1), c[1], ""), k[0], "");
        c[2] = LLVMBuildXor(e->b, LLVMBuildXor(e->b, high32(e, p0), c[3], ""), k[1], "");
        c[1] = low32(e, p1);
        c[3] = low32(e, p0);
        k[0] = LLVMBuildAdd(e->b, k[0], emit_i32s(e, PHILOX_W0, 1), "");
        k[1] = LLVMBuildAdd(e->b, k[1], emit_i32s(e, PHILOX_W1, 1), "");
    }
}

static Val unit(Emit *e, Val word) { /* its upper 24 bits, in [0, 1) */
    Val top = LLVMBuildLShr(e->b, word, emit_i32s(e, 8, 1), "");
    return LLVMBuildFMul(e->b, LLVMBuildUIToFP(e->b, top, e->f32, ""), emit_f32s(e, 0x1p-24, 1), "");
}

static Val noise_function(Emit *e, bool normal) {
    LLVMTypeRef in[] = {e->i64, e->i64, e->i64, e->i64, e->i64};
    LLVMBasicBlockRef back = LLVMGetInsertBlock(e->b);
    Val outer = e->fn;
    e->fn = emit_function(e, normal ? "csc_normal" : "csc_uniform", LLVMFunctionType(e->f32, in, 5, 0), REACH_FILE);
    LLVMPositionBuilderAtEnd(e->b, emit_block(e, ""));
    Val seed = LLVMGetParam(e->fn, 0), step = LLVMGetParam(e->fn, 1), sample = LLVMGetParam(e->fn, 2), index = LLVMGetParam(e->fn, 3);
    Val c[] = {low32(e, LLVMGetParam(e->fn, 4)), low32(e, sample), low32(e, step), low32(e, index)};
    Val key[] = {low32(e, seed), high32(e, seed)};
    philox(e, c, key);
    Val u = unit(e, c[0]);
    if (normal) {
        u = LLVMBuildFSub(e->b, emit_f32s(e, 1, 1), u, "");
        Val r = LLVMBuildFMul(e->b, emit_f32s(e, -2, 1), emit_log(e, u, 1), "");
        Val angle = LLVMBuildFMul(e->b, emit_f32s(e, 6.28318530717958648f, 1), unit(e, c[1]), "");
        r = emit_intrinsic(e, "llvm.sqrt", &e->f32, 1, &r, 1);
        u = LLVMBuildFMul(e->b, r, emit_libm(e, "cosf", &angle, 1, 1), "");
    }
    LLVMBuildRet(e->b, u);
    Val f = e->fn;
    e->fn = outer;
    LLVMPositionBuilderAtEnd(e->b, back);
    return f;
}

Val emit_noise(Emit *e, bool normal, Val *args, int width) {
    LLVMTypeRef in[] = {e->i64, e->i64, e->i64, e->i64, e->i64}, type = LLVMFunctionType(e->f32, in, 5, 0);
    if (!e->noise[normal]) e->noise[normal] = noise_function(e, normal);
    Val entry = args[4], r = LLVMGetPoison(emit_vec(e, width));
    for (int i = 0; i < width; i++) {
        args[4] = LLVMBuildAdd(e->b, entry, emit_i64(e, i), "");
        Val one = LLVMBuildCall2(e->b, type, e->noise[normal], args, 5, "");
        if (width == 1) return one;
        r = LLVMBuildInsertElement(e->b, r, one, LLVMConstInt(e->i32, (uint64_t)i, 0), "");
    }
    return r;
}
