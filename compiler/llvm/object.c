/* A module of loop nests to an object in memory. */
#include "base/trouble.h"
#include "llvm/emit.h"
#include "llvm/target.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static void open_types(Emit *e) {
    e->i1 = LLVMInt1TypeInContext(e->cx);
    e->i8 = LLVMInt8TypeInContext(e->cx);
    e->i16 = LLVMInt16TypeInContext(e->cx);
    e->i32 = LLVMInt32TypeInContext(e->cx);
    e->i64 = LLVMInt64TypeInContext(e->cx);
    e->f32 = LLVMFloatTypeInContext(e->cx);
    e->bf16 = LLVMBFloatTypeInContext(e->cx);
    e->ptr = LLVMPointerTypeInContext(e->cx, 0);
    e->voidt = LLVMVoidTypeInContext(e->cx);
    e->task = LLVMFunctionType(e->voidt, (LLVMTypeRef[]){e->ptr, e->i64, e->ptr}, 3, 0);
}

static void emit_tables(Emit *e) {
    e->tables = ARENA_ARRAY(e->a, Val, e->m->tables.len);
    for (size_t i = 0; i < e->m->tables.len; i++) {
        const LpTable *t = &e->m->tables.at[i];
        e->tables[i] = emit_data(e, "table", t->is_int ? (const void *)t->i : t->f, 4 * (size_t)t->len, 64);
    }
}

static void run_passes(Emit *e, const Target *t, const char *passes) {
    LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(e->mod, passes, t->machine, o);
    LLVMDisposePassBuilderOptions(o);
    if (error) BUG("LLVM passes %s: %s", passes, LLVMGetErrorMessage(error));
}

static LLVMMemoryBufferRef to_buffer(Emit *e, const Target *t, LLVMCodeGenFileType type) {
    LLVMMemoryBufferRef b;
    char *error = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(t->machine, e->mod, type, &error, &b)) BUG("LLVM: %s", error);
    return b;
}

static void print_assembly(Emit *e, const Target *t, FILE *out) { /* code generation changes the module: work on a copy */
    LLVMModuleRef mod = e->mod;
    e->mod = LLVMCloneModule(mod);
    LLVMSetTargetMachineAsmVerbosity(t->machine, 1);
    LLVMMemoryBufferRef b = to_buffer(e, t, LLVMAssemblyFile);
    fwrite(LLVMGetBufferStart(b), 1, LLVMGetBufferSize(b), out);
    LLVMDisposeMemoryBuffer(b);
    LLVMDisposeModule(e->mod);
    e->mod = mod;
}

typedef struct Part { /* one object of the plan; made on any thread, with an arena of its own */
    Arena *a;
    const LpModule *m;
    const LlvmModelInfo *info;
    const LlvmOptions *o;
    const Plan *plan;
    int32_t number;
    FILE *ir, *assembly;
    CodeObject object;
} Part;

static void open_module(Emit *e, const Target *t) {
    e->cx = LLVMContextCreate();
    e->mod = LLVMModuleCreateWithNameInContext("csc", e->cx);
    e->b = LLVMCreateBuilderInContext(e->cx);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(t->machine);
    LLVMSetModuleDataLayout(e->mod, layout);
    LLVMDisposeTargetData(layout);
    char *triple = LLVMGetTargetMachineTriple(t->machine);
    LLVMSetTarget(e->mod, triple);
    LLVMDisposeMessage(triple);
    open_types(e);
}

static void emit_part(Part *p) {
    Target t = target_open(p->a, p->o->cpu, p->o->level);
    if (!t.machine) machine_trouble("this LLVM makes no code for %s", p->o->cpu);
    Emit *e = ARENA_NEW(p->a, Emit);
    *e = (Emit){.a = p->a, .m = p->m, .o = p->o, .plan = p->plan, .part = p->number, .cpu = t.cpu, .features = t.features, .rounds_short = strstr(t.features, "+avx512bf16") != NULL};
    open_module(e, &t);
    emit_kernels(e);
    if (p->number == 0) {
        emit_tables(e);
        emit_model(e, p->info);
    }
    if (p->ir) {
        char *s = LLVMPrintModuleToString(e->mod);
        fputs(s, p->ir);
        LLVMDisposeMessage(s);
    }
    char *error = NULL;
    if (LLVMVerifyModule(e->mod, LLVMReturnStatusAction, &error)) BUG("LLVM module: %s", error);
    LLVMDisposeMessage(error);
    if (p->o->asan) run_passes(e, &t, "asan");
    if (p->assembly) print_assembly(e, &t, p->assembly);
    LLVMMemoryBufferRef b = to_buffer(e, &t, LLVMObjectFile);
    p->object.len = LLVMGetBufferSize(b);
    p->object.bytes = arena_copy(p->a, LLVMGetBufferStart(b), p->object.len);
    LLVMDisposeMemoryBuffer(b);
    LLVMDisposeBuilder(e->b);
    LLVMDisposeModule(e->mod);
    LLVMContextDispose(e->cx);
    target_close(&t);
}

typedef struct Work { /* parts not yet begun */
    Part *part;
    int32_t n;
    atomic_int next;
} Work;

static void *work(void *arg) {
    Work *w = arg;
    for (int32_t i; (i = atomic_fetch_add(&w->next, 1)) < w->n;) emit_part(&w->part[i]);
    return NULL;
}

CodeObject *llvm_emit(Arena *a, const LpModule *m, const LlvmModelInfo *info, const LlvmOptions *o, FILE *ir, FILE *assembly) {
    Plan plan = plan_kernels(a, m, info, o->split && !ir && !assembly);
    Work w = {.part = ARENA_ARRAY(a, Part, plan.parts), .n = plan.parts};
    for (int32_t i = 0; i < w.n; i++)
        w.part[i] = (Part){.a = arena_new(), .m = m, .info = info, .o = o, .plan = &plan, .number = i, .ir = ir, .assembly = assembly};
    target_start();
    pthread_t helper[PLAN_MOST_PARTS];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int helpers = 0;
    while (helpers + 1 < w.n && helpers + 1 < processors && !pthread_create(&helper[helpers], NULL, work, &w)) helpers++;
    work(&w);
    while (helpers > 0) pthread_join(helper[--helpers], NULL);
    CodeObject *made = ARENA_ARRAY(a, CodeObject, w.n);
    for (int32_t i = 0; i < w.n; i++) {
        made[i] = w.part[i].object;
        if (w.n == 1) made[i].bytes = arena_copy(a, made[i].bytes, made[i].len);
    }
    CodeObject *r = w.n == 1 ? made : code_archive(a, made, w.n);
    for (int32_t i = 0; i < w.n; i++) arena_free(w.part[i].a);
    return r;
}
