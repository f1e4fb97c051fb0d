/* Draws curves: `bench_curves OUT.png < TABLE`, where each line of the table is x y1 y2 ... (up to four curves: blue, orange, green, red). */
#include "csc.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { W = 640, H = 400, LEFT = 56, RIGHT = 16, TOP = 14, BOTTOM = 34, ROWS_MOST = 4096, CURVES_MOST = 4 };

static const float colours[CURVES_MOST][3] = {{.12f, .35f, .75f}, {.90f, .49f, .10f}, {.17f, .58f, .25f}, {.78f, .16f, .18f}};
static float pixels[3 * H * W];

static void dot(int x, int y, const float *c) {
    if (x < 0 || y < 0 || x >= W || y >= H) return;
    for (int k = 0; k < 3; k++) pixels[(k * H + y) * W + x] = c[k];
}
static void disc(double x, double y, double r, const float *c) {
    for (int j = (int)(y - r); j <= (int)(y + r) + 1; j++)
        for (int i = (int)(x - r); i <= (int)(x + r) + 1; i++)
            if ((i - x) * (i - x) + (j - y) * (j - y) <= r * r) dot(i, j, c);
}
static void line(double x, double y, double u, double v, const float *c) {
    int n = (int)(fabs(u - x) + fabs(v - y)) * 2 + 1;
    for (int i = 0; i <= n; i++) disc(x + (u - x) * i / n, y + (v - y) * i / n, 1, c);
}

/* 3 x 5 digits, a minus and a point, drawn twice as large */
static void number(int x, int y, double v, const float *c) {
    static const unsigned short bits[12] = {075557, 026227, 071747, 071717, 055711, 074717, 074757, 071111, 075757, 075717, 000700, 000002};
    char text[32];
    int n = snprintf(text, sizeof text, "%g", v);
    x -= n * 8;
    for (int k = 0; k < n; k++, x += 8) {
        int g = text[k] == '-' ? 10 : text[k] == '.' ? 11 : text[k] >= '0' && text[k] <= '9' ? text[k] - '0' : 10;
        for (int j = 0; j < 5; j++)
            for (int i = 0; i < 3; i++)
                if (bits[g] >> (3 * (4 - j) + 2 - i) & 1)
                    for (int q = 0; q < 4; q++) dot(x + 2 * i + q % 2, y + 2 * j + q / 2, c);
    }
}

static double ruled(double range) { /* 1, 2 or 5 times a power of ten; about six in the range */
    double t = pow(10, floor(log10(range / 6)));
    return range / t > 30 ? 5 * t : range / t > 12 ? 2 * t : t;
}

int main(int argc, char **argv) {
    static double x[ROWS_MOST], y[CURVES_MOST][ROWS_MOST];
    char text[1024];
    int rows = 0, curves = 0;
    if (argc != 2) return fprintf(stderr, "usage: %s OUT.png < TABLE\n", argv[0]), 1;
    double x0 = HUGE_VAL, x1 = -HUGE_VAL, y0 = HUGE_VAL, y1 = -HUGE_VAL;
    while (rows < ROWS_MOST && fgets(text, sizeof text, stdin)) {
        char *at = text, *end;
        double v = strtod(at, &end);
        if (end == at) continue;
        x[rows] = v, x0 = fmin(x0, v), x1 = fmax(x1, v);
        for (curves = 0; curves < CURVES_MOST; curves++) {
            at = end;
            v = strtod(at, &end);
            if (end == at) break;
            y[curves][rows] = v, y0 = fmin(y0, v), y1 = fmax(y1, v);
        }
        rows++;
    }
    if (rows < 2 || !curves || x1 <= x0 || y1 <= y0) return fprintf(stderr, "nothing to draw\n"), 1;
    double sy = ruled(y1 - y0), sx = ruled(x1 - x0);
    y0 = floor(y0 / sy) * sy, y1 = ceil(y1 / sy) * sy;
    double ax = (W - LEFT - RIGHT) / (x1 - x0), ay = (H - TOP - BOTTOM) / (y1 - y0);
    static const float grey[3] = {.86f, .86f, .86f}, dark[3] = {.25f, .25f, .25f};
    for (int i = 0; i < 3 * H * W; i++) pixels[i] = 1;
    for (double v = y0; v <= y1 + sy / 2; v += sy) {
        int at = (int)(H - BOTTOM - (v - y0) * ay);
        for (int i = LEFT; i < W - RIGHT; i++) dot(i, at, grey);
        number(LEFT - 6, at - 5, fabs(v) < sy / 1e6 ? 0 : v, dark);
    }
    for (double v = ceil(x0 / sx) * sx; v <= x1 + sx / 1e6; v += sx) {
        int at = (int)(LEFT + (v - x0) * ax);
        for (int j = TOP; j < H - BOTTOM; j++) dot(at, j, grey);
        number(at + 8, H - BOTTOM + 10, v, dark);
    }
    for (int c = 0; c < curves; c++)
        for (int r = 0; r < rows; r++) {
            double px = LEFT + (x[r] - x0) * ax, py = H - BOTTOM - (y[c][r] - y0) * ay;
            disc(px, py, 3.5, colours[c]);
            if (r) line(LEFT + (x[r - 1] - x0) * ax, H - BOTTOM - (y[c][r - 1] - y0) * ay, px, py, colours[c]);
        }
    csc_context *cx = csc_context_new();
    csc_image img = {.channels = 3, .height = H, .width = W, .at = pixels};
    if (csc_image_write_png(cx, argv[1], &img)) return fprintf(stderr, "%s\n", csc_error(cx)), 1;
    csc_context_free(cx);
    return 0;
}
