/* Block kernels in text, for the tests of loop and of the CUDA text. Each module has one entry; its inputs and outputs have the sizes that the
   entry says. */
#ifndef CSC_TEST_BLOCK_SAMPLES_H
#define CSC_TEST_BLOCK_SAMPLES_H
#include <stdbool.h>

#define BLOCK_SUM_POINTERS \
    "  ptr p0 \"x\" extent (v1 * 1000)\n" \
    "  ptr p1 \"y\" writes extent v1\n" \
    "  ptr p2 \"part\" writes shared 128\n"
#define BLOCK_SUM_BODY \
    "  threads {\n" \
    "    for v2 = thread .. 1000 step 64 { r0 = add(r0:1, load:1(p0, ((v0 * 1000) + v2))) }\n" \
    "  }\n" \
    "  warp add r0\n" \
    "  threads {\n" \
    "    if ((thread % 32) == 0) { store(p2, (thread / 32), r0:1) }\n" \
    "  }\n" \
    "  sync\n" \
    "  threads {\n" \
    "    if (thread == 0) { store(p1, v0, add(load:1(p2, 0), load:1(p2, 1))) }\n" \
    "  }\n"

/* y[sample] = sum of x[sample][0..1000): threads, then warps, then the block. */
static const char block_sum[] =
    "blocks 0 0 0\n"
    "kernel \"sum\" ints 0 vars 3 threads 64\n"
    BLOCK_SUM_POINTERS
    "  regs 1 : 1\n"
    "{\n"
    BLOCK_SUM_BODY
    "}\n"
    "entry \"eval\" kind 0 stage 0 nin 1 nout 1 vars 4 fixed 0 batch 0 lane 0 prepared 0 thread 0\n"
    "  in 1000 batched\n  out 1 batched\n"
    "{ launch 0 (v0; in.0[0], out.0[0]) }\n";

/* The same sums, less their own sum, which the last block knows. */
static const char block_last[] =
    "blocks 0 0 0\n"
    "kernel \"less\" ints 0 vars 3 threads 64\n"
    BLOCK_SUM_POINTERS
    "  regs 2 : 1\n"
    "{\n"
    BLOCK_SUM_BODY
    "  last {\n"
    "    threads {\n"
    "      for v2 = 0 .. v1 step 1 { r1 = add(r1:1, load:1(p1, v2)) }\n"
    "    }\n"
    "    sync\n"
    "    threads {\n"
    "      for v2 = thread .. v1 step 64 { store(p1, v2, sub(load:1(p1, v2), r1:1)) }\n"
    "    }\n"
    "  }\n"
    "}\n"
    "entry \"eval\" kind 0 stage 0 nin 1 nout 1 vars 4 fixed 0 batch 0 lane 0 prepared 0 thread 0\n"
    "  in 1000 batched\n  out 1 batched\n"
    "{ launch 0 (v0; in.0[0], out.0[0]) launch 0 (v0; in.0[0], out.0[0]) }\n";

/* Y = X W, X [64][64], W [64][32], in float32: a tile of 32 x 32, 64 threads with 4 x 4 each, slices of 8 through two buffers, copied ahead. */
static const char block_product[] =
    "blocks 0 0 0\n"
    "kernel \"product\" ints 0 vars 8 threads 64\n"
    "  ptr p0 \"x\" extent 4096\n"
    "  ptr p1 \"w\" extent 2048\n"
    "  ptr p2 \"y\" writes extent 2048\n"
    "  ptr p3 \"xs\" writes shared 3072\n" /* 2 buffers of 32 rows, 8 + 4 columns */
    "  ptr p4 \"ws\" writes shared 2048\n" /* 2 of 8 rows, 32 columns */
    "  regs 16 : 1\n  regs 4 : 1\n  regs 1 : 4\n"
    "{\n"
    "  threads {\n"
    "    copy(p3, (((thread / 2) * 12) + ((thread % 2) * 4)), aligned:4(p0, ((((v0 * 32) + (thread / 2)) * 64) + ((thread % 2) * 4))))\n"
    "    copy(p4, (thread * 4), aligned:4(p1, (thread * 4)))\n"
    "  }\n"
    "  group\n"
    "  for v2 = 0 .. 8 {\n"
    "    if (v2 < 7) {\n"
    "      threads {\n"
    "        copy(p3, (((((v2 + 1) % 2) * 384) + ((thread / 2) * 12)) + ((thread % 2) * 4)), aligned:4(p0, (((((v0 * 32) + (thread / 2)) * 64) + "
    "((v2 + 1) * 8)) + ((thread % 2) * 4))))\n"
    "        copy(p4, ((((v2 + 1) % 2) * 256) + (thread * 4)), aligned:4(p1, (((v2 + 1) * 256) + (thread * 4))))\n"
    "      }\n"
    "      group\n"
    "      wait 1\n"
    "    } else { wait 0 }\n"
    "    sync\n"
    "    threads {\n"
    "      for v3 = 0 .. 8 unroll {\n"
    "        for v4 = 0 .. 4 unroll { r[16 + v4] = load:1(p3, (((((v2 % 2) * 384) + ((thread / 8) * 48)) + (v4 * 12)) + v3)) }\n"
    "        r20 = aligned:4(p4, ((((v2 % 2) * 256) + (v3 * 32)) + ((thread % 8) * 4)))\n"
    "        for v4 = 0 .. 4 unroll {\n"
    "          r[0 + (v4 * 4)] = fma(r[16 + v4]:1, lane(0, r20:4), r[0 + (v4 * 4)]:1)\n"
    "          r[1 + (v4 * 4)] = fma(r[16 + v4]:1, lane(1, r20:4), r[1 + (v4 * 4)]:1)\n"
    "          r[2 + (v4 * 4)] = fma(r[16 + v4]:1, lane(2, r20:4), r[2 + (v4 * 4)]:1)\n"
    "          r[3 + (v4 * 4)] = fma(r[16 + v4]:1, lane(3, r20:4), r[3 + (v4 * 4)]:1)\n"
    "        }\n"
    "      }\n"
    "    }\n"
    "    sync\n"
    "  }\n"
    "  threads {\n"
    "    for v4 = 0 .. 4 unroll {\n"
    "      store aligned(p2, (((((v0 * 32) + ((thread / 8) * 4)) + v4) * 32) + ((thread % 8) * 4)),\n"
    "                    pack:4(r[0 + (v4 * 4)]:1, r[1 + (v4 * 4)]:1, r[2 + (v4 * 4)]:1, r[3 + (v4 * 4)]:1))\n"
    "    }\n"
    "  }\n"
    "}\n"
    "entry \"eval\" kind 0 stage 0 nin 2 nout 1 vars 4 fixed 0 batch 0 lane 0 prepared 0 thread 0\n"
    "  in 4096\n  in 2048\n  out 2048\n"
    "{ launch 0 (2; in.0[0], in.1[0], out.0[0]) }\n";

/* Y = X W on matrix units: X [32][32], W [32][32], two warps, each 32 x 16. The letters stand for the precision, the depth of a product
   and the kind of shared memory. */
#define BLOCK_MMA(PRECISION, DEPTH, ELEM, BYTES) BLOCK_MMA_OF(PRECISION, DEPTH, ELEM, BYTES, "((v2 / 32) * 40) + (v2 % 32)", "((v2 % 32) * 40) + (v2 / 32)", "v4, 40, 1", "(((thread / 32) * 640) + v4), 1, 40")
/* .. and where entries are put and found */
#define BLOCK_MMA_OF(PRECISION, DEPTH, ELEM, BYTES, X_TO, W_TO, X_AT, W_AT)                                                                                              \
    "blocks 0 0 0\n"                                                                                                                         \
    "kernel \"mma\" ints 0 vars 6 threads 64\n"                                                                                              \
    "  ptr p0 \"x\" extent 1024\n  ptr p1 \"w\" extent 1024\n  ptr p2 \"y\" writes extent 1024\n"                                              \
    "  ptr p3 \"xs\"" ELEM " writes shared " BYTES "\n  ptr p4 \"ws\"" ELEM " writes shared " BYTES "\n"                                       \
    "  regs 16 : 1\n"                                                                                                                        \
    "{\n"                                                                                                                                    \
    "  threads {\n"                                                                                                                          \
    "    for v2 = thread .. 1024 step 64 {\n"                                                                                                \
    "      store(p3, (" X_TO "), load:1(p0, v2))\n"                                                                      \
    "      store(p4, (" W_TO "), load:1(p1, v2))\n"                                            \
    "    }\n"                                                                                                                                \
    "  }\n"                                                                                                                                  \
    "  sync\n"                                                                                                                               \
    "  for v4 = 0 .. 32 step " DEPTH " { mma " PRECISION " r0 2 2 " DEPTH " p3[" X_AT "] p4[" W_AT "] }\n"        \
    "  threads {\n"                                                                                                                          \
    "    for v2 = 0 .. 2 unroll { for v3 = 0 .. 8 unroll {\n"                                                                                \
    "      store(p2, ((((((v2 * 16) + ((thread % 32) / 4)) + (((v3 / 2) % 2) * 8)) * 32) + ((thread / 32) * 16)) + "                          \
    "((((v3 / 4) * 8) + (((thread % 32) % 4) * 2)) + (v3 % 2))), r[0 + ((v2 * 8) + v3)]:1)\n"                                                \
    "    } }\n"                                                                                                                              \
    "  }\n"                                                                                                                                  \
    "}\n"                                                                                                                                    \
    "entry \"eval\" kind 0 stage 0 nin 2 nout 1 vars 4 fixed 0 batch 0 lane 0 prepared 0 thread 0\n"                                                           \
    "  in 1024\n  in 1024\n  out 1024\n"                                                                                                     \
    "{ launch 0 (1; in.0[0], in.1[0], out.0[0]) }\n"
static const char block_mma_tf32[] = BLOCK_MMA("tf32", "8", "", "5120");
static const char block_mma_bf16[] = BLOCK_MMA("bf16", "16", " bf16", "2560");
static const char block_mma_bf16_across[] = BLOCK_MMA_OF("bf16", "16", " bf16", "2560", "((v2 % 32) * 40) + (v2 / 32)", "((v2 / 32) * 40) + (v2 % 32)",
                                                         "(v4 * 40), 1, 40", "(((thread / 32) * 16) + (v4 * 40)), 40, 1"); /* neighbours along rows and columns */
static const char block_mma_bf16_odd[] = BLOCK_MMA_OF("bf16", "16", " bf16", "2560", "(((v2 / 32) * 39) + (v2 % 32)) + 1", "((v2 % 32) * 38) + (v2 / 32)",
                                                      "(v4 + 1), 39, 1", "(((thread / 32) * 608) + v4), 1, 38"); /* not aligned; aligned to two */
static const char block_mma_bf16_wide[] = BLOCK_MMA("bf16", "16", "", "5120"); /* rounded where they are multiplied */

/* Y = X W by one group of four warps: M x N tiles, 64 M rows of X, 8 N columns of W, two products of 32 under way at a time. Where entry v3, v4
   (row or column, of the sum) of each side is put; how its core matrices lie, and where those of the second product begin. */
#define BLOCK_GROUP_OF(WAIT, PRECISION, ELEM, BYTES, M, N, X_TO, X_HOW, X_MORE, W_TO, W_HOW, W_MORE)                                         \
    "blocks 0 0 0\n"                                                                                                                         \
    "kernel \"group\" ints 0 vars 6 threads 128\n"                                                                                           \
    "  ptr p0 \"x\" extent 8192\n  ptr p1 \"w\" extent 8192\n  ptr p2 \"y\" writes extent 8192\n"                                            \
    "  ptr p3 \"xs\" " ELEM " writes shared " BYTES "\n  ptr p4 \"ws\" " ELEM " writes shared " BYTES "\n"                                   \
    "  regs 64 : 1\n"                                                                                                                        \
    "{\n"                                                                                                                                    \
    "  threads {\n"                                                                                                                          \
    "    for v2 = thread .. (" M " * 4096) step 128 { v3 = (v2 / 64) v4 = (v2 % 64) store(p3, (" X_TO "), load:1(p0, v2)) }\n"               \
    "    for v2 = thread .. (" N " * 512) step 128 { v3 = (v2 % (" N " * 8)) v4 = (v2 / (" N " * 8)) store(p4, (" W_TO "), load:1(p1, v2)) }\n" \
    "  }\n"                                                                                                                                  \
    "  sync\n"                                                                                                                               \
    "  mma group " PRECISION " r0 " M " " N " 32 p3[0, " X_HOW " p4[0, " W_HOW "\n"                                                          \
    "  mma group " PRECISION " r0 " M " " N " 32 p3[" X_MORE ", " X_HOW " p4[" W_MORE ", " W_HOW "\n"                                        \
    "  " WAIT "\n"                                                                                                                           \
    "  threads {\n"                                                                                                                          \
    "    for v2 = 0 .. " M " unroll { for v3 = 0 .. " N " unroll { for v4 = 0 .. 4 unroll {\n"                                               \
    "      store(p2, (((((v2 * 64) + ((thread / 32) * 16)) + (((thread % 32) / 4) + ((v4 / 2) * 8))) * (" N " * 8)) + ((v3 * 8) + (((thread % 4) * 2) + (v4 % 2)))),\n" \
    "            r[0 + (((v2 * (" N " * 4)) + (v3 * 4)) + v4)]:1)\n"                                                                         \
    "    } } }\n"                                                                                                                            \
    "  }\n"                                                                                                                                  \
    "}\n"                                                                                                                                    \
    "entry \"eval\" kind 0 stage 0 nin 2 nout 1 vars 4 fixed 0 batch 0 lane 0 prepared 0 thread 0\n"                                                    \
    "  in 8192\n  in 8192\n  out 8192\n"                                                                                                     \
    "{ launch 0 (1; in.0[0], in.1[0], out.0[0]) }\n"
#define BLOCK_GROUP(WAIT, ...) BLOCK_GROUP_OF(WAIT, __VA_ARGS__)
#define GROUP_ALONG_4 "(((v3 / 8) * 32) + ((v4 / 4) * 520)) + (((v3 % 8) * 4) + (v4 % 4))"
#define GROUP_ALONG_8 "(((v3 / 8) * 64) + ((v4 / 8) * 1040)) + (((v3 % 8) * 8) + (v4 % 8))"
#define GROUP_ACROSS_8 "(((v3 / 8) * 520) + ((v4 / 8) * 64)) + ((v3 % 8) + ((v4 % 8) * 8))"
#define GROUP_TF32(M, N) "tf32", "tf32", "33280", M, N, GROUP_ALONG_4, "32, 520]", "4160", GROUP_ALONG_4, "520, 32]", "4160"
#define GROUP_BF16(M, N) "bf16", "bf16", "16640", M, N, GROUP_ALONG_8, "64, 1040]", "4160", GROUP_ALONG_8, "1040, 64]", "4160"
#define GROUP_ACROSS(M, N) "bf16", "bf16", "16640", M, N, GROUP_ACROSS_8, "520, 64] across", "256", GROUP_ACROSS_8, "64, 520] across", "256"
#define GROUP_MIXED(M, N) "bf16", "bf16", "16640", M, N, GROUP_ACROSS_8, "520, 64] across", "256", GROUP_ALONG_8, "1040, 64]", "4160"
#define BLOCK_GROUP_WAITS "mma wait 1\n  mma wait 0"
static const char block_group_tf32[] = BLOCK_GROUP(BLOCK_GROUP_WAITS, GROUP_TF32("2", "8")), block_group_tf32_wide[] = BLOCK_GROUP(BLOCK_GROUP_WAITS, GROUP_TF32("1", "16"));
static const char block_group_bf16[] = BLOCK_GROUP(BLOCK_GROUP_WAITS, GROUP_BF16("2", "8")), block_group_bf16_wide[] = BLOCK_GROUP(BLOCK_GROUP_WAITS, GROUP_BF16("1", "16"));
static const char block_group_across[] = BLOCK_GROUP(BLOCK_GROUP_WAITS, GROUP_ACROSS("1", "16")), block_group_mixed[] = BLOCK_GROUP(BLOCK_GROUP_WAITS, GROUP_MIXED("2", "8"));
/* name, whether tf32, columns */
typedef struct GroupSample {
    const char *name, *text;
    bool tf32;
    int columns;
} GroupSample;
enum { GROUP_SAMPLES = 6, GROUP_FLOATS = 8192 };
static const GroupSample group_samples[GROUP_SAMPLES] = {
    {"tf32", block_group_tf32, true, 64},  {"tf32, 128 columns", block_group_tf32_wide, true, 128}, {"bf16", block_group_bf16, false, 64}, {"bf16, 128 columns", block_group_bf16_wide, false, 128},
    {"bf16 across", block_group_across, false, 128}, {"bf16, A across", block_group_mixed, false, 64},
};

/* y = reversed x in pairs through scratch, short floats in between; a last block that is not full; vectors of 4 and counts. */
static const char block_odds[] =
    "blocks 0 0 0\n"
    "kernel \"odds\" ints 1 vars 6 threads 32\n"
    "  ptr p0 \"x\" extent (v2 * 101)\n"
    "  ptr p1 \"short\" bf16 writes extent (v2 * 202)\n"
    "  ptr p2 \"y\" writes extent (v2 * 101)\n"
    "  ptr p3 \"old\" writes thread 16\n"
    "  regs 1 : 4\n  regs 1 : 1\n"
    "{\n"
    "  v3 = (v1 * 128)\n"
    "  threads {\n"
    "    v4 = (v3 + (thread * 4))\n"
    "    v5 = ((v2 * 101) - v4)\n"
    "    r0 = mul(load:4(p0, v4, v5), splat:4(i2f:1((v0 + 2))))\n"
    "    store(p3, 0, r0:4)\n"
    "    store(p1, v4, r0:4, v5)\n"
    "    r1 = hsum(select(lt(r0:4, splat:4(0.5:1)), r0:4, neg(r0:4)))\n"
    "  }\n"
    "  sync\n"
    "  threads {\n"
    "    v4 = (v3 + (thread * 4))\n"
    "    store(p2, v4, add(gather:4(p3, 3, -1), max(splat:4(r1:1), load:4(p1, v4, ((v2 * 101) - v4)))), ((v2 * 101) - v4))\n"
    "  }\n"
    "}\n"
    "entry \"eval\" kind 0 stage 0 nin 1 nout 1 vars 4 fixed 0 batch 208 lane 0 prepared 0 thread 64\n"
    "  in 101 batched\n  out 101 batched\n"
    "{ launch 0 ((((v0 * 101) + 127) / 128); in.0[0], batch[0], out.0[0]; 3) }\n";

/* A block that races, or not: two regions of a kernel of 32 threads, shared memory p1 of 64 floats. */
/* Lanes of an entry: kernel 0 adds one. v4: the lane; v5: does it run alone? v6: another variable. */
#define LANES(BODY)                                                                                                                           \
    "blocks 0 0 0\n"                                                                                                                          \
    "kernel \"inc\" ints 0 vars 2\n"                                                                                                          \
    "  ptr p0 \"x\" extent 1\n  ptr p1 \"y\" writes extent 1\n"                                                                   \
    "{ store(p1, 0, add(load:1(p0, 0), 1:1)) }\n"                                                                                             \
    "entry \"eval\" kind 0 stage 0 nin 1 nout 1 vars 7 fixed 32 batch 0 lane 16 prepared 0 thread 0\n"                                                   \
    "  in 64\n  out 64\n"                                                                                                                     \
    "{ " BODY " }\n"

#define BLOCK_RACE(BODY)                                                                                                                      \
    "blocks 0 0 0\n"                                                                                                                         \
    "kernel \"race\" ints 0 vars 4 threads 32\n"                                                                                             \
    "  ptr p0 \"y\" writes extent 64\n  ptr p1 \"s\" writes shared 256\n  ptr p2 \"b\" bf16 writes shared 128\n  regs 4 : 1\n"                \
    "{\n" BODY "\n}\n"                                                                                                                       \
    "entry \"eval\" kind 0 stage 0 nin 1 nout 1 vars 4 fixed 0 batch 0 lane 0 prepared 0 thread 0\n"                                                           \
    "  in 64\n  out 64\n"                                                                                                                    \
    "{ launch 0 (2; out.0[0]) }\n"
#endif
