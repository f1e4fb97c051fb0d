/* The driver's own pieces: command lines, the face of entries, JSON, finding programs. */
#include "check.h"
#include "driver/args.h"
#include "driver/entries.h"
#include "driver/json.h"
#include "driver/link.h"
#include "op/eval.h"

static Options read_args(Cx *cx, int n, const char **words) {
    Options o;
    int code;
    args_read(cx, n, (char **)words, &o, &code);
    return o;
}
#define ARGS(...) read_args(cx, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *[]){__VA_ARGS__})

TEST(args_take_values_in_both_forms) {
    Cx *cx = cx_new();
    Options o = ARGS("cscc", "train", "--epochs=3", "a.csc", "--batch", "7", "--set", "n=4", "--set=m=x=y", "-j2");
    CHECK(cx->errors == 0 && o.command == CMD_TRAIN && o.epochs == 3 && o.batch == 7 && o.has_batch && o.threads == 2);
    CHECK(o.nset == 2 && o.nwords == 1);
    CHECK_STR(o.set[0].value, "4");
    CHECK_STR(o.set[1].name, "m");
    CHECK_STR(o.set[1].value, "x=y");
    cx_free(cx);
}
TEST(args_after_two_dashes_are_words) {
    Cx *cx = cx_new();
    Options o = ARGS("cscc", "run", "--", "a.csc", "--help");
    CHECK(cx->errors == 0 && o.nwords == 2);
    CHECK_STR(o.words[1], "--help");
    cx_free(cx);
}
TEST(args_emit_is_a_list) {
    Cx *cx = cx_new();
    Options o = ARGS("cscc", "check", "a.csc", "--emit=op,loop");
    CHECK(cx->errors == 0 && o.emit[EMIT_OP] && o.emit[EMIT_LOOP] && !o.emit[EMIT_AST]);
    cx_free(cx);
}

/* label y (unused), input x[2], params a[2] and b[2] (unused); loss = mean of sum(a * x) */
static Program *small(Cx *cx) {
    Program *p = ARENA_NEW(cx->keep, Program);
    p->arena = cx->keep;
    p->model = name_of(cx, "m");
    InputDecl y = {.name = name_of(cx, "y"), .kind = IN_LABEL, .classes = 3}, x = {.name = name_of(cx, "x"), .shape = shape_of(1, (int64_t)2)};
    vec_push(cx->keep, &p->inputs, y);
    vec_push(cx->keep, &p->inputs, x);
    ParamDecl a = {.name = name_of(cx, "a"), .shape = shape_of(1, (int64_t)2)}, b = {.name = name_of(cx, "b"), .shape = shape_of(1, (int64_t)2), .turns = 3};
    vec_push(cx->keep, &p->params, a);
    vec_push(cx->keep, &p->params, b);
    OutputDecl o = {.name = name_of(cx, "o"), .shape = shape_of(1, (int64_t)2)};
    vec_push(cx->keep, &p->outputs, o);
    Stage s = {.epochs = 1};
    vec_push(cx->keep, &p->stages, s);
    program_layout(p);
    return p;
}
static NodeId product(Graph *g) {
    Shape s = shape_of(1, (int64_t)2);
    NodeId x = op_leaf(g, OP_input, 1, s, true, (Span){0}, NULL), a = op_leaf(g, OP_param, 0, s, false, (Span){0}, NULL);
    return op2(g, OP_mul, a, x);
}

TEST(step_has_loss_first_and_a_gradient_for_every_parameter) {
    Cx *cx = cx_new();
    Program *p = small(cx);
    Graph *g = graph_new(cx->keep);
    NodeId ax = product(g), n = op_leaf(g, OP_nbatch, 0, (Shape){0}, false, (Span){0}, NULL);
    NodeId loss = op2(g, OP_div, op1(g, OP_batch_sum, op_sum_all(g, ax)), n);
    graph_out(g, OUT_METRIC, 0, loss, NULL);
    graph_out(g, OUT_LOSS, 0, loss, NULL);
    Entry e = {.kind = ENTRY_STEP, .graph = g};
    entry_finish(cx, p, &e);
    const char *why = NULL;
    if (!graph_check(e.graph, &why)) FAIL("%s", why);
    CHECK_STR(e.name, "step");
    CHECK(e.nin == 2 && e.graph->outs.len == 4);
    CHECK(e.graph->outs.at[0].role == OUT_LOSS && e.graph->outs.at[1].role == OUT_METRIC);
    CHECK(e.graph->outs.at[2].role == OUT_GRAD && e.graph->outs.at[2].index == 0);
    CHECK(e.graph->outs.at[3].role == OUT_GRAD && e.graph->outs.at[3].index == 1);
    CHECK(shape_eq(graph_shape(e.graph, e.graph->outs.at[3].node), shape_of(2, (int64_t)3, (int64_t)2)));
    double x[] = {1, 2, 5, 8}, a[] = {1, 1};
    Value in[2] = {{.at = x}, {.shape = shape_of(1, (int64_t)2), .batched = true, .at = x}}, par[2] = {{.shape = shape_of(1, (int64_t)2), .at = a}, {.at = a}};
    EvalEnv env = {.batch = 2, .inputs = in, .params = par};
    Value *v = eval_graph(cx->keep, e.graph, &env);
    const Value *grad = &v[e.graph->outs.at[2].node], *zero = &v[e.graph->outs.at[3].node];
    CHECK_NEAR(grad->at[0], 3, 1e-12);
    CHECK_NEAR(grad->at[1], 5, 1e-12);
    CHECK_NEAR(zero->at[5], 0, 1e-12);
    cx_free(cx);
}
TEST(backward_takes_inputs_and_cotangents_only) {
    Cx *cx = cx_new();
    Program *p = small(cx);
    Graph *g = graph_new(cx->keep);
    graph_out(g, OUT_VALUE, 0, product(g), name_of(cx, "o"));
    Entry e = {.kind = ENTRY_BACKWARD, .graph = g};
    entry_finish(cx, p, &e);
    const char *why = NULL;
    if (!graph_check(e.graph, &why)) FAIL("%s", why);
    CHECK(e.nin == 2);
    CHECK_STR(e.in[0].name, "x");
    CHECK_STR(e.in[1].name, "d_o");
    CHECK(e.graph->outs.at[0].role == OUT_INGRAD && e.graph->outs.at[1].role == OUT_GRAD);
    double x[] = {1, 2}, a[] = {3, 4}, d[] = {10, 100};
    Shape s = shape_of(1, (int64_t)2);
    Value in[2] = {{s, true, x}, {s, true, d}}, par[2] = {{s, false, a}, {s, false, a}};
    EvalEnv env = {.batch = 1, .inputs = in, .params = par};
    Value *v = eval_graph(cx->keep, e.graph, &env);
    CHECK_NEAR(v[e.graph->outs.at[0].node].at[0], 30, 1e-12);
    CHECK_NEAR(v[e.graph->outs.at[0].node].at[1], 400, 1e-12);
    CHECK_NEAR(v[e.graph->outs.at[1].node].at[1], 200, 1e-12);
    cx_free(cx);
}
TEST(forward_numbers_its_inputs_anew) {
    Cx *cx = cx_new();
    Program *p = small(cx);
    Graph *g = graph_new(cx->keep);
    graph_out(g, OUT_VALUE, 0, product(g), name_of(cx, "o"));
    Entry e = {.kind = ENTRY_FORWARD, .graph = g};
    entry_finish(cx, p, &e);
    CHECK(e.nin == 1);
    CHECK_STR(e.in[0].name, "x");
    for (size_t i = 0; i < e.graph->nodes.len; i++)
        if (e.graph->nodes.at[i].op == OP_input) CHECK(e.graph->nodes.at[i].a.index == 0);
    cx_free(cx);
}
TEST(json_escapes) {
    char buffer[64];
    FILE *f = fmemopen(buffer, sizeof buffer, "w");
    json_text(f, "a\"\\\n\001");
    json_number(f, 1.0 / 0.0);
    fclose(f);
    CHECK_STR(buffer, "\"a\\\"\\\\\\n\\u0001\"null");
}
TEST(programs_are_found_on_the_path) {
    Arena *a = arena_new();
    CHECK(link_which(a, "sh") != NULL);
    CHECK(link_which(a, "no-such-program-here") == NULL);
    arena_free(a);
}

int main(int argc, char **argv) {
    Case cases[] = {T(args_take_values_in_both_forms), T(args_after_two_dashes_are_words), T(args_emit_is_a_list),
                    T(step_has_loss_first_and_a_gradient_for_every_parameter), T(backward_takes_inputs_and_cotangents_only),
                    T(forward_numbers_its_inputs_anew), T(json_escapes), T(programs_are_found_on_the_path)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
