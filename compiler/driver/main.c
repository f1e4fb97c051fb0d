/* cscc: the one command. Reads the command line, runs the command, prints what it has to say. */
#include "driver/commands.h"
#include <signal.h>
#include <unistd.h>

static int run_command(Cx *cx, const Options *o) {
    switch (o->command) {
    case CMD_EXPLAIN: return command_explain(cx, o);
    case CMD_CACHE: return command_cache(cx, o);
    case CMD_DOCTOR: return command_doctor(cx, o);
    case CMD_CHECK: return command_check(cx, o);
    case CMD_TRAIN: return command_train(cx, o);
    case CMD_EVAL: return command_eval(cx, o);
    case CMD_RUN: return command_run(cx, o);
    case CMD_BUILD: return command_build(cx, o);
    case CMD_AUTOTUNE: return command_autotune(cx, o);
    case CMD_INSPECT: return command_inspect(cx, o);
    case CMD_COUNT: break;
    }
    return 1;
}

int main(int argc, char **argv) {
    signal(SIGXFSZ, SIG_IGN); /* a file that grew too large is an error of write(), not a death */
    Cx *cx = cx_new();
    Options o;
    int code = 1;
    if (args_read(cx, argc, argv, &o, &code)) code = run_command(cx, &o);
    if (cx->diags.len) {
        if (o.json) diag_print_json(cx, stdout);
        else diag_print_all(cx, stderr, isatty(2));
    }
    if (cx->errors && code == 0) code = 1;
    /* output that could not be written (a full disk, a closed pipe) must not pass for success */
    if ((fflush(stdout) || ferror(stdout)) && code == 0) {
        fprintf(stderr, "cscc: the output cannot be written\n");
        code = 2;
    }
    cx_free(cx);
    return code;
}
