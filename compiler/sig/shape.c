/* Shapes: sizes, comparison, text. */
#include "sig/shape.h"
#include <stdarg.h>

int64_t shape_size(Shape s) {
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++) n *= s.dim[i];
    return n;
}

bool shape_eq(Shape a, Shape b) { return a.rank == b.rank && shape_is_prefix(a, b); }

bool shape_is_prefix(Shape small, Shape big) {
    if (small.rank > big.rank) return false;
    for (int i = 0; i < small.rank; i++)
        if (small.dim[i] != big.dim[i]) return false;
    return true;
}

Shape shape_of(int rank, ...) {
    Shape s = {.rank = rank};
    va_list ap;
    va_start(ap, rank);
    for (int i = 0; i < rank; i++) s.dim[i] = va_arg(ap, int64_t);
    va_end(ap);
    return s;
}

const char *shape_text(Arena *a, Shape s) {
    if (s.rank == 0) return "real";
    const char *t = "real[";
    for (int i = 0; i < s.rank; i++) t = arena_printf(a, "%s%s%lld", t, i ? ", " : "", (long long)s.dim[i]);
    return arena_printf(a, "%s]", t);
}
