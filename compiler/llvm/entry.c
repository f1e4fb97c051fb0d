/* Entries: int entry(const csc_call *), which runs kernels through the caller's parallel-for, or alone. */
#include "llvm/pure.h"
#include <string.h>

#define CALL(field) offsetof(csc_call, field)

/* void launch(call, count, task, arg, scratch_bytes, scratch): one for all launches. */
static LLVMTypeRef launch_type(Emit *e) {
    LLVMTypeRef in[] = {e->ptr, e->i64, e->ptr, e->ptr, e->i64, e->ptr};
    return LLVMFunctionType(e->voidt, in, 6, 0);
}

static Val launch_function(Emit *e) {
    LLVMBasicBlockRef back = LLVMGetInsertBlock(e->b);
    Val outer = e->fn;
    e->fn = emit_function(e, "launch", launch_type(e), REACH_FILE);
    Val call = LLVMGetParam(e->fn, 0), count = LLVMGetParam(e->fn, 1), task = LLVMGetParam(e->fn, 2), arg = LLVMGetParam(e->fn, 3);
    Val bytes = LLVMGetParam(e->fn, 4), scratch = LLVMGetParam(e->fn, 5), zero = emit_i64(e, 0);
    LLVMBasicBlockRef start = emit_block(e, ""), shared = emit_block(e, "shared"), alone = emit_block(e, "alone");
    LLVMBasicBlockRef turn = emit_block(e, "turn"), done = emit_block(e, "done");
    LLVMPositionBuilderAtEnd(e->b, start);
    Val run = emit_field(e, e->ptr, call, CALL(parallel_for), "parallel_for");
    Val none = LLVMBuildICmp(e->b, LLVMIntEQ, run, LLVMConstNull(e->ptr), "");
    Val few = LLVMBuildICmp(e->b, LLVMIntSLE, count, emit_i64(e, 1), ""); /* one point that needs no scratch is run here */
    Val simple = LLVMBuildAnd(e->b, few, LLVMBuildICmp(e->b, LLVMIntEQ, bytes, zero, ""), "");
    Val nothing = LLVMBuildICmp(e->b, LLVMIntSLE, count, zero, "");
    LLVMBuildCondBr(e->b, LLVMBuildOr(e->b, LLVMBuildOr(e->b, none, simple, ""), nothing, ""), alone, shared);
    LLVMPositionBuilderAtEnd(e->b, shared);
    LLVMTypeRef pf[] = {e->ptr, e->i64, e->ptr, e->ptr, e->i64};
    Val args[] = {emit_field(e, e->ptr, call, CALL(pool), "pool"), count, task, arg, bytes};
    LLVMBuildCall2(e->b, LLVMFunctionType(e->voidt, pf, 5, 0), run, args, 5, "");
    LLVMBuildBr(e->b, done);
    LLVMPositionBuilderAtEnd(e->b, alone);
    LLVMBuildCondBr(e->b, nothing, done, turn);
    LLVMPositionBuilderAtEnd(e->b, turn);
    Val i = LLVMBuildPhi(e->b, e->i64, "");
    LLVMBuildCall2(e->b, e->task, task, (Val[]){arg, i, scratch}, 3, "");
    Val next = LLVMBuildAdd(e->b, i, emit_i64(e, 1), "");
    LLVMAddIncoming(i, (Val[]){zero, next}, (LLVMBasicBlockRef[]){alone, turn}, 2);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, next, count, ""), turn, done);
    LLVMPositionBuilderAtEnd(e->b, done);
    LLVMBuildRetVoid(e->b);
    Val f = e->fn;
    e->fn = outer;
    if (back) LLVMPositionBuilderAtEnd(e->b, back);
    return f;
}

static Val call_field(Emit *e, LLVMTypeRef t, uint64_t offset) { return emit_field(e, t, e->call, offset, ""); }

/* The first float of a space: read once, at the start of the entry (nothing changes the call while it runs). */
static Val space_start(Emit *e, const Lptr *p) {
    static const uint64_t field[SP_KINDS] = {[SP_FIXED] = CALL(workspace), [SP_BATCH] = CALL(workspace), [SP_IN] = CALL(in), [SP_OUT] = CALL(out),
                                             [SP_PARAM] = CALL(params), [SP_GRAD] = CALL(grads), [SP_STATE] = CALL(state),
                                             [SP_STATE_OUT] = CALL(state_out), [SP_TUNABLE] = CALL(tunables)};
    if (p->space == SP_TABLE || p->space == SP_FTABLE) return e->tables[p->which];
    if (p->space == SP_LANE) return e->lane;
    if (p->space == SP_PREPARED) return e->prepared;
    bool list = p->space == SP_IN || p->space == SP_OUT;
    Val *known = list ? &e->lists[p->space == SP_OUT][p->which] : &e->spaces[p->space];
    if (*known) return *known;
    LLVMBasicBlockRef back = LLVMGetInsertBlock(e->b);
    LLVMPositionBuilderBefore(e->b, LLVMGetBasicBlockTerminator(e->start));
    *known = call_field(e, e->ptr, field[p->space]);
    if (list) *known = emit_field(e, e->ptr, *known, 8 * (uint64_t)p->which, "");
    if (p->space == SP_BATCH) {
        Val fixed = emit_i64(e, e->e->fixed_floats - e->e->prepared_floats - e->e->lane_floats);
        *known = LLVMBuildGEP2(e->b, e->f32, *known, &fixed, 1, "");
    }
    LLVMPositionBuilderAtEnd(e->b, back);
    pure_from_start(e, *known);
    return *known;
}

Val emit_pointer_to(Emit *e, const Lptr *p) {
    Val at = space_start(e, p), offset = emit_i64(e, p->offset);
    if (p->space == SP_BATCH && p->offset) offset = pure_op(e, PURE_MUL, e->whole, offset, NULL);
    if (p->offset) at = pure_op(e, PURE_AT, at, offset, NULL);
    return p->plus ? pure_op(e, PURE_AT, at, emit_int(e, p->plus), NULL) : at;
}

/* Launches of a straight line are cut into blocks: code generation takes more than linear time in the length of one. */
enum { LAUNCHES_PER_BLOCK = 4 };

void emit_launch(Emit *e, const Ls *s) {
    const LpKernel *k = &e->m->kernels.at[s->kernel];
    if (++e->launches % LAUNCHES_PER_BLOCK == 0) {
        LLVMBasicBlockRef next = emit_block(e, "");
        LLVMBuildBr(e->b, next);
        LLVMPositionBuilderAtEnd(e->b, next);
    }
    Val count = emit_int(e, s->grid);
    for (int32_t i = 0; i < k->nint + lp_launch_ptrs(k); i++) { /* slot 0 is the batch, stored at the start */
        Val v = i < k->nint ? emit_int(e, s->ints[i]) : emit_pointer_to(e, &s->ptrs[i - k->nint]);
        Val byte = emit_i64(e, 8 * (i + 1));
        LLVMBuildStore(e->b, v, LLVMBuildInBoundsGEP2(e->b, e->i8, e->args, &byte, 1, ""));
    }
    Val args[] = {e->call, count, e->kernels[s->kernel], e->args, emit_i64(e, lp_thread_bytes(k)), e->scratch};
    LLVMBuildCall2(e->b, launch_type(e), e->launch, args, 6, "");
}

static int32_t most_args(const LpModule *m) {
    int32_t most = 1;
    for (size_t i = 0; i < m->kernels.len; i++) {
        int32_t n = 1 + m->kernels.at[i].nint + lp_launch_ptrs(&m->kernels.at[i]);
        if (n > most) most = n;
    }
    return most;
}

static Val args_block(Emit *e) { return LLVMBuildAlloca(e->b, LLVMArrayType2(e->i64, (uint64_t)most_args(e->m)), "args"); }

/* A function that runs statements: long, run once a call, so quick to compile counts. */
static void open_function(Emit *e, const char *name, LLVMTypeRef type) {
    e->fn = emit_function(e, name, type, REACH_FILE);
    emit_attribute(e, e->fn, "optnone");
    emit_attribute(e, e->fn, "noinline");
    e->launches = 0;
    memset(e->spaces, 0, sizeof e->spaces);
    e->lists[0] = ARENA_ARRAY(e->a, Val, e->e->nin);
    e->lists[1] = ARENA_ARRAY(e->a, Val, e->e->nout);
}

/* ---- lanes ---- */
static Val store_env(Emit *e, int32_t slot, Val v) {
    Val byte = emit_i64(e, 8 * (int64_t)slot);
    return LLVMBuildStore(e->b, v, LLVMBuildInBoundsGEP2(e->b, e->i8, e->env, &byte, 1, ""));
}

enum { ENV_CALL, ENV_LANE, ENV_ALONE, ENV_PREPARED, ENV_VARS }; /* eight bytes each */

/* The statements of a function that open_function began, then back to the outer one. */
static Val body_and_back(Emit *e, const Ls *list, LLVMBasicBlockRef body, const Emit *outer, LLVMBasicBlockRef back) {
    LLVMBuildBr(e->b, body);
    LLVMPositionBuilderAtEnd(e->b, body);
    emit_list(e, list);
    LLVMBuildRetVoid(e->b);
    Val f = e->fn;
    LxMap memo = e->memo; /* its turns go on */
    *e = *outer;
    e->memo = memo;
    LLVMPositionBuilderAtEnd(e->b, back);
    return f;
}

/* void lane(env, number, scratch): a task of the pool, or called by the entry for one lane after the other. */
static Val lane_function(Emit *e, const Ls *s, Val env_slots[]) {
    LLVMBasicBlockRef back = LLVMGetInsertBlock(e->b);
    Emit outer = *e;
    open_function(e, arena_printf(e->a, "lane_%s", e->e->name ? e->e->name : ""), e->task);
    Val env = LLVMGetParam(e->fn, 0), scratch = LLVMGetParam(e->fn, 2);
    e->alone = e->env = NULL;
    e->start = emit_block(e, "");
    LLVMBasicBlockRef body = emit_block(e, "");
    LLVMPositionBuilderAtEnd(e->b, e->start);
    emit_open_slots(e, e->e->nvar);
    e->args = args_block(e);
    e->call = emit_field(e, e->ptr, env, 8 * ENV_CALL, "call");
    e->scratch = scratch;
    Val shared = emit_field(e, e->ptr, env, 8 * ENV_LANE, ""), own = emit_address(e, scratch, emit_i64(e, e->e->thread_bytes / 4));
    Val none = LLVMBuildICmp(e->b, LLVMIntEQ, shared, LLVMConstNull(e->ptr), "");
    e->lane = pure_here(e, LLVMBuildSelect(e->b, none, own, shared, "lane"));
    if (e->prepared) e->prepared = pure_here(e, emit_field(e, e->ptr, env, 8 * ENV_PREPARED, "prepared"));
    e->whole = pure_here(e, LLVMBuildZExt(e->b, call_field(e, e->i32, CALL(batch)), e->i64, ""));
    for (int32_t i = 0; i < e->nvar; i++)
        if (env_slots[i]) e->slot[i] = pure_here(e, emit_field(e, e->i64, env, 8 * (uint64_t)(ENV_VARS + i), ""));
    e->slot[s->var] = LLVMGetParam(e->fn, 1);
    e->slot[s->alone] = pure_here(e, emit_field(e, e->i64, env, 8 * ENV_ALONE, ""));
    LLVMBuildStore(e->b, e->slot[LP_VAR_BATCH], e->args);
    return body_and_back(e, s->body, body, &outer, back);
}

/* Lanes run at the same time, each on one thread, where there are enough of them; else one after the other, and launches use the pool. */
void emit_lanes(Emit *e, const Ls *s) {
    Val n = emit_int(e, s->hi);
    Val *slots = arena_copy(e->a, e->slot, sizeof *e->slot * (size_t)e->nslot);
    Val threads = LLVMBuildZExt(e->b, call_field(e, e->i32, CALL(threads)), e->i64, "");
    Val pool = LLVMBuildICmp(e->b, LLVMIntNE, call_field(e, e->ptr, CALL(parallel_for)), LLVMConstNull(e->ptr), "");
    Val known = LLVMBuildICmp(e->b, LLVMIntNE, threads, emit_i64(e, 0), ""), enough = LLVMBuildICmp(e->b, LLVMIntSGE, n, threads, "");
    Val together = LLVMBuildAnd(e->b, LLVMBuildAnd(e->b, pool, known, ""), enough, "");
    store_env(e, ENV_CALL, LLVMBuildSelect(e->b, together, e->alone, e->call, ""));
    Val at = emit_address(e, e->scratch, emit_i64(e, -e->e->lane_floats));
    store_env(e, ENV_LANE, LLVMBuildSelect(e->b, together, LLVMConstNull(e->ptr), at, ""));
    Val alone = LLVMBuildOr(e->b, together, LLVMBuildNot(e->b, pool, ""), "");
    store_env(e, ENV_ALONE, LLVMBuildZExt(e->b, alone, e->i64, ""));
    if (e->prepared) store_env(e, ENV_PREPARED, e->prepared);
    for (int32_t i = 0; i < e->nvar; i++)
        if (slots[i]) store_env(e, ENV_VARS + i, slots[i]);
    Val task = lane_function(e, s, slots), bytes = emit_i64(e, e->e->thread_bytes + 4 * e->e->lane_floats);
    Val args[] = {LLVMBuildSelect(e->b, together, e->call, e->alone, ""), n, task, e->env, bytes, e->scratch};
    LLVMBuildCall2(e->b, launch_type(e), e->launch, args, 6, "");
}

static bool has_lanes(const Ls *s) {
    for (; s; s = s->next)
        if (s->kind == LS_LANES || has_lanes(s->body) || has_lanes(s->orelse)) return true;
    return false;
}

static void open_lanes(Emit *e, int32_t nvar) {
    Val size = emit_i64(e, sizeof(csc_call)), field = emit_i64(e, CALL(parallel_for));
    e->alone = LLVMBuildAlloca(e->b, LLVMArrayType2(e->i64, (sizeof(csc_call) + 7) / 8), "alone");
    LLVMBuildMemCpy(e->b, e->alone, 8, e->call, 8, size);
    LLVMBuildStore(e->b, LLVMConstNull(e->ptr), LLVMBuildInBoundsGEP2(e->b, e->i8, e->alone, &field, 1, ""));
    e->env = LLVMBuildAlloca(e->b, LLVMArrayType2(e->i64, (uint64_t)(ENV_VARS + nvar)), "env");
}

/* ---- what is prepared ---- */
/* void prepare(call, prepared, scratch): called by the entry where the call gives no block, and by what csc_entry offers. */
static Val prepare_function(Emit *e, const Ls *s) {
    LLVMBasicBlockRef back = LLVMGetInsertBlock(e->b);
    Emit outer = *e;
    LLVMTypeRef in[] = {e->ptr, e->ptr, e->ptr};
    open_function(e, arena_printf(e->a, "fill_%s", e->e->name ? e->e->name : ""), LLVMFunctionType(e->voidt, in, 3, 0));
    e->call = LLVMGetParam(e->fn, 0), e->prepared = LLVMGetParam(e->fn, 1), e->scratch = LLVMGetParam(e->fn, 2);
    e->start = emit_block(e, "");
    LLVMBasicBlockRef body = emit_block(e, "");
    LLVMPositionBuilderAtEnd(e->b, e->start);
    emit_open_slots(e, e->e->nvar);
    e->args = args_block(e);
    LLVMBuildStore(e->b, emit_i64(e, 0), e->args); /* no kernel of these reads the batch */
    return body_and_back(e, s->body, body, &outer, back);
}

static void call_prepare(Emit *e) {
    LLVMTypeRef in[] = {e->ptr, e->ptr, e->ptr};
    LLVMBuildCall2(e->b, LLVMFunctionType(e->voidt, in, 3, 0), e->prepare, (Val[]){e->call, e->prepared, e->scratch}, 3, "");
}

void emit_prepare(Emit *e, const Ls *s) {
    e->prepare = prepare_function(e, s);
    LLVMBasicBlockRef fill = emit_block(e, "fill"), next = emit_block(e, "");
    LLVMBuildCondBr(e->b, e->unprepared, fill, next);
    LLVMPositionBuilderAtEnd(e->b, fill);
    call_prepare(e);
    LLVMBuildBr(e->b, next);
    LLVMPositionBuilderAtEnd(e->b, next);
}

/* Where the workspace's last parts are, by what the call gives. */
static void find_ends(Emit *e) {
    int64_t prepared = e->e->prepared_floats;
    Val work = LLVMBuildMul(e->b, e->whole, emit_i64(e, e->e->batch_floats), "");
    work = LLVMBuildAdd(e->b, work, emit_i64(e, e->e->fixed_floats - prepared), "");
    Val given = prepared ? call_field(e, e->ptr, CALL(prepared)) : NULL;
    if (given) {
        e->unprepared = LLVMBuildICmp(e->b, LLVMIntEQ, given, LLVMConstNull(e->ptr), "");
        work = LLVMBuildAdd(e->b, work, LLVMBuildSelect(e->b, e->unprepared, emit_i64(e, prepared), emit_i64(e, 0), ""), "");
    }
    e->scratch = emit_address(e, call_field(e, e->ptr, CALL(workspace)), work);
    if (!given) return;
    Val own = emit_address(e, e->scratch, emit_i64(e, -e->e->lane_floats - prepared));
    e->prepared = pure_here(e, LLVMBuildSelect(e->b, e->unprepared, own, given, "prepared"));
}

/* The start of an entry: a call that makes no sense returns 1. The good one goes on in e->start, which is open. */
static void open_entry(Emit *e, const char *name) {
    open_function(e, name, LLVMFunctionType(e->i32, &e->ptr, 1, 0));
    e->call = LLVMGetParam(e->fn, 0);
    e->alone = e->env = e->lane = e->prepared = e->unprepared = NULL;
    LLVMPositionBuilderAtEnd(e->b, emit_block(e, ""));
    emit_open_slots(e, e->e->nvar);
    e->args = args_block(e);
    Val size = call_field(e, e->i32, CALL(size)), batch = call_field(e, e->i32, CALL(batch));
    Val small = LLVMBuildICmp(e->b, LLVMIntULT, size, LLVMConstInt(e->i32, sizeof(csc_call), 0), "");
    Val empty = LLVMBuildICmp(e->b, LLVMIntEQ, batch, LLVMConstInt(e->i32, 0, 0), "");
    LLVMBasicBlockRef bad = emit_block(e, "bad");
    e->start = emit_block(e, "good");
    LLVMBuildCondBr(e->b, LLVMBuildOr(e->b, small, empty, ""), bad, e->start);
    LLVMPositionBuilderAtEnd(e->b, bad);
    LLVMBuildRet(e->b, LLVMConstInt(e->i32, 1, 0));
    LLVMPositionBuilderAtEnd(e->b, e->start);
    e->whole = e->slot[LP_VAR_BATCH] = pure_here(e, LLVMBuildZExt(e->b, batch, e->i64, ""));
}

/* int prepare(call) of csc_entry: 1 also where the call gives no block. */
static Val prepare_entry(Emit *e) {
    open_entry(e, arena_printf(e->a, "prepare_%s", e->e->name ? e->e->name : ""));
    find_ends(e);
    LLVMBasicBlockRef bad = emit_block(e, "none"), good = emit_block(e, "fill");
    LLVMBuildCondBr(e->b, e->unprepared, bad, good);
    LLVMPositionBuilderAtEnd(e->b, bad);
    LLVMBuildRet(e->b, LLVMConstInt(e->i32, 1, 0));
    LLVMPositionBuilderAtEnd(e->b, good);
    call_prepare(e);
    LLVMBuildRet(e->b, LLVMConstInt(e->i32, 0, 0));
    return e->fn;
}

EntryCode emit_entry(Emit *e, const LpEntry *entry) {
    if (!e->launch) e->launch = launch_function(e);
    e->k = NULL;
    e->e = entry;
    e->prepare = NULL;
    open_entry(e, arena_printf(e->a, "entry_%s", entry->name ? entry->name : ""));
    if (has_lanes(entry->body)) open_lanes(e, entry->nvar);
    e->slot[LP_VAR_SEED] = pure_here(e, call_field(e, e->i64, CALL(seed)));
    e->slot[LP_VAR_STEP] = pure_here(e, call_field(e, e->i64, CALL(step)));
    e->slot[LP_VAR_FIRST_SAMPLE] = pure_here(e, call_field(e, e->i64, CALL(first_sample)));
    find_ends(e);
    LLVMBasicBlockRef body = emit_block(e, "");
    LLVMBuildStore(e->b, e->whole, e->args);
    LLVMBuildBr(e->b, body);
    LLVMPositionBuilderAtEnd(e->b, body);
    emit_list(e, entry->body);
    LLVMBuildRet(e->b, LLVMConstInt(e->i32, 0, 0));
    Val run = e->fn;
    return (EntryCode){run, e->prepare ? prepare_entry(e) : LLVMConstNull(e->ptr)};
}
