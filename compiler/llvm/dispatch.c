/* Which level of x86-64 this processor offers (psABI levels: the instructions, and that the system keeps their registers), asked when a library
   with code for several is opened. */
#include "base/trouble.h"
#include "llvm/llvm.h"
#include "llvm/target.h"
#include <llvm-c/Core.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Target.h>
#include <string.h>

/* leaf 1 ECX: SSE3 SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT OSXSAVE AVX F16C; leaf 7 EBX: BMI1 AVX2 BMI2, for v4 AVX512 F DQ CD BW VL;
   XCR0: what the system saves */
static const char text[] =
    "define internal i32 @ask(i32 %leaf, i32 %which) nounwind {\n"
    "  %r = call { i32, i32, i32, i32 } asm sideeffect \"cpuid\", \"={ax},={bx},={cx},={dx},{ax},{cx},~{dirflag},~{fpsr},~{flags}\"(i32 %leaf, i32 0)\n"
    "  %a = extractvalue { i32, i32, i32, i32 } %r, 0\n"
    "  %b = extractvalue { i32, i32, i32, i32 } %r, 1\n"
    "  %c = extractvalue { i32, i32, i32, i32 } %r, 2\n"
    "  %isb = icmp eq i32 %which, 1\n"
    "  %isc = icmp eq i32 %which, 2\n"
    "  %x = select i1 %isb, i32 %b, i32 %a\n"
    "  %y = select i1 %isc, i32 %c, i32 %x\n"
    "  ret i32 %y\n}\n"
    "define internal i1 @offers(i32 %want1, i32 %want7, i32 %wantx) nounwind {\n"
    "  %most = call i32 @ask(i32 0, i32 0)\n"
    "  %seven = icmp uge i32 %most, 7\n"
    "  br i1 %seven, label %one, label %no\n"
    "one:\n"
    "  %c = call i32 @ask(i32 1, i32 2)\n"
    "  %c1 = and i32 %c, %want1\n"
    "  %ok1 = icmp eq i32 %c1, %want1\n"
    "  br i1 %ok1, label %two, label %no\n"
    "two:\n"
    "  %r = call { i32, i32 } asm sideeffect \"xgetbv\", \"={ax},={dx},{cx},~{dirflag},~{fpsr},~{flags}\"(i32 0)\n"
    "  %x = extractvalue { i32, i32 } %r, 0\n"
    "  %x1 = and i32 %x, %wantx\n"
    "  %okx = icmp eq i32 %x1, %wantx\n"
    "  %b = call i32 @ask(i32 7, i32 1)\n"
    "  %b1 = and i32 %b, %want7\n"
    "  %ok7 = icmp eq i32 %b1, %want7\n"
    "  %all = and i1 %okx, %ok7\n"
    "  ret i1 %all\n"
    "no:\n"
    "  ret i1 false\n}\n";

CodeObject *llvm_dispatch(Arena *a, const char *const *levels, const char *const *prefixes, int n) {
    char *ir = arena_printf(a, "%s", text);
    for (int i = 0; i < n; i++) ir = arena_printf(a, "%sdeclare hidden ptr @%scsc_model_query(i32)\n", ir, prefixes[i]);
    ir = arena_printf(a, "%sdefine ptr @csc_model_query(i32 %%version) nounwind {\n", ir);
    for (int i = n - 1; i >= 0; i--) {
        bool four = !strcmp(levels[i], "x86-64-v4"), three = !strcmp(levels[i], "x86-64-v3");
        if (i && (three || four))
            ir = arena_printf(a, "%s  %%ok%d = call i1 @offers(i32 %d, i32 %d, i32 %d)\n  br i1 %%ok%d, label %%yes%d, label %%no%d\nyes%d:\n", ir, i, 0x38d83201,
                              four ? (int)0xd0030128u : 0x128, four ? 0xe6 : 6, i, i, i, i);
        ir = arena_printf(a, "%s  %%m%d = call ptr @%scsc_model_query(i32 %%version)\n  ret ptr %%m%d\n", ir, i, prefixes[i], i);
        if (i && (three || four)) ir = arena_printf(a, "%sno%d:\n", ir, i);
        else break;
    }
    ir = arena_printf(a, "%s}\n", ir);
    target_start();
    Target t = target_open(a, "x86-64", 1);
    if (!t.machine) machine_trouble("this LLVM makes no code for x86-64");
    LLVMContextRef cx = LLVMContextCreate();
    LLVMMemoryBufferRef in = LLVMCreateMemoryBufferWithMemoryRangeCopy(ir, strlen(ir), "dispatch"), made;
    LLVMModuleRef mod;
    char *error = NULL;
    if (LLVMParseIRInContext(cx, in, &mod, &error)) BUG("LLVM: %s", error);
    char *triple = LLVMGetTargetMachineTriple(t.machine);
    LLVMSetTarget(mod, triple);
    LLVMDisposeMessage(triple);
    if (LLVMTargetMachineEmitToMemoryBuffer(t.machine, mod, LLVMObjectFile, &error, &made)) BUG("LLVM: %s", error);
    CodeObject *o = ARENA_NEW(a, CodeObject);
    o->len = LLVMGetBufferSize(made);
    o->bytes = arena_copy(a, LLVMGetBufferStart(made), o->len);
    LLVMDisposeMemoryBuffer(made);
    LLVMDisposeModule(mod);
    LLVMContextDispose(cx);
    target_close(&t);
    return o;
}
