/* The random numbers of LX_NOISE: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011), key (seed), counter (entry, sample, step, index), the low
   32 bits of each. */
#ifndef CSC_LOOP_NOISE_H
#define CSC_LOOP_NOISE_H
#include <stdint.h>

#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u

void loop_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
float loop_noise(int normal, uint64_t seed, uint64_t step, uint64_t sample, uint64_t index, uint64_t entry);
#endif
