/* Runs every entry of two libraries of one model on the same numbers, for several batches, and compares all results: compare A.so B.so TOLERANCE.
   Three threads call B at once at the end. With one library: says what its entries return, and why. */
#include "csc_model.h"
#include "numbers.h"
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 16, ARGS = 16 };

static const csc_model *load(const char *path) {
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const csc_model *(*query)(uint32_t) = NULL;
    if (!lib) fprintf(stderr, "%s\n", dlerror());
    else *(void **)&query = dlsym(lib, "csc_model_query");
    const csc_model *m = query ? query(CSC_MODEL_VERSION) : NULL;
    if (!m || query(0)) exit(2);
    return m;
}

typedef struct Results {
    float *out[ARGS], *grads, *state;
} Results;

static int run(const csc_model *m, uint32_t k, uint32_t batch, unsigned seed, Results *r) {
    const csc_entry *e = &m->entries[k];
    const float *in[ARGS];
    const float *params = m->params && seed % 2 ? m->params : numbers(m->param_floats, seed, 0.4f), *state = m->state ? m->state : numbers(m->state_floats, 2, 1);
    for (uint32_t i = 0; i < e->nin; i++) in[i] = numbers(MOST, seed + 3 + i, 2);
    for (uint32_t i = 0; i < e->nout; i++) r->out[i] = numbers(MOST, 7, 0);
    r->grads = numbers(m->param_floats, 9, 1), r->state = numbers(m->state_floats, 9, 1); /* what is not written stays */
    csc_call c = {.size = sizeof c, .batch = batch, .in = in, .out = r->out, .params = params, .grads = r->grads, .state = state, .state_out = r->state,
                  .tunables = m->tunable_defaults, .seed = 4, .step = 2, .workspace = numbers((e->fixed_bytes + batch * e->batch_bytes + e->thread_bytes) / 4 + 16, 5, 1)};
    return e->run(&c);
}

static double farthest(const float *a, const float *b, size_t n) { /* against the size of all */
    double most = 0, size = 1e-6;
    for (size_t i = 0; i < n; i++) most = fmax(most, isnan(a[i] - b[i]) ? INFINITY : fabs((double)a[i] - b[i])), size = fmax(size, fabs(a[i]));
    return most / size;
}

typedef struct Thread {
    const csc_model *m;
    Results r;
    int rc;
} Thread;
static void *again(void *arg) {
    Thread *t = arg;
    for (int i = 0; i < 3; i++) t->rc |= run(t->m, t->m->entry_count - 1, 3, 20, &t->r);
    return NULL;
}

int main(int argc, char **argv) {
    const csc_model *a = load(argv[1]), *b = argc == 4 ? load(argv[2]) : NULL;
    Results r, q;
    if (!b) {
        int rc = run(a, a->entry_count - 1, 2, 1, &r);
        printf("%d %s\n", rc, a->error ? a->error() : "no words for it");
        return 0;
    }
    double tolerance = atof(argv[3]);
    static const uint32_t batches[] = {3, 3, 5, 1};
    int bad = a->param_floats != b->param_floats || a->entry_count != b->entry_count;
    for (uint32_t k = 0; k < a->entry_count && !bad; k++)
        for (unsigned t = 0; t < 4; t++) {
            if (run(a, k, batches[t], 20 + t, &r)) return printf("%s: the first fails\n", a->entries[k].name), 1;
            if (run(b, k, batches[t], 20 + t, &q)) return printf("%s: %s\n", b->entries[k].name, b->error ? b->error() : "?"), 1;
            double d = 0, g = farthest(r.grads, q.grads, a->param_floats), s = farthest(r.state, q.state, a->state_floats);
            for (uint32_t i = 0; i < a->entries[k].nout; i++) d = fmax(d, farthest(r.out[i], q.out[i], MOST));
            printf("%s, batch %u: results differ by %.1e, gradients by %.1e, states by %.1e\n", a->entries[k].name, batches[t], d, g, s);
            bad |= !(d <= tolerance && g <= tolerance && s <= tolerance);
        }
    csc_call none = {.size = sizeof none};
    if (b->entries[0].run(&none) != 1 || b->entries[0].run(NULL) != 1) return printf("a batch of 0 must be refused\n"), 1;
    Thread t[3];
    pthread_t id[3];
    for (int i = 0; i < 3; i++) t[i] = (Thread){.m = b}, pthread_create(&id[i], NULL, again, &t[i]);
    for (int i = 0; i < 3; i++) {
        pthread_join(id[i], NULL);
        if (t[i].rc || farthest(t[0].r.grads, t[i].r.grads, b->param_floats) != 0) return printf("threads do not agree\n"), 1;
    }
    return bad;
}
