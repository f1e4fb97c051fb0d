/* A device: opened, described, closed; the driver's errors in words. */
#include "cuda_driver.h"
#include <stdlib.h>
#include <string.h>

csc_status cuda_check(csc_context *cx, const CuApi *c, CuResult r, const char *call, const char *what) {
    const char *name = "an unknown error", *text = "";
    if (r == 0) return CSC_OK;
    c->error_name(r, &name);
    c->error_text(r, &text);
    return rt_fail(cx, r == CU_OUT_OF_MEMORY ? CSC_NO_MEMORY : CSC_DEVICE, "%s: %s failed: %s (%s)", what, call, name ? name : "?", text ? text : "?");
}

csc_status cuda_arch(csc_context *cx, const RtcApi *r, int major, int minor, char arch[ARCH_LEN]) {
    int n = 0, list[256], want = 10 * major + minor, best = 0, ptx = 0;
    if (r->arch_count(&n) != 0 || n < 1 || n > 256 || r->archs(list) != 0) return rt_fail(cx, CSC_DEVICE, "%s does not say which devices it makes code for", r->path);
    for (int i = 0; i < n; i++) {
        if (list[i] > want) continue;
        if (list[i] > ptx) ptx = list[i];
        if (list[i] / 10 == major && list[i] > best) best = list[i]; /* a cubin runs on later devices of its family */
    }
    if (best) snprintf(arch, ARCH_LEN, best == 90 ? "sm_%da" : "sm_%d", best); /* wgmma needs the a, which 9.0 alone has */
    else if (ptx) snprintf(arch, ARCH_LEN, "compute_%d", ptx);
    else return rt_fail(cx, CSC_DEVICE, "NVRTC %d.%d makes no code for a device of compute capability %d.%d", r->major, r->minor, major, minor);
    return CSC_OK;
}

csc_status csc_device_open(csc_context *cx, int index, csc_device **out) {
    RtText looked = {0};
    *out = NULL;
    csc_device *d = calloc(1, sizeof *d);
    if (!d) return rt_no_memory(cx, sizeof *d);
    if (!cuda_open_driver(&d->cu, &looked)) {
        rt_fail(cx, CSC_DEVICE, "no CUDA driver was found; looked for: %s", looked.at ? looked.at : "");
        rt_text_free(&looked);
        free(d);
        return CSC_DEVICE;
    }
    rt_text_free(&looked);
    const CuApi *c = &d->cu;
    int n = 0;
    csc_status s = cuda_check(cx, c, c->version(&d->cu.driver), "cuDriverGetVersion", c->path);
    if (s == CSC_OK && c->driver < CU_OLDEST_DRIVER)
        s = rt_fail(cx, CSC_DEVICE, "the CUDA driver %s is for CUDA %d.%d; %d.%d or newer is needed", c->path, c->driver / 1000, c->driver % 1000 / 10, CU_OLDEST_DRIVER / 1000, CU_OLDEST_DRIVER % 1000 / 10);
    if (s == CSC_OK) s = cuda_check(cx, c, c->init(0), "cuInit", c->path);
    if (s == CSC_OK) s = cuda_check(cx, c, c->device_count(&n), "cuDeviceGetCount", c->path);
    if (s == CSC_OK && n == 0) s = rt_fail(cx, CSC_DEVICE, "the CUDA driver %s has no device", c->path);
    if (s == CSC_OK && index >= n) s = rt_fail(cx, CSC_DEVICE, "there is no device cuda:%d: the CUDA driver has %d, counted from 0", index, n);
    if (s == CSC_OK) s = cuda_check(cx, c, c->device_get(&d->id, index), "cuDeviceGet", "the device");
    if (s == CSC_OK) s = cuda_check(cx, c, c->device_name(d->name, sizeof d->name, d->id), "cuDeviceGetName", "the device");
    if (s == CSC_OK) s = cuda_check(cx, c, c->device_memory(&d->memory, d->id), "cuDeviceTotalMem", d->name);
    if (s == CSC_OK) s = cuda_check(cx, c, c->device_attribute(&d->major, CU_ATTRIBUTE_MAJOR, d->id), "cuDeviceGetAttribute", d->name);
    if (s == CSC_OK) s = cuda_check(cx, c, c->device_attribute(&d->minor, CU_ATTRIBUTE_MINOR, d->id), "cuDeviceGetAttribute", d->name);
    if (s == CSC_OK) s = cuda_check(cx, c, c->device_attribute(&d->processors, CU_ATTRIBUTE_PROCESSORS, d->id), "cuDeviceGetAttribute", d->name);
    if (s == CSC_OK) s = cuda_check(cx, c, c->device_attribute(&d->most_shared, CU_ATTRIBUTE_SHARED_OPTIN, d->id), "cuDeviceGetAttribute", d->name);
    if (s == CSC_OK) s = cuda_check(cx, c, c->current(&d->before), "cuCtxGetCurrent", d->name);
    if (s == CSC_OK) s = cuda_check(cx, c, c->retain(&d->context, d->id), "cuDevicePrimaryCtxRetain", d->name);
    if (s == CSC_OK) s = cuda_check(cx, c, c->set_current(d->context), "cuCtxSetCurrent", d->name);
    if (s == CSC_OK && d->major < 8) s = rt_fail(cx, CSC_DEVICE, "%s has compute capability %d.%d; 8.0 or newer is needed", d->name, d->major, d->minor);
    snprintf(d->processor, sizeof d->processor, "sm_%d", (d->major * 10 + d->minor) % 1000);
    d->index = index;
    if (s == CSC_OK) return *out = d, CSC_OK;
    if (d->context) c->set_current(d->before);
    csc_device_close(d);
    return s;
}

void csc_device_close(csc_device *d) {
    if (!d) return;
    if (d->context) d->cu.release(d->id);
    cuda_close_rtc(&d->rtc);
    cuda_close_driver(&d->cu);
    free(d);
}

csc_status csc_device_describe(csc_context *cx, csc_device *d, char *text, size_t len) {
    size_t available = 0, total = 0;
    csc_status s = cuda_check(cx, &d->cu, d->cu.memory_info(&available, &total), "cuMemGetInfo", d->name);
    if (s == CSC_OK)
        snprintf(text, len, "%s, compute capability %d.%d, %d processors, %.1f of %.1f GB free, driver for CUDA %d.%d", d->name, d->major, d->minor, d->processors,
                 (double)available / 1e9, (double)total / 1e9, d->cu.driver / 1000, d->cu.driver % 1000 / 10);
    return s;
}

const char *csc_device_processor(const csc_device *d) {
    return d->processor;
}

bool csc_nvrtc_describe(char *text, size_t len) {
    RtText looked = {0};
    RtcApi r;
    bool found = cuda_open_rtc(&r, &looked);
    int n = 0, list[256], least = 0, most = 0;
    if (found && r.arch_count(&n) == 0 && n > 0 && n <= 256 && r.archs(list) == 0)
        for (int i = 0; i < n; i++) {
            if (!least || list[i] < least) least = list[i];
            if (list[i] > most) most = list[i];
        }
    if (found) snprintf(text, len, "%d.%d, for sm_%d to sm_%d; %s", r.major, r.minor, least, most, r.path);
    else snprintf(text, len, "looked for: %s", looked.at ? looked.at : "");
    rt_text_free(&looked);
    cuda_close_rtc(&r);
    return found;
}
