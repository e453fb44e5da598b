/* SPDX-License-Identifier: ISC */
/*
 * live.h - the configuration in force, with the keys it names
 *
 * A reload makes a new snapshot; who works with the old one keeps it until done. Reference counted,
 * any thread.
 */
#ifndef CONF_LIVE_H
#define CONF_LIVE_H

#include "conf/conf.h"
#include "net/tls.h"
#include "os/thread.h"

struct live {
    const struct conf *conf;
    struct tls_context *server_tls; /* NULL when no certificate is configured */
    struct tls_context *client_tls;
    unsigned references; /* under the holder's mutex */
};

/* Where the snapshot in force is found. */
struct live_holder {
    struct mutex mutex;
    struct live *live;
};

/* Loads the file; the fault is that of conf_load or of the first certificate that cannot be used.
 */
struct fault live_start(struct live_holder *h, const char *path);

/* Loads it again; on a fault the snapshot in force stays. */
struct fault live_reload(struct live_holder *h);
void live_stop(struct live_holder *h);

/* The snapshot in force, kept until live_drop. */
struct live *live_keep(struct live_holder *h);
void live_drop(struct live_holder *h, struct live *l);

#endif
