/* What the processors that code is made for offer. */
#include "sched/sched.h"
#include <stdio.h>
#include <string.h>
#if defined __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined __x86_64__
/* The matrix unit, bf16 on it and on vectors; Linux gives the tiles' memory to a process that asks for it. */
static bool has_tiles(void) {
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, AVX512_BF16 = 1 << 5, REQUEST = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d, a1, b1, c1, d1;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & AMX_BF16) || !(d & AMX_TILE)) return false;
    if (!__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1) || !(a1 & AVX512_BF16)) return false;
    return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}
#endif

static const char *highest_level(void) {
#if defined __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) return has_tiles() ? "x86-64-v4+amx" : "x86-64-v4";
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
    static const char *const levels[] = {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4+amx"};
    enum { LEVELS = sizeof levels / sizeof *levels };
    int asked = LEVELS, here = LEVELS;
    const char *native = highest_level();
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
                 {"x86-64-v4+amx", {.lanes = 16, .registers = 32, .tiles = 1}},
                 {"aarch64", {.lanes = 4, .registers = 32}}};
    bool native = !strcmp(cpu, "native");
    if (native) cpu = highest_level();
    /* The matrix unit where it is asked for by name: a processor that others use too runs it at a quarter of its rate for seconds (docs/performance.md) */
    if (!strcmp(cpu, "x86-64-v4+amx") && native) cpu = "x86-64-v4";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(cpu, known[i].cpu)) return *out = known[i].t, true;
    return gpu_target(cpu, out);
}
