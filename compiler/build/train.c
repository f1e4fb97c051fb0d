/* Recipes: train blocks become stages (data, augmentation, optimiser: Cfg trees for the driver) and, for an entry, loss and metrics. */
#include "base/trouble.h"
#include "build/value.h"
#include <float.h>
#include <math.h>
#include <string.h>

static const Option *train_option(const Train *t, const char *name) {
    for (uint32_t i = 0; i < t->noptions; i++)
        if (!strcmp(t->options[i]->name, name)) return t->options[i];
    return NULL;
}

/* ---- recipe calls ---- */
typedef struct Recipe {
    const char *kind, *name, *labels;
} Recipe;
static const Recipe recipes[] = {
#define RECIPE(kind, name, labels, what) {#kind, name, labels},
#include "sig/recipes.def"
};

static const Recipe *find_recipe(const char *kind, Name n) {
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
        if (!strcmp(recipes[i].name, n) && (!kind || !strcmp(recipes[i].kind, kind))) return &recipes[i];
    return NULL;
}

static Name nth_label(Build *b, const Recipe *r, uint32_t k) {
    const char *p = r->labels;
    for (; *p;) {
        size_t n = strcspn(p, " ");
        if (k-- == 0) return name_ofn(b->cx, p, n && p[n - 1] == '!' ? n - 1 : n);
        p += n;
        while (*p == ' ') p++;
    }
    return NULL;
}

static const Cfg *value_cfg(Build *b, Val v, Span at, int depth) {
    Cfg *c = ARENA_NEW(b->a, Cfg);
    c->span = at;
    if (v.kind == V_INT || v.kind == V_REAL) c->kind = CFG_NUMBER, v_known_number(v, &c->number);
    else if (v.kind == V_BOOL) c->kind = CFG_BOOL, c->number = (double)v.i;
    else if (v.kind == V_STRING) c->kind = CFG_TEXT, c->text = v.s;
    else if (v.kind == V_LIST && depth < 8) {
        c->kind = CFG_LIST;
        c->n = (uint32_t)v.list->item.len;
        c->item = ARENA_ARRAY(b->a, const Cfg *, c->n + 1);
        for (uint32_t i = 0; i < c->n; i++)
            if (!(c->item[i] = value_cfg(b, v.list->item.at[i], at, depth + 1))) return NULL;
    } else {
        if (v.kind != V_BAD) diag_error(b->cx, E_RECIPE, at, "a recipe takes numbers, texts and lists that are known, found %s", v_text(b, v));
        return NULL;
    }
    return c;
}

/* ---- values of recipe calls ---- */
typedef enum RecipeKind { NUMBER, NUMBERS, WHOLE, WHOLES, SIZES, TRUTH, TEXT, TEXTS, NAME, SCHEDULE } RecipeKind;
typedef struct RecipeValue {
    const char *label;
    RecipeKind kind;
    double least, most;
    const char *what;
} RecipeValue;
static const RecipeValue recipe_values[] = {
#define RECIPE_VALUE(label, kind, least, most, what) {label, kind, least, most, what},
#include "sig/recipes.def"
};

static bool cfg_fits(const RecipeValue *r, const Cfg *v) {
    bool number = v->kind == CFG_NUMBER && v->number >= r->least && v->number <= r->most;
    if (v->kind == CFG_LIST) {
        for (uint32_t i = 0; i < v->n; i++)
            if (v->item[i]->kind == CFG_LIST || !cfg_fits(r, v->item[i])) return false;
        return v->n > 0 && (r->kind == NUMBERS || r->kind == WHOLES || r->kind == TEXTS || (r->kind == SIZES && v->n == 2));
    }
    switch (r->kind) {
    case NUMBER: case NUMBERS: return number;
    case WHOLE: case WHOLES: case SIZES: return number && v->number == floor(v->number) && v->number <= 0x1p53;
    case TRUTH: return v->kind == CFG_BOOL;
    case TEXT: case TEXTS: case NAME: return v->kind == CFG_TEXT;
    case SCHEDULE: return v->kind == CFG_CALL && find_recipe("SCHEDULE", v->text);
    }
    return false;
}

static bool cfg_check(Build *b, const char *call, Name label, const Cfg *v) {
    for (size_t i = 0; i < sizeof recipe_values / sizeof *recipe_values; i++) {
        const RecipeValue *r = &recipe_values[i];
        const char *dot = strchr(r->label, '.');
        size_t n = dot ? (size_t)(dot - r->label) : 0;
        if (strcmp(dot ? dot + 1 : r->label, label) || (dot && (strlen(call) != n || memcmp(call, r->label, n)))) continue;
        if (cfg_fits(r, v)) return true;
        diag_error(b->cx, E_RECIPE, v->span, "'%s' of '%s' takes %s", label, call, r->what);
        return false;
    }
    BUG("sig/recipes.def does not say what '%s' of '%s' takes", label, call);
}

/* kind: the table's kind that a call here must have, NULL: any. */
static const Cfg *expr_cfg(Build *b, Expr *e, const char *kind) {
    Expr *head = e->kind == EX_CALL ? e->a : e;
    const Recipe *r = head->kind == EX_NAME && !env_find(b->frame->env, head->name) ? find_recipe(kind, head->name) : NULL;
    if (!r && kind) {
        const char *list = "";
        for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
            if (!strcmp(recipes[i].kind, kind)) list = arena_printf(b->a, "%s%s%s", list, *list ? ", " : "", recipes[i].name);
        Diag *d = diag_error(b->cx, E_RECIPE, e->span, "expected %s", !strcmp(kind, "DATA") ? "a data set" : !strcmp(kind, "OPTIMIZER") ? "an optimizer"
                             : !strcmp(kind, "AUGMENT") ? "a way to augment" : "one of the recipe's calls");
        diag_help(b->cx, d, "there is %s", list);
        return NULL;
    }
    if (!r) {
        if (e->kind == EX_LIST) {
            Cfg *c = ARENA_NEW(b->a, Cfg);
            *c = (Cfg){.kind = CFG_LIST, .span = e->span, .n = e->n, .item = ARENA_ARRAY(b->a, const Cfg *, e->n + 1)};
            for (uint32_t i = 0; i < e->n; i++)
                if (!(c->item[i] = expr_cfg(b, e->items[i], NULL))) return NULL;
            return c;
        }
        return value_cfg(b, eval(b, e), e->span, 0);
    }
    Cfg *c = ARENA_NEW(b->a, Cfg);
    *c = (Cfg){.kind = CFG_CALL, .span = e->span, .text = head->name};
    uint32_t n = e->kind == EX_CALL ? e->n : 0;
    Name *key = ARENA_ARRAY(b->a, Name, n + 1);
    c->item = ARENA_ARRAY(b->a, const Cfg *, n + 1);
    c->key = key;
    for (uint32_t i = 0; i < n; i++) {
        const Arg *a = &e->args[i];
        key[i] = a->label ? a->label : nth_label(b, r, i);
        if (!key[i]) {
            diag_error(b->cx, E_ARGS, a->value->span, "'%s' takes fewer arguments", r->name);
            return NULL;
        }
        bool names = !strcmp(key[i], "dictionary") || !strcmp(key[i], "code"); /* stand for themselves: see synth_entry, stage_of */
        if (names && a->value->kind == EX_NAME) {
            Cfg *t = ARENA_NEW(b->a, Cfg);
            *t = (Cfg){.kind = CFG_TEXT, .span = a->value->span, .text = a->value->name};
            c->item[i] = t;
        } else if (!(c->item[i] = expr_cfg(b, a->value, NULL))) return NULL;
        if (!cfg_check(b, r->name, key[i], c->item[i])) return NULL;
    }
    c->n = n;
    return c;
}

/* ---- stages ---- */
static int64_t updates_of(Build *b, Name code, Span at) {
    for (size_t i = 0; i < b->codes.len; i++)
        if (b->codes.at[i]->name == code && b->codes.at[i]->has_updates) return b->codes.at[i]->updates;
    diag_error(b->cx, E_RECIPE, at, "layerwise takes the code of a lasso whose updates are counted; '%s' is none", code);
    return 0;
}

static Name layerwise_code(const Train *t) {
    const Option *o = train_option(t, "stages");
    if (!o || !o->value || o->value->kind != EX_CALL || o->value->n < 1 || o->value->args[0].value->kind != EX_NAME) return NULL;
    return o->value->args[0].value->name;
}

static const Train *nth_train(Build *b, const Ast *ast, int k) {
    for (uint32_t f = 0; f < ast->nfiles; f++)
        for (uint32_t i = 0; i < ast->files[f]->ntrains; i++)
            if (ast->files[f]->trains[i]->model == b->p->model && k-- == 0) return ast->files[f]->trains[i];
    return NULL;
}

int32_t stage_of(Build *b, const Ast *ast, int32_t stage, const Train **train, int64_t *updates, bool *own, Name *code) {
    int32_t k = 0;
    *code = NULL;
    *updates = 0;
    *own = false;
    for (int i = 0;; i++) {
        const Train *t = nth_train(b, ast, i);
        if (!t) return -1;
        Name c = layerwise_code(t);
        int64_t n = 1;
        if (c) { /* two stages for each update; how many there are was seen when the stages were declared */
            n = 0;
            for (size_t s = 0; s < b->p->stages.len; s++) n += b->p->stages.at[s].span.line == t->span.line && b->p->stages.at[s].span.file == t->span.file;
            if (n == 0) n = INT32_MAX;
        }
        if (stage < k + n) {
            *train = t;
            if (c) *code = c, *updates = (stage - k) / 2 + 1, *own = (stage - k) % 2 == 0;
            return stage;
        }
        k += (int32_t)n;
    }
}

static const char *source_text(Build *b, Expr *e) { /* what the user wrote, on one line */
    const Source *s = &b->cx->sources.at[e->span.file];
    const char *p = s->text;
    for (uint32_t l = 1; l < e->span.line; l++) {
        p = strchr(p, '\n');
        if (!p) return "metric";
        p++;
    }
    size_t n = strcspn(p, "\r\n"), from = e->span.col - 1, to = e->span.end_line == e->span.line ? e->span.end_col - 1 : n;
    return from < to && to <= n ? arena_strndup(b->a, p + from, to - from) : "metric";
}

static uint32_t report_items(const Train *t, Expr ***items) {
    const Option *o = train_option(t, "report");
    if (!o || !o->value) return 0;
    if (o->value->kind == EX_LIST) return *items = o->value->items, o->value->n;
    Expr **one = (Expr **)&o->value;
    return *items = one, 1;
}

static bool count_option(Build *b, const Train *t, const char *name, int64_t otherwise, int64_t *out) {
    const Option *o = train_option(t, name);
    *out = otherwise;
    if (!o) return true;
    if (!eval_int(b, o->value, name, out)) return false;
    if (*out >= 1 && *out <= 1 << 24) return true;
    diag_error(b->cx, E_VALUE, o->value->span, "'%s' cannot be %lld", name, (long long)*out);
    return false;
}

static bool named_params(Build *b, Val v, Name name, Stage *st, Span at) { /* of an operator, a parameter, or a name's path */
    size_t before = st->only.len;
    for (size_t i = 0; i < b->p->params.len; i++) {
        const char *pn = b->p->params.at[i].name;
        size_t n = strlen(name);
        bool hit = !strncmp(pn, name, n) && (pn[n] == 0 || pn[n] == '.');
        if (v.kind == V_OP && v.op->path) hit |= !strncmp(pn, v.op->path, strlen(v.op->path)) && pn[strlen(v.op->path)] == '.';
        if (hit) vec_push(b->a, &st->only, (int32_t)i);
    }
    if (st->only.len > before) return true;
    diag_error(b->cx, E_RECIPE, at, "'%s' has no parameters that could learn", name);
    return false;
}

static bool read_only(Build *b, const Train *t, Stage *st) {
    const Option *o = train_option(t, "only");
    if (!o) return true;
    Expr *one[1] = {o->value}, **items = one;
    uint32_t n = 1;
    if (o->value->kind == EX_LIST) items = o->value->items, n = o->value->n;
    for (uint32_t i = 0; i < n; i++) {
        Expr *e = items[i];
        if (e->kind == EX_STRING) {
            if (!named_params(b, v_bad(), e->name, st, e->span)) return false;
        } else {
            Expr *base = e;
            while (base->kind == EX_INDEX || base->kind == EX_FIELD) base = base->a;
            if (base->kind != EX_NAME) {
                diag_error(b->cx, E_RECIPE, e->span, "`only` takes names of dictionaries, parameters and layers");
                return false;
            }
            Val v = e->kind == EX_FIELD ? v_bad() : eval(b, e);
            Name name = base->name;
            if (e->kind == EX_FIELD) name = name_of(b->cx, source_text(b, e));
            if (e->kind == EX_INDEX && v.kind == V_OP && v.op->path) name = v.op->path;
            if (!named_params(b, v, name, st, e->span)) return false;
        }
    }
    return true;
}

static bool read_stage(Build *b, const Train *t, Stage *st) {
    const Option *data = train_option(t, "data"), *test = train_option(t, "test"), *opt = train_option(t, "optimizer"), *aug = train_option(t, "augment"),
                 *name = train_option(t, "name");
    const Option *must[] = {data, opt, train_option(t, "minimize")};
    const char *const must_name[] = {"data", "optimizer", "minimize"};
    st->span = t->span;
    for (int i = 0; i < 3; i++)
        if (!must[i]) {
            diag_error(b->cx, E_RECIPE, t->model_span, "this train block does not say '%s'", must_name[i]);
            return false;
        }
    st->data = expr_cfg(b, data->value, "DATA");
    st->test = test ? expr_cfg(b, test->value, "DATA") : NULL;
    st->optimizer = expr_cfg(b, opt->value, "OPTIMIZER");
    bool ok = st->data && st->optimizer && (!test || st->test);
    if (aug) {
        Expr *one[1] = {aug->value}, **items = one;
        uint32_t n = 1;
        if (aug->value->kind == EX_LIST) items = aug->value->items, n = aug->value->n;
        for (uint32_t i = 0; i < n && ok; i++) {
            const Cfg *c = expr_cfg(b, items[i], "AUGMENT");
            if (c) vec_push(b->a, &st->augment, c);
            else ok = false;
        }
    }
    ok = ok && count_option(b, t, "epochs", 1, &st->epochs) && count_option(b, t, "batch", 32, &st->batch) && read_only(b, t, st);
    if (name && name->value->kind != EX_STRING) {
        diag_error(b->cx, E_RECIPE, name->value->span, "'name' takes a text in quotes");
        return false;
    }
    if (name) st->name = name->value->name;
    Expr **items;
    for (uint32_t i = 0, n = report_items(t, &items); i < n; i++) { /* build_loss adds how it is made */
        Metric m = {.name = name_of(b->cx, source_text(b, items[i])), .index = (int32_t)i};
        vec_push(b->a, &st->metrics, m);
    }
    return ok;
}

/* What a lasso has one of for each update; of those, build lets only the last update's learn (only_last). */
static void own_params(Build *b, Name code, Stage *st) {
    st->only.at = NULL;
    st->only.len = st->only.cap = 0;
    for (size_t i = 0; i < b->codes.len; i++) {
        const char *path = b->codes.at[i]->path;
        size_t n = strlen(path);
        if (b->codes.at[i]->name != code) continue;
        for (size_t k = 0; k < b->p->params.len; k++) {
            const ParamDecl *d = &b->p->params.at[k];
            if (d->turns && !strncmp(d->name, path, n) && d->name[n] == '.') vec_push(b->a, &st->only, (int32_t)k);
        }
    }
}

void build_stages(Build *b, const Ast *ast) {
    const Train *t;
    for (int i = 0; (t = nth_train(b, ast, i)); i++) {
        Stage st = {0};
        if (!read_stage(b, t, &st)) continue;
        Name code = layerwise_code(t);
        if (train_option(t, "stages") && !code) {
            Diag *d = diag_error(b->cx, E_RECIPE, train_option(t, "stages")->value->span, "expected a way to make stages");
            diag_help(b->cx, d, "stages = layerwise(z), with the code of a lasso");
            continue;
        }
        Span at = code ? train_option(t, "stages")->value->span : t->span;
        int64_t n = code ? 2 * updates_of(b, code, at) : 1;
        if (n > STAGES_MOST) {
            diag_error(b->cx, E_TOO_LARGE, at, "'%s' has %lld updates: layerwise makes %lld stages of them, more than %d", code, (long long)n / 2, (long long)n, STAGES_MOST);
            continue;
        }
        const Cfg *lw = code ? expr_cfg(b, train_option(t, "stages")->value, "STAGES") : NULL;
        const Cfg *ep = lw ? cfg_arg(lw, "epochs") : NULL;
        if (ep && ep->kind == CFG_NUMBER && ep->number >= 1) st.epochs = (int64_t)ep->number;
        for (int64_t k = 0; k < n; k++) {
            Stage s = st;
            if (code) s.name = name_fmt(b->cx, k % 2 ? "%s, updates 1 to %lld" : "%s, update %lld", code, (long long)(k / 2 + 1));
            if (code && k % 2 == 0) own_params(b, code, &s);
            vec_push(b->a, &b->p->stages, s);
        }
    }
}

/* ---- loss and metrics ---- */
static bool batch_mean(Build *b, Expr *e, Val v, NodeId *out) {
    Graph *g = b->root->g;
    NodeId n;
    if (v.kind == V_BAD) return false;
    if (v.kind == V_LIST || !to_node(b, v, e->span, &n)) {
        if (v.kind == V_LIST) diag_error(b->cx, E_LOSS, e->span, "expected one number a sample, found %s", v_text(b, v));
        return false;
    }
    if (graph_shape(g, n).rank) {
        Diag *d = diag_error(b->cx, E_LOSS, e->span, "expected one number a sample, found %s", v_text(b, v));
        diag_help(b->cx, d, "take the mean(...) or the sum(...) of it");
        return false;
    }
    if (graph_batched(g, n)) n = op2(g, OP_div, op1(g, OP_batch_sum, n), graph_add(g, OP_nbatch, NULL, 0, NULL, e->span));
    *out = n;
    return true;
}

static const Ratio *ratio_of(Build *b, Val v) {
    for (size_t i = 0; v.kind == V_TENSOR && v.ctx == b->root && i < b->ratios.len; i++)
        if (b->ratios.at[i].value == v.node) return &b->ratios.at[i];
    return NULL;
}

static Val entry_of(Build *b, NodeId n, int32_t k, Span at) { /* of a vector; a number is its own */
    Val v = v_tensor(b, n);
    return graph_shape(b->root->g, n).rank ? sum_entries(b, slice_axis(b, v, 0, k, 1, at), at) : v;
}

bool build_loss(Build *b, const Ast *ast, int32_t stage) {
    const Train *t;
    int64_t updates;
    bool own;
    Name code;
    if (stage_of(b, ast, stage, &t, &updates, &own, &code) < 0) BUG("there is no stage %d", stage);
    Expr *loss = train_option(t, "minimize")->value;
    NodeId n;
    if (!batch_mean(b, loss, eval(b, loss), &n)) return false;
    graph_out(b->root->g, OUT_LOSS, 0, n, name_of(b->cx, "loss"));
    Expr **items;
    int32_t index = 0;
    for (uint32_t i = 0, count = report_items(t, &items); i < count; i++) {
        Expr *e = items[i];
        Metric *m = &b->p->stages.at[stage].metrics.at[i];
        m->index = index;
        Val v = eval(b, e);
        const Ratio *r = ratio_of(b, v);
        if (r) {
            int64_t terms = shape_size(graph_shape(b->root->g, r->top));
            if (index + 2 * terms > SCORES_MOST) {
                diag_error(b->cx, E_TOO_LARGE, e->span, "the report's sums are more than %d numbers", SCORES_MOST);
                return false;
            }
            m->terms = (int32_t)terms, m->db = r->db;
            for (int32_t k = 0; k < 2 * m->terms; k++) {
                if (!batch_mean(b, e, entry_of(b, k < m->terms ? r->top : r->bottom, k % m->terms, e->span), &n)) return false;
                graph_out(b->root->g, OUT_METRIC, index++, n, m->name);
            }
            continue;
        }
        if (!batch_mean(b, e, v, &n)) return false;
        graph_out(b->root->g, OUT_METRIC, index++, n, m->name);
    }
    return true;
}
