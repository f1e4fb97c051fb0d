/* The operator table against itself: shapes, linearity, adjoint pairs; every test runs over random instances. */
#include "check.h"
#include "op/eval.h"
#include "optest.h"

enum { SEEDS = 40 };

#define FOR_INSTANCES(t, kind)                                                                                 \
    for (uint64_t seed = 0; seed < SEEDS; seed++)                                                              \
        for (OpKind kind = 0; kind < OP_COUNT; kind++)                                                         \
            for (Arena *a = arena_new(), *once = a; once; arena_free(a), once = NULL)                          \
                for (OpTest t = optest_instance(a, kind, seed), *now = &t; now; now = NULL)

TEST(instances_are_valid) {
    FOR_INSTANCES(t, kind) {
        const char *why = "";
        if (!graph_check(t.graph, &why)) FAIL("%s, seed %d: %s", op_info[kind].name, (int)seed, why);
        Value *v = eval_graph(a, t.graph, &t.env);
        for (size_t o = 0; o < t.graph->outs.len; o++) {
            const Value *out = &v[t.graph->outs.at[o].node];
            int64_t n = shape_size(out->shape) * (out->batched ? t.env.batch : 1);
            for (int64_t i = 0; i < n; i++)
                if (!isfinite(out->at[i])) FAIL("%s, seed %d: entry %d is %g", op_info[kind].name, (int)seed, (int)i, out->at[i]);
        }
    }
}

TEST(programs_are_valid) {
    double largest = 0;
    size_t nodes = 0;
    for (uint64_t seed = 0; seed < 150; seed++) {
        Arena *a = arena_new();
        OpTest t = optest_program(a, seed);
        const char *why = "";
        if (!graph_check(t.graph, &why)) FAIL("program %d: %s", (int)seed, why);
        Value *v = eval_graph(a, t.graph, &t.env);
        nodes += t.graph->nodes.len;
        for (size_t o = 0; o < t.graph->outs.len; o++) {
            const Value *out = &v[t.graph->outs.at[o].node];
            int64_t n = shape_size(out->shape) * (out->batched ? t.env.batch : 1);
            for (int64_t i = 0; i < n; i++) {
                if (!isfinite(out->at[i])) FAIL("program %d: output %d is %g", (int)seed, (int)o, out->at[i]);
                largest = fmax(largest, fabs(out->at[i]));
            }
        }
        arena_free(a);
    }
    CHECK(largest > 1 && largest < 1e4 && nodes > 150 * 20);
}

static char *printed(const Graph *g) {
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    graph_print(g, out);
    fclose(out);
    return text;
}

static void check_round_trip(const Graph *g) {
    Cx *cx = cx_new();
    char *text = printed(g);
    Graph *back = graph_read(cx, cx->keep, cx_add_source(cx, "g", text, strlen(text)));
    if (!back) diag_print_all(cx, stdout, false);
    CHECK(back);
    char *again = printed(back);
    CHECK_STR(again, text);
    CHECK(graph_hash(back) == graph_hash(g));
    free(again);
    free(text);
    cx_free(cx);
}

TEST(text_round_trip) {
    FOR_INSTANCES(t, kind) { check_round_trip(t.graph); }
}

TEST(names_and_odd_numbers_survive_the_text) {
    Cx *cx = cx_new();
    Graph *g = graph_new(cx->keep);
    NodeId x = op_leaf(g, OP_input, 2, shape_of(1, (int64_t)3), true, (Span){0}, name_of(cx, "a\"b\\c"));
    NodeId y = op2(g, OP_add, x, op_const(g, -0.0, shape_of(1, (int64_t)3)));
    y = op2(g, OP_add, y, op_const(g, INFINITY, shape_of(1, (int64_t)3)));
    y = op2(g, OP_add, y, op_const(g, NAN, shape_of(1, (int64_t)3)));
    y = op2(g, OP_add, y, op_const(g, 0.1, shape_of(1, (int64_t)3)));
    graph_out(g, OUT_INGRAD, 2, y, name_of(cx, "out.1"));
    check_round_trip(g);
    cx_free(cx);
}

/* Damaged text is read or refused, never more. */
TEST(damaged_text) {
    Rng r = {7};
    for (uint64_t seed = 0; seed < 6; seed++)
        for (OpKind kind = 0; kind < OP_COUNT; kind++) {
            Arena *a = arena_new();
            OpTest t = optest_instance(a, kind, seed);
            char *text = printed(t.graph);
            size_t n = strlen(text);
            for (int k = 0; k < 8; k++) {
                char *bad = arena_strndup(a, text, n);
                size_t at = (size_t)rng_int(&r, 0, (int64_t)n - 1), len = n;
                if (rng_chance(&r, 40)) bad[at] = "%{}[]=x,-0192 \n\"ar"[rng_int(&r, 0, 17)];
                else if (rng_chance(&r, 50)) len = at;
                else if (at + 3 < n) memmove(bad + at, bad + at + 3, n - at - 2), len = n - 3;
                Cx *cx = cx_new();
                Graph *back = graph_read(cx, cx->keep, cx_add_source(cx, "g", bad, len));
                CHECK((back != NULL) == (cx->errors == 0));
                cx_free(cx);
            }
            free(text);
            arena_free(a);
        }
}

static const char *refusal(Arena *a, const char *text) { /* the reader's message, or "" */
    Cx *cx = cx_new();
    graph_read(cx, cx->keep, cx_add_source(cx, "g", text, strlen(text)));
    const char *m = cx->diags.len ? arena_printf(a, "%u: %s", cx->diags.at[0]->span.line, cx->diags.at[0]->text) : "";
    cx_free(cx);
    return m;
}

TEST(refused_text) {
    Arena *a = arena_new();
    CHECK_STR(refusal(a, ""), "");
    CHECK_STR(refusal(a, "%0 = input {shape=[3]} : real[3] batched\n%1 = relu %1 : real[3]"), "2: there is no node %1 before this line");
    CHECK_STR(refusal(a, "%1 = nbatch : real"), "1: this must be node %0");
    CHECK_STR(refusal(a, "%0 = nbatsch : real"), "1: there is no operator 'nbatsch'");
    CHECK_STR(refusal(a, "%0 = nbatch : real batched"), "1: this is real");
    CHECK_STR(refusal(a, "%0 = nbatch : real\nout loss 0 %0\nout loss 0 %0"), "3: outputs 0 and 1 are the same one");
    CHECK_STR(refusal(a, "%0 = input {shape=[99999999999, 99999999999]} : real"),
              "1: real[99999999999, 99999999999] is too large: a tensor has at most 2^40 entries per sample");
    CHECK_STR(refusal(a, "%0 = loop : real"), "1: a loop has no body");
    CHECK_STR(refusal(a, "%0 = loop {loop turns=1 body { %0 = param : real } } : real"), "1: a body reads param 0 itself instead of an argument");
    arena_free(a);
}

#define LOOP(attr, body) "%0 = input : real batched\n%1 = param {shape=[2]} : real[2]\n%2 = loop %0 %1 {loop turns=2 " attr " body {" body "}} : real\n"
TEST(bodies_are_checked) {
    Arena *a = arena_new();
    CHECK_STR(refusal(a, LOOP("carry=1 per=1", "%0 = arg {batched} : real batched %1 = arg {index=1} : real %2 = add %0 %1 : real batched out value 0 %2")), "");
    CHECK_STR(refusal(a, LOOP("carry=1 per=1", "%0 = arg : real out value 0 %0")), "3: argument 0 of the body is real, it receives real batched");
    CHECK_STR(refusal(a, LOOP("carry=1 per=1", "%0 = arg {index=1 shape=[2]} : real[2] %1 = const : real out value 0 %1")), "3: argument 1 of the body is real[2], it receives real");
    CHECK_STR(refusal(a, LOOP("carry=1 per=1", "%0 = arg {index=3} : real out value 0 %0")), "3: a body reads argument 3 of 3");
    CHECK_STR(refusal(a, LOOP("carry=1 per=1", "%0 = const {shape=[2]} : real[2] out value 0 %0")), "3: carried value 0 is real batched, then real[2]");
    CHECK_STR(refusal(a, LOOP("carry=1 per=1", "%0 = const : real")), "3: the body has 0 outputs, not 1");
    CHECK_STR(refusal(a, LOOP("carry=1 per=1", "%0 = const : real out loss 0 %0")), "3: output 0 of a body is not a value");
    CHECK_STR(refusal(a, LOOP("carry=1", "%0 = const : real out value 0 %0")), "3: a loop takes 1 inputs, not 2");
    CHECK_STR(refusal(a, LOOP("carry=1 counted", "%0 = const : real out value 0 %0")), "3: the count of a loop is real[2]");
    CHECK_STR(refusal(a, LOOP("invariant=1 per=1 until reverse", "%0 = const : real out value 0 %0")), "3: a reverse loop cannot stop early");
    CHECK_STR(refusal(a, LOOP("per=1 carry=1 until", "%0 = const : real %1 = const {shape=[2]} : real[2] out value 0 %0 out value 1 %1")), "3: the test of a loop is not a scalar");
    CHECK_STR(refusal(a, "%0 = param {shape=[3]} : real[3]\n%1 = loop %0 {loop turns=2 per=1 body {}} : real"), "2: value 0 per turn is real[3], the loop has 2 turns");
    CHECK_STR(refusal(a, LOOP("carry=1 per=1", "%0 = arg {batched} : real batched out value 0 %0") "%3 = neg %2 : real"), "4: only proj reads a loop");
    CHECK_STR(refusal(a, LOOP("carry=1 per=1", "%0 = arg {batched} : real batched out value 0 %0") "%3 = proj %2 {index=1} : real"), "4: proj reads a result that the loop does not have");
    CHECK_STR(refusal(a, "%0 = param : real %1 = proj %0 : real"), "1: proj reads something that is not a loop");
    CHECK_STR(refusal(a, "%0 = param : real %1 = fixed_point %0 {body {%0 = const {shape=[2]} : real[2] out value 0 %0}} : real"), "1: the equation gives real[2] for real");
    CHECK_STR(refusal(a, "%0 = param : real %1 = fixed_point %0 : real"), "1: a fixed point needs a body with one output, and a value");
    arena_free(a);
}

/* The instances do reach the corners that they promise. */
TEST(instances_reach_the_corners) {
    int rounds_off = 0, one_sided = 0, dilated = 0, grouped = 0, one_pixel = 0, strided[4] = {0}, own_filters = 0, wide = 0, batch1 = 0, mixed = 0, flat = 0;
    int until = 0, counted = 0, reverse = 0, emitted = 0, per = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        Arena *a = arena_new();
        OpTest t = optest_instance(a, OP_conv, seed);
        const ConvGeom *g = graph_at(t.graph, t.node)->a.conv;
        for (int i = 0; i < 2; i++) {
            rounds_off += (g->in[i] + g->pad_lo[i] + g->pad_hi[i] - g->dilation[i] * (g->kernel[i] - 1) - 1) % g->stride[i] != 0;
            one_sided += g->pad_lo[i] != g->pad_hi[i];
            dilated += g->dilation[i] > 1 && g->kernel[i] > 1;
            strided[g->stride[i]]++;
        }
        grouped += g->groups > 1;
        one_pixel += g->in[0] == 1 && g->in[1] == 1;
        flat += g->in[0] == 1 && g->in[1] > 1;
        own_filters += graph_batched(t.graph, t.leaf[1]);
        mixed += graph_batched(t.graph, t.leaf[0]) != graph_batched(t.graph, t.leaf[1]);
        wide += g->out_ch > 16;
        batch1 += t.env.batch == 1;
        t = optest_instance(a, OP_loop, seed);
        const LoopAttr *l = graph_at(t.graph, t.node)->a.loop;
        until += l->until, counted += l->counted, reverse += l->reverse, emitted += l->nemit > 0, per += l->nper > 0;
        arena_free(a);
    }
    CHECK(rounds_off > 20 && one_sided > 20 && dilated > 20 && grouped > 20 && one_pixel > 2 && flat > 10);
    CHECK(strided[1] > 20 && strided[2] > 20 && strided[3] > 20 && own_filters > 10 && mixed > 50 && wide > 5 && batch1 > 50 && batch1 < 250);
    CHECK(until > 20 && counted > 20 && reverse > 20 && emitted > 20 && per > 20);
}

int main(int argc, char **argv) {
    Case cases[] = {T(instances_are_valid),  T(instances_reach_the_corners), T(programs_are_valid), T(text_round_trip), T(names_and_odd_numbers_survive_the_text),
                    T(damaged_text), T(refused_text), T(bodies_are_checked)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
