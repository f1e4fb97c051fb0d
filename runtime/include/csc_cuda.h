/* Models on a GPU. What the compiler hands over is a launch program: kernels (as text, or made for some architectures) and, for each
   entry, the statements that launch them. It is data: read and checked as a whole before anything of it is used.

   The format. 64-bit words, least significant byte first. A text is its bytes' number and the bytes, padded with zeros to words. */
#ifndef CSC_CUDA_H
#define CSC_CUDA_H
#include "csc.h"
#ifdef __cplusplus
extern "C" {
#endif

/*  program     magic, words in all, checksum of the words after it, param_floats, state_floats, tunables (number, then each default's
                bits), info (text), tables, kernels, entries; each of these three: number, then so many records
    table       number of 4-byte entries, then these, padded
    kernel      name (text), where in the model (text, "digits.csc:12"), source (text; empty where images are enough), threads, dynamic shared bytes, nints, expressions (over the
                integers and, variable nints + 1, the batch), nptrs, then for each pointer: element, extent (expression, or -1: unknown);
                images: number, then for each: architecture ("sm_90a": a cubin, "compute_80": PTX), bytes (text)
    expressions number, then for each: kind, a, b, c. a, b, c: expressions with smaller numbers, or what the kind says
    entry       name (text), kind, stage, nin, nout, then floats and batched (0, 1) of each input and output (floats -1: not known), nvar,
                fixed_floats, batch_floats, expressions, number of words of the statements, these
    statement   kind, then as listed at CSC_S_...; a body is its number of words and these
    pointer     space, which, offset, plus (expression, or -1) */
#define CSC_PROGRAM_MAGIC INT64_C(0x3370757261637363)

enum csc_expr { /* as LX_... of the loop nests */
    CSC_X_INT, /* a */
    CSC_X_VAR, /* variable a */
    CSC_X_ADD, CSC_X_SUB, CSC_X_MUL, CSC_X_DIV, CSC_X_MOD, CSC_X_MIN, CSC_X_MAX, CSC_X_LT, CSC_X_EQ, CSC_X_AND, CSC_X_OR, CSC_X_NOT,
    CSC_X_SELECT,
    CSC_X_KINDS
};
enum csc_statement {
    CSC_S_FOR,      /* variable, lo, hi (expressions), step, body */
    CSC_S_IF,       /* condition, body, other body */
    CSC_S_SET,      /* variable, expression */
    CSC_S_BREAK_IF, /* expression: leaves the innermost loop */
    CSC_S_BREAK_AT, /* pointer: the loop may be left where the float there is not 0. What is launched in it from then on changes nothing, so
                       whoever does not know the float yet goes on */
    CSC_S_LAUNCH,   /* kernel, grid, a pointer for each of the kernel's, an expression for each of its integers */
    CSC_S_KINDS
};
enum csc_space { /* offsets in floats; tables in entries */
    CSC_AT_FIXED, /* of the workspace */
    CSC_AT_BATCH, /* of the workspace: fixed_floats + offset * batch */
    CSC_AT_IN, CSC_AT_OUT, /* number `which` */
    CSC_AT_PARAM, CSC_AT_GRAD, CSC_AT_STATE, CSC_AT_STATE_OUT, CSC_AT_TUNABLE,
    CSC_AT_TABLE, CSC_AT_FTABLE, /* number `which` of the tables: integers, floats */
    CSC_AT_KINDS
};
enum csc_elem { CSC_F32, CSC_BF16, CSC_I32, CSC_ELEMS };
enum { CSC_VAR_BATCH, CSC_VAR_SEED, CSC_VAR_STEP, CSC_VAR_FIRST_SAMPLE, CSC_VARS }; /* set when an entry starts */

uint64_t csc_program_checksum(const int64_t *words, size_t n);

typedef struct csc_program csc_program;
/* Reads and checks; the bytes are copied. CSC_BAD_FILE: the message says what is wrong. */
csc_status csc_program_read(csc_context *cx, const void *bytes, size_t len, csc_program **out);
void csc_program_free(csc_program *p);
/* Sizes, entries (their `run` is NULL: a device runs them), info. Lives as long as the program. */
const csc_model *csc_program_model(const csc_program *p);

/* ---- libraries: what cscc links beside the code that calls the driver, under the name csc_library_data ---- */
enum { CSC_LIBRARY_ENTRIES = 8 }; /* at most */
typedef struct csc_library_head { /* places: bytes from the head on */
    uint64_t bytes, packed;           /* of the launch program, and as it is here */
    uint64_t program, params, states; /* places; 0: no weights inside */
} csc_library_head;
void *csc_pack(const void *bytes, size_t len, size_t *packed); /* malloc'ed, or NULL: no memory */

/* ---- devices ---- */
typedef struct csc_device csc_device;
/* Opens the driver and device number `index`. CSC_DEVICE: the message says what was looked for, or what is too old. */
csc_status csc_device_open(csc_context *cx, int index, csc_device **out);
void csc_device_close(csc_device *d);
csc_status csc_device_describe(csc_context *cx, csc_device *d, char *text, size_t len); /* one line for people */
const char *csc_device_processor(const csc_device *d); /* "sm_90" */
bool csc_nvrtc_describe(char *text, size_t len); /* false: not found, and the text says what was looked for */

/* ---- kernels ---- */
extern const char csc_cuda_prelude[]; /* what stands in front of each kernel's text */
typedef struct csc_cuda_progress { /* while kernels are compiled; not called where the cache has all */
    void (*report)(void *user, int done, int all);
    void *user;
} csc_cuda_progress;
typedef struct csc_kernel_text {
    const char *name, *label, *text; /* label: what messages call it; NULL: the name */
    size_t len;
    char *image; /* NULL where it is still to be made; malloc'ed, a zero behind it */
    size_t image_len;
} csc_kernel_text;
/* Images for "sm_90a" (cubins) or "compute_80" (PTX), by NVRTC or from the cache. CSC_DEVICE: no NVRTC, or what it says of a kernel; images
   that were made stay. */
csc_status csc_kernels_compile(csc_context *cx, const char *arch, csc_kernel_text *k, int n, const csc_cuda_progress *progress);
/* From here on the net's numbers live on the device. The net was made of csc_program_model(p); all three are borrowed. Pointers to blocks
   (csc_net_params, ...) are the host's copies: ask for them again after a call, and before a change. */
csc_status csc_net_use_device(csc_net *n, csc_device *d, const csc_program *p, const csc_cuda_progress *progress);
size_t csc_net_device_bytes(const csc_net *n); /* the most that the arena had */

#ifdef __cplusplus
}
#endif
#endif
