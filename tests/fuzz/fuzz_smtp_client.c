/* SPDX-License-Identifier: ISC */
/*
 * fuzz_smtp_client.c - a hostile server cannot make more of a message than it is
 *
 * The input is three steering octets and packets separated by 0xFE; between packets the next message
 * begins. Wire and events do not depend on how the input was cut; no recipient counts as served
 * unless the server took it and got the body.
 */
#include "proto/smtp_client.h"

#include "base/utf8.h"
#include "fuzz.h"

enum { MAILS = 3, RCPTS = 3 };

struct message {
    struct smtp_client_mail mail;
    struct smtp_client_rcpt rcpt[RCPTS];
    uint8_t is_accepted[RCPTS];
    size_t results[RCPTS]; /* events about the recipient */
    bool is_begun, is_done, has_body;
};

struct dialogue {
    struct smtp_client client;
    struct smtp_client_options options;
    struct message message[MAILS];
    struct buf wire, events;
    bool wants_tls, wants_auth, is_over;
};

static void make_messages(struct dialogue *d, uint8_t flags)
{
    for (size_t i = 0; i < MAILS; i++) {
        struct message *m = &d->message[i];
        for (size_t k = 0; k < RCPTS; k++)
            m->rcpt[k] = (struct smtp_client_rcpt){STR("u@x.test"), STR("NEVER"), STR("rfc822;u")};
        m->mail =
            (struct smtp_client_mail){.sender = STR("s@y.test"),
                                      .ret = STR("HDRS"),
                                      .envid = STR("e"),
                                      .rcpt = m->rcpt,
                                      .rcpt_count = 1 + (size_t)((size_t)flags >> (2 * i)) % RCPTS,
                                      .size_bytes = 5,
                                      .is_8bit = flags & 64,
                                      .is_utf8 = flags & 128,
                                      .is_accepted = m->is_accepted};
    }
}

static void take_output(struct dialogue *d)
{
    struct str out = smtp_client_output(&d->client);
    must(buf_append(&d->wire, out));
    smtp_client_sent(&d->client, out.n);
}

static void begin_next(struct dialogue *d)
{
    for (size_t i = 0; i < MAILS && !d->is_over && smtp_client_may_begin(&d->client); i++) {
        struct message *m = &d->message[i];
        if (!m->is_begun) {
            m->is_begun = true;
            smtp_client_begin(&d->client, &m->mail);
        }
    }
}

static void check_done(const struct message *m, const struct fault *f)
{
    must(!m->is_done);
    if (f->kind)
        return;
    for (size_t i = 0; i < m->mail.rcpt_count; i++)
        must(m->is_accepted[i] ? m->has_body : m->results[i] == 1);
}

static void on_ready(struct dialogue *d)
{
    if (d->wants_tls && (d->client.capabilities & SMTP_HAS_STARTTLS)) {
        d->wants_tls = false;
        smtp_client_starttls(&d->client);
    } else if (d->wants_auth) {
        d->wants_auth = false;
        smtp_client_auth(&d->client, "PLAIN", &STR("AHUAcA=="));
    } else {
        begin_next(d);
    }
}

static void on_event(struct dialogue *d, const struct smtp_client_event *e)
{
    struct message *m = (struct message *)(void *)e->mail;
    must(buf_printf(&d->events, "%d %td %zu %u %u.%u.%u %s " STR_FMT "\n", e->kind,
                    m ? m - d->message : -1, e->index, e->fault.reply, e->fault.status.class,
                    e->fault.status.subject, e->fault.status.detail, e->fault.text,
                    STR_ARG(e->data)));
    must(utf8_is_valid(fault_text(&e->fault)));
    must(!m || (m->is_begun && !m->is_done));
    switch (e->kind) {
    case SMTP_CLIENT_MORE:
        break;
    case SMTP_CLIENT_READY:
        on_ready(d);
        break;
    case SMTP_CLIENT_TLS:
        must(e->fault.reply >= 200 && e->fault.reply < 600);
        if (e->fault.kind)
            begin_next(d);
        else
            smtp_client_tls_started(&d->client);
        break;
    case SMTP_CLIENT_CHALLENGE:
        smtp_client_auth_response(&d->client, e->data);
        break;
    case SMTP_CLIENT_AUTH:
        begin_next(d);
        break;
    case SMTP_CLIENT_RCPT:
        must(e->index < m->mail.rcpt_count);
        m->results[e->index]++;
        must(m->results[e->index] <= (d->options.is_lmtp && m->is_accepted[e->index] ? 2 : 1));
        break;
    case SMTP_CLIENT_BODY:
        must(!m->has_body && (m->mail.accepted_count > 0 || smtp_client_is_chunked(&d->client)));
        m->has_body = true;
        take_output(d);
        smtp_client_body_sent(&d->client, &m->mail);
        begin_next(d);
        break;
    case SMTP_CLIENT_DONE:
        check_done(m, &e->fault);
        m->is_done = true;
        begin_next(d);
        break;
    case SMTP_CLIENT_REFUSED:
    case SMTP_CLIENT_BROKEN:
        must(e->fault.kind);
        d->is_over = true;
        break;
    }
}

static void feed(struct dialogue *d, struct str piece)
{
    for (bool is_idle = false; !is_idle && !d->is_over;) {
        struct smtp_client_event e;
        size_t n = smtp_client_feed(&d->client, piece, &e);
        must(n <= piece.n);
        piece = str_skip(piece, n);
        is_idle = e.kind == SMTP_CLIENT_MORE && piece.n == 0;
        if (e.kind != SMTP_CLIENT_MORE)
            on_event(d, &e);
        take_output(d);
        must(d->client.dialogue.used <= SMTP_CLIENT_DIALOGUE_MAX);
    }
}

static void play(struct dialogue *d, uint8_t flags, uint8_t counts, struct str in, uint32_t cut)
{
    *d = (struct dialogue){
        .options = {.is_lmtp = flags & 1, .may_chunk = flags & 2, .hello_name = STR("me.test")},
        .wants_tls = flags & 4,
        .wants_auth = flags & 8,
        .wire = buf_make(1 << 24),
        .events = buf_make(1 << 24)};
    make_messages(d, counts);
    smtp_client_init(&d->client, &d->options);
    for (bool has_more = true, is_first = true; has_more; is_first = false) {
        struct str packet;
        has_more = str_cut(in, '\xFE', &packet, &in);
        if (!is_first)
            begin_next(d);
        feed(d, STR(""));
        while (packet.n > 0)
            feed(d, take_cut(&packet, &cut));
    }
}

static void stop(struct dialogue *d)
{
    smtp_client_free(&d->client);
    buf_free(&d->wire);
    buf_free(&d->events);
}

const struct fuzz_memory fuzz_memory = {.factor = 1024, .base = 1 << 20};

void fuzz_one(struct str in)
{
    uint8_t flags = take_octet(&in), counts = take_octet(&in), seed = take_octet(&in);
    static struct dialogue whole, cut;
    const struct cuts cuts = cut_ways(in.n, seed);
    play(&whole, flags, counts, in, CUT_WHOLE);
    for (size_t i = 0; i < cuts.count; i++) {
        play(&cut, flags, counts, in, cuts.way[i]);
        must(str_equal(buf_str(&whole.wire), buf_str(&cut.wire)));
        must(str_equal(buf_str(&whole.events), buf_str(&cut.events)));
        must(str_equal(buf_str(&whole.client.dialogue), buf_str(&cut.client.dialogue)));
        stop(&cut);
    }
    stop(&whole);
}
