# tests of op: csc_test(name libraries...)
