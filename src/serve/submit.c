/* SPDX-License-Identifier: ISC */
/*
 * submit.c - what a submission server may repair in a message (RFC 6409 section 8)
 */
#include "serve/submit.h"

#include "mail/date.h"
#include "mail/header.h"

bool submit_repair(struct str header, struct str hostname, struct str id, int64_t unix_seconds,
                   int zone_minutes, struct buf *out)
{
    struct header_field field;
    bool has_date = header_find(header, STR("Date"), &field);
    bool has_id = header_find(header, STR("Message-ID"), &field);
    bool has_bcc = header_find(header, STR("Bcc"), &field);
    if (has_date && has_id && !has_bcc)
        return false;
    /* Behind what is there: trace fields stay in front (RFC 5321 section 4.4). */
    struct header_iterator i = header_iterate(header);
    while (header_next(&i, &field))
        if (!str_equal_nocase(field.name, STR("Bcc")))
            buf_append(out, field.whole);
    if (!has_date) {
        char text[DATE_MAX];
        struct str date = date_format(unix_seconds, zone_minutes, text);
        buf_printf(out, "Date: " STR_FMT "\r\n", STR_ARG(date));
    }
    if (!has_id)
        buf_printf(out, "Message-ID: <" STR_FMT "@" STR_FMT ">\r\n", STR_ARG(id),
                   STR_ARG(hostname));
    if (i.has_separator)
        buf_append(out, STR("\r\n"));
    else
        buf_append(out, i.rest);
    return true;
}
