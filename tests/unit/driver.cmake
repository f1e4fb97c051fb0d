csc_test(driver csc_driver)
