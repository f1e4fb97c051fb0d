/* (being built) */
#include "loop/loop.h"
