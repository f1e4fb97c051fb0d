/* Data sets and pictures: what was written is read; what is cut short, flipped or claims too much is refused by name. */
#include "check.h"
#include "csc.h"
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#if __has_include(<jpeglib.h>)
#include <jpeglib.h>
#endif

static csc_context *cx;
static char folder[64];

static const char *in_folder(const char *name) {
    static char path[8][160];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, 160, "%s/%s", folder, name);
    return p;
}

static void spill(const char *path, const void *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    CHECK(fwrite(bytes, 1, n, f) == n);
    fclose(f);
}

static void spill_gz(const char *path, const void *bytes, size_t n) {
    gzFile f = gzopen(path, "wb");
    CHECK(f && gzwrite(f, bytes, (unsigned)n) == (int)n && gzclose(f) == Z_OK);
}

static size_t slurp(const char *path, unsigned char *to, size_t most) {
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    size_t n = fread(to, 1, most, f);
    fclose(f);
    return n;
}

static csc_data *opened(const csc_data_spec *s) {
    csc_data *d;
    csc_status st = csc_data_open(cx, s, &d);
    if (st != CSC_OK) FAIL("%s", csc_error(cx));
    return d;
}

static csc_status try_open(const csc_data_spec *s) {
    csc_data *d;
    csc_status st = csc_data_open(cx, s, &d);
    csc_data_close(d);
    return st;
}

/* Every cut is refused with the file's name; no flipped bit does harm. Returns how many flips were refused. */
static int damage(const char *path, const csc_data_spec *s, size_t cut_step, size_t flip_step) {
    static unsigned char good[1 << 16], bad[1 << 16];
    size_t len = slurp(path, good, sizeof good);
    int refused = 0;
    CHECK(try_open(s) == CSC_OK);
    for (size_t cut = 0; cut < len; cut += cut_step) {
        spill(path, good, cut);
        csc_status st = try_open(s);
        if (st != CSC_BAD_FILE || !strstr(csc_error(cx), strrchr(path, '/'))) FAIL("cut at %zu of %zu: %s %s", cut, len, csc_status_name(st), csc_error(cx));
        csc_error_clear(cx);
    }
    for (size_t bit = 0; bit < len * 8; bit += flip_step) {
        memcpy(bad, good, len);
        bad[bit / 8] = (unsigned char)(bad[bit / 8] ^ 1 << bit % 8);
        spill(path, bad, len);
        refused += try_open(s) != CSC_OK;
        csc_error_clear(cx);
    }
    spill(path, good, len);
    return refused;
}

/* ---- IDX ---- */
static size_t idx_images(unsigned char *f, int n) { /* n pictures of 3 x 4 */
    unsigned char head[16] = {0, 0, 8, 3, 0, 0, 0, (unsigned char)n, 0, 0, 0, 3, 0, 0, 0, 4};
    memcpy(f, head, 16);
    for (int i = 0; i < n * 12; i++) f[16 + i] = (unsigned char)i;
    return 16 + (size_t)n * 12;
}

static size_t idx_labels(unsigned char *f, int n) {
    unsigned char head[8] = {0, 0, 8, 1, 0, 0, 0, (unsigned char)n};
    memcpy(f, head, 8);
    for (int i = 0; i < n; i++) f[8 + i] = (unsigned char)(i % 4);
    return 8 + (size_t)n;
}

TEST(idx) {
    unsigned char a[600], b[100];
    size_t na = idx_images(a, 20), nb = idx_labels(b, 20);
    spill(in_folder("i"), a, na);
    spill(in_folder("l"), b, nb);
    spill_gz(in_folder("i.gz"), a, na);
    spill_gz(in_folder("l.gz"), b, nb);
    for (int packed = 0; packed < 2; packed++) {
        csc_data_spec s = {.kind = CSC_DATA_IDX, .path = {packed ? "i.gz" : "i", packed ? "l.gz" : "l"}, .test_every = 5,
                           .roots = (const char *const[]){"/nowhere", folder}, .nroots = 2};
        float x[12], y;
        csc_data *d = opened(&s);
        const csc_field *f = csc_data_field(d, 0);
        CHECK(csc_data_count(d) == 16 && csc_data_fields(d) == 2);
        CHECK(f->rank == 3 && f->dim[0] == 1 && f->dim[1] == 3 && f->dim[2] == 4 && !f->label);
        CHECK(csc_data_field(d, 1)->label && csc_data_field(d, 1)->classes == 4 && csc_data_field(d, 1)->rank == 0);
        CHECK(csc_data_fetch(d, 4, 0, x) == CSC_OK && csc_data_fetch(d, 4, 1, &y) == CSC_OK); /* number 4 is held out, so 5 */
        CHECK(x[0] == 60 * (float)(1 / 255.0) && y == 5 % 4);
        csc_data_close(d);
        s.split = CSC_TEST;
        s.scale = 16;
        d = opened(&s);
        CHECK(csc_data_count(d) == 4 && csc_data_fetch(d, 1, 0, x) == CSC_OK && x[11] == 119 / 16.0f);
        CHECK(csc_data_fetch(d, 4, 0, x) == CSC_BAD_ARGUMENT);
        csc_error_clear(cx);
        csc_data_close(d);
        s.split = CSC_TRAIN;
        int refused = damage(in_folder(packed ? "i.gz" : "i"), &s, 1, packed ? 3 : 11);
        CHECK(refused > 0);
        damage(in_folder(packed ? "l.gz" : "l"), &s, 1, 1);
    }
    csc_data_spec s = {.kind = CSC_DATA_IDX, .path = {in_folder("i"), in_folder("l")}};
    CHECK(try_open(&s) == CSC_OK);
    s.split = CSC_TEST;
    CHECK(try_open(&s) == CSC_BAD_ARGUMENT && strstr(csc_error(cx), "no test part"));
    csc_error_clear(cx);
    nb = idx_labels(b, 19);
    spill(in_folder("l"), b, nb);
    s.split = CSC_TRAIN;
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "19 samples, the field before it 20"));
    csc_error_clear(cx);
    s.path[0] = "nothing-of-the-kind";
    CHECK(try_open(&s) == CSC_IO && strstr(csc_error(cx), "cannot find nothing-of-the-kind"));
    csc_error_clear(cx);
}

TEST(claims) { /* headers that claim terabytes: refused at once, plain and packed */
    unsigned char f[16] = {0, 0, 14, 3, 0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff};
    csc_data_spec s = {.kind = CSC_DATA_IDX, .path = {in_folder("claim"), NULL}};
    spill(in_folder("claim"), f, 16);
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "claims more than it can hold"));
    csc_error_clear(cx);
    f[4] = f[8] = f[12] = 0, f[5] = f[9] = f[13] = 0;
    f[3] = 2; /* 65535 x 65535 doubles in 40 packed bytes */
    spill_gz(in_folder("claim"), f, 12);
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "claims more than it can hold"));
    csc_error_clear(cx);
    s.path[0] = folder;
    CHECK(try_open(&s) == CSC_BAD_FILE);
    csc_error_clear(cx);
    s.path[0] = "/dev/zero";
    CHECK(try_open(&s) == CSC_BAD_FILE);
    csc_error_clear(cx);
}

TEST(mnist_folder) {
    unsigned char a[600], b[100];
    mkdir(in_folder("mnist"), 0777);
    spill_gz(in_folder("mnist/train-images-idx3-ubyte.gz"), a, idx_images(a, 20));
    spill(in_folder("mnist/train-labels-idx1-ubyte"), b, idx_labels(b, 20));
    csc_data_spec s = {.kind = CSC_DATA_MNIST, .path = {in_folder("mnist")}};
    CHECK(try_open(&s) == CSC_OK);
    s.split = CSC_TEST;
    CHECK(try_open(&s) == CSC_IO && strstr(csc_error(cx), "holds no t10k-images-idx3-ubyte"));
    csc_error_clear(cx);
    spill(in_folder("mnist/t10k-images.idx3-ubyte"), a, idx_images(a, 4));
    spill(in_folder("mnist/t10k-labels.idx1-ubyte"), b, idx_labels(b, 4));
    csc_data *d = opened(&s);
    CHECK(csc_data_count(d) == 4);
    csc_data_close(d);
}

/* ---- CIFAR ---- */
TEST(cifar) {
    static unsigned char f[3074 * 3];
    mkdir(in_folder("cifar"), 0777);
    csc_data_spec s = {.kind = CSC_DATA_CIFAR10, .path = {in_folder("cifar")}};
    CHECK(try_open(&s) == CSC_IO && strstr(csc_error(cx), "data_batch_1.bin"));
    csc_error_clear(cx);
    for (int i = 0; i < 3; i++) {
        f[i * 3073] = (unsigned char)(7 + i);
        memset(f + i * 3073 + 1, 10 * i, 3072);
    }
    spill(in_folder("cifar/data_batch_1.bin"), f, 3073 * 3);
    spill(in_folder("cifar/data_batch_3.bin"), f, 3073 * 2);
    spill(in_folder("cifar/test_batch.bin"), f, 3073);
    csc_data *d = opened(&s);
    float x[3072], y;
    CHECK(csc_data_count(d) == 5 && csc_data_fetch(d, 4, 0, x) == CSC_OK && csc_data_fetch(d, 4, 1, &y) == CSC_OK);
    CHECK(y == 8 && x[3071] == 10 * (float)(1 / 255.0) && csc_data_field(d, 0)->dim[0] == 3);
    csc_data_close(d);
    s.split = CSC_TEST;
    d = opened(&s);
    CHECK(csc_data_count(d) == 1);
    csc_data_close(d);
    f[0] = 10;
    spill(in_folder("cifar/test_batch.bin"), f, 3073);
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "class 10"));
    csc_error_clear(cx);
    spill(in_folder("cifar/test_batch.bin"), f, 3000);
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "test_batch.bin"));
    csc_error_clear(cx);
    f[0] = 19;
    f[1] = 99;
    spill(in_folder("cifar/train.bin"), f, 3074);
    s = (csc_data_spec){.kind = CSC_DATA_CIFAR100, .path = {in_folder("cifar")}};
    d = opened(&s);
    CHECK(csc_data_fetch(d, 0, 1, &y) == CSC_OK && y == 99);
    csc_data_close(d);
}

/* ---- NPY, NPZ ---- */
static size_t npy(unsigned char *f, const char *descr, const char *shape, const void *data, size_t bytes) {
    int n = snprintf((char *)f + 10, 200, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    while ((n + 10) % 64 != 63) f[10 + n++] = ' ';
    f[10 + n++] = '\n';
    memcpy(f, "\x93NUMPY\1\0", 8);
    f[8] = (unsigned char)n;
    f[9] = 0;
    memcpy(f + 10 + n, data, bytes);
    return 10 + (size_t)n + bytes;
}

TEST(npy) {
    unsigned char f[1000];
    float x[24];
    int64_t labels[4] = {2, 0, 1, 2}, dim[] = {4, 2, 3};
    for (int i = 0; i < 24; i++) x[i] = (float)i / 8;
    CHECK(csc_npy_write(cx, in_folder("x.npy"), x, 3, dim) == CSC_OK);
    spill(in_folder("y.npy"), f, npy(f, "<i8", "(4,)", labels, sizeof labels));
    csc_data_spec s = {.kind = CSC_DATA_NPY, .path = {in_folder("x.npy"), in_folder("y.npy")}, .nfields = 2, .labels = 2};
    csc_data *d = opened(&s);
    float got[6], y;
    CHECK(csc_data_fetch(d, 3, 0, got) == CSC_OK && !memcmp(got, x + 18, sizeof got) && csc_data_fetch(d, 0, 1, &y) == CSC_OK && y == 2);
    CHECK(csc_data_field(d, 0)->rank == 2 && csc_data_field(d, 1)->classes == 3);
    csc_data_close(d);
    damage(in_folder("x.npy"), &s, 1, 5);
    damage(in_folder("y.npy"), &s, 1, 5);
    labels[1] = -1;
    spill(in_folder("y.npy"), f, npy(f, "<i8", "(4,)", labels, sizeof labels));
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "entry 1 is -1, which is no class number"));
    csc_error_clear(cx);

    static const struct { const char *descr; int bytes; unsigned char data[8]; float want; } types[] = {
        {"|u1", 1, {200}, 200}, {"|b1", 1, {1}, 1}, {"|i1", 1, {0xfe}, -2}, {"<i2", 2, {0xff, 0xff}, -1}, {"<u2", 2, {1, 1}, 257},
        {">i4", 4, {0, 0, 1, 0}, 256}, {"<f8", 8, {0, 0, 0, 0, 0, 0, 4, 0x40}, 2.5f}, {">f4", 4, {0x40, 0x20, 0, 0}, 2.5f}, {"<u8", 8, {7}, 7}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        csc_array a;
        spill(in_folder("t.npy"), f, npy(f, types[i].descr, "(1, 1)", types[i].data, (size_t)types[i].bytes));
        CHECK(csc_array_read(cx, in_folder("t.npy"), &a) == CSC_OK && a.rank == 2 && a.at[0] == types[i].want);
        csc_array_free(&a);
    }
    static const char *const bad[][2] = {{"<c8", "(1,)"}, {"<f4", "(-1,)"}, {"<f4", "(99999999999999999999,)"}, {"<f4", "(4294967296, 4294967296)"},
                                         {"<f4", "(1,1,1,1,1,1,1,1,1)"}, {"<f4", "(2,)"}, {"<f4", "(x"}, {"|O", "(1,)"}, {"<f4", "(1"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        csc_array a;
        spill(in_folder("t.npy"), f, npy(f, bad[i][0], bad[i][1], x, 4));
        if (csc_array_read(cx, in_folder("t.npy"), &a) != CSC_BAD_FILE) FAIL("%s %s was taken", bad[i][0], bad[i][1]);
        csc_error_clear(cx);
    }
}

static void put(unsigned char **at, uint64_t v, int n) {
    for (; n--; v >>= 8) *(*at)++ = (unsigned char)v;
}

/* An archive as numpy writes it; wide: sizes in the 64-bit extra field, as numpy's savez does. */
static size_t zip(unsigned char *f, const char *name, const unsigned char *data, size_t n, bool deflated, bool wide) {
    static unsigned char packed[4096];
    size_t np = n;
    memcpy(packed, data, n);
    if (deflated) {
        z_stream z = {0};
        CHECK(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
        z.next_in = (Bytef *)data;
        z.avail_in = (unsigned)n;
        z.next_out = packed;
        z.avail_out = sizeof packed;
        CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
        np = z.total_out;
        deflateEnd(&z);
    }
    unsigned char *p = f;
    uint32_t crc = (uint32_t)crc32(0, data, (unsigned)n);
    size_t len = strlen(name), central = 0;
    for (int directory = 0; directory < 2; directory++) {
        if (directory) central = (size_t)(p - f);
        put(&p, directory ? 0x02014b50 : 0x04034b50, 4);
        if (directory) put(&p, 45, 2);
        put(&p, 45, 2);
        put(&p, 0, 2);
        put(&p, deflated ? 8 : 0, 2);
        put(&p, 0, 4);
        put(&p, crc, 4);
        put(&p, wide ? UINT32_MAX : np, 4);
        put(&p, wide ? UINT32_MAX : n, 4);
        put(&p, len, 2);
        put(&p, wide ? 20 : 0, 2);
        if (directory) {
            put(&p, 0, 8);
            put(&p, 0, 2);
            put(&p, 0, 4);
        }
        memcpy(p, name, len);
        p += len;
        if (wide) {
            put(&p, 1, 2);
            put(&p, 16, 2);
            put(&p, n, 8);
            put(&p, np, 8);
        }
        if (!directory) {
            memcpy(p, packed, np);
            p += np;
        }
    }
    size_t end = (size_t)(p - f);
    put(&p, 0x06054b50, 4);
    put(&p, 0, 4);
    put(&p, 1, 2);
    put(&p, 1, 2);
    put(&p, end - central, 4);
    put(&p, central, 4);
    put(&p, 0, 2);
    return (size_t)(p - f);
}

TEST(npz) {
    unsigned char member[600], f[2000];
    double x[32];
    for (int i = 0; i < 32; i++) x[i] = i;
    size_t n = npy(member, "<f8", "(8, 4)", x, sizeof x);
    for (int form = 0; form < 4; form++) {
        spill(in_folder("a.npz"), f, zip(f, "x.npy", member, n, form & 1, form & 2));
        csc_data_spec s = {.kind = CSC_DATA_NPZ, .path = {in_folder("a.npz")}, .field = {"x"}, .nfields = 1};
        csc_data *d = opened(&s);
        float got[4];
        CHECK(csc_data_count(d) == 8 && csc_data_fetch(d, 7, 0, got) == CSC_OK && got[3] == 31);
        csc_data_close(d);
        damage(in_folder("a.npz"), &s, 3, 7);
        s.field[0] = "y";
        CHECK(try_open(&s) == CSC_MISMATCH && strstr(csc_error(cx), "has no member `y`"));
        csc_error_clear(cx);
    }
}

TEST(safetensors) {
    const char *header = "{\"x\":{\"dtype\":\"F32\",\"shape\":[4,2],\"data_offsets\":[0,32]},\"u\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[32,36]}}";
    char f[512] = {0};
    size_t len = strlen(header);
    f[0] = (char)len;
    memcpy(f + 8, header, len);
    memset(f + 8 + len + 32, 51, 4);
    spill(in_folder("d.safetensors"), f, 8 + len + 36);
    csc_data_spec s = {.kind = CSC_DATA_SAFETENSORS, .path = {in_folder("d.safetensors")}, .field = {"x", "u"}, .nfields = 2};
    csc_data *d = opened(&s);
    float u;
    CHECK(csc_data_count(d) == 4 && csc_data_fetch(d, 3, 1, &u) == CSC_OK && fabsf(u - 0.2f) < 1e-6f);
    csc_data_close(d);
    s.labels = 2;
    d = opened(&s);
    CHECK(csc_data_fetch(d, 3, 1, &u) == CSC_OK && u == 51);
    csc_data_close(d);
    damage(in_folder("d.safetensors"), &s, 3, 5);
}

/* ---- pictures ---- */
static void picture(const char *path, int c, int h, int w, int seed) {
    csc_image img = {c, h, w, malloc(sizeof(float) * (size_t)(c * h * w))};
    for (int i = 0; i < c * h * w; i++) img.at[i] = (float)((i * 7 + seed) % 256) / 255;
    csc_status s = csc_image_write_png(cx, path, &img);
    csc_image_free(&img);
    if (s != CSC_OK) FAIL("%s", csc_error(cx));
}

#define NEEDS_PNG if (!csc_has_png()) SKIP("built without libpng")

TEST(png_round_trip) {
    NEEDS_PNG;
    for (int c = 1; c <= 3; c += 2) {
        csc_image img;
        picture(in_folder("p.png"), c, 5, 7, 3);
        CHECK(csc_image_read(cx, in_folder("p.png"), 0, &img) == CSC_OK && img.channels == c && img.height == 5 && img.width == 7);
        for (int i = 0; i < c * 35; i++) CHECK_NEAR(img.at[i], ((i * 7 + 3) % 256) / 255.0, 1e-6);
        csc_image_free(&img);
        CHECK(csc_image_read(cx, in_folder("p.png"), 4 - c, &img) == CSC_OK && img.channels == 4 - c);
        if (c == 1) CHECK(img.at[0] == img.at[35] && img.at[1] == img.at[71]);
        else CHECK_NEAR(img.at[0], (0.299 * 3 + 0.587 * 248 + 0.114 * ((70 * 7 + 3) % 256)) / 255, 1e-5);
        csc_image_free(&img);
    }
    CHECK(csc_image_read(cx, CSC_SOURCE_DIR "/README.md", 0, &(csc_image){0}) != CSC_OK);
    csc_error_clear(cx);
}

TEST(png_damaged) {
    NEEDS_PNG;
    mkdir(in_folder("one"), 0777);
    picture(in_folder("one/p.png"), 3, 9, 11, 3);
    csc_data_spec s = {.kind = CSC_DATA_IMAGES, .path = {in_folder("one")}};
    CHECK(damage(in_folder("one/p.png"), &s, 1, 3) > 100);
    /* a header of a billion pixels over the same few bytes */
    unsigned char f[2000];
    size_t n = slurp(in_folder("one/p.png"), f, sizeof f);
    f[17] = 0xf, f[21] = 0xf;
    uint32_t crc = (uint32_t)crc32(0, f + 12, 17);
    for (int i = 0; i < 4; i++) f[29 + i] = (unsigned char)(crc >> (24 - 8 * i));
    spill(in_folder("one/p.png"), f, n);
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "claims more pixels"));
    csc_error_clear(cx);
}

TEST(folder_of_classes) {
    NEEDS_PNG;
    mkdir(in_folder("cls"), 0777);
    mkdir(in_folder("cls/b"), 0777);
    mkdir(in_folder("cls/a"), 0777);
    picture(in_folder("cls/a/2.png"), 1, 4, 4, 20);
    picture(in_folder("cls/a/1.png"), 1, 4, 4, 10);
    picture(in_folder("cls/b/1.PNG"), 3, 4, 4, 30);
    spill(in_folder("cls/b/notes.txt"), "x", 1);
    csc_data_spec s = {.kind = CSC_DATA_IMAGES, .path = {in_folder("cls")}, .classes = true, .gray = true};
    csc_data *d = opened(&s);
    float x[16], y;
    CHECK(csc_data_count(d) == 3 && csc_data_fields(d) == 2 && csc_data_field(d, 1)->classes == 2);
    CHECK(csc_data_fetch(d, 1, 0, x) == CSC_OK && fabsf(x[0] * 255 - 20) < 1e-3f);
    CHECK(csc_data_fetch(d, 2, 1, &y) == CSC_OK && y == 1);
    csc_data_close(d);
    picture(in_folder("cls/b/2.png"), 1, 5, 4, 30);
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "`patch` to learn") && strstr(csc_error(cx), "b/2.png is 4 x 5"));
    csc_error_clear(cx);
    s.patch = 2;
    s.count = 10;
    d = opened(&s);
    CHECK(csc_data_count(d) == 10 && csc_data_field(d, 0)->dim[2] == 2);
    csc_data_close(d);
    s.patch = 5;
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "smaller than a patch"));
    csc_error_clear(cx);
    s.path[0] = in_folder("one-that-is-not-there");
    CHECK(try_open(&s) == CSC_IO);
    csc_error_clear(cx);
}

TEST(masks) {
    NEEDS_PNG;
    mkdir(in_folder("img"), 0777);
    mkdir(in_folder("msk"), 0777);
    csc_image m = {1, 3, 3, (float[]){0, 1, 0, 1, 1, 1, 0, 0, 1}};
    picture(in_folder("img/x1.png"), 3, 3, 3, 1);
    CHECK(csc_image_write_png(cx, in_folder("msk/x1.png"), &m) == CSC_OK);
    csc_data_spec s = {.kind = CSC_DATA_IMAGES, .path = {in_folder("img"), in_folder("msk")}, .labels = 2};
    csc_data *d = opened(&s);
    float y[9];
    CHECK(csc_data_field(d, 1)->label && csc_data_field(d, 1)->rank == 2 && csc_data_field(d, 1)->classes == 2);
    CHECK(csc_data_fetch(d, 0, 1, y) == CSC_OK && !memcmp(y, m.at, sizeof y));
    csc_data_close(d);
    static const uint8_t palette[] = { /* of four colours, two bits a pixel: 0 1 2, 2 2 1, 1 0 3 */
        137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 3, 0, 0, 0, 3, 2, 3, 0, 0, 0, 43, 70, 93,
        44, 0, 0, 0, 12, 80, 76, 84, 69, 200, 0, 0, 0, 200, 0, 0, 0, 200, 255, 255, 255, 121, 69, 37, 1, 0, 0, 0, 14, 73, 68, 65,
        84, 120, 218, 99, 144, 96, 88, 194, 224, 3, 0, 2, 182, 1, 9, 237, 189, 37, 127, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130};
    spill(in_folder("msk/x1.png"), palette, sizeof palette);
    s.ignore = 3;
    d = opened(&s);
    CHECK(csc_data_field(d, 1)->classes == 3 && csc_data_fetch(d, 0, 1, y) == CSC_OK);
    CHECK(!memcmp(y, (float[]){0, 1, 2, 2, 2, 1, 1, 0, -1}, sizeof y));
    csc_data_close(d);
    csc_image img; /* as a picture it has colours */
    CHECK(csc_image_read(cx, in_folder("msk/x1.png"), 0, &img) == CSC_OK && img.channels == 3);
    CHECK_NEAR(img.at[0], 200 / 255.0, 1e-6);
    csc_image_free(&img);
    s.ignore = 0;
    picture(in_folder("img/x2.png"), 3, 3, 3, 1);
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "no picture that belongs to x2.png"));
    csc_error_clear(cx);
}

static void gray(const char *path, int h, int w, const int *v) {
    csc_image img = {1, h, w, malloc(sizeof(float) * (size_t)(h * w))};
    for (int i = 0; i < h * w; i++) img.at[i] = (float)v[i] / 255;
    csc_status s = csc_image_write_png(cx, path, &img);
    csc_image_free(&img);
    if (s != CSC_OK) FAIL("%s", csc_error(cx));
}

TEST(sizes) { /* pictures of any size beside masks of theirs, brought to one */
    NEEDS_PNG;
    mkdir(in_folder("si"), 0777);
    mkdir(in_folder("sm"), 0777);
    gray(in_folder("si/a.png"), 2, 4, (int[]){0, 40, 80, 120, 40, 80, 120, 160});
    gray(in_folder("sm/a.png"), 2, 4, (int[]){0, 1, 2, 2, 200, 200, 0, 1});
    gray(in_folder("si/b.png"), 6, 6, (int[]){9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9});
    gray(in_folder("sm/b.png"), 6, 6, (int[]){0, 0, 0, 1, 1, 1, 0, 2, 0, 1, 0, 1, 0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 2, 0, 2, 0, 1, 0, 2, 2, 2, 0, 0, 0});
    csc_data_spec s = {.kind = CSC_DATA_IMAGES, .path = {in_folder("si"), in_folder("sm")}, .labels = 2, .ignore = 200, .size = {2, 2}};
    csc_data *d = opened(&s);
    float x[16], y[16];
    CHECK(csc_data_field(d, 1)->classes == 3 && csc_data_field(d, 0)->dim[1] == 2 && csc_data_field(d, 1)->rank == 2);
    CHECK(csc_data_fetch(d, 0, 0, x) == CSC_OK && csc_data_fetch(d, 0, 1, y) == CSC_OK);
    CHECK(y[0] == 1 && y[1] == 2 && y[2] == -1 && y[3] == 1); /* columns 1 and 3 */
    CHECK_NEAR(x[0] * 255, 29, 0.01);   /* weights 3, 3, 1 of 0, 40, 80, rounded */
    CHECK_NEAR(x[3] * 255, 131, 0.01);  /* 1, 3, 3 of 80, 120, 160 */
    CHECK(csc_data_fetch(d, 1, 0, x) == CSC_OK && csc_data_fetch(d, 1, 1, y) == CSC_OK);
    for (int k = 0; k < 4; k++) CHECK_NEAR(x[k] * 255, 9, 1e-4);
    CHECK(y[0] == 2 && y[1] == 0 && y[2] == 0 && y[3] == 1);
    csc_data_close(d);
    s.size[0] = 2, s.size[1] = 8; /* larger: between two neighbours */
    d = opened(&s);
    CHECK(csc_data_fetch(d, 0, 0, x) == CSC_OK && csc_data_fetch(d, 0, 1, y) == CSC_OK && x[0] == 0);
    CHECK_NEAR(x[1] * 255, 10, 0.01);
    CHECK_NEAR(x[2] * 255, 30, 0.01);
    CHECK(y[0] == 0 && y[1] == 0 && y[2] == 1 && y[7] == 2 && y[8] == -1);
    csc_data_close(d);
    s.patch = 3; /* of what has that size: too low */
    CHECK(try_open(&s) == CSC_BAD_ARGUMENT && strstr(csc_error(cx), "8 x 2"));
    csc_error_clear(cx);
    s.patch = 0;
    s.size[0] = 0;
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "give `size`"));
    csc_error_clear(cx);
    s.patch = 2;
    CHECK(try_open(&s) == CSC_OK);
    gray(in_folder("sm/b.png"), 3, 6, (int[18]){0});
    s.patch = 0, s.size[0] = 4;
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "si/b.png is 6 x 6") && strstr(csc_error(cx), "sm/b.png that belongs to it is 6 x 3"));
    csc_error_clear(cx);
    picture(in_folder("sm/b.png"), 3, 6, 6, 0);
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "sm/b.png is no mask"));
    csc_error_clear(cx);
    unlink(in_folder("sm/b.png"));
    CHECK(try_open(&s) == CSC_BAD_FILE && strstr(csc_error(cx), "no picture that belongs to b.png"));
    csc_error_clear(cx);
    unlink(in_folder("si/b.png"));
    CHECK(damage(in_folder("sm/a.png"), &s, 1, 3) > 100);
}

#if __has_include(<jpeglib.h>)
TEST(jpeg) {
    if (!csc_has_jpeg()) SKIP("built without libjpeg");
    mkdir(in_folder("jpg"), 0777);
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    FILE *f = fopen(in_folder("jpg/a.jpg"), "wb");
    jpeg_stdio_dest(&c, f);
    c.image_width = 24;
    c.image_height = 16;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_start_compress(&c, TRUE);
    unsigned char row[72], *rows = row;
    while (c.next_scanline < 16) {
        for (int i = 0; i < 72; i++) row[i] = (unsigned char)(i % 3 * 100 + (int)c.next_scanline);
        jpeg_write_scanlines(&c, &rows, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    fclose(f);
    csc_image img;
    CHECK(csc_image_read(cx, in_folder("jpg/a.jpg"), 0, &img) == CSC_OK && img.channels == 3 && img.width == 24);
    CHECK_NEAR(img.at[24 * 16] * 255, 100, 0.1);
    csc_image_free(&img);
    csc_data_spec s = {.kind = CSC_DATA_IMAGES, .path = {in_folder("jpg")}};
    damage(in_folder("jpg/a.jpg"), &s, 1, 17);
}
#else
TEST(jpeg) { SKIP("built without libjpeg"); }
#endif

TEST(atoms) {
    NEEDS_PNG;
    float a[6 * 1 * 2 * 3];
    csc_image img;
    for (int i = 0; i < 36; i++) a[i] = (float)(i % 6) - 2;
    CHECK(csc_atoms_write_png(cx, in_folder("atoms.png"), a, 6, 1, 2, 3) == CSC_OK);
    CHECK(csc_image_read(cx, in_folder("atoms.png"), 0, &img) == CSC_OK && img.width == 2 * 4 + 1 && img.height == 3 * 3 + 1);
    CHECK(img.at[0] == 0 && img.at[img.width + 1] == 0 && img.at[2 * img.width + 3] == 1); /* each from black to white */
    csc_image_free(&img);
    CHECK(csc_atoms_write_png(cx, in_folder("atoms.png"), a, 0, 1, 2, 3) == CSC_BAD_ARGUMENT);
    csc_error_clear(cx);
}

int main(int argc, char **argv) {
    cx = csc_context_new();
    snprintf(folder, sizeof folder, "%s/csc-runtime-XXXXXX", getenv("TMPDIR") && strlen(getenv("TMPDIR")) < 40 ? getenv("TMPDIR") : "/tmp");
    if (!cx || !mkdtemp(folder)) return 2;
    const Case cases[] = {T(idx), T(claims), T(mnist_folder), T(cifar), T(npy), T(npz), T(safetensors), T(png_round_trip), T(png_damaged),
                          T(folder_of_classes), T(masks), T(sizes), T(jpeg), T(atoms)};
    int bad = run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
    if (*csc_error(cx)) printf("# a message was left: %s\n", csc_error(cx));
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0) bad = 1;
    csc_context_free(cx);
    return bad;
}
