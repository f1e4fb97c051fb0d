/* The CUDA driver and NVRTC, opened at run time. Types and numbers as in the driver's ABI; nothing of NVIDIA's is needed to build. */
#ifndef CSC_RT_CUDA_DRIVER_H
#define CSC_RT_CUDA_DRIVER_H
#include "csc_cuda.h"
#include "rt.h"

typedef int CuResult; /* 0: success */
typedef int CuDevice;
typedef uint64_t CuPtr;
typedef struct CuContext_ *CuContext;
typedef struct CuModule_ *CuModule;
typedef struct CuFunction_ *CuFunction;
typedef struct CuStream_ *CuStream;
typedef struct CuEvent_ *CuEvent;
typedef struct CuGraph_ *CuGraph;
typedef struct CuGraphExec_ *CuGraphExec;
typedef struct CuGraphNode_ *CuGraphNode;
typedef struct CuLaunch { /* CUDA_KERNEL_NODE_PARAMS_v1 */
    CuFunction f;
    unsigned gx, gy, gz, bx, by, bz, shared;
    void **args, **extra;
} CuLaunch;

enum {
    CU_OUT_OF_MEMORY = 2,
    CU_ATTRIBUTE_SHARED_OPTIN = 97, CU_ATTRIBUTE_MAJOR = 75, CU_ATTRIBUTE_MINOR = 76, CU_ATTRIBUTE_PROCESSORS = 16, /* of a device */
    CU_FUNCTION_SHARED = 8,      /* of a function: most dynamic shared bytes */
    CU_STREAM_NON_BLOCKING = 1,
    CU_EVENT_NO_TIMING = 2,
    CU_CAPTURE_THREAD = 1,
    CU_CAPTURE_ACTIVE = 1,
    CU_OLDEST_DRIVER = 11040,
    ARCH_LEN = 24, /* "compute_120" */
};
#define CU_LAUNCH_END ((void *)0)
#define CU_LAUNCH_POINTER ((void *)1)
#define CU_LAUNCH_SIZE ((void *)2)

/* name in the table, symbol, parameters */
#define CU_CALLS(X)                                                                                                                       \
    X(init, cuInit, (unsigned flags))                                                                                                     \
    X(version, cuDriverGetVersion, (int *version))                                                                                        \
    X(error_name, cuGetErrorName, (CuResult error, const char **name))                                                                    \
    X(error_text, cuGetErrorString, (CuResult error, const char **text))                                                                  \
    X(device_count, cuDeviceGetCount, (int *n))                                                                                           \
    X(device_get, cuDeviceGet, (CuDevice * d, int ordinal))                                                                               \
    X(device_name, cuDeviceGetName, (char *name, int len, CuDevice d))                                                                    \
    X(device_memory, cuDeviceTotalMem_v2, (size_t * bytes, CuDevice d))                                                                   \
    X(device_attribute, cuDeviceGetAttribute, (int *value, int attribute, CuDevice d))                                                    \
    X(retain, cuDevicePrimaryCtxRetain, (CuContext * c, CuDevice d))                                                                      \
    X(release, cuDevicePrimaryCtxRelease_v2, (CuDevice d))                                                                                \
    X(set_current, cuCtxSetCurrent, (CuContext c))                                                                                        \
    X(current, cuCtxGetCurrent, (CuContext * c))                                                                                          \
    X(memory_info, cuMemGetInfo_v2, (size_t * available, size_t *total))                                                                  \
    X(alloc, cuMemAlloc_v2, (CuPtr * at, size_t bytes))                                                                                   \
    X(free, cuMemFree_v2, (CuPtr at))                                                                                                     \
    X(host_alloc, cuMemHostAlloc, (void **at, size_t bytes, unsigned flags))                                                              \
    X(host_free, cuMemFreeHost, (void *at))                                                                                               \
    X(to_device, cuMemcpyHtoDAsync_v2, (CuPtr to, const void *from, size_t bytes, CuStream s))                                            \
    X(to_host, cuMemcpyDtoHAsync_v2, (void *to, CuPtr from, size_t bytes, CuStream s))                                                    \
    X(on_device, cuMemcpyDtoDAsync_v2, (CuPtr to, CuPtr from, size_t bytes, CuStream s))                                                  \
    X(clear, cuMemsetD8Async, (CuPtr at, unsigned char value, size_t bytes, CuStream s))                                                  \
    X(module_load, cuModuleLoadData, (CuModule * m, const void *image))                                                                   \
    X(module_unload, cuModuleUnload, (CuModule m))                                                                                        \
    X(function, cuModuleGetFunction, (CuFunction * f, CuModule m, const char *name))                                                      \
    X(function_set, cuFuncSetAttribute, (CuFunction f, int attribute, int value))                                                         \
    X(launch, cuLaunchKernel, (CuFunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,                \
                               unsigned shared, CuStream s, void **args, void **extra))                                                   \
    X(stream_new, cuStreamCreate, (CuStream * s, unsigned flags))                                                                         \
    X(stream_free, cuStreamDestroy_v2, (CuStream s))                                                                                      \
    X(stream_wait, cuStreamSynchronize, (CuStream s))                                                                                     \
    X(stream_after, cuStreamWaitEvent, (CuStream s, CuEvent e, unsigned flags))                                                           \
    X(event_new, cuEventCreate, (CuEvent * e, unsigned flags))                                                                            \
    X(event_free, cuEventDestroy_v2, (CuEvent e))                                                                                         \
    X(event_record, cuEventRecord, (CuEvent e, CuStream s))                                                                               \
    X(event_wait, cuEventSynchronize, (CuEvent e))                                                                                        \
    X(capture_begin, cuStreamBeginCapture_v2, (CuStream s, int mode))                                                                     \
    X(capture_end, cuStreamEndCapture, (CuStream s, CuGraph *g))                                                                          \
    X(capture_info, cuStreamGetCaptureInfo_v2, (CuStream s, int *status, uint64_t *id, CuGraph *g, const CuGraphNode **last, size_t *n))  \
    X(graph_set, cuGraphExecKernelNodeSetParams, (CuGraphExec x, CuGraphNode n, const CuLaunch *l))                                        \
    X(graph_ready, cuGraphInstantiateWithFlags, (CuGraphExec * x, CuGraph g, unsigned long long flags))                                   \
    X(graph_launch, cuGraphLaunch, (CuGraphExec x, CuStream s))                                                                           \
    X(graph_free, cuGraphDestroy, (CuGraph g))                                                                                            \
    X(graph_exec_free, cuGraphExecDestroy, (CuGraphExec x))

typedef struct CuApi {
#define X(name, symbol, params) CuResult(*name) params;
    CU_CALLS(X)
#undef X
    void *library;
    int driver; /* 12040: 12.4 */
    char *path;
} CuApi;

typedef struct RtcProgram_ *RtcProgram;
#define RTC_CALLS(X)                                                                                                                      \
    X(version, nvrtcVersion, (int *major, int *minor))                                                                                    \
    X(arch_count, nvrtcGetNumSupportedArchs, (int *n))                                                                                    \
    X(archs, nvrtcGetSupportedArchs, (int *list))                                                                                         \
    X(program_new, nvrtcCreateProgram, (RtcProgram * p, const char *source, const char *name, int n, const char *const *headers,          \
                                        const char *const *names))                                                                        \
    X(program_free, nvrtcDestroyProgram, (RtcProgram * p))                                                                                \
    X(compile, nvrtcCompileProgram, (RtcProgram p, int n, const char *const *options))                                                    \
    X(log_size, nvrtcGetProgramLogSize, (RtcProgram p, size_t *n))                                                                        \
    X(log, nvrtcGetProgramLog, (RtcProgram p, char *text))                                                                                \
    X(cubin_size, nvrtcGetCUBINSize, (RtcProgram p, size_t *n))                                                                           \
    X(cubin, nvrtcGetCUBIN, (RtcProgram p, char *bytes))                                                                                  \
    X(ptx_size, nvrtcGetPTXSize, (RtcProgram p, size_t *n))                                                                               \
    X(ptx, nvrtcGetPTX, (RtcProgram p, char *text))

typedef struct RtcApi {
#define X(name, symbol, params) CuResult(*name) params;
    RTC_CALLS(X)
#undef X
    const char *(*error_text)(CuResult error);
    void *library;
    int major, minor;
    char *path;
    char build[64]; /* the library's file: size and time, for keys */
} RtcApi;

struct csc_device {
    CuApi cu;
    RtcApi rtc; /* library NULL: not opened */
    CuDevice id;
    CuContext context, before; /* before: what was current when it was opened */
    int index, major, minor, processors;
    int most_shared; /* bytes a block can be given */
    size_t memory;
    char name[128], processor[16];
};

/* Opens a library and finds its calls; `looked` grows by what was tried, a line each. False: not found. */
bool cuda_open_driver(CuApi *c, RtText *looked);
bool cuda_open_rtc(RtcApi *r, RtText *looked);
void cuda_close_driver(CuApi *c);
void cuda_close_rtc(RtcApi *r);
/* Fails with the name of the call and the driver's words; `what`: what it was for. CSC_OK where r is 0. */
csc_status cuda_check(csc_context *cx, const CuApi *c, CuResult r, const char *call, const char *what);
/* The architecture that NVRTC makes code for: "sm_90a", or "compute_89" (PTX) where the device is of a later family. */
csc_status cuda_arch(csc_context *cx, const RtcApi *r, int major, int minor, char arch[ARCH_LEN]);
#endif
