/* cscc cache: what is kept between runs, and its removal. */
#include "csc_cache.h"
#include "driver/commands.h"
#include "driver/json.h"
#include <inttypes.h>
#include <string.h>

int command_cache(Cx *cx, const Options *o) {
    bool clear = !strcmp(o->words[0], "clear");
    if (!clear && strcmp(o->words[0], "info")) {
        Diag *d = diag_error(cx, E_OPTION, (Span){0}, "'cscc cache' knows no '%s'", o->words[0]);
        diag_help(cx, d, "cscc cache info, cscc cache clear");
        return 1;
    }
    csc_cache_info i;
    bool kept = csc_cache_look(&i, clear);
    if (o->json) {
        printf("{\"folder\": ");
        json_text(stdout, kept ? i.folder : NULL);
        printf(", \"%s\": %" PRIu64 ", \"bytes\": %" PRIu64 "}\n", clear ? "removed" : "files", i.files, i.bytes);
    } else if (!kept) printf("nothing is kept between runs (CSC_CACHE is off, or there is no home folder)\n");
    else printf("%s: %" PRIu64 " files, %.1f MB%s\n", i.folder, i.files, (double)i.bytes / 1e6, clear ? " removed" : "");
    return 0;
}
