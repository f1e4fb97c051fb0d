/* Files written so that a crash at any moment leaves either the old or the new one; and the safetensors writer. */
#include "tensors.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail_io(RtOutFile *f) {
    if (f->status == CSC_OK) f->status = rt_io(f->cx, "write", f->path);
}

static char *temp_name(const char *path) {
    return rt_format("%s.tmp.%ld", path, (long)getpid());
}

void rt_out_open(RtOutFile *f, csc_context *cx, const char *path) {
    *f = (RtOutFile){.cx = cx, .path = strdup(path), .temp = temp_name(path), .fd = -1};
    if (!f->path || !f->temp) {
        f->status = rt_no_memory(cx, strlen(path));
        return;
    }
    f->fd = open(f->temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f->fd < 0) fail_io(f);
}

void rt_out_write(RtOutFile *f, const void *bytes, size_t n) {
    const char *p = bytes;
    while (f->status == CSC_OK && n) {
        ssize_t got = write(f->fd, p, n > 1 << 30 ? 1 << 30 : n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) fail_io(f);
        else {
            p += got;
            n -= (size_t)got;
        }
    }
}

static void sync_folder(const char *path) { /* some file systems cannot: the rename itself has worked */
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(folder);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

csc_status rt_out_close(RtOutFile *f) {
    if (f->fd >= 0) {
        if (f->status == CSC_OK && fsync(f->fd) != 0 && errno != EINVAL) fail_io(f);
        if (close(f->fd) != 0) fail_io(f);
        if (f->status == CSC_OK && rename(f->temp, f->path) != 0) fail_io(f);
        if (f->status == CSC_OK) sync_folder(f->path);
        else unlink(f->temp);
    }
    free(f->path);
    free(f->temp);
    return f->status;
}

csc_status csc_file_write(csc_context *cx, const char *path, const void *bytes, size_t len) {
    RtOutFile f;
    rt_out_open(&f, cx, path);
    rt_out_write(&f, bytes, len);
    return rt_out_close(&f);
}

static csc_status copy_bytes(csc_context *cx, const char *from, const char *to) {
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return rt_io(cx, "open", from);
    RtOutFile f;
    rt_out_open(&f, cx, to);
    char buffer[1 << 14];
    ssize_t got;
    while ((got = read(fd, buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR))
        if (got > 0) rt_out_write(&f, buffer, (size_t)got);
    if (got < 0 && f.status == CSC_OK) f.status = rt_io(cx, "read", from);
    close(fd);
    return rt_out_close(&f);
}

csc_status rt_file_copy(csc_context *cx, const char *from, const char *to) {
    char *temp = temp_name(to);
    if (!temp) return rt_no_memory(cx, strlen(to));
    unlink(temp);
    bool linked = link(from, temp) == 0 && rename(temp, to) == 0;
    unlink(temp); /* still there when both names were one file already */
    free(temp);
    if (!linked) return copy_bytes(cx, from, to);
    sync_folder(to);
    return CSC_OK;
}

csc_status rt_tensors_write(csc_context *cx, const char *path, const RtOutTensor *t, size_t n, const char *const *meta, int nmeta) {
    RtText h = {0};
    uint64_t at = 0;
    rt_text_f(&h, "        {\"__metadata__\":{"); /* eight bytes for the length */
    for (int i = 0; i < nmeta; i++) {
        if (i) rt_text_add(&h, ",", 1);
        rt_text_json(&h, meta[2 * i]);
        rt_text_add(&h, ":", 1);
        rt_text_json(&h, meta[2 * i + 1]);
    }
    rt_text_add(&h, "}", 1);
    for (size_t i = 0; i < n; i++) {
        rt_text_add(&h, ",\n", 2);
        rt_text_json(&h, t[i].name);
        rt_text_f(&h, ":{\"dtype\":\"F32\",\"shape\":[");
        for (int k = 0; k < t[i].rank; k++) rt_text_f(&h, "%s%lld", k ? "," : "", (long long)t[i].dim[k]);
        uint64_t bytes = 4 * (uint64_t)rt_product(t[i].rank, t[i].dim);
        rt_text_f(&h, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at, (unsigned long long)(at + bytes));
        at += bytes;
    }
    rt_text_add(&h, "}", 1);
    while (h.len % 64 && !h.failed) rt_text_add(&h, " ", 1); /* tensors begin on a cache line */
    if (h.failed) {
        rt_text_free(&h);
        return rt_no_memory(cx, h.len);
    }
    for (int i = 0; i < 8; i++) h.at[i] = (char)((h.len - 8) >> 8 * i & 255);
    RtOutFile f;
    rt_out_open(&f, cx, path);
    rt_out_write(&f, h.at, h.len);
    for (size_t i = 0; i < n; i++) rt_out_write(&f, t[i].at, 4 * (size_t)rt_product(t[i].rank, t[i].dim));
    rt_text_free(&h);
    return rt_out_close(&f);
}
