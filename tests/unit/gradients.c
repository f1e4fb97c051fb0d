/* The example programs, made small and odd: gradients equal differences (float64); where examples.c does not look, compiled code equals the evaluator. */
#include "check.h"
#include "model.h"

#ifdef __SANITIZE_ADDRESS__ /* compiling is slow there, and examples.c does it */
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* Every entry compiled, at batch 1 and 3, within `tol` of each result's largest entry (0: not); gradients in float64 (0: not). */
static void examine(const char *path, const char *const *pairs, const char *sets, double tol, double grad_tol) {
    char *text = model_program(path, pairs);
    TestModel *m = model_open(text, sets, 3);
    if (!m) FAIL("%s %s does not build", path, sets);
    const char *why = model_passes(m, 1e-8);
    if (!why && grad_tol > 0) why = model_gradients(m, grad_tol);
    if (!why && tol > 0 && !SANITIZED) why = model_compiled(m, tol);
    if (why) FAIL("%s %s: %s", path, sets, why);
    model_close(m);
    free(text);
}
#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

TEST(digits) {
    for (int unfold = 0; unfold <= 2; unfold++) {
        char sets[32];
        snprintf(sets, sizeof sets, "unfold=%d", unfold);
        examine("examples/digits/digits.csc", PAIRS("16", "5", "32", "6"), sets, 0, 1e-5);
    }
}

TEST(ml_ista) {
    const char *const *small = PAIRS("real[1, 28, 28]", "real[1, 15, 14]", "real[32, 1, 6, 6]", "real[4, 1, 3, 3]", "real[64, 32, 6, 6]", "real[5, 4, 3, 3]",
                                     "real[512, 64, 4, 4]", "real[6, 5, 2, 2]");
    examine("examples/ml_ista_mnist/ml_ista_mnist.csc", small, "unfold=0", 0, 1e-5);
    examine("examples/ml_ista_mnist/ml_ista_mnist.csc", small, "unfold=6", 1e-3, 1e-5);
}

TEST(lista_cp) {
    examine("examples/lista_cp/lista_cp.csc", NULL, "m=7 n=11 layers=3", 0, 1e-5);
    examine("examples/lista_cp/lista_cp.csc", NULL, "m=12 n=20 layers=16", 1e-3, 1e-5);
}

static const char *const msd_small[] = {"real[3, 32, 32]", "real[3, 9, 8]", NULL};
TEST(msd_csc) {
    examine("examples/msd_csc/msd_csc.csc", msd_small, "d=3 w=4 unfold=0", 1e-4, 1e-5);
    examine("examples/msd_csc/msd_csc.csc", msd_small, "d=3 w=4 unfold=1", 0, 1e-5);
    examine("examples/msd_csc/msd_csc.csc", msd_small, "d=4 w=3 unfold=2 classes=4", 1e-3, 1e-5);
}

TEST(res_csc) {
    const char *const *small = PAIRS("real[3, 32, 32]", "real[3, 7, 8]", "conv_bn_relu(X, 16)", "conv_bn_relu(X, 4)", "pair(G, 16", "pair(G, 4");
    const char *const forms[] = {"n=1 form=resnet", "n=1 form=simplified", "n=1 form=plain", "n=1 form=res_csc classes=3"};
    for (int i = 0; i < 4; i++) examine("examples/res_csc/res_csc.csc", small, forms[i], 1e-3, 1e-4);
}

TEST(sdnet) {
    const char *const *small = PAIRS("real[3, image, image]", "real[3, 8, 7]");
    examine("examples/sdnet/sdnet.csc", small, "layers=10 width=3 iterations=1", 1e-3, 1e-4);
    examine("examples/sdnet/sdnet.csc", small, "layers=10 width=3 iterations=3", 0, 1e-4);
    examine("examples/sdnet/sdnet.csc", small, "layers=10 width=3 form=all", 0, 1e-4);
}

TEST(new_structure) {
    const char *const *small = PAIRS("real[3, 32, 32]", "real[3, 9, 8]", "64", "5", "24", "4");
    const char *const forms[] = {"form=pyramid", "form=separable", "form=gated"};
    for (int i = 0; i < 3; i++) examine("examples/new_structure/new_structure.csc", small, forms[i], 0, 1e-5);
}

TEST(denoise) { /* the implicit gradient is that of the solution: for differences see models */
    const char *const modes[] = {"gradient = unrolled", "gradient = recompute", "gradient = stopped", "gradient = implicit"};
    for (int i = 0; i < 4; i++)
        examine("examples/denoise/denoise.csc", PAIRS("until: 1e-4, at_most: updates", "unfold: 4", "gradient = implicit", modes[i]), "atoms=4 k=3 H=9 W=8", 1e-3,
                i < 3 ? 1e-5 : 0);
}

TEST(unet) { /* three encoders; sizes that are no multiples of 4, too. All five: golden */
    const char *const *small = PAIRS("base: base)", "base: base, depth: 3)", "for k in 1..4", "for k in 1..3");
    examine("examples/unet/unet.csc", small, "base=2 H=8 W=4 gamma=0.1", 0, 1e-4);
    examine("examples/unet/unet.csc", small, "base=2 H=9 W=10", 0, 1e-4);
}

TEST(crate) {
    examine("examples/crate/crate.csc", PAIRS("real[1, 8, 8]", "real[1, 5, 6]"), "depth=2 width=6 heads=2 p=3 updates=2", 0, 1e-4);
}

TEST(structures) { /* that no paper has */
    const char *const *small = PAIRS("real[1, 8, 8]", "real[1, 4, 8]");
    examine("examples/scale_groups/scale_groups.csc", small, "w=3 unfold=2", 0, 1e-5);
    examine("examples/sparse_wavelets/sparse_wavelets.csc", small, "w=4 unfold=2", 0, 1e-5);
    examine("examples/coarse_to_fine/coarse_to_fine.csc", small, "w=4 unfold=1", 0, 1e-5);
    examine("examples/mirrored_atoms/mirrored_atoms.csc", small, "w=3 unfold=2", 0, 1e-5);
}

/* A code and its momentum, both made by the end of a convolution, lie over the code and the momentum before them. */
TEST(momentum_over_itself) {
    examine("tests/bench/conv_lasso.csc", NULL, "form=fista iterations=5 size=16 channels=1 atoms=16", 1e-4, 0);
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(digits), T(ml_ista), T(lista_cp), T(msd_csc), T(res_csc), T(sdnet), T(new_structure), T(denoise), T(unet), T(crate), T(structures), T(momentum_over_itself)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
