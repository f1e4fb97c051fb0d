/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011) and numbers made from it. */
#include "rt.h"
#include <math.h>
#include <string.h>

void csc_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
    uint32_t k0 = key[0], k1 = key[1], c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

RtRandom rt_random(uint64_t seed, uint32_t purpose, uint64_t a, uint32_t b) {
    RtRandom r = {.key = {(uint32_t)seed, (uint32_t)(seed >> 32)}};
    /* One Philox of (a, b, purpose) gives the key of the stream: its own counter then has 128 bits to count in. */
    uint32_t c[4] = {(uint32_t)a, (uint32_t)(a >> 32), b, purpose}, k[4];
    csc_philox(r.key, c, k);
    memcpy(r.key, k, sizeof r.key);
    r.counter[2] = k[2];
    r.counter[3] = k[3];
    return r;
}

uint32_t rt_random_u32(RtRandom *r) {
    if (r->left == 0) {
        csc_philox(r->key, r->counter, r->out);
        if (++r->counter[0] == 0) r->counter[1]++;
        r->left = 4;
    }
    return r->out[4 - r->left--];
}

double rt_random_unit(RtRandom *r) {
    uint64_t hi = rt_random_u32(r) >> 5, lo = rt_random_u32(r) >> 6;
    return (double)(hi << 26 | lo) * 0x1p-53;
}

double rt_random_normal(RtRandom *r) { /* Box and Muller */
    double u = 1 - rt_random_unit(r), v = rt_random_unit(r);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

void rt_random_add_normal(RtRandom *r, float deviation, float *x, int64_t n) {
    for (int64_t i = 0; i < n; i += 4) {
        float four[4];
        csc_philox(r->key, r->counter, r->out);
        if (++r->counter[0] == 0) r->counter[1]++;
        for (int k = 0; k < 4; k += 2) { /* Box and Muller, both numbers of a pair */
            float u = ((float)(r->out[k] >> 8) + 0.5f) * 0x1p-24f, v = (float)(r->out[k + 1] >> 8) * 0x1p-24f, sine, cosine;
            float length = deviation * sqrtf(-2 * logf(u));
            sincosf(6.2831853f * v, &sine, &cosine);
            four[k] = length * cosine;
            four[k + 1] = length * sine;
        }
        for (int64_t k = 0; k < 4 && i + k < n; k++) x[i + k] += four[k];
    }
}

uint64_t rt_random_below(RtRandom *r, uint64_t n) {
    uint64_t limit = UINT64_MAX - UINT64_MAX % n, x;
    do {
        uint64_t hi = rt_random_u32(r);
        x = hi << 32 | rt_random_u32(r);
    } while (x >= limit);
    return x % n;
}
