/* SPDX-License-Identifier: ISC */
/*
 * smtp_verbs.c - the commands of SMTP and LMTP, one row per verb
 */
#include "mail/idna.h"
#include "proto/smtp_engine.h"
#include "proto/smtp_params.h"
#include "proto/smtp_reply.h"

enum {
    FOR_SMTP = 1,      /* known to SMTP and submission */
    FOR_LMTP = 2,      /* known to LMTP */
    ENDS_GROUP = 4,    /* the client must wait for the reply */
    IN_CLEAR = 8,      /* allowed before TLS where TLS is required */
    NO_ARGUMENTS = 16, /* 501 when something follows */
    BOTH = FOR_SMTP | FOR_LMTP,
};

struct verb {
    struct str name;
    unsigned flags;
    size_t line_extra; /* octets over 512 that extensions add to the line */
    void (*run)(struct smtp_server *s, struct str arguments, struct smtp_event *out);
};

static void fail(struct smtp_server *s, struct smtp_event *out, unsigned reply,
                 struct fault_status status, const char *text)
{
    struct fault f = fault_make(reply, status, "%s", text);
    smtp_engine_error(s, out, &f);
}

static void ask_hello(struct smtp_server *s, struct str name, bool is_extended,
                      struct smtp_event *out)
{
    name = str_trim(name);
    if (name.n == 0 || name.n > IDNA_DOMAIN_MAX || !str_is_printable(name) || str_has(name, ' ')) {
        fail(s, out, 501, FAULT_STATUS(5, 5, 4),
             "Say who you are: one host name or address literal");
        return;
    }
    struct idna_literal literal;
    s->asked_helo = arena_copy(&s->scratch, name);
    s->is_asked_extended = is_extended;
    smtp_engine_ask(s, out, SMTP_EVENT_HELLO);
    out->hello.name = s->asked_helo;
    out->hello.is_extended = is_extended;
    out->hello.is_valid = idna_domain_is_valid(name, false) || idna_literal_parse(name, &literal);
}

static void run_helo(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    ask_hello(s, arguments, false, out);
}

static void run_ehlo(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    ask_hello(s, arguments, true, out);
}

/* The lines behind the first one of the reply to EHLO. */
static bool list_extensions(const struct smtp_server *s, struct buf *text)
{
    const struct smtp_server_options *o = s->options;
    bool fits = buf_append(text, STR("\nPIPELINING\nENHANCEDSTATUSCODES\n8BITMIME\n"));
    fits = fits && buf_printf(text, "SIZE %llu\n", (unsigned long long)o->size_limit);
    if (o->has_smtputf8)
        fits = fits && buf_append(text, STR("SMTPUTF8\n"));
    if (o->has_chunking)
        fits = fits && buf_append(text, STR("CHUNKING\n"));
    if (o->has_dsn)
        fits = fits && buf_append(text, STR("DSN\n"));
    if (o->has_requiretls && s->is_tls)
        fits = fits && buf_append(text, STR("REQUIRETLS\n"));
    if (o->has_starttls && !s->is_tls)
        fits = fits && buf_append(text, STR("STARTTLS\n"));
    if (smtp_engine_offers_auth(s) && !(o->is_tls_required && !s->is_tls))
        fits = fits && buf_append(text, STR("AUTH ")) && buf_append(text, o->auth_mechanisms) &&
               buf_append_byte(text, '\n');
    if (o->has_limits && (o->rcpt_limit > 0 || o->mail_limit > 0)) {
        fits = fits && buf_append(text, STR("LIMITS"));
        if (o->rcpt_limit > 0 && o->rcpt_limit <= 999999)
            fits = fits && buf_printf(text, " RCPTMAX=%u", (unsigned)o->rcpt_limit);
        if (o->mail_limit > 0 && o->mail_limit <= 999999)
            fits = fits && buf_printf(text, " MAILMAX=%u", (unsigned)o->mail_limit);
        fits = fits && buf_append_byte(text, '\n');
    }
    return fits && buf_append(text, STR("HELP"));
}

void smtp_verbs_greeted(struct smtp_server *s)
{
    struct buf text = buf_make(4096);
    smtp_engine_reset(s);
    s->is_extended = s->is_asked_extended;
    s->helo.used = 0;
    bool fits = buf_append(&s->helo, s->asked_helo) && buf_append(&text, s->options->hostname) &&
                (!s->is_extended || list_extensions(s, &text)) &&
                smtp_reply_append(&s->output, 250, FAULT_STATUS(0, 0, 0), buf_str(&text), false);
    if (!fits) /* a host name or list of mechanisms beyond all measure */
        smtp_engine_say(s, 451, FAULT_STATUS(4, 3, 5), STR("Server is not configured properly"));
    buf_free(&text);
}

static void run_mail(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    const struct smtp_server_options *o = s->options;
    if (s->helo.used == 0) {
        fail(s, out, 503, FAULT_STATUS(5, 5, 1),
             o->kind == SMTP_LMTP ? "Say LHLO first" : "Say EHLO first");
        return;
    }
    if (s->transaction.is_open || s->transaction.has_bdat) {
        fail(s, out, 503, FAULT_STATUS(5, 5, 1), "A transaction is open already");
        return;
    }
    if (o->is_auth_required && !s->is_authenticated) {
        fail(s, out, 530, FAULT_STATUS(5, 7, 0), "Authentication required");
        return;
    }
    if (o->mail_limit > 0 && s->transaction_count >= o->mail_limit) {
        struct fault f = fault_make(421, FAULT_STATUS(4, 7, 0),
                                    "Enough messages for one session, please connect again");
        smtp_engine_close(s, out, &f);
        return;
    }
    struct smtp_mail mail;
    struct fault f = smtp_params_mail(o, s->is_extended, s->is_tls, smtp_engine_offers_auth(s),
                                      &s->scratch, arguments, &mail);
    if (f.kind) {
        smtp_engine_error(s, out, &f);
        return;
    }
    s->is_asked_utf8 = mail.is_utf8;
    smtp_engine_ask(s, out, SMTP_EVENT_MAIL);
    out->mail = mail;
}

static void run_rcpt(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    const struct smtp_server_options *o = s->options;
    struct smtp_transaction *t = &s->transaction;
    if (!t->is_open || t->has_bdat) {
        fail(s, out, 503, FAULT_STATUS(5, 5, 1),
             t->is_open ? "The content has begun already" : "Say MAIL first");
        return;
    }
    struct smtp_rcpt rcpt;
    struct fault f = smtp_params_rcpt(o, s->is_extended, t->is_utf8, &s->scratch, arguments, &rcpt);
    if (f.kind) {
        smtp_engine_error(s, out, &f);
        return;
    }
    if (o->rcpt_limit > 0 && t->rcpt_count >= o->rcpt_limit) {
        smtp_engine_say(s, 452, FAULT_STATUS(4, 5, 3),
                        STR("Too many recipients, send this message again for the rest"));
        return;
    }
    smtp_engine_ask(s, out, SMTP_EVENT_RCPT);
    out->rcpt = rcpt;
}

static void run_data(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    (void)arguments;
    smtp_content_data(s, out);
}

static void run_bdat(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    if (s->options->has_chunking) {
        smtp_content_bdat(s, arguments, out);
        return;
    }
    struct fault f = fault_make(502, FAULT_STATUS(5, 5, 1), "CHUNKING is not available here");
    smtp_engine_close(s, out, &f); /* what follows is content, not commands */
}

static void run_auth(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    smtp_auth_start(s, arguments, out);
}

static void run_starttls(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    (void)arguments;
    if (s->is_tls)
        fail(s, out, 503, FAULT_STATUS(5, 5, 1), "TLS is up already");
    else if (!s->options->has_starttls)
        fail(s, out, 502, FAULT_STATUS(5, 5, 1), "STARTTLS is not available here");
    else if (!s->is_extended)
        fail(s, out, 503, FAULT_STATUS(5, 5, 1), "Say EHLO first");
    else
        smtp_engine_ask(s, out, SMTP_EVENT_STARTTLS);
}

static void run_rset(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    (void)arguments;
    if (s->transaction.is_open)
        out->kind = SMTP_EVENT_RESET;
    smtp_engine_reset(s);
    smtp_engine_say(s, 250, FAULT_STATUS(2, 0, 0), STR("OK"));
}

static void run_noop(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    (void)arguments;
    (void)out;
    smtp_engine_say(s, 250, FAULT_STATUS(2, 0, 0), STR("OK"));
}

static void run_help(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    (void)arguments;
    (void)out;
    smtp_engine_say(s, 214, FAULT_STATUS(2, 0, 0),
                    STR("See RFC 5321; for people: write to postmaster"));
}

static void run_vrfy(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    if (arguments.n == 0)
        fail(s, out, 501, FAULT_STATUS(5, 5, 4), "Syntax: VRFY address");
    else
        smtp_engine_say(s, 252, FAULT_STATUS(2, 5, 0),
                        STR("Cannot tell, but will take mail for it and try"));
}

static void run_unavailable(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    (void)arguments;
    fail(s, out, 502, FAULT_STATUS(5, 5, 1), "Not available here");
}

static void run_quit(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    (void)arguments;
    smtp_engine_say(s, 221, FAULT_STATUS(2, 0, 0), STR("Goodbye"));
    smtp_engine_reset(s);
    s->phase = SMTP_PHASE_ENDED;
    out->kind = SMTP_EVENT_QUIT;
}

/* Another protocol: every further line would be a bad command too. */
static void run_http(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    (void)arguments;
    struct fault f = fault_make(554, FAULT_STATUS(5, 5, 0), "This is a mail server");
    smtp_engine_close(s, out, &f);
}

#define NAME(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/* clang-format off */
/* SIZE 26, BODY 14, SMTPUTF8 10, AUTH 500, RET 9, ENVID 108; NOTIFY 29, ORCPT 507. */
static const struct verb verbs[] = {
    {NAME("HELO"),     FOR_SMTP | ENDS_GROUP | IN_CLEAR,                      0, run_helo},
    {NAME("EHLO"),     FOR_SMTP | ENDS_GROUP | IN_CLEAR,                      0, run_ehlo},
    {NAME("LHLO"),     FOR_LMTP | ENDS_GROUP | IN_CLEAR,                      0, run_ehlo},
    {NAME("MAIL"),     BOTH,                                                667, run_mail},
    {NAME("RCPT"),     BOTH,                                                536, run_rcpt},
    {NAME("DATA"),     BOTH | ENDS_GROUP | NO_ARGUMENTS,                      0, run_data},
    {NAME("BDAT"),     BOTH | IN_CLEAR,                                       0, run_bdat},
    {NAME("RSET"),     BOTH | NO_ARGUMENTS,                                   0, run_rset},
    {NAME("NOOP"),     BOTH | IN_CLEAR,                                       0, run_noop},
    {NAME("QUIT"),     BOTH | IN_CLEAR | NO_ARGUMENTS,                        0, run_quit},
    {NAME("AUTH"),     BOTH | ENDS_GROUP,        SMTP_AUTH_LINE_MAX - SMTP_COMMAND_MAX, run_auth},
    {NAME("STARTTLS"), BOTH | ENDS_GROUP | IN_CLEAR | NO_ARGUMENTS,           0, run_starttls},
    {NAME("VRFY"),     BOTH,                                                  0, run_vrfy},
    {NAME("EXPN"),     BOTH,                                                  0, run_unavailable},
    {NAME("HELP"),     BOTH | IN_CLEAR,                                       0, run_help},
    {NAME("ETRN"),     BOTH,                                                  0, run_unavailable},
    {NAME("TURN"),     BOTH,                                                  0, run_unavailable},
    {NAME("SEND"),     BOTH,                                                  0, run_unavailable},
    {NAME("SOML"),     BOTH,                                                  0, run_unavailable},
    {NAME("SAML"),     BOTH,                                                  0, run_unavailable},
    {NAME("GET"),      BOTH | IN_CLEAR,                                       0, run_http},
    {NAME("POST"),     BOTH | IN_CLEAR,                                       0, run_http},
    {NAME("HEAD"),     BOTH | IN_CLEAR,                                       0, run_http},
    {NAME("PUT"),      BOTH | IN_CLEAR,                                       0, run_http},
    {NAME("DELETE"),   BOTH | IN_CLEAR,                                       0, run_http},
    {NAME("PATCH"),    BOTH | IN_CLEAR,                                       0, run_http},
    {NAME("OPTIONS"),  BOTH | IN_CLEAR,                                       0, run_http},
    {NAME("CONNECT"),  BOTH | IN_CLEAR,                                       0, run_http},
    {NAME("TRACE"),    BOTH | IN_CLEAR,                                       0, run_http},
    {NAME("PRI"),      BOTH | IN_CLEAR,                                       0, run_http},
};
/* clang-format on */

static const struct verb *find_verb(struct str name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (str_equal_nocase(name, verbs[i].name))
            return &verbs[i];
    return NULL;
}

static void run_unknown(struct smtp_server *s, struct str line, struct smtp_event *out)
{
    if (!s->options->is_asked_of_unknown) {
        fail(s, out, 500, FAULT_STATUS(5, 5, 1), "Unknown command");
        return;
    }
    smtp_engine_ask(s, out, SMTP_EVENT_UNKNOWN);
    out->command = arena_copy(&s->scratch, line);
}

size_t smtp_verbs_line_limit(const struct smtp_server *s, struct str line)
{
    size_t limit = s->options->command_limit;
    const struct verb *verb = find_verb(str_head(line, 4));
    if (limit < SMTP_COMMAND_MAX)
        limit = SMTP_COMMAND_MAX;
    limit += verb ? verb->line_extra : 0;
    return limit < SMTP_AUTH_LINE_MAX ? limit : SMTP_AUTH_LINE_MAX;
}

void smtp_verbs_run(struct smtp_server *s, struct str line, struct smtp_event *out)
{
    struct str arguments = line, name;
    bool has_space = str_cut(line, ' ', &name, &arguments);
    const struct verb *verb = find_verb(name);
    unsigned dialect = s->options->kind == SMTP_LMTP ? FOR_LMTP : FOR_SMTP;
    if (!has_space)
        arguments = STR("");
    arguments = str_trim(arguments);
    if (verb && (verb->flags & ENDS_GROUP))
        smtp_engine_end_group(s);
    if (!verb || !(verb->flags & dialect))
        run_unknown(s, line, out);
    else if (s->options->is_tls_required && !s->is_tls && !(verb->flags & IN_CLEAR))
        fail(s, out, 530, FAULT_STATUS(5, 7, 0), "Must issue STARTTLS first");
    else if ((verb->flags & NO_ARGUMENTS) && arguments.n > 0)
        fail(s, out, 501, FAULT_STATUS(5, 5, 4), "This command takes no arguments");
    else
        verb->run(s, arguments, out);
}
