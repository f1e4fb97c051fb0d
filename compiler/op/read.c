/* Reads the text of operator graphs as print.c writes it. Any text is either read or refused with one diagnostic. */
#include "op/loops.h"
#include "op/text.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MOST = 20, COUNT_MOST = 1 << 20 };

typedef struct Reader {
    Cx *cx;
    Arena *a;
    uint32_t file, line;
    const char *p, *line_start, *end;
    bool failed;
    int depth;
} Reader;

static Span here(const Reader *r) {
    uint32_t col = (uint32_t)(r->p - r->line_start) + 1;
    return (Span){r->file, r->line, col, r->line, col + 1};
}

__attribute__((format(printf, 2, 3))) static bool fail(Reader *r, const char *fmt, ...) { /* only the first one counts */
    va_list ap;
    va_start(ap, fmt);
    if (!r->failed) diag_error(r->cx, E_OP_TEXT, here(r), "%s", arena_vprintf(r->a, fmt, ap));
    va_end(ap);
    r->failed = true;
    return false;
}

static void blanks(Reader *r) {
    for (; r->p < r->end && isspace((unsigned char)*r->p); r->p++)
        if (*r->p == '\n') r->line++, r->line_start = r->p + 1;
}
static bool peek(Reader *r, const char *word) {
    blanks(r);
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n)) return false;
    return !isalnum((unsigned char)word[n - 1]) || r->p + n == r->end || !(isalnum((unsigned char)r->p[n]) || r->p[n] == '_');
}
static bool accept(Reader *r, const char *word) {
    if (r->failed || !peek(r, word)) return false;
    r->p += strlen(word);
    return true;
}
static bool expect(Reader *r, const char *word) { return r->failed ? false : accept(r, word) || fail(r, "'%s' is expected here", word); }

static bool whole(Reader *r, int64_t lo, int64_t hi, int64_t *out) {
    if (r->failed) return false;
    blanks(r);
    char *stop;
    errno = 0;
    long long v = strtoll(r->p, &stop, 10);
    if (stop == r->p || stop > r->end) return fail(r, "a whole number is expected here");
    if (errno || v < lo || v > hi) return fail(r, "this number must lie between %lld and %lld", (long long)lo, (long long)hi);
    r->p = stop;
    *out = v;
    return true;
}
static bool whole32(Reader *r, int32_t lo, int32_t *out) {
    int64_t v = 0;
    bool ok = whole(r, lo, INT32_MAX, &v);
    *out = (int32_t)v;
    return ok;
}
static bool count(Reader *r, uint32_t *out) {
    int64_t v = 0;
    bool ok = whole(r, 0, COUNT_MOST, &v);
    *out = (uint32_t)v;
    return ok;
}
static bool real(Reader *r, double *out) {
    if (r->failed) return false;
    blanks(r);
    char *stop;
    *out = strtod(r->p, &stop);
    if (stop == r->p || stop > r->end) return fail(r, "a number is expected here");
    r->p = stop;
    return true;
}
static bool text(Reader *r, Name *out) { /* "..." if there is one */
    *out = NULL;
    if (!accept(r, "\"")) return true;
    char *s = ARENA_ARRAY(r->a, char, r->end - r->p + 1);
    size_t n = 0;
    for (; r->p < r->end && *r->p != '"' && *r->p != '\n'; r->p++) {
        if (*r->p == '\\' && r->p + 1 < r->end) r->p++;
        s[n++] = *r->p;
    }
    *out = name_ofn(r->cx, s, n);
    return expect(r, "\"");
}
static bool shape(Reader *r, Shape *s) {
    *s = (Shape){0};
    if (!expect(r, "[")) return false;
    do {
        if (s->rank == RANK_MAX) return fail(r, "a shape has at most %d axes", RANK_MAX);
        if (!whole(r, 1, (int64_t)1 << 40, &s->dim[s->rank])) return false;
        s->rank++;
    } while (accept(r, ","));
    return expect(r, "]");
}
static bool times(Reader *r) { /* the x of 3x3 */
    if (!r->failed && r->p < r->end && *r->p == 'x') return r->p++, true;
    return fail(r, "'x' is expected here");
}
static bool pair(Reader *r, int32_t v[2]) { return whole32(r, 0, &v[0]) && times(r) && whole32(r, 0, &v[1]); }
static bool sizes(Reader *r, int64_t v[2]) {
    return whole(r, 0, (int64_t)1 << 40, &v[0]) && times(r) && whole(r, 0, (int64_t)1 << 40, &v[1]);
}

static bool read_graph(Reader *r, Graph *g);

static bool read_conv(Reader *r, ConvGeom *c) {
    *c = (ConvGeom){.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
    int64_t ch[2] = {0};
    for (;;) {
        bool ok = true;
        if (accept(r, "kernel=")) ok = pair(r, c->kernel);
        else if (accept(r, "stride=")) ok = pair(r, c->stride);
        else if (accept(r, "dilation=")) ok = pair(r, c->dilation);
        else if (accept(r, "pad_lo=")) ok = pair(r, c->pad_lo);
        else if (accept(r, "pad_hi=")) ok = pair(r, c->pad_hi);
        else if (accept(r, "groups=")) ok = whole32(r, 1, &c->groups);
        else if (accept(r, "in=")) ok = sizes(r, c->in);
        else if (accept(r, "out=")) ok = sizes(r, c->out);
        else if (accept(r, "channels=")) ok = sizes(r, ch);
        else break;
        if (!ok) return false;
    }
    c->in_ch = ch[0], c->out_ch = ch[1];
    return !r->failed;
}
static bool read_pool(Reader *r, PoolGeom *p) {
    *p = (PoolGeom){.stride = {1, 1}};
    for (;;) {
        bool ok = true;
        if (accept(r, "kernel=")) ok = pair(r, p->kernel);
        else if (accept(r, "stride=")) ok = pair(r, p->stride);
        else if (accept(r, "pad=")) ok = pair(r, p->pad);
        else if (accept(r, "in=")) ok = sizes(r, p->in);
        else if (accept(r, "out=")) ok = sizes(r, p->out);
        else break;
        if (!ok) return false;
    }
    return !r->failed;
}
static bool read_loop(Reader *r, LoopAttr *l) {
    for (;;) {
        bool ok = true;
        if (accept(r, "turns=")) ok = whole(r, 1, (int64_t)1 << 40, &l->turns);
        else if (accept(r, "carry=")) ok = count(r, &l->ncarry);
        else if (accept(r, "invariant=")) ok = count(r, &l->ninvariant);
        else if (accept(r, "per=")) ok = count(r, &l->nper);
        else if (accept(r, "emit=")) ok = count(r, &l->nemit);
        else if (accept(r, "until")) l->until = true;
        else if (accept(r, "counted")) l->counted = true;
        else if (accept(r, "reverse")) l->reverse = true;
        else if (accept(r, "keep")) l->keep = true;
        else break;
        if (!ok) return false;
    }
    return !r->failed;
}
static bool read_list(Reader *r, Attr *a) {
    Vec(int32_t) v = {0};
    do {
        int32_t x;
        if (!whole32(r, INT32_MIN, &x)) return false;
        vec_push(r->a, &v, x);
    } while (accept(r, ","));
    a->list = v.at;
    a->list_len = (int64_t)v.len;
    return expect(r, "]");
}
static bool read_data(Reader *r, Attr *a, size_t *len) {
    Vec(double) v = {0};
    do {
        double x;
        if (!real(r, &x)) return false;
        vec_push(r->a, &v, x);
    } while (accept(r, ","));
    a->data = v.at;
    *len = v.len;
    return expect(r, "]");
}

static bool read_attr(Reader *r, Attr *a) {
    LoopAttr *loop = NULL;
    ConvGeom *conv = NULL;
    PoolGeom *pool = NULL;
    Graph *body = NULL;
    size_t data_len = 0;
    int64_t axes = 0;
    bool ok = true;
    while (ok && !accept(r, "}")) {
        if (accept(r, "value=")) ok = real(r, &a->value);
        else if (accept(r, "index=")) ok = whole32(r, 0, &a->index);
        else if (accept(r, "axis=")) ok = whole32(r, 0, &a->axis);
        else if (accept(r, "axes=")) ok = whole(r, 1, (1 << RANK_MAX) - 1, &axes);
        else if (accept(r, "start=")) ok = whole(r, 0, (int64_t)1 << 40, &a->start);
        else if (accept(r, "step=")) ok = whole(r, 1, (int64_t)1 << 40, &a->step);
        else if (accept(r, "size=")) ok = whole(r, 1, (int64_t)1 << 40, &a->size);
        else if (accept(r, "flag")) a->flag = true;
        else if (accept(r, "shape=")) ok = shape(r, &a->shape);
        else if (accept(r, "batched")) a->batched = true;
        else if (accept(r, "list=[")) ok = read_list(r, a);
        else if (accept(r, "data=[")) ok = read_data(r, a, &data_len);
        else if (accept(r, "conv")) ok = read_conv(r, conv = ARENA_NEW(r->a, ConvGeom));
        else if (accept(r, "pool")) ok = read_pool(r, pool = ARENA_NEW(r->a, PoolGeom));
        else if (accept(r, "loop")) ok = read_loop(r, loop = ARENA_NEW(r->a, LoopAttr));
        else if (accept(r, "body")) {
            body = graph_new(r->a);
            if (++r->depth > DEPTH_MOST) return fail(r, "bodies lie within each other more than %d deep", DEPTH_MOST);
            ok = expect(r, "{") && read_graph(r, body) && expect(r, "}");
            r->depth--;
        } else return fail(r, "an attribute is expected here");
    }
    a->axes = (uint32_t)axes;
    a->conv = conv;
    a->pool = pool;
    a->loop = loop;
    if (loop) loop->body = body;
    else a->body = body;
    if (ok && a->data) {
        int64_t want = 1;
        for (int i = 0; i < a->shape.rank && want <= (int64_t)data_len; i++) want *= a->shape.dim[i];
        if (want != (int64_t)data_len) return fail(r, "%zu entries do not fill this shape", data_len);
    }
    return ok && !r->failed;
}

static bool node_ref(Reader *r, const Graph *g, NodeId *out) {
    int64_t v = 0;
    if (!whole(r, 0, INT32_MAX, &v)) return false;
    if (v >= (int64_t)g->nodes.len) return fail(r, "there is no node %%%lld before this line", (long long)v);
    *out = (NodeId)v;
    return true;
}

static bool read_node(Reader *r, Graph *g) {
    int64_t number;
    if (!whole(r, 0, INT32_MAX, &number)) return false;
    if (number != (int64_t)g->nodes.len) return fail(r, "this must be node %%%zu", g->nodes.len);
    Node n = {.span = here(r)};
    const Reader start_of_node = *r;
    if (!text(r, &n.name) || !expect(r, "=")) return false;
    blanks(r);
    const char *start = r->p;
    while (r->p < r->end && (isalnum((unsigned char)*r->p) || *r->p == '_')) r->p++;
    const char *word = arena_strndup(r->a, start, (size_t)(r->p - start));
    if (!op_find(word, &n.op)) {
        r->p = start;
        return fail(r, "there is no operator '%s'", word);
    }
    Vec(NodeId) in = {0};
    while (accept(r, "%")) {
        NodeId x;
        if (!node_ref(r, g, &x)) return false;
        if (g->nodes.at[x].op == OP_loop && n.op != OP_proj) return fail(r, "only proj reads a loop");
        vec_push(r->a, &in, x);
    }
    n.in = in.at;
    n.nin = (uint32_t)in.len;
    if (accept(r, "{") && !read_attr(r, &n.a)) return false;
    Shape s = {0};
    if (!expect(r, ":") || !expect(r, "real") || (peek(r, "[") && !shape(r, &s))) return false;
    bool batched = accept(r, "batched");
    const char *why = "";
    bool fits = graph_infer(g, &n, &n.shape, &n.batched, &why);
    if (!fits || !shape_eq(s, n.shape) || batched != n.batched) *r = start_of_node; /* the message points there */
    if (!fits) return fail(r, "%s", why);
    if (!shape_eq(s, n.shape) || batched != n.batched)
        return fail(r, "this is %s%s", shape_text(r->a, n.shape), n.batched ? " batched" : "");
    vec_push(r->a, &g->nodes, n);
    return true;
}

static bool read_out(Reader *r, Graph *g) {
    for (int role = 0; role < OUT_ROLES; role++) {
        if (!accept(r, out_role_text[role])) continue;
        GraphOut o = {.role = (OutRole)role};
        if (!whole32(r, 0, &o.index) || !expect(r, "%") || !node_ref(r, g, &o.node) || !text(r, &o.name)) return false;
        vec_push(r->a, &g->outs, o);
        return true;
    }
    return fail(r, "what this output is for is expected here: value, loss, metric, grad, ingrad, state or param");
}

static bool read_graph(Reader *r, Graph *g) {
    for (;;) {
        if (accept(r, "%")) {
            if (!read_node(r, g)) return false;
        } else if (accept(r, "out")) {
            if (!read_out(r, g)) return false;
        } else break;
    }
    const char *why = "";
    return !r->failed && (graph_check(g, &why) || fail(r, "%s", why));
}

Graph *graph_read(Cx *cx, Arena *a, uint32_t file) {
    const Source *s = &cx->sources.at[file];
    Reader r = {.cx = cx, .a = a, .file = file, .line = 1, .p = s->text, .line_start = s->text, .end = s->text + s->len};
    Graph *g = graph_new(a);
    if (!read_graph(&r, g)) return NULL;
    blanks(&r);
    if (r.p != r.end) fail(&r, "a node (%%) or an output (out) is expected here");
    return r.failed ? NULL : g;
}
