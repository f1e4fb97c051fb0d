/* Shape rules: what they give, and the sentences of their refusals. The reference page. */
#include "sig/sig.h"
#include "check.h"

#define L(x) ((int64_t)(x))

static Arena *arena;
static Shape got;
static bool got_batched;
static const char *infer(OpKind k, int n, const SigIn *in, const Attr *at) { /* "" or why not */
    const char *why = "";
    return sig_infer(arena, k, in, n, at, &got, &got_batched, &why) ? "" : why;
}
static SigIn one(Shape s) { return (SigIn){s, false}; }
static SigIn each(Shape s) { return (SigIn){s, true}; }
static Shape vec(int64_t n) { return shape_of(1, n); }
static Shape mat(int64_t m, int64_t n) { return shape_of(2, m, n); }
static Shape map(int64_t c, int64_t h, int64_t w) { return shape_of(3, c, h, w); }
#define IN(...) (SigIn[]){__VA_ARGS__}
#define AT(...) &(Attr){__VA_ARGS__}

TEST(sizes_of_convolutions) {
    CHECK(sig_conv_out(7, 3, 2, 1, 0, 0) == 3 && sig_conv_out(8, 3, 2, 1, 0, 0) == 3 && sig_conv_out(8, 3, 2, 1, 1, 0) == 4);
    CHECK(sig_conv_out(5, 3, 1, 2, 0, 0) == 1 && sig_conv_out(4, 3, 1, 2, 0, 0) <= 0 && sig_conv_out(2, 5, 3, 1, 1, 1) <= 0);
    CHECK(sig_conv_out(1, 1, 9, 9, 0, 0) == 1);
    for (int in = 1; in < 12; in++)
        for (int k = 1; k < 5; k++)
            for (int s = 1; s < 4; s++)
                for (int d = 1; d < 4; d++)
                    for (int p = 0; p < 4; p++) { /* the last window fits, one more would not */
                        int64_t o = sig_conv_out(in, k, s, d, p, 1);
                        if (o >= 1) CHECK((o - 1) * s + d * (k - 1) < in + p + 1 && o * s + d * (k - 1) >= in + p + 1);
                        else CHECK(d * (k - 1) >= in + p + 1);
                    }
}

TEST(batched_when_an_input_is) {
    CHECK_STR(infer(OP_add, 2, IN(one(vec(3)), each(vec(3))), NULL), "");
    CHECK(got_batched && shape_eq(got, vec(3)));
    CHECK_STR(infer(OP_add, 2, IN(one(vec(3)), one(vec(3))), NULL), "");
    CHECK(!got_batched);
    CHECK_STR(infer(OP_batch_sum, 1, IN(each(vec(3))), NULL), "");
    CHECK(!got_batched);
    CHECK_STR(infer(OP_per_sample, 1, IN(one(vec(3))), NULL), "");
    CHECK(got_batched);
    CHECK_STR(infer(OP_dense_grad, 2, IN(each(vec(3)), one(vec(4))), AT(.flag = true)), "");
    CHECK(!got_batched && shape_eq(got, mat(3, 4)));
    CHECK_STR(infer(OP_nbatch, 0, NULL, NULL), "");
    CHECK(!got_batched && got.rank == 0);
}

TEST(refusals) {
    ConvGeom g = {.kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}, .groups = 1, .in = {8, 8}, .out = {6, 6}, .in_ch = 3, .out_ch = 4}, h = g;
    PoolGeom p = {.kernel = {2, 2}, .stride = {2, 2}, .in = {8, 8}, .out = {4, 4}}, q = p;
    Shape w = shape_of(4, L(4), L(3), L(3), L(3));
    CHECK_STR(infer(OP_add, 2, IN(one(vec(3)), one(mat(3, 1))), NULL), "the shapes differ: real[3] and real[3, 1]");
    CHECK_STR(infer(OP_add, 1, IN(one(vec(3))), NULL), "add takes 2 values, not 1");
    CHECK_STR(infer(OP_expand, 1, IN(one(vec(3))), AT(.axes = 2, .shape = mat(4, 2))), "real[3] does not fit into real[4, 2]: the sizes of the axes they share differ");
    CHECK_STR(infer(OP_sum, 1, IN(one(vec(3))), AT(.axes = 2)), "an axis is named that real[3] does not have");
    CHECK_STR(infer(OP_sum, 1, IN(one(vec(3))), NULL), "no axis is named");
    CHECK_STR(infer(OP_argmax, 1, IN(one(vec(3))), AT(.axis = 1)), "there is no axis 2: real[3] has 1");
    CHECK_STR(infer(OP_batch_sum, 1, IN(one(vec(3))), NULL), "a sum over the batch needs one value per sample, this one is the same for all");
    CHECK_STR(infer(OP_per_sample, 1, IN(each(vec(3))), NULL), "there is one value per sample already");
    CHECK_STR(infer(OP_reshape, 1, IN(one(vec(3))), AT(.shape = mat(2, 2))), "real[3] has 3 entries, real[2, 2] has 4");
    CHECK_STR(infer(OP_permute, 1, IN(one(mat(2, 3))), AT(.list = (int32_t[]){1, 1}, .list_len = 2)), "axis 2 is named twice");
    CHECK_STR(infer(OP_slice, 1, IN(one(vec(9))), AT(.start = 4, .step = 2, .size = 4)), "4 entries from entry 5 on (step 2) do not lie within the 9 of axis 1");
    CHECK_STR(infer(OP_slice, 1, IN(one(vec(9))), AT(.start = 4, .step = 2, .size = 3)), "");
    CHECK_STR(infer(OP_slice, 1, IN(one(vec(9))), AT(.size = 3)), "a step of 0 is not possible; steps are at least 1");
    CHECK_STR(infer(OP_slice, 1, IN(one(vec(9))), AT(.start = 1, .step = INT64_MAX, .size = 2)), "2 entries from entry 2 on (step 9223372036854775807) do not lie within the 9 of axis 1");
    CHECK_STR(infer(OP_concat, 2, IN(one(mat(2, 3)), one(mat(2, 4))), NULL), "along axis 1 only tensors can be put together that have the same other sizes, not real[2, 3] and real[2, 4]");
    CHECK_STR(infer(OP_concat, 0, NULL, NULL), "there is nothing to put together");
    CHECK_STR(infer(OP_gather, 1, IN(one(vec(3))), AT(.list = (int32_t[]){0, 3}, .list_len = 2)), "there is no entry 4: axis 1 has 3");
    CHECK_STR(infer(OP_gather, 1, IN(one(vec(3))), NULL), "axis 1 would have size 0; sizes are at least 1");
    CHECK_STR(infer(OP_scatter, 1, IN(one(vec(3))), AT(.list = (int32_t[]){0, 1}, .list_len = 2, .size = 5)), "2 places are given for the 3 entries of axis 1");
    CHECK_STR(infer(OP_pick, 2, IN(each(mat(3, 4)), each(vec(3))), NULL), "the label is real[3], real[3, 4] needs one that has its shape without the first axis");
    CHECK_STR(infer(OP_dense, 2, IN(one(mat(3, 4)), one(vec(3))), NULL), "the matrix maps from 4 to 3, the first axis of real[3] has size 3");
    CHECK_STR(infer(OP_dense, 2, IN(one(mat(3, 4)), one(vec(3))), AT(.flag = true)), "");
    CHECK_STR(infer(OP_conv, 2, IN(one(map(3, 8, 8)), one(w)), AT(.conv = &g)), "");
    CHECK_STR(infer(OP_conv, 2, IN(one(map(5, 8, 8)), one(w)), AT(.conv = &g)), "3 channels are expected, real[5, 8, 8] has 5");
    CHECK_STR(infer(OP_conv, 2, IN(one(map(3, 8, 7)), one(w)), AT(.conv = &g)), "real[3, 8, 8] is expected, this is real[3, 8, 7]");
    CHECK_STR(infer(OP_conv, 2, IN(one(map(3, 8, 8)), one(vec(4))), AT(.conv = &g)), "filters of shape real[4, 3, 3, 3] are expected, these are real[4]");
    h.in[0] = 2;
    CHECK_STR(infer(OP_conv, 2, IN(one(map(3, 2, 8)), one(w)), AT(.conv = &h)), "the kernel (3, dilation 1) is larger than the padded height (2)");
    h = g, h.groups = 2;
    CHECK_STR(infer(OP_conv, 2, IN(one(map(3, 8, 8)), one(w)), AT(.conv = &h)), "2 groups do not divide 3 and 4 channels");
    h = g, h.out[1] = 5;
    CHECK_STR(infer(OP_conv_adj, 2, IN(one(map(4, 6, 5)), one(w)), AT(.conv = &h)), "the width of the result is 6, not 5");
    h = g, h.pad_lo[1] = -1;
    CHECK_STR(infer(OP_conv, 2, IN(one(map(3, 8, 8)), one(w)), AT(.conv = &h)), "the padding is negative (width: -1, 0)");
    CHECK_STR(infer(OP_conv_grad, 2, IN(one(map(3, 8, 8)), one(map(4, 6, 6))), AT(.conv = &g, .flag = true)), "a sum over the batch needs one value per sample, these are the same for all");
    q.pad[0] = 2;
    CHECK_STR(infer(OP_max_pool, 1, IN(one(map(3, 8, 8))), AT(.pool = &q)), "the padding (2) must be smaller than the window (2)");
    CHECK_STR(infer(OP_max_pool_at, 2, IN(one(map(3, 8, 8)), one(map(2, 8, 8))), AT(.pool = &p)), "3 and 2 channels do not fit together");
    CHECK_STR(infer(OP_input, 0, NULL, AT(.shape = vec(0))), "axis 1 would have size 0; sizes are at least 1");
    CHECK_STR(infer(OP_place, 2, IN(one(vec(3)), one(vec(3))), AT(.size = L(1) << 40)), "real[1099511627776, 3] is too large: a tensor has at most 2^40 entries per sample");
    CHECK_STR(infer(OP_tunable, 0, NULL, AT(.shape = vec(3))), "a tunable is a scalar, not real[3]");
}

/* Attributes full of nonsense are refused without harm. */
TEST(nonsense_attributes) {
    static const int64_t odd[] = {0, 1, -1, 2, 7, INT64_MAX, INT64_MIN, L(1) << 40, INT32_MAX};
    uint64_t r = 1;
#define ODD (r = r * 6364136223846793005u + 1442695040888963407u, odd[(r >> 33) % 9])
    for (int round = 0; round < 20000; round++) {
        ConvGeom g = {.kernel = {(int32_t)ODD, 1}, .stride = {(int32_t)ODD, 1}, .dilation = {(int32_t)ODD, 1}, .pad_lo = {(int32_t)ODD, 0}, .pad_hi = {(int32_t)ODD, 0},
                      .groups = (int32_t)ODD, .in = {ODD, 2}, .out = {ODD, 2}, .in_ch = ODD, .out_ch = ODD};
        PoolGeom p = {.kernel = {(int32_t)ODD, 1}, .stride = {(int32_t)ODD, 1}, .pad = {(int32_t)ODD, 0}, .in = {ODD, 2}, .out = {ODD, 2}};
        Attr at = {.index = (int32_t)ODD, .axis = (int32_t)ODD, .axes = (uint32_t)ODD, .start = ODD, .step = ODD, .size = ODD, .flag = round & 1,
                   .shape = {.rank = (int32_t)((uint64_t)ODD % 7), .dim = {ODD, ODD, ODD, ODD, ODD, ODD}}, .conv = round & 2 ? &g : NULL, .pool = round & 4 ? &p : NULL};
        OpKind k = (OpKind)(round % OP_COUNT);
        int n = op_info[k].inputs < 0 ? 2 : op_info[k].inputs;
        SigIn in[3];
        for (int i = 0; i < 3; i++) in[i] = (SigIn){(r >> 40) % 3 ? map(2, 7, 1) : (r >> 40) % 2 ? vec(7) : (Shape){0}, (ODD & 1) != 0};
        if (*infer(k, n, in, &at) == 0) CHECK(shape_size(got) >= 1 && shape_size(got) <= L(1) << 40 && got.rank <= RANK_MAX);
    }
}

TEST(names_of_operators) {
    for (OpKind k = 0; k < OP_COUNT; k++) {
        OpKind back;
        CHECK(op_find(op_info[k].name, &back) && back == k);
        CHECK(op_is_leaf(k) == (op_info[k].inputs == 0));
        CHECK(op_info[k].inputs <= 0 || op_info[k].linear < 1u << op_info[k].inputs);
        CHECK(op_info[k].inputs >= 0 || op_info[k].linear == 0);
    }
    OpKind x;
    CHECK(!op_find("convolve", &x));
    CHECK(op_is_elementwise(OP_neg) && op_is_elementwise(OP_select) && !op_is_elementwise(OP_expand) && !op_is_elementwise(OP_noise));
}

/* To renew it: build/tests/test_sig --reference > docs/operators.md */
TEST(reference_page_is_current) {
    char *want = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&want, &n);
    op_reference_print(out);
    fclose(out);
    FILE *f = fopen(CSC_SOURCE_DIR "/docs/operators.md", "r");
    CHECK(f);
    char *have = calloc(1, n + 2);
    size_t m = fread(have, 1, n + 1, f);
    fclose(f);
    CHECK(m == n && !memcmp(have, want, n));
    free(have);
    free(want);
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "--reference")) {
        op_reference_print(stdout);
        return 0;
    }
    arena = arena_new();
    int bad = run_tests(argc, argv, (Case[]){T(sizes_of_convolutions), T(batched_when_an_input_is), T(refusals), T(nonsense_attributes), T(names_of_operators),
                                             T(reference_page_is_current)}, 6);
    arena_free(arena);
    return bad;
}
