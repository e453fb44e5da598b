/* SPDX-License-Identifier: ISC */
/*
 * letter.c - a report as a mail
 */
#include "report/letter.h"

#include <stdlib.h>
#include <zlib.h>

#include "mail/date.h"
#include "mail/header.h"
#include "mail/transfer_encoder.h"

enum { GZIP_WINDOW = 15 + 16, MEMORY_LEVEL = 8, WRITTEN_MAX = 64 << 20, VALUE_MAX = 8 << 10 };

static bool pack(struct str text, struct buf *out)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)text.p, .avail_in = (uInt)text.n};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    uLong most = deflateBound(&z, (uLong)text.n);
    bool is_good = buf_reserve(out, most);
    if (is_good) {
        z.next_out = (unsigned char *)out->data + out->used;
        z.avail_out = (uInt)most;
        is_good = deflate(&z, Z_FINISH) == Z_STREAM_END;
        out->used += z.total_out;
    }
    deflateEnd(&z);
    return is_good;
}

bool letter_pack(const struct report_draft *d, const struct report_author *by, struct buf *out)
{
    struct buf text = buf_make(WRITTEN_MAX);
    bool is_good = d->ticket.kind == REPORT_TLS ? tls_report_write(d, by, &text)
                                                : dmarc_report_write(d, by, &text);
    is_good = is_good && pack(buf_str(&text), out);
    buf_free(&text);
    return is_good;
}

static bool add_field(struct buf *out, const char *name, const struct buf *value)
{
    return header_append(out, str_from(name), buf_str(value));
}

static bool add_fields(const struct letter *l, struct buf *out)
{
    char date[DATE_MAX];
    bool is_tls = l->draft->ticket.kind == REPORT_TLS;
    struct str domain = l->draft->ticket.domain, host = l->by->hostname, id = l->by->report_id;
    struct buf from = buf_make(VALUE_MAX), subject = buf_make(VALUE_MAX);
    bool is_good =
        buf_printf(&from, "<" STR_FMT ">", STR_ARG(l->by->address)) &&
        buf_printf(&subject,
                   "Report Domain: " STR_FMT " Submitter: " STR_FMT " Report-ID: <" STR_FMT ">",
                   STR_ARG(domain), STR_ARG(host), STR_ARG(id)) &&
        buf_printf(out, "Date: " STR_FMT "\r\n",
                   STR_ARG(date_format(l->time_s, l->zone_minutes, date))) &&
        add_field(out, "From", &from) && header_append(out, STR("To"), l->to) &&
        add_field(out, "Subject", &subject) &&
        buf_printf(out, "Message-ID: <" STR_FMT ">\r\n", STR_ARG(id)) &&
        buf_append(out, STR("Auto-Submitted: auto-generated\r\n"));
    if (is_tls)
        is_good =
            is_good && buf_printf(out,
                                  "TLS-Report-Domain: " STR_FMT "\r\nTLS-Report-Submitter: " STR_FMT
                                  "\r\nTLS-Required: No\r\n",
                                  STR_ARG(domain), STR_ARG(host));
    buf_free(&from);
    buf_free(&subject);
    return is_good &&
           buf_printf(out,
                      "MIME-Version: 1.0\r\nContent-Type: multipart/%s;\r\n"
                      "\tboundary=\"" STR_FMT "\"\r\n\r\n",
                      is_tls ? "report; report-type=\"tlsrpt\"" : "mixed", STR_ARG(l->boundary));
}

/* receiver!domain!begin!end!unique.xml.gz */
static bool add_attachment_fields(const struct letter *l, struct buf *out)
{
    const struct report_draft *d = l->draft;
    bool is_tls = d->ticket.kind == REPORT_TLS;
    struct buf name = buf_make(VALUE_MAX);
    bool is_good =
        buf_printf(&name, STR_FMT "!" STR_FMT "!%lld!%lld!%lld.%s.gz", STR_ARG(l->by->hostname),
                   STR_ARG(d->ticket.domain), (long long)d->begin_s, (long long)d->end_s,
                   (long long)d->ticket.id, is_tls ? "json" : "xml") &&
        buf_printf(out,
                   "\r\n--" STR_FMT "\r\nContent-Type: application/%s;\r\n\tname=\"" STR_FMT
                   "\"\r\nContent-Transfer-Encoding: base64\r\n"
                   "Content-Disposition: attachment;\r\n\tfilename=\"" STR_FMT "\"\r\n\r\n",
                   STR_ARG(l->boundary), is_tls ? "tlsrpt+gzip" : "gzip", STR_ARG(buf_str(&name)),
                   STR_ARG(buf_str(&name)));
    buf_free(&name);
    return is_good;
}

bool letter_append(const struct letter *l, struct str packed, struct buf *out)
{
    struct transfer_encoder encoder = {.is_base64 = true};
    bool is_tls = l->draft->ticket.kind == REPORT_TLS;
    return add_fields(l, out) &&
           buf_printf(out,
                      "--" STR_FMT "\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
                      "This is %s for the domain " STR_FMT ",\r\nmade by " STR_FMT ".\r\n",
                      STR_ARG(l->boundary),
                      is_tls ? "a report about TLS (RFC 8460)"
                             : "an aggregate report about DMARC (RFC 9990)",
                      STR_ARG(l->draft->ticket.domain), STR_ARG(l->by->hostname)) &&
           add_attachment_fields(l, out) && transfer_encode(&encoder, packed, out) &&
           transfer_encode_end(&encoder, out) &&
           buf_printf(out, "--" STR_FMT "--\r\n", STR_ARG(l->boundary));
}
