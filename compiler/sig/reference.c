/* docs/operators.md, from the table. */
#include "sig/sig.h"

static void inputs(const OpInfo *o, FILE *out) {
    if (o->inputs < 0) fputs("any number", out);
    else fprintf(out, "%d", o->inputs);
    fputs(" | ", out);
    bool any = false;
    for (int i = 0; i < o->inputs; i++)
        if (o->linear >> i & 1) fprintf(out, "%s%d", any ? ", " : "", i + 1), any = true;
}

/* `|` would end a cell of the table */
static void cell(const char *text, FILE *out) {
    for (; *text; text++) {
        if (*text == '|') fputc('\\', out);
        fputc(*text, out);
    }
}

void op_reference_print(FILE *out) {
    static const struct {
        OpKind first;
        const char *title;
    } parts[] = {{OP_input, "Leaves"},         {OP_neg, "Elementwise, one input"}, {OP_add, "Elementwise, two or three inputs"},
                 {OP_expand, "Axes and labels"}, {OP_dense, "Products"},            {OP_sum_pool, "Pooling"},
                 {OP_loop, "Bodies"}};
    enum { PARTS = sizeof parts / sizeof *parts };
    fputs("# The operators\n\n"
          "The rows of `compiler/sig/ops.def`, printed by `op_reference_print`; a test holds this page to the table. What `--emit=op`\n"
          "shows is made of these. Names in backquotes are attributes. *Linear in* counts inputs from 1: linear in that input when the\n"
          "others are held. All values are real; tensors are per sample; NaN passes through every operator, is false in a comparison, true as a\n"
          "condition of `select`, and counts as the largest in `amax`, `argmax`, `sort` and `max_pool`.\n",
          out);
    for (int p = 0; p < PARTS; p++) {
        OpKind end = p + 1 < PARTS ? parts[p + 1].first : OP_COUNT;
        fprintf(out, "\n## %s\n\n| operator | inputs | linear in | what it computes |\n| --- | --- | --- | --- |\n", parts[p].title);
        for (OpKind k = parts[p].first; k < end; k++) {
            fprintf(out, "| `%s` | ", op_info[k].name);
            inputs(&op_info[k], out);
            fputs(" | ", out);
            cell(op_info[k].formula, out);
            fputs(" |\n", out);
        }
    }
}
