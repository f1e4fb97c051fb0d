/* A stand-in for NVRTC: the C compiler makes a shared object of the kernel's text (CSC_HOST is defined); its bytes, and 24 with the architecture behind them, are the
   "cubin" (or PTX). The same text for another architecture is not compiled again.
   CSC_SHIM_LOG=FILE: a line for each compilation. CSC_SHIM_RTC_FAIL=NAME: kernels whose name holds NAME do not compile.
   CSC_SHIM_FLAGS: one flag, in the place of -O1. */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <spawn.h>
#include <unistd.h>

extern char **environ;
#define API __attribute__((visibility("default")))
enum { OK, OUT_OF_MEMORY, PROGRAM_FAILED, INVALID_INPUT, INVALID_PROGRAM, INVALID_OPTION, COMPILATION, ARCH = 24 };

typedef struct Program {
    char *source, *name, *log, *cubin;
    size_t cubin_len;
} Program;

static struct Made { /* by this process */
    char *source, *bytes;
    size_t len;
    struct Made *next;
} *made;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool known(Program *p) {
    pthread_mutex_lock(&lock);
    for (const struct Made *m = made; m && !p->cubin; m = m->next)
        if (!strcmp(m->source, p->source)) p->cubin_len = m->len, p->cubin = memcpy(malloc(m->len), m->bytes, m->len);
    pthread_mutex_unlock(&lock);
    return p->cubin != NULL;
}

static void keep(const Program *p) {
    struct Made *m = malloc(sizeof *m);
    pthread_mutex_lock(&lock);
    *m = (struct Made){strdup(p->source), memcpy(malloc(p->cubin_len), p->cubin, p->cubin_len), p->cubin_len, made};
    made = m;
    pthread_mutex_unlock(&lock);
}

API int nvrtcVersion(int *major, int *minor) { return *major = 12, *minor = 4, OK; }
API int nvrtcGetNumSupportedArchs(int *n) { return *n = 5, OK; }
API int nvrtcGetSupportedArchs(int *list) {
    static const int archs[] = {75, 80, 86, 89, 90};
    memcpy(list, archs, sizeof archs);
    return OK;
}
API const char *nvrtcGetErrorString(int e) { return e == COMPILATION ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR"; }
API int nvrtcCreateProgram(Program **p, const char *source, const char *name, int n, const char *const *headers, const char *const *names) {
    (void)headers, (void)names;
    if (n) return INVALID_INPUT; /* kernels include nothing */
    *p = calloc(1, sizeof **p);
    (*p)->source = strdup(source);
    (*p)->name = strdup(name);
    (*p)->log = strdup("");
    return OK;
}
API int nvrtcDestroyProgram(Program **p) {
    free((*p)->source);
    free((*p)->name);
    free((*p)->log);
    free((*p)->cubin);
    free(*p);
    return *p = NULL, OK;
}

static char *read_all(const char *path, size_t *len) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *len = (size_t)ftell(f);
    rewind(f);
    char *at = malloc(*len + 1);
    *len = fread(at, 1, *len, f);
    at[*len] = 0;
    fclose(f);
    return at;
}

API int nvrtcCompileProgram(Program *p, int n, const char *const *options) {
    char arch[ARCH] = "";
    for (int i = 0; i < n; i++)
        if (!strncmp(options[i], "--gpu-architecture=", 19)) snprintf(arch, sizeof arch, "%s", options[i] + 19);
    if (!*arch) return INVALID_OPTION;
    if (known(p)) return memcpy(p->cubin + p->cubin_len - ARCH, arch, ARCH), OK;
    const char *fail = getenv("CSC_SHIM_RTC_FAIL"), *log = getenv("CSC_SHIM_LOG"), *tmp = getenv("TMPDIR");
    char in[300], out[300], err[300], folder[200];
    snprintf(folder, sizeof folder, "%s/shimXXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder)) return OUT_OF_MEMORY;
    snprintf(in, sizeof in, "%s/k.c", folder);
    snprintf(out, sizeof out, "%s/k.so", folder);
    snprintf(err, sizeof err, "%s/k.log", folder);
    FILE *f = fopen(in, "w");
    if (!f) return OUT_OF_MEMORY;
    if (fail && *fail && strstr(p->name, fail)) fputs("#error this one does not compile\n", f);
    fputs(p->source, f);
    fclose(f);
    char *argv[] = {"cc", "-std=gnu11", "-DCSC_HOST", "-shared", "-fPIC", "-w", "-ffp-contract=off", "-fno-strict-aliasing",
#ifdef __SANITIZE_ADDRESS__
                    "-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined",
#else
                    getenv("CSC_SHIM_FLAGS") ? getenv("CSC_SHIM_FLAGS") : "-O1",
#endif
                    "-o", out, in, "-lm", NULL};
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 2, err, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    pid_t pid;
    int status = 1;
    if (!posix_spawnp(&pid, "cc", &fa, NULL, argv, environ)) waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&fa);
    size_t len;
    char *said = read_all(err, &len);
    if (said) free(p->log), p->log = said;
    if (status == 0 && (p->cubin = read_all(out, &p->cubin_len))) {
        p->cubin = realloc(p->cubin, p->cubin_len + ARCH);
        memcpy(p->cubin + p->cubin_len, arch, ARCH);
        p->cubin_len += ARCH;
        keep(p);
    }
    unlink(in), unlink(out), unlink(err), rmdir(folder);
    if (log && *log && (f = fopen(log, "a"))) {
        fprintf(f, "compiled %s %s\n", p->name, p->cubin ? "well" : "badly");
        fclose(f);
    }
    return p->cubin ? OK : COMPILATION;
}
API int nvrtcGetProgramLogSize(Program *p, size_t *n) { return *n = strlen(p->log) + 1, OK; }
API int nvrtcGetProgramLog(Program *p, char *text) { return strcpy(text, p->log), OK; }
API int nvrtcGetCUBINSize(Program *p, size_t *n) { return *n = p->cubin_len, OK; }
API int nvrtcGetCUBIN(Program *p, char *bytes) { return memcpy(bytes, p->cubin, p->cubin_len), OK; }
API int nvrtcGetPTXSize(Program *p, size_t *n) { return nvrtcGetCUBINSize(p, n); } /* PTX or cubin, it is the same shared object */
API int nvrtcGetPTX(Program *p, char *text) { return nvrtcGetCUBIN(p, text); }
