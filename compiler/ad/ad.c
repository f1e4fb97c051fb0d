/* (being built) */
#include "ad/ad.h"
