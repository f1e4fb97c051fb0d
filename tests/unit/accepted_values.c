/* Programs that must pass (tests/accept): passes change no value, gradients equal differences; CSC_FULL: compiled code equals the evaluator. */
#include "check.h"
#include "model.h"
#include <dirent.h>

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static const char *examine(const char *path) {
    TestModel *m = model_open(path, "", 3);
    if (!m) return "it does not build";
    const char *full = getenv("CSC_FULL"), *why = model_passes(m, 1e-8);
    bool implicit = false; /* these programs stop before they have converged */
    const Graph *g = model_raw(m, ENTRY_FORWARD);
    for (size_t i = 0; i < g->nodes.len; i++) implicit |= g->nodes.at[i].op == OP_fixed_point;
    if (!why && !implicit) why = model_gradients(m, 1e-4);
    if (!why && full && *full) why = model_compiled(m, 1e-3);
    if (why) printf("-- %s: %s\n", path, why);
    model_close(m);
    return why;
}

TEST(accepted_programs) {
    char *name[200];
    size_t n = 0;
    int bad = 0;
    DIR *d = opendir(CSC_SOURCE_DIR "/tests/accept");
    for (struct dirent *e; d && n < 200 && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len > 4 && !strcmp(e->d_name + len - 4, ".csc") && strncmp(e->d_name, "imported_", 9)) name[n++] = strdup(e->d_name);
    }
    if (d) closedir(d);
    qsort(name, n, sizeof *name, by_text);
    for (size_t i = 0; i < n; i++) {
        char path[300];
        snprintf(path, sizeof path, "tests/accept/%s", name[i]);
        bad += examine(path) != NULL;
        free(name[i]);
    }
    if (bad || !n) FAIL("%d of %zu programs", bad, n);
}

int main(int argc, char **argv) {
    static const Case cases[] = {T(accepted_programs)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
