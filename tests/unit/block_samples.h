/* Block kernels in text, for the tests of loop and of the CUDA text. Each module has one entry; its inputs and outputs have the sizes that the
   entry says. */
#ifndef CSC_TEST_BLOCK_SAMPLES_H
#define CSC_TEST_BLOCK_SAMPLES_H

/* y[sample] = sum of x[sample][0..1000): threads, then warps, then the block. */
static const char block_sum[] =
    "blocks 0 0 0\n"
    "kernel \"sum\" ints 0 vars 3 threads 64\n"
    "  ptr p0 \"x\" extent (v1 * 1000)\n"
    "  ptr p1 \"y\" writes extent v1\n"
    "  ptr p2 \"part\" writes shared 128\n"
    "  regs 1 : 1\n"
    "{\n"
    "  threads {\n"
    "    for v2 = thread .. 1000 step 64 { r0 = add(r0:1, load:1(p0, ((v0 * 1000) + v2))) }\n"
    "  }\n"
    "  warp add r0\n"
    "  threads {\n"
    "    if ((thread % 32) == 0) { store(p2, (thread / 32), r0:1) }\n"
    "  }\n"
    "  sync\n"
    "  threads {\n"
    "    if (thread == 0) { store(p1, v0, add(load:1(p2, 0), load:1(p2, 1))) }\n"
    "  }\n"
    "}\n"
    "entry \"eval\" kind 0 stage 0 nin 1 nout 1 vars 4 fixed 0 batch 0 lane 0 thread 0\n"
    "  in 1000 batched\n  out 1 batched\n"
    "{ launch 0 (v0; in.0[0], out.0[0]) }\n";

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
    "entry \"eval\" kind 0 stage 0 nin 2 nout 1 vars 4 fixed 0 batch 0 lane 0 thread 0\n"
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
    "entry \"eval\" kind 0 stage 0 nin 2 nout 1 vars 4 fixed 0 batch 0 lane 0 thread 0\n"                                                           \
    "  in 1024\n  in 1024\n  out 1024\n"                                                                                                     \
    "{ launch 0 (1; in.0[0], in.1[0], out.0[0]) }\n"
static const char block_mma_tf32[] = BLOCK_MMA("tf32", "8", "", "5120");
static const char block_mma_bf16[] = BLOCK_MMA("bf16", "16", " bf16", "2560");
static const char block_mma_bf16_across[] = BLOCK_MMA_OF("bf16", "16", " bf16", "2560", "((v2 % 32) * 40) + (v2 / 32)", "((v2 / 32) * 40) + (v2 % 32)",
                                                         "(v4 * 40), 1, 40", "(((thread / 32) * 16) + (v4 * 40)), 40, 1"); /* neighbours along rows and columns */
static const char block_mma_bf16_odd[] = BLOCK_MMA_OF("bf16", "16", " bf16", "2560", "(((v2 / 32) * 39) + (v2 % 32)) + 1", "((v2 % 32) * 38) + (v2 / 32)",
                                                      "(v4 + 1), 39, 1", "(((thread / 32) * 608) + v4), 1, 38"); /* not aligned; aligned to two */
static const char block_mma_bf16_wide[] = BLOCK_MMA("bf16", "16", "", "5120"); /* rounded where they are multiplied */

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
    "entry \"eval\" kind 0 stage 0 nin 1 nout 1 vars 4 fixed 0 batch 208 lane 0 thread 64\n"
    "  in 101 batched\n  out 101 batched\n"
    "{ launch 0 ((((v0 * 101) + 127) / 128); in.0[0], batch[0], out.0[0]; 3) }\n";

/* A block that races, or not: two regions of a kernel of 32 threads, shared memory p1 of 64 floats. */
/* Lanes of an entry: kernel 0 adds one. v4: the lane; v5: does it run alone? v6: another variable. */
#define LANES(BODY)                                                                                                                           \
    "blocks 0 0 0\n"                                                                                                                          \
    "kernel \"inc\" ints 0 vars 2\n"                                                                                                          \
    "  ptr p0 \"x\" extent 1\n  ptr p1 \"y\" writes extent 1\n"                                                                   \
    "{ store(p1, 0, add(load:1(p0, 0), 1:1)) }\n"                                                                                             \
    "entry \"eval\" kind 0 stage 0 nin 1 nout 1 vars 7 fixed 32 batch 0 lane 16 thread 0\n"                                                   \
    "  in 64\n  out 64\n"                                                                                                                     \
    "{ " BODY " }\n"

#define BLOCK_RACE(BODY)                                                                                                                      \
    "blocks 0 0 0\n"                                                                                                                         \
    "kernel \"race\" ints 0 vars 4 threads 32\n"                                                                                             \
    "  ptr p0 \"y\" writes extent 64\n  ptr p1 \"s\" writes shared 256\n  ptr p2 \"b\" bf16 writes shared 128\n  regs 4 : 1\n"                \
    "{\n" BODY "\n}\n"                                                                                                                       \
    "entry \"eval\" kind 0 stage 0 nin 1 nout 1 vars 4 fixed 0 batch 0 lane 0 thread 0\n"                                                           \
    "  in 64\n  out 64\n"                                                                                                                    \
    "{ launch 0 (2; out.0[0]) }\n"
#endif
