/* SPDX-License-Identifier: ISC */
/*
 * test_mail_dotline.c - lines, dots and the end of message content, whole and at every split
 */
#include "mail/dotline.h"

#include "base/buf.h"

#include "mail_test.h"

struct outcome {
    struct buf content;
    enum dotline_found last;
    size_t consumed;
    bool is_long;
};

/* Feeds the input in pieces of the given size and collects what comes out. */
static struct outcome scan(struct str in, size_t piece, bool has_dots, size_t limit)
{
    struct dotline_scanner s = dotline_scanner_make(has_dots, limit);
    struct outcome o = {.content = buf_make(1 << 20)};
    while (o.consumed < in.n) {
        struct str part = str_head(str_skip(in, o.consumed), piece), content;
        while (part.n > 0) {
            size_t n = dotline_scan(&s, part, &o.last, &content);
            o.consumed += n;
            part = str_skip(part, n);
            if (o.last == DOTLINE_CONTENT)
                assert_true(buf_append(&o.content, content));
            else if (o.last == DOTLINE_LONG)
                o.is_long = true;
            else if (o.last != DOTLINE_MORE)
                return o;
        }
    }
    o.last = DOTLINE_MORE;
    return o;
}

static void test_content_and_its_end(void **state)
{
    (void)state;
    static const struct {
        const char *in, *content;
        enum dotline_found last;
        size_t left;
        bool is_long;
    } rows[] = {
        {".\r\n", "", DOTLINE_END, 0, false},
        {"a\r\n.\r\nQUIT", "a\r\n", DOTLINE_END, 4, false},
        {"a\r\n..\r\n.\r\n", "a\r\n.\r\n", DOTLINE_END, 0, false},
        {"..a\r\n.b\r\n...\r\na.\r\n.\r\n", ".a\r\nb\r\n..\r\na.\r\n", DOTLINE_END, 0, false},
        {"a\n.\r\n", "a", DOTLINE_BARE_LF, 3, false},
        {"a\r\n.\n", "a\r\n", DOTLINE_BARE_LF, 0, false},
        {"a\n\n.\n\n", "a", DOTLINE_BARE_LF, 4, false},
        {"a\r.\r\n", "a\r", DOTLINE_BARE_CR, 2, false},
        {"a\r\n.\r.\r\n", "a\r\n", DOTLINE_BARE_CR, 2, false},
        {"a\r\r\n.\r\r\n", "a\r", DOTLINE_BARE_CR, 5, false},
        {"a\r\n.\r\0", "a\r\n", DOTLINE_MORE, 0, false},
        {"\n", "", DOTLINE_BARE_LF, 0, false},
        {"\r\n\r\n.\r\n", "\r\n\r\n", DOTLINE_END, 0, false},
        {"12345678\r\n.\r\n", "12345678\r\n", DOTLINE_END, 0, false},
        {".12345678\r\n.\r\n", "12345678\r\n", DOTLINE_END, 0, false},
        {"123456789\r\nx\r\n.\r\n", "123456789\r\nx\r\n", DOTLINE_END, 0, true},
        {"a\r\n12345678901234\r\n12345678901\r\n.\r\n", "a\r\n12345678901234\r\n12345678901\r\n",
         DOTLINE_END, 0, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str in = str_from(rows[i].in);
        for (size_t piece = 1; piece <= in.n; piece++) {
            struct outcome o = scan(in, piece, true, 10);
            assert_str(buf_str(&o.content), rows[i].content);
            assert_int_equal(o.last, rows[i].last);
            assert_int_equal(in.n - o.consumed, rows[i].left);
            assert_int_equal(o.is_long, rows[i].is_long);
            buf_free(&o.content);
        }
    }
}

static void test_nul_is_found_where_it_stands(void **state)
{
    (void)state;
    struct str in = STR("first\r\nsec\0nd\r\nthird\r\n.\r\n");
    for (size_t piece = 1; piece <= in.n; piece++) {
        struct outcome o = scan(in, piece, true, 1000);
        assert_str(buf_str(&o.content), "first\r\nsec");
        assert_int_equal(o.last, DOTLINE_NUL);
        buf_free(&o.content);
    }
}

static void test_bdat_content_has_no_dots(void **state)
{
    (void)state;
    struct str in = STR("a\r\n.\r\n..b\r\nopen");
    for (size_t piece = 1; piece <= in.n; piece++) {
        struct outcome o = scan(in, piece, false, 1000);
        assert_str(buf_str(&o.content), "a\r\n.\r\n..b\r\nopen");
        assert_int_equal(o.last, DOTLINE_MORE);
        buf_free(&o.content);
    }
}

static void test_clean_content_is_one_slice(void **state)
{
    (void)state;
    static char body[4096];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'x';
    struct dotline_scanner s = dotline_scanner_make(true, 1000);
    enum dotline_found found;
    struct str content;
    assert_int_equal(dotline_scan(&s, str_make(body, sizeof body), &found, &content), sizeof body);
    assert_int_equal(found, DOTLINE_CONTENT);
    assert_ptr_equal(content.p, body);
    assert_int_equal(content.n, sizeof body);
    assert_false(dotline_scanner_has_open_cr(&s));
}

static void test_stuffed_content_comes_back(void **state)
{
    (void)state;
    static const struct {
        const char *content, *wire;
    } rows[] = {
        {"", ".\r\n"},
        {"a\r\n", "a\r\n.\r\n"},
        {"a", "a\r\n.\r\n"},
        {".\r\n", "..\r\n.\r\n"},
        {"..\r\n.a\r\nb.\r\n\r\n.", "...\r\n..a\r\nb.\r\n\r\n..\r\n.\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str in = str_from(rows[i].content);
        for (size_t piece = 1; piece <= in.n + 1; piece++) {
            struct dotline_stuffer s = {0};
            struct buf wire = buf_make(1024);
            for (size_t at = 0; at < in.n; at += piece) {
                struct str part = str_head(str_skip(in, at), piece), out;
                while (dotline_stuff(&s, &part, &out))
                    assert_true(buf_append(&wire, out));
            }
            assert_true(buf_append(&wire, dotline_stuff_end(&s)));
            assert_str(buf_str(&wire), rows[i].wire);
            struct outcome o = scan(buf_str(&wire), 3, true, 1000);
            assert_int_equal(o.last, DOTLINE_END);
            assert_true(str_equal(str_head(buf_str(&o.content), in.n), in));
            buf_free(&o.content);
            buf_free(&wire);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_and_its_end),
        cmocka_unit_test(test_nul_is_found_where_it_stands),
        cmocka_unit_test(test_bdat_content_has_no_dots),
        cmocka_unit_test(test_clean_content_is_one_slice),
        cmocka_unit_test(test_stuffed_content_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
