/* libcsc: what a compiled model needs around it. Threads, blocks of parameters, data, optimisers, training, checkpoints, images.
   Runs anything that offers a csc_model (csc_model.h). Functions return a status and keep the first message in the context; nothing exits
   or prints. A context and what was made with it belong to one thread at a time. Strings and arrays in structs given to csc_..._new,
   csc_data_open and csc_train must live as long as what was made of them. Free functions take NULL. */
#ifndef CSC_H
#define CSC_H
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include "csc_model.h"
#ifdef __cplusplus
extern "C" {
#endif

#define CSC_MAX_RANK 8

typedef enum csc_status {
    CSC_OK,
    CSC_BAD_ARGUMENT, /* the call makes no sense (a name that does not exist, sizes that do not fit) */
    CSC_BAD_FILE,     /* a file's content is not what it should be */
    CSC_IO,           /* the operating system refused: missing file, full disk, ... */
    CSC_MISMATCH,     /* a checkpoint or data set does not fit the model */
    CSC_NO_MEMORY,
    CSC_NAN,          /* the numbers ran away; the message names the tensor */
    CSC_INTERRUPTED,  /* the flag was raised; everything was saved */
    CSC_UNSUPPORTED,  /* this build has no such loader */
    CSC_DEVICE,       /* the GPU, its driver or NVRTC: missing, too old, or a call failed */
} csc_status;

/* ---- context: errors ---- */
typedef struct csc_context csc_context;
csc_context *csc_context_new(void); /* NULL: no memory */
void csc_context_free(csc_context *cx);
csc_status csc_error_status(const csc_context *cx);
const char *csc_error(const csc_context *cx); /* first message since the last clear; "" when none */
void csc_error_clear(csc_context *cx);
const char *csc_status_name(csc_status s);

/* ---- threads ---- */
typedef struct csc_pool csc_pool;
int csc_cpu_count(void);               /* processors this process may use */
csc_pool *csc_pool_new(int threads);   /* 0: csc_cpu_count(); NULL: no memory or threads */
void csc_pool_free(csc_pool *p);
int csc_pool_threads(const csc_pool *p);
/* A csc_parallel_for; `pool` is a csc_pool. The calling thread works too. Tasks may not start a parallel-for of the same pool. */
void csc_pool_parallel_for(void *pool, int64_t count, csc_task task, void *arg, size_t scratch_bytes);

/* ---- random numbers: Philox4x32-10, counter-based ---- */
void csc_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

/* ---- parameters ---- */
typedef enum csc_init_kind {
    CSC_INIT_CONST,   /* a */
    CSC_INIT_NORMAL,  /* mean a, deviation b */
    CSC_INIT_UNIFORM, /* from a to b */
    CSC_INIT_ENTRY,   /* output `init_out` of the entry "init" (parameters), or written by that entry to state_out (states) */
} csc_init_kind;
typedef enum csc_constraint_kind { /* in the order of ConstraintKind */
    CSC_UNIT_ATOMS,   /* norm 1 over all but the first axis */
    CSC_UNIT_COLUMNS, /* norm 1 along the first axis */
    CSC_NONNEGATIVE,
    CSC_ORTHOGONAL,   /* [m, rest]: orthonormal rows or columns, the nearest one */
    CSC_SPARSE_L0,    /* value: how many entries of each first index stay (>= 1), or their share (< 1) */
    CSC_SPARSE_L1,    /* value: soft threshold, times the learning rate */
} csc_constraint_kind;
typedef struct csc_constraint {
    csc_constraint_kind kind;
    double value;
} csc_constraint;

typedef struct csc_tensor_info { /* a parameter or a state */
    const char *name;
    int rank;
    int64_t dim[CSC_MAX_RANK]; /* without the turns */
    int64_t turns;             /* 0: one for all; else stored as [turns, dim], saved as name.1 .. name.turns */
    int64_t offset;            /* floats, in its block */
    bool fixed;                /* parameters: never learned */
    bool computed;             /* states: made from the parameters by the entry `init` where a file does not hold them in this size */
    csc_init_kind init;
    double a, b;
    int init_out;
    const csc_constraint *constraints;
    int nconstraints;
} csc_tensor_info;
typedef struct csc_net_info {
    const csc_tensor_info *params, *states;
    int nparams, nstates;
    const char *const *tunables; /* names, csc_model.tunable_count of them; may be NULL */
    const char *program_hash;    /* stored in checkpoints; may be NULL */
} csc_net_info;

typedef struct csc_net csc_net;
/* Blocks for one model. `pool` may be NULL: one thread. Borrows all three. Parameters are zero until csc_net_init or a load. */
csc_status csc_net_new(csc_context *cx, const csc_model *m, const csc_net_info *info, csc_pool *pool, csc_net **out);
void csc_net_free(csc_net *n);
csc_status csc_net_init(csc_net *n, uint64_t seed); /* initial parameters and states, constraints applied */
float *csc_net_params(csc_net *n);
float *csc_net_grads(csc_net *n);
float *csc_net_states(csc_net *n);
float *csc_net_tunables(csc_net *n);
const csc_model *csc_net_model(const csc_net *n);
int csc_net_find_param(const csc_net *n, const char *name);  /* index, or -1 */
const csc_entry *csc_net_entry(const csc_net *n, const char *name); /* NULL: the model has none */
size_t csc_net_workspace_bytes(const csc_net *n, const csc_entry *e, int64_t batch); /* what a call needs */
/* Runs an entry: in, out: one per input and output of the entry, [batch, shape]. Grows the workspace if this batch needs more.
   Entries that make gradients write csc_net_grads; entries that make states update csc_net_states in place when `update_states`. */
csc_status csc_net_run(csc_net *n, const csc_entry *e, int64_t batch, const float *const *in, float *const *out, bool update_states);
/* A promise: parameters, states and tunables stay as they are from now on. What an entry makes of these alone (packed weights, ...) is then made
   by the first call and kept, in the workspace, for those of the same entry that follow; results have the same bits. The promise ends by `false`,
   and by all of this library that may change them: csc_net_params, csc_net_states, csc_net_tunables (what they return may be written to),
   csc_net_init, csc_net_project, csc_weights_load, csc_train, csc_net_run that updates states. A pointer from before must not be written to
   while it holds. csc_eval makes it by itself for as long as it runs. */
void csc_net_hold(csc_net *n, bool on);
void csc_net_project(csc_net *n, double learning_rate); /* all constraints of all parameters */

/* ---- checkpoints: safetensors ---- */
/* Parameters and states by name. A state of another length (it goes with the input's size) keeps its value. */
csc_status csc_weights_load(csc_net *n, const char *path);
csc_status csc_weights_save(csc_net *n, const char *path); /* atomically */

typedef struct csc_file_tensor { /* of a tensor file, for inspection */
    const char *name, *dtype;
    int rank;
    int64_t dim[CSC_MAX_RANK];
    uint64_t bytes;
} csc_file_tensor;
typedef struct csc_tensors csc_tensors; /* an open safetensors file */
csc_status csc_tensors_open(csc_context *cx, const char *path, csc_tensors **out);
void csc_tensors_close(csc_tensors *t);
int csc_tensors_count(const csc_tensors *t);
const csc_file_tensor *csc_tensors_at(const csc_tensors *t, int i);
int csc_tensors_find(const csc_tensors *t, const char *name); /* -1: none */
csc_status csc_tensors_read(csc_tensors *t, int i, float *out); /* F32 as it is; F16, BF16, F64, U8, I8, I32, I64 are converted */
const char *csc_tensors_metadata(const csc_tensors *t, const char *key); /* NULL: none */
int csc_tensors_metadata_count(const csc_tensors *t);
void csc_tensors_metadata_at(const csc_tensors *t, int i, const char **key, const char **value);

/* ---- data ---- */
typedef enum csc_data_kind {
    CSC_DATA_IDX,         /* path[0]: images, path[1]: labels (or NULL); plain or .gz. test_path likewise */
    CSC_DATA_MNIST,       /* path[0]: a folder with the four IDX files under their usual names, plain or .gz */
    CSC_DATA_CIFAR10,     /* path[0]: a folder with data_batch_1..5.bin, test_batch.bin */
    CSC_DATA_CIFAR100,    /* path[0]: a folder with train.bin or train_1.bin ..., test.bin; label: fine */
    CSC_DATA_NPY,         /* path[k]: the file of field k */
    CSC_DATA_NPZ,         /* path[0]: the archive, field[k]: the member of field k */
    CSC_DATA_SAFETENSORS, /* path[0]: the file, field[k]: the tensor of field k */
    CSC_DATA_IMAGES,      /* path[0]: a folder of PNG and JPEG; `classes`: its subfolders are classes; path[1]: folder of masks or targets */
    CSC_DATA_SPARSE_CODES,/* field 0: signals, field 1: codes; bound to a model by csc_train and csc_eval */
} csc_data_kind;
typedef enum csc_split { CSC_TRAIN, CSC_TEST } csc_split;
#define CSC_MAX_FIELDS 8
typedef struct csc_data_spec {
    csc_data_kind kind;
    csc_split split;            /* which part to open */
    const char *path[CSC_MAX_FIELDS];
    const char *test_path[CSC_MAX_FIELDS]; /* IDX, NPY, NPZ, SAFETENSORS, IMAGES: where the test part is, or NULL */
    const char *field[CSC_MAX_FIELDS];     /* NPZ, SAFETENSORS */
    int nfields;                /* NPY, NPZ, SAFETENSORS: how many */
    int labels;                 /* bit k: field k holds class indices (NPY, NPZ, SAFETENSORS; IMAGES: bit 1: masks are classes) */
    int64_t test_every;         /* k: sample number k, 2k, ... (from 1) are the test part, the others the training part; 0: no hold-out */
    double scale;               /* values are divided by this; 0: by 255 (8-bit integers), by 65535 (16-bit), else 1 */
    bool gray, color, classes;  /* IMAGES: gray/color force channels (neither: as the first file is); classes: see above */
    int64_t size[2];            /* IMAGES: height and width that all are brought to: smooth means, of masks the nearest pixel; 0: as they are */
    int64_t patch;              /* IMAGES: a random square of this side (test: the middle one); 0: whole images, all of one size */
    int ignore;                 /* IMAGES: pixels of masks with this gray value are of no class: label -1; 0: none */
    int64_t count;              /* SPARSE_CODES: samples; IMAGES with patch: samples an epoch (0: one per image); others: at most so many */
    double density, snr;        /* SPARSE_CODES; snr in dB, INFINITY: no noise */
    uint64_t seed;              /* SPARSE_CODES */
    const char *synth_entry;    /* SPARSE_CODES: entry from codes to signals */
    int rank[2];                /* SPARSE_CODES: shapes of signal and code */
    int64_t dim[2][CSC_MAX_RANK];
    const char *const *roots;   /* a relative path is looked for in each of these folders in turn */
    int nroots;
} csc_data_spec;
typedef struct csc_field {
    const char *name;           /* "image", "label", "mask", or the spec's field name */
    bool label;                 /* class indices */
    int rank;
    int64_t dim[CSC_MAX_RANK];  /* of one sample */
    int64_t classes;            /* labels: 1 + the largest; 0: not known */
} csc_field;
typedef struct csc_data csc_data;
csc_status csc_data_open(csc_context *cx, const csc_data_spec *spec, csc_data **out);
void csc_data_close(csc_data *d);
int64_t csc_data_count(const csc_data *d);
int csc_data_fields(const csc_data *d);
const csc_field *csc_data_field(const csc_data *d, int i);
/* Sample `i` of field `f` without augmentation; patches are the middle ones. */
csc_status csc_data_fetch(csc_data *d, int64_t i, int f, float *out);
/* Where a relative path is found: as given, else in one of the roots. Malloc'ed, or NULL with a message. */
char *csc_find_path(csc_context *cx, const char *path, const char *const *roots, int nroots);

typedef enum csc_augment_kind {
    CSC_STANDARDIZE, /* (x - mean) / deviation per channel; n channels given, or n = 0: computed over the training set. Also on test data */
    CSC_TRANSLATE,   /* moves by up to `by` pixels in each direction, zeros come in */
    CSC_CROP,        /* `size` (0: as it was) square out of the image with `by` zeros around it; the middle one on test data */
    CSC_HFLIP,       /* with probability 1/2 */
    CSC_VFLIP,
    CSC_NOISE,       /* adds normal noise of deviation `sigma` to inputs, not to targets; also on test data */
} csc_augment_kind;
typedef struct csc_augment {
    csc_augment_kind kind;
    int64_t by, size;
    double sigma;
    int n;
    double mean[16], deviation[16];
} csc_augment;

/* ---- optimisers ---- */
typedef enum csc_schedule_kind { CSC_CONSTANT, CSC_STEP_DECAY, CSC_COSINE } csc_schedule_kind;
typedef struct csc_schedule { /* of the learning rate; epochs count from 0 */
    csc_schedule_kind kind;
    const int64_t *at;     /* STEP_DECAY: epochs before which the rate is multiplied by `by`; */
    int nat;
    int64_t every;         /*   or every so many epochs */
    double by;
    double to;             /* COSINE: the last rate; changes with each step */
    int64_t warmup_epochs, warmup_steps; /* linear from 0, then as above */
} csc_schedule;
typedef enum csc_optimizer_kind { CSC_SGD, CSC_ADAM, CSC_ADAMW } csc_optimizer_kind;
typedef struct csc_optimizer {
    csc_optimizer_kind kind;
    double lr, momentum, weight_decay; /* SGD: g += wd * w; ADAM likewise; ADAMW: w -= lr * wd * w */
    bool nesterov;
    double beta1, beta2, epsilon;      /* 0: 0.9, 0.999, 1e-8 */
    double clip;                       /* largest norm of the whole gradient; 0: none */
    csc_schedule schedule;
} csc_optimizer;
/* The learning rate at a step, given steps per epoch and epochs of the stage. */
double csc_learning_rate(const csc_optimizer *o, int64_t step, int64_t steps_per_epoch, int64_t epochs);

/* ---- training ---- */
typedef struct csc_metric {
    const char *name;
    int terms;     /* n > 0: the mean over k < n of sum(out[index + k]) / sum(out[index + n + k]), of those with something below; 0: the mean of out[index] */
    bool db;       /* 10 log10 of it */
    bool psnr;     /* out[index] is a mean squared error: -10 log10 of its mean */
    int index;     /* of the entry's outputs; out[0] is the loss */
    bool larger_is_better;
} csc_metric;
typedef enum csc_input_kind { CSC_IN_REAL, CSC_IN_LABEL, CSC_IN_TARGET } csc_input_kind;
typedef struct csc_input { /* of step and eval, in order. Labels take the data's label fields in order; inputs and targets the others. */
    const char *name;      /* A target without a field of its own gets the first input as it was before noise. */
    csc_input_kind kind;
    int64_t floats;        /* of one sample */
    int64_t classes;       /* labels: how many; checked. 0: unchecked */
} csc_input;
typedef struct csc_probe { /* an entry that gives back every value with a name */
    const csc_entry *entry;
    const char *const *names;
    const int64_t *floats;
    const struct csc_program *program; /* of a device, whose entry it is: a net of its own runs it there. NULL: the entry runs where it is */
} csc_probe;
typedef struct csc_stage {
    const char *name;
    const char *step_entry, *eval_entry, *probe_entry; /* probe may be NULL */
    const char *const *probe_names;                    /* one per output of the probe entry */
    const int64_t *probe_floats;                       /* their floats per sample; negative: not batched, -floats in all */
    bool (*make_probe)(void *user, csc_probe *out);    /* asked where probe_entry is NULL, once numbers have run away: compiles what finds
                                                          the first bad one. May be NULL; false: cannot */
    void *probe_user;
    csc_data *data, *test;                             /* test may be NULL */
    const csc_input *inputs;
    int ninputs;
    const csc_augment *augment;
    int naugment;
    int64_t epochs, batch;
    csc_optimizer optimizer;
    const csc_metric *metrics;
    int nmetrics;
    const int *only; /* parameters that learn; nonly = 0: all that are not fixed */
    int nonly;
} csc_stage;

typedef struct csc_progress { /* given to the callback after each step and each epoch */
    const char *stage;
    int stage_index, nstages;
    int64_t epoch, epochs, step, steps; /* step, steps: of this epoch; epoch counts from 0 */
    double loss;                        /* mean over the epoch so far */
    double learning_rate;
    double seconds, eta_seconds;        /* since the start of this run; expected to the end of all stages */
    double samples_per_second;
    bool epoch_done;                    /* then: */
    bool tested;
    double train_metric[32], test_loss, test_metric[32];
    double train_seconds, test_seconds; /* of this epoch */
    const csc_metric *metrics;
    int nmetrics;
    bool best;                          /* the best so far: best.safetensors will be this epoch's */
} csc_progress;
typedef struct csc_train_options {
    const csc_stage *stages;
    int nstages;
    uint64_t seed;
    const char *run_dir;     /* made when missing: metrics.jsonl, last.safetensors, best.safetensors, epoch-N.safetensors. NULL: nothing saved */
    bool resume;             /* go on from run_dir/last.safetensors (an error when there is none) */
    int keep;                /* last N epoch-N.safetensors are kept; 0: none are written */
    int64_t save_steps;      /* last.safetensors also after so many steps; 0: at epochs only */
    int best_metric;         /* index into metrics; -1: the loss */
    int64_t max_steps;       /* stop (as interrupted) after so many steps of this run; 0: no limit */
    bool no_prefetch;        /* batches are made on the calling thread */
    const volatile sig_atomic_t *interrupt; /* nonzero: save and return CSC_INTERRUPTED */
    void (*progress)(void *user, const csc_progress *p);
    void *user;
} csc_train_options;
csc_status csc_train(csc_net *n, const csc_train_options *o);

typedef struct csc_eval_result {
    double loss, metric[32];
    int64_t samples;
    double seconds;
} csc_eval_result;
/* Loss and metrics of s->eval_entry over `data`. Standardisation computes its numbers from s->data when it has none. */
csc_status csc_eval(csc_net *n, const csc_stage *s, csc_data *data, uint64_t seed, const volatile sig_atomic_t *interrupt,
                    csc_eval_result *out);

/* ---- images and arrays ---- */
typedef struct csc_image { /* planar floats 0..1: [channels, height, width]; malloc'ed by the reader */
    int channels, height, width;
    float *at;
} csc_image;
/* PNG or JPEG, by content. channels: 1 or 3, or 0: as the file is (alpha is dropped). */
csc_status csc_image_read(csc_context *cx, const char *path, int channels, csc_image *out);
/* The same, brought to a size as data sets are (csc_data_spec.size). height 0: as it is. */
csc_status csc_image_read_sized(csc_context *cx, const char *path, int channels, int height, int width, csc_image *out);
csc_status csc_image_write_png(csc_context *cx, const char *path, const csc_image *img); /* 8 bits; clamped to 0..1 */
void csc_image_free(csc_image *img);
/* Atoms [k, c, h, w] as one picture, c = 1 or 3 (else each channel is a gray tile), each scaled to its own range, dark lines between. */
csc_status csc_atoms_write_png(csc_context *cx, const char *path, const float *atoms, int64_t k, int64_t c, int64_t h, int64_t w);

typedef struct csc_array { /* a tensor from a file; malloc'ed by the reader */
    int rank;
    int64_t dim[CSC_MAX_RANK];
    char dtype[4]; /* as in the file: "f4", "u1", ... */
    float *at;
} csc_array;
csc_status csc_array_read(csc_context *cx, const char *path, csc_array *out); /* NPY or IDX, plain or .gz, by content. No scaling */
csc_status csc_npy_write(csc_context *cx, const char *path, const float *at, int rank, const int64_t *dim);
void csc_array_free(csc_array *a);

/* ---- small services ---- */
/* Writes a file under a temporary name, fsyncs it, renames it into place. */
csc_status csc_file_write(csc_context *cx, const char *path, const void *bytes, size_t len);
bool csc_has_png(void);
bool csc_has_jpeg(void);
#ifdef __cplusplus
}
#endif
#endif
