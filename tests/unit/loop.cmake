# tests of loop: csc_test(name libraries...)
