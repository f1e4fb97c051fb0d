/* The folder that a run writes into. */
#include "folder.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static csc_status make(csc_context *cx, const char *path) {
    char *p = strdup(path);
    csc_status s = p ? CSC_OK : rt_no_memory(cx, strlen(path));
    for (char *c = p; s == CSC_OK && *c; c++) {
        if (c == p || *c != '/') continue;
        *c = 0;
        if (mkdir(p, 0777) != 0 && errno != EEXIST) s = rt_io(cx, "make the folder", p);
        *c = '/';
    }
    if (s == CSC_OK && mkdir(p, 0777) != 0 && errno != EEXIST) s = rt_io(cx, "make the folder", p);
    free(p);
    return s;
}

/* What a killed process left half written. */
static void remove_temporaries(const char *path) {
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        const char *t = strstr(e->d_name, ".tmp.");
        char *name = t && t[5] && strspn(t + 5, "0123456789") == strlen(t + 5) ? rt_join(path, e->d_name) : NULL;
        if (name) unlink(name);
        free(name);
    }
    if (dir) closedir(dir);
}

csc_status folder_open(RtFolder *f, csc_context *cx, const char *path) {
    *f = (RtFolder){.cx = cx, .path = path, .lock = -1, .log = -1};
    csc_status s = make(cx, path);
    if (s != CSC_OK) return s;
    char *lock = rt_join(path, ".lock");
    f->last = rt_join(path, "last.safetensors");
    f->best = rt_join(path, "best.safetensors");
    f->metrics = rt_join(path, "metrics.jsonl");
    if (!lock || !f->last || !f->best || !f->metrics) {
        free(lock);
        return rt_no_memory(cx, 4096);
    }
    f->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (f->lock < 0) s = rt_io(cx, "write", lock);
    else if (flock(f->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) /* where locks do not exist, none is held */
        s = rt_fail(cx, CSC_IO, "another process is training in %s", path);
    free(lock);
    if (s == CSC_OK) remove_temporaries(path);
    return s;
}

void folder_close(RtFolder *f) {
    if (!f->path) return;
    if (f->log >= 0) close(f->log);
    if (f->lock >= 0) close(f->lock);
    free(f->last);
    free(f->best);
    free(f->metrics);
    *f = (RtFolder){0};
}

csc_status folder_log_start(RtFolder *f, uint64_t keep_bytes) {
    struct stat st;
    f->log = open(f->metrics, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (f->log < 0 || fstat(f->log, &st) != 0) return rt_io(f->cx, "write", f->metrics);
    if ((uint64_t)st.st_size > keep_bytes && ftruncate(f->log, (off_t)keep_bytes) != 0) return rt_io(f->cx, "write", f->metrics);
    return CSC_OK;
}

csc_status folder_log(RtFolder *f, const RtText *line, uint64_t *bytes) {
    if (line->failed) return rt_no_memory(f->cx, 4096);
    for (size_t at = 0; at < line->len;) {
        ssize_t got = write(f->log, line->at + at, line->len - at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return rt_io(f->cx, "write", f->metrics);
        at += (size_t)got;
    }
    *bytes += line->len;
    return CSC_OK;
}

char *folder_epoch_name(const RtFolder *f, int64_t epoch) {
    return rt_format("%s/epoch-%04lld.safetensors", f->path, (long long)epoch);
}

void folder_prune(const RtFolder *f, int64_t newest, int keep) {
    DIR *dir = opendir(f->path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        long long number;
        int used = 0;
        if (sscanf(e->d_name, "epoch-%lld.safetensors%n", &number, &used) != 1 || !used || e->d_name[used]) continue;
        char *path = number > newest - keep && number <= newest ? NULL : rt_join(f->path, e->d_name);
        if (path) unlink(path);
        free(path);
    }
    if (dir) closedir(dir);
}
