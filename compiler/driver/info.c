/* The description inside a compiled model: enough to use it from any language without its program. */
#include "driver/info.h"
#include "driver/json.h"
#include "base/trouble.h"
#include <stdlib.h>
#include <string.h>

const char *info_source_hash(Cx *cx, const Compile *c) {
    uint64_t h = 1469598103934665603u;
    for (size_t i = 1; i < cx->sources.len; i++) {
        const Source *s = &cx->sources.at[i];
        for (size_t k = 0; k < s->len; k++) h = (h ^ (unsigned char)s->text[k]) * 1099511628211u;
        h = (h ^ 0xff) * 1099511628211u;
    }
    for (size_t i = 0; i < c->nset; i++)
        for (const char *p = arena_printf(cx->pass, "%s=%s;", c->set[i].name, c->set[i].value); *p; p++)
            h = (h ^ (unsigned char)*p) * 1099511628211u;
    return arena_printf(cx->keep, "%016llx", (unsigned long long)h);
}

static void put_init(FILE *f, const Init *i) {
    switch (i->kind) {
    case INIT_CONST: fprintf(f, "{\"kind\": \"const\", \"value\": %.9g}", i->a); break;
    case INIT_NORMAL: fprintf(f, "{\"kind\": \"normal\", \"mean\": %.9g, \"deviation\": %.9g}", i->a, i->b); break;
    case INIT_UNIFORM: fprintf(f, "{\"kind\": \"uniform\", \"from\": %.9g, \"to\": %.9g}", i->a, i->b); break;
    case INIT_EXPR: fprintf(f, "{\"kind\": \"entry\"}"); break;
    }
}

static const char *const constraint_names[] = {
    [CON_UNIT_ATOMS] = "unit_atoms", [CON_UNIT_COLUMNS] = "unit_columns", [CON_NONNEGATIVE] = "nonnegative",
    [CON_ORTHOGONAL] = "orthogonal", [CON_SPARSE_L0] = "sparse_l0", [CON_SPARSE_L1] = "sparse_l1",
};

static void put_field(FILE *f, const char *name) {
    json_text(f, name);
    fputs(": ", f);
}

static void put_input(FILE *f, const InputDecl *d) {
    static const char *const kinds[] = {[IN_REAL] = "real", [IN_LABEL] = "label", [IN_TARGET] = "target"};
    fputs("{\"name\": ", f);
    json_text(f, d->name);
    fprintf(f, ", \"kind\": \"%s\", \"shape\": ", kinds[d->kind]);
    json_dims(f, d->shape.rank, d->shape.dim);
    if (d->kind == IN_LABEL) fprintf(f, ", \"classes\": %lld", (long long)d->classes);
    fputc('}', f);
}

static void put_entry(FILE *f, const Program *p, const Entry *e, const LpEntry *l, bool gpu) {
    fputs("{\"name\": ", f);
    json_text(f, e->name);
    fputs(", \"inputs\": [", f);
    for (int32_t i = 0; i < e->nin; i++) {
        if (i) fputs(", ", f);
        put_input(f, &e->in[i]);
    }
    fputs("], \"outputs\": [", f);
    bool grads = false, states = false;
    int n = 0;
    for (size_t i = 0; i < e->graph->outs.len; i++) {
        const GraphOut *out = &e->graph->outs.at[i];
        grads |= out->role == OUT_GRAD;
        states |= out->role == OUT_STATE;
        if (out->role == OUT_GRAD || out->role == OUT_STATE) continue;
        const Node *node = graph_at(e->graph, out->node);
        const char *name = out->name;
        if (out->role == OUT_LOSS) name = "loss";
        if (out->role == OUT_VALUE && e->kind == ENTRY_FORWARD) name = p->outputs.at[out->index].name;
        if (out->role == OUT_PARAM) name = p->params.at[out->index].name;
        fprintf(f, "%s{\"name\": ", n++ ? ", " : "");
        json_text(f, name);
        fputs(", \"shape\": ", f);
        json_dims(f, node->shape.rank, node->shape.dim);
        fprintf(f, ", \"per_sample\": %s}", node->batched ? "true" : "false");
    }
    const char *where = gpu ? "device_" : ""; /* a caller brings the memory of the processor only */
    fprintf(f, "], \"gradients\": %s, \"states\": %s, \"%sfixed_bytes\": %lld, \"%sbatch_bytes\": %lld, \"%sthread_bytes\": %lld}", grads ? "true" : "false",
            states ? "true" : "false", where, (long long)l->fixed_floats * 4, where, (long long)l->batch_floats * 4, where, (long long)l->thread_bytes);
}

const char *info_json(Cx *cx, const Compile *c) {
    const Program *p = c->program;
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (!f) machine_trouble("there is no memory left");
    fprintf(f, "{\"compiler\": \"cscc %s\", \"model\": ", CSC_VERSION);
    json_text(f, p->model);
    fprintf(f, ", \"source_hash\": \"%s\", \"cpu\": ", info_source_hash(cx, c));
    json_text(f, c->cpu);
    fputs(", \"flags\": {", f);
    for (size_t i = 0; i < c->nset; i++) {
        if (i) fputs(", ", f);
        put_field(f, c->set[i].name);
        json_text(f, c->set[i].value);
    }
    fprintf(f, "},\n \"param_floats\": %lld, \"state_floats\": %lld,\n \"params\": [", (long long)p->param_floats, (long long)p->state_floats);
    for (size_t i = 0; i < p->params.len; i++) {
        const ParamDecl *d = &p->params.at[i];
        fprintf(f, "%s\n  {\"name\": ", i ? "," : "");
        json_text(f, d->name);
        fputs(", \"shape\": ", f);
        json_dims(f, d->shape.rank, d->shape.dim);
        fprintf(f, ", \"turns\": %lld, \"offset\": %lld, \"fixed\": %s, \"init\": ", (long long)d->turns, (long long)d->offset, d->fixed ? "true" : "false");
        put_init(f, &d->init);
        fputs(", \"constraints\": [", f);
        for (size_t k = 0; k < d->constraints.len; k++)
            fprintf(f, "%s{\"kind\": \"%s\", \"value\": %.9g}", k ? ", " : "", constraint_names[d->constraints.at[k].kind], d->constraints.at[k].value);
        fputs("]}", f);
    }
    fputs("],\n \"states\": [", f);
    for (size_t i = 0; i < p->states.len; i++) {
        const StateDecl *d = &p->states.at[i];
        fprintf(f, "%s\n  {\"name\": ", i ? "," : "");
        json_text(f, d->name);
        fputs(", \"shape\": ", f);
        json_dims(f, d->shape.rank, d->shape.dim);
        fprintf(f, ", \"offset\": %lld, \"init\": ", (long long)d->offset);
        put_init(f, &d->init);
        fputc('}', f);
    }
    fputs("],\n \"tunables\": [", f);
    for (size_t i = 0; i < p->tunables.len; i++) {
        fprintf(f, "%s{\"name\": ", i ? ", " : "");
        json_text(f, p->tunables.at[i].name);
        fprintf(f, ", \"default\": %.9g}", p->tunables.at[i].value);
    }
    fputs("],\n \"inputs\": [", f);
    for (size_t i = 0; i < p->inputs.len; i++) {
        if (i) fputs(", ", f);
        put_input(f, &p->inputs.at[i]);
    }
    fputs("],\n \"outputs\": [", f);
    for (size_t i = 0; i < p->outputs.len; i++) {
        fprintf(f, "%s{\"name\": ", i ? ", " : "");
        json_text(f, p->outputs.at[i].name);
        fputs(", \"shape\": ", f);
        json_dims(f, p->outputs.at[i].shape.rank, p->outputs.at[i].shape.dim);
        fputc('}', f);
    }
    fputs("],\n \"entries\": [", f);
    for (size_t i = 0; i < c->entries.len; i++) {
        fputs(i ? ",\n  " : "\n  ", f);
        put_entry(f, p, &c->entries.at[i], &c->sched->module->entries.at[i], c->narch > 0);
    }
    fputs("]}\n", f);
    if (fclose(f)) machine_trouble("there is no memory left");
    const char *kept = arena_strndup(cx->keep, text, len);
    free(text);
    return kept;
}
