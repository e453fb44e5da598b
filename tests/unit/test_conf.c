/* SPDX-License-Identifier: ISC */
/*
 * test_conf.c - eilbote.conf: values, defaults, derived values, and each error's exact words
 */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/file.h"

static char folder[] = "/tmp/eilbote-test-conf-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/eilbote.conf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_tree(folder).kind == FAULT_FINE ? 0 : -1;
}

static struct fault load(const char *text, struct conf **out)
{
    assert_int_equal(file_save(path, str_from(text), 0600).kind, FAULT_FINE);
    return conf_load(path, out);
}

static struct conf *load_good(const char *text)
{
    struct conf *c;
    struct fault f = load(text, &c);
    assert_string_equal(f.text, "");
    assert_non_null(c);
    return c;
}

/* The file's text gives this error; %s in it stands for the path. */
static void assert_error(const char *text, const char *expected)
{
    struct conf *c;
    struct fault f = load(text, &c);
    assert_null(c);
    assert_int_equal(f.kind, FAULT_NEVER);
    assert_memory_equal(f.text, path, strlen(path));
    assert_string_equal(f.text + strlen(path), expected);
}

static void assert_str(struct str got, const char *expected)
{
    assert_int_equal(got.n, strlen(expected));
    if (got.n > 0)
        assert_memory_equal(got.p, expected, got.n);
}

static void test_defaults(void **state)
{
    (void)state;
    struct conf *c = load_good("hostname = mx.example.test\n");
    assert_str(c->hostname, "mx.example.test");
    assert_str(c->state_directory, folder);
    assert_int_equal(c->limits.message_size_bytes, 50 * 1024 * 1024);
    assert_int_equal(c->limits.recipient_max, 1000);
    assert_int_equal(c->limits.line_size_bytes, 1000);
    assert_int_equal(c->limits.command_timeout_ms, 5 * 60 * 1000);
    assert_int_equal(c->queue.retry_first_ms, 60 * 1000);
    assert_int_equal(c->queue.retry_max_ms, 4 * 3600 * 1000);
    assert_int_equal(c->queue.bounce_after_ms, 5 * 24 * 3600 * 1000);
    assert_int_equal(c->delivery.end_timeout_ms, 10 * 60 * 1000);
    assert_true(c->resolver.is_validating);
    assert_int_equal(c->resolver.edns_size_bytes, 1232);
    assert_int_equal(c->tls_minimum, CONF_TLS_VERSION_1_2);
    assert_int_equal(c->listener_count, 0);
    assert_int_equal(c->smarthost.host.n, 0);
    assert_int_equal(c->local.protocol, CONF_PROTOCOL_LMTP);
    assert_true(str_ends_nocase(c->local.path, STR("/lmtp.sock")));
    assert_int_equal(c->log_count, 10);
    conf_free(c);
}

static const char full[] = "# a comment\n"
                           "hostname = \"MX.example.test\"\n"
                           "state-directory = \"state\"\n"
                           "port-offset = 2000\n"
                           "mta-user = eilbote-mta\n"
                           "mda-user = \"61102:61100\"\n"
                           "relay-domains = {\"backup.example\", \".sub.example\"}\n"
                           "limits {\n"
                           "    message-size = 10M\n"
                           "    sessions-per-address = 7\n"
                           "}\n"
                           "certificate \"main\" {\n"
                           "    chain = \"tls/cert.pem\"\n"
                           "    key = \"/etc/tls/key.pem\"\n"
                           "}\n"
                           "tls {\n"
                           "    minimum = 1.3\n"
                           "}\n"
                           "listener \"mx\" {\n"
                           "    role = mx\n"
                           "    address = {\"127.0.0.1\", \"::1\"}\n"
                           "    trust = {\"10.0.0.0/8\"}\n"
                           "    proxy-from = {\"192.0.2.7\"}\n"
                           "    sessions-per-address = 9\n"
                           "    greeting-delay = 1s500ms\n"
                           "}\n"
                           "listener \"tls\" {\n"
                           "    role = submissions\n"
                           "    port = 4650\n"
                           "}\n"
                           "listener \"lmtp\" {\n"
                           "    role = lmtp\n"
                           "    path = \"lmtp.sock\"\n"
                           "}\n"
                           "smarthost {\n"
                           "    host = \"smtp.example.net\"\n"
                           "    tls = verify\n"
                           "    username = \"us$er\\\"\"\n"
                           "    password-file = \"relay.password\"\n"
                           "}\n"
                           "transport \"Example.NET\" {\n"
                           "    host = \"192.0.2.9\"\n"
                           "}\n"
                           "transport \".example.net\" {\n"
                           "    protocol = lmtp\n"
                           "    path = \"/run/dovecot/lmtp\"\n"
                           "}\n"
                           "delivery {\n"
                           "    source-address = {\"192.0.2.1\", \"2001:db8::1\"}\n"
                           "}\n"
                           "resolver {\n"
                           "    server = {\"127.0.0.1@5353\", \"::1\"}\n"
                           "    validate = off\n"
                           "}\n"
                           "stub-zone \"test\" {\n"
                           "    server = {\"127.0.0.1@5300\"}\n"
                           "}\n";

static void test_listeners(void **state)
{
    (void)state;
    struct conf *c = load_good(full);
    assert_str(c->hostname, "mx.example.test");
    assert_true(str_ends_nocase(c->state_directory, STR("/state")));
    assert_int_equal(c->listener_count, 3);
    const struct conf_listener *mx = &c->listener[0], *tls = &c->listener[1];
    assert_str(mx->name, "mx");
    assert_int_equal(mx->role, CONF_ROLE_MX);
    assert_int_equal(mx->port, 2025);
    assert_int_equal(mx->tls, CONF_TLS_STARTTLS);
    assert_int_equal(mx->address.count, 2);
    assert_int_equal(mx->limits.address_session_max, 9);
    assert_int_equal(mx->limits.message_size_bytes, 10 * 1024 * 1024);
    assert_int_equal(mx->limits.greeting_delay_ms, 1500);
    assert_int_equal(tls->port, 6650);
    assert_int_equal(tls->tls, CONF_TLS_IMPLICIT);
    assert_int_equal(tls->address.count, 2);
    assert_int_equal(tls->limits.address_session_max, 7);
    assert_true(str_ends_nocase(c->listener[2].path, STR("/state/lmtp.sock")));
    assert_int_equal(c->listener[2].tls, CONF_TLS_NONE);
    struct ip_address ip;
    assert_true(ip_parse(STR("10.1.2.3"), &ip));
    assert_true(conf_networks_contain(&mx->trust, &ip));
    assert_false(conf_networks_contain(&mx->proxy_from, &ip));
    assert_false(conf_networks_contain(&tls->trust, &ip));
    conf_free(c);
}

static void test_where_mail_goes(void **state)
{
    (void)state;
    struct conf *c = load_good(full);
    assert_str(c->smarthost.host, "smtp.example.net");
    assert_int_equal(c->smarthost.port, 587);
    assert_int_equal(c->smarthost.tls, CONF_PEER_TLS_VERIFY);
    assert_str(c->smarthost.username, "us$er\"");
    assert_ptr_equal(conf_transport(c, STR("example.net")), &c->transport[0]);
    assert_ptr_equal(conf_transport(c, STR("a.b.example.net")), &c->transport[1]);
    assert_null(conf_transport(c, STR("notexample.net")));
    assert_true(conf_is_relay_domain(c, STR("backup.example")));
    assert_false(conf_is_relay_domain(c, STR("x.backup.example")));
    assert_true(conf_is_relay_domain(c, STR("x.sub.example")));
    assert_false(conf_is_relay_domain(c, STR("sub.example")));
    conf_free(c);
    c = load_good("hostname = a.test\nrelay-domains = {\"xn--bcher-kva.test\"}\n"
                  "transport \".xn--bcher-kva.test\" {\n host = h.test\n}\n"
                  "reports {\n address = {\"r@xn--bcher-kva.test\"}\n}\n");
    assert_ptr_equal(conf_transport(c, STR("x.b\xc3\xbc"
                                           "cher.test")),
                     &c->transport[0]);
    assert_true(conf_is_relay_domain(c, STR("b\xc3\xbc"
                                            "cher.test")));
    assert_true(conf_is_report_address(c, STR("R"),
                                       STR("b\xc3\xbc"
                                           "cher.test")));
    conf_free(c);
    c = load_good(full);
    assert_int_equal(c->delivery.source.count, 2);
    assert_false(c->resolver.is_validating);
    assert_int_equal(c->resolver.server.item[0].port, 5353);
    assert_int_equal(c->resolver.server.item[1].port, 53);
    assert_str(c->stub_zone[0].zone, "test");
    assert_str(c->certificate[0].key, "/etc/tls/key.pem");
    assert_true(str_ends_nocase(c->certificate[0].chain, STR("/state/tls/cert.pem")));
    conf_free(c);
}

static void test_printed_configuration_reads_back_the_same(void **state)
{
    (void)state;
    struct conf *c = load_good(full);
    struct buf first = buf_make(1 << 20), second = buf_make(1 << 20);
    assert_true(conf_print(c, &first));
    conf_free(c);
    assert_true(buf_append_byte(&first, '\0'));
    c = load_good(first.data);
    assert_true(conf_print(c, &second));
    conf_free(c);
    assert_int_equal(first.used - 1, second.used);
    assert_memory_equal(first.data, second.data, second.used);
    assert_true(str_find(buf_str(&second), STR("    greeting-delay = 1500ms\n")) < second.used);
    assert_true(str_find(buf_str(&second), STR("    trust = {\"10.0.0.0/8\"}\n")) < second.used);
    buf_free(&first);
    buf_free(&second);
}

static void test_wrong_values_are_named_with_what_is_allowed(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"hostname = mx.test\nhostnam = a\n",
         ":2: unknown option \"hostnam\"; did you mean \"hostname\"?"},
        {"limits {\n  mesage-size = 1M\n}\n",
         ":2: unknown option \"mesage-size\"; did you mean \"message-size\"?"},
        {"limits {\n  message-size = 50X\n}\n",
         ":2: message-size is \"50X\"; allowed: a size from 64K to 2G"},
        {"limits {\n  message-size = 1K\n}\n",
         ":2: message-size is \"1K\"; allowed: a size from 64K to 2G"},
        {"queue {\n\n  bounce-after = \"5 days\"\n}\n",
         ":3: bounce-after is \"5 days\"; allowed: a duration from 1s to 90d"},
        {"port-offset = -1\n", ":1: port-offset is \"-1\"; allowed: a number from 0 to 60000"},
        {"listener \"a\" {\n role = mxx\n}\n",
         ":2: role is \"mxx\"; allowed: mx, submission, submissions, local, lmtp, pop3, pop3s"},
        {"listener \"a\" {\n trust = {\"10.0.0.1/8\"}\n}\n",
         ":2: trust is \"10.0.0.1/8\"; allowed: a network like 192.0.2.0/24 or 2001:db8::/32"},
        {"listener \"a\" {\n address = {\"::1\", \"localhost\"}\n}\n",
         ":2: address is \"localhost\"; allowed: an IPv4 or IPv6 address"},
        {"resolver {\n server = {\"127.0.0.1:0\"}\n}\n",
         ":2: server is \"127.0.0.1:0\"; allowed: an address, ADDRESS@PORT or ADDRESS:PORT"},
        {"resolver {\n validate = maybe\n}\n", ":2: validate is \"maybe\"; allowed: on, off"},
        {"hostname = \"mail server\"\n",
         ":1: hostname is \"mail server\"; allowed: a domain name in ASCII, like "
         "mail.example.org"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_error(rows[i].text, rows[i].error);
}

static void test_contradictions_are_named(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"port-offset = 1\n",
         ": hostname is missing; it is this host's name, like mail.example.org"},
        {"# hostname = a.test\ntls {\n}\nhostname = .a.test\n",
         ":4: hostname is \".a.test\"; allowed: a domain name without a dot before it"},
        {"hostname = a.test\nlistener \"x\" {\n}\n",
         ":2: listener \"x\" has no role; allowed: mx, submission, submissions, local, lmtp, pop3, "
         "pop3s"},
        {"hostname = a.test\nlistener \"x\" {\n role = mx\n}\n",
         ":2: listener \"x\" has TLS, but there is no certificate section"},
        {"hostname = a.test\nlistener \"x\" {\n role = pop3s\n tls = none\n}\n",
         ":2: role pop3s needs tls = implicit"},
        {"hostname = a.test\nlistener \"x\" {\n role = mx\n tls = none\n clear-auth = on\n}\n",
         ":2: clear-auth is for role pop3 only"},
        {"hostname = a.test\nlistener \"x\" {\n role = lmtp\n path = \"s\"\n port = 24\n}\n",
         ":2: listener \"x\" has a path; then it has no address and no port"},
        {"hostname = a.test\nport-offset = 60000\n"
         "listener \"x\" {\n role = mx\n tls = none\n port = 10025\n}\n",
         ":3: port 10025 and port-offset 60000 together pass 65535"},
        {"hostname = a.test\ncertificate \"c\" {\n chain = \"x\"\n}\n",
         ":2: certificate \"c\" needs chain and key"},
        {"hostname = a.test\nsmarthost {\n host = h\n username = u\n}\n",
         ":2: username and password-file go together"},
        {"hostname = a.test\nsmarthost {\n host = h\n username = u\n password-file = p\n}\n",
         ":2: a password needs tls = encrypt or tls = verify, it is never sent in the clear"},
        {"hostname = a.test\ntransport \"b.test\" {\n}\n",
         ":2: transport \"b.test\" has neither host nor path"},
        {"hostname = a.test\ntransport \"b..test\" {\n host = h\n}\n",
         ":2: \"b..test\" is not a domain name in ASCII"},
        {"hostname = a.test\ntransport b.test {\n host = h\n}\ntransport B.test {\n host = i\n}\n",
         ":5: transport \"b.test\" is there a second time"},
        {"hostname = a.test\nstub-zone t {\n server = ::1\n}\nstub-zone T {\n server = ::1\n}\n",
         ":5: stub-zone \"t\" is there a second time"},
        {"hostname = a.test\nstub-zone \"test\" {\n}\n", ":2: stub-zone \"test\" has no server"},
        {"hostname = a.test\nqueue {\n retry-first = 5h\n}\n",
         ":2: retry-first is 5h; allowed: at most retry-max, which is 4h"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_error(rows[i].text, rows[i].error);
}

#define AT(name, port, address)                                                                    \
    "listener \"" name "\" {\n role = mx\n tls = none\n port = " port "\n address = {" address     \
    "}\n}\n"
#define HEAD "hostname = a.test\n"

static void test_two_listeners_at_one_place_are_refused(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {HEAD AT("a", "25", "\"127.0.0.1\"") AT("b", "25", "\"127.0.0.2\", \"127.0.0.1\""),
         ":8: listener \"b\" has 127.0.0.1 port 25, which listener \"a\" of line 2 has or takes "
         "in"},
        {HEAD AT("a", "25", "\"0.0.0.0\"") AT("b", "25", "\"127.0.0.1\""),
         ":8: listener \"b\" has 127.0.0.1 port 25, which listener \"a\" of line 2 has or takes "
         "in"},
        {HEAD AT("a", "25", "\"127.0.0.1\"") AT("b", "25", "\"0.0.0.0\""),
         ":8: listener \"b\" has 0.0.0.0 port 25, which listener \"a\" of line 2 has or takes in"},
        {HEAD AT("a", "25", "\"::\"") AT("b", "25", "\"::1\""),
         ":8: listener \"b\" has ::1 port 25, which listener \"a\" of line 2 has or takes in"},
        {HEAD AT("a", "25", "\"127.0.0.1\", \"127.0.0.1\""),
         ":2: listener \"a\" has 127.0.0.1 port 25, which listener \"a\" of line 2 has or takes "
         "in"},
        {HEAD "listener \"a\" {\n role = lmtp\n path = \"/x\"\n}\n"
              "listener \"b\" {\n role = local\n path = \"/x\"\n}\n",
         ":6: listener \"b\" has /x, which listener \"a\" of line 2 has or takes in"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_error(rows[i].text, rows[i].error);
    conf_free(load_good(HEAD AT("a", "25", "\"0.0.0.0\"") AT("b", "25", "\"::\"")
                            AT("c", "26", "\"127.0.0.1\"") AT("d", "26", "\"127.0.0.2\"")));
}

static void test_quotes_left_open_are_refused(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"hostname = \"a.test\n", ":1: the quote that begins here is not closed in its line"},
        {"hostname = 'a.test\n", ":1: the quote that begins here is not closed in its line"},
        {"hostname = a.test\nlistener \"x\" {\n role = mx\n address = {\"::1\"}\n",
         ":2: the brace that begins here is not closed"},
        {"hostname = a.test\nrelay-domains = {\"}\"\n",
         ":2: the brace that begins here is not closed"},
        {"hostname = a.test\nmta-user = \"b\nmda-user = \"c\"\n",
         ":2: the quote that begins here is not closed in its line"},
        {"hostname = a.test\nmta-user = \"b\\\"\n",
         ":2: the quote that begins here is not closed in its line"},
        {"hostname = a.test\nlistener \"mx {\n role = mx\n}\nlistener \"other\" {\n}\n",
         ":2: the quote that begins here is not closed in its line"},
        {"hostname = a.test\n\n/* \"b\" */ /* c\n\n",
         ":3: the comment that begins here is not closed"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_error(rows[i].text, rows[i].error);
    struct conf *c = load_good("hostname = a.test # it's\n// \"\n/* '\n \" */\n"
                               "mta-user = \"it's\\\"\" # \"\nmda-user = a#\"b\n");
    assert_str(c->mta_user, "it's\"");
    assert_str(c->mda_user, "a");
    conf_free(c);
}

static void test_comments_may_be_anywhere(void **state)
{
    (void)state;
    struct conf *c = load_good("hostname = /* ours */ a.test\nrelay-domains = { # backup\n"
                               " \"b.test\", // first\n c.test /* \" */\n}# it's\n"
                               "mta-user = \"#x\"// last");
    assert_int_equal(c->relay_domains.count, 2);
    assert_str(c->relay_domains.item[1], "c.test");
    assert_str(c->mta_user, "#x");
    conf_free(c);
    assert_error("hostname = a.test\nrelay-domains = {\n a.test, # one\n # two\n b.1\n}\n",
                 ":5: relay-domains is \"b.1\"; allowed: a domain name in ASCII, like "
                 "mail.example.org");
}

static void test_numbers_are_no_names(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"hostname = 192.0.2.1\n",
         ":1: hostname is \"192.0.2.1\"; allowed: a domain name in ASCII, "
         "like mail.example.org"},
        {"relay-domains = {\"a.1\"}\n",
         ":1: relay-domains is \"a.1\"; allowed: a domain name in ASCII, like mail.example.org"},
        {"hostname = a.test\ntransport \"7\" {\n host = h\n}\n",
         ":2: \"7\" is not a domain name in ASCII"},
        {"hostname = a.test\nsmarthost {\n host = 192.0.2.256\n}\n",
         ":2: host is \"192.0.2.256\"; allowed: an IPv4 or IPv6 address, or a domain name"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_error(rows[i].text, rows[i].error);
    conf_free(load_good("hostname = 1.2.3.a4\nsmarthost {\n host = \"2001:db8::1\"\n}\n"));
}

static void test_broken_files_are_refused(void **state)
{
    (void)state;
    struct conf *c;
    assert_error("hostname a.test\n",
                 ":1: hostname is followed by \"a.test\"; allowed: hostname = VALUE");
    assert_int_equal(load("listener \"x\" {\n", &c).kind, FAULT_NEVER);
    assert_int_equal(load("hostname = \"a\n", &c).kind, FAULT_NEVER);
    assert_int_equal(load("listener \"x\" {}\nlistener \"x\" {}\n", &c).kind, FAULT_NEVER);
    assert_int_equal(conf_load("/nonexistent/eilbote.conf", &c).kind, FAULT_NEVER);
    assert_int_equal(file_save(path, STR("hostname = a\0"), 0600).kind, FAULT_FINE);
    struct fault f = conf_load(path, &c);
    assert_string_equal(f.text + strlen(path), ": a NUL byte is in it");
}

/* The longest state directory, and one octet more; what is in it is not longer than can be read again. */
static void test_limit_of_the_state_directory(void **state)
{
    (void)state;
    enum { LONGEST = 255 };
    for (int more = 0; more < 2; more++) {
        struct buf text = buf_make(1024);
        struct conf *c;
        buf_printf(&text, "hostname = mx.test\nstate-directory = \"/%0*d\"\n", LONGEST - 1 + more,
                   0);
        buf_append_byte(&text, '\0');
        struct fault f = conf_parse("/etc/eilbote.conf", buf_str(&text), &c);
        buf_free(&text);
        assert_int_equal(f.kind, more ? FAULT_NEVER : FAULT_FINE);
        if (more)
            assert_non_null(
                strstr(f.text, "eilbote.conf:2: state-directory is a path of 256 octets"));
        conf_free(c);
    }
}

/* A title is printed so that it can be read again, and none is longer than what is kept of it. */
static void test_titles_of_sections(void **state)
{
    (void)state;
    static const struct {
        const char *title, *fault;
    } rows[] = {
        {"a \\\"b\\\" \\\\ \\$c", NULL},
        {"a\\nb", "title of 3 octets; allowed: 63, none of them a control character"},
        {"x23456789012345678901234567890123456789012345678901234567890123", NULL},
        {"x234567890123456789012345678901234567890123456789012345678901234",
         "title of 64 octets; allowed: 63"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf text = buf_make(1024), once = buf_make(1 << 20);
        struct conf *c, *again;
        buf_printf(&text, "hostname = mx.test\nlistener \"%s\" {\n role = local\n path = x\n}\n",
                   rows[i].title);
        buf_append_byte(&text, '\0');
        struct fault f = conf_parse("/etc/eilbote.conf", buf_str(&text), &c);
        assert_int_equal(f.kind, rows[i].fault ? FAULT_NEVER : FAULT_FINE);
        if (rows[i].fault) {
            assert_non_null(strstr(f.text, rows[i].fault));
        } else {
            assert_true(conf_print(c, &once) && buf_append_byte(&once, '\0'));
            assert_int_equal(conf_parse("/etc/eilbote.conf", buf_str(&once), &again).kind,
                             FAULT_FINE);
            assert_true(str_equal(again->listener[0].name, c->listener[0].name));
            conf_free(again);
        }
        conf_free(c);
        buf_free(&text);
        buf_free(&once);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_listeners),
        cmocka_unit_test(test_where_mail_goes),
        cmocka_unit_test(test_printed_configuration_reads_back_the_same),
        cmocka_unit_test(test_wrong_values_are_named_with_what_is_allowed),
        cmocka_unit_test(test_contradictions_are_named),
        cmocka_unit_test(test_two_listeners_at_one_place_are_refused),
        cmocka_unit_test(test_quotes_left_open_are_refused),
        cmocka_unit_test(test_comments_may_be_anywhere),
        cmocka_unit_test(test_numbers_are_no_names),
        cmocka_unit_test(test_broken_files_are_refused),
        cmocka_unit_test(test_limit_of_the_state_directory),
        cmocka_unit_test(test_titles_of_sections),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
