# tests of syntax: csc_test(name libraries...)
csc_test(syntax csc_syntax)
