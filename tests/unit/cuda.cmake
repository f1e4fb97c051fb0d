# tests of the CUDA back end: csc_test(name libraries...)
csc_test(cuda_text csc_cuda csc_loop ${CMAKE_DL_LIBS})
csc_test(cuda_examples csc_driver csc_cuda csc_loop ${CMAKE_DL_LIBS})
csc_test(cuda_nvrtc csc_driver csc_cuda csc_loop ${CMAKE_DL_LIBS})
