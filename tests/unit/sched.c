/* Scheduled programs against the evaluator of graphs: every operator and random programs, batches of 1, 3
 * and 5. */
#include "op/passes.h"
#include "sched_rig.h"
#ifdef CSC_HAVE_LLVM
#include "llvm/llvm.h"
#endif

static SchedResult *schedule(Rig *r, int lanes, int group, bool wait) {
    SchedTarget target = {.lanes = lanes, .registers = lanes == 16 ? 32 : 16, .group = group, .wait = wait, .winograd = r->winograd, .tiles = r->tiles};
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

static int64_t out_floats(const Rig *r, size_t i) { return shape_size(r->want[i].shape) * r->t.env.batch; }

/* What is made of parameters alone, in a block that the caller gives: the same bits, by the evaluator (run NULL) or compiled. */
static void run_prepared(Rig *r, const SchedResult *s, const csc_entry *run, const char *what, uint64_t seed) {
    const LpEntry *e = &s->module->entries.at[0];
    const char *why = "";
    if (run) CHECK((int64_t)run->prepared_bytes == 4 * e->prepared_floats && !run->prepare == !e->prepared_floats);
    if (!e->prepared_floats) return;
    size_t nout = r->t.graph->outs.len;
    float **had = ARENA_ARRAY(r->a, float *, nout + 1);
    for (size_t i = 0; i < nout; i++) {
        had[i] = arena_copy(r->a, r->out[i], (size_t)out_floats(r, i) * sizeof(float));
        for (int64_t k = 0; k < out_floats(r, i); k++) r->out[i][k] = NAN;
    }
    csc_call c = r->call;
    if (run) CHECK(run->prepare(&c) == 1); /* no block */
    c.prepared = floats(r->a, e->prepared_floats);
    c.workspace = floats(r->a, e->fixed_floats - e->prepared_floats + e->batch_floats * r->t.env.batch + e->thread_bytes / 4);
    c.in = NULL, c.out = NULL;
    if (run ? run->prepare(&c) : !loop_eval_prepare(r->a, s->module, 0, &c, &why)) FAIL("prepare, %s seed %llu: %s", what, (unsigned long long)seed, why);
    c.in = r->call.in, c.out = r->call.out;
    for (int again = 0; again < 2; again++)
        if (run ? run->run(&c) : !loop_eval(r->a, s->module, 0, &c, &why)) FAIL("prepared, %s seed %llu: %s", what, (unsigned long long)seed, why);
    for (size_t i = 0; i < nout; i++)
        for (int64_t k = 0; k < out_floats(r, i); k++)
            if (memcmp(&r->out[i][k], &had[i][k], sizeof(float)) && !(isnan(r->out[i][k]) && isnan(had[i][k])))
                FAIL("prepared, %s seed %llu: output %zu entry %lld is %.9g, was %.9g", what, (unsigned long long)seed, i, (long long)k, r->out[i][k], had[i][k]);
}

/* The same entry as machine code for processors of 4, 8 and 16 lanes, where they run here. */
static void run_compiled(Rig *r, const SchedResult *s, int lanes, const char *what, uint64_t seed) {
#ifdef CSC_HAVE_LLVM
    const char *cpu = lanes == 4 ? "x86-64-v2" : lanes == 8 ? "x86-64-v3" : r->tiles ? "x86-64-v4+amx" : "x86-64-v4", *why = "";
    if (r->tiles && !sched_target_runs(cpu)) return;
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
    compare(r, "compiled", what, seed);
    run_prepared(r, s, &m->entries[0], what, seed);
    code_free(j);
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
    SchedResult *s = schedule(&r, lanes, (int)(seed / 9 % 3), seed / 27 % 2); /* 0: as sched likes */
    const char *why = "";
    if (!loop_eval(a, s->module, 0, &r.call, &why)) {
        if (getenv("CSC_SHOW")) loop_print(s->module, stdout);
        FAIL("loop_eval, %s seed %llu: %s", what, (unsigned long long)seed, why);
    }
    compare(&r, "loop_eval", what, seed);
    run_prepared(&r, s, NULL, what, seed);
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

TEST(random_gradients) {
    for (uint64_t seed = 100; seed < 100 + many(30); seed++) {
        Arena *a = arena_new();
        run_one(with_gradients(a, optest_program(a, seed)), a, "gradients of program", seed,
                batches[seed / 3 % 3]);
        arena_free(a);
    }
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

TEST(many_groups) { /* one or few channels each, or a vector of them */
    static const Product deep[] = {{16, 16, 8, 9, 3, 1, 1, 1, 1}, {35, 35, 7, 20, 3, 1, 1, 1, 1}, {20, 40, 6, 13, 3, 1, 1, 1, 1}, {40, 20, 5, 11, 3, 1, 1, 1, 1}, {17, 17, 9, 8, 3, 2, 1, 1, 1},
                                   {33, 33, 10, 12, 5, 1, 2, 4, 4}, {18, 18, 4, 4, 4, 1, 1, 0, 0}, {48, 48, 3, 3, 1, 1, 1, 0, 0}, {12, 12, 2, 3, 5, 1, 1, 2, 2}, {160, 160, 3, 4, 3, 1, 1, 1, 1},
                                   {16, 16, 2, 18, 17, 1, 1, 8, 8}, {9, 18, 6, 7, 2, 3, 1, 0, 0}, {64, 64, 9, 30, 3, 1, 1, 1, 1}, {36, 36, 5, 5, 3, 1, 1, 2, 2}};
    static const int count[] = {16, 35, 20, 20, 17, 33, 18, 24, 12, 10, 16, 9, 64, 12};
    static const OpKind ops[] = {OP_conv, OP_conv_adj, OP_conv_grad};
    enum { N = sizeof deep / sizeof *deep };
    for (uint64_t seed = 0; seed < 6 * N; seed++) {
        Arena *a = arena_new();
        Rng r = {seed};
        int64_t batch = seed & 1 ? 5 : 2;
        OpKind op = ops[seed / N / 2];
        run_one(grouped_graph(a, &r, &deep[seed % N], count[seed % N], op, seed / N & 1, batch), a, op_info[op].id, seed, batch);
        arena_free(a);
    }
}

TEST(wide_gradients) { /* so many channels that tiles copy what they read */
    static const Product wide[] = {{3, 261, 6, 7, 3, 1, 1, 1, 1}, {259, 4, 3, 3, 3, 1, 1, 0, 0}, {4, 256, 9, 8, 3, 2, 1, 1, 1},
                                   {257, 3, 5, 4, 3, 1, 2, 2, 2}, {19, 258, 2, 2, 3, 1, 1, 1, 1}, {2, 257, 14, 12, 2, 3, 1, 0, 0}};
    for (uint64_t seed = 0; seed < 6 * many(6); seed++) {
        Arena *a = arena_new();
        Rng r = {seed};
        int64_t batch = seed & 1 ? 7 : 4;
        OpTest t = product_graph(a, &r, &wide[seed % 6], OP_conv_grad, seed / 6 & 1, batch);
        run_one(t, a, "wide gradient", 3 * seed + seed / 6 % 3, batch);
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

static int kernels_that(const SchedResult *s, const char *text) {
    int n = 0;
    for (size_t i = 0; i < s->module->kernels.len; i++) n += strstr(s->module->kernels.at[i].remark, text) != NULL;
    return n;
}

/* The largest distance from what is expected, of the largest number expected. */
static double farthest(const Rig *r) {
    double far = 0, most = 0;
    for (size_t i = 0; i < r->t.graph->outs.len; i++)
        for (int64_t k = 0; k < shape_size(r->want[i].shape) * r->t.env.batch; k++) {
            double want = r->want[i].at[r->want[i].batched ? k : k % shape_size(r->want[i].shape)];
            most = fmax(most, fabs(want)), far = fmax(far, fabs(want - r->out[i][k]));
        }
    return far / most;
}

/* Few channels of the result, large kernels: rows of the input feed several rows of the tile. Rows that tiles do not divide, more tiles than one
   in a row, more blocks than one of a sample, no padding, padding on one side, taps apart; wide maps, of which only the edges are copied. */
TEST(shared_rows) {
    static const struct {
        Product p;
        OpKind op;
    } rows[] = {{{1, 24, 13, 29, 5, 1, 1, 2, 2}, OP_conv_adj}, {{1, 16, 9, 34, 7, 1, 1, 3, 3}, OP_conv_adj}, {{40, 1, 12, 33, 5, 1, 1, 0, 0}, OP_conv},
                {{35, 1, 10, 31, 4, 1, 1, 2, 1}, OP_conv},     {{1, 20, 3, 40, 5, 1, 1, 2, 2}, OP_conv_adj}, {{33, 1, 16, 30, 3, 1, 2, 2, 2}, OP_conv},
                {{1, 16, 9, 83, 7, 1, 1, 3, 3}, OP_conv_adj},  {{20, 1, 7, 88, 5, 1, 1, 3, 1}, OP_conv},     {{20, 1, 7, 40, 5, 1, 1, 0, 4}, OP_conv}};
    int shared = 0, copied = 0, edges = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int lanes = 4; lanes <= 16; lanes *= 2)
            for (int64_t batch = 1; batch <= 5; batch += 4) {
                Arena *a = arena_new();
                Rng dice = {i + (uint64_t)lanes};
                Rig r;
                rig_open(&r, product_graph(a, &dice, &rows[i].p, rows[i].op, true, batch));
                r.choice = batch == 1 ? 1 : 2; /* two rows; four */
                rig_set_batch(&r, batch);
                rig_fill(&r);
                SchedResult *s = schedule(&r, lanes, 0, false);
                shared += kernels_that(s, "rows share"), copied += kernels_that(s, "load, padded copy"), edges += kernels_that(s, "edges");
                const char *why = "";
                if (!loop_eval(a, s->module, 0, &r.call, &why)) FAIL("loop_eval, rows %zu: %s", i, why);
                compare(&r, "loop_eval", "shared rows", i);
                if (batch == 1 && lanes > 4) run_compiled(&r, s, lanes, "shared rows", i);
                cx_free(r.cx);
                arena_free(a);
            }
    if (shared < 40 || edges < 20 || copied - edges < 8) FAIL("rows are shared in %d of 54: %d with a copy, %d of the edges alone", shared, copied, edges);
}

/* 3 x 3 taps by Winograd's transforms: maps that tiles do not divide, channels that vectors do not, padding on one side, none, more than there are
   taps, taps apart, one sample and several. */
static const Product winograd[] = {{16, 16, 8, 8, 3, 1, 1, 1, 1}, {35, 20, 9, 7, 3, 1, 1, 1, 1}, {64, 17, 5, 6, 3, 1, 1, 1, 1}, {17, 67, 6, 5, 3, 1, 1, 1, 1},
                                   {32, 16, 4, 4, 3, 1, 1, 1, 1}, {16, 16, 7, 10, 3, 1, 1, 0, 0}, {16, 33, 7, 7, 3, 1, 1, 2, 0}, {20, 16, 12, 15, 3, 1, 2, 2, 2}};

TEST(winograd_products) {
    int used = 0;
    double most = 0;
    for (size_t i = 0; i < sizeof winograd / sizeof *winograd; i++)
        for (int form = 0; form < 6; form++)
            for (int64_t batch = 1; batch <= 3; batch += 2) {
                static const OpKind ops[] = {OP_conv, OP_conv_adj, OP_conv_grad};
                Arena *a = arena_new();
                Rng dice = {i};
                Rig r;
                rig_open(&r, product_graph(a, &dice, &winograd[i], ops[form % 3], form > 2, batch));
                rig_set_batch(&r, batch);
                rig_fill(&r);
                int lanes = i % 4 == 3 ? 8 : 16;
                r.winograd = (form + i) % 2 ? 2 : 4;
                SchedResult *s = schedule(&r, lanes, 0, false);
                used += kernels_that(s, "Winograd") > (ops[form % 3] != OP_conv_grad);
                const char *why = "";
                if (!loop_eval(a, s->module, 0, &r.call, &why)) FAIL("loop_eval, product %zu form %d: %s", i, form, why);
                compare(&r, "loop_eval", "winograd", i);
                double d = farthest(&r);
                if (d > most) most = d;
                if (batch > 1) run_compiled(&r, s, lanes, "winograd", i);
                if (batch > 1 && ops[form % 3] != OP_conv_grad) { /* in groups of one other tiles lie side by side */
                    int64_t n = shape_size(r.want[0].shape) * batch;
                    float *first = arena_copy(a, r.out[0], (size_t)n * sizeof(float));
                    CHECK(loop_eval(a, schedule(&r, lanes, 1, false)->module, 0, &r.call, &why) && !memcmp(first, r.out[0], (size_t)n * sizeof(float)));
                }
                cx_free(r.cx);
                arena_free(a);
            }
    CHECK(used == 96);
    if (getenv("CSC_SHOW")) printf("%.3g\n", most);
    if (most > 3e-6) FAIL("%.3g from the evaluator, of the largest number", most);
}

/* On a matrix unit: few channels, so that neighbours are made together, runs that are not whole, taps apart, strides, rows of one tile and more, results
   that tiles do not divide. */
static const Product matrix[] = {{16, 16, 8, 8, 3, 1, 1, 1, 1}, {35, 20, 9, 7, 3, 1, 1, 1, 1}, {33, 3, 6, 11, 7, 1, 1, 3, 3}, {3, 37, 6, 19, 5, 1, 1, 2, 2}, {20, 16, 7, 33, 3, 1, 2, 2, 2},
                                 {17, 35, 9, 17, 3, 2, 1, 1, 1}, {1, 16, 9, 36, 4, 2, 1, 1, 0}, {40, 1, 6, 34, 3, 1, 1, 0, 0}, {33, 18, 1, 40, 1, 1, 1, 0, 0}};

TEST(matrix_products) {
    int used = 0, together = 0, interleaved = 0;
    double most = 0;
    for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++)
        for (int form = 0; form < 4; form++) {
            int64_t batch = form < 2 ? 3 : 1;
            Arena *a = arena_new();
            Rng dice = {i};
            Rig r;
            rig_open(&r, product_graph(a, &dice, &matrix[i], form % 2 ? OP_conv_adj : OP_conv, form > 1, batch));
            rig_set_batch(&r, batch);
            rig_fill(&r);
            r.tiles = 2;
            SchedResult *s = schedule(&r, 16, 0, false);
            used += kernels_that(s, "matrix unit") > 0;
            together += kernels_that(s, "neighbours together") > 0, interleaved += kernels_that(s, "rows interleaved") > 0;
            const char *why = "";
            if (!loop_eval(a, s->module, 0, &r.call, &why)) FAIL("loop_eval, product %zu form %d: %s", i, form, why);
            compare(&r, "loop_eval", "matrix", i);
            double d = farthest(&r);
            if (d > most) most = d;
            if (batch > 1) { /* in groups of one the same */
                run_compiled(&r, s, 16, "matrix", i);
                int64_t n = shape_size(r.want[0].shape) * batch;
                float *first = arena_copy(a, r.out[0], (size_t)n * sizeof(float));
                CHECK(loop_eval(a, schedule(&r, 16, 1, false)->module, 0, &r.call, &why) && !memcmp(first, r.out[0], (size_t)n * sizeof(float)));
            }
            cx_free(r.cx);
            arena_free(a);
        }
    if (used != 36 || !together || !interleaved) FAIL("%d of 36 products on the matrix unit, %d with neighbours, %d interleaved", used, together, interleaved);
    if (getenv("CSC_SHOW")) printf("%.3g\n", most);
    if (most > 2e-6) FAIL("%.3g from the evaluator, of the largest number", most);
}

/* A NaN reaches all that it reaches without the transforms, through a threshold too; besides it only results of the same tiles, never another sample. */
TEST(winograd_nan) {
    Arena *a = arena_new();
    Rng dice = {3};
    Rig r;
    rig_open(&r, product_graph(a, &dice, &winograd[0], OP_conv, true, 2));
    r.t.env.inputs[0].at[5 * 64 + 4 * 8 + 2] = NAN; /* channel 5, row 4, column 2 */
    rig_fill(&r);
    SchedResult *s = schedule(&r, 16, 0, false);
    CHECK(kernels_that(s, "Winograd") > 1);
    const char *why = "";
    CHECK(loop_eval(a, s->module, 0, &r.call, &why));
    int lost = 0, more = 0, far = 0;
    for (int64_t k = 0; k < 2 * 16 * 64; k++) {
        bool want = isnan(r.want[0].at[k]), got = isnan(r.out[0][k]);
        lost += want && !got, more += got && !want, far += got && k >= 16 * 64;
    }
    if (lost || far || !more) FAIL("%d NaNs are lost, %d more of the tile, %d in the other sample", lost, more, far);
    cx_free(r.cx);
    arena_free(a);
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
        SchedResult *s = schedule(&r, 8, 0, false);
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
        r.call.pool = floats(a, e->thread_bytes / 4 + e->lane_floats + 16);
        r.call.parallel_for = backwards;
        for (r.call.threads = 0; r.call.threads < 4; r.call.threads++) { /* from 1 on: lanes, each on a thread; with fewer lanes than threads: not */
            run_compiled(&r, s, 8, "groups, the other way round", (uint64_t)batch);
            for (size_t i = 0; i < r.t.graph->outs.len; i++) {
                int64_t n = shape_size(r.want[i].shape) * batch;
                CHECK(memcmp(first[i], r.out[i], (size_t)n * sizeof(float)) == 0);
            }
        }
        cx_free(r.cx);
        arena_free(a);
    }
}

static NodeId conv_of(OpTest *t, Rng *r, NodeId x, int64_t from, int64_t to, int taps, int64_t side) {
    ConvGeom c = {{taps, taps}, {1, 1}, {1, 1}, {taps / 2, taps / 2}, {taps / 2, taps / 2}, 1, {side, side}, {side, side}, from, to};
    NodeId w = optest_leaf(t, r, shape_of(4, to, from, (int64_t)taps, (int64_t)taps), false, DOM_ANY, 0);
    return graph_add(t->graph, OP_conv, (NodeId[]){x, w}, 2, &(Attr){.conv = &c}, (Span){0});
}

/* In a step weights beyond the second cache are packed where they are read, and of a large gradient's sums one is made where it is wanted: no copies of
   the former, one less of the latter. The same bits, however many threads there are. */
TEST(large_weights_and_gradients) {
    enum { BATCH = 9, GROUP = 8, IN = 100, OUT = 112, TAPS = 5 };
    for (int large = 0; large < 2; large++) {
        Arena *a = arena_new();
        Rng dice = {7};
        OpTest t;
        optest_start(&t, a, &dice);
        int64_t from = large ? IN : 32, to = large ? OUT : 64, side = large ? 3 : 6;
        NodeId x = optest_leaf(&t, &dice, shape_of(3, from, side, side), true, DOM_ANY, 0);
        NodeId y = conv_of(&t, &dice, x, from, to, large ? TAPS : 3, side);
        graph_out(t.graph, OUT_VALUE, 0, op2(t.graph, OP_mul, y, y), NULL);
        Rig r;
        rig_open(&r, with_gradients(a, t));
        rig_set_batch(&r, BATCH);
        rig_fill(&r);
        r.entry.kind = ENTRY_STEP, r.winograd = -1;
        SchedResult *s = schedule(&r, 16, large ? GROUP : 1, false);
        const LpEntry *e = &s->module->entries.at[0];
        CHECK(!large || e->fixed_floats < (int64_t)IN * OUT * TAPS * TAPS * 2); /* its gradient, and no packed ones */
        const char *why = "";
        if (!loop_eval(a, s->module, 0, &r.call, &why)) FAIL("loop_eval, large %d: %s", large, why);
        compare(&r, "loop_eval", "large weights", (uint64_t)large);
        run_compiled(&r, s, 16, "large weights", (uint64_t)large);
        r.call.pool = floats(a, e->thread_bytes / 4 + e->lane_floats + 16);
        r.call.parallel_for = backwards;
        for (r.call.threads = 0; r.call.threads < 3; r.call.threads += 2) run_compiled(&r, s, 16, "large weights, the other way round", (uint64_t)large);
        cx_free(r.cx);
        arena_free(a);
    }
}

/* conv, batch normalisation, relu, conv, batch normalisation: parts between the statistics, each in groups. */
static OpTest two_normalised(Arena *a, Rng *dice) {
    OpTest t;
    optest_start(&t, a, dice);
    Graph *g = t.graph;
    Shape ch = shape_of(1, (int64_t)9), s = shape_of(3, (int64_t)9, (int64_t)5, (int64_t)6);
    NodeId x = optest_leaf(&t, dice, shape_of(3, (int64_t)3, (int64_t)5, (int64_t)6), true, DOM_ANY, 0), first = x;
    for (int layer = 0; layer < 2; layer++) {
        ConvGeom c = {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 1, {5, 6}, {5, 6}, layer ? 9 : 3, 9};
        NodeId w = optest_leaf(&t, dice, shape_of(4, (int64_t)9, (int64_t)c.in_ch, (int64_t)3, (int64_t)3), false, DOM_ANY, 0);
        NodeId gain = optest_leaf(&t, dice, ch, false, DOM_ANY, 0);
        x = graph_add(g, OP_conv, (NodeId[]){x, w}, 2, &(Attr){.conv = &c}, (Span){0});
        NodeId n = op_expand(g, graph_add(g, OP_nbatch, NULL, 0, NULL, (Span){0}), ch);
        NodeId part = op_const(g, 1.0 / 30, ch);
        NodeId mean = op2(g, OP_div, op1(g, OP_batch_sum, op2(g, OP_mul, part, op_sum(g, x, 6))), n);
        NodeId d = op2(g, OP_sub, x, op_expand(g, mean, s));
        NodeId v = op2(g, OP_div, op1(g, OP_batch_sum, op2(g, OP_mul, part, op_sum(g, op2(g, OP_mul, d, d), 6))), n);
        NodeId scale = op2(g, OP_div, gain, op1(g, OP_sqrt, op2(g, OP_add, v, op_const(g, 1e-3, ch))));
        x = op1(g, OP_relu, op2(g, OP_mul, d, op_expand(g, scale, s)));
    }
    graph_out(g, OUT_VALUE, 0, graph_add(g, OP_concat, (NodeId[]){x, first}, 2, &(Attr){.axis = 0}, (Span){0}), NULL);
    return t;
}

TEST(groups_between_statistics) {
    for (int64_t batch = 1; batch <= 13; batch += 6) {
        Rng dice = {7};
        Rig r;
        Arena *a = arena_new();
        OpTest t = with_gradients(a, two_normalised(a, &dice));
        t.graph = op_simplify(a, op_moments(a, op_simplify(a, t.graph)));
        rig_open(&r, t);
        rig_set_batch(&r, batch);
        rig_fill(&r);
        SchedResult *s = schedule(&r, 8, 4, false);
        CHECK(remarks(s, "parts between sums over the samples"));
        const char *why = "";
        CHECK(loop_eval(a, s->module, 0, &r.call, &why));
        compare(&r, "loop_eval", "statistics", (uint64_t)batch);
        run_compiled(&r, s, 8, "statistics", (uint64_t)batch);
        r.call.pool = floats(a, s->module->entries.at[0].thread_bytes / 4 + s->module->entries.at[0].lane_floats + 16);
        r.call.parallel_for = backwards;
        for (r.call.threads = 0; r.call.threads < 3; r.call.threads++) run_compiled(&r, s, 8, "statistics, the other way round", (uint64_t)batch);
        cx_free(r.cx);
        arena_free(a);
    }
}

#ifdef CSC_HAVE_LLVM
/* The same matrix both ways (one copy of it: sums along rows in place), and one that is packed. */
static OpTest two_matrices(Arena *a, Rng *dice) {
    OpTest t;
    optest_start(&t, a, dice);
    Graph *g = t.graph;
    NodeId w = optest_leaf(&t, dice, shape_of(2, (int64_t)288, (int64_t)512), false, DOM_ANY, 0), x = optest_leaf(&t, dice, shape_of(1, (int64_t)512), true, DOM_ANY, 0);
    NodeId v = optest_leaf(&t, dice, shape_of(2, (int64_t)96, (int64_t)512), false, DOM_ANY, 0);
    NodeId y = op1(g, OP_relu, graph_add(g, OP_dense, (NodeId[]){w, x}, 2, &(Attr){0}, (Span){0}));
    NodeId z = op1(g, OP_relu, op2(g, OP_sub, x, graph_add(g, OP_dense, (NodeId[]){w, y}, 2, &(Attr){.flag = true}, (Span){0})));
    graph_out(g, OUT_VALUE, 0, graph_add(g, OP_dense, (NodeId[]){v, z}, 2, &(Attr){0}, (Span){0}), NULL);
    graph_out(g, OUT_VALUE, 1, z, NULL);
    return t;
}

/* Codes, each made by the end of a product from what is read there for the last time. */
static OpTest two_turns(Arena *a, Rng *r, int64_t channels, int64_t side) {
    OpTest t;
    optest_start(&t, a, r);
    t.env.batch = 3;
    ConvGeom c = {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 1, {side, side}, {side, side}, channels, channels};
    Shape s = shape_of(3, channels, side, side);
    NodeId x = optest_leaf(&t, r, s, true, DOM_ANY, 0), w = optest_leaf(&t, r, shape_of(4, channels, channels, (int64_t)3, (int64_t)3), false, DOM_ANY, 0);
    NodeId code = graph_add(t.graph, OP_conv, (NodeId[]){op1(t.graph, OP_neg, x), w}, 2, &(Attr){.conv = &c}, (Span){0});
    x = op1(t.graph, OP_tanh, x);
    for (int turn = 0; turn < 3; turn++) {
        NodeId before = code, made = graph_add(t.graph, OP_conv, (NodeId[]){x, w}, 2, &(Attr){.conv = &c}, (Span){0});
        NodeId step = graph_add(t.graph, OP_conv_adj, (NodeId[]){made, w}, 2, &(Attr){.conv = &c}, (Span){0});
        code = op1(t.graph, OP_relu, op2(t.graph, OP_add, x, step));
        x = op2(t.graph, OP_add, code, op2(t.graph, OP_mul, op_const(t.graph, 0.3 + turn, s), op2(t.graph, OP_sub, code, before)));
    }
    graph_out(t.graph, OUT_VALUE, 0, graph_add(t.graph, OP_conv_adj, (NodeId[]){op2(t.graph, OP_add, code, x), w}, 2, &(Attr){.conv = &c}, (Span){0}), NULL);
    return t;
}

static int overlaid(const LpModule *m, const Ls *s) { /* launches that write where they read by another pointer */
    int n = 0;
    for (; s; s = s->next) {
        n += overlaid(m, s->body);
        if (s->kind != LS_LAUNCH) continue;
        const LpKernel *k = &m->kernels.at[s->kernel];
        bool here = false;
        for (int32_t p = 0; p < lp_launch_ptrs(k); p++)
            for (int32_t q = 0; q < lp_launch_ptrs(k); q++)
                here |= p != q && k->ptr[q].writes && !k->ptr[p].writes && s->ptrs[p].space == s->ptrs[q].space && s->ptrs[p].offset == s->ptrs[q].offset && s->ptrs[p].which == s->ptrs[q].which;
        n += here;
    }
    return n;
}

static int asked(const Ls *s, bool near) {
    int n = 0;
    for (; s; s = s->next) n += (s->kind == LS_PREFETCH && s->near == near) + asked(s->body, near) + asked(s->orelse, near);
    return n;
}

/* Tiles ask for what memory or the third cache has of large maps: what an ending reads, the rows that the next tiles need. Small maps are near. */
TEST(far_maps_are_asked_for) {
    static const Product far = {1, 64, 68, 67, 5, 1, 1, 2, 2}, near = {1, 64, 48, 47, 5, 1, 1, 2, 2};
    for (int large = 0; large < 2; large++)
        for (int form = 0; form < 2; form++) {
            Arena *a = arena_new();
            Rng dice = {7};
            Rig r;
            rig_open(&r, form ? product_graph(a, &dice, large ? &far : &near, OP_conv_adj, false, 3) : two_turns(a, &dice, 16, large ? 136 : 64));
            rig_declare(&r);
            r.winograd = -1;
            SchedResult *s = schedule(&r, 16, 1, false);
            int soon = 0, later = 0;
            for (size_t i = 0; i < s->module->kernels.len; i++) soon += asked(s->module->kernels.at[i].body, true), later += asked(s->module->kernels.at[i].body, false);
            if ((soon > 0) != (large && !form) || (later > 0) != (large && form)) FAIL("form %d, %s: %d and %d lines are asked for", form, large ? "far" : "near", soon, later);
            cx_free(r.cx);
            arena_free(a);
        }
}

TEST(results_over_what_they_read) {
    static const struct {
        int64_t channels, side;
        int winograd, tiles;
        bool over; /* else tiles reach over one another's results, and none may be made of what another wrote */
    } forms[] = {{16, 8, -1, 0, true}, {16, 8, 2, 0, true}, {16, 8, 4, 0, true}, {16, 8, -1, 2, true}, {19, 8, -1, 0, true}, {16, 29, -1, 0, false}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        Arena *a = arena_new();
        Rng dice = {i};
        Rig r;
        rig_open(&r, two_turns(a, &dice, forms[i].channels, forms[i].side));
        rig_set_batch(&r, 3);
        rig_fill(&r);
        r.winograd = forms[i].winograd, r.tiles = forms[i].tiles;
        SchedResult *s = schedule(&r, 16, 0, false);
        int n = overlaid(s->module, s->module->entries.at[0].body);
        if ((n > 0) != forms[i].over) FAIL("form %zu: %d launches write over what they read", i, n);
        const char *why = "";
        if (!loop_eval(a, s->module, 0, &r.call, &why)) FAIL("loop_eval, form %zu: %s", i, why);
        compare(&r, "loop_eval", "turns", i);
        run_compiled(&r, s, 16, "turns", i);
        cx_free(r.cx);
        arena_free(a);
    }
}

/* What a sample gives does not depend on its company: few columns take another tile, with the same sums. */
TEST(columns_alone_and_together) {
    enum { MOST = 33 };
    static const uint32_t batches_of[] = {MOST, 1, 2, 7, 31, 32};
    Arena *a = arena_new();
    Rng dice = {3};
    Rig r;
    rig_open(&r, two_matrices(a, &dice));
    rig_set_batch(&r, MOST);
    rig_fill(&r);
    const char *cpu = __builtin_cpu_supports("avx512dq") ? "x86-64-v4" : "x86-64-v2", *why = "";
    SchedTarget target;
    CHECK(sched_target(cpu, &target));
    SchedResult *s = sched_program(r.cx, r.a, &r.p, &r.entry, 1, &target);
    const LpEntry *e = &s->module->entries.at[0];
    const csc_model *m;
    LlvmModelInfo info = {.json = "{}", .param_floats = (uint64_t)r.p.param_floats};
    CodeImage *j = code_load(r.a, llvm_emit(r.a, s->module, &info, &(LlvmOptions){.cpu = cpu, .level = 1}, NULL, NULL), &m, &why);
    if (!j) FAIL("%s", why);
    r.call.workspace = floats(r.a, e->fixed_floats + e->batch_floats * MOST + e->thread_bytes / 4);
    float *all[2];
    for (size_t k = 0; k < sizeof batches_of / sizeof *batches_of; k++) {
        r.call.batch = batches_of[k];
        CHECK(m->entries[0].run(&r.call) == 0);
        if (k == 0) compare(&r, "compiled", "columns", MOST);
        for (size_t i = 0; i < 2; i++) {
            size_t n = (size_t)shape_size(r.want[i].shape) * sizeof(float);
            if (k == 0) all[i] = arena_copy(r.a, r.out[i], n * MOST);
            if (memcmp(all[i], r.out[i], n * r.call.batch)) FAIL("output %zu of %u samples differs from that of %d", i, r.call.batch, MOST);
        }
    }
    code_free(j);
    cx_free(r.cx);
    arena_free(a);
}
#endif

int main(int argc, char **argv) {
    static const Case cases[] = {T(every_operator), T(random_programs), T(random_gradients),
                                 T(products), T(many_groups), T(wide_gradients), T(measured_tiles), T(dense_products), T(large_sums), T(shared_rows), T(winograd_products), T(matrix_products), T(winograd_nan), T(results_over_what_they_read), T(far_maps_are_asked_for), T(groups), T(groups_between_statistics), T(large_weights_and_gradients),
#ifdef CSC_HAVE_LLVM
                                 T(columns_alone_and_together),
#endif
    };
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
