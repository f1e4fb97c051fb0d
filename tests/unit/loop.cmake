# tests of loop: csc_test(name libraries...)
csc_test(loop csc_loop)
