# tests of ad: csc_test(name libraries...)
