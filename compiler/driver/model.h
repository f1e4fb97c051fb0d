/* A compiled model in this process: code, blocks, threads. */
#ifndef CSC_DRIVER_MODEL_H
#define CSC_DRIVER_MODEL_H
#include "csc_cuda.h"
#include "driver/passes.h"

typedef struct Model {
    csc_context *rt;
    csc_pool *pool;
    csc_net *net;
    csc_net_info info;
    CodeImage *code;      /* of the processor, or */
    csc_program *program; /* of a device */
} Model;

/* Loads c->object, onto c->device if there is one. False: errors in cx. `rt` and `pool` are borrowed. */
bool model_load(Cx *cx, Compile *c, csc_context *rt, csc_pool *pool, Model *m);
void model_free(Model *m);
csc_net_info model_net_info(Cx *cx, const Compile *c);
/* Weights of --weights into the net; `needed`: without them it is an error. */
bool model_weights(Cx *cx, const Options *o, Model *m, bool needed);
csc_pool *model_pool(const Options *o);
#endif
