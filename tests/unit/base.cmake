csc_test(base csc_base)
