/* SPDX-License-Identifier: ISC */
/*
 * fuzz_report_uri.c - an address that is found is found again when every octet of it is written with percent signs; a record
 * of TLSRPT that is written anew from what was read means the same
 */
#include "check/report_uri.h"

#include "base/buf.h"
#include "check/tlsrpt_record.h"
#include "fuzz.h"

static void check_again(const struct report_uri *uri)
{
    struct buf text = buf_make(4096);
    struct report_uri again;
    must(buf_append(&text, STR("x:y, MailTo:")));
    for (size_t i = 0; i < uri->address_n; i++)
        must(buf_printf(&text, "%%%02X", (unsigned char)uri->address[i]));
    must(buf_append(&text, STR("?subject=x!2k,")));
    struct str rest = buf_str(&text);
    must(report_uri_next(&rest, &again));
    must(again.address_n == uri->address_n &&
         memcmp(again.address, uri->address, uri->address_n) == 0);
    must(str_equal(again.domain, uri->domain) && again.limit_bytes == 2048);
    must(!report_uri_next(&rest, &again));
    buf_free(&text);
}

static void check_list(struct str list)
{
    struct report_uri uri;
    struct str rest = list;
    while (report_uri_next(&rest, &uri)) {
        must(uri.text.p >= list.p && uri.text.p + uri.text.n <= list.p + list.n);
        must(!str_has(uri.text, ',') && !str_has(uri.text, '!'));
        if (uri.is_https) {
            must(uri.address_n == 0 && str_is_printable(uri.text));
            continue;
        }
        struct str address = str_make(uri.address, uri.address_n);
        must(str_is_printable(address) && !str_has(address, ' ') && uri.domain.n > 0);
        must(uri.domain.p == uri.address + str_last_index(address, '@') + 1);
        check_again(&uri);
    }
}

const struct fuzz_memory fuzz_memory = {.factor = 8, .base = 16384};

void fuzz_one(struct str in)
{
    struct tlsrpt_record record, again;
    check_list(in);
    if (!tlsrpt_record_parse(in, &record))
        return;
    struct buf text = buf_make(in.n + 64);
    must(record.rua.n > 0 && buf_append(&text, STR("v=TLSRPTv1;x=y;rua=")) &&
         buf_append(&text, record.rua));
    must(tlsrpt_record_parse(buf_str(&text), &again) && str_equal(again.rua, record.rua));
    buf_free(&text);
}
