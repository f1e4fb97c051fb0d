/* Text of operator graphs. read.c is its inverse. */
#include "base/trouble.h"
#include "op/graph.h"
#include "op/text.h"
#include <math.h>

const char *const out_role_text[OUT_ROLES] = {
    [OUT_VALUE] = "value",   [OUT_LOSS] = "loss",   [OUT_METRIC] = "metric", [OUT_GRAD] = "grad",
    [OUT_INGRAD] = "ingrad", [OUT_STATE] = "state", [OUT_PARAM] = "param",
};

static void print_graph(const Graph *g, FILE *out, int depth);

static void print_name(FILE *out, Name name) {
    if (!name) return;
    fputs(" \"", out);
    for (const char *c = name; *c; c++) {
        if (*c == '"' || *c == '\\') fputc('\\', out);
        fputc(*c, out);
    }
    fputc('"', out);
}
static void print_dims(FILE *out, Shape s) {
    fputc('[', out);
    for (int i = 0; i < s.rank; i++) fprintf(out, "%s%lld", i ? ", " : "", (long long)s.dim[i]);
    fputc(']', out);
}
static void number(FILE *out, const char *key, int64_t v) {
    if (v) fprintf(out, " %s=%lld", key, (long long)v);
}
static void flag(FILE *out, const char *key, bool v) {
    if (v) fprintf(out, " %s", key);
}
static void pair(FILE *out, const char *key, const int32_t v[2], int32_t usual) {
    if (v[0] != usual || v[1] != usual) fprintf(out, " %s=%dx%d", key, v[0], v[1]);
}
static void sizes(FILE *out, const char *key, const int64_t v[2]) { fprintf(out, " %s=%lldx%lld", key, (long long)v[0], (long long)v[1]); }

static void print_attr(FILE *out, const Attr *a, int depth) {
    fputs(" {", out);
    if (a->value != 0 || signbit(a->value)) fprintf(out, " value=%.17g", a->value);
    number(out, "index", a->index);
    number(out, "axis", a->axis);
    number(out, "axes", a->axes);
    number(out, "start", a->start);
    number(out, "step", a->step);
    number(out, "size", a->size);
    flag(out, "flag", a->flag);
    if (a->shape.rank) {
        fputs(" shape=", out);
        print_dims(out, a->shape);
    }
    flag(out, "batched", a->batched);
    if (a->list_len) {
        fputs(" list=[", out);
        for (int64_t i = 0; i < a->list_len; i++) fprintf(out, "%s%d", i ? ", " : "", a->list[i]);
        fputc(']', out);
    }
    if (a->data) {
        fputs(" data=[", out);
        for (int64_t i = 0; i < shape_size(a->shape); i++) fprintf(out, "%s%.17g", i ? ", " : "", a->data[i]);
        fputc(']', out);
    }
    if (a->conv) {
        const ConvGeom *c = a->conv;
        fprintf(out, " conv kernel=%dx%d", c->kernel[0], c->kernel[1]);
        pair(out, "stride", c->stride, 1);
        pair(out, "dilation", c->dilation, 1);
        pair(out, "pad_lo", c->pad_lo, 0);
        pair(out, "pad_hi", c->pad_hi, 0);
        if (c->groups != 1) fprintf(out, " groups=%d", c->groups);
        sizes(out, "in", c->in);
        sizes(out, "out", c->out);
        fprintf(out, " channels=%lldx%lld", (long long)c->in_ch, (long long)c->out_ch);
    }
    if (a->pool) {
        const PoolGeom *p = a->pool;
        fprintf(out, " pool kernel=%dx%d", p->kernel[0], p->kernel[1]);
        pair(out, "stride", p->stride, 1);
        pair(out, "pad", p->pad, 0);
        sizes(out, "in", p->in);
        sizes(out, "out", p->out);
    }
    const Graph *body = a->body;
    if (a->loop) {
        const LoopAttr *l = a->loop;
        fprintf(out, " loop turns=%lld", (long long)l->turns);
        number(out, "carry", l->ncarry);
        number(out, "invariant", l->ninvariant);
        number(out, "per", l->nper);
        number(out, "emit", l->nemit);
        flag(out, "until", l->until);
        flag(out, "counted", l->counted);
        flag(out, "reverse", l->reverse);
        flag(out, "keep", l->keep);
        body = l->body;
    }
    if (body) {
        fputs(" body {\n", out);
        print_graph(body, out, depth + 1);
        fprintf(out, "%*s}", depth * 2, "");
    }
    fputs(" }", out);
}

static bool says_something(const Attr *a) {
    return a->value != 0 || signbit(a->value) || a->index || a->axis || a->axes || a->start || a->step || a->size || a->flag ||
           a->shape.rank || a->batched || a->list_len || a->data || a->conv || a->pool || a->loop || a->body;
}

static void print_graph(const Graph *g, FILE *out, int depth) {
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        fprintf(out, "%*s%%%zu", depth * 2, "", i);
        print_name(out, n->name);
        fprintf(out, " = %s", op_info[n->op].name);
        for (uint32_t k = 0; k < n->nin; k++) fprintf(out, " %%%u", n->in[k]);
        if (says_something(&n->a)) print_attr(out, &n->a, depth);
        fputs(" : real", out);
        if (n->shape.rank) print_dims(out, n->shape);
        fputs(n->batched ? " batched\n" : "\n", out);
    }
    for (size_t i = 0; i < g->outs.len; i++) {
        const GraphOut *o = &g->outs.at[i];
        fprintf(out, "%*sout %s %d %%%u", depth * 2, "", out_role_text[o->role], o->index, o->node);
        print_name(out, o->name);
        fputc('\n', out);
    }
}

void graph_print(const Graph *g, FILE *out) { print_graph(g, out, 0); }
