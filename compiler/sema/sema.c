/* (being built) */
#include "sema/sema.h"
