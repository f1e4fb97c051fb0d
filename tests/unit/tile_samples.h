/* Hand-made kernels with tiles and short floats, as text, for the tests of loop and llvm. */
#ifndef CSC_TESTS_TILE_SAMPLES_H
#define CSC_TESTS_TILE_SAMPLES_H

#define TILE_ENTRY(in, out, scratch) \
    "entry \"forward\" kind 1 stage 0 nin " #in " nout 1 vars 4 fixed 0 batch 0 lane 0 prepared 0 thread " #scratch "\n"

/* y = X X, X read as 16 x 32 and as 32 x 16 */
static const char tile_product[] =
    "blocks 0 0 0\n"
    "kernel \"product\" ints 0 vars 3\n"
    "  ptr p0 \"x\" extent 512\n"
    "  ptr p1 \"y\" writes extent 256\n"
    "  ptr p2 \"a\" bf16 writes thread 1024\n"
    "  ptr p3 \"b\" bf16 writes thread 1024\n"
    "{\n"
    "  for v2 = 0 .. 32 { store(p2, (16 * v2), load:16(p0, (16 * v2))) }\n"
    "  for v2 = 0 .. 16 { pairs(p3, (32 * v2), load:16(p0, (32 * v2)), load:16(p0, ((32 * v2) + 16))) }\n"
    "  tile clear 0\n"
    "  tile load 4 (p2, 0, 32)\n"
    "  tile load 6 (p3, 0, 32)\n"
    "  tile dot 0 4 6\n"
    "  tile store 0 (p1, 0, 16)\n"
    "}\n" TILE_ENTRY(1, 1, 2048) "  in 512\n  out 256\n{ launch 0 (1; in.0[0], out.0[0]) }\n";

/* y = A B, both rounded: A 16 x 32, B 32 x 16 (pairs of its rows together), 2 grid points with the same work */
static const char tile_two[] =
    "blocks 0 0 0\n"
    "kernel \"two\" ints 0 vars 3\n"
    "  ptr p0 \"x\" extent 512\n"
    "  ptr p1 \"w\" extent 512\n"
    "  ptr p2 \"y\" writes extent 256\n"
    "  ptr p3 \"a\" bf16 writes thread 1024\n"
    "  ptr p4 \"b\" bf16 writes thread 1024\n"
    "{\n"
    "  for v2 = 0 .. 32 { store(p3, (16 * v2), load:16(p0, (16 * v2))) }\n"
    "  for v2 = 0 .. 16 { pairs(p4, (32 * v2), load:16(p1, (32 * v2)), load:16(p1, ((32 * v2) + 16))) }\n"
    "  tile clear 3\n"
    "  tile load 1 (p3, 0, 32)\n"
    "  tile load 7 (p4, 0, 32)\n"
    "  tile dot 3 1 7\n"
    "  tile store 3 (p2, 0, 16)\n"
    "}\n" TILE_ENTRY(2, 1, 2048) "  in 512\n  in 512\n  out 256\n{ launch 0 (1; in.0[0], in.1[0], out.0[0]) }\n";

/* y = the sum of the three short floats that x is */
static const char tile_split[] =
    "blocks 0 0 0\n"
    "kernel \"split\" ints 0 vars 3\n"
    "  ptr p0 \"x\" extent 512\n"
    "  ptr p1 \"y\" writes extent 512\n"
    "  ptr p2 \"h\" bf16 writes thread 128\n"
    "  regs 4 : 16\n"
    "{\n"
    "  for v2 = 0 .. 512 step 16 {\n"
    "    r0 = bf16(load:16(p0, v2))\n"
    "    r3 = sub(load:16(p0, v2), r0:16)\n"
    "    r1 = bf16(r3:16)\n"
    "    r2 = bf16(sub(r3:16, r1:16))\n"
    "    pairs(p2, 0, r0:16, r1:16)\n"
    "    store(p2, 32, r2:16)\n"
    "    store(p1, v2, add(gather:16(p2, 0, 2), add(gather:16(p2, 1, 2), load:16(p2, 32))))\n"
    "  }\n"
    "}\n" TILE_ENTRY(1, 1, 128) "  in 512\n  out 512\n{ launch 0 (1; in.0[0], out.0[0]) }\n";

/* Short floats of other widths, through the workspace: pairs of 8 and 4, scalars, counts. 32 results. */
static const char tile_odds[] =
    "blocks 0 0 0\n"
    "kernel \"odds\" ints 0 vars 3\n"
    "  ptr p0 \"x\" extent 64\n"
    "  ptr p1 \"h\" bf16 writes extent 64\n"
    "{\n"
    "  pairs(p1, 0, load:8(p0, 0), load:8(p0, 12))\n"
    "  pairs(p1, 16, load:4(p0, 8), load:4(p0, 20))\n"
    "  store(p1, 24, load:4(p0, 24))\n"
    "  store(p1, 28, load:4(p0, 28), 2)\n"
    "  scatter(p1, 33, 2, load:2(p0, 40))\n"
    "}\n"
    "kernel \"widen\" ints 0 vars 3\n"
    "  ptr p0 \"h\" bf16 extent 64\n"
    "  ptr p1 \"y\" writes extent 32\n"
    "{\n"
    "  for v2 = 0 .. 24 { store(p1, v2, load:1(p0, v2)) }\n"
    "  store(p1, 24, load:4(p0, 24))\n"
    "  store(p1, 28, load:4(p0, 28, 2))\n"
    "}\n"
    "entry \"forward\" kind 1 stage 0 nin 1 nout 1 vars 4 fixed 32 batch 0 lane 0 prepared 0 thread 0\n"
    "  in 512\n  out 512\n{ launch 0 (1; in.0[0], fixed[0])\n launch 1 (1; fixed[0], out.0[0]) }\n";
#endif
