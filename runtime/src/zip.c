/* One member of a ZIP archive, stored or deflated, as NPZ files hold them (APPNOTE 6.3, also its 64-bit sizes). */
#include "source.h"
#include "packed.h"
#include <stdlib.h>
#include <string.h>

typedef struct RtZip {
    FILE *file;
    bool deflated, ended;
    uint64_t packed_left, left; /* bytes to come: in the file, out of it */
    uint32_t crc, crc_want;
    z_stream z;
    bool z_open;
    uint8_t in[1 << 14];
} RtZip;

static uint64_t little(const uint8_t *p, int n) {
    uint64_t v = 0;
    while (n-- > 0) v = v << 8 | p[n];
    return v;
}

static csc_status bad(csc_context *cx, const char *path, const char *why) {
    return rt_fail(cx, CSC_BAD_FILE, "%s is not a good ZIP archive (NPZ): %s", path, why);
}

static bool read_at(FILE *f, uint64_t at, void *to, size_t n) {
    return at <= INT64_MAX && fseeko(f, (off_t)at, SEEK_SET) == 0 && fread(to, 1, n, f) == n;
}

/* Where the central directory is: from the end record, or its 64-bit form. */
static const char *directory(FILE *f, uint64_t size, uint64_t *at, uint64_t *bytes) {
    size_t tail = size < 65557 ? (size_t)size : 65557;
    uint8_t *b = malloc(tail + 1), r[56];
    const char *why = "it has no end record (cut short?)";
    if (!b) return "no memory";
    if (tail >= 22 && read_at(f, size - tail, b, tail))
        for (size_t i = tail - 22 + 1; i-- > 0;) {
            if (memcmp(b + i, "PK\5\6", 4)) continue;
            *bytes = little(b + i + 12, 4);
            *at = little(b + i + 16, 4);
            why = NULL;
            uint64_t end = size - tail + i;
            if ((*at == UINT32_MAX || *bytes == UINT32_MAX) && end >= 20) {
                if (!read_at(f, end - 20, r, 20) || memcmp(r, "PK\6\7", 4) || !read_at(f, little(r + 8, 8), r, 56) || memcmp(r, "PK\6\6", 4))
                    why = "its 64-bit end record is missing";
                else {
                    *bytes = little(r + 40, 8);
                    *at = little(r + 48, 8);
                }
            }
            break;
        }
    free(b);
    if (!why && (*at > size || *bytes > size - *at)) why = "its directory lies outside the file";
    return why;
}

typedef struct Member {
    uint64_t packed, size, at;
    uint32_t crc, method, flags;
} Member;

static const char *find(const uint8_t *d, uint64_t n, const char *name, Member *m) {
    size_t len = strlen(name);
    for (uint64_t i = 0; i < n;) {
        if (n - i < 46 || memcmp(d + i, "PK\1\2", 4)) return "its directory is damaged";
        const uint8_t *h = d + i;
        uint64_t nn = little(h + 28, 2), ne = little(h + 30, 2), nc = little(h + 32, 2);
        if (nn + ne + nc > n - i - 46) return "its directory is damaged";
        const char *s = (const char *)h + 46;
        bool same = (nn == len || (nn == len + 4 && !memcmp(s + len, ".npy", 4))) && !memcmp(s, name, len);
        i += 46 + nn + ne + nc;
        if (!same) continue;
        *m = (Member){little(h + 20, 4), little(h + 24, 4), little(h + 42, 4), (uint32_t)little(h + 16, 4), (uint32_t)little(h + 10, 2),
                      (uint32_t)little(h + 8, 2)};
        const uint8_t *e = h + 46 + nn, *end = e + ne;
        while (end - e >= 4) {
            uint64_t id = little(e, 2), bytes = little(e + 2, 2);
            const uint8_t *v = e + 4, *stop = v + bytes;
            if (bytes > (uint64_t)(end - v)) return "its directory is damaged";
            uint64_t *wide[] = {&m->size, &m->packed, &m->at};
            for (int k = 0; id == 1 && k < 3; k++)
                if (*wide[k] == UINT32_MAX && stop - v >= 8) {
                    *wide[k] = little(v, 8);
                    v += 8;
                }
            e = stop;
        }
        return NULL;
    }
    return "";
}

static csc_status start(RtZip *z, csc_context *cx, const char *path, const char *member, uint64_t *bytes) {
    uint64_t at = 0, n = 0, size;
    csc_status status;
    if (fseeko(z->file, 0, SEEK_END) != 0 || (off_t)(size = (uint64_t)ftello(z->file)) < 0) return rt_io(cx, "read", path);
    const char *why = directory(z->file, size, &at, &n);
    if (why) return bad(cx, path, why);
    uint8_t *d = malloc(n + 1), h[30];
    if (!d) return rt_no_memory(cx, n);
    Member m = {0};
    why = read_at(z->file, at, d, n) ? find(d, n, member, &m) : "it is cut short";
    free(d);
    if (why && !*why) return rt_fail(cx, CSC_MISMATCH, "%s has no member `%s`", path, member);
    if (why) return bad(cx, path, why);
    if (m.flags & 1) return bad(cx, path, "it is encrypted");
    if (m.method != 0 && m.method != 8) return bad(cx, path, "a member is packed in another way than stored or deflate");
    if (!read_at(z->file, m.at, h, 30) || memcmp(h, "PK\3\4", 4)) return bad(cx, path, "a member's header is damaged");
    uint64_t data = m.at + 30 + little(h + 26, 2) + little(h + 28, 2);
    if (data > size || m.packed > size - data || fseeko(z->file, (off_t)data, SEEK_SET) != 0) return bad(cx, path, "it is cut short");
    z->deflated = m.method == 8;
    if (z->deflated && (status = rt_no_zlib(cx, path)) != CSC_OK) return status;
    if (z->deflated ? m.size / 1032 > m.packed : m.size != m.packed) return bad(cx, path, "a member's sizes contradict each other");
    z->packed_left = m.packed;
    z->left = *bytes = m.size;
    z->crc_want = m.crc;
    z->crc = (uint32_t)crc32(0, NULL, 0);
    if (z->deflated && inflateInit2(&z->z, -15) != Z_OK) return rt_no_memory(cx, 1 << 16);
    z->z_open = z->deflated;
    return CSC_OK;
}

RtZip *rt_zip_open(csc_context *cx, const char *path, const char *member, uint64_t *bytes, csc_status *status) {
    RtZip *z = calloc(1, sizeof *z);
    if (!z) {
        *status = rt_no_memory(cx, sizeof *z);
        return NULL;
    }
    z->file = fopen(path, "rbe");
    *status = z->file ? start(z, cx, path, member, bytes) : rt_io(cx, "open", path);
    if (*status == CSC_OK) return z;
    rt_zip_close(z);
    return NULL;
}

static size_t more(RtZip *z, void *to, size_t n) {
    size_t got = fread(to, 1, n < z->packed_left ? n : (size_t)z->packed_left, z->file);
    z->packed_left -= got;
    return got;
}

int64_t rt_zip_read(RtZip *z, void *to, size_t n) {
    size_t got;
    if (n > z->left) n = (size_t)z->left;
    if (!z->deflated) got = more(z, to, n);
    else {
        z->z.next_out = to;
        z->z.avail_out = (unsigned)n;
        while (z->z.avail_out && !z->ended) {
            if (z->z.avail_in == 0) {
                z->z.next_in = z->in;
                z->z.avail_in = (unsigned)more(z, z->in, sizeof z->in);
                if (z->z.avail_in == 0) break;
            }
            int code = inflate(&z->z, Z_NO_FLUSH);
            if (code == Z_STREAM_END) z->ended = true;
            else if (code != Z_OK) return -1;
        }
        got = n - z->z.avail_out;
    }
    z->left -= got;
    z->crc = (uint32_t)crc32(z->crc, to, (unsigned)got);
    return (int64_t)got;
}

bool rt_zip_intact(const RtZip *z) {
    return z->left == 0 && z->crc == z->crc_want;
}

void rt_zip_close(RtZip *z) {
    if (!z) return;
    if (z->z_open) inflateEnd(&z->z);
    if (z->file) fclose(z->file);
    free(z);
}
