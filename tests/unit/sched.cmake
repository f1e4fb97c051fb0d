# tests of sched: csc_test(name libraries...)
csc_test(sched optest csc_sched csc_op csc_loop)
