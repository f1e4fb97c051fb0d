/* What must be equal by mathematics, whatever the numbers: solvers against each other and against the networks they are, thresholds, optimality,
   ways to take a gradient, parameters at any number of updates. In float64, over random shapes. */
#include "pairs.h"

static uint64_t dice = 7;
static int roll(int lo, int hi) { return lo + (int)((hi - lo + 1) * fabs(model_random(&dice)) * 0.999999); }

/* Two convolutional layers of random geometry: X, D, b, c. */
static const char *chain_of_two(Arena *a) {
    int c = roll(1, 3), m = roll(2, 4), n = roll(2, 5), k = roll(2, 4), l = roll(1, 3), s = roll(1, 2), h = roll(7, 11), w = roll(7, 10);
    return arena_printf(a,
                        "model t() {\n input X : real[%d, %d, %d]\n dictionary D = [\n"
                        "  conv(A, stride: %d, pad: %s)' where { param A : real[%d, %d, %d, %d] = normal(0.3) },\n"
                        "  conv(B)' where { param B : real[%d, %d, %d, %d] = normal(0.3) } ]\n"
                        " param b[i in 1..2] : real[atoms(D[i])] = 0\n param c[i in 1..2] : real = 1\n",
                        c, h, w, s, roll(0, 1) ? "same" : "1", m, c, k, k, n, m, l, l);
}

static size_t count(const Graph *g, OpKind k) {
    size_t n = 0;
    for (size_t i = 0; i < g->nodes.len; i++) n += g->nodes.at[i].op == k;
    return n;
}

TEST(unfold_0_is_the_feed_forward_network) {
    for (int t = 0; t < 12; t++) {
        Arena *a = arena_new();
        TestModel *m = pairs_open(2, "%s let F1 = D[1]'\n let F2 = D[2]'\n lasso G : X ~ chain(D) * G { prox[i](z) = relu(z + b[i]); step[i] = c[i]; solve = ml_ista(unfold: 0) }\n"
                                     " let f1 = relu(c[1] * F1(X) + b[1])\n let f2 = relu(c[2] * F2(f1) + b[2])\n"
                                     " output l1 = G[1]\n output r1 = f1\n output l2 = G[2]\n output r2 = f2\n}\n", chain_of_two(a));
        CHECK(count(model_entry(m, ENTRY_FORWARD)->graph, OP_conv_adj) == 0); /* the synthesis of zero is gone */
        CHECK(count(model_entry(m, ENTRY_FORWARD)->graph, OP_conv) == 2);     /* and both are one network */
        pairs_check(m, "unfold 0", 1e-12);
        arena_free(a);
    }
}

TEST(solvers_agree_where_they_must) {
    for (int t = 0; t < 12; t++) {
        Arena *a = arena_new();
        int k = roll(0, 3);
        TestModel *m = pairs_open(2,
                                  "%s let meets = D[1]'(X)\n let L1 = 0.9 / lipschitz(D[1])\n let D1 = [D[1]]\n"
                                  /* FISTA(2) = ISTA(2) */
                                  " lasso u : X ~ D[1] * u { lambda = 0.2; prox = soft; step = 0.1; solve = fista(iterations: 2) }\n"
                                  " lasso v : X ~ D[1] * v { lambda = 0.2; prox = soft; step = 0.1; solve = ista(iterations: 2) }\n output l1 = u\n output r1 = v\n"
                                  /* ML-FISTA(unfold <= 1) = ML-ISTA */
                                  " lasso f : X ~ chain(D) * f { prox[i](z) = relu(z + b[i]); step[i] = c[i]; solve = ml_fista(unfold: %d) }\n"
                                  " lasso g : X ~ chain(D) * g { prox[i](z) = relu(z + b[i]); step[i] = c[i]; solve = ml_ista(unfold: %d) }\n"
                                  " output l2 = f[1]\n output r2 = g[1]\n output l3 = f[2]\n output r3 = g[2]\n"
                                  /* a chain of one = a single Lasso, at any count */
                                  " lasso o : X ~ chain(D1) * o { lambda = 0.1; prox = soft; step = L1; solve = ml_ista(unfold: %d) }\n"
                                  " lasso p : X ~ D[1] * p { lambda = 0.1; prox = soft; step = L1; solve = ista(unfold: %d) }\n"
                                  " lasso q : X ~ D[1] * q { lambda = 0.1; prox = soft; step = L1; solve = ml_ista(unfold: %d) }\n"
                                  " output l4 = o[1]\n output r4 = p\n output l5 = q\n output r5 = p\n"
                                  " lasso o2 : X ~ chain(D1) * o2 { lambda = 0.1; prox = soft; step = L1; solve = ml_fista(unfold: 3) }\n"
                                  " lasso p2 : X ~ D[1] * p2 { lambda = 0.1; prox = soft; step = L1; solve = fista(unfold: 3) }\n output l6 = o2[1]\n output r6 = p2\n"
                                  /* layer by layer = one Lasso after another */
                                  " lasso s : X ~ chain(D) * s { prox[i](z) = relu(z + b[i]); step[i] = c[i]; solve = layered(each: fista(unfold: 2)) }\n"
                                  " lasso s1 : X ~ D[1] * s1 { prox(z) = relu(z + b[1]); step = c[1]; solve = fista(unfold: 2) }\n"
                                  " lasso s2 : s1 ~ D[2] * s2 { prox(z) = relu(z + b[2]); step = c[2]; solve = fista(unfold: 2) }\n"
                                  " output l7 = s[2]\n output r7 = s2\n output l8 = reconstruct(s, to: X)\n output r8 = D[1] * (D[2] * s2)\n}\n",
                                  chain_of_two(a), k % 2, k % 2, k, k, k);
        pairs_check(m, "solvers", 1e-10);
        arena_free(a);
    }
}

TEST(ml_ista_is_its_equations) {
    for (int t = 0; t < 6; t++) {
        Arena *a = arena_new();
        TestModel *m = pairs_open(2,
                                  "%s lasso G : X ~ chain(D) * G { prox[i](z) = relu(z + b[i]); step[i] = c[i]; solve = ml_ista(unfold: 2) }\n"
                                  " let P = D[1]\n let Q = D[2]\n var x, y = relu(c[1] * P'(X) + b[1]), 0\n y = relu(c[2] * Q'(x) + b[2])\n"
                                  " for t in 1..2 {\n  x = Q * y\n  x = relu(x - c[1] * P'(P * x - X) + b[1])\n  y = relu(y - c[2] * Q'(Q * y - x) + b[2])\n }\n"
                                  " output l1 = G[1]\n output r1 = x\n output l2 = G[2]\n output r2 = y\n}\n", chain_of_two(a));
        pairs_check(m, "ML-ISTA", 1e-10);
        arena_free(a);
    }
}

TEST(fista_is_its_equations) {
    for (int t = 0; t < 6; t++) {
        Arena *a = arena_new();
        TestModel *m = pairs_open(2,
                                  "%s let P = D[1]\n let Q = D[2]\n lasso u : X ~ P * u { lambda = 0.1; prox = soft; step = 0.1; solve = fista(iterations: 5) }\n"
                                  " var g, last, k, before = 0 * P'(X), 0 * P'(X), 1, 1\n"
                                  " for i in 1..5 {\n  let next = (1 + sqrt(1 + 4 * k^2)) / 2\n  let y = i == 1 ? g : g + (before - 1) / k * (g - last)\n"
                                  "  last = g\n  g = soft(y - 0.1 * P'(P * y - X), 0.01)\n  before, k = k, next\n }\n output l1 = u\n output r1 = g\n"
                                  " lasso G : X ~ chain(D) * G { prox[i](z) = relu(z + b[i]); step[i] = c[i]; solve = ml_fista(unfold: 3) }\n"
                                  " var x, y, z, old, s = relu(c[1] * P'(X) + b[1]), 0, 0, 0, 1\n y = relu(c[2] * Q'(x) + b[2])\n z = y\n old = y\n"
                                  " s = (1 + sqrt(5)) / 2\n"
                                  " for i in 1..3 {\n  x = Q * z\n  x = relu(x - c[1] * P'(P * x - X) + b[1])\n  y = relu(z - c[2] * Q'(Q * z - x) + b[2])\n"
                                  "  let next = (1 + sqrt(1 + 4 * s^2)) / 2\n  z = y + (s - 1) / next * (y - old)\n  old, s = y, next\n }\n"
                                  " output l2 = G[1]\n output r2 = x\n output l3 = G[2]\n output r3 = y\n}\n", chain_of_two(a));
        pairs_check(m, "FISTA", 1e-10);
        arena_free(a);
    }
}

TEST(updates_go_on_where_others_ended) {
    TestModel *m = pairs_open(2,
        "model t() {\n input X : real[2, 7, 6]\n dictionary D = conv(F, stride: 2, pad: same)' where { param F : real[3, 2, 3, 3] = normal(0.3) }\n param b : real[3] = 0\n"
        " lasso u : X ~ D * u { lambda = 0.1; prox = soft; step = 0.1; solve = ista(iterations: 2) }\n"
        " lasso v : X ~ D * v { lambda = 0.1; prox = soft; step = 0.1; init = u; solve = ista(iterations: 3) }\n"
        " lasso w : X ~ D * w { lambda = 0.1; prox = soft; step = 0.1; solve = ista(iterations: 5) }\n output l1 = v\n output r1 = w\n"
        " lasso p : X ~ D * p { lambda = 0.1; prox = soft; step = 0.1; solve = ista(until: 1e-13, at_most: 9000) }\n"
        " lasso q : X ~ D * q { lambda = 0.1; prox = soft; step = 0.1; init = 1; solve = fista(until: 1e-13, at_most: 9000) }\n output l2 = p\n output r2 = q\n"
        " lasso i : X ~ D * i { prox(z) = relu(z + b); step = 0.2; solve = ista(unfold: 2) }\n"
        " lasso j : X ~ D * j { untied prox(z) = relu(z + b); untied step = 0.2; solve = ista(unfold: 2) }\n output l3 = i\n output r3 = j\n"
        " lasso o : X ~ 2 * D * o { lambda = 0.1; prox = soft; step = 0.05; solve = ista(unfold: 3) }\n"
        " lasso n : X ~ D * n { lambda = 0.05; prox = soft; step = 0.2; solve = ista(unfold: 3) }\n output l4 = 2 * o\n output r4 = n\n}\n");
    pairs_check(m, "updates", 1e-8);
    m = pairs_open(2, /* chains stop by tolerance too: the whole of their codes moves less */
        "model t() {\n input X : real[2, 7, 6]\n dictionary D = [ conv(F, stride: 2, pad: same)' where { param F : real[3, 2, 3, 3] = normal(0.3) },\n"
        "  conv(H)' where { param H : real[4, 3, 2, 2] = normal(0.3) } ]\n let one = [D[1]]\n"
        " lasso p : X ~ D[1] * p { lambda = 0.1; prox = soft; step = 0.1; solve = ista(until: 1e-3, at_most: 300) }\n"
        " lasso q : X ~ chain(one) * q { lambda = 0.1; prox = soft; step = 0.1; solve = ml_ista(until: 1e-3, at_most: 300) }\n output l1 = q[1]\n output r1 = p\n"
        " lasso s : X ~ chain(one) * s { lambda = 0.1; prox = soft; step = 0.1; solve = ml_fista(until: 1e-3, at_most: 300) }\n output l2 = s[1]\n"
        " lasso o : X ~ D[1] * o { lambda = 0.1; prox = soft; step = 0.1; solve = fista(until: 1e-3, at_most: 300) }\n output r2 = o\n"
        " let t1 = 0.9 / lipschitz(D[1])\n let meets = D[2]'(D[1]'(X))\n let t2 = 0.9 / lipschitz(D[2])\n"
        " lasso G : X ~ chain(D) * G { lambda = 0.01; prox = soft; step = [t1, t2]; solve = ml_ista(until: 1e-5, at_most: 2000) }\n"
        " let x = soft(D[2] * G[2] - t1 * D[1]'(D[1] * (D[2] * G[2]) - X), t1 * 0.01)\n"
        " output l3 = G[2]\n output r3 = soft(G[2] - t2 * D[2]'(D[2] * G[2] - x), t2 * 0.01)\n output l4 = G[1]\n output r4 = x\n"
        " output l5 = density(G[2]) > 0 ? 1 : 0\n output r5 = 1 + 0 * sum(X)\n}\n");
    pairs_check(m, "tolerance", 1e-3);
}

/* 1/2 |p - z|^2 + t pen(p) grows in every direction from p = prox(z, t). */
TEST(thresholds_are_proximal) {
    TestModel *m = pairs_open(4,
        "function rise(z, p, d, a, b) = relu(0.5 * sum((p - z)^2) + a - 0.5 * sum((p + d - z)^2) - b)\n"
        "function group1(p) = 0.3 * sum(group_norms(p, 2))\n"
        "model t() {\n input z : real[6, 3]\n let d = 0.3 * random([6, 3], normal: true)\n"
        " let s = soft(z, 0.3)\n output la = rise(z, s, d, 0.3 * l1(s), 0.3 * l1(s + d))\n output ra = 0 * sum(z)\n"
        " let h = hard(z, 0.1)\n output lb = rise(z, h, d, 0.1 * sum(abs(sign(h))), 0.1 * sum(abs(sign(h + d))))\n output rb = 0 * sum(z)\n"
        " let e = elastic(z, 0.3, mu: 2)\n output lc = rise(z, e, d, 0.3 * (l1(e) + sum(e^2)), 0.3 * (l1(e + d) + sum((e + d)^2)))\n output rc = 0 * sum(z)\n"
        " let g = group(z, 0.3)\n output ld = rise(z, g, d, group1(g), group1(g + d))\n output rd = 0 * sum(z)\n}\n");
    pairs_check(m, "proximal", 1e-9);
}

TEST(msd_csc) { /* unfold 0 and step 1: MSDNet, written with concatenation; unfold 1: the update of each block */
    for (int t = 0; t < 6; t++) {
        int c = roll(1, 3), w = roll(1, 4), h = roll(5, 9);
        TestModel *m = pairs_open(2,
                                  "model t() {\n input X : real[%d, %d, 8]\n param F1 : real[%d, %d, 3, 3] = normal(0.2)\n param F2 : real[%d, %d, 3, 3] = normal(0.2)\n"
                                  " param b : real[%d] = 0\n var G, N = X, X\n"
                                  " dictionary D1 = [ I | conv(F1, dilation: 1, pad: same)' ]\n dictionary D2 = [ I | conv(F2, dilation: 2, pad: same)' ]\n"
                                  " lasso Z1 : X ~ D1 * Z1 { lambda = [0, b]; prox = [none, soft_nonneg]; step = 1; solve = fista(unfold: 0) }\n"
                                  " lasso Z2 : Z1 ~ D2 * Z2 { lambda = [0, 0.1]; prox = [none, soft_nonneg]; step = 1; solve = fista(unfold: 0) }\n"
                                  " let N1 = [ X ; relu(conv(F1, pad: same)(X) - b) ]\n let N2 = [ N1 ; relu(conv(F2, dilation: 2, pad: same)(N1) - 0.1) ]\n"
                                  " output l1 = Z1\n output r1 = N1\n output l2 = Z2\n output r2 = N2\n"
                                  " let s = 1 / lipschitz(D1)\n let A = conv(F1, pad: same)\n"
                                  " lasso Y : X ~ D1 * Y { lambda = [0, b / s]; prox = [none, soft_nonneg]; step = s; solve = ista(unfold: 1) }\n"
                                  " let p = s * X\n let q = relu(s * A(X) - b)\n let e = p + A' * q - X\n"
                                  " output l3 = Y\n output r3 = [ p - s * e ; relu(q - s * A(e) - b) ]\n}\n",
                                  c, h, w, c, w, c + w, w);
        pairs_check(m, "MSD-CSC", 1e-10);
    }
}

TEST(sdnet_is_its_equations) {
    TestModel *m = pairs_open(3, "import std.networks\nmodel t() {\n input X : real[3, 7, 8]\n"
                                 " dictionary A = conv(W, stride: 2, pad: same)' where { param W : real[5, 3, 3, 3] = he_uniform, unit_atoms }\n"
                                 " lasso z : X ~ A * z { tunable lambda = 0.1; prox = soft_nonneg; step = 0.9 / lipschitz(A); solve = fista(iterations: 2) }\n"
                                 " let t = 0.9 / lipschitz(A)\n let z1 = relu(t * A'(X) - 0.1 * t)\n output l1 = z\n output r1 = relu(z1 + t * A'(X - A * z1) - 0.1 * t)\n}\n");
    pairs_check(m, "SDNet", 1e-6); /* the tunable is a float */
}

TEST(res_csc) { /* the example against its equations written out; c = 0 is ResNet */
    static const char *const forms[] = {"res_csc", "resnet", "simplified", "plain"};
    const char *const small[] = {"real[3, 32, 32]", "real[3, 7, 8]", "conv_bn_relu(X, 16)", "conv_bn_relu(X, 4)", "pair(G, 16", "pair(G, 4", NULL};
    static const char second[] =
        "    let A = relu(batch_norm(conv(F1, stride: stride, pad: same)(Xp)))\n    let E = conv(F2, pad: same)\n    let x = shortcut(Xp, width, stride)\n    return FORM\n}\n";
    static const char *const equation[] = {"relu(batch_norm(E(A) + c * E(E' * x)) + x)", "relu(batch_norm(E(A)) + x)", "relu(batch_norm(E(A) + c * E(E' * x)))",
                                           "relu(batch_norm(E(A)))"};
    for (int f = 0; f < 4; f++) {
        char *text = model_program("examples/res_csc/res_csc.csc", small), sets[40];
        snprintf(sets, sizeof sets, "n=1 form=%s", forms[f]);
        TestModel *m = model_open(text, sets, 3);
        CHECK(m);
        /* the plain program: the pair's body after its dictionaries is replaced; the order of all that it declares is the same */
        char *cut = strstr(text, "    dictionary D1"), *end = strstr(text, "model res_csc"), plain[6000], body[600];
        char *form = strstr(second, "FORM");
        snprintf(body, sizeof body, "%.*s%s%s", (int)(form - second), second, equation[f], form + 4);
        if (f == 3) { /* without a start there is no shortcut */
            char *x = strstr(body, "    let x"), *e = strchr(x, '\n') + 1;
            memmove(x, e, strlen(e) + 1);
        }
        snprintf(plain, sizeof plain, "%.*s%s%s", (int)(cut - text), text, body, end);
        TestModel *n = model_open(plain, sets, 3);
        CHECK(n);
        const Program *p = m->c.program, *q = n->c.program;
        CHECK(p->params.len == q->params.len && p->states.len == q->states.len);
        bool used[200] = {false};
        for (size_t i = 0; i < p->params.len; i++) { /* by name, else the first unused of that shape and kind */
            size_t k = 0;
            while (k < q->params.len && (used[k] || strcmp(strrchr(q->params.at[k].name, '.'), strrchr(p->params.at[i].name, '.')) ||
                                         !shape_eq(q->params.at[k].shape, p->params.at[i].shape))) k++;
            CHECK(k < q->params.len && k < 200);
            used[k] = true;
            memcpy(n->params[k].at, m->params[i].at, sizeof(double) * (size_t)shape_size(m->params[i].shape));
        }
        for (size_t i = 0; i < p->states.len; i++)
            for (int64_t k = 0; k < shape_size(m->states[i].shape); k++) m->states[i].at[k] = n->states[i].at[k] = strstr(p->states.at[i].name, "variance") ? 0.5 : 0.1;
        Arena *a = arena_new();
        const char *why = NULL;
        Value x = model_output(a, m, "logits", &why), y = model_output(a, n, "logits", &why);
        if (why || !(value_apart(&x, &y, 3) < 1e-12)) FAIL("form %s: %g %s", forms[f], value_apart(&x, &y, 3), why ? why : "");
        if (f == 0) { /* c = 0 */
            TestModel *r = model_open(text, "n=1 form=resnet", 3);
            for (size_t i = 0; i < p->params.len; i++)
                if (!strcmp(strrchr(p->params.at[i].name, '.'), ".c")) *m->params[i].at = 0;
            for (size_t i = 0; i < p->states.len; i++) memcpy(r->states[i].at, m->states[i].at, sizeof(double) * (size_t)shape_size(m->states[i].shape));
            x = model_output(a, m, "logits", &why), y = model_output(a, r, "logits", &why);
            if (why || !(value_apart(&x, &y, 3) < 1e-12)) FAIL("c = 0: %g %s", value_apart(&x, &y, 3), why ? why : "");
            model_close(r);
        }
        arena_free(a);
        model_close(m);
        model_close(n);
        free(text);
    }
}

TEST(lista_cp_starts_as_ista) {
    for (int t = 0; t < 5; t++) {
        int m = roll(3, 8), n = roll(4, 12), k = roll(1, 6);
        TestModel *x = pairs_open(2, "model t() {\n input y : real[%d]\n dictionary A = dense(M) where { param M : real[%d, %d] = normal(1), unit_columns, fixed }\n"
                                     " lasso z : y ~ A * z { lambda = 0.1; solve = lista_cp(iterations: %d) }\n"
                                     " lasso w : y ~ A * w { lambda = 0.1; prox = soft; step = 1 / lipschitz(A); solve = ista(iterations: %d) }\n output l1 = z\n output r1 = w\n}\n",
                                  m, m, n, k, k);
        pairs_check(x, "LISTA-CP", 1e-5); /* its parameters are floats */
    }
}

TEST(thresholds_and_attributes) {
    TestModel *m = pairs_open(3,
        "model t() {\n input z : real[6, 3]\n input X : real[5]\n param W : real[5, 7] = normal(0.4)\n dictionary D = dense(W)\n"
        " output l1 = soft(z, 0.3)\n output r1 = sign(z) * max(abs(z) - 0.3, 0)\n output l2 = soft_nonneg(z, 0.3)\n output r2 = max(z - 0.3, 0)\n"
        " output l3 = hard(z, 0.1)\n output r3 = abs(z) > sqrt(0.2) ? z : 0 * z\n output l4 = elastic(z, 0.3, mu: 2)\n output r4 = soft(z, 0.3) / 1.6\n"
        " let n = sqrt(sum(reshape(z * z, [3, 2, 3]), axis: 2))\n"
        " output l5 = group_norms(group(z, 0.3), 2)\n output r5 = max(n - 0.3, 0)\n"
        " output l6 = two_sided(z, 0.3, relu)\n output r6 = soft(z, 0.3)\n"
        " lasso G : X ~ D * G { lambda = 0.1; prox = soft; step = 0.2; solve = ista(unfold: 3) }\n"
        " output l7 = residual(G)\n output r7 = sqrt(sum((X - D * G)^2))\n output l8 = objective(G)\n output r8 = 0.5 * sum((X - D * G)^2) + 0.1 * sum(abs(G))\n"
        " output l9 = sparsity(G)\n output r9 = mean(G == 0)\n output l10 = density(G)\n output r10 = mean(abs(G) > 1e-6)\n output l11 = reconstruct(G)\n output r11 = D * G\n"
        " lasso B : X ~ [ D | I ] * B { lambda = [0.1, 0.2]; prox = [soft, soft_nonneg]; step = 0.1; solve = ista(unfold: 3) }\n"
        " lasso C : X ~ D * C { lambda = 0.3; prox = elastic(mu: 2); step = 0.2; solve = ista(unfold: 3) }\n"
        " output l12 = objective(C)\n output r12 = 0.5 * sum((X - D * C)^2) + 0.3 * sum(abs(C) + C^2)\n"
        " output l13 = lambda_max(D, X)\n output r13 = max(abs(D'(X)))\n"
        " let each = 0.1 + 0.05 * tensor(0..5)\n dictionary E = dense(V) where { param V : real[5, 6] = normal(0.4) }\n" /* a group has its mean */
        " lasso S : X ~ E * S { lambda = each; prox = group(size: 3); step = 0.2; solve = ista(unfold: 3) }\n"
        " output l14 = objective(S)\n output r14 = 0.5 * sum((X - E * S)^2) + sum(mean(reshape(each, [2, 3]), axis: 2) * group_norms(S, 3))\n}\n");
    pairs_check(m, "thresholds", 1e-12);
}

/* ---- solutions ---- */
/* The optimality conditions: |D'(X - D G)| <= lambda, and lambda sign(G) where G is not zero. */
TEST(solutions_are_optimal) {
    static const char *const cases[][3] = {
        {"input X : real[6]\n param W : real[6, 9] = normal(0.5)\n dictionary D = dense(W)", "fista", "soft"},
        {"input X : real[6]\n param W : real[6, 9] = normal(0.5)\n dictionary D = dense(W)", "ista", "soft_nonneg"},
        {"input X : real[2, 7, 6]\n param F : real[3, 2, 3, 3] = normal(0.3)\n dictionary D = conv(F, stride: 2, pad: same)'", "fista", "soft"},
        {"input X : real[2, 5, 6]\n param F : real[3, 2, 3, 3] = normal(0.2)\n dictionary D = [ I | conv(F, pad: same)' ]", "fista", "soft"},
    };
    for (int i = 0; i < 4; i++) {
        TestModel *m = pairs_open(3, "model t() {\n %s\n lasso G : X ~ D * G { lambda = 0.15; prox = %s; step = 0.9 / lipschitz(D); solve = %s(until: 1e-12, at_most: 20000) }\n"
                                     " output G\n output R = D'(X - D * G)\n}\n", cases[i][0], cases[i][2], cases[i][1]);
        Arena *a = arena_new();
        const char *why = NULL;
        Value g = model_output(a, m, "G", &why), r = model_output(a, m, "R", &why);
        CHECK(!why);
        int64_t n = shape_size(g.shape) * 3, live = 0;
        for (int64_t k = 0; k < n; k++) {
            double want = g.at[k] > 0 ? 0.15 : -0.15;
            live += g.at[k] != 0;
            if (g.at[k] != 0 ? fabs(r.at[k] - want) > 1e-8 : r.at[k] > 0.15 + 1e-8 || (i != 1 && r.at[k] < -0.15 - 1e-8))
                FAIL("case %d: code %g has the correlation %.12g", i, g.at[k], r.at[k]);
        }
        CHECK(live > 0 && live < n);
        arena_free(a);
        model_close(m);
    }
}

TEST(solutions_that_are_zero) {
    TestModel *m = pairs_open(1, "model t() {\n input X : real[2]\n param M : real[2, 3] = 0\n dictionary D = dense(M)\n"
                                 " lasso G : X ~ D * G { lambda = 1 / 3; prox = soft; solve = fista(iterations: 50) }\n output G\n"
                                 " lasso H : X ~ D * H { lambda = 1.0001 * lambda_max(D, X); prox = soft; solve = ista(iterations: 20) }\n output H\n"
                                 " lasso K : X ~ D * K { lambda = 0.99 * lambda_max(D, X); prox = soft; solve = ista(iterations: 20) }\n output K\n}\n");
    memcpy(model_param(m, "M")->at, (double[]){.1, .1, .2, .1, .2, .1}, 6 * sizeof(double));
    m->inputs[0].at[0] = m->inputs[0].at[1] = 1;
    model_restart(m);
    Arena *a = arena_new();
    const char *why = NULL;
    Value g = model_output(a, m, "G", &why), h = model_output(a, m, "H", &why), k = model_output(a, m, "K", &why);
    CHECK(!why);
    for (int i = 0; i < 3; i++) CHECK(g.at[i] == 0 && h.at[i] == 0);
    CHECK(k.at[1] != 0 || k.at[2] != 0);
    arena_free(a);
    model_close(m);
}

/* ---- gradients ---- */
/* Largest distance between the gradients of two models with the same parameters; of the first input too. */
static double gradients_apart(TestModel *x, TestModel *y) {
    Arena *a = arena_new();
    const Entry *e = model_entry(x, ENTRY_BACKWARD), *f = model_entry(y, ENTRY_BACKWARD);
    Value *v = model_eval(a, x, e), *w = model_eval(a, y, f);
    double most = 0;
    for (size_t i = 0; i < e->graph->outs.len; i++) {
        const GraphOut *o = &e->graph->outs.at[i], *q = model_out(f->graph, o->role, o->index);
        most = fmax(most, q ? value_apart(&v[o->node], &w[q->node], x->batch) : HUGE_VAL);
    }
    arena_free(a);
    return most;
}

static TestModel *with_gradient(const char *mode, const char *dictionary, const char *prox, const char *solver) {
    return pairs_open(2, "model t() {\n %s\n param l : real = 0.2\n lasso G : X ~ D * G { lambda = l; prox = %s; step = 0.9 / lipschitz(D); solve = %s; gradient = %s }\n output G\n}\n",
                      dictionary, prox, solver, mode);
}

TEST(implicit_is_unrolled_at_convergence) {
    static const char *const dictionaries[] = {"input X : real[9]\n dictionary D = dense(W) where { param W : real[9, 4] = normal(0.5) }",
                                               "input X : real[2, 6, 5]\n dictionary D = conv(F, stride: 2, pad: same)' where { param F : real[2, 2, 3, 3] = normal(0.4) }"};
    for (int i = 0; i < 4; i++) {
        const char *prox = i < 2 ? "soft" : "soft_nonneg";
        TestModel *x = with_gradient("implicit", dictionaries[i % 2], prox, "ista(until: 1e-13, at_most: 4000)"),
                  *y = with_gradient("unrolled", dictionaries[i % 2], prox, "ista(until: 1e-13, at_most: 4000)");
        double apart = gradients_apart(x, y);
        if (!(apart < 5e-5)) FAIL("dictionary %d, %s: apart by %g", i % 2, prox, apart);
        const char *why = model_gradients(y, 1e-5);
        if (!why) why = model_gradients(x, 1e-4); /* its linear equation is solved to 1e-6 a turn */
        if (why) FAIL("dictionary %d, %s: %s", i % 2, prox, why);
        model_close(x);
        model_close(y);
    }
}

/* Atoms that hardly differ: the plain iteration of the linear equation would need thousands of turns. Eight atoms for four entries and
   lambda = 0: the linear equation has no solution, and that of least norm is the gradient of the code, which stays in the atoms' span. */
TEST(implicit_where_the_equation_is_hard) {
    TestModel *x = with_gradient("implicit", "input X : real[9]\n param V : real[9, 3] = normal(0.1)\n param w : real[9, 1] = normal(1)\n"
                                             " dictionary D = dense(dense(w) * fill(1, [1, 3]) + V)", "soft", "fista(until: 1e-13, at_most: 100000)");
    const char *why = model_gradients(x, 1e-4);
    if (why) FAIL("atoms that hardly differ: %s", why);
    if ((why = model_compiled(x, 2e-3))) FAIL("atoms that hardly differ: %s", why);
    model_close(x);
    static const char over[] = "model t() {\n input X : real[4]\n dictionary D = dense(W) where { param W : real[4, 8] = normal(0.5), fixed }\n"
                               " lasso G : X ~ D * G { lambda = 0; prox = soft; step = 0.9 / lipschitz(D); solve = ista(until: 1e-12, at_most: 4000); gradient = %s }\n output G\n}\n";
    x = pairs_open(2, over, "implicit");
    TestModel *y = pairs_open(2, over, "unrolled");
    double apart = gradients_apart(x, y);
    if (!(apart < 1e-3)) FAIL("no solution: apart by %g", apart);
    if ((why = model_compiled(x, 1e-2))) FAIL("no solution: %s", why);
    model_close(x);
    model_close(y);
}

TEST(recompute_is_unrolled) {
    static const char dictionary[] = "input X : real[2, 6, 5]\n dictionary D = conv(F, stride: 2, pad: same)' where { param F : real[4, 2, 3, 3] = normal(0.4) }";
    static const char *const solvers[] = {"fista(unfold: 0)", "fista(unfold: 1)", "fista(unfold: 6)", "ista(unfold: 3)"};
    for (int i = 0; i < 4; i++) {
        TestModel *x = with_gradient("recompute", dictionary, "soft", solvers[i]), *y = with_gradient("unrolled", dictionary, "soft", solvers[i]);
        double apart = gradients_apart(x, y);
        if (!(apart < 1e-9)) FAIL("%s: apart by %g", solvers[i], apart);
        model_close(x);
        model_close(y);
    }
}

TEST(stopped_is_a_constant) {
    TestModel *x = with_gradient("stopped", "input X : real[5]\n dictionary D = dense(W) where { param W : real[5, 6] = normal(0.5) }", "soft", "fista(unfold: 3)");
    Arena *a = arena_new();
    const Entry *e = model_entry(x, ENTRY_BACKWARD);
    Value *v = model_eval(a, x, e);
    for (size_t i = 0; i < e->graph->outs.len; i++)
        for (int64_t k = 0; k < shape_size(v[e->graph->outs.at[i].node].shape); k++) CHECK(v[e->graph->outs.at[i].node].at[k] == 0);
    arena_free(a);
    model_close(x);
}

/* ---- checkpoints ---- */
TEST(parameters_do_not_depend_on_the_updates) {
    static const struct {
        const char *path, *pairs[7], *base, *other[4];
    } cases[] = {
        {"examples/digits/digits.csc", {NULL}, "unfold=0", {"unfold=1", "unfold=7", NULL}},
        {"examples/msd_csc/msd_csc.csc", {"real[3, 32, 32]", "real[3, 8, 8]", NULL}, "d=3 w=3 unfold=0", {"d=3 w=3 unfold=1", "d=3 w=3 unfold=4", NULL}},
        {"examples/res_csc/res_csc.csc", {"real[3, 32, 32]", "real[3, 8, 8]", "pair(G, 16", "pair(G, 4", NULL}, "n=1 form=resnet", {"n=1 form=res_csc", "n=1 form=simplified", NULL}},
        {"examples/sdnet/sdnet.csc", {NULL}, "layers=10 width=3 image=8 iterations=1", {"layers=10 width=3 image=8 iterations=2", "layers=10 width=3 image=8 iterations=8", NULL}},
        {"examples/sdnet/sdnet.csc", {NULL}, "layers=10 width=3 image=8 form=all iterations=1", {"layers=10 width=3 image=8 form=all iterations=3", NULL}},
        {"examples/ml_ista_mnist/ml_ista_mnist.csc", {NULL}, "unfold=0", {"unfold=2", "unfold=1 form=ml_fista", "unfold=3 form=layered", NULL}},
        {"examples/ml_csc_cifar/ml_csc_cifar.csc", {NULL}, "unfold=0", {"unfold=1", "unfold=4 form=ml_fista", "unfold=2 form=layered", NULL}},
        {"examples/msd_csc/msd_net.csc", {NULL}, "layers=2 growth=2 width=3 unfold=0", {"layers=2 growth=2 width=3 unfold=1", "layers=2 growth=2 width=3 unfold=3", NULL}},
        {"examples/scn/scn.csc", {NULL}, "width=4 image=8 iterations=1", {"width=4 image=8 iterations=5", NULL}},
        {"examples/crate/crate.csc", {NULL}, "depth=1 width=8 heads=2 p=4 updates=1", {"depth=1 width=8 heads=2 p=4 updates=3", NULL}},
        {"examples/reconstruction/reconstruction.csc", {NULL}, "d=2 w=3 unfold=0", {"d=2 w=3 unfold=5", NULL}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = model_program(cases[i].path, cases[i].pairs);
        TestModel *x = model_open(text, cases[i].base, 1);
        CHECK(x);
        for (int k = 0; cases[i].other[k]; k++) {
            TestModel *y = model_open(text, cases[i].other[k], 1);
            CHECK(y);
            const Program *p = x->c.program, *q = y->c.program;
            if (p->params.len != q->params.len || p->states.len != q->states.len) FAIL("%s %s: other parameters", cases[i].path, cases[i].other[k]);
            for (size_t n = 0; n < p->params.len; n++) {
                Value *v = model_param(y, p->params.at[n].name);
                if (!v || !shape_eq(v->shape, x->params[n].shape)) FAIL("%s %s: no %s", cases[i].path, cases[i].other[k], p->params.at[n].name);
            }
            model_close(y);
        }
        model_close(x);
        free(text);
    }
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(unfold_0_is_the_feed_forward_network), T(solvers_agree_where_they_must), T(ml_ista_is_its_equations), T(fista_is_its_equations), T(updates_go_on_where_others_ended),
                                 T(thresholds_are_proximal), T(msd_csc), T(sdnet_is_its_equations),
                                 T(res_csc), T(lista_cp_starts_as_ista), T(thresholds_and_attributes), T(solutions_are_optimal), T(solutions_that_are_zero),
                                 T(implicit_is_unrolled_at_convergence), T(implicit_where_the_equation_is_hard), T(recompute_is_unrolled), T(stopped_is_a_constant), T(parameters_do_not_depend_on_the_updates)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
