/* A small JSON reader for untrusted text: bounded depth, bounded node count, UTF-8 passed through, nothing allocated per value. */
#ifndef CSC_RT_JSON_H
#define CSC_RT_JSON_H
#include "rt.h"

typedef enum JsonKind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_OBJECT } JsonKind;
typedef struct JsonNode {
    JsonKind kind;
    bool whole;         /* NUMBER: a non-negative integer that fits in `integer` */
    uint64_t integer;
    double number;      /* also BOOL */
    const char *text;   /* TEXT: decoded, ends with 0; no 0 inside */
    const char *key;    /* of a member of an object, or NULL */
    uint32_t first, next; /* child, sibling: index, 0: none */
    uint32_t count;       /* children */
} JsonNode;
typedef struct Json {
    JsonNode *node; /* [n], node[1] is the root */
    uint32_t n;
    char *text;     /* decoded strings */
} Json;
/* False: *why says what is wrong and where (static or in `j->text`). `len` must be below 1 GB. Frees nothing of the caller's. */
bool json_read(Json *j, const char *text, size_t len, const char **why);
void json_free(Json *j);
const JsonNode *json_member(const Json *j, const JsonNode *object, const char *key); /* NULL: none */
#endif
