/* zlib, or where csc is built without it what reads files that are not packed: the same calls, and packed() says that it is missing. */
#ifndef CSC_RT_PACKED_H
#define CSC_RT_PACKED_H
#include "rt.h"
#ifdef CSC_ZLIB
#include <zlib.h>
static inline csc_status rt_no_zlib(csc_context *cx, const char *path) { (void)cx, (void)path; return CSC_OK; }
#else
enum { Z_OK = 0, Z_STREAM_END = 1, Z_BUF_ERROR = -5, Z_NO_FLUSH = 0 };
typedef FILE *gzFile;
typedef struct z_stream {
    uint8_t *next_in;
    void *next_out;
    unsigned avail_in, avail_out;
} z_stream;
static inline csc_status rt_no_zlib(csc_context *cx, const char *path) {
    return rt_fail(cx, CSC_BAD_FILE, "%s is packed, and csc was built without zlib: unpack it, or rebuild with zlib", path);
}
static inline gzFile gzopen(const char *path, const char *how) { return fopen(path, how); }
static inline int gzbuffer(gzFile f, unsigned n) { return (void)f, (void)n, 0; }
static inline int gzread(gzFile f, void *to, unsigned n) { return (int)fread(to, 1, n, f); }
static inline int gzrewind(gzFile f) { return rewind(f), 0; }
static inline int gzdirect(gzFile f) { /* by the magic number; the place is lost */
    uint8_t m[2] = {0};
    rewind(f);
    return fread(m, 1, 2, f) != 2 || m[0] != 0x1f || m[1] != 0x8b;
}
static inline const char *gzerror(gzFile f, int *code) { return *code = Z_OK, (void)f, ""; }
static inline int gzclose(gzFile f) { return fclose(f); }
static inline int inflateInit2(z_stream *z, int bits) { return (void)z, (void)bits, -1; }
static inline int inflate(z_stream *z, int how) { return (void)z, (void)how, -1; }
static inline void inflateEnd(z_stream *z) { (void)z; }
static inline uint32_t crc32(uint32_t crc, const void *at, unsigned n) {
    const uint8_t *p = at;
    for (crc = ~crc; n--;) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}
#endif
#endif
