/* SPDX-License-Identifier: ISC */
/* spf_room.h - a zone, and SPF questions about it */
#ifndef TESTS_UNIT_SPF_ROOM_H
#define TESTS_UNIT_SPF_ROOM_H

#include "check/spf.h"
#include "fake_zone.h"

enum { QUESTIONS = 40 };

static const char ZONE[] = "host.example.com A 192.0.2.10\n"
                           "host.example.com A 192.0.2.11\n"
                           "host.example.com AAAA 2001:db8::10\n"
                           "mapped.example.com AAAA ::ffff:192.0.2.1\n"
                           "example.com A 192.0.2.1\n"
                           "example.com AAAA 2001:db8::1\n"
                           "example.com MX 10 host.example.com\n"
                           "example.com MX 20 other.example.com\n"
                           "other.example.com A 192.0.2.20\n"
                           "brokenmx.example.com MX 10 broken.example.com\n"
                           "brokenmx.example.com MX 5 host.example.com\n"
                           "nullmx.example.com MX 0 .\n"
                           "broken.example.com FAIL\n"
                           "txt.example.com TXT nothing about senders\n"
                           "pass.example.com TXT v=spf1 +all\n"
                           "fail.example.com TXT v=spf1 -all exp=why.example.com\n"
                           "softfail.example.com TXT v=spf1 ~all\n"
                           "neutral.example.com TXT v=spf1 ?all\n"
                           "wrong.example.com TXT v=spf1 ip4:192.0.2.1 nonsense\n"
                           "two.example.com TXT v=spf1 -all\n"
                           "two.example.com TXT v=spf1 +all\n"
                           "loop.example.com TXT v=spf1 include:loop.example.com\n"
                           "round.example.com TXT v=spf1 redirect=round.example.com\n"
                           "why.example.com TXT because\n"
                           "1.2.0.192.in-addr.arpa PTR client.example.net\n"
                           "1.2.0.192.in-addr.arpa PTR forged.example.com\n"
                           "client.example.net A 192.0.2.1\n"
                           "forged.example.com A 192.0.2.99\n"
                           "1.2.0.192.in-addr.example.com A 127.0.0.2\n"
                           "192.0.2.1.example.com A 127.0.0.2\n"
                           "alice.example.com A 127.0.0.2\n"
                           "alice%40example.com.example.com A 127.0.0.2\n"
                           "com.example.com A 127.0.0.2\n"
                           "mail.example.com A 127.0.0.2\n"
                           "client.example.net.example.com A 127.0.0.2\n"
                           "mail.example.com AAAA 2001:db8::1\n";

struct setting {
    const char *ip, *helo, *from, *zone;
    enum spf_identity identity;
    unsigned questions, void_limit;
};

struct run {
    struct arena arena;
    struct fake_zone zone;
    struct spf_question q;
    struct spf_verdict v;
    char *text;
};

static inline void run_setting(const struct setting *s, struct run *r)
{
    *r = (struct run){.arena = arena_make(1 << 22), .zone = {.text = s->zone}};
    struct asker asker = {.answer = fake_answer,
                          .context = &r->zone,
                          .arena = &r->arena,
                          .left = s->questions ? s->questions : QUESTIONS};
    r->q = (struct spf_question){.identity = s->identity,
                                 .helo = str_from(s->helo),
                                 .mail_from = str_from(s->from),
                                 .receiver = STR("mx.receiver.test"),
                                 .now_s = 1700000000,
                                 .void_limit = s->void_limit ? s->void_limit : SPF_VOID_LIMIT};
    assert_true(ip_parse(str_from(s->ip), &r->q.ip));
    spf_check(&r->q, &asker, &r->v);
}

static inline void end_run(struct run *r)
{
    arena_free(&r->arena);
    free(r->text);
}

/* alice@example.com with that record from that address, with more lines of a zone. */
static inline void run_record(const char *ip, const char *record, const char *more, struct run *r)
{
    size_t size = sizeof ZONE + strlen(record) + strlen(more) + 100;
    char *text = malloc(size);
    snprintf(text, size, "example.com TXT %s\n%s%s", record, ZONE, more);
    struct setting s = {
        .ip = ip, .helo = "mail.example.com", .from = "alice@example.com", .zone = text};
    run_setting(&s, r);
    r->text = text;
}

#endif
