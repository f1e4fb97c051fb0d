/* The commands: each returns the exit code; what it has to complain about is in cx. */
#ifndef CSC_DRIVER_COMMANDS_H
#define CSC_DRIVER_COMMANDS_H
#include "driver/args.h"

int command_check(Cx *cx, const Options *o);
int command_train(Cx *cx, const Options *o);
int command_eval(Cx *cx, const Options *o);
int command_run(Cx *cx, const Options *o);
int command_build(Cx *cx, const Options *o);
int command_autotune(Cx *cx, const Options *o);
int command_inspect(Cx *cx, const Options *o);
int command_explain(Cx *cx, const Options *o);
int command_cache(Cx *cx, const Options *o);
int command_doctor(Cx *cx, const Options *o);
#endif
