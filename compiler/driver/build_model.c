/* cscc build: a shared library and its header, for the processor or for GPUs. */
#include "base/trouble.h"
#include "driver/codegen.h"
#include "driver/commands.h"
#include "driver/gpu_target.h"
#include "driver/header.h"
#include "driver/link.h"
#include "driver/model.h"
#include "driver/recipe.h"
#include <string.h>

/* Reads the weights into blocks laid out as the model says; no code is needed for that, so a library for another processor can be made. */
static bool read_weights(Cx *cx, const Options *o, Compile *c) {
    const Program *p = c->program;
    if (!o->weights) {
        Diag *d = diag_error(cx, E_WEIGHTS, (Span){0}, "--embed-weights needs the weights to embed");
        diag_help(cx, d, "--weights runs/%s/best.safetensors", p->model);
        return false;
    }
    csc_context *rt = csc_context_new();
    if (!rt) machine_trouble("there is no memory left");
    csc_model bare = {.version = CSC_MODEL_VERSION, .size = sizeof bare, .info = "{}", .param_floats = (uint64_t)p->param_floats,
                      .state_floats = (uint64_t)p->state_floats};
    csc_net_info info = model_net_info(cx, c);
    info.tunables = NULL;
    csc_net *net = NULL;
    bool ok = csc_net_new(rt, &bare, &info, NULL, &net) == CSC_OK && csc_weights_load(net, o->weights) == CSC_OK;
    if (ok) {
        c->embed_params = arena_copy(cx->keep, csc_net_params(net), (size_t)p->param_floats * sizeof(float));
        c->embed_states = arena_copy(cx->keep, csc_net_states(net), (size_t)p->state_floats * sizeof(float));
    } else runtime_error(cx, rt, E_WEIGHTS, (Span){0});
    csc_net_free(net);
    csc_context_free(rt);
    return ok;
}

/* Dimensions that nothing binds: a library has one size. */
static bool refuse_free(Cx *cx, Compile *c) {
    for (size_t i = 0; i < c->program->inputs.len; i++) {
        const char *axes[RANK_MAX];
        free_axes(c, i, axes);
        for (int k = 0; k < RANK_MAX; k++) {
            bool bound = !axes[k];
            for (size_t s = 0; s < c->nset && !bound; s++) bound = !strcmp(c->set[s].name, axes[k]);
            if (bound) continue;
            Diag *d = diag_error(cx, E_OPTION, c->program->inputs.at[i].span, "a library is made for one size, and %s of %s is open", axes[k], c->program->inputs.at[i].name);
            diag_help(cx, d, "--set %s=256", axes[k]);
            return false;
        }
    }
    return true;
}

/* The memory plan: what a caller of each entry must bring. */
static void print_memory(const Compile *c) {
    for (size_t i = 0; i < c->sched->module->entries.len; i++) {
        const LpEntry *e = &c->sched->module->entries.at[i];
        if (e->kind == ENTRY_INIT) continue;
        if (c->gpu) {
            printf("  %s: %.2f MB on the device", e->name, 4e-6 * (double)e->fixed_floats);
            if (e->batch_floats) printf(" and %.3f MB for each sample", 4e-6 * (double)e->batch_floats);
            printf("\n");
            continue;
        }
        printf("  %s: workspace %.2f MB", e->name, 4e-6 * (double)(e->fixed_floats - e->lane_floats));
        if (e->batch_floats) printf(" and %.3f MB for each sample", 4e-6 * (double)e->batch_floats);
        printf(", %.2f MB for each thread\n", 1e-6 * (double)e->thread_bytes + 4e-6 * (double)e->lane_floats);
    }
}

/* --cpu a,b,c: code for each, in one archive, and the choice between them. */
static bool several_levels(Cx *cx, Compile *c) {
    static const char *const known[] = {"x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4+amx"};
    enum { KNOWN = sizeof known / sizeof *known };
    const char *level[KNOWN], *prefix[KNOWN], *list = c->cpu, *why = NULL;
    int n = 0, last = -1;
    for (const char *at = list; *at; at += *at == ',') {
        size_t len = strcspn(at, ",");
        int k = last + 1;
        while (k < KNOWN && (strlen(known[k]) != len || memcmp(known[k], at, len))) k++;
        if (k == KNOWN) {
            Diag *d = diag_error(cx, E_CPU, (Span){0}, "'%.*s' is no level that can stand there in '%s'", (int)len, at, list);
            diag_help(cx, d, "several levels of x86-64, from the lowest: x86-64-v2,x86-64-v3,x86-64-v4,x86-64-v4+amx");
            return false;
        }
        last = k;
        level[n] = known[k];
        prefix[n++] = arena_printf(cx->keep, "v%d_", k + 2);
        at += len;
    }
    Vec(CodeObject) part = {0};
    size_t said = cx->diags.len;
    for (int i = 0; i < n; i++) {
        c->cpu = level[i], c->symbol_prefix = prefix[i];
        c->weights = i ? LLVM_WEIGHTS_BORROWED : LLVM_WEIGHTS_LENT;
        c->object = NULL;
        if (!compile_model(c, "llvm")) return false;
        if (i) cx->diags.len = said; /* said once */
        said = cx->diags.len;
        CodeObject member;
        for (size_t at = 0; code_member(c->object, &at, &member);) vec_push(cx->keep, &part, member);
    }
    CodeObject *choice = codegen_open(cx->keep, &why)->dispatch(cx->keep, level, prefix, n);
    vec_push(cx->keep, &part, *choice);
    c->object = code_archive(cx->keep, part.at, (int32_t)part.len);
    c->cpu = list;
    return true;
}

int command_build(Cx *cx, const Options *o) {
    Compile c;
    if (!compile_read(&c, cx, o)) return 1;
    c.free_default = true;
    if (!compile_declare(&c)) return 1;
    if (!c.program) return 0;
    if (!refuse_free(cx, &c)) return 1;
    c.free_default = false;
    compile_want(&c, ENTRY_INIT, 0);
    compile_want(&c, ENTRY_FORWARD, 0);
    compile_want(&c, ENTRY_BACKWARD, 0);
    if (o->embed_weights && !read_weights(cx, o, &c)) return 1;
    bool ok = !c.gpu && strchr(c.cpu, ',') && !o->any_emit && !o->stop_after ? several_levels(cx, &c) : compile_model(&c, "llvm");
    compile_report(&c);
    if (!ok) return 1;
    if (o->any_emit || !c.object) return 0; /* --emit and --stop-after look on the way; nothing is linked */
    const char *so = o->output ? o->output : arena_printf(cx->keep, "%s.so", c.program->model);
    size_t stem = strlen(so);
    if (stem > 3 && !strcmp(so + stem - 3, ".so")) stem -= 3;
    const char *h = arena_printf(cx->keep, "%.*s.h", (int)stem, so);
    if (c.gpu) gpu_target_library(&c);
    if (!link_shared(cx, c.object->bytes, c.object->len, c.gpu, so)) return 1;
    const char *text = header_text(cx, &c);
    if (!link_write(cx, h, text, strlen(text))) return 1;
    if (!o->json) printf("%s, %s: model %s for %s, %lld parameters%s\n", so, h, c.program->model, c.cpu, (long long)header_count(c.program), o->embed_weights ? ", weights inside" : "");
    else fputs(c.info, stdout);
    if (!o->json) print_memory(&c);
    return 0;
}
