/* Reader of safetensors files that nobody has to trust: 8 bytes header length, JSON header, tensors without holes. */
#include "tensors.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_HEADER ((uint64_t)100 << 20) /* as the reference implementation */

static const struct { char name[5]; int bytes; } dtypes[] = {
    {"F32", 4}, {"F64", 8}, {"F16", 2}, {"BF16", 2}, {"U8", 1}, {"I8", 1}, {"U16", 2}, {"I16", 2},
    {"U32", 4}, {"I32", 4}, {"U64", 8}, {"I64", 8}, {"BOOL", 1},
};
enum { F32, F64, F16, BF16, U8, I8, U16, I16, U32, I32, U64, I64, BOOL, NDTYPES };

typedef struct Entry {
    csc_file_tensor info;
    int dtype;
    uint64_t from, to;
} Entry;

struct csc_tensors {
    csc_context *cx;
    char *path;
    int fd;
    uint64_t data; /* where tensors begin in the file */
    Json json;
    Entry *entry; /* by offset */
    int n;
    const JsonNode *meta;
};

static csc_status bad(csc_context *cx, const char *path, const char *why) {
    return rt_fail(cx, CSC_BAD_FILE, "%s is not a good safetensors file: %s", path, why);
}

static const char *entry_read(const Json *j, const JsonNode *n, Entry *e) {
    const JsonNode *dtype = json_member(j, n, "dtype"), *shape = json_member(j, n, "shape"), *at = json_member(j, n, "data_offsets");
    if (n->kind != JSON_OBJECT || !dtype || dtype->kind != JSON_TEXT || !shape || shape->kind != JSON_LIST || !at ||
        at->kind != JSON_LIST || at->count != 2)
        return "a tensor lacks its dtype, shape or data_offsets";
    e->info.name = n->key;
    for (e->dtype = 0; e->dtype < NDTYPES && strcmp(dtypes[e->dtype].name, dtype->text); e->dtype++) {}
    if (e->dtype == NDTYPES) return "a tensor has an unknown dtype";
    e->info.dtype = dtypes[e->dtype].name;
    if (shape->count > CSC_MAX_RANK) return "a tensor has too many axes";
    uint64_t bytes = (uint64_t)dtypes[e->dtype].bytes;
    for (uint32_t c = shape->first; c; c = j->node[c].next) {
        const JsonNode *d = &j->node[c];
        if (!d->whole || d->integer > INT64_MAX) return "a tensor has a bad shape";
        e->info.dim[e->info.rank++] = (int64_t)d->integer;
        if (!rt_mul(bytes, d->integer, &bytes)) return "a tensor has a bad shape";
    }
    const JsonNode *from = &j->node[at->first], *to = &j->node[from->next];
    if (!from->whole || !to->whole || from->integer > to->integer) return "a tensor has bad data_offsets";
    e->from = from->integer;
    e->to = to->integer;
    if (e->to - e->from != bytes) return "a tensor's shape and data_offsets differ in size";
    e->info.bytes = bytes;
    return NULL;
}

static int by_offset(const void *a, const void *b) {
    const Entry *x = a, *y = b;
    return x->from != y->from ? (x->from < y->from ? -1 : 1) : x->to != y->to ? (x->to < y->to ? -1 : 1) : 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const Entry *const *)a)->info.name, (*(const Entry *const *)b)->info.name);
}

static const char *header_check(csc_tensors *t, uint64_t data_bytes) {
    const Json *j = &t->json;
    const JsonNode *root = &j->node[1];
    if (root->kind != JSON_OBJECT) return "the header is not an object";
    t->entry = calloc(root->count + 1, sizeof *t->entry);
    if (!t->entry) return "no memory";
    for (uint32_t c = root->first; c; c = j->node[c].next) {
        const JsonNode *n = &j->node[c];
        if (!strcmp(n->key, "__metadata__")) {
            if (t->meta || n->kind != JSON_OBJECT) return "bad __metadata__";
            for (uint32_t m = n->first; m; m = j->node[m].next)
                if (j->node[m].kind != JSON_TEXT) return "bad __metadata__";
            t->meta = n;
            continue;
        }
        const char *why = entry_read(j, n, &t->entry[t->n]);
        if (why) return why;
        t->n++;
    }
    qsort(t->entry, (size_t)t->n, sizeof *t->entry, by_offset);
    uint64_t end = 0;
    for (int i = 0; i < t->n; i++) {
        if (t->entry[i].from != end) return "tensors overlap or leave a hole";
        end = t->entry[i].to;
    }
    if (end > data_bytes) return "it is cut short";
    if (end < data_bytes) return "something follows the last tensor";
    const Entry **sorted = malloc(sizeof *sorted * ((size_t)t->n + 1));
    if (!sorted) return "no memory";
    for (int i = 0; i < t->n; i++) sorted[i] = &t->entry[i];
    qsort(sorted, (size_t)t->n, sizeof *sorted, by_name);
    const char *why = NULL;
    for (int i = 1; i < t->n; i++)
        if (!strcmp(sorted[i - 1]->info.name, sorted[i]->info.name)) why = "two tensors have one name";
    free(sorted);
    return why;
}

static bool read_all(int fd, void *to, size_t n, uint64_t at) {
    char *p = to;
    while (n) {
        ssize_t got = pread(fd, p, n > 1 << 30 ? 1 << 30 : n, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            if (got == 0) errno = ENODATA;
            return false;
        }
        p += got;
        n -= (size_t)got;
        at += (uint64_t)got;
    }
    return true;
}

static csc_status open_header(csc_tensors *t) {
    csc_context *cx = t->cx;
    struct stat st;
    t->fd = open(t->path, O_RDONLY | O_CLOEXEC);
    if (t->fd < 0 || fstat(t->fd, &st) != 0) return rt_io(cx, "open", t->path);
    if (!S_ISREG(st.st_mode)) return bad(cx, t->path, "it is not a plain file");
    uint8_t raw[8];
    if (st.st_size < 8) return bad(cx, t->path, "it is cut short");
    if (!read_all(t->fd, raw, 8, 0)) return rt_io(cx, "read", t->path);
    uint64_t len = 0;
    for (int i = 7; i >= 0; i--) len = len << 8 | raw[i];
    if (len > MAX_HEADER) return bad(cx, t->path, "its header claims to be larger than 100 MB");
    if (len > (uint64_t)st.st_size - 8) return bad(cx, t->path, "it is cut short");
    t->data = 8 + len;
    char *text = malloc(len + 1);
    if (!text) return rt_no_memory(cx, len);
    const char *why = NULL;
    bool got = read_all(t->fd, text, len, 8), ok = got && json_read(&t->json, text, len, &why);
    free(text);
    if (!got) return rt_io(cx, "read", t->path);
    if (!ok) return rt_fail(cx, CSC_BAD_FILE, "%s is not a good safetensors file: in its header, %s", t->path, why);
    why = header_check(t, (uint64_t)st.st_size - t->data);
    return why ? bad(cx, t->path, why) : CSC_OK;
}

csc_status csc_tensors_open(csc_context *cx, const char *path, csc_tensors **out) {
    *out = NULL;
    csc_tensors *t = calloc(1, sizeof *t);
    if (!t || !(t->path = strdup(path))) {
        free(t);
        return rt_no_memory(cx, sizeof *t);
    }
    t->cx = cx;
    t->fd = -1;
    csc_status s = open_header(t);
    if (s != CSC_OK) csc_tensors_close(t);
    else *out = t;
    return s;
}

void csc_tensors_close(csc_tensors *t) {
    if (!t) return;
    if (t->fd >= 0) close(t->fd);
    json_free(&t->json);
    free(t->entry);
    free(t->path);
    free(t);
}

int csc_tensors_count(const csc_tensors *t) {
    return t->n;
}

const csc_file_tensor *csc_tensors_at(const csc_tensors *t, int i) {
    return &t->entry[i].info;
}

int csc_tensors_find(const csc_tensors *t, const char *name) {
    for (int i = 0; i < t->n; i++)
        if (!strcmp(t->entry[i].info.name, name)) return i;
    return -1;
}

static float from_half(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 1023, bits;
    if (e == 31) bits = sign | 0x7f800000u | m << 13;
    else if (e) bits = sign | (e + 112) << 23 | m << 13;
    else {
        float f = (float)m * 0x1p-24f;
        memcpy(&bits, &f, 4);
        bits |= sign;
    }
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

#define AS(type) \
    do { \
        type v; \
        memcpy(&v, p + i * sizeof v, sizeof v); \
        out[i] = (float)v; \
    } while (0)

static void convert(int dtype, const uint8_t *p, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        uint32_t w;
        switch (dtype) {
        case F32: AS(float); break;
        case F64: AS(double); break;
        case F16: memcpy(&h, p + i * 2, 2); out[i] = from_half(h); break;
        case BF16:
            memcpy(&h, p + i * 2, 2);
            w = (uint32_t)h << 16;
            memcpy(&out[i], &w, 4);
            break;
        case I8: AS(int8_t); break;
        case U16: AS(uint16_t); break;
        case I16: AS(int16_t); break;
        case U32: AS(uint32_t); break;
        case I32: AS(int32_t); break;
        case U64: AS(uint64_t); break;
        case I64: AS(int64_t); break;
        default: AS(uint8_t);
        }
    }
}

csc_status csc_tensors_read(csc_tensors *t, int i, float *out) {
    const Entry *e = &t->entry[i];
    uint64_t at = t->data + e->from, size = (uint64_t)dtypes[e->dtype].bytes, n = e->info.bytes / size;
    if (e->dtype == F32) return read_all(t->fd, out, e->info.bytes, at) ? CSC_OK : rt_io(t->cx, "read", t->path);
    uint8_t buffer[1 << 13];
    while (n) {
        uint64_t m = n < sizeof buffer / size ? n : sizeof buffer / size;
        if (!read_all(t->fd, buffer, m * size, at)) return rt_io(t->cx, "read", t->path);
        convert(e->dtype, buffer, m, out);
        out += m;
        at += m * size;
        n -= m;
    }
    return CSC_OK;
}

const char *csc_tensors_metadata(const csc_tensors *t, const char *key) {
    const JsonNode *n = t->meta ? json_member(&t->json, t->meta, key) : NULL;
    return n ? n->text : NULL;
}

int csc_tensors_metadata_count(const csc_tensors *t) {
    return t->meta ? (int)t->meta->count : 0;
}

void csc_tensors_metadata_at(const csc_tensors *t, int i, const char **key, const char **value) {
    uint32_t c = t->meta->first;
    while (i-- > 0) c = t->json.node[c].next;
    *key = t->json.node[c].key;
    *value = t->json.node[c].text;
}

const char *rt_tensors_path(const csc_tensors *t) {
    return t->path;
}
