/* NPY and IDX: arrays in files. */
#include "source.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct Layout {
    char kind;   /* 'f', 'u', 'i' as in NPY */
    int bytes;
    bool big;
} Layout;

static void name_type(RtArray *a, const Layout *l) {
    a->dtype[0] = l->kind;
    a->dtype[1] = (char)('0' + l->bytes);
    a->dtype[2] = 0;
}

static csc_status bad(RtSource *s, const char *why) {
    return rt_source_bad(s, "not a good NPY file: %s", why);
}

static const char *value_of(const char *header, const char *key) {
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s'", key);
    const char *p = strstr(header, quoted);
    if (!p) return NULL;
    p += strlen(quoted);
    while (*p == ' ' || *p == ':') p++;
    return p;
}

/* The header is a Python dictionary that numpy prints in one way: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } */
static csc_status npy_header(RtSource *s, RtArray *a, Layout *l) {
    uint8_t head[12]; /* numbered from the beginning of the file; its first four bytes were read */
    csc_status st = rt_source_read(s, head + 4, 6);
    if (st != CSC_OK) return st;
    if (head[4] != 'P' || head[5] != 'Y') return bad(s, "a wrong beginning");
    uint32_t len = head[8] | (uint32_t)head[9] << 8;
    if (head[6] < 1 || head[6] > 3) return bad(s, "an unknown version");
    if (head[6] >= 2) {
        if ((st = rt_source_read(s, head + 10, 2)) != CSC_OK) return st;
        len |= (uint32_t)head[10] << 16 | (uint32_t)head[11] << 24;
    }
    char text[4096];
    if (len >= sizeof text) return bad(s, "its header is too long");
    if ((st = rt_source_read(s, text, len)) != CSC_OK) return st;
    text[len] = 0;
    const char *descr = value_of(text, "descr"), *order = value_of(text, "fortran_order"), *shape = value_of(text, "shape");
    if (!descr || !order || !shape) return bad(s, "its header lacks descr, fortran_order or shape");
    if (strncmp(order, "False", 5)) return bad(s, "it is in Fortran order; save it with numpy.ascontiguousarray");
    if (*descr != '\'' || !descr[1] || !strchr("<>|=", descr[1])) return bad(s, "it does not hold plain numbers");
    l->big = descr[1] == '>';
    l->kind = descr[2] == 'b' ? 'u' : descr[2];
    l->bytes = isdigit((unsigned char)descr[3]) && descr[4] == '\'' ? descr[3] - '0' : 0;
    bool known = (l->kind == 'f' && (l->bytes == 4 || l->bytes == 8)) ||
                 ((l->kind == 'u' || l->kind == 'i') && (l->bytes == 1 || l->bytes == 2 || l->bytes == 4 || l->bytes == 8));
    if (!known) return bad(s, "its numbers are not of a kind that is read (f4, f8, u1 .. u8, i1 .. i8)");
    name_type(a, l);
    if (*shape++ != '(') return bad(s, "a bad shape");
    for (;;) {
        while (*shape == ' ' || *shape == ',') shape++;
        if (*shape == ')') break;
        if (!isdigit((unsigned char)*shape)) return bad(s, "a bad shape");
        if (a->rank == CSC_MAX_RANK) return bad(s, "too many axes");
        int64_t d = 0;
        for (; isdigit((unsigned char)*shape); shape++)
            if (__builtin_mul_overflow(d, 10, &d) || __builtin_add_overflow(d, *shape - '0', &d)) return bad(s, "a bad shape");
        if (*shape == 'L') shape++;
        a->dim[a->rank++] = d;
    }
    return CSC_OK;
}

static csc_status idx_header(RtSource *s, RtArray *a, Layout *l, const uint8_t magic[4]) {
    static const struct { uint8_t code; char kind; int bytes; } types[] = {{8, 'u', 1}, {9, 'i', 1}, {11, 'i', 2}, {12, 'i', 4}, {13, 'f', 4}, {14, 'f', 8}};
    l->big = true;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].code == magic[2]) {
            l->kind = types[i].kind;
            l->bytes = types[i].bytes;
        }
    if (magic[0] || magic[1] || !l->bytes || !magic[3]) return rt_source_bad(s, "neither an NPY nor an IDX file");
    if (magic[3] > CSC_MAX_RANK) return rt_source_bad(s, "not a good IDX file: too many axes");
    name_type(a, l);
    for (int i = 0; i < magic[3]; i++) {
        uint8_t b[4];
        csc_status st = rt_source_read(s, b, 4);
        if (st != CSC_OK) return st;
        a->dim[a->rank++] = (int64_t)((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]);
    }
    return CSC_OK;
}

static float one(const Layout *l, const uint8_t *p) {
    uint64_t w = 0;
    for (int i = 0; i < l->bytes; i++) w |= (uint64_t)p[l->big ? l->bytes - 1 - i : i] << 8 * i;
    if (l->kind == 'f' && l->bytes == 4) {
        uint32_t u = (uint32_t)w;
        float f;
        memcpy(&f, &u, 4);
        return f;
    }
    if (l->kind == 'f') {
        double d;
        memcpy(&d, &w, 8);
        return (float)d;
    }
    if (l->kind == 'u') return (float)w;
    int shift = 64 - 8 * l->bytes;
    return (float)((int64_t)(w << shift) >> shift);
}

static csc_status body(RtSource *s, RtArray *a, const Layout *l) {
    uint64_t bytes;
    a->count = rt_product(a->rank, a->dim);
    if (a->count < 0 || !rt_mul((uint64_t)a->count, (uint64_t)l->bytes, &bytes) || bytes > s->bound)
        return rt_source_bad(s, "the file is cut short, or its header claims more than it can hold");
    if (l->bytes == 1 && l->kind == 'u') {
        a->bytes = malloc(bytes + 1);
        return a->bytes ? rt_source_read(s, a->bytes, bytes) : rt_no_memory(s->cx, bytes);
    }
    a->floats = malloc((size_t)a->count * 4 + 4);
    if (!a->floats) return rt_no_memory(s->cx, (size_t)a->count * 4);
    uint8_t buffer[1 << 13];
    for (int64_t i = 0; i < a->count;) {
        int64_t n = (int64_t)sizeof buffer / l->bytes < a->count - i ? (int64_t)sizeof buffer / l->bytes : a->count - i;
        csc_status st = rt_source_read(s, buffer, (size_t)(n * l->bytes));
        if (st != CSC_OK) return st;
        for (int64_t k = 0; k < n; k++) a->floats[i + k] = one(l, buffer + k * l->bytes);
        i += n;
    }
    return CSC_OK;
}

csc_status rt_array_load(RtSource *s, RtArray *a) {
    uint8_t magic[4];
    Layout l = {0};
    *a = (RtArray){0};
    csc_status st = rt_source_read(s, magic, 4);
    if (st == CSC_OK) st = !memcmp(magic, "\x93NUM", 4) ? npy_header(s, a, &l) : idx_header(s, a, &l, magic);
    if (st == CSC_OK) st = body(s, a, &l);
    if (st == CSC_OK) st = rt_source_end(s);
    if (st != CSC_OK) rt_array_free(a);
    return st;
}

void rt_array_free(RtArray *a) {
    free(a->bytes);
    free(a->floats);
    a->bytes = NULL;
    a->floats = NULL;
}

csc_status csc_array_read(csc_context *cx, const char *path, csc_array *out) {
    RtSource s;
    RtArray a = {0};
    *out = (csc_array){0};
    csc_status st = rt_source_open(&s, cx, path);
    if (st == CSC_OK) st = rt_array_load(&s, &a);
    rt_source_close(&s);
    if (st != CSC_OK) return st;
    if (a.bytes) {
        a.floats = malloc((size_t)a.count * 4 + 4);
        if (!a.floats) {
            rt_array_free(&a);
            return rt_no_memory(cx, (size_t)a.count * 4);
        }
        for (int64_t i = 0; i < a.count; i++) a.floats[i] = a.bytes[i];
        free(a.bytes);
    }
    out->rank = a.rank;
    memcpy(out->dim, a.dim, sizeof a.dim);
    memcpy(out->dtype, a.dtype, sizeof a.dtype);
    out->at = a.floats;
    return CSC_OK;
}

void csc_array_free(csc_array *a) {
    if (!a) return;
    free(a->at);
    *a = (csc_array){0};
}

csc_status csc_npy_write(csc_context *cx, const char *path, const float *at, int rank, const int64_t *dim) {
    int64_t n = rt_product(rank, dim);
    if (rank < 0 || rank > CSC_MAX_RANK || n < 0 || n > INT64_MAX / 8) return rt_fail(cx, CSC_BAD_ARGUMENT, "%s: a bad shape", path);
    RtText h = {0};
    rt_text_add(&h, "\x93NUMPY\1\0..", 10);
    rt_text_f(&h, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int i = 0; i < rank; i++) rt_text_f(&h, "%lld,%s", (long long)dim[i], i + 1 < rank ? " " : "");
    rt_text_f(&h, "), }");
    while (h.len % 64 != 63 && !h.failed) rt_text_add(&h, " ", 1);
    rt_text_add(&h, "\n", 1);
    size_t head = h.len;
    if (!h.failed) {
        h.at[8] = (char)((head - 10) & 255);
        h.at[9] = (char)((head - 10) >> 8);
        rt_text_add(&h, (const char *)at, (size_t)n * 4);
    }
    csc_status st = h.failed ? rt_no_memory(cx, head + (size_t)n * 4) : csc_file_write(cx, path, h.at, h.len);
    rt_text_free(&h);
    return st;
}
