/* bf16 numbers: the upper halves of floats, rounded; i16 in memory and registers. */
#include "llvm/emit.h"

LLVMTypeRef emit_svec(Emit *e, int width) { return width == 1 ? e->i16 : LLVMVectorType(e->i16, (unsigned)width); }

/* As vcvtneps2bf16: to nearest, ties to even; denormal numbers are 0, a NaN keeps its upper bits. */
static Val rounded(Emit *e, Val x, int width) {
    LLVMBuilderRef b = e->b;
    LLVMTypeRef ints = emit_ivec(e, width);
    Val u = LLVMBuildBitCast(b, x, ints, ""), upper = LLVMBuildLShr(b, u, emit_i32s(e, 16, width), "");
    Val odd = LLVMBuildAnd(b, upper, emit_i32s(e, 1, width), "");
    Val sum = LLVMBuildAdd(b, u, LLVMBuildAdd(b, odd, emit_i32s(e, 0x7fff, width), ""), "");
    Val r = LLVMBuildLShr(b, sum, emit_i32s(e, 16, width), "");
    Val normal = LLVMBuildICmp(b, LLVMIntNE, LLVMBuildAnd(b, u, emit_i32s(e, 0x7f800000, width), ""), LLVMConstNull(ints), "");
    r = LLVMBuildSelect(b, normal, r, LLVMBuildAnd(b, upper, emit_i32s(e, 0x8000, width), ""), "");
    r = LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealUNO, x, x, ""), LLVMBuildOr(b, upper, emit_i32s(e, 0x40, width), ""), r, "");
    return LLVMBuildTrunc(b, r, emit_svec(e, width), "");
}

/* What emit_widen made x from, or NULL. */
static Val narrow_already(Val x) {
    if (!LLVMIsABitCastInst(x)) return NULL;
    Val shifted = LLVMGetOperand(x, 0);
    if (!LLVMIsAInstruction(shifted) || LLVMGetInstructionOpcode(shifted) != LLVMShl) return NULL;
    Val wide = LLVMGetOperand(shifted, 0);
    return LLVMIsAZExtInst(wide) ? LLVMGetOperand(wide, 0) : NULL;
}

Val emit_narrow(Emit *e, Val x, int width) {
    Val made = narrow_already(x);
    if (made && LLVMTypeOf(made) == emit_svec(e, width)) return made;
    if (!e->rounds_short) return rounded(e, x, width);
    LLVMTypeRef t = width == 1 ? e->bf16 : LLVMVectorType(e->bf16, (unsigned)width);
    return LLVMBuildBitCast(e->b, LLVMBuildFPTrunc(e->b, x, t, ""), emit_svec(e, width), "");
}

Val emit_widen(Emit *e, Val x, int width) {
    Val u = LLVMBuildShl(e->b, LLVMBuildZExt(e->b, x, emit_ivec(e, width), ""), emit_i32s(e, 16, width), "");
    return LLVMBuildBitCast(e->b, u, emit_vec(e, width), "");
}

/* Both in one register, then one shuffle. */
static Val both(Emit *e, Val v, Val w, int width) {
    if (e->rounds_short && width == 16 && !narrow_already(v) && !narrow_already(w)) {
        Val halves[] = {w, v}; /* the second is the lower half */
        Val r = emit_intrinsic(e, "llvm.x86.avx512bf16.cvtne2ps2bf16.512", NULL, 0, halves, 2);
        return LLVMBuildBitCast(e->b, r, emit_svec(e, 32), "");
    }
    Val lane[2 * LOOP_MAX_WIDTH];
    for (int i = 0; i < 2 * width; i++) lane[i] = LLVMConstInt(e->i32, (uint64_t)i, 0);
    return LLVMBuildShuffleVector(e->b, emit_narrow(e, v, width), emit_narrow(e, w, width), LLVMConstVector(lane, 2 * (unsigned)width), "");
}

void emit_store_pairs(Emit *e, const Ls *s) {
    int width = s->value->width;
    Val v = emit_float(e, s->value), w = emit_float(e, s->other), at = emit_place(e, s->ptr, s->index);
    if (width == 1) {
        LLVMSetAlignment(LLVMBuildStore(e->b, emit_narrow(e, v, 1), at), 2);
        Val one = emit_i64(e, 1);
        LLVMSetAlignment(LLVMBuildStore(e->b, emit_narrow(e, w, 1), LLVMBuildGEP2(e->b, e->i16, at, &one, 1, "")), 2);
        return;
    }
    Val lane[2 * LOOP_MAX_WIDTH], all = both(e, v, w, width);
    for (int i = 0; i < 2 * width; i++) lane[i] = LLVMConstInt(e->i32, (uint64_t)(i / 2 + i % 2 * width), 0);
    Val r = LLVMBuildShuffleVector(e->b, all, LLVMGetPoison(emit_svec(e, 2 * width)), LLVMConstVector(lane, 2 * (unsigned)width), "");
    LLVMSetAlignment(LLVMBuildStore(e->b, r, at), 2);
}
