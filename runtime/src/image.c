/* Pictures: from files to floats; a sheet of atoms. */
#include "pixels.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

csc_status rt_pixels_read(csc_context *cx, const char *path, bool places, RtPixels *out) {
    *out = (RtPixels){0};
    struct stat st;
    FILE *f = fopen(path, "rbe");
    if (!f || fstat(fileno(f), &st) != 0) {
        csc_status s = rt_io(cx, "open", path);
        if (f) fclose(f);
        return s;
    }
    uint8_t head[8] = {0};
    size_t got = S_ISREG(st.st_mode) ? fread(head, 1, 8, f) : 0;
    rewind(f);
    csc_status s;
    if (got == 8 && !memcmp(head, "\x89PNG\r\n\x1a\n", 8)) s = rt_png_read(cx, path, f, (uint64_t)st.st_size, places, out);
    else if (got >= 3 && !memcmp(head, "\xff\xd8\xff", 3)) s = rt_jpeg_read(cx, path, f, (uint64_t)st.st_size, out);
    else s = rt_fail(cx, CSC_BAD_FILE, "%s is neither a PNG nor a JPEG file", path);
    fclose(f);
    return s;
}

static inline float at(const RtPixels *p, int64_t y, int64_t x, int c) {
    size_t i = ((size_t)y * (size_t)p->width + (size_t)x) * (size_t)p->channels + (size_t)c;
    return p->wide ? ((const uint16_t *)p->at)[i] : ((const uint8_t *)p->at)[i];
}

void rt_pixels_take(const RtPixels *p, int64_t y, int64_t x, int64_t h, int64_t w, int channels, double scale, float *out) {
    float s = (float)scale;
    for (int c = 0; c < channels; c++)
        for (int64_t i = 0; i < h; i++)
            for (int64_t k = 0; k < w; k++) {
                float v = channels == 1 && p->channels == 3
                              ? 0.299f * at(p, y + i, x + k, 0) + 0.587f * at(p, y + i, x + k, 1) + 0.114f * at(p, y + i, x + k, 2)
                              : at(p, y + i, x + k, p->channels == 1 ? 0 : c);
                *out++ = v * s;
            }
}

/* Along one axis: entry o of the result is a mean of entries first[o] .. first[o] + taps - 1. */
typedef struct Grid {
    int taps;
    int *first;
    float *weight; /* [to, taps] */
} Grid;

static void grid_free(Grid *g) {
    free(g->first);
    free(g->weight);
}

static bool grid_new(Grid *g, int from, int to, bool smooth) {
    double step = (double)from / to, reach = step > 1 ? step : 1;
    g->taps = smooth ? 2 * (int)ceil(reach) + 1 : 1;
    if (g->taps > from) g->taps = from;
    g->first = calloc((size_t)to, sizeof *g->first);
    g->weight = calloc((size_t)to * (size_t)g->taps, sizeof *g->weight);
    if (!g->first || !g->weight) return false;
    for (int o = 0; o < to; o++) {
        double middle = (o + 0.5) * step - 0.5, sum = 0;
        int first = smooth ? (int)ceil(middle - reach) : (int)floor((o + 0.5) * step);
        first = first < 0 ? 0 : first;
        g->first[o] = first = first > from - g->taps ? from - g->taps : first;
        float *w = g->weight + (size_t)o * (size_t)g->taps;
        for (int k = 0; k < g->taps; k++) {
            double d = 1 - fabs(first + k - middle) / reach;
            w[k] = smooth ? (float)(d > 0 ? d : 0) : 1;
            sum += w[k];
        }
        for (int k = 0; k < g->taps; k++) w[k] = (float)(w[k] / sum);
    }
    return true;
}

csc_status rt_pixels_resize(csc_context *cx, RtPixels *p, int height, int width, bool smooth) {
    if (p->height == height && p->width == width) return CSC_OK;
    Grid gx = {0}, gy = {0};
    int c = p->channels;
    size_t bytes = (size_t)height * (size_t)width * (size_t)c * (p->wide ? 2 : 1), line = (size_t)width * (size_t)c;
    float *rows = malloc(sizeof *rows * line * (size_t)p->height); /* in the new width and the old height */
    void *to = malloc(bytes);
    bool ok = rows && to && grid_new(&gx, p->width, width, smooth) && grid_new(&gy, p->height, height, smooth);
    for (int y = 0; ok && y < p->height; y++)
        for (int x = 0; x < width; x++)
            for (int k = 0; k < c; k++) {
                float v = 0;
                for (int t = 0; t < gx.taps; t++) v += gx.weight[x * gx.taps + t] * at(p, y, gx.first[x] + t, k);
                rows[(size_t)y * line + (size_t)(x * c + k)] = v;
            }
    for (int y = 0; ok && y < height; y++)
        for (size_t x = 0; x < line; x++) {
            float v = 0.5f;
            for (int t = 0; t < gy.taps; t++) v += gy.weight[y * gy.taps + t] * rows[(size_t)(gy.first[y] + t) * line + x];
            if (p->wide) ((uint16_t *)to)[(size_t)y * line + x] = (uint16_t)(v > 65535 ? 65535 : v);
            else ((uint8_t *)to)[(size_t)y * line + x] = (uint8_t)(v > 255 ? 255 : v);
        }
    grid_free(&gx);
    grid_free(&gy);
    free(rows);
    if (!ok) {
        free(to);
        return rt_no_memory(cx, bytes);
    }
    free(p->at);
    p->at = to;
    p->height = height;
    p->width = width;
    return CSC_OK;
}

csc_status csc_image_read(csc_context *cx, const char *path, int channels, csc_image *out) {
    return csc_image_read_sized(cx, path, channels, 0, 0, out);
}

csc_status csc_image_read_sized(csc_context *cx, const char *path, int channels, int height, int width, csc_image *out) {
    RtPixels p;
    *out = (csc_image){0};
    if (channels != 0 && channels != 1 && channels != 3) return rt_fail(cx, CSC_BAD_ARGUMENT, "a picture has 1 or 3 channels, not %d", channels);
    csc_status s = rt_pixels_read(cx, path, false, &p);
    if (s != CSC_OK) return s;
    if (height > 0 && (s = rt_pixels_resize(cx, &p, height, width, true)) != CSC_OK) {
        free(p.at);
        return s;
    }
    *out = (csc_image){channels ? channels : p.channels, p.height, p.width, NULL};
    size_t bytes = sizeof(float) * (size_t)out->channels * (size_t)p.height * (size_t)p.width;
    out->at = malloc(bytes);
    if (out->at) rt_pixels_take(&p, 0, 0, p.height, p.width, out->channels, p.wide ? 1 / 65535.0 : 1 / 255.0, out->at);
    free(p.at);
    return out->at ? CSC_OK : rt_no_memory(cx, bytes);
}

void csc_image_free(csc_image *img) {
    if (!img) return;
    free(img->at);
    *img = (csc_image){0};
}

csc_status csc_atoms_write_png(csc_context *cx, const char *path, const float *atoms, int64_t k, int64_t c, int64_t h, int64_t w) {
    if (k < 1 || c < 1 || h < 1 || w < 1 || k > 1 << 20 || c > 1 << 20 || h > 1 << 14 || w > 1 << 14)
        return rt_fail(cx, CSC_BAD_ARGUMENT, "%s: no picture can be made of [%lld, %lld, %lld, %lld]", path, (long long)k, (long long)c,
                       (long long)h, (long long)w);
    int64_t planes = c == 3 ? 3 : 1, tiles = c == 3 ? k : k * c, cols = 1;
    while (cols * cols * w < tiles * h) cols++; /* about a square */
    int64_t rows = (tiles + cols - 1) / cols, height = rows * (h + 1) + 1, width = cols * (w + 1) + 1;
    if (height > 1 << 20 || width > 1 << 20) return rt_fail(cx, CSC_BAD_ARGUMENT, "%s: the picture would be too large", path);
    csc_image img = {(int)planes, (int)height, (int)width, calloc((size_t)(planes * height * width), sizeof(float))};
    if (!img.at) return rt_no_memory(cx, (size_t)(planes * height * width) * 4);
    for (int64_t t = 0; t < tiles; t++) {
        const float *a = atoms + t * planes * h * w;
        float low = a[0], high = a[0];
        for (int64_t i = 0; i < planes * h * w; i++) {
            low = a[i] < low ? a[i] : low;
            high = a[i] > high ? a[i] : high;
        }
        float scale = high > low ? 1 / (high - low) : 0;
        for (int64_t i = 0; i < planes * h * w; i++) {
            int64_t p = i / (h * w), y = t / cols * (h + 1) + 1 + i / w % h, x = t % cols * (w + 1) + 1 + i % w;
            img.at[(p * height + y) * width + x] = scale > 0 ? (a[i] - low) * scale : 0.5f;
        }
    }
    csc_status s = csc_image_write_png(cx, path, &img);
    csc_image_free(&img);
    return s;
}
