/* The table of csc_model.h, as constant data, and the one exported function. */
#include "llvm/emit.h"
#include <string.h>

static Val text(Emit *e, const char *s) { return emit_data(e, "text", s, strlen(s) + 1, 1); }
static Val u32(Emit *e, uint64_t v) { return LLVMConstInt(e->i32, v, 0); }
static Val u64(Emit *e, uint64_t v) { return LLVMConstInt(e->i64, v, 0); }

static Val floats(Emit *e, const char *name, const float *f, uint64_t n) {
    return f && n ? emit_data(e, name, f, n * sizeof *f, 64) : LLVMConstNull(e->ptr);
}

/* Embedded numbers: this object's own, or one copy for all objects of a library. */
static Val weights(Emit *e, const char *name, const LlvmModelInfo *info, const float *f, uint64_t n) {
    if (!f || !n || info->weights == LLVM_WEIGHTS_OWN) return floats(e, name, f, n);
    const char *shared = arena_printf(e->a, "csc_weights_%s", name);
    Val g;
    if (info->weights == LLVM_WEIGHTS_BORROWED) g = LLVMAddGlobal(e->mod, e->f32, shared);
    else {
        g = floats(e, name, f, n);
        LLVMSetValueName2(g, shared, strlen(shared));
    }
    LLVMSetLinkage(g, LLVMExternalLinkage);
    LLVMSetVisibility(g, LLVMHiddenVisibility);
    return g;
}

static Val constant(Emit *e, const char *name, Val v) {
    Val g = LLVMAddGlobal(e->mod, LLVMTypeOf(v), name);
    LLVMSetInitializer(g, v);
    LLVMSetGlobalConstant(g, 1);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    return g;
}

static Val entry_row(Emit *e, const LpEntry *t) { /* csc_entry */
    EntryCode c = emit_entry(e, t);
    Val f[] = {text(e, t->name ? t->name : ""), u32(e, (uint64_t)t->nin), u32(e, (uint64_t)t->nout), u64(e, 4 * (uint64_t)t->fixed_floats),
               u64(e, 4 * (uint64_t)t->batch_floats), u64(e, (uint64_t)t->thread_bytes), u64(e, 4 * (uint64_t)t->lane_floats), c.run,
               u64(e, 4 * (uint64_t)t->prepared_floats), c.prepare};
    return LLVMConstStructInContext(e->cx, f, 10, 0);
}

static void emit_query(Emit *e, const char *prefix, Val model) {
    const char *name = arena_printf(e->a, "%scsc_model_query", prefix ? prefix : "");
    e->fn = emit_function(e, name, LLVMFunctionType(e->ptr, &e->i32, 1, 0), prefix && *prefix ? REACH_PARTS : REACH_ALL);
    LLVMPositionBuilderAtEnd(e->b, emit_block(e, ""));
    Val old = LLVMBuildICmp(e->b, LLVMIntULT, LLVMGetParam(e->fn, 0), u32(e, CSC_MODEL_VERSION), "");
    bool tiles = false;
    for (size_t i = 0; i < e->m->kernels.len && !tiles; i++) tiles = lp_uses_tiles(&e->m->kernels.at[i]);
    if (tiles) old = LLVMBuildOr(e->b, old, LLVMBuildNot(e->b, emit_tiles_granted(e), ""), "");
    LLVMBuildRet(e->b, LLVMBuildSelect(e->b, old, LLVMConstNull(e->ptr), model, ""));
}

void emit_model(Emit *e, const LlvmModelInfo *info) {
    size_t n = e->m->entries.len;
    Val *rows = ARENA_ARRAY(e->a, Val, n);
    for (size_t i = 0; i < n; i++) rows[i] = entry_row(e, &e->m->entries.at[i]);
    LLVMTypeRef row = n ? LLVMTypeOf(rows[0]) : e->i64;
    Val entries = constant(e, "entries", LLVMConstArray2(row, rows, n));
    Val f[] = {u32(e, CSC_MODEL_VERSION), u32(e, sizeof(csc_model)), text(e, info->json ? info->json : "{}"), u64(e, info->param_floats),
               u64(e, info->state_floats), u32(e, info->tunable_count), u32(e, n), entries,
               floats(e, "tunables", info->tunable_defaults, info->tunable_count), weights(e, "params", info, info->params, info->param_floats),
               weights(e, "state", info, info->state, info->state_floats), LLVMConstNull(e->ptr)};
    emit_query(e, info->symbol_prefix, constant(e, "model", LLVMConstStructInContext(e->cx, f, 12, 0)));
}
