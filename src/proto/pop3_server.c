/* SPDX-License-Identifier: ISC */
/*
 * pop3_server.c - the server's side of POP3, without I/O
 *
 * One line is taken at a time and answered by the row of the command table that has its name. The
 * answers that may be long (LIST, UIDL) are written in pieces by go_on_listing, so that the output
 * stays bounded however large the maildrop is.
 */
#include "proto/pop3_server.h"

#include <assert.h>

#include "base/encode.h"
#include "base/num.h"

enum { LIST_STOP = 16 * 1024 };

static void say(struct pop3_server *s, const char *text)
{
    bool is_said = buf_append(&s->out, str_from(text)) && buf_append(&s->out, STR("\r\n"));
    assert(is_said);
}

/* A refused command; too many of them end the connection. */
static void say_error(struct pop3_server *s, const char *text)
{
    bool is_said = buf_append(&s->out, STR("-ERR "));
    assert(is_said);
    if (++s->errors < s->options->error_max) {
        say(s, text);
        return;
    }
    say(s, "too many errors, closing");
    s->state = POP3_CLOSING;
}

void pop3_server_init(struct pop3_server *s, const struct pop3_server_options *options,
                      bool is_secure)
{
    *s = (struct pop3_server){.options = options, .is_secure = is_secure};
    s->line = buf_make(POP3_AUTH_LINE_MAX);
    s->user = buf_make(POP3_COMMAND_MAX);
    s->decoded = buf_make(POP3_AUTH_LINE_MAX);
    s->out = buf_make(POP3_OUTPUT_MAX);
    say(s, "+OK POP3 server ready");
}

/* Passwords do not stay in memory longer than they are needed. */
static void forget(struct buf *b)
{
    if (b->size > 0)
        explicit_bzero(b->data, b->size);
    b->used = 0;
}

void pop3_server_free(struct pop3_server *s)
{
    forget(&s->line);
    forget(&s->decoded);
    buf_free(&s->line);
    buf_free(&s->user);
    buf_free(&s->decoded);
    buf_free(&s->out);
}

struct str pop3_server_output(const struct pop3_server *s)
{
    return buf_str(&s->out);
}

void pop3_server_sent(struct pop3_server *s, size_t n)
{
    buf_consume(&s->out, n);
}

static void ask(struct pop3_server *s, enum pop3_event_kind kind)
{
    s->question = kind;
    s->event->kind = kind;
}

static bool may_authenticate(const struct pop3_server *s)
{
    return s->is_secure || s->options->may_clear_auth;
}

static void do_capa(struct pop3_server *s, struct str args)
{
    (void)args;
    bool has_stls = s->options->has_stls && !s->is_secure && s->state == POP3_AUTHORIZATION;
    say(s, "+OK capabilities follow\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
           "PIPELINING\r\nEXPIRE NEVER");
    if (has_stls)
        say(s, "STLS");
    if (may_authenticate(s)) {
        say(s, "USER");
        if (s->options->mechanisms.n > 0) {
            bool is_said = buf_append(&s->out, STR("SASL ")) &&
                           buf_append(&s->out, s->options->mechanisms) &&
                           buf_append(&s->out, STR("\r\n"));
            assert(is_said);
        }
    }
    say(s, ".");
}

static void do_user(struct pop3_server *s, struct str args)
{
    if (!may_authenticate(s)) {
        say_error(s, "passwords need TLS here, say STLS first");
        return;
    }
    s->user.used = 0;
    bool is_kept = buf_append(&s->user, args);
    assert(is_kept);
    say(s, "+OK now the password");
}

static void do_pass(struct pop3_server *s, struct str args)
{
    if (s->user.used == 0) {
        say_error(s, may_authenticate(s) ? "say USER first"
                                         : "passwords need TLS here, say STLS first");
        return;
    }
    s->event->user = buf_str(&s->user);
    s->event->password = args;
    ask(s, POP3_LOGIN);
}

static bool has_mechanism(const struct pop3_server *s, struct str name)
{
    struct str rest = s->options->mechanisms, word;
    while ((word = str_word(&rest)).n > 0)
        if (str_equal_nocase(word, name))
            return true;
    return false;
}

static void do_auth(struct pop3_server *s, struct str args)
{
    struct str name = str_word(&args), initial = str_word(&args);
    if (!may_authenticate(s)) {
        say_error(s, "passwords need TLS here, say STLS first");
        return;
    }
    if (!has_mechanism(s, name)) {
        say_error(s, "this mechanism is not offered, see CAPA");
        return;
    }
    s->event->has_data = initial.n > 0;
    s->decoded.used = 0;
    if (s->event->has_data && !str_equal(initial, STR("=")) &&
        !decode_base64(&s->decoded, initial)) {
        say_error(s, "the initial response is not base64");
        return;
    }
    s->event->mechanism = name;
    s->event->data = buf_str(&s->decoded);
    ask(s, POP3_AUTH);
}

static void do_stls(struct pop3_server *s, struct str args)
{
    (void)args;
    if (s->is_secure) {
        say_error(s, "TLS is on already");
    } else if (!s->options->has_stls) {
        say_error(s, "TLS is not available");
    } else {
        say(s, "+OK begin TLS");
        ask(s, POP3_STLS);
    }
}

static void do_quit(struct pop3_server *s, struct str args)
{
    (void)args;
    if (s->state == POP3_TRANSACTION) {
        ask(s, POP3_UPDATE);
        return;
    }
    say(s, "+OK goodbye");
    s->state = POP3_CLOSING;
}

static void do_stat(struct pop3_server *s, struct str args)
{
    (void)args;
    int64_t count = 0, size_bytes = 0;
    for (size_t i = 0; i < s->message_count; i++) {
        if (!s->message[i].is_deleted) {
            count++;
            size_bytes += s->message[i].size_bytes;
        }
    }
    bool is_said =
        buf_printf(&s->out, "+OK %lld %lld\r\n", (long long)count, (long long)size_bytes);
    assert(is_said);
}

/* The message with that number, or false after saying that there is none. */
static bool find_message(struct pop3_server *s, struct str number, size_t *index)
{
    uint64_t value;
    if (!num_parse(number, s->message_count, &value) || value == 0 ||
        s->message[value - 1].is_deleted) {
        say_error(s, "no such message");
        return false;
    }
    *index = (size_t)value - 1;
    return true;
}

static void put_list_line(struct pop3_server *s, size_t i, bool is_uid_list, const char *head)
{
    const struct pop3_message *m = &s->message[i];
    bool is_said =
        is_uid_list ? buf_printf(&s->out, "%s%zu %u.%u\r\n", head, i + 1, s->uid_validity, m->uid)
                    : buf_printf(&s->out, "%s%zu %lld\r\n", head, i + 1, (long long)m->size_bytes);
    assert(is_said);
}

static void go_on_listing(struct pop3_server *s)
{
    while (s->list_next < s->message_count && s->out.used < LIST_STOP) {
        if (!s->message[s->list_next].is_deleted)
            put_list_line(s, s->list_next, s->is_uid_list, "");
        s->list_next++;
        if (s->list_next == s->message_count)
            say(s, ".");
    }
}

static void list(struct pop3_server *s, struct str args, bool is_uid_list)
{
    size_t index;
    if (args.n > 0) {
        if (find_message(s, args, &index))
            put_list_line(s, index, is_uid_list, "+OK ");
        return;
    }
    say(s, "+OK the list follows");
    s->is_uid_list = is_uid_list;
    s->list_next = 0;
    if (s->message_count == 0)
        say(s, ".");
    go_on_listing(s);
}

static void do_list(struct pop3_server *s, struct str args)
{
    list(s, args, false);
}

static void do_uidl(struct pop3_server *s, struct str args)
{
    list(s, args, true);
}

static void ask_content(struct pop3_server *s, size_t index, int64_t lines)
{
    s->content_index = index;
    s->content_lines = lines;
    s->is_in_body = false;
    s->content_last[0] = '\r';
    s->content_last[1] = '\n';
    s->event->index = index;
    ask(s, POP3_CONTENT);
}

static void do_retr(struct pop3_server *s, struct str args)
{
    size_t index;
    if (find_message(s, args, &index))
        ask_content(s, index, -1);
}

static void do_top(struct pop3_server *s, struct str args)
{
    size_t index;
    uint64_t lines;
    struct str number = str_word(&args), count = str_word(&args);
    if (!num_parse(count, INT64_MAX, &lines))
        say_error(s, "TOP wants a message and a number of lines");
    else if (find_message(s, number, &index))
        ask_content(s, index, (int64_t)lines);
}

static void do_dele(struct pop3_server *s, struct str args)
{
    size_t index;
    if (!find_message(s, args, &index))
        return;
    s->message[index].is_deleted = true;
    say(s, "+OK marked");
}

static void do_noop(struct pop3_server *s, struct str args)
{
    (void)args;
    say(s, "+OK");
}

static void do_rset(struct pop3_server *s, struct str args)
{
    (void)args;
    for (size_t i = 0; i < s->message_count; i++)
        s->message[i].is_deleted = false;
    say(s, "+OK nothing is marked");
}

enum { IN_AUTHORIZATION = 1, IN_TRANSACTION = 2, MANY = 255 };

/* clang-format off */
static const struct command {
    const char *name;
    unsigned states;
    size_t least_args, most_args; /* words behind the name; MANY: the rest of the line as it is */
    void (*run)(struct pop3_server *s, struct str args);
} commands[] = {
    {"CAPA", IN_AUTHORIZATION | IN_TRANSACTION, 0, 0,    do_capa},
    {"USER", IN_AUTHORIZATION,                  1, 1,    do_user},
    {"PASS", IN_AUTHORIZATION,                  1, MANY, do_pass},
    {"AUTH", IN_AUTHORIZATION,                  1, 2,    do_auth},
    {"STLS", IN_AUTHORIZATION,                  0, 0,    do_stls},
    {"QUIT", IN_AUTHORIZATION | IN_TRANSACTION, 0, 0,    do_quit},
    {"STAT", IN_TRANSACTION,                    0, 0,    do_stat},
    {"LIST", IN_TRANSACTION,                    0, 1,    do_list},
    {"UIDL", IN_TRANSACTION,                    0, 1,    do_uidl},
    {"RETR", IN_TRANSACTION,                    1, 1,    do_retr},
    {"TOP",  IN_TRANSACTION,                    2, 2,    do_top},
    {"DELE", IN_TRANSACTION,                    1, 1,    do_dele},
    {"NOOP", IN_TRANSACTION,                    0, 0,    do_noop},
    {"RSET", IN_TRANSACTION,                    0, 0,    do_rset},
};
/* clang-format on */

static const struct command *find_command(struct str name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (str_equal_nocase(name, str_from(commands[i].name)))
            return &commands[i];
    return NULL;
}

static size_t count_words(struct str s)
{
    size_t count = 0;
    while (str_word(&s).n > 0)
        count++;
    return count;
}

static bool has_control(struct str line)
{
    for (size_t i = 0; i < line.n; i++)
        if ((unsigned char)line.p[i] < 0x20 || line.p[i] == 0x7F)
            return true;
    return false;
}

static void take_command(struct pop3_server *s, struct str line)
{
    struct str name, args;
    str_cut(line, ' ', &name, &args);
    const struct command *c = find_command(name);
    if (!c || c->run != do_pass) {
        s->user.used = 0;
        args = str_trim(args);
    }
    if (has_control(line)) {
        say_error(s, "control characters in the line");
        return;
    }
    if (!c) {
        say_error(s, "unknown command");
        return;
    }
    unsigned here = s->state == POP3_AUTHORIZATION ? IN_AUTHORIZATION : IN_TRANSACTION;
    if (!(c->states & here)) {
        say_error(s, s->state == POP3_AUTHORIZATION ? "log in first" : "you are logged in");
        return;
    }
    size_t count = c->most_args == MANY ? (size_t)(args.n > 0) : count_words(args);
    if (count < c->least_args || count > c->most_args)
        say_error(s, "wrong number of arguments");
    else
        c->run(s, args);
}

static void take_response(struct pop3_server *s, struct str line)
{
    s->is_in_auth = false;
    s->decoded.used = 0;
    if (str_equal(line, STR("*"))) {
        say_error(s, "authentication cancelled");
    } else if (!decode_base64(&s->decoded, line)) {
        say_error(s, "the response is not base64");
    } else {
        s->event->data = buf_str(&s->decoded);
        s->event->has_data = true;
        ask(s, POP3_AUTH_RESPONSE);
    }
}

/* A line up to its LF, which is in s->line but for the part that was too long. */
static void take_line(struct pop3_server *s)
{
    struct str line = buf_str(&s->line);
    bool is_short = !s->is_discarding;
    bool has_crlf = line.n >= 2 && line.p[line.n - 2] == '\r';
    s->is_discarding = false;
    s->line_count++;
    line.n -= has_crlf ? 2 : 0;
    if (!is_short || !has_crlf) {
        s->is_in_auth = false;
        s->user.used = 0;
        say_error(s, is_short ? "lines end with CR LF" : "line too long");
    } else if (s->is_in_auth) {
        take_response(s, line);
    } else {
        take_command(s, line);
    }
}

/* Moves bytes up to an LF into the line; returns how many, *is_whole tells whether it was there. */
static size_t gather(struct pop3_server *s, struct str in, bool *is_whole)
{
    size_t n = str_index(in, '\n');
    *is_whole = n < in.n;
    n += *is_whole;
    size_t limit = s->is_in_auth ? POP3_AUTH_LINE_MAX : POP3_COMMAND_MAX;
    if (s->is_discarding || s->line.used + n > limit || !buf_append(&s->line, str_head(in, n)))
        s->is_discarding = true;
    return n;
}

size_t pop3_server_feed(struct pop3_server *s, struct str in, struct pop3_event *out)
{
    size_t taken = 0;
    *out = (struct pop3_event){.kind = POP3_MORE};
    assert(s->question == POP3_MORE);
    s->event = out;
    go_on_listing(s);
    while (s->list_next == s->message_count && s->out.used < LIST_STOP &&
           s->state != POP3_CLOSING && taken < in.n) {
        bool is_whole;
        taken += gather(s, str_skip(in, taken), &is_whole);
        if (!is_whole)
            break;
        size_t reply_start = s->out.used;
        take_line(s);
        if (s->question == POP3_MORE) {
            forget(&s->line);
            continue;
        }
        if (s->question == POP3_STLS && taken < in.n) {
            /* Whoever put plain bytes behind STLS wants them taken for protected ones. Only the
             * reply to it is taken back: those before are owed (RFC 2449 section 6.6). */
            s->out.used = reply_start;
            s->question = POP3_MORE;
            *out = (struct pop3_event){.kind = POP3_MORE};
            say(s, "-ERR bytes behind STLS, closing");
            s->state = POP3_CLOSING;
        }
        break;
    }
    if (s->state == POP3_CLOSING)
        out->kind = POP3_CLOSE;
    return taken;
}

/* The answer to the open question is given: its line and data are done with. */
static void settle(struct pop3_server *s)
{
    s->question = POP3_MORE;
    forget(&s->line);
    forget(&s->decoded);
}

static bool is_login_question(const struct pop3_server *s)
{
    return s->question == POP3_LOGIN || s->question == POP3_AUTH ||
           s->question == POP3_AUTH_RESPONSE;
}

void pop3_server_open(struct pop3_server *s, struct pop3_message *message, size_t count,
                      uint32_t uid_validity)
{
    assert(is_login_question(s));
    settle(s);
    s->user.used = 0;
    s->message = message;
    s->message_count = s->list_next = count;
    s->uid_validity = uid_validity;
    s->state = POP3_TRANSACTION;
    bool is_said = buf_printf(&s->out, "+OK %zu messages\r\n", count);
    assert(is_said);
}

void pop3_server_challenge(struct pop3_server *s, struct str data)
{
    assert(s->question == POP3_AUTH || s->question == POP3_AUTH_RESPONSE);
    settle(s);
    s->is_in_auth = true;
    bool is_said = buf_append(&s->out, STR("+ ")) && encode_base64(&s->out, data) &&
                   buf_append(&s->out, STR("\r\n"));
    assert(is_said);
}

void pop3_server_refuse(struct pop3_server *s, enum pop3_refusal why)
{
    static const char *const login[] = {
        [POP3_REFUSE_AUTH] = "[AUTH] wrong user or password",
        [POP3_REFUSE_IN_USE] = "[IN-USE] the maildrop is open in another session",
        [POP3_REFUSE_TEMPORARY] = "[SYS/TEMP] try again later",
        [POP3_REFUSE_PERMANENT] = "[SYS/PERM] ask your postmaster",
    };
    assert(is_login_question(s) || (s->question == POP3_CONTENT && why >= POP3_REFUSE_TEMPORARY));
    settle(s);
    s->user.used = 0;
    say_error(s, login[why]);
}

void pop3_server_tls_started(struct pop3_server *s)
{
    assert(s->question == POP3_STLS && s->out.used == 0);
    settle(s);
    s->is_secure = true;
}

/* The piece up to where TOP has seen enough lines. */
static struct str cut_to_lines(struct pop3_server *s, struct str piece)
{
    char before = s->content_last[0], last = s->content_last[1];
    size_t n = 0;
    while (n < piece.n && !(s->is_in_body && s->content_lines == 0)) {
        char c = piece.p[n++];
        if (c == '\n' && s->is_in_body)
            s->content_lines--;
        else if (c == '\n' && before == '\n' && last == '\r')
            s->is_in_body = true; /* behind the empty line */
        before = last;
        last = c;
    }
    return str_head(piece, n);
}

static void begin_content(struct pop3_server *s)
{
    bool is_said = s->content_lines < 0
                       ? buf_printf(&s->out, "+OK %lld octets\r\n",
                                    (long long)s->message[s->content_index].size_bytes)
                       : buf_append(&s->out, STR("+OK the top follows\r\n"));
    assert(is_said);
    forget(&s->line);
}

bool pop3_server_content(struct pop3_server *s, struct str piece)
{
    assert(s->question == POP3_CONTENT && piece.n <= POP3_CONTENT_MAX);
    if (s->line.used > 0)
        begin_content(s);
    if (s->content_lines >= 0)
        piece = cut_to_lines(s, piece);
    for (struct str rest = piece; rest.n > 0;) {
        bool is_at_start = s->content_last[1] == '\n';
        size_t n = str_index(rest, '\n');
        n += n < rest.n;
        bool is_put = (!is_at_start || rest.p[0] != '.' || buf_append_byte(&s->out, '.')) &&
                      buf_append(&s->out, str_head(rest, n));
        assert(is_put);
        s->content_last[0] = n > 1 ? rest.p[n - 2] : s->content_last[1];
        s->content_last[1] = rest.p[n - 1];
        rest = str_skip(rest, n);
    }
    return !(s->content_lines == 0 && s->is_in_body);
}

void pop3_server_content_end(struct pop3_server *s)
{
    assert(s->question == POP3_CONTENT);
    if (s->line.used > 0)
        begin_content(s);
    if (s->content_last[1] != '\n')
        say(s, "");
    say(s, ".");
    settle(s);
}

void pop3_server_updated(struct pop3_server *s, bool is_done)
{
    assert(s->question == POP3_UPDATE);
    settle(s);
    say(s, is_done ? "+OK goodbye" : "-ERR [SYS/TEMP] some messages could not be removed");
    s->state = POP3_CLOSING;
}
