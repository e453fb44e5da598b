/* SPDX-License-Identifier: ISC */
/*
 * smtp_capability.h - what a server says it can do, in its answer to EHLO (RFC 5321 section 4.1.1.1)
 */
#ifndef PROTO_SMTP_CAPABILITY_H
#define PROTO_SMTP_CAPABILITY_H

#include "proto/smtp_client.h"

/* Notes the keyword of one line (without code and line end) in the client; unknown ones are fine. */
void smtp_client_learn(struct smtp_client *c, struct str line);

#endif
