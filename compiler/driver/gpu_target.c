/* Reads --target, makes launch programs, prints kernels as text and PTX, writes cubins. */
#include "driver/gpu_target.h"
#include "base/trouble.h"
#include "csc_cuda.h"
#include "cuda/program.h"
#include "cuda/text.h"
#include "driver/info.h"
#include "driver/link.h"
#include "driver/load.h"
#include "driver/recipe.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PTX_FOR "compute_80" /* runs on every device that csc does */

static bool is_arch(const char *s) { /* sm_80, sm_90a, sm_120 */
    char *end;
    long n = !strncmp(s, "sm_", 3) && s[3] >= '1' && s[3] <= '9' ? strtol(s + 3, &end, 10) : 0;
    return n >= 80 && n < 1000 && (!*end || !strcmp(end, "a"));
}

static bool read_archs(Compile *c, const char *list) {
    Arena *a = c->cx->keep;
    const char **arch = ARENA_ARRAY(a, const char *, strlen(list) + 1);
    while (*list) {
        size_t n = strcspn(list, ",");
        const char *word = arena_strndup(a, list, n);
        if (!is_arch(word)) {
            Diag *d = diag_error(c->cx, E_CPU, (Span){0}, "there is no GPU '%s'", word);
            diag_help(c->cx, d, "--target cuda:sm_80,sm_90a: sm_80 (A100) or newer");
            return false;
        }
        if (!strcmp(word, "sm_90")) word = "sm_90a"; /* every device of 9.0 has what the a stands for */
        int k = 0;
        while (k < c->narch && strcmp(arch[k], word)) k++;
        if (k == c->narch) arch[c->narch++] = word;
        list += n + (list[n] == ',');
    }
    c->arch = arch;
    return c->narch > 0;
}

bool gpu_target_read(Compile *c) {
    const Options *o = c->o;
    const char *target = o->target;
    bool shows = o->emit[EMIT_CUDA] || o->emit[EMIT_PTX] || o->emit[EMIT_CUBIN], looks = o->command == CMD_CHECK || o->command == CMD_BUILD;
    if (!looks) return true;
    if (!target && shows) target = "cuda";
    if (!target || !strcmp(target, "cpu")) {
        const char *what = shows ? "--emit=cuda,ptx,cubin" : o->precision ? "--precision" : NULL;
        if (what) diag_help(c->cx, diag_error(c->cx, E_OPTION, (Span){0}, "%s is of code for a GPU", what), "--target cuda:sm_80,sm_90a");
        return !what;
    }
    if (strcmp(target, "cuda") && (strncmp(target, "cuda:", 5) || !target[5])) {
        Diag *d = diag_error(c->cx, E_OPTION, (Span){0}, "there is no target '%s'", target);
        diag_help(c->cx, d, "--target cpu, or cuda:sm_80,sm_90a");
        return false;
    }
    if (o->emit[EMIT_LLVM] || o->emit[EMIT_ASM] || o->emit[EMIT_OBJ] || o->cpu) {
        diag_error(c->cx, E_OPTION, (Span){0}, "%s is of code for the processor, and the target is %s", o->cpu ? "--cpu" : "--emit=llvm,asm,obj", target);
        return false;
    }
    c->gpu = true;
    if (!read_archs(c, target[4] ? target + 5 : "sm_80,sm_90a")) return false;
    const char *all = "cuda";
    for (int i = 0; i < c->narch; i++) all = arena_printf(c->cx->keep, "%s%c%s", all, i ? ',' : ':', c->arch[i]);
    c->cpu = all;
    return true;
}

/* ---- through NVRTC ---- */
static const char *label(const Compile *c, const CudaKernel *k) {
    const LpKernel *l = &c->sched->module->kernels.at[k->first];
    return l->where ? arena_printf(c->cx->keep, "%s (%s)", k->name, l->where) : k->name;
}

static csc_kernel_text *compile_for(Compile *c, const char *arch, const CudaKernel *k, size_t n) { /* NULL: errors */
    csc_context *rt = csc_context_new();
    if (!rt) machine_trouble("there is no memory left");
    csc_kernel_text *t = ARENA_ARRAY(c->cx->keep, csc_kernel_text, n + 1);
    for (size_t i = 0; i < n; i++) t[i] = (csc_kernel_text){.name = k[i].name, .label = label(c, &k[i]), .text = k[i].source, .len = strlen(k[i].source)};
    bool ok = csc_kernels_compile(rt, arch, t, (int)n, NULL) == CSC_OK;
    if (!ok) {
        Diag *d = diag_error(c->cx, E_DEVICE, (Span){0}, "%s", csc_error(rt));
        diag_help(c->cx, d, "NVRTC is part of the CUDA toolkit and of pip's nvidia packages; --emit=cuda does without");
    }
    for (size_t i = 0; i < n; i++) { /* the arena keeps them */
        if (t[i].image) {
            char *kept = arena_alloc(c->cx->keep, t[i].image_len + 1);
            memcpy(kept, t[i].image, t[i].image_len);
            kept[t[i].image_len] = 0;
            free(t[i].image);
            t[i].image = kept;
        }
    }
    csc_context_free(rt);
    return ok ? t : NULL;
}

static bool make_images(Compile *c, CudaKernel *k, size_t n) {
    size_t many = (size_t)c->narch + 1;
    for (size_t i = 0; i < n; i++) k[i].nimages = 0;
    for (size_t q = 0; q < many; q++) {
        const char *arch = q < (size_t)c->narch ? c->arch[q] : PTX_FOR;
        const csc_kernel_text *t = compile_for(c, arch, k, n);
        if (!t) return false;
        for (size_t i = 0; i < n; i++) {
            CudaImage *list = q ? (CudaImage *)(uintptr_t)k[i].image : ARENA_ARRAY(c->cx->keep, CudaImage, many);
            list[k[i].nimages++] = (CudaImage){arch, t[i].image, t[i].image_len + (q + 1 == many)}; /* PTX with the zero that ends it */
            k[i].image = list;
        }
    }
    for (size_t i = 0; i < n; i++) k[i].source = "";
    return true;
}

/* ---- --emit ---- */
static void write_cubins(Compile *c, const CudaKernel *k, size_t n) {
    Arena *a = c->cx->keep;
    const char *folder = c->o->output ? c->o->output : arena_printf(a, "%s.cubin", c->program->model);
    if (mkdir(folder, 0777) && errno != EEXIST) {
        diag_error(c->cx, E_WRITE, (Span){0}, "the folder '%s' cannot be made: %s", folder, strerror(errno));
        return;
    }
    for (int q = 0; q < c->narch; q++) {
        const csc_kernel_text *t = compile_for(c, c->arch[q], k, n);
        for (size_t i = 0; i < n && t; i++)
            if (!link_write(c->cx, arena_printf(a, "%s/%s.%s.cubin", folder, k[i].name, c->arch[q]), t[i].image, t[i].image_len)) return;
        if (!t) return;
    }
    printf("%s: %zu kernels for %s\n", folder, n, c->cpu + strlen("cuda:"));
}

static void show(Compile *c, const CudaKernel *k, size_t n) {
    const Options *o = c->o;
    if (o->emit[EMIT_CUDA]) {
        fputs(csc_cuda_prelude, stdout);
        for (size_t i = 0; i < n; i++) printf("\n/* %s */\n%s", label(c, &k[i]), k[i].source);
    }
    if (o->emit[EMIT_PTX]) {
        const csc_kernel_text *t = compile_for(c, PTX_FOR, k, n);
        for (size_t i = 0; i < n && t; i++) printf("%s\n", t[i].image);
    }
    if (o->emit[EMIT_CUBIN] && !c->cx->errors) write_cubins(c, k, n);
}

void gpu_target_program(Compile *c) {
    Arena *a = c->cx->keep;
    const LpModule *m = c->sched->module;
    size_t n;
    int32_t *which;
    CudaKernel *k = cuda_kernels(a, m, &n, &which);
    for (size_t i = 0; i < n; i++) k[i].source = cuda_text(a, &m->kernels.at[k[i].first], k[i].name);
    if (c->narch && c->o->any_emit) {
        show(c, k, n);
        return;
    }
    if (c->narch && c->o->command == CMD_BUILD && !make_images(c, k, n)) return;
    float *tune = ARENA_ARRAY(a, float, c->program->tunables.len + 1);
    for (size_t i = 0; i < c->program->tunables.len; i++) tune[i] = (float)c->program->tunables.at[i].value;
    c->info = info_json(c->cx, c);
    const CudaModel model = {.info = c->info, .param_floats = c->program->param_floats, .state_floats = c->program->state_floats, .tunables = tune,
                             .ntunables = c->program->tunables.len};
    c->object = ARENA_NEW(a, CodeObject);
    c->object->bytes = cuda_program(a, m, k, n, which, &model, &c->object->len);
}

void gpu_target_library(Compile *c) {
    Arena *a = c->cx->keep;
    const Program *p = c->program;
    enum { ALIGN = 64, HEAD = (sizeof(csc_library_head) + ALIGN - 1) / ALIGN * ALIGN };
    MUST(c->entries.len <= CSC_LIBRARY_ENTRIES);
    csc_library_head head = {.bytes = c->object->len};
    char *packed = csc_pack(c->object->bytes, c->object->len, &head.packed);
    size_t params = c->embed_params ? (size_t)p->param_floats * sizeof(float) : 0, states = c->embed_states ? (size_t)p->state_floats * sizeof(float) : 0, at = HEAD;
    if (!packed) machine_trouble("there is no memory left");
    char *all = arena_alloc(a, HEAD + params + states + 2 * ALIGN + head.packed);
    memset(all, 0, HEAD + params + states + 2 * ALIGN);
    if (params) memcpy(all + (head.params = at), c->embed_params, params), at += (params + ALIGN - 1) / ALIGN * ALIGN;
    if (states) memcpy(all + (head.states = at), c->embed_states, states), at += (states + ALIGN - 1) / ALIGN * ALIGN;
    memcpy(all + (head.program = at), packed, head.packed);
    memcpy(all, &head, sizeof head);
    free(packed);
    Vec(CodeObject) part = {0};
    vec_push(a, &part, *code_data(a, "csc_library_data", all, at + head.packed));
    for (const Embedded *e = embedded_objects; e->name; e++) {
        CodeObject o = {(char *)(uintptr_t)e->text, e->len};
        vec_push(a, &part, o);
    }
    c->object = code_archive(a, part.at, (int32_t)part.len);
}
