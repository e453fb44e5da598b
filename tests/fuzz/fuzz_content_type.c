/* SPDX-License-Identifier: ISC */
/*
 * fuzz_content_type.c - what a field says does not change by comments and folding around it; a
 * boundary is found again when it is written as a quoted string
 */
#include "mail/content_type.h"

#include "base/buf.h"
#include "fuzz.h"

static const char specials[] = "()<>@,;:\\\"/[]?=";

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7F || strchr(specials, s.p[i]))
            return false;
    return s.n > 0;
}

/* type/subtype; boundary="..." with blanks where they say nothing. */
static void check_printed(const struct content_type *c)
{
    struct buf text = buf_make(1 << 16);
    struct content_type again;
    must(buf_printf(&text, " (a\\(b(c))\r\n\t" STR_FMT " / (x)" STR_FMT ";;\r\n boundary = \"",
                    STR_ARG(c->type), STR_ARG(c->subtype)));
    for (size_t i = 0; i < c->boundary_n; i++)
        must(buf_append_byte(&text, '\\') && buf_append_byte(&text, c->boundary[i]));
    must(buf_append(&text, STR("\"(y); boundary=other")));
    must(content_type_parse(buf_str(&text), &again));
    must(str_equal(again.type, c->type) && str_equal(again.subtype, c->subtype));
    if (c->boundary_n > 0)
        must(str_equal(str_make(again.boundary, again.boundary_n),
                       str_make(c->boundary, c->boundary_n)));
    buf_free(&text);
}

static void check_encoding(struct str in)
{
    static const struct {
        const char *name;
        enum transfer_encoding encoding;
    } names[] = {{"7BIT", TRANSFER_7BIT}, {"8bit", TRANSFER_8BIT}, {"binary", TRANSFER_BINARY}};
    enum transfer_encoding found = transfer_encoding_parse(in), expected = TRANSFER_ENCODED;
    if (!is_token(in))
        return;
    for (size_t i = 0; i < 3; i++)
        if (str_equal_nocase(in, str_from(names[i].name)))
            expected = names[i].encoding;
    must(found == expected);
}

const struct fuzz_memory fuzz_memory = {.factor = 16, .base = 4096};

void fuzz_one(struct str in)
{
    struct content_type c;
    check_encoding(in);
    if (!content_type_parse(in, &c))
        return;
    must(is_token(c.type) && is_token(c.subtype));
    must(c.type.p >= in.p && c.subtype.p >= c.type.p + c.type.n + 1);
    must(c.subtype.p + c.subtype.n <= in.p + in.n && c.boundary_n <= CONTENT_TYPE_BOUNDARY_MAX);
    must(c.boundary_n == 0 ||
         (c.boundary[c.boundary_n - 1] != ' ' && c.boundary[c.boundary_n - 1] != '\t'));
    check_printed(&c);
}
