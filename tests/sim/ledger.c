/* SPDX-License-Identifier: ISC */
/*
 * ledger.c - the independent checker
 */
#include "ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "author.h"
#include "disk.h"
#include "plan.h"
#include "world.h"
#include "zone.h"

enum {
    LINE_BYTES = 72,
    WORD_BYTES = 8,
    HEAD_MOST = 512,
    NEAR_A_CRASH_S = 3,
    ON_THE_WAY_S = 20, /* that a refusal may take to the server when packets are lost */
    LATE_S = 6 * 3600,
    ATTEMPTS_WITHIN_S = 60,    /* retries have pauses that grow from a minute on */
    DELAY_NOTICE_S = 4 * 3600, /* the server's usual setting */
    RESOLUTION_S = 2           /* of times in notices */
};

void ledger_make(int64_t expiry_ns)
{
    world->ledger = world_alloc(sizeof *world->ledger);
    world->ledger->expiry_ns = expiry_ns;
}

struct ledger_message *ledger_new(void)
{
    struct ledger *l = world->ledger;
    if (l->messages == LEDGER_MESSAGES_MOST)
        return NULL;
    struct ledger_message *m = &l->message[l->messages++];
    m->number = l->messages;
    return m;
}

struct ledger_message *ledger_find(uint64_t number)
{
    struct ledger *l = world->ledger;
    return number > 0 && number <= l->messages ? &l->message[number - 1] : NULL;
}

struct ledger_recipient *ledger_recipient(struct ledger_message *m, const char *address)
{
    for (size_t i = 0; i < m->recipients; i++)
        if (strcmp(m->recipient[i].address, address) == 0)
            return &m->recipient[i];
    return NULL;
}

void ledger_blame(uint64_t message, const char *format, ...)
{
    struct ledger *l = world->ledger;
    va_list args;
    if (l->violation[0])
        return;
    va_start(args, format);
    vsnprintf(l->violation, sizeof l->violation, format, args);
    va_end(args);
    l->violation_message = message;
}

struct ledger_delivery *ledger_deliver(struct ledger_message *m, const char *address, bool is_sound)
{
    struct ledger_recipient *r = ledger_recipient(m, address);
    sim_note("delivered", m->number);
    if (!r) {
        ledger_blame(m->number, "message %llu came to %s, to whom nobody sent it",
                     (unsigned long long)m->number, address);
        return NULL;
    }
    if (r->deliveries == LEDGER_DELIVERIES_MOST) {
        ledger_blame(m->number, "message %llu came to %s more than %d times",
                     (unsigned long long)m->number, address, LEDGER_DELIVERIES_MOST);
        return NULL;
    }
    struct ledger_delivery *d = &r->delivery[r->deliveries++];
    *d = (struct ledger_delivery){
        .at_ns = world->now_ns, .heard_ns = world->now_ns, .is_sound = is_sound};
    return d;
}

void ledger_refuse(struct ledger_recipient *r)
{
    r->refusals++;
    r->refused_ns = world->now_ns;
}

static void each_recipient(void (*each)(struct ledger_recipient *r, const char *arg),
                           const char *arg)
{
    for (size_t i = 0; i < world->ledger->messages; i++)
        for (size_t k = 0; k < world->ledger->message[i].recipients; k++)
            each(&world->ledger->message[i].recipient[k], arg);
}

/* Answers of the DNS are kept for a while, so their time says little. */
static void doubt(struct ledger_recipient *r, const char *arg)
{
    (void)arg;
    r->is_doubtful |= zone_denies_domain(strchr(r->address, '@') + 1) ||
                      (r->refusals > 0 && world->now_ns - r->refused_ns <
                                              (NEAR_A_CRASH_S + ON_THE_WAY_S) * SIM_SECOND);
}

void ledger_crash(void)
{
    struct ledger *l = world->ledger;
    each_recipient(doubt, NULL);
    peer_policies_crash();
    if (l->crashes < sizeof l->crash / sizeof l->crash[0])
        l->crash[l->crashes++] = (struct ledger_crash){world->now_ns, world->disk->last_trouble_ns,
                                                       world->disk->troubles_met};
}

/* Whether a process ended between the two times. */
static bool has_crash_between(int64_t from_ns, int64_t until_ns)
{
    const struct ledger *l = world->ledger;
    for (size_t i = 0; i < l->crashes; i++)
        if (l->crash[i].at_ns >= from_ns - NEAR_A_CRASH_S * SIM_SECOND &&
            l->crash[i].at_ns <= until_ns)
            return true;
    return false;
}

/* Only a server that has forgotten what it was told asks again and again. */
static void check_pauses(const struct ledger_message *m, struct ledger_recipient *r)
{
    int64_t *oldest = &r->attempt_ns[r->attempts++ % LEDGER_ATTEMPTS_KEPT];
    if (r->attempts > LEDGER_ATTEMPTS_KEPT &&
        world->now_ns - *oldest < ATTEMPTS_WITHIN_S * SIM_SECOND &&
        !has_crash_between(*oldest, world->now_ns))
        ledger_blame(m->number, "message %llu was offered for %s more than %d times within %d s",
                     (unsigned long long)m->number, r->address, LEDGER_ATTEMPTS_KEPT,
                     ATTEMPTS_WITHIN_S);
    *oldest = world->now_ns;
}

/* The addresses of other domains have the number of their message in them. */
void ledger_attempt(const char *sender, const char *address)
{
    const char *number = strchr(address, '.'), *at = strchr(address, '@');
    struct ledger_message *m =
        number && at && number < at ? ledger_find(strtoull(number + 1, NULL, 10)) : NULL;
    struct ledger_recipient *r = m ? ledger_recipient(m, address) : NULL;
    if (r && strcmp(m->sender, sender) == 0)
        check_pauses(m, r);
}

static void body_word(uint64_t number, size_t word, char out[WORD_BYTES])
{
    uint64_t z = (number * 0x9e3779b97f4a7c15) ^ (word * 0xbf58476d1ce4e5b9);
    z ^= z >> 29;
    z *= 0x94d049bb133111eb;
    /* Dots at the beginning of lines are doubled on the way, and must not be afterwards. */
    static const char alphabet[] =
        "....abcdefghijklmnopqrstuvwxyz0123456789 -=ABCDEFGHIJKLMNOPQRSTUVW";
    for (unsigned i = 0; i < WORD_BYTES; i++)
        out[i] = alphabet[(z >> (i * 6)) & 63];
}

static void write_body(uint64_t number, size_t size, char *out)
{
    char last[WORD_BYTES];
    size_t whole = size / WORD_BYTES, rest = size % WORD_BYTES;
    for (size_t i = 0; i < whole; i++)
        body_word(number, i, out + i * WORD_BYTES);
    body_word(number, whole, last);
    memcpy(out + whole * WORD_BYTES, last, rest);
    for (size_t at = LINE_BYTES - 2; at < size; at += LINE_BYTES) {
        out[at] = '\r';
        if (at + 1 < size)
            out[at + 1] = '\n';
    }
}

/* Of its own fields what is sent, or what of them is to come out. */
static size_t write_head(const struct ledger_message *m, bool is_sent, char *out, size_t size)
{
    const struct letter *l = m->letter;
    int head =
        snprintf(out, size,
                 "%sFrom: <%s>\r\nTo: undisclosed:;\r\nSubject: message %llu\r\n"
                 "Date: Thu, 14 Jan 2027 08:00:00 +0000\r\nMessage-ID: <%llu@sim.test>\r\n"
                 "X-Sim: %llu %zu\r\n\r\n",
                 !l        ? ""
                 : is_sent ? l->sent
                           : l->kept,
                 l ? l->author : m->sender, (unsigned long long)m->number,
                 (unsigned long long)m->number, (unsigned long long)m->number, m->body_bytes);
    return (size_t)head;
}

static size_t write_text(const struct ledger_message *m, bool is_sent, char *out, size_t size)
{
    size_t head = write_head(m, is_sent, out, size);
    if (head + m->body_bytes > size)
        sim_broken("a text of %zu bytes has no room", m->body_bytes);
    write_body(m->number, m->body_bytes, out + head);
    return head + m->body_bytes;
}

size_t ledger_text(const struct ledger_message *m, char *out, size_t size)
{
    return write_text(m, true, out, size);
}

static const char *find(const char *text, size_t size, const char *what)
{
    return memmem(text, size, what, strlen(what));
}

struct ledger_message *ledger_recognise(const char *text, size_t size, bool *is_sound)
{
    const char *mark = find(text, size, "\r\nX-Sim: "), *end = find(text, size, "\r\n\r\n");
    *is_sound = false;
    if (!mark || !end || mark > end)
        return NULL;
    struct ledger_message *m = ledger_find(strtoull(mark + 9, NULL, 10));
    if (!m)
        return NULL;
    size_t room = (size_t)HEAD_MOST + (m->letter ? LETTER_FIELDS_MAX : 0) + m->body_bytes;
    char *wanted = world_take(room);
    size_t sent = write_text(m, false, wanted, room);
    *is_sound = sent <= size && memcmp(wanted, text + size - sent, sent) == 0 &&
                (sent == size || text[size - sent - 1] == '\n');
    if (m->letter && *is_sound)
        author_check_delivery(m, text, size - sent);
    world_free(wanted, room);
    return m;
}

/* The address of the first Final-Recipient there; false when there is none. */
static bool final_recipient(const char *block, const char *end, char address[LEDGER_ADDRESS_MAX])
{
    static const char field[] = "\r\nFinal-Recipient: rfc822; ";
    const char *who = find(block, (size_t)(end - block), field);
    if (!who)
        return false;
    who += strlen(field);
    size_t n = strcspn(who, "\r\n ");
    if (n >= LEDGER_ADDRESS_MAX)
        return false;
    memcpy(address, who, n);
    address[n] = '\0';
    return true;
}

/* When the server made the notice, by its Date field. */
static int64_t made_ns(const char *text, size_t size)
{
    struct tm date = {0};
    const char *end = find(text, size, "\r\n\r\n"), *field = find(text, size, "\nDate: ");
    field = strncmp(text, "Date: ", 6) == 0 ? text : field ? field + 1 : end;
    if (!end || field >= end || !strptime(field + 6, "%a, %d %b %Y %H:%M:%S", &date)) {
        ledger_blame(0, "a notice has no date");
        return world->now_ns;
    }
    return (int64_t)timegm(&date) * SIM_SECOND - world->real_ns;
}

/* Each recipient is told of once, unless a process that had told of it forgot that at its end. */
static void count_notice(struct ledger_message *m, struct ledger_recipient *r, const char *what,
                         unsigned *count, int64_t *first_ns, int64_t made)
{
    if (*count == 0 || made < *first_ns)
        *first_ns = made;
    if ((*count)++ > 0 && !has_crash_between(*first_ns, world->now_ns))
        ledger_blame(m->number, "message %llu was reported as %s twice for %s",
                     (unsigned long long)m->number, what, r->address);
}

static void check_delay(const struct ledger_message *m, const struct ledger_recipient *r,
                        int64_t made)
{
    if (m->promise == PROMISE_GIVEN &&
        made < m->offered_ns + (DELAY_NOTICE_S - RESOLUTION_S) * SIM_SECOND)
        ledger_blame(m->number, "message %llu to %s was reported as delayed too early",
                     (unsigned long long)m->number, r->address);
}

/* Given up before its time although nobody had refused it for good. */
static void check_failure(const struct ledger_message *m, const struct ledger_recipient *r,
                          int64_t made)
{
    if (m->promise == PROMISE_GIVEN && r->refusals == 0 &&
        !zone_denies_domain(strchr(r->address, '@') + 1) &&
        made < m->offered_ns + world->ledger->expiry_ns - RESOLUTION_S * SIM_SECOND)
        ledger_blame(m->number, "message %llu to %s was given up, but nobody had refused it",
                     (unsigned long long)m->number, r->address);
}

static void count_block(struct ledger_message *m, const char *block, const char *end, int64_t made)
{
    char address[LEDGER_ADDRESS_MAX];
    const char *what = find(block, (size_t)(end - block), "\r\nAction: ");
    if (!what || !final_recipient(block, end, address))
        return;
    what += strlen("\r\nAction: ");
    struct ledger_recipient *r = ledger_recipient(m, address);
    if (!r) {
        ledger_blame(m->number, "a notice about message %llu names %s",
                     (unsigned long long)m->number, address);
        return;
    }
    if (strncmp(what, "failed", 6) == 0) {
        check_failure(m, r, made);
        const char *status = find(block, (size_t)(end - block), "\r\nStatus: ");
        if (m->promise == PROMISE_GIVEN && !r->is_local && status)
            peer_policy_check_failure(m->number, address, status + strlen("\r\nStatus: "),
                                      m->offered_ns, made);
        count_notice(m, r, "failed", &r->failures, &r->failure_made_ns, made);
    } else if (strncmp(what, "delayed", 7) == 0) {
        check_delay(m, r, made);
        count_notice(m, r, "delayed", &r->delays, &r->delay_made_ns, made);
    }
}

/* A message of that sender to that recipient, about which nothing is known yet. */
static struct ledger_message *find_open(const char *sender, const char *recipient)
{
    for (size_t i = 0; i < world->ledger->messages; i++) {
        struct ledger_message *m = &world->ledger->message[i];
        struct ledger_recipient *r = ledger_recipient(m, recipient);
        if (r && strcmp(m->sender, sender) == 0 && m->promise == PROMISE_GIVEN && r->was_taken &&
            r->deliveries + r->failures == 0)
            return m;
    }
    return NULL;
}

/* The message that a notice is about: by the header that it returns or, when the server could not
 * read that any more, by sender and recipient. */
static struct ledger_message *find_subject(const char *report, const char *end, const char *to)
{
    char address[LEDGER_ADDRESS_MAX];
    const char *mark = find(report, (size_t)(end - report), "\r\nX-Sim: ");
    if (mark)
        return ledger_find(strtoull(mark + 9, NULL, 10));
    if (!final_recipient(report, end, address))
        return NULL;
    const char *number = strchr(address, '.'), *at = strchr(address, '@');
    return number && number < at ? ledger_find(strtoull(number + 1, NULL, 10))
                                 : find_open(to, address);
}

bool ledger_read_notice(const char *text, size_t size, const char *to)
{
    const char *report = find(text, size, "message/delivery-status"), *end = text + size;
    struct ledger_message *m = report ? find_subject(report, end, to) : NULL;
    sim_note("notice", m ? m->number : 0);
    if (!m)
        return report != NULL && world->disk->troubles_met > 0;
    if (strcmp(m->sender, to) != 0)
        ledger_blame(m->number, "a notice about message %llu, sent by <%s>, came to %s",
                     (unsigned long long)m->number, m->sender, to);
    for (const char *block = report, *next; block < end; block = next + 2) {
        next = find(block, (size_t)(end - block), "\r\n\r\n");
        if (!next)
            break;
        count_block(m, block, next, made_ns(text, size));
    }
    return true;
}

/* Whether the server may not know what happened then: it went away soon afterwards, or later and the
 * disk had not taken what it knew. */
static bool is_near_a_crash(int64_t at_ns)
{
    const struct ledger *l = world->ledger;
    int64_t near = NEAR_A_CRASH_S * SIM_SECOND;
    for (size_t i = 0; i < l->crashes; i++)
        if (l->crash[i].at_ns >= at_ns &&
            (l->crash[i].at_ns - at_ns < near || l->crash[i].trouble_ns > at_ns - near))
            return true;
    return false;
}

/*
 * Refused because the disk failed, and the disk had taken it all the same: a void keeps it from coming back. That
 * one may be missing when the server went away at once, or when the disk failed it, too (doc/decisions/0002).
 */
static bool may_come_back(const struct ledger_message *m)
{
    const struct ledger *l = world->ledger;
    if (m->promised_ns == 0)
        return false;
    if (m->promised_troubles - m->offered_troubles > 1)
        return is_near_a_crash(m->promised_ns);
    for (size_t i = 0; i < l->crashes; i++)
        if (l->crash[i].at_ns >= m->promised_ns &&
            (l->crash[i].at_ns - m->promised_ns < NEAR_A_CRASH_S * SIM_SECOND ||
             l->crash[i].troubles > m->promised_troubles))
            return true;
    return false;
}

static bool has_expired(const struct ledger_message *m)
{
    return world->now_ns > m->promised_ns + world->ledger->expiry_ns;
}

/* Neither there nor reported. Mail without a sender is reported to nobody. */
static bool is_open(const struct ledger_message *m, const struct ledger_recipient *r)
{
    return m->promise == PROMISE_GIVEN && r->was_taken && r->deliveries == 0 && r->failures == 0 &&
           !(m->sender[0] == '\0' && (r->refusals > 0 || has_expired(m)));
}

bool ledger_is_settled(void)
{
    const struct ledger *l = world->ledger;
    for (size_t i = 0; i < l->messages; i++)
        for (size_t k = 0; k < l->message[i].recipients; k++)
            if (is_open(&l->message[i], &l->message[i].recipient[k]))
                return false;
    return true;
}

static void check_copies(const struct ledger_message *m, const struct ledger_recipient *r)
{
    size_t surplus = 0;
    for (size_t i = 0; i < r->deliveries; i++) {
        const struct ledger_delivery *d = &r->delivery[i];
        surplus += d->is_certain && !is_near_a_crash(d->heard_ns);
        if (!d->is_sound)
            ledger_blame(m->number, "message %llu came to %s with another text",
                         (unsigned long long)m->number, r->address);
    }
    if (m->promise == PROMISE_GIVEN && surplus > 1)
        ledger_blame(
            m->number,
            "message %llu came to %s %zu times, first heard of at %lld ms, then at %lld ms",
            (unsigned long long)m->number, r->address, r->deliveries,
            (long long)(r->delivery[0].heard_ns / SIM_MS),
            (long long)(r->delivery[1].heard_ns / SIM_MS));
}

static void check_recipient(const struct ledger_message *m, const struct ledger_recipient *r)
{
    unsigned long long number = m->number;
    bool has_come = r->deliveries > 0;
    bool is_resurrected = m->promise == PROMISE_REFUSED && r->was_taken && may_come_back(m);
    bool was_refused = m->promise == PROMISE_REFUSED || m->promise == PROMISE_NONE || !r->was_taken;
    if (has_come && was_refused && !is_resurrected)
        ledger_blame(m->number, "message %llu came to %s although it was refused", number,
                     r->address);
    if (r->failures > 0 && m->promise == PROMISE_REFUSED && !is_resurrected)
        ledger_blame(m->number, "message %llu was refused, and a notice about it was sent", number);
    if (is_open(m, r))
        ledger_blame(
            m->number,
            "message %llu (%s) from <%s> to %s was promised at %lld s and is neither there "
            "nor reported",
            number, m->id, m->sender, r->address, (long long)(m->promised_ns / SIM_SECOND));
    /* A server may change its mind when it is asked again after a crash. */
    bool is_doubtful = has_come && (!r->delivery[0].is_certain ||
                                    is_near_a_crash(r->delivery[0].heard_ns) || r->is_doubtful);
    if (r->failures > 0 && has_come && !is_doubtful)
        ledger_blame(m->number, "message %llu came to %s and was reported as failed", number,
                     r->address);
    if (m->promise == PROMISE_GIVEN && has_come && !r->is_local &&
        r->delivery[0].at_ns > m->promised_ns + world->ledger->expiry_ns + LATE_S * SIM_SECOND)
        ledger_blame(m->number, "message %llu came to %s after its expiry", number, r->address);
    check_copies(m, r);
}

void ledger_check(void)
{
    const struct ledger *l = world->ledger;
    for (size_t i = 0; i < l->messages; i++)
        for (size_t k = 0; k < l->message[i].recipients; k++)
            check_recipient(&l->message[i], &l->message[i].recipient[k]);
}

const char *ledger_id(uint64_t number)
{
    const struct ledger_message *m = ledger_find(number);
    return m && m->id[0] ? m->id : "no such message";
}
