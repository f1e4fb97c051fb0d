/* Decoded pictures as they are in the file: interleaved bytes or 16-bit words. */
#ifndef CSC_RT_PIXELS_H
#define CSC_RT_PIXELS_H
#include "rt.h"

typedef struct RtPixels {
    int width, height, channels; /* channels: 1 or 3 */
    bool wide;                   /* 16 bits each, native order */
    bool places;                 /* a PNG's palette was asked for: each value is a place in it, not a colour */
    void *at;                    /* malloc'ed */
} RtPixels;
csc_status rt_pixels_read(csc_context *cx, const char *path, bool places, RtPixels *out);
/* [channels, h, w] of the rectangle at (y, x), each value times `scale`; gray is copied to colours, colour is weighed to gray
   (Rec. 601: 0.299 R + 0.587 G + 0.114 B). */
void rt_pixels_take(const RtPixels *p, int64_t y, int64_t x, int64_t h, int64_t w, int channels, double scale, float *out);
/* The same picture in another size. Smooth: means weighed by triangles, as wide as the larger of the two grids' steps; else the nearest pixel. */
csc_status rt_pixels_resize(csc_context *cx, RtPixels *p, int height, int width, bool smooth);
csc_status rt_png_read(csc_context *cx, const char *path, FILE *f, uint64_t bytes, bool places, RtPixels *out);
csc_status rt_jpeg_read(csc_context *cx, const char *path, FILE *f, uint64_t bytes, RtPixels *out);
#endif
