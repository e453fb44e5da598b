/* SPDX-License-Identifier: ISC */
/*
 * smtp_auth.c - the AUTH exchange (RFC 4954)
 *
 * Knows base64 and the order of lines; the mechanisms are the caller's.
 */
#include <assert.h>

#include "base/encode.h"
#include "proto/smtp_engine.h"

enum { CHALLENGE_MAX = 9000 };

/* The mechanism as the options spell it; empty when it is not offered. */
static struct str find_mechanism(struct str offered, struct str wanted)
{
    for (struct str name = str_word(&offered); name.n > 0; name = str_word(&offered))
        if (str_equal_nocase(name, wanted))
            return name;
    return STR_NONE;
}

/* Decodes into the scratch arena. */
static bool decode(struct smtp_server *s, struct str text, struct str *out)
{
    struct buf plain = buf_make(SMTP_AUTH_LINE_MAX);
    bool is_valid = decode_base64(&plain, text);
    if (is_valid)
        *out = arena_copy(&s->scratch, buf_str(&plain));
    if (plain.size > 0)
        explicit_bzero(plain.data, plain.size);
    buf_free(&plain);
    return is_valid;
}

/* Why AUTH cannot start now; fine when it can. */
static struct fault check_start(const struct smtp_server *s)
{
    if (s->options->auth_mechanisms.n == 0)
        return fault_make(502, FAULT_STATUS(5, 5, 1), "AUTH is not available here");
    if (!s->is_extended)
        return fault_make(503, FAULT_STATUS(5, 5, 1), "Say EHLO first");
    if (!smtp_engine_offers_auth(s))
        return fault_make(538, FAULT_STATUS(5, 7, 11), "AUTH needs TLS first");
    if (s->is_authenticated)
        return fault_make(503, FAULT_STATUS(5, 5, 1), "Already authenticated");
    if (s->transaction.is_open)
        return fault_make(503, FAULT_STATUS(5, 5, 1), "Not during a mail transaction");
    return FINE;
}

void smtp_auth_start(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    struct fault f = check_start(s);
    struct str name = str_word(&arguments), initial = str_word(&arguments), response = STR("");
    struct str mechanism = find_mechanism(s->options->auth_mechanisms, name);
    if (f.kind == FAULT_FINE && (name.n == 0 || arguments.n > 0))
        f = fault_make(501, FAULT_STATUS(5, 5, 4), "Syntax: AUTH mechanism [initial-response]");
    else if (f.kind == FAULT_FINE && mechanism.n == 0)
        f = fault_make(504, FAULT_STATUS(5, 5, 4), "Mechanism not available");
    else if (f.kind == FAULT_FINE && initial.n > 0 && !str_equal(initial, STR("=")) &&
             !decode(s, initial, &response))
        f = fault_make(501, FAULT_STATUS(5, 5, 2), "Not base64");
    if (f.kind) {
        smtp_engine_error(s, out, &f);
        return;
    }
    smtp_engine_ask(s, out, SMTP_EVENT_AUTH);
    out->auth.mechanism = mechanism;
    out->auth.response = response;
    out->auth.has_response = initial.n > 0;
}

void smtp_auth_response(struct smtp_server *s, struct str line, struct smtp_event *out)
{
    struct str response;
    smtp_engine_end_group(s);
    if (str_equal(line, STR("*")) || !decode(s, line, &response)) {
        struct fault f = str_equal(line, STR("*"))
                             ? fault_make(501, FAULT_STATUS(5, 7, 0), "Authentication cancelled")
                             : fault_make(501, FAULT_STATUS(5, 5, 2), "Not base64");
        s->phase = SMTP_PHASE_COMMAND;
        out->kind = SMTP_EVENT_AUTH_ABORT;
        smtp_engine_error(s, out, &f);
        return;
    }
    smtp_engine_ask(s, out, SMTP_EVENT_AUTH_RESPONSE);
    out->auth.mechanism = STR("");
    out->auth.response = response;
    out->auth.has_response = true;
}

bool smtp_auth_failed(struct smtp_server *s)
{
    s->auth_failure_count++;
    return s->options->auth_failure_limit > 0 &&
           s->auth_failure_count >= s->options->auth_failure_limit;
}

void smtp_server_challenge(struct smtp_server *s, struct str challenge)
{
    assert(s->question == SMTP_EVENT_AUTH || s->question == SMTP_EVENT_AUTH_RESPONSE);
    assert(challenge.n <= CHALLENGE_MAX);
    bool fits = buf_append(&s->output, STR("334 ")) && encode_base64(&s->output, challenge) &&
                buf_append(&s->output, STR("\r\n"));
    assert(fits);
    s->question = SMTP_EVENT_NONE;
    s->phase = SMTP_PHASE_AUTH;
}
