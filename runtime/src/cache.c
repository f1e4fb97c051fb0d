/* The folder of what is kept between runs, and the files in it: written under another name first, with a checksum. */
#include "csc_cache.h"
#include "rt.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAGIC = 16, HEAD = MAGIC + 16 };

bool csc_cache_folder(char *path, size_t len) {
    const char *own = getenv("CSC_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (own) n = !strcmp(own, "off") ? -1 : snprintf(path, len, "%s", own);
    else if (xdg && *xdg == '/') n = snprintf(path, len, "%s/csc", xdg);
    else if (home && *home == '/') n = snprintf(path, len, "%s/.cache/csc", home);
    return n > 0 && (size_t)n < len;
}

csc_cache_key csc_cache_key_start(void) {
    return (csc_cache_key){14695981039346656037u, 0x84222325cbf29ce4u};
}

void csc_cache_key_mix(csc_cache_key *k, const void *at, size_t len) {
    const unsigned char *s = at;
    for (size_t i = 0; i < len; i++) {
        k->a = (k->a ^ s[i]) * 1099511628211u;
        k->b = (k->b ^ s[i] ^ 0x5a) * 0x100000001b3u + 0x9e3779b97f4a7c15u;
    }
}

static char *folder(const csc_cache_kind *kind) {
    char base[3000];
    if (!csc_cache_folder(base, sizeof base)) return NULL;
    return kind->below ? rt_join(base, kind->below) : rt_format("%s", base);
}

static char *path_of(const csc_cache_kind *kind, const csc_cache_key *k) {
    char *dir = folder(kind), *path = dir ? rt_format("%s/%016llx%016llx%s", dir, (unsigned long long)k->a, (unsigned long long)k->b, kind->suffix) : NULL;
    free(dir);
    return path;
}

static void checksum(char out[16], const void *bytes, size_t len) {
    csc_cache_key k = csc_cache_key_start();
    csc_cache_key_mix(&k, bytes, len);
    memcpy(out, &k, 16);
}

static bool read_whole(int fd, char *to, size_t n) {
    while (n) {
        ssize_t r = read(fd, to, n);
        if (r < 0 && errno == EINTR) continue;
        if (r <= 0) return false;
        to += r;
        n -= (size_t)r;
    }
    return true;
}

void *csc_cache_read(const csc_cache_kind *kind, const csc_cache_key *k, size_t *len) {
    char *path = path_of(kind, k), head[HEAD], sum[16], *bytes = NULL;
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_size > HEAD && (size_t)st.st_size - HEAD <= kind->largest && read_whole(fd, head, HEAD) &&
        !memcmp(head, kind->magic, MAGIC)) {
        *len = (size_t)st.st_size - HEAD;
        bytes = malloc(*len + 1);
        if (bytes && read_whole(fd, bytes, *len)) checksum(sum, bytes, *len);
        else memset(sum, 0, sizeof sum), *len = 0;
        if (!*len || memcmp(head + MAGIC, sum, sizeof sum)) free(bytes), bytes = NULL;
        else bytes[*len] = 0; /* PTX is a text */
    }
    if (bytes) futimens(fd, NULL); /* used today */
    if (fd >= 0) close(fd);
    free(path);
    return bytes;
}

void csc_cache_write(const csc_cache_kind *kind, const csc_cache_key *k, const void *bytes, size_t len) {
    char *dir = folder(kind), *path = path_of(kind, k), *name = dir ? rt_format("%s/.new-XXXXXX", dir) : NULL, sum[16];
    if (dir && path && name) {
        for (char *p = dir + 1; *p; p++)
            if (*p == '/') *p = 0, mkdir(dir, 0700), *p = '/';
        mkdir(dir, 0700);
        int fd = mkstemp(name);
        FILE *f = fd >= 0 ? fdopen(fd, "wb") : NULL;
        checksum(sum, bytes, len);
        bool ok = f && fwrite(kind->magic, MAGIC, 1, f) && fwrite(sum, sizeof sum, 1, f) && fwrite(bytes, len, 1, f);
        if (f) ok = fclose(f) == 0 && ok;
        if (fd >= 0 && (!ok || rename(name, path))) unlink(name);
    }
    free(dir);
    free(path);
    free(name);
}

/* ---- the whole folder ---- */
static bool is_ours(const char *name) { return strlen(name) >= 32 && strspn(name, "0123456789abcdef") == 32; }

static void look(const char *dir, csc_cache_info *info, bool clear) {
    DIR *d = opendir(dir);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode)) continue;
        if (!is_ours(e->d_name) && strncmp(e->d_name, ".new-", 5)) continue; /* somebody else's */
        if (clear && unlinkat(dirfd(d), e->d_name, 0)) continue;
        info->files++;
        info->bytes += (uint64_t)st.st_size;
    }
    closedir(d);
}

bool csc_cache_look(csc_cache_info *info, bool clear) {
    *info = (csc_cache_info){0};
    if (!csc_cache_folder(info->folder, sizeof info->folder)) return false;
    look(info->folder, info, clear);
    char *kernels = rt_join(info->folder, "kernels");
    if (kernels) look(kernels, info, clear);
    free(kernels);
    return true;
}

typedef struct Aged {
    time_t when;
    char name[40];
} Aged;
static int by_age(const void *a, const void *b) {
    const Aged *x = a, *y = b;
    return x->when < y->when ? -1 : x->when > y->when;
}

void csc_cache_tidy(const csc_cache_kind *kind) {
    char *dir = folder(kind);
    DIR *d = dir ? opendir(dir) : NULL;
    free(dir);
    if (!d) return;
    size_t n = 0, cap = 0;
    Aged *list = NULL;
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (!is_ours(e->d_name) || strlen(e->d_name) >= sizeof list->name || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode)) continue;
        if (n == cap) {
            Aged *more = realloc(list, (cap = 2 * cap + 256) * sizeof *list);
            if (!more) break;
            list = more;
        }
        list[n].when = st.st_mtime;
        strcpy(list[n++].name, e->d_name);
    }
    if (n > kind->files) {
        qsort(list, n, sizeof *list, by_age);
        for (size_t i = 0; i < n - kind->files * 3 / 4; i++) unlinkat(dirfd(d), list[i].name, 0);
    }
    free(list);
    closedir(d);
}
