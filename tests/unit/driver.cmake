csc_test(driver csc_driver)
if(CSC_LLVM)
  csc_test(examples csc_driver)
  add_executable(bench_entry EXCLUDE_FROM_ALL bench/entry.c) # a measurement, not a test
  target_link_libraries(bench_entry PRIVATE csc_driver)
  add_executable(bench_pictures EXCLUDE_FROM_ALL bench/pictures.c)
  target_link_libraries(bench_pictures PRIVATE csc_runtime)
endif()
