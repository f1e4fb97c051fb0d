/* From the recipe of a program (Cfg trees) to what the runtime trains by. */
#ifndef CSC_DRIVER_RECIPE_H
#define CSC_DRIVER_RECIPE_H
#include "csc.h"
#include "driver/passes.h"

typedef struct Recipe {
    csc_stage *stages; /* data, test opened; entries named */
    int nstages;
    csc_input *inputs;
    int ninputs;
    csc_context *rt;
    Vec(csc_data *) opened;
} Recipe;

/* Opens the data of all stages (needs c->program, declared). False: errors in cx, or *exit_code 2 and said. */
bool recipe_open_data(Cx *cx, Compile *c, csc_context *rt, Recipe *r);
/* Binds free dimensions of the model's inputs to the sizes of the data (adds to c->set). */
bool recipe_bind_sizes(Cx *cx, Compile *c, const Recipe *r);
/* The rest: inputs, optimisers, metrics. Only after the entries were built. */
bool recipe_finish(Cx *cx, const Compile *c, Recipe *r);
void recipe_close(Recipe *r);
/* A metric for which more is better, by its name. */
bool recipe_larger_is_better(const char *name);
bool recipe_is_share(const char *name); /* shown in percent */

/* The runtime's complaint as a diagnostic, or as the machine's trouble (which ends the process). */
void runtime_error(Cx *cx, csc_context *rt, DiagCode code, Span at);

/* Dimensions of input number `index` of the model that nothing defines: name of each axis, or NULL. `axes`: RANK_MAX entries. */
void free_axes(const Compile *c, size_t index, const char *axes[RANK_MAX]);
void bind_size(Compile *c, const char *name, int64_t size);
#endif
