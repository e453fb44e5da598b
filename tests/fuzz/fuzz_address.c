/* SPDX-License-Identifier: ISC */
/*
 * fuzz_address.c - an accepted address survives printing and parsing; its limits hold
 */
#include "mail/address.h"

#include "fuzz.h"
#include "mail/idna.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make((const char *)data, size);
    unsigned allow = take_octet(&in) & 7;
    struct arena arena = arena_make(8192);
    struct address a, again;
    struct str rest = in;
    if (address_parse_path(&arena, &rest, allow, &a)) {
        struct buf printed = buf_make(ADDRESS_PATH_MAX);
        must(rest.n < in.n);
        must(address_print_path(&printed, &a));
        struct str text = buf_str(&printed);
        must(address_parse_path(&arena, &text, allow, &again) && text.n == 0);
        must(a.kind == again.kind && a.is_utf8 == again.is_utf8);
        must(str_equal(a.local, again.local) && str_equal(a.domain, again.domain));
        must(address_equal(&a, &again));
        must(a.is_null == (a.kind == ADDRESS_NULL));
        must(a.is_utf8 == str_has_8bit(buf_str(&printed)));
        buf_free(&printed);
    }
    if (address_parse(&arena, in, allow, &a) && !a.is_null) {
        struct str text = address_text(&arena, &a);
        must(address_parse(&arena, text, allow, &again) && address_equal(&a, &again));
    }
    char ascii[IDNA_DOMAIN_MAX], twice[IDNA_DOMAIN_MAX];
    struct str domain = idna_to_ascii(in, ascii);
    if (domain.n > 0)
        must(str_equal(idna_to_ascii(domain, twice), domain) && idna_equal(in, domain));
    arena_free(&arena);
    return 0;
}
