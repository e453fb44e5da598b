/* SPDX-License-Identifier: ISC */
/*
 * fuzz_pop3_server.c - the bytes to send do not depend on how the input was cut
 *
 * The first byte of the input says whether the session begins under TLS.
 */
#include "proto/pop3_server.h"

#include "fuzz.h"

static const struct pop3_server_options options = {
    .has_stls = false, .may_clear_auth = false, .mechanisms = {"PLAIN", 5}, .error_max = 10};

/* Answers by the bytes of the question, so that both runs answer alike. */
static void answer(struct pop3_server *s, struct pop3_message *messages, const struct pop3_event *e)
{
    switch (e->kind) {
    case POP3_MORE:
    case POP3_STLS:
    case POP3_CLOSE:
        break;
    case POP3_LOGIN:
        if (e->password.n % 2 == 1)
            pop3_server_open(s, messages, 3, 1);
        else
            pop3_server_refuse(s, POP3_REFUSE_AUTH);
        break;
    case POP3_AUTH:
    case POP3_AUTH_RESPONSE:
        if (e->data.n % 3 == 0)
            pop3_server_challenge(s, e->data);
        else
            pop3_server_open(s, messages, 3, 1);
        break;
    case POP3_CONTENT:
        pop3_server_content(s, STR("A: b\r\n\r\n.x\r\n"));
        pop3_server_content_end(s);
        break;
    case POP3_UPDATE:
        pop3_server_updated(s, true);
        break;
    }
}

static void play(struct str in, bool is_secure, uint32_t cut, struct buf *wire)
{
    struct pop3_message messages[3] = {{12, 1, false}, {12, 2, false}, {12, 3, false}};
    struct pop3_server s;
    bool is_closed = false;
    pop3_server_init(&s, &options, is_secure);
    while (in.n > 0 && !is_closed) {
        struct str part = take_cut(&in, &cut);
        for (bool is_idle = false; !is_idle && !is_closed;) {
            struct pop3_event e;
            size_t n = pop3_server_feed(&s, part, &e);
            part = str_skip(part, n);
            answer(&s, messages, &e);
            struct str out = pop3_server_output(&s);
            is_closed = e.kind == POP3_CLOSE;
            is_idle = n == 0 && e.kind == POP3_MORE && out.n == 0;
            must(buf_append(wire, out));
            pop3_server_sent(&s, out.n);
        }
    }
    pop3_server_free(&s);
}

const struct fuzz_memory fuzz_memory = {.factor = 4096, .base = 2 << 20};

void fuzz_one(struct str in)
{
    struct buf whole = buf_make(1 << 26), cut = buf_make(1 << 26);
    uint8_t seed = take_octet(&in);
    const struct cuts cuts = cut_ways(in.n, seed);
    play(in, seed & 1, CUT_WHOLE, &whole);
    for (size_t i = 0; i < cuts.count; i++) {
        cut.used = 0;
        play(in, seed & 1, cuts.way[i], &cut);
        must(str_equal(buf_str(&whole), buf_str(&cut)));
    }
    buf_free(&whole);
    buf_free(&cut);
}
