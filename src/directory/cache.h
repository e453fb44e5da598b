/* SPDX-License-Identifier: ISC */
/*
 * cache.h - answers of the directory kept in memory
 *
 * What an address expands to, for as long as the directory does not change: its version is asked
 * again after a second at the latest, and at once after directory_cache_forget. For tasks; the
 * directory itself is asked on an offload thread. Any loop.
 */
#ifndef DIRECTORY_CACHE_H
#define DIRECTORY_CACHE_H

#include "directory/directory.h"
#include "directory/expand.h"

struct directory_cache;

/* Borrows the directory until directory_cache_free. */
struct directory_cache *directory_cache_make(struct directory *d);
void directory_cache_free(struct directory_cache *c); /* NULL is allowed */

/* The directory has changed: asks again. */
void directory_cache_forget(struct directory_cache *c);

/*
 * What mail to local@domain goes to, allocated in a, or the fault of directory_expand. A domain
 * that is not in the directory gives FINE with *is_ours false.
 */
struct fault directory_cache_expand(struct directory_cache *c, struct str local, struct str domain,
                                    struct arena *a, bool *is_ours,
                                    struct directory_recipients *out);

#endif
