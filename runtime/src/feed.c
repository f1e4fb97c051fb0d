/* The thread that makes batches: two slots, one being filled while the other is used. */
#include "feed.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 2

struct RtFeed {
    csc_context *cx;      /* of the consumer */
    csc_context own;      /* of the producer */
    const RtPlan *plan;
    csc_data *data;
    int64_t batch, samples, batches;
    bool train, threaded;
    uint64_t seed;
    RtBatch slot[SLOTS];
    RtBlock memory, scratch;
    int64_t *order;       /* [samples] */
    float *given[2];      /* sparse codes: fields of one batch, in scratch */
    float *two;

    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool ending;
    uint64_t era;         /* counts feed_epoch */
    uint32_t epoch;
    int64_t made, used;   /* batches of this epoch: made; handed out and given back */
    int64_t out;          /* batch in the consumer's hands, or -1 */
    csc_status status;
};

static void shuffle(RtFeed *f, uint32_t epoch) { /* Fisher and Yates */
    for (int64_t i = 0; i < f->samples; i++) f->order[i] = i;
    if (!f->train) return;
    RtRandom r = rt_random(f->seed, RT_FOR_SHUFFLE, 0, epoch);
    for (int64_t i = f->samples - 1; i > 0; i--) {
        int64_t k = (int64_t)rt_random_below(&r, (uint64_t)i + 1), t = f->order[i];
        f->order[i] = f->order[k];
        f->order[k] = t;
    }
}

static csc_status fill(RtFeed *f, RtBatch *b, int64_t number, uint32_t epoch) {
    b->first = number * f->batch;
    b->n = f->samples - b->first < f->batch ? f->samples - b->first : f->batch;
    memcpy(b->number, f->order + b->first, sizeof *b->number * (size_t)b->n);
    bool sparse = f->data->kind == CSC_DATA_SPARSE_CODES;
    if (sparse) {
        csc_status s = data_sparse_get(f->data, &f->own, b->number, b->n, f->given[0], f->given[1]);
        if (s != CSC_OK) return s;
    }
    for (int64_t i = 0; i < b->n; i++) {
        float *out[CSC_MAX_FIELDS], *given[2];
        for (int k = 0; k < f->plan->ninputs; k++) out[k] = b->in[k] + i * f->plan->input[k].out_floats;
        for (int k = 0; k < 2 && sparse; k++) given[k] = f->given[k] + i * f->data->col[k].floats;
        plan_sample(f->plan, f->data, b->number[i], f->train, f->seed, epoch, sparse ? given : NULL, out, f->two);
    }
    return CSC_OK;
}

/* Called with the lock held, which is let go while working. */
static void make_one(RtFeed *f) {
    uint64_t era = f->era;
    uint32_t epoch = f->epoch;
    int64_t number = f->made;
    RtBatch *b = &f->slot[number % SLOTS];
    pthread_mutex_unlock(&f->lock);
    csc_status s = fill(f, b, number, epoch);
    pthread_mutex_lock(&f->lock);
    if (f->era != era) return; /* nobody wants it any more */
    f->made++;
    f->status = s;
    pthread_cond_broadcast(&f->changed);
}

static void *producer(void *arg) {
    RtFeed *f = arg;
    uint64_t seen = 0;
    pthread_mutex_lock(&f->lock);
    while (!f->ending) {
        if (f->era != seen) {
            seen = f->era;
            csc_error_clear(&f->own);
            shuffle(f, f->epoch); /* under the lock: the consumer waits for the first batch anyway */
        }
        if (f->era == 0 || f->status != CSC_OK || f->made == f->batches || f->made >= f->used + SLOTS) pthread_cond_wait(&f->changed, &f->lock);
        else make_one(f);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

csc_status feed_new(RtFeed **out, csc_context *cx, const RtPlan *p, csc_data *d, int64_t batch, bool train, uint64_t seed, bool thread) {
    *out = NULL;
    if (batch < 1 || batch > 1 << 24 || p->ninputs > CSC_MAX_FIELDS) return rt_fail(cx, CSC_BAD_ARGUMENT, "a batch of %lld samples", (long long)batch);
    RtFeed *f = calloc(1, sizeof *f);
    if (!f) return rt_no_memory(cx, sizeof *f);
    *f = (RtFeed){.cx = cx, .plan = p, .data = d, .batch = batch, .samples = d->count, .train = train, .seed = seed, .out = -1};
    if (f->batch > f->samples) f->batch = batch = f->samples;
    f->batches = (f->samples + batch - 1) / batch;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    uint64_t floats = 0, given = 0, scratch = 2 * (uint64_t)p->most_floats;
    for (int k = 0; k < p->ninputs; k++) floats += ((uint64_t)p->input[k].out_floats * (uint64_t)batch + 15) / 16 * 16;
    if (d->kind == CSC_DATA_SPARSE_CODES)
        for (int k = 0; k < 2; k++) given += (uint64_t)d->col[k].floats * (uint64_t)batch;
    bool ok = rt_block_new(&f->memory, SLOTS * floats * 4) && rt_block_new(&f->scratch, (scratch + given) * 4) &&
              (f->order = malloc(sizeof *f->order * (size_t)f->samples));
    float *at = f->memory.at;
    for (int s = 0; ok && s < SLOTS; s++) {
        f->slot[s].in = calloc((size_t)p->ninputs + 1, sizeof(float *));
        f->slot[s].number = malloc(sizeof(int64_t) * (size_t)batch);
        ok = f->slot[s].in && f->slot[s].number;
        for (int k = 0; ok && k < p->ninputs; k++) {
            f->slot[s].in[k] = at;
            at += ((uint64_t)p->input[k].out_floats * (uint64_t)batch + 15) / 16 * 16;
        }
    }
    if (!ok) {
        feed_free(f);
        return rt_no_memory(cx, (SLOTS * floats + scratch + given) * 4);
    }
    f->two = f->scratch.at;
    f->given[0] = f->two + scratch;
    f->given[1] = f->given[0] + (given ? (uint64_t)d->col[0].floats * (uint64_t)batch : 0);
    f->threaded = thread && pthread_create(&f->thread, NULL, producer, f) == 0; /* no thread to be had: the consumer does it */
    *out = f;
    return CSC_OK;
}

void feed_free(RtFeed *f) {
    if (!f) return;
    if (f->threaded) {
        pthread_mutex_lock(&f->lock);
        f->ending = true;
        pthread_cond_broadcast(&f->changed);
        pthread_mutex_unlock(&f->lock);
        pthread_join(f->thread, NULL);
    }
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    for (int s = 0; s < SLOTS; s++) {
        free(f->slot[s].in);
        free(f->slot[s].number);
    }
    rt_block_free(&f->memory);
    rt_block_free(&f->scratch);
    free(f->order);
    free(f);
}

void feed_epoch(RtFeed *f, uint32_t epoch, int64_t first_batch) {
    pthread_mutex_lock(&f->lock);
    f->era++;
    f->epoch = epoch;
    f->made = f->used = first_batch;
    f->out = -1;
    f->status = CSC_OK;
    if (!f->threaded) {
        csc_error_clear(&f->own);
        shuffle(f, epoch);
    }
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

csc_status feed_next(RtFeed *f, const RtBatch **b) {
    *b = NULL;
    pthread_mutex_lock(&f->lock);
    if (f->out >= 0) {
        f->used = f->out + 1;
        f->out = -1;
        pthread_cond_broadcast(&f->changed);
    }
    csc_status s = CSC_OK;
    if (f->used < f->batches) {
        while (f->made == f->used && f->status == CSC_OK) {
            if (f->threaded) pthread_cond_wait(&f->changed, &f->lock);
            else make_one(f);
        }
        s = f->status;
        if (s == CSC_OK) {
            f->out = f->used;
            *b = &f->slot[f->out % SLOTS];
        } else rt_fail(f->cx, s, "%s", csc_error(&f->own));
    }
    pthread_mutex_unlock(&f->lock);
    return s;
}

int64_t feed_batches(const RtFeed *f) {
    return f->batches;
}
