/* The file of measured tiles beside a program: PROGRAM.tiles, written by cscc autotune, used by whatever makes code. */
#ifndef CSC_DRIVER_TILES_H
#define CSC_DRIVER_TILES_H
#include "driver/passes.h"

const char *tiles_path(Arena *a, const char *program); /* x.csc: x.tiles */
/* Fills c->tuned where there is a file for this program and this processor; c->tiles_said says why one was not used. Damage is an error. */
void tiles_open(Compile *c);
bool tiles_write(Compile *c, const char *path, const SchedTile *tile, size_t n);
#endif
