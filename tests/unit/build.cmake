# tests of build: csc_test(name libraries...)
csc_test(accept csc_driver)
