/* The whole pipeline up to scheduled loop nests, for programs in files: what `cscc check` sees and more (gradients by call, probes). */
#ifndef CSC_TESTS_PIPELINE_H
#define CSC_TESTS_PIPELINE_H
#include "driver/args.h"
#include "driver/passes.h"

/* Every entry of the model of a program. c->program is NULL after errors, which are in cx. */
static inline bool pipeline_run(Cx *cx, Compile *c, Options *o, const char *path, const char *model, const char *last) {
    const char *words[] = {"cscc", "check", path, "--model", model};
    int code;
    if (!args_read(cx, model ? 5 : 3, (char **)words, o, &code) || !compile_read(c, cx, o)) return false;
    c->free_default = true;
    if (!compile_declare(c) || !c->program) return false;
    compile_want(c, ENTRY_INIT, 0);
    compile_want(c, ENTRY_FORWARD, 0);
    if (c->program->outputs.len) compile_want(c, ENTRY_BACKWARD, 0);
    for (size_t i = 0; i < c->program->stages.len && i < 6; i++) {
        compile_want(c, ENTRY_EVAL, (int32_t)i);
        compile_want(c, ENTRY_STEP, (int32_t)i);
        compile_want(c, ENTRY_PROBE, (int32_t)i);
        const Cfg *data = c->program->stages.at[i].data;
        if (data && data->kind == CFG_CALL && !strcmp(data->text, "sparse_codes")) compile_want(c, ENTRY_SYNTH, (int32_t)i);
    }
    return compile_model(c, last);
}
#endif
