/* Measures per pixel are counted over the whole data set: the program's sums, against counting by hand. */
#include "check.h"
#include "model.h"

static double hit[3], is[3], said[3];

static void count(const Value *s, const Value *y, int64_t batch, int64_t pixels) {
    for (int64_t i = 0; i < batch; i++)
        for (int64_t q = 0; q < pixels; q++) {
            int label = (int)y->at[i * pixels + q], best = 0;
            for (int k = 1; k < 3; k++)
                if (s->at[(i * 3 + k) * pixels + q] > s->at[(i * 3 + best) * pixels + q]) best = k;
            if (label < 0 || label > 2) continue;
            is[label]++;
            said[best]++;
            hit[label] += label == best;
        }
}

TEST(sums) {
    TestModel *m = model_open("model m { input s : real[3, 4, 5]; label y : class[3, 4, 5]; output o = s }\n"
                              "train m { data = npy([\"s\", \"y\"]); minimize = pixel_cross_entropy(s, y); optimizer = adam(lr: 1e-3)\n"
                              "    report = [mean(s), pixel_accuracy(s, y), mean_accuracy(s, y), mean_iou(s, y), nmse_db(s, s + 1), ratio(1, 2)] }\n",
                              "", 3);
    if (!m) FAIL("does not build");
    Value *y = &m->inputs[1];
    for (int i = 0; i < 60; i++) y->at[i] = i % 7 == 3 ? -1 : i % 11 == 5 ? 255 : i < 40 ? i % 2 : 2 * (i % 2); /* no class; not all classes in each sample */
    count(&m->inputs[0], y, 3, 20);
    Arena *a = arena_new();
    const Entry *e = model_entry(m, ENTRY_EVAL);
    const Value *v = model_eval(a, m, e);
    const Metric *t = m->c.program->stages.at[0].metrics.at;
    double all_hit = hit[0] + hit[1] + hit[2], all = is[0] + is[1] + is[2], loss = 0;
    CHECK(m->c.program->stages.at[0].metrics.len == 6 && t[0].terms == 0 && t[1].terms == 1 && t[2].terms == 3 && t[3].terms == 3 && t[5].terms == 1);
    CHECK(t[4].terms == 1 && t[4].db && !t[3].db && t[1].index == 1 && t[2].index == 3 && t[3].index == 9 && t[4].index == 15 && t[5].index == 17);
    double want[19] = {0, all_hit, all, [17] = 1, [18] = 2};
    for (int k = 0; k < 3; k++) {
        want[3 + k] = want[9 + k] = hit[k];
        want[6 + k] = is[k];
        want[12 + k] = is[k] + said[k] - hit[k];
    }
    size_t metrics = 0;
    for (size_t i = 0; i < e->graph->outs.len; i++) {
        const GraphOut *o = &e->graph->outs.at[i];
        double x = v[o->node].at[0];
        if (o->role == OUT_LOSS) loss = x;
        if (o->role != OUT_METRIC) continue;
        CHECK(o->index == (int32_t)metrics++);
        bool counts = o->index > 0 && o->index < 15;
        if (counts || o->index > 16) CHECK_NEAR(counts ? 3 * x : x, want[o->index], 1e-12);
    }
    CHECK(metrics == 19);
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        double here = 0, n = 0;
        for (int q = 0; q < 20; q++) {
            int label = (int)y->at[i * 20 + q];
            const double *s = m->inputs[0].at + i * 60 + q;
            if (label < 0 || label > 2) continue;
            here += log(exp(s[0]) + exp(s[20]) + exp(s[40])) - s[20 * label];
            n++;
        }
        sum += here / n;
    }
    CHECK_NEAR(loss, sum / 3, 1e-12);
    arena_free(a);
    model_close(m);
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(sums)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
