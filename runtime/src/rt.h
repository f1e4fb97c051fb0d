/* What the files of libcsc share: errors, memory, small random helpers. */
#ifndef CSC_RT_H
#define CSC_RT_H
#include "csc.h"

struct csc_context {
    csc_status status;
    char text[1024];
};

/* Keeps the first message; returns the status, so that a failing function ends in `return rt_fail(...)`. */
csc_status rt_fail(csc_context *cx, csc_status s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
csc_status rt_no_memory(csc_context *cx, size_t bytes);
csc_status rt_io(csc_context *cx, const char *what, const char *path); /* "cannot WHAT PATH: " and errno's text */

/* A zeroed block, 64-byte aligned; large ones on huge pages where the system has them. Overflowing products of the caller are 0 or huge:
   use rt_mul first. */
typedef struct RtBlock {
    void *at;
    size_t bytes, mapped; /* mapped: length of the mapping at `map`, 0 when from the heap */
    void *map;
} RtBlock;
bool rt_block_new(RtBlock *b, size_t bytes);
bool rt_block_new_for(RtBlock *b, size_t bytes, size_t likely); /* of which the last ones may never be touched, and then cost nothing */
void rt_block_free(RtBlock *b);
bool rt_mul(uint64_t a, uint64_t b, uint64_t *out); /* false: overflow */
int64_t rt_product(int rank, const int64_t *dim);   /* -1: negative or overflow */

double rt_now(void); /* seconds, monotonic */
char *rt_format(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* malloc'ed, or NULL */
char *rt_join(const char *folder, const char *name);
void rt_dims_text(char *out, size_t n, int rank, const int64_t *dim); /* "[3, 4]" */
uint64_t rt_hash(const char *s);                                     /* FNV-1a, 64 bits */

/* Growing text. */
typedef struct RtText {
    char *at;
    size_t len, cap;
    bool failed; /* no memory at some point */
} RtText;
void rt_text_add(RtText *t, const char *s, size_t n);
void rt_text_f(RtText *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rt_text_json(RtText *t, const char *s);      /* quoted and escaped */
void rt_text_number(RtText *t, double v);         /* shortest that reads back the same; null when not finite */
void rt_text_free(RtText *t);

/* Random numbers: purpose keeps streams apart. */
typedef struct RtRandom {
    uint32_t key[2], counter[4], out[4];
    int left;
} RtRandom;
RtRandom rt_random(uint64_t seed, uint32_t purpose, uint64_t a, uint32_t b);
uint32_t rt_random_u32(RtRandom *r);
double rt_random_unit(RtRandom *r);                    /* [0, 1), 53 bits */
double rt_random_normal(RtRandom *r);
void rt_random_add_normal(RtRandom *r, float deviation, float *x, int64_t n); /* many at once, in float32; r has no other use */
uint64_t rt_random_below(RtRandom *r, uint64_t n);     /* 0 .. n-1, without bias */
enum { RT_FOR_INIT = 1, RT_FOR_SHUFFLE, RT_FOR_AUGMENT, RT_FOR_PATCH, RT_FOR_NOISE, RT_FOR_CODES, RT_FOR_SNR };

bool rt_pool_reserve(csc_pool *p, size_t scratch_bytes); /* so that parallel_for allocates nothing */
bool rt_pool_failed(const csc_pool *p);                  /* some parallel_for had no memory for scratch */
/* With pool NULL: on the calling thread, with `serial` as its scratch. */
void rt_parallel(csc_pool *p, int64_t count, csc_task task, void *arg, size_t scratch_bytes, void *serial);
#endif
