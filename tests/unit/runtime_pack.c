/* Packing: what is unpacked is what was packed; damaged bytes are refused or give other bytes, and nothing is touched outside. */
#include "check.h"
#include "csc_cuda.h"
#include "pack.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 3;
static uint32_t random_below(uint32_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

static void fill(unsigned char *s, size_t n, int kind) {
    for (size_t i = 0; i < n; i++) {
        if (kind == 0) s[i] = (unsigned char)random_below(256);
        else if (kind == 1) s[i] = (unsigned char)(i % 7);
        else if (kind == 2) s[i] = 0;
        else if (i > 100 && random_below(20)) s[i] = s[i - 1 - random_below(100)];
        else s[i] = (unsigned char)random_below(4);
    }
}

TEST(what_is_packed_comes_back) {
    static const size_t sizes[] = {0, 1, 4, 5, 6, 15, 16, 17, 20, 254, 270, 285, 300, 5000, 100001};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int kind = 0; kind < 4; kind++) {
            size_t n = sizes[i], len = 0;
            unsigned char *s = malloc(n + 1), *t = malloc(n + 1);
            fill(s, n, kind);
            void *packed = csc_pack(s, n, &len);
            CHECK(packed && len <= n + n / 100 + 16);
            if ((kind == 1 || kind == 2) && n > 5000) CHECK(len < n / 100);
            t[n] = 77;
            CHECK(csc_unpack(packed, len, t, n) && !memcmp(s, t, n) && t[n] == 77);
            CHECK(n == 0 || !csc_unpack(packed, len, t, n - 1));
            free(packed), free(s), free(t);
        }
}

TEST(damaged_bytes_do_no_harm) {
    enum { N = 3000 };
    unsigned char *s = malloc(N), *t = malloc(N);
    fill(s, N, 3);
    size_t len = 0;
    unsigned char *packed = csc_pack(s, N, &len);
    for (size_t n = 0; n < len; n++) {
        unsigned char *part = memcpy(malloc(n ? n : 1), packed, n); /* so that a read behind it is found */
        CHECK(!csc_unpack(part, n, t, N) || n + 1 == len); /* the last byte may be an empty part */
        free(part);
    }
    for (int turn = 0; turn < 20000; turn++) {
        size_t at = random_below((uint32_t)len);
        unsigned char was = packed[at];
        packed[at] = (unsigned char)random_below(256);
        csc_unpack(packed, len, t, N);
        if (turn % 10) packed[at] = was; /* damage adds up */
    }
    free(packed), free(s), free(t);
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(what_is_packed_comes_back), T(damaged_bytes_do_no_harm)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
