/* SPDX-License-Identifier: ISC */
/*
 * submit.c - what a submission server may repair in a message (RFC 6409 section 8)
 */
#include "serve/submit.h"

#include "mail/date.h"
#include "mail/header.h"

/* Whom it names nobody else is to see (RFC 5322 sections 3.6.3 and 3.6.6). */
static bool is_blind(struct str name)
{
    return str_equal_nocase(name, STR("Bcc")) || str_equal_nocase(name, STR("Resent-Bcc"));
}

bool submit_repair(struct str message, struct str hostname, struct str id, int64_t unix_seconds,
                   int zone_minutes, struct buf *out)
{
    struct header_field field;
    bool has_date = false, has_id = false, has_blind = false;
    struct header_iterator i = header_iterate(message);
    while (header_next(&i, &field)) {
        has_date |= str_equal_nocase(field.name, STR("Date"));
        has_id |= str_equal_nocase(field.name, STR("Message-ID"));
        has_blind |= is_blind(field.name);
    }
    bool has_end = i.has_separator || i.rest.n == 0;
    if (has_date && has_id && !has_blind && has_end)
        return false;
    /* Behind what is there: trace fields stay in front (RFC 5321 section 4.4). */
    i = header_iterate(message);
    while (header_next(&i, &field))
        if (!is_blind(field.name))
            buf_append(out, field.whole);
    if (!has_date) {
        char text[DATE_MAX];
        struct str date = date_format(unix_seconds, zone_minutes, text);
        buf_printf(out, "Date: " STR_FMT "\r\n", STR_ARG(date));
    }
    if (!has_id)
        buf_printf(out, "Message-ID: <" STR_FMT "@" STR_FMT ">\r\n", STR_ARG(id),
                   STR_ARG(hostname));
    if (i.has_separator || i.rest.n > 0)
        buf_append(out, STR("\r\n"));
    buf_append(out, i.rest);
    return true;
}
