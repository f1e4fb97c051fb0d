/* docs/language.md is true: its examples are accepted, by `cscc check` too, and every builtin, recipe and
   library definition is in it.
   ```csc is a whole program, ```csc definitions has no model, ```csc fragment stands inside the model of the
   first block. */
#include "check.h"
#include "sema/sema.h"
#include <dirent.h>
#include <unistd.h>

static char *read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    size_t len = (size_t)ftell(f);
    rewind(f);
    char *s = malloc(len + 1);
    len = fread(s, 1, len, f);
    s[len] = 0;
    fclose(f);
    return s;
}

static char *page(void) {
    char *s = read_file(CSC_SOURCE_DIR "/docs/language.md");
    if (!s) FAIL("docs/language.md cannot be read");
    return s;
}

static void add_library(Cx *cx, Ast *ast) {
    DIR *d = opendir(CSC_SOURCE_DIR "/stdlib");
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        char path[600], as[300];
        if (len < 5 || strcmp(e->d_name + len - 4, ".csc")) continue;
        snprintf(path, sizeof path, "%s/stdlib/%s", CSC_SOURCE_DIR, e->d_name);
        snprintf(as, sizeof as, "<std>/%s", e->d_name);
        char *text = read_file(path);
        ast->files[ast->nfiles++] = syntax_read(cx, cx_add_source(cx, as, text, strlen(text)));
        free(text);
    }
    if (d) closedir(d);
}

static bool run_cscc(const char *program) {
    char path[] = "/tmp/csc-language-XXXXXX", command[600];
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, program, strlen(program)) < 0) FAIL("no temporary file");
    close(fd);
    snprintf(command, sizeof command, "%s check %s > %s.out 2>&1 || { cat %s.out; false; }", CSC_CSCC, path,
             path, path);
    bool ok = system(command) == 0;
    unlink(path);
    snprintf(command, sizeof command, "%s.out", path);
    unlink(command);
    return ok;
}

typedef enum Kind { WHOLE, DEFINITIONS, FRAGMENT } Kind;

static bool run_block(const char *text, int len, Kind kind, const char *frame, int line) {
    Cx *cx = cx_new();
    Ast ast = {0, ARENA_ARRAY(cx->keep, File *, 100)};
    const char *program = arena_strndup(cx->keep, text, (size_t)len);
    if (kind == FRAGMENT) { /* before the last '}' of the frame, in a block of its own */
        const char *end = strrchr(frame, '}');
        program = arena_printf(cx->keep, "%.*sif true {\n%s}\n}\n", (int)(end - frame), frame, program);
    } else if (kind == DEFINITIONS) {
        program =
            arena_printf(cx->keep, "%smodel example { input X : real[3, 8, 8]; output out = X }\n", program);
    }
    char name[40];
    snprintf(name, sizeof name, "language.md:%d", line);
    ast.files[ast.nfiles++] = syntax_read(cx, cx_add_source(cx, name, program, strlen(program)));
    add_library(cx, &ast);
    if (!cx->errors) sema_check(cx, &ast);
    bool ok = cx->errors == 0;
    if (!ok)
        diag_print_all(cx, stdout, false);
    else if (!run_cscc(program))
        ok = false, printf("-- the block of line %d\n", line);
    cx_free(cx);
    return ok;
}

TEST(examples_of_the_reference) {
    char *s = page(), *frame = NULL;
    int blocks = 0, bad = 0, line = 1;
    for (char *p = s; *p;) {
        char *end = strchr(p, '\n');
        if (!end) break;
        if (strncmp(p, "```csc", 6) == 0) {
            Kind kind = strncmp(p + 6, " fragment", 9) == 0       ? FRAGMENT
                        : strncmp(p + 6, " definitions", 12) == 0 ? DEFINITIONS
                                                                  : WHOLE;
            char *close = strstr(end, "\n```");
            if (!close) FAIL("a block of line %d does not end", line);
            int len = (int)(close + 1 - (end + 1));
            if (!frame) frame = strndup(end + 1, (size_t)len);
            bad += !run_block(end + 1, len, kind, frame, line);
            blocks++;
            for (char *q = p; q <= close; q++) line += *q == '\n';
            p = strchr(close + 1, '\n') + 1;
            line++;
            continue;
        }
        p = end + 1;
        line++;
    }
    free(frame);
    free(s);
    CHECK(blocks >= 15);
    if (bad) FAIL("%d of %d examples are rejected", bad, blocks);
}

/* Does the page hold this word, not as a part of another? */
static bool has_word(const char *s, const char *word) {
    size_t n = strlen(word);
    for (const char *p = s; (p = strstr(p, word)); p++) {
        char before = p == s ? ' ' : p[-1], after = p[n];
#define PART(c)                                                                                              \
    ((c) == '_' || ((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z') || ((c) >= '0' && (c) <= '9'))
        if (!PART(before) && !PART(after)) return true;
    }
    return false;
}

TEST(every_word_is_in_the_reference) {
    static const char *const words[] = {
#define BUILTIN(id, name, min, max, labels, what) name,
#define BUILTIN_NAME(name, what) name,
#include "sig/builtins.def"
#undef BUILTIN
#define RECIPE(kind, name, labels, what) name,
#include "sig/recipes.def"
    };
    char *s = page();
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!has_word(s, words[i])) FAIL("'%s' is not in docs/language.md", words[i]);
    free(s);
}

int main(int argc, char **argv) {
    return run_tests(argc, argv, (Case[]){T(examples_of_the_reference), T(every_word_is_in_the_reference)},
                     2);
}
