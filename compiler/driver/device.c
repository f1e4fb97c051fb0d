/* Opens the device that --device names, compiles for it, and says what was found. */
#include "driver/device.h"
#include "base/trouble.h"
#include "driver/recipe.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool index_of(Cx *cx, const char *word, int *index) {
    *index = 0;
    if (!strcmp(word, "cuda") || !strcmp(word, "auto")) return true;
    char *end = NULL;
    long n = !strncmp(word, "cuda:", 5) && word[5] ? strtol(word + 5, &end, 10) : -1;
    if (n >= 0 && n < 1000 && !*end) return *index = (int)n, true;
    Diag *d = diag_error(cx, E_OPTION, (Span){0}, "there is no device '%s'", word);
    diag_help(cx, d, "--device cpu, cuda, cuda:1 (counted from 0) or auto");
    return false;
}

bool device_choose(Cx *cx, const Options *o, csc_context *rt, csc_device **out) {
    int index;
    *out = NULL;
    if (!o->device || !strcmp(o->device, "cpu")) return true;
    if (!index_of(cx, o->device, &index)) return false;
    csc_error_clear(rt);
    csc_status s = csc_device_open(rt, index, out);
    char text[600];
    if (s == CSC_OK && !csc_nvrtc_describe(text, sizeof text)) {
        csc_device_close(*out);
        *out = NULL;
        s = CSC_DEVICE;
    } else snprintf(text, sizeof text, "%s", csc_error(rt));
    if (s == CSC_OK) return true;
    const char *why = *csc_error(rt) ? csc_error(rt) : arena_printf(cx->keep, "NVRTC, which compiles kernels, was not found; %s", text);
    if (!strcmp(o->device, "auto")) fprintf(stderr, "device: cpu, for %s\n", why);
    else {
        Diag *d = diag_error(cx, E_DEVICE, (Span){0}, "%s", why);
        diag_help(cx, d, "cscc doctor says what was found; --device cpu does without");
    }
    csc_error_clear(rt);
    return !strcmp(o->device, "auto");
}

void device_set(Compile *c, csc_device *d) {
    c->device = d;
    c->gpu = d != NULL;
    if (d) c->cpu = arena_printf(c->cx->keep, "%s", csc_device_processor(d));
}

static void on_kernels(void *user, int done, int all) {
    (void)user;
    fprintf(stderr, "\r\033[Kcompiling kernels  %d/%d", done, all);
    if (done == all) fputs("\r\033[K", stderr);
}

bool device_use(Cx *cx, const Options *o, csc_context *rt, csc_net *net, csc_device *d, const csc_program *p) {
    const csc_cuda_progress progress = {isatty(2) && !o->json ? on_kernels : NULL, NULL};
    csc_error_clear(rt);
    if (csc_net_use_device(net, d, p, &progress) == CSC_OK) return true;
    runtime_error(cx, rt, E_DEVICE, (Span){0});
    return false;
}

DeviceFindings device_findings(Arena *a) {
    DeviceFindings f = {0};
    csc_context *rt = csc_context_new();
    csc_device *d = NULL;
    char text[900] = "";
    if (!rt) machine_trouble("there is no memory left");
    if (csc_device_open(rt, 0, &d) == CSC_OK && csc_device_describe(rt, d, text, sizeof text) == CSC_OK) f.cuda = arena_printf(a, "%s", text);
    else f.cuda_why = arena_printf(a, "--device cuda: %s", csc_error(rt));
    csc_device_close(d);
    csc_context_free(rt);
    bool found = csc_nvrtc_describe(text, sizeof text);
    if (found) f.nvrtc = arena_printf(a, "%s", text);
    else f.nvrtc_why = arena_printf(a, "--device cuda: %s", text);
    f.decided = f.cuda && f.nvrtc ? "--device auto takes cuda:0" : "--device auto takes cpu";
    return f;
}
