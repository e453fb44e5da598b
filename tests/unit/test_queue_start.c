/* SPDX-License-Identifier: ISC */
/*
 * test_queue_start.c - what a killed process left in queue.db is durable before anybody acts on it; and
 * nobody acts without queue.db
 */
#include "queue_room.h"
#include "queue/cold.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum { ID = 77, DONE = 10, SYNCED_MOST = 64 };

/* The journal's keeper syncs beside the thread that starts the queue. */
static pthread_mutex_t disk_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
    atomic_bool is_failing;
    ino_t synced[SYNCED_MOST]; /* under disk_mutex, as is its count */
    size_t count;
} disk;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
    struct stat status;
    if (disk.is_failing) {
        errno = EIO;
        return -1;
    }
    pthread_mutex_lock(&disk_mutex);
    if (disk.count < SYNCED_MOST && fstat(fd, &status) == 0)
        disk.synced[disk.count++] = status.st_ino;
    pthread_mutex_unlock(&disk_mutex);
    return __real_fdatasync(fd);
}

/* A process that is gone behind its commit. */
static void leave_row(const struct world *w)
{
    pid_t child = fork();
    if (child == 0) {
        struct cold *cold;
        struct cold_change change = {
            .id = ID, .sender = STR("a@b"), .arrival_ms = 1, .envelope = STR("x")};
        if (cold_open(w->directory, &cold).kind || cold_apply(cold, &change, 1).kind)
            _exit(0);
        _exit(DONE);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), DONE);
}

static bool is_synced(const struct world *w, const char *name)
{
    char path[96];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", w->directory, name);
    assert_int_equal(stat(path, &status), 0);
    for (size_t i = 0; i < disk.count; i++)
        if (disk.synced[i] == status.st_ino)
            return true;
    return false;
}

static void test_rows_are_synced_before_they_are_believed(void **state)
{
    (void)state;
    static struct world w;
    struct cold *cold;
    bool is_there = false;
    make_world(&w);
    leave_row(&w);
    disk.count = 0;
    assert_int_equal(cold_open(w.directory, &cold).kind, FAULT_FINE);
    assert_true(is_synced(&w, "queue.db-wal") && is_synced(&w, "queue.db"));
    assert_int_equal(cold_has(cold, ID, &is_there).kind, FAULT_FINE);
    assert_true(is_there);
    cold_close(cold);
    remove_world(&w);
}

static void test_a_disk_that_does_not_sync_is_not_believed(void **state)
{
    (void)state;
    static struct world w;
    struct cold *cold;
    make_world(&w);
    leave_row(&w);
    disk.is_failing = true;
    struct fault f = cold_open(w.directory, &cold);
    disk.is_failing = false;
    assert_int_equal(f.reply, 451);
    assert_null(cold);
    assert_non_null(strstr(f.text, "queue.db"));
    assert_int_equal(cold_open(w.directory, &cold).kind, FAULT_FINE);
    cold_close(cold);
    remove_world(&w);
}

static void put_to_rest(struct world *w)
{
    accept_for(w, two_domains, 1, 100);
    wait_for_ready(w, 1);
    queue_put_off(w->queue, w->ready[0], 3600000);
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
}

static void it_is_there(struct world *w)
{
    struct queue_message *m = pin_only(w);
    struct buf body = buf_make(100);
    assert_int_equal(queue_read_body(w->queue, m, 0, 100, &body).kind, FAULT_FINE);
    assert_int_equal(body.used, 100);
    buf_free(&body);
    queue_unpin(w->queue, m);
}

/* Else the start would take the bodies for what a crash left of messages that nobody was promised. */
static void test_there_is_no_start_when_the_bodies_have_lost_queue_db(void **state)
{
    (void)state;
    static struct world w;
    struct cold *cold;
    char path[96], aside[96];
    make_world(&w);
    start_queue_room(NULL);
    run(&w, put_to_rest);
    snprintf(path, sizeof path, "%s/queue.db", w.directory);
    snprintf(aside, sizeof aside, "%s/aside", w.directory);
    assert_int_equal(file_rename(path, aside).kind, FAULT_FINE);
    for (int i = 0; i < 2; i++) {
        struct fault f = cold_open(w.directory, &cold);
        assert_int_equal(f.reply, 451);
        assert_non_null(strstr(f.text, "queue.db is gone"));
    }
    assert_int_equal(file_rename(aside, path).kind, FAULT_FINE);
    run(&w, it_is_there);
    stop_queue_room(NULL);
    remove_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_synced_before_they_are_believed),
        cmocka_unit_test(test_a_disk_that_does_not_sync_is_not_believed),
        cmocka_unit_test(test_there_is_no_start_when_the_bodies_have_lost_queue_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
