/* SPDX-License-Identifier: ISC */
/*
 * test_control.c - what an operator's requests may look like, and whom their filters mean
 */
#include "role/control.h"

#include <errno.h>

#include "cli/ask.h"
#include "cli/story.h"
#include "mail_test.h"
#include "role/queue_filter.h"

static void assert_request(struct str line, bool is_good)
{
    json_t *request;
    struct fault f = control_parse(line, &request);
    assert_int_equal(f.reply, is_good ? 0 : 500);
    assert_int_equal(request != NULL, is_good);
    json_decref(request);
}

static void test_a_request_is_one_object(void **state)
{
    (void)state;
    assert_request(STR("{\"verb\":\"status\"}\n"), true);
    assert_request(STR("{}\n{\"verb\":\"what follows is not read\"}\n"), true);
    assert_request(STR("[]\n"), false);
    assert_request(STR("{\n"), false);
    assert_request(STR("{\"a\":\"\\u0000\"}\n"), false);
    assert_request(STR("{\"a\":\"\xFF\"}\n"), false);
    assert_request(STR(""), false);
}

/* The parser calls itself for each level, on a stack of 64 KiB. */
static void test_a_request_is_not_deep(void **state)
{
    (void)state;
    static char line[100000];
    assert_request(STR("{\"a\":[[[[[[[1]]]]]]]}"), true);
    assert_request(STR("{\"a\":[[[[[[[[1]]]]]]]]}"), false);
    assert_request(STR("{\"a\":\"[[[[[[[[[[\\\"[[[[\"}"), true);
    memset(line, '[', sizeof line);
    memcpy(line, "{\"a\":", 5);
    assert_request(str_make(line, sizeof line), false);
}

static void test_any_bytes_become_a_string(void **state)
{
    (void)state;
    json_t *text = control_text(STR("caf\xE9 \xC3\xA9"));
    assert_string_equal(json_string_value(text), "caf? ??");
    json_decref(text);
    text = control_text(STR("caf\xC3\xA9"));
    assert_string_equal(json_string_value(text), "caf\xC3\xA9");
    json_decref(text);
    text = control_text(STR_NONE);
    assert_string_equal(json_string_value(text), "");
    json_decref(text);
}

/* How many of two deliveries, one held, the filter means; -1 when it is refused. */
static int count_fitting(const char *filter)
{
    struct queue_rcpt rcpt[2] = {{.address = STR("a@far.test")}, {.address = STR("b@near.test")}};
    struct queue_envelope e = {
        .sender = STR("me@home.test"), .rcpt = rcpt, .rcpt_count = 2, .arrival_ms = 1000};
    struct arena arena = arena_make(1 << 16);
    struct queue_message *m = message_make(1, &arena, &e);
    m->delivery[0].state = QUEUE_HELD;
    struct buf line = buf_make(1000);
    buf_printf(&line, "{\"verb\":\"queue.ls\"%s%s}", filter[0] ? ",\"filter\":" : "", filter);
    json_t *request;
    assert_int_equal(control_parse(buf_str(&line), &request).kind, FAULT_FINE);
    struct queue_filter f;
    struct fault fault = queue_filter_read(request, &f);
    int count = fault.kind ? -1 : 0;
    assert_int_equal(fault.reply, fault.kind ? 501 : 0);
    for (size_t i = 0; i < m->delivery_count && !fault.kind; i++)
        count += queue_filter_fits(&f, &m->delivery[i], 6000);
    json_decref(request);
    buf_free(&line);
    message_free(m);
    return count;
}

static void test_a_filter_means_what_fits_all_of_it(void **state)
{
    (void)state;
    assert_int_equal(count_fitting(""), 2);
    assert_int_equal(count_fitting("{}"), 2);
    assert_int_equal(count_fitting("{\"sender\":\"ME@home.test\"}"), 2);
    assert_int_equal(count_fitting("{\"sender\":\"@home.test\",\"recipient\":\"a@far.test\"}"), 1);
    assert_int_equal(count_fitting("{\"sender\":\"<>\"}"), 0);
    assert_int_equal(count_fitting("{\"domain\":\"NEAR.test\"}"), 1);
    assert_int_equal(count_fitting("{\"domain\":\"near.test\",\"state\":\"held\"}"), 0);
    assert_int_equal(count_fitting("{\"older_ms\":4999}"), 2);
    assert_int_equal(count_fitting("{\"older_ms\":5000}"), 0);
    assert_int_equal(count_fitting("{\"younger_ms\":5001}"), 2);
    assert_int_equal(count_fitting("{\"younger_ms\":5000}"), 0);
}

/* A condition that is not understood must not widen what `queue drop` takes. */
static void test_a_filter_is_understood_whole_or_refused(void **state)
{
    (void)state;
    assert_int_equal(count_fitting("[]"), -1);
    assert_int_equal(count_fitting("{\"sender\":5}"), -1);
    assert_int_equal(count_fitting("{\"sender\":\"\"}"), -1);
    assert_int_equal(count_fitting("{\"sendr\":\"a@b.test\"}"), -1);
    assert_int_equal(count_fitting("{\"older_ms\":\"1h\"}"), -1);
    assert_int_equal(count_fitting("{\"older_ms\":-1}"), -1);
    assert_int_equal(count_fitting("{\"ids\":\"0000000000001\"}"), -1);
    assert_int_equal(count_fitting("{\"ids\":[]}"), -1);
}

/* What drops and bounces takes no silence for everybody. */
static void test_a_choice_is_said(void **state)
{
    static const struct {
        const char *request;
        bool is_said;
    } rows[] = {
        {"{}", false},
        {"{\"filter\":{}}", false},
        {"{\"all\":false}", false},
        {"{\"all\":1}", false},
        {"{\"all\":true}", true},
        {"{\"all\":true,\"filter\":{}}", true},
        {"{\"filter\":{\"state\":\"held\"}}", true},
        {"{\"all\":true,\"filter\":{\"state\":\"held\"}}", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *request;
        struct queue_filter f;
        assert_int_equal(control_parse(str_from(rows[i].request), &request).kind, FAULT_FINE);
        struct fault fault = queue_filter_read_choice(request, &f);
        assert_int_equal(fault.reply, rows[i].is_said ? 0 : 501);
        assert_non_null(strstr(rows[i].is_said ? "all" : fault.text, "all"));
        json_decref(request);
    }
}

static void test_an_event_with_a_nul_belongs_to_its_session(void **state)
{
    (void)state;
    struct story *s = story_make("S1");
    assert_true(story_has(s, STR("{\"session\":\"S1\",\"text\":\"a\\u0000b\"}")));
    assert_false(story_has(s, STR("{\"session\":\"S2\",\"text\":\"a\\u0000b\"}")));
    story_free(s);
}

static void test_what_starts_the_server_is_said(void **state)
{
    (void)state;
    static struct conf conf = {.path = {"/etc/eilbote/eilbote.conf", 25}};
    struct fault f = ask_trouble(&conf, "s", ENOENT);
    assert_true(ask_is_absent(&f));
    assert_non_null(strstr(f.text, "start it with: systemctl start eilbote, or eilbote serve ("));
    conf.path = STR("here.conf");
    f = ask_trouble(&conf, "s", ECONNREFUSED);
    assert_non_null(strstr(f.text, "start it with: eilbote -c here.conf serve ("));
    f = ask_trouble(&conf, "s", EACCES);
    assert_false(ask_is_absent(&f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_is_one_object),
        cmocka_unit_test(test_a_request_is_not_deep),
        cmocka_unit_test(test_any_bytes_become_a_string),
        cmocka_unit_test(test_a_filter_means_what_fits_all_of_it),
        cmocka_unit_test(test_a_filter_is_understood_whole_or_refused),
        cmocka_unit_test(test_a_choice_is_said),
        cmocka_unit_test(test_what_starts_the_server_is_said),
        cmocka_unit_test(test_an_event_with_a_nul_belongs_to_its_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
