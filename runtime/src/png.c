/* PNG through libpng: reading of any kind, writing of 8-bit gray and colour. */
#include "pixels.h"
#include <stdlib.h>
#include <string.h>
#ifdef CSC_PNG
#include <png.h>
#include <setjmp.h>

typedef struct Trouble {
    jmp_buf out;
    char why[160];
} Trouble;

static void on_error(png_structp png, png_const_charp why) {
    Trouble *t = png_get_error_ptr(png);
    snprintf(t->why, sizeof t->why, "%s", why);
    longjmp(t->out, 1);
}

static void on_warning(png_structp png, png_const_charp why) {
    (void)png;
    (void)why;
}

bool csc_has_png(void) {
    return true;
}

/* Everything that the reader makes is reached through `out` and `rows`, so that an error can free it. */
static void read_body(png_structp png, png_infop info, FILE *f, uint64_t bytes, bool places, RtPixels *out, png_bytep **rows) {
    png_init_io(png, f);
    png_read_info(png, info);
    png_uint_32 w = png_get_image_width(png, info), h = png_get_image_height(png, info);
    int depth = png_get_bit_depth(png, info), color = png_get_color_type(png, info);
    if (png_get_rowbytes(png, info) > UINT64_MAX / h || (uint64_t)png_get_rowbytes(png, info) * h / 1032 > bytes)
        png_error(png, "its header claims more pixels than the file can hold");
    out->places = places && color == PNG_COLOR_TYPE_PALETTE;
    if (out->places) png_set_packing(png);
    else if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (color == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png);
    png_set_strip_alpha(png);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (depth == 16) png_set_swap(png);
#endif
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    size_t row = png_get_rowbytes(png, info);
    out->width = (int)w;
    out->height = (int)h;
    out->channels = png_get_channels(png, info);
    out->wide = depth == 16;
    if (out->channels != 1 && out->channels != 3) png_error(png, "neither gray nor colour");
    out->at = malloc(row * h + 1);
    *rows = malloc(sizeof **rows * h + 1);
    if (!out->at || !*rows) png_error(png, "no memory");
    for (png_uint_32 y = 0; y < h; y++) (*rows)[y] = (png_bytep)out->at + y * row;
    png_read_image(png, *rows);
    png_read_end(png, NULL);
}

csc_status rt_png_read(csc_context *cx, const char *path, FILE *f, uint64_t bytes, bool places, RtPixels *out) {
    Trouble t;
    png_bytep *volatile rows = NULL;
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &t, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return rt_no_memory(cx, 1 << 16);
    }
    png_set_user_limits(png, 1 << 20, 1 << 20);
    bool ok = setjmp(t.out) == 0;
    if (ok) read_body(png, info, f, bytes, places, out, (png_bytep **)&rows);
    free(rows);
    png_destroy_read_struct(&png, &info, NULL);
    if (ok) return CSC_OK;
    free(out->at);
    *out = (RtPixels){0};
    return rt_fail(cx, CSC_BAD_FILE, "%s is not a good PNG file: %s", path, t.why);
}

/* Into memory, so that the file is written atomically and png's own error path owns nothing of ours. */
static void on_bytes(png_structp png, png_bytep at, png_size_t n) {
    RtText *t = png_get_io_ptr(png);
    rt_text_add(t, (const char *)at, n);
    if (t->failed) png_error(png, "no memory");
}

static void on_flush(png_structp png) {
    (void)png;
}

static void write_body(png_structp png, png_infop info, const csc_image *img, RtText *to, png_bytep row) {
    int w = img->width, h = img->height, c = img->channels;
    png_set_write_fn(png, to, on_bytes, on_flush);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, 8, c == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++)
            for (int k = 0; k < c; k++) {
                float v = img->at[((size_t)k * (size_t)h + (size_t)y) * (size_t)w + (size_t)x];
                row[x * c + k] = (png_byte)(v > 0 ? (v < 1 ? v * 255 + 0.5f : 255) : 0);
            }
        png_write_row(png, row);
    }
    png_write_end(png, info);
}

csc_status csc_image_write_png(csc_context *cx, const char *path, const csc_image *img) {
    if (img->width < 1 || img->height < 1 || (img->channels != 1 && img->channels != 3))
        return rt_fail(cx, CSC_BAD_ARGUMENT, "%s: a PNG has 1 or 3 channels, not %d (%d x %d)", path, img->channels, img->width, img->height);
    Trouble t;
    RtText bytes = {0};
    png_bytep row = malloc((size_t)img->width * 3);
    png_structp png = row ? png_create_write_struct(PNG_LIBPNG_VER_STRING, &t, on_error, on_warning) : NULL;
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool ok = info && setjmp(t.out) == 0;
    if (ok) write_body(png, info, img, &bytes, row);
    if (png) png_destroy_write_struct(&png, &info);
    free(row);
    csc_status s = !ok ? rt_no_memory(cx, (size_t)img->width * 3) : csc_file_write(cx, path, bytes.at, bytes.len);
    rt_text_free(&bytes);
    return s;
}

#else
bool csc_has_png(void) {
    return false;
}

csc_status rt_png_read(csc_context *cx, const char *path, FILE *f, uint64_t bytes, bool places, RtPixels *out) {
    (void)f, (void)bytes, (void)places, (void)out;
    return rt_fail(cx, CSC_UNSUPPORTED, "%s: this csc was built without libpng", path);
}

csc_status csc_image_write_png(csc_context *cx, const char *path, const csc_image *img) {
    (void)img;
    return rt_fail(cx, CSC_UNSUPPORTED, "%s: this csc was built without libpng", path);
}
#endif
