/* SPDX-License-Identifier: ISC */
/*
 * test_mail_address.c - addresses, domain names and literals
 */
#include "mail/address.h"
#include "mail/idna.h"

#include "mail_test.h"

#define L64 "1234567890123456789012345678901234567890123456789012345678901234"
#define D63 "a12345678901234567890123456789012345678901234567890123456789012"
#define D189                                                                                       \
    D63 "." D63 "."                                                                                \
        "a123456789012345678901234567890123456789012345678901234567890"

enum { ALL = ADDRESS_ALLOW_NULL | ADDRESS_ALLOW_POSTMASTER | ADDRESS_ALLOW_UTF8 };

static void test_paths_that_are_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *path, *local, *domain, *printed;
        enum address_kind kind;
    } rows[] = {
        {"<a@b>", "a", "b", "<a@b>", ADDRESS_DOMAIN},
        {"<Bob.Smith+x@EXAMPLE.Org>", "Bob.Smith+x", "example.org", "<Bob.Smith+x@example.org>",
         ADDRESS_DOMAIN},
        {"<>", "", "", "<>", ADDRESS_NULL},
        {"<PostMaster>", "PostMaster", "", "<PostMaster>", ADDRESS_POSTMASTER},
        {"<@one.test,@two.test:joe@three.test>", "joe", "three.test", "<joe@three.test>",
         ADDRESS_DOMAIN},
        {"<\"bob\"@b>", "bob", "b", "<bob@b>", ADDRESS_DOMAIN},
        {"<\"b\\o\\b\"@b>", "bob", "b", "<bob@b>", ADDRESS_DOMAIN},
        {"<\"a b>\"@b>", "a b>", "b", "<\"a b>\"@b>", ADDRESS_DOMAIN},
        {"<\"a\\\"\\\\\"@b>", "a\"\\", "b", "<\"a\\\"\\\\\"@b>", ADDRESS_DOMAIN},
        {"<\"\"@b>", "", "b", "<\"\"@b>", ADDRESS_DOMAIN},
        {"<\".a\"@b>", ".a", "b", "<\".a\"@b>", ADDRESS_DOMAIN},
        {"<\"a..b\"@b>", "a..b", "b", "<\"a..b\"@b>", ADDRESS_DOMAIN},
        {"<a@[192.0.2.1]>", "a", "[192.0.2.1]", "<a@[192.0.2.1]>", ADDRESS_LITERAL},
        {"<a@[ipv6:2001:DB8:0::1]>", "a", "[IPv6:2001:db8::1]", "<a@[IPv6:2001:db8::1]>",
         ADDRESS_LITERAL},
        {"<" L64 "@b>", L64, "b", "<" L64 "@b>", ADDRESS_DOMAIN},
        {"<" L64 "@" D189 ">", L64, D189, "<" L64 "@" D189 ">", ADDRESS_DOMAIN},
        {"<a@" D189 ">", "a", D189, "<a@" D189 ">", ADDRESS_DOMAIN},
        {"<j\xC3\xB6rg@b\xC3\xBC"
         "cher.test>",
         "j\xC3\xB6rg",
         "b\xC3\xBC"
         "cher.test",
         "<j\xC3\xB6rg@b\xC3\xBC"
         "cher.test>",
         ADDRESS_DOMAIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = arena_make(4096);
        struct buf printed = buf_make(1024);
        struct address a, again;
        struct str in = str_from(rows[i].path);
        if (!address_parse_path(&arena, &in, ALL, &a))
            fail_msg("refused %s", rows[i].path);
        assert_int_equal(in.n, 0);
        assert_int_equal(a.kind, rows[i].kind);
        assert_int_equal(a.is_null, rows[i].kind == ADDRESS_NULL);
        assert_int_equal(a.is_utf8, str_has_8bit(str_from(rows[i].path)));
        assert_str(a.local, rows[i].local);
        assert_str(a.domain, rows[i].domain);
        assert_true(address_print_path(&printed, &a));
        assert_str(buf_str(&printed), rows[i].printed);
        in = buf_str(&printed);
        assert_true(address_parse_path(&arena, &in, ALL, &again));
        assert_true(address_equal(&a, &again));
        buf_free(&printed);
        arena_free(&arena);
    }
}

static void test_paths_that_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "<",
        "a@b",
        "<a@b",
        "<a>",
        "<@b>",
        "<a@>",
        "<.a@b>",
        "<a.@b>",
        "<a..b@b>",
        "<a b@b>",
        "<a@b c>",
        "<a@b,c>",
        "<a@-b>",
        "<a@b->",
        "<a@b..c>",
        "<a@b.>",
        "<a@.b>",
        "<a@under_score.x>",
        "<\"a@b>",
        "<\"a\"b@c>",
        "<\"a\r\n\"@b>",
        "<\"a\\",
        "<a@[1.2.3]>",
        "<a@[1.2.3.4.5]>",
        "<a@[256.2.3.4]>",
        "<a@[2001:db8::1]>",
        "<a@[IPv6:fe80::1%eth0]>",
        "<a@[tag:x]>",
        "<a@[1.2.3.4>",
        "<@a:>",
        "<@a,b:c@d>",
        "<@a;c@d>",
        "<x" L64 "@b>",
        "<\". " L64 "\"@b>",
        "<\"\\\"" L64 "\"@b>",
        "<a@x" D63 ".org>",
        "<" L64 "@" D189 "x>",
        "<a@" D189 "." D63 ".x>",
        "<a\x01@b>",
        "<\xFF@b>",
        "<\xC2\x85@b>",
        "<a@\xE2\x80\x8B>",
        "<a@\xFF>",
        "<a\x7F@b>",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = arena_make(4096);
        struct address a;
        struct str in = str_from(rows[i]);
        if (address_parse_path(&arena, &in, ALL, &a) && in.n == 0)
            fail_msg("accepted %s", rows[i]);
        arena_free(&arena);
    }
}

static void test_what_is_not_allowed_is_refused(void **state)
{
    (void)state;
    struct arena arena = arena_make(4096);
    struct address a;
    struct str in = STR("<>");
    assert_false(address_parse_path(&arena, &in, 0, &a));
    in = STR("<postmaster>");
    assert_false(address_parse_path(&arena, &in, 0, &a));
    in = STR("<\xC3\xB6@b>");
    assert_false(address_parse_path(&arena, &in, 0, &a));
    in = STR("<a@b\xC3\xBC.test>");
    assert_false(address_parse_path(&arena, &in, 0, &a));
    arena_free(&arena);
    struct arena full = arena_make(8);
    in = STR("<longer.than.that@example.org>");
    assert_false(address_parse_path(&full, &in, ALL, &a));
    assert_int_equal(in.n, 30);
}

static void test_path_leaves_what_follows(void **state)
{
    (void)state;
    struct arena arena = arena_make(4096);
    struct address a;
    struct str in = STR("<\"a> b\"@c> SIZE=1");
    assert_true(address_parse_path(&arena, &in, 0, &a));
    assert_str(in, " SIZE=1");
    assert_true(address_parse(&arena, STR("bob@Example.org"), 0, &a));
    assert_str(a.domain, "example.org");
    assert_str(address_text(&arena, &a), "bob@example.org");
    assert_false(address_parse(&arena, STR("bob@example.org "), 0, &a));
    assert_false(address_parse(&arena, STR("bob"), 0, &a));
    assert_false(address_parse(&arena, STR(""), 0, &a));
    assert_true(address_parse(&arena, STR(""), ADDRESS_ALLOW_NULL, &a));
    arena_free(&arena);
}

static void test_atoms_are_made_of_atext_only(void **state)
{
    (void)state;
    static const char atext[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "!#$%&'*+-/=?^_`{|}~";
    for (int c = 1; c < 128; c++) {
        struct arena arena = arena_make(4096);
        struct address a;
        char text[] = {'x', (char)c, 'y', '@', 'z'};
        bool is_expected = strchr(atext, c) != NULL || c == '.';
        assert_int_equal(address_parse(&arena, str_make(text, sizeof text), 0, &a), is_expected);
        arena_free(&arena);
    }
}

static void test_equal_addresses(void **state)
{
    (void)state;
    struct arena arena = arena_make(4096);
    struct address a, b;
    address_parse(&arena,
                  STR("x@b\xC3\xBC"
                      "cher.test"),
                  ALL, &a);
    address_parse(&arena, STR("x@xn--bcher-kva.TEST"), ALL, &b);
    assert_true(address_equal(&a, &b));
    struct address copy = address_copy(&arena, &a);
    assert_true(address_equal(&a, &copy));
    address_parse(&arena, STR("X@xn--bcher-kva.test"), ALL, &b);
    assert_false(address_equal(&a, &b));
    arena_free(&arena);
}

static void test_domains(void **state)
{
    (void)state;
    char ascii[IDNA_DOMAIN_MAX], literal_text[IDNA_LITERAL_MAX];
    assert_str(idna_to_ascii(STR("B\xC3\x9C"
                                 "CHER.Example"),
                             ascii),
               "xn--bcher-kva.example");
    assert_str(idna_to_ascii(STR("Mail.Example"), ascii), "mail.example");
    assert_int_equal(idna_to_ascii(STR("a_b.example"), ascii).n, 0);
    assert_int_equal(idna_to_ascii(STR("a\0b"), ascii).n, 0);
    assert_false(idna_domain_is_valid(STR("b\xC3\xBC"
                                          "cher.test"),
                                      false));
    assert_true(idna_domain_is_valid(STR("b\xC3\xBC"
                                         "cher.test"),
                                     true));
    struct buf out = buf_make(256);
    assert_true(idna_to_unicode(STR("mx.xn--bcher-kva.example"), &out));
    assert_str(buf_str(&out), "mx.b\xC3\xBC"
                              "cher.example");
    /* U-labels that nobody may look up, alone or beside each other, are not shown. */
    static const char *const kept[] = {"xn--mnchenjj.example", "xn--j.xn--38o", "xn--", ""};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        out.used = 0;
        assert_true(idna_to_unicode(str_from(kept[i]), &out));
        assert_str(buf_str(&out), kept[i]);
    }
    buf_free(&out);
    assert_true(idna_equal(STR("A.b"), STR("a.B")));
    assert_false(idna_equal(STR("a.b"), STR("a.c")));
    struct idna_literal literal;
    assert_true(idna_literal_parse(STR("[IPv6:::ffff:192.0.2.1]"), &literal));
    assert_true(literal.is_ipv6);
    assert_str(idna_literal_print(&literal, literal_text), "[IPv6:::ffff:192.0.2.1]");
    assert_false(idna_literal_parse(STR("[]"), &literal));
    assert_false(idna_literal_parse(STR("["), &literal));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_that_are_accepted),
        cmocka_unit_test(test_paths_that_are_refused),
        cmocka_unit_test(test_what_is_not_allowed_is_refused),
        cmocka_unit_test(test_path_leaves_what_follows),
        cmocka_unit_test(test_atoms_are_made_of_atext_only),
        cmocka_unit_test(test_equal_addresses),
        cmocka_unit_test(test_domains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
