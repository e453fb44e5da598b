/* SPDX-License-Identifier: ISC */
/*
 * received.c - the trace fields a server puts on top of a message (RFC 5321 4.4)
 *
 * The value is put together on one line and folded by header_append, which also keeps control bytes
 * out. What a client chose is cut to its legal length and stripped of all that has a meaning in a
 * structured field.
 */
#include "mail/received.h"

#include <stdio.h>

#include "mail/date.h"
#include "mail/header.h"
#include "mail/idna.h"

struct str received_with(const struct received *r, char keyword[16])
{
    const char *base = r->is_lmtp ? "LMTP" : "SMTP";
    bool is_extended = r->is_extended || r->is_tls || r->is_authenticated;
    const char *prefix = r->is_utf8 ? "UTF8" : !r->is_lmtp && is_extended ? "E" : "";
    int n = snprintf(keyword, 16, "%s%s%s%s", prefix, base, r->is_tls ? "S" : "",
                     r->is_authenticated ? "A" : "");
    return str_make(keyword, (size_t)n);
}

/* Appends a name from outside; whatever no host name, literal or id can hold becomes '?'. */
static bool append_safe(struct buf *out, struct str name)
{
    name = str_head(name, IDNA_DOMAIN_MAX);
    if (!buf_reserve(out, name.n))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool is_safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       (c != '\0' && strchr(".-_:[]+/=", c));
        out->data[out->used++] = is_safe ? c : '?';
    }
    return true;
}

static bool append_client(struct buf *out, const struct received *r)
{
    bool fits = buf_append(out, STR("from ")) &&
                append_safe(out, r->helo.n > 0 ? r->helo : STR("unknown")) &&
                buf_append(out, STR(" ("));
    if (r->client_ip.n == 0)
        return fits && buf_append(out, STR("local)"));
    return fits && append_safe(out, r->client_name.n > 0 ? r->client_name : STR("unknown")) &&
           buf_append(out, str_has(r->client_ip, ':') ? STR(" [IPv6:") : STR(" [")) &&
           append_safe(out, r->client_ip) && buf_append(out, STR("])"));
}

static bool append_value(struct buf *out, const struct received *r)
{
    char keyword[16], date[DATE_MAX];
    bool fits = append_client(out, r) && buf_append(out, STR(" by ")) &&
                append_safe(out, r->hostname) && buf_append(out, STR(" (Eilbote) with ")) &&
                buf_append(out, received_with(r, keyword));
    if (r->is_tls && r->tls_version.n > 0)
        fits = fits && buf_append(out, STR(" (")) && append_safe(out, r->tls_version) &&
               buf_append(out, STR(" cipher ")) && append_safe(out, r->tls_cipher) &&
               buf_append_byte(out, ')');
    if (r->id.n > 0)
        fits = fits && buf_append(out, STR(" id ")) && append_safe(out, r->id);
    if (r->recipient && !r->recipient->is_null && (r->is_utf8 || !r->recipient->is_utf8))
        fits = fits && buf_append(out, STR(" for ")) && address_print_path(out, r->recipient);
    return fits && buf_append(out, STR("; ")) &&
           buf_append(out, date_format(r->time, r->offset_minutes, date));
}

bool received_append(struct buf *out, const struct received *r)
{
    struct buf value = buf_make(RECEIVED_FIELD_MAX);
    bool fits = append_value(&value, r) && header_append(out, STR("Received"), buf_str(&value));
    buf_free(&value);
    return fits;
}

bool received_append_return_path(struct buf *out, const struct address *sender)
{
    size_t start = out->used;
    if (buf_append(out, STR("Return-Path: ")) && address_print_path(out, sender) &&
        buf_append(out, STR("\r\n")))
        return true;
    out->used = start;
    return false;
}
