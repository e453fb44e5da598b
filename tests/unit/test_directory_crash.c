/* SPDX-License-Identifier: ISC */
/*
 * test_directory_crash.c - changes of the directory, and of the reports, when power or process fail
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "directory/edit.h"
#include "os/file.h"
#include "report/outbox.h"
#include "report/store.h"

enum { DONE = 10, TRIES_MOST = 1000, NO_DATABASE = 10000 };

static char folder[] = "/tmp/eilbote-test-crash-XXXXXX";

/* What SQLite did last about the names in the folder. */
static bool is_name_removed, is_removal_synced;

/* 0: none is to fail. */
static int reads_until_fault;
static bool is_reading_failed;

static ssize_t (*real_read)(int fd, void *memory, size_t size, off_t offset);
static int (*real_unlink)(const char *path);
static int (*real_open_directory)(const char *path, int *descriptor);

static int note_unlink(const char *path)
{
    is_name_removed = true;
    is_removal_synced = false;
    return real_unlink(path);
}

static ssize_t maybe_read(int fd, void *memory, size_t size, off_t offset)
{
    if (reads_until_fault == 0 || --reads_until_fault > 0)
        return real_read(fd, memory, size, offset);
    is_reading_failed = true;
    errno = EIO;
    return -1;
}

/* SQLite opens a folder for nothing but to sync it. */
static int note_sync(const char *path, int *descriptor)
{
    is_removal_synced = true;
    return real_open_directory(path, descriptor);
}

static void forget_removals(void)
{
    is_name_removed = is_removal_synced = false;
}

static void assert_fine(struct fault f)
{
    assert_string_equal(f.text, "");
}

static const char *path_of(const char *name)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void make_directory(struct directory **d)
{
    file_remove(path_of("directory.db"));
    assert_fine(directory_open(path_of("directory.db"), DIRECTORY_CREATE, d));
}

/* A change is made when the journal's name is gone: a power cut that brings it back undoes it. */
static void test_a_change_of_the_directory_is_durable(void **state)
{
    (void)state;
    struct directory *d;
    make_directory(&d);
    directory_close(d);
    assert_fine(directory_open(path_of("directory.db"), DIRECTORY_WRITE, &d));
    forget_removals();
    assert_fine(directory_domain_add(d, STR("example.test")));
    assert_true(is_name_removed && is_removal_synced);
    forget_removals();
    assert_fine(directory_domain_remove(d, STR("example.test")));
    assert_true(is_name_removed && is_removal_synced);
    directory_close(d);
}

static void test_a_change_of_the_reports_is_durable(void **state)
{
    (void)state;
    struct report_store *s;
    assert_fine(report_store_open(path_of("reports.db"), &s));
    const struct report_outcome o = {.domain = STR("example.test"),
                                     .rua = STR("mailto:a@example.test"),
                                     .policy = STR("{}"),
                                     .text = STR("{}"),
                                     .count = 1,
                                     .time_s = 86400};
    report_store_count(s, &o);
    forget_removals();
    assert_fine(report_store_flush(s));
    assert_true(is_name_removed && is_removal_synced);
    report_store_close(s);
}

/* What is put aside for damage is out of sight for good: that is not for a disk that fails once. */
static void test_only_damage_puts_the_reports_aside(void **state)
{
    (void)state;
    struct report_store *s;
    assert_fine(report_store_open(path_of("reports.db"), &s));
    report_store_close(s);
    int tries = 0, faults = 0;
    for (is_reading_failed = true; is_reading_failed && tries < TRIES_MOST;) {
        is_reading_failed = false;
        reads_until_fault = ++tries;
        struct fault f = report_store_open(path_of("reports.db"), &s);
        reads_until_fault = 0;
        assert_int_not_equal(f.kind, FAULT_NEVER);
        faults += f.kind == FAULT_LATER;
        report_store_close(s);
    }
    assert_in_range(faults, 2, tries);
    FILE *f = fopen(path_of("reports.db"), "w");
    assert_non_null(f);
    for (int i = 0; i < NO_DATABASE; i++)
        fputc('?', f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(report_store_open(path_of("reports.db"), &s).kind, FAULT_NEVER);
}

/* Ends behind pages that are in the file, in a transaction that is not. */
static void die_in_a_change(void)
{
    sqlite3 *db;
    bool is_fine =
        sqlite3_open(path_of("directory.db"), &db) == SQLITE_OK &&
        sqlite3_exec(db,
                     "PRAGMA cache_size = 10; BEGIN IMMEDIATE;"
                     "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
                     "5000) INSERT INTO domain SELECT 'half' || i || '.test' FROM n",
                     NULL, NULL, NULL) == SQLITE_OK;
    _exit(is_fine ? DONE : 0);
}

static void test_a_killed_change_keeps_nobody_from_reading(void **state)
{
    (void)state;
    struct directory *d;
    make_directory(&d);
    assert_fine(directory_domain_add(d, STR("whole.test")));
    directory_close(d);
    pid_t child = fork();
    if (child == 0)
        die_in_a_change();
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), DONE);
    assert_true(file_exists(path_of("directory.db-journal")));
    assert_fine(directory_open(path_of("directory.db"), DIRECTORY_READ, &d));
    bool has_whole = false, has_half = true;
    assert_fine(directory_has_domain(d, STR("whole.test"), &has_whole));
    assert_fine(directory_has_domain(d, STR("half1.test"), &has_half));
    assert_true(has_whole);
    assert_false(has_half);
    directory_close(d);
}

static int make_folder(void **state)
{
    (void)state;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    real_unlink = (int (*)(const char *))vfs->xGetSystemCall(vfs, "unlink");
    real_open_directory = (int (*)(const char *, int *))vfs->xGetSystemCall(vfs, "openDirectory");
    real_read = (ssize_t(*)(int, void *, size_t, off_t))vfs->xGetSystemCall(vfs, "pread64");
    vfs->xSetSystemCall(vfs, "pread64", (sqlite3_syscall_ptr)maybe_read);
    vfs->xSetSystemCall(vfs, "unlink", (sqlite3_syscall_ptr)note_unlink);
    vfs->xSetSystemCall(vfs, "openDirectory", (sqlite3_syscall_ptr)note_sync);
    return mkdtemp(folder) && real_unlink && real_open_directory ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_tree(folder).kind ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_change_of_the_directory_is_durable),
        cmocka_unit_test(test_a_change_of_the_reports_is_durable),
        cmocka_unit_test(test_only_damage_puts_the_reports_aside),
        cmocka_unit_test(test_a_killed_change_keeps_nobody_from_reading),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
