# tests of ad: csc_test(name libraries...)
csc_test(ad csc_ad)
csc_test(ad_loop csc_ad)
csc_test(ad_random csc_ad optest)
