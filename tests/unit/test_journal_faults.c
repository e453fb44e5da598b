/* SPDX-License-Identifier: ISC */
/*
 * test_journal_faults.c - the journal on a disk that fails
 *
 * The linker puts the functions __wrap_* between the program and the system
 * (tests/unit/meson.build) so that writes, syncs and allocations fail when a test says so.
 */
#include "journal_room.h"
#include "os/thread.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum { SMALL = 16384, SYNCED_MOST = 64 };

/* How the disk behaves now. */
struct disk {
    _Atomic int syncs_to_fail;
    _Atomic int writes_to_fail;
    _Atomic int write_error;
    _Atomic bool is_writing_short;
    _Atomic bool is_full; /* no new file fits */
    _Atomic bool is_keeping_names;
    struct mutex mutex;
    struct cond cond;
    int writes_awaited; /* a sync that fails waits for so many writes more */
    bool is_failing;    /* the last sync that began */
    ino_t synced[SYNCED_MOST];
    size_t synced_count;
};

static struct disk disk;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
ssize_t __real_pwritev64(int fd, const struct iovec *parts, int count, off_t offset);
ssize_t __wrap_pwritev64(int fd, const struct iovec *parts, int count, off_t offset);
int __real_posix_fallocate64(int fd, off_t offset, off_t size);
int __wrap_posix_fallocate64(int fd, off_t offset, off_t size);

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);

static bool take_one(_Atomic int *count)
{
    int left = atomic_load(count);
    while (left > 0)
        if (atomic_compare_exchange_strong(count, &left, left - 1))
            return true;
    return false;
}

int __wrap_fdatasync(int fd)
{
    bool is_failing = take_one(&disk.syncs_to_fail);
    mutex_lock(&disk.mutex);
    disk.is_failing = is_failing;
    cond_broadcast(&disk.cond);
    struct stat status;
    if (!is_failing && disk.synced_count < SYNCED_MOST && fstat(fd, &status) == 0)
        disk.synced[disk.synced_count++] = status.st_ino;
    while (is_failing && disk.writes_awaited > 0)
        cond_wait(&disk.cond, &disk.mutex);
    mutex_unlock(&disk.mutex);
    int result = __real_fdatasync(fd); /* what is refused may well be on the disk */
    if (!is_failing)
        return result;
    errno = EIO;
    return -1;
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *parts, int count, off_t offset)
{
    if (take_one(&disk.writes_to_fail)) {
        errno = atomic_load(&disk.write_error);
        return -1;
    }
    if (atomic_load(&disk.is_writing_short)) {
        struct iovec little = {parts->iov_base, parts->iov_len > 7 ? 7 : parts->iov_len};
        return __real_pwritev64(fd, &little, 1, offset);
    }
    ssize_t result = __real_pwritev64(fd, parts, count, offset);
    mutex_lock(&disk.mutex);
    disk.writes_awaited--;
    cond_broadcast(&disk.cond);
    mutex_unlock(&disk.mutex);
    return result;
}

int __wrap_posix_fallocate64(int fd, off_t offset, off_t size)
{
    return atomic_load(&disk.is_full) ? ENOSPC : __real_posix_fallocate64(fd, offset, size);
}

int __wrap_unlink(const char *path)
{
    errno = EIO;
    return atomic_load(&disk.is_keeping_names) ? -1 : __real_unlink(path);
}

/* A disk that works. */
static int mend(void **state)
{
    (void)state;
    atomic_store(&disk.syncs_to_fail, 0);
    atomic_store(&disk.writes_to_fail, 0);
    atomic_store(&disk.is_writing_short, false);
    atomic_store(&disk.is_full, false);
    atomic_store(&disk.is_keeping_names, false);
    disk.writes_awaited = 0;
    return 0;
}

static int make_disk(void **state)
{
    mutex_init(&disk.mutex);
    cond_init(&disk.cond);
    return mend(state);
}

/* Waits until the keeper has made what it wants to, so that it meets no failure meant for others.
 */
static void settle_keeper(struct room *r, int64_t spares)
{
    while (room_statistics(r).spares < spares)
        usleep(1000);
}

static void assert_refused(struct room *r, const char *text, unsigned reply)
{
    uint64_t position;
    struct fault fault = room_try_put(r, text, strlen(text), &position);
    assert_true(fault.kind == FAULT_LATER);
    assert_int_equal(fault.reply, reply);
    assert_int_equal(fault.status.subject, 3);
    assert_int_equal(fault.status.detail, reply == 452 ? 1 : 0);
}

static void assert_replays(struct room *r, const char *const *texts, size_t count)
{
    room_close(r);
    for (int i = 0; i < 2; i++) {
        room_open(r, SMALL);
        assert_int_equal(r->count, count);
        assert_int_equal(r->damage_count, 0);
        for (size_t k = 0; k < count; k++)
            assert_string_equal(r->record[k].payload, texts[k]);
        if (i == 0)
            room_close(r);
    }
}

static void test_failed_sync_never_turns_into_success(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_sync");
    assert_fine(room_try_open(&r, SMALL, 3));
    settle_keeper(&r, 3);
    room_put(&r, "before", 6);
    atomic_store(&disk.syncs_to_fail, 1);
    assert_refused(&r, "refused, though it is on the disk", 451);
    assert_int_equal(r.alarms, 1);
    assert_non_null(strstr(r.first_alarm.text, "Input/output error"));
    room_put(&r, "after", 5);
    assert_int_equal(room_statistics(&r).failures, 1);
    static const char *const texts[] = {"before", "after"};
    assert_replays(&r, texts, 2);
    room_free(&r);
}

static void test_failed_segment_is_never_used_again(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_never");
    assert_fine(room_try_open(&r, SMALL, 3));
    settle_keeper(&r, 3);
    uint64_t before = room_put(&r, "before", 6);
    atomic_store(&disk.syncs_to_fail, 1);
    assert_refused(&r, "refused", 451);
    uint64_t after = room_put(&r, "after", 5);
    assert_true(after / SMALL > before / SMALL);
    /* Of four files, the failed one goes when it is trimmed: nothing but spares and the active. */
    journal_trim(r.journal, after);
    char path[128];
    snprintf(path, sizeof path, "%s/segment-%08u", r.directory, 0);
    while (room_statistics(&r).segments > 1)
        usleep(1000);
    room_close(&r);
    assert_false(file_exists(path));
    room_free(&r);
}

static void test_failed_write_is_refused(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_write");
    assert_fine(room_try_open(&r, SMALL, 4));
    settle_keeper(&r, 4);
    atomic_store(&disk.write_error, EIO);
    atomic_store(&disk.writes_to_fail, 1);
    assert_refused(&r, "io", 451);
    settle_keeper(&r, 4);
    atomic_store(&disk.write_error, ENOSPC);
    atomic_store(&disk.writes_to_fail, 1);
    assert_refused(&r, "full", 452);
    settle_keeper(&r, 4);
    atomic_store(&disk.write_error, EDQUOT);
    atomic_store(&disk.writes_to_fail, 1);
    assert_refused(&r, "quota", 452);
    room_put(&r, "fine", 4);
    static const char *const texts[] = {"fine"};
    assert_replays(&r, texts, 1);
    room_free(&r);
}

static void test_failing_void_takes_the_next_segment(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_void");
    assert_fine(room_try_open(&r, SMALL, 4));
    settle_keeper(&r, 4);
    room_put(&r, "before", 6);
    atomic_store(&disk.is_full, true);    /* so that the keeper has nothing to sync meanwhile */
    atomic_store(&disk.syncs_to_fail, 3); /* the record's and two voids' */
    assert_refused(&r, "refused", 451);
    assert_int_equal(atomic_load(&disk.syncs_to_fail), 0);
    assert_int_equal(room_statistics(&r).failures, 3);
    room_put(&r, "after", 5);
    atomic_store(&disk.is_full, false);
    static const char *const texts[] = {"before", "after"};
    assert_replays(&r, texts, 2);
    room_free(&r);
}

static void test_dead_disk_refuses_and_recovers(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_dead");
    room_open(&r, SMALL);
    room_put(&r, "before", 6);
    atomic_store(&disk.syncs_to_fail, 1000000);
    for (int i = 0; i < 5; i++)
        assert_refused(&r, "refused", 451);
    atomic_store(&disk.syncs_to_fail, 0);
    room_put(&r, "after", 5);
    static const char *const texts[] = {"before", "after"};
    assert_replays(&r, texts, 2);
    room_free(&r);
}

static void test_short_writes_are_continued(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_short");
    room_open(&r, SMALL);
    atomic_store(&disk.is_writing_short, true);
    room_put(&r, "in pieces of seven bytes", 24);
    atomic_store(&disk.is_writing_short, false);
    static const char *const texts[] = {"in pieces of seven bytes"};
    assert_replays(&r, texts, 1);
    room_free(&r);
}

struct put {
    struct room *room;
    const char *text;
    struct fault fault;
    struct thread thread;
};

static void put_in_thread(void *arg)
{
    struct put *p = arg;
    uint64_t position;
    p->fault = room_try_put(p->room, p->text, strlen(p->text), &position);
}

static void test_failure_takes_the_batch_in_flight_behind_it_along(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_both");
    assert_fine(room_try_open(&r, SMALL, 3));
    settle_keeper(&r, 3);
    room_put(&r, "before", 6);
    /* The first one's sync fails, but only after the second was written (and will be synced well).
     */
    mutex_lock(&disk.mutex);
    disk.writes_awaited = 2;
    mutex_unlock(&disk.mutex);
    atomic_store(&disk.syncs_to_fail, 1);
    struct put first = {.room = &r, .text = "first"}, second = {.room = &r, .text = "second"};
    thread_start(&first.thread, "first", put_in_thread, &first);
    mutex_lock(&disk.mutex);
    while (!disk.is_failing)
        cond_wait(&disk.cond, &disk.mutex);
    mutex_unlock(&disk.mutex);
    thread_start(&second.thread, "second", put_in_thread, &second);
    thread_join(&first.thread);
    thread_join(&second.thread);
    assert_int_equal(first.fault.reply, 451);
    assert_int_equal(second.fault.reply, 451);
    room_put(&r, "after", 5);
    static const char *const texts[] = {"before", "after"};
    assert_replays(&r, texts, 2);
    room_free(&r);
}

static void test_full_disk_refuses_with_452_and_recovers(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_full");
    room_open(&r, SMALL);
    settle_keeper(&r, 1);
    atomic_store(&disk.is_full, true);
    size_t accepted = 0;
    struct fault fault = FINE;
    uint64_t position;
    while (!fault.kind) {
        fault = room_try_put(&r, "record", 3000, &position);
        accepted += fault.kind == FAULT_FINE;
    }
    assert_true(accepted >= 3 && accepted <= 6); /* the active segment and the spare */
    assert_int_equal(fault.reply, 452);
    assert_non_null(strstr(fault.text, "No space left on device"));
    assert_refused(&r, "still", 452);
    assert_true(r.alarms >= 1);
    /* Space comes back from outside. */
    atomic_store(&disk.is_full, false);
    room_put(&r, "again", 5);
    /* Or because a checkpoint lets old segments go. */
    atomic_store(&disk.is_full, true);
    fault = FINE;
    while (!fault.kind) {
        uint64_t last = position;
        fault = room_try_put(&r, "record", 3000, &position);
        position = fault.kind ? last : position;
    }
    assert_int_equal(fault.reply, 452);
    journal_trim(r.journal, position);
    settle_keeper(&r, 1);
    room_put(&r, "recycled", 8);
    room_free(&r);
    atomic_store(&disk.is_full, false);
}

/* What is there can be read and let go of; what comes is refused until there is room. */
static void test_start_on_a_full_disk(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_full_start");
    atomic_store(&disk.is_full, true);
    room_open(&r, SMALL);
    assert_int_equal(r.count, 0);
    assert_refused(&r, "no room", 452);
    atomic_store(&disk.is_full, false);
    room_put(&r, "first", 5);
    settle_keeper(&r, 1);
    atomic_store(&disk.is_full, true);
    uint64_t position, last = 0;
    size_t accepted = 1;
    for (; !room_try_put(&r, "record", 3000, &position).kind; last = position)
        accepted++;
    for (int start = 0; start < 2; start++) {
        room_close(&r);
        room_open(&r, SMALL);
        assert_int_equal(r.count, accepted);
        assert_int_equal(r.damage_count, 0);
        assert_refused(&r, "still no room", 452);
    }
    journal_trim(r.journal, last);
    settle_keeper(&r, 1);
    room_put(&r, "behind", 6);
    room_close(&r);
    room_open(&r, SMALL);
    assert_true(r.count > 0 && r.count < accepted);
    assert_string_equal(r.record[r.count - 1].payload, "behind");
    assert_int_equal(r.damage_count, 0);
    room_free(&r);
}

/* Of the record's segment: whether there was a sync since the count was reset. */
struct question {
    const struct room *room;
    uint64_t position;
    bool is_found, is_synced;
};

static void look_at_segment(const char *name, void *arg)
{
    struct question *q = arg;
    char path[128];
    unsigned char header[FORMAT_SEGMENT_HEADER];
    struct format_segment segment;
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", q->room->directory, name);
    FILE *f = fopen(path, "r");
    if (!f)
        return; /* a new one, which has got its name meanwhile */
    bool is_segment = fread(header, sizeof header, 1, f) == 1 &&
                      format_get_segment(header, &segment) && segment.base <= q->position &&
                      q->position < segment.base + segment.size;
    assert_int_equal(fstat(fileno(f), &status), 0);
    fclose(f);
    q->is_found |= is_segment;
    mutex_lock(&disk.mutex);
    for (size_t i = 0; is_segment && i < disk.synced_count; i++)
        q->is_synced |= disk.synced[i] == status.st_ino;
    mutex_unlock(&disk.mutex);
}

static bool is_synced(const struct room *r, uint64_t position)
{
    struct question q = {.room = r, .position = position};
    assert_fine(file_list(r->directory, look_at_segment, &q));
    assert_true(q.is_found);
    return q.is_synced;
}

/* Who was killed may have left records in the system's memory that no sync has reached. */
static void test_what_a_start_finds_is_synced_first(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_start_sync");
    room_open(&r, SMALL);
    uint64_t first = room_put(&r, "first", 8000), second = room_put(&r, "second", 8000);
    uint64_t third = room_put(&r, "third", 8000), fourth = room_put(&r, "fourth", 8000);
    settle_keeper(&r, 1);
    room_close(&r);
    disk.synced_count = 0;
    atomic_store(&disk.syncs_to_fail, 1);
    struct fault f = room_try_open(&r, SMALL, 1);
    assert_int_equal(f.reply, 451);
    assert_null(r.journal);
    assert_int_equal(disk.synced_count, 0);
    room_open(&r, SMALL);
    assert_int_equal(r.count, 4);
    assert_true(is_synced(&r, third) && is_synced(&r, fourth));
    assert_false(is_synced(&r, first) || is_synced(&r, second)); /* the third's batch came later */
    room_free(&r);
}

static void assert_begins(struct room *r, const char *const *texts, size_t count)
{
    room_close(r);
    room_open(r, SMALL);
    assert_int_equal(r->damage_count, 0);
    assert_int_equal(r->count, count);
    for (size_t i = 0; i < count; i++)
        assert_true(str_starts(str_from(r->record[i].payload), str_from(texts[i])));
}

/* The oldest one, alone, would bring back what later ones say is done. */
static void test_no_segment_goes_before_an_older_one(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_order");
    room_open(&r, SMALL);
    room_put(&r, "first", 8000);
    room_put(&r, "second", 8000);
    room_put(&r, "third", 8000);
    uint64_t last = room_put(&r, "fourth", 8000);
    settle_keeper(&r, 1);
    atomic_store(&disk.is_keeping_names, true);
    atomic_store(&disk.write_error, EIO);
    atomic_store(&disk.writes_to_fail, 1); /* the new header of the oldest */
    journal_trim(r.journal, last);
    while (atomic_load(&r.alarms) == 0)
        usleep(1000);
    room_put(&r, "fifth", 8000); /* nobody waits for that */
    room_put(&r, "sixth", 8000);
    static const char *const all[] = {"first", "second", "third", "fourth", "fifth", "sixth"};
    assert_begins(&r, all, 6);
    atomic_store(&disk.is_keeping_names, false);
    journal_trim(r.journal, last);
    while (room_statistics(&r).segments > 4) /* of three records, and one that is written to */
        usleep(1000);
    assert_begins(&r, all + 3, 3);
    room_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_failed_sync_never_turns_into_success, mend),
        cmocka_unit_test_teardown(test_failed_segment_is_never_used_again, mend),
        cmocka_unit_test_teardown(test_failed_write_is_refused, mend),
        cmocka_unit_test_teardown(test_failing_void_takes_the_next_segment, mend),
        cmocka_unit_test_teardown(test_dead_disk_refuses_and_recovers, mend),
        cmocka_unit_test_teardown(test_short_writes_are_continued, mend),
        cmocka_unit_test_teardown(test_failure_takes_the_batch_in_flight_behind_it_along, mend),
        cmocka_unit_test_teardown(test_full_disk_refuses_with_452_and_recovers, mend),
        cmocka_unit_test_teardown(test_start_on_a_full_disk, mend),
        cmocka_unit_test_teardown(test_what_a_start_finds_is_synced_first, mend),
        cmocka_unit_test_teardown(test_no_segment_goes_before_an_older_one, mend),
    };
    return cmocka_run_group_tests(tests, make_disk, NULL);
}
