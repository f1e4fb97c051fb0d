/* One pool of threads: a parallel-for whose indices are handed out in chunks from an atomic counter. Waking a thread costs more than many
   launches do, so the caller begins alone: threads that are still spinning see the job and join, those that sleep are woken only when
   the first indices show that the rest is worth it, or at once where they did so the last time: a lane of samples takes milliseconds, and
   whoever waited for the end of another is asleep by then. Nobody spins for long: on a machine with more to do than processors, whoever waits
   gives its processor to whoever works. */
#include "rt.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define MAX_THREADS 1024
#define SPIN_NS 50000   /* before a thread goes to sleep */
#define WORTH_NS 30000  /* of work that is left: then sleepers are woken */
#define TASKS_KNOWN 256

typedef struct Took { /* what an index of a task took the caller when it was last asked for */
    csc_task task;
    int64_t ns;
} Took;

typedef struct Worker {
    struct csc_pool *pool;
    pthread_t thread;
    int number;
} Worker;

struct csc_pool {
    pthread_mutex_t lock; /* of everything below that is not atomic */
    pthread_mutex_t turn; /* one parallel-for at a time */
    pthread_cond_t wake, left;
    atomic_uint job;      /* its number; changes when one is opened or the pool ends */
    atomic_uint inside;   /* workers in the job; changed under the lock, read without */
    atomic_llong next;    /* index to hand out */
    bool open, ending, waiting; /* waiting: the caller, for workers to leave */
    int asleep;
    atomic_bool failed;
    int threads, started;
    Worker *worker;       /* [threads - 1] */
    RtBlock *scratch;     /* [threads] */
    int64_t count, chunk;
    csc_task task;
    void *arg;
    Took took[TASKS_KNOWN]; /* the caller's */
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

int csc_cpu_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n;
}

static int64_t nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Until *at is (equal) or is not `value`, or the time is over. */
static void spin(atomic_uint *at, unsigned value, bool equal) {
    int64_t end = 0;
    while ((atomic_load_explicit(at, memory_order_acquire) == value) != equal) {
        for (int i = 0; i < 16; i++) relax();
        int64_t now = nanoseconds();
        if (!end) end = now + SPIN_NS;
        if (now >= end) return;
    }
}

static void work(csc_pool *p, void *scratch) {
    for (;;) {
        int64_t from = atomic_fetch_add_explicit(&p->next, p->chunk, memory_order_relaxed);
        if (from >= p->count) return;
        int64_t to = p->count - from < p->chunk ? p->count : from + p->chunk;
        for (int64_t i = from; i < to; i++) p->task(p->arg, i, scratch);
    }
}

static void wake(csc_pool *p) {
    pthread_mutex_lock(&p->lock);
    if (p->asleep) pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

/* The caller's part: by the time that its first indices took it knows whether to wake the sleepers. */
static void work_and_wake(csc_pool *p, void *scratch) {
    Took *took = &p->took[(uintptr_t)p->task / 16 % TASKS_KNOWN];
    bool woken = took->task == p->task && took->ns > WORTH_NS / (p->count - 1);
    if (woken) wake(p);
    int64_t start = nanoseconds(), done = 0;
    for (;;) {
        int64_t from = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (from >= p->count) return;
        p->task(p->arg, from, scratch);
        done++;
        if (done & (done - 1)) continue; /* the clock is looked at after 1, 2, 4, ... of them */
        int64_t ns = (nanoseconds() - start) / done, left = p->count - from - 1;
        *took = (Took){p->task, ns};
        if (woken || (left > 0 && ns > WORTH_NS / left)) break;
    }
    if (!woken) wake(p);
    work(p, scratch);
}

static void *worker_main(void *arg) {
    Worker *w = arg;
    csc_pool *p = w->pool;
    unsigned seen = 0;
    for (;;) {
        spin(&p->job, seen, false);
        pthread_mutex_lock(&p->lock);
        p->asleep++;
        while (atomic_load_explicit(&p->job, memory_order_relaxed) == seen) pthread_cond_wait(&p->wake, &p->lock);
        p->asleep--;
        seen = atomic_load_explicit(&p->job, memory_order_relaxed);
        bool ending = p->ending, join = p->open && !ending;
        if (join) atomic_fetch_add(&p->inside, 1);
        pthread_mutex_unlock(&p->lock);
        if (ending) return NULL;
        if (!join) continue; /* came too late: the others had done it */
        work(p, p->scratch[w->number].at);
        pthread_mutex_lock(&p->lock);
        if (atomic_fetch_sub(&p->inside, 1) == 1 && p->waiting) pthread_cond_signal(&p->left);
        pthread_mutex_unlock(&p->lock);
    }
}

csc_pool *csc_pool_new(int threads) {
    if (threads <= 0) threads = csc_cpu_count();
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    csc_pool *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->threads = threads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->turn, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->left, NULL);
    p->worker = calloc((size_t)threads, sizeof *p->worker);
    p->scratch = calloc((size_t)threads, sizeof *p->scratch);
    bool ok = p->worker && p->scratch;
    for (int i = 1; ok && i < threads; i++) {
        Worker *w = &p->worker[i - 1];
        *w = (Worker){.pool = p, .number = i};
        ok = pthread_create(&w->thread, NULL, worker_main, w) == 0;
        p->started += ok;
    }
    if (!ok) {
        csc_pool_free(p);
        return NULL;
    }
    return p;
}

void csc_pool_free(csc_pool *p) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    atomic_fetch_add_explicit(&p->job, 1, memory_order_release);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->started; i++) pthread_join(p->worker[i].thread, NULL);
    for (int i = 0; p->scratch && i < p->threads; i++) rt_block_free(&p->scratch[i]);
    pthread_cond_destroy(&p->left);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->turn);
    pthread_mutex_destroy(&p->lock);
    free(p->scratch);
    free(p->worker);
    free(p);
}

int csc_pool_threads(const csc_pool *p) {
    return p->threads;
}

bool rt_pool_failed(const csc_pool *p) {
    return atomic_load(&p->failed);
}

/* Between jobs no worker touches its scratch. */
static bool grow(csc_pool *p, size_t bytes) {
    for (int i = 0; i < p->threads; i++) {
        if (p->scratch[i].bytes >= bytes) continue;
        RtBlock b;
        if (!rt_block_new(&b, bytes)) return false;
        rt_block_free(&p->scratch[i]);
        p->scratch[i] = b;
    }
    return true;
}

bool rt_pool_reserve(csc_pool *p, size_t scratch_bytes) {
    pthread_mutex_lock(&p->turn);
    bool ok = grow(p, scratch_bytes);
    pthread_mutex_unlock(&p->turn);
    return ok;
}

void csc_pool_parallel_for(void *pool, int64_t count, csc_task task, void *arg, size_t scratch_bytes) {
    csc_pool *p = pool;
    if (count <= 0) return;
    pthread_mutex_lock(&p->turn);
    if (!grow(p, scratch_bytes)) {
        atomic_store(&p->failed, true);
        pthread_mutex_unlock(&p->turn);
        return;
    }
    if (count == 1 || p->threads == 1) {
        for (int64_t i = 0; i < count; i++) task(arg, i, p->scratch[0].at);
        pthread_mutex_unlock(&p->turn);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->count = count;
    p->chunk = count / ((int64_t)p->threads * 8);
    if (p->chunk < 1) p->chunk = 1;
    p->task = task;
    p->arg = arg;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    p->open = true;
    atomic_fetch_add_explicit(&p->job, 1, memory_order_release);
    pthread_mutex_unlock(&p->lock);
    work_and_wake(p, p->scratch[0].at);
    spin(&p->inside, 0, true);
    pthread_mutex_lock(&p->lock);
    p->open = false; /* whoever wakes up now has nothing to do */
    p->waiting = true;
    while (atomic_load_explicit(&p->inside, memory_order_acquire) > 0) pthread_cond_wait(&p->left, &p->lock);
    p->waiting = false;
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_unlock(&p->turn);
}

void rt_parallel(csc_pool *p, int64_t count, csc_task task, void *arg, size_t scratch_bytes, void *serial) {
    if (p) csc_pool_parallel_for(p, count, task, arg, scratch_bytes);
    else
        for (int64_t i = 0; i < count; i++) task(arg, i, serial);
}
