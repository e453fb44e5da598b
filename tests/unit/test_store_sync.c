/* SPDX-License-Identifier: ISC */
/*
 * test_store_sync.c - mailboxes on a disk that cannot take what was written: once told, for ever lost
 */
#include "store_room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum { FORGOTTEN_MOST = 64, NEVER_MS = 3600000, MESSAGES = 20, LONG = 4000 };

static struct {
    atomic_int syncs_to_fail, descriptor, gave_up;
    atomic_int forgotten_count, listings_to_fail;
    ino_t forgotten[FORGOTTEN_MOST];
} disk;

int __real_syncfs(int fd);
int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd)
{
    disk.descriptor = fd;
    if (disk.syncs_to_fail > 0) {
        disk.syncs_to_fail--;
        errno = EIO;
        return -1;
    }
    return __real_syncfs(fd);
}

int __wrap_posix_fadvise64(int fd, off_t offset, off_t size, int advice);
int __wrap_posix_fadvise64(int fd, off_t offset, off_t size, int advice)
{
    struct stat status;
    (void)offset;
    (void)size;
    if (advice == POSIX_FADV_DONTNEED && fstat(fd, &status) == 0) {
        int at = disk.forgotten_count++;
        if (at < FORGOTTEN_MOST)
            disk.forgotten[at] = status.st_ino;
    }
    return 0;
}

struct fault __real_file_list(const char *path, void (*each)(const char *name, void *arg),
                              void *arg);
struct fault __wrap_file_list(const char *path, void (*each)(const char *name, void *arg),
                              void *arg);
struct fault __wrap_file_list(const char *path, void (*each)(const char *name, void *arg),
                              void *arg)
{
    if (disk.listings_to_fail > 0 && str_find(str_from(path), STR("/mailbox-")) < strlen(path)) {
        disk.listings_to_fail--;
        return fault_make(451, FAULT_STATUS(4, 3, 0), "list %s", path);
    }
    return __real_file_list(path, each, arg);
}

static void give_up(void *arg, const struct fault *f)
{
    (void)arg;
    assert_int_equal(f->reply, 451);
    disk.gave_up++;
}

/* Checkpoints are made when they are asked for, and each message of the test has most of a segment. */
static void open_quiet_store(void)
{
    struct store_options o = options_of_test();
    o.checkpoint_ms = NEVER_MS;
    o.journal.segment_bytes = 16384;
    o.give_up = give_up;
    assert_fine(store_open(&o, &store));
}

static char text[LONG + 1];

static void deliver_many(void)
{
    memset(text, 'x', LONG);
    for (int i = 0; i < MESSAGES; i++)
        assert_fine(deliver("bob@example.test", text));
    maildrop_close(open_drop("bob@example.test")); /* applied */
}

/* As the system's cache would after the pages have left it. */
static void lose_messages(void)
{
    struct maildrop *m = open_drop("bob@example.test");
    char path[INDEX_PATH_MAX], account[96];
    size_t count;
    const struct index_row *row = maildrop_rows(m, &count);
    assert_int_equal(count, MESSAGES);
    snprintf(account, sizeof account, "%s/accounts/example.test/bob", directory);
    for (size_t i = 0; i < count; i++) {
        index_message_path(account, &row[i], path);
        assert_int_equal(truncate(path, 0), 0);
    }
    maildrop_close(m);
}

static void read_many(void)
{
    struct maildrop *m = open_drop("bob@example.test");
    size_t count, got;
    const struct index_row *row = maildrop_rows(m, &count);
    static char memory[2 * LONG];
    assert_int_equal(count, MESSAGES);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(row[i].uid, i + 1);
        assert_fine(maildrop_read(m, i, 0, memory, sizeof memory, &got));
        assert_int_equal(got, row[i].size_bytes);
    }
    maildrop_close(m);
}

static void test_what_a_sync_could_not_write_is_written_again(void **state)
{
    (void)state;
    struct store_statistics before, after;
    open_quiet_store();
    in_task(deliver_many);
    store_statistics(store, &before);
    assert_true(before.journal.segments > 2);
    disk.gave_up = 0;
    disk.syncs_to_fail = 1;
    assert_int_equal(store_checkpoint(store).reply, 451);
    assert_int_equal(store_checkpoint(store).reply, 451); /* though syncs go well again */
    assert_int_equal(disk.gave_up, 1);
    store_statistics(store, &after);
    assert_int_equal(after.journal.oldest_position, before.journal.oldest_position);
    in_task(lose_messages);
    store_close(store);
    open_quiet_store();
    in_task(read_many);
    assert_fine(store_checkpoint(store));
    store_statistics(store, &after);
    assert_true(after.journal.oldest_position > before.journal.oldest_position);
    store_close(store);
}

/* The system tells a fault once to each open file, and to one that was opened later never. */
static void test_all_syncs_go_through_a_file_that_stays_open(void **state)
{
    (void)state;
    open_quiet_store();
    assert_fine(store_checkpoint(store));
    int first = disk.descriptor;
    assert_true(fcntl(first, F_GETFD) >= 0);
    in_task(deliver_many);
    assert_fine(store_checkpoint(store));
    assert_int_equal(disk.descriptor, first);
    store_close(store);
}

static bool is_forgotten(const char *name)
{
    char path[96];
    struct stat status;
    snprintf(path, sizeof path, "%s/accounts/example.test/bob/%s", directory, name);
    assert_int_equal(stat(path, &status), 0);
    for (int i = 0; i < disk.forgotten_count && i < FORGOTTEN_MOST; i++)
        if (disk.forgotten[i] == status.st_ino)
            return true;
    return false;
}

static void test_a_start_reads_what_the_disk_has(void **state)
{
    (void)state;
    open_quiet_store();
    in_task(deliver_many);
    disk.syncs_to_fail = 1;
    store_close(store);
    disk.forgotten_count = 0;
    open_quiet_store();
    in_task(read_many);
    assert_true(is_forgotten("index.db") && is_forgotten("index.db-wal"));
    store_close(store);
}

static void expect_first_uid(void)
{
    struct maildrop *m = open_drop("bob@example.test");
    size_t count;
    assert_int_equal(maildrop_rows(m, &count)[0].uid, 1);
    assert_int_equal(maildrop_uid_validity(m),
                     1234567890); /* when it came, whenever that is read */
    maildrop_close(m);
}

static void lose_index(void)
{
    static const char *const names[] = {"index.db", "index.db-wal"};
    char path[128];
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/accounts/example.test/bob/%s", directory, names[i]);
        assert_fine(file_remove(path));
    }
}

static void lose_account(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/accounts/example.test", directory);
    assert_fine(file_remove_tree(path));
}

/* What a power cut leaves of an account that is new: the records, and files or none. */
static void test_a_new_mailbox_has_the_same_uids_after_a_power_cut(void **state)
{
    (void)state;
    void (*const lose[])(void) = {lose_index, lose_account};
    open_quiet_store();
    in_task(deliver_many);
    for (size_t i = 0; i < 2; i++) {
        in_task(expect_first_uid);
        disk.syncs_to_fail = 1; /* so that they stay */
        store_close(store);
        lose[i]();
        open_quiet_store();
    }
    in_task(expect_first_uid);
    in_task(read_many);
    store_close(store);
}

static void damage_index(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/accounts/example.test/bob/index.db", directory);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    for (int i = 0; i < LONG; i++)
        fputc('?', f);
    assert_int_equal(fclose(f), 0);
    snprintf(path, sizeof path, "%s/accounts/example.test/bob/index.db-wal", directory);
    assert_fine(file_remove(path));
}

static void fail_to_open(void)
{
    struct maildrop *m;
    disk.listings_to_fail = 1;
    assert_int_equal(maildrop_open(store, STR("bob@example.test"), &m).reply, 451);
    assert_int_equal(disk.listings_to_fail, 0);
}

/* The journal has the last ones only. */
static void deliver_and_trim(void)
{
    struct store_statistics s;
    open_quiet_store();
    in_task(deliver_many);
    assert_fine(store_checkpoint(store));
    store_statistics(store, &s);
    while (s.journal.segments > 2) {
        usleep(1000);
        store_statistics(store, &s);
    }
    store_close(store);
}

/* The damaged index is aside by then, and an empty one in its place is a mailbox without mail. */
static void test_an_index_is_made_again_whole_or_not_at_all(void **state)
{
    (void)state;
    deliver_and_trim();
    damage_index();
    open_quiet_store();
    in_task(fail_to_open);
    store_close(store);
    open_quiet_store();
    in_task(read_many);
    store_close(store);
}

/* A repair of the file system has taken it, or somebody who holds it for a cache. */
static void test_an_index_that_is_gone_is_made_again(void **state)
{
    (void)state;
    deliver_and_trim();
    lose_index();
    open_quiet_store();
    in_task(read_many);
    store_close(store);
}

static void add_twin(const char *name, void *arg)
{
    char from[300], to[300];
    if (strncmp(name, "2.", 2) != 0 && strncmp(name, "3.", 2) != 0)
        return;
    snprintf(from, sizeof from, "%s/%s", (const char *)arg, name);
    snprintf(to, sizeof to, "%s/%.2s1.1", (const char *)arg, name);
    assert_int_equal(link(from, to), 0);
}

static void read_twins(void)
{
    size_t count, got;
    char memory[16];
    struct maildrop *m = open_drop("bob@example.test");
    const struct index_row *row = maildrop_rows(m, &count);
    assert_int_equal(count, MESSAGES + 2);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(row[i].uid, i + 1);
        assert_fine(maildrop_read(m, i, 0, memory, sizeof memory, &got));
        assert_int_equal(got, sizeof memory);
    }
    maildrop_close(m);
}

static void test_files_with_the_same_uid_are_both_kept(void **state)
{
    (void)state;
    char place[128];
    deliver_and_trim();
    snprintf(place, sizeof place, "%s/accounts/example.test/bob/mailbox-1/0", directory);
    assert_fine(file_list(place, add_twin, place));
    damage_index();
    open_quiet_store();
    in_task(read_twins);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_a_sync_could_not_write_is_written_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_all_syncs_go_through_a_file_that_stays_open, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_start_reads_what_the_disk_has, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_new_mailbox_has_the_same_uids_after_a_power_cut,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_index_is_made_again_whole_or_not_at_all, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_index_that_is_gone_is_made_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_files_with_the_same_uid_are_both_kept, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
