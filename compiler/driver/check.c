/* cscc check: every mistake that can be found without running anything; prints any noun on the way. */
#include "driver/commands.h"
#include "driver/json.h"
#include "driver/passes.h"

static int64_t count_params(const Program *p) {
    int64_t n = 0;
    for (size_t i = 0; i < p->params.len; i++) n += shape_size(p->params.at[i].shape) * (p->params.at[i].turns ? p->params.at[i].turns : 1);
    return n;
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
    if (o->emit[EMIT_LLVM] || o->emit[EMIT_ASM] || o->emit[EMIT_OBJ]) last = "llvm";
    if (o->stop_after) last = "llvm";
    bool ok = compile_model(&c, last);
    compile_report(&c);
    if (!ok) return 1;
    if (o->any_emit || o->json) return 0;
    const Program *p = c.program;
    printf("%s: model %s, %zu parameters (%lld numbers), %zu train %s\n", o->words[0], p->model, p->params.len, (long long)count_params(p),
           p->stages.len, p->stages.len == 1 ? "stage" : "stages");
    return 0;
}
