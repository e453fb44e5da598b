/* SPDX-License-Identifier: ISC */
/*
 * dsn.h - delivery status notices (RFC 3461-3464, 6522; 6533 for UTF-8 addresses)
 */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H

#include "base/fault.h"
#include "mail/address.h"

enum { DSN_ENVID_MAX = 100, DSN_ORCPT_MAX = 500 };

enum dsn_action { DSN_FAILED = 0, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED };

enum dsn_return { DSN_RETURN_DEFAULT = 0, DSN_RETURN_FULL, DSN_RETURN_HEADERS };

/* What the NOTIFY parameter asked for (a set); 0 when it was absent. */
enum dsn_notify {
    DSN_NOTIFY_NEVER = 1,
    DSN_NOTIFY_SUCCESS = 2,
    DSN_NOTIFY_FAILURE = 4,
    DSN_NOTIFY_DELAY = 8,
};

struct dsn_recipient {
    const struct address *final; /* where we tried to deliver to */
    struct str orcpt;            /* "rfc822;xtext" as it was received; may be empty */
    enum dsn_action action;
    struct fault_status status;
    struct str remote_mta;    /* the server that decided; empty when none was involved */
    struct str diagnostic;    /* its reply "550 5.1.1 No such user", or our own words */
    bool is_diagnostic_smtp;  /* the diagnostic is a reply of the remote server */
    int64_t last_attempt;     /* Unix seconds; 0: unknown */
    int64_t will_retry_until; /* only for DSN_DELAYED; 0: unknown */
};

struct dsn {
    struct str hostname; /* ours */
    int64_t time;        /* of the notice, Unix seconds */
    int offset_minutes;
    struct str message_id;        /* of the notice, without angle brackets */
    struct str boundary;          /* unique, of letters, digits, '-', '=', '_' or '.', at most 60 */
    const struct address *sender; /* of the original message: whom the notice goes to */
    struct str envid;             /* xtext as it was received; may be empty */
    int64_t arrival;              /* Unix seconds; 0: unknown */
    enum dsn_return ret;
    bool is_smtputf8;   /* the original message needed SMTPUTF8, so the notice may */
    struct str message; /* the original: all of it, or at least its header section; or nothing */
    bool is_message_whole;
    size_t message_limit; /* larger originals are returned as headers only */
    const struct dsn_recipient *recipient;
    size_t recipient_count; /* at least 1 */
};

/* "failed", "delayed" and so on. */
const char *dsn_action_name(enum dsn_action action);

/* True when the notice carries UTF-8 in addresses or headers and needs SMTPUTF8 itself. */
bool dsn_is_utf8(const struct dsn *d);

/*
 * Appends the whole notice, header and body with CRLF line ends. The original is returned whole for
 * failures unless RET=HDRS was given or it is larger than the limit; otherwise its headers are; without an
 * original there is no such part. Unless the sender's address is UTF-8, the notice can always be
 * converted to 7 bit (sevenbit.h): an original that cannot comes back as message/global, which may be
 * encoded, or as its headers when those are not even UTF-8.
 * False, out unchanged, when out is full.
 */
bool dsn_append(struct buf *out, const struct dsn *d);

#endif
