/* A module of loop nests to an object in memory. */
#include "base/trouble.h"
#include "llvm/emit.h"
#include "llvm/target.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <string.h>

static void open_types(Emit *e) {
    e->i1 = LLVMInt1TypeInContext(e->cx);
    e->i8 = LLVMInt8TypeInContext(e->cx);
    e->i32 = LLVMInt32TypeInContext(e->cx);
    e->i64 = LLVMInt64TypeInContext(e->cx);
    e->f32 = LLVMFloatTypeInContext(e->cx);
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

LlvmObject *llvm_emit(Arena *a, const LpModule *m, const LlvmModelInfo *info, const LlvmOptions *o, FILE *ir, FILE *assembly) {
    Target t = target_open(a, o->cpu, o->level);
    if (!t.machine) machine_trouble("LLVM makes no code for this machine");
    Emit *e = ARENA_NEW(a, Emit);
    *e = (Emit){.a = a, .m = m, .o = o, .cpu = t.cpu, .features = t.features};
    e->cx = LLVMContextCreate();
    e->mod = LLVMModuleCreateWithNameInContext("csc", e->cx);
    e->b = LLVMCreateBuilderInContext(e->cx);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(t.machine);
    LLVMSetModuleDataLayout(e->mod, layout);
    LLVMDisposeTargetData(layout);
    char *triple = LLVMGetTargetMachineTriple(t.machine);
    LLVMSetTarget(e->mod, triple);
    LLVMDisposeMessage(triple);
    open_types(e);
    emit_tables(e);
    emit_kernels(e);
    emit_model(e, info);
    if (ir) {
        char *s = LLVMPrintModuleToString(e->mod);
        fputs(s, ir);
        LLVMDisposeMessage(s);
    }
    char *error = NULL;
    if (LLVMVerifyModule(e->mod, LLVMReturnStatusAction, &error)) BUG("LLVM module: %s", error);
    LLVMDisposeMessage(error);
    if (o->asan) run_passes(e, &t, "asan");
    if (assembly) print_assembly(e, &t, assembly);
    LLVMMemoryBufferRef b = to_buffer(e, &t, LLVMObjectFile);
    LlvmObject *r = ARENA_NEW(a, LlvmObject);
    r->len = LLVMGetBufferSize(b);
    r->bytes = arena_copy(a, LLVMGetBufferStart(b), r->len);
    LLVMDisposeMemoryBuffer(b);
    LLVMDisposeBuilder(e->b);
    LLVMDisposeModule(e->mod);
    LLVMContextDispose(e->cx);
    target_close(&t);
    return r;
}
