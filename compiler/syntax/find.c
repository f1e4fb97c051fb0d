/* Which definition a name means, seen from a file. */
#include "syntax/ast.h"
#include <string.h>

static bool is_library(const Cx *cx, const File *f) {
    return strncmp(cx->sources.at[f->source].path, "<std>/", 6) == 0;
}

static const Def *find_in(const File *f, Name name) {
    for (uint32_t i = 0; i < f->ndefs; i++)
        if (f->defs[i]->name == name && f->defs[i]->kind != DEF_MODEL) return f->defs[i];
    return NULL;
}

const Def *ast_find(const Cx *cx, const Ast *ast, uint32_t source, Name name) {
    bool library = false;
    for (uint32_t i = 0; i < ast->nfiles; i++)
        if (ast->files[i]->source == source) {
            const Def *d = find_in(ast->files[i], name);
            if (d) return d;
            library = is_library(cx, ast->files[i]);
        }
    for (uint32_t i = 0; i < ast->nfiles; i++) {
        if (library && !is_library(cx, ast->files[i])) continue;
        const Def *d = find_in(ast->files[i], name);
        if (d) return d;
    }
    return NULL;
}

const Def *ast_find_model(const Ast *ast, Name name) {
    const Def *found = NULL;
    if (!ast->nfiles) return NULL;
    const File *f = ast->files[0];
    for (uint32_t i = 0; i < f->ndefs; i++)
        if (f->defs[i]->kind == DEF_MODEL && (!name || f->defs[i]->name == name)) found = f->defs[i];
    return found;
}
