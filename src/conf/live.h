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

/*
 * Puts the first snapshot in force: of the text of a configuration (conf_read) whose file is path.
 * The fault is that of conf_parse or of the first certificate that cannot be used.
 */
struct fault live_start(struct live_holder *h, const char *path, struct str source);

/* Puts a configuration (taken) in force without its keys: enough for who asks what it says, and opens no connection. */
void live_start_keyless(struct live_holder *h, struct conf *c);

/* Makes another snapshot from a new text. It is not in force yet. */
struct fault live_load(struct live_holder *h, struct str source, struct live **out);

/* Puts a snapshot (taken) in force and gives the one before, which is the caller's to live_drop or
 * to put back. */
struct live *live_replace(struct live_holder *h, struct live *fresh);
void live_stop(struct live_holder *h);

/* The snapshot in force, kept until live_drop. */
struct live *live_keep(struct live_holder *h);
void live_drop(struct live_holder *h, struct live *l);

#endif
