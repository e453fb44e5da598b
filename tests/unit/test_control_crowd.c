/* SPDX-License-Identifier: ISC */
/*
 * test_control_crowd.c - an operator gets in, or is told why not, however many connections are open
 */
#include "role/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "task_test.h"

#include "net/endpoint.h"
#include "net/loop.h"
#include "os/file.h"

enum { MOST = 64, PATIENCE_MS = 120000 };

#define CROWDED "{\"error\":\"too many control connections, try again\",\"reply\":421}\n"

static char folder[] = "/tmp/eilbote-test-control-XXXXXX";
static char path[64];
static bool may_finish;
static size_t working;

static struct fault echo(struct control *c, void *role, const json_t *request)
{
    (void)role;
    (void)request;
    return control_say(c, json_pack("{s:i}", "echo", 1));
}

/* Is at work, not waiting for its client, until the test lets it go. */
static struct fault work(struct control *c, void *role, const json_t *request)
{
    (void)c;
    (void)role;
    (void)request;
    working++;
    while (!may_finish && !task_sleep(1).kind)
        ;
    working--;
    return FINE;
}

static const struct control_verb verbs[] = {{"echo", echo}, {"work", work}, {NULL, NULL}};

static int64_t deadline(void)
{
    return loop_now_ms(loop_current()) + PATIENCE_MS;
}

static struct conn *call(void)
{
    struct endpoint at;
    struct conn *c;
    assert_true(endpoint_from_path(path, &at));
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(s, (const struct sockaddr *)&at.address, at.length), 0);
    assert_int_equal(conn_open(s, &c).kind, FAULT_FINE);
    return c;
}

static void say(struct conn *c, const char *text)
{
    struct str part = str_from(text);
    assert_int_equal(conn_write(c, &part, 1, deadline()).kind, FAULT_FINE);
}

/* All that is said until the other end closes. */
static void hear(struct conn *c, const char *expected)
{
    struct buf heard = buf_make(1 << 10);
    for (;;) {
        struct str in;
        assert_int_equal(conn_read(c, deadline(), &in).kind, FAULT_FINE);
        if (in.n == 0)
            break;
        assert_true(buf_append(&heard, in));
        conn_consume(c, in.n);
    }
    assert_true(buf_append_byte(&heard, '\0'));
    assert_string_equal(heard.data, expected);
    buf_free(&heard);
}

struct crowd {
    struct scope scope;
    struct conn *conn[3 * MOST];
};

static void open_crowd(struct crowd *crowd, size_t count)
{
    static const struct control_verb *const tables[] = {verbs, NULL};
    scope_init(&crowd->scope);
    assert_int_equal(control_start(&crowd->scope, path, tables, NULL).kind, FAULT_FINE);
    for (size_t i = 0; i < count; i++)
        crowd->conn[i] = call();
}

static void close_crowd(struct crowd *crowd, size_t count)
{
    for (size_t i = 0; i < count; i++)
        conn_close(crowd->conn[i]);
    scope_cancel(&crowd->scope);
    scope_join(&crowd->scope);
    loop_stop(loop_current());
}

/* Those that have been idle longest are told and go; the last MOST stay, the operator among them. */
static void sit_idle(void *arg)
{
    struct crowd crowd;
    size_t count = 3 * MOST;
    (void)arg;
    open_crowd(&crowd, count);
    struct conn *visitor = call();
    say(visitor, "{\"verb\":\"echo\"}\n");
    hear(visitor, "{\"echo\":1}\n{\"done\":true}\n");
    conn_close(visitor);
    for (size_t i = 0; i < count + 1 - MOST; i++)
        hear(crowd.conn[i], CROWDED);
    for (size_t i = count + 1 - MOST; i < count; i++) {
        say(crowd.conn[i], "{\"verb\":\"echo\"}\n");
        hear(crowd.conn[i], "{\"echo\":1}\n{\"done\":true}\n");
    }
    close_crowd(&crowd, count);
}

/* Nobody waits for a client: the work goes on, and who comes now is told. */
static void be_at_work(void *arg)
{
    struct crowd crowd;
    (void)arg;
    may_finish = false;
    open_crowd(&crowd, MOST);
    for (size_t i = 0; i < MOST; i++)
        say(crowd.conn[i], "{\"verb\":\"work\"}\n");
    while (working < MOST)
        task_sleep(1);
    struct conn *visitor = call();
    hear(visitor, CROWDED);
    conn_close(visitor);
    may_finish = true;
    for (size_t i = 0; i < MOST; i++)
        hear(crowd.conn[i], "{\"done\":true}\n");
    close_crowd(&crowd, MOST);
}

static void test_idle_connections_make_room(void **state)
{
    (void)state;
    run_as_task(sit_idle);
}

static void test_a_newcomer_is_told_when_all_are_at_work(void **state)
{
    (void)state;
    run_as_task(be_at_work);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/sock", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_tree(folder).kind ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_connections_make_room),
        cmocka_unit_test(test_a_newcomer_is_told_when_all_are_at_work),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
