/* Programs that must pass (tests/accept, examples): every entry is built, simplified, differentiated and scheduled. A line `# param NAME`
   or `# state NAME` in a program says that the model has it. */
#include "check.h"
#include "pipeline.h"
#include <dirent.h>

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static size_t list_programs(const char *folder, const char *ending, char **out, size_t most) {
    size_t n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && n < most && (e = readdir(d));) {
        size_t len = strlen(e->d_name), k = strlen(ending);
        if (e->d_name[0] != '.' && len >= k && !strcmp(e->d_name + len - k, ending) && strncmp(e->d_name, "imported_", 9)) out[n++] = strdup(e->d_name);
    }
    if (d) closedir(d);
    qsort(out, n, sizeof *out, by_text);
    return n;
}

static bool has_name(const Program *p, const char *what, const char *name) {
    bool hit = false;
    if (!strcmp(what, "param"))
        for (size_t i = 0; i < p->params.len; i++) hit |= !strcmp(p->params.at[i].name, name);
    if (!strcmp(what, "state"))
        for (size_t i = 0; i < p->states.len; i++) hit |= !strcmp(p->states.at[i].name, name);
    return hit;
}

/* The promises in a program's comments. */
static int check_names(const Program *p, const char *path) {
    char line[400], what[20], name[200];
    int bad = 0;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "# %19s %199s", what, name) != 2 || (strcmp(what, "param") && strcmp(what, "state"))) continue;
        if (has_name(p, what, name)) continue;
        printf("-- %s: there is no %s %s, but\n", path, what, name);
        for (size_t i = 0; i < p->params.len; i++) printf("   param %s\n", p->params.at[i].name);
        for (size_t i = 0; i < p->states.len; i++) printf("   state %s\n", p->states.at[i].name);
        bad++;
    }
    if (f) fclose(f);
    return bad;
}

static int accept_program(const char *path, const char *model) {
    Cx *cx = cx_new();
    Compile c;
    Options o;
    int bad = 0;
    if (!pipeline_run(cx, &c, &o, path, model, "sched")) {
        printf("-- %s is rejected\n", path);
        diag_print_all(cx, stdout, false);
        bad = 1;
    } else if (cx->diags.len) {
        printf("-- of %s there is something to say\n", path);
        diag_print_all(cx, stdout, false);
        bad = 1;
    } else if (!model) bad = check_names(c.program, path);
    cx_free(cx);
    return bad;
}

TEST(accepted) {
    char *names[200], path[700];
    size_t n = list_programs(CSC_SOURCE_DIR "/tests/accept", ".csc", names, 200);
    int bad = 0;
    CHECK(n >= 9);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/tests/accept/%s", CSC_SOURCE_DIR, names[i]);
        bad += accept_program(path, NULL);
        free(names[i]);
    }
    if (bad) FAIL("%d of %zu programs", bad, n);
}

TEST(other_model_of_a_file) { CHECK(accept_program(CSC_SOURCE_DIR "/tests/accept/own.csc", "first") == 0); }

TEST(examples) {
    char *names[200], path[900];
    size_t n = list_programs(CSC_SOURCE_DIR "/examples", "", names, 200), seen = 0;
    int bad = 0;
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/examples/%s/%s.csc", CSC_SOURCE_DIR, names[i], names[i]);
        FILE *f = fopen(path, "r");
        if (f) {
            fclose(f);
            bad += accept_program(path, NULL);
            seen++;
        }
        free(names[i]);
    }
    CHECK(seen >= 7 && bad == 0);
}

int main(int argc, char **argv) {
    Case cases[] = {T(accepted), T(other_model_of_a_file), T(examples)};
    return run_tests(argc, argv, cases, sizeof cases / sizeof *cases);
}
