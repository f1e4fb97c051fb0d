/* Launch programs written by hand: words one after another, the length and the checksum at the end. */
#ifndef CSC_TESTS_RUNTIME_WORDS_H
#define CSC_TESTS_RUNTIME_WORDS_H
#include "csc_cuda.h"
#include <stdlib.h>
#include <string.h>

typedef struct Words {
    int64_t *at;
    size_t n, cap;
} Words;

static inline void w_put(Words *w, int64_t v) {
    if (w->n == w->cap) w->at = realloc(w->at, (w->cap = 2 * w->cap + 64) * sizeof *w->at);
    w->at[w->n++] = v;
}
static inline void w_all(Words *w, size_t n, const int64_t *v) {
    for (size_t i = 0; i < n; i++) w_put(w, v[i]);
}
#define W(w, ...) w_all((w), sizeof((int64_t[]){__VA_ARGS__}) / 8, (int64_t[]){__VA_ARGS__})
static inline void w_bytes(Words *w, const char *s, size_t len) {
    w_put(w, (int64_t)len);
    for (size_t i = 0; i < len; i += 8) {
        int64_t v = 0;
        memcpy(&v, s + i, len - i < 8 ? len - i : 8);
        w_put(w, v);
    }
}
static inline void w_text(Words *w, const char *s) { w_bytes(w, s, strlen(s)); }
/* A part whose number of words goes before it. */
static inline size_t w_open(Words *w) { return w_put(w, 0), w->n; }
static inline void w_close(Words *w, size_t at) { w->at[at - 1] = (int64_t)(w->n - at); }
static inline void w_finish(Words *w) {
    w->at[1] = (int64_t)w->n;
    w->at[2] = (int64_t)csc_program_checksum(w->at + 3, w->n - 3);
}

/* ---- the toy model of runtime_toy.h ---- */
#define TOY_KERNEL(name, pointers, host)                                                                                                \
    "CSC_KERNEL(32) " name "(CSC_HEAD long long grid, long long batch, " pointers ") {\n"
/* One thread does all; the others have nothing to do. */
#define TOY_BEGIN "    CSC_THREADS(32) { if (CSC_T == 0) {\n        long long b = CSC_BLOCK; (void)b;\n"
#define TOY_END "    } }\n}\n"
#define TOY_ARG(type, i) "*(" type " *)args[" #i "]"
#define TOY_HOST(name, args) "#ifdef CSC_HOST\nvoid " name "_host(void **args, long long block);\nvoid " name "_host(void **args, long long block) { " name "(block, " TOY_ARG("long long", 0) ", " TOY_ARG("long long", 1) args "); }\n#endif\n"
#define TOY_P(i) ", " TOY_ARG("float *", i)

static const char toy_sample_text[] =
    TOY_KERNEL("toy_sample", "const float *par, const float *x, const float *y, float *work", )
    TOY_BEGIN
    "        const float *in = x + b * 64; float logit[10], most = -3e38f, sum = 0, *o = work + b * 16; int best = 0, label = (int)y[b];\n"
    "        for (int k = 0; k < 10; k++) {\n"
    "            logit[k] = par[640 + k];\n"
    "            for (int t = 0; t < 64; t++) logit[k] += par[k * 64 + t] * in[t];\n"
    "            if (!(logit[k] <= most)) { most = logit[k]; best = k; }\n"
    "        }\n"
    "        for (int k = 0; k < 10; k++) sum += poly_exp(logit[k] - most);\n"
    "        for (int k = 0; k < 10; k++) o[k] = poly_exp(logit[k] - most) / sum;\n"
    "        o[10] = poly_log(sum) + most - logit[label];\n"
    "        o[11] = best == label;\n"
    "        o[label] -= 1;\n"
    TOY_END TOY_HOST("toy_sample", TOY_P(2) TOY_P(3) TOY_P(4) TOY_P(5));
static const char toy_grad_text[] =
    TOY_KERNEL("toy_grad", "float *grad, const float *x, const float *work", )
    TOY_BEGIN
    "        float *gw = grad + b * 64, *gb = grad + 640 + b, n = (float)batch;\n"
    "        *gb = 0;\n"
    "        for (int t = 0; t < 64; t++) gw[t] = 0;\n"
    "        for (long long i = 0; i < batch; i++) {\n"
    "            float d = work[i * 16 + b] / n;\n"
    "            *gb += d;\n"
    "            for (int t = 0; t < 64; t++) gw[t] += d * x[i * 64 + t];\n"
    "        }\n"
    TOY_END TOY_HOST("toy_grad", TOY_P(2) TOY_P(3) TOY_P(4));
static const char toy_scores_text[] =
    TOY_KERNEL("toy_scores", "const float *work, float *loss, float *right", )
    TOY_BEGIN
    "        float l = 0, r = 0;\n"
    "        for (long long i = 0; i < batch; i++) { l += work[i * 16 + 10]; r += work[i * 16 + 11]; }\n"
    "        *loss = l / (float)batch;\n"
    "        *right = r / (float)batch;\n"
    TOY_END TOY_HOST("toy_scores", TOY_P(2) TOY_P(3) TOY_P(4));
static const char toy_count_text[] =
    TOY_KERNEL("toy_count", "const float *state, float *next, long long by", )
    TOY_BEGIN "        *next = *state + (float)by;\n"
    TOY_END TOY_HOST("toy_count", TOY_P(2) TOY_P(3) ", " TOY_ARG("long long", 4));
static const char toy_fill_text[] =
    TOY_KERNEL("toy_fill", "float *out", )
    TOY_BEGIN "        for (int k = 0; k < 10; k++) out[k] = 0.25f;\n"
    TOY_END TOY_HOST("toy_fill", TOY_P(2));
static const char toy_forward_text[] =
    TOY_KERNEL("toy_forward", "const float *par, const float *tune, const float *x, float *out", )
    TOY_BEGIN
    "        for (int k = 0; k < 10; k++) {\n"
    "            float s = par[640 + k];\n"
    "            for (int t = 0; t < 64; t++) s += par[k * 64 + t] * x[b * 64 + t];\n"
    "            out[b * 10 + k] = s * *tune;\n"
    "        }\n"
    TOY_END TOY_HOST("toy_forward", TOY_P(2) TOY_P(3) TOY_P(4) TOY_P(5));
static const char toy_probe_text[] =
    TOY_KERNEL("toy_probe", "const float *par, const float *x, float *same, float *h", )
    TOY_BEGIN
    "        for (int t = 0; t < 64; t++) same[b * 64 + t] = x[b * 64 + t];\n"
    "        h[b] = par[0] > 1e30f ? CSC_NAN : 1;\n"
    TOY_END TOY_HOST("toy_probe", TOY_P(2) TOY_P(3) TOY_P(4) TOY_P(5));

/* Loops that the device ends: w[0] is set in the fifth turn, or from the start where the loop around has ended. */
static const char toy_clear_text[] =
    TOY_KERNEL("toy_clear", "float *work", )
    TOY_BEGIN "        for (int k = 0; k < 16; k++) work[k] = 0;\n"
    TOY_END TOY_HOST("toy_clear", TOY_P(2));
static const char toy_start_text[] =
    TOY_KERNEL("toy_start", "float *w, const float *around", )
    TOY_BEGIN "        w[0] = *around; w[1] = 0;\n"
    TOY_END TOY_HOST("toy_start", TOY_P(2) TOY_P(3));
static const char toy_turn_text[] =
    TOY_KERNEL("toy_turn", "float *w, float *all", )
    TOY_BEGIN "        if (w[0] == 0) { w[1] += 1; *all += 1; w[0] = w[1] >= 5; }\n"
    TOY_END TOY_HOST("toy_turn", TOY_P(2) TOY_P(3));
static const char toy_turned_text[] = /* as toy_count by 1, where the loops took the turns that they should */
    TOY_KERNEL("toy_turned", "const float *work, const float *state, float *next", )
    TOY_BEGIN "        *next = *state + (work[8] == 25 && work[9] == 5 ? 1 : 1000);\n"
    TOY_END TOY_HOST("toy_turned", TOY_P(2) TOY_P(3) TOY_P(4));

/* What depends on seed, step and first sample: by / 1000 is added to the first gradients. */
static const char toy_draw_text[] =
    TOY_KERNEL("toy_draw", "float *grad, long long by", )
    TOY_BEGIN "        grad[b] += (float)by / 1000;\n"
    TOY_END TOY_HOST("toy_draw", TOY_P(2) ", " TOY_ARG("long long", 3));
typedef enum ToyDraws { TOY_DRAWS_NOT, TOY_DRAWS, TOY_DRAWS_MORE } ToyDraws; /* MORE: in some steps with one launch more */
static ToyDraws toy_draws;

enum { TOY_SAMPLE, TOY_GRAD, TOY_SCORES, TOY_COUNT, TOY_FILL, TOY_FORWARD, TOY_PROBE, TOY_CLEAR, TOY_START, TOY_TURN, TOY_TURNED };

typedef struct ToyImages { /* of all kernels, in their order; arch NULL: none */
    const char *arch;
    csc_kernel_text *kernel;
} ToyImages;
static ToyImages toy_images;

/* extents: floats, times the batch where `batched` */
static inline void toy_kernel(Words *w, const char *name, const char *text, int nints, int nptrs, const int64_t *floats, const bool *batched) {
    w_text(w, name);
    w_text(w, ""); /* where */
    w_text(w, text);
    W(w, 32, 0, nints, 2 * nptrs + 1, CSC_X_VAR, nints + 1, 0, 0); /* threads, shared, integers, expressions: the batch, ... */
    for (int i = 0; i < nptrs; i++) W(w, CSC_X_INT, floats[i], 0, 0, CSC_X_MUL, 2 * i + 1, 0, 0);
    W(w, nptrs);
    for (int i = 0; i < nptrs; i++) W(w, CSC_F32, batched[i] ? 2 * i + 2 : 2 * i + 1);
    W(w, toy_images.arch != NULL);
    for (const csc_kernel_text *k = toy_images.kernel; toy_images.arch && k; k = strcmp(k->name, name) ? k + 1 : NULL) {
        if (strcmp(k->name, name)) continue;
        w_text(w, toy_images.arch);
        w_bytes(w, k->image, k->image_len + 1);
    }
}
#define TOY_PUT(w, name, text, nints, n, floats, batched) toy_kernel(w, name, text, nints, n, (int64_t[])floats, (bool[])batched)
#define L(...) {__VA_ARGS__}

static inline void toy_entry(Words *w, const char *name, int nin, int nout) {
    w_text(w, name);
    W(w, 0, 0, nin, nout);
}
/* nvar, fixed, batch floats, then expressions: 0: the batch, 1: ten, 2: one, 3: none, 4: two, 5 and 6: is this an odd turn of the outer or inner loop? */
enum { TOY_OUTER = CSC_VARS, TOY_INNER };
static inline size_t toy_body(Words *w) {
    W(w, CSC_VARS + 2, 16, 16, 9, CSC_X_VAR, CSC_VAR_BATCH, 0, 0, CSC_X_INT, 10, 0, 0, CSC_X_INT, 1, 0, 0, CSC_X_INT, 0, 0, 0, CSC_X_INT, 2, 0, 0);
    W(w, CSC_X_VAR, TOY_OUTER, 0, 0, CSC_X_VAR, TOY_INNER, 0, 0, CSC_X_MOD, 5, 4, 0, CSC_X_MOD, 6, 4, 0);
    return w_open(w);
}
/* As toy_body, with 9 to 11: seed, step, first sample, 15: their sum modulo 5, 16: one more, 18: the step modulo 3. */
static inline size_t toy_body_drawn(Words *w) {
    size_t at = toy_body(w);
    w->n = at - 1; /* more expressions, before the statements begin */
    w->at[w->n - 9 * 4 - 1] += 10;
    W(w, CSC_X_VAR, CSC_VAR_SEED, 0, 0, CSC_X_VAR, CSC_VAR_STEP, 0, 0, CSC_X_VAR, CSC_VAR_FIRST_SAMPLE, 0, 0, CSC_X_INT, 5, 0, 0);
    W(w, CSC_X_ADD, 9, 10, 0, CSC_X_ADD, 13, 11, 0, CSC_X_MOD, 14, 12, 0, CSC_X_ADD, 15, 2, 0, CSC_X_INT, 3, 0, 0, CSC_X_MOD, 10, 17, 0);
    return w_open(w);
}
#define AT(space, which) space, which, 0, -1

#define WORK(i) CSC_AT_FIXED, 0, i, -1
/* The end of a turn: adds to number `all`; asks after every second one. */
static inline void toy_turn(Words *w, int flag, int all, int odd) {
    W(w, CSC_S_LAUNCH, TOY_TURN, 2, WORK(flag), WORK(all));
    W(w, CSC_S_IF, odd, 5, CSC_S_BREAK_AT, WORK(flag), 0);
}

/* Up to 10 turns of up to 10 turns. */
static inline void toy_loops(Words *w) {
    W(w, CSC_S_LAUNCH, TOY_CLEAR, 2, WORK(0));
    W(w, CSC_S_FOR, TOY_OUTER, 3, 1, 1);
    size_t outer = w_open(w);
    W(w, CSC_S_LAUNCH, TOY_START, 2, WORK(0), WORK(4));
    W(w, CSC_S_FOR, TOY_INNER, 3, 1, 1);
    size_t inner = w_open(w);
    toy_turn(w, 0, 8, 8);
    w_close(w, inner);
    toy_turn(w, 4, 9, 7);
    w_close(w, outer);
    W(w, CSC_S_LAUNCH, TOY_TURNED, 2, WORK(0), AT(CSC_AT_STATE, 0), AT(CSC_AT_STATE_OUT, 0));
}

static inline Words toy_program(bool loops) { /* loops: a step counts by some that the device ends */
    Words w = {0};
    float one = 1;
    uint32_t bits;
    memcpy(&bits, &one, 4);
    W(&w, CSC_PROGRAM_MAGIC, 0, 0, TOY_FLOATS, 16, 1, bits);
    w_text(&w, "{}");
    W(&w, 0, (loops ? 11 : 7) + (toy_draws != TOY_DRAWS_NOT)); /* tables, kernels */
    TOY_PUT(&w, "toy_sample", toy_sample_text, 0, 4, L(650, 64, 1, 16), L(0, 1, 1, 1));
    TOY_PUT(&w, "toy_grad", toy_grad_text, 0, 3, L(650, 64, 16), L(0, 1, 1));
    TOY_PUT(&w, "toy_scores", toy_scores_text, 0, 3, L(16, 1, 1), L(1, 0, 0));
    TOY_PUT(&w, "toy_count", toy_count_text, 1, 2, L(1, 1), L(0, 0));
    TOY_PUT(&w, "toy_fill", toy_fill_text, 0, 1, L(10), L(0));
    TOY_PUT(&w, "toy_forward", toy_forward_text, 0, 4, L(650, 1, 64, 10), L(0, 0, 1, 1));
    TOY_PUT(&w, "toy_probe", toy_probe_text, 0, 4, L(650, 64, 64, 1), L(0, 1, 1, 1));
    if (loops) {
        TOY_PUT(&w, "toy_clear", toy_clear_text, 0, 1, L(16), L(0));
        TOY_PUT(&w, "toy_start", toy_start_text, 0, 2, L(2, 1), L(0, 0));
        TOY_PUT(&w, "toy_turn", toy_turn_text, 0, 2, L(2, 1), L(0, 0));
        TOY_PUT(&w, "toy_turned", toy_turned_text, 0, 3, L(10, 1, 1), L(0, 0, 0));
    }
    if (toy_draws) TOY_PUT(&w, "toy_draw", toy_draw_text, 1, 1, L(650), L(0));
    W(&w, 5); /* entries */
    for (int step = 1; step >= 0; step--) {
        toy_entry(&w, step ? "step" : "eval", 2, 2);
        W(&w, 64, 1, 1, 1, 1, 0, 1, 0);
        size_t at = step && toy_draws ? toy_body_drawn(&w) : toy_body(&w);
        W(&w, CSC_S_LAUNCH, TOY_SAMPLE, 0, AT(CSC_AT_PARAM, 0), AT(CSC_AT_IN, 0), AT(CSC_AT_IN, 1), AT(CSC_AT_BATCH, 0));
        if (step) W(&w, CSC_S_LAUNCH, TOY_GRAD, 1, AT(CSC_AT_GRAD, 0), AT(CSC_AT_IN, 0), AT(CSC_AT_BATCH, 0));
        if (step && toy_draws) W(&w, CSC_S_LAUNCH, loops ? 11 : 7, 16, AT(CSC_AT_GRAD, 0), 15);
        if (step && toy_draws == TOY_DRAWS_MORE) W(&w, CSC_S_IF, 18, 8, CSC_S_LAUNCH, loops ? 11 : 7, 2, AT(CSC_AT_GRAD, 0), 2, 0);
        if (step && loops) toy_loops(&w);
        else if (step) {
            W(&w, CSC_S_FOR, CSC_VARS, 2, 1, 9); /* from 1 below 10 by 9: once */
            size_t body = w_open(&w);
            W(&w, CSC_S_LAUNCH, TOY_COUNT, 2, AT(CSC_AT_STATE, 0), AT(CSC_AT_STATE_OUT, 0), 2);
            w_close(&w, body);
        }
        W(&w, CSC_S_LAUNCH, TOY_SCORES, 2, AT(CSC_AT_BATCH, 0), AT(CSC_AT_OUT, 0), AT(CSC_AT_OUT, 1));
        w_close(&w, at);
    }
    toy_entry(&w, "init", 0, 1);
    W(&w, 10, 0);
    size_t at = toy_body(&w);
    W(&w, CSC_S_LAUNCH, TOY_FILL, 2, AT(CSC_AT_OUT, 0));
    w_close(&w, at);
    toy_entry(&w, "forward", 1, 1);
    W(&w, 64, 1, 10, 1);
    at = toy_body(&w);
    W(&w, CSC_S_LAUNCH, TOY_FORWARD, 0, AT(CSC_AT_PARAM, 0), AT(CSC_AT_TUNABLE, 0), AT(CSC_AT_IN, 0), AT(CSC_AT_OUT, 0));
    w_close(&w, at);
    toy_entry(&w, "probe", 2, 2);
    W(&w, 64, 1, 1, 1, 64, 1, 1, 1);
    at = toy_body(&w);
    W(&w, CSC_S_LAUNCH, TOY_PROBE, 0, AT(CSC_AT_PARAM, 0), AT(CSC_AT_IN, 0), AT(CSC_AT_OUT, 0), AT(CSC_AT_OUT, 1));
    w_close(&w, at);
    w_finish(&w);
    return w;
}
#endif
