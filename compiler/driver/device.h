/* Which device a command runs on: --device and --precision. */
#ifndef CSC_DRIVER_DEVICE_H
#define CSC_DRIVER_DEVICE_H
#include "csc_cuda.h"
#include "driver/passes.h"

/* False: errors in cx. *out NULL: the processor. `auto` that finds no device says so in one line on stderr. */
bool device_choose(Cx *cx, const Options *o, csc_context *rt, csc_device **out);
/* What is compiled from here on is for the device (NULL: for the processor). */
void device_set(Compile *c, csc_device *d);
/* The net is moved to the device; kernels are compiled, with progress on a terminal. */
bool device_use(Cx *cx, const Options *o, csc_context *rt, csc_net *net, csc_device *d, const csc_program *p);
/* cscc doctor: NULL in *cuda or *nvrtc: missing, and *why says what was looked for. */
typedef struct DeviceFindings {
    const char *cuda, *nvrtc, *cuda_why, *nvrtc_why, *decided;
} DeviceFindings;
DeviceFindings device_findings(Arena *a);
#endif
