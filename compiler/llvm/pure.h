/* Integer operations that are written once, outside of the loops that do not change them. */
#ifndef CSC_LLVM_PURE_H
#define CSC_LLVM_PURE_H
#include "llvm/emit.h"

typedef enum PureOp {
    PURE_ADD, PURE_SUB, PURE_MUL, PURE_DIV, PURE_MOD,
    PURE_LT, PURE_EQ, PURE_NE, /* i1 */
    PURE_AND, PURE_OR, PURE_NOT, /* of i1 */
    PURE_WIDEN,  /* i1 or i32 to i64 */
    PURE_NARROW, /* i64 to i32 */
    PURE_SELECT,
    PURE_AT,     /* address of float number b of a */
    PURE_AT_SHORT, /* ... of bf16 number b */
} PureOp;

void pure_open(Emit *e); /* a new function */
void pure_enter(Emit *e, LLVMBasicBlockRef before, bool loop); /* code from here on is reached from `before` only, whose terminator is written */
void pure_leave(Emit *e);
Val pure_op(Emit *e, PureOp op, Val a, Val b, Val c); /* b, c: NULL where the operation has none */
Val pure_here(Emit *e, Val v);       /* v, made in the current region (a phi, a load): what does not depend on it may leave the loop */
void pure_from_start(Emit *e, Val v); /* v was made at the start of the function */
int32_t pure_depth(Emit *e, Val v);  /* number of regions around the one that made it; 0: the function */
#endif
