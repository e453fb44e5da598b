/* SPDX-License-Identifier: ISC */
/*
 * peer_client.c - somebody who sends mail
 */
#include <stdio.h>
#include <string.h>

#include "author.h"
#include "disk.h"
#include "ledger.h"
#include "plan.h"
#include "talk.h"

enum { TEXT_MOST = 2 << 20, PATIENCE_S = 900, LARGE_ONE_IN = 60, LINE_BYTES = 72 };

/* How far the content of a message got before the stream ended. */
struct sending {
    struct talk *talk;
    struct ledger_message *message;
    char *line;
    bool is_pipelining, has_chunking;
    bool is_broken;
};

static void draw_recipient(struct ledger_recipient *r, size_t at, uint64_t number)
{
    const struct plan *p = world->plan;
    r->is_local = sim_chance(1, 3);
    if (r->is_local) {
        snprintf(r->address, sizeof r->address, "u%llu@home.test",
                 (unsigned long long)sim_below(PLAN_USERS));
        return;
    }
    const struct plan_domain *d = &p->domain[sim_below(p->domains)];
    snprintf(r->address, sizeof r->address, "%s%zu.%llu@%s", sim_chance(1, 12) ? "x" : "r", at,
             (unsigned long long)number, d->name);
}

static void draw_sender(char out[LEDGER_ADDRESS_MAX], uint64_t number)
{
    uint64_t choice = sim_below(10);
    if (choice == 0)
        out[0] = '\0';
    else if (choice < 4)
        snprintf(out, LEDGER_ADDRESS_MAX, "u%llu@home.test",
                 (unsigned long long)sim_below(PLAN_USERS));
    else
        snprintf(out, LEDGER_ADDRESS_MAX, "s%llu@back.test", (unsigned long long)number);
}

static struct ledger_message *draw_message(void)
{
    struct ledger_message *m = ledger_new();
    if (!m)
        return NULL;
    draw_sender(m->sender, m->number);
    size_t wanted = sim_chance(1, 2) ? 1 : (size_t)sim_between(1, LEDGER_RECIPIENTS_MOST);
    for (size_t i = 0; i < wanted; i++) {
        struct ledger_recipient r = {0};
        draw_recipient(&r, i, m->number);
        if (!ledger_recipient(m, r.address))
            m->recipient[m->recipients++] = r;
    }
    /* What is kept in the journal, notices about it included, fits into one of its small segments;
     * the large ones go into files. */
    uint64_t most = (uint64_t)world->plan->segment_bytes / 4 / LINE_BYTES;
    uint64_t lines = sim_chance(1, LARGE_ONE_IN) ? 15000 + sim_below(3000)
                     : sim_chance(1, 8)          ? sim_below(most < 800 ? most : 800)
                                                 : sim_below(60);
    m->body_bytes = LINE_BYTES * (size_t)(lines + 1);
    return m;
}

static bool say(struct sending *s, const char *bytes, size_t n)
{
    s->is_broken |= !net_write(s->talk->stream, bytes, n, world->now_ns + PATIENCE_S * SIM_SECOND);
    return !s->is_broken;
}

static int hear(struct sending *s)
{
    int code = s->is_broken ? 0 : talk_reply(s->talk, s->line);
    s->is_broken |= code == 0;
    return code;
}

/* The envelope; true when at least one recipient was taken. */
static bool send_envelope(struct sending *s)
{
    struct ledger_message *m = s->message;
    char command[TALK_LINE_MAX];
    bool is_taken = false;
    m->offered_ns = world->now_ns;
    m->offered_troubles = world->disk->troubles_met;
    int n = snprintf(command, sizeof command, "MAIL FROM:<%s>\r\n", m->sender);
    say(s, command, (size_t)n);
    int answer = s->is_pipelining ? 0 : hear(s);
    if (!s->is_pipelining && answer != 250)
        return false;
    for (size_t i = 0; i < m->recipients; i++) {
        n = snprintf(command, sizeof command, "RCPT TO:<%s>\r\n", m->recipient[i].address);
        say(s, command, (size_t)n);
        if (!s->is_pipelining)
            m->recipient[i].was_taken = hear(s) == 250;
    }
    if (s->is_pipelining) {
        answer = hear(s);
        for (size_t i = 0; i < m->recipients; i++)
            m->recipient[i].was_taken = hear(s) == 250;
    }
    for (size_t i = 0; i < m->recipients; i++)
        is_taken |= m->recipient[i].was_taken;
    return is_taken && !s->is_broken;
}

static size_t with_dots(const char *text, size_t n, char *out)
{
    size_t used = 0;
    for (size_t at = 0, part; at < n; at += part) {
        const char *end = memchr(text + at, '\n', n - at);
        part = end ? (size_t)(end + 1 - text) - at : n - at;
        if (text[at] == '.')
            out[used++] = '.';
        memcpy(out + used, text + at, part);
        used += part;
    }
    memcpy(out + used, ".\r\n", 3);
    return used + 3;
}

/* Sends the content; the promise is made or not. What the server said of it, or 0. */
static int send_content(struct sending *s, char *text, char *wire)
{
    struct ledger_message *m = s->message;
    size_t n = ledger_text(m, text, TEXT_MOST);
    bool is_chunked = s->has_chunking && sim_chance(1, 3);
    m->promise = PROMISE_REFUSED;
    if (is_chunked) {
        size_t first = sim_chance(1, 2) ? n : (size_t)sim_between(1, (int64_t)n);
        int head = snprintf(wire, 64, "BDAT %zu%s\r\n", first, first == n ? " LAST" : "");
        memcpy(wire + head, text, first);
        if (first < n) {
            if (!say(s, wire, (size_t)head + first) || hear(s) != 250)
                return 0;
            head = snprintf(wire, 64, "BDAT %zu LAST\r\n", n - first);
            memcpy(wire + head, text + first, n - first);
            n -= first;
        }
        n += (size_t)head;
    } else {
        if (!say(s, "DATA\r\n", 6) || hear(s) != 354)
            return 0;
        n = with_dots(text, n, wire);
    }
    if (sim_chance(1, 40)) { /* the client dies on the way */
        say(s, wire, (size_t)sim_below(n));
        s->is_broken = true;
        return 0;
    }
    if (!say(s, wire, n))
        return 0; /* what was cut off cannot have been accepted */
    int answer = hear(s);
    m->promise = answer == 250 ? PROMISE_GIVEN : answer == 0 ? PROMISE_UNKNOWN : PROMISE_REFUSED;
    m->promised_ns = world->now_ns;
    m->promised_troubles = world->disk->troubles_met;
    const char *id = answer == 250 ? strrchr(s->line, ' ') : NULL;
    if (id)
        snprintf(m->id, sizeof m->id, "%s", id + 1);
    sim_note("promise", m->number * 8 + m->promise);
    return answer;
}

/* One connection with some messages; false when it could not be made. */
static bool visit(size_t *messages, const struct link *link, char *text, char *wire, char *line)
{
    struct stream *stream = net_connect(0x0a090000 + (uint32_t)sim_below(200), PLAN_PORT_MX, link);
    if (!stream)
        return false;
    struct sending s = {.talk = talk_make(stream, PATIENCE_S * SIM_SECOND), .line = line};
    s.is_pipelining = sim_chance(1, 2);
    s.has_chunking = true;
    bool is_welcome = hear(&s) == 220 && say(&s, "EHLO client.test\r\n", 18) && hear(&s) == 250;
    for (int64_t left = sim_between(1, 4); is_welcome && left > 0 && *messages > 0; left--) {
        s.message = draw_message();
        if (!s.message)
            break;
        --*messages;
        s.message->promise = PROMISE_REFUSED;
        if (send_envelope(&s))
            send_content(&s, text, wire);
        if (s.is_broken ||
            (s.message->promise != PROMISE_GIVEN && (!say(&s, "RSET\r\n", 6) || hear(&s) != 250)))
            break;
    }
    if (is_welcome && !s.is_broken && sim_chance(4, 5) && say(&s, "QUIT\r\n", 6))
        hear(&s);
    talk_close(s.talk, s.is_broken && sim_chance(1, 2));
    return is_welcome;
}

static void draw_link(struct link *l)
{
    *l = (struct link){.latency_ns = sim_between(50, 60000) * 1000,
                       .jitter_ns = sim_between(0, 20000) * 1000,
                       .window = sim_chance(1, 3) ? 2048 : 32768};
    if (sim_chance(1, 4))
        l->lost_one_in = 20;
    if (sim_chance(1, 8))
        l->reset_after = (uint64_t)sim_between(100, 60000);
    if (sim_chance(1, 16))
        l->silent_after = (uint64_t)sim_between(100, 60000);
    if (sim_chance(1, 12))
        l->piece = 1400;
}

/* A connection with a letter. */
static bool visit_as_stranger(struct ledger_message *m, const struct link *link, char *text,
                              char *wire, char *line)
{
    struct stream *stream = net_connect(m->letter->from, PLAN_PORT_MX, link);
    if (!stream)
        return false;
    struct sending s = {.talk = talk_make(stream, PATIENCE_S * SIM_SECOND),
                        .line = line,
                        .message = m,
                        .has_chunking = true,
                        .is_pipelining = sim_chance(1, 2)};
    bool is_welcome = hear(&s) == 220 && say(&s, "EHLO client.test\r\n", 18) && hear(&s) == 250;
    if (is_welcome) {
        m->promise = PROMISE_REFUSED;
        author_begin(m);
        int answer = send_envelope(&s) ? send_content(&s, text, wire) : 0;
        author_check_answer(m, answer, answer ? line : "");
    }
    if (is_welcome && !s.is_broken && say(&s, "QUIT\r\n", 6))
        hear(&s);
    talk_close(s.talk, s.is_broken && sim_chance(1, 2));
    return is_welcome;
}

void stranger_run(void *arg)
{
    (void)arg;
    struct plan *p = world->plan;
    char *text = world_take(TEXT_MOST), *wire = world_take(2 * TEXT_MOST);
    char *line = world_take(TALK_LINE_MAX);
    for (struct ledger_message *m; (m = author_next_letter());) {
        struct link link;
        draw_link(&link);
        fiber_sleep(sim_between(0, p->sending_ns / LETTERS_MOST));
        while (world->now_ns < p->healing_ns + 2 * 3600 * SIM_SECOND &&
               !visit_as_stranger(m, &link, text, wire, line))
            fiber_sleep(sim_between(1, 20) * SIM_SECOND);
    }
    p->clients_done++;
    world_free(text, TEXT_MOST);
    world_free(wire, 2 * TEXT_MOST);
    world_free(line, TALK_LINE_MAX);
}

void client_run(void *arg)
{
    (void)arg;
    struct plan *p = world->plan;
    size_t left = p->messages_a_client;
    char *text = world_take(TEXT_MOST), *wire = world_take(2 * TEXT_MOST);
    char *line = world_take(TALK_LINE_MAX);
    while (left > 0) {
        struct link link;
        draw_link(&link);
        fiber_sleep(sim_between(0, p->sending_ns / (int64_t)p->messages_a_client));
        if (world->now_ns > p->healing_ns + 3600 * SIM_SECOND ||
            !visit(&left, &link, text, wire, line))
            fiber_sleep(sim_between(1, 20) * SIM_SECOND);
        if (world->now_ns > p->healing_ns + 2 * 3600 * SIM_SECOND)
            break;
    }
    p->clients_done++;
    world_free(text, TEXT_MOST);
    world_free(wire, 2 * TEXT_MOST);
    world_free(line, TALK_LINE_MAX);
}
