/* SPDX-License-Identifier: ISC */
/*
 * dsn_text.c - the part of a delivery status notice that people read
 *
 * It answers, for each recipient: what happened, what the other server said, what to do now. The
 * advice is chosen by the enhanced status code's subject and detail (RFC 3463).
 */
#include "mail/dsn_text.h"

#include "base/utf8.h"
#include "mail/date.h"

enum { TEXT_WIDTH = 74 };

struct advice {
    int subject; /* -1: any */
    int detail;
    const char *text;
};

/* The first row that fits is used. */
static const struct advice advices[] = {
    {1, 1,
     "This mailbox does not exist. Check the address for typing mistakes, or ask the recipient "
     "for the current one."},
    {1, 2, "This domain does not take mail. Check the part after the @ for typing mistakes."},
    {1, 3, "The address is not written correctly. Check it for typing mistakes."},
    {1, 6, "The recipient has moved. Ask them for their new address."},
    {1, 8, "The other server does not accept your own sender address. Tell your postmaster."},
    {1, 10, "This domain says that it takes no mail at all. Check the part after the @."},
    {1, -1, "Check the address for typing mistakes."},
    {2, 1, "The mailbox is switched off. Reach the recipient in another way."},
    {2, 2, "The mailbox is full. Tell the recipient in another way, and send again later."},
    {2, 3, "The message is too large for this mailbox. Send less, or a link to the data."},
    {2, -1, "The recipient's mailbox cannot take mail now. Reach them in another way."},
    {3, 4, "The message is too large for the other server. Send less, or a link to the data."},
    {3, -1, "The other mail system has trouble. Send again later or tell its postmaster."},
    {4, 4,
     "The way to this domain is not set up correctly. Check the part after the @, or tell that "
     "domain's postmaster."},
    {4, 6, "The mail went in circles between servers. Tell the postmaster."},
    {4, 7, "The message waited too long. Check the address, and send again if it is right."},
    {4, -1,
     "The other mail server could not be reached. Check the part after the @, or send again "
     "later."},
    {6, 7,
     "The other server does not support international addresses. Ask the recipient for an "
     "address in plain letters."},
    {6, -1, "The other server cannot take this kind of content. Send it in another form."},
    {7, -1,
     "The other server refuses this message by its rules. Read its answer above, and forward "
     "this notice to your postmaster if it does not help."},
    {-1, -1, "Read the answer above. If it does not help, forward this notice to your postmaster."},
};

enum dsn_action dsn_text_action(const struct dsn *d)
{
    enum dsn_action action = d->recipient[0].action;
    for (size_t i = 1; i < d->recipient_count; i++)
        if (d->recipient[i].action < action)
            action = d->recipient[i].action;
    return action;
}

struct str dsn_text_subject(enum dsn_action action)
{
    switch (action) {
    case DSN_FAILED:
        return STR("Your message could not be delivered");
    case DSN_DELAYED:
        return STR("Your message is delayed (we keep trying)");
    case DSN_DELIVERED:
        return STR("Your message was delivered");
    case DSN_RELAYED:
        return STR("Your message was passed on");
    case DSN_EXPANDED:
        return STR("Your message was passed on to a list");
    }
    return STR("");
}

bool dsn_text_append_safe(struct buf *out, struct str s, bool allow_8bit)
{
    if (!buf_reserve(out, s.n))
        return false;
    while (s.n > 0) {
        struct str rest = s;
        uint32_t character;
        bool is_safe = utf8_take(&rest, &character) && character >= 0x20 && character != 0x7F &&
                       (character < 0x80 || allow_8bit);
        size_t n = is_safe ? s.n - rest.n : 1;
        buf_append(out, is_safe ? str_head(s, n) : STR("?"));
        s = str_skip(s, n);
    }
    return true;
}

/* Appends a labelled paragraph, wrapped and indented. */
static bool append_paragraph(struct buf *out, struct str label, struct str text, bool allow_8bit)
{
    static const char blanks[] = "                    ";
    const size_t indent = 18;
    bool fits = buf_append(out, STR("    ")) && buf_append(out, label) &&
                buf_append(out, str_make(blanks, label.n + 4 < indent ? indent - 4 - label.n : 1));
    size_t column = indent;
    struct str word = str_word(&text);
    while (fits && word.n > 0) {
        if (column > indent && column + 1 + word.n > TEXT_WIDTH) {
            fits = buf_append(out, STR("\r\n")) && buf_append(out, str_make(blanks, indent));
            column = indent;
        } else if (column > indent) {
            fits = buf_append_byte(out, ' ');
            column++;
        }
        fits = fits && dsn_text_append_safe(out, word, allow_8bit);
        column += word.n;
        word = str_word(&text);
    }
    return fits && buf_append(out, STR("\r\n"));
}

static struct str advice_for(struct fault_status status)
{
    const struct advice *a = advices;
    while ((a->subject >= 0 && a->subject != status.subject) ||
           (a->detail >= 0 && a->detail != status.detail))
        a++;
    return str_from(a->text);
}

static struct str happened(const struct dsn_recipient *r)
{
    switch (r->action) {
    case DSN_FAILED:
        if (r->status.class == 4)
            return STR("We tried again and again, always in vain, and have given up now.");
        return r->is_diagnostic_smtp ? STR("The recipient's mail server refused it for good.")
                                     : STR("It cannot be delivered. We will not try again.");
    case DSN_DELAYED:
        return STR("It is not delivered yet. We keep trying.");
    case DSN_DELIVERED:
        return STR("It was put into the recipient's mailbox.");
    case DSN_RELAYED:
        return STR(
            "It was handed to a mail server that does not confirm deliveries, so this is the "
            "last you will hear of it.");
    case DSN_EXPANDED:
        return STR("It was handed on to the several addresses behind this one.");
    }
    return STR("");
}

static bool append_deadline(struct buf *out, const struct dsn *d, const struct dsn_recipient *r)
{
    char date[DATE_MAX], text[DATE_MAX + 80];
    struct str when = date_format(r->will_retry_until, d->offset_minutes, date);
    static const char before[] = "Nothing. We give up and tell you at ";
    memcpy(text, before, sizeof before - 1);
    memcpy(text + sizeof before - 1, when.p, when.n);
    text[sizeof before - 1 + when.n] = '.';
    return append_paragraph(out, STR("What to do:"), str_make(text, sizeof before + when.n), false);
}

static bool append_recipient(struct buf *out, const struct dsn *d, const struct dsn_recipient *r)
{
    bool is_utf8 = dsn_is_utf8(d);
    bool has_trouble = r->action == DSN_FAILED || r->action == DSN_DELAYED;
    struct buf path = buf_make(ADDRESS_PATH_MAX);
    bool fits = address_print_path(&path, r->final) && buf_append(out, STR("  ")) &&
                dsn_text_append_safe(out, buf_str(&path), is_utf8) &&
                buf_append(out, STR("\r\n")) &&
                append_paragraph(out, STR("Happened:"), happened(r), false);
    buf_free(&path);
    if (r->remote_mta.n > 0)
        fits = fits && append_paragraph(out, STR("Mail server:"), r->remote_mta, is_utf8);
    if (r->diagnostic.n > 0 && has_trouble)
        fits =
            fits && append_paragraph(out, r->is_diagnostic_smtp ? STR("It said:") : STR("Reason:"),
                                     r->diagnostic, is_utf8);
    if (r->action == DSN_DELAYED && r->will_retry_until > 0)
        fits = fits && append_deadline(out, d, r);
    else if (r->action == DSN_DELAYED)
        fits = fits && append_paragraph(out, STR("What to do:"), STR("Nothing for now."), false);
    else if (r->action == DSN_FAILED)
        fits = fits && append_paragraph(out, STR("What to do:"), advice_for(r->status), false);
    return fits && buf_append(out, STR("\r\n"));
}

bool dsn_text_append(struct buf *out, const struct dsn *d)
{
    char date[DATE_MAX];
    enum dsn_action action = dsn_text_action(d);
    bool fits = buf_append(out, STR("This is the mail server ")) &&
                dsn_text_append_safe(out, d->hostname, false) && buf_append(out, STR(".\r\n\r\n"));
    if (d->arrival > 0)
        fits = fits && buf_append(out, STR("It is about the message that you sent on\r\n")) &&
               buf_append(out, date_format(d->arrival, d->offset_minutes, date)) &&
               buf_append(out, STR(".\r\n\r\n"));
    struct str summary =
        action == DSN_FAILED ? STR("It did not reach everybody. What happened to it, recipient by "
                                   "recipient:\r\n\r\n")
        : action == DSN_DELAYED
            ? STR("You need not send it again. It still waits for these recipients:\r\n\r\n")
            : STR("You asked to be told what became of it, recipient by recipient:\r\n\r\n");
    fits = fits && buf_append(out, summary);
    for (size_t i = 0; i < d->recipient_count && fits; i++)
        fits = append_recipient(out, d, &d->recipient[i]);
    return fits &&
           buf_append(out, d->message.n > 0
                               ? STR("The technical details and your message, or its header, "
                                     "follow below.\r\n")
                               : STR("The technical details follow below. Your message itself "
                                     "cannot be read any more.\r\n"));
}
