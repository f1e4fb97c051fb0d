/* What the processors that code is made for offer. */
#include "sched/sched.h"
#include <string.h>

static const char *native_level(void) {
#if defined __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) return "x86-64-v4";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "x86-64-v3";
#endif
    return "x86-64-v2";
}

bool sched_target(const char *cpu, SchedTarget *out) {
    static const struct {
        const char *cpu;
        SchedTarget t;
    } known[] = {{"x86-64", {.lanes = 4, .registers = 16}},
                 {"x86-64-v2", {.lanes = 4, .registers = 16}},
                 {"x86-64-v3", {.lanes = 8, .registers = 16}},
                 {"x86-64-v4", {.lanes = 16, .registers = 32}}};
    if (!strcmp(cpu, "native")) cpu = native_level();
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(cpu, known[i].cpu)) return *out = known[i].t, true;
    return false;
}
