/* SPDX-License-Identifier: ISC */
/*
 * fuzz_idna.c - a name keeps its meaning in every spelling; a literal is printed and read again
 */
#include "mail/idna.h"

#include "base/hostname.h"
#include "base/utf8.h"
#include "fuzz.h"

static void check_name(struct str in)
{
    char ascii[IDNA_DOMAIN_MAX], twice[IDNA_DOMAIN_MAX];
    struct str name = idna_to_ascii(in, ascii);
    struct buf shown = buf_make(4096);
    must(name.n <= IDNA_DOMAIN_MAX);
    must(idna_domain_is_valid(in, true) == (name.n > 0));
    must(idna_domain_is_valid(in, false) == (name.n > 0 && !str_has_8bit(in)));
    if (name.n > 0) {
        must(!str_has_8bit(name) && idna_domain_is_valid(name, false));
        must(str_equal(idna_to_ascii(name, twice), name) && idna_equal(in, name));
        must(idna_to_unicode(name, &shown) && utf8_is_valid(buf_str(&shown)));
        must(!str_has(buf_str(&shown), '\0') && idna_equal(buf_str(&shown), name));
        must(name.n > 253 || hostname_is_valid(name));
    } else {
        idna_to_unicode(in, &shown);
    }
    must(!idna_equal(in, STR("other.test")) || str_equal(name, STR("other.test")));
    buf_free(&shown);
}

const struct fuzz_memory fuzz_memory = {.factor = 8, .base = 65536};

void fuzz_one(struct str in)
{
    struct idna_literal literal, again;
    char text[IDNA_LITERAL_MAX];
    check_name(in);
    if (idna_literal_parse(in, &literal)) {
        struct str printed = idna_literal_print(&literal, text);
        must(printed.n <= IDNA_LITERAL_MAX && idna_literal_parse(printed, &again));
        must(literal.is_ipv6 == again.is_ipv6 &&
             memcmp(literal.address, again.address, sizeof again.address) == 0);
    }
}
