/* SPDX-License-Identifier: ISC */
/*
 * test_syntax.c - what is no configuration is refused with its line, what was found and what is
 * allowed
 */
#include "conf/syntax.h"

#include "mail_test.h"

#define HOST "hostname = a.test\n"

static const struct {
    const char *text, *error;
} malformed[] = {
    {"hostname a.test\n", ":1: hostname is followed by \"a.test\"; allowed: hostname = VALUE"},
    {HOST "listener {\n role = mx\n}\n",
     ":2: listener is followed by \"{\"; allowed: listener \"TITLE\" {"},
    {HOST "listener = mx\n", ":2: listener is followed by \"=\"; allowed: listener \"TITLE\" {"},
    {HOST "listener \"x\"\n",
     ":2: listener \"x\" is followed by the end of the file; allowed: listener \"x\" {"},
    {HOST "listener \"x\" = 5\n",
     ":2: listener \"x\" is followed by \"=\"; allowed: listener \"x\" {"},
    {HOST "listener \"x\" {\n role = \n}\n",
     ":3: role has no value in its line; allowed: mx, submission, submissions, local, lmtp, "
     "pop3, pop3s"},
    {HOST "listener \"x\" {\n role =\n port = 25\n}\n",
     ":3: role has no value in its line; allowed: mx, submission, submissions, local, lmtp, "
     "pop3, pop3s"},
    {HOST "listener \"x\" {\n role = {mx}\n}\n",
     ":3: role has a list for a value; allowed: mx, submission, submissions, local, lmtp, "
     "pop3, pop3s"},
    {HOST "listener \"x\" {\n role = mx, lmtp\n}\n",
     ":3: \",\" stands behind the value of role; allowed: one value, in double quotes when it "
     "has blanks"},
    {HOST "listener \"x\" {\n role = mx\n address = {127.0.0.1 ::1}\n}\n",
     ":4: \"::1\" stands in the list of address without a comma before it"},
    {HOST "listener \"x\" {\n role = mx\n address = {\"127.0.0.1\" \"127.0.0.2\"}\n}\n",
     ":4: \"127.0.0.2\" stands in the list of address without a comma before it"},
    {HOST "listener \"x\" {\n role = mx\n address = {,}\n}\n",
     ":4: \",\" stands in the list of address; allowed: {\"VALUE\", \"VALUE\"}"},
    {HOST "listener \"x\" {\n role = mx\n}\n}\n", ":5: \"}\" closes no section"},
    {HOST "listener \"x\" \"y\" {\n role = mx\n}\n",
     ":2: listener \"x\" is followed by \"y\"; allowed: listener \"x\" {"},
    {HOST "limits \"x\" {\n recipients = 100\n}\n",
     ":2: limits is followed by \"x\"; allowed: limits {"},
    {HOST "limits {\n recipients = 100\n recipients = 200\n}\n",
     ":4: recipients is set a second time; the first is in line 3"},
    {HOST "limits {\n recipients = 100\n}\nlimits {\n recipients = 200\n}\n",
     ":5: limits is there a second time; the first is in line 2"},
    {HOST "hostname = b.test\n", ":2: hostname is set a second time; the first is in line 1"},
    {HOST "relay-domains = {a.test}\nrelay-domains = {b.test}\n",
     ":3: relay-domains is set a second time; the first is in line 2"},
    {HOST "hostname += b.test\n", ":2: hostname is followed by \"+\"; allowed: hostname = VALUE"},
    {HOST "listener \"x\" {\n role = mx\n}\nlistener \"x\" {\n role = lmtp\n}\n",
     ":5: listener \"x\" is there a second time; the first is in line 2"},
    {HOST "recipients = 100\n", ":2: unknown option \"recipients\" outside of sections; it "
                                "belongs in a section: limits, listener"},
    {HOST "limits {\n hostname = a\n}\n",
     ":3: unknown option \"hostname\" in limits; it belongs outside of sections"},
    {HOST "limits {\n recipient = 100\n}\n",
     ":3: unknown option \"recipient\"; did you mean \"recipients\"?"},
    {HOST "limit {\n recipients = 100\n}\n",
     ":2: unknown option \"limit\"; did you mean \"limits\"?"},
    {HOST "limits {\n limits {\n recipients = 100\n}\n}\n",
     ":3: the section limits is in the section limits; allowed: side by side"},
    {HOST "limits = {\n recipients = 100\n}\n",
     ":2: limits is followed by \"=\"; allowed: limits {"},
    {HOST "= 5\n", ":2: \"=\" is where an option begins; allowed: NAME = VALUE, or SECTION {"},
    {HOST "\"hostname\" = 5\n", ":2: hostname is set a second time; the first is in line 1"},
    {HOST "port-offset = 2,000\n", ":2: \",\" stands behind the value of port-offset; allowed: "
                                   "one value, in double quotes when it has blanks"},
    {HOST "port-offset = 5 6\n", ":2: \"6\" stands behind the value of port-offset; allowed: "
                                 "one value, in double quotes when it has blanks"},
    {HOST "include(\"x\")\n", ":2: unknown option \"include\"; allowed outside of sections: "
                              "hostname, state-directory, port-offset, mta-user, mda-user, "
                              "mta-threads, mda-threads, offload-threads, relay-domains, signing, "
                              "srs, srs-domain"},
    {HOST "include \"x\"\n", ":2: unknown option \"include\"; allowed outside of sections: "
                             "hostname, state-directory, port-offset, mta-user, mda-user, "
                             "mta-threads, mda-threads, offload-threads, relay-domains, signing, "
                             "srs, srs-domain"},
    {HOST "limits { recipients = 100 } }\n", ":2: \"}\" closes no section"},
    {HOST "hostname: a.test\n", ":2: unknown option \"hostname:\"; did you mean \"hostname\"?"},
    {HOST "[limits]\nrecipients = 100\n",
     ":2: unknown option \"[limits]\"; did you mean \"limits\"?"},
    {HOST "limits { command-timeout = 5 minutes }\n",
     ":2: \"minutes\" stands behind the value of command-timeout; allowed: one value, in "
     "double quotes when it has blanks"},
    {HOST "mta-user = a\"b\"\n", ":2: \"b\" stands behind the value of mta-user; allowed: one "
                                 "value, in double quotes when it has blanks"},
    {HOST "mta-user = a b\n", ":2: \"b\" stands behind the value of mta-user; allowed: one "
                              "value, in double quotes when it has blanks"},
    {HOST "listener \"\" {\n role=mx\n}\n",
     ":2: listener is followed by an empty title; allowed: listener \"TITLE\" {"},
    {HOST "mta-user = x +\n", ":2: \"+\" stands behind the value of mta-user; allowed: one "
                              "value, in double quotes when it has blanks"},
    {HOST "mta-user = (x)\n",
     ":2: mta-user has no value in its line; allowed: a text of 1 to 1023 bytes in one line"},
    {HOST "mta-user\n",
     ":2: mta-user is followed by the end of the file; allowed: mta-user = VALUE"},
    {HOST "limits\n", ":2: limits is followed by the end of the file; allowed: limits {"},
    {"hostname = a.test, b.test\n", ":1: \",\" stands behind the value of hostname; allowed: "
                                    "one value, in double quotes when it has blanks"},
    {HOST "smarthost {\n username = a b\n}\n",
     ":3: \"b\" stands behind the value of username; allowed: one value, in double quotes when "
     "it has blanks"},
    {"\xEF\xBB\xBF" HOST, ":1: a byte order mark is in front; save the file without it"},
    {HOST "mta-user\n= x y\n",
     ":3: \"y\" stands behind the value of mta-user; allowed: one value, in double quotes when "
     "it has blanks"},
    {HOST "transport \"a.b\" {\n}\n/* x\n */\ntransport a.b {\n}\n",
     ":6: transport \"a.b\" is there a second time; the first is in line 2"},
    {HOST "relay-domains += {a.test}\nrelay-domains = {b.test}\n",
     ":3: relay-domains is set a second time; the first is in line 2"},
    {HOST "relay-domains = a.test, b.test\n",
     ":2: \",\" stands behind the value of relay-domains; allowed: {\"VALUE\", \"VALUE\"}"},
    {HOST "relay-domains = {\n a.test\nqueue {\n}\n}\n",
     ":4: \"queue\" stands in the list of relay-domains without a comma before it"},
    {HOST "listener \"a\" {\n nonsense = 1\n}\n",
     ":3: unknown option \"nonsense\"; allowed in listener: see eilbote.conf(5)"},
    {HOST "log {\n nonsense = 1\n}\n",
     ":3: unknown option \"nonsense\"; allowed in log: size, count"},
    {HOST "log {\n retry-first = 1\n}\n",
     ":3: unknown option \"retry-first\" in log; it belongs in a section: queue"},
    {HOST "log {\n size = 1M\n}\nlog {\n}\n",
     ":5: log is there a second time; the first is in line 2"},
};

static void test_what_is_malformed_is_named_with_what_is_allowed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        struct fault f = syntax_check("f", str_from(malformed[i].text));
        assert_int_equal(f.reply, 500);
        assert_memory_equal(f.text, "f", 1);
        assert_string_equal(f.text + 1, malformed[i].error);
    }
}

static void test_what_is_well_formed_passes(void **state)
{
    static const char *const rows[] = {
        "",
        "# nothing\n",
        HOST,
        "\"hostname\" = 'a.test' # it is\r\n",
        HOST "relay-domains += {a.test}\nrelay-domains += {\n  b.test, # last\n}\n",
        HOST "relay-domains = {}\nrelay-domains += c.test\n",
        HOST "limits{recipients=100}log{size=1M count=5}port-offset=5 mta-user=x\n",
        HOST "limits\n{\n recipients = 100 }\nlistener x { recipients = 200 }\n"
             "listener \"y\" { recipients = 300 }\n",
        HOST "listener x {\n}\nlistener X {\n}\n",
        HOST "mta-user = ${HOME}\nmda-user = \"={}(),+\"\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(syntax_check("f", str_from(rows[i])).text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_malformed_is_named_with_what_is_allowed),
        cmocka_unit_test(test_what_is_well_formed_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
