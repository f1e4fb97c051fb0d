/* A compiled model in this process: the object loaded, its parameters through the runtime. */
#include "driver/model.h"
#include "base/trouble.h"
#include "driver/device.h"
#include "driver/info.h"
#include "driver/recipe.h"
#include <string.h>

csc_pool *model_pool(const Options *o) {
    csc_pool *p = csc_pool_new(o->threads);
    if (!p) machine_trouble("threads could not be started");
    return p;
}

static csc_init_kind init_kind(InitKind k) {
    switch (k) {
    case INIT_CONST: return CSC_INIT_CONST;
    case INIT_NORMAL: return CSC_INIT_NORMAL;
    case INIT_UNIFORM: return CSC_INIT_UNIFORM;
    case INIT_EXPR: return CSC_INIT_ENTRY;
    }
    return CSC_INIT_CONST;
}

static void put_shape(csc_tensor_info *t, Shape s) {
    t->rank = s.rank;
    for (int i = 0; i < s.rank; i++) t->dim[i] = s.dim[i];
}

/* Which output of the entry "init" a parameter is. */
static int init_output(const Compile *c, int32_t param) {
    for (size_t i = 0; i < c->entries.len; i++) {
        if (c->entries.at[i].kind != ENTRY_INIT) continue;
        const Graph *g = c->entries.at[i].graph;
        int n = 0;
        for (size_t k = 0; k < g->outs.len; k++) {
            if (g->outs.at[k].role == OUT_GRAD || g->outs.at[k].role == OUT_STATE) continue;
            if (g->outs.at[k].role == OUT_PARAM && g->outs.at[k].index == param) return n;
            n++;
        }
    }
    return 0;
}

csc_net_info model_net_info(Cx *cx, const Compile *c) {
    const Program *p = c->program;
    Arena *a = cx->keep;
    csc_tensor_info *params = ARENA_ARRAY(a, csc_tensor_info, p->params.len + 1), *states = ARENA_ARRAY(a, csc_tensor_info, p->states.len + 1);
    for (size_t i = 0; i < p->params.len; i++) {
        const ParamDecl *d = &p->params.at[i];
        csc_tensor_info *t = &params[i];
        *t = (csc_tensor_info){.name = d->name, .turns = d->turns, .offset = d->offset, .fixed = d->fixed, .init = init_kind(d->init.kind), .a = d->init.a, .b = d->init.b};
        put_shape(t, d->shape);
        if (d->init.kind == INIT_EXPR) t->init_out = init_output(c, (int32_t)i);
        csc_constraint *k = ARENA_ARRAY(a, csc_constraint, d->constraints.len + 1);
        for (size_t j = 0; j < d->constraints.len; j++) k[j] = (csc_constraint){(csc_constraint_kind)d->constraints.at[j].kind, d->constraints.at[j].value};
        t->constraints = k, t->nconstraints = (int)d->constraints.len;
    }
    for (size_t i = 0; i < p->states.len; i++) {
        const StateDecl *d = &p->states.at[i];
        states[i] = (csc_tensor_info){.name = d->name, .offset = d->offset, .init = init_kind(d->init.kind), .a = d->init.a, .b = d->init.b};
        Shape one = d->shape; /* the runtime counts turns apart */
        if (d->turns) {
            one.rank--;
            for (int k = 0; k < one.rank; k++) one.dim[k] = one.dim[k + 1];
        }
        put_shape(&states[i], one);
        states[i].turns = d->turns;
        states[i].computed = d->computed;
    }
    const char **tunables = ARENA_ARRAY(a, const char *, p->tunables.len + 1);
    for (size_t i = 0; i < p->tunables.len; i++) tunables[i] = p->tunables.at[i].name;
    return (csc_net_info){params, states, (int)p->params.len, (int)p->states.len, tunables, info_source_hash(cx, c)};
}

bool model_load(Cx *cx, Compile *c, csc_context *rt, csc_pool *pool, Model *m) {
    *m = (Model){.rt = rt, .pool = pool};
    const csc_model *table = NULL;
    const char *why = NULL;
    if (c->gpu) {
        if (csc_program_read(rt, c->object->bytes, c->object->len, &m->program)) machine_trouble("the compiled code cannot be loaded: %s", csc_error(rt));
        table = csc_program_model(m->program);
    } else {
        m->code = code_load(cx->keep, c->object, &table, &why);
        if (!m->code) machine_trouble("the compiled code cannot be loaded: %s", why);
    }
    m->info = model_net_info(cx, c);
    if (csc_net_new(rt, table, &m->info, pool, &m->net)) {
        runtime_error(cx, rt, E_WEIGHTS, (Span){0});
        return false;
    }
    if (c->gpu && !device_use(cx, c->o, rt, m->net, c->device, m->program)) return false;
    for (size_t i = 0; i < c->program->tunables.len; i++) csc_net_tunables(m->net)[i] = (float)c->program->tunables.at[i].value;
    return true;
}

void model_free(Model *m) {
    csc_net_free(m->net);
    code_free(m->code);
    csc_program_free(m->program);
    *m = (Model){0};
}

bool model_weights(Cx *cx, const Options *o, Model *m, bool needed) {
    if (!o->weights) {
        if (!needed) return true;
        Diag *d = diag_error(cx, E_WEIGHTS, (Span){0}, "the parameters of a trained model are needed");
        diag_help(cx, d, "--weights runs/MODEL/best.safetensors, which cscc train writes");
        return false;
    }
    csc_error_clear(m->rt);
    if (csc_weights_load(m->net, o->weights)) {
        runtime_error(cx, m->rt, E_WEIGHTS, (Span){0});
        return false;
    }
    return true;
}
