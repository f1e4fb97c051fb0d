# tests of runtime: csc_test(name libraries...)
