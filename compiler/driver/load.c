/* Reading sources: sizes and kinds of files checked, each file once, imports relative to the importing file, the library last. */
#include "driver/load.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOURCE_MOST = 8 << 20 };

static int open_ordinary(const char *path, struct stat *st, const char **why) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return *why = strerror(errno), -1;
    *why = NULL;
    if (fstat(fd, st)) *why = strerror(errno);
    else if (S_ISDIR(st->st_mode)) *why = "it is a folder";
    else if (!S_ISREG(st->st_mode)) *why = "it is no ordinary file";
    if (*why) close(fd);
    return *why ? -1 : fd;
}

bool load_head(const char *path, char *head, size_t n, const char **why) {
    struct stat st;
    int fd = open_ordinary(path, &st, why);
    if (fd < 0) return false;
    memset(head, 0, n);
    bool ok = read(fd, head, n) >= 0;
    if (!ok) *why = strerror(errno);
    close(fd);
    return ok;
}

char *load_file(Arena *a, const char *path, size_t most, size_t *len, const char **why) {
    struct stat st;
    int fd = open_ordinary(path, &st, why);
    if (fd < 0) return NULL;
    char *text = NULL;
    if ((uint64_t)st.st_size > most) *why = arena_printf(a, "it is larger than %zu MB", most >> 20);
    else {
        size_t n = 0, want = (size_t)st.st_size;
        text = arena_alloc(a, want + 1);
        while (n < want) {
            ssize_t r = read(fd, text + n, want - n);
            if (r < 0 && errno == EINTR) continue;
            if (r < 0) {
                *why = strerror(errno);
                text = NULL;
                break;
            }
            if (r == 0) break; /* cut short while we read */
            n += (size_t)r;
        }
        *len = n;
    }
    close(fd);
    return text;
}

typedef struct Loader {
    Cx *cx;
    Vec(File *) files;
    Vec(const char *) known; /* real paths; "<std>/x.csc" */
} Loader;

static bool known(Loader *l, const char *path) {
    for (size_t i = 0; i < l->known.len; i++)
        if (!strcmp(l->known.at[i], path)) return true;
    vec_push(l->cx->keep, &l->known, arena_strndup(l->cx->keep, path, strlen(path)));
    return false;
}

static const Embedded *find_embedded(const char *name) {
    for (const Embedded *e = embedded_library; e->name; e++)
        if (!strcmp(e->name, name)) return e;
    return NULL;
}

static void load_imports(Loader *l, const File *f, const char *path);

static void load_embedded(Loader *l, const Embedded *e) {
    const char *path = arena_printf(l->cx->keep, "<std>/%s.csc", e->name);
    if (known(l, path)) return;
    File *f = syntax_read(l->cx, cx_add_source(l->cx, path, e->text, e->len));
    vec_push(l->cx->keep, &l->files, f);
    load_imports(l, f, path);
}

static void load_user(Loader *l, const char *path, Span at) {
    char real[PATH_MAX];
    if (realpath(path, real) && known(l, real)) return;
    size_t len = 0;
    const char *why = NULL;
    char *text = load_file(l->cx->keep, path, SOURCE_MOST, &len, &why);
    if (!text) {
        diag_error(l->cx, E_READ, at, "'%s' cannot be read: %s", path, why);
        return;
    }
    File *f = syntax_read(l->cx, cx_add_source(l->cx, path, text, len));
    vec_push(l->cx->keep, &l->files, f);
    load_imports(l, f, path);
}

static void load_imports(Loader *l, const File *f, const char *path) {
    for (uint32_t i = 0; i < f->nimports; i++) {
        const Import *im = f->imports[i];
        if (!im->path) continue; /* the reader has complained */
        if (im->is_file) {
            const char *slash = strrchr(path, '/'), *full = im->path;
            if (slash && im->path[0] != '/') full = arena_printf(l->cx->keep, "%.*s/%s", (int)(slash - path), path, im->path);
            load_user(l, full, im->span);
        } else {
            const Embedded *e = strncmp(im->path, "std.", 4) ? NULL : find_embedded(im->path + 4);
            if (e) {
                load_embedded(l, e);
                continue;
            }
            Diag *d = diag_error(l->cx, E_IMPORT, im->span, "the library has no '%s'", im->path);
            const char *names[64];
            size_t n = 0;
            for (const Embedded *x = embedded_library; x->name && n < 64; x++) names[n++] = arena_printf(l->cx->keep, "std.%s", x->name);
            const char *near = diag_nearest(im->path, names, n);
            if (near) diag_help(l->cx, d, "did you mean '%s'?", near);
            else diag_help(l->cx, d, "a file is imported by its path in quotes: import \"mine.csc\"");
        }
    }
}

static bool asked_for(const char *name) { /* whole networks: known where they are imported */
    static const char *const names[] = {"networks", "unet", "attention"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return true;
    return false;
}

Ast *load_program(Cx *cx, const char *path) {
    Loader l = {.cx = cx};
    load_user(&l, path, (Span){0});
    bool read = l.files.len > 0;
    if (read) /* all of the library but what must be asked for comes last */
        for (const Embedded *e = embedded_library; e->name; e++)
            if (!asked_for(e->name)) load_embedded(&l, e);
    Ast *ast = ARENA_NEW(cx->keep, Ast);
    ast->files = l.files.at;
    ast->nfiles = (uint32_t)l.files.len;
    return ast;
}
