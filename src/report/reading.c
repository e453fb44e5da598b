/* SPDX-License-Identifier: ISC */
/*
 * reading.c - a mail to the address for reports: what report is in it
 */
#include "report/reading.h"

#include "mail/header.h"
#include "mail/mime_reader.h"
#include "report/archive.h"
#include "report/dmarc_read.h"
#include "report/tls_read.h"

enum { HEAD_MAX = 4096 };

/* What is unpacked goes to the reader that its first octets call for. */
struct reading {
    struct document *out;
    struct str message;
    struct dmarc_reader *xml;
    struct buf json;
    bool is_json, is_neither, is_full;
};

/* Behind white space and a byte order mark. */
static char first_octet(struct str s)
{
    if (str_starts(s, STR("\xef\xbb\xbf")))
        s = str_skip(s, 3);
    s = str_trim(str_head(s, HEAD_MAX));
    return s.n > 0 ? s.p[0] : '\0';
}

static bool is_wide(struct str s)
{
    return str_starts(s, STR("\xff\xfe")) || str_starts(s, STR("\xfe\xff"));
}

static void choose(struct reading *r, struct str piece)
{
    r->is_json = first_octet(piece) == '{';
    r->is_neither = !r->is_json && first_octet(piece) != '<' && !is_wide(piece);
    if (r->is_neither)
        return;
    document_start(r->out, r->is_json ? REPORT_TLS : REPORT_DMARC);
    if (!r->is_json)
        r->xml = dmarc_reader_make(r->out);
}

static bool take_piece(void *arg, struct str piece)
{
    struct reading *r = arg;
    if (!r->xml && !r->is_json)
        choose(r, piece);
    if (r->is_neither)
        return false;
    if (r->xml)
        return dmarc_reader_feed(r->xml, piece);
    r->is_full = !buf_append(&r->json, piece);
    return !r->is_full;
}

/* Policies of DANE are about the hosts' domains; whom the whole is about is in the header (RFC 8460 section 5.3). */
static void take_domain(struct reading *r)
{
    struct header_field field;
    if (header_find(r->message, STR("TLS-Report-Domain"), &field))
        r->out->domain = document_name(r->out, str_trim(field.value));
}

static struct fault finish(struct reading *r)
{
    if (r->xml)
        return dmarc_reader_end(r->xml);
    if (r->is_full)
        return fault_make(552, FAULT_STATUS(5, 3, 4), "the report is too large");
    take_domain(r);
    return tls_report_read(buf_str(&r->json), r->out);
}

static struct fault read_packed(struct str message, struct str packed, struct document *out)
{
    struct reading r = {.out = out, .message = message, .json = buf_make(TLS_READ_MAX)};
    struct fault f = archive_read(packed, take_piece, &r);
    if (!f.kind && (r.is_neither || (!r.xml && !r.is_json)))
        f = fault_make(554, FAULT_STATUS(5, 6, 0), "the archive holds no report");
    else if (!f.kind)
        f = finish(&r);
    if (!f.kind && out->left_out > 0)
        json_object_set_new(out->about, "left_out", json_integer(out->left_out));
    dmarc_reader_free(r.xml);
    buf_free(&r.json);
    return f;
}

/* Whether it is worth to be opened: packed, or text that begins as a report does. */
static bool may_be_report(struct str bytes)
{
    if (archive_is_gzip(bytes) || archive_is_zip(bytes) || first_octet(bytes) == '{')
        return true;
    struct str head = str_head(bytes, HEAD_MAX);
    return first_octet(bytes) == '<' && (str_find(head, STR("feedback")) < head.n);
}

struct fault report_read(struct str message, struct document *out)
{
    struct mime_reader reader;
    struct mime_part part;
    struct buf bytes = buf_make(ARCHIVE_PACKED_MAX);
    struct fault f = fault_make(554, FAULT_STATUS(5, 6, 0), "there is no report in the message");
    document_start(out, REPORT_DMARC);
    mime_reader_start(&reader, message);
    while (mime_reader_next(&reader, &part)) {
        bytes.used = 0;
        if (!mime_part_decode(&part, &bytes)) {
            f = fault_make(552, FAULT_STATUS(5, 3, 4), "the report is too large");
            break;
        }
        if (!may_be_report(buf_str(&bytes)))
            continue;
        document_free(out);
        f = read_packed(message, buf_str(&bytes), out);
        break;
    }
    buf_free(&bytes);
    return f;
}
