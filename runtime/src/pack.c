/* Packing by references to what came before (LZ77, Ziv and Lempel 1977; a byte format like LZ4's, with three bytes for the distance):
   a byte holds the number of plain bytes (high half) and the length of the copy less 5 (low half); 15 goes on in bytes that are added while they
   are 255. Then the plain bytes; then the distance, but not at the end. */
#include "pack.h"
#include "csc_cuda.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SHORTEST = 5, HASH_BITS = 17, TRIES = 48, FARTHEST = (1 << 24) - 1 };

bool csc_unpack(const void *packed, size_t n, void *to, size_t len) {
    const unsigned char *in = packed, *end = in + n;
    unsigned char *out = to, *stop = out + len;
    while (in < end) {
        unsigned head = *in++;
        size_t plain = head >> 4, copy = head & 15;
        for (unsigned more = plain == 15 ? 255 : 0; more == 255; plain += more) {
            if (in == end) return false;
            more = *in++;
        }
        if (plain > (size_t)(end - in) || plain > (size_t)(stop - out)) return false;
        memcpy(out, in, plain);
        in += plain, out += plain;
        if (in == end) break;
        for (unsigned more = copy == 15 ? 255 : 0; more == 255; copy += more) {
            if (in == end) return false;
            more = *in++;
        }
        if (end - in < 3) return false;
        size_t back = in[0] | (size_t)in[1] << 8 | (size_t)in[2] << 16;
        in += 3, copy += SHORTEST;
        if (!back || back > (size_t)(out - (unsigned char *)to) || copy > (size_t)(stop - out)) return false;
        for (; copy; copy--, out++) *out = out[-(ptrdiff_t)back]; /* may overlap */
    }
    return out == stop;
}

typedef struct Packer {
    unsigned char *out;
    size_t len;
} Packer;

static void put_length(Packer *p, size_t n) { /* what 15 leaves */
    for (; n >= 255; n -= 255) p->out[p->len++] = 255;
    p->out[p->len++] = (unsigned char)n;
}

static void put_part(Packer *p, const unsigned char *plain, size_t n, size_t copy, size_t back) { /* copy 0: the end */
    size_t c = copy ? copy - SHORTEST : 0;
    p->out[p->len++] = (unsigned char)((n < 15 ? n : 15) << 4 | (c < 15 ? c : 15));
    if (n >= 15) put_length(p, n - 15);
    memcpy(p->out + p->len, plain, n);
    p->len += n;
    if (!copy) return;
    if (c >= 15) put_length(p, c - 15);
    for (int i = 0; i < 3; i++) p->out[p->len++] = (unsigned char)(back >> 8 * i);
}

static size_t hash_at(const unsigned char *s) {
    uint32_t v;
    memcpy(&v, s, 4);
    return ((v ^ (uint32_t)s[4] << 13) * 2654435761u) >> (32 - HASH_BITS);
}

void *csc_pack(const void *bytes, size_t len, size_t *packed) {
    const unsigned char *in = bytes;
    size_t most = len + len / 128 + 64, start = 0;
    Packer p = {malloc(most), 0};
    size_t *head = calloc((size_t)1 << HASH_BITS, sizeof *head), *before = malloc((len + 1) * sizeof *before); /* places + 1 */
    if (p.out && head && before) {
        for (size_t at = 0; at + SHORTEST <= len;) {
            size_t h = hash_at(in + at), longest = 0, back = 0, from = head[h];
            for (int t = 0; from && at - (from - 1) <= FARTHEST && t < TRIES; t++, from = before[from - 1]) {
                size_t n = 0, most_here = len - at;
                while (n < most_here && in[from - 1 + n] == in[at + n]) n++;
                if (n > longest) longest = n, back = at - (from - 1);
            }
            size_t next = at + (longest >= SHORTEST ? longest : 1);
            if (longest >= SHORTEST) {
                put_part(&p, in + start, at - start, longest, back);
                start = next;
            }
            for (; at < next; at++) {
                if (at + SHORTEST > len) continue;
                size_t k = hash_at(in + at);
                before[at] = head[k];
                head[k] = at + 1;
            }
        }
        put_part(&p, in + start, len - start, 0, 0);
        *packed = p.len;
    } else free(p.out), p.out = NULL;
    free(head);
    free(before);
    return p.out;
}
