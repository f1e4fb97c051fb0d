/* A stand-in for NVRTC: the C compiler makes a shared object of the kernel's text (CSC_HOST is defined); its bytes are the "cubin".
   CSC_SHIM_LOG=FILE: a line for each compilation. CSC_SHIM_RTC_FAIL=NAME: kernels whose name holds NAME do not compile. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <spawn.h>
#include <unistd.h>

extern char **environ;
#define API __attribute__((visibility("default")))
enum { OK, OUT_OF_MEMORY, PROGRAM_FAILED, INVALID_INPUT, INVALID_PROGRAM, INVALID_OPTION, COMPILATION };

typedef struct Program {
    char *source, *name, *log, *cubin;
    size_t cubin_len;
} Program;

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
    bool arch = false;
    for (int i = 0; i < n; i++) arch |= !strncmp(options[i], "--gpu-architecture=", 19);
    if (!arch) return INVALID_OPTION;
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
                    "-O1",
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
    if (status == 0) p->cubin = read_all(out, &p->cubin_len);
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
