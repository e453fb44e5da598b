/* SPDX-License-Identifier: ISC */
/* Who is let in: lists in the DNS, greylisting, token buckets, the rules and their actions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "check/dnsbl.h"
#include "check/greylist.h"
#include "check/policy.h"
#include "check/token_bucket.h"
#include "fake_zone.h"
#include "mail/idna.h"

static struct ip_address ip_of(const char *text)
{
    struct ip_address ip;
    assert_true(ip_parse(str_from(text), &ip));
    return ip;
}

static bool is_listed(const char *site, const char *code)
{
    struct dnsbl_site s;
    struct ip_address ip = ip_of(code);
    assert_true(dnsbl_site_parse(str_from(site), &s));
    return dnsbl_site_matches(&s, &ip);
}

static void test_codes_and_masks_say_which_answers_count(void **state)
{
    (void)state;
    assert_true(is_listed("bl.test", "127.0.0.2") && is_listed("bl.test", "127.9.8.7"));
    assert_true(is_listed("bl.test=127.0.0.[2..4;9]*3", "127.0.0.3"));
    assert_true(is_listed("bl.test=127.0.0.[2..4;9]*3", "127.0.0.9"));
    assert_false(is_listed("bl.test=127.0.0.[2..4;9]*3", "127.0.0.5"));
    assert_false(is_listed("bl.test=127.0.0.[2..4;9]*3", "127.0.1.3"));
    assert_true(is_listed("bl.test&0.0.0.6", "127.0.0.4"));
    assert_false(is_listed("bl.test&0.0.0.6", "127.0.0.8"));
    assert_true(is_listed("wl.test=127.0.[0..255].[1..3]*-2", "127.0.77.2"));
}

static void test_errors_and_strange_answers_list_nothing(void **state)
{
    static const char *const codes[] = {"127.255.255.252", "127.255.255.254", "192.0.2.1",
                                        "126.255.255.255", "128.0.0.2",       "::127.0.0.2"};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        assert_false(is_listed("bl.test", codes[i]));
        assert_false(is_listed("bl.test&0.255.255.255", codes[i]));
    }
}

static void test_malformed_sites_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "bl test",
                                      "bl.test*",
                                      "bl.test*0",
                                      "bl.test*1001",
                                      "bl.test=",
                                      "bl.test&",
                                      "bl.test&0.0.0.0",
                                      "bl.test&127.0.0.1",
                                      "bl.test=127.0.0",
                                      "-bl",
                                      "192.0.2.1",
                                      "bl.test=10.0.0.2",
                                      "bl.test=127.0.0.[4..2]",
                                      "bl.test=127.0.0.[2",
                                      "bl.test=127.0.0.256",
                                      "bl.test=127.0.0.2.3",
                                      "bl.test=127.0.0.[]"};
    struct dnsbl_site s;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(dnsbl_site_parse(str_from(bad[i]), &s));
}

static void ask_lists(const char *zone_text, const char *const *sites, size_t count,
                      struct dnsbl_verdict *v, struct fake_zone *zone)
{
    static struct dnsbl_site parsed[DNSBL_SITES_MAX];
    struct arena arena = arena_make(1 << 20);
    *zone = (struct fake_zone){.text = zone_text};
    struct asker asker = {.answer = fake_answer, .context = zone, .arena = &arena, .left = 40};
    for (size_t i = 0; i < count; i++)
        assert_true(dnsbl_site_parse(str_from(sites[i]), &parsed[i]));
    char room[DNSBL_NAME_MAX];
    struct ip_address ip = ip_of("192.0.2.7");
    dnsbl_check(parsed, count, dnsbl_reverse(&ip, room), &asker, v);
    arena_free(&arena);
}

static void test_a_zone_is_asked_once_and_each_site_counts(void **state)
{
    static const char *const sites[] = {"bl.test=127.0.0.2*3", "bl.test=127.0.0.[3..9]*2",
                                        "wl.test*-4", "down.test*9"};
    struct dnsbl_verdict v;
    struct fake_zone zone;
    (void)state;
    ask_lists("7.2.0.192.bl.test A 127.0.0.2\n7.2.0.192.bl.test A 127.0.0.4\n"
              "7.2.0.192.wl.test A 127.0.0.1\n7.2.0.192.down.test FAIL\n",
              sites, 4, &v, &zone);
    assert_int_equal(zone.asked, 3);
    assert_int_equal(v.weight, 3 + 2 - 4);
    assert_true(v.reason == &v.finding[0]);
    assert_int_equal(v.finding[3].status, DNSBL_FAILED);
}

static void test_ipv6_is_asked_by_half_bytes(void **state)
{
    char room[DNSBL_NAME_MAX];
    struct ip_address ip = ip_of("2001:db8::9");
    (void)state;
    assert_true(str_equal(dnsbl_reverse(&ip, room),
                          STR("9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2")));
}

static const struct greylist_terms terms = {
    .delay_ms = 300, .window_ms = 1000, .lifetime_ms = 5000, .allow_after = 2};

/* Comes at that time with what is remembered. */
static bool come(struct greylist_memory *triplet, struct greylist_memory *network, int64_t now_ms,
                 int64_t *wait_ms)
{
    struct greylist_verdict v;
    greylist_decide(&terms, triplet, network, now_ms, &v);
    *triplet = v.triplet;
    *network = v.network;
    *wait_ms = v.wait_ms;
    return v.may_pass;
}

static void test_a_triplet_waits_and_then_passes(void **state)
{
    struct greylist_memory t = {0}, n = {0};
    int64_t wait;
    (void)state;
    assert_false(come(&t, &n, 10000, &wait));
    assert_int_equal(wait, 300);
    assert_false(come(&t, &n, 10299, &wait));
    assert_int_equal(wait, 1);
    assert_true(come(&t, &n, 10300, &wait));
    assert_true(come(&t, &n, 15300, &wait)); /* within a lifetime of the last pass */
    n = (struct greylist_memory){0};
    assert_false(come(&t, &n, 20301, &wait));
}

static void test_who_comes_too_late_or_before_its_time_is_new(void **state)
{
    struct greylist_memory t = {0}, n = {0};
    int64_t wait;
    (void)state;
    assert_false(come(&t, &n, 10000, &wait));
    assert_false(come(&t, &n, 11001, &wait));
    assert_int_equal(wait, 300);
    assert_false(come(&t, &n, 5000, &wait)); /* the clock went back */
    assert_int_equal(wait, 300);
    assert_true(come(&t, &n, 5300, &wait));
}

static void test_a_network_is_known_after_its_passes(void **state)
{
    struct greylist_memory t = {0}, other = {0}, n = {0};
    int64_t wait;
    (void)state;
    assert_false(come(&t, &n, 10000, &wait));
    assert_true(come(&t, &n, 10300, &wait));
    assert_false(come(&other, &n, 10301, &wait));
    assert_true(come(&t, &n, 10302, &wait));
    other = (struct greylist_memory){0};
    assert_true(come(&other, &n, 10303, &wait));
    assert_int_equal(other.first_ms, 0);
    assert_false(come(&other, &n, 15304, &wait));
}

static void test_networks_of_both_families(void **state)
{
    struct ip_address a = ip_of("192.0.2.7"), b = ip_of("192.0.2.200"), c = ip_of("2001:db8::1"),
                      d = ip_of("2001:db8::ffff:1:2:3"), e = ip_of("2001:db8:0:1::1");
    struct ip_network n = greylist_network_of(&a), m = greylist_network_of(&c);
    (void)state;
    assert_true(ip_network_contains(&n, &b) && n.prefix_bits == 96 + 24);
    assert_true(ip_network_contains(&m, &d) && !ip_network_contains(&m, &e));
}

static void test_a_bucket_gives_what_it_has_and_fills_again(void **state)
{
    struct token_bucket b = {0};
    int64_t wait, now = 1000000;
    (void)state;
    for (int i = 0; i < 10; i++)
        assert_true(token_bucket_take(&b, 10, 1000, now, 1, &wait));
    assert_false(token_bucket_take(&b, 10, 1000, now, 1, &wait));
    assert_true(wait >= 100 && wait <= 102);
    assert_false(token_bucket_take(&b, 10, 1000, now + 99, 1, &wait));
    assert_true(token_bucket_take(&b, 10, 1000, now + wait + 99, 1, &wait));
    assert_false(token_bucket_take(&b, 10, 1000, now - 100000, 1, &wait));
    now += 100000;
    assert_true(
        token_bucket_take(&b, 10, 1000, now, 1000000, &wait)); /* a debt, but not for ever */
    assert_false(token_bucket_take(&b, 10, 1000, now, 0, &wait));
    assert_true(token_bucket_take(&b, 10, 1000, now + 1101, 0, &wait));
}

/* Nothing that comes in at uneven times gets more than one bucket and its filling. */
static void test_small_steps_fill_as_large_ones(void **state)
{
    struct token_bucket b = {0};
    int64_t wait, taken = 0;
    (void)state;
    for (int64_t now = 0; now < 60000; now += 7)
        taken += token_bucket_take(&b, 60, 60000, now, 1, &wait);
    assert_true(taken >= 118 && taken <= 120);
}

struct told {
    char text[2000];
};

static void tell(void *arg, const struct policy_finding *f)
{
    struct told *t = arg;
    size_t n = strlen(t->text);
    if (f->result != POLICY_PASSES)
        snprintf(t->text + n, sizeof t->text - n, "%s %s %s\n", policy_stage_name(f->stage),
                 f->rule, policy_result_name(f->result));
}

/* The reply to MAIL, by these rules. */
static struct fault mail(const struct policy_rules *rules, const char *zone_text,
                         const char *sender, struct policy *p, struct told *told)
{
    struct fake_zone zone = {.text = zone_text};
    struct arena arena = arena_make(1 << 20);
    struct asker asker = {.answer = fake_answer, .context = &zone, .arena = &arena, .left = 40},
                 lists = asker;
    char ascii[IDNA_DOMAIN_MAX];
    struct str text = str_from(sender);
    struct str domain = idna_to_ascii(str_skip(text, str_last_index(text, '@') + 1), ascii);
    struct policy_mail m = {
        .helo = STR("h.test"), .sender = text, .domain = domain, .asker = &asker, .lists = &lists};
    *told = (struct told){{0}};
    *p = (struct policy){.rules = rules,
                         .hostname = STR("us.test"),
                         .ip = ip_of("192.0.2.7"),
                         .tell = tell,
                         .arg = told};
    struct fault f = policy_mail(p, &m);
    arena_free(&arena);
    assert_true(zone.asked <= 40);
    return f;
}

static void test_actions_from_off_to_refuse(void **state)
{
    static const struct {
        struct policy_action action;
        unsigned reply;
        const char *told;
    } rows[] = {
        {{POLICY_OFF, 0}, 0, ""},
        {{POLICY_RECORD, 0}, 0, "mail unknown-sender-domain record\n"},
        {{POLICY_MARK, 0}, 0, "mail unknown-sender-domain mark\n"},
        {{POLICY_WEIGHT, 3}, 0, "mail unknown-sender-domain weight\n"},
        {{POLICY_WEIGHT, 7}, 0, "mail unknown-sender-domain weight\nmail mark-score mark\n"},
        {{POLICY_WEIGHT, 9}, 550, "mail unknown-sender-domain weight\nmail refuse-score refuse\n"},
        {{POLICY_DEFER, 0}, 450, "mail unknown-sender-domain defer\n"},
        {{POLICY_REFUSE, 0}, 550, "mail unknown-sender-domain refuse\n"},
    };
    struct policy p;
    struct told told;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct policy_rules r = {
            .unknown_sender_domain = rows[i].action, .mark_score = 5, .refuse_score = 9};
        struct fault f = mail(&r, "x.test TXT x\n", "a@gone.test", &p, &told);
        assert_int_equal(f.reply, rows[i].reply);
        assert_string_equal(told.text, rows[i].told);
        if (f.reply && rows[i].action.act != POLICY_WEIGHT)
            assert_true(f.status.subject == 1 && f.status.detail == 8 &&
                        f.status.class == f.reply / 100);
        bool is_marked = strstr(rows[i].told, "mark\n") != NULL;
        assert_true(is_marked == (p.mark != NULL));
    }
}

static void test_a_dns_that_fails_never_refuses_for_good(void **state)
{
    struct policy_rules r = {.unknown_sender_domain = {POLICY_REFUSE, 0},
                             .null_mx_sender = {POLICY_REFUSE, 0}};
    struct policy p;
    struct told told;
    (void)state;
    assert_int_equal(mail(&r, "a.test FAIL\n", "x@a.test", &p, &told).reply, 450);
    r.unknown_sender_domain.act = POLICY_MARK;
    assert_int_equal(mail(&r, "a.test FAIL\n", "x@a.test", &p, &told).reply, 0);
    assert_string_equal(told.text, "mail unknown-sender-domain error\n");
    struct fault f = mail(&r, "a.test MX 0 .\n", "x@a.test", &p, &told);
    assert_true(f.reply == 550 && f.status.subject == 7 && f.status.detail == 27);
}

static void test_lists_that_are_gone_or_refuse_us_do_nothing(void **state)
{
    struct dnsbl_site site;
    struct policy p;
    struct told told;
    (void)state;
    assert_true(dnsbl_site_parse(STR("bl.test"), &site));
    struct policy_rules r = {
        .dnsbl_sites = {&site, 1}, .dnsbl_threshold = 1, .dnsbl_action = {POLICY_REFUSE, 0}};
    static const char *const zones[] = {"7.2.0.192.bl.test A 127.255.255.254\n",
                                        "7.2.0.192.bl.test A 192.0.2.1\n",
                                        "7.2.0.192.bl.test FAIL\n"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(mail(&r, zones[i], "x@a.test", &p, &told).kind, FAULT_FINE);
        assert_string_equal(told.text, "mail dnsbl-sites error\n");
    }
    struct fault f = mail(&r, "7.2.0.192.bl.test A 127.0.0.2\n7.2.0.192.bl.test TXT \"a\"\x01\n",
                          "x@a.test", &p, &told);
    assert_int_equal(f.reply, 550);
    assert_string_equal(f.text, "192.0.2.7 is listed by bl.test (127.0.0.2): \"'a'?\"; ask the "
                                "list to remove it");
}

static void test_a_blocked_name_has_no_other_spelling(void **state)
{
    static const char *const senders[] = {"a@xn--bcher-kva.test", "A@b\xc3\xbc"
                                                                  "cher.test"};
    static const char *const names[] = {"bad.test", "BAD.test.", "x.worse.test.",
                                        "us.test.", "192.0.2.9", "[192.0.2.9]"};
    struct str blocked[] = {STR("bad.test"), STR(".worse.test"), STR("a@xn--bcher-kva.test")};
    struct policy_rules r = {.block_helo = {blocked, 2},
                             .block_senders = {blocked + 2, 1},
                             .helo_own_name = {POLICY_REFUSE, 0}};
    struct policy p;
    static struct told told;
    (void)state;
    for (size_t i = 0; i < sizeof senders / sizeof *senders; i++)
        assert_int_equal(mail(&r, "", senders[i], &p, &told).reply, 550);
    assert_int_equal(mail(&r, "", "b@xn--bcher-kva.test", &p, &told).reply, 0);
    p.own_ip = ip_of("192.0.2.9");
    p.has_own_ip = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(policy_helo(&p, str_from(names[i]), true).reply, 550);
    assert_int_equal(policy_helo(&p, STR("worse.test."), true).reply, 0);
    assert_int_equal(policy_helo(&p, STR("."), false).reply, 0);
    assert_int_equal(policy_helo(&p, STR_NONE, false).reply, 0);
}

static void test_values_are_read_as_they_are_printed(void **state)
{
    static const char *const rates[] = {"address messages 100/1h", "account bytes 1048576/1d",
                                        "network connections 5/90s", "account auth-failures 3/10m"};
    static const char *const bad[] = {"address messages 100",       "address messages 0/1h",
                                      "address letters 1/1h",       "sender connections 1/1h",
                                      "address messages 1/1h more", "address messages 1/1ms",
                                      "address messages -1/1h",     ""};
    char text[80];
    struct policy_rate r;
    struct policy_action a;
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_true(policy_rate_parse(str_from(rates[i]), &r));
        assert_true(str_equal(policy_rate_text(&r, text), str_from(rates[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(policy_rate_parse(str_from(bad[i]), &r));
    assert_true(policy_action_parse(STR("weight -3"), &a) && a.weight == -3);
    assert_true(str_equal(policy_action_text(&a, text), STR("weight -3")));
    assert_false(policy_action_parse(STR("weight"), &a));
    assert_false(policy_action_parse(STR("refuse 3"), &a));
}

static void test_delays_double_up_to_the_most(void **state)
{
    struct policy_rules r = {.tarpit_after = 3, .tarpit_delay_ms = 10, .tarpit_delay_max_ms = 70};
    static const int64_t expected[] = {0, 0, 0, 10, 20, 40, 70, 70};
    (void)state;
    for (int64_t i = 0; i < 8; i++)
        assert_int_equal(policy_tarpit_ms(&r, i), expected[i]);
    assert_int_equal(policy_tarpit_ms(&r, INT64_MAX), 70);
    r.tarpit_after = 0;
    assert_int_equal(policy_tarpit_ms(&r, 100), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_and_masks_say_which_answers_count),
        cmocka_unit_test(test_errors_and_strange_answers_list_nothing),
        cmocka_unit_test(test_malformed_sites_are_refused),
        cmocka_unit_test(test_a_zone_is_asked_once_and_each_site_counts),
        cmocka_unit_test(test_ipv6_is_asked_by_half_bytes),
        cmocka_unit_test(test_a_triplet_waits_and_then_passes),
        cmocka_unit_test(test_who_comes_too_late_or_before_its_time_is_new),
        cmocka_unit_test(test_a_network_is_known_after_its_passes),
        cmocka_unit_test(test_networks_of_both_families),
        cmocka_unit_test(test_a_bucket_gives_what_it_has_and_fills_again),
        cmocka_unit_test(test_small_steps_fill_as_large_ones),
        cmocka_unit_test(test_actions_from_off_to_refuse),
        cmocka_unit_test(test_a_dns_that_fails_never_refuses_for_good),
        cmocka_unit_test(test_lists_that_are_gone_or_refuse_us_do_nothing),
        cmocka_unit_test(test_a_blocked_name_has_no_other_spelling),
        cmocka_unit_test(test_values_are_read_as_they_are_printed),
        cmocka_unit_test(test_delays_double_up_to_the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
