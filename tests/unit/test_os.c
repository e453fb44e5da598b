/* SPDX-License-Identifier: ISC */
/*
 * test_os.c - files, clocks, threads and random numbers
 */
#include "os/channel.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/random.h"
#include "os/signals.h"
#include "os/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];

static int make_room(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "test_os.%ld", (long)getpid());
    return file_make_directory(directory).kind != FAULT_FINE;
}

static int remove_room(void **state)
{
    (void)state;
    return file_remove_tree(directory).kind != FAULT_FINE;
}

/* The path of a name in the test's directory; good until the next call but three. */
static const char *in_room(const char *name)
{
    static char path[4][160];
    static unsigned turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", directory, name);
    return path[turn];
}

static void assert_fine(struct fault f)
{
    assert_string_equal(f.text, "");
    assert_true(f.kind == FAULT_FINE);
}

static void test_write_of_more_parts_than_one_call_takes(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static struct iovec parts[COUNT];
    static char bytes[COUNT * 3], back[COUNT * 3 + 10];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i % 251);
    for (size_t i = 0, at = 0; i < COUNT; i++) {
        size_t n = i % 7 == 0 ? 0 : 3;
        parts[i] = (struct iovec){bytes + at, n};
        at += n;
    }
    size_t total = 3 * (COUNT - (COUNT + 6) / 7);
    struct file *f;
    assert_fine(file_open(in_room("parts"), FILE_CREATE_NEW, &f));
    assert_fine(file_write_at(f, parts, COUNT, 5));
    size_t got;
    assert_fine(file_read_at(f, back, sizeof back, 5, &got));
    assert_int_equal(got, total);
    assert_memory_equal(back, bytes, total);
    int64_t size;
    assert_fine(file_size(f, &size));
    assert_int_equal(size, total + 5);
    assert_fine(file_sync(f));
    file_close(f);
}

static void test_short_write_becomes_an_exact_fault(void **state)
{
    (void)state;
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 6;
    signal(SIGXFSZ, SIG_IGN);
    struct file *f;
    assert_fine(file_open(in_room("limited"), FILE_CREATE_NEW, &f));
    char bytes[10] = "0123456789";
    struct iovec part = {bytes, sizeof bytes};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct fault fault = file_write_at(f, &part, 1, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(fault.reply, 451);
    assert_non_null(strstr(fault.text, "limited: File too large"));
    size_t got;
    assert_fine(file_read_at(f, bytes, sizeof bytes, 0, &got));
    assert_int_equal(got, 6); /* the part that fitted was written, then the rest was tried */
    file_close(f);
}

static void test_full_disk_is_452(void **state)
{
    (void)state;
    struct file *f;
    assert_fine(file_open("/dev/full", FILE_READ_WRITE, &f));
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct fault fault = file_write_at(f, &part, 1, 0);
    assert_int_equal(fault.reply, 452);
    assert_int_equal(fault.status.subject, 3);
    assert_int_equal(fault.status.detail, 1);
    assert_string_equal(fault.text, "write /dev/full: No space left on device");
    assert_true(fault.is_private);
    file_close(f);
}

static void test_open_modes(void **state)
{
    (void)state;
    struct file *f;
    struct fault fault = file_open(in_room("missing"), FILE_READ, &f);
    assert_null(f);
    assert_int_equal(fault.reply, 451);
    assert_int_equal(file_open(in_room("missing"), FILE_READ_WRITE, &f).reply, 451);
    assert_fine(file_open(in_room("log"), FILE_APPEND, &f));
    assert_fine(file_append(f, STR("one ")));
    file_close(f);
    assert_int_equal(file_open(in_room("log"), FILE_CREATE_NEW, &f).reply, 451);
    assert_fine(file_open(in_room("log"), FILE_APPEND, &f));
    assert_fine(file_append(f, STR("two")));
    file_close(f);
    struct buf content = buf_make(7);
    assert_fine(file_load(in_room("log"), &content));
    assert_memory_equal(content.data, "one two", 7);
    buf_free(&content);
    content = buf_make(6);
    assert_int_equal(file_load(in_room("log"), &content).reply, 451);
    buf_free(&content);
}

static void test_zeroed_file_has_its_size(void **state)
{
    (void)state;
    struct file *f;
    assert_fine(file_open(in_room("zero"), FILE_CREATE_NEW, &f));
    assert_fine(file_append(f, STR("abc")));
    assert_fine(file_zero(f, 3 * 1024 * 1024 / 2 + 1));
    int64_t size;
    assert_fine(file_size(f, &size));
    assert_int_equal(size, 3 * 1024 * 1024 / 2 + 1);
    char bytes[4];
    size_t got;
    assert_fine(file_read_at(f, bytes, 4, 0, &got));
    assert_memory_equal(bytes, "\0\0\0\0", 4);
    assert_fine(file_truncate(f, 2));
    file_expect_sequential(f);
    file_forget_cached(f);
    assert_fine(file_read_at(f, bytes, 4, 0, &got));
    assert_int_equal(got, 2);
    file_close(f);
}

/* Past the cache where the file system can; bytes that cannot go that way are written all the same. */
static void test_cache_is_bypassed_and_not_needed(void **state)
{
    (void)state;
    struct file *f, *reader;
    char *pages = memory_zero_pages(2 * MEMORY_PAGE), bytes[8];
    size_t got;
    assert_int_equal((uintptr_t)pages % MEMORY_PAGE, 0);
    assert_fine(file_open(in_room("direct"), FILE_CREATE_NEW, &f));
    file_bypass_cache(f);
    assert_fine(file_zero(f, 4 * MEMORY_PAGE));
    assert_fine(file_open(in_room("direct"), FILE_READ, &reader));
    assert_fine(file_read_at(reader, bytes, 8, MEMORY_PAGE, &got)); /* now the cache has it */
    memset(pages, 'a', 2 * MEMORY_PAGE);
    assert_fine(file_write_at(f, &(struct iovec){pages, 2 * MEMORY_PAGE}, 1, MEMORY_PAGE));
    assert_fine(file_read_at(reader, bytes, 8, MEMORY_PAGE - 4, &got));
    assert_memory_equal(bytes, "\0\0\0\0aaaa", 8);
    assert_fine(file_write_at(f, &(struct iovec){pages + 1, 3}, 1, 3));
    assert_fine(file_write_at(f, &(struct iovec){pages, MEMORY_PAGE}, 1, 0));
    assert_fine(file_sync(f));
    assert_fine(file_read_at(reader, bytes, 8, 0, &got));
    assert_memory_equal(bytes, "aaaaaaaa", 8);
    file_close(reader);
    file_close(f);
    free(pages);
}

static void count_name(const char *name, void *arg)
{
    (void)name;
    ++*(int *)arg;
}

static void test_save_replaces_and_leaves_nothing_else(void **state)
{
    (void)state;
    assert_fine(file_make_directory(in_room("a/b//c/")));
    assert_fine(file_make_directory(in_room("a/b/c")));
    assert_fine(file_save(in_room("a/b/c/name"), STR("old"), 0644));
    assert_fine(file_save(in_room("a/b/c/name"), STR("new"), 0640));
    struct stat status;
    assert_int_equal(stat(in_room("a/b/c/name"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    struct buf content = buf_make(100);
    assert_fine(file_load(in_room("a/b/c/name"), &content));
    assert_memory_equal(content.data, "new", 3);
    buf_free(&content);
    int names = 0;
    assert_fine(file_list(in_room("a/b/c"), count_name, &names));
    assert_int_equal(names, 1);
    assert_int_equal(file_save(in_room("no/such"), STR(""), 0600).reply, 451);
}

static void test_remove_tree_does_not_follow_links(void **state)
{
    (void)state;
    assert_fine(file_make_directory(in_room("kept")));
    assert_fine(file_save(in_room("kept/file"), STR("x"), 0600));
    assert_fine(file_make_directory(in_room("tree/deep/er")));
    assert_int_equal(symlink("../../kept", in_room("tree/link")), 0);
    assert_fine(file_save(in_room("tree/deep/er/file"), STR("x"), 0600));
    assert_fine(file_remove_tree(in_room("tree")));
    assert_fine(file_remove_tree(in_room("tree")));
    assert_false(file_exists(in_room("tree")));
    assert_true(file_exists(in_room("kept/file")));
    assert_fine(file_rename(in_room("kept/file"), in_room("kept/other")));
    assert_fine(file_remove(in_room("kept/other")));
    assert_fine(file_remove(in_room("kept/other")));
    assert_int_equal(file_make_directory("/dev/null/x").reply, 451);
    assert_int_equal(file_make_directory("/dev/null").reply, 451);
    assert_fine(file_sync_directory(directory));
    struct file *whole;
    assert_fine(file_open(directory, FILE_READ, &whole));
    assert_fine(file_sync_system(whole));
    file_close(whole);
}

static void test_lock_has_one_holder(void **state)
{
    (void)state;
    struct file *first, *second;
    assert_fine(file_open(in_room("lock"), FILE_CREATE, &first));
    assert_fine(file_open(in_room("lock"), FILE_CREATE, &second));
    assert_true(file_try_lock(first));
    assert_false(file_try_lock(second));
    file_close(first);
    assert_true(file_try_lock(second));
    file_close(second);
}

static void test_space_is_told(void **state)
{
    (void)state;
    int64_t free_bytes, total_bytes;
    assert_fine(file_space(directory, &free_bytes, &total_bytes));
    assert_true(free_bytes >= 0 && free_bytes <= total_bytes && total_bytes > 0);
    assert_int_equal(file_space(in_room("none"), &free_bytes, &total_bytes).reply, 451);
}

static void test_clocks(void **state)
{
    (void)state;
    int64_t before = clock_now_ns();
    clock_sleep_us(2000);
    int64_t after = clock_now_ns();
    assert_true(after - before >= 2000000);
    assert_true(clock_now_ms() >= after / 1000000);
    assert_true(clock_real_ms() > INT64_C(1700000000000));
    assert_int_equal(setenv("TZ", "XYZ-05:30", 1), 0);
    assert_int_equal(clock_zone_minutes(0), 330);
}

struct shared {
    struct mutex mutex;
    struct cond cond;
    int turn, count;
};

static void take_turns(void *arg)
{
    struct shared *s = arg;
    mutex_lock(&s->mutex);
    for (int i = 0; i < 1000; i++) {
        while (s->turn != 1)
            cond_wait(&s->cond, &s->mutex);
        s->count++;
        s->turn = 0;
        cond_signal(&s->cond);
    }
    mutex_unlock(&s->mutex);
}

static void test_threads_take_turns(void **state)
{
    (void)state;
    struct shared s = {.turn = 0};
    mutex_init(&s.mutex);
    cond_init(&s.cond);
    struct thread t;
    thread_start(&t, "a name that is far too long", take_turns, &s);
    mutex_lock(&s.mutex);
    for (int i = 0; i < 1000; i++) {
        while (s.turn != 0)
            cond_wait(&s.cond, &s.mutex);
        s.turn = 1;
        cond_broadcast(&s.cond);
    }
    mutex_unlock(&s.mutex);
    thread_join(&t);
    assert_int_equal(s.count, 1000);
    mutex_lock(&s.mutex);
    int64_t deadline = clock_now_ns() + 3000000;
    while (clock_now_ns() < deadline)
        cond_wait_until(&s.cond, &s.mutex, deadline);
    mutex_unlock(&s.mutex);
    cond_destroy(&s.cond);
    mutex_destroy(&s.mutex);
    assert_true(thread_processor_count() >= 1);
}

static void test_random_stays_below_its_limit(void **state)
{
    (void)state;
    bool seen[5] = {false};
    for (int i = 0; i < 1000; i++)
        seen[random_below(5)] = true;
    for (int i = 0; i < 5; i++)
        assert_true(seen[i]);
    assert_int_equal(random_below(1), 0);
    assert_true(random_u64() != random_u64());
}

static void test_a_channel_passes_packets_and_descriptors(void **state)
{
    (void)state;
    int ends[2], got[4];
    char packet[8] = "";
    size_t count = 4;
    struct buf text = buf_make(1 << 20);
    channel_pair(ends);
    assert_int_equal(channel_receive(ends[1], packet, sizeof packet, got, &count), CHANNEL_NOTHING);
    int held = channel_hold_text(STR("to be passed on"));
    assert_int_equal(channel_send(ends[0], "packet", 7, &held, 1).kind, FAULT_FINE);
    close(held);
    channel_wait(ends[1]);
    count = 4;
    assert_int_equal(channel_receive(ends[1], packet, 7, got, &count), CHANNEL_PACKET);
    assert_string_equal(packet, "packet");
    assert_int_equal(count, 1);
    assert_true(channel_read_text(got[0], &text));
    assert_int_equal(text.used, 15);
    assert_memory_equal(text.data, "to be passed on", 15);
    close(got[0]);
    buf_free(&text);
    close(ends[0]);
    assert_int_equal(channel_receive(ends[1], packet, 7, got, &count), CHANNEL_END);
    assert_int_equal(channel_send(ends[1], "x", 1, NULL, 0).kind, FAULT_LATER);
    close(ends[1]);
}

/* What comes from a role is not trusted: no descriptor gets in unasked, no packet of another size. */
static void test_a_channel_lets_in_only_what_is_asked_for(void **state)
{
    (void)state;
    int ends[2], before = dup(0);
    char packet[8];
    size_t count = 0;
    channel_pair(ends);
    assert_int_equal(channel_send(ends[0], "packet", 7, &ends[0], 1).kind, FAULT_FINE);
    assert_int_equal(channel_receive(ends[1], packet, 7, NULL, &count), CHANNEL_CUT);
    assert_int_equal(count, 0);
    assert_int_equal(channel_send(ends[0], "packet", 6, NULL, 0).kind, FAULT_FINE);
    assert_int_equal(channel_receive(ends[1], packet, 7, NULL, &count), CHANNEL_END);
    assert_int_equal(channel_send(ends[0], "packets", 8, NULL, 0).kind, FAULT_FINE);
    assert_int_equal(channel_receive(ends[1], packet, 7, NULL, &count), CHANNEL_END);
    close(ends[0]);
    close(ends[1]);
    close(before);
    int after = dup(0);
    assert_int_equal(after, before);
    close(after);
}

/* As many as are asked for, although the room for them is padded. */
static void test_a_channel_leaves_no_descriptor_open_that_is_too_many(void **state)
{
    (void)state;
    char packet[1];
    int ends[2], many[4] = {0, 0, 0, 0}, got[4], before = dup(0);
    close(before);
    channel_pair(ends);
    for (size_t sent = 1; sent <= 4; sent++)
        for (size_t asked = 1; asked <= 3; asked++) {
            size_t count = asked;
            got[asked] = -1;
            bool is_whole = sent <= asked;
            assert_int_equal(channel_send(ends[0], "x", 1, many, sent).kind, FAULT_FINE);
            assert_int_equal(channel_receive(ends[1], packet, 1, got, &count),
                             is_whole ? CHANNEL_PACKET : CHANNEL_CUT);
            assert_int_equal(count, is_whole ? sent : 0);
            assert_int_equal(got[asked], -1);
            while (count > 0)
                close(got[--count]);
        }
    close(ends[0]);
    close(ends[1]);
    int after = dup(0);
    assert_int_equal(after, before);
    close(after);
}

static void test_a_packet_whose_descriptors_have_no_room_is_cut(void **state)
{
    (void)state;
    char packet[1];
    int ends[2], many[2] = {0, 0}, got[2];
    struct rlimit limit, none;
    size_t count = 2;
    channel_pair(ends);
    assert_int_equal(channel_send(ends[0], "x", 1, many, 2).kind, FAULT_FINE);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = (rlim_t)ends[1] + 2; /* for one */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    enum channel_result result = channel_receive(ends[1], packet, 1, got, &count);
    int after = dup(0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(result, CHANNEL_CUT);
    assert_int_equal(count, 0);
    assert_int_equal(after, ends[1] + 1);
    close(after);
    close(ends[0]);
    close(ends[1]);
}

/* In a child, before it has done anything about signals. */
static int tell_whether_signals_wait(void)
{
    sigset_t set;
    sigprocmask(SIG_SETMASK, NULL, &set);
    return sigismember(&set, SIGTERM) && sigismember(&set, SIGHUP) ? 0 : 1;
}

static void test_a_child_is_not_ended_by_a_signal_that_comes_early(void **state)
{
    (void)state;
    char name[] = "test_os", word[] = "signals", how[PROCESS_END_MAX];
    char *arguments[] = {name, word, NULL};
    int pid = 0;
    bool is_clean = false;
    signals_block();
    assert_int_equal(process_start(arguments, 0, &pid).kind, FAULT_FINE);
    assert_int_equal(signals_wait(), SIGNALS_CHILD);
    assert_int_equal(process_reap(how, &is_clean), pid);
    assert_string_equal(how, "ended with status 0");
    assert_true(is_clean);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "signals") == 0)
        return tell_whether_signals_wait();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_of_more_parts_than_one_call_takes),
        cmocka_unit_test(test_short_write_becomes_an_exact_fault),
        cmocka_unit_test(test_full_disk_is_452),
        cmocka_unit_test(test_open_modes),
        cmocka_unit_test(test_zeroed_file_has_its_size),
        cmocka_unit_test(test_cache_is_bypassed_and_not_needed),
        cmocka_unit_test(test_save_replaces_and_leaves_nothing_else),
        cmocka_unit_test(test_remove_tree_does_not_follow_links),
        cmocka_unit_test(test_lock_has_one_holder),
        cmocka_unit_test(test_space_is_told),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_threads_take_turns),
        cmocka_unit_test(test_random_stays_below_its_limit),
        cmocka_unit_test(test_a_channel_passes_packets_and_descriptors),
        cmocka_unit_test(test_a_channel_lets_in_only_what_is_asked_for),
        cmocka_unit_test(test_a_channel_leaves_no_descriptor_open_that_is_too_many),
        cmocka_unit_test(test_a_packet_whose_descriptors_have_no_room_is_cut),
        cmocka_unit_test(test_a_child_is_not_ended_by_a_signal_that_comes_early),
    };
    return cmocka_run_group_tests(tests, make_room, remove_room);
}
