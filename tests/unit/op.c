/* The operator table against itself: shapes, linearity, adjoint pairs; every test runs over random instances. */
#include "check.h"
#include "op/eval.h"
#include "optest.h"

enum { SEEDS = 40 };

#define FOR_INSTANCES(t, kind)                                                                                 \
    for (uint64_t seed = 0; seed < SEEDS; seed++)                                                              \
        for (OpKind kind = 0; kind < OP_COUNT; kind++)                                                         \
            for (Arena *a = arena_new(), *once = a; once; arena_free(a), once = NULL)                          \
                for (OpTest t = optest_instance(a, kind, seed), *now = &t; now; now = NULL)

TEST(instances_are_valid) {
    FOR_INSTANCES(t, kind) {
        const char *why = "";
        if (!graph_check(t.graph, &why)) FAIL("%s, seed %d: %s", op_info[kind].name, (int)seed, why);
        Value *v = eval_graph(a, t.graph, &t.env);
        for (size_t o = 0; o < t.graph->outs.len; o++) {
            const Value *out = &v[t.graph->outs.at[o].node];
            int64_t n = shape_size(out->shape) * (out->batched ? t.env.batch : 1);
            for (int64_t i = 0; i < n; i++)
                if (!isfinite(out->at[i])) FAIL("%s, seed %d: entry %d is %g", op_info[kind].name, (int)seed, (int)i, out->at[i]);
        }
    }
}

int main(int argc, char **argv) { return run_tests(argc, argv, (Case[]){T(instances_are_valid)}, 1); }
