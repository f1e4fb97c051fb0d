/* Reads plain, gzipped and zipped bytes. What a header claims is compared with what the file could hold before memory is taken. */
#include "source.h"
#include "packed.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEFLATE_MOST 1032 /* deflate cannot expand by more */

csc_status rt_source_bad(RtSource *s, const char *fmt, ...) {
    char why[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return rt_fail(s->cx, CSC_BAD_FILE, "%s: %s", s->name, why);
}

csc_status rt_source_open(RtSource *s, csc_context *cx, const char *path) {
    *s = (RtSource){.cx = cx, .name = path};
    struct stat st;
    if (stat(path, &st) != 0) return rt_io(cx, "open", path);
    if (!S_ISREG(st.st_mode)) return rt_fail(cx, CSC_BAD_FILE, "%s is not a plain file", path);
    s->gz = gzopen(path, "rbe");
    if (!s->gz) return errno ? rt_io(cx, "open", path) : rt_no_memory(cx, 1 << 16);
    gzbuffer(s->gz, 1 << 17);
    uint8_t first;
    csc_status no_zlib;
    bool packed = gzread(s->gz, &first, 1) == 1 && !gzdirect(s->gz);
    gzrewind(s->gz);
    if (packed && (no_zlib = rt_no_zlib(cx, path)) != CSC_OK) return gzclose(s->gz), s->gz = NULL, no_zlib;
    s->bound = (uint64_t)st.st_size * (packed ? DEFLATE_MOST : 1);
    return CSC_OK;
}

csc_status rt_source_open_zip(RtSource *s, csc_context *cx, const char *path, const char *member) {
    csc_status status = CSC_OK;
    *s = (RtSource){.cx = cx, .owned = rt_format("%s, member %s", path, member)};
    if (!s->owned) return rt_no_memory(cx, strlen(path));
    s->name = s->owned;
    s->zip = rt_zip_open(cx, path, member, &s->bound, &status);
    return status;
}

void rt_source_close(RtSource *s) {
    if (s->gz) gzclose(s->gz);
    rt_zip_close(s->zip);
    free(s->owned);
    *s = (RtSource){0};
}

csc_status rt_source_read(RtSource *s, void *to, size_t n) {
    char *p = to;
    while (n) {
        unsigned ask = n > 1 << 30 ? 1u << 30 : (unsigned)n;
        int64_t got = s->zip ? rt_zip_read(s->zip, p, ask) : gzread(s->gz, p, ask);
        if (got <= 0) {
            int code = 0;
            const char *why = s->zip ? "" : gzerror(s->gz, &code);
            if (got == 0 || code == Z_BUF_ERROR) return rt_source_bad(s, "the file is cut short");
            return rt_source_bad(s, "the packed data are damaged (%s)", s->zip ? "deflate" : why);
        }
        p += got;
        n -= (size_t)got;
    }
    return CSC_OK;
}

csc_status rt_source_end(RtSource *s) {
    char more;
    if (s->zip) {
        if (rt_zip_read(s->zip, &more, 1) > 0) return rt_source_bad(s, "something follows the data");
        return rt_zip_intact(s->zip) ? CSC_OK : rt_source_bad(s, "the packed data are damaged (checksum)");
    }
    int got = gzread(s->gz, &more, 1), code;
    if (got > 0) return rt_source_bad(s, "something follows the data");
    gzerror(s->gz, &code);
    if (code == Z_BUF_ERROR) return rt_source_bad(s, "the file is cut short");
    if (code != Z_OK && code != Z_STREAM_END) return rt_source_bad(s, "the packed data are damaged (checksum)");
    return CSC_OK;
}
