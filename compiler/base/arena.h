/* Arenas: memory that is freed all at once. The compiler has two lifetimes, so two arenas; there is no free() elsewhere. */
#ifndef CSC_BASE_ARENA_H
#define CSC_BASE_ARENA_H
#include <stddef.h>
#include <stdarg.h>

typedef struct Arena Arena;

Arena *arena_new(void);
void arena_free(Arena *a);  /* a may be NULL */
void arena_reset(Arena *a); /* forget everything, keep one block */
void *arena_alloc(Arena *a, size_t bytes);                                   /* zeroed, aligned to 16; never NULL (exit 2 when the machine has no more) */
void *arena_copy(Arena *a, const void *p, size_t bytes);                     /* p may be NULL when bytes is 0 */
void *arena_grow(Arena *a, const void *p, size_t old_bytes, size_t new_bytes); /* a larger copy */
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(Arena *a, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

#define ARENA_NEW(a, T) ((T *)arena_alloc((a), sizeof(T)))
#define ARENA_ARRAY(a, T, n) ((T *)arena_alloc((a), sizeof(T) * (size_t)(n)))

/* A growing array in an arena: `Vec(int) v = {0}; vec_push(arena, &v, 7); v.at[0]; v.len`. */
#define Vec(T)                                                                                                 \
    struct {                                                                                                   \
        T *at;                                                                                                 \
        size_t len, cap;                                                                                       \
    }
#ifdef CSC_HOSTILE /* the self-test build: every push moves the array, so that a stale pointer shows */
#define VEC_NEXT_CAP(v) ((v)->len + 1)
#else
#define VEC_NEXT_CAP(v) ((v)->cap ? (v)->cap * 2 : 8)
#endif
#define vec_reserve_one(a, v)                                                                                  \
    ((v)->len < (v)->cap                                                                                       \
         ? (void)0                                                                                             \
         : (void)((v)->at = arena_grow((a), (v)->at, (v)->len * sizeof *(v)->at, VEC_NEXT_CAP(v) * sizeof *(v)->at), \
                  (v)->cap = VEC_NEXT_CAP(v)))
#define vec_push(a, v, x) (vec_reserve_one((a), (v)), (void)((v)->at[(v)->len++] = (x)))
#endif
