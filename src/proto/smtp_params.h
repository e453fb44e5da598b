/* SPDX-License-Identifier: ISC */
/*
 * smtp_params.h - the arguments of MAIL and RCPT
 */
#ifndef PROTO_SMTP_PARAMS_H
#define PROTO_SMTP_PARAMS_H

#include "proto/smtp_server.h"

/*
 * Reads what follows "MAIL" ("FROM:<a@b> SIZE=1 ..."). Only parameters of extensions that the
 * options offer are known (none when the client said HELO, REQUIRETLS under TLS alone). Slices point into text or the arena.
 * Faults: 501 5.5.4 syntax or value, 501 5.1.7 address, 553 5.6.7 UTF-8 without SMTPUTF8,
 * 555 5.5.4 unknown parameter, 552 5.3.4 announced size too large.
 */
struct fault smtp_params_mail(const struct smtp_server_options *options, bool is_extended,
                              bool is_tls, bool is_auth_offered, struct arena *arena,
                              struct str text, struct smtp_mail *out);

/*
 * Reads what follows "RCPT". is_utf8: SMTPUTF8 stood on MAIL. Faults as above, 501 5.1.3 for the
 * address.
 */
struct fault smtp_params_rcpt(const struct smtp_server_options *options, bool is_extended,
                              bool is_utf8, struct arena *arena, struct str text,
                              struct smtp_rcpt *out);

#endif
