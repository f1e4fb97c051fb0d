/* Programs that must be rejected, each with its blessed messages (tests/reject/NAME.csc, NAME.err).
   `test_reject --bless` writes what is said now. What the first rooms
   do not see is left to `cscc check`, as are programs whose first line is `# cscc COMMAND OPTIONS`. */
#include "check.h"
#include "sema/sema.h"
#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

static bool bless;

static char *read_file(const char *path, size_t *len) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *len = (size_t)ftell(f);
    rewind(f);
    char *s = malloc(*len + 1);
    *len = fread(s, 1, *len, f);
    s[*len] = 0;
    fclose(f);
    return s;
}

/* The names in a folder that end in .csc, sorted. */
static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static size_t list_programs(const char *folder, char **out, size_t most) {
    char path[500];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s", CSC_SOURCE_DIR, folder);
    DIR *d = opendir(path);
    for (struct dirent *e; d && n < most && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len > 4 && !strcmp(e->d_name + len - 4, ".csc")) out[n++] = strdup(e->d_name);
    }
    if (d) closedir(d);
    qsort(out, n, sizeof *out, by_text);
    return n;
}

static void add_file(Cx *cx, Ast *ast, const char *folder, const char *name, const char *as) {
    char path[600];
    size_t len;
    snprintf(path, sizeof path, "%s/%s/%s", CSC_SOURCE_DIR, folder, name);
    char *text = read_file(path, &len);
    if (!text) FAIL("cannot read %s", path);
    ast->files[ast->nfiles++] = syntax_read(cx, cx_add_source(cx, as, text, len));
    free(text);
}

/* Reads and checks one program with the files it imports and the library. */
static void check_program(Cx *cx, const char *folder, const char *name) {
    static char *library[64];
    static size_t nlibrary;
    if (!nlibrary) nlibrary = list_programs("stdlib", library, 64);
    Ast ast = {0, ARENA_ARRAY(cx->keep, File *, 100)};
    add_file(cx, &ast, folder, name, name);
    bool networks = false;
    const File *f = ast.files[0];
    for (uint32_t i = 0; i < f->nimports; i++) {
        if (f->imports[i]->is_file)
            add_file(cx, &ast, folder, f->imports[i]->path, f->imports[i]->path);
        else
            networks = true;
    }
    for (size_t i = 0; i < nlibrary; i++) {
        char as[300];
        snprintf(as, sizeof as, "<std>/%s", library[i]);
        if (networks || strcmp(library[i], "networks.csc")) add_file(cx, &ast, "stdlib", library[i], as);
    }
    if (!cx->errors) sema_check(cx, &ast);
}

static char *messages(const Cx *cx) {
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    diag_print_all(cx, out, false);
    fclose(out);
    return text;
}

/* What `cscc check` says of a program that reading and naming did not reject. */
static char *run_cscc(const char *folder, const char *name, const char *words) {
    char command[1000], buffer[4096];
    snprintf(command, sizeof command, "cd %s/%s && %s %s %s 2>&1", CSC_SOURCE_DIR, folder, CSC_CSCC, words,
             name);
    FILE *p = popen(command, "r");
    char *text = NULL;
    size_t n = 0, k;
    FILE *out = open_memstream(&text, &n);
    while ((k = fread(buffer, 1, sizeof buffer, p))) fwrite(buffer, 1, k, out);
    int status = pclose(p);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
        fprintf(out, "(exit %d)\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    fclose(out);
    return text;
}

static bool seen[DIAG_COUNT], looked;

static void note_codes(const char *text) {
    for (int c = 0; c < DIAG_COUNT; c++) {
        char word[20];
        snprintf(word, sizeof word, "[%s]", diag_number((DiagCode)c));
        if (strstr(text, word)) seen[c] = true;
    }
}

TEST(rejected) {
    char *names[1000];
    size_t n = list_programs("tests/reject", names, 1000);
    int bad = 0;
    CHECK(n >= 70);
    for (size_t i = 0; i < n; i++) {
        char path[600];
        size_t len;
        Cx *cx = cx_new();
        snprintf(path, sizeof path, "%s/tests/reject/%s", CSC_SOURCE_DIR, names[i]);
        char *program = read_file(path, &len), words[200] = "check";
        bool direct = program && sscanf(program, "# cscc %199[^\n]", words) == 1;
        free(program);
        if (!direct) check_program(cx, "tests/reject", names[i]);
        char *got = cx->errors ? messages(cx) : run_cscc("tests/reject", names[i], words);
        snprintf(path, sizeof path, "%s/tests/reject/%.*s.err", CSC_SOURCE_DIR, (int)strlen(names[i]) - 4,
                 names[i]);
        if (strncmp(names[i], "imported_", 9) == 0)
            goto next; /* only there to be imported, here and in tests/accept */
        if (bless) {
            FILE *f = fopen(path, "wb");
            fputs(got, f);
            fclose(f);
        }
        char *want = read_file(path, &len);
        if (!want || strcmp(want, got)) {
            printf("-- %s\n-- expected\n%s-- got\n%s", names[i], want ? want : "(no .err)\n", got);
            bad++;
        }
        note_codes(got);
        free(want);
    next:
        free(got);
        cx_free(cx);
        free(names[i]);
    }
    looked = true;
    if (bad) FAIL("%d of %zu programs", bad, n);
}

TEST(every_code_of_the_language_has_a_test) {
    if (!looked) SKIP("the rejected programs were not run");
    for (int c = 0; c < DIAG_COUNT; c++)
        if (diag_number((DiagCode)c)[1] == '0' && diag_number((DiagCode)c)[2] < '8' && !seen[c])
            FAIL("no program in tests/reject shows %s", diag_number((DiagCode)c));
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "--bless")) bless = true, argc = 1;
    Case cases[] = {T(rejected), T(every_code_of_the_language_has_a_test)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
