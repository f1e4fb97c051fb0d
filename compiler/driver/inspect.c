/* cscc inspect: what is in a program, a checkpoint, or a built library. */
#include "base/trouble.h"
#include "csc.h"
#include "driver/atoms.h"
#include "driver/commands.h"
#include "driver/header.h"
#include "driver/info.h"
#include "driver/json.h"
#include "driver/load.h"
#include "driver/passes.h"
#include "driver/recipe.h"
#include <dlfcn.h>
#include <string.h>

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

/* ---- checkpoints ---- */
static void put_dims(int rank, const int64_t *d) {
    printf("[");
    for (int i = 0; i < rank; i++) printf("%s%lld", i ? ", " : "", (long long)d[i]);
    printf("]");
}

static int inspect_tensors(Cx *cx, const Options *o) {
    csc_context *rt = csc_context_new();
    if (!rt) machine_trouble("there is no memory left");
    csc_tensors *t = NULL;
    int code = 1;
    if (csc_tensors_open(rt, o->words[0], &t)) runtime_error(cx, rt, E_WEIGHTS, (Span){0});
    else if (o->atoms) code = atoms_of_file(cx, t, rt, o->atoms) ? 0 : 1;
    else {
        int n = csc_tensors_count(t), meta = csc_tensors_metadata_count(t);
        if (o->json) printf("{\"tensors\": [");
        for (int i = 0; i < n; i++) {
            const csc_file_tensor *f = csc_tensors_at(t, i);
            if (o->json) {
                printf("%s\n  {\"name\": ", i ? "," : "");
                json_text(stdout, f->name);
                printf(", \"dtype\": ");
                json_text(stdout, f->dtype);
                printf(", \"shape\": ");
                json_dims(stdout, f->rank, f->dim);
                printf("}");
            } else {
                printf("%-32s %-5s ", f->name, f->dtype);
                put_dims(f->rank, f->dim);
                printf("\n");
            }
        }
        if (o->json) printf("],\n \"metadata\": {");
        for (int i = 0; i < meta; i++) {
            const char *key, *value;
            csc_tensors_metadata_at(t, i, &key, &value);
            if (o->json) {
                printf("%s\n  ", i ? "," : "");
                json_text(stdout, key);
                printf(": ");
                json_text(stdout, value);
            } else printf("%s: %s\n", key, value);
        }
        if (o->json) printf("}}\n");
        code = 0;
    }
    csc_tensors_close(t);
    csc_context_free(rt);
    return code;
}

/* ---- libraries ---- */
static int inspect_library(Cx *cx, const Options *o) {
    const char *path = strchr(o->words[0], '/') ? o->words[0] : arena_printf(cx->keep, "./%s", o->words[0]);
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        diag_error(cx, E_READ, (Span){0}, "'%s' cannot be loaded: %s", o->words[0], dlerror());
        return 1;
    }
    const csc_model *(*query)(uint32_t) = NULL;
    *(void **)&query = dlsym(lib, "csc_model_query");
    const csc_model *m = query ? query(CSC_MODEL_VERSION) : NULL;
    if (!m) diag_error(cx, E_READ, (Span){0}, "'%s' is no model that this cscc can talk to", o->words[0]);
    else fputs(m->info, stdout);
    dlclose(lib);
    return m ? 0 : 1;
}

/* ---- programs ---- */
static void show_program(Cx *cx, Compile *c) {
    const Program *p = c->program;
    static const char *const kinds[] = {[IN_REAL] = "input", [IN_LABEL] = "label", [IN_TARGET] = "target"};
    printf("model %s\n", p->model);
    for (size_t i = 0; i < p->inputs.len; i++) {
        const InputDecl *in = &p->inputs.at[i];
        printf("  %-6s %-26s %s", kinds[in->kind], in->name, shape_text(cx->keep, in->shape));
        if (in->kind == IN_LABEL) printf(" of %lld classes", (long long)in->classes);
        printf("\n");
    }
    for (size_t i = 0; i < p->outputs.len; i++) printf("  output %-26s %s\n", p->outputs.at[i].name, shape_text(cx->keep, p->outputs.at[i].shape));
    for (size_t i = 0; i < p->tunables.len; i++) printf("  tunable %-25s %g\n", p->tunables.at[i].name, p->tunables.at[i].value);
    printf("parameters: %zu, %lld numbers\n", p->params.len, (long long)header_count(p));
    for (size_t i = 0; i < p->params.len; i++) {
        const ParamDecl *d = &p->params.at[i];
        printf("  %-33s %s", d->name, shape_text(cx->keep, d->shape));
        if (d->turns) printf(" x %lld", (long long)d->turns);
        printf("  %lld%s\n", (long long)(shape_size(d->shape) * (d->turns ? d->turns : 1)), d->fixed ? "  fixed" : "");
    }
    if (p->states.len) printf("states: %zu\n", p->states.len);
    for (size_t i = 0; i < p->states.len; i++) printf("  %-33s %s\n", p->states.at[i].name, shape_text(cx->keep, p->states.at[i].shape));
    printf("values, as the forward pass names them\n");
    for (size_t e = 0; e < c->entries.len; e++) {
        const Graph *g = c->entries.at[e].graph;
        if (c->entries.at[e].kind != ENTRY_FORWARD) continue;
        for (size_t i = 0; i < g->nodes.len; i++) {
            const Node *n = &g->nodes.at[i];
            if (n->name && n->op != OP_param && n->op != OP_state && n->op != OP_tunable) printf("  %-33s %s  (%s)\n", n->name, shape_text(cx->keep, n->shape), op_info[n->op].name);
        }
    }
}

static int inspect_program(Cx *cx, const Options *o) {
    Compile c;
    if (!compile_read(&c, cx, o)) return 1;
    c.free_default = true;
    if (!compile_declare(&c) || !c.program) return 1;
    compile_want(&c, ENTRY_FORWARD, 0);
    if (!compile_model(&c, o->json ? "sched" : "tidy")) return 1;
    if (o->json) fputs(info_json(cx, &c), stdout);
    else show_program(cx, &c);
    return 0;
}

int command_inspect(Cx *cx, const Options *o) {
    const char *path = o->words[0], *why = NULL;
    if (ends_with(path, ".csc")) return inspect_program(cx, o);
    char head[4] = "";
    if (!load_head(path, head, sizeof head, &why)) {
        diag_error(cx, E_READ, (Span){0}, "'%s' cannot be read: %s", path, why);
        return 1;
    }
    if (!memcmp(head, "\177ELF", 4)) return inspect_library(cx, o);
    if (ends_with(path, ".safetensors")) return inspect_tensors(cx, o);
    Diag *d = diag_error(cx, E_READ, (Span){0}, "'%s' is neither a program nor a checkpoint nor a library", path);
    diag_help(cx, d, "inspect shows files that end in .csc, .safetensors or .so");
    return 1;
}
