/* cscc check: every mistake that can be found without running anything; prints any noun on the way. */
#include "driver/commands.h"
#include "driver/json.h"
#include "driver/operators.h"

static int64_t count_params(const Program *p) {
    int64_t n = 0;
    for (size_t i = 0; i < p->params.len; i++) n += shape_size(p->params.at[i].shape) * (p->params.at[i].turns ? p->params.at[i].turns : 1);
    return n;
}

static void say_operators(const Cx *cx, const OperatorTests *t) {
    for (size_t i = 0; i < t->len; i++) {
        const OperatorTest *x = &t->at[i];
        fprintf(stderr, "%s:%u:%u: remark: ", cx->sources.at[x->span.file].path, x->span.line, x->span.col);
        fprintf(stderr, "the operator %s%sfrom %s to %s ", x->name ? x->name : "", x->name ? " " : "", shape_text(cx->pass, x->from), shape_text(cx->pass, x->to));
        if (x->skipped) fprintf(stderr, "is too large for a dot test\n");
        else fprintf(stderr, "and its adjoint agree: <D x, y> and <x, D' y> differ by %.1e of |D x| |y|\n", x->difference);
    }
}

static void json_check(const Cx *cx, const Program *p, const OperatorTests *t) {
    printf("{\"model\": ");
    json_text(stdout, p->model);
    printf(", \"parameters\": %zu, \"numbers\": %lld, \"stages\": %zu, \"operators\": [", p->params.len, (long long)count_params(p), p->stages.len);
    for (size_t i = 0; i < t->len; i++) {
        const OperatorTest *x = &t->at[i];
        printf("%s\n  {\"name\": ", i ? "," : "");
        json_text(stdout, x->name);
        printf(", \"file\": ");
        json_text(stdout, cx->sources.at[x->span.file].path);
        printf(", \"line\": %u, \"from\": ", x->span.line);
        json_dims(stdout, x->from.rank, x->from.dim);
        printf(", \"to\": ");
        json_dims(stdout, x->to.rank, x->to.dim);
        printf(", \"difference\": ");
        if (x->skipped) printf("null}");
        else printf("%.3g}", x->difference);
    }
    printf("]}\n");
}

int command_check(Cx *cx, const Options *o) {
    Compile c;
    if (!compile_read(&c, cx, o)) return 1;
    c.free_default = true;
    if (!compile_declare(&c)) return cx->errors ? 1 : 0;
    if (!c.program) return 0; /* --stop-after */
    compile_want(&c, ENTRY_INIT, 0);
    compile_want(&c, ENTRY_FORWARD, 0);
    for (size_t i = 0; i < c.program->stages.len; i++) {
        compile_want(&c, ENTRY_EVAL, (int32_t)i);
        compile_want(&c, ENTRY_STEP, (int32_t)i);
    }
    const char *last = "tidy"; /* code is made only to be looked at */
    if (o->emit[EMIT_LOOP] || o->remarks) last = "sched";
    if (o->emit[EMIT_LLVM] || o->emit[EMIT_ASM] || o->emit[EMIT_OBJ] || o->emit[EMIT_CUDA] || o->emit[EMIT_PTX] || o->emit[EMIT_CUBIN]) last = "llvm";
    if (o->stop_after) last = "llvm";
    bool ok = compile_model(&c, last);
    compile_report(&c);
    if (!ok) return 1;
    const Program *p = c.program;
    if (o->stop_after) return 0;
    OperatorTests tests = {0};
    if (o->remarks || o->json) tests = operators_test(&c);
    if (o->remarks) say_operators(cx, &tests);
    if (o->json && !cx->diags.len && !o->any_emit) json_check(cx, p, &tests); /* else main prints the list of warnings */
    if (o->any_emit || o->json) return 0;
    printf("%s: model %s, %zu parameters (%lld numbers), %zu train %s\n", o->words[0], p->model, p->params.len, (long long)count_params(p),
           p->stages.len, p->stages.len == 1 ? "stage" : "stages");
    return 0;
}
