/* Errors, memory and text of libcsc. */
#include "rt.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

csc_context *csc_context_new(void) {
    return calloc(1, sizeof(csc_context));
}

void csc_context_free(csc_context *cx) {
    free(cx);
}

csc_status csc_error_status(const csc_context *cx) {
    return cx->status;
}

const char *csc_error(const csc_context *cx) {
    return cx->text;
}

void csc_error_clear(csc_context *cx) {
    cx->status = CSC_OK;
    cx->text[0] = 0;
}

const char *csc_status_name(csc_status s) {
    switch (s) {
    case CSC_OK: return "ok";
    case CSC_BAD_ARGUMENT: return "bad argument";
    case CSC_BAD_FILE: return "bad file";
    case CSC_IO: return "input or output failed";
    case CSC_MISMATCH: return "mismatch";
    case CSC_NO_MEMORY: return "no memory";
    case CSC_NAN: return "not a number";
    case CSC_INTERRUPTED: return "interrupted";
    case CSC_UNSUPPORTED: return "unsupported";
    case CSC_DEVICE: return "device trouble";
    }
    return "unknown";
}

csc_status rt_fail(csc_context *cx, csc_status s, const char *fmt, ...) {
    if (cx->status != CSC_OK) return s;
    cx->status = s;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cx->text, sizeof cx->text, fmt, ap);
    va_end(ap);
    return s;
}

csc_status rt_no_memory(csc_context *cx, size_t bytes) {
    return rt_fail(cx, CSC_NO_MEMORY, "no memory: %.1f MB were needed", (double)bytes / 1e6);
}

csc_status rt_io(csc_context *cx, const char *what, const char *path) {
    return rt_fail(cx, CSC_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

#define HUGE_PAGE ((size_t)2 << 20)
#define SMALL_BLOCK ((size_t)128 << 10)

bool rt_block_new(RtBlock *b, size_t bytes) { return rt_block_new_for(b, bytes, bytes); }

bool rt_block_new_for(RtBlock *b, size_t bytes, size_t likely) {
    *b = (RtBlock){0};
    if (bytes > SIZE_MAX / 2) return false;
    size_t want = bytes < 64 ? 64 : (bytes + 63) / 64 * 64;
    if (want < SMALL_BLOCK) {
        b->at = aligned_alloc(64, want);
        if (!b->at) return false;
        memset(b->at, 0, want);
    } else { /* zeros; what nobody touches costs nothing, so the rest of a large page is in small ones */
        bool large = likely >= 2 * HUGE_PAGE;
        size_t len = want + (large ? HUGE_PAGE : 0);
        void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED) return false;
        b->map = map;
        b->mapped = len;
        b->at = large ? (void *)(((uintptr_t)map + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE) : map;
        if (large) madvise(b->at, likely / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    }
    b->bytes = want;
    return true;
}

void rt_block_free(RtBlock *b) {
    if (b->mapped) munmap(b->map, b->mapped);
    else free(b->at);
    *b = (RtBlock){0};
}

bool rt_mul(uint64_t a, uint64_t b, uint64_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

int64_t rt_product(int rank, const int64_t *dim) {
    int64_t n = 1;
    for (int i = 0; i < rank; i++)
        if (dim[i] < 0 || __builtin_mul_overflow(n, dim[i], &n)) return -1;
    return n;
}

double rt_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

char *rt_format(const char *fmt, ...) {
    va_list ap;
    char *s = NULL;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return n < 0 ? NULL : s;
}

char *rt_join(const char *folder, const char *name) {
    size_t n = strlen(folder);
    return n == 0 ? strdup(name) : rt_format("%s%s%s", folder, folder[n - 1] == '/' ? "" : "/", name);
}

void rt_dims_text(char *out, size_t n, int rank, const int64_t *dim) {
    size_t at = (size_t)snprintf(out, n, "[");
    for (int i = 0; i < rank && at < n; i++)
        at += (size_t)snprintf(out + at, n - at, "%s%lld", i ? ", " : "", (long long)dim[i]);
    if (at < n) snprintf(out + at, n - at, "]");
}

uint64_t rt_hash(const char *s) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    return h;
}

void rt_text_add(RtText *t, const char *s, size_t n) {
    if (t->failed) return;
    if (t->cap - t->len <= n) {
        size_t cap = (t->cap + n + 64) * 2;
        char *at = realloc(t->at, cap);
        if (!at) {
            t->failed = true;
            return;
        }
        t->at = at;
        t->cap = cap;
    }
    memcpy(t->at + t->len, s, n);
    t->len += n;
    t->at[t->len] = 0;
}

void rt_text_f(RtText *t, const char *fmt, ...) {
    va_list ap;
    char *s = NULL;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0) {
        t->failed = true;
        return;
    }
    rt_text_add(t, s, (size_t)n);
    free(s);
}

void rt_text_json(RtText *t, const char *s) {
    rt_text_add(t, "\"", 1);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') rt_text_f(t, "\\%c", c);
        else if (c < 0x20) rt_text_f(t, "\\u%04x", c);
        else rt_text_add(t, s, 1);
    }
    rt_text_add(t, "\"", 1);
}

void rt_text_number(RtText *t, double v) {
    if (!isfinite(v)) {
        rt_text_add(t, "null", 4);
        return;
    }
    char b[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(b, sizeof b, "%.*g", digits, v);
        if (strtod(b, NULL) == v) break;
    }
    rt_text_add(t, b, strlen(b));
}

void rt_text_free(RtText *t) {
    free(t->at);
    *t = (RtText){0};
}
