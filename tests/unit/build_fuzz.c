/* Broken and odd programs through the whole pipeline: words and numbers of the accepted programs and examples deleted, doubled, swapped and
   replaced. Whatever comes, cscc says an error or makes schedules: no crash, no broken promise, no hang, no unbounded memory.
   test_build_fuzz ROUNDS FROM: so many cases, from that number on; a failing program is left in build_fuzz_NUMBER.csc. */
#include "check.h"
#include "pipeline.h"
#include <ctype.h>
#include <dirent.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int rounds = 1500, from;
static uint64_t state;
static uint32_t pick(uint32_t n) { /* splitmix64 */
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) % n);
}

typedef struct Text {
    char *at;
    size_t len;
} Text;
static Text program[100];
static uint32_t nprograms;

static void take_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return;
    fseek(f, 0, SEEK_END);
    Text t = {NULL, (size_t)ftell(f)};
    rewind(f);
    t.at = malloc(t.len + 1);
    t.len = fread(t.at, 1, t.len, f);
    t.at[t.len] = 0;
    fclose(f);
    program[nprograms++] = t;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static void take_folder(void) {
    char *names[90], path[700];
    size_t n = 0;
    DIR *d = opendir(CSC_SOURCE_DIR "/tests/accept");
    for (struct dirent *e; d && n < 80 && (e = readdir(d));)
        if (strstr(e->d_name, ".csc") && strncmp(e->d_name, "imported_", 9)) names[n++] = strdup(e->d_name);
    if (d) closedir(d);
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/tests/accept/%s", CSC_SOURCE_DIR, names[i]);
        take_file(path);
        free(names[i]);
    }
    static const char *const examples[] = {"digits", "denoise", "new_structure", "ml_ista_mnist"};
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        snprintf(path, sizeof path, "%s/examples/%s/%s.csc", CSC_SOURCE_DIR, examples[i], examples[i]);
        take_file(path);
    }
}

/* One word (letters and digits, a number, or a single sign) at a place; comments are no words. */
static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }
static size_t word_at(Text t, size_t at, size_t *begin) {
    while (at < t.len && isspace((unsigned char)t.at[at])) at++;
    if (at >= t.len) return *begin = t.len, 0;
    while (at > 0 && is_word(t.at[at]) && is_word(t.at[at - 1])) at--;
    size_t n = at + 1;
    if (is_word(t.at[at]))
        while (n < t.len && (is_word(t.at[n]) || (isdigit((unsigned char)t.at[at]) && t.at[n] == '.' && isdigit((unsigned char)t.at[n + 1])))) n++;
    return *begin = at, n - at;
}

static Text splice(Text t, size_t at, size_t drop, const char *in, size_t n) {
    Text r = {malloc(t.len + n + 1), t.len - drop + n};
    memcpy(r.at, t.at, at);
    memcpy(r.at + at, in, n);
    memcpy(r.at + at + n, t.at + at + drop, t.len - at - drop);
    r.at[r.len] = 0;
    free(t.at);
    return r;
}

static const char *const numbers[] = {"0", "1", "-1", "2", "3", "7", "64", "100", "1000", "4096", "65536", "1000000", "1e6", "2147483647", "4294967296",
                                      "9223372036854775807", "-9223372036854775807", "0.5", "-0.25", "1e-300", "1e300", "1e308", "inf", "-inf", "(0/0)", "1.0"};
static const char *const words[] = {"X", "zero", "none", "I", "D", "G", "dct", "haar", "true", "false", "inf", "codes", "training", "same", "implicit", "unrolled", "stopped",
                                    "recompute", "soft", "hard", "fista(unfold: 1)", "layered(each: ista(unfold: 1))", "ml_ista(unfold: 1)", "lista_cp(unfold: 1)",
                                    "ista(until: 1e-3, at_most: 5)", "(X > 0)", "sum(X)", "[]", "[X]", "[1, 2]", "[I | I]", "[I ; I]", "\"text\"", "1..3", "batch_norm",
                                    "batch_norm()", "lipschitz(D)", "coherence(D)", "shape(X)", "size(X)", "relu", "dense(X)", "conv(X)", "diag(X)", "mask(X)", "shift(3)",
                                    "group", "elastic", "random([3])", "reshape(X, [2, 2])", "channels(X)", "stop(X)", "mean(X)", "argmax(X)", "like(D)", "real", "normal(1)",
                                    "he_normal", "residual(G)", "objective(G)", "G[1]", "X[1]", "D'", "D * D", "D^3", "(D + D)", "2 * D", "lambda_max(D, X)", "max_pool(X, 2)",
                                    "upsample(X, 2)", "linear(X, 3)", "change(g)", "step", "lambda", "prox", "updates", "tolerance", "init", "unit_atoms", "orthogonal", "untied",
                                    "repeat 2 {", "for i in 1..2 {", "}", "until", "if", "fill(1, [2])", "permute(X, [1])", "pick(X, y)", "one_hot(y, 3)", "dropout(X)",
                                    "running(\"s\", mean(X), 0, 0.1)", "batch_mean(X)", "=", "*", "+", "'", ",", "==", "&&", "?", ":", "|", ";", "..", "by", "^", "/", "//", "%", "-", "!"};
enum { NNUMBERS = sizeof numbers / sizeof *numbers, NWORDS = sizeof words / sizeof *words };

static Text mutate(Text t) {
    size_t a, b, n, m;
    if (t.len < 2) return t;
    n = word_at(t, pick((uint32_t)t.len), &a);
    switch (pick(10)) {
    case 0: return splice(t, a, n, "", 0);
    case 1: { /* twice */
        char *w = strndup(t.at + a, n);
        t = splice(t, a, 0, w, n);
        free(w);
        return t;
    }
    case 2: { /* a word of another place or program */
        Text other = program[pick(nprograms)];
        m = word_at(other, pick((uint32_t)other.len), &b);
        return splice(t, a, n, other.at + b, m);
    }
    case 3: case 4: case 5: { /* another number for the next number */
        size_t tries = 0;
        while (tries++ < 200 && !(n && isdigit((unsigned char)t.at[a]))) n = word_at(t, pick((uint32_t)t.len), &a);
        const char *w = numbers[pick(NNUMBERS)];
        return splice(t, a, n, w, strlen(w));
    }
    case 6: case 7: { /* another word for a name */
        size_t tries = 0;
        while (tries++ < 200 && !(n && isalpha((unsigned char)t.at[a]))) n = word_at(t, pick((uint32_t)t.len), &a);
        const char *w = words[pick(NWORDS)];
        return splice(t, a, n, w, strlen(w));
    }
    case 8: { /* a name of this program for a name */
        size_t tries = 0;
        while (tries++ < 200 && !(n && isalpha((unsigned char)t.at[a]))) n = word_at(t, pick((uint32_t)t.len), &a);
        m = word_at(t, pick((uint32_t)t.len), &b);
        char *w = strndup(t.at + b, m);
        t = splice(t, a, n, w, m);
        free(w);
        return t;
    }
    default: { /* a line less, or twice */
        size_t line = pick((uint32_t)t.len), end;
        while (line > 0 && t.at[line - 1] != '\n') line--;
        for (end = line; end < t.len && t.at[end] != '\n';) end++;
        if (pick(2)) return splice(t, line, end - line, "", 0);
        char *w = strndup(t.at + line, end - line + (end < t.len));
        t = splice(t, line, 0, w, strlen(w));
        free(w);
        return t;
    }
    }
}

/* In a child: 0 schedules, 1 errors, 2 no error and nothing made. */
static int run_case(const char *path) {
    struct rlimit space = {(rlim_t)3 << 30, (rlim_t)3 << 30};
#ifndef __SANITIZE_ADDRESS__
    setrlimit(RLIMIT_AS, &space);
#endif
    (void)space;
#ifdef __SANITIZE_ADDRESS__
    alarm(120);
#else
    alarm(20);
#endif
    Cx *cx = cx_new();
    Compile c;
    Options o;
    bool ok = pipeline_run(cx, &c, &o, path, NULL, "tidy");
    size_t nodes = 0;
    for (size_t i = 0; ok && i < c.entries.len; i++) nodes += c.entries.at[i].graph->nodes.len;
    if (ok && nodes < 4000) { /* from the start: what is made of graphs is small then */
        cx_free(cx);
        cx = cx_new();
        ok = pipeline_run(cx, &c, &o, path, NULL, "sched");
    }
    if (ok) return 0;
    if (!cx->errors) return 2;
    FILE *null = fopen("/dev/null", "w");
    diag_print_all(cx, null, false);
    fclose(null);
    return 1;
}

TEST(odd_programs) {
    char folder[] = "/tmp/csc_fuzz_XXXXXX", path[100], keep[100];
    CHECK(mkdtemp(folder) != NULL);
    char bank[100], copy[900]; /* what the programs import */
    snprintf(bank, sizeof bank, "%s/imported_bank.csc", folder);
    snprintf(copy, sizeof copy, "%s/tests/accept/imported_bank.csc", CSC_SOURCE_DIR);
    CHECK(symlink(copy, bank) == 0);
    take_folder();
    CHECK(nprograms >= 9);
    int passed = 0, bad = 0;
    for (int round = from; round < from + rounds; round++) {
        state = (uint64_t)round * 7919;
        Text p = program[pick(nprograms)], t = {malloc(p.len + 1), p.len};
        memcpy(t.at, p.at, p.len + 1);
        for (uint32_t k = 1 + pick(3); k > 0; k--) t = mutate(t);
        snprintf(path, sizeof path, "%s/t.csc", folder);
        FILE *f = fopen(path, "wb");
        fwrite(t.at, 1, t.len, f);
        fclose(f);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            if (!freopen("/dev/null", "w", stdout)) _exit(3);
            _exit(run_case(path));
        }
        int status = 0;
        waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) <= 1) passed += WEXITSTATUS(status) == 0;
        else {
            snprintf(keep, sizeof keep, "build_fuzz_%d.csc", round);
            FILE *k = fopen(keep, "wb");
            if (k) fwrite(t.at, 1, t.len, k), fclose(k);
            printf("-- case %d: %s %d, left in %s\n", round, WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), keep);
            bad++;
        }
        free(t.at);
    }
    remove(path);
    remove(bank);
    rmdir(folder);
    for (uint32_t i = 0; i < nprograms; i++) free(program[i].at);
    printf("%d of %d cases are programs\n", passed, rounds);
    if (bad) FAIL("%d cases", bad);
    CHECK(passed > 0);
}

int main(int argc, char **argv) {
    if (argc > 1 && atoi(argv[1]) > 0) {
        rounds = atoi(argv[1]);
        if (argc > 2) from = atoi(argv[2]);
        argc = 1;
    }
    return run_tests(argc, argv, (Case[]){T(odd_programs)}, 1);
}
