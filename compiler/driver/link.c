/* Finds ld, ld.lld, gold or cc, and runs it on a temporary object beside the result; the result appears whole or not at all. */
#include "driver/link.h"
#include "base/trouble.h"
#include "code/code.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

const char *link_which(Arena *a, const char *name) {
    const char *path = getenv("PATH");
    if (!path) path = "/usr/local/bin:/usr/bin:/bin";
    while (*path) {
        size_t n = strcspn(path, ":");
        const char *full = arena_printf(a, "%.*s/%s", (int)n, path, name);
        struct stat st;
        if (n && access(full, X_OK) == 0 && stat(full, &st) == 0 && S_ISREG(st.st_mode)) return full;
        path += n + (path[n] == ':');
    }
    return NULL;
}

/* A linker for another kind of processor than this one's. */
static const char *find_foreign(Arena *a) {
    static const char *const names[] = {"aarch64-linux-gnu-ld", "ld.lld"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *p = link_which(a, names[i]);
        if (p) return p;
    }
    return NULL;
}

static int machine_of(const char *bytes, size_t len) { /* e_machine of an object, or of the first in an archive */
    CodeObject all = {(char *)bytes, len}, first;
    size_t at = 0;
    return code_member(&all, &at, &first) && first.len > 20 ? (unsigned char)first.bytes[18] | (unsigned char)first.bytes[19] << 8 : 0;
}

const char *link_find(Arena *a, bool *is_compiler) {
    static const char *const names[] = {"ld", "ld.lld", "ld.gold", "cc", "gcc", "clang"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *p = link_which(a, names[i]);
        if (p) return *is_compiler = i >= 3, p;
    }
    return NULL;
}

/* A new file beside `path`; its name is put into `name`. -1: an error is in cx. */
static int temporary(Cx *cx, const char *path, const char *suffix, char name[PATH_MAX]) {
    int n = snprintf(name, PATH_MAX, "%s.XXXXXX%s", path, suffix);
    int fd = n < PATH_MAX ? mkostemps(name, (int)strlen(suffix), O_CLOEXEC) : (errno = ENAMETOOLONG, -1);
    if (fd < 0) diag_error(cx, E_WRITE, (Span){0}, "'%s' cannot be written: %s", path, strerror(errno));
    return fd;
}

static bool write_all(int fd, const char *p, size_t n) {
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR) continue;
        if (w <= 0) return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

static mode_t usual_mode(mode_t want) { /* what a plain open would have given */
    mode_t mask = umask(0);
    umask(mask);
    return want & ~mask;
}

static bool is_folder(Cx *cx, const char *path) {
    struct stat st;
    if (stat(path, &st) || !S_ISDIR(st.st_mode)) return false;
    diag_error(cx, E_WRITE, (Span){0}, "'%s' cannot be written: it is a folder", path);
    return true;
}

bool link_write(Cx *cx, const char *path, const void *bytes, size_t len) {
    char name[PATH_MAX];
    if (is_folder(cx, path)) return false;
    int fd = temporary(cx, path, "", name);
    if (fd < 0) return false;
    bool ok = write_all(fd, bytes, len) && fchmod(fd, usual_mode(0666)) == 0;
    int why = errno;
    if (close(fd) && ok) ok = false, why = errno;
    if (ok && rename(name, path)) ok = false, why = errno;
    if (!ok) {
        unlink(name);
        machine_trouble("'%s' cannot be written: %s", path, strerror(why));
    }
    return ok;
}

bool link_shared(Cx *cx, const char *bytes, size_t len, bool stays, const char *path) {
    bool is_compiler = false;
#if defined __aarch64__
    bool foreign = machine_of(bytes, len) != EM_AARCH64;
#else
    bool foreign = machine_of(bytes, len) == EM_AARCH64;
#endif
    const char *linker = foreign ? find_foreign(cx->keep) : link_find(cx->keep, &is_compiler);
    if (!linker && foreign) {
        Diag *d = diag_error(cx, E_LINKER, (Span){0}, "no linker for aarch64 was found: aarch64-linux-gnu-ld and ld.lld are not on the PATH");
        diag_help(cx, d, "on Debian: apt-get install binutils-aarch64-linux-gnu");
        return false;
    }
    if (!linker) {
        Diag *d = diag_error(cx, E_LINKER, (Span){0}, "no linker was found: ld, ld.lld, ld.gold and cc are not on the PATH");
        diag_help(cx, d, "on Debian: apt-get install binutils");
        return false;
    }
    char object[PATH_MAX], library[PATH_MAX], log[PATH_MAX];
    if (is_folder(cx, path)) return false;
    int fd = temporary(cx, path, ".o", object);
    if (fd < 0) return false;
    bool ok = write_all(fd, bytes, len);
    int why = errno;
    if (close(fd) && ok) ok = false, why = errno;
    if (!ok) {
        unlink(object);
        machine_trouble("'%s' cannot be written: %s", object, strerror(why));
    }
    fd = temporary(cx, path, ".so", library);
    if (fd >= 0) close(fd);
    int log_fd = fd >= 0 ? temporary(cx, path, ".log", log) : -1;
    if (fd < 0 || log_fd < 0) {
        unlink(object);
        if (fd >= 0) unlink(library);
        return false;
    }
    /* the object may be an archive of several: all of them are wanted */
    const char *all = "--whole-archive", *own = "--no-whole-archive";
    /* --no-undefined-version and friends are left alone; libm is named because the code may call it */
    const char *last = stays ? "nodelete" : "noexecstack";
    const char *with_ld[] = {linker, "-shared", "--hash-style=gnu", "-z", "noexecstack", "-z", last, "-o", library, all, object, own, "-lm", "-lc", NULL};
    const char *with_cc[] = {linker, "-shared", "-nostartfiles", "-Wl,-z,noexecstack", stays ? "-Wl,-z,nodelete" : "-Wl,-z,noexecstack", "-o", library, "-Wl,--whole-archive", object,
                             "-Wl,--no-whole-archive", "-lm", NULL};
    const char *const *argv = is_compiler ? with_cc : with_ld;
    /* a bare ld may not know where libc lives; the code of a model calls libm at most, which the process that loads it has as well */
    const char *without[] = {linker, "-shared", "--hash-style=gnu", "-z", "noexecstack", "-z", last, "-o", library, all, object, own, NULL};
    int status = 1;
    for (int attempt = 0; attempt < (is_compiler ? 1 : 2) && status; attempt++) {
        posix_spawn_file_actions_t fa;
        posix_spawn_file_actions_init(&fa);
        posix_spawn_file_actions_adddup2(&fa, log_fd, 1);
        posix_spawn_file_actions_adddup2(&fa, log_fd, 2);
        pid_t pid;
        int rc = posix_spawn(&pid, linker, &fa, NULL, (char *const *)(attempt ? without : argv), environ);
        posix_spawn_file_actions_destroy(&fa);
        if (rc) break;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    }
    bool linked = status == 0 && chmod(library, usual_mode(0777)) == 0 && rename(library, path) == 0;
    if (!linked) {
        char text[400] = "";
        ssize_t n = pread(log_fd, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = 0;
        text[strcspn(text, "\n")] = 0;
        diag_error(cx, E_LINKER, (Span){0}, "'%s' could not make '%s': %s", linker, path, *text ? text : "no reason given");
        unlink(library);
    }
    close(log_fd);
    unlink(log);
    unlink(object);
    return linked;
}
