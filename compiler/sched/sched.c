/* (being built) */
#include "sched/sched.h"
