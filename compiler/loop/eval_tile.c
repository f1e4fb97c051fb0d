/* The matrix unit's statements, with the roundings of the instruction (tdpbf16ps). */
#include "base/trouble.h"
#include "loop/eval.h"
#include "loop/scalar.h"
#include <float.h>
#include <math.h>
#include <string.h>

static float no_denormal(float x) { return fabsf(x) < FLT_MIN ? copysignf(0, x) : x; }

/* r: `exact` (a double; exact where that matters) rounded to nearest. What would round to a denormal number is 0, also where that lies so close below
   FLT_MIN that among denormal numbers, which are further apart, r is FLT_MIN. */
static float flushed(float r, double exact) {
    bool below = fabsf(r) == FLT_MIN && fabs(exact) < FLT_MIN * (1 - 0x1p-25);
    return below ? copysignf(0, r) : no_denormal(r);
}

static float step(float a, float b, float c) { /* none is denormal */
    float r = fmaf(a, b, c);
    return fabsf(r) > FLT_MIN || r == 0 ? r : flushed(r, (double)a * b + c);
}

static float plus(float a, float b) {
    a = no_denormal(a), b = no_denormal(b);
    return flushed(a + b, (double)a + b);
}

static void run_dot(EvTile to, EvTile a_bits, EvTile b_bits) {
    float a[LOOP_TILE_ROWS][32], b[LOOP_TILE_ROWS][32];
    for (int r = 0; r < LOOP_TILE_ROWS; r++)
        for (int k = 0; k < 32; k++) a[r][k] = no_denormal(loop_widened(a_bits[r].h[k])), b[r][k] = no_denormal(loop_widened(b_bits[r].h[k]));
    for (int r = 0; r < LOOP_TILE_ROWS; r++)
        for (int n = 0; n < 16; n++) {
            float even = 0, odd = 0;
            for (int k = 0; k < 16; k++) {
                even = step(a[r][2 * k], b[k][2 * n], even);
                odd = step(a[r][2 * k + 1], b[k][2 * n + 1], odd);
            }
            to[r].f[n] = plus(to[r].f[n], plus(even, odd));
        }
}

static void run_pairs(Ev *e, const Ls *s) {
    float v[LOOP_MAX_WIDTH], w[LOOP_MAX_WIDTH];
    eval_float(e, s->value, v);
    eval_float(e, s->other, w);
    int64_t at = eval_whole(e, s->index);
    for (int i = 0; i < s->value->width; i++) {
        eval_write(e, &e->ptr[s->ptr], at + 2 * i, v[i]);
        eval_write(e, &e->ptr[s->ptr], at + 2 * i + 1, w[i]);
    }
}

static uint16_t bits_at(Ev *e, const Mem *p, int64_t index) {
    uint16_t h;
    eval_read(e, p, index); /* may it be read? */
    memcpy(&h, p->r->base + 2 * eval_locate(e, p, index), 2);
    return h;
}

void eval_tile_statement(Ev *e, const Ls *s) {
    union EvTile *t = e->tiles[s->reg];
    int64_t at = s->index ? eval_whole(e, s->index) : 0, stride = s->stride ? eval_whole(e, s->stride) : 0;
    switch ((int)s->kind) {
    case LS_TILE_CLEAR: memset(t, 0, sizeof(EvTile)); return;
    case LS_TILE_LOAD:
        for (int i = 0; i < LOOP_TILE_ROWS; i++)
            for (int k = 0; k < 32; k++) t[i].h[k] = bits_at(e, &e->ptr[s->ptr], at + i * stride + k);
        return;
    case LS_TILE_DOT: run_dot(t, e->tiles[s->tile_a], e->tiles[s->tile_b]); return;
    case LS_TILE_STORE:
        for (int i = 0; i < LOOP_TILE_ROWS; i++)
            for (int k = 0; k < 16; k++) eval_write(e, &e->ptr[s->ptr], at + i * stride + k, t[i].f[k]);
        return;
    case LS_STORE_PAIRS: run_pairs(e, s); return;
    default: BUG("statement of kind %d", (int)s->kind);
    }
}
