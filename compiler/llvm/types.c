/* Types, constants, calls: the words of LLVM IR that the other files use. */
#include "base/trouble.h"
#include "llvm/emit.h"
#include <string.h>

LLVMTypeRef emit_vec(Emit *e, int width) { return width == 1 ? e->f32 : LLVMVectorType(e->f32, (unsigned)width); }
LLVMTypeRef emit_ivec(Emit *e, int width) { return width == 1 ? e->i32 : LLVMVectorType(e->i32, (unsigned)width); }

Val emit_i64(Emit *e, int64_t v) { return LLVMConstInt(e->i64, (uint64_t)v, 1); }

static Val all_lanes(Val v, int width) {
    Val lane[LOOP_MAX_WIDTH];
    if (width == 1) return v;
    for (int i = 0; i < width; i++) lane[i] = v;
    return LLVMConstVector(lane, (unsigned)width);
}

Val emit_i32s(Emit *e, int64_t v, int width) { return all_lanes(LLVMConstInt(e->i32, (uint64_t)v, 1), width); }
Val emit_f32s(Emit *e, double v, int width) { return all_lanes(LLVMConstReal(e->f32, v), width); }

Val emit_splat(Emit *e, Val scalar, int width) {
    if (width == 1) return scalar;
    LLVMTypeRef t = LLVMVectorType(LLVMTypeOf(scalar), (unsigned)width);
    Val one = LLVMBuildInsertElement(e->b, LLVMGetPoison(t), scalar, LLVMConstInt(e->i32, 0, 0), "");
    return LLVMBuildShuffleVector(e->b, one, LLVMGetPoison(t), LLVMConstNull(emit_ivec(e, width)), "");
}

Val emit_intrinsic(Emit *e, const char *name, LLVMTypeRef *over, size_t nover, Val *args, unsigned nargs) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    if (!id) BUG("LLVM has no %s", name);
    Val f = LLVMGetIntrinsicDeclaration(e->mod, id, over, nover);
    return LLVMBuildCall2(e->b, LLVMIntrinsicGetType(e->cx, id, over, nover), f, args, nargs, "");
}

Val emit_libm(Emit *e, const char *name, Val *args, unsigned nargs, int width) {
    LLVMTypeRef in[] = {e->f32, e->f32}, type = LLVMFunctionType(e->f32, in, nargs, 0);
    Val f = LLVMGetNamedFunction(e->mod, name);
    if (!f) {
        f = LLVMAddFunction(e->mod, name, type);
        unsigned kind = LLVMGetEnumAttributeKindForName("nounwind", 8);
        LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, LLVMCreateEnumAttribute(e->cx, kind, 0));
    }
    if (width == 1) return LLVMBuildCall2(e->b, type, f, args, nargs, "");
    Val r = LLVMGetPoison(emit_vec(e, width));
    for (int i = 0; i < width; i++) {
        Val lane = LLVMConstInt(e->i32, (uint64_t)i, 0), one[2];
        for (unsigned k = 0; k < nargs; k++) one[k] = LLVMBuildExtractElement(e->b, args[k], lane, "");
        r = LLVMBuildInsertElement(e->b, r, LLVMBuildCall2(e->b, type, f, one, nargs, ""), lane, "");
    }
    return r;
}

void emit_attribute(Emit *e, Val f, const char *name) {
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, LLVMCreateEnumAttribute(e->cx, kind, 0));
}

static void add_text_attribute(Emit *e, Val f, const char *name, const char *value) {
    LLVMAttributeRef t = LLVMCreateStringAttribute(e->cx, name, (unsigned)strlen(name), value, (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, t);
}

Val emit_function(Emit *e, const char *name, LLVMTypeRef type, Reach reach) {
    Val f = LLVMAddFunction(e->mod, name, type);
    LLVMSetLinkage(f, reach == REACH_FILE ? LLVMInternalLinkage : LLVMExternalLinkage);
    if (reach == REACH_PARTS) LLVMSetVisibility(f, LLVMHiddenVisibility);
    emit_attribute(e, f, "nounwind");
    if (e->o->asan) emit_attribute(e, f, "sanitize_address");
    add_text_attribute(e, f, "target-cpu", e->cpu);
    if (e->features[0]) add_text_attribute(e, f, "target-features", e->features);
    return f;
}

Val emit_data(Emit *e, const char *name, const void *bytes, size_t len, unsigned align) {
    Val text = LLVMConstStringInContext(e->cx, bytes, (unsigned)len, 1);
    Val g = LLVMAddGlobal(e->mod, LLVMTypeOf(text), name);
    LLVMSetInitializer(g, text);
    LLVMSetGlobalConstant(g, 1);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetAlignment(g, align);
    return g;
}

LLVMBasicBlockRef emit_block(Emit *e, const char *name) { return LLVMAppendBasicBlockInContext(e->cx, e->fn, name); }

Val emit_field(Emit *e, LLVMTypeRef type, Val base, uint64_t byte_offset, const char *name) {
    Val at = emit_i64(e, (int64_t)byte_offset);
    return LLVMBuildLoad2(e->b, type, LLVMBuildInBoundsGEP2(e->b, e->i8, base, &at, 1, ""), name);
}

Val emit_address(Emit *e, Val base, Val index) { return LLVMBuildGEP2(e->b, e->f32, base, &index, 1, ""); }
