/* SPDX-License-Identifier: ISC */
/*
 * test_proxy.c - the PROXY header: both versions, octet by octet, and its bounds
 */
#include "proto/proxy.h"
#include "mail_test.h"

#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* Every beginning wants more; the whole gives the result, and so does it with bytes behind it. */
static void assert_header(struct str header, enum proxy_result expected, const char *source)
{
    char text[IP_TEXT_MAX], longer[300];
    struct ip_endpoint found;
    size_t size;
    for (size_t n = 0; n < header.n; n++)
        assert_int_equal(proxy_parse(str_head(header, n), &size, &found), PROXY_MORE);
    memcpy(longer, header.p, header.n);
    memcpy(longer + header.n, "EHLO x", 6);
    for (size_t n = header.n; n <= header.n + 6; n++) {
        assert_int_equal(proxy_parse(str_make(longer, n), &size, &found), expected);
        assert_int_equal(size, header.n);
        if (source)
            assert_str(ip_endpoint_format(&found, text), source);
    }
}

static void assert_bad(struct str header)
{
    struct ip_endpoint found;
    size_t size;
    assert_int_equal(proxy_parse(header, &size, &found), PROXY_BAD);
}

static void test_version_1(void **state)
{
    (void)state;
    assert_header(STR("PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n"), PROXY_SOURCE,
                  "192.0.2.1@56324");
    assert_header(STR("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"), PROXY_SOURCE, "2001:db8::1@1");
    assert_header(STR("PROXY UNKNOWN whatever\r\n"), PROXY_UNKNOWN, NULL);
}

static void test_version_1_is_strict(void **state)
{
    (void)state;
    assert_bad(STR("EHLO x\r\n"));
    assert_bad(STR("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n"));
    assert_bad(STR("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"));
    assert_bad(STR("PROXY TCP4 ::1 ::1 1 2\r\n"));
    assert_bad(STR("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"));
    assert_bad(STR("PROXY TCP4 1.2.3.4 1.2.3 1 2\r\n"));
    assert_bad(STR("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"));
    assert_bad(STR("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"));
    assert_bad(STR("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"));
    assert_bad(STR("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"));
}

static void test_version_1_has_107_octets_at_most(void **state)
{
    (void)state;
    char line[120] = "PROXY UNKNOWN ";
    memset(line + 14, 'x', sizeof line - 14);
    memcpy(line + 105, "\r\n", 2);
    assert_header(str_make(line, 107), PROXY_UNKNOWN, NULL);
    memcpy(line + 105, "x\r\n", 3);
    assert_bad(str_make(line, 108));
    memset(line + 105, 'x', 10);
    assert_bad(str_make(line, 107)); /* no end in sight */
}

static void test_version_2(void **state)
{
    (void)state;
    assert_header(
        STR(V2_SIGNATURE "\x21\x11\x00\x0C\xC0\x00\x02\x01\xC0\x00\x02\x02\xDC\x04\x00\x19"),
        PROXY_SOURCE, "192.0.2.1@56324");
    assert_header(
        STR(V2_SIGNATURE "\x21\x11\x00\x0F\xC0\x00\x02\x01\xC0\x00\x02\x02\xDC\x04\x00\x19TLV"),
        PROXY_SOURCE, "192.0.2.1@56324");
    assert_header(STR(V2_SIGNATURE "\x21\x21\x00\x24\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x01"
                                   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x07\x00\x19"),
                  PROXY_SOURCE, "2001:db8::1@7");
    assert_header(STR(V2_SIGNATURE "\x20\x00\x00\x00"), PROXY_UNKNOWN, NULL);
    assert_header(STR(V2_SIGNATURE "\x21\x31\x00\x02xx"), PROXY_UNKNOWN, NULL);
}

static void test_version_2_is_strict(void **state)
{
    (void)state;
    assert_bad(STR(V2_SIGNATURE "\x11\x11\x00\x0C")); /* version 1 */
    assert_bad(STR(V2_SIGNATURE "\x22\x11\x00\x0C")); /* no such command */
    assert_bad(STR(V2_SIGNATURE "\x21\x11\x04\x01")); /* 1025 octets */
    assert_bad(STR(V2_SIGNATURE "\x21\x11\x00\x0B"
                                "abcdefghijk")); /* too short for IPv4 */
    assert_bad(STR(V2_SIGNATURE "\x21\x21\x00\x0C"
                                "abcdefghijkl")); /* too short for IPv6 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_1),
        cmocka_unit_test(test_version_1_is_strict),
        cmocka_unit_test(test_version_1_has_107_octets_at_most),
        cmocka_unit_test(test_version_2),
        cmocka_unit_test(test_version_2_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
