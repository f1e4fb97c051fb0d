/* Scheduled programs against the evaluator of graphs: every operator and random programs, batches of 1, 3
 * and 5. */
#include "check.h"
#include "ad/ad.h"
#include "csc_model.h"
#include "optest.h"
#include "sched/sched.h"
#ifdef CSC_HAVE_LLVM
#include "llvm/llvm.h"
#endif

/* A program with the leaves of the test, and one entry. */
typedef struct Rig {
    Cx *cx;
    Arena *a;
    OpTest t;
    Program p;
    Entry entry;
    csc_call call;
    float **in, **out;
    float *params, *state;
    Value *want; /* one per output */
    unsigned choice; /* not 0: which of the tiles to be measured is forced on each product */
} Rig;

static float *floats(Arena *a, int64_t n) {
    float *f = arena_alloc(a, (size_t)(n + 32) * sizeof *f);
    return (float *)(((uintptr_t)f + 63) / 64 * 64);
}

static void narrow(double *at, int64_t n) { /* values that a float holds, so that both sides see the same */
    for (int64_t i = 0; i < n; i++) at[i] = (float)at[i];
}

static void rig_set_batch(Rig *r, int64_t batch) {
    for (uint32_t i = 0; i < r->t.ninput; i++) {
        Value *v = (Value *)&r->t.env.inputs[i];
        int64_t n = shape_size(v->shape), had = r->t.env.batch;
        double *more = ARENA_ARRAY(r->a, double, n *batch);
        for (int64_t s = 0; s < batch; s++)
            for (int64_t k = 0; k < n; k++) more[s * n + k] = v->at[(s % had) * n + k];
        v->at = more;
    }
    r->t.env.batch = batch;
}

static void rig_open(Rig *r, OpTest t) {
    *r = (Rig){.cx = cx_new(), .t = t};
    r->a = r->cx->keep;
}

static void rig_fill(Rig *r) {
    Arena *a = r->a;
    const EvalEnv *env = &r->t.env;
    r->p = (Program){.arena = a};
    for (uint32_t i = 0; i < r->t.nparam; i++)
        vec_push(a, &r->p.params, ((ParamDecl){.shape = env->params[i].shape}));
    for (uint32_t i = 0; i < r->t.nstate; i++)
        vec_push(a, &r->p.states, ((StateDecl){.shape = env->states[i].shape}));
    int64_t at = 0;
    for (size_t i = 0; i < r->p.params.len; i++)
        r->p.params.at[i].offset = at, at += (shape_size(env->params[i].shape) + 15) / 16 * 16;
    r->p.param_floats = at;
    at = 0;
    for (size_t i = 0; i < r->p.states.len; i++)
        r->p.states.at[i].offset = at, at += (shape_size(env->states[i].shape) + 15) / 16 * 16;
    r->p.state_floats = at;
    InputDecl *in = ARENA_ARRAY(a, InputDecl, r->t.ninput + 1);
    for (uint32_t i = 0; i < r->t.ninput; i++) in[i].shape = env->inputs[i].shape;
    r->entry = (Entry){.kind = ENTRY_FORWARD,
                       .graph = r->t.graph,
                       .nin = (int32_t)r->t.ninput,
                       .in = in,
                       .name = name_of(r->cx, "forward")};

    float *tunables = floats(a, 16);
    for (size_t i = 0; i < r->t.graph->nodes.len; i++) {
        const Node *n = &r->t.graph->nodes.at[i];
        if (n->op != OP_tunable) continue;
        while (r->p.tunables.len <= (size_t)n->a.index) vec_push(a, &r->p.tunables, ((TunableDecl){0}));
        narrow(env->tunables[n->a.index].at, 1);
        tunables[n->a.index] = (float)*env->tunables[n->a.index].at;
    }

    r->params = floats(a, r->p.param_floats), r->state = floats(a, r->p.state_floats);
    r->in = ARENA_ARRAY(a, float *, r->t.ninput + 1);
    for (uint32_t i = 0; i < r->t.nparam; i++) {
        narrow(env->params[i].at, shape_size(env->params[i].shape));
        for (int64_t k = 0; k < shape_size(env->params[i].shape); k++)
            r->params[r->p.params.at[i].offset + k] = (float)env->params[i].at[k];
    }
    for (uint32_t i = 0; i < r->t.nstate; i++) {
        narrow(env->states[i].at, shape_size(env->states[i].shape));
        for (int64_t k = 0; k < shape_size(env->states[i].shape); k++)
            r->state[r->p.states.at[i].offset + k] = (float)env->states[i].at[k];
    }
    for (uint32_t i = 0; i < r->t.ninput; i++) {
        int64_t n = shape_size(env->inputs[i].shape) * env->batch;
        narrow(env->inputs[i].at, n);
        r->in[i] = floats(a, n);
        for (int64_t k = 0; k < n; k++) r->in[i][k] = (float)env->inputs[i].at[k];
    }
    Value *all = eval_graph(a, r->t.graph, env);
    size_t nout = r->t.graph->outs.len;
    r->want = ARENA_ARRAY(a, Value, nout + 1);
    r->out = ARENA_ARRAY(a, float *, nout + 1);
    for (size_t i = 0; i < nout; i++) {
        r->want[i] = all[r->t.graph->outs.at[i].node];
        int64_t n = shape_size(r->want[i].shape) * env->batch;
        r->out[i] = floats(a, n);
        for (int64_t k = 0; k < n; k++) r->out[i][k] = NAN;
    }
    r->call = (csc_call){.size = sizeof r->call,
                         .batch = (uint32_t)env->batch,
                         .in = (const float *const *)r->in,
                         .out = r->out,
                         .params = r->params,
                         .state = r->state,
                         .tunables = tunables,
                         .seed = env->seed,
                         .step = env->step,
                         .first_sample = (uint64_t)env->first_sample};
}

static void compare(const Rig *r, const char *how, const char *what, uint64_t seed) {
    for (size_t i = 0; i < r->t.graph->outs.len; i++) {
        const Value *v = &r->want[i];
        int64_t n = shape_size(v->shape);
        double most = 0;
        for (int64_t k = 0; k < n * (v->batched ? r->t.env.batch : 1); k++)
            if (isfinite(v->at[k]) && fabs(v->at[k]) > most) most = fabs(v->at[k]);
        bool once = r->t.graph->outs.at[i].role == OUT_LOSS;
        for (int64_t k = 0; k < n * (once ? 1 : r->t.env.batch); k++) {
            double want = v->at[v->batched ? k : k % n], got = r->out[i][k];
            if (isnan(want) ? isnan(got) : isinf(want) ? got == want : fabs(got - want) <= 2e-5 * (1 + most))
                continue;
            FAIL("%s, %s seed %llu, batch %lld: output %zu entry %lld is %.9g, expected %.9g", how, what,
                 (unsigned long long)seed, (long long)r->t.env.batch, i, (long long)k, got, want);
        }
    }
}

static SchedResult *schedule(Rig *r, int lanes, int group) {
    SchedTarget target = {.lanes = lanes, .registers = lanes == 16 ? 32 : 16, .group = group};
    SchedResult *s = sched_program(r->cx, r->a, &r->p, &r->entry, 1, &target);
    if (r->choice && s->tiles.len) { /* every product by another tile than the model's */
        SchedTile *tuned = ARENA_ARRAY(r->a, SchedTile, s->tiles.len), choice[16];
        size_t n = 0;
        for (size_t i = 0; i < s->tiles.len; i++) {
            size_t most = sched_tile_choices(&target, &s->tiles.at[i], choice, 16);
            if (most) tuned[n++] = choice[r->choice % most];
        }
        target.tuned = tuned, target.ntuned = n;
        s = sched_program(r->cx, r->a, &r->p, &r->entry, 1, &target);
        for (size_t i = 0, k = 0; i < s->tiles.len && k < n; i++)
            if (sched_tile_same_work(&s->tiles.at[i], &tuned[k])) {
                CHECK(s->tiles.at[i].kv == tuned[k].kv && s->tiles.at[i].tile_cols == tuned[k].tile_cols);
                k++;
            }
    }
    const char *why = "";
    if (!loop_check(r->a, s->module, &why)) {
        if (getenv("CSC_SHOW")) loop_print(s->module, stdout);
        FAIL("loop_check: %s", why);
    }
    const LpEntry *e = &s->module->entries.at[0];
    r->call.workspace =
        floats(r->a, e->fixed_floats + e->batch_floats * r->t.env.batch + e->thread_bytes / 4);
    return s;
}

/* The same entry as machine code for processors of 4, 8 and 16 lanes, where they run here. */
static void run_compiled(Rig *r, const SchedResult *s, int lanes, const char *what, uint64_t seed) {
#ifdef CSC_HAVE_LLVM
    const char *cpu = lanes == 4 ? "x86-64-v2" : lanes == 8 ? "x86-64-v3" : "x86-64-v4", *why = "";
    if (lanes == 8 && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) return;
    if (lanes == 16 && !__builtin_cpu_supports("avx512dq")) return;
    LlvmModelInfo info = {.json = "{}",
                          .param_floats = (uint64_t)r->p.param_floats,
                          .state_floats = (uint64_t)r->p.state_floats};
    CodeObject *o = llvm_emit(r->a, s->module, &info, &(LlvmOptions){.cpu = cpu, .level = 1}, NULL, NULL);
    const csc_model *m;
    CodeImage *j = code_load(r->a, o, &m, &why);
    if (!j) FAIL("%s", why);
    for (size_t i = 0; i < r->t.graph->outs.len; i++)
        for (int64_t k = 0; k < shape_size(r->want[i].shape) * r->t.env.batch; k++) r->out[i][k] = NAN;
    CHECK(m->entries[0].run(&r->call) == 0);
    code_free(j);
    compare(r, "compiled", what, seed);
#else
    (void)r, (void)s, (void)lanes, (void)what, (void)seed;
#endif
}

static void run_choice(OpTest t, Arena *a, const char *what, uint64_t seed, int64_t batch, unsigned choice) {
    Rig r;
    rig_open(&r, t);
    r.choice = choice;
    rig_set_batch(&r, batch);
    rig_fill(&r);
    if (getenv("CSC_SHOW")) {
        printf("%s %llu\n", what, (unsigned long long)seed);
        graph_print(r.t.graph, stdout);
        fflush(stdout);
    }
    int lanes = seed % 3 == 0 ? 16 : seed % 3 == 1 ? 8 : 4;
    SchedResult *s = schedule(&r, lanes, (int)(seed / 9 % 3)); /* 0: as sched likes */
    const char *why = "";
    if (!loop_eval(a, s->module, 0, &r.call, &why)) {
        if (getenv("CSC_SHOW")) loop_print(s->module, stdout);
        FAIL("loop_eval, %s seed %llu: %s", what, (unsigned long long)seed, why);
    }
    compare(&r, "loop_eval", what, seed);
    if (seed % 13 == 0 && seed < 200) run_compiled(&r, s, lanes, what, seed);
    cx_free(r.cx);
}

static void run_one(OpTest t, Arena *a, const char *what, uint64_t seed, int64_t batch) {
    run_choice(t, a, what, seed, batch, 0);
}

static uint64_t many(uint64_t n) { /* more seeds */
    const char *full = getenv("CSC_FULL");
    return full && *full == '1' ? 8 * n : n;
}

static const int64_t batches[] = {1, 3, 5};

TEST(every_operator) {
    for (int k = 0; k < OP_COUNT; k++)
        for (uint64_t seed = 0; seed < many(18); seed++) {
            Arena *a = arena_new();
            run_one(optest_instance(a, (OpKind)k, seed), a, op_info[k].id, seed, batches[seed / 3 % 3]);
            arena_free(a);
        }
}

TEST(random_programs) {
    for (uint64_t seed = 0; seed < many(60); seed++) {
        Arena *a = arena_new();
        run_one(optest_program(a, seed), a, "program", seed, batches[seed / 3 % 3]);
        arena_free(a);
    }
}

/* The graph and the gradients of the sum of all its outputs. */
static OpTest with_gradients(Arena *a, OpTest t) {
    Graph *g = t.graph;
    NodeId sum = op_const(g, 0, (Shape){0});
    for (size_t i = 0; i < g->outs.len; i++) {
        NodeId v = op_sum_all(g, g->outs.at[i].node);
        sum = op2(g, OP_add, sum, graph_batched(g, v) ? op1(g, OP_batch_sum, v) : v);
    }
    NodeId *wrt = ARENA_ARRAY(a, NodeId, t.nleaf + 1), *grads = ARENA_ARRAY(a, NodeId, t.nleaf + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < t.nleaf; i++)
        if (t.real[i]) wrt[n++] = t.leaf[i];
    t.graph = ad_reverse(a, g, &sum, NULL, 1, wrt, n, grads);
    for (uint32_t i = 0; i < n; i++)
        graph_out(t.graph, OUT_VALUE, (int32_t)t.graph->outs.len, grads[i], NULL);
    return t;
}

TEST(random_gradients) {
    for (uint64_t seed = 100; seed < 100 + many(30); seed++) {
        Arena *a = arena_new();
        run_one(with_gradients(a, optest_program(a, seed)), a, "gradients of program", seed,
                batches[seed / 3 % 3]);
        arena_free(a);
    }
}

/* Products of every form, with and without an ending in the registers, and with samples enough for whole
 * tiles of columns. */
typedef struct Product {
    int64_t ci, co, h, w;
    int k, s, d, lo, hi;
} Product;
static const Product products[] = {
    {5, 19, 6, 7, 3, 1, 1, 1, 1}, {3, 2, 9, 17, 3, 1, 1, 1, 1}, {20, 1, 7, 9, 3, 1, 1, 1, 1},
    {1, 33, 8, 8, 5, 1, 1, 2, 2}, {5, 19, 4, 4, 4, 1, 1, 0, 0}, {18, 5, 5, 4, 4, 1, 1, 0, 0},
    {6, 17, 9, 9, 3, 2, 1, 1, 1}, {17, 6, 9, 8, 6, 2, 1, 0, 0}, {4, 4, 7, 7, 3, 1, 3, 3, 3},
    {4, 20, 6, 6, 1, 1, 1, 0, 0}, {7, 9, 6, 6, 1, 2, 1, 0, 0},  {3, 16, 11, 30, 5, 3, 1, 2, 1},
};

static OpTest product_graph(Arena *a, Rng *r, const Product *p, OpKind op, bool ending, int64_t batch) {
    OpTest t;
    optest_start(&t, a, r);
    t.env.batch = batch;
    int64_t oh = sig_conv_out(p->h, p->k, p->s, p->d, p->lo, p->hi),
            ow = sig_conv_out(p->w, p->k, p->s, p->d, p->lo, p->hi);
    ConvGeom c = {{p->k, p->k}, {p->s, p->s}, {p->d, p->d}, {p->lo, p->lo}, {p->hi, p->hi}, 1,
                  {p->h, p->w}, {oh, ow},     p->ci,        p->co};
    Shape x = shape_of(3, p->ci, p->h, p->w), y = shape_of(3, p->co, oh, ow),
          w = shape_of(4, p->co, p->ci, (int64_t)p->k, (int64_t)p->k);
    bool back = op == OP_conv_adj, grad = op == OP_conv_grad;
    Shape result = grad ? w : back ? x : y;
    NodeId in[2] = {optest_leaf(&t, r, back ? y : x, true, DOM_ANY, 0),
                    optest_leaf(&t, r, grad ? y : w, grad, DOM_ANY, 0)};
    NodeId bias = optest_leaf(&t, r, shape_of(1, result.dim[0]), false, DOM_ANY, 0),
           more = optest_leaf(&t, r, result, !grad, DOM_ANY, 0);
    /* computed, so that they lie as they do inside of a network */
    for (int i = 0; i < 2; i++) in[i] = op1(t.graph, OP_neg, in[i]);
    NodeId v = graph_add(t.graph, op, in, 2, &(Attr){.conv = &c, .flag = grad}, (Span){0});
    if (ending) {
        v = op2(t.graph, OP_add, v, op1(t.graph, OP_neg, more));
        graph_out(t.graph, OUT_VALUE, 1, op2(t.graph, OP_mul, v, v), NULL);
        v = op1(t.graph, OP_relu, op2(t.graph, OP_sub, v, op_expand(t.graph, bias, result)));
        v = op2(t.graph, OP_mul, v, op_const(t.graph, 0.5, result));
    }
    graph_out(t.graph, OUT_VALUE, 0, op1(t.graph, OP_neg, v), NULL);
    return t;
}

TEST(products) {
    static const OpKind ops[] = {OP_conv, OP_conv_adj, OP_conv_grad};
    uint64_t seed = 0;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        for (int op = 0; op < 3; op++)
            for (int form = 0; form < 4; form++, seed++) {
                Arena *a = arena_new();
                Rng r = {seed};
                int64_t batch = form & 1 ? 31 : 2;
                run_one(product_graph(a, &r, &products[i], ops[op], form & 2, batch), a, op_info[ops[op]].id,
                        seed, batch);
                arena_free(a);
            }
}

TEST(measured_tiles) { /* what cscc autotune may find is as right as what the model chooses */
    uint64_t seed = 0;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        for (unsigned choice = 1; choice < 8; choice += 2, seed++) {
            Arena *a = arena_new();
            Rng r = {seed};
            OpKind op = choice & 2 ? OP_conv_adj : OP_conv;
            run_choice(product_graph(a, &r, &products[i], op, true, 3), a, "tuned", seed, 3, choice);
            arena_free(a);
        }
}

static OpTest dense_graph(Arena *a, Rng *r, int64_t m, int64_t n, int64_t rest, int form, int64_t batch) {
    OpTest t;
    optest_start(&t, a, r);
    t.env.batch = batch;
    bool flag = form & 1, grad = form & 2, ending = form & 4;
    Shape x = rest ? shape_of(2, n, rest) : shape_of(1, n), y = rest ? shape_of(2, m, rest) : shape_of(1, m);
    Shape w = flag && !grad ? shape_of(2, n, m) : shape_of(2, m, n), result = grad ? shape_of(2, m, n) : y;
    NodeId in[2] = {optest_leaf(&t, r, grad ? y : w, grad, DOM_ANY, 0),
                    optest_leaf(&t, r, x, true, DOM_ANY, 0)};
    NodeId more = optest_leaf(&t, r, result, !grad, DOM_ANY, 0);
    if (form & 8) in[1] = op1(t.graph, OP_neg, in[1]), in[0] = grad ? op1(t.graph, OP_neg, in[0]) : in[0];
    NodeId v =
        graph_add(t.graph, grad ? OP_dense_grad : OP_dense, in, 2, &(Attr){.flag = grad || flag}, (Span){0});
    if (ending) v = op1(t.graph, OP_relu, op2(t.graph, OP_add, v, more));
    graph_out(t.graph, OUT_VALUE, 0, op1(t.graph, OP_neg, v), NULL);
    return t;
}

TEST(dense_products) {
    static const int64_t sizes[][3] = {{5, 7, 0},  {10, 160, 0}, {33, 130, 0},
                                       {19, 3, 4}, {140, 9, 3},  {1, 200, 0}};
    uint64_t seed = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int form = 0; form < 16; form++)
            for (int64_t batch = 2; batch <= 31; batch += 29, seed++) {
                Arena *a = arena_new();
                Rng r = {seed};
                run_one(dense_graph(a, &r, sizes[i][0], sizes[i][1], sizes[i][2], form, batch), a, "dense",
                        seed, batch);
                arena_free(a);
            }
}

TEST(large_sums) { /* cut into parts, whatever the batch */
    for (uint64_t seed = 0; seed < 3; seed++) {
        Arena *a = arena_new();
        Rng r = {seed};
        OpTest t;
        optest_start(&t, a, &r);
        t.env.batch = 2;
        NodeId x = optest_leaf(&t, &r, shape_of(3, (int64_t)24, (int64_t)64, (int64_t)48), seed != 1, DOM_ANY,
                               0),
               y = op1(t.graph, OP_abs, x);
        graph_out(t.graph, OUT_VALUE, 0, op_sum_all(t.graph, op2(t.graph, OP_mul, y, y)), NULL);
        graph_out(t.graph, OUT_VALUE, 1, graph_add(t.graph, OP_amax, &y, 1, &(Attr){.axes = 7}, (Span){0}),
                  NULL);
        run_one(t, a, "large sum", seed, 2);
        arena_free(a);
    }
}

static void backwards(void *pool, int64_t count, csc_task task, void *arg, size_t scratch_bytes) {
    for (int64_t i = count; i-- > 0;) task(arg, i, pool);
    (void)scratch_bytes;
}

static bool remarks(const SchedResult *s, const char *text) {
    for (size_t i = 0; i < s->remarks.len; i++)
        if (strstr(s->remarks.at[i].text, text)) return true;
    return false;
}

/* Samples in groups: memory does not grow with the batch, and the order of grid points changes no bit. */
TEST(groups) {
    for (int64_t batch = 1; batch <= 41; batch += 20) {
        Rng dice = {7};
        Rig r;
        Arena *a = arena_new();
        rig_open(&r, with_gradients(a, product_graph(a, &dice, &products[0], OP_conv, true, 2)));
        rig_set_batch(&r, batch);
        rig_fill(&r);
        SchedResult *s = schedule(&r, 8, 0);
        const LpEntry *e = &s->module->entries.at[0];
        CHECK(e->batch_floats == 0 && remarks(s, "samples at a time"));
        const char *why = "";
        CHECK(loop_eval(a, s->module, 0, &r.call, &why));
        compare(&r, "loop_eval", "groups", (uint64_t)batch);
        run_compiled(&r, s, 8, "groups", (uint64_t)batch);
        float *first[16];
        for (size_t i = 0; i < r.t.graph->outs.len; i++) {
            int64_t n = shape_size(r.want[i].shape) * batch;
            first[i] = arena_copy(a, r.out[i], (size_t)n * sizeof(float));
        }
        r.call.pool = floats(a, e->thread_bytes / 4 + 16);
        r.call.parallel_for = backwards;
        run_compiled(&r, s, 8, "groups, the other way round", (uint64_t)batch);
        for (size_t i = 0; i < r.t.graph->outs.len; i++) {
            int64_t n = shape_size(r.want[i].shape) * batch;
            CHECK(memcmp(first[i], r.out[i], (size_t)n * sizeof(float)) == 0);
        }
        cx_free(r.cx);
        arena_free(a);
    }
}

TEST(statistics_of_the_batch_forbid_groups) {
    Arena *a = arena_new();
    Rng dice = {1};
    OpTest t;
    optest_start(&t, a, &dice);
    NodeId x = optest_leaf(&t, &dice, shape_of(1, (int64_t)40), true, DOM_ANY, 0);
    NodeId mean = op2(t.graph, OP_div, op1(t.graph, OP_batch_sum, x),
                      op_expand(t.graph, graph_add(t.graph, OP_nbatch, NULL, 0, NULL, (Span){0}), shape_of(1, (int64_t)40)));
    graph_out(t.graph, OUT_VALUE, 0, op2(t.graph, OP_sub, x, mean), NULL);
    Rig r;
    rig_open(&r, t);
    rig_set_batch(&r, 9);
    rig_fill(&r);
    SchedResult *s = schedule(&r, 8, 2);
    CHECK(remarks(s, "the whole batch at a time"));
    const char *why = "";
    CHECK(loop_eval(a, s->module, 0, &r.call, &why));
    compare(&r, "loop_eval", "statistics", 1);
    cx_free(r.cx);
    arena_free(a);
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(every_operator), T(random_programs), T(random_gradients),
                                 T(products), T(measured_tiles),       T(dense_products),  T(large_sums),
                                 T(groups),         T(statistics_of_the_batch_forbid_groups)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
