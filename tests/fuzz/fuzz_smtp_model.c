/* SPDX-License-Identifier: ISC */
/*
 * fuzz_smtp_model.c - the SMTP server's replies and events are those of a model of the protocol
 *
 * The input is a list of commands of two octets: which one, and how: the verdict on what it asks,
 * whether its reply is read before the next one is said, and a number. So every order of commands
 * is reached, in pipelined groups and cut anywhere. The model is a few flags and was written from
 * the RFCs (5321, 2033, 2920, 3030, 3207, 4954) and smtp_server.h; it knows nothing of the engine.
 */
#include "proto/smtp_server.h"

#include "fuzz.h"

enum { SIZE_LIMIT = 40, RCPT_LIMIT = 3, MAIL_LIMIT = 4, ERROR_LIMIT = 9, AUTH_LIMIT = 2 };
enum { LINE_LIMIT = 30, COMMANDS_MOST = 60, REPLIES_MOST = 512 };

/* clang-format off */
enum command {
    EHLO, HELO, LHLO, MAIL, MAIL_SIZE, MAIL_LARGE, MAIL_BAD, RCPT, RCPT_NOTIFY, RCPT_BAD, DATA,
    BDAT, BDAT_LAST, BDAT_BAD, RSET, NOOP, VRFY, HELP, EXPN, STARTTLS, AUTH_PLAIN, AUTH_LOGIN,
    RESPONSE, CANCEL, QUIT, UNKNOWN, HTTP, LONG_LINE, NUL_LINE, BARE_LF, COMMANDS
};

#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X600 X50 X50 X50 X50 X50 X50 X50 X50 X50 X50 X50 X50
#define LINE(text)                                                                                 \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }

static const struct str lines[COMMANDS] = {
    [EHLO] = LINE("EHLO c.test"), [HELO] = LINE("HELO c.test"), [LHLO] = LINE("lhlo c.test"),
    [MAIL] = LINE("MAIL FROM:<a@b.test>"), [MAIL_SIZE] = LINE("mail FROM:<> SIZE=5"),
    [MAIL_LARGE] = LINE("MAIL FROM:<a@b.test> SIZE=41"), [MAIL_BAD] = LINE("MAIL FROM:a@b.test"),
    [RCPT] = LINE("RCPT TO:<c@d.test>"), [RCPT_NOTIFY] = LINE("RCPT TO:<c@d.test> NOTIFY=NEVER"),
    [RCPT_BAD] = LINE("RCPT TO:<c@d.test"), [DATA] = LINE("DATA"), [BDAT] = LINE("BDAT "),
    [BDAT_LAST] = LINE("BDAT "), [BDAT_BAD] = LINE("BDAT x"), [RSET] = LINE("RSET"),
    [NOOP] = LINE("NOOP"), [VRFY] = LINE("VRFY x"), [HELP] = LINE("HELP"), [EXPN] = LINE("EXPN x"),
    [STARTTLS] = LINE("STARTTLS"), [AUTH_PLAIN] = LINE("AUTH PLAIN AGEAYg=="),
    [AUTH_LOGIN] = LINE("AUTH LOGIN"), [RESPONSE] = LINE("YQ=="), [CANCEL] = LINE("*"),
    [QUIT] = LINE("QUIT"), [UNKNOWN] = LINE("XYZZY"), [HTTP] = LINE("GET / HTTP/1.1"),
    [LONG_LINE] = LINE("NOOP " X600), [NUL_LINE] = LINE("NOOP \0"),
    [BARE_LF] = LINE("NOOP"),
};
/* clang-format on */

enum verdict { YES, LATER, NEVER, LEAVE };

static const struct fault verdicts[] = {
    [YES] = {.kind = FAULT_FINE},
    [LATER] = {.kind = FAULT_LATER},
    [NEVER] = {.kind = FAULT_NEVER},
    [LEAVE] = {.kind = FAULT_LATER, .reply = 421, .status = {4, 3, 2}},
};

/* What has been said, or should have been: replies as codes, events as letters. */
struct record {
    unsigned code[REPLIES_MOST];
    size_t codes, read; /* read: those that have left */
    char event[REPLIES_MOST];
    size_t events;
};

static void note_code(struct record *r, unsigned code)
{
    must(r->codes < REPLIES_MOST);
    r->code[r->codes++] = code;
}

/* Content in several pieces is one event; how much of it came before it was dropped says nothing. */
static void note_event(struct record *r, char event)
{
    must(r->events + 1 < REPLIES_MOST);
    if (event == 'T' && r->events > 0 && r->event[r->events - 1] == 'C')
        r->events--;
    if (event != 'C' || r->events == 0 || r->event[r->events - 1] != 'C')
        r->event[r->events++] = event;
}

struct model {
    struct record said;
    bool is_lmtp, has_starttls, has_auth, needs_auth, needs_tls; /* options */
    bool is_tls, is_in, is_over;
    enum { NOBODY, PLAIN, EXTENDED } hello;
    bool is_open, has_chunks, is_in_auth, is_in_data, is_at_tls;
    unsigned rcpts, mails, errors, failures, size;
    unsigned refusal;    /* of the message whose chunks come, 0: none */
    bool is_waiting;     /* the client must read the reply */
    size_t group_end;    /* where in code that reply is */
    enum verdict answer; /* to what the command asks */
    unsigned number;
};

static void close_with(struct model *m, unsigned code)
{
    if (code)
        note_code(&m->said, code);
    note_event(&m->said, 'X');
    m->is_over = true;
}

static void err(struct model *m, unsigned code)
{
    if (++m->errors >= ERROR_LIMIT)
        close_with(m, 421);
    else
        note_code(&m->said, code);
}

static void end_transaction(struct model *m)
{
    m->is_open = m->has_chunks = m->is_in_data = false;
    m->rcpts = m->size = m->refusal = 0;
}

/* A question with its answer; true when that was yes. */
static bool ask(struct model *m, char event, unsigned yes, unsigned later, unsigned never)
{
    const unsigned codes[] = {yes, later, never, 421};
    note_event(&m->said, event);
    if (codes[m->answer])
        note_code(&m->said, codes[m->answer]);
    if (m->answer == LEAVE)
        close_with(m, 0);
    return m->answer == YES;
}

static void end_group(struct model *m)
{
    m->is_waiting = true;
    m->group_end = m->said.codes;
}

static void say_hello(struct model *m, enum command c)
{
    end_group(m);
    if ((c == LHLO) != m->is_lmtp) {
        err(m, 500);
    } else if (ask(m, 'H', 250, 451, 550)) {
        end_transaction(m);
        m->hello = c == HELO ? PLAIN : EXTENDED;
    }
}

static void say_mail(struct model *m, enum command c)
{
    if (m->hello == NOBODY || m->is_open || m->has_chunks)
        err(m, 503);
    else if (m->needs_auth && !m->is_in)
        err(m, 530);
    else if (m->mails >= MAIL_LIMIT)
        close_with(m, 421);
    else if (c == MAIL_BAD)
        err(m, 501);
    else if ((c == MAIL_SIZE || c == MAIL_LARGE) && m->hello == PLAIN)
        err(m, 555);
    else if (c == MAIL_LARGE)
        err(m, 552);
    else if (ask(m, 'M', 250, 451, 550)) {
        m->is_open = true;
        m->mails++;
    }
}

static void say_rcpt(struct model *m, enum command c)
{
    if (!m->is_open || m->has_chunks)
        err(m, 503);
    else if (c == RCPT_BAD)
        err(m, 501);
    else if (c == RCPT_NOTIFY && m->hello == PLAIN)
        err(m, 555);
    else if (m->rcpts >= RCPT_LIMIT)
        note_code(&m->said, 452);
    else if (ask(m, 'R', 250, 451, 550))
        m->rcpts++;
}

static void say_data(struct model *m)
{
    end_group(m);
    if (!m->is_open || m->rcpts == 0 || m->has_chunks)
        err(m, 503);
    else if (ask(m, 'D', 354, 451, 550))
        m->is_in_data = true;
}

static void reply_for_all(struct model *m, unsigned code)
{
    unsigned count = m->is_lmtp && m->rcpts > 0 ? m->rcpts : 1;
    while (count-- > 0)
        note_code(&m->said, code);
}

/* The message is there: one answer, in LMTP one for each recipient. */
static void take_message(struct model *m)
{
    static const unsigned codes[] = {250, 451, 550, 421};
    unsigned count = m->is_lmtp ? m->rcpts : 1;
    bool leaves = false;
    note_event(&m->said, 'G');
    for (unsigned i = 0; i < count; i++) {
        enum verdict v = (enum verdict)((m->answer + i) % 4);
        leaves = leaves || v == LEAVE;
        note_code(&m->said, codes[v]);
    }
    end_transaction(m);
    if (leaves)
        close_with(m, 0);
}

/* What stands between 354 and the dot; by the number it is good, too large, or broken. */
static struct str content_of(unsigned number)
{
    static const struct str contents[] = {LINE("a: b\r\n\r\n..x\r\n"),
                                          LINE(""),
                                          LINE("1234567890123456789\r\n1234567890123456789\r\n"),
                                          LINE("123456789012345678901234567890123456\r\n"),
                                          LINE("a\nb"),
                                          LINE("a\rb"),
                                          LINE("a\0b"),
                                          LINE("x\r\n.\nMAIL FROM:<evil@d.test>\r\n")};
    return contents[number % 8];
}

static void say_content(struct model *m)
{
    unsigned which = m->number % 8;
    if (which != 1)
        note_event(&m->said, 'C');
    if (which >= 4) {
        reply_for_all(m, 550);
        close_with(m, 0);
    } else if (which == 2 || which == 3) { /* 42 octets; a line of 38 where 30 may be */
        note_event(&m->said, 'T');
        reply_for_all(m, which == 2 ? 552 : 550);
        end_transaction(m);
    } else {
        take_message(m);
    }
}

/* A chunk of so many octets; the seventh kind has a bare LF in it, which only a message notices. */
static bool is_broken_chunk(unsigned number)
{
    return number % 8 == 7;
}

static unsigned chunk_size(unsigned number)
{
    return number % 8 == 6 ? SIZE_LIMIT + 1 : number % 8 * 4;
}

static void say_chunk(struct model *m, bool is_last)
{
    static const unsigned codes[] = {0, 451, 550, 421};
    unsigned size = chunk_size(m->number), code = m->refusal;
    bool is_first = !m->has_chunks;
    if (!code)
        code = !m->is_open || m->rcpts == 0 ? 503 : m->size + size > SIZE_LIMIT ? 552 : 0;
    m->has_chunks = true;
    if (code && !m->refusal) {
        m->errors++;
        if (m->is_open)
            note_event(&m->said, 'T');
    } else if (!code && is_first) {
        note_event(&m->said, 'D');
        code = codes[m->answer];
    }
    m->size += code ? 0 : size;
    if (!code && size > 0)
        note_event(&m->said, 'C');
    if (!code && m->size > LINE_LIMIT && !is_broken_chunk(m->number)) {
        note_event(&m->said, 'T');
        code = 550;
    }
    m->refusal = code;
    if (!code && is_broken_chunk(m->number)) {
        reply_for_all(m, 550);
        close_with(m, 0);
    } else if (code && is_last) {
        reply_for_all(m, code);
    } else if (is_last) {
        take_message(m);
    } else {
        note_code(&m->said, code ? code : 250);
    }
    if (code == 421 && !m->is_over)
        close_with(m, 0);
    if (is_last || !m->is_open)
        end_transaction(m);
    else if (code)
        m->refusal = 503;
}

static void say_starttls(struct model *m)
{
    end_group(m);
    if (m->is_tls)
        err(m, 503);
    else if (!m->has_starttls)
        err(m, 502);
    else if (m->hello != EXTENDED)
        err(m, 503);
    else
        m->is_at_tls = ask(m, 'S', 220, 454, 550);
}

/* The verdict on a login; the number may ask for one more response first. */
static void settle_login(struct model *m, char event)
{
    m->is_in_auth = m->number & 1;
    if (m->is_in_auth) {
        note_event(&m->said, event);
        note_code(&m->said, 334);
    } else if (m->answer == NEVER && ++m->failures >= AUTH_LIMIT) {
        note_event(&m->said, event);
        close_with(m, 421);
    } else {
        m->is_in = ask(m, event, 235, 454, 535);
    }
}

static void say_auth(struct model *m)
{
    end_group(m);
    if (!m->has_auth)
        err(m, 502);
    else if (m->hello != EXTENDED)
        err(m, 503);
    else if (!m->is_tls)
        err(m, 538);
    else if (m->is_in || m->is_open)
        err(m, 503);
    else
        settle_login(m, 'A');
}

/* Four digits of base64 at a time; what the grammar says has no other valid form. */
static bool is_base64(struct str s)
{
    if (str_equal(s, STR("YQ==")))
        return true;
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", s.p[i]))
            return false;
    return s.n % 4 == 0;
}

static void say_response(struct model *m, enum command c, struct str line)
{
    end_group(m);
    m->is_in_auth = false;
    if (c != NUL_LINE && is_base64(line)) {
        settle_login(m, 'P');
        return;
    }
    if (m->errors + 1 < ERROR_LIMIT)
        note_event(&m->said, 'B');
    err(m, c == NUL_LINE ? 500 : 501);
}

static bool is_for_clear(enum command c)
{
    return c <= LHLO || (c >= BDAT && c <= BDAT_BAD) || c == NOOP || c == HELP || c == STARTTLS ||
           c >= RESPONSE;
}

/* The group ends with these verbs, whatever comes of them. */
static bool ends_group(enum command c)
{
    return c <= LHLO || c == DATA || c == STARTTLS || c == AUTH_PLAIN || c == AUTH_LOGIN;
}

static void say_small(struct model *m, enum command c)
{
    if (c == RSET) {
        if (m->is_open)
            note_event(&m->said, 'T');
        end_transaction(m);
    }
    if (c == RSET || c == NOOP)
        note_code(&m->said, 250);
    else if (c == VRFY || c == HELP)
        note_code(&m->said, c == VRFY ? 252 : 214);
    else if (c == EXPN)
        err(m, 502);
    else if (c == QUIT)
        note_code(&m->said, 221);
    else if (c == HTTP || c == BDAT_BAD)
        close_with(m, c == HTTP ? 554 : 501);
    else
        err(m, 500);
    if (c == QUIT) {
        note_event(&m->said, 'Q');
        m->is_over = true;
    }
}

static void say(struct model *m, enum command c, struct str line)
{
    if (m->is_over)
        return;
    if (m->is_waiting) { /* RFC 2920: whoever does not wait is not heard any more */
        m->said.codes = m->group_end;
        close_with(m, 554);
    } else if (m->is_in_data)
        say_content(m);
    else if (c == BARE_LF)
        close_with(m, 500);
    else if (m->is_in_auth)
        say_response(m, c, line);
    else if (m->needs_tls && !m->is_tls && !is_for_clear(c)) {
        if (ends_group(c))
            end_group(m);
        err(m, 530);
    } else if (c <= LHLO)
        say_hello(m, c);
    else if (c <= MAIL_BAD)
        say_mail(m, c);
    else if (c <= RCPT_BAD)
        say_rcpt(m, c);
    else if (c == DATA)
        say_data(m);
    else if (c == BDAT || c == BDAT_LAST)
        say_chunk(m, c == BDAT_LAST);
    else if (c == STARTTLS)
        say_starttls(m);
    else if (c == AUTH_PLAIN || c == AUTH_LOGIN)
        say_auth(m);
    else
        say_small(m, c);
}

/* The reply has been read. */
static void hear(struct model *m)
{
    m->is_waiting = false;
    m->said.read = m->said.codes;
    if (!m->is_at_tls)
        return;
    end_transaction(m);
    m->is_at_tls = m->is_in = false;
    m->is_tls = true;
    m->hello = NOBODY;
}

struct session {
    struct smtp_server server;
    struct record said;
    struct buf wire;
    enum verdict answer;
    unsigned number;
};

static const char letters[] = {
    [SMTP_EVENT_HELLO] = 'H',    [SMTP_EVENT_MAIL] = 'M',          [SMTP_EVENT_RCPT] = 'R',
    [SMTP_EVENT_DATA] = 'D',     [SMTP_EVENT_CONTENT] = 'C',       [SMTP_EVENT_MESSAGE] = 'G',
    [SMTP_EVENT_AUTH] = 'A',     [SMTP_EVENT_AUTH_RESPONSE] = 'P', [SMTP_EVENT_AUTH_ABORT] = 'B',
    [SMTP_EVENT_STARTTLS] = 'S', [SMTP_EVENT_UNKNOWN] = 'U',       [SMTP_EVENT_RESET] = 'T',
    [SMTP_EVENT_QUIT] = 'Q',     [SMTP_EVENT_CLOSE] = 'X'};

static void decide(struct session *s, enum smtp_event_kind kind)
{
    bool is_auth = kind == SMTP_EVENT_AUTH || kind == SMTP_EVENT_AUTH_RESPONSE;
    if (is_auth && (s->number & 1)) {
        smtp_server_challenge(&s->server, STR("more"));
        return;
    }
    for (unsigned i = 0; smtp_server_answers_wanted(&s->server) > 0; i++)
        smtp_server_answer(&s->server, &verdicts[(s->answer + i) % 4]);
}

static void feed(struct session *s, struct str piece)
{
    struct smtp_event e;
    do {
        size_t n = smtp_server_feed(&s->server, piece, &e);
        must(n <= piece.n && (n > 0 || piece.n == 0 || e.kind != SMTP_EVENT_NONE));
        piece = str_skip(piece, n);
        if (e.kind != SMTP_EVENT_NONE)
            note_event(&s->said, letters[e.kind]);
        if (smtp_server_answers_wanted(&s->server) > 0)
            decide(s, e.kind);
    } while (piece.n > 0 || e.kind != SMTP_EVENT_NONE);
}

/* Sends the output and counts the replies in it. */
static void flush(struct session *s)
{
    struct str out = smtp_server_output(&s->server);
    for (struct str rest = out; rest.n > 0;) {
        size_t n = str_find(rest, STR("\r\n"));
        must(n < rest.n && n > 3 && (rest.p[3] == ' ' || rest.p[3] == '-'));
        if (rest.p[3] == ' ')
            note_code(&s->said,
                      (unsigned)(rest.p[0] * 100 + rest.p[1] * 10 + rest.p[2]) - '0' * 111);
        rest = str_skip(rest, n + 2);
    }
    smtp_server_sent(&s->server, out.n);
}

static void compare(const struct session *s, const struct model *m)
{
    bool is_same = s->said.codes == m->said.codes && s->said.events == m->said.events &&
                   memcmp(s->said.event, m->said.event, s->said.events) == 0 &&
                   memcmp(s->said.code, m->said.code, s->said.codes * sizeof s->said.code[0]) == 0;
    for (size_t i = 0; !is_same && (i < s->said.codes || i < m->said.codes); i++)
        fprintf(stderr, "reply %zu: %u, by the model %u\n", i,
                i < s->said.codes ? s->said.code[i] : 0, i < m->said.codes ? m->said.code[i] : 0);
    if (!is_same)
        fprintf(stderr, "events %.*s, by the model %.*s\n", (int)s->said.events, s->said.event,
                (int)m->said.events, m->said.event);
    must(is_same);
    must(m->is_over == smtp_server_is_ended(&s->server));
}

/* What goes over the wire for the command, as the model stands. */
static void write_command(struct buf *wire, const struct model *m, enum command c)
{
    if (m->is_in_data) {
        must(buf_append(wire, content_of(m->number)) && buf_append(wire, STR(".\r\n")));
        return;
    }
    must(buf_append(wire, lines[c]));
    bool is_chunk = c == BDAT || c == BDAT_LAST;
    if (is_chunk)
        must(buf_append_number(wire, chunk_size(m->number)) &&
             buf_append(wire, c == BDAT_LAST ? STR(" LAST") : STR("")));
    must(buf_append(wire, c == BARE_LF ? STR("\n") : STR("\r\n")));
    for (unsigned i = 0; is_chunk && !m->is_in_auth && i < chunk_size(m->number); i++)
        must(buf_append_byte(wire, i == 1 && is_broken_chunk(m->number) ? '\n' : 'c'));
}

const struct fuzz_memory fuzz_memory = {.factor = 2048, .base = 1 << 16};

static struct smtp_server_options choose(uint8_t flags, struct model *m)
{
    *m = (struct model){.is_lmtp = flags & 1, .has_starttls = flags & 2, .has_auth = flags & 4};
    m->needs_auth = m->has_auth && (flags & 8);
    m->needs_tls = m->has_starttls && (flags & 16);
    return (struct smtp_server_options){.kind = m->is_lmtp ? SMTP_LMTP : SMTP_MX,
                                        .hostname = STR("mx.test"),
                                        .size_limit = SIZE_LIMIT,
                                        .rcpt_limit = RCPT_LIMIT,
                                        .mail_limit = MAIL_LIMIT,
                                        .line_limit = LINE_LIMIT,
                                        .error_limit = ERROR_LIMIT,
                                        .auth_failure_limit = AUTH_LIMIT,
                                        .auth_mechanisms =
                                            m->has_auth ? STR("PLAIN LOGIN") : STR_NONE,
                                        .is_auth_required = m->needs_auth,
                                        .has_starttls = m->has_starttls,
                                        .is_tls_required = m->needs_tls,
                                        .has_chunking = true,
                                        .has_dsn = true};
}

static void read_replies(struct session *s, struct model *m)
{
    bool is_at_tls = m->is_at_tls && !m->is_over;
    flush(s);
    hear(m);
    if (is_at_tls)
        smtp_server_tls_started(&s->server);
    compare(s, m);
}

void fuzz_one(struct str in)
{
    static struct model m;
    static struct session s;
    struct smtp_server_options options = choose(take_octet(&in), &m);
    uint32_t cut = take_octet(&in);
    s = (struct session){.wire = buf_make(1 << 16)};
    smtp_server_init(&s.server, &options, false);
    smtp_server_greet(&s.server);
    note_code(&m.said, 220);
    read_replies(&s, &m);
    for (size_t i = 0; i < COMMANDS_MOST && in.n > 0 && !m.is_over; i++) {
        enum command c = (enum command)(take_octet(&in) % COMMANDS);
        uint8_t how = take_octet(&in);
        m.answer = s.answer = (how & 1) ? YES : (enum verdict)((how >> 1) % 4);
        m.number = s.number = how >> 4;
        s.wire.used = 0;
        write_command(&s.wire, &m, c);
        say(&m, c, lines[c]);
        for (struct str rest = buf_str(&s.wire); rest.n > 0;)
            feed(&s, take_cut(&rest, &cut));
        if ((how & 8) || m.is_over)
            read_replies(&s, &m);
    }
    smtp_server_free(&s.server);
    buf_free(&s.wire);
}
