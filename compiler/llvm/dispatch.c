/* Which level of x86-64 this processor offers (psABI levels: the instructions, and that the system keeps their registers), asked when a library
   with code for several is opened. */
#include "base/trouble.h"
#include "llvm/llvm.h"
#include "llvm/target.h"
#include <llvm-c/Core.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Target.h>
#include <string.h>

/* leaf 1 ECX: SSE3 SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT OSXSAVE AVX F16C; leaf 7 EBX: BMI1 AVX2 BMI2, for v4 AVX512 F DQ CD BW VL, EDX: for +amx AMX-BF16
   AMX-TILE, EAX of its second part: AVX512-BF16; XCR0: what the system saves. That the system also gives tiles to this process is asked by the level's own code
   (tile.c). */
typedef struct Level {
    const char *name;
    uint32_t want1, want7, want7d, want71, wantx;
} Level;

static const Level known[] = {{"x86-64-v3", 0x38d83201, 0x128, 0, 0, 6},
                              {"x86-64-v4", 0x38d83201, 0xd0030128, 0, 0, 0xe6},
                              {"x86-64-v4+amx", 0x38d83201, 0xd0030128, 0x1400000, 0x20, 0x600e6}};

static const char text[] =
    "define internal i1 @has(i32 %leaf, i32 %part, i32 %which, i32 %want) nounwind {\n"
    "  %r = call { i32, i32, i32, i32 } asm sideeffect \"cpuid\", \"={ax},={bx},={cx},={dx},{ax},{cx},~{dirflag},~{fpsr},~{flags}\"(i32 %leaf, i32 %part)\n"
    "  %a = extractvalue { i32, i32, i32, i32 } %r, 0\n"
    "  %b = extractvalue { i32, i32, i32, i32 } %r, 1\n"
    "  %c = extractvalue { i32, i32, i32, i32 } %r, 2\n"
    "  %d = extractvalue { i32, i32, i32, i32 } %r, 3\n"
    "  %isb = icmp eq i32 %which, 1\n"
    "  %isc = icmp eq i32 %which, 2\n"
    "  %isd = icmp eq i32 %which, 3\n"
    "  %x = select i1 %isb, i32 %b, i32 %a\n"
    "  %y = select i1 %isc, i32 %c, i32 %x\n"
    "  %z = select i1 %isd, i32 %d, i32 %y\n"
    "  %all = and i32 %z, %want\n"
    "  %ok = icmp eq i32 %all, %want\n"
    "  ret i1 %ok\n}\n"
    "define internal i1 @offers(i32 %want1, i32 %want7, i32 %want7d, i32 %want71, i32 %wantx) nounwind {\n"
    "  %r0 = call { i32, i32, i32, i32 } asm sideeffect \"cpuid\", \"={ax},={bx},={cx},={dx},{ax},{cx},~{dirflag},~{fpsr},~{flags}\"(i32 0, i32 0)\n"
    "  %most = extractvalue { i32, i32, i32, i32 } %r0, 0\n"
    "  %seven = icmp uge i32 %most, 7\n"
    "  br i1 %seven, label %one, label %no\n"
    "one:\n"
    "  %ok1 = call i1 @has(i32 1, i32 0, i32 2, i32 %want1)\n"
    "  br i1 %ok1, label %two, label %no\n"
    "two:\n"
    "  %r = call { i32, i32 } asm sideeffect \"xgetbv\", \"={ax},={dx},{cx},~{dirflag},~{fpsr},~{flags}\"(i32 0)\n"
    "  %x = extractvalue { i32, i32 } %r, 0\n"
    "  %x1 = and i32 %x, %wantx\n"
    "  %okx = icmp eq i32 %x1, %wantx\n"
    "  %ok7 = call i1 @has(i32 7, i32 0, i32 1, i32 %want7)\n"
    "  %ok7d = call i1 @has(i32 7, i32 0, i32 3, i32 %want7d)\n"
    "  %ok71 = call i1 @has(i32 7, i32 1, i32 0, i32 %want71)\n"
    "  %and1 = and i1 %okx, %ok7\n"
    "  %and2 = and i1 %ok7d, %ok71\n"
    "  %all = and i1 %and1, %and2\n"
    "  ret i1 %all\n"
    "no:\n"
    "  ret i1 false\n}\n";

static const Level *level_of(const char *name) { /* NULL: one that every x86-64 offers */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) return &known[i];
    return NULL;
}

CodeObject *llvm_dispatch(Arena *a, const char *const *levels, const char *const *prefixes, int n) {
    char *ir = arena_printf(a, "%s", text);
    for (int i = 0; i < n; i++) ir = arena_printf(a, "%sdeclare hidden ptr @%scsc_model_query(i32)\n", ir, prefixes[i]);
    ir = arena_printf(a, "%sdefine ptr @csc_model_query(i32 %%version) nounwind {\n", ir);
    for (int i = n - 1; i >= 0; i--) {
        const Level *l = i ? level_of(levels[i]) : NULL;
        if (l)
            ir = arena_printf(a, "%s  %%ok%d = call i1 @offers(i32 %u, i32 %u, i32 %u, i32 %u, i32 %u)\n  br i1 %%ok%d, label %%yes%d, label %%no%d\nyes%d:\n", ir, i, l->want1,
                              l->want7, l->want7d, l->want71, l->wantx, i, i, i, i);
        ir = arena_printf(a, "%s  %%m%d = call ptr @%scsc_model_query(i32 %%version)\n", ir, i, prefixes[i]);
        if (l)
            ir = arena_printf(a, "%s  %%refused%d = icmp eq ptr %%m%d, null\n  br i1 %%refused%d, label %%no%d, label %%take%d\ntake%d:\n  ret ptr %%m%d\nno%d:\n", ir, i, i, i, i, i, i, i, i);
        else {
            ir = arena_printf(a, "%s  ret ptr %%m%d\n", ir, i);
            break;
        }
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
