/* JPEG through libjpeg, reading only. A warning (a file cut short) is an error here. */
#include "pixels.h"
#include <stdlib.h>
#include <string.h>
#ifdef CSC_JPEG
#include <setjmp.h>
#include <jpeglib.h>

typedef struct Trouble {
    struct jpeg_error_mgr base; /* first: libjpeg knows only this */
    jmp_buf out;
    char why[JMSG_LENGTH_MAX];
} Trouble;

static void on_error(j_common_ptr c) {
    Trouble *t = (Trouble *)c->err;
    c->err->format_message(c, t->why);
    longjmp(t->out, 1);
}

static void on_message(j_common_ptr c, int level) {
    if (level < 0) on_error(c);
}

bool csc_has_jpeg(void) {
    return true;
}

static void read_body(struct jpeg_decompress_struct *d, FILE *f, uint64_t bytes, RtPixels *out) {
    Trouble *t = (Trouble *)d->err;
    jpeg_create_decompress(d);
    jpeg_stdio_src(d, f);
    jpeg_read_header(d, TRUE);
    /* A block of 64 pixels costs about a bit at least. */
    if ((uint64_t)d->image_width * d->image_height > 4096 * bytes) {
        snprintf(t->why, sizeof t->why, "its header claims more pixels than the file can hold");
        longjmp(t->out, 1);
    }
    d->out_color_space = d->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(d);
    out->width = (int)d->output_width;
    out->height = (int)d->output_height;
    out->channels = d->output_components;
    size_t row = (size_t)out->width * (size_t)out->channels;
    out->at = malloc(row * (size_t)out->height + 1);
    if (!out->at) {
        snprintf(t->why, sizeof t->why, "no memory");
        longjmp(t->out, 1);
    }
    while (d->output_scanline < d->output_height) {
        JSAMPROW line = (JSAMPROW)out->at + row * d->output_scanline;
        jpeg_read_scanlines(d, &line, 1);
    }
    jpeg_finish_decompress(d);
}

csc_status rt_jpeg_read(csc_context *cx, const char *path, FILE *f, uint64_t bytes, RtPixels *out) {
    Trouble t;
    struct jpeg_decompress_struct d;
    memset(&d, 0, sizeof d); /* destroying is safe before creating */
    d.err = jpeg_std_error(&t.base);
    t.base.error_exit = on_error;
    t.base.emit_message = on_message;
    bool ok = setjmp(t.out) == 0;
    if (ok) read_body(&d, f, bytes, out);
    jpeg_destroy_decompress(&d);
    if (ok) return CSC_OK;
    free(out->at);
    *out = (RtPixels){0};
    return rt_fail(cx, CSC_BAD_FILE, "%s is not a good JPEG file: %s", path, t.why);
}

#else
bool csc_has_jpeg(void) {
    return false;
}

csc_status rt_jpeg_read(csc_context *cx, const char *path, FILE *f, uint64_t bytes, RtPixels *out) {
    (void)f, (void)bytes, (void)out;
    return rt_fail(cx, CSC_UNSUPPORTED, "%s: this csc was built without libjpeg", path);
}
#endif
