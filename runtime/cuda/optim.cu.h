/* Optimisers and constraints on the device: what optim.c and project.c do, for CUDA and (CSC_HOST) for C. Every kernel takes six pointers
   and four integers. Threads of a block stand in FOR_THREADS; sums are made in a fixed order. Once `stopped` is set nothing changes any
   more: the host finds the numbers as they were when they ran away. */
#define T 256 /* threads */
#ifdef CSC_HOST
#include <math.h>
#define KERNEL(name)                                                                                                                      \
    static void name(long long block, char *p0, char *p1, char *p2, char *p3, char *p4, char *p5, long long i0, long long i1, long long i2, \
                     long long i3);                                                                                                       \
    void name##_host(void **a, long long block);                                                                                          \
    void name##_host(void **a, long long block) {                                                                                         \
        name(block, *(char **)a[2], *(char **)a[3], *(char **)a[4], *(char **)a[5], *(char **)a[6], *(char **)a[7], *(long long *)a[8],    \
             *(long long *)a[9], *(long long *)a[10], *(long long *)a[11]);                                                               \
    }                                                                                                                                     \
    static void name(long long block, char *p0, char *p1, char *p2, char *p3, char *p4, char *p5, long long i0, long long i1, long long i2, \
                     long long i3)
#define FOR_THREADS(t) for (int t = 0; t < T; t++)
#define SYNC()
#define SHARED
#define FUNCTION static
#else
#define KERNEL(name)                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(T)                                                                                       \
        name(long long grid, long long batch, char *p0, char *p1, char *p2, char *p3, char *p4, char *p5, long long i0, long long i1,     \
             long long i2, long long i3)
#define block ((long long)blockIdx.x)
#define FOR_THREADS(t) for (int t = (int)threadIdx.x, once_ = 1; once_; once_ = 0)
#define SYNC() __syncthreads()
#define SHARED __shared__
#define FUNCTION static __device__ __forceinline__
#endif

struct Slice { /* of a parameter */
    long long param, at, n;
};
struct Record { /* goes to the host after each step */
    int kind, param; /* 0: all is well; 1: the loss, 2: a gradient, 3: a parameter after its update is not finite */
    double norm;
    float scale;
};
enum { RATE, DECAY, SHRINK, MOMENTUM, BETA1, BETA2, REST1, REST2, ROOT2, STEP1, EPSILON, NESTEROV, CLIP };

FUNCTION int is_bad(float x) {
    union {
        float f;
        unsigned u;
    } v;
    v.f = x;
    return (v.u & 0x7f800000u) == 0x7f800000u;
}

/* All threads' s[0..T-1] summed into s[0]. */
#define BLOCK_SUM(s)                                                                                                                      \
    SYNC();                                                                                                                               \
    for (int h_ = T / 2; h_ > 0; h_ /= 2) {                                                                                               \
        FOR_THREADS(t) {                                                                                                                  \
            if (t < h_) s[t] += s[t + h_];                                                                                                \
        }                                                                                                                                 \
        SYNC();                                                                                                                           \
    }

/* p0 to, p1 from, p2 stopped; i0 floats: states as they were before this step. */
KERNEL(csc_keep) {
    if (*(int *)p2) return;
    FOR_THREADS(t) {
        long long i = block * T + t;
        if (i < i0) ((float *)p0)[i] = ((const float *)p1)[i];
    }
}

/* p0 gradients, p1 slices, p2 squares, p3 bad; i0: are squares wanted. */
KERNEL(csc_check) {
    const struct Slice *s = (const struct Slice *)p1 + block;
    const float *g = (const float *)p0 + s->at;
    SHARED double sum[T];
    SHARED double wrong[T];
    FOR_THREADS(t) {
        double a = 0, b = 0;
        for (long long k = t; k < s->n; k += T) {
            b += is_bad(g[k]);
            if (i0) a += (double)g[k] * g[k];
        }
        sum[t] = a;
        wrong[t] = b;
    }
    BLOCK_SUM(sum)
    BLOCK_SUM(wrong)
    FOR_THREADS(t) {
        if (t == 0) {
            ((double *)p2)[block] = sum[0];
            ((int *)p3)[block] = wrong[0] > 0;
        }
    }
}

/* p0 record, p1 slices, p2 squares, p3 bad, p4 loss, p5 numbers of the step with `stopped` at its end; i0 slices; i1: after the update. */
KERNEL(csc_judge) {
    struct Record *r = (struct Record *)p0;
    const double *n = (const double *)p5;
    int *stopped = (int *)(n + 16);
    SHARED double sum[T];
    SHARED double first[T]; /* numbers of slices: exact */
    FOR_THREADS(t) {
        double a = 0, f = (double)i0;
        for (long long k = t; k < i0; k += T) {
            if (!i1) a += ((const double *)p2)[k];
            if (((const int *)p3)[k] && (double)k < f) f = (double)k;
        }
        sum[t] = a;
        first[t] = f;
    }
    BLOCK_SUM(sum)
    FOR_THREADS(t) {
        if (t == 0) {
            int kind = 0;
            long long at = i0;
            for (int k = 0; k < T; k++)
                if ((long long)first[k] < at) at = (long long)first[k];
            if (at < i0) kind = i1 ? 3 : 2;
            if (!i1) {
                double norm = sqrt(sum[0]);
                r->norm = norm;
                r->scale = n[CLIP] > 0 && norm > n[CLIP] ? (float)(n[CLIP] / norm) : 1;
                r->kind = 0;
                r->param = -1;
                if (is_bad(*(const float *)p4)) kind = 1;
            }
            if (kind) {
                if (!r->kind) {
                    r->kind = kind;
                    r->param = kind > 1 ? (int)((const struct Slice *)p1)[at].param : -1;
                }
                *stopped = 1;
            }
        }
    }
}

/* p0 parameters, p1 gradients, p2 m, p3 v, p4 slices (bad behind them: i0 slices), p5 numbers with `stopped`; i1: the record. */
KERNEL(csc_sgd) {
    const double *n = (const double *)p5;
    const struct Slice *s = (const struct Slice *)p4 + block;
    int *bad = (int *)((const struct Slice *)p4 + i0);
    float *w = (float *)p0 + s->at, *m = (float *)p2 + s->at;
    const float *g = (const float *)p1 + s->at;
    float rate = (float)n[RATE], scale = ((const struct Record *)i1)->scale, decay = (float)n[DECAY], mu = (float)n[MOMENTUM];
    SHARED double wrong[T];
    if (*(const int *)(n + 16)) return;
    FOR_THREADS(t) {
        double b = 0;
        for (long long k = t; k < s->n; k += T) {
            float d = scale * g[k] + decay * w[k], v = mu * m[k] + d, x;
            m[k] = v;
            x = n[NESTEROV] != 0 ? w[k] - rate * (d + mu * v) : w[k] - rate * v;
            w[k] = x;
            b += is_bad(x);
        }
        wrong[t] = b;
    }
    BLOCK_SUM(wrong)
    FOR_THREADS(t) {
        if (t == 0) bad[block] = wrong[0] > 0;
    }
}

KERNEL(csc_adam) {
    const double *n = (const double *)p5;
    const struct Slice *s = (const struct Slice *)p4 + block;
    int *bad = (int *)((const struct Slice *)p4 + i0);
    float *w = (float *)p0 + s->at, *m = (float *)p2 + s->at, *v = (float *)p3 + s->at;
    const float *g = (const float *)p1 + s->at;
    float scale = ((const struct Record *)i1)->scale, decay = (float)n[DECAY], shrink = (float)n[SHRINK], b1 = (float)n[BETA1], b2 = (float)n[BETA2];
    float r1 = (float)n[REST1], r2 = (float)n[REST2], root2 = (float)n[ROOT2], step1 = (float)n[STEP1], epsilon = (float)n[EPSILON];
    SHARED double wrong[T];
    if (*(const int *)(n + 16)) return;
    FOR_THREADS(t) {
        double b = 0;
        for (long long k = t; k < s->n; k += T) {
            float d = scale * g[k] + decay * w[k], a = b1 * m[k] + r1 * d, c = b2 * v[k] + r2 * d * d, x;
            m[k] = a;
            v[k] = c;
            x = shrink * w[k] - step1 * a / (sqrtf(c) * root2 + epsilon);
            w[k] = x;
            b += is_bad(x);
        }
        wrong[t] = b;
    }
    BLOCK_SUM(wrong)
    FOR_THREADS(t) {
        if (t == 0) bad[block] = wrong[0] > 0;
    }
}

/* ---- constraints: p0 the parameter, p1 numbers with `stopped`, p2 scratch; i0 rows, i1 rest (of a turn), i2 the value's bits ---- */
#define STOPPED (*(const int *)((const double *)p1 + 16))

KERNEL(csc_unit_atoms) { /* a block for each row of each turn */
    float *x = (float *)p0 + block * i1;
    SHARED double sum[T];
    if (STOPPED) return;
    FOR_THREADS(t) {
        double a = 0;
        for (long long k = t; k < i1; k += T) a += (double)x[k] * x[k];
        sum[t] = a;
    }
    BLOCK_SUM(sum)
    FOR_THREADS(t) {
        double s = sum[0], c = s > 0 && s != 1 ? 1 / sqrt(s) : 1;
        if (c != 1)
            for (long long k = t; k < i1; k += T) x[k] = (float)(c * x[k]);
    }
}

KERNEL(csc_unit_columns) { /* ceil(rest / T) blocks a turn */
    long long of = (i1 + T - 1) / T;
    float *x = (float *)p0 + block / of * i0 * i1;
    if (STOPPED) return;
    FOR_THREADS(t) {
        long long c = block % of * T + t;
        if (c < i1) {
            double s = 0;
            for (long long r = 0; r < i0; r++) s += (double)x[r * i1 + c] * x[r * i1 + c];
            s = s > 0 ? 1 / sqrt(s) : 1;
            for (long long r = 0; r < i0; r++) x[r * i1 + c] = (float)(s * x[r * i1 + c]);
        }
    }
}

KERNEL(csc_nonnegative) { /* blocks of T; i0: floats in all */
    if (STOPPED) return;
    FOR_THREADS(t) {
        long long k = block * T + t;
        float *x = (float *)p0;
        if (k < i0) x[k] = x[k] < 0 ? 0 : x[k]; /* NaN stays, to be seen */
    }
}

KERNEL(csc_shrink) { /* likewise; the threshold is the value times the rate */
    union {
        long long i;
        double d;
    } value;
    value.i = i2;
    float h = (float)(value.d * ((const double *)p1)[RATE]);
    if (STOPPED) return;
    FOR_THREADS(t) {
        long long k = block * T + t;
        float *x = (float *)p0;
        if (k < i0) x[k] = x[k] > h ? x[k] - h : x[k] < -h ? x[k] + h : x[k] == x[k] ? 0 : x[k];
    }
}

/* i2 of each row stay: the largest; of equals the first. The edge is found bit by bit: magnitudes are ordered as their bits are. */
KERNEL(csc_keep_largest) {
    const unsigned *x = (const unsigned *)p0 + block * i1;
    float *y = (float *)p0 + block * i1;
    SHARED double count[T];
    unsigned edge = 0; /* the largest value that at least i2 entries reach */
    int wrong = 0;
    if (STOPPED || i2 >= i1) return;
    for (int bit = 31; bit >= 0; bit--) { /* 31: entries that are not finite */
        unsigned least = bit == 31 ? 0x7f800000u : edge | 1u << bit;
        FOR_THREADS(t) {
            double n = 0;
            for (long long k = t; k < i1; k += T) n += (x[k] & 0x7fffffffu) >= least;
            count[t] = n;
        }
        BLOCK_SUM(count)
        if (bit == 31) wrong = count[0] > 0;
        else if (count[0] >= (double)i2) edge = least;
        SYNC();
    }
    if (wrong) return; /* to be seen */
    /* each thread has a run of the row; ties before it are counted */
    SHARED double above[T];
    SHARED double ties[T];
    long long run = (i1 + T - 1) / T;
    FOR_THREADS(t) {
        double a = 0, b = 0;
        for (long long k = t * run; k < i1 && k < (t + 1) * run; k++) {
            unsigned v = x[k] & 0x7fffffffu;
            a += i2 > 0 && v > edge;
            b += i2 > 0 && v == edge;
        }
        above[t] = a;
        ties[t] = b;
    }
    BLOCK_SUM(above)
    FOR_THREADS(t) {
        double left = (double)i2 - above[0];
        for (int k = 0; k < t; k++) left -= ties[k];
        for (long long k = t * run; k < i1 && k < (t + 1) * run; k++) {
            unsigned v = x[k] & 0x7fffffffu;
            int stays = i2 > 0 && (v > edge || (v == edge && left > 0));
            if (i2 > 0 && v == edge) left -= 1;
            if (!stays) y[k] = 0;
        }
    }
}

/* Newton-Schulz, as project.c has it. A block for each turn; p2: a turn's scratch has 2 rows rest + wide wide doubles. */
KERNEL(csc_orthogonal) {
    long long rows = i0, rest = i1, tall = rows > rest ? rows : rest, wide = rows > rest ? rest : rows;
    float *x = (float *)p0 + block * rows * rest;
    double *y = (double *)p2 + block * (2 * rows * rest + wide * wide), *next = y + rows * rest, *gram = next + rows * rest;
    SHARED double off[T];
    SHARED double trace;
    if (STOPPED) return;
    FOR_THREADS(t) {
        for (long long i = t; i < rows * rest; i += T) {
            long long r = i / rest, c = i % rest;
            y[rows >= rest ? r * wide + c : c * wide + r] = x[i];
        }
    }
    SYNC();
    for (int it = 0; it < 100; it++) {
        FOR_THREADS(t) {
            double worst = 0;
            for (long long i = t; i < wide * wide; i += T) {
                long long a = i / wide, b = i % wide;
                double s = 0;
                for (long long r = 0; r < tall; r++) s += y[r * wide + a] * y[r * wide + b];
                gram[i] = s;
                double o = fabs(s - (a == b));
                if (!(o <= worst)) worst = o;
            }
            off[t] = worst;
        }
        SYNC();
        FOR_THREADS(t) {
            if (t == 0) {
                double w = 0, s = 0;
                for (int k = 0; k < T; k++)
                    if (!(off[k] <= w)) w = off[k];
                for (long long a = 0; a < wide; a++) s += gram[a * wide + a];
                off[0] = w;
                trace = s;
            }
        }
        SYNC();
        double worst = off[0], scale = 1;
        if (!(worst > 1e-9)) break; /* also NaN */
        if (it == 0 && worst * (double)wide > 0.5) { /* eigenvalues of y'y might leave (0, 3) */
            if (!(trace > 0)) break;
            scale = 1 / sqrt(trace);
        }
        FOR_THREADS(t) {
            for (long long i = t; i < tall * wide; i += T) {
                long long r = i / wide, b = i % wide;
                double s = 0;
                for (long long a = 0; a < wide; a++) s += y[r * wide + a] * gram[a * wide + b];
                next[i] = 1.5 * scale * y[i] - 0.5 * scale * scale * scale * s;
            }
        }
        SYNC();
        FOR_THREADS(t) {
            for (long long i = t; i < tall * wide; i += T) y[i] = next[i];
        }
        SYNC();
    }
    SYNC();
    FOR_THREADS(t) {
        for (long long i = t; i < rows * rest; i += T) {
            long long r = i / rest, c = i % rest;
            x[i] = (float)y[rows >= rest ? r * wide + c : c * wide + r];
        }
    }
}
