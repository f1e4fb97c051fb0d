/* Laws of linear operators at the level of the language: <D z, x> = <z, D' x> for every form, what a convolution computes at every stride, pad
   and boundary, products and sums and blocks; lipschitz and coherence against explicit matrices. */
#include "pairs.h"

/* ---- the dot test ---- */
typedef struct Form {
    const char *x, *params, *op; /* the signal's shape, declarations, the operator from code to signal */
} Form;

static void dot(const Form *f) {
    TestModel *m = pairs_open(2, "model t() {\n input X : real[%s]\n %s\n dictionary D = %s\n let c = D'(X)\n let z = random(shape(c), normal: true)\n let s = D * z\n"
                                " output l1 = sum(s * X)\n output r1 = sum(z * c)\n output l2 = sum(s * s)\n output r2 = sum(z * D'(D * z))\n}\n",
                             f->x, f->params, f->op);
    pairs_check(m, f->op, 1e-9);
}

TEST(every_form) {
    static const Form forms[] = {
        {"5, 7", "param W : real[5, 3] = normal(1)", "dense(W)"},
        {"5", "param W : real[3, 5] = normal(1)", "dense(W)'"},
        {"4, 3, 2", "param W : real[4, 6] = normal(1)", "dense(W)"},
        {"4, 3, 5", "param v : real[4] = normal(1)", "diag(v)"},
        {"4, 3, 5", "param v : real[4, 3] = normal(1)", "diag(v)"},
        {"4, 3", "let v = sin(3 * X)", "diag(v)"},
        {"4, 3", "", "mask(X > 0)"},
        {"7", "", "dct"},
        {"2, 5, 6", "", "dct'"},
        {"3, 9", "", "dct"},
        {"8", "", "haar"},
        {"2, 4, 8", "", "haar'"},
        {"3, 5", "", "shift(2)"},
        {"3, 5", "", "shift(-7, axis: 1)"},
        {"3, 5", "", "I"},
        {"3, 5, 4", "param F : real[4, 3, 3, 2] = normal(1)", "conv(F)'"},
        {"3, 9", "param F : real[4, 3, 3] = normal(1)", "conv(F, stride: 2, pad: same)'"},
        {"3, 8", "param F : real[6, 1, 4] = normal(1)", "conv(F, groups: 3, dilation: 2, pad: full)'"},
        {"3, 7", "param F : real[2, 3, 3] = normal(1)", "conv(F, pad: same, boundary: \"reflect\")'"},
        {"4, 5, 5", "param F : real[4, 6, 3, 3] = normal(1)", "conv(F, pad: same)"}, /* a convolution may be a dictionary itself */
        {"4, 5, 6", "param F : real[4, 6, 3, 3] = normal(1)", "conv(F, stride: 2, pad: 1)"},
        {"3, 6, 5", "param S : real[3, 1, 3, 3] = normal(1)\n param M : real[5, 3, 1, 1] = normal(1)", "(conv(M) * conv(S, groups: 3, pad: same))'"},
        {"3, 7, 9", "param A : real[4, 3, 3, 3] = normal(1)\n param B : real[5, 4, 2, 2] = normal(1)", "conv(A, stride: 2, pad: same)' * conv(B, stride: 2)'"},
        {"6", "param W : real[6, 6] = normal(1)\n param v : real[6] = normal(1)", "dct' * dense(W) * diag(v)"},
        {"5, 6", "param W : real[5, 5] = normal(1)", "dense(W) + dense(W)'"},
        {"5, 6", "param W : real[5, 5] = normal(1)", "dense(W) - 2 * I"},
        {"5", "param W : real[5, 5] = normal(1)\n param k : real = 2", "k * dense(W) / 3"},
        {"5", "param W : real[5, 5] = normal(1)", "dense(W)^3"},
        {"5", "param W : real[5, 5] = normal(1)", "dense(W)^0 + -dense(W)"},
        {"3, 6, 5", "param F : real[4, 3, 3, 3] = normal(1)", "conv(F, dilation: 2, pad: same)' + 0.5 * conv(F, pad: same)'"},
        {"3, 6, 5", "param F : real[4, 3, 3, 3] = normal(1)", "[ I | conv(F, pad: same)' ]"},
        {"3, 6, 5", "param F : real[4, 3, 3, 3] = normal(1)", "[ I | conv(F, pad: same)' | 2 * conv(F, dilation: 2, pad: same)' | dct' ]"},
        {"7, 6, 5", "param F : real[4, 3, 3, 3] = normal(1)", "[ I ; conv(F, pad: same) ]"},
        {"8, 5", "", "[ I ; shift(1) ]"},
        {"8, 5", "", "[ I | shift(1) ; dct | 3 * I ]"},
        {"6", "param W : real[6, 4] = normal(1)\n param V : real[6, 3] = normal(1)", "[ dense(W) | [ dense(V) | I ] ]"},
        {"6", "param W : real[4, 5] = normal(1)\n param V : real[2, 5] = normal(1)", "[ dense(W) ; dense(V) ]"},
        {"6", "param W : real[6, 4] = normal(1)\n param V : real[4, 3] = normal(1)", "[ dense(W) | dense(W) * [ dense(V) | I ] ]"},
        {"6", "param W : real[4, 5] = normal(1)\n param V : real[2, 5] = normal(1)\n param U : real[6, 7] = normal(1)", "[ dense(W) | I ; dense(V) | dense(V) * dense(W)' ]"},
        {"4, 5", "", "[ I | [ I | shift(1) ] ]"},
        {"4, 5", "param W : real[4, 3] = normal(1)\n let E = [ dense(W) | I ]", "[ 2 * E | E * [ I | 0.5 * I ] ]"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) dot(&forms[i]);
}

/* ---- convolutions ---- */
typedef struct Conv {
    int c, k, groups, h, w, kh, kw, stride, dilation, pad; /* pad: -1 same, -2 full, else a number */
    int edge;                                             /* 0 zero, 1 circular, 2 reflect */
} Conv;

static int source(const Conv *g, int i, int n) { /* where place i of a padded axis comes from; -1: zero */
    if (i >= 0 && i < n) return i;
    if (g->edge == 0) return -1;
    if (g->edge == 1) return ((i % n) + n) % n;
    return i < 0 ? -i : 2 * (n - 1) - i;
}

/* sum over c, i, j of F[k, c, i, j] x[c, oy s + i d - lo, ...], the definition. */
static Value expected(Arena *a, const Conv *g, const Value *x, const Value *f, int64_t batch) {
    int rh = (g->kh - 1) * g->dilation, rw = (g->kw - 1) * g->dilation;
    int lh = g->pad == -1 ? rh / 2 : g->pad == -2 ? rh : g->pad, lw = g->pad == -1 ? rw / 2 : g->pad == -2 ? rw : g->pad;
    int ah = g->pad == -1 ? rh : 2 * lh, aw = g->pad == -1 ? rw : 2 * lw;
    int oh = (g->h + ah - rh - 1) / g->stride + 1, ow = (g->w + aw - rw - 1) / g->stride + 1, cg = g->c / g->groups;
    Value y = {shape_of(3, (int64_t)g->k, (int64_t)oh, (int64_t)ow), true, ARENA_ARRAY(a, double, batch * g->k * oh * ow)};
    double *to = y.at;
    for (int64_t b = 0; b < batch; b++)
        for (int k = 0; k < g->k; k++)
            for (int p = 0; p < oh; p++)
                for (int q = 0; q < ow; q++, to++)
                    for (int c = 0; c < cg; c++)
                        for (int i = 0; i < g->kh; i++)
                            for (int j = 0; j < g->kw; j++) {
                                int yy = source(g, p * g->stride + i * g->dilation - lh, g->h), xx = source(g, q * g->stride + j * g->dilation - lw, g->w);
                                int ch = k / (g->k / g->groups) * cg + c;
                                if (yy >= 0 && xx >= 0)
                                    *to += f->at[((k * cg + c) * g->kh + i) * g->kw + j] * x->at[((b * g->c + ch) * g->h + yy) * g->w + xx];
                            }
    return y;
}

static void convolution(const Conv *g) {
    char pad[16], what[200];
    snprintf(pad, sizeof pad, "%d", g->pad);
    snprintf(what, sizeof what, "stride: %d, dilation: %d, groups: %d, pad: %s, boundary: \"%s\"", g->stride, g->dilation, g->groups,
             g->pad == -1 ? "same" : g->pad == -2 ? "full" : pad, g->edge == 0 ? "zero" : g->edge == 1 ? "circular" : "reflect");
    TestModel *m = pairs_open(2, "model t() {\n input X : real[%d, %d, %d]\n param F : real[%d, %d, %d, %d] = normal(1)\n dictionary D = conv(F, %s)'\n let c = D'(X)\n"
                                " let z = random(shape(c))\n output y = c\n output l1 = sum(D * z * X)\n output r1 = sum(z * c)\n}\n",
                             g->c, g->h, g->w, g->k, g->c / g->groups, g->kh, g->kw, what);
    Arena *a = arena_new();
    const char *why = NULL;
    Value y = model_output(a, m, "y", &why), want = expected(a, g, &m->inputs[0], model_param(m, "F"), 2);
    if (why || !(value_apart(&y, &want, 2) < 1e-12)) FAIL("conv %dx%d of %dx%d, %s: off by %g %s", g->kh, g->kw, g->h, g->w, what, value_apart(&y, &want, 2), why ? why : "");
    arena_free(a);
    pairs_check(m, what, 1e-9);
}

TEST(convolutions) {
    uint64_t r = 1;
    int n = 0;
    for (int t = 0; n < 160; t++) {
        Conv g = {.groups = 1 + t % 2, .stride = 1 + t % 3, .dilation = 1 + t / 3 % 3, .edge = t / 9 % 3, .pad = t / 27 % 4 - 2};
        if (g.pad >= 0) g.pad = (int)(2 * fabs(model_random(&r)) + g.pad);
        g.c = g.groups * (1 + (int)(2 * fabs(model_random(&r))));
        g.k = g.groups * (1 + (int)(2 * fabs(model_random(&r))));
        g.h = 4 + (int)(6 * fabs(model_random(&r)));
        g.w = 4 + (int)(6 * fabs(model_random(&r)));
        g.kh = 1 + (int)(4 * fabs(model_random(&r)));
        g.kw = 1 + (int)(4 * fabs(model_random(&r)));
        int reach = (g.kh > g.kw ? g.kh : g.kw) * g.dilation, small = g.h < g.w ? g.h : g.w;
        if (g.pad >= 0 ? (reach > small + 2 * g.pad || (g.edge && g.pad >= small)) : reach > small) continue; /* refused, rightly */
        convolution(&g);
        n++;
    }
}

/* ---- products, sums, blocks ---- */
TEST(meanings) {
    TestModel *m = pairs_open(3,
        "model t() {\n input x : real[6]\n input X : real[4, 5, 7]\n input z : real[10]\n input h : real[3, 8, 4]\n"
        " param A : real[6, 6] = normal(1)\n param B : real[6, 4] = normal(1)\n param F : real[3, 4, 3, 3] = normal(1)\n param c : real = 2\n param v : real[6] = normal(1)\n"
        " let a = dense(A)\n let b = dense(B)\n let f = conv(F, pad: same)\n"
        " output l1 = (a * a) * x\n output r1 = a * (a * x)\n"
        " output l2 = (a + a')(x)\n output r2 = a * x + a'(x)\n"
        " output l3 = (a - 0.5 * I) * x\n output r3 = a * x - x / 2\n"
        " output l4 = (c * a) * x\n output r4 = c * (a * x)\n"
        " output l5 = (a^3) * x\n output r5 = a * (a * (a * x))\n"
        " output l6 = (a * diag(v))' * x\n output r6 = v * (a' * x)\n"
        " output l7 = [ a | b ]' * x\n output r7 = [ a' * x ; b' * x ]\n"
        " output l8 = [ a ; b' ] * x\n output r8 = [ a * x ; b' * x ]\n"
        " output l9 = [ b | a ] * z\n output r9 = [ b' ; a' ]' * z\n"
        " output l10 = (dct' * dct) * x\n output r10 = x\n"
        " output l11 = (dct * dct') * X\n output r11 = X\n"
        " output l12 = (shift(2) * shift(-2)) * X\n output r12 = X\n"
        " output l13 = (a * b)' * x\n output r13 = b' * (a' * x)\n"
        " output l14 = a'' * x\n output r14 = a * x\n"
        " output l15 = [ I | f' | f' * 2 ]'(X)\n output r15 = [ X ; f(X) ; 2 * f(X) ]\n"
        " output l16 = mask(X > 0) * X\n output r16 = relu(X)\n"
        " output l17 = (haar' * haar) * h\n output r17 = h\n}\n");
    pairs_check(m, "algebra", 1e-12);
}

/* ---- lipschitz, coherence ---- */
/* The matrix of D: X runs over the unit vectors, y = D' X over its rows. at[signal][code] */
typedef struct Matrix {
    TestModel *m;
    Value d;
    int64_t rows, cols;
} Matrix;

static Matrix matrix_of(Arena *a, const Form *f, int64_t rows, const char *outputs) {
    TestModel *m = pairs_open(rows, "model t() {\n input X : real[%s]\n %s\n dictionary D = %s\n output y = D'(X)\n %s\n}\n", f->x, f->params, f->op, outputs);
    CHECK(shape_size(m->inputs[0].shape) == rows);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < rows; k++) m->inputs[0].at[i * rows + k] = i == k;
    const char *why = NULL;
    Value y = model_output(a, m, "y", &why);
    if (why) FAIL("%s: %s", f->op, why);
    return (Matrix){m, y, rows, shape_size(y.shape)};
}

/* <d_i, d_j> for all atoms. */
static double *gram(Arena *a, const Matrix *x) {
    double *g = ARENA_ARRAY(a, double, x->cols * x->cols);
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t i = 0; i < x->cols; i++)
            for (int64_t k = 0; k < x->cols; k++) g[i * x->cols + k] += x->d.at[r * x->cols + i] * x->d.at[r * x->cols + k];
    return g;
}

static double largest_eigenvalue(Arena *a, const double *g, int64_t n) {
    double *v = ARENA_ARRAY(a, double, n), *u = ARENA_ARRAY(a, double, n), norm = 0;
    uint64_t r = 3;
    for (int64_t i = 0; i < n; i++) v[i] = model_random(&r);
    for (int t = 0; t < 3000; t++) {
        norm = 0;
        for (int64_t i = 0; i < n; i++) {
            u[i] = 0;
            for (int64_t k = 0; k < n; k++) u[i] += g[i * n + k] * v[k];
            norm += u[i] * u[i];
        }
        norm = sqrt(norm);
        for (int64_t i = 0; i < n; i++) v[i] = u[i] / norm;
    }
    return norm;
}

TEST(lipschitz_is_the_largest_eigenvalue) {
    static const struct {
        Form f;
        int64_t rows;
    } forms[] = {
        {{"5", "param W : real[5, 4] = normal(1)", "dense(W)"}, 5},
        {{"5, 2", "param W : real[5, 7] = normal(1)", "dense(W)"}, 10},
        {{"2, 5, 6", "param F : real[3, 2, 3, 2] = normal(1)", "conv(F, pad: same)'"}, 60},
        {{"2, 7, 6", "param F : real[3, 2, 3, 3] = normal(1)", "conv(F, stride: 2, pad: same)'"}, 84},
        {{"2, 6, 6", "param F : real[3, 2, 3, 3] = normal(1)", "conv(F, pad: same, boundary: \"circular\")'"}, 72},
        {{"2, 6, 5", "param F : real[3, 2, 3, 3] = normal(0.3)", "[ I | conv(F, dilation: 2, pad: same)' ]"}, 60},
        {{"6", "param W : real[6, 6] = normal(1)\n param v : real[6] = normal(1)", "2 * dct' * dense(W) * diag(v)"}, 6},
        {{"6", "param W : real[6, 6] = normal(1)", "dense(W) + dense(W)' - 3 * I"}, 6},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        Arena *a = arena_new();
        const char *why = NULL;
        Matrix x = matrix_of(a, &forms[i].f, forms[i].rows, "output n = lipschitz(D)");
        double is = *model_output(a, x.m, "n", &why).at, L = largest_eigenvalue(a, gram(a, &x), x.cols);
        if (why || !(is <= L * (1 + 1e-6) && is >= L * (1 - 2e-3))) FAIL("lipschitz(%s) is %.9g, the largest eigenvalue %.9g", forms[i].f.op, is, L);
        model_close(x.m);
        arena_free(a);
    }
}

TEST(coherence_is_the_largest_correlation) { /* where every atom lies within the signal, so that all shifts of it have one norm */
    static const struct {
        Form f;
        int64_t rows;
    } forms[] = {
        {{"5", "param W : real[5, 9] = normal(1)", "dense(W)"}, 5},
        {{"1, 9", "param F : real[3, 1, 3] = normal(1)", "conv(F)'"}, 9},
        {{"1, 7, 8", "param F : real[3, 1, 3, 2] = normal(1)", "conv(F)'"}, 56},
        {{"2, 7, 7", "param F : real[3, 2, 3, 3] = normal(1)", "conv(F, pad: same, boundary: \"circular\")'"}, 98},
        {{"1, 12, 12", "param F : real[2, 1, 3, 3] = normal(1)", "conv(F, stride: 2)'"}, 144},
        {{"1, 7, 7", "param F : real[2, 1, 3, 3] = normal(1)", "[ I | conv(F, dilation: 2, pad: same, boundary: \"circular\")' ]"}, 49},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        Arena *a = arena_new();
        const char *why = NULL;
        Matrix x = matrix_of(a, &forms[i].f, forms[i].rows, "output mu = coherence(D)");
        double is = *model_output(a, x.m, "mu", &why).at, mu = 0, *g = gram(a, &x);
        for (int64_t p = 0; p < x.cols; p++)
            for (int64_t q = 0; q < p; q++) mu = fmax(mu, fabs(g[p * x.cols + q]) / sqrt(g[p * x.cols + p] * g[q * x.cols + q]));
        if (why || !(fabs(is - mu) < 1e-9)) FAIL("coherence(%s) is %.9g, the Gram matrix says %.9g", forms[i].f.op, is, mu);
        model_close(x.m);
        arena_free(a);
    }
}

/* ---- transforms ---- */
/* Ahmed, Natarajan and Rao (1974): DCT-II, orthonormal. */
static double cosine(int64_t n, int64_t k, int64_t i) { return (k ? sqrt(2.0 / (double)n) : sqrt(1.0 / (double)n)) * cos(M_PI * (2 * (double)i + 1) * (double)k / (2 * (double)n)); }

/* Haar (1910): function 2^p + q is 2^(p/2) on the first half of [q / 2^p, (q + 1) / 2^p), minus that on the second half; function 0 is 1. */
static double wavelet(int64_t n, int64_t k, int64_t i) {
    if (k == 0) return 1 / sqrt((double)n);
    int p = 0;
    while ((int64_t)2 << p <= k) p++;
    double at = ((double)i + 0.5) / (double)n * (double)(1 << p) - (double)(k - (1 << p));
    return at < 0 || at >= 1 ? 0 : (at < 0.5 ? 1 : -1) * sqrt((double)(1 << p) / (double)n);
}

TEST(transforms_are_their_formulas) {
    static const struct {
        Form f;
        int c, h, w; /* along h and w; h 1: along w alone */
        double (*row)(int64_t n, int64_t k, int64_t i);
    } cases[] = {
        {{"7", "", "dct'"}, 1, 1, 7, cosine},    {{"8", "", "dct'"}, 1, 1, 8, cosine},        {{"3, 9", "", "dct'"}, 3, 1, 9, cosine},
        {{"2, 3, 5", "", "dct'"}, 2, 3, 5, cosine}, {{"1, 6, 4", "", "dct'"}, 1, 6, 4, cosine}, {{"16", "", "haar'"}, 1, 1, 16, wavelet},
        {{"1", "", "haar'"}, 1, 1, 1, wavelet},  {{"2, 8", "", "haar'"}, 2, 1, 8, wavelet},    {{"2, 4, 8", "", "haar'"}, 2, 4, 8, wavelet},
        {{"1, 8, 2", "", "haar'"}, 1, 8, 2, wavelet},
    };
    for (size_t t = 0; t < sizeof cases / sizeof *cases; t++) {
        Arena *a = arena_new();
        int64_t h = cases[t].h, w = cases[t].w, n = cases[t].c * h * w;
        Matrix x = matrix_of(a, &cases[t].f, n, "");
        double apart = 0, *g = gram(a, &x);
        for (int64_t i = 0; i < n; i++) /* pixel i of a signal, entry k of its code */
            for (int64_t k = 0; k < n; k++) {
                double want = i / (h * w) != k / (h * w) ? 0 : cases[t].row(w, k % w, i % w) * (h == 1 ? 1 : cases[t].row(h, k / w % h, i / w % h));
                apart = fmax(apart, fabs(x.d.at[i * n + k] - want));
                apart = fmax(apart, fabs(g[i * n + k] - (i == k)));
            }
        if (x.cols != n || !(apart < 1e-12)) FAIL("%s of real[%s] is off by %g", cases[t].f.op, cases[t].f.x, apart);
        model_close(x.m);
        arena_free(a);
    }
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(every_form), T(convolutions), T(meanings), T(lipschitz_is_the_largest_eigenvalue), T(coherence_is_the_largest_correlation),
                                 T(transforms_are_their_formulas)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
