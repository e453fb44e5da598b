/* SPDX-License-Identifier: ISC */
/*
 * test_queue_faults.c - queue.db or the journal on a disk that fails once, and what the next start makes of it
 *
 * What SQLite asks of the system comes through here, too: a program's own functions go before a
 * library's.
 */
#include "queue/cold.h"
#include "queue/internal.h"
#include "queue_room.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>

enum {
    DONE = 10,
    DOMAINS = 300,
    FILL = 16,
    FILL_BYTES = 8000,
    TRIES_MOST = 4000,
    SLOW_US = 300000
};

static struct {
    atomic_int reads_until_fault, syncs_until_fault; /* of queue.db; 0: none is to come */
    atomic_int journal_syncs_until_fault;
    atomic_bool is_journal_slow;
    atomic_int faults;
} disk;

static bool is_of(int fd, struct str name)
{
    char link[64], path[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path);
    return n > 0 && str_find(str_make(path, (size_t)n), name) < (size_t)n;
}

static bool fails_now(atomic_int *until, int fd, struct str name)
{
    if (*until == 0 || !is_of(fd, name) || atomic_fetch_sub(until, 1) != 1)
        return false;
    disk.faults++;
    errno = EIO;
    return true;
}

ssize_t pread64(int fd, void *memory, size_t size, off_t offset);
ssize_t pread64(int fd, void *memory, size_t size, off_t offset)
{
    return fails_now(&disk.reads_until_fault, fd, STR("/queue.db"))
               ? -1
               : syscall(SYS_pread64, fd, memory, size, offset);
}

int fdatasync(int fd)
{
    if (disk.is_journal_slow && is_of(fd, STR("/journal/segment-")))
        usleep(SLOW_US);
    return fails_now(&disk.syncs_until_fault, fd, STR("/queue.db")) ||
                   fails_now(&disk.journal_syncs_until_fault, fd, STR("/journal/segment-"))
               ? -1
               : (int)syscall(SYS_fdatasync, fd);
}

static uint64_t put_id;

static void put_message(struct world *w, size_t domains)
{
    static struct queue_rcpt rcpt[DOMAINS];
    static char address[DOMAINS][64];
    for (size_t i = 0; i < domains; i++) {
        snprintf(address[i], sizeof address[i], "somebody@a.rather.long.name.%zu.test", i);
        rcpt[i] = (struct queue_rcpt){.address = str_from(address[i])};
    }
    struct queue_envelope e = {.sender = STR("alice@example.test"),
                               .arrival_ms = clock_real_ms(),
                               .rcpt = rcpt,
                               .rcpt_count = domains};
    struct buf body = buf_make(16);
    buf_append(&body, STR("text\r\n"));
    put_id = queue_new_id(w->queue);
    assert_int_equal(queue_accept(w->queue, put_id, &e, &body, 0).kind, FAULT_FINE);
    wait_for_ready(w, domains);
}

static void rest_with_many_domains(struct world *w)
{
    put_message(w, DOMAINS);
    for (size_t i = 0; i < DOMAINS; i++)
        queue_put_off(w->queue, w->ready[i], 3600000);
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
}

/* Half of its deliveries would be ended ones, and the next checkpoint would take their rows away. */
static void test_a_message_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    static struct world w;
    struct cold *cold;
    int tries = 0, faults = 0, faults_before;
    make_world(&w);
    start_queue_room(NULL);
    run(&w, rest_with_many_domains);
    stop_queue_room(NULL);
    do {
        struct queue_message *m;
        assert_int_equal(cold_open(w.directory, &cold).kind, FAULT_FINE);
        faults_before = disk.faults;
        disk.reads_until_fault = ++tries;
        struct fault f = cold_load(cold, put_id, &m);
        disk.reads_until_fault = 0;
        faults += f.kind != FAULT_FINE;
        assert_int_equal(m == NULL, f.kind != FAULT_FINE);
        if (m) {
            assert_int_equal(m->open_count, DOMAINS);
            message_free(m);
        }
        cold_close(cold);
    } while (disk.faults > faults_before && tries < TRIES_MOST);
    assert_in_range(faults, 5, tries);
    remove_world(&w);
}

/* The record of its end is in the journal, its rows are still there. */
static void end_after_rest(struct world *w)
{
    put_message(w, 1);
    queue_put_off(w->queue, w->ready[0], 3600000);
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
    struct queue_message *m = pin_only(w);
    assert_true(queue_drop(w->queue, &m->delivery[0]));
    queue_unpin(w->queue, m);
    queue_sync(w->queue);
    _exit(DONE);
}

static void run_and_die(struct world *w, void (*act)(struct world *w))
{
    pid_t child = fork();
    if (child == 0) {
        start_queue_room(NULL);
        run(w, act);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), DONE);
}

static struct fault opened;
static size_t found;

static void open_and_count(void *arg)
{
    struct world *w = arg;
    opened = queue_open(&w->options, &w->queue);
    disk.reads_until_fault = 0;
    if (!opened.kind) {
        uint64_t ids[4];
        queue_start(w->queue, &w->keeping);
        assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
        assert_int_equal(queue_ids(w->queue, 0, ids, 4, &found).kind, FAULT_FINE);
        scope_cancel(&w->keeping);
        scope_join(&w->keeping);
        queue_close(w->queue);
    }
    loop_stop(loop_current());
}

static void try_to_open(struct world *w)
{
    struct loop *l = loop_make();
    struct scope scope;
    scope_init(&scope);
    scope_init(&w->keeping);
    w->ready_count = 0;
    start_queue_room(NULL);
    task_start(&scope, "test", open_and_count, w);
    loop_run(l);
    stop_queue_room(NULL);
    loop_free(l);
}

/* A record that is passed over because its message cannot be read just now is lost: what has been
 * delivered would be delivered again. */
static void test_a_start_passes_over_no_record(void **state)
{
    (void)state;
    int tries = 0, refusals = 0, faults_before;
    do {
        static struct world w;
        make_world(&w);
        run_and_die(&w, end_after_rest);
        faults_before = disk.faults;
        disk.reads_until_fault = ++tries;
        try_to_open(&w);
        refusals += opened.kind != FAULT_FINE;
        if (opened.kind)
            try_to_open(&w);
        assert_int_equal(opened.kind, FAULT_FINE);
        assert_int_equal(found, 0);
        remove_world(&w);
    } while (disk.faults > faults_before && tries < TRIES_MOST);
    assert_in_range(refusals, 2, tries);
}

/* So much that the journal lets go of what was there before. */
static void fill_journal(struct world *w)
{
    static const char *const far[] = {"bob@far.test"};
    struct queue_statistics before, after;
    queue_statistics(w->queue, &before);
    for (int i = 0; i < FILL; i++) {
        w->ready_count = 0;
        accept_for(w, far, 1, FILL_BYTES);
        wait_for_ready(w, 1);
        queue_finish(w->queue, w->ready[0], &(struct queue_outcome){0});
    }
    queue_sync(w->queue);
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
    queue_statistics(w->queue, &after);
    assert_true(after.journal.oldest_position > before.journal.end_position);
}

/* The rows are in SQLite's log with their commit, and only the sync has failed. */
static void deliver_after_a_refused_commit(struct world *w)
{
    put_message(w, 1);
    queue_put_off(w->queue, w->ready[0], 3600000);
    disk.syncs_until_fault = 1;
    assert_int_equal(queue_checkpoint(w->queue).reply, 451);
    assert_int_equal(disk.syncs_until_fault, 0);
    struct queue_message *m = pin_only(w);
    assert_true(queue_drop(w->queue, &m->delivery[0]));
    queue_unpin(w->queue, m);
    fill_journal(w);
    _exit(DONE);
}

static void test_a_refused_commit_does_not_come_to_pass_later(void **state)
{
    (void)state;
    static struct world w;
    make_world(&w);
    w.options.journal.segment_bytes = 16384;
    run_and_die(&w, deliver_after_a_refused_commit);
    try_to_open(&w);
    assert_int_equal(opened.kind, FAULT_FINE);
    assert_int_equal(found, 0);
    remove_world(&w);
}

/* One whose body has come in a file; it is with the sender. */
static void accept_large(struct world *w)
{
    struct queue_rcpt rcpt = {.address = STR("bob@one.test")};
    struct queue_envelope e = {.sender = STR("alice@example.test"),
                               .arrival_ms = clock_real_ms(),
                               .rcpt = &rcpt,
                               .rcpt_count = 1};
    struct str text = STR("text\r\n");
    struct iovec part = {(void *)(uintptr_t)text.p, text.n};
    struct file *file;
    put_id = queue_new_id(w->queue);
    assert_int_equal(queue_body_file(w->queue, put_id, &file).kind, FAULT_FINE);
    assert_int_equal(file_write_at(file, &part, 1, 0).kind, FAULT_FINE);
    assert_int_equal(queue_body_sync(w->queue, put_id, file).kind, FAULT_FINE);
    file_close(file);
    assert_int_equal(queue_accept(w->queue, put_id, &e, NULL, text.n).kind, FAULT_FINE);
    wait_for_ready(w, 1);
}

static void rest_large(struct world *w)
{
    accept_large(w);
    queue_put_off(w->queue, w->ready[0], 3600000);
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
}

static bool has_body(struct world *w)
{
    char path[256];
    assert_true(cold_body_path(w->queue->cold, put_id, path, sizeof path));
    return file_exists(path);
}

/* The journal has refused the record of its end, and would be asked again in a second. */
static void die_before_the_end_is_written(struct world *w)
{
    queue_sync(w->queue);
    assert_false(list_is_empty(&w->queue->unwritten));
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
    _exit(DONE);
}

static void end_with_the_sender(struct world *w)
{
    accept_large(w);
    disk.journal_syncs_until_fault = 1;
    queue_finish(w->queue, w->ready[0], &(struct queue_outcome){0});
    die_before_the_end_is_written(w);
}

static void end_at_rest(struct world *w)
{
    rest_large(w);
    struct queue_message *m = pin_only(w);
    disk.journal_syncs_until_fault = 1;
    assert_true(queue_drop(w->queue, &m->delivery[0]));
    queue_unpin(w->queue, m);
    die_before_the_end_is_written(w);
}

static void it_has_its_body(struct world *w)
{
    struct queue_message *m = pin_only(w);
    struct buf body = buf_make(100);
    assert_int_equal(queue_read_body(w->queue, m, 0, 100, &body).kind, FAULT_FINE);
    assert_int_equal(body.used, 6);
    buf_free(&body);
    if (m->delivery[0].state == QUEUE_READY)
        queue_finish(w->queue, &m->delivery[0], &(struct queue_outcome){0});
    else
        assert_true(queue_drop(w->queue, &m->delivery[0]));
    queue_unpin(w->queue, m);
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
    assert_false(has_body(w));
}

/* Else the next start has a message that nobody can send, and its sender hears that it failed. */
static void test_a_body_stays_until_it_is_written_that_its_message_has_ended(void **state)
{
    (void)state;
    void (*const ends[])(struct world *) = {end_with_the_sender, end_at_rest};
    for (size_t i = 0; i < 2; i++) {
        static struct world w;
        make_world(&w);
        run_and_die(&w, ends[i]);
        start_queue_room(NULL);
        run(&w, it_has_its_body);
        stop_queue_room(NULL);
        remove_world(&w);
    }
}

static void end_with_a_slow_journal(struct world *w)
{
    accept_large(w);
    disk.is_journal_slow = true;
    queue_finish(w->queue, w->ready[0], &(struct queue_outcome){0});
    while (has_body(w)) {
        assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
        task_sleep(1);
    }
    assert_int_equal(w->queue->results_in_flight, 0);
    disk.is_journal_slow = false;
}

static void test_a_body_stays_while_it_is_being_written_that_its_message_has_ended(void **state)
{
    (void)state;
    start_queue_room(NULL);
    run_alone(end_with_a_slow_journal, NULL);
    stop_queue_room(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_is_read_whole_or_not_at_all),
        cmocka_unit_test(test_a_start_passes_over_no_record),
        cmocka_unit_test(test_a_refused_commit_does_not_come_to_pass_later),
        cmocka_unit_test(test_a_body_stays_until_it_is_written_that_its_message_has_ended),
        cmocka_unit_test(test_a_body_stays_while_it_is_being_written_that_its_message_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
