/* SPDX-License-Identifier: ISC */
/*
 * test_store_purge.c - a mailbox that is removed with its mail stays removed
 */
#include "store_room.h"

#include <sys/wait.h>

enum { COMMITS = 400, KILLED = 10 };

static bool is_to_die; /* before an index goes with its folder */

int __real_unlinkat(int parent, const char *name, int flags);
int __wrap_unlinkat(int parent, const char *name, int flags);

static size_t count_messages(const char *account)
{
    size_t count;
    struct maildrop *m = open_drop(account);
    maildrop_rows(m, &count);
    maildrop_close(m);
    return count;
}

static void purge(const char *account)
{
    size_t removed;
    assert_fine(deliver(account, "one\r\n"));
    struct maildrop *m = open_drop(account);
    assert_fine(maildrop_purge(m, &removed));
    maildrop_close(m);
    assert_int_equal(removed, 1);
}

static void purge_two(void)
{
    size_t removed;
    char bob[128];
    snprintf(bob, sizeof bob, "%s/accounts/example.test/bob", directory);
    assert_fine(deliver("bob@example.test", "one\r\n"));
    assert_fine(deliver("alice@example.test", "hers\r\n"));
    struct maildrop *m = open_drop("bob@example.test");
    uint32_t validity = maildrop_uid_validity(m);
    expect_message(m, 0, "one\r\n");
    assert_fine(deliver("bob@example.test", "after the listing\r\n"));
    assert_true(file_exists(bob));
    assert_fine(maildrop_purge(m, &removed));
    maildrop_close(m);
    assert_int_equal(removed, 1 + 1);
    assert_false(file_exists(bob));
    purge("carol@example.test");
    /* A new account of that name begins anew: who knows messages of the old one by their UIDs knows none of it. */
    assert_fine(deliver("bob@example.test", "new\r\n"));
    m = open_drop("bob@example.test");
    assert_int_equal(maildrop_rows(m, &removed)[0].uid, 1);
    assert_true(maildrop_uid_validity(m) > validity);
    maildrop_close(m);
    assert_int_equal(count_messages("bob@example.test"), 1);
    assert_int_equal(count_messages("alice@example.test"), 1);
}

static void expect_new_mail_only(void)
{
    struct maildrop *m = open_drop("bob@example.test");
    expect_message(m, 0, "new\r\n");
    maildrop_close(m);
    assert_int_equal(count_messages("bob@example.test"), 1);
    assert_int_equal(count_messages("carol@example.test"), 0);
    assert_int_equal(count_messages("alice@example.test"), 1);
}

/* The journal still has what was purged: nothing has been trimmed when the machine stops. */
static void test_purged_mail_does_not_come_back(void **state)
{
    (void)state;
    offload_stop(); /* threads do not survive a fork */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        offload_start(2);
        struct store_options o = options_of_test();
        o.checkpoint_ms = INT32_MAX;
        assert_fine(store_open(&o, &store));
        in_task(purge_two);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    offload_start(2);
    open_store();
    in_task(expect_new_mail_only);
    store_close(store);
    open_store();
    in_task(expect_new_mail_only);
    store_close(store);
}

int __wrap_unlinkat(int parent, const char *name, int flags)
{
    if (is_to_die && strcmp(name, "index.db") == 0)
        _exit(KILLED);
    return __real_unlinkat(parent, name, flags);
}

/* So many commits that SQLite moves rows from its log into the file. */
static void purge_much(void)
{
    size_t removed;
    for (int i = 0; i < COMMITS; i++) {
        assert_fine(deliver("bob@example.test", "one\r\n"));
        maildrop_close(open_drop("bob@example.test"));
    }
    struct maildrop *m = open_drop("bob@example.test");
    assert_fine(maildrop_purge(m, &removed));
    maildrop_close(m);
}

static void expect_nothing(void)
{
    assert_int_equal(count_messages("bob@example.test"), 0);
}

/* Who is killed while the folder goes leaves a part of it: not the list of what was there without the log that says that it
 * is gone, when the records have been trimmed. */
static void test_half_a_purge_leaves_no_list(void **state)
{
    (void)state;
    char path[128];
    offload_stop();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        is_to_die = true;
        offload_start(2);
        open_store();
        in_task(purge_much);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED);
    snprintf(path, sizeof path, "%s/accounts/example.test/bob/index.db-wal", directory);
    assert_fine(file_remove(path));
    snprintf(path, sizeof path, "%s/journal", directory);
    assert_fine(file_remove_tree(path));
    offload_start(2);
    open_store();
    in_task(expect_nothing);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_purged_mail_does_not_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_half_a_purge_leaves_no_list, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
