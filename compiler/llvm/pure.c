/* Pure integer operations: each is written once for all the places that its value reaches, outside of the loops that do not change it.
   This is value numbering and loop-invariant motion while the code is built: half of the instructions are never made, and divisions do
   not stay in inner loops. A region is a stretch of blocks each of which is reached through the ones before it: the function, the body of a
   loop, an arm of a branch; they nest. A value belongs to the innermost region of its operands. */
#include "llvm/pure.h"
#include "base/trouble.h"

typedef struct Region {
    uint64_t id;
    bool loop;
    LLVMBasicBlockRef before; /* the block that leads into it, with its terminator */
} Region;

typedef struct Known { /* where a value was made */
    Val v;
    int32_t depth;
    uint64_t region;
} Known;

typedef struct Made { /* what was made for a key */
    PureOp op;
    Val a, b, c, result;
    int32_t depth;
    uint64_t region;
} Made;

struct Pure {
    Vec(Region) stack;
    uint64_t ids;
    Known *known;
    size_t known_cap, known_len;
    Made *made;
    size_t made_cap, made_len;
};

void pure_open(Emit *e) {
    e->pure = ARENA_NEW(e->a, Pure);
    pure_enter(e, NULL, false);
}

void pure_enter(Emit *e, LLVMBasicBlockRef before, bool loop) {
    Region r = {++e->pure->ids, loop, before};
    vec_push(e->a, &e->pure->stack, r);
}

void pure_leave(Emit *e) { e->pure->stack.len--; }

static int32_t here(const Pure *p) { return (int32_t)p->stack.len - 1; }
static bool alive(const Pure *p, int32_t depth, uint64_t region) { return depth <= here(p) && p->stack.at[depth].id == region; }
static size_t hash(uint64_t h, uint64_t v) { return (size_t)((h ^ v) * 0x9E3779B97F4A7C15u >> 7); }

/* ---- where values were made ---- */
static Known *known_cell(Emit *e, Val v) {
    Pure *p = e->pure;
    if (p->known_len * 2 >= p->known_cap) {
        Known *old = p->known;
        size_t n = p->known_cap;
        p->known_cap = n ? 2 * n : 256;
        p->known = ARENA_ARRAY(e->a, Known, p->known_cap);
        p->known_len = 0;
        for (size_t i = 0; i < n; i++)
            if (old[i].v) *known_cell(e, old[i].v) = old[i];
    }
    size_t i = hash(17, (uintptr_t)v >> 3) & (p->known_cap - 1);
    while (p->known[i].v && p->known[i].v != v) i = (i + 1) & (p->known_cap - 1);
    if (!p->known[i].v) {
        p->known[i].v = v;
        p->known[i].depth = -1;
        p->known_len++;
    }
    return &p->known[i];
}

static void set_depth(Emit *e, Val v, int32_t depth) {
    Known *k = known_cell(e, v);
    k->depth = depth;
    k->region = e->pure->stack.at[depth].id;
}

Val pure_here(Emit *e, Val v) {
    if (!LLVMIsConstant(v)) set_depth(e, v, here(e->pure));
    return v;
}

void pure_from_start(Emit *e, Val v) { set_depth(e, v, 0); }

int32_t pure_depth(Emit *e, Val v) {
    if (!v || LLVMIsConstant(v) || LLVMIsAArgument(v)) return 0;
    Known *k = known_cell(e, v);
    return k->depth >= 0 && alive(e->pure, k->depth, k->region) ? k->depth : here(e->pure);
}

/* ---- operations ---- */
static Val build(Emit *e, PureOp op, Val a, Val b, Val c) {
    LLVMBuilderRef to = e->b;
    switch (op) {
    case PURE_ADD: return LLVMBuildAdd(to, a, b, "");
    case PURE_SUB: return LLVMBuildSub(to, a, b, "");
    case PURE_MUL: return LLVMBuildMul(to, a, b, "");
    case PURE_DIV: return LLVMBuildUDiv(to, a, b, "");
    case PURE_MOD: return LLVMBuildURem(to, a, b, "");
    case PURE_LT: return LLVMBuildICmp(to, LLVMIntSLT, a, b, "");
    case PURE_EQ: return LLVMBuildICmp(to, LLVMIntEQ, a, b, "");
    case PURE_NE: return LLVMBuildICmp(to, LLVMIntNE, a, b, "");
    case PURE_AND: return LLVMBuildAnd(to, a, b, "");
    case PURE_OR: return LLVMBuildOr(to, a, b, "");
    case PURE_NOT: return LLVMBuildNot(to, a, "");
    case PURE_WIDEN: return LLVMBuildZExt(to, a, e->i64, "");
    case PURE_NARROW: return LLVMBuildTrunc(to, a, e->i32, "");
    case PURE_SELECT: return LLVMBuildSelect(to, a, b, c, "");
    case PURE_AT: return LLVMBuildGEP2(to, e->f32, a, &b, 1, "");
    case PURE_AT_SHORT: return LLVMBuildGEP2(to, e->i16, a, &b, 1, "");
    }
    BUG("operation %d", (int)op);
}

static Made *made_cell(Emit *e, PureOp op, Val a, Val b, Val c) {
    Pure *p = e->pure;
    if (p->made_len * 2 >= p->made_cap) {
        Made *old = p->made;
        size_t n = p->made_cap;
        p->made_cap = n ? 2 * n : 256;
        p->made = ARENA_ARRAY(e->a, Made, p->made_cap);
        p->made_len = 0;
        for (size_t i = 0; i < n; i++)
            if (old[i].a) *made_cell(e, old[i].op, old[i].a, old[i].b, old[i].c) = old[i];
    }
    size_t i = hash(hash(hash(op, (uintptr_t)a), (uintptr_t)b), (uintptr_t)c) & (p->made_cap - 1);
    for (;; i = (i + 1) & (p->made_cap - 1)) {
        Made *m = &p->made[i];
        if (!m->a) {
            *m = (Made){.op = op, .a = a, .b = b, .c = c, .depth = -1};
            p->made_len++;
            return m;
        }
        if (m->op == op && m->a == a && m->b == b && m->c == c) return m;
    }
}

/* The region in which the value is made: outside of as many loops as its operands allow, and no further out than that needs. */
static int32_t home(const Pure *p, int32_t least) {
    int32_t best = here(p);
    for (int32_t t = best; t > least; t--)
        if (p->stack.at[t].loop) best = t - 1;
    return best;
}

Val pure_op(Emit *e, PureOp op, Val a, Val b, Val c) {
    Pure *p = e->pure;
    if (LLVMIsConstant(a) && (!b || LLVMIsConstant(b)) && (!c || LLVMIsConstant(c)) && op != PURE_AT && op != PURE_AT_SHORT) return build(e, op, a, b, c);
    Made *m = made_cell(e, op, a, b, c);
    if (m->depth >= 0 && alive(p, m->depth, m->region)) return m->result;
    int32_t da = pure_depth(e, a), db = pure_depth(e, b), dc = pure_depth(e, c), least = da > db ? da : db;
    int32_t at = home(p, least > dc ? least : dc);
    LLVMBasicBlockRef back = LLVMGetInsertBlock(e->b);
    if (at < here(p)) LLVMPositionBuilderBefore(e->b, LLVMGetBasicBlockTerminator(p->stack.at[at + 1].before));
    Val r = build(e, op, a, b, c);
    if (at < here(p)) LLVMPositionBuilderAtEnd(e->b, back);
    m->result = r;
    m->depth = at;
    m->region = p->stack.at[at].id;
    if (!LLVMIsConstant(r)) set_depth(e, r, at);
    return r;
}
