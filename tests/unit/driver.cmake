csc_test(driver csc_driver)
if(CSC_LLVM)
  csc_test(examples csc_driver)
  add_executable(bench_entry EXCLUDE_FROM_ALL bench/entry.c) # a measurement, not a test
  target_link_libraries(bench_entry PRIVATE csc_driver)
endif()
