/* exp, log, tanh and the random numbers as sequences of simple operations, written once and included by each back end and by the evaluator,
   which define before:
     PV, PI, PM            types of a float value, a 32-bit integer value, a truth value (a vector of them, in a back end)
     P_F(c) P_I(c)         constants
     P_ADD P_MUL P_DIV P_FMA P_ABS P_NEG     float operations; P_FMA(a, b, c) = a * b + c
     P_LT(a, b) P_EQ(a, b) ordered comparisons; P_SEL(m, a, b), floats
     P_BITS(f) P_FLOAT(i)  the bits of a float and back
     P_IADD P_ISUB P_SHL P_SAR P_I2F         32-bit integer operations, wrapping; P_I2F: converts
     P_CTX                 first parameter of the functions (with its comma), P_GO the same as an argument
   Constants are those of Cephes (S. Moshier, expf, logf, tanhf), evaluated with FMA; below 2 ulp against libm (tests/unit/loop.c). */

/* e^x: n = round(x / ln 2), r = x - n ln 2 in two pieces, polynomial in r, times 2^n in two factors (so that the largest and the
   denormal results come out). NaN stays. */
static PV poly_exp(P_CTX PV x) {
    x = P_SEL(P_LT(x, P_F(-104.0f)), P_F(-104.0f), x);
    x = P_SEL(P_LT(P_F(89.0f), x), P_F(89.0f), x);
    const float magic = 12582912.0f; /* 1.5 * 2^23: the sum's last bits are the rounded integer */
    PV t = P_FMA(x, P_F(1.44269504088896341f), P_F(magic));
    PI n = P_ISUB(P_BITS(t), P_I(0x4b400000));
    PV nf = P_ADD(t, P_F(-magic));
    PV r = P_FMA(nf, P_F(-0.693359375f), x);
    r = P_FMA(nf, P_F(2.12194440e-4f), r);
    PV p = P_F(1.9875691500e-4f);
    p = P_FMA(p, r, P_F(1.3981999507e-3f));
    p = P_FMA(p, r, P_F(8.3334519073e-3f));
    p = P_FMA(p, r, P_F(4.1665795894e-2f));
    p = P_FMA(p, r, P_F(1.6666665459e-1f));
    p = P_FMA(p, r, P_F(5.0000001201e-1f));
    p = P_FMA(P_MUL(r, r), p, r);
    p = P_ADD(p, P_F(1.0f));
    PI half = P_SAR(n, 1);
    PV s1 = P_FLOAT(P_SHL(P_IADD(half, P_I(127)), 23));
    PV s2 = P_FLOAT(P_SHL(P_IADD(P_ISUB(n, half), P_I(127)), 23));
    return P_MUL(P_MUL(p, s1), s2);
}

/* log x: x = m 2^k with m in [sqrt(1/2), sqrt(2)), polynomial in m - 1. log 0 = -inf; of negative numbers NaN. */
static PV poly_log(P_CTX PV x) {
    PM tiny = P_LT(x, P_F(1.17549435e-38f)); /* denormals (and what the end replaces) */
    PV y = P_SEL(tiny, P_MUL(x, P_F(8388608.0f)), x);
    PI bits = P_BITS(y);
    PI k = P_SAR(P_ISUB(bits, P_I(0x3f3504f3)), 23);
    PV f = P_ADD(P_FLOAT(P_ISUB(bits, P_SHL(k, 23))), P_F(-1.0f));
    PV kf = P_ADD(P_I2F(k), P_SEL(tiny, P_F(-23.0f), P_F(0.0f)));
    PV z = P_MUL(f, f);
    PV p = P_F(7.0376836292e-2f);
    p = P_FMA(p, f, P_F(-1.1514610310e-1f));
    p = P_FMA(p, f, P_F(1.1676998740e-1f));
    p = P_FMA(p, f, P_F(-1.2420140846e-1f));
    p = P_FMA(p, f, P_F(1.4249322787e-1f));
    p = P_FMA(p, f, P_F(-1.6668057665e-1f));
    p = P_FMA(p, f, P_F(2.0000714765e-1f));
    p = P_FMA(p, f, P_F(-2.4999993993e-1f));
    p = P_FMA(p, f, P_F(3.3333331174e-1f));
    p = P_MUL(P_MUL(f, z), p);
    p = P_FMA(kf, P_F(-2.12194440e-4f), p);
    p = P_FMA(z, P_F(-0.5f), p);
    PV r = P_FMA(kf, P_F(0.693359375f), P_ADD(f, p));
    r = P_SEL(P_LT(P_F(3.40282347e38f), x), x, r);      /* inf */
    r = P_SEL(P_EQ(x, P_F(0.0f)), P_F(-INFINITY), r);
    r = P_SEL(P_LT(x, P_F(0.0f)), P_F(NAN), r);
    return P_SEL(P_EQ(x, x), r, x);                     /* NaN */
}

/* tanh x: a polynomial near 0, else 1 - 2 / (e^2|x| + 1) with x's sign. */
static PV poly_tanh(P_CTX PV x) {
    PV w = P_ABS(x);
    PV z = P_MUL(x, x);
    PV p = P_F(-5.70498872745e-3f);
    p = P_FMA(p, z, P_F(2.06390887954e-2f));
    p = P_FMA(p, z, P_F(-5.37397155531e-2f));
    p = P_FMA(p, z, P_F(1.33314422036e-1f));
    p = P_FMA(p, z, P_F(-3.33332819422e-1f));
    PV near = P_FMA(P_MUL(p, z), x, x);
    PV far = P_FMA(P_DIV(P_F(-2.0f), P_ADD(poly_exp(P_GO P_ADD(w, w)), P_F(1.0f))), P_F(1.0f), P_F(1.0f));
    far = P_SEL(P_LT(x, P_F(0.0f)), P_NEG(far), far);
    return P_SEL(P_LT(w, P_F(0.625f)), near, far);
}
