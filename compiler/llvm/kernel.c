/* Kernels: void k(void *arg, int64_t index, void *scratch). arg is a block of 8-byte slots on the entry's stack: the batch, the integers, the
   pointers; all are read at the start. Equal kernels are written once. */
#include "base/trouble.h"
#include "llvm/pure.h"

static Val declare(Emit *e, const LpKernel *k, int32_t number) {
    bool alone = e->plan->parts == 1;
    const char *name = arena_printf(e->a, "%sk%d_%s", alone ? "" : e->plan->prefix, (int)number, k->name ? k->name : "");
    return emit_function(e, name, e->task, alone ? REACH_FILE : REACH_PARTS);
}

static Val emit_kernel(Emit *e, const LpKernel *k, int32_t number) {
    MUST(k->threads == 0); /* block kernels are for a GPU */
    e->fn = declare(e, k, number);
    e->k = k;
    LLVMPositionBuilderAtEnd(e->b, emit_block(e, ""));
    emit_open_slots(e, k->nvar);
    Val arg = LLVMGetParam(e->fn, 0), scratch = LLVMGetParam(e->fn, 2);
    int32_t at = 0, nptr = lp_launch_ptrs(k);
    e->slot[lp_grid_var(k)] = LLVMGetParam(e->fn, 1);
    e->slot[lp_batch_var(k)] = pure_here(e, emit_field(e, e->i64, arg, 0, "batch"));
    at++;
    for (int32_t i = 0; i < k->nint; i++, at++) e->slot[i] = pure_here(e, emit_field(e, e->i64, arg, 8 * (uint64_t)at, ""));
    e->pointer = ARENA_ARRAY(e->a, Val, k->nptr);
    int64_t used = 0;
    for (int32_t i = 0; i < k->nptr; i++, at++) {
        const LpParam *p = &k->ptr[i];
        const char *label = p->name ? p->name : "";
        if (i < nptr) e->pointer[i] = pure_here(e, emit_field(e, e->ptr, arg, 8 * (uint64_t)at, label));
        else {
            Val from = emit_i64(e, used);
            e->pointer[i] = pure_here(e, LLVMBuildInBoundsGEP2(e->b, e->i8, scratch, &from, 1, label));
            used += (p->bytes + 63) / 64 * 64;
        }
    }
    bool tiles = lp_uses_tiles(k);
    if (tiles) emit_tiles_open(e);
    emit_list(e, k->body);
    if (tiles) emit_tiles_close(e);
    LLVMBuildRetVoid(e->b);
    return e->fn;
}

void emit_kernels(Emit *e) {
    size_t n = e->m->kernels.len;
    const Plan *p = e->plan;
    e->kernels = ARENA_ARRAY(e->a, Val, n);
    for (size_t i = 0; i < n; i++) {
        const LpKernel *k = &e->m->kernels.at[i];
        if ((size_t)p->same[i] < i) e->kernels[i] = e->kernels[p->same[i]];
        else if (p->owner[i] == e->part) e->kernels[i] = emit_kernel(e, k, (int32_t)i);
        else if (e->part == 0) e->kernels[i] = declare(e, k, (int32_t)i);
    }
    e->k = NULL;
}
