# tests of runtime: csc_test(name libraries...)
csc_test(runtime csc_runtime)
csc_test(runtime_train csc_runtime)
csc_test(runtime_data csc_runtime)
