/* Programs: where parameters lie, arguments of a recipe, the printed head. */
#include "check.h"
#include "op/program.h"

static Program *example(Cx *cx) {
    Program *p = ARENA_NEW(cx->keep, Program);
    p->arena = cx->keep;
    p->model = name_of(cx, "m");
    ParamDecl d = {.name = name_of(cx, "D.F"), .shape = shape_of(4, (int64_t)2, (int64_t)1, (int64_t)3, (int64_t)3), .init = {INIT_NORMAL, 0, 0.5}};
    vec_push(cx->keep, &d.constraints, ((Constraint){CON_UNIT_ATOMS, 0}));
    vec_push(cx->keep, &p->params, d);
    ParamDecl step = {.name = name_of(cx, "z.step"), .turns = 3, .init = {INIT_CONST, 1, 0}, .fixed = true};
    vec_push(cx->keep, &p->params, step);
    StateDecl s = {.name = name_of(cx, "v"), .shape = shape_of(1, (int64_t)17), .init = {INIT_UNIFORM, -1, 1}};
    vec_push(cx->keep, &p->states, s);
    vec_push(cx->keep, &p->states, s);
    vec_push(cx->keep, &p->tunables, ((TunableDecl){.name = name_of(cx, "lambda"), .value = 0.1}));
    vec_push(cx->keep, &p->inputs, ((InputDecl){.name = name_of(cx, "X"), .kind = IN_REAL, .shape = shape_of(2, (int64_t)8, (int64_t)8)}));
    vec_push(cx->keep, &p->inputs, ((InputDecl){.name = name_of(cx, "y"), .kind = IN_LABEL, .classes = 10}));
    vec_push(cx->keep, &p->outputs, ((OutputDecl){.name = name_of(cx, "logits"), .shape = shape_of(1, (int64_t)10)}));

    Cfg *lr = ARENA_NEW(cx->keep, Cfg), *sgd = ARENA_NEW(cx->keep, Cfg), *data = ARENA_NEW(cx->keep, Cfg);
    *lr = (Cfg){.kind = CFG_NUMBER, .number = 0.05};
    *data = (Cfg){.kind = CFG_TEXT, .text = name_of(cx, "digits")};
    const Cfg *items[] = {lr};
    Name keys[] = {name_of(cx, "lr")};
    *sgd = (Cfg){.kind = CFG_CALL, .text = name_of(cx, "sgd"), .n = 1, .item = arena_copy(cx->keep, items, sizeof items), .key = arena_copy(cx->keep, keys, sizeof keys)};
    Stage st = {.name = name_of(cx, "m"), .data = data, .optimizer = sgd, .epochs = 3, .batch = 32};
    vec_push(cx->keep, &p->stages, st);
    program_layout(p);
    return p;
}

TEST(layout_is_aligned_and_disjoint) {
    Cx *cx = cx_new();
    Program *p = example(cx);
    CHECK(p->params.at[0].offset == 0 && p->params.at[1].offset == 32 && p->param_floats == 48);
    CHECK(p->states.at[0].offset == 0 && p->states.at[1].offset == 32 && p->state_floats == 64);
    CHECK(param_size(&p->params.at[0]) == 18 && param_size(&p->params.at[1]) == 3);
    program_layout(p); /* again: the same */
    CHECK(p->param_floats == 48 && p->state_floats == 64);
    cx_free(cx);
}

TEST(arguments_of_a_recipe) {
    Cx *cx = cx_new();
    const Stage *s = &example(cx)->stages.at[0];
    CHECK(cfg_arg(s->optimizer, "lr") && cfg_arg(s->optimizer, "lr")->number == 0.05);
    CHECK(!cfg_arg(s->optimizer, "momentum") && !cfg_arg(s->data, "lr") && !cfg_arg(NULL, "lr"));
    cx_free(cx);
}

TEST(printed_head) {
    Cx *cx = cx_new();
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    program_print(example(cx), out);
    fclose(out);
    CHECK_STR(text, "model m\n"
                    "input 0 X : real[8, 8]\n"
                    "label 1 y : real of 10 classes\n"
                    "param 0 D.F : real[2, 1, 3, 3] = normal(0.5, mean: 0) unit_atoms at 0\n"
                    "param 1 z.step : real per turn, 3 = 1 fixed at 32\n"
                    "state 0 v : real[17] = uniform(-1, 1) at 0\n"
                    "state 1 v : real[17] = uniform(-1, 1) at 32\n"
                    "tunable 0 lambda = 0.1\n"
                    "output 0 logits : real[10]\n"
                    "train m data=\"digits\" test=none optimizer=sgd(lr: 0.05) epochs=3 batch=32\n");
    free(text);
    cx_free(cx);
}

int main(int argc, char **argv) {
    return run_tests(argc, argv, (Case[]){T(layout_is_aligned_and_disjoint), T(arguments_of_a_recipe), T(printed_head)}, 3);
}
