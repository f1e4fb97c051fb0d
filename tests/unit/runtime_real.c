/* The loaders on the real sets, where they are: CIFAR-10 and MNIST in $CSC_DATA, else in ../shared/data. Counts and means are the published. */
#include "check.h"
#include "csc.h"
#include <unistd.h>

static csc_context *cx;

/* The folder of set `name` that holds `file`, or NULL. */
static const char *where(const char *name, const char *file) {
    static char path[4096];
    const char *source = getenv("CSC_SOURCE"), *data = getenv("CSC_DATA");
    for (int k = 0; k < 2; k++) {
        char probe[4200];
        if (k == 0 && !data) continue;
        if (k == 0) snprintf(path, sizeof path, "%s/%s", data, name);
        else snprintf(path, sizeof path, "%s/../shared/data/%s", source ? source : ".", name);
        snprintf(probe, sizeof probe, "%s/%s", path, file);
        if (access(probe, R_OK) == 0) return path;
    }
    return NULL;
}

static csc_data *opened(csc_data_kind kind, const char *folder, csc_split split) {
    csc_data_spec s = {.kind = kind, .split = split, .path = {folder}};
    csc_data *d = NULL;
    if (csc_data_open(cx, &s, &d) != CSC_OK) FAIL("%s", csc_error(cx));
    return d;
}

static void count_labels(csc_data *d, int64_t count[10]) {
    memset(count, 0, 10 * sizeof *count);
    for (int64_t i = 0; i < csc_data_count(d); i++) {
        float y = -1;
        CHECK(csc_data_fetch(d, i, 1, &y) == CSC_OK && y >= 0 && y < 10);
        count[(int)y]++;
    }
}

/* Means of the channels over every `step`-th sample. */
static void channel_means(csc_data *d, int64_t step, double mean[3]) {
    const csc_field *f = csc_data_field(d, 0);
    int64_t plane = f->dim[1] * f->dim[2], n = 0;
    float x[3072];
    CHECK(f->rank == 3 && f->dim[0] * plane <= 3072);
    memset(mean, 0, 3 * sizeof *mean);
    for (int64_t i = 0; i < csc_data_count(d); i += step, n++) {
        CHECK(csc_data_fetch(d, i, 0, x) == CSC_OK);
        for (int64_t k = 0; k < f->dim[0] * plane; k++) mean[k / plane] += (double)x[k];
    }
    for (int64_t c = 0; c < f->dim[0]; c++) mean[c] /= (double)(n * plane);
}

TEST(cifar10) {
    const char *folder = where("cifar10", "data_batch_5.bin");
    if (!folder) SKIP("no CIFAR-10 (cifar10/data_batch_1.bin ... in $CSC_DATA or ../shared/data)");
    int64_t count[10];
    double mean[3];
    csc_data *d = opened(CSC_DATA_CIFAR10, folder, CSC_TRAIN);
    CHECK(csc_data_count(d) == 50000 && csc_data_field(d, 1)->classes == 10);
    count_labels(d, count);
    for (int k = 0; k < 10; k++) CHECK(count[k] == 5000);
    channel_means(d, 5, mean);
    CHECK(fabs(mean[0] - 0.4914) < 3e-3 && fabs(mean[1] - 0.4822) < 3e-3 && fabs(mean[2] - 0.4465) < 3e-3);
    csc_data_close(d);
    d = opened(CSC_DATA_CIFAR10, folder, CSC_TEST);
    CHECK(csc_data_count(d) == 10000);
    count_labels(d, count);
    for (int k = 0; k < 10; k++) CHECK(count[k] == 1000);
    csc_data_close(d);
}

TEST(mnist) {
    const char *folder = where("mnist", "train-images-idx3-ubyte.gz");
    if (!folder) folder = where("mnist", "train-images-idx3-ubyte");
    if (!folder) SKIP("no MNIST (mnist/train-images-idx3-ubyte.gz ... in $CSC_DATA or ../shared/data)");
    static const int64_t train[10] = {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949};
    static const int64_t test[10] = {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009};
    int64_t count[10];
    double mean[3];
    csc_data *d = opened(CSC_DATA_MNIST, folder, CSC_TRAIN);
    CHECK(csc_data_count(d) == 60000);
    count_labels(d, count);
    CHECK(memcmp(count, train, sizeof count) == 0);
    channel_means(d, 5, mean);
    CHECK(fabs(mean[0] - 0.1307) < 2e-3);
    csc_data_close(d);
    d = opened(CSC_DATA_MNIST, folder, CSC_TEST);
    count_labels(d, count);
    CHECK(memcmp(count, test, sizeof count) == 0);
    csc_data_close(d);
}

int main(int argc, char **argv) {
    if (!(cx = csc_context_new())) return 2;
    int bad = run_tests(argc, argv, (Case[]){T(cifar10), T(mnist)}, 2);
    csc_context_free(cx);
    return bad;
}
