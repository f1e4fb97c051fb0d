/* (being built) */
#include "build/build.h"
