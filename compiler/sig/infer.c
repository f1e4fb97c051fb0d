/* (being built) */
#include "sig/shape.h"
