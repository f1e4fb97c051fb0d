# tests of sched: csc_test(name libraries...)
