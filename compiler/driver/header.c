/* MODEL.h: sizes, offsets and the whole ABI, so that it stands alone. */
#include "driver/header.h"
#include "base/trouble.h"
#include "driver/info.h"
#include "driver/load.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *macro(Arena *a, const char *s) { /* D.3.F -> D_3_F */
    char *t = arena_strndup(a, s, strlen(s));
    for (char *p = t; *p; p++) *p = isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_';
    return t;
}

static int64_t floats(const ParamDecl *d) { return shape_size(d->shape) * (d->turns ? d->turns : 1); }

int64_t header_count(const Program *p) {
    int64_t n = 0;
    for (size_t i = 0; i < p->params.len; i++) n += floats(&p->params.at[i]);
    return n;
}

static void put_entry(FILE *f, const Program *p, const Entry *e) {
    fprintf(f, "   %s:", e->name);
    for (int32_t k = 0; k < e->nin; k++) fprintf(f, "%s in[%d] %s %s", k ? "," : "", k, e->in[k].name, shape_text(p->arena, e->in[k].shape));
    int n = 0;
    bool grads = false, states = false;
    for (size_t k = 0; k < e->graph->outs.len; k++) {
        const GraphOut *o = &e->graph->outs.at[k];
        grads |= o->role == OUT_GRAD;
        states |= o->role == OUT_STATE;
        if (o->role == OUT_GRAD || o->role == OUT_STATE) continue;
        const Node *x = graph_at(e->graph, o->node);
        const char *name = o->role == OUT_VALUE && e->kind == ENTRY_FORWARD ? p->outputs.at[o->index].name : o->role == OUT_PARAM ? p->params.at[o->index].name : o->name ? o->name : "";
        fprintf(f, "%s out[%d] %s%s %s%s", n ? "," : " ->", n, o->role == OUT_INGRAD ? "d_" : "", name, shape_text(p->arena, x->shape), x->batched ? "" : " (one for all)");
        n++;
    }
    fprintf(f, "%s%s\n", grads ? "; writes grads" : "", states ? "; writes state_out" : "");
}

const char *header_text(Cx *cx, const Compile *c) {
    const Program *p = c->program;
    Arena *a = cx->keep;
    const char *m = macro(a, p->model);
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (!f) machine_trouble("there is no memory left");
    fprintf(f, "/* The model %s, compiled by cscc %s for %s. Made by `cscc build`; it stands alone.\n\n   Entries (find them by name in csc_model.entries); each tensor is [batch, shape]:\n",
            p->model, CSC_VERSION, c->cpu);
    for (size_t i = 0; i < c->entries.len; i++) put_entry(f, p, &c->entries.at[i]);
    fprintf(f, "\n   Use:  const csc_model *m = csc_model_query(CSC_MODEL_VERSION);   link with the library, or dlopen it. */\n");
    fprintf(f, "#ifndef CSC_BUILT_%s_H\n#define CSC_BUILT_%s_H\n\n", m, m);
    fprintf(f, "/* The sources were %s. */\n", info_source_hash(cx, c));
    fprintf(f, "enum {\n    %s_PARAM_FLOATS = %lld, /* the block of parameters, and of their gradients */\n    %s_STATE_FLOATS = %lld,\n    %s_TUNABLES = %zu,\n", m,
            (long long)p->param_floats, m, (long long)p->state_floats, m, p->tunables.len);
    for (size_t i = 0; i < p->inputs.len; i++)
        fprintf(f, "    %s_IN_%s = %lld, /* floats of one sample: %s */\n", m, macro(a, p->inputs.at[i].name), (long long)shape_size(p->inputs.at[i].shape), shape_text(a, p->inputs.at[i].shape));
    for (size_t i = 0; i < p->outputs.len; i++)
        fprintf(f, "    %s_OUT_%s = %lld, /* floats of one sample: %s */\n", m, macro(a, p->outputs.at[i].name), (long long)shape_size(p->outputs.at[i].shape), shape_text(a, p->outputs.at[i].shape));
    fprintf(f, "};\n\n/* Where each parameter lies in its block: offset, floats. */\n");
    for (size_t i = 0; i < p->params.len; i++) {
        const ParamDecl *d = &p->params.at[i];
        fprintf(f, "#define %s_AT_%s %lld /* %s: %s", m, macro(a, d->name), (long long)d->offset, d->name, shape_text(a, d->shape));
        if (d->turns) fprintf(f, ", %lld of them", (long long)d->turns);
        fprintf(f, ", %lld floats%s */\n", (long long)floats(d), d->fixed ? ", fixed" : "");
    }
    for (size_t i = 0; i < p->tunables.len; i++)
        fprintf(f, "#define %s_TUNABLE_%s %zu /* %s, by default %g */\n", m, macro(a, p->tunables.at[i].name), i, p->tunables.at[i].name, p->tunables.at[i].value);
    fprintf(f, "\n/* ---- csc_model.h ---- */\n%s\n#endif\n", embedded_headers[0].text);
    if (fclose(f)) machine_trouble("there is no memory left");
    const char *kept = arena_strndup(a, text, len);
    free(text);
    return kept;
}
