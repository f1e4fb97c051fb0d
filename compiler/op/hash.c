/* A structural hash: equal for graphs that differ in spans and names only. */
#include "op/graph.h"
#include <string.h>

static uint64_t mix(uint64_t h, uint64_t v) {
    h ^= v + 0x9E3779B97F4A7C15u + (h << 6) + (h >> 2);
    h *= 0xFF51AFD7ED558CCDu;
    return h ^ (h >> 32);
}
static uint64_t mix_real(uint64_t h, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return mix(h, bits);
}
static uint64_t mix_shape(uint64_t h, Shape s) {
    h = mix(h, (uint64_t)s.rank);
    for (int i = 0; i < s.rank; i++) h = mix(h, (uint64_t)s.dim[i]);
    return h;
}
static uint64_t mix_pair(uint64_t h, const int32_t v[2]) { return mix(mix(h, (uint64_t)v[0]), (uint64_t)v[1]); }
static uint64_t mix_sizes(uint64_t h, const int64_t v[2]) { return mix(mix(h, (uint64_t)v[0]), (uint64_t)v[1]); }

static uint64_t mix_attr(uint64_t h, const Attr *a) {
    h = mix_real(h, a->value);
    h = mix(mix(mix(h, (uint64_t)a->index), (uint64_t)a->axis), a->axes);
    h = mix(mix(mix(h, (uint64_t)a->start), (uint64_t)a->step), (uint64_t)a->size);
    h = mix_shape(mix(mix(h, a->flag), a->batched), a->shape);
    h = mix(h, (uint64_t)a->list_len);
    for (int64_t i = 0; i < a->list_len; i++) h = mix(h, (uint64_t)a->list[i]);
    for (int64_t i = 0; a->data && i < shape_size(a->shape); i++) h = mix_real(h, a->data[i]);
    if (a->conv) {
        const ConvGeom *c = a->conv;
        h = mix_pair(mix_pair(mix_pair(h, c->kernel), c->stride), c->dilation);
        h = mix(mix_pair(mix_pair(h, c->pad_lo), c->pad_hi), (uint64_t)c->groups);
        h = mix_sizes(mix_sizes(h, c->in), c->out);
    }
    if (a->pool) h = mix_sizes(mix_pair(mix_pair(mix_pair(h, a->pool->kernel), a->pool->stride), a->pool->pad), a->pool->in);
    if (a->loop) {
        const LoopAttr *l = a->loop;
        h = mix(mix(mix(mix(mix(h, (uint64_t)l->turns), l->ncarry), l->ninvariant), l->nper), l->nemit);
        h = mix(h, (uint64_t)l->until | (uint64_t)l->counted << 1 | (uint64_t)l->reverse << 2 | (uint64_t)l->keep << 3);
        h = mix(h, graph_hash(l->body));
    }
    return a->body ? mix(h, graph_hash(a->body)) : h;
}

uint64_t graph_hash(const Graph *g) {
    uint64_t h = g->nodes.len;
    for (size_t i = 0; i < g->nodes.len; i++) {
        const Node *n = &g->nodes.at[i];
        h = mix(h, (uint64_t)n->op);
        for (uint32_t k = 0; k < n->nin; k++) h = mix(h, n->in[k]);
        h = mix_attr(h, &n->a);
    }
    for (size_t i = 0; i < g->outs.len; i++)
        h = mix(mix(mix(h, (uint64_t)g->outs.at[i].role), (uint64_t)g->outs.at[i].index), g->outs.at[i].node);
    return h;
}
