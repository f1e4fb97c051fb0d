/* The dot test of every dictionary and of every operator that the program applies adjointly. */
#ifndef CSC_DRIVER_OPERATORS_H
#define CSC_DRIVER_OPERATORS_H
#include "driver/passes.h"

typedef struct OperatorTest {
    Name name; /* or NULL */
    Span span; /* where the program uses it */
    Shape from, to;
    bool skipped;      /* too large */
    double difference; /* |<D x, y> - <x, D' y>| / (|D x| |y|) */
} OperatorTest;
typedef Vec(OperatorTest) OperatorTests;

OperatorTests operators_test(const Compile *c); /* of a declared program */
#endif
