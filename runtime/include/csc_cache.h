/* What is kept between runs: compiled code, kernels. A file each, under a name made of everything it was made from, with a checksum. Nothing
   here can fail a run: what cannot be read or written is made again. Any number of processes may use the folder at once. */
#ifndef CSC_CACHE_H
#define CSC_CACHE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

bool csc_cache_folder(char *path, size_t len); /* CSC_CACHE, $XDG_CACHE_HOME/csc or ~/.cache/csc; false: nothing is kept */

typedef struct csc_cache_key { /* 128 bits: two FNV-1a with different starts */
    uint64_t a, b;
} csc_cache_key;
csc_cache_key csc_cache_key_start(void);
void csc_cache_key_mix(csc_cache_key *k, const void *at, size_t len);

typedef struct csc_cache_kind {
    const char *below;  /* a folder in the cache's, or NULL: that itself */
    const char *suffix; /* of the files' names */
    char magic[17];     /* the first 16 bytes of each */
    size_t files, largest; /* kept at most: files, bytes of one */
} csc_cache_kind;
void *csc_cache_read(const csc_cache_kind *kind, const csc_cache_key *k, size_t *len); /* malloc'ed, a zero behind it; NULL: not there, or damaged */
void csc_cache_write(const csc_cache_kind *kind, const csc_cache_key *k, const void *bytes, size_t len);
void csc_cache_tidy(const csc_cache_kind *kind); /* where there are too many, those go that were not used for longest */

typedef struct csc_cache_info {
    char folder[3000];
    uint64_t files, bytes;
} csc_cache_info;
bool csc_cache_look(csc_cache_info *info, bool clear); /* counts; clear: counts what it removes. False: nothing is kept */

#ifdef __cplusplus
}
#endif
#endif
