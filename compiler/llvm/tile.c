/* The matrix unit of x86-64: its statements as its instructions. Tile numbers are constants, so LLVM has nothing to allocate. */
#include "base/trouble.h"
#include "llvm/pure.h"

static Val number(Emit *e, int32_t tile) { return LLVMConstInt(e->i8, (uint64_t)tile, 0); }

void emit_tile(Emit *e, const Ls *s) {
    Val args[3] = {number(e, s->reg)};
    switch ((int)s->kind) {
    case LS_TILE_CLEAR: emit_intrinsic(e, "llvm.x86.tilezero", NULL, 0, args, 1); return;
    case LS_TILE_DOT:
        args[1] = number(e, s->tile_a), args[2] = number(e, s->tile_b);
        emit_intrinsic(e, "llvm.x86.tdpbf16ps", NULL, 0, args, 3);
        return;
    case LS_TILE_LOAD: case LS_TILE_STORE:
        args[1] = emit_place(e, s->ptr, s->index);
        args[2] = pure_op(e, PURE_MUL, emit_int(e, s->stride), emit_i64(e, lp_elem_bytes(e->k->ptr[s->ptr].elem)), NULL);
        emit_intrinsic(e, s->kind == LS_TILE_LOAD ? "llvm.x86.tileloadd64" : "llvm.x86.tilestored64", NULL, 0, args, 3);
        return;
    default: BUG("statement of kind %d", (int)s->kind);
    }
}

/* At a kernel's start: the shape of all tiles. */
void emit_tiles_open(Emit *e) {
    static const struct {
        uint8_t palette, start, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    Val at = LLVMGetNamedGlobal(e->mod, "tiles");
    if (!at) at = emit_data(e, "tiles", &shape, sizeof shape, 64);
    emit_intrinsic(e, "llvm.x86.ldtilecfg", NULL, 0, &at, 1);
}

void emit_tiles_close(Emit *e) { emit_intrinsic(e, "llvm.x86.tilerelease", NULL, 0, NULL, 0); }

/* Linux gives the tiles' memory to a process that asks for it, once: arch_prctl(ARCH_REQ_XCOMP_PERM, the tiles' data). */
Val emit_tiles_granted(Emit *e) {
    enum { ARCH_PRCTL = 158, ARCH_REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18 };
    static const char text[] = "syscall", bound[] = "={ax},{ax},{di},{si},~{rcx},~{r11},~{memory},~{dirflag},~{fpsr},~{flags}";
    LLVMTypeRef type = LLVMFunctionType(e->i64, (LLVMTypeRef[]){e->i64, e->i64, e->i64}, 3, 0);
    Val call = LLVMGetInlineAsm(type, text, sizeof text - 1, bound, sizeof bound - 1, 1, 0, LLVMInlineAsmDialectATT, 0);
    Val args[] = {emit_i64(e, ARCH_PRCTL), emit_i64(e, ARCH_REQ_XCOMP_PERM), emit_i64(e, TILE_DATA)};
    return LLVMBuildICmp(e->b, LLVMIntEQ, LLVMBuildCall2(e->b, type, call, args, 3, ""), emit_i64(e, 0), "");
}
