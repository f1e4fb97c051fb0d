# tests of build: csc_test(name libraries...)
