/* SPDX-License-Identifier: ISC */
/*
 * specimen.h - a message in a file, looked at as the server looks at one that comes over the wire
 *
 * It is read once, in pieces, and not held. Lines may end with LF alone, which counts as CRLF; a line "From ..." that
 * mailboxes of the mbox kind have on top is left out. What else the server would not take is a fault of the specimen.
 */
#ifndef CLI_SPECIMEN_H
#define CLI_SPECIMEN_H

#include "cli/cli.h"
#include "conf/conf.h"
#include "mail/dotline.h"
#include "serve/inspection.h"

#include <stdio.h>

enum { SPECIMEN_OCTETS_MAX = 100 << 20 };

struct specimen {
    const struct conf_limits *limits; /* of the listener, or NULL */
    int64_t now_s;                    /* for the signatures */
    struct inspection *inspection;    /* NULL when the header section is too large */
    struct fault fault;               /* for which the server would not look at it any further */
    uint64_t octets;                  /* with CRLF */
    bool has_lf, has_crlf;            /* line ends in the file */
    bool has_mbox_line;

    bool is_top_over;
    size_t matched;  /* octets of "From " on top */
    struct buf head; /* until the header section is whole */
    struct dotline_scanner scanner;
    bool is_begun, is_broken;
    char last; /* octet given on */
};

/* Begins with limits (borrowed), which may be NULL. To be freed. */
void specimen_begin(struct specimen *s, const struct conf_limits *limits, int64_t now_s);

/* The next octets of the file, cut anywhere; and its end. */
void specimen_feed(struct specimen *s, struct str piece);
void specimen_end(struct specimen *s);

/* Reads the file to its end. The fault says why it cannot be read, or that it is larger than SPECIMEN_OCTETS_MAX. */
struct fault specimen_read(struct specimen *s, FILE *in);
/* The same for a file of that name, or "-" for standard input: CLI_DONE, or CLI_FAILED after saying why. */
int specimen_open(struct specimen *s, const struct invocation *i, const char *name);
void specimen_free(struct specimen *s);

#endif
