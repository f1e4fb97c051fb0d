/* Archives of objects: "!<arch>\n", then for each member a head of 60 characters and the bytes, padded to an even length. */
#include "code/code.h"
#include <stdlib.h>
#include <string.h>

static const char magic[] = "!<arch>\n";
enum { MAGIC = 8, HEAD = 60, SIZE_AT = 48 };

CodeObject *code_archive(Arena *a, const CodeObject *part, int32_t n) {
    CodeObject *r = ARENA_NEW(a, CodeObject);
    size_t len = MAGIC;
    for (int32_t i = 0; i < n; i++) len += HEAD + part[i].len + part[i].len % 2;
    char *to = r->bytes = arena_alloc(a, len);
    r->len = len;
    memcpy(to, magic, MAGIC);
    to += MAGIC;
    for (int32_t i = 0; i < n; i++) {
        const char *name = arena_printf(a, "part%d.o/", (int)i);
        memcpy(to, arena_printf(a, "%-16s%-12d%-6d%-6d%-8s%-10zu`\n", name, 0, 0, 0, "644", part[i].len), HEAD);
        memcpy(to + HEAD, part[i].bytes, part[i].len);
        to += HEAD + part[i].len;
        if (part[i].len % 2) *to++ = '\n';
    }
    return r;
}

bool code_member(const CodeObject *o, size_t *at, CodeObject *member) {
    if (o->len < MAGIC || memcmp(o->bytes, magic, MAGIC)) {
        *member = *o;
        return (*at)++ == 0;
    }
    if (*at == 0) *at = MAGIC;
    if (*at + HEAD > o->len) return false;
    member->bytes = o->bytes + *at + HEAD;
    member->len = strtoul(o->bytes + *at + SIZE_AT, NULL, 10);
    *at += HEAD + member->len + member->len % 2;
    return *at <= o->len;
}
