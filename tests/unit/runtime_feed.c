/* Batches: order, augmentation, what follows what. Uses the runtime's inner headers. */
#include "check.h"
#include "eval.h"
#include "feed.h"
#include <unistd.h>

static csc_context *cx;

/* n samples of one channel, 6 x 5; pixel (y, x) of sample i is 100 i + 10 y + x + 1. Labels are a map: the same, as classes. */
static csc_data *numbered(int n) {
    csc_data *d = calloc(1, sizeof *d);
    d->cx = cx;
    d->kind = CSC_DATA_NPY;
    d->nfields = 2;
    d->total = d->count = n;
    for (int f = 0; f < 2; f++) {
        RtColumn *c = &d->col[f];
        data_column_name(c, f ? "mask" : "image");
        c->info.rank = f ? 2 : 3;
        memcpy(c->info.dim, f ? (int64_t[]){6, 5, 0} : (int64_t[]){1, 6, 5}, 3 * sizeof(int64_t));
        c->info.label = f;
        c->floats = 30;
        c->scale = 1;
        c->values = malloc((size_t)n * 30 * 4);
        for (int i = 0; i < n * 30; i++) c->values[i] = (float)(i / 30 * 100 + i % 30 / 5 * 10 + i % 5 + 1);
    }
    return d;
}

static csc_input inputs[] = {{"X", CSC_IN_REAL, 30, 0}, {"m", CSC_IN_LABEL, 30, 0}, {"t", CSC_IN_TARGET, 30, 0}};

static RtPlan planned(csc_data *d, const csc_augment *a, int na, int64_t floats) {
    static csc_stage s;
    RtPlan p;
    for (int k = 0; k < 3; k++) inputs[k].floats = floats;
    s = (csc_stage){.name = "s", .inputs = inputs, .ninputs = 3, .augment = a, .naugment = na, .data = d, .batch = 4};
    if (plan_new(&p, cx, &s, d) != CSC_OK) FAIL("%s", csc_error(cx));
    return p;
}

typedef struct Sample {
    float x[100], mask[100], target[100];
} Sample;

static Sample sample(const RtPlan *p, const csc_data *d, int64_t i, bool train, uint32_t epoch) {
    Sample s;
    float two[200], *out[] = {s.x, s.mask, s.target};
    plan_sample(p, d, i, train, 9, epoch, NULL, out, two);
    return s;
}

TEST(order) {
    csc_data *d = numbered(10);
    RtPlan p = planned(d, NULL, 0, 30);
    for (int threaded = 0; threaded < 2; threaded++) {
        RtFeed *f;
        CHECK(feed_new(&f, cx, &p, d, 4, true, 5, threaded) == CSC_OK && feed_batches(f) == 3);
        int64_t first[10], again[10];
        for (int round = 0; round < 3; round++) {
            int64_t *to = round == 0 ? first : again, n = 0, seen[10] = {0};
            feed_epoch(f, round == 2, 0);
            for (const RtBatch *b; feed_next(f, &b) == CSC_OK && b;) {
                CHECK(b->first == n && b->n == (n == 8 ? 2 : 4));
                for (int64_t i = 0; i < b->n; i++) {
                    CHECK(b->in[0][i * 30] == (float)(100 * b->number[i] + 1)); /* the numbers are those of the samples */
                    CHECK(++seen[b->number[i]] == 1);
                    to[n++] = b->number[i];
                }
            }
            CHECK(n == 10);
            if (round == 1) CHECK(!memcmp(first, again, sizeof first)); /* the same epoch again */
            if (round == 2) CHECK(memcmp(first, again, sizeof first));  /* another one */
        }
        const RtBatch *b;
        feed_epoch(f, 0, 0);
        CHECK(feed_next(f, &b) == CSC_OK && b->first == 0);
        feed_epoch(f, 0, 1); /* left in the middle; begins at the second batch */
        CHECK(feed_next(f, &b) == CSC_OK && b->first == 4 && !memcmp(b->number, first + 4, 4 * sizeof *first));
        feed_free(f);
        CHECK(feed_new(&f, cx, &p, d, 4, false, 5, threaded) == CSC_OK);
        feed_epoch(f, 0, 0);
        CHECK(feed_next(f, &b) == CSC_OK && b->number[0] == 0 && b->number[3] == 3); /* tests are not shuffled */
        feed_free(f);
    }
    plan_free(&p);
    csc_data_close(d);
}

TEST(translate) {
    csc_data *d = numbered(1);
    csc_augment a = {.kind = CSC_TRANSLATE, .by = 2};
    RtPlan p = planned(d, &a, 1, 30);
    int seen[5][5] = {{0}};
    for (uint32_t e = 0; e < 400; e++) {
        Sample s = sample(&p, d, 0, true, e);
        int dy = 9, dx = 9;
        for (int k = 0; k < 30; k++)
            if (s.x[k] == 23) dy = k / 5 - 2, dx = k % 5 - 2;
        CHECK(dy >= -2 && dy <= 2 && dx >= -2 && dx <= 2);
        seen[dy + 2][dx + 2]++;
        for (int k = 0; k < 30; k++) {
            int y = k / 5 - dy, x = k % 5 - dx;
            CHECK(s.x[k] == (y >= 0 && y < 6 && x >= 0 && x < 5 ? (float)(10 * y + x + 1) : 0));
        }
        CHECK(!memcmp(s.x, s.target, 120)); /* what belongs to the picture moves with it; what comes in is of no class */
        for (int k = 0; k < 30; k++) CHECK(s.mask[k] == (s.x[k] == 0 ? -1 : s.x[k]));
    }
    for (int k = 0; k < 25; k++) CHECK(seen[k / 5][k % 5] > 2);
    Sample s = sample(&p, d, 0, false, 0);
    CHECK(s.x[0] == 1 && s.x[29] == 55);
    plan_free(&p);
    csc_data_close(d);
}

TEST(crop_and_flip) {
    csc_data *d = numbered(1);
    csc_augment crop = {.kind = CSC_CROP, .size = 4, .by = 1}, flips[] = {{.kind = CSC_HFLIP}, {.kind = CSC_VFLIP}};
    RtPlan p = planned(d, &crop, 1, 16);
    Sample s = sample(&p, d, 0, false, 0); /* the middle of 8 x 7 */
    CHECK(s.x[0] == 11 && s.x[3] == 14 && s.x[15] == 44);
    plan_free(&p);
    csc_augment both[] = {crop, flips[0]};
    p = planned(d, both, 2, 16);
    int alike = 0;
    for (uint32_t e = 0; e < 50; e++) {
        s = sample(&p, d, 0, true, e);
        for (int k = 0; k < 16; k++) CHECK(s.mask[k] == (s.x[k] == 0 ? -1 : s.x[k]) && s.target[k] == s.x[k]);
        alike += s.x[0] == 11;
    }
    CHECK(alike < 40);
    plan_free(&p);
    p = planned(d, flips, 2, 30);
    int seen[2][2] = {{0}};
    for (uint32_t e = 0; e < 100; e++) {
        s = sample(&p, d, 0, true, e);
        CHECK(!memcmp(s.x, s.mask, 120) && !memcmp(s.x, s.target, 120));
        int v = s.x[0] > 50, h = (int)s.x[0] % 10 == 5;
        seen[v][h]++;
        for (int k = 0; k < 30; k++) CHECK(s.x[k] == (float)((v ? 5 - k / 5 : k / 5) * 10 + (h ? 4 - k % 5 : k % 5) + 1));
    }
    CHECK(seen[0][0] > 5 && seen[0][1] > 5 && seen[1][0] > 5 && seen[1][1] > 5);
    plan_free(&p);
    csc_augment large = {.kind = CSC_CROP, .size = 9, .by = 1};
    csc_stage st = {.name = "s", .inputs = inputs, .ninputs = 3, .augment = &large, .naugment = 1, .data = d, .batch = 4};
    CHECK(plan_new(&p, cx, &st, d) == CSC_MISMATCH && strstr(csc_error(cx), "crop: 9"));
    csc_error_clear(cx);
    csc_data_close(d);
}

TEST(standardize_and_noise) {
    csc_data *d = numbered(50);
    csc_augment a[] = {{.kind = CSC_STANDARDIZE}, {.kind = CSC_NOISE, .sigma = 0.5}};
    RtPlan p = planned(d, a, 2, 30);
    double sum = 0, square = 0, noise = 0, noise2 = 0, noise4 = 0;
    for (int64_t i = 0; i < 50; i++) {
        Sample s = sample(&p, d, i, true, 3);
        for (int k = 0; k < 30; k++) {
            double e = s.x[k] - s.target[k]; /* the target is the input as it was before noise */
            sum += s.target[k];
            square += s.target[k] * s.target[k];
            noise += e;
            noise2 += e * e;
            noise4 += e * e * e * e;
            CHECK(s.mask[k] == (float)(i * 100 + k / 5 * 10 + k % 5 + 1)); /* classes stay */
        }
        Sample t = sample(&p, d, i, true, 3), u = sample(&p, d, i, true, 4);
        CHECK(!memcmp(t.x, s.x, 120) && memcmp(u.x, s.x, 120));
    }
    CHECK(fabs(sum / 1500) < 1e-5 && fabs(square / 1500 - 1) < 1e-5);
    CHECK(fabs(noise / 1500) < 0.05 && fabs(noise2 / 1500 - 0.25) < 0.03 && fabs(noise4 / 1500 - 3 * 0.0625) < 0.05);
    plan_free(&p);
    a[0].n = 1;
    a[0].mean[0] = 1;
    a[0].deviation[0] = 2;
    p = planned(d, a, 1, 30);
    Sample s = sample(&p, d, 0, false, 0);
    CHECK(s.x[29] == 27);
    plan_free(&p);
    a[0].n = 3;
    csc_stage st = {.name = "s", .inputs = inputs, .ninputs = 3, .augment = a, .naugment = 1, .data = d, .batch = 4};
    CHECK(plan_new(&p, cx, &st, d) == CSC_MISMATCH && strstr(csc_error(cx), "standardize has 3 numbers"));
    csc_error_clear(cx);
    csc_data_close(d);
}

TEST(random_numbers) { /* moments; below n without bias; streams differ by purpose, number, epoch */
    RtRandom r = rt_random(1, RT_FOR_INIT, 2, 3);
    double m1 = 0, m2 = 0, m4 = 0, u = 0;
    int seen[3] = {0};
    for (int i = 0; i < 100000; i++) {
        double z = rt_random_normal(&r);
        m1 += z;
        m2 += z * z;
        m4 += z * z * z * z;
        u += rt_random_unit(&r);
        seen[rt_random_below(&r, 3)]++;
    }
    CHECK(fabs(m1 / 1e5) < 0.015 && fabs(m2 / 1e5 - 1) < 0.02 && fabs(m4 / 1e5 - 3) < 0.15 && fabs(u / 1e5 - 0.5) < 0.005);
    for (int k = 0; k < 3; k++) CHECK(abs(seen[k] - 33333) < 600);
    uint32_t first[4];
    for (int k = 0; k < 4; k++) {
        RtRandom s = rt_random(1, k == 1 ? RT_FOR_NOISE : RT_FOR_INIT, k == 2 ? 1 : 2, k == 3 ? 1 : 3);
        first[k] = rt_random_u32(&s);
        for (int j = 0; j < k; j++) CHECK(first[j] != first[k]);
    }
}

TEST(scores) {
    double sums[] = {8, 3, 0, 5, 4, 0, 10, 1e-2, 10};
    CHECK_NEAR(score_of(&(csc_metric){.index = 0}, sums, 4), 2, 1e-12);
    CHECK_NEAR(score_of(&(csc_metric){.index = 1, .terms = 3}, sums, 4), (3.0 / 4 + 5.0 / 10) / 2, 1e-12); /* 0 / 0 does not count */
    CHECK_NEAR(score_of(&(csc_metric){.index = 7, .terms = 1, .db = true}, sums, 4), -30, 1e-12);
    CHECK(isnan(score_of(&(csc_metric){.index = 2, .terms = 3}, (double[]){0, 0, 1, 1, 1, 0, 0, 0}, 4)));
    csc_entry e = {.name = "eval", .nout = 7, .nin = 1};
    csc_metric m = {.name = "m", .index = 1, .terms = 3};
    csc_stage s = {.ninputs = 1, .metrics = &m, .nmetrics = 1};
    CHECK(scores_check(cx, &s, &e) == CSC_OK);
    m.index = 2;
    CHECK(scores_check(cx, &s, &e) == CSC_BAD_ARGUMENT && strstr(csc_error(cx), "metric `m`"));
    csc_error_clear(cx);
}

int main(int argc, char **argv) {
    cx = csc_context_new();
    const Case cases[] = {T(order), T(translate), T(crop_and_flip), T(standardize_and_noise), T(random_numbers), T(scores)};
    int bad = run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
    csc_context_free(cx);
    return bad;
}
