/* Statements: structured SSA, built directly. Each variable and register has a current value; loops and branches make phis for
   those that change in them. */
#include "base/trouble.h"
#include "llvm/pure.h"
#include <string.h>

void emit_open_slots(Emit *e, int32_t nvar) {
    e->nvar = nvar;
    e->nslot = nvar + (e->k ? e->k->nreg : 0);
    e->slot = ARENA_ARRAY(e->a, Val, e->nslot);
    e->known.known = ARENA_ARRAY(e->a, bool, nvar);
    e->known.value = ARENA_ARRAY(e->a, int64_t, nvar);
    e->loop = NULL;
    pure_open(e);
}

static LLVMTypeRef slot_type(Emit *e, int32_t slot) {
    return slot < e->nvar ? e->i64 : emit_vec(e, e->k->reg_width[slot - e->nvar]);
}

Val emit_zero(Emit *e, int32_t slot) { return LLVMConstNull(slot_type(e, slot)); }

static Val current(Emit *e, int32_t slot) { return e->slot[slot] ? e->slot[slot] : emit_zero(e, slot); }

static Val *snapshot(Emit *e) { return arena_copy(e->a, e->slot, sizeof *e->slot * (size_t)e->nslot); }

/* ---- which slots a list changes ---- */
static void changes(Emit *e, const Ls *s, bool *set) {
    for (; s; s = s->next) {
        int64_t v = 0, lo, hi;
        switch (s->kind) {
        case LS_SETVAR: case LS_F2VAR: set[s->var] = true; break;
        case LS_SET:
            MUST(!s->reg_at || loop_fold(s->reg_at, &e->known, &v));
            set[e->nvar + s->reg + v] = true;
            break;
        case LS_IF: {
            bool fixed = loop_fold(s->cond, &e->known, &v);
            if (!fixed || v) changes(e, s->body, set);
            if (!fixed || !v) changes(e, s->orelse, set);
            break;
        }
        case LS_FOR:
            if (!s->unroll) {
                changes(e, s->body, set);
                break;
            }
            MUST(loop_fold(s->lo, &e->known, &lo) && loop_fold(s->hi, &e->known, &hi));
            for (int64_t i = lo; i < hi; i += s->step->i) {
                e->known.known[s->var] = true;
                e->known.value[s->var] = i;
                changes(e, s->body, set);
            }
            e->known.known[s->var] = false;
            break;
        case LS_BREAK_IF: case LS_STORE: case LS_STORE_STRIDED: case LS_PREFETCH: case LS_TILE_CLEAR: case LS_TILE_LOAD: case LS_TILE_DOT: case LS_TILE_STORE: case LS_STORE_PAIRS: case LS_LAUNCH:
        case LS_LANES: case LS_PREPARE: break; /* what the last two set is their own */
        case LS_THREADS: case LS_SYNC: case LS_LAST: case LS_MMA: case LS_MMA_WAIT: case LS_WARP: case LS_COPY: case LS_GROUP: case LS_WAIT: case LS_KINDS: BUG("statement of kind %d", (int)s->kind);
        }
    }
}

/* ---- loops ---- */
static void emit_unrolled(Emit *e, const Ls *s) {
    int64_t lo, hi;
    MUST(loop_fold(s->lo, &e->known, &lo) && loop_fold(s->hi, &e->known, &hi));
    for (int64_t i = lo; i < hi; i += s->step->i) {
        e->known.known[s->var] = true;
        e->known.value[s->var] = i;
        emit_list(e, s->body);
    }
    e->known.known[s->var] = false;
}

static void add_incoming(Val phi, Val v, LLVMBasicBlockRef from) { LLVMAddIncoming(phi, &v, &from, 1); }

/* if (lo < hi) do body while ((var += step) < hi): the test is at the end, so that the body is one block where it can be. */
static void emit_for(Emit *e, const Ls *s) {
    int64_t lo, hi;
    bool has_lo = loop_fold(s->lo, &e->known, &lo), has_hi = loop_fold(s->hi, &e->known, &hi);
    if (has_lo && has_hi && lo >= hi) return;
    Val first = emit_int(e, s->lo), end = emit_int(e, s->hi);
    bool *set = ARENA_ARRAY(e->a, bool, e->nslot);
    changes(e, s->body, set);
    set[s->var] = false;
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->b), body = emit_block(e, "body"), exit = emit_block(e, "exit");
    bool guarded = !(has_lo && has_hi);
    if (guarded) LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, first, end, ""), body, exit);
    else LLVMBuildBr(e->b, body);
    Val *start = snapshot(e), *phi = ARENA_ARRAY(e->a, Val, e->nslot);
    LLVMPositionBuilderAtEnd(e->b, body);
    pure_enter(e, before, true);
    Val var = pure_here(e, LLVMBuildPhi(e->b, e->i64, ""));
    add_incoming(var, first, before);
    for (int32_t i = 0; i < e->nslot; i++) {
        if (!set[i]) continue;
        phi[i] = pure_here(e, LLVMBuildPhi(e->b, slot_type(e, i), ""));
        start[i] = current(e, i);
        add_incoming(phi[i], start[i], before);
        e->slot[i] = phi[i];
    }
    LoopFrame frame = {.outer = e->loop, .exit = exit};
    e->loop = &frame;
    e->slot[s->var] = var;
    emit_list(e, s->body);
    e->loop = frame.outer;
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b);
    Val next = LLVMBuildAdd(e->b, var, emit_i64(e, s->step->i), "");
    add_incoming(var, next, latch);
    for (int32_t i = 0; i < e->nslot; i++)
        if (set[i]) add_incoming(phi[i], e->slot[i], latch);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, next, end, ""), body, exit);
    LLVMPositionBuilderAtEnd(e->b, exit);
    pure_leave(e);
    for (int32_t i = 0; i < e->nslot; i++) {
        if (!set[i] || (!guarded && !frame.breaks.len)) continue;
        Val out = pure_here(e, LLVMBuildPhi(e->b, slot_type(e, i), ""));
        if (guarded) add_incoming(out, start[i], before);
        add_incoming(out, e->slot[i], latch);
        for (size_t k = 0; k < frame.breaks.len; k++) {
            Val v = frame.breaks.at[k].slot[i];
            add_incoming(out, v ? v : emit_zero(e, i), frame.breaks.at[k].from);
        }
        e->slot[i] = out;
    }
    e->slot[s->var] = NULL;
}

static void emit_break(Emit *e, const Ls *s) {
    Val leave;
    if (s->cond) leave = emit_truth(e, s->cond);
    else {
        Val f = LLVMBuildLoad2(e->b, e->f32, emit_pointer_to(e, s->ptrs), "");
        leave = LLVMBuildFCmp(e->b, LLVMRealUNE, f, emit_f32s(e, 0, 1), "");
    }
    LLVMBasicBlockRef stay = emit_block(e, "stay");
    Break b = {LLVMGetInsertBlock(e->b), snapshot(e)};
    vec_push(e->a, &e->loop->breaks, b);
    LLVMBuildCondBr(e->b, leave, e->loop->exit, stay);
    LLVMPositionBuilderAtEnd(e->b, stay);
}

/* ---- branches ---- */
static void emit_if(Emit *e, const Ls *s) {
    int64_t v;
    if (loop_fold(s->cond, &e->known, &v)) {
        emit_list(e, v ? s->body : s->orelse);
        return;
    }
    Val cond = emit_truth(e, s->cond), *start = snapshot(e);
    LLVMBasicBlockRef yes = emit_block(e, "then"), no = emit_block(e, "else"), join = emit_block(e, "join");
    LLVMBuildCondBr(e->b, cond, yes, no);
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->b);
    LLVMPositionBuilderAtEnd(e->b, yes);
    pure_enter(e, before, false);
    emit_list(e, s->body);
    pure_leave(e);
    Val *after_yes = snapshot(e);
    LLVMBasicBlockRef from_yes = LLVMGetInsertBlock(e->b);
    LLVMBuildBr(e->b, join);
    memcpy(e->slot, start, sizeof *e->slot * (size_t)e->nslot);
    LLVMPositionBuilderAtEnd(e->b, no);
    pure_enter(e, before, false);
    emit_list(e, s->orelse);
    pure_leave(e);
    LLVMBasicBlockRef from_no = LLVMGetInsertBlock(e->b);
    LLVMBuildBr(e->b, join);
    LLVMPositionBuilderAtEnd(e->b, join);
    for (int32_t i = 0; i < e->nslot; i++) {
        if (after_yes[i] == e->slot[i]) continue;
        Val out = pure_here(e, LLVMBuildPhi(e->b, slot_type(e, i), ""));
        add_incoming(out, after_yes[i] ? after_yes[i] : emit_zero(e, i), from_yes);
        add_incoming(out, current(e, i), from_no);
        e->slot[i] = out;
    }
}

static void emit_one(Emit *e, const Ls *s) {
    int64_t plus = 0;
    e->memo.turn++;
    switch (s->kind) {
    case LS_FOR:
        if (s->unroll) emit_unrolled(e, s);
        else emit_for(e, s);
        return;
    case LS_IF: emit_if(e, s); return;
    case LS_SETVAR:
        e->slot[s->var] = emit_int(e, s->cond);
        if (!e->k && s->var == LP_VAR_BATCH) LLVMBuildStore(e->b, e->slot[s->var], e->args); /* slot 0 of the arguments */
        return;
    case LS_BREAK_IF: emit_break(e, s); return;
    case LS_SET:
        MUST(!s->reg_at || loop_fold(s->reg_at, &e->known, &plus));
        e->slot[e->nvar + s->reg + plus] = emit_float(e, s->value);
        return;
    case LS_STORE: case LS_STORE_STRIDED: emit_store(e, s); return;
    case LS_PREFETCH: emit_prefetch(e, s); return;
    case LS_LAUNCH: emit_launch(e, s); return;
    case LS_LANES: emit_lanes(e, s); return;
    case LS_PREPARE: emit_prepare(e, s); return;
    case LS_F2VAR: e->slot[s->var] = emit_to_int(e, LLVMBuildLoad2(e->b, e->f32, emit_pointer_to(e, s->ptrs), "")); return;
    case LS_TILE_CLEAR: case LS_TILE_LOAD: case LS_TILE_DOT: case LS_TILE_STORE: emit_tile(e, s); return;
    case LS_STORE_PAIRS: emit_store_pairs(e, s); return;
    case LS_THREADS: case LS_SYNC: case LS_LAST: case LS_MMA: case LS_MMA_WAIT: case LS_WARP: case LS_COPY: case LS_GROUP: case LS_WAIT: case LS_KINDS: break;
    }
    BUG("statement of kind %d", (int)s->kind);
}

void emit_list(Emit *e, const Ls *s) {
    for (; s; s = s->next) emit_one(e, s);
}
