/* SPDX-License-Identifier: ISC */
/*
 * handover.h - handing a message to the running server over its local socket
 *
 * The socket is that of the listener with role = local: SMTP as on the submission port, without a
 * login, for the processes of this machine.
 */
#ifndef CLI_HANDOVER_H
#define CLI_HANDOVER_H

#include "cli/cli.h"
#include "proto/smtp_client.h"

enum { HANDOVER_RCPT_MAX = 10000 };

struct handover {
    const struct invocation *i;
    struct conf *conf;
    struct arena arena;
    struct str sender; /* empty: the null path */
    struct str notify, ret, envid;
    struct smtp_client_rcpt *rcpt;
    size_t rcpt_count;
    struct buf message;
    struct fault refusal;  /* the worst of the recipients' */
    struct fault accepted; /* what the server said */
};

/* Loads the configuration; false after saying why not. Free it in any case. */
bool handover_init(struct handover *h, const struct invocation *i);
void handover_free(struct handover *h);

/* Reads an address; one without a domain is at the server's host name. 501 when it is none. */
struct fault handover_address(struct handover *h, struct str text, struct str *out);

/* The sender when none is named: the login name at the host name. */
struct fault handover_default_sender(struct handover *h, struct str *out);

/* Adds the addresses of a list as it stands in a To field, each once; and those of the message's
 * To, Cc and Bcc. 501 when one is no address, 552 when they are too many. */
struct fault handover_add_rcpts(struct handover *h, struct str list);
struct fault handover_add_header_rcpts(struct handover *h);

/* A stream to the local socket. 451 4.3.2 when the server does not run. */
struct fault handover_connect(const struct handover *h, int *descriptor);

/* Sends the message, long lines of text as quoted-printable. Each recipient that is refused is told on standard error and kept in refusal;
 * the fault is that of the whole message. */
struct fault handover_send(struct handover *h);

#endif
