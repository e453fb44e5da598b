/* SPDX-License-Identifier: ISC */
/*
 * smtp_content.c - DATA and BDAT: the octets of a message (RFC 5321 4.1.1.4, 3030, 2033 4.2-3)
 *
 * A message that is refused on the way (too large, lines too long) is read to its end and dropped,
 * so that the session stays in step. Broken line ends are not survived: what follows could be the
 * next message smuggled in, so it is never looked at.
 */
#include "proto/smtp_engine.h"

#include "base/num.h"

/* Refuses the message for good; the caller may forget it now. */
static void drop(struct smtp_server *s, struct smtp_event *out, const struct fault *f)
{
    smtp_engine_refuse(s, f);
    out->kind = SMTP_EVENT_RESET;
}

static struct fault too_large(const struct smtp_server *s)
{
    return fault_make(552, FAULT_STATUS(5, 3, 4), "Message too large, the limit is %llu octets",
                      (unsigned long long)s->options->size_limit);
}

static struct fault wrong_order(void)
{
    return fault_make(503, FAULT_STATUS(5, 5, 1), "Wrong order of commands");
}

/* One reply for SMTP, one for each recipient of LMTP's transaction; without any, one to the command. */
static void reply_for_all(struct smtp_server *s, const struct fault *f)
{
    const struct smtp_transaction *t = &s->transaction;
    bool is_each = s->options->kind == SMTP_LMTP && t->is_open && t->rcpt_count > 0;
    uint32_t count = is_each ? t->rcpt_count : 1;
    for (uint32_t i = 0; i < count; i++)
        smtp_engine_reply(s, f);
}

void smtp_content_data(struct smtp_server *s, struct smtp_event *out)
{
    if (!s->transaction.is_open || s->transaction.rcpt_count == 0 || s->transaction.has_bdat) {
        struct fault f = s->transaction.has_bdat ? wrong_order()
                         : s->transaction.is_open
                             ? fault_make(503, FAULT_STATUS(5, 5, 1), "No valid recipients")
                             : fault_make(503, FAULT_STATUS(5, 5, 1), "Say MAIL first");
        smtp_engine_error(s, out, &f);
        return;
    }
    smtp_engine_ask(s, out, SMTP_EVENT_DATA);
    out->data.is_bdat = false;
    out->data.chunk_size = 0;
}

void smtp_content_start(struct smtp_server *s)
{
    struct smtp_transaction *t = &s->transaction;
    t->scanner = dotline_scanner_make(!t->has_bdat, s->options->line_limit);
    s->phase = t->has_bdat ? SMTP_PHASE_BDAT : SMTP_PHASE_DATA;
    if (!t->has_bdat)
        smtp_engine_say(s, 354, FAULT_STATUS(0, 0, 0),
                        STR("Send the message, end with <CRLF>.<CRLF>"));
}

void smtp_content_done(struct smtp_server *s)
{
    s->message_count += s->transaction.has_success;
    s->phase = SMTP_PHASE_COMMAND;
    if (!s->is_close_due)
        smtp_engine_reset(s);
}

/* Ends the session: what follows broken line ends is never looked at. */
static void close_broken(struct smtp_server *s, struct smtp_event *out, enum dotline_found found)
{
    const char *what = found == DOTLINE_BARE_CR   ? "Bare CR"
                       : found == DOTLINE_BARE_LF ? "Bare LF"
                                                  : "NUL octet";
    struct fault f =
        fault_make(550, FAULT_STATUS(5, 5, 2), "%s in the message, lines must end with CRLF", what);
    reply_for_all(s, &f);
    smtp_engine_end(s, out, &f);
}

/* The refusal has been told; 421 and 521 were the last word. */
static bool ends_session(struct smtp_server *s, struct smtp_event *out)
{
    const struct fault *f = s->transaction.refusal;
    if (!f || (f->reply != 421 && f->reply != 521))
        return false;
    smtp_engine_end(s, out, f);
    return true;
}

/* The content is complete: tells the refusal, or asks. */
static void finish_message(struct smtp_server *s, struct smtp_event *out)
{
    s->phase = SMTP_PHASE_COMMAND;
    if (s->transaction.refusal) {
        reply_for_all(s, s->transaction.refusal);
        if (!ends_session(s, out))
            smtp_engine_reset(s);
        return;
    }
    smtp_engine_ask(s, out, SMTP_EVENT_MESSAGE);
    if (s->options->kind == SMTP_LMTP)
        s->answers_wanted = s->transaction.rcpt_count;
}

void smtp_content_finish_chunk(struct smtp_server *s, struct smtp_event *out)
{
    struct smtp_transaction *t = &s->transaction;
    if (t->is_chunk_last && !t->refusal && dotline_scanner_has_open_cr(&t->scanner)) {
        close_broken(s, out, DOTLINE_BARE_CR);
        return;
    }
    if (t->is_chunk_last) {
        finish_message(s, out);
        return;
    }
    s->phase = SMTP_PHASE_COMMAND;
    struct fault f = fault_make(250, FAULT_STATUS(2, 0, 0), "%llu octets received",
                                (unsigned long long)t->chunk_size);
    smtp_engine_reply(s, t->refusal ? t->refusal : &f);
    if (ends_session(s, out))
        return;
    if (!t->is_open) {
        smtp_engine_reset(s);
    } else if (t->refusal) {
        f = wrong_order();
        smtp_engine_refuse(s, &f);
    }
}

/* "<octets> [LAST]" */
static bool parse_bdat(struct str arguments, uint64_t *size, bool *is_last)
{
    struct str number = str_word(&arguments), last = str_word(&arguments);
    *is_last = str_equal_nocase(last, STR("LAST"));
    return num_parse(number, UINT64_MAX, size) && (*is_last || last.n == 0) &&
           str_trim(arguments).n == 0;
}

/* Why this chunk is dropped; fine when it is not. */
static struct fault check_chunk(const struct smtp_server *s, uint64_t size)
{
    const struct smtp_transaction *t = &s->transaction;
    uint64_t limit = s->options->size_limit;
    if (t->refusal)
        return *t->refusal;
    if (!t->is_open)
        return fault_make(503, FAULT_STATUS(5, 5, 1), "Say MAIL first");
    if (t->rcpt_count == 0)
        return fault_make(503, FAULT_STATUS(5, 5, 1), "No valid recipients");
    if (limit > 0 && (size > limit || t->content_size > limit - size))
        return too_large(s);
    return FINE;
}

void smtp_content_bdat(struct smtp_server *s, struct str arguments, struct smtp_event *out)
{
    struct smtp_transaction *t = &s->transaction;
    uint64_t size;
    bool is_last;
    if (!parse_bdat(arguments, &size, &is_last)) {
        /* Nobody knows where the next command starts. */
        struct fault f = fault_make(501, FAULT_STATUS(5, 5, 4), "Syntax: BDAT octets [LAST]");
        smtp_engine_close(s, out, &f);
        return;
    }
    bool is_first = !t->has_bdat;
    struct fault f = check_chunk(s, size);
    t->has_bdat = true;
    t->chunk_left = t->chunk_size = size;
    t->is_chunk_last = is_last;
    s->phase = SMTP_PHASE_BDAT;
    if (f.kind && !t->refusal) {
        s->error_count++;
        smtp_engine_refuse(s, &f);
        if (t->is_open)
            out->kind = SMTP_EVENT_RESET;
    } else if (f.kind == FAULT_FINE && is_first) {
        smtp_engine_ask(s, out, SMTP_EVENT_DATA);
        out->data.is_bdat = true;
        out->data.chunk_size = size;
    }
}

static void take_content(struct smtp_server *s, struct str content, struct smtp_event *out)
{
    struct smtp_transaction *t = &s->transaction;
    uint64_t limit = s->options->size_limit;
    if (limit > 0 && (content.n > limit || t->content_size > limit - content.n)) {
        struct fault f = too_large(s);
        drop(s, out, &f);
        return;
    }
    t->content_size += content.n;
    out->kind = SMTP_EVENT_CONTENT;
    out->content = content;
}

/* Scans a piece that belongs to the message; what is refused already is only followed to its end.
 */
static size_t scan(struct smtp_server *s, struct str in, struct smtp_event *out, bool *is_end)
{
    enum dotline_found found;
    struct str content;
    size_t n = dotline_scan(&s->transaction.scanner, in, &found, &content);
    switch (found) {
    case DOTLINE_CONTENT:
        if (!s->transaction.refusal)
            take_content(s, content, out);
        break;
    case DOTLINE_LONG:
        if (!s->transaction.refusal) {
            struct fault f =
                fault_make(550, FAULT_STATUS(5, 6, 0), "Text line longer than %u octets",
                           (unsigned)s->options->line_limit);
            drop(s, out, &f);
        }
        break;
    case DOTLINE_BARE_CR:
    case DOTLINE_BARE_LF:
    case DOTLINE_NUL:
        close_broken(s, out, found);
        break;
    case DOTLINE_END:
        *is_end = true;
        break;
    case DOTLINE_MORE:
        break;
    }
    return n;
}

size_t smtp_content_feed(struct smtp_server *s, struct str in, struct smtp_event *out)
{
    struct smtp_transaction *t = &s->transaction;
    bool is_end = false;
    if (s->phase == SMTP_PHASE_DATA) {
        size_t n = scan(s, in, out, &is_end);
        if (is_end)
            finish_message(s, out);
        return n;
    }
    if (t->chunk_left < in.n)
        in.n = (size_t)t->chunk_left;
    size_t n = t->refusal ? in.n : scan(s, in, out, &is_end);
    if (s->phase == SMTP_PHASE_BDAT)
        t->chunk_left -= n;
    return n;
}
