/* SPDX-License-Identifier: ISC */
/*
 * transcript_smtp.c - plays written dialogues against the SMTP server engine
 *
 * A file holds transcripts. Lines, by their first characters:
 *
 *   === name              a new transcript; options and verdicts are back at their defaults
 *   O: lmtp size=100 ...  options (see set_option); in force from the start
 *   A: RCPT 550 5.1.1 x   the verdict for the next open question of that kind (several queue up;
 *                         without one the answer is FINE); "A: AUTH challenge text" sends 334
 *   C: text               the client's line; successive ones travel in one piece
 *   c: text               the same without CRLF
 *   S: text               a line the server sends; all its lines of one turn must be given
 *   E: text               an event; once one is given, all must be
 *   I: ehlo | mail        an unremarkable beginning, whose wire and events are not looked at: the
 *                         greeting and EHLO, and for mail also MAIL <a@b.test> and RCPT <c@d.test>
 *   T: tls                TLS came up
 *   T: close 421 x        the session is ended from outside
 *   T: early              the client's next lines come before the server's were sent
 *   # text                a remark
 *
 * In C, c: \r \n \0 \t \\ \xNN, and \{600:x} for 600 times x. Each transcript is played whole,
 * octet by octet and at random splits; wire and events must always be the written ones.
 */
#include "smtp_player.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"

enum { LINES_MAX = 600, RANDOM_RUNS = 20, VERDICTS_MAX = 64 };

struct verdict {
    struct str kind;
    bool is_challenge;
    struct str challenge;
    struct fault fault;
};

struct play {
    struct str name;
    struct str line[LINES_MAX];
    size_t line_count;
    struct smtp_server_options options;
    bool is_tls;
    struct verdict verdict[VERDICTS_MAX];
    size_t verdict_count;
    uint64_t random;
    bool is_early;
    size_t piece_max; /* 0: whole; 1: octets; else random up to this */
};

static uint64_t next_random(struct play *t)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random;
}

static void die(const struct play *t, const char *what, struct str detail)
{
    fprintf(stderr, "%.*s (pieces of %zu): %s: %.*s\n", (int)t->name.n, t->name.p, t->piece_max,
            what, (int)detail.n, detail.p ? detail.p : "");
    exit(1);
}

static void set_number(const struct play *t, struct str value, uint64_t *number)
{
    if (!num_parse(value, UINT64_MAX, number))
        die(t, "bad number", value);
}

static void set_option(struct play *t, struct str word)
{
    struct smtp_server_options *o = &t->options;
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"tls", &t->is_tls},
                 {"starttls", &o->has_starttls},
                 {"tls-required", &o->is_tls_required},
                 {"auth-required", &o->is_auth_required},
                 {"auth-in-clear", &o->is_auth_in_clear},
                 {"bad-rcpt", &o->is_bad_rcpt_error},
                 {"limits", &o->has_limits},
                 {"early", &o->may_talk_early},
                 {"asks-unknown", &o->is_asked_of_unknown}};
    const struct {
        const char *name;
        uint32_t *number;
    } numbers[] = {{"rcpt", &o->rcpt_limit},
                   {"mail", &o->mail_limit},
                   {"line", &o->line_limit},
                   {"errors", &o->error_limit},
                   {"auth-failures", &o->auth_failure_limit}};
    struct str name, value;
    uint64_t number;
    str_cut(word, '=', &name, &value);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (str_equal(word, str_from(flags[i].name))) {
            *flags[i].flag = true;
            return;
        }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (str_equal(name, str_from(numbers[i].name))) {
            set_number(t, value, &number);
            *numbers[i].number = (uint32_t)number;
            return;
        }
    if (str_equal(name, STR("size")))
        set_number(t, value, &o->size_limit);
    else if (str_equal(word, STR("lmtp")))
        o->kind = SMTP_LMTP;
    else if (str_equal(word, STR("submission")))
        o->kind = SMTP_SUBMISSION;
    else if (str_equal(word, STR("auth")))
        o->auth_mechanisms = STR("SCRAM-SHA-256 PLAIN LOGIN");
    else if (str_equal(word, STR("plain")))
        o->has_smtputf8 = o->has_chunking = o->has_dsn = false;
    else
        die(t, "unknown option", word);
}

static struct fault parse_fault(const struct play *t, struct str text)
{
    struct str code = str_word(&text), rest = STR_NONE;
    struct fault_status status = {0, 0, 0};
    uint64_t reply;
    text = str_trim(text);
    if (str_equal(code, STR("fine")))
        return FINE;
    if (str_equal(code, STR("later")))
        return (struct fault){.kind = FAULT_LATER};
    if (str_equal(code, STR("never")))
        return (struct fault){.kind = FAULT_NEVER};
    if (!num_parse(code, 599, &reply))
        die(t, "bad verdict", code);
    if (fault_status_parse(text, &status, &rest))
        text = rest;
    return fault_make((unsigned)reply, status, STR_FMT, STR_ARG(text));
}

static void add_verdict(struct play *t, struct str text)
{
    if (t->verdict_count == VERDICTS_MAX)
        die(t, "too many verdicts", text);
    struct verdict *v = &t->verdict[t->verdict_count++];
    *v = (struct verdict){.kind = str_word(&text)};
    text = str_trim(text);
    v->is_challenge = str_starts(text, STR("challenge"));
    if (v->is_challenge)
        v->challenge = str_skip(text, 10);
    else
        v->fault = parse_fault(t, text);
}

static const char *const kind_names[] = {"NONE", "HELLO",      "MAIL",     "RCPT",
                                         "DATA", "CONTENT",    "MESSAGE",  "AUTH",
                                         "AUTH", "AUTH_ABORT", "STARTTLS", "UNKNOWN"};

/* Uses up the first queued verdict for this kind of question. */
static void decide(struct player *p, enum smtp_event_kind kind)
{
    struct play *t = p->arg;
    for (size_t i = 0; i < t->verdict_count; i++) {
        struct verdict v = t->verdict[i];
        if (!str_equal(v.kind, str_from(kind_names[kind])))
            continue;
        t->verdict[i].kind = STR_NONE;
        if (v.is_challenge)
            smtp_server_challenge(&p->server, v.challenge);
        else
            smtp_server_answer(&p->server, &v.fault);
        return;
    }
    smtp_server_answer(&p->server, &FINE);
}

static unsigned hex(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* Appends the client's text with its escapes resolved. */
static void unescape(const struct play *t, struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\\' && i + 1 < s.n) {
            c = s.p[++i];
            if (c == 'x' && i + 2 < s.n) {
                c = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
                i += 2;
            } else if (c == '{') {
                size_t close = i + str_index(str_skip(s, i), '}');
                struct str count, text;
                uint64_t times;
                str_cut(str_make(s.p + i + 1, close - i - 1), ':', &count, &text);
                set_number(t, count, &times);
                for (; times > 0; times--)
                    buf_append(out, text);
                i = close;
                continue;
            } else {
                c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' : c == '0' ? '\0' : c;
            }
        }
        buf_append_byte(out, c);
    }
}

static void feed_packet(struct play *t, struct player *p, struct str packet)
{
    while (packet.n > 0) {
        size_t n = t->piece_max == 0   ? packet.n
                   : t->piece_max == 1 ? 1
                                       : 1 + (size_t)(next_random(t) % t->piece_max);
        /* A copy of its own: the sanitizer sees whoever keeps a slice too long. */
        struct buf copy = buf_make(packet.n + 1);
        buf_append(&copy, str_head(packet, n));
        player_feed(p, buf_str(&copy));
        buf_free(&copy);
        packet = str_skip(packet, n);
    }
}

static void act(struct play *t, struct player *p, struct str text)
{
    struct str word = str_word(&text);
    if (str_equal(word, STR("tls"))) {
        smtp_server_tls_started(&p->server);
    } else if (str_equal(word, STR("close"))) {
        struct fault f = parse_fault(t, str_trim(text));
        smtp_server_close(&p->server, &f);
    } else {
        die(t, "unknown action", word);
    }
}

static void must_append(struct buf *out, struct str text, struct str end)
{
    if (!buf_append(out, text) || !buf_append(out, end))
        abort();
}

static void check_wire(struct play *t, struct player *p, const struct buf *expected)
{
    player_flush(p, t->piece_max == 0 ? SIZE_MAX : t->piece_max);
    if (str_equal(buf_str(&p->wire), buf_str(expected)))
        return;
    fprintf(stderr, "--- expected\n%.*s--- got\n%.*s", (int)expected->used, expected->data,
            (int)p->wire.used, p->wire.data);
    die(t, "the wire differs", STR(""));
}

static void introduce(struct play *t, struct player *p, struct str how)
{
    player_flush(p, SIZE_MAX);
    feed_packet(t, p,
                t->options.kind == SMTP_LMTP ? STR("LHLO c.test\r\n") : STR("EHLO c.test\r\n"));
    player_flush(p, SIZE_MAX);
    if (str_equal(how, STR("mail")))
        feed_packet(t, p, STR("MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n"));
    player_flush(p, SIZE_MAX);
    p->wire.used = p->events.used = 0;
}

static void start_packet(struct play *t, struct player *p, const struct buf *wire)
{
    if (!t->is_early)
        check_wire(t, p, wire);
    t->is_early = false;
}

/* One line that is not the client's. */
static void play_line(struct play *t, struct player *p, char kind, struct str text,
                      struct buf *wire, struct buf *events)
{
    if (kind == 'S')
        must_append(wire, text, STR("\r\n"));
    else if (kind == 'E')
        must_append(events, text, STR("\n"));
    else if (kind == 'A')
        add_verdict(t, text);
    else if (kind == 'I')
        introduce(t, p, text);
    else if (str_equal(text, STR("early")))
        t->is_early = true;
    else {
        check_wire(t, p, wire);
        act(t, p, text);
    }
}

static void run(struct play *t, size_t piece_max)
{
    struct player p;
    struct buf packet = buf_make(1 << 24), wire = buf_make(1 << 24), events = buf_make(1 << 24);
    t->piece_max = piece_max;
    t->verdict_count = 0;
    t->is_early = false;
    player_start(&p, &t->options, t->is_tls, decide, t);
    for (size_t i = 0; i < t->line_count; i++) {
        char kind = t->line[i].p[0];
        struct str text = str_skip(t->line[i], t->line[i].n > 2 ? 3 : 2);
        bool is_client = kind == 'C' || kind == 'c';
        if (!is_client && packet.used > 0) {
            feed_packet(t, &p, buf_str(&packet));
            packet.used = 0;
        }
        if (is_client) {
            if (packet.used == 0)
                start_packet(t, &p, &wire);
            unescape(t, &packet, text);
            buf_append(&packet, kind == 'C' ? STR("\r\n") : STR(""));
        } else {
            play_line(t, &p, kind, text, &wire, &events);
        }
    }
    feed_packet(t, &p, buf_str(&packet));
    check_wire(t, &p, &wire);
    if (events.used > 0 && !str_equal(buf_str(&events), buf_str(&p.events))) {
        fprintf(stderr, "--- expected\n%.*s--- got\n%.*s", (int)events.used, events.data,
                (int)p.events.used, p.events.data ? p.events.data : "");
        die(t, "the events differ", STR(""));
    }
    buf_free(&packet);
    buf_free(&wire);
    buf_free(&events);
    player_stop(&p);
}

static void start_transcript(struct play *t, struct str name)
{
    t->name = name;
    t->line_count = 0;
    t->is_tls = false;
    t->random = 88172645463325252U;
    t->options = (struct smtp_server_options){.hostname = STR("mx.test"),
                                              .size_limit = 1000,
                                              .rcpt_limit = 100,
                                              .line_limit = 1000,
                                              .has_smtputf8 = true,
                                              .has_chunking = true,
                                              .has_dsn = true};
}

static size_t play_file(struct play *t, struct str file)
{
    size_t count = 0;
    bool has_more = true;
    t->name = STR_NONE;
    while (has_more) {
        struct str line;
        has_more = str_cut(file, '\n', &line, &file);
        if (!has_more || str_starts(line, STR("==="))) {
            if (t->name.n > 0) {
                count++;
                run(t, 0);
                run(t, 1);
                for (size_t i = 0; i < RANDOM_RUNS; i++)
                    run(t, 2 + i * 3);
            }
            start_transcript(t, str_trim(str_skip(line, 3)));
        } else if (str_starts(line, STR("O:"))) {
            struct str rest = str_skip(line, 2);
            for (struct str word = str_word(&rest); word.n > 0; word = str_word(&rest))
                set_option(t, word);
        } else if (line.n > 1 && line.p[1] == ':' && strchr("CcSEATI", line.p[0])) {
            if (t->line_count == LINES_MAX)
                die(t, "too many lines", line);
            t->line[t->line_count++] = line;
        } else if (line.n > 0 && line.p[0] != '#') {
            die(t, "unknown line", line);
        }
    }
    return count;
}

int main(int argc, char **argv)
{
    static struct play play;
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        struct buf text = buf_make(1 << 24);
        FILE *file = fopen(argv[i], "rb");
        if (!file || !buf_reserve(&text, 1 << 20)) {
            perror(argv[i]);
            return 1;
        }
        text.used = fread(text.data, 1, 1 << 20, file);
        fclose(file);
        count += play_file(&play, buf_str(&text));
        buf_free(&text);
    }
    printf("%zu transcripts\n", count);
    return count > 0 ? 0 : 1;
}
