/* SPDX-License-Identifier: ISC */
/*
 * peer_server.c - a mail server of somebody else, with its manners
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"
#include "plan.h"
#include "talk.h"

enum {
    PATIENCE_S = 420,
    MESSAGE_MOST = 2 << 20,
    GREYLIST_S = 300,
    PENDING_MOST = 64,
    TEXT_SHOWN = 300
};

struct session {
    struct talk *talk;
    struct plan_server *server;
    struct manners manners;
    int64_t connected_ns;
    bool is_over, is_reset;
    char sender[LEDGER_ADDRESS_MAX];
    char recipient[LEDGER_RECIPIENTS_MOST][LEDGER_ADDRESS_MAX];
    size_t recipients;
    bool has_sender;
    char *text;
    size_t size;
    struct ledger_delivery *unheard[PENDING_MOST]; /* taken, and the answer may be lost */
    size_t unheard_count;
};

static bool happens(unsigned one_in)
{
    return one_in && sim_chance(1, one_in);
}

static void reply(struct session *s, const char *line)
{
    const struct manners *m = &s->manners;
    if (s->is_over)
        return;
    if (happens(m->hangs))
        fiber_sleep(2 * PATIENCE_S * SIM_SECOND);
    if (happens(m->resets) || happens(m->closes)) {
        s->is_reset = sim_chance(1, 2);
        s->is_over = true;
        return;
    }
    if (happens(m->slow)) {
        for (const char *c = line; *c && !s->is_over; c++) {
            fiber_sleep(SIM_SECOND);
            s->is_over |= !talk_say(s->talk, "%c", *c);
        }
        s->is_over |= !talk_say(s->talk, "\r\n");
        return;
    }
    s->is_over |= !talk_say(s->talk, "%s\r\n", line);
}

static void forget_transaction(struct session *s)
{
    s->recipients = 0;
    s->has_sender = false;
    s->size = 0;
}

static bool copy_path(const char *from, char out[LEDGER_ADDRESS_MAX])
{
    const char *open = strchr(from, '<'), *close = open ? strchr(open, '>') : NULL;
    if (!close || close - open > LEDGER_ADDRESS_MAX)
        return false;
    memcpy(out, open + 1, (size_t)(close - open - 1));
    out[close - open - 1] = '\0';
    return true;
}

static void on_mail(struct session *s, const char *line)
{
    peer_policy_check_offer(s->server->domain, s->connected_ns, s->talk->tls != NULL);
    if (happens(s->manners.delays_mail)) {
        reply(s, "451 4.3.0 Not now");
        return;
    }
    forget_transaction(s);
    s->has_sender = copy_path(line, s->sender);
    reply(s, s->has_sender ? "250 2.1.0 Fine" : "501 5.1.7 What?");
}

static bool is_greylisted(struct plan_domain *d, const char *sender, const char *recipient)
{
    uint64_t key = 1469598103934665603u;
    for (const char *c = sender; *c; c++)
        key = (key ^ (unsigned char)*c) * 1099511628211u;
    for (const char *c = recipient; *c; c++)
        key = (key ^ (unsigned char)*c) * 1099511628211u;
    size_t at = key % (sizeof d->greylisted / sizeof d->greylisted[0]);
    if (d->greylisted[at] != key) {
        d->greylisted[at] = key;
        d->greylisted_ns[at] = world->now_ns;
    }
    return world->now_ns - d->greylisted_ns[at] < GREYLIST_S * SIM_SECOND;
}

/* Nobody by that name, for ever: a refusal that does not depend on chance. */
static bool is_unknown(const char *address)
{
    return address[0] == 'x';
}

/* After the answer, which may take its time: only then the server knows. */
static void refuse_for_ever(const struct session *s, const char *address)
{
    for (size_t i = 0; i < world->ledger->messages; i++) {
        struct ledger_message *m = &world->ledger->message[i];
        struct ledger_recipient *r = ledger_recipient(m, address);
        if (r && strcmp(m->sender, s->sender) == 0)
            ledger_refuse(r);
    }
}

static void on_recipient(struct session *s, const char *line)
{
    char *address = s->recipient[s->recipients];
    if (!s->has_sender || s->recipients == LEDGER_RECIPIENTS_MOST || !copy_path(line, address)) {
        reply(s, s->has_sender ? "452 4.5.3 Too many" : "503 5.5.1 MAIL first");
        return;
    }
    ledger_attempt(s->sender, address);
    if (s->server->domain->is_dead || happens(s->manners.delays_recipient) ||
        (s->manners.is_greylisting && is_greylisted(s->server->domain, s->sender, address))) {
        reply(s, "450 4.7.1 Come back later");
    } else if (is_unknown(address) || happens(s->manners.refuses_recipient)) {
        reply(s, "550 5.1.1 Nobody by that name");
        refuse_for_ever(s, address);
    } else {
        s->recipients++;
        reply(s, "250 2.1.5 Fine");
    }
}

static void take_for(struct session *s, const char *address)
{
    bool is_sound;
    if (s->sender[0] == '\0' && ledger_read_notice(s->text, s->size, address))
        return;
    struct ledger_message *m = ledger_recognise(s->text, s->size, &is_sound);
    if (!m) {
        ledger_blame(0, "a text that nobody sent came to %s: %.*s", address,
                     (int)(s->size < TEXT_SHOWN ? s->size : TEXT_SHOWN), s->text);
        return;
    }
    if (strcmp(m->sender, s->sender) != 0)
        ledger_blame(m->number, "message %llu of <%s> came with the sender <%s>",
                     (unsigned long long)m->number, m->sender, s->sender);
    struct ledger_delivery *d = ledger_deliver(m, address, is_sound);
    if (d && s->unheard_count < PENDING_MOST)
        s->unheard[s->unheard_count++] = d;
}

/* The whole message is here. */
static void on_end(struct session *s)
{
    if (happens(s->manners.delays_end)) {
        reply(s, "451 4.3.0 Not now");
    } else if (happens(s->manners.refuses_end)) {
        reply(s, "554 5.6.0 Not this");
        for (size_t i = 0; i < s->recipients; i++)
            refuse_for_ever(s, s->recipient[i]);
    } else {
        for (size_t i = 0; i < s->recipients; i++)
            take_for(s, s->recipient[i]);
        if (happens(s->manners.mute_after_end))
            s->is_over = true;
        reply(s, "250 2.0.0 Taken");
        if (s->is_over) /* nobody will ever hear of it */
            s->unheard_count = 0;
    }
    forget_transaction(s);
}

static void on_data(struct session *s)
{
    if (s->recipients == 0) {
        reply(s, "554 5.5.1 No recipients");
        return;
    }
    if (happens(s->manners.delays_data)) {
        reply(s, "451 4.3.0 Not now");
        forget_transaction(s);
        return;
    }
    reply(s, "354 Go ahead");
    ptrdiff_t n = s->is_over ? -1 : talk_dotted(s->talk, s->text, MESSAGE_MOST);
    s->is_over |= n < 0;
    s->size = n < 0 ? 0 : (size_t)n;
    if (n >= 0)
        on_end(s);
}

static void on_chunk(struct session *s, const char *line)
{
    char *end;
    size_t n = strtoul(line + 5, &end, 10);
    if (n > MESSAGE_MOST - s->size || !talk_bytes(s->talk, s->text + s->size, n)) {
        s->is_over = true;
        return;
    }
    s->size += n;
    if (s->recipients == 0)
        reply(s, "503 5.5.1 No recipients");
    else if (strstr(end, "LAST"))
        on_end(s);
    else
        reply(s, "250 2.0.0 More");
}

static void on_hello(struct session *s, const char *line)
{
    const struct manners *m = &s->manners;
    forget_transaction(s);
    if (line[0] == 'H' || !m->has_ehlo) {
        reply(s, line[0] == 'H' ? "250 peer" : "502 5.5.1 What?");
        return;
    }
    char text[256];
    snprintf(text, sizeof text, "250-peer\r\n%s%s%s%s%s250 ENHANCEDSTATUSCODES",
             m->has_pipelining ? "250-PIPELINING\r\n" : "",
             m->has_chunking ? "250-CHUNKING\r\n" : "", m->has_size ? "250-SIZE 10000000\r\n" : "",
             m->has_8bitmime ? "250-8BITMIME\r\n" : "",
             m->tls != TLS_NONE && !s->talk->tls ? "250-STARTTLS\r\n" : "");
    reply(s, text);
}

/* What was taken is certain once the answer has been read. Commands prove nothing: those of the next
 * message are sent before. */
static void look_whether_heard(struct session *s)
{
    if (s->unheard_count == 0 || !net_is_heard(s->talk->stream))
        return;
    for (size_t i = 0; i < s->unheard_count; i++) {
        s->unheard[i]->is_certain = true;
        s->unheard[i]->heard_ns = world->now_ns;
    }
    s->unheard_count = 0;
}

/* It works, or it is offered and then does not. */
static void on_starttls(struct session *s)
{
    static const char garbage[] =
        "\x16\x03\x01\x00\x05nonsense that is no handshake\r\n250 Fine\r\n";
    if (s->manners.tls == TLS_REFUSED) {
        reply(s, "454 4.7.0 Not now");
        return;
    }
    reply(s, "220 2.0.0 Go ahead");
    if (s->manners.tls == TLS_WORKS) {
        forget_transaction(s);
        s->is_over = s->is_over || !talk_start_tls(s->talk);
        return;
    }
    if (!s->is_over && s->manners.tls == TLS_GARBAGE)
        net_write(s->talk->stream, garbage, sizeof garbage - 1,
                  world->now_ns + PATIENCE_S * SIM_SECOND);
    if (!s->is_over && s->manners.tls == TLS_MUTE)
        fiber_sleep(2 * PATIENCE_S * SIM_SECOND);
    s->is_over = true;
}

static void on_line(struct session *s, const char *line)
{
    look_whether_heard(s);
    if (strncmp(line, "EHLO", 4) == 0 || strncmp(line, "HELO", 4) == 0)
        on_hello(s, line);
    else if (strncmp(line, "MAIL", 4) == 0)
        on_mail(s, line);
    else if (strncmp(line, "RCPT", 4) == 0)
        on_recipient(s, line);
    else if (strcmp(line, "DATA") == 0)
        on_data(s);
    else if (strncmp(line, "BDAT", 4) == 0)
        on_chunk(s, line);
    else if (strcmp(line, "STARTTLS") == 0 && s->manners.tls && !s->talk->tls)
        on_starttls(s);
    else if (strcmp(line, "RSET") == 0) {
        forget_transaction(s);
        reply(s, "250 2.0.0 Fine");
    } else if (strcmp(line, "QUIT") == 0) {
        reply(s, "221 2.0.0 Bye");
        s->is_over = true;
    } else
        reply(s, "500 5.5.2 What?");
}

void server_serve(struct stream *stream, void *arg)
{
    struct plan_server *server = arg;
    struct session *s = world_alloc(sizeof *s);
    char *line = world_take(TALK_LINE_MAX);
    s->server = server;
    s->manners = server->manners;
    s->connected_ns = world->now_ns;
    s->talk = talk_make(stream, PATIENCE_S * SIM_SECOND);
    s->text = world_take(MESSAGE_MOST);
    if (plan_is_healed() || server->domain->is_back) {
        static const struct manners well = {0};
        struct manners can = s->manners;
        s->manners = well; /* but what it never could it still cannot */
        s->manners.has_ehlo = can.has_ehlo;
        s->manners.has_pipelining = can.has_pipelining;
        s->manners.has_chunking = can.has_chunking;
        s->manners.has_size = can.has_size;
        s->manners.has_8bitmime = can.has_8bitmime;
        s->manners.tls = server->domain->policy.has_tls ? TLS_WORKS : TLS_NONE;
    }
    bool is_busy = happens(s->manners.refuses_greeting);
    reply(s, is_busy ? "421 4.3.2 Too busy" : "220 peer ESMTP");
    s->is_over |= is_busy;
    while (!s->is_over && talk_line(s->talk, line))
        on_line(s, line);
    look_whether_heard(s);
    talk_close(s->talk, s->is_reset);
    world_free(s->text, MESSAGE_MOST);
    world_free(line, TALK_LINE_MAX);
    world_free(s, sizeof *s);
}
