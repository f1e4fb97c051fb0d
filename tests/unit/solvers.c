/* Solvers solve: bounds on the objective, optimality, agreement of different methods, exact recovery; the library's solvers against their
   equations; what stands still, and what does not grow. In float64, and compiled where something could differ. */
#include "pairs.h"

#define MATRIX "model t() {\n input X : real[6]\n param M : real[6, 9] = normal(0.5), unit_columns\n dictionary D = dense(M)\n"
#define IMAGES "model t() {\n input X : real[2, 7, 6]\n dictionary D = conv(F, stride: 2, pad: same)' where { param F : real[3, 2, 3, 3] = normal(0.3) }\n"

static Value output(Arena *a, TestModel *m, const char *name) {
    const char *why = NULL;
    Value v = model_output(a, m, name, &why);
    if (why) FAIL("%s: %s", name, why);
    return v;
}

static Value *outputs(Arena *a, TestModel *m) { /* all of them, evaluated once */
    const Entry *e = model_entry(m, ENTRY_FORWARD);
    Value *v = model_eval(a, m, e), *out = ARENA_ARRAY(a, Value, m->c.program->outputs.len);
    for (size_t i = 0; i < m->c.program->outputs.len; i++) out[i] = v[model_out(e->graph, OUT_VALUE, (int32_t)i)->node];
    return out;
}

/* ---- the objective ---- */
/* F after very many updates, |x*|^2 and L as outputs 0, 1, 2; from 3 on F(x_1) .. F(x_n); of each sample. */
static TestModel *objectives(const char *start, const char *prox, const char *solver, const char *step, int n) {
    char text[8000], *to = text, *end = text + sizeof text;
    to += snprintf(to, (size_t)(end - to),
                   "function after(X, D, n: int) {\n lasso g : X ~ D * g { lambda = 0.05; prox = %s; step = %s; solve = %s(iterations: n) }\n return objective(g)\n}\n%s"
                   " lasso star : X ~ D * star { lambda = 0.05; prox = %s; solve = fista(iterations: 3000) }\n"
                   " output best = objective(star)\n output size = sum(star^2)\n output L = lipschitz(D)\n", prox, step, solver, start, prox);
    for (int i = 1; i <= n; i++) to += snprintf(to, (size_t)(end - to), " output o%d = after(X, D, %d)\n", i, i);
    snprintf(to, (size_t)(end - to), "}\n");
    TestModel *m = model_open(text, "", 3);
    if (!m) FAIL("does not build:\n%s", text);
    return m;
}

TEST(objective_never_rises) { /* ISTA, any step up to 1 / L */
    static const char *const steps[] = {"1 / lipschitz(D)", "0.5 / lipschitz(D)", "0.9 / lipschitz(D)"};
    static const char *const starts[] = {MATRIX, IMAGES, MATRIX}, *const thresholds[] = {"soft", "soft_nonneg", "elastic(mu: 0.5)"};
    for (int c = 0; c < 3; c++) {
        Arena *a = arena_new();
        TestModel *m = objectives(starts[c], thresholds[c], "ista", steps[c], 25);
        Value *all = outputs(a, m);
        double *best = all[0].at, last[3] = {HUGE_VAL, HUGE_VAL, HUGE_VAL};
        for (int k = 1; k <= 25; k++) {
            Value o = all[2 + k];
            for (int b = 0; b < 3; b++) {
                if (!(o.at[b] <= last[b] * (1 + 1e-12))) FAIL("case %d, sample %d: from %.15g to %.15g at update %d", c, b, last[b], o.at[b], k);
                CHECK(o.at[b] >= best[b] * (1 - 1e-6));
                last[b] = o.at[b];
            }
        }
        arena_free(a);
        model_close(m);
    }
}

/* F(x_k) - F* <= 2 L |x*|^2 / (k + 1)^2 (Beck and Teboulle, theorem 4.4); ISTA: L |x*|^2 / (2 k) (theorem 3.1) */
TEST(rates_of_convergence) {
    for (int fista = 0; fista < 2; fista++)
        for (int c = 0; c < 2; c++) {
            Arena *a = arena_new();
            TestModel *m = objectives(c ? IMAGES : MATRIX, "soft", fista ? "fista" : "ista", "1 / lipschitz(D)", 25);
            Value *all = outputs(a, m), best = all[0], size = all[1], L = all[2];
            double reached = 0;
            for (int k = 1; k <= 25; k++) {
                Value o = all[2 + k];
                double rate = fista ? 2 / (double)((k + 1) * (k + 1)) : 1 / (2 * (double)k);
                for (int b = 0; b < 3; b++) {
                    double gap = o.at[b] - best.at[b], bound = rate * *L.at * size.at[b] * (1 + 1e-6);
                    if (!(gap <= bound + 1e-9)) FAIL("%s, dictionary %d, sample %d: %g above the best after %d updates, the bound is %g", fista ? "FISTA" : "ISTA", c, b, gap, k, bound);
                    reached = fmax(reached, gap / bound);
                }
            }
            CHECK(reached > 0.01); /* the bound says something here */
            arena_free(a);
            model_close(m);
        }
}

/* ---- solutions ---- */
static const char *const convergent[] = {
    "prox = soft; solve = ista(until: 1e-13, at_most: 20000)", "prox = soft; solve = fista(until: 1e-13, at_most: 20000)",
    "prox = soft; step = 2; solve = ista(until: 1e-13, at_most: 20000, backtrack: 0.7)", "prox = soft; step = 2; solve = fista(until: 1e-13, at_most: 20000, backtrack: 0.5)",
    "prox = soft; step = 1; solve = coordinate_descent(until: 1e-13, at_most: 20000)",
};

TEST(solvers_agree_and_are_optimal) {
    for (size_t i = 0; i < sizeof convergent / sizeof *convergent; i++) {
        TestModel *m = pairs_open(3, MATRIX " lasso G : X ~ D * G { lambda = 0.15; %s }\n output G\n output R = D'(X - D * G)\n"
                                            " lasso W : X ~ D * W { lambda = 0.15; prox = soft; solve = fista(until: 1e-14, at_most: 50000) }\n output W\n}\n", convergent[i]);
        Value *w = model_param(m, "M"); /* unit columns, as training would have it */
        for (int c = 0; c < 9; c++) {
            double s = 0;
            for (int r = 0; r < 6; r++) s += w->at[r * 9 + c] * w->at[r * 9 + c];
            for (int r = 0; r < 6; r++) w->at[r * 9 + c] /= sqrt(s);
        }
        model_restart(m);
        Arena *a = arena_new();
        Value *all = outputs(a, m), g = all[0], r = all[1], other = all[2];
        int live = 0;
        for (int k = 0; k < 27; k++) {
            if (fabs(g.at[k] - other.at[k]) > 1e-7) FAIL("%s: %.12g, FISTA finds %.12g", convergent[i], g.at[k], other.at[k]);
            bool fine = g.at[k] == 0 ? fabs(r.at[k]) <= 0.15 + 1e-8 : fabs(r.at[k] - copysign(0.15, g.at[k])) < 1e-8;
            if (!fine) FAIL("%s: code %g has the correlation %.12g", convergent[i], g.at[k], r.at[k]);
            live += g.at[k] != 0;
        }
        CHECK(live > 3 && live < 24);
        arena_free(a);
        model_close(m);
    }
}

/* D = [I H / 4], H a Hadamard matrix of 16: coherence 1/4, so each code of at most two entries is found ((1 + 1/mu) / 2 = 2.5). */
TEST(sparse_codes_are_recovered) {
    TestModel *m = pairs_open(3, "model t() {\n input code : real[32]\n param M : real[16, 32] = 0\n dictionary D = dense(M)\n let X = D * code\n"
                                 " lasso two : X ~ D * two { solve = omp(iterations: 2) }\n lasso many : X ~ D * many { solve = omp(until: 1e-6, at_most: 8) }\n"
                                 " lasso hard : X ~ D * hard { step = 0.5; solve = iht(iterations: 300, k: 2) }\n"
                                 " lasso small : X ~ D * small { lambda = 1e-4; prox = soft; solve = fista(until: 1e-13, at_most: 50000) }\n"
                                 " output two\n output many\n output hard\n output small\n}\n");
    double *M = model_param(m, "M")->at;
    for (int r = 0; r < 16; r++)
        for (int c = 0; c < 16; c++) M[r * 32 + c] = r == c, M[r * 32 + 16 + c] = __builtin_popcount((unsigned)(r & c)) % 2 ? -0.25 : 0.25;
    model_restart(m);
    static const int places[3][2] = {{3, 20}, {17, 31}, {0, 9}};
    static const double sizes[3][2] = {{1, -0.7}, {-2, 1.5}, {0.5, 0.8}};
    double *code = m->inputs[0].at;
    memset(code, 0, 96 * sizeof *code);
    for (int b = 0; b < 3; b++)
        for (int k = 0; k < 2; k++) code[b * 32 + places[b][k]] = sizes[b][k];
    Arena *a = arena_new();
    static const char *const names[] = {"two", "many", "hard", "small"};
    Value *all = outputs(a, m);
    for (int i = 0; i < 4; i++) {
        Value v = all[i];
        for (int k = 0; k < 96; k++) {
            if (fabs(v.at[k] - code[k]) > (i == 3 ? 2e-4 : 1e-9)) FAIL("%s: entry %d is %.12g, not %g", names[i], k, v.at[k], code[k]);
            if (i < 3) CHECK((v.at[k] != 0) == (code[k] != 0));
        }
    }
    arena_free(a);
    model_close(m);
}

TEST(omp_is_least_squares) { /* its residual is at right angles to the atoms chosen; each atom lowers it */
    TestModel *m = pairs_open(3, IMAGES " lasso A : X ~ D * A { solve = omp(iterations: 4) }\n lasso B : X ~ D * B { solve = omp(iterations: 5) }\n"
                                        " let R = D'(X - D * A)\n output l1 = 1 + R * (A == 0 ? 0 * A : A / A)\n output r1 = 1 + 0 * A\n"
                                        " output l2 = sum(A == 0 ? 0 * A : A / A)\n output r2 = 4 + 0 * l2_of(A)\n output l3 = residual(B) < residual(A) ? 1 : 0\n output r3 = 1 + 0 * l2_of(A)\n}\n"
                                        "function l2_of(z) = sum(z)\n");
    pairs_check(m, "OMP", 1e-9);
}

/* ---- samples stand still ---- */
TEST(a_converged_sample_stands_still) { /* each stops by itself: alone it goes as in company, to the last bit, and not all equally long */
    static const char program[] = IMAGES " lasso G : X ~ D * G { lambda = 0.1; prox = soft; solve = fista(until: 1e-3, at_most: 400) }\n output G\n var g, n = 0 * D'(X), 0.0\n"
                                         " let t = 0.9 / lipschitz(D)\n repeat 400 until change(g) < 1e-3 {\n  g = soft(g - t * D'(D * g - X), 0.1 * t)\n  n = n + 1\n }\n output n\n}\n";
    TestModel *m = model_open(program, "", 3), *one = model_open(program, "", 1);
    CHECK(m && one);
    Arena *a = arena_new();
    for (int k = 0; k < 84; k++) m->inputs[0].at[k] *= 30, m->inputs[0].at[168 + k] *= 0.2; /* nearer and farther from the solution at first */
    Value all = output(a, m, "G"), turns = output(a, m, "n");
    for (int b = 0; b < 3; b++) {
        memcpy(one->inputs[0].at, m->inputs[0].at + b * 84, 84 * sizeof(double));
        Value alone = output(a, one, "G"), n = output(a, one, "n");
        CHECK(!memcmp(alone.at, all.at + b * shape_size(all.shape), (size_t)shape_size(all.shape) * sizeof(double)));
        CHECK(*n.at == turns.at[b] && *n.at > 1 && *n.at < 400);
    }
    CHECK(turns.at[0] != turns.at[1] || turns.at[1] != turns.at[2]);
    const char *why = model_compiled(m, 1e-2); /* a sample in float32 may stop a turn earlier */
    if (why) FAIL("%s", why);
    arena_free(a);
    model_close(m);
    model_close(one);
}

/* ---- memory ---- */
TEST(implicit_gradients_need_no_more_memory) {
#ifdef __SANITIZE_ADDRESS__
    SKIP("the Release tree counts the bytes");
#endif
    static const int updates[] = {20, 40, 200}; /* 20 are unfolded, the others are a loop */
    size_t bytes[2][3];
    for (int implicit = 0; implicit < 2; implicit++)
        for (int k = 0; k < 3; k++) {
            TestModel *m = pairs_open(2, IMAGES " lasso G : X ~ D * G { lambda = 0.1; prox = soft; solve = fista(iterations: %d); gradient = %s }\n output G\n}\n", updates[k],
                                      implicit ? "implicit" : "unrolled");
            bool compiled = model_workspace(m, ENTRY_BACKWARD, 4, &bytes[implicit][k]);
            model_close(m);
            if (!compiled) SKIP("no code generator");
        }
    if (bytes[1][1] != bytes[1][2] || (double)bytes[1][2] > 1.2 * (double)bytes[1][0])
        FAIL("implicit: %zu bytes for 20 updates, %zu for 40, %zu for 200", bytes[1][0], bytes[1][1], bytes[1][2]);
    if (bytes[0][2] < 3 * bytes[0][1]) /* unrolled, they grow (how many samples make a group differs between the two, so they are not compared) */
        FAIL("unrolled: %zu bytes for 40 updates, %zu for 200", bytes[0][1], bytes[0][2]);
}

/* ---- the library ---- */
TEST(learned_solvers_start_as_theirs) {
    TestModel *m = pairs_open(2, MATRIX " lasso p : X ~ D * p { lambda = 0.1; prox = soft; solve = ista(iterations: 4) }\n"
                                        " lasso a : X ~ D * a { lambda = 0.1; solve = lista(iterations: 4) }\n lasso b : X ~ D * b { lambda = 0.1; solve = lista_conv(iterations: 4) }\n"
                                        " lasso c : X ~ D * c { lambda = 0.1; solve = lista_cpss(iterations: 4, percent: 0) }\n"
                                        " output l1 = a\n output r1 = p\n output l2 = b\n output r2 = p\n output l3 = c\n output r3 = p\n}\n");
    pairs_check(m, "LISTA", 2e-6); /* parameters are floats */
    m = pairs_open(2, "model t() {\n input X : real[2, 9, 8]\n dictionary D = [ conv(A, stride: 2, pad: same)' where { param A : real[3, 2, 3, 3] = normal(0.3) },\n"
                      "  conv(B)' where { param B : real[4, 3, 2, 2] = normal(0.3) } ]\n param b[i in 1..2] : real[atoms(D[i])] = 0\n"
                      " lasso G : X ~ chain(D) * G { prox[i](z) = relu(z + b[i]); step = 0.5; solve = ml_ista(unfold: 2) }\n"
                      " lasso H : X ~ chain(D) * H { prox[i](z) = relu(z + b[i]); step = 0.5; solve = ml_lista(unfold: 2) }\n"
                      " lasso K : X ~ chain(D) * K { prox[i](z) = relu(z + b[i]); step = 0.5; solve = all_free(unfold: 2) }\n"
                      " output l1 = G[1]\n output r1 = H[1]\n output l2 = G[2]\n output r2 = H[2]\n output l3 = G[1]\n output r3 = K[1]\n output l4 = G[2]\n output r4 = K[2]\n}\n");
    pairs_check(m, "ML-LISTA, all free", 2e-6);
}

TEST(learned_solvers_are_their_equations) { /* their parameters moved from where they start; the same ones in the equations */
    TestModel *m = pairs_open(2, MATRIX " param B : real[6, 9] = normal(0.3)\n param W : real[9, 9] = normal(0.3)\n param h : real[9] = uniform(0, 0.2)\n"
                                        " lasso a : X ~ D * a { lambda = 0.1; solve = lista(iterations: 3) }\n"
                                        " var z = soft(dense(B)'(X), h)\n for i in 1..2 { z = soft(dense(W) * z + dense(B)'(X), h) }\n output l1 = a\n output r1 = z\n}\n");
    CHECK(model_copy(m, "B", m, "a.lista.B") && model_copy(m, "W", m, "a.lista.W") && model_copy(m, "h", m, "a.lista.theta"));
    pairs_check(m, "LISTA", 1e-12);
    m = pairs_open(2, MATRIX " param V : real[3, 6, 9] = 0\n param h : real[3] = 0\n lasso a : X ~ D * a { lambda = 0.1; solve = lista_cpss(iterations: 3, percent: 20, most: 40) }\n"
                             " var z, keep = 0 * D'(X), [1, 3, 3]\n"  /* 20 %, 40 %, 40 % of nine */
                             " for i in 1..3 {\n  let v = z + dense(V[i])'(X - D * z)\n  let least = sort(abs(v))[keep[i]]\n"
                             "  z = abs(v) >= least ? (abs(v) > h[i] ? v : soft(v, h[i])) : soft(v, h[i])\n }\n output l1 = a\n output r1 = z\n output l2 = max(abs(a))\n output r2 = max(abs(a))\n}\n");
    for (int k = 0; k < 3; k++) model_param(m, "a.lista_cpss.theta")->at[k] = 0.05;
    CHECK(model_copy(m, "V", m, "a.lista_cpss.W") && model_copy(m, "h", m, "a.lista_cpss.theta"));
    pairs_check(m, "LISTA-CPSS", 1e-12);
    m = pairs_open(2, "model t() {\n input X : real[7]\n dictionary D = [ dense(A) where { param A : real[7, 5] = normal(0.4) }, dense(B) where { param B : real[5, 6] = normal(0.4) } ]\n"
                      " param P : real[7, 5] = 0\n param Q : real[5, 6] = 0\n let A, B, P1, Q1 = D[1], D[2], dense(P), dense(Q)\n"
                      " lasso G : X ~ chain(D) * G { lambda = 0.1; prox = soft_nonneg; step = 1; solve = ml_lista(unfold: 1) }\n"
                      " let f = relu(P1'(X) - 0.1)\n let s = relu(Q1'(f) - 0.1)\n let u = B * s\n let p = relu(u - A'(A * u) + P1'(X) - 0.1)\n"
                      " output l1 = G[1]\n output r1 = p\n output l2 = G[2]\n output r2 = relu(s - B'(B * s) + Q1'(p) - 0.1)\n}\n");
    CHECK(model_copy(m, "P", m, "G.ml_lista.B.1") && model_copy(m, "Q", m, "G.ml_lista.B.2"));
    pairs_check(m, "ML-LISTA", 1e-12);
}

/* |W' A|_F is least among all W with diag(W' A) = 1: A A' w is a multiple of a; and less than that of A itself. */
TEST(analytic_weights) {
    TestModel *m = pairs_open(2, "function identity_of(n: int) = one_hot(tensor(0..n - 1), n)\n" MATRIX " let W = analytic_weights(M)\n let C = dense(W)'(M)\n"
                                 " output l1 = sum(W * M, axis: 1)\n output r1 = 1 + 0 * sum(M, axis: 1)\n"
                                 " let S = dense(M) * (dense(M)'(W))\n let c = permute(sum(S * M, axis: 1) / sum(M * M, axis: 1), [1])\n"
                                 " output l2 = permute(S, [2, 1])\n output r2 = permute(M, [2, 1]) * c\n"
                                 " output l3 = sum(C^2) < sum((dense(M / M)' * M * 0 + dense(M)'(M) / sum(M * M, axis: 1))^2) ? 1 : 0\n output r3 = 1 + 0 * sum(C)\n"
                                 " lasso z : X ~ D * z { lambda = 0.1; solve = alista(iterations: 2) }\n param V : real[6, 9] = analytic_weights(M)\n let t = 0.07\n"
                                 " let p = soft(dense(V)'(X), t)\n output l4 = z\n output r4 = soft(p - dense(V)'(D * p - X), t)\n}\n");
    CHECK(model_copy(m, "V", m, "z.alista.W"));
    double *gamma = model_param(m, "z.alista.gamma")->at, *theta = model_param(m, "z.alista.theta")->at;
    gamma[0] = gamma[1] = 1, theta[0] = theta[1] = 0.07;
    pairs_check(m, "analytic weights", 1e-5);
}

TEST(fista_with_its_gradient_at_the_iterate) {
    TestModel *m = pairs_open(2, MATRIX " lasso u : X ~ D * u { lambda = 0.1; prox = soft; step = 0.1; solve = fista(iterations: 5, momentum_at: \"iterate\") }\n"
                                        " var g, y, k = 0 * D'(X), 0 * D'(X), 1\n for i in 1..5 {\n  let next = (1 + sqrt(1 + 4 * k^2)) / 2\n  let new = soft(y - 0.1 * D'(D * g - X), 0.01)\n"
                                        "  y = new + (k - 1) / next * (new - g)\n  g, k = new, next\n }\n output l1 = u\n output r1 = g\n}\n");
    pairs_check(m, "FISTA at the iterate", 1e-12);
}

TEST(coordinate_descent_moves_one_entry) {
    TestModel *m = pairs_open(2, MATRIX " lasso u : X ~ D * u { lambda = 0.1; prox = soft; step = 1; solve = coordinate_descent(iterations: 1) }\n"
                                        " lasso v : X ~ D * v { lambda = 0.1; prox = soft; step = 1; init = u; solve = coordinate_descent(iterations: 1) }\n"
                                        " output l1 = density(u)\n output r1 = 1 / 9 + 0 * sum(X)\n output l2 = sum(abs(v - u) > 0 ? 1 : 0)\n output r2 = 1 + 0 * sum(X)\n"
                                        " output l3 = max(abs(u))\n output r3 = max(abs(soft(D'(X), 0.1)))\n}\n");
    pairs_check(m, "coordinate descent", 1e-12);
}

/* ---- compiled, and differentiated ---- */
TEST(compiled_and_differentiated) {
    static const char *const solvers[] = {
        "solve = omp(iterations: 3)", "solve = iht(iterations: 3, k: 4); step = 0.3", "lambda = 0.1; prox = soft; step = 0.6; solve = coordinate_descent(iterations: 6)",
        "lambda = 0.1; prox = soft; step = 2; solve = fista(iterations: 3, backtrack: 0.5)", "lambda = 0.1; solve = lista(iterations: 3)",
        "lambda = 0.1; solve = lista_cpss(iterations: 3, percent: 15)", "lambda = 0.1; solve = alista(iterations: 3)", "prox = top_k(k: 4); step = 0.3; solve = ista(iterations: 3)",
    };
    for (size_t i = 0; i < sizeof solvers / sizeof *solvers; i++) {
        TestModel *m = pairs_open(3, MATRIX " lasso G : X ~ D * G { %s }\n output G\n}\n", solvers[i]);
        const char *why = model_gradients(m, 1e-5);
#ifdef __SANITIZE_ADDRESS__
        if (!why && i == 0) why = model_compiled(m, 1e-3); /* making sanitized code is slow */
#else
        if (!why) why = model_compiled(m, 1e-3);
#endif
        if (why) FAIL("%s: %s", solvers[i], why);
        model_close(m);
    }
}

/* ---- thresholds ---- */
TEST(negative_thresholds) { /* as the library's page says */
    TestModel *m = pairs_open(3, "model t() {\n input z : real[6, 3]\n let n = group_norms(z, 2)\n"
                                 " output l1 = soft(z, -0.3)\n output r1 = abs(z) < 0.3 ? 2 * z : z + 0.3 * sign(z)\n output l2 = soft_nonneg(z, -0.3)\n output r2 = relu(z + 0.3)\n"
                                 " output l3 = hard(z, -0.3)\n output r3 = z\n output l4 = elastic(z, -0.3, mu: 5)\n output r4 = soft(z, -0.3)\n"
                                 " output l5 = group_norms(group(z, -0.3), 2)\n output r5 = n + 0.3\n output l6 = soft_but_largest(z, -0.3, 20)\n"
                                 " let s = sort(flatten(abs(z)))\n output r6 = abs(z) >= s[3] ? z : soft(z, -0.3)\n}\n");
    pairs_check(m, "negative thresholds", 1e-12);
}

TEST(lambdas) { /* one for all, per channel, one for each update, tunable, a fraction of the largest that matters */
    TestModel *m = pairs_open(2, IMAGES " param b : real[3] = uniform(0.05, 0.2)\n let t = 0.2\n param u : real[3] = 0\n tunable w = 0.1\n"
                                        " lasso p : X ~ D * p { lambda = b; prox = soft; step = t; solve = ista(iterations: 2) }\n let p1 = soft(t * D'(X), t * b)\n"
                                        " output l1 = p\n output r1 = soft(p1 - t * D'(D * p1 - X), t * b)\n"
                                        " lasso q : X ~ D * q { untied param lambda : real = 0.1; prox = soft; step = t; solve = ista(iterations: 2) }\n let q1 = soft(t * D'(X), t * u[1])\n"
                                        " output l2 = q\n output r2 = soft(q1 - t * D'(D * q1 - X), t * u[2])\n"
                                        " lasso r : X ~ D * r { tunable lambda = 0.1; prox = soft; step = t; solve = ista(iterations: 1) }\n output l3 = r\n output r3 = soft(t * D'(X), t * w)\n"
                                        " lasso s : X ~ D * s { lambda = 0.3 * lambda_max(D, X); prox = soft; step = t; solve = ista(iterations: 1) }\n"
                                        " output l4 = s\n output r4 = soft(t * D'(X), 0.3 * t * max(abs(D'(X))))\n}\n");
    Value *q = model_param(m, "q.lambda"), *u = model_param(m, "u");
    CHECK(q && shape_size(q->shape) == 2);
    q->at[0] = u->at[0] = 0.3, q->at[1] = u->at[1] = 0.07;
    pairs_check(m, "lambdas", 1e-12);
}

TEST(lambdas_of_every_threshold) { /* the same kinds; of a group the mean of its channels' values */
    static const char *const thresholds[][3] = {{"soft_nonneg", "soft_nonneg(", "real[3]"}, {"hard", "hard(", "real[3]"}, {"elastic(mu: 0.7)", "elastic(mu: 0.7)(", "real[3]"},
                                                {"group(size: 3)", "group_by_mean(", "real[3]"}, {"two_sided(rho: elu)", "two_sided(rho: elu)(", "real[3]"}};
    for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++) {
        const char *p = thresholds[i][0], *f = thresholds[i][1];
        TestModel *m = pairs_open(2, "function group_by_mean(z, t) {\n let s = shape(z)\n let k = reshape(relu(1 - mean(t) / sqrt(sum(z^2, axis: 1))), [1, s[2], s[3]])\n return z * [k ; k ; k]\n}\n" IMAGES " let P = %s\n param b : %s = uniform(0.05, 0.2)\n let t = 0.2\n param u : real[3] = 0\n tunable w = 0.1\n"
                                            " lasso p : X ~ D * p { lambda = b; prox = %s; step = t; solve = ista(iterations: 2) }\n let p1 = %st * D'(X), t * b)\n"
                                            " output l1 = p\n output r1 = %sp1 - t * D'(D * p1 - X), t * b)\n"
                                            " lasso q : X ~ D * q { untied param lambda : real = 0.1; prox = %s; step = t; solve = ista(iterations: 2) }\n"
                                            " let q1 = P(t * D'(X), t * u[1])\n output l2 = q\n output r2 = P(q1 - t * D'(D * q1 - X), t * u[2])\n"
                                            " lasso r : X ~ D * r { tunable lambda = 0.1; prox = %s; step = t; solve = ista(iterations: 1) }\n output l3 = r\n output r3 = P(t * D'(X), t * w)\n"
                                            " lasso s : X ~ D * s { lambda = 0.3 * lambda_max(D, X); prox = %s; step = t; solve = ista(iterations: 1) }\n"
                                            " output l4 = s\n output r4 = P(t * D'(X), 0.3 * t * max(abs(D'(X))))\n}\n", p, thresholds[i][2], p, f, f, p, p, p);
        Value *q = model_param(m, "q.lambda"), *u = model_param(m, "u");
        CHECK(q && shape_size(q->shape) == 2);
        q->at[0] = u->at[0] = 0.3, q->at[1] = u->at[1] = 0.07;
        pairs_check(m, p, 1e-12);
    }
}

TEST(largest_entries) {
    TestModel *m = pairs_open(3, "model t() {\n input z : real[4, 3]\n let p = top_k(z, 5)\n output l1 = density(p)\n output r1 = 5 / 12 + 0 * sum(z)\n"
                                 " output l2 = p\n output r2 = abs(z) > sort(flatten(abs(z)))[6] ? z : 0 * z\n output l3 = two_sided(z, 0.2, sigmoid)\n output r3 = sigmoid(z - 0.2) - sigmoid(-z - 0.2)\n}\n");
    pairs_check(m, "top k", 1e-12);
}

/* Axes that are long are sorted by merging: equals, numbers that are none, lengths that are no power of two, any axis. */
TEST(long_axes_are_sorted) {
    static const int sizes[] = {384, 500};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        TestModel *m = pairs_open(3, "model t() {\n input x : real[%d]\n input z : real[2, %d, 3]\n let s = sort(log(floor(6 * x + 2) + 0.5))\n output n = s == s ? s : 99\n"
                                     " output y = sort(floor(4 * z) - z, axis: 2)\n output e = sort(floor(8 * x))\n output k = top_k(x, k: 7)\n}\n", sizes[i], sizes[i]);
        const char *why = model_compiled(m, 1e-5);
        if (why) FAIL("%d entries: %s", sizes[i], why);
        model_close(m);
    }
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(objective_never_rises), T(rates_of_convergence), T(solvers_agree_and_are_optimal), T(sparse_codes_are_recovered), T(omp_is_least_squares),
                                 T(a_converged_sample_stands_still), T(implicit_gradients_need_no_more_memory), T(learned_solvers_start_as_theirs), T(learned_solvers_are_their_equations),
                                 T(analytic_weights), T(fista_with_its_gradient_at_the_iterate), T(coordinate_descent_moves_one_entry), T(compiled_and_differentiated), T(negative_thresholds),
                                 T(lambdas), T(lambdas_of_every_threshold), T(largest_entries), T(long_axes_are_sorted)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
