/* Compiles kernels with NVRTC, side by side, and keeps what was made. */
#include "cuda_kernels.h"
#include "csc_cache.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each operation is rounded by itself, as the loop nests say: no contraction. */
static const char *const options[] = {"--fmad=false", "--std=c++17", "-default-device", "-DCSC_NO_WGMMA"};
enum { OPTIONS_MOST = 4, MOST_THREADS = 64 };

static int option_count(void) { /* CSC_WGMMA=off: the matrix units of sm_90a as those before it */
    const char *wgmma = getenv("CSC_WGMMA");
    return OPTIONS_MOST - !(wgmma && !strcmp(wgmma, "off"));
}

static const csc_cache_kind kept = {"kernels", "", "csc kernel 1   \n", 4000, 1 << 28};

typedef struct Work {
    const RtcApi *rtc;
    const char *arch;
    csc_kernel_text *source;
    const int *todo; /* indices of those that the cache does not have */
    const csc_cache_key *key;
    int n, noptions;
    atomic_int next, done;
    atomic_bool failed;
    pthread_mutex_t lock; /* of the message */
    char *message;
} Work;

static void fail(Work *w, const csc_kernel_text *s, const char *call, const char *error, const char *log) {
    pthread_mutex_lock(&w->lock);
    if (!w->message) w->message = rt_format("kernel %s for %s: %s failed: %s%s%.900s", s->label ? s->label : s->name, w->arch, call, error, log && *log ? "\n" : "", log ? log : "");
    pthread_mutex_unlock(&w->lock);
    atomic_store(&w->failed, true);
}

static bool image_of(Work *w, RtcProgram p, csc_kernel_text *s) {
    const RtcApi *r = w->rtc;
    bool ptx = !strncmp(w->arch, "compute_", 8);
    size_t len = 0;
    CuResult e = ptx ? r->ptx_size(p, &len) : r->cubin_size(p, &len);
    char *image = e == 0 ? malloc(len + 1) : NULL;
    if (image) e = ptx ? r->ptx(p, image) : r->cubin(p, image);
    if (e != 0 || !image) {
        free(image);
        return fail(w, s, ptx ? "nvrtcGetPTX" : "nvrtcGetCUBIN", e ? r->error_text(e) : "no memory", NULL), false;
    }
    image[len] = 0;
    s->image = image;
    s->image_len = len;
    return true;
}

static void compile(Work *w, int i) {
    csc_kernel_text *s = &w->source[w->todo[i]];
    const RtcApi *r = w->rtc;
    char *text = rt_format("%s\n%.*s", csc_cuda_prelude, (int)s->len, s->text), *file = rt_format("%s.cu", s->name), arch[64];
    RtcProgram p = NULL;
    snprintf(arch, sizeof arch, "--gpu-architecture=%s", w->arch);
    const char *argv[OPTIONS_MOST + 1] = {arch};
    memcpy(argv + 1, options, sizeof *argv * (size_t)w->noptions);
    CuResult e = text && file ? r->program_new(&p, text, file, 0, NULL, NULL) : 0;
    if (!text || !file) fail(w, s, "compiling", "no memory", NULL);
    else if (e != 0) fail(w, s, "nvrtcCreateProgram", r->error_text(e), NULL);
    else if ((e = r->compile(p, w->noptions + 1, argv)) != 0) {
        size_t n = 0;
        char *log = r->log_size(p, &n) == 0 ? calloc(n + 1, 1) : NULL;
        if (log) r->log(p, log);
        fail(w, s, "nvrtcCompileProgram", r->error_text(e), log);
        free(log);
    } else if (image_of(w, p, s)) csc_cache_write(&kept, &w->key[w->todo[i]], s->image, s->image_len);
    if (p) r->program_free(&p);
    free(text);
    free(file);
}

static void *worker(void *arg) {
    Work *w = arg;
    for (int i; (i = atomic_fetch_add(&w->next, 1)) < w->n && !atomic_load(&w->failed);) {
        compile(w, i);
        atomic_fetch_add(&w->done, 1);
    }
    return NULL;
}

static void compile_all(Work *w, const csc_cuda_progress *progress) {
    pthread_t thread[MOST_THREADS];
    int threads = csc_cpu_count(), started = 0;
    if (threads > w->n) threads = w->n;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    while (started < threads && pthread_create(&thread[started], NULL, worker, w) == 0) started++;
    if (!started) worker(w);
    while (progress && progress->report && started && atomic_load(&w->done) < w->n && !atomic_load(&w->failed)) {
        progress->report(progress->user, atomic_load(&w->done), w->n);
        usleep(50000);
    }
    for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
    if (progress && progress->report) progress->report(progress->user, w->n, w->n);
}

csc_status cuda_compile(csc_context *cx, const RtcApi *r, const char *arch, csc_kernel_text *s, int n, const csc_cuda_progress *progress) {
    csc_cache_key *key = calloc((size_t)n + 1, sizeof *key), base = csc_cache_key_start();
    int *todo = calloc((size_t)n + 1, sizeof *todo);
    if (!key || !todo) {
        free(key);
        free(todo);
        return rt_no_memory(cx, (size_t)n * sizeof *key);
    }
    int noptions = option_count();
    csc_cache_key_mix(&base, CSC_VERSION, sizeof CSC_VERSION);
    csc_cache_key_mix(&base, arch, strlen(arch) + 1);
    for (int i = 0; i < noptions; i++) csc_cache_key_mix(&base, options[i], strlen(options[i]) + 1);
    csc_cache_key_mix(&base, (int[]){r->major, r->minor}, 2 * sizeof(int));
    csc_cache_key_mix(&base, r->build, strlen(r->build) + 1);
    csc_cache_key_mix(&base, r->path ? r->path : "", r->path ? strlen(r->path) : 0);
    csc_cache_key_mix(&base, csc_cuda_prelude, strlen(csc_cuda_prelude) + 1);
    Work w = {.rtc = r, .arch = arch, .source = s, .todo = todo, .key = key, .noptions = noptions, .lock = PTHREAD_MUTEX_INITIALIZER};
    for (int i = 0; i < n; i++) {
        if (s[i].image) continue;
        key[i] = base;
        csc_cache_key_mix(&key[i], s[i].name, strlen(s[i].name) + 1); /* the symbol */
        csc_cache_key_mix(&key[i], s[i].text, s[i].len);
        if (!(s[i].image = csc_cache_read(&kept, &key[i], &s[i].image_len))) todo[w.n++] = i;
    }
    if (w.n) {
        compile_all(&w, progress);
        csc_cache_tidy(&kept);
    }
    csc_status st = CSC_OK;
    if (atomic_load(&w.failed)) st = rt_fail(cx, CSC_DEVICE, "%s", w.message ? w.message : "compiling failed");
    free(w.message);
    free(key);
    free(todo);
    return st;
}

csc_status csc_kernels_compile(csc_context *cx, const char *arch, csc_kernel_text *k, int n, const csc_cuda_progress *progress) {
    RtText looked = {0};
    RtcApi r;
    csc_status s = CSC_OK;
    if (!cuda_open_rtc(&r, &looked)) s = rt_fail(cx, CSC_DEVICE, "NVRTC, which compiles kernels, was not found; looked for: %s", looked.at ? looked.at : "");
    else s = cuda_compile(cx, &r, arch, k, n, progress);
    rt_text_free(&looked);
    cuda_close_rtc(&r);
    return s;
}
