/* Calls the library that `cscc build --embed-weights` made of digits.csc: classifies every fifth digit, those that training never saw.
   usage: classify IMAGES LABELS      (IDX files, plain or .gz) */
#include "digits.h"
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

static unsigned char *read_idx(const char *path, int dims, unsigned *count) {
    gzFile f = gzopen(path, "rb");
    unsigned char head[16];
    if (!f || gzread(f, head, (unsigned)(4 + 4 * dims)) != 4 + 4 * dims) return NULL;
    unsigned size = 1;
    for (int i = 0; i < dims; i++) {
        const unsigned char *b = head + 4 + 4 * i;
        unsigned n = (unsigned)b[0] << 24 | (unsigned)b[1] << 16 | (unsigned)b[2] << 8 | b[3];
        if (i == 0) *count = n;
        size *= n;
    }
    unsigned char *at = malloc(size);
    if (!at || gzread(f, at, size) != (int)size) return NULL;
    gzclose(f);
    return at;
}

int main(int argc, char **argv) {
    enum { BATCH = 64 };
    unsigned n = 0, labels_n = 0;
    unsigned char *images = argc == 3 ? read_idx(argv[1], 3, &n) : NULL, *labels = argc == 3 ? read_idx(argv[2], 1, &labels_n) : NULL;
    if (!images || !labels || n != labels_n) return fprintf(stderr, "usage: classify IMAGES LABELS\n"), 2;

    const csc_model *m = csc_model_query(CSC_MODEL_VERSION);
    const csc_entry *forward = NULL;
    for (unsigned i = 0; m && i < m->entry_count; i++)
        if (m->entries[i].name[0] == 'f') forward = &m->entries[i];
    if (!forward || !m->params) return fprintf(stderr, "this library has no weights inside\n"), 2;

    /* the caller owns all memory: a model allocates nothing */
    size_t bytes = forward->fixed_bytes + BATCH * forward->batch_bytes + forward->thread_bytes;
    void *workspace = aligned_alloc(64, (bytes + 63) / 64 * 64), *prepared = NULL;
    if (workspace && forward->prepare) { /* these weights stay: what is made of them alone is made once */
        prepared = aligned_alloc(64, (forward->prepared_bytes + 63) / 64 * 64);
        csc_call call = {.size = sizeof call, .batch = 1, .params = m->params, .state = m->state, .tunables = m->tunable_defaults, .workspace = workspace, .prepared = prepared};
        if (!prepared || forward->prepare(&call)) return fprintf(stderr, "nothing could be prepared\n"), 3;
    }
    float x[BATCH][DIGITS_IN_X], logits[BATCH][DIGITS_OUT_LOGITS];
    const float *in[] = {&x[0][0]};
    float *out[] = {&logits[0][0]};
    unsigned right = 0, seen = 0;
    for (unsigned at = 4; workspace && at < n;) {
        unsigned which[BATCH], k = 0;
        for (; k < BATCH && at < n; k++, at += 5) {
            for (int i = 0; i < DIGITS_IN_X; i++) x[k][i] = (float)images[at * DIGITS_IN_X + i] / 16;
            which[k] = at;
        }
        csc_call call = {.size = sizeof call, .batch = k, .in = in, .out = out, .params = m->params, .state = m->state, .tunables = m->tunable_defaults, .workspace = workspace, .prepared = prepared};
        if (forward->run(&call)) return fprintf(stderr, "the call was refused\n"), 3;
        for (unsigned s = 0; s < k; s++, seen++) {
            int best = 0;
            for (int c = 1; c < DIGITS_OUT_LOGITS; c++)
                if (logits[s][c] > logits[s][best]) best = c;
            right += best == labels[which[s]];
        }
    }
    printf("%u of %u held-out digits are right (%.2f %%)\n", right, seen, seen ? 100.0 * right / seen : 0);
    free(prepared);
    free(workspace);
    free(images);
    free(labels);
    return 0;
}
