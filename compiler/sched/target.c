/* What the processors that code is made for offer. */
#include "sched/sched.h"
#include <stdio.h>
#include <string.h>

static const char *native_level(void) {
#if defined __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) return "x86-64-v4";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "x86-64-v3";
#elif defined __aarch64__
    return "aarch64";
#endif
    return "x86-64-v2";
}

static bool gpu_target(const char *cpu, SchedTarget *out) {
    int sm = 0;
    char rest[8] = "";
    if (strcmp(cpu, "cuda") && (sscanf(cpu, "sm_%d%7s", &sm, rest) < 1 || sm < 70 || (*rest && strcmp(rest, "a")))) return false;
    *out = (SchedTarget){.lanes = 1, .registers = 255, .gpu = true};
    return true;
}

bool sched_target_runs(const char *cpu) {
    static const char *const levels[] = {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"};
    enum { LEVELS = sizeof levels / sizeof *levels };
    int asked = LEVELS, here = LEVELS;
    const char *native = native_level();
    for (int i = 0; i < LEVELS; i++) {
        if (!strcmp(cpu, levels[i])) asked = i;
        if (!strcmp(native, levels[i])) here = i;
    }
    if (asked < LEVELS && here < LEVELS) return asked <= here;
    return !strcmp(cpu, native) || !strcmp(cpu, "native");
}

bool sched_target(const char *cpu, SchedTarget *out) {
    static const struct {
        const char *cpu;
        SchedTarget t;
    } known[] = {{"x86-64", {.lanes = 4, .registers = 16}},
                 {"x86-64-v2", {.lanes = 4, .registers = 16}},
                 {"x86-64-v3", {.lanes = 8, .registers = 16}},
                 {"x86-64-v4", {.lanes = 16, .registers = 32}},
                 {"aarch64", {.lanes = 4, .registers = 32}}};
    if (!strcmp(cpu, "native")) cpu = native_level();
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(cpu, known[i].cpu)) return *out = known[i].t, true;
    return gpu_target(cpu, out);
}
