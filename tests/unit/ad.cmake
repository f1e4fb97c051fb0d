# tests of ad: csc_test(name libraries...)
csc_test(ad csc_ad)
