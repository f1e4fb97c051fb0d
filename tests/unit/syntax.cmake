# tests of syntax: csc_test(name libraries...)
