/* The JSON reader (RFC 8259). Two passes over the text: one counts what can be there, one fills. */
#include "json.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 32

typedef struct Reader {
    const char *at, *end;
    Json *j;
    uint32_t cap;
    char *out; /* where the next decoded string goes */
    const char *why;
} Reader;

static bool fail(Reader *r, const char *why) {
    if (!r->why) r->why = why;
    return false;
}

static void space(Reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) r->at++;
}

static int hex4(Reader *r) {
    int v = 0;
    if (r->end - r->at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = *r->at++;
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (d < 0) return -1;
        v = v * 16 + d;
    }
    return v;
}

static void put_utf8(Reader *r, uint32_t c) {
    char *o = r->out;
    if (c < 0x80) *o++ = (char)c;
    else if (c < 0x800) {
        *o++ = (char)(0xC0 | c >> 6);
        *o++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *o++ = (char)(0xE0 | c >> 12);
        *o++ = (char)(0x80 | (c >> 6 & 63));
        *o++ = (char)(0x80 | (c & 63));
    } else {
        *o++ = (char)(0xF0 | c >> 18);
        *o++ = (char)(0x80 | (c >> 12 & 63));
        *o++ = (char)(0x80 | (c >> 6 & 63));
        *o++ = (char)(0x80 | (c & 63));
    }
    r->out = o;
}

static bool escape(Reader *r) {
    if (r->at >= r->end) return fail(r, "a string does not end");
    char c = *r->at++;
    const char *from = "\"\\/bfnrt", *to = "\"\\/\b\f\n\r\t", *found = c ? strchr(from, c) : NULL;
    if (found) {
        *r->out++ = to[found - from];
        return true;
    }
    if (c != 'u') return fail(r, "an unknown escape in a string");
    int hi = hex4(r), lo;
    if (hi <= 0) return fail(r, "a bad \\u escape in a string");
    uint32_t code = (uint32_t)hi;
    if (hi >= 0xD800 && hi < 0xDC00) {
        if (r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u') return fail(r, "half a surrogate pair in a string");
        r->at += 2;
        lo = hex4(r);
        if (lo < 0xDC00 || lo > 0xDFFF) return fail(r, "half a surrogate pair in a string");
        code = 0x10000 + ((uint32_t)(hi - 0xD800) << 10) + (uint32_t)(lo - 0xDC00);
    } else if (hi >= 0xDC00 && hi <= 0xDFFF) return fail(r, "half a surrogate pair in a string");
    put_utf8(r, code);
    return true;
}

static const char *text(Reader *r) {
    const char *start = r->out;
    r->at++; /* the quote */
    for (;;) {
        if (r->at >= r->end) {
            fail(r, "a string does not end");
            return NULL;
        }
        unsigned char c = (unsigned char)*r->at++;
        if (c == '"') break;
        if (c < 0x20) {
            fail(r, "a control character in a string");
            return NULL;
        }
        if (c != '\\') *r->out++ = (char)c;
        else if (!escape(r)) return NULL;
    }
    *r->out++ = 0;
    return start;
}

static bool digit(const Reader *r) {
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static bool number(Reader *r, JsonNode *n) {
    char b[64];
    const char *start = r->at;
    bool minus = *r->at == '-', whole = !minus;
    r->at += minus;
    if (!digit(r)) return fail(r, "a bad number");
    if (*r->at == '0' && r->end - r->at > 1 && r->at[1] >= '0' && r->at[1] <= '9') return fail(r, "a number starts with 0");
    uint64_t v = 0;
    for (; digit(r); r->at++)
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(*r->at - '0'), &v)) whole = false;
    if (r->at < r->end && *r->at == '.') {
        whole = false;
        r->at++;
        if (!digit(r)) return fail(r, "a bad number");
        while (digit(r)) r->at++;
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        whole = false;
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-')) r->at++;
        if (!digit(r)) return fail(r, "a bad number");
        while (digit(r)) r->at++;
    }
    if ((size_t)(r->at - start) >= sizeof b) return fail(r, "a number is too long");
    memcpy(b, start, (size_t)(r->at - start));
    b[r->at - start] = 0;
    n->kind = JSON_NUMBER;
    n->number = strtod(b, NULL);
    n->whole = whole;
    n->integer = whole ? v : 0;
    return true;
}

static bool word(Reader *r, JsonNode *n, const char *w, JsonKind kind, double v) {
    size_t len = strlen(w);
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, w, len)) return fail(r, "an unknown word");
    r->at += len;
    n->kind = kind;
    n->number = v;
    return true;
}

static uint32_t value(Reader *r, int depth);

static bool children(Reader *r, uint32_t self, char close, int depth) {
    uint32_t last = 0;
    r->at++; /* the bracket */
    space(r);
    if (r->at < r->end && *r->at == close) {
        r->at++;
        return true;
    }
    for (;;) {
        const char *key = NULL;
        space(r);
        if (close == '}') {
            if (r->at >= r->end || *r->at != '"') return fail(r, "a name is expected in an object");
            if (!(key = text(r))) return false;
            space(r);
            if (r->at >= r->end || *r->at != ':') return fail(r, "a colon is expected after a name");
            r->at++;
        }
        uint32_t child = value(r, depth + 1);
        if (!child) return false;
        r->j->node[child].key = key;
        if (last) r->j->node[last].next = child;
        else r->j->node[self].first = child;
        last = child;
        r->j->node[self].count++;
        space(r);
        if (r->at >= r->end) return fail(r, "the text ends early");
        char c = *r->at++;
        if (c == close) return true;
        if (c != ',') return fail(r, "a comma is expected");
    }
}

static uint32_t value(Reader *r, int depth) {
    space(r);
    if (r->at >= r->end) return fail(r, "the text ends early");
    if (depth > MAX_DEPTH) return fail(r, "brackets are nested too deeply");
    if (r->j->n >= r->cap) return fail(r, "too many values");
    uint32_t self = r->j->n++;
    JsonNode *n = &r->j->node[self];
    *n = (JsonNode){0};
    bool ok;
    switch (*r->at) {
    case '{': n->kind = JSON_OBJECT; ok = children(r, self, '}', depth); break;
    case '[': n->kind = JSON_LIST; ok = children(r, self, ']', depth); break;
    case '"': n->kind = JSON_TEXT; ok = (n->text = text(r)) != NULL; break;
    case 't': ok = word(r, n, "true", JSON_BOOL, 1); break;
    case 'f': ok = word(r, n, "false", JSON_BOOL, 0); break;
    case 'n': ok = word(r, n, "null", JSON_NULL, 0); break;
    default: ok = number(r, n);
    }
    return ok ? self : 0;
}

bool json_read(Json *j, const char *s, size_t len, const char **why) {
    *j = (Json){0};
    uint32_t values = 2; /* each value but the root stands after one of these; quotes hide some, so this is a bound */
    for (size_t i = 0; i < len; i++) values += s[i] == ',' || s[i] == '[' || s[i] == '{';
    j->node = malloc(sizeof *j->node * ((size_t)values + 1));
    j->text = malloc(len + 1); /* decoded text is never longer: each string has two quotes to spare */
    if (!j->node || !j->text) {
        json_free(j);
        *why = "no memory";
        return false;
    }
    j->n = 1;
    Reader r = {.at = s, .end = s + len, .j = j, .cap = values + 1, .out = j->text};
    bool ok = value(&r, 0) != 0;
    space(&r);
    if (ok && r.at != r.end) ok = fail(&r, "something follows the value");
    if (!ok) {
        *why = r.why;
        json_free(j);
    }
    return ok;
}

void json_free(Json *j) {
    free(j->node);
    free(j->text);
    *j = (Json){0};
}

const JsonNode *json_member(const Json *j, const JsonNode *object, const char *key) {
    if (object->kind != JSON_OBJECT) return NULL;
    for (uint32_t c = object->first; c; c = j->node[c].next)
        if (!strcmp(j->node[c].key, key)) return &j->node[c];
    return NULL;
}
