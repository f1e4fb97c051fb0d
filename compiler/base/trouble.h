/* The two kinds of trouble that end the process: ours (exit 3) and the machine's (exit 2). The user's is base/diag.h. */
#ifndef CSC_BASE_TROUBLE_H
#define CSC_BASE_TROUBLE_H

/* A broken promise inside the compiler. `BUG("...")` names file, line and the pass that ran. */
_Noreturn void bug_at(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)
#define MUST(cond) ((cond) ? (void)0 : BUG("%s does not hold", #cond))

/* No memory, no disk, no thread: nothing that the program or its text could mend. */
_Noreturn void machine_trouble(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The pass that runs, for BUG's message; the driver sets it. Static text. */
void trouble_set_pass(const char *name);
#endif
