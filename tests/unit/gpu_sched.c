/* Programs scheduled for a GPU against the evaluator of graphs: every operator, random programs and products. The evaluator of loop nests runs the
   blocks thread by thread, and finds what two threads touch without a barrier between. */
#include "sched_rig.h"
#include "sched/internal.h"
#include "unit/rounding.h"

static int grouped; /* kernels that multiply by groups of warps */
static bool has_group(const Ls *s) {
    for (; s; s = s->next)
        if ((s->mma && s->mma->group) || has_group(s->body) || has_group(s->orelse)) return true;
    return false;
}

static void run_at(SchedPrecision precision, OpTest t, Arena *a, const char *what, uint64_t seed, int64_t batch) {
    Rig r;
    rig_open(&r, t);
    sched_rounding(&r.t.env, precision);
    rig_set_batch(&r, batch);
    rig_fill(&r);
    SchedTarget target;
    CHECK(sched_target("cuda", &target));
    target.precision = precision;
    SchedResult *s = sched_program(r.cx, r.a, &r.p, &r.entry, 1, &target);
    const char *why = "";
    if (getenv("CSC_SHOW")) loop_print(s->module, stdout);
    if (!loop_check(r.a, s->module, &why)) FAIL("loop_check, %s seed %llu: %s", what, (unsigned long long)seed, why);
    const LpEntry *e = &s->module->entries.at[0];
    r.call.workspace = floats(r.a, e->fixed_floats + e->batch_floats * batch);
    for (size_t i = 0; i < s->module->kernels.len; i++) {
        CHECK(s->module->kernels.at[i].threads > 0);
        grouped += has_group(s->module->kernels.at[i].body);
        CHECK(lp_shared_bytes(&s->module->kernels.at[i]) <= 64 * 1024);
    }
    if (!loop_eval(a, s->module, 0, &r.call, &why)) FAIL("loop_eval, %s seed %llu: %s", what, (unsigned long long)seed, why);
    compare(&r, "loop_eval", what, seed);
    cx_free(r.cx);
}

static void run(OpTest t, Arena *a, const char *what, uint64_t seed, int64_t batch) { run_at(SCHED_FLOAT32, t, a, what, seed, batch); }

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 2, STEP = 3 };
#else
enum { SEEDS = 6, STEP = 1 };
#endif

static const int64_t batches[] = {1, 3, 5};

TEST(every_operator) {
    for (int k = 0; k < OP_COUNT; k++)
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            Arena *a = arena_new();
            run(optest_instance(a, (OpKind)k, seed), a, op_info[k].id, seed, batches[seed / 3 % 3]);
            arena_free(a);
        }
}

TEST(every_product_in_short) { /* with the evaluator's roundings, as near as in float32: matrices of all samples and of each, groups few and many */
    for (int k = OP_dense; k <= OP_conv_grad; k++)
        for (uint64_t seed = 0; seed < 4 * SEEDS; seed++) {
            Arena *a = arena_new();
            run_at(seed & 1 ? SCHED_TF32 : SCHED_BF16, optest_instance(a, (OpKind)k, seed), a, op_info[k].id, seed, batches[seed / 3 % 3]);
            arena_free(a);
        }
}

TEST(groups_in_short) { /* matrix units up to 8 groups */
    static const OpKind ops[] = {OP_conv, OP_conv_adj, OP_conv_grad};
    for (int i = 0; i < 6; i++) {
        Arena *a = arena_new();
        Rng r = {(uint64_t)i};
        OpTest t;
        optest_start(&t, a, &r);
        int64_t n = 8 + i % 2;
        ConvGeom c = {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, (int32_t)n, {5, 6}, {5, 6}, 2 * n, 3 * n};
        Shape x = shape_of(3, c.in_ch, (int64_t)5, (int64_t)6), y = shape_of(3, c.out_ch, (int64_t)5, (int64_t)6), w = shape_of(4, c.out_ch, (int64_t)2, (int64_t)3, (int64_t)3);
        OpKind op = ops[i / 2];
        NodeId in[2] = {optest_leaf(&t, &r, op == OP_conv_adj ? y : x, true, DOM_ANY, 0), optest_leaf(&t, &r, op == OP_conv_grad ? y : w, op == OP_conv_grad, DOM_ANY, 0)};
        graph_out(t.graph, OUT_VALUE, 0, graph_add(t.graph, op, in, 2, &(Attr){.conv = &c, .flag = op == OP_conv_grad}, (Span){0}), NULL);
        run_at(SCHED_BF16, t, a, op_info[op].id, (uint64_t)n, 3);
        arena_free(a);
    }
}

TEST(random_programs) {
    for (uint64_t seed = 0; seed < 8; seed++) {
        Arena *a = arena_new();
        run(optest_program(a, seed), a, "program", seed, batches[seed / 3 % 3]);
        arena_free(a);
    }
}

TEST(random_gradients) {
    for (uint64_t seed = 100; seed < 106; seed++) {
        Arena *a = arena_new();
        run_at((SchedPrecision)(seed % 3), with_gradients(a, optest_program(a, seed)), a, "gradients of program", seed, batches[seed / 3 % 3]);
        arena_free(a);
    }
}

TEST(products) {
    static const OpKind ops[] = {OP_conv, OP_conv_adj, OP_conv_grad};
    uint64_t seed = 0;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        for (int op = 0; op < 3; op++, seed++) {
            Arena *a = arena_new();
            Rng r = {seed};
            run(product_graph(a, &r, &products[i], ops[op], seed & 1, 2), a, op_info[ops[op]].id, seed, 2);
            arena_free(a);
        }
}

TEST(dense_products) {
    static const int64_t sizes[][3] = {{5, 7, 0}, {10, 160, 0}, {33, 130, 0}, {19, 3, 4}, {70, 9, 3}, {1, 700, 0}};
    uint64_t seed = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int form = 0; form < 16; form += STEP + (int)(i & 1), seed++) {
            Arena *a = arena_new();
            Rng r = {seed};
            run(dense_graph(a, &r, sizes[i][0], sizes[i][1], sizes[i][2], form, seed % 3 ? 2 : 9), a, "dense", seed, seed % 3 ? 2 : 9);
            arena_free(a);
        }
}

TEST(matrix_units) {
    static const OpKind ops[] = {OP_conv, OP_conv_adj, OP_conv_grad};
    uint64_t seed = 0;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++, seed++) {
        Arena *a = arena_new();
        Rng r = {seed};
        OpKind op = ops[i % 3];
        run_at(i & 1 ? SCHED_TF32 : SCHED_BF16, product_graph(a, &r, &products[i], op, seed & 2, 2), a, op_info[op].id, seed, 2);
        run_at(i & 1 ? SCHED_BF16 : SCHED_TF32, dense_graph(a, &r, 33, 30 + seed, 0, (int)seed, 9), a, "dense", seed, 9);
        arena_free(a);
    }
}

TEST(groups_of_warps) { /* 64 rows together; whole tiles and rests, channels in fours and odd, strides */
    static const OpKind ops[] = {OP_conv, OP_conv_adj, OP_conv_grad};
    static const Product large[] = {{20, 40, 16, 16, 3, 1, 1, 1, 1}, {36, 72, 12, 11, 3, 1, 1, 1, 1}, {44, 100, 16, 16, 1, 1, 1, 0, 0}, {67, 35, 13, 15, 3, 2, 1, 1, 1}};
    static const int64_t sizes[][3] = {{70, 40, 64}, {100, 130, 97}};
    static const int want[] = {2, 3, 3, 2};
    uint64_t seed = 0;
    for (size_t i = 0; i < sizeof large / sizeof *large; i += STEP > 1 ? 2 : 1)
        for (int p = SCHED_TF32; p <= SCHED_BF16; p++) {
            grouped = 0;
            for (int op = 0; op < 3; op++, seed++) {
                Arena *a = arena_new();
                Rng r = {seed};
                run_at((SchedPrecision)p, product_graph(a, &r, &large[i], ops[op], seed & 1, 1), a, op_info[ops[op]].id, seed, 1);
                arena_free(a);
            }
            if (grouped < want[i]) FAIL("product %d: %d kernels by groups", (int)i, grouped);
        }
    for (int form = 0; form < 16; form += STEP, seed++) {
        Arena *a = arena_new();
        Rng r = {seed};
        const int64_t *n = sizes[form / 4 % 2];
        grouped = 0;
        run_at(form & 1 ? SCHED_TF32 : SCHED_BF16, dense_graph(a, &r, n[0], n[1], n[2], form, 2), a, "dense", seed, 2);
        if (!grouped && !(form & 2)) FAIL("dense product %d is not by groups", form); /* the gradients are small */
        arena_free(a);
    }
}

TEST(large_sums) { /* cut into parts, whatever the batch */
    for (uint64_t seed = 0; seed < 2; seed++) {
        Arena *a = arena_new();
        Rng r = {seed};
        OpTest t;
        optest_start(&t, a, &r);
        t.env.batch = 2;
        NodeId x = optest_leaf(&t, &r, shape_of(3, (int64_t)24, (int64_t)64, (int64_t)48), seed != 1, DOM_ANY, 0), y = op1(t.graph, OP_abs, x);
        graph_out(t.graph, OUT_VALUE, 0, op_sum_all(t.graph, op2(t.graph, OP_mul, y, y)), NULL);
        graph_out(t.graph, OUT_VALUE, 1, graph_add(t.graph, OP_amax, &y, 1, &(Attr){.axes = 6}, (Span){0}), NULL);
        run(t, a, "large sum", seed, 2);
        arena_free(a);
    }
}

/* ---- launches put together ---- */
static int64_t launches_of(const Ls *s) {
    int64_t n = 0;
    for (; s; s = s->next) n += (s->kind == LS_LAUNCH) + launches_of(s->body) + launches_of(s->orelse);
    return n;
}

/* The same bits with each launch by itself. Gives back how many launches there were, and are. */
static void same_bits(OpTest t, const char *what, uint64_t seed, int64_t batch, int64_t launches[2]) {
    Rig r;
    rig_open(&r, t);
    rig_set_batch(&r, batch);
    rig_fill(&r);
    SchedTarget target;
    CHECK(sched_target("cuda", &target));
    size_t nout = t.graph->outs.len;
    float **first = ARENA_ARRAY(r.a, float *, nout + 1);
    for (int together = 0; together < 2; together++) {
        target.apart = !together;
        SchedResult *s = sched_program(r.cx, r.a, &r.p, &r.entry, 1, &target);
        const LpEntry *e = &s->module->entries.at[0];
        const char *why = "";
        launches[together] = launches_of(e->body);
        if (!loop_check(r.a, s->module, &why)) FAIL("loop_check, %s seed %llu: %s", what, (unsigned long long)seed, why);
        r.call.workspace = floats(r.a, e->fixed_floats + e->batch_floats * batch);
        if (!loop_eval(r.a, s->module, 0, &r.call, &why)) FAIL("loop_eval, %s seed %llu: %s", what, (unsigned long long)seed, why);
        for (size_t i = 0; i < nout; i++) {
            int64_t n = shape_size(r.want[i].shape) * (t.graph->outs.at[i].role == OUT_LOSS ? 1 : batch);
            if (!together) first[i] = arena_copy(r.a, r.out[i], (size_t)n * sizeof(float));
            for (int64_t k = 0; k < n && together; k++)
                if (memcmp(&first[i][k], &r.out[i][k], 4) && !(isnan(first[i][k]) && isnan(r.out[i][k])))
                    FAIL("%s seed %llu, batch %lld: output %zu entry %lld is %.9g, with launches by themselves %.9g", what, (unsigned long long)seed, (long long)batch, i,
                         (long long)k, (double)r.out[i][k], (double)first[i][k]);
        }
    }
    compare(&r, "loop_eval", what, seed);
    cx_free(r.cx);
}

TEST(launches_together) { /* with more samples than a block takes */
    int64_t before = 0, after = 0, launches[2];
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        Arena *a = arena_new();
        OpTest t = optest_program(a, seed);
        if (seed & 1) t = with_gradients(a, t);
        same_bits(t, "program", seed, seed % 3 ? 5 : 67, launches);
        before += launches[0], after += launches[1];
        arena_free(a);
    }
    printf("  %lld launches instead of %lld\n", (long long)after, (long long)before);
    CHECK(2 * after < before);
}

/* z = relu(z - c W'(W z - x)), so many times, for dense signals or small maps. */
static OpTest iterations(Arena *a, Rng *r, int64_t m, int64_t n, int times, bool maps) {
    OpTest t;
    optest_start(&t, a, r);
    Graph *g = t.graph;
    ConvGeom *c = ARENA_NEW(a, ConvGeom);
    *c = (ConvGeom){{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 1, {8, 8}, {8, 8}, m, n};
    Shape signal = maps ? shape_of(3, m, (int64_t)8, (int64_t)8) : shape_of(1, m), code = maps ? shape_of(3, n, (int64_t)8, (int64_t)8) : shape_of(1, n);
    NodeId x = optest_leaf(&t, r, signal, true, DOM_ANY, 0), z = NO_NODE;
    NodeId w = optest_leaf(&t, r, maps ? shape_of(4, n, m, (int64_t)3, (int64_t)3) : shape_of(2, m, n), false, DOM_ANY, 0);
    for (int i = 0; i < times; i++) {
        NodeId rest = x, in[2] = {maps ? z : w, maps ? w : z};
        if (i) rest = op2(g, OP_sub, x, graph_add(g, maps ? OP_conv_adj : OP_dense, in, 2, &(Attr){.conv = c}, (Span){0}));
        in[!maps] = rest;
        NodeId back = graph_add(g, maps ? OP_conv : OP_dense, in, 2, &(Attr){.conv = c, .flag = !maps}, (Span){0});
        NodeId step = op2(g, OP_mul, back, op_const(g, 0.01, code));
        z = op1(g, OP_relu, i ? op2(g, OP_add, z, step) : step);
    }
    graph_out(g, OUT_VALUE, 0, z, NULL);
    return t;
}

TEST(iterations_together) {
    static const struct {
        int64_t m, n, batch, most;
        bool maps;
    } sizes[] = {{12, 20, 70, 1, false}, {3, 8, 5, 2, true}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        Arena *a = arena_new();
        Rng r = {i};
        int64_t launches[2];
        same_bits(iterations(a, &r, sizes[i].m, sizes[i].n, 4, sizes[i].maps), "iterations", i, sizes[i].batch, launches);
        printf("  %lld launches instead of %lld\n", (long long)launches[1], (long long)launches[0]);
        CHECK(launches[0] >= 7 && launches[1] <= sizes[i].most);
        arena_free(a);
    }
}

/* Places that are found apart have no entry in common; and the phases of an adjoint are found so. */
TEST(views_apart) {
    Rng r = {3};
    int found = 0;
    for (int n = 0; n < 4000; n++) {
        View v[2];
        int64_t unit[3] = {rng_int(&r, 1, 3), 0, 0};
        unit[1] = unit[0] * (rng_int(&r, 1, 6)), unit[2] = unit[1] * (rng_int(&r, 1, 6));
        for (int k = 0; k < 2; k++) {
            v[k] = (View){.shape = shape_of(3, rng_int(&r, 1, 4), rng_int(&r, 1, 4), rng_int(&r, 1, 4)), .offset = rng_int(&r, 0, 19)};
            for (int i = 0; i < 3; i++) v[k].stride[i] = unit[2 - i];
        }
        bool at[2][1000] = {0}, common = false;
        for (int k = 0; k < 2; k++)
            for (int64_t i = 0; i < shape_size(v[k].shape); i++) {
                int64_t q = i, place = v[k].offset;
                for (int d = 3; d-- > 0;) place += q % v[k].shape.dim[d] * v[k].stride[d], q /= v[k].shape.dim[d];
                at[k][place] = true;
            }
        for (int i = 0; i < 1000; i++) common |= at[0][i] && at[1][i];
        bool apart = view_apart(&v[0], &v[1]);
        CHECK(!apart || !common);
        found += apart;
    }
    CHECK(found > 400);
    View phase[4];
    for (int i = 0; i < 4; i++) {
        phase[i] = (View){.batched = true, .shape = shape_of(3, (int64_t)8, (int64_t)7, (int64_t)7), .sample = 8 * 14 * 14, .offset = i / 2 * 8 * 14 + i % 2 * 8};
        phase[i].stride[0] = 1, phase[i].stride[1] = 2 * 8 * 14, phase[i].stride[2] = 16;
        for (int k = 0; k < i; k++) CHECK(view_apart(&phase[i], &phase[k]) && !view_apart(&phase[i], &phase[i]));
    }
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(every_operator), T(every_product_in_short), T(groups_in_short), T(random_programs), T(random_gradients), T(products), T(dense_products), T(matrix_units), T(groups_of_warps), T(large_sums), T(launches_together), T(iterations_together), T(views_apart)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
