/* Data sets made of folders of pictures. All are decoded when the set is opened, and kept as bytes. */
#include "data.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

typedef struct Names {
    char **at;
    size_t n, cap;
} Names;

static void names_free(Names *l) {
    for (size_t i = 0; i < l->n; i++) free(l->at[i]);
    free(l->at);
    *l = (Names){0};
}

static bool is_picture(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && (!strcasecmp(dot, ".png") || !strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg"));
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Paths of pictures (or of folders) in a folder, in the order of their names. */
static csc_status list(csc_context *cx, const char *folder, bool folders, Names *out) {
    DIR *dir = opendir(folder);
    if (!dir) return rt_io(cx, "open the folder", folder);
    csc_status s = CSC_OK;
    for (struct dirent *e; s == CSC_OK && (e = readdir(dir));) {
        struct stat st;
        if (e->d_name[0] == '.') continue;
        if (!folders && !is_picture(e->d_name)) continue;
        char *path = rt_join(folder, e->d_name);
        bool wanted = path && stat(path, &st) == 0 && (folders ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode));
        if (wanted && out->n == out->cap) {
            char **at = realloc(out->at, (out->cap * 2 + 64) * sizeof *at);
            if (at) out->at = at;
            out->cap = at ? out->cap * 2 + 64 : out->cap;
        }
        if (!path || (wanted && out->n == out->cap)) s = rt_no_memory(cx, 4096);
        else if (wanted) {
            out->at[out->n++] = path;
            path = NULL;
        }
        free(path);
    }
    closedir(dir);
    if (out->n) qsort(out->at, out->n, sizeof *out->at, by_text);
    return s;
}

static csc_status list_classes(csc_data *d, const char *folder, Names *files, RtColumn *label) {
    Names classes = {0};
    csc_status s = list(d->cx, folder, true, &classes);
    if (s == CSC_OK && classes.n == 0) s = rt_fail(d->cx, CSC_BAD_FILE, "%s has no subfolders, one for each class", folder);
    for (size_t i = 0; s == CSC_OK && i < classes.n; i++) {
        Names in = {0};
        s = list(d->cx, classes.at[i], false, &in);
        char **at = in.n ? realloc(files->at, (files->n + in.n) * sizeof *at) : NULL;
        float *values = at ? realloc(label->values, (files->n + in.n) * sizeof *values) : NULL;
        if (at) files->at = at;
        if (values) label->values = values;
        if (in.n && !values && s == CSC_OK) s = rt_no_memory(d->cx, 4096);
        for (size_t k = 0; s == CSC_OK && k < in.n; k++) {
            label->values[files->n] = (float)i;
            files->at[files->n++] = in.at[k];
            in.at[k] = NULL;
        }
        names_free(&in);
    }
    data_column_name(label, "label");
    label->info.label = true;
    label->info.classes = (int64_t)classes.n;
    label->floats = 1;
    label->scale = 1;
    names_free(&classes);
    return s;
}

/* The picture of the same name, whatever its ending. */
static char *partner(csc_context *cx, const Names *files, const char *folder, const char *path) {
    const char *base = strrchr(path, '/') + 1;
    size_t stem = strcspn(base, "."), n;
    const char *dot = strrchr(base, '.');
    stem = dot ? (size_t)(dot - base) : stem;
    for (size_t i = 0; i < files->n; i++) {
        const char *b = strrchr(files->at[i], '/') + 1, *e = strrchr(b, '.');
        n = e ? (size_t)(e - b) : strlen(b);
        if (n == stem && !memcmp(b, base, n)) return files->at[i];
    }
    rt_fail(cx, CSC_BAD_FILE, "%s has no picture that belongs to %s", folder, base);
    return NULL;
}

static csc_status check_size(csc_data *d, const csc_data_spec *s, const Names *files, size_t i, const RtPixels *p, const RtPixels *first) {
    const char *at = files->at[i];
    if (d->patch && !s->size[0] && (p->width < d->patch || p->height < d->patch))
        return rt_fail(d->cx, CSC_BAD_FILE, "%s is %d x %d, smaller than a patch of %lld", at, p->width, p->height, (long long)d->patch);
    if (!d->patch && !s->size[0] && (p->width != first->width || p->height != first->height))
        return rt_fail(d->cx, CSC_BAD_FILE, "%s is %d x %d, %s is %d x %d: give `size` to bring pictures to one size, or `patch` to learn from parts of them",
                       at, p->width, p->height, files->at[0], first->width, first->height);
    return CSC_OK;
}

typedef struct Size {
    int height, width;
} Size;

/* sizes: of the pictures as they are in the files; of a second column to be compared with. */
static csc_status read_column(csc_data *d, const csc_data_spec *s, RtColumn *c, const Names *files, Size *sizes, const Names *compare) {
    c->pixels = calloc(files->n, sizeof *c->pixels);
    if (!c->pixels) return rt_no_memory(d->cx, files->n * sizeof *c->pixels);
    bool wide = false;
    for (size_t i = 0; i < files->n; i++) {
        RtPixels *p = &c->pixels[i];
        csc_status st = rt_pixels_read(d->cx, files->at[i], compare && s->labels & 2, p);
        if (st != CSC_OK) return st;
        const RtPixels *first = &c->pixels[0];
        wide = p->wide;
        if (wide != first->wide) return rt_fail(d->cx, CSC_BAD_FILE, "%s has 16 bits a value, %s has not: keep them in folders of their own", wide ? files->at[i] : files->at[0], wide ? files->at[0] : files->at[i]);
        if (compare && (p->width != sizes[i].width || p->height != sizes[i].height))
            return rt_fail(d->cx, CSC_BAD_FILE, "%s is %d x %d, and %s that belongs to it is %d x %d", compare->at[i], sizes[i].width, sizes[i].height, files->at[i],
                           p->width, p->height);
        sizes[i] = (Size){p->height, p->width};
        st = check_size(d, s, files, i, p, first);
        if (st == CSC_OK && s->size[0]) st = rt_pixels_resize(d->cx, p, (int)s->size[0], (int)s->size[1], !(compare && s->labels & 2));
        if (st != CSC_OK) return st;
    }
    const RtPixels *first = &c->pixels[0];
    c->info.rank = 3;
    c->info.dim[0] = s->gray ? 1 : s->color ? 3 : first->channels;
    c->info.dim[1] = d->patch ? d->patch : first->height;
    c->info.dim[2] = d->patch ? d->patch : first->width;
    c->floats = c->info.dim[0] * c->info.dim[1] * c->info.dim[2];
    c->scale = 1 / (s->scale > 0 ? s->scale : wide ? 65535.0 : 255.0);
    return CSC_OK;
}

/* Class numbers in a picture: its gray values, its places in a palette, or 0 and 1 where only black and white occur. */
static csc_status mask_classes(csc_data *d, const csc_data_spec *s, RtColumn *c, const Names *files) {
    int most = 0;
    bool black_white = true;
    c->ignore = s->ignore ? s->ignore : -1;
    for (size_t i = 0; i < files->n; i++) {
        const RtPixels *p = &c->pixels[i];
        if (p->wide || p->channels != 1) return rt_fail(d->cx, CSC_BAD_FILE, "%s is no mask: a mask is gray or has a palette, 8 bits or fewer", files->at[i]);
        const uint8_t *v = p->at;
        for (size_t k = 0; k < (size_t)p->width * (size_t)p->height; k++) {
            if (v[k] == c->ignore) continue;
            most = v[k] > most ? v[k] : most;
            black_white &= !p->places && (v[k] == 0 || v[k] == 255);
        }
    }
    c->scale = black_white ? 1 / 255.0 : 1;
    c->info.label = true;
    c->info.classes = black_white ? 2 : most + 1;
    c->info.rank = 2;
    c->info.dim[0] = c->info.dim[1];
    c->info.dim[1] = c->info.dim[2];
    c->floats = c->info.dim[0] * c->info.dim[1];
    return CSC_OK;
}

static csc_status second_folder(csc_data *d, const csc_data_spec *s, const char *path, const Names *files, Size *sizes) {
    Names in = {0}, sorted = {0};
    char *folder = data_find_file(d, s, path);
    if (!folder) return CSC_IO;
    csc_status st = list(d->cx, folder, false, &in);
    sorted.at = calloc(files->n, sizeof *sorted.at);
    if (!sorted.at && st == CSC_OK) st = rt_no_memory(d->cx, files->n * sizeof *sorted.at);
    for (; st == CSC_OK && sorted.n < files->n; sorted.n++)
        if (!(sorted.at[sorted.n] = partner(d->cx, &in, folder, files->at[sorted.n]))) st = CSC_BAD_FILE;
    RtColumn *c = &d->col[1];
    data_column_name(c, s->labels & 2 ? "mask" : "target");
    if (st == CSC_OK) st = read_column(d, s, c, &sorted, sizes, files);
    if (st == CSC_OK && s->labels & 2) st = mask_classes(d, s, c, &sorted);
    free(sorted.at);
    names_free(&in);
    free(folder);
    return st;
}

csc_status data_open_images(csc_data *d, const csc_data_spec *s, bool test, bool *split) {
    *split = s->test_every == 0 && s->test_path[0];
    const char *const *path = test && *split ? s->test_path : s->path;
    d->patch = s->patch;
    if ((s->size[0] && (s->size[0] < 1 || s->size[0] > 1 << 14 || s->size[1] < 1 || s->size[1] > 1 << 14 || s->size[0] < d->patch || s->size[1] < d->patch)))
        return rt_fail(d->cx, CSC_BAD_ARGUMENT, "images: a size of %lld x %lld", (long long)s->size[1], (long long)s->size[0]);
    char *folder = data_find_file(d, s, path[0]);
    if (!folder) return CSC_IO;
    Names files = {0};
    RtColumn *label = &d->col[path[1] ? 2 : 1];
    csc_status st = s->classes ? list_classes(d, folder, &files, label) : list(d->cx, folder, false, &files);
    if (st == CSC_OK && files.n == 0) st = rt_fail(d->cx, CSC_BAD_FILE, "%s holds no PNG or JPEG files", folder);
    d->total = (int64_t)files.n;
    d->nfields = 1 + (path[1] != NULL) + s->classes;
    data_column_name(&d->col[0], "image");
    Size *sizes = calloc(files.n + 1, sizeof *sizes);
    if (!sizes && st == CSC_OK) st = rt_no_memory(d->cx, files.n * sizeof *sizes);
    if (st == CSC_OK) st = read_column(d, s, &d->col[0], &files, sizes, NULL);
    if (st == CSC_OK && path[1]) st = second_folder(d, s, path[1], &files, sizes);
    free(sizes);
    names_free(&files);
    free(folder);
    return st;
}
