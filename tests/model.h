/* A model of a program of text, with numbers for everything it reads: built, evaluated in float64, compiled and run. For tests. */
#ifndef CSC_TESTS_MODEL_H
#define CSC_TESTS_MODEL_H
#include "driver/passes.h"
#include "op/eval.h"

typedef struct TestModel {
    Cx *cx;
    Options options;
    Compile c;
    int64_t batch;
    Vec(Entry) raw;                             /* as build makes them, before any pass */
    const csc_model *code;                      /* of model_run */
    struct CodeImage *jit;
    Value *inputs, *params, *states, *tunables; /* by number in c.program; after the inputs one cotangent per output */
} TestModel;

/* `text` is a program, or the path of one below the source tree ("examples/.../x.csc"). sets: "unfold=2 form=plain". Builds the entries init, forward,
   backward, and with a recipe eval and step. Parameters get numbers that depend on their names and initialisers alone. NULL: diagnostics
   were printed. */
TestModel *model_open(const char *text, const char *sets, int64_t batch);
TestModel *model_open_unstarted(const char *text, const char *sets, int64_t batch); /* the init entry has not run: states are numbers too */
TestModel *model_declare(const char *text, const char *sets); /* only c.program: no numbers, no entries */
void model_close(TestModel *m);
/* The text of a program of the source tree with pairs of replacements ("from", "to", ..., NULL); each `from` must occur. Free it. */
char *model_program(const char *path, const char *const *pairs);

const Entry *model_entry(const TestModel *m, EntryKind k); /* after all passes over graphs; NULL */
const Graph *model_raw(const TestModel *m, EntryKind k);
/* All nodes of an entry's graph. Raw graphs number inputs as the program does. */
Value *model_eval(Arena *a, const TestModel *m, const Entry *e);
Value *model_eval_raw(Arena *a, const TestModel *m, const Graph *g);
const GraphOut *model_out(const Graph *g, OutRole r, int32_t index); /* NULL: none */

/* Output number `index` of FORWARD (by name), float64, through all passes; also checks that the passes changed nothing. */
Value model_output(Arena *a, TestModel *m, const char *name, const char **why);

Value *model_param(TestModel *m, const char *name); /* NULL */
bool model_copy(TestModel *to, const char *name, TestModel *from, const char *as);
void model_restart(TestModel *m); /* runs the init entry: states (lipschitz) of the parameters there are now */

uint64_t model_seed(const char *name);
double model_random(uint64_t *state); /* uniform in -1 .. 1; docs/testing.md defines it */
void model_normalise(Value *v, bool atoms); /* to norm 1 over what follows the first axis, or along it; rounded to floats */
double value_apart(const Value *x, const Value *y, int64_t batch); /* largest difference, relative to the largest entry; inf: other shapes */

/* Compiles; entries looked up before are not valid any more. False: *why. */
bool model_load_code(TestModel *m, const char **why);
/* One result for each of the entry's `outs`, by compiled code. NULL: *why. */
Value *model_run(Arena *a, TestModel *m, const Entry *e, const char **why);
void model_unload(TestModel *m);
/* Each entry's compiled code against the evaluator, for the batch and for its first sample alone. NULL, or what is apart. */
const char *model_compiled(TestModel *m, double tol);
/* Bytes of workspace that the compiled entry asks for. False: there is no code generator here. */
bool model_workspace(TestModel *m, EntryKind k, int64_t batch, size_t *bytes);
/* Every value of every entry is what it was before the passes over graphs. */
const char *model_passes(TestModel *m, double tol);
/* Directional derivatives of the loss (STEP) and of the outputs (BACKWARD) against differences, with every `stop` held at its value. A model with
   an implicit gradient must iterate until it has converged. */
const char *model_gradients(TestModel *m, double tol);
#endif
