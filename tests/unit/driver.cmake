csc_test(driver csc_driver)
if(CSC_LLVM)
  csc_test(examples csc_driver)
endif()
