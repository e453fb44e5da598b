/* SPDX-License-Identifier: ISC */
/*
 * test_ip.c - addresses, networks, endpoints and host names
 */
#include "base/hostname.h"
#include "base/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_str(struct str got, const char *expected)
{
    assert_int_equal(got.n, strlen(expected));
    assert_memory_equal(got.p, expected, got.n);
}

static void test_addresses_round_trip(void **state)
{
    static const char *const texts[] = {
        "192.0.2.1", "0.0.0.0", "::", "::1", "2001:db8::25", "fe80::1:0:0:2"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct ip_address ip;
        char text[IP_TEXT_MAX];
        assert_true(ip_parse(str_from(texts[i]), &ip));
        assert_str(ip_format(&ip, text), texts[i]);
        assert_int_equal(ip_is_v4(&ip), !strchr(texts[i], ':'));
    }
}

static void test_mapped_address_is_the_ipv4_address(void **state)
{
    (void)state;
    struct ip_address plain, mapped;
    assert_true(ip_parse(STR("192.0.2.1"), &plain));
    assert_true(ip_parse(STR("::ffff:192.0.2.1"), &mapped));
    assert_true(ip_equal(&plain, &mapped));
}

static void test_what_is_no_address_is_refused(void **state)
{
    const struct str texts[] = {STR(""),         STR("1.2.3"),     STR("1.2.3.256"),
                                STR("01.2.3.4"), STR(" 1.2.3.4"),  STR("[::1]"),
                                STR("::1%lo"),   STR("1.2.3.4\0"), STR("1::2::3")};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct ip_address ip;
        assert_false(ip_parse(texts[i], &ip));
    }
}

static bool is_inside(const char *network_text, const char *address_text)
{
    struct ip_network network;
    struct ip_address ip;
    assert_true(ip_network_parse(str_from(network_text), &network));
    assert_true(ip_parse(str_from(address_text), &ip));
    return ip_network_contains(&network, &ip);
}

static void test_network_holds_its_addresses_only(void **state)
{
    (void)state;
    assert_true(is_inside("10.0.0.0/8", "10.255.0.1"));
    assert_false(is_inside("10.0.0.0/8", "11.0.0.0"));
    assert_true(is_inside("192.0.2.128/25", "192.0.2.128"));
    assert_false(is_inside("192.0.2.128/25", "192.0.2.127"));
    assert_true(is_inside("192.0.2.1", "192.0.2.1"));
    assert_false(is_inside("192.0.2.1", "192.0.2.2"));
    assert_true(is_inside("0.0.0.0/0", "203.0.113.9"));
    assert_false(is_inside("0.0.0.0/0", "2001:db8::1"));
    assert_true(is_inside("::/0", "203.0.113.9"));
    assert_true(is_inside("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(is_inside("2001:db8::/33", "2001:db8:8000::1"));
}

static void test_networks_round_trip_and_are_strict(void **state)
{
    static const char *const good[] = {"10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::/0"};
    static const char *const bad[] = {"10.0.0.1/8", "10.0.0.0/33",  "::/129",
                                      "10.0.0.0/",  "10.0.0.0/8/8", "/8"};
    (void)state;
    struct ip_network network;
    char text[IP_TEXT_MAX];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(ip_network_parse(str_from(good[i]), &network));
        assert_str(ip_network_format(&network, text), good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(ip_network_parse(str_from(bad[i]), &network));
    struct ip_address ip;
    assert_true(ip_parse(STR("192.0.2.77"), &ip));
    network = ip_network_around(&ip, 24);
    assert_str(ip_network_format(&network, text), "192.0.2.0/24");
    assert_true(ip_parse(STR("127.9.9.9"), &ip));
    assert_true(ip_is_loopback(&ip));
    assert_true(ip_parse(STR("::1"), &ip));
    assert_true(ip_is_loopback(&ip));
    assert_true(ip_parse(STR("::2"), &ip));
    assert_false(ip_is_loopback(&ip));
}

static void test_endpoints(void **state)
{
    (void)state;
    struct ip_endpoint endpoint;
    char text[IP_TEXT_MAX];
    assert_true(ip_endpoint_parse(STR("127.0.0.1@5353"), 53, &endpoint));
    assert_str(ip_endpoint_format(&endpoint, text), "127.0.0.1@5353");
    assert_true(ip_endpoint_parse(STR("::1"), 53, &endpoint));
    assert_str(ip_endpoint_format(&endpoint, text), "::1@53");
    assert_false(ip_endpoint_parse(STR("::1@"), 53, &endpoint));
    assert_false(ip_endpoint_parse(STR("::1@0"), 53, &endpoint));
    assert_false(ip_endpoint_parse(STR("::1@65536"), 53, &endpoint));
}

static void test_endpoints_with_a_colon(void **state)
{
    (void)state;
    struct ip_endpoint endpoint;
    char text[IP_TEXT_MAX];
    const struct {
        struct str in;
        uint16_t port; /* by default */
        const char *out;
    } good[] = {{STR("192.0.2.1:5353"), 0, "192.0.2.1@5353"},
                {STR("192.0.2.1"), 53, "192.0.2.1@53"},
                {STR("[::1]:5353"), 53, "::1@5353"},
                {STR("[::1]"), 53, "::1@53"},
                {STR("::1"), 53, "::1@53"},
                {STR("localhost:1"), 53, "127.0.0.1@1"},
                {STR("::1@5353"), 53, "::1@5353"},
                {STR("[::1]@5353"), 0, "::1@5353"},
                {STR("192.0.2.1@5353"), 0, "192.0.2.1@5353"}};
    const struct str bad[] = {STR(""),
                              STR(":53"),
                              STR("192.0.2.1:"),
                              STR("192.0.2.1:0"),
                              STR("[]:53"),
                              STR("[::1:53"),
                              STR("192.0.2:53"),
                              STR("192.0.2.1:65536"),
                              STR("[::1]x"),
                              STR("dns.test:53"),
                              STR("192.0.2.1:53:53"),
                              STR("192.0.2.1:53@53"),
                              STR("192.0.2.1@53:53"),
                              STR("@53")};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(ip_endpoint_parse(good[i].in, good[i].port, &endpoint));
        assert_str(ip_endpoint_format(&endpoint, text), good[i].out);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ip_endpoint_parse(bad[i], 53, &endpoint));
    assert_false(ip_endpoint_parse(STR("192.0.2.1"), 0, &endpoint));
}

static void test_host_names(void **state)
{
    const struct str good[] = {STR("a"), STR("mx-1.example.test"), STR("_25._tcp.mx.example"),
                               STR("1.2.3.4")};
    const struct str bad[] = {STR(""),
                              STR("."),
                              STR(".a"),
                              STR("a."),
                              STR("a..b"),
                              STR("-a.b"),
                              STR("a-.b"),
                              STR("a b"),
                              STR("a\0b"),
                              STR("b\xC3\xBC"
                                  "cher"),
                              STR("a@b")};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(hostname_is_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(hostname_is_valid(bad[i]));
    char longest[256];
    memset(longest, 'a', sizeof longest);
    assert_true(hostname_is_valid(str_make(longest, 63)));
    assert_false(hostname_is_valid(str_make(longest, 64)));
    for (size_t i = 63; i < sizeof longest; i += 64)
        longest[i] = '.';
    assert_true(hostname_is_valid(str_make(longest, 253)));
    assert_false(hostname_is_valid(str_make(longest, 254)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_round_trip),
        cmocka_unit_test(test_mapped_address_is_the_ipv4_address),
        cmocka_unit_test(test_what_is_no_address_is_refused),
        cmocka_unit_test(test_network_holds_its_addresses_only),
        cmocka_unit_test(test_networks_round_trip_and_are_strict),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_endpoints_with_a_colon),
        cmocka_unit_test(test_host_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
