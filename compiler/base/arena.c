/* Arenas in blocks; each allocation is zeroed and aligned to 16 bytes. */
#include "base/arena.h"
#include "base/trouble.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Block {
    struct Block *next;
    size_t size, used; /* bytes of data[] */
    _Alignas(16) unsigned char data[];
} Block;

struct Arena {
    Block *first;
};

enum { BLOCK_BYTES = 1 << 16 };

static Block *block_new(size_t need) {
    size_t size = need > BLOCK_BYTES ? need : BLOCK_BYTES;
    if (size > SIZE_MAX / 2) machine_trouble("out of memory: %zu bytes asked for", need);
    Block *b = malloc(sizeof *b + size);
    if (!b) machine_trouble("out of memory: %zu bytes asked for", need);
    b->next = NULL;
    b->size = size;
    b->used = 0;
    return b;
}

Arena *arena_new(void) {
    Arena *a = malloc(sizeof *a);
    if (!a) machine_trouble("out of memory");
    a->first = block_new(0);
    return a;
}

void arena_free(Arena *a) {
    if (!a) return;
    for (Block *b = a->first, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(a);
}

void arena_reset(Arena *a) {
    for (Block *b = a->first->next, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    a->first->next = NULL;
    a->first->used = 0;
}

void *arena_alloc(Arena *a, size_t bytes) {
    if (bytes > SIZE_MAX / 4) machine_trouble("out of memory: %zu bytes asked for", bytes);
    bytes = (bytes + 15) & ~(size_t)15;
    Block *b = a->first;
    if (b->size - b->used < bytes) {
        Block *fresh = block_new(bytes);
        if (bytes > BLOCK_BYTES) { /* a large one goes behind the first, whose rest stays in use */
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            a->first = fresh;
        }
        b = fresh;
    }
    void *p = b->data + b->used;
    b->used += bytes;
    memset(p, 0, bytes);
    return p;
}

void *arena_copy(Arena *a, const void *p, size_t bytes) {
    void *q = arena_alloc(a, bytes);
    if (bytes) memcpy(q, p, bytes);
    return q;
}

void *arena_grow(Arena *a, const void *p, size_t old_bytes, size_t new_bytes) {
    void *q = arena_alloc(a, new_bytes);
    if (old_bytes) memcpy(q, p, old_bytes);
    return q;
}

char *arena_strndup(Arena *a, const char *s, size_t n) {
    char *q = arena_alloc(a, n + 1);
    memcpy(q, s, n);
    return q;
}

char *arena_vprintf(Arena *a, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *s = arena_alloc(a, (size_t)(n < 0 ? 0 : n) + 1);
    vsnprintf(s, (size_t)(n < 0 ? 0 : n) + 1, fmt, again);
    va_end(again);
    return s;
}

char *arena_printf(Arena *a, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}
