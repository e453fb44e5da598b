/* SPDX-License-Identifier: ISC */
/*
 * test_event.c - events as JSON lines, their escapes and limits, and the rotated file
 */
#include "event/event.h"

#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "os/clock.h"
#include "os/file.h"
#include "os/thread.h"

static char folder[] = "/tmp/eilbote-test-event-XXXXXX";
static char path[64];
static struct event_log *event_log;

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/sub/events", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_tree(folder).kind == FAULT_FINE ? 0 : -1;
}

static int set_up(void **state)
{
    char sub[64];
    (void)state;
    snprintf(sub, sizeof sub, "%s/sub", folder);
    if (file_remove_tree(sub).kind || file_make_directory(sub).kind)
        return -1;
    return event_log_open(path, 1 << 30, 3, false, &event_log).kind == FAULT_FINE ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    event_log_close(event_log);
    return 0;
}

static struct buf read_file(const char *name)
{
    struct buf content = buf_make(1 << 26);
    assert_int_equal(file_load(name, &content).kind, FAULT_FINE);
    return content;
}

/* Flushes and gives the only line as JSON. */
static json_t *read_event(void)
{
    assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    struct buf content = read_file(path);
    assert_int_equal(str_index(buf_str(&content), '\n'), content.used - 1);
    json_error_t error;
    json_t *root = json_loadb(content.data, content.used, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(root);
    buf_free(&content);
    return root;
}

static void test_fields_keep_their_values(void **state)
{
    (void)state;
    struct event e;
    struct fault f = fault_make(550, FAULT_STATUS(5, 1, 1), "no \"such\" user");
    event_begin(&e, event_log, "smtp.refused");
    event_text(&e, "session", STR("s1"));
    event_number(&e, "size", -42);
    event_flag(&e, "tls", true);
    event_fault(&e, &f);
    event_end(&e);
    json_t *root = read_event();
    assert_string_equal(json_string_value(json_object_get(root, "event")), "smtp.refused");
    assert_string_equal(json_string_value(json_object_get(root, "session")), "s1");
    assert_int_equal(json_integer_value(json_object_get(root, "size")), -42);
    assert_true(json_is_true(json_object_get(root, "tls")));
    assert_string_equal(json_string_value(json_object_get(root, "outcome")), "never");
    assert_int_equal(json_integer_value(json_object_get(root, "reply")), 550);
    assert_string_equal(json_string_value(json_object_get(root, "status")), "5.1.1");
    assert_string_equal(json_string_value(json_object_get(root, "text")), "no \"such\" user");
    const char *time = json_string_value(json_object_get(root, "time"));
    assert_int_equal(strlen(time), 24);
    assert_true(time[4] == '-' && time[10] == 'T' && time[19] == '.' && time[23] == 'Z');
    json_decref(root);
}

static void test_any_bytes_are_safe(void **state)
{
    (void)state;
    struct event e;
    char all[256];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    event_begin(&e, event_log, "x");
    event_text(&e, "good", STR("a\"b\\c\r\n\t \xC3\xA9\xE2\x82\xAC\xF0\x9F\x93\xAE"));
    event_text(&e, "bad", STR("\xC3(\xFF\xED\xA0\x80"));
    event_text(&e, "all", str_make(all + 1, sizeof all - 1));
    event_text(&e, "empty", STR_NONE);
    event_end(&e);
    json_t *root = read_event();
    assert_string_equal(json_string_value(json_object_get(root, "good")),
                        "a\"b\\c\r\n\t \xC3\xA9\xE2\x82\xAC\xF0\x9F\x93\xAE");
    assert_string_equal(json_string_value(json_object_get(root, "bad")),
                        "\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_string_equal(json_string_value(json_object_get(root, "empty")), "");
    json_decref(root);
}

static void test_long_texts_and_lines_are_cut(void **state)
{
    (void)state;
    struct event e;
    char text[EVENT_TEXT_MAX + 1];
    memset(text, 'a', sizeof text);
    memcpy(text + EVENT_TEXT_MAX - 1, "\xC3\xA9", 2);
    event_begin(&e, event_log, "x");
    event_text(&e, "long", str_make(text, sizeof text));
    memset(text, '\x01', sizeof text);
    event_text(&e, "left", str_make(text, sizeof text));
    event_number(&e, "kept", 7);
    event_end(&e);
    json_t *root = read_event();
    const char *value = json_string_value(json_object_get(root, "long"));
    assert_int_equal(strlen(value), EVENT_TEXT_MAX - 1 + 3);
    assert_string_equal(value + EVENT_TEXT_MAX - 1, "...");
    assert_null(json_object_get(root, "left"));
    assert_int_equal(json_integer_value(json_object_get(root, "kept")), 7);
    assert_true(json_is_true(json_object_get(root, "cut")));
    json_decref(root);
}

static void add_numbered(int64_t number)
{
    struct event e;
    event_begin(&e, event_log, "n");
    event_number(&e, "n", number);
    event_end(&e);
}

static size_t count_lines(const char *name)
{
    struct buf content = read_file(name);
    size_t count = 0;
    for (size_t i = 0; i < content.used; i++)
        count += content.data[i] == '\n';
    assert_int_equal(content.data[content.used - 1], '\n');
    buf_free(&content);
    return count;
}

static void test_full_buffer_drops_and_tells(void **state)
{
    (void)state;
    size_t line = strlen("{\"time\":\"2026-01-01T00:00:00.000Z\",\"event\":\"n\",\"n\":1000000}\n");
    size_t fit = EVENT_BUFFER_BYTES / line;
    for (size_t i = 0; i < fit + 5; i++)
        add_numbered(1000000);
    assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    assert_int_equal(count_lines(path), fit);
    assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    struct buf content = read_file(path);
    assert_true(
        str_ends_nocase(buf_str(&content), STR("\"event\":\"log.dropped\",\"count\":5}\n")));
    buf_free(&content);
}

static void count_call(void *arg)
{
    ++*(int *)arg;
}

static void test_file_is_rotated_at_line_ends(void **state)
{
    char name[80];
    int calls = 0;
    (void)state;
    event_log_close(event_log);
    assert_int_equal(event_log_open(path, 200, 2, false, &event_log).kind, FAULT_FINE);
    event_log_tell(event_log, count_call, &calls);
    for (int i = 0; i < 10; i++) {
        add_numbered(i);
        assert_int_equal(calls, i + 1); /* once for the first line after a flush */
        assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    }
    assert_int_equal(count_lines(path), 1);
    for (int i = 1; i <= 2; i++) {
        snprintf(name, sizeof name, "%s.%d", path, i);
        assert_int_equal(count_lines(name), 3);
    }
    snprintf(name, sizeof name, "%s.3", path);
    assert_false(file_exists(name));
}

/* At an upgrade: the process before writes its last lines while the next one writes its first. */
static void test_a_file_that_two_write_to_is_not_rotated(void **state)
{
    enum { EACH = 10 };
    struct event_log *both[2];
    char name[80];
    (void)state;
    event_log_close(event_log);
    assert_int_equal(event_log_open(path, 200, 2, false, &both[0]).kind, FAULT_FINE);
    assert_int_equal(event_log_open(path, 200, 2, true, &both[1]).kind, FAULT_FINE);
    event_log_share(both[0], true);
    for (int i = 0; i < 2 * EACH; i++) {
        event_log = both[i % 2];
        add_numbered(i);
        assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    }
    assert_int_equal(count_lines(path), 2 * EACH);
    event_log_close(both[0]);
    event_log = both[1];
    event_log_share(event_log, false);
    add_numbered(2 * EACH);
    assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    assert_int_equal(count_lines(path), 1);
    snprintf(name, sizeof name, "%s.1", path);
    assert_int_equal(count_lines(name), 2 * EACH);
}

/* The process before is of a version that knows nothing of this. */
static void test_a_file_that_was_renamed_all_the_same_is_followed(void **state)
{
    char name[80];
    (void)state;
    event_log_close(event_log);
    assert_int_equal(event_log_open(path, 200, 2, true, &event_log).kind, FAULT_FINE);
    snprintf(name, sizeof name, "%s.1", path);
    assert_int_equal(file_rename(path, name).kind, FAULT_FINE);
    add_numbered(1);
    assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    assert_int_equal(count_lines(name), 1);
    event_log_share(event_log, false);
    add_numbered(2);
    assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    assert_int_equal(count_lines(path), 1);
}

/* A file may get that large and no larger, like on a disk that is full. */
static void limit_files(rlim_t size_bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size_bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_a_line_that_the_disk_took_a_part_of_is_no_part_of_the_next(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    add_numbered(1);
    assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    struct buf before = read_file(path);
    limit_files(before.used + 10);
    add_numbered(2);
    assert_int_equal(event_flush(event_log).kind, FAULT_LATER);
    limit_files(RLIM_INFINITY);
    struct buf after = read_file(path);
    assert_int_equal(after.used, before.used);
    buf_free(&before);
    buf_free(&after);
    add_numbered(3);
    assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    assert_int_equal(count_lines(path), 2);
}

/* What is behind it in a shared file is the other's. */
static void test_a_torn_line_of_a_shared_file_is_ended_and_stays(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    event_log_share(event_log, true);
    add_numbered(1);
    assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    struct buf before = read_file(path);
    limit_files(before.used + 10);
    add_numbered(2);
    assert_int_equal(event_flush(event_log).kind, FAULT_LATER);
    limit_files(RLIM_INFINITY);
    add_numbered(3);
    assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    struct buf after = read_file(path);
    assert_true(after.used > before.used + 10);
    assert_int_equal(after.data[before.used + 10], '\n');
    buf_free(&before);
    buf_free(&after);
}

static void test_a_line_that_a_kill_has_cut_is_no_part_of_the_next(void **state)
{
    (void)state;
    event_log_close(event_log);
    assert_int_equal(file_save(path, STR("{\"event\":\"one\"}\n{\"even"), 0600).kind, FAULT_FINE);
    assert_int_equal(event_log_open(path, 1 << 30, 3, false, &event_log).kind, FAULT_FINE);
    add_numbered(1);
    assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    assert_int_equal(count_lines(path), 3);
}

/* With serve --single the threads for long work write to the logs of both roles by turns. */
static void test_turns_between_logs_cost_no_memory(void **state)
{
    enum { TURNS = 4000, MOST_BYTES = 100000 };
    (void)state;
    char other_path[80];
    struct event_log *logs[2] = {event_log};
    snprintf(other_path, sizeof other_path, "%s.other", path);
    assert_int_equal(event_log_open(other_path, 1 << 30, 3, false, &logs[1]).kind, FAULT_FINE);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < TURNS; i++) {
        event_log = logs[i % 2];
        add_numbered(i);
        assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    }
    assert_true(mallinfo2().uordblks < before + MOST_BYTES);
    assert_int_equal(count_lines(path), TURNS / 2);
    assert_int_equal(count_lines(other_path), TURNS / 2);
    event_log = logs[0];
    event_log_close(logs[1]);
}

static void add_many(void *arg)
{
    for (int i = 0; i < 2000; i++)
        add_numbered(*(int *)arg * 10000 + i);
}

static void test_threads_lose_nothing(void **state)
{
    (void)state;
    struct thread threads[4];
    int number[4] = {0, 1, 2, 3};
    for (int i = 0; i < 4; i++)
        thread_start(&threads[i], "event", add_many, &number[i]);
    for (int i = 0; i < 50; i++)
        assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    for (int i = 0; i < 4; i++)
        thread_join(&threads[i]);
    assert_int_equal(event_flush(event_log).kind, FAULT_FINE);
    assert_int_equal(count_lines(path), 8000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields_keep_their_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_any_bytes_are_safe, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_texts_and_lines_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_buffer_drops_and_tells, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_is_rotated_at_line_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_that_two_write_to_is_not_rotated, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_that_was_renamed_all_the_same_is_followed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_line_that_the_disk_took_a_part_of_is_no_part_of_the_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_torn_line_of_a_shared_file_is_ended_and_stays,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_line_that_a_kill_has_cut_is_no_part_of_the_next,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_turns_between_logs_cost_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads_lose_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
