/* The scalar functions of the evaluator: poly.h in float, and random numbers. Compiled without contraction: each operation is one rounding. */
#include "loop/scalar.h"
#include "loop/noise.h"
#include <math.h>
#include <string.h>

#define PV float
#define PI int32_t
#define PM int
#define P_CTX
#define P_GO
#define P_F(c) (c)
#define P_I(c) (c)
#define P_ADD(a, b) ((a) + (b))
#define P_MUL(a, b) ((a) * (b))
#define P_DIV(a, b) ((a) / (b))
#define P_FMA(a, b, c) fmaf(a, b, c)
#define P_ABS(a) fabsf(a)
#define P_NEG(a) (-(a))
#define P_LT(a, b) ((a) < (b))
#define P_EQ(a, b) ((a) == (b))
#define P_SEL(m, a, b) ((m) ? (a) : (b))
#define P_BITS(f) bits_of(f)
#define P_FLOAT(i) float_of(i)
#define P_IADD(a, b) ((int32_t)((uint32_t)(a) + (uint32_t)(b)))
#define P_ISUB(a, b) ((int32_t)((uint32_t)(a) - (uint32_t)(b)))
#define P_SHL(a, n) ((int32_t)((uint32_t)(a) << (n)))
#define P_SAR(a, n) ((a) >> (n))
#define P_I2F(a) ((float)(a))

static int32_t bits_of(float f) {
    int32_t i;
    memcpy(&i, &f, 4);
    return i;
}

static float float_of(int32_t i) {
    float f;
    memcpy(&f, &i, 4);
    return f;
}

#include "loop/poly.h"

float loop_exp(float x) { return poly_exp(x); }
float loop_log(float x) { return poly_log(x); }
float loop_tanh(float x) { return poly_tanh(x); }

uint16_t loop_bf16_bits(float x) {
    uint32_t u = (uint32_t)bits_of(x);
    if (x != x) return 0x7fff;
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

uint16_t loop_bf16_flushed(float x) {
    uint32_t u = (uint32_t)bits_of(x);
    if (x != x) return (uint16_t)(u >> 16 | 0x40);
    if (!(u & 0x7f800000)) return (uint16_t)(u >> 16 & 0x8000);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float loop_widened(uint16_t bits) { return float_of((int32_t)((uint32_t)bits << 16)); }
float loop_bf16(float x) { return loop_widened(loop_bf16_bits(x)); }

float loop_tf32(float x) {
    if (x != x) return x;
    uint32_t u = (uint32_t)bits_of(x);
    return float_of((int32_t)((u & 0x7f800000) == 0x7f800000 ? u : (u + 0x1000) & ~0x1fffu));
}

void loop_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0, p1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Uniform: the upper 24 bits of the first word. Normal: Box and Muller with the first two words. As noise_uniform, noise_normal of op/eval.h. */
float loop_noise(int normal, uint64_t seed, uint64_t step, uint64_t sample, uint64_t index, uint64_t entry) {
    uint32_t out[4];
    loop_philox((uint32_t[]){(uint32_t)entry, (uint32_t)sample, (uint32_t)step, (uint32_t)index},
                (uint32_t[]){(uint32_t)seed, (uint32_t)(seed >> 32)}, out);
    if (!normal) return (float)(out[0] >> 8) * 0x1p-24f;
    float u = 1.0f - (float)(out[0] >> 8) * 0x1p-24f, v = (float)(out[1] >> 8) * 0x1p-24f;
    return sqrtf(-2.0f * loop_log(u)) * cosf(6.28318530717958648f * v);
}
