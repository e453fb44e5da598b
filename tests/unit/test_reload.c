/* SPDX-License-Identifier: ISC */
/*
 * test_reload.c - the supervisor's part of a reload, with roles that say what the test wants
 */
#include "role/reload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/channel.h"
#include "os/file.h"

enum { MTA, MDA };

static char folder[] = "/tmp/eilbote-test-reload-XXXXXX";
static char path[64];
static struct reload reload;
static struct order order;
static const struct sockets none;
static int far_end[ROLES]; /* of the channels: where the roles would be */

/* A configuration with a listener for each letter: small ones are the mta's, capitals the mda's. */
static void write_conf(const char *letters)
{
    struct buf text = buf_make(1 << 16);
    assert_true(buf_printf(&text, "hostname = mx.example.test\n"));
    for (const char *c = letters; *c; c++)
        assert_true(buf_printf(&text, "listener \"%c\" {\n role = %s\n path = \"%c.sock\"\n}\n", *c,
                               *c >= 'a' ? "local" : "lmtp", *c));
    assert_int_equal(file_save(path, buf_str(&text), 0600).kind, FAULT_FINE);
    buf_free(&text);
}

static bool is_listening(char letter)
{
    char name[80];
    struct endpoint at;
    snprintf(name, sizeof name, "%s/%c.sock", folder, letter);
    assert_true(endpoint_from_path(name, &at));
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    bool is_open = connect(s, (const struct sockaddr *)&at.address, at.length) == 0;
    close(s);
    return is_open;
}

static void assert_listening(const char *letters, const char *others)
{
    for (; *letters; letters++)
        assert_true(is_listening(*letters));
    for (; *others; others++)
        assert_false(is_listening(*others));
}

/* The next order for the role; its descriptors are closed, as a role would that has ended. */
static enum channel_result hear(size_t role)
{
    int descriptors[ROLE_SOCKETS_MOST + 1];
    size_t count = ROLE_SOCKETS_MOST + 1;
    enum channel_result result =
        channel_receive(far_end[role], &order, sizeof order, descriptors, &count);
    while (count > 0)
        close(descriptors[--count]);
    return result;
}

/* An order with that many sockets; gives its number. */
static uint64_t hear_set(size_t role, const char *letters)
{
    assert_int_equal(hear(role), CHANNEL_PACKET);
    assert_int_equal(order.kind, ORDER_SET);
    assert_int_equal(order.socket_count, strlen(letters));
    for (size_t i = 0; i < order.socket_count; i++)
        assert_memory_equal(order.socket[i].name, ((char[]){letters[i], '\0'}), 2);
    return order.number;
}

static void say(size_t role, enum report_kind kind, uint64_t number, const char *text)
{
    struct report report = {.kind = kind, .number = number};
    snprintf(report.text, sizeof report.text, "%s", text);
    assert_int_equal(channel_send(far_end[role], &report, sizeof report, NULL, 0).kind, FAULT_FINE);
    reload_read(&reload, &reload.role[role]);
}

static void start_role(size_t role)
{
    int ends[2];
    channel_pair(ends);
    far_end[role] = ends[1];
    assert_int_equal(reload_attach(&reload, &reload.role[role], ends[0]).kind, FAULT_FINE);
}

static void end_role(size_t role)
{
    close(far_end[role]);
    reload_detach(&reload, &reload.role[role]);
}

static void start_reload(void)
{
    struct conf *conf;
    assert_int_equal(reload_start(&reload, path, &none, &conf).kind, FAULT_FINE);
    conf_free(conf);
}

/* Both roles run with the listeners a, b (mta) and A, B (mda). */
static int start(void **state)
{
    (void)state;
    write_conf("abAB");
    start_reload();
    for (size_t i = 0; i < ROLES; i++) {
        start_role(i);
        say(i, REPORT_READY, hear_set(i, i == MTA ? "ab" : "AB"), "");
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    reload_stop(&reload);
    close(far_end[MTA]);
    close(far_end[MDA]);
    return 0;
}

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

static void test_ready_once_both_have_said_so(void **state)
{
    (void)state;
    assert_true(reload_is_ready(&reload));
    end_role(MDA);
    assert_true(reload_is_ready(&reload));
    far_end[MDA] = -1;
}

/* What has been said to systemd since the last call, in one line. */
static const char *heard_by_systemd(int s)
{
    static char all[256];
    size_t used = 0;
    for (ssize_t n = 0; n >= 0; used += n > 0 ? (size_t)n : 0)
        n = recv(s, all + used, sizeof all - 1 - used, MSG_DONTWAIT);
    all[used] = '\0';
    return all;
}

static void test_systemd_is_not_told_of_reloads_before_the_roles_are_ready(void **state)
{
    (void)state;
    char name[80];
    struct endpoint at;
    snprintf(name, sizeof name, "%s/notify", folder);
    int s = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_true(endpoint_from_path(name, &at));
    assert_int_equal(bind(s, (const struct sockaddr *)&at.address, at.length), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    write_conf("abAB");
    start_reload();
    start_role(MTA);
    say(MTA, REPORT_READY, hear_set(MTA, "ab"), "");
    reload_want(&reload);
    uint64_t number = hear_set(MTA, "ab");
    say(MTA, REPORT_DONE, number, "");
    assert_string_equal(heard_by_systemd(s), "");
    start_role(MDA);
    say(MDA, REPORT_READY, hear_set(MDA, "AB"), "");
    reload_want(&reload);
    number = hear_set(MTA, "ab");
    say(MTA, REPORT_DONE, number, "");
    assert_string_equal(heard_by_systemd(s), "RELOADING=1");
    say(MDA, REPORT_DONE, hear_set(MDA, "AB"), "");
    assert_string_equal(heard_by_systemd(s), "READY=1");
    unsetenv("NOTIFY_SOCKET");
    close(s);
}

static void test_a_socket_retires_until_every_role_has_reported(void **state)
{
    (void)state;
    write_conf("acAC");
    reload_want(&reload);
    assert_listening("abcABC", "");
    uint64_t number = hear_set(MTA, "ac");
    assert_int_equal(hear_set(MDA, "AC"), number);
    say(MTA, REPORT_DONE, number, "");
    assert_listening("abcABC", "");
    say(MDA, REPORT_DONE, number, "");
    assert_listening("acAC", "bB");
}

static void test_a_report_of_another_reload_does_not_count(void **state)
{
    (void)state;
    write_conf("aA");
    reload_want(&reload);
    uint64_t number = hear_set(MTA, "a");
    say(MTA, REPORT_DONE, number, "");
    say(MDA, REPORT_DONE, number - 1, "");
    say(MDA, REPORT_DONE, number + 1, "");
    say(MDA, REPORT_FAILED, number - 1, "an old story");
    assert_listening("abAB", "");
    say(MDA, REPORT_DONE, number, "");
    assert_listening("aA", "bB");
}

static void test_a_refusal_brings_the_set_before_back(void **state)
{
    (void)state;
    write_conf("acAC");
    say(MTA, REPORT_WISH, 7, "");
    uint64_t number = hear_set(MTA, "ac");
    assert_int_equal(hear_set(MDA, "AC"), number);
    say(MTA, REPORT_DONE, number, "");
    say(MDA, REPORT_FAILED, number, "no such key");
    /* The mta gets it with the reason; the mda has never left it. */
    uint64_t undo = hear_set(MTA, "ab");
    assert_true(undo > number);
    assert_string_equal(order.text, "the mda refused: no such key");
    assert_int_equal(hear(MDA), CHANNEL_NOTHING);
    assert_listening("abcABC", "");
    say(MTA, REPORT_DONE, undo, "");
    assert_listening("abAB", "cC");
    assert_int_equal(hear(MTA), CHANNEL_PACKET);
    assert_int_equal(order.kind, ORDER_RESULT);
    assert_int_equal(order.number, 7);
    assert_string_equal(order.text, "the mda refused: no such key");
}

static void test_a_role_that_refuses_both_sets_ends_the_reload(void **state)
{
    (void)state;
    write_conf("acA");
    reload_want(&reload);
    uint64_t number = hear_set(MTA, "ac");
    say(MTA, REPORT_DONE, number, "");
    say(MDA, REPORT_FAILED, number, "no");
    say(MTA, REPORT_FAILED, hear_set(MTA, "ab"), "no more");
    assert_int_equal(hear(MTA), CHANNEL_NOTHING);
    /* What it works with is still open. */
    assert_listening("abcAB", "");
    hear(MDA);
    reload_want(&reload);
    number = hear_set(MTA, "ac");
    hear_set(MDA, "A");
    say(MTA, REPORT_DONE, number, "");
    say(MDA, REPORT_DONE, number, "");
    assert_listening("acA", "bB");
}

static void test_a_role_that_ended_gets_the_current_set(void **state)
{
    (void)state;
    write_conf("acAC");
    say(MTA, REPORT_WISH, 1, "");
    uint64_t number = hear_set(MTA, "ac");
    say(MTA, REPORT_DONE, number, "");
    end_role(MDA);
    assert_int_equal(hear(MTA), CHANNEL_PACKET);
    assert_int_equal(order.kind, ORDER_RESULT);
    assert_non_null(strstr(order.text, "the mda ended during the reload"));
    assert_listening("abcABC", "");
    start_role(MDA);
    assert_int_equal(hear_set(MDA, "AC"), number);
    say(MDA, REPORT_READY, number, "");
    assert_listening("acAC", "bB");
}

static void test_what_does_not_load_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(file_save(path, STR("nonsense = 1\n"), 0600).kind, FAULT_FINE);
    say(MDA, REPORT_WISH, 3, "");
    for (size_t i = 0; i < ROLES; i++) {
        assert_int_equal(hear(i), CHANNEL_PACKET);
        assert_int_equal(order.kind, ORDER_REFUSED);
        assert_non_null(strstr(order.text, "unknown option \"nonsense\""));
    }
    assert_int_equal(hear(MDA), CHANNEL_PACKET);
    assert_int_equal(order.kind, ORDER_RESULT);
    assert_int_equal(order.number, 3);
    assert_int_equal(hear(MTA), CHANNEL_NOTHING);
    assert_listening("abAB", "");
}

static void test_what_cannot_be_opened_changes_nothing(void **state)
{
    (void)state;
    char name[80];
    snprintf(name, sizeof name, "%s/x.sock", folder);
    assert_int_equal(file_save(name, STR("not a socket"), 0600).kind, FAULT_FINE);
    write_conf("acx");
    reload_want(&reload);
    assert_int_equal(hear(MTA), CHANNEL_PACKET);
    assert_int_equal(order.kind, ORDER_REFUSED);
    assert_non_null(strstr(order.text, "exists and is not a socket"));
    assert_true(file_exists(name));
    assert_listening("abAB", "c");
    assert_int_equal(file_remove(name).kind, FAULT_FINE);
}

static void test_who_asks_during_a_reload_gets_the_next_one(void **state)
{
    (void)state;
    say(MTA, REPORT_WISH, 1, "");
    uint64_t first = hear_set(MTA, "ab");
    hear_set(MDA, "AB");
    write_conf("aA");
    say(MTA, REPORT_WISH, 2, "");
    say(MTA, REPORT_WISH, 3, "");
    assert_int_equal(hear(MTA), CHANNEL_NOTHING);
    say(MTA, REPORT_DONE, first, "");
    say(MDA, REPORT_DONE, first, "");
    assert_int_equal(hear(MTA), CHANNEL_PACKET);
    assert_int_equal(order.kind, ORDER_RESULT);
    assert_int_equal(order.number, 1);
    uint64_t second = hear_set(MTA, "a");
    assert_int_equal(hear_set(MDA, "A"), second);
    say(MTA, REPORT_DONE, second, "");
    say(MDA, REPORT_DONE, second, "");
    assert_int_equal(hear(MTA), CHANNEL_PACKET);
    assert_int_equal(order.kind, ORDER_RESULT);
    assert_int_equal(order.number, 3);
    assert_int_equal(order.reply, 0);
    assert_int_equal(hear(MTA), CHANNEL_NOTHING);
    assert_listening("aA", "bB");
}

static void test_a_retired_socket_comes_back_as_it_was(void **state)
{
    (void)state;
    uint64_t id = reload.current->item[1].socket.id;
    assert_string_equal(reload.current->item[1].socket.name, "b");
    write_conf("aAB");
    reload_want(&reload);
    uint64_t number = hear_set(MTA, "a");
    hear_set(MDA, "AB");
    write_conf("abAB");
    reload_want(&reload);
    say(MTA, REPORT_DONE, number, "");
    end_role(MDA); /* so that b is still kept when the next reload begins */
    assert_true(hear_set(MTA, "ab") > number);
    assert_int_equal(order.socket[1].id, id);
    assert_listening("abAB", "");
    start_role(MDA);
}

/* No role sends descriptors: one that does is not listened to any more. */
static void test_a_role_that_sends_descriptors_is_let_go(void **state)
{
    (void)state;
    struct report report = {.kind = REPORT_DONE};
    assert_int_equal(channel_send(far_end[MTA], &report, sizeof report, &far_end[MTA], 1).kind,
                     FAULT_FINE);
    reload_read(&reload, &reload.role[MTA]);
    assert_int_equal(reload.role[MTA].channel, -1);
}

static void test_a_role_beside_its_predecessor_is_ready_when_that_has_ended(void **state)
{
    (void)state;
    start_reload();
    reload.role[MTA].has_predecessor = true;
    start_role(MTA);
    uint64_t number = hear_set(MTA, "ab");
    assert_true(order.has_predecessor);
    assert_false(reload.role[MTA].is_beside);
    say(MTA, REPORT_BESIDE, number, "");
    assert_true(reload.role[MTA].is_beside);
    assert_false(reload.role[MTA].has_been_ready);
    assert_int_equal(reload_tell_alone(&reload, &reload.role[MTA]).kind, FAULT_FINE);
    assert_int_equal(hear(MTA), CHANNEL_PACKET);
    assert_int_equal(order.kind, ORDER_ALONE);
    say(MTA, REPORT_READY, number, "");
    assert_true(reload.role[MTA].has_been_ready);
    end_role(MTA);
    start_role(MTA); /* again, with nobody before it */
    hear_set(MTA, "ab");
    assert_false(order.has_predecessor);
    assert_false(reload.role[MTA].is_beside);
    start_role(MDA);
}

static void test_a_stop_during_a_reload_is_the_end_of_it(void **state)
{
    (void)state;
    reload_want(&reload);
    reload_want(&reload);
    uint64_t number = hear_set(MTA, "ab");
    reload_close_ports(&reload);
    say(MTA, REPORT_DONE, number, "");
    say(MDA, REPORT_FAILED, hear_set(MDA, "AB"), "stopping");
    assert_int_equal(hear(MTA), CHANNEL_NOTHING);
    reload_want(&reload);
    assert_listening("", "abAB");
}

#define RELOAD_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELOAD_TEST(test_ready_once_both_have_said_so),
        cmocka_unit_test_teardown(test_systemd_is_not_told_of_reloads_before_the_roles_are_ready,
                                  stop),
        RELOAD_TEST(test_a_socket_retires_until_every_role_has_reported),
        RELOAD_TEST(test_a_report_of_another_reload_does_not_count),
        RELOAD_TEST(test_a_refusal_brings_the_set_before_back),
        RELOAD_TEST(test_a_role_that_refuses_both_sets_ends_the_reload),
        RELOAD_TEST(test_a_role_that_ended_gets_the_current_set),
        RELOAD_TEST(test_what_does_not_load_changes_nothing),
        RELOAD_TEST(test_what_cannot_be_opened_changes_nothing),
        RELOAD_TEST(test_who_asks_during_a_reload_gets_the_next_one),
        RELOAD_TEST(test_a_role_that_sends_descriptors_is_let_go),
        cmocka_unit_test_teardown(test_a_role_beside_its_predecessor_is_ready_when_that_has_ended,
                                  stop),
        RELOAD_TEST(test_a_stop_during_a_reload_is_the_end_of_it),
        RELOAD_TEST(test_a_retired_socket_comes_back_as_it_was),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
