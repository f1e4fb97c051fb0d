/* exp, log, tanh in float as all back ends compute them (loop/poly.h); short floats. */
#ifndef CSC_LOOP_SCALAR_H
#define CSC_LOOP_SCALAR_H
#include <stdint.h>

float loop_exp(float x);
float loop_log(float x);
float loop_tanh(float x);
uint16_t loop_bf16_bits(float x); /* to nearest, ties to even; any NaN is 0x7fff, as on a GPU */
float loop_bf16(float x);
uint16_t loop_bf16_flushed(float x); /* the same, denormal numbers are 0 and a NaN keeps its upper bits, as on a CPU */
float loop_widened(uint16_t bits);
float loop_tf32(float x);         /* 10 bits of fraction, to nearest, ties away from zero */
#endif
