/* (being built) */
#include "op/eval.h"
