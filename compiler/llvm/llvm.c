/* (being built) */
#include "llvm/llvm.h"
