/* What the text of GPU kernels is made of. Pasted in front of each kernel, with compiler/loop/poly.h between; includes nothing. On the device
   (NVRTC: -default-device, --fmad=false) the names are CUDA and PTX; on the host (CSC_HOST: any C11 compiler, without contraction) a block is
   run region by region, its threads one after another, their registers in csc_r[thread].

   A kernel is CSC_KERNEL(threads) name(CSC_HEAD long long grid, long long batch, pointers, integers) { .. }; on the host name_host(args, block)
   runs one block, args[i] pointing at the i-th parameter.
   Indices are csc_int: 31 bits, unless CSC_WIDE is defined, which whoever compiles must do when a tensor has 2^31 numbers or nearly. */
typedef long long i64;
#ifdef CSC_WIDE /* some index needs more than 31 bits */
typedef long long csc_int;
typedef unsigned long long csc_unsigned;
#else
typedef int csc_int;
typedef unsigned csc_unsigned;
#endif
typedef unsigned short csc_bf16;

#ifndef CSC_HOST
#pragma nv_diag_suppress 177, 550 /* functions that this kernel does not use, variables that nothing reads */
#define CSC_KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads, 1)
#if defined __CUDA_ARCH_FEAT_SM90_ALL && !defined CSC_NO_WGMMA
#define CSC_WGMMA
/* as many registers as let two or three blocks share a processor: while one waits for memory another multiplies */
#define CSC_KERNEL_OF_GROUPS(threads) extern "C" __global__ void __launch_bounds__(threads, (threads) > 128 ? 2 : 3)
/* one block less where so many numbers wait in registers that some would be spilled */
#define CSC_KERNEL_OF_LARGE_GROUPS(threads) extern "C" __global__ void __launch_bounds__(threads, (threads) > 128 ? 1 : 2)
#else
#define CSC_KERNEL_OF_GROUPS(threads) CSC_KERNEL(threads)
#define CSC_KERNEL_OF_LARGE_GROUPS(threads) CSC_KERNEL(threads)
#endif
#define CSC_HEAD
#define CSC_BLOCK ((int)blockIdx.x)
#define CSC_T ((int)threadIdx.x)
#define CSC_REGS
#define CSC_REG(r) float r = 0.0f;
#define CSC_REGS_END(threads)
#define CSC_R(r) r
#define CSC_SHARED_MEMORY extern __shared__ __align__(128) unsigned char csc_shared[];
#define CSC_SHARED(type, p, at, n) type *const p = (type *)(csc_shared + (at));
#define CSC_SCRATCH(type, p, n, threads) type p[n];
#define CSC_OWN(p) p
#define CSC_THREADS(threads)
#define CSC_WARPS(threads)
#define CSC_GROUPS(threads)
#define CSC_WARP_T ((int)threadIdx.x & ~31)
#define CSC_GROUP_T ((int)threadIdx.x & ~127)
#define CSC_SYNC() __syncthreads()
#define CSC_ARRIVED(name) __device__ unsigned name;
#define CSC_LAST(name) csc_last(&name, (unsigned)grid)
#define CSC_UNROLL _Pragma("unroll")
#define CSC_ROLLED _Pragma("unroll 1")
#define CSC_FN static __forceinline__
#define CSC_NAN __int_as_float(0x7fffffff)
#define CSC_INF __int_as_float(0x7f800000)
#define csc_fma(x, y, z) __fmaf_rn(x, y, z)
#define csc_sqrt(x) __fsqrt_rn(x)
#define csc_bits(x) __float_as_int(x)
#define csc_float(i) __int_as_float(i)
#define csc_mul_high(x, y) __umulhi(x, y)
#define csc_floor(x) floorf(x)
#define csc_abs(x) fabsf(x)
#define csc_sin(x) sinf(x)
#define csc_cos(x) cosf(x)
#define csc_pow(x, y) powf(x, y)
#else
#define CSC_KERNEL(threads) static void
#define CSC_KERNEL_OF_GROUPS(threads) CSC_KERNEL(threads)
#define CSC_KERNEL_OF_LARGE_GROUPS(threads) CSC_KERNEL(threads)
#define CSC_HEAD const i64 csc_block,
#define CSC_BLOCK ((int)csc_block)
#define CSC_T csc_t
#define CSC_REGS struct {
#define CSC_REG(r) float r;
#define CSC_REGS_END(threads) float csc_none; } csc_r[threads]; csc_fill(csc_r, 0, sizeof csc_r);
#define CSC_R(r) csc_r[csc_t].r
#define CSC_SHARED_MEMORY
#define CSC_SHARED(type, p, at, n) _Alignas(128) type p[n]; csc_fill(p, 0xff, sizeof p);
#define CSC_SCRATCH(type, p, n, threads) _Alignas(64) type p[threads][n]; csc_fill(p, 0xff, sizeof p);
#define CSC_OWN(p) p[csc_t]
#define CSC_THREADS(threads) for (int csc_t = 0; csc_t < (threads); csc_t++)
#define CSC_WARPS(threads) for (int csc_t = 0; csc_t < (threads); csc_t += 32)
#define CSC_GROUPS(threads) for (int csc_t = 0; csc_t < (threads); csc_t += 128)
#define CSC_WARP_T csc_t
#define CSC_GROUP_T csc_t
#define CSC_SYNC() ((void)0)
#define CSC_ARRIVED(name) static i64 name;
#define CSC_LAST(name) (++name == grid ? name = 0, 1 : 0)
#define CSC_UNROLL
#define CSC_ROLLED
#define CSC_FN static inline __attribute__((unused))
#define CSC_NAN __builtin_nanf("")
#define CSC_INF __builtin_inff()
#define CSC_ARG(type, i) (*(type *)args[i])
#define csc_fma(x, y, z) __builtin_fmaf(x, y, z)
#define csc_sqrt(x) __builtin_sqrtf(x)
#define csc_mul_high(x, y) ((unsigned)((unsigned long long)(x) * (y) >> 32))
#define csc_floor(x) __builtin_floorf(x)
#define csc_abs(x) __builtin_fabsf(x)
#define csc_sin(x) __builtin_sinf(x)
#define csc_cos(x) __builtin_cosf(x)
#define csc_pow(x, y) __builtin_powf(x, y)
CSC_FN void csc_fill(void *p, int byte, unsigned long n) { __builtin_memset(p, byte, n); }
CSC_FN int csc_bits(float f) {
    int i;
    __builtin_memcpy(&i, &f, 4);
    return i;
}
CSC_FN float csc_float(int i) {
    float f;
    __builtin_memcpy(&f, &i, 4);
    return f;
}
#endif

/* ---- the block that is done last; the count is 0 again afterwards, for the next launch ---- */
#ifndef CSC_HOST
CSC_FN int csc_last(unsigned *arrived, unsigned blocks) {
    int last = 0;
    __syncthreads();
    if (threadIdx.x == 0) { /* by these two fences and barriers, for all threads of both blocks */
        __threadfence();
        last = atomicInc(arrived, blocks - 1) == blocks - 1;
        __threadfence();
    }
    return __syncthreads_or(last);
}
#endif

/* ---- numbers ---- */
#define CSC_ADD64(x, y) ((i64)((unsigned long long)(x) + (unsigned long long)(y)))
#define CSC_SUB64(x, y) ((i64)((unsigned long long)(x) - (unsigned long long)(y)))
#define CSC_MUL64(x, y) ((i64)((unsigned long long)(x) * (unsigned long long)(y)))
CSC_FN int csc_min_i(int x, int y) { return x < y ? x : y; }
CSC_FN int csc_max_i(int x, int y) { return x > y ? x : y; }
CSC_FN csc_int csc_min_x(csc_int x, csc_int y) { return x < y ? x : y; }
CSC_FN csc_int csc_max_x(csc_int x, csc_int y) { return x > y ? x : y; }
CSC_FN i64 csc_min_l(i64 x, i64 y) { return x < y ? x : y; }
CSC_FN i64 csc_max_l(i64 x, i64 y) { return x > y ? x : y; }
CSC_FN float csc_max(float x, float y) { return y != y ? y : x < y ? y : x; } /* NaN from either side stays */
CSC_FN float csc_min(float x, float y) { return y != y ? y : y < x ? y : x; }
CSC_FN i64 csc_f2i(float f) {
    if (f != f) return 0;
    if (f >= 9223372036854775808.0f) return 0x7fffffffffffffffLL;
    if (f < -9223372036854775808.0f) return -0x7fffffffffffffffLL - 1;
    return (i64)f;
}

/* bf16: to nearest, ties to even; any NaN is 0x7fff. tf32: 10 bits of fraction, ties away from zero. */
CSC_FN float csc_wide(csc_bf16 h) { return csc_float((int)((unsigned)h << 16)); }
#ifndef CSC_HOST
CSC_FN csc_bf16 csc_short(float f) {
    csc_bf16 h;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(f));
    return h;
}
CSC_FN unsigned csc_tf32(float f) {
    unsigned u;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(u) : "f"(f));
    return u;
}
CSC_FN float csc_cut(float f) { return __uint_as_float(csc_tf32(f)); }
CSC_FN unsigned csc_pair(float low, float high) {
    unsigned u;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(u) : "f"(high), "f"(low));
    return u;
}
#else
CSC_FN csc_bf16 csc_short(float f) {
    unsigned u = (unsigned)csc_bits(f);
    return f != f ? 0x7fff : (csc_bf16)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
CSC_FN float csc_tf32(float f) {
    unsigned u = (unsigned)csc_bits(f);
    return f != f || (u & 0x7f800000) == 0x7f800000 ? f : csc_float((int)((u + 0x1000) & ~0x1fffu));
}
#define csc_cut(f) csc_tf32(f)
#endif

/* ---- exp, log, tanh: the sequences of poly.h ---- */
#define PV float
#define PI int
#define PM int
#define P_CTX
#define P_GO
#define P_F(c) (c)
#define P_I(c) (c)
#define P_ADD(a, b) ((a) + (b))
#define P_MUL(a, b) ((a) * (b))
#define P_DIV(a, b) ((a) / (b))
#define P_FMA(a, b, c) csc_fma(a, b, c)
#define P_ABS(a) csc_abs(a)
#define P_NEG(a) (-(a))
#define P_LT(a, b) ((a) < (b))
#define P_EQ(a, b) ((a) == (b))
#define P_SEL(m, a, b) ((m) ? (a) : (b))
#define P_BITS(f) csc_bits(f)
#define P_FLOAT(i) csc_float(i)
#define P_IADD(a, b) ((int)((unsigned)(a) + (unsigned)(b)))
#define P_ISUB(a, b) ((int)((unsigned)(a) - (unsigned)(b)))
#define P_SHL(a, n) ((int)((unsigned)(a) << (n)))
#define P_SAR(a, n) ((a) >> (n))
#define P_I2F(a) ((float)(a))
#ifndef INFINITY
#define INFINITY CSC_INF
#endif
#ifndef NAN
#define NAN CSC_NAN
#endif
/*POLY*/
/* ---- random numbers: Philox4x32-10, as loop/noise.h ---- */
CSC_FN void csc_philox(i64 seed, i64 step, i64 sample, i64 index, i64 entry, unsigned *first, unsigned *second) {
    unsigned c0 = (unsigned)entry, c1 = (unsigned)sample, c2 = (unsigned)step, c3 = (unsigned)index;
    unsigned k0 = (unsigned)seed, k1 = (unsigned)((unsigned long long)seed >> 32);
    for (int round = 0; round < 10; round++) {
        unsigned h0 = csc_mul_high(0xD2511F53u, c0), l0 = 0xD2511F53u * c0, h1 = csc_mul_high(0xCD9E8D57u, c2), l1 = 0xCD9E8D57u * c2;
        c0 = h1 ^ c1 ^ k0;
        c2 = h0 ^ c3 ^ k1;
        c1 = l1;
        c3 = l0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    *first = c0;
    *second = c1;
}
CSC_FN float csc_noise(i64 seed, i64 step, i64 sample, i64 index, i64 entry) {
    unsigned p, q;
    csc_philox(seed, step, sample, index, entry, &p, &q);
    return (float)(p >> 8) * 0x1p-24f;
}
CSC_FN float csc_normal(i64 seed, i64 step, i64 sample, i64 index, i64 entry) {
    unsigned p, q;
    csc_philox(seed, step, sample, index, entry, &p, &q);
    float u = 1.0f - (float)(p >> 8) * 0x1p-24f, v = (float)(q >> 8) * 0x1p-24f;
    return csc_sqrt(-2.0f * poly_log(u)) * csc_cos(6.28318530717958648f * v);
}

/* ---- neighbours at an address that is a multiple of their size ---- */
#ifndef CSC_HOST
typedef float2 csc_f2;
typedef float4 csc_f4;
typedef uint2 csc_u2;
typedef uint4 csc_u4;
#else
typedef struct __attribute__((aligned(8), may_alias)) csc_f2 { float x, y; } csc_f2;
typedef struct __attribute__((aligned(16), may_alias)) csc_f4 { float x, y, z, w; } csc_f4;
typedef struct __attribute__((aligned(8), may_alias)) csc_u2 { unsigned x, y; } csc_u2;
typedef struct __attribute__((aligned(16), may_alias)) csc_u4 { unsigned x, y, z, w; } csc_u4;
typedef unsigned __attribute__((may_alias)) csc_u1;
#endif
CSC_FN csc_f2 csc_load2(const float *p) { return *(const csc_f2 *)p; }
CSC_FN csc_f4 csc_load4(const float *p) { return *(const csc_f4 *)p; }
CSC_FN void csc_store2(float *p, float x, float y) {
    csc_f2 v = {x, y};
    *(csc_f2 *)p = v;
}
CSC_FN void csc_store4(float *p, float x, float y, float z, float w) {
    csc_f4 v = {x, y, z, w};
    *(csc_f4 *)p = v;
}
#ifndef CSC_HOST
typedef unsigned csc_u1;
#else
CSC_FN unsigned csc_pair(float low, float high) { return csc_short(low) | (unsigned)csc_short(high) << 16; }
#endif
CSC_FN csc_f2 csc_load2_bf16(const csc_bf16 *p) {
    unsigned u = *(const csc_u1 *)p;
    csc_f2 v = {csc_float((int)(u << 16)), csc_float((int)(u & 0xffff0000u))};
    return v;
}
CSC_FN csc_f4 csc_load4_bf16(const csc_bf16 *p) {
    csc_u2 u = *(const csc_u2 *)p;
    csc_f4 v = {csc_float((int)(u.x << 16)), csc_float((int)(u.x & 0xffff0000u)), csc_float((int)(u.y << 16)), csc_float((int)(u.y & 0xffff0000u))};
    return v;
}
CSC_FN void csc_store2_tf32(float *p, float x, float y) { csc_store2(p, csc_cut(x), csc_cut(y)); }
CSC_FN void csc_store4_tf32(float *p, float x, float y, float z, float w) { csc_store4(p, csc_cut(x), csc_cut(y), csc_cut(z), csc_cut(w)); }
CSC_FN void csc_store2_bf16(csc_bf16 *p, float x, float y) { *(csc_u1 *)p = csc_pair(x, y); }
CSC_FN void csc_store4_bf16(csc_bf16 *p, float x, float y, float z, float w) {
    csc_u2 v = {csc_pair(x, y), csc_pair(z, w)};
    *(csc_u2 *)p = v;
}

/* ---- copies to shared memory that threads do not wait for; n of the bytes exist, the others become 0 ---- */
#ifndef CSC_HOST
CSC_FN unsigned csc_shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
CSC_FN void csc_copy4(void *to, const void *from, int n) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(csc_shared_address(to)), "l"(from), "r"(n) : "memory");
}
CSC_FN void csc_copy8(void *to, const void *from, int n) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(csc_shared_address(to)), "l"(from), "r"(n) : "memory");
}
CSC_FN void csc_copy16(void *to, const void *from, int n) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(csc_shared_address(to)), "l"(from), "r"(n) : "memory");
}
#define CSC_GROUP() asm volatile("cp.async.commit_group;" ::: "memory")
#define CSC_WAIT(n) asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory")
#else
CSC_FN void csc_copy4(void *to, const void *from, int n) {
    csc_fill(__builtin_assume_aligned(to, 4), 0, 4);
    __builtin_memcpy(to, from, (unsigned long)n);
}
CSC_FN void csc_copy8(void *to, const void *from, int n) {
    csc_u2 zero = {0, 0};
    *(csc_u2 *)to = zero;
    __builtin_memcpy(to, from, (unsigned long)n);
}
CSC_FN void csc_copy16(void *to, const void *from, int n) {
    csc_u4 zero = {0, 0, 0, 0};
    *(csc_u4 *)to = zero;
    __builtin_memcpy(to, from, (unsigned long)n);
}
#define CSC_GROUP() ((void)0)
#define CSC_WAIT(n) ((void)0)
#endif

/* ---- the threads of a warp together ---- */
#ifndef CSC_HOST
#define CSC_WARP_ADD(threads, r) { for (int h = 16; h > 0; h /= 2) r = r + __shfl_xor_sync(0xffffffffu, r, h); }
#define CSC_WARP_MAX(threads, r) { for (int h = 16; h > 0; h /= 2) r = csc_max(r, __shfl_xor_sync(0xffffffffu, r, h)); }
#else
#define CSC_WARP_OP(threads, r, op)                                                                                                          \
    for (int w = 0; w < (threads); w += 32)                                                                                                  \
        for (int h = 16; h > 0; h /= 2) {                                                                                                    \
            float v[32];                                                                                                                     \
            for (int i = 0; i < 32; i++) v[i] = csc_r[w + i].r;                                                                              \
            for (int i = 0; i < 32; i++) csc_r[w + i].r = op(v[i], v[i ^ h]);                                                                \
        }
#define CSC_SUM(x, y) ((x) + (y))
#define CSC_WARP_ADD(threads, r) CSC_WARP_OP(threads, r, CSC_SUM)
#define CSC_WARP_MAX(threads, r) CSC_WARP_OP(threads, r, csc_max)
#endif

/* ---- matrix units: fragments of A (16 rows) and B (8 columns) in shared memory, entry (row, column) at p[row * r + column * c] ---- */
#ifndef CSC_HOST
typedef struct csc_a_tile { unsigned x[4]; } csc_a_tile;
typedef struct csc_b_tile { unsigned x[2]; } csc_b_tile;
#define CSC_LANE ((int)threadIdx.x & 31)
CSC_FN csc_a_tile csc_a_tf32(const float *p, int r, int c) {
    p += (CSC_LANE / 4) * r + (CSC_LANE % 4) * c;
    csc_a_tile a = {{csc_tf32(p[0]), csc_tf32(p[8 * r]), csc_tf32(p[4 * c]), csc_tf32(p[8 * r + 4 * c])}};
    return a;
}
CSC_FN csc_b_tile csc_b_tf32(const float *p, int r, int c) {
    p += (CSC_LANE % 4) * r + (CSC_LANE / 4) * c;
    csc_b_tile b = {{csc_tf32(p[0]), csc_tf32(p[4 * r])}};
    return b;
}
CSC_FN unsigned csc_two_f32(const float *p, int step) { return csc_pair(p[0], p[step]); }
CSC_FN unsigned csc_two_bf16(const csc_bf16 *p, int step) { return p[0] | (unsigned)p[step] << 16; }
CSC_FN unsigned csc_two_bf16_2(const csc_bf16 *p, int step) { return *(const unsigned *)p; }
#define CSC_BF16_TILES(type, kind)                                                                                                           \
    CSC_FN csc_a_tile csc_a_##kind(const type *p, int r, int c) {                                                                            \
        p += (CSC_LANE / 4) * r + (CSC_LANE % 4) * 2 * c;                                                                                    \
        csc_a_tile a = {{csc_two_##kind(p, c), csc_two_##kind(p + 8 * r, c), csc_two_##kind(p + 8 * c, c), csc_two_##kind(p + 8 * r + 8 * c, c)}}; \
        return a;                                                                                                                            \
    }                                                                                                                                        \
    CSC_FN csc_b_tile csc_b_##kind(const type *p, int r, int c) {                                                                            \
        p += (CSC_LANE % 4) * 2 * r + (CSC_LANE / 4) * c;                                                                                    \
        csc_b_tile b = {{csc_two_##kind(p, r), csc_two_##kind(p + 8 * r, r)}};                                                               \
        return b;                                                                                                                            \
    }
CSC_BF16_TILES(float, f32)
CSC_BF16_TILES(csc_bf16, bf16)
CSC_BF16_TILES(csc_bf16, bf16_2) /* neighbours along the sum, at multiples of 4 bytes */
#define CSC_LDMATRIX_4(how, t, at)                                                                                                           \
    asm volatile("ldmatrix.sync.aligned.m8n8.x4." how "shared.b16 {%0,%1,%2,%3}, [%4];"                                                      \
                 : "=r"(t.x[0]), "=r"(t.x[1]), "=r"(t.x[2]), "=r"(t.x[3])                                                                    \
                 : "r"(at)                                                                                                                   \
                 : "memory")
#define CSC_LDMATRIX_2(how, t, at)                                                                                                           \
    asm volatile("ldmatrix.sync.aligned.m8n8.x2." how "shared.b16 {%0,%1}, [%2];" : "=r"(t.x[0]), "=r"(t.x[1]) : "r"(at) : "memory")
CSC_FN csc_a_tile csc_a_bf16_8(const csc_bf16 *p, int r, int c) { /* .. of 16 bytes */
    csc_a_tile a;
    unsigned at = csc_shared_address(p + (CSC_LANE % 16) * r + (CSC_LANE / 16) * 8);
    CSC_LDMATRIX_4("", a, at);
    return a;
}
CSC_FN csc_b_tile csc_b_bf16_8(const csc_bf16 *p, int r, int c) {
    csc_b_tile b;
    unsigned at = csc_shared_address(p + (CSC_LANE % 8) * c + (CSC_LANE / 8 % 2) * 8);
    CSC_LDMATRIX_2("", b, at);
    return b;
}
CSC_FN csc_a_tile csc_a_bf16_t(const csc_bf16 *p, int r, int c) { /* the same, neighbours across the sum: r is 1 */
    csc_a_tile a;
    unsigned at = csc_shared_address(p + (CSC_LANE / 16 * 8 + CSC_LANE % 8) * c + (CSC_LANE / 8 % 2) * 8);
    CSC_LDMATRIX_4("trans.", a, at);
    return a;
}
CSC_FN csc_b_tile csc_b_bf16_t(const csc_bf16 *p, int r, int c) { /* c is 1 */
    csc_b_tile b;
    unsigned at = csc_shared_address(p + (CSC_LANE % 16) * r);
    CSC_LDMATRIX_2("trans.", b, at);
    return b;
}
#define CSC_MMA_TF32(r0, r1, r2, r3, a, b)                                                                                                   \
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                            \
        : "+f"(r0), "+f"(r1), "+f"(r2), "+f"(r3)                                                                                             \
        : "r"(a.x[0]), "r"(a.x[1]), "r"(a.x[2]), "r"(a.x[3]), "r"(b.x[0]), "r"(b.x[1]));
#define CSC_MMA_BF16(r0, r1, r2, r3, a, b)                                                                                                   \
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                           \
        : "+f"(r0), "+f"(r1), "+f"(r2), "+f"(r3)                                                                                             \
        : "r"(a.x[0]), "r"(a.x[1]), "r"(a.x[2]), "r"(a.x[3]), "r"(b.x[0]), "r"(b.x[1]));
#else
typedef struct csc_a_tile { float x[16][16]; } csc_a_tile;
typedef struct csc_b_tile { float x[16][8]; } csc_b_tile;
#define CSC_HOST_TILES(type, kind, depth, value)                                                                                             \
    CSC_FN csc_a_tile csc_a_##kind(const type *p, int r, int c) {                                                                            \
        csc_a_tile a;                                                                                                                        \
        for (int i = 0; i < 16; i++)                                                                                                         \
            for (int k = 0; k < depth; k++) a.x[i][k] = value(p[i * r + k * c]);                                                             \
        return a;                                                                                                                            \
    }                                                                                                                                        \
    CSC_FN csc_b_tile csc_b_##kind(const type *p, int r, int c) {                                                                            \
        csc_b_tile b;                                                                                                                        \
        for (int k = 0; k < depth; k++)                                                                                                      \
            for (int j = 0; j < 8; j++) b.x[k][j] = value(p[k * r + j * c]);                                                                 \
        return b;                                                                                                                            \
    }
CSC_FN float csc_shortened(float f) { return csc_wide(csc_short(f)); }
CSC_HOST_TILES(float, tf32, 8, csc_tf32)
CSC_HOST_TILES(float, f32, 16, csc_shortened)
CSC_HOST_TILES(csc_bf16, bf16, 16, csc_wide)
CSC_HOST_TILES(csc_bf16, bf16_2, 16, csc_wide)
CSC_HOST_TILES(csc_bf16, bf16_8, 16, csc_wide)
CSC_HOST_TILES(csc_bf16, bf16_t, 16, csc_wide)
#define CSC_HOST_MMA(depth, r0, r1, r2, r3, a, b)                                                                                            \
    for (int i = 0; i < 32; i++) {                                                                                                           \
        float *e[4] = {&csc_r[csc_t + i].r0, &csc_r[csc_t + i].r1, &csc_r[csc_t + i].r2, &csc_r[csc_t + i].r3};                              \
        for (int q = 0; q < 4; q++)                                                                                                          \
            for (int k = 0; k < depth; k++) *e[q] = csc_fma(a.x[i / 4 + 8 * (q / 2)][k], b.x[k][2 * (i % 4) + q % 2], *e[q]);                  \
    }
#define CSC_MMA_TF32(r0, r1, r2, r3, a, b) CSC_HOST_MMA(8, r0, r1, r2, r3, a, b)
#define CSC_MMA_BF16(r0, r1, r2, r3, a, b) CSC_HOST_MMA(16, r0, r1, r2, r3, a, b)
#endif

/* ---- matrix units, four warps together: LsMma's `group`. Operands in shared memory lie as core matrices; where, say the 64 bits that wgmma takes
   (csc_cores): address / 16; at bit 16 how far core matrices along the sum are apart / 16; at bit 32 the same across it; no swizzle. The registers
   come as lists of 32 in parentheses. Without wgmma, or with CSC_NO_WGMMA, mma.sync adds to the same registers from the same memory. ---- */
typedef unsigned long long csc_cores;
#define CSC_CORES_OF(address, along, across)                                                                                                 \
    ((csc_cores)((address) & 0x3ffff) >> 4 | (csc_cores)((along) >> 4) << 16 | (csc_cores)((across) >> 4) << 32)
#ifndef CSC_HOST
#define CSC_CORES(p, at, along, across) CSC_CORES_OF(csc_shared_address(p + at), along, across)
#define CSC_ACC(r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, r13, r14, r15,                                                        \
                r16, r17, r18, r19, r20, r21, r22, r23, r24, r25, r26, r27, r28, r29, r30, r31)                                              \
    "+f"(r0), "+f"(r1), "+f"(r2), "+f"(r3), "+f"(r4), "+f"(r5), "+f"(r6), "+f"(r7),                                                          \
    "+f"(r8), "+f"(r9), "+f"(r10), "+f"(r11), "+f"(r12), "+f"(r13), "+f"(r14), "+f"(r15),                                                    \
    "+f"(r16), "+f"(r17), "+f"(r18), "+f"(r19), "+f"(r20), "+f"(r21), "+f"(r22), "+f"(r23),                                                  \
    "+f"(r24), "+f"(r25), "+f"(r26), "+f"(r27), "+f"(r28), "+f"(r29), "+f"(r30), "+f"(r31)
#define CSC_WGMMA_HOLD(...) asm volatile("" : CSC_ACC(__VA_ARGS__)::"memory"); /* nothing that reads them moves up beyond this */
#endif
#ifdef CSC_WGMMA
#define CSC_WGMMA_BEGIN() asm volatile("wgmma.fence.sync.aligned;" ::: "memory")
#define CSC_WGMMA_END() asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory")
#define CSC_WGMMA_WAIT(n) asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(n) : "memory")
/* what threads wrote is for matrix units to read, which look at memory another way */
#define CSC_WGMMA_SYNC()                                                                                                                     \
    do {                                                                                                                                     \
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");                                                                         \
        __syncthreads();                                                                                                                     \
    } while (0)
#define CSC_32 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define CSC_64                                                                                                                               \
    CSC_32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define CSC_WGMMA_BF16_64(ta, tb, a, b, pa, pb, r)                                                                                           \
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" CSC_32 "}, %32, %33, 1, 1, 1, " #ta ", " #tb ";"                   \
                 : CSC_ACC r                                                                                                                 \
                 : "l"(a), "l"(b)                                                                                                            \
                 : "memory");
#define CSC_WGMMA_BF16_128(ta, tb, a, b, pa, pb, r, s)                                                                                       \
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" CSC_64 "}, %64, %65, 1, 1, 1, " #ta ", " #tb ";"                  \
                 : CSC_ACC r, CSC_ACC s                                                                                                      \
                 : "l"(a), "l"(b)                                                                                                            \
                 : "memory");
#define CSC_WGMMA_TF32_64(a, b, pa, pb, r)                                                                                                   \
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k8.f32.tf32.tf32 {" CSC_32 "}, %32, %33, 1, 1, 1;"                                      \
                 : CSC_ACC r                                                                                                                 \
                 : "l"(a), "l"(b)                                                                                                            \
                 : "memory");
#define CSC_WGMMA_TF32_128(a, b, pa, pb, r, s)                                                                                               \
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k8.f32.tf32.tf32 {" CSC_64 "}, %64, %65, 1, 1, 1;"                                     \
                 : CSC_ACC r, CSC_ACC s                                                                                                      \
                 : "l"(a), "l"(b)                                                                                                            \
                 : "memory");
#else
#define CSC_WGMMA_BEGIN() ((void)0)
#define CSC_WGMMA_END() ((void)0)
#define CSC_WGMMA_WAIT(n) ((void)0)
#define CSC_WGMMA_SYNC() CSC_SYNC()
#ifndef CSC_HOST
/* A core matrix is 8 rows of 16 bytes, as ldmatrix reads them; for tf32 too, whose fragments are its pairs of halves. */
CSC_FN csc_a_tile csc_cores_a(csc_cores a, int across) { /* this warp's 16 rows */
    csc_a_tile x;
    const unsigned along = (unsigned)(a >> 16 & 0x3fff) << 4, rows = (unsigned)(a >> 32 & 0x3fff) << 4;
    const unsigned row = (threadIdx.x / 32 % 4) * 2 + CSC_LANE / 8 % 2, at = ((unsigned)(a & 0x3fff) << 4) + row * rows + CSC_LANE / 16 * along + CSC_LANE % 8 * 16;
    if (across) CSC_LDMATRIX_4("trans.", x, at);
    else CSC_LDMATRIX_4("", x, at);
    return x;
}
CSC_FN csc_b_tile csc_cores_b(csc_cores b, int across, int j) { /* columns 8 j .. */
    csc_b_tile x;
    const unsigned along = (unsigned)(b >> 16 & 0x3fff) << 4, columns = (unsigned)(b >> 32 & 0x3fff) << 4;
    const unsigned at = ((unsigned)(b & 0x3fff) << 4) + j * columns + CSC_LANE / 8 % 2 * along + CSC_LANE % 8 * 16;
    if (across) CSC_LDMATRIX_2("trans.", x, at);
    else CSC_LDMATRIX_2("", x, at);
    return x;
}
#define CSC_EIGHTH(kind, j, r0, r1, r2, r3)                                                                                                  \
    { const csc_b_tile y = csc_cores_b(csc_b, csc_turned, csc_first + j); CSC_MMA_##kind(r0, r1, r2, r3, x, y) }
#define CSC_EIGHTHS(...) CSC_EIGHTHS_OF(__VA_ARGS__)
#define CSC_EIGHTHS_OF(kind, r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, r13, r14, r15,                                           \
                       r16, r17, r18, r19, r20, r21, r22, r23, r24, r25, r26, r27, r28, r29, r30, r31)                                       \
    CSC_EIGHTH(kind, 0, r0, r1, r2, r3) CSC_EIGHTH(kind, 1, r4, r5, r6, r7)                                                                  \
    CSC_EIGHTH(kind, 2, r8, r9, r10, r11) CSC_EIGHTH(kind, 3, r12, r13, r14, r15)                                                            \
    CSC_EIGHTH(kind, 4, r16, r17, r18, r19) CSC_EIGHTH(kind, 5, r20, r21, r22, r23)                                                          \
    CSC_EIGHTH(kind, 6, r24, r25, r26, r27) CSC_EIGHTH(kind, 7, r28, r29, r30, r31)
#define CSC_UNPACK(...) __VA_ARGS__
#define CSC_BY_WARPS(ta, tb, a, b, first, do_it)                                                                                             \
    {                                                                                                                                        \
        const csc_a_tile x = csc_cores_a(a, ta);                                                                                             \
        const csc_cores csc_b = b;                                                                                                           \
        enum { csc_turned = tb, csc_first = first };                                                                                         \
        do_it                                                                                                                                \
    }
#define CSC_WGMMA_BF16_64(ta, tb, a, b, pa, pb, r) CSC_BY_WARPS(ta, tb, a, b, 0, CSC_EIGHTHS(BF16, CSC_UNPACK r))
#define CSC_WGMMA_TF32_64(a, b, pa, pb, r) CSC_BY_WARPS(0, 0, a, b, 0, CSC_EIGHTHS(TF32, CSC_UNPACK r))
#define CSC_WGMMA_BF16_128(ta, tb, a, b, pa, pb, r, s)                                                                                       \
    CSC_BY_WARPS(ta, tb, a, b, 0, CSC_EIGHTHS(BF16, CSC_UNPACK r)) CSC_BY_WARPS(ta, tb, a, b, 8, CSC_EIGHTHS(BF16, CSC_UNPACK s))
#define CSC_WGMMA_TF32_128(a, b, pa, pb, r, s) CSC_BY_WARPS(0, 0, a, b, 0, CSC_EIGHTHS(TF32, CSC_UNPACK r)) CSC_BY_WARPS(0, 0, a, b, 8, CSC_EIGHTHS(TF32, CSC_UNPACK s))
#else
#define CSC_CORES(p, at, along, across) CSC_CORES_OF((unsigned)((at) * sizeof *p), along, across) /* p is 0 */
#define CSC_WGMMA_HOLD(...)
#define CSC_PLACES(r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, r13, r14, r15,                                                     \
                   r16, r17, r18, r19, r20, r21, r22, r23, r24, r25, r26, r27, r28, r29, r30, r31)                                           \
    &csc_r[csc_t].r0, &csc_r[csc_t].r1, &csc_r[csc_t].r2, &csc_r[csc_t].r3,                                                                  \
    &csc_r[csc_t].r4, &csc_r[csc_t].r5, &csc_r[csc_t].r6, &csc_r[csc_t].r7,                                                                  \
    &csc_r[csc_t].r8, &csc_r[csc_t].r9, &csc_r[csc_t].r10, &csc_r[csc_t].r11,                                                                \
    &csc_r[csc_t].r12, &csc_r[csc_t].r13, &csc_r[csc_t].r14, &csc_r[csc_t].r15,                                                              \
    &csc_r[csc_t].r16, &csc_r[csc_t].r17, &csc_r[csc_t].r18, &csc_r[csc_t].r19,                                                              \
    &csc_r[csc_t].r20, &csc_r[csc_t].r21, &csc_r[csc_t].r22, &csc_r[csc_t].r23,                                                              \
    &csc_r[csc_t].r24, &csc_r[csc_t].r25, &csc_r[csc_t].r26, &csc_r[csc_t].r27,                                                              \
    &csc_r[csc_t].r28, &csc_r[csc_t].r29, &csc_r[csc_t].r30, &csc_r[csc_t].r31
/* Entry (i, k) of what the bits describe: NaN where they are none that wgmma takes. Of tf32 it sees the upper 19 bits. */
CSC_FN float csc_core(const void *p, csc_cores d, int tf32, int across, int i, int k) {
    const unsigned long each = tf32 ? 4 : 8, size = 16 / each, I = (unsigned long)i, K = (unsigned long)k;
    const unsigned long in = across ? K % each * 16 + I % 8 * size : I % 8 * 16 + K % each * size;
    const unsigned long along = (d >> 16 & 0x3fff) << 4, apart = (d >> 32 & 0x3fff) << 4;
    const unsigned char *at = (const unsigned char *)p + ((d & 0x3fff) << 4) + K / each * along + I / 8 * apart + in;
    if (d & 0xffffc000c000c000ull || (tf32 && across)) return CSC_NAN;
    unsigned u = 0;
    __builtin_memcpy(&u, at, size);
    return csc_float((int)(tf32 ? u & ~0x1fffu : u << 16));
}
CSC_FN void csc_wgmma(float *const *r, unsigned long step, int n, int tf32, int ta, int tb, csc_cores a, csc_cores b, const void *pa, const void *pb) {
    const int depth = tf32 ? 8 : 16;
    float x[64][16], y[128][16];
    for (int i = 0; i < 64; i++)
        for (int k = 0; k < depth; k++) x[i][k] = csc_core(pa, a, tf32, ta, i, k);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < depth; k++) y[i][k] = csc_core(pb, b, tf32, tb, i, k);
    for (int t = 0; t < 128; t++)
        for (int q = 0; q < n / 2; q++) {
            float *const e = (float *)((char *)r[q] + (unsigned long)t * step);
            const int row = t / 32 * 16 + t % 32 / 4 + q / 2 % 2 * 8, column = q / 4 * 8 + t % 4 * 2 + q % 2;
            for (int k = 0; k < depth; k++) *e = csc_fma(x[row][k], y[column][k], *e);
        }
}
#define CSC_HOST_WGMMA(n, tf32, ta, tb, a, b, pa, pb, ...)                                                                                   \
    { float *const csc_q[] = {__VA_ARGS__}; csc_wgmma(csc_q, sizeof *csc_r, n, tf32, ta, tb, a, b, pa, pb); }
#define CSC_WGMMA_BF16_64(ta, tb, a, b, pa, pb, r) CSC_HOST_WGMMA(64, 0, ta, tb, a, b, pa, pb, CSC_PLACES r)
#define CSC_WGMMA_BF16_128(ta, tb, a, b, pa, pb, r, s) CSC_HOST_WGMMA(128, 0, ta, tb, a, b, pa, pb, CSC_PLACES r, CSC_PLACES s)
#define CSC_WGMMA_TF32_64(a, b, pa, pb, r) CSC_HOST_WGMMA(64, 1, 0, 0, a, b, pa, pb, CSC_PLACES r)
#define CSC_WGMMA_TF32_128(a, b, pa, pb, r, s) CSC_HOST_WGMMA(128, 1, 0, 0, a, b, pa, pb, CSC_PLACES r, CSC_PLACES s)
#endif
#endif
