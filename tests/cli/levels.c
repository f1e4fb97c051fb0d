/* Runs every entry of a library on numbers made here, and prints which processor its code is for, then sums of the results:
   levels MODEL.so BATCH, built and run by tests/cli/levels.sh, also for other processors. */
#include "csc_model.h"
#include "numbers.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    enum { MOST = 1 << 16 };
    void *lib = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (!lib) return fprintf(stderr, "%s\n", dlerror()), 2;
    const csc_model *(*query)(uint32_t);
    *(void **)&query = dlsym(lib, "csc_model_query");
    const csc_model *m = query(CSC_MODEL_VERSION);
    if (!m || query(0)) return 3;
    const char *cpu = strstr(m->info, "\"cpu\": \"");
    printf("cpu %.*s\n", (int)strcspn(cpu + 8, "\""), cpu + 8);
    uint32_t batch = (uint32_t)atoi(argv[2]);
    const float *params = m->params ? m->params : numbers(m->param_floats, 1, 0.4f), *state = m->state ? m->state : numbers(m->state_floats, 2, 1);
    for (uint32_t k = 0; k < m->entry_count; k++) {
        const csc_entry *e = &m->entries[k];
        if (!strcmp(e->name, "init")) continue;
        const float *in[16];
        float *out[16];
        for (uint32_t i = 0; i < e->nin; i++) in[i] = numbers(MOST, 3 + i, 2);
        for (uint32_t i = 0; i < e->nout; i++) out[i] = calloc(MOST, 4);
        float *grads = numbers(m->param_floats, 9, 0), *states = numbers(m->state_floats, 9, 0);
        csc_call c = {.size = sizeof c, .batch = batch, .in = in, .out = out, .params = params, .grads = grads, .state = state, .state_out = states,
                      .tunables = m->tunable_defaults, .workspace = numbers((e->fixed_bytes + batch * e->batch_bytes + e->thread_bytes) / 4 + 16, 5, 1)};
        if (e->run(&c)) return 4;
        double sum = 0, square = 0;
        for (uint32_t i = 0; i < e->nout; i++)
            for (int n = 0; n < MOST; n++) sum += (n % 7 - 2) * out[i][n], square += out[i][n] * out[i][n];
        printf("%s %.6e %.6e\n", e->name, sum, square);
        sum = square = 0;
        for (uint64_t n = 0; n < m->param_floats; n++) sum += (double)(n % 5) * grads[n], square += grads[n] * grads[n];
        printf("%s' %.6e %.6e\n", e->name, sum, square);
    }
    return 0;
}
