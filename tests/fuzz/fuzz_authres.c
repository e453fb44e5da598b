/* SPDX-License-Identifier: ISC */
/*
 * fuzz_authres.c - a field in a server's name is known as its own in each form that it may have, and
 * no value makes two fields of it
 */
#include "mail/authres.h"

#include "base/hostname.h"
#include "fuzz.h"
#include "mail/header.h"

/* The identifier in a form that means the same. */
static void check_forms(struct str id)
{
    static const char *const forms[][2] = {
        {"", ";"},         {" \"", "\"; none"}, {"\r\n (a(b)\\c) ", "\t; none"},
        {" ", " 1; none"}, {"\t", ".; none"},   {"(;)\r\n\t", "(\\)) 12 (x)"}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct buf value = buf_make(1024);
        must(buf_append(&value, str_from(forms[i][0])) && buf_append(&value, id) &&
             buf_append(&value, str_from(forms[i][1])));
        must(authres_is_of(buf_str(&value), id));
        must(!authres_is_of(buf_str(&value), STR("nobody.invalid")) ||
             str_equal_nocase(id, STR("nobody.invalid")));
        buf_free(&value);
    }
}

const struct fuzz_memory fuzz_memory = {.factor = 4, .base = 65536};

void fuzz_one(struct str in)
{
    struct str id, rest, reason, value;
    struct authres a;
    str_cut(in, '\n', &id, &rest);
    str_cut(rest, '\n', &reason, &value);
    authres_begin(&a, id);
    authres_add(&a, "dkim", "fail", reason);
    authres_property(&a, "header.d", value);
    authres_property(&a, "smtp.helo", in);
    struct buf out = buf_make(AUTHRES_FIELD_MAX);
    struct header_field field;
    must(authres_append(&a, &out));
    struct header_iterator i = header_iterate(buf_str(&out));
    must(header_next(&i, &field) && i.rest.n == 0);
    must(str_find(field.value, STR("dkim=fail")) < field.value.n);
    if (hostname_is_valid(id)) {
        must(authres_is_of(field.value, id));
        check_forms(id);
    }
    authres_is_of(in, STR("mx.example"));
    buf_free(&out);
}
