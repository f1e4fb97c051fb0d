/* The toy model as a shared library, for tests of those who load one. */
#include "runtime_toy.h"

const csc_model *csc_model_query(uint32_t max_version) {
    return max_version >= 1 ? &toy_model : NULL;
}
