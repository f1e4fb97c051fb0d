/* From operator graphs to loop nests: fusion, layout, tiles, threads, the memory plan. */
#ifndef CSC_SCHED_SCHED_H
#define CSC_SCHED_SCHED_H
#include "loop/loop.h"
#include "op/program.h"

typedef struct SchedTarget {
    int32_t lanes;     /* float32 lanes of a vector: 4, 8, 16 */
    int32_t registers; /* vector registers: 16 or 32 */
    int32_t group;     /* samples computed at a time where the graph allows; 0: sched chooses */
} SchedTarget;

/* "native" (this machine), "x86-64-v2", "x86-64-v3", "x86-64-v4". False: there is no such processor. */
bool sched_target(const char *cpu, SchedTarget *out);

typedef struct SchedRemark {
    const char *text;
    Span span;
} SchedRemark;

typedef struct SchedResult {
    LpModule *module;         /* one entry each, in the order given */
    Vec(SchedRemark) remarks; /* what was fused, what was not and why, peak memory of each entry */
} SchedResult;

/* Entries have the face that op/program.h gives them. An OUT_VALUE or OUT_INGRAD is written as [batch,
   shape], also where the value is the same for every sample; other results have no batch. */
SchedResult *sched_program(Cx *cx, Arena *a, const Program *p, const Entry *entries, size_t nentries,
                           const SchedTarget *t);
#endif
