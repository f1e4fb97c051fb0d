/* For experiments on grey pictures:
     bench_pictures noise SIGMA FROM TO     adds normal noise (deviation SIGMA of 255, seeded by the file's place), writes PNGs
     bench_pictures psnr A B                prints the PSNR of each pair of files of one name, and the mean
     bench_pictures crop SIDE FROM TO       cuts the middle square of SIDE pixels out of each
     bench_pictures beside OUT.png A B ...  puts pictures of one height side by side */
#include "csc.h"
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int picture(const struct dirent *d) {
    const char *dot = strrchr(d->d_name, '.');
    return dot && (!strcmp(dot, ".png") || !strcmp(dot, ".jpg"));
}

static float normal(uint32_t file, uint32_t pixel) { /* Box-Muller from one counter */
    uint32_t key[2] = {25, file}, counter[4] = {pixel, 0, 0, 0}, out[4];
    csc_philox(key, counter, out);
    double u = ((double)out[0] + 1) / 4294967297.0, v = (double)out[1] / 4294967296.0;
    return (float)(sqrt(-2 * log(u)) * cos(2 * M_PI * v));
}

static int beside(const char *out, char **path, int n) {
    enum { MOST = 16, GAP = 4 };
    csc_image part[MOST], all = {1, 0, -GAP, NULL};
    csc_context *cx = csc_context_new();
    if (n < 1 || n > MOST) return fprintf(stderr, "1 to %d pictures\n", MOST), 1;
    for (int i = 0; i < n; i++) {
        if (csc_image_read(cx, path[i], 1, &part[i])) return fprintf(stderr, "%s\n", csc_error(cx)), 1;
        if (i && part[i].height != all.height) return fprintf(stderr, "%s is of another height\n", path[i]), 1;
        all.height = part[i].height;
        all.width += part[i].width + GAP;
    }
    all.at = malloc(sizeof(float) * (size_t)all.height * (size_t)all.width);
    for (int k = 0; k < all.height * all.width; k++) all.at[k] = 1;
    for (int i = 0, x = 0; i < n; x += part[i++].width + GAP)
        for (int y = 0; y < all.height; y++)
            memcpy(all.at + y * all.width + x, part[i].at + y * part[i].width, sizeof(float) * (size_t)part[i].width);
    return csc_image_write_png(cx, out, &all) ? fprintf(stderr, "%s\n", csc_error(cx)), 1 : 0;
}

int main(int argc, char **argv) {
    if (argc > 3 && !strcmp(argv[1], "beside")) return beside(argv[2], argv + 3, argc - 3);
    bool crop = argc == 5 && !strcmp(argv[1], "crop"), noise = argc == 5 && !strcmp(argv[1], "noise");
    if (!crop && !noise && (argc != 4 || strcmp(argv[1], "psnr"))) return fprintf(stderr, "usage: %s noise SIGMA FROM TO | crop SIDE FROM TO | psnr A B | beside OUT A B ...\n", argv[0]), 1;
    const char *from = argv[argc - 2], *to = argv[argc - 1];
    struct dirent **list;
    int n = scandir(from, &list, picture, alphasort);
    if (n < 1) return fprintf(stderr, "%s: no pictures\n", from), 1;
    csc_context *cx = csc_context_new();
    double all = 0;
    for (int i = 0; i < n; i++) {
        char a[4096], b[4096];
        snprintf(a, sizeof a, "%s/%s", from, list[i]->d_name);
        snprintf(b, sizeof b, "%s/%s", to, list[i]->d_name);
        csc_image x, y;
        if (csc_image_read(cx, a, 1, &x)) return fprintf(stderr, "%s\n", csc_error(cx)), 1;
        size_t pixels = (size_t)x.height * (size_t)x.width;
        if (crop) {
            int side = atoi(argv[2]), top = (x.height - side) / 2, left = (x.width - side) / 2;
            if (side < 1 || top < 0 || left < 0) return fprintf(stderr, "%s has no square of %s pixels\n", a, argv[2]), 1;
            csc_image part = {1, side, side, malloc(sizeof(float) * (size_t)side * (size_t)side)};
            for (int v = 0; v < side; v++) memcpy(part.at + v * side, x.at + (top + v) * x.width + left, sizeof(float) * (size_t)side);
            if (csc_image_write_png(cx, b, &part)) return fprintf(stderr, "%s\n", csc_error(cx)), 1;
            csc_image_free(&part);
        } else if (noise) {
            for (size_t k = 0; k < pixels; k++) x.at[k] += (float)atof(argv[2]) / 255 * normal((uint32_t)i, (uint32_t)k);
            if (csc_image_write_png(cx, b, &x)) return fprintf(stderr, "%s\n", csc_error(cx)), 1;
        } else {
            if (csc_image_read(cx, b, 1, &y)) return fprintf(stderr, "%s\n", csc_error(cx)), 1;
            if (y.height != x.height || y.width != x.width) return fprintf(stderr, "%s: the sizes differ\n", list[i]->d_name), 1;
            double e = 0;
            for (size_t k = 0; k < pixels; k++) e += (double)(x.at[k] - y.at[k]) * (double)(x.at[k] - y.at[k]);
            double db = -10 * log10(e / (double)pixels);
            printf("%-24s %.2f dB\n", list[i]->d_name, db);
            all += db;
            csc_image_free(&y);
        }
        csc_image_free(&x);
    }
    if (!crop && !noise) printf("mean of %-16d %.2f dB\n", n, all / n);
    return 0;
}
