/* SPDX-License-Identifier: ISC */
/*
 * fuzz_pop3_model.c - the POP3 server's replies and events are those of a model of the protocol
 *
 * The input is a list of commands of two octets: which one, and what comes of it with a number. When
 * the first octet says so, commands come together in one piece up to one that waits. The model was written from RFC 1939, 2595 and 5034 and knows nothing of the engine; it foretells each
 * reply: whether it is good, how many lines follow, and for STAT, LIST and RETR what it says.
 */
#include "proto/pop3_server.h"

#include "fuzz.h"

enum { MESSAGES = 3, COMMANDS_MOST = 60, ERRORS_MOST = 8, SIZE = 12, UID_VALIDITY = 7 };

/* clang-format off */
enum command {
    CAPA, USER, PASS, AUTH, AUTH_BAD, RESPONSE, CANCEL, STLS, QUIT, STAT, LIST, LIST_ONE, UIDL,
    UIDL_ONE, RETR, TOP, DELE, NOOP, RSET, UNKNOWN, LONG_LINE, NUL_LINE, BARE_LF, COMMANDS
};

#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LINE(text) {text, sizeof text - 1}

static const struct str lines[COMMANDS] = {
    [CAPA] = LINE("CAPA"), [USER] = LINE("USER u"), [PASS] = LINE("pass p q"),
    [AUTH] = LINE("AUTH PLAIN AGEAYg=="), [AUTH_BAD] = LINE("AUTH GSSAPI"), [RESPONSE] = LINE("YQ=="),
    [CANCEL] = LINE("*"), [STLS] = LINE("STLS"), [QUIT] = LINE("QUIT"), [STAT] = LINE("STAT"),
    [LIST] = LINE("LIST"), [LIST_ONE] = LINE("LIST "), [UIDL] = LINE("UIDL"), [UIDL_ONE] = LINE("UIDL "),
    [RETR] = LINE("RETR "), [TOP] = LINE("TOP "), [DELE] = LINE("dele "), [NOOP] = LINE("NOOP"),
    [RSET] = LINE("RSET"), [UNKNOWN] = LINE("XYZZY"), [LONG_LINE] = LINE("NOOP " X50 X50 X50 X50 X50 X50),
    [NUL_LINE] = LINE("NOOP \0"), [BARE_LF] = LINE("NOOP"),
};
/* clang-format on */

struct model {
    struct buf wire; /* what is to be heard */
    bool is_secure, is_in, is_in_auth, has_user, is_over, is_deleted[MESSAGES];
    unsigned errors, number;
    bool is_good;  /* what comes of a question */
    bool has_more; /* another command is in the same piece */
};

/* A command of the input. */
struct step {
    enum command command;
    uint8_t number;
};
enum { STEP_IS_BAD = 128, STEP_WAITS = 64 };

/* The texts of errors are not foretold. */
static void say(struct model *m, const char *text)
{
    must(buf_append(&m->wire, str_from(text)) && buf_append(&m->wire, STR("\n")));
}

static void err(struct model *m)
{
    say(m, "-");
    m->is_over = ++m->errors >= ERRORS_MOST;
}

static bool has_argument(enum command c)
{
    return c == LIST_ONE || c == UIDL_ONE || c == RETR || c == TOP || c == DELE;
}

static void list_one(struct model *m, bool is_uid, unsigned i, const char *head)
{
    if (is_uid)
        must(buf_printf(&m->wire, "%s%u %u.%u\n", head, i + 1, UID_VALIDITY, i + 10));
    else
        must(buf_printf(&m->wire, "%s%u %u\n", head, i + 1, SIZE));
}

static void list(struct model *m, bool is_uid)
{
    say(m, "+");
    for (unsigned i = 0; i < MESSAGES; i++)
        if (!m->is_deleted[i])
            list_one(m, is_uid, i, "");
    say(m, ".");
}

/* A message is "A: b", an empty line, ".x" and its line end: RETR and TOP stuff the dot. */
static void give(struct model *m, enum command c, unsigned count)
{
    if (!m->is_good) {
        err(m);
        return;
    }
    say(m, "+");
    say(m, "A: b\n");
    if (c == RETR || count > 0)
        say(m, "..x");
    say(m, ".");
}

static void use_message(struct model *m, enum command c)
{
    unsigned i = m->number % 5; /* 0 and 4 are none */
    if (i == 0 || i > MESSAGES || m->is_deleted[i - 1]) {
        err(m);
        return;
    }
    if (c == LIST_ONE || c == UIDL_ONE)
        list_one(m, c == UIDL_ONE, i - 1, "+OK ");
    else if (c == RETR || c == TOP)
        give(m, c, m->number & 1);
    else
        say(m, "+");
    m->is_deleted[i - 1] = c == DELE;
}

static void settle_login(struct model *m, bool may_ask)
{
    m->is_in_auth = may_ask && (m->number & 1);
    m->has_user = false;
    m->is_in = !m->is_in_auth && m->is_good;
    if (m->is_in_auth || m->is_in)
        say(m, "+");
    else
        err(m);
}

static void say_capa(struct model *m)
{
    static const char *const always[] = {
        "+", "TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER"};
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        say(m, always[i]);
    if (!m->is_secure && !m->is_in)
        say(m, "STLS");
    if (m->is_secure)
        say(m, "USER\nSASL PLAIN");
    say(m, ".");
}

static void say_stat(struct model *m)
{
    unsigned count = 0;
    for (unsigned i = 0; i < MESSAGES; i++)
        count += !m->is_deleted[i];
    must(buf_printf(&m->wire, "+OK %u %u\n", count, count * SIZE));
}

static void before_login(struct model *m, enum command c)
{
    bool had_user = m->has_user;
    m->has_user = false;
    if (c == CAPA) {
        say_capa(m);
    } else if (c == QUIT) {
        say(m, "+");
        m->is_over = true;
    } else if (c == STLS && !m->is_secure) {
        say(m, m->has_more ? "-" : "+"); /* RFC 2595 section 4: nothing from before is kept */
        m->is_over = m->has_more;
        m->is_secure = true;
    } else if (c == USER && m->is_secure) {
        say(m, "+");
        m->has_user = true;
    } else if ((c == PASS && had_user) || (c == AUTH && m->is_secure)) {
        settle_login(m, c == AUTH);
    } else {
        err(m);
    }
}

static void logged_in(struct model *m, enum command c)
{
    if (c == CAPA)
        say_capa(m);
    else if (c == QUIT)
        say(m, m->is_good ? "+" : "-");
    else if (c == STAT)
        say_stat(m);
    else if (c == LIST || c == UIDL)
        list(m, c == UIDL);
    else if (has_argument(c))
        use_message(m, c);
    else if (c == NOOP || c == RSET)
        say(m, "+");
    else
        err(m);
    if (c == RSET)
        memset(m->is_deleted, 0, sizeof m->is_deleted);
    m->is_over = m->is_over || c == QUIT;
}

/* Four digits of base64 at a time, and no other line of the grammar is. */
static bool is_base64(enum command c)
{
    return c == RESPONSE || (lines[c].n == 4 && c != BARE_LF && !has_argument(c));
}

static void obey(struct model *m, enum command c)
{
    bool is_response = m->is_in_auth;
    m->is_in_auth = false;
    if (c == BARE_LF || (c == LONG_LINE && !is_response)) {
        m->has_user = false;
        err(m);
    } else if (is_response && is_base64(c))
        settle_login(m, true);
    else if (is_response)
        err(m);
    else if (m->is_in)
        logged_in(m, c);
    else
        before_login(m, c);
}

static void answer(struct pop3_server *s, struct pop3_message *messages, const struct model *m,
                   const struct step *steps, const struct pop3_event *e)
{
    if (e->kind == POP3_MORE || e->kind == POP3_CLOSE)
        return;
    const struct step *step = &steps[s->line_count - 1];
    bool is_good = !(step->number & STEP_IS_BAD);
    bool is_login = e->kind == POP3_LOGIN || e->kind == POP3_AUTH || e->kind == POP3_AUTH_RESPONSE;
    if (e->kind == POP3_UPDATE) {
        for (size_t i = 0; i < MESSAGES; i++)
            must(messages[i].is_deleted == m->is_deleted[i]);
        pop3_server_updated(s, is_good);
    } else if (e->kind == POP3_CONTENT && is_good) {
        if (pop3_server_content(s, STR("A: b\r\n\r\n")))
            pop3_server_content(s, STR(".x\r\n"));
        pop3_server_content_end(s);
    } else if (is_login && e->kind != POP3_LOGIN && (step->number & 1)) {
        pop3_server_challenge(s, STR("more"));
    } else if (is_login && is_good) {
        pop3_server_open(s, messages, MESSAGES, UID_VALIDITY);
    } else if (is_login || e->kind == POP3_CONTENT) {
        pop3_server_refuse(s, POP3_REFUSE_TEMPORARY);
    }
}

/* The output, without CR and without the texts that are not foretold. */
static void hear(struct pop3_server *s, struct buf *heard)
{
    struct str out = pop3_server_output(s);
    for (struct str rest = out; rest.n > 0;) {
        size_t n = str_find(rest, STR("\r\n"));
        must(n < rest.n);
        struct str line = str_head(rest, n);
        bool is_foretold = str_starts(line, STR("+OK ")) && line.n > 4 && line.p[4] >= '0' &&
                           line.p[4] <= '9' && str_find(line, STR("messages")) == line.n &&
                           str_find(line, STR("octets")) == line.n;
        bool is_reply = str_starts(line, STR("+")) || str_starts(line, STR("-"));
        must(buf_append(heard, is_reply && !is_foretold ? str_head(line, 1) : line));
        must(buf_append(heard, STR("\n")));
        rest = str_skip(rest, n + 2);
    }
    pop3_server_sent(s, out.n);
}

/* True when the session has ended. */
static bool feed(struct pop3_server *s, struct pop3_message *messages, const struct model *m,
                 const struct step *steps, struct str piece, struct buf *heard)
{
    struct pop3_event e;
    do {
        size_t n = pop3_server_feed(s, piece, &e);
        piece = str_skip(piece, n);
        answer(s, messages, m, steps, &e);
        hear(s, heard);
        if (e.kind == POP3_STLS)
            pop3_server_tls_started(s);
    } while (e.kind != POP3_CLOSE && (piece.n > 0 || e.kind != POP3_MORE));
    return e.kind == POP3_CLOSE;
}

static void put_line(struct buf *out, const struct step *step)
{
    enum command c = step->command;
    must(buf_append(out, lines[c]));
    if (c == TOP)
        must(buf_printf(out, "%u %u", step->number % 5U, step->number & 1U));
    else if (has_argument(c))
        must(buf_printf(out, "%u", step->number % 5U));
    must(buf_append(out, c == BARE_LF ? STR("\n") : STR("\r\n")));
}

/* Takes the commands of one piece from the input; how many. */
static size_t take_steps(struct str *in, struct step *steps, size_t room, bool is_pipelined)
{
    size_t count = 0;
    do {
        steps[count].command = (enum command)(take_octet(in) % COMMANDS);
        steps[count].number = take_octet(in);
    } while (!(steps[count++].number & STEP_WAITS) && is_pipelined && count < room && in->n > 0);
    return count;
}

static void obey_all(struct model *m, const struct step *steps, size_t count)
{
    for (size_t i = 0; i < count && !m->is_over; i++) {
        m->number = steps[i].number;
        m->is_good = !(m->number & STEP_IS_BAD);
        m->has_more = i + 1 < count;
        obey(m, steps[i].command);
    }
}

const struct fuzz_memory fuzz_memory = {.factor = 2048, .base = 1 << 16};

void fuzz_one(struct str in)
{
    static const struct pop3_server_options options = {
        .has_stls = true, .mechanisms = LINE("PLAIN"), .error_max = ERRORS_MOST};
    struct pop3_message messages[MESSAGES] = {
        {SIZE, 10, false}, {SIZE, 11, false}, {SIZE, 12, false}};
    struct pop3_server s;
    struct step steps[COMMANDS_MOST];
    uint8_t flags = take_octet(&in);
    uint32_t cut = flags >> 1;
    bool is_pipelined = cut == CUT_WHOLE;
    struct model m = {.wire = buf_make(1 << 16), .is_secure = flags & 1};
    struct buf heard = buf_make(1 << 16), line = buf_make(1 << 15);
    bool is_closed = false;
    pop3_server_init(&s, &options, m.is_secure);
    say(&m, "+");
    for (size_t i = 0, count; i < COMMANDS_MOST && in.n > 0 && !is_closed; i += count) {
        count = take_steps(&in, steps + i, COMMANDS_MOST - i, is_pipelined);
        line.used = 0;
        for (size_t k = 0; k < count; k++)
            put_line(&line, &steps[i + k]);
        obey_all(&m, steps + i, count);
        for (struct str rest = buf_str(&line); rest.n > 0;)
            is_closed = feed(&s, messages, &m, steps, take_cut(&rest, &cut), &heard) || is_closed;
        bool is_same = str_equal(buf_str(&m.wire), buf_str(&heard));
        if (!is_same)
            fprintf(stderr, "heard:\n" STR_FMT "by the model:\n" STR_FMT, STR_ARG(buf_str(&heard)),
                    STR_ARG(buf_str(&m.wire)));
        must(is_same);
        must(m.is_over == is_closed);
    }
    pop3_server_free(&s);
    buf_free(&m.wire);
    buf_free(&heard);
    buf_free(&line);
}
