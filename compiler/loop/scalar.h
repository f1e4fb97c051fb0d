/* exp, log, tanh in float as both back ends compute them (loop/poly.h). */
#ifndef CSC_LOOP_SCALAR_H
#define CSC_LOOP_SCALAR_H
#include <stdint.h>

float loop_exp(float x);
float loop_log(float x);
float loop_tanh(float x);
#endif
