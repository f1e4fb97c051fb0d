/* The operators of a program, each with the numbers of its dot test <D x, y> = <x, D' y> (entry "operators"). */
#include "build/value.h"

/* Notes that the program uses D on `code`; `at`: where. Only what stands outside of loops, each operator and size once. */
void operator_note(Build *b, LinOp *D, Shape code, Name name, Span at) {
    bool batched = false;
    if (b->mode != ENTRY_OPERATORS || lin_home(b, D, &batched) != b->root) return;
    for (size_t i = 0; i < b->uses.len; i++)
        if (b->uses.at[i].D == D && shape_eq(b->uses.at[i].code, code)) return;
    OpUse u = {D, code, D->path ? D->path : name, at};
    vec_push(b->a, &b->uses, u);
}

/* Noted if an adjoint or a joint is in D. A leaf alone (a layer's convolution) is not. */
Val operator_apply(Build *b, LinOp *D, Val x, Span at) {
    Val y = lin_apply(b, D, x, false, at);
    bool adjoint = false;
    for (; D->kind == L_ADJ; D = D->part[0]) adjoint = !adjoint;
    if (y.kind != V_BAD && (adjoint || D->nparts)) operator_note(b, D, val_shape(b, adjoint ? y : x), NULL, at);
    return y;
}

static Val noise(Build *b, Shape s, Span at) {
    Attr a = {.shape = s, .index = b->noises++, .flag = true};
    return v_tensor(b, graph_add(b->root->g, OP_noise, NULL, 0, &a, at));
}

static Val product(Build *b, Val x, Val y, Span at) { return sum_entries(b, apply2(b, OP_mul, x, y, at), at); }

/* Five outputs an operator: x, y, <D x, y>, <x, D' y>, |D x|^2 |y|^2. */
bool operators_entry(Build *b) {
    for (size_t i = 0; i < b->uses.len; i++) {
        const OpUse *u = &b->uses.at[i];
        Val x = noise(b, u->code, u->at), u_x = lin_apply(b, u->D, x, false, u->at);
        if (u_x.kind == V_BAD) return false;
        Val y = noise(b, val_shape(b, u_x), u->at), back = lin_apply(b, u->D, y, true, u->at);
        if (back.kind == V_BAD) return false;
        Val out[] = {x, y, product(b, u_x, y, u->at), product(b, x, back, u->at),
                     apply2(b, OP_mul, product(b, u_x, u_x, u->at), product(b, y, y, u->at), u->at)};
        for (size_t k = 0; k < sizeof out / sizeof *out; k++) graph_out(b->root->g, OUT_VALUE, (int32_t)i, out[k].node, u->name);
    }
    return true;
}
