/* SPDX-License-Identifier: ISC */
/*
 * dsn.c - delivery status notices (RFC 3461-3464, 6522; 6533 for UTF-8 addresses)
 *
 * Three parts: text for people, fields for programs, the original or its header. Whatever came from
 * outside passes header_append or dsn_text_append_safe, so that no line can be forged.
 */
#include "mail/dsn.h"

#include "base/encode.h"
#include "base/utf8.h"
#include "mail/date.h"
#include "mail/dsn_text.h"
#include "mail/header.h"
#include "mail/sevenbit.h"

enum { FIELD_VALUE_MAX = 4096 };

const char *dsn_action_name(enum dsn_action action)
{
    switch (action) {
    case DSN_FAILED:
        return "failed";
    case DSN_DELAYED:
        return "delayed";
    case DSN_DELIVERED:
        return "delivered";
    case DSN_RELAYED:
        return "relayed";
    case DSN_EXPANDED:
        return "expanded";
    }
    return "?";
}

bool dsn_is_utf8(const struct dsn *d)
{
    return d->is_smtputf8 || d->sender->is_utf8;
}

/* A field of two parts, the second one from outside. */
static bool append_field(struct buf *out, const char *name, struct str before, struct str value,
                         bool allow_8bit)
{
    struct buf line = buf_make(FIELD_VALUE_MAX);
    bool fits = buf_append(&line, before) && dsn_text_append_safe(&line, value, allow_8bit) &&
                header_append(out, str_from(name), buf_str(&line));
    buf_free(&line);
    return fits;
}

static bool append_date_field(struct buf *out, const char *name, int64_t time, int offset_minutes)
{
    char date[DATE_MAX];
    return time <= 0 || header_append(out, str_from(name), date_format(time, offset_minutes, date));
}

/* A UTF-8 address in ASCII: "\x{HEX}" for what is not printable (RFC 6533 section 3). */
static bool append_utf8_xtext(struct buf *out, struct str text)
{
    uint32_t character;
    bool fits = true;
    while (fits && utf8_take(&text, &character)) {
        if (character > 0x20 && character < 0x7F && character != '\\' && character != '+' &&
            character != '=')
            fits = buf_append_byte(out, (char)character);
        else
            fits = buf_printf(out, "\\x{%02X}", (unsigned)character);
    }
    return fits;
}

static bool append_final_recipient(struct buf *out, const struct dsn *d, const struct address *a)
{
    struct buf text = buf_make(FIELD_VALUE_MAX), plain = buf_make(FIELD_VALUE_MAX);
    bool fits = address_print(&plain, a) &&
                buf_append(&text, a->is_utf8 ? STR("utf-8; ") : STR("rfc822; "));
    if (a->is_utf8 && !dsn_is_utf8(d))
        fits = fits && append_utf8_xtext(&text, buf_str(&plain));
    else
        fits = fits && buf_append(&text, buf_str(&plain));
    fits = fits && header_append(out, STR("Final-Recipient"), buf_str(&text));
    buf_free(&plain);
    buf_free(&text);
    return fits;
}

/* ORCPT and ENVID stand in the notice without their xtext (RFC 3461 6.3). */
static bool append_decoded(struct buf *out, const struct dsn *d, const char *name,
                           struct str before, struct str xtext)
{
    struct buf plain = buf_make(FIELD_VALUE_MAX);
    bool is_decoded = decode_xtext(&plain, xtext);
    bool fits = append_field(out, name, before, is_decoded ? buf_str(&plain) : xtext,
                             dsn_is_utf8(d) && utf8_is_valid(buf_str(&plain)));
    buf_free(&plain);
    return fits;
}

static bool append_orcpt(struct buf *out, const struct dsn *d, struct str orcpt)
{
    struct str type, address;
    if (!str_cut(orcpt, ';', &type, &address) || type.n == 0 || type.n > 32)
        return true;
    char before[40];
    for (size_t i = 0; i < type.n; i++)
        before[i] = str_is_printable(str_make(type.p + i, 1)) ? type.p[i] : '?';
    memcpy(before + type.n, "; ", 2);
    return append_decoded(out, d, "Original-Recipient", str_make(before, type.n + 2), address);
}

static bool append_recipient_fields(struct buf *out, const struct dsn *d,
                                    const struct dsn_recipient *r)
{
    struct fault_status s = r->status;
    bool fits = buf_append(out, STR("\r\n")) && append_orcpt(out, d, r->orcpt) &&
                append_final_recipient(out, d, r->final) &&
                buf_printf(out, "Action: %s\r\n", dsn_action_name(r->action)) &&
                buf_printf(out, "Status: %u.%u.%u\r\n", s.class, s.subject, s.detail);
    if (r->remote_mta.n > 0)
        fits = fits && append_field(out, "Remote-MTA", STR("dns; "), r->remote_mta, false);
    if (r->diagnostic.n > 0)
        fits = fits && append_field(out, "Diagnostic-Code",
                                    r->is_diagnostic_smtp ? STR("smtp; ") : STR("x-eilbote; "),
                                    r->diagnostic, dsn_is_utf8(d));
    fits = fits && append_date_field(out, "Last-Attempt-Date", r->last_attempt, d->offset_minutes);
    if (r->action == DSN_DELAYED)
        fits = fits &&
               append_date_field(out, "Will-Retry-Until", r->will_retry_until, d->offset_minutes);
    return fits;
}

static bool append_status_part(struct buf *out, const struct dsn *d)
{
    bool is_utf8 = dsn_is_utf8(d);
    bool fits = buf_printf(out, "\r\n--%.*s\r\n", (int)d->boundary.n, d->boundary.p) &&
                buf_append(out, is_utf8 ? STR("Content-Type: message/global-delivery-status\r\n"
                                              "Content-Transfer-Encoding: 8bit\r\n\r\n")
                                        : STR("Content-Type: message/delivery-status\r\n\r\n"));
    if (d->envid.n > 0)
        fits = fits && append_decoded(out, d, "Original-Envelope-Id", STR(""), d->envid);
    fits = fits && append_field(out, "Reporting-MTA", STR("dns; "), d->hostname, false) &&
           append_date_field(out, "Arrival-Date", d->arrival, d->offset_minutes);
    for (size_t i = 0; i < d->recipient_count && fits; i++)
        fits = append_recipient_fields(out, d, &d->recipient[i]);
    return fits;
}

/* The header section, cut at a line when it is larger than the limit. */
static struct str header_part(const struct dsn *d)
{
    struct str header = str_head(d->message, header_size(d->message));
    if (header.n > d->message_limit) {
        header = str_head(header, d->message_limit);
        size_t lf = str_last_index(header, '\n');
        header = lf < header.n ? str_head(header, lf + 1) : STR("");
    }
    return header;
}

/* How the original comes back. */
enum form {
    FORM_MESSAGE, /* whole */
    FORM_GLOBAL,  /* whole, and encoded as a whole where it must be (RFC 6532 section 3.7) */
    FORM_HEADERS  /* its header section, which may be encoded too (RFC 6522 section 4, RFC 6533) */
};

static bool is_wanted_whole(const struct dsn *d)
{
    return d->is_message_whole && d->message.n <= d->message_limit &&
           (d->ret == DSN_RETURN_FULL || d->ret == DSN_RETURN_DEFAULT) &&
           dsn_text_action(d) == DSN_FAILED;
}

static bool append_form(struct buf *out, const struct dsn *d, enum form form)
{
    struct str original = form == FORM_HEADERS ? header_part(d) : d->message;
    bool has_8bit = str_has_8bit(original);
    bool is_global_header = dsn_is_utf8(d) && has_8bit && utf8_is_valid(original);
    const char *type = form == FORM_MESSAGE  ? "message/rfc822"
                       : form == FORM_GLOBAL ? "message/global"
                       : is_global_header    ? "message/global-headers"
                                             : "text/rfc822-headers";
    return buf_printf(out, "\r\n--%.*s\r\nContent-Type: %s\r\n", (int)d->boundary.n, d->boundary.p,
                      type) &&
           buf_append(out,
                      has_8bit ? STR("Content-Transfer-Encoding: 8bit\r\n\r\n") : STR("\r\n")) &&
           buf_append(out, original);
}

/* FORM_MESSAGE when the part of that form can go to a server without 8BITMIME, else what to try. */
static enum form form_for_all(const struct dsn *d, struct str part)
{
    if (!str_has_8bit(part))
        return FORM_MESSAGE;
    struct sevenbit *s = sevenbit_make();
    sevenbit_look(s, STR("Content-Type: multipart/report; boundary=\""));
    sevenbit_look(s, d->boundary);
    sevenbit_look(s, STR("\"\r\n"));
    sevenbit_look(s, part);
    bool is_for_all = sevenbit_look_end(s).kind == FAULT_FINE;
    enum sevenbit_header header = sevenbit_header(s);
    sevenbit_free(s);
    return is_for_all ? FORM_MESSAGE : header == SEVENBIT_HEADER_OTHER ? FORM_HEADERS : FORM_GLOBAL;
}

/*
 * A notice is sent before anybody knows which servers it will meet, and when it cannot go on nobody
 * is told. So the original has the first form that can become 7-bit content.
 */
static bool append_original(struct buf *out, const struct dsn *d)
{
    if (d->message.n == 0)
        return true;
    size_t start = out->used;
    enum form form = is_wanted_whole(d) ? FORM_MESSAGE : FORM_HEADERS;
    if (!append_form(out, d, form))
        return false;
    if (form == FORM_MESSAGE)
        form = form_for_all(d, str_skip(buf_str(out), start));
    if (form == FORM_MESSAGE || !is_wanted_whole(d))
        return true;
    out->used = start;
    return append_form(out, d, form);
}

static bool append_headers(struct buf *out, const struct dsn *d)
{
    char date[DATE_MAX];
    struct buf to = buf_make(ADDRESS_PATH_MAX);
    bool fits = header_append(out, STR("Date"), date_format(d->time, d->offset_minutes, date)) &&
                buf_append(out, STR("From: Mail Delivery System <MAILER-DAEMON@")) &&
                dsn_text_append_safe(out, d->hostname, false) && buf_append(out, STR(">\r\n")) &&
                address_print_path(&to, d->sender) && header_append(out, STR("To"), buf_str(&to)) &&
                header_append(out, STR("Subject"), dsn_text_subject(dsn_text_action(d))) &&
                buf_append(out, STR("Message-ID: <")) &&
                dsn_text_append_safe(out, d->message_id, false) && buf_append(out, STR(">\r\n"));
    buf_free(&to);
    return fits && buf_append(out, STR("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n")) &&
           buf_printf(out,
                      "Content-Type: multipart/report; report-type=%s;\r\n boundary=\"%.*s\"\r\n",
                      dsn_is_utf8(d) ? "global-delivery-status" : "delivery-status",
                      (int)d->boundary.n, d->boundary.p);
}

static bool append_text_part(struct buf *out, const struct dsn *d)
{
    return buf_printf(out, "\r\n--%.*s\r\n", (int)d->boundary.n, d->boundary.p) &&
           buf_append(out, dsn_is_utf8(d)
                               ? STR("Content-Type: text/plain; charset=utf-8\r\n"
                                     "Content-Transfer-Encoding: 8bit\r\n\r\n")
                               : STR("Content-Type: text/plain; charset=us-ascii\r\n\r\n")) &&
           dsn_text_append(out, d);
}

bool dsn_append(struct buf *out, const struct dsn *d)
{
    size_t start = out->used;
    bool has_8bit = dsn_is_utf8(d) || str_has_8bit(d->message);
    if (append_headers(out, d) &&
        buf_append(out, has_8bit ? STR("Content-Transfer-Encoding: 8bit\r\n") : STR("")) &&
        append_text_part(out, d) && append_status_part(out, d) && append_original(out, d) &&
        buf_printf(out, "\r\n--%.*s--\r\n", (int)d->boundary.n, d->boundary.p))
        return true;
    out->used = start;
    return false;
}
