/* Numbers for the programs that call libraries. */
#include <stdlib.h>

/* From -size / 2 to size / 2, on a cache line; free() them. */
static float *numbers(size_t n, unsigned seed, float size) {
    float *p = aligned_alloc(64, (n * 4 + 127) / 64 * 64);
    if (!p) exit(2);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = ((float)(seed >> 8) / 16777216.0f - 0.5f) * size;
    }
    return p;
}
