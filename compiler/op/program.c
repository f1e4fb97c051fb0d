/* The declarations of a program: their place in memory, their text. */
#include "op/program.h"
#include <string.h>

static int64_t aligned(int64_t floats) { return (floats + 15) / 16 * 16; }
Shape param_stored(const ParamDecl *p) {
    if (!p->turns) return p->shape;
    Shape s = {.rank = p->shape.rank + 1, .dim = {p->turns}};
    for (int i = 0; i < p->shape.rank; i++) s.dim[i + 1] = p->shape.dim[i];
    return s;
}

int64_t param_size(const ParamDecl *p) { return shape_size(p->shape) * (p->turns ? p->turns : 1); }

void program_layout(Program *p) {
    p->param_floats = p->state_floats = 0;
    for (size_t i = 0; i < p->params.len; i++) {
        p->params.at[i].offset = p->param_floats;
        p->param_floats += aligned(param_size(&p->params.at[i]));
    }
    for (size_t i = 0; i < p->states.len; i++) {
        p->states.at[i].offset = p->state_floats;
        p->state_floats += aligned(shape_size(p->states.at[i].shape));
    }
}

const Cfg *cfg_arg(const Cfg *call, const char *key) {
    for (uint32_t i = 0; call && call->kind == CFG_CALL && i < call->n; i++)
        if (call->key[i] && !strcmp(call->key[i], key)) return call->item[i];
    return NULL;
}

const char *entry_kind_text(EntryKind k) {
    switch (k) {
    case ENTRY_INIT: return "init";
    case ENTRY_FORWARD: return "forward";
    case ENTRY_EVAL: return "eval";
    case ENTRY_STEP: return "step";
    case ENTRY_BACKWARD: return "backward";
    case ENTRY_SYNTH: return "synth";
    case ENTRY_PROBE: return "probe";
    case ENTRY_OPERATORS: return "operators";
    }
    return "?";
}

static void print_init(FILE *out, Init i) {
    switch (i.kind) {
    case INIT_CONST: fprintf(out, " = %g", i.a); break;
    case INIT_NORMAL: fprintf(out, " = normal(%g, mean: %g)", i.b, i.a); break;
    case INIT_UNIFORM: fprintf(out, " = uniform(%g, %g)", i.a, i.b); break;
    case INIT_EXPR: fputs(" = (entry init)", out); break;
    }
}

static void print_constraint(FILE *out, Constraint c) {
    switch (c.kind) {
    case CON_UNIT_ATOMS: fputs(" unit_atoms", out); break;
    case CON_UNIT_COLUMNS: fputs(" unit_columns", out); break;
    case CON_NONNEGATIVE: fputs(" nonnegative", out); break;
    case CON_ORTHOGONAL: fputs(" orthogonal", out); break;
    case CON_SPARSE_L0: fprintf(out, " sparse_l0(%g)", c.value); break;
    case CON_SPARSE_L1: fprintf(out, " sparse_l1(%g)", c.value); break;
    }
}

static void print_cfg(FILE *out, const Cfg *c) {
    if (!c) {
        fputs("none", out);
        return;
    }
    switch (c->kind) {
    case CFG_NUMBER: fprintf(out, "%g", c->number); break;
    case CFG_BOOL: fputs(c->number != 0 ? "true" : "false", out); break;
    case CFG_TEXT: fprintf(out, "\"%s\"", c->text); break;
    case CFG_LIST:
    case CFG_CALL:
        fprintf(out, "%s%c", c->kind == CFG_CALL ? c->text : "", c->kind == CFG_CALL ? '(' : '[');
        for (uint32_t i = 0; i < c->n; i++) {
            fputs(i ? ", " : "", out);
            if (c->kind == CFG_CALL && c->key && c->key[i]) fprintf(out, "%s: ", c->key[i]);
            print_cfg(out, c->item[i]);
        }
        fputc(c->kind == CFG_CALL ? ')' : ']', out);
        break;
    }
}

static void print_stage(FILE *out, const Stage *s) {
    fprintf(out, "train %s data=", s->name ? s->name : "");
    print_cfg(out, s->data);
    fputs(" test=", out);
    print_cfg(out, s->test);
    fputs(" optimizer=", out);
    print_cfg(out, s->optimizer);
    for (size_t i = 0; i < s->augment.len; i++) {
        fputs(i ? ", " : " augment=", out);
        print_cfg(out, s->augment.at[i]);
    }
    fprintf(out, " epochs=%lld batch=%lld", (long long)s->epochs, (long long)s->batch);
    for (size_t i = 0; i < s->metrics.len; i++) fprintf(out, "%s%s", i ? ", " : " metrics=", s->metrics.at[i].name);
    for (size_t i = 0; i < s->only.len; i++) fprintf(out, "%s%d", i ? "," : " only=", s->only.at[i]);
    fputc('\n', out);
}

void program_print(const Program *p, FILE *out) {
    static const char *const kinds[] = {[IN_REAL] = "input", [IN_LABEL] = "label", [IN_TARGET] = "target"};
    Arena *a = arena_new();
    fprintf(out, "model %s\n", p->model);
    for (size_t i = 0; i < p->inputs.len; i++) {
        const InputDecl *d = &p->inputs.at[i];
        fprintf(out, "%s %zu %s : %s", kinds[d->kind], i, d->name, shape_text(a, d->shape));
        if (d->kind == IN_LABEL) fprintf(out, " of %lld classes", (long long)d->classes);
        fputc('\n', out);
    }
    for (size_t i = 0; i < p->params.len; i++) {
        const ParamDecl *d = &p->params.at[i];
        fprintf(out, "param %zu %s : %s", i, d->name, shape_text(a, d->shape));
        if (d->turns) fprintf(out, " per turn, %lld", (long long)d->turns);
        print_init(out, d->init);
        if (d->fixed) fputs(" fixed", out);
        for (size_t k = 0; k < d->constraints.len; k++) print_constraint(out, d->constraints.at[k]);
        fprintf(out, " at %lld\n", (long long)d->offset);
    }
    for (size_t i = 0; i < p->states.len; i++) {
        const StateDecl *d = &p->states.at[i];
        fprintf(out, "state %zu %s : %s", i, d->name, shape_text(a, d->shape));
        print_init(out, d->init);
        fprintf(out, " at %lld\n", (long long)d->offset);
    }
    for (size_t i = 0; i < p->tunables.len; i++) fprintf(out, "tunable %zu %s = %g\n", i, p->tunables.at[i].name, p->tunables.at[i].value);
    for (size_t i = 0; i < p->outputs.len; i++) fprintf(out, "output %zu %s : %s\n", i, p->outputs.at[i].name, shape_text(a, p->outputs.at[i].shape));
    for (size_t i = 0; i < p->stages.len; i++) print_stage(out, &p->stages.at[i]);
    arena_free(a);
}
