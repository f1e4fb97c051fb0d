/* cscc explain: the long form of diagnostics, from the same lists that name them. */
#include "driver/commands.h"
#include "driver/json.h"

static void explain_one(DiagCode c, bool json, bool first) {
    if (json) {
        printf("%s\n  {\"code\": \"%s\", \"title\": ", first ? "" : ",", diag_number(c));
        json_text(stdout, diag_title(c));
        printf(", \"explanation\": ");
        json_text(stdout, diag_explanation(c));
        printf("}");
    } else printf("%s%s: %s\n\n%s\n", first ? "" : "\n", diag_number(c), diag_title(c), diag_explanation(c));
}

int command_explain(Cx *cx, const Options *o) {
    if (!o->nwords && !o->json) {
        for (int c = 0; c < DIAG_COUNT; c++) printf("%s  %s\n", diag_number((DiagCode)c), diag_title((DiagCode)c));
        return 0;
    }
    bool first = true;
    for (size_t i = 0; i < o->nwords; i++) {
        DiagCode c;
        if (!diag_find(o->words[i], &c)) {
            Diag *d = diag_error(cx, E_OPTION, (Span){0}, "there is no diagnostic '%s'", o->words[i]);
            diag_help(cx, d, "cscc explain lists all");
        }
    }
    if (cx->errors) return 1;
    if (o->json) printf("[");
    for (int c = 0; c < DIAG_COUNT && !o->nwords; c++) explain_one((DiagCode)c, o->json, first), first = false;
    for (size_t i = 0; i < o->nwords; i++) {
        DiagCode c;
        diag_find(o->words[i], &c);
        explain_one(c, o->json, first);
        first = false;
    }
    if (o->json) printf("\n]\n");
    return 0;
}
