/* Data sets made of arrays: IDX pairs, MNIST's folder, NPY, NPZ, safetensors, and CIFAR's records. */
#include "data.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static csc_status load_file(csc_data *d, const csc_data_spec *s, const char *path, const char *member, RtArray *a, char **found) {
    RtSource src;
    *a = (RtArray){0};
    *found = data_find_file(d, s, path);
    if (!*found) return CSC_IO;
    csc_status st = member ? rt_source_open_zip(&src, d->cx, *found, member) : rt_source_open(&src, d->cx, *found);
    if (st == CSC_OK) st = rt_array_load(&src, a);
    rt_source_close(&src);
    return st;
}

static csc_status column(csc_data *d, const csc_data_spec *s, int f, const char *path, const char *member, const char *name, bool label, bool image) {
    RtArray a;
    char *found;
    csc_status st = load_file(d, s, path, member, &a, &found);
    if (st == CSC_OK && image && a.rank == 3) { /* [n, h, w]: one channel */
        a.dim[3] = a.dim[2];
        a.dim[2] = a.dim[1];
        a.dim[1] = 1;
        a.rank = 4;
    }
    if (st == CSC_OK) st = data_column_array(d, f, &a, found, name, label, s->scale);
    rt_array_free(&a);
    free(found);
    return st;
}

/* The file under one of its names: with - or . before idx, plain or packed. */
static char *mnist_file(csc_data *d, const char *folder, const char *set, bool images) {
    for (int form = 0; form < 4; form++) {
        char *path = rt_format("%s/%s-%s%cidx%d-ubyte%s", folder, set, images ? "images" : "labels", form & 2 ? '.' : '-', images ? 3 : 1,
                               form & 1 ? ".gz" : "");
        if (path && access(path, R_OK) == 0) return path;
        free(path);
    }
    rt_fail(d->cx, CSC_IO, "%s holds no %s-%s, plain or .gz", folder, set, images ? "images-idx3-ubyte" : "labels-idx1-ubyte");
    return NULL;
}

csc_status data_open_idx(csc_data *d, const csc_data_spec *s, bool test, bool *split) {
    char *images = NULL, *labels = NULL;
    if (s->kind == CSC_DATA_MNIST) {
        *split = s->test_every == 0;
        char *folder = data_find_file(d, s, s->path[0]);
        if (!folder) return CSC_IO;
        const char *set = test && *split ? "t10k" : "train";
        images = mnist_file(d, folder, set, true);
        labels = images ? mnist_file(d, folder, set, false) : NULL;
        free(folder);
        if (!labels) {
            free(images);
            return CSC_IO;
        }
    } else {
        *split = s->test_every == 0 && s->test_path[0];
        const char *const *path = test && *split ? s->test_path : s->path;
        images = strdup(path[0]);
        labels = path[1] ? strdup(path[1]) : NULL;
        if (!images || (path[1] && !labels)) {
            free(images);
            free(labels);
            return rt_no_memory(d->cx, 4096);
        }
    }
    d->nfields = labels ? 2 : 1;
    csc_status st = column(d, s, 0, images, NULL, "image", false, true);
    if (st == CSC_OK && labels) st = column(d, s, 1, labels, NULL, "label", true, false);
    free(images);
    free(labels);
    return st;
}

static csc_status tensor_column(csc_data *d, const csc_data_spec *s, int f, const char *path) {
    csc_tensors *t = NULL;
    RtArray a = {0};
    char *found = data_find_file(d, s, path);
    if (!found) return CSC_IO;
    csc_status st = csc_tensors_open(d->cx, found, &t);
    int i = t ? csc_tensors_find(t, s->field[f]) : -1;
    if (t && i < 0) st = rt_fail(d->cx, CSC_MISMATCH, "%s has no tensor `%s`", found, s->field[f]);
    if (i >= 0) {
        const csc_file_tensor *x = csc_tensors_at(t, i);
        a.rank = x->rank;
        memcpy(a.dim, x->dim, sizeof a.dim);
        a.count = rt_product(x->rank, x->dim);
        a.floats = malloc((size_t)a.count * 4 + 4);
        st = a.floats ? csc_tensors_read(t, i, a.floats) : rt_no_memory(d->cx, (size_t)a.count * 4);
        double scale = s->scale > 0 ? s->scale : strcmp(x->dtype, "U8") ? 1 : 255;
        if (st == CSC_OK) st = data_column_array(d, f, &a, found, s->field[f], s->labels >> f & 1, scale);
    }
    rt_array_free(&a);
    csc_tensors_close(t);
    free(found);
    return st;
}

csc_status data_open_arrays(csc_data *d, const csc_data_spec *s, bool test, bool *split) {
    *split = s->test_every == 0 && s->test_path[0];
    const char *const *path = test && *split ? s->test_path : s->path;
    if (s->nfields < 1 || s->nfields > CSC_MAX_FIELDS) return rt_fail(d->cx, CSC_BAD_ARGUMENT, "a data set of %d fields", s->nfields);
    d->nfields = s->nfields;
    csc_status st = CSC_OK;
    for (int f = 0; st == CSC_OK && f < s->nfields; f++) {
        bool label = s->labels >> f & 1;
        if (s->kind == CSC_DATA_SAFETENSORS) st = tensor_column(d, s, f, path[0]);
        else if (s->kind == CSC_DATA_NPZ) st = column(d, s, f, path[0], s->field[f], s->field[f], label, false);
        else if (!path[f]) st = rt_fail(d->cx, CSC_BAD_ARGUMENT, "field %d of the data set has no file", f + 1);
        else st = column(d, s, f, path[f], NULL, label ? "label" : f ? "target" : "input", label, false);
    }
    return st;
}

/* ---- CIFAR: records of one or two label bytes and three planes of 32 x 32 ---- */
enum { PLANES = 3 * 32 * 32 };

static csc_status cifar_file(csc_data *d, const char *path, int labels, int classes) {
    RtSource src;
    csc_status st = rt_source_open(&src, d->cx, path);
    if (st != CSC_OK) return st;
    int64_t record = PLANES + labels, n = (int64_t)(src.bound / (uint64_t)record);
    uint8_t head[2];
    RtColumn *image = &d->col[0], *label = &d->col[1];
    if (src.bound % (uint64_t)record || n == 0) st = rt_source_bad(&src, "its length is no multiple of %lld bytes: cut short?", (long long)record);
    uint8_t *pixels = st == CSC_OK ? realloc(image->bytes, (size_t)((d->total + n) * PLANES)) : NULL;
    if (pixels) image->bytes = pixels;
    uint8_t *classes_of = pixels ? realloc(label->bytes, (size_t)(d->total + n)) : NULL;
    if (classes_of) label->bytes = classes_of;
    if (st == CSC_OK && !classes_of) st = rt_no_memory(d->cx, (size_t)((d->total + n) * record));
    for (int64_t i = 0; st == CSC_OK && i < n; i++) {
        st = rt_source_read(&src, head, (size_t)labels);
        if (st == CSC_OK) st = rt_source_read(&src, pixels + (d->total + i) * PLANES, PLANES);
        classes_of[d->total + i] = head[labels - 1];
        if (st == CSC_OK && head[labels - 1] >= classes)
            st = rt_source_bad(&src, "record %lld is of class %d, not below %d", (long long)i, head[labels - 1], classes);
    }
    rt_source_close(&src);
    if (st == CSC_OK) d->total += n;
    return st;
}

csc_status data_open_cifar(csc_data *d, const csc_data_spec *s, bool test) {
    bool ten = s->kind == CSC_DATA_CIFAR10;
    static const char *const inner[] = {"", "cifar-10-batches-bin", "cifar-100-binary"};
    char *folder = data_find_file(d, s, s->path[0]);
    if (!folder) return CSC_IO;
    csc_status st = CSC_OK;
    for (int sub = 0; st == CSC_OK && d->total == 0 && sub < 3; sub++)
        for (int k = 0; st == CSC_OK && k <= (test ? 0 : 5); k++) { /* 0: the name without a number */
            char name[64] = "";
            if (test) snprintf(name, sizeof name, ten ? "test_batch.bin" : "test.bin");
            else if (k) snprintf(name, sizeof name, ten ? "data_batch_%d.bin" : "train_%d.bin", k);
            else if (!ten) snprintf(name, sizeof name, "train.bin");
            char *in = *name ? rt_join(folder, inner[sub]) : NULL, *path = in ? rt_join(in, name) : NULL;
            if (path && access(path, R_OK) == 0) st = cifar_file(d, path, ten ? 1 : 2, ten ? 10 : 100);
            free(path);
            free(in);
        }
    if (st == CSC_OK && d->total == 0)
        st = rt_fail(d->cx, CSC_IO, "%s holds no %s of CIFAR's binary version", folder,
                     test ? (ten ? "test_batch.bin" : "test.bin") : ten ? "data_batch_1.bin" : "train.bin");
    free(folder);
    d->nfields = 2;
    data_column_name(&d->col[0], "image");
    d->col[0].info.rank = 3;
    memcpy(d->col[0].info.dim, (int64_t[]){3, 32, 32}, 3 * sizeof(int64_t));
    d->col[0].floats = PLANES;
    d->col[0].scale = 1 / (s->scale > 0 ? s->scale : 255.0);
    data_column_name(&d->col[1], "label");
    d->col[1].info.label = true;
    d->col[1].info.classes = ten ? 10 : 100;
    d->col[1].floats = 1;
    d->col[1].scale = 1;
    return st;
}
