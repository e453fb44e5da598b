/* SPDX-License-Identifier: ISC */
/*
 * fuzz_tls_read.c - what is kept is whole, bounded and printable, white space around it changes nothing, and in a mail,
 * packed or not, the same report is found
 */
#include "report/tls_read.h"

#include "base/encode.h"
#include "fuzz.h"
#include "fuzz_document.h"
#include "report/reading.h"

static void check_blanks(struct str in, const struct document *d)
{
    struct buf text = buf_make(in.n + 16);
    struct document again;
    size_t mark =
        str_starts(in, STR("\xef\xbb\xbf")) ? 3 : 0; /* in front of which there are none */
    must(buf_append(&text, str_head(in, mark)) && buf_append(&text, STR("\r\n\t ")) &&
         buf_append(&text, str_skip(in, mark)) && buf_append(&text, STR(" \n")));
    document_start(&again, REPORT_TLS);
    must(!tls_report_read(buf_str(&text), &again).kind);
    must_be_same(d, &again);
    document_free(&again);
    buf_free(&text);
}

static void check_mail(struct str in, const struct document *d)
{
    struct buf text = buf_make(in.n * 2 + 1024);
    struct document again;
    must(buf_append(&text, STR("Content-Type: application/tlsrpt+json\r\n"
                               "Content-Transfer-Encoding: base64\r\n\r\n")) &&
         encode_base64(&text, in));
    must(!report_read(buf_str(&text), &again).kind);
    must_be_same(d, &again);
    document_free(&again);
    buf_free(&text);
}

const struct fuzz_memory fuzz_memory = {.factor = 8192, .base = 32 << 20};

void fuzz_one(struct str in)
{
    struct document d;
    struct fault f = report_read(in, &d);
    must(f.kind == FAULT_FINE || f.kind == FAULT_NEVER);
    if (!f.kind)
        must_be_kept(&d);
    document_free(&d);
    document_start(&d, REPORT_TLS);
    if (!tls_report_read(in, &d).kind) {
        must_be_kept(&d);
        check_blanks(in, &d);
        if (str_trim(str_head(in, 1000)).n > 0 && str_trim(str_head(in, 1000)).p[0] == '{')
            check_mail(in, &d);
    }
    document_free(&d);
}
