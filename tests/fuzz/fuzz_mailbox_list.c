/* SPDX-License-Identifier: ISC */
/*
 * fuzz_mailbox_list.c - an address found in a list holds no line end, and is found again alone; one that is valid is
 * clear, and what is clear has no second "@" in an address without quotes, comments and a route
 */
#include "mail/mailbox_list.h"

#include "fuzz.h"
#include "mail/address.h"

const struct fuzz_memory fuzz_memory = {.factor = 16, .base = 16384};

void fuzz_one(struct str in)
{
    struct str rest = in;
    struct buf out = buf_make(in.n + 64);
    struct arena arena = arena_make(8192);
    size_t before = rest.n;
    bool is_clear = mailbox_list_is_clear(in);
    while (mailbox_list_next(&rest, &out)) {
        struct str found = buf_str(&out);
        must(rest.n < before && found.n > 0 && found.n <= before - rest.n + 2);
        must(!str_has(found, '\r') && !str_has(found, '\n'));
        bool is_plain = !str_has(found, '"') && !str_has(found, '\\') && !str_has(found, '[');
        if (is_clear && is_plain && found.p[0] != '@')
            must(str_index(found, '@') == str_last_index(found, '@'));
        struct address a;
        struct buf again = buf_make(in.n + 64);
        if (address_parse(&arena, found, ADDRESS_ALLOW_UTF8, &a)) {
            struct str text = address_text(&arena, &a), alone = text;
            struct address b;
            must(mailbox_list_is_clear(text));
            must(mailbox_list_next(&alone, &again) && alone.n == 0);
            must(address_parse(&arena, buf_str(&again), ADDRESS_ALLOW_UTF8, &b));
            must(address_equal(&a, &b));
        }
        buf_free(&again);
        arena_free(&arena);
        before = rest.n;
        out.used = 0;
    }
    must(rest.n == 0 && out.used == 0);
    struct buf small = buf_make(3);
    rest = in;
    while (mailbox_list_next(&rest, &small)) {
        must(small.used <= 3);
        small.used = 0;
    }
    must(small.used == 0);
    buf_free(&small);
    buf_free(&out);
    arena_free(&arena);
}
