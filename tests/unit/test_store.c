/* SPDX-License-Identifier: ISC */
/*
 * test_store.c - mailboxes: names, deliver and read, removal, in use, replay, damage, kill -9
 */
#include "base/num.h"
#include "os/clock.h"
#include "os/random.h"
#include "store/name.h"
#include "store_room.h"

#include <signal.h>
#include <sys/wait.h>

enum { KILLS = 15, SENDERS = 8, ACCOUNTS = 3, PATIENCE_MS = 120000 };

static void expect_path(struct str address, const char *path)
{
    struct buf out = buf_make(1024);
    assert_int_equal(name_account_path(&out, address), path != NULL);
    assert_true(str_equal(buf_str(&out), str_from(path)));
    buf_free(&out);
}

static void test_names_stay_in_their_place(void **state)
{
    (void)state;
    expect_path(STR("bob@example.test"), "example.test/bob");
    expect_path(STR("b.o-b_1@example.test"), "example.test/b.o-b_1");
    expect_path(STR("..@example.test"), "example.test/%2e.");
    expect_path(STR("../../etc/passwd@example.test"), "example.test/%2e.%2f..%2fetc%2fpasswd");
    expect_path(STR(".hidden@example.test"), "example.test/%2ehidden");
    expect_path(STR("Bob@EXAMPLE.test"), "%45%58%41%4d%50%4c%45.test/%42ob");
    expect_path(STR("a\0b@example.test"), "example.test/a%00b");
    expect_path(STR("a%2fb@example.test"), "example.test/a%252fb");
    expect_path(STR("a@b@example.test"), "example.test/a%40b");
    expect_path(STR("m\xc3\xbcller@example.test"), "example.test/m%c3%bcller");
    expect_path(STR("@example.test"), NULL);
    expect_path(STR("bob@"), NULL);
    expect_path(STR("bob"), NULL);
}

static void test_names_can_be_read_back(void **state)
{
    (void)state;
    for (int n = 0; n < 2000; n++) {
        char bytes[80];
        size_t length = 1 + random_below(sizeof bytes);
        random_bytes(bytes, length);
        struct buf escaped = buf_make(1024), back = buf_make(1024);
        assert_true(name_escape(&escaped, str_make(bytes, length)));
        assert_true(name_unescape(&back, buf_str(&escaped)));
        assert_true(str_equal(buf_str(&back), str_make(bytes, length)));
        buf_free(&escaped);
        buf_free(&back);
    }
    static const char *const none[] = {"", ".", "A", "%2", "%2F", "%61", "a/b", "%zz"};
    struct buf out = buf_make(64);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(name_unescape(&out, str_from(none[i])));
    buf_free(&out);
}

static void deliver_and_read(void)
{
    assert_fine(deliver("bob@example.test", "one\r\n"));
    struct maildrop *m = open_drop("bob@example.test");
    size_t count;
    const struct index_row *row = maildrop_rows(m, &count);
    assert_int_equal(count, 1);
    assert_int_equal(row[0].uid, 1);
    assert_int_equal(row[0].received_ms, 1234567890123);
    expect_message(m, 0, "one\r\n");
    /* What comes now is for the next session. */
    assert_fine(deliver("bob@example.test", "two\r\n"));
    maildrop_rows(m, &count);
    assert_int_equal(count, 1);
    maildrop_close(m);
    m = open_drop("bob@example.test");
    maildrop_rows(m, &count);
    assert_int_equal(count, 2);
    expect_message(m, 1, "two\r\n");
    maildrop_close(m);
    m = open_drop("nobody@example.test");
    maildrop_rows(m, &count);
    assert_int_equal(count, 0);
    maildrop_close(m);
}

static void test_delivered_mail_is_seen_at_once(void **state)
{
    (void)state;
    open_store();
    in_task(deliver_and_read);
    store_close(store);
}

static void open_twice(void)
{
    struct maildrop *first = open_drop("bob@example.test"), *second;
    struct fault f = maildrop_open(store, STR("bob@example.test"), &second);
    assert_int_equal(f.reply, 450);
    assert_null(second);
    struct maildrop *other = open_drop("alice@example.test");
    maildrop_close(other);
    maildrop_close(first);
    maildrop_close(open_drop("bob@example.test"));
}

static void test_a_maildrop_is_opened_once(void **state)
{
    (void)state;
    open_store();
    in_task(open_twice);
    store_close(store);
}

static void remove_two(void)
{
    static const char *const text[] = {"one\r\n", "two\r\n", "three\r\n"};
    for (size_t i = 0; i < 3; i++)
        assert_fine(deliver("bob@example.test", text[i]));
    struct maildrop *m = open_drop("bob@example.test");
    uint32_t validity = maildrop_uid_validity(m);
    const size_t places[] = {0, 2};
    assert_fine(maildrop_remove(m, places, 2));
    maildrop_close(m);
    assert_fine(deliver("bob@example.test", "four\r\n"));
    m = open_drop("bob@example.test");
    size_t count;
    const struct index_row *row = maildrop_rows(m, &count);
    assert_int_equal(count, 2);
    assert_int_equal(row[0].uid, 2);
    assert_int_equal(row[1].uid, 4); /* never used again */
    assert_int_equal(maildrop_uid_validity(m), validity);
    expect_message(m, 0, "two\r\n");
    int64_t bytes;
    assert_fine(store_usage(store, STR("bob@example.test"), &bytes));
    assert_int_equal(bytes, 2 * 17 + 5 + 6);
    maildrop_close(m);
}

static void see_two_and_four(void)
{
    struct maildrop *m = open_drop("bob@example.test");
    size_t count;
    const struct index_row *row = maildrop_rows(m, &count);
    assert_int_equal(count, 2);
    assert_int_equal(row[0].uid, 2);
    assert_int_equal(row[1].uid, 4);
    expect_message(m, 0, "two\r\n");
    expect_message(m, 1, "four\r\n");
    maildrop_close(m);
}

/* The journal's segment is not trimmed, so that every opening replays all of it. */
static void test_replay_changes_nothing(void **state)
{
    (void)state;
    open_store();
    in_task(remove_two);
    store_close(store);
    for (int i = 0; i < 3; i++) {
        open_store();
        in_task(see_two_and_four);
        store_close(store);
    }
}

static void spoil_index(void)
{
    char path[160];
    struct file *f;
    static char garbage[8192];
    memset(garbage, 'x', sizeof garbage);
    snprintf(path, sizeof path, "%s/accounts/example.test/bob/index.db", directory);
    assert_fine(file_open(path, FILE_READ_WRITE, &f));
    struct iovec part = {garbage, sizeof garbage};
    assert_fine(file_write_at(f, &part, 1, 0));
    file_close(f);
    snprintf(path, sizeof path, "%s/accounts/example.test/bob/index.db-wal", directory);
    assert_fine(file_remove(path));
}

static void test_a_damaged_index_is_made_again(void **state)
{
    (void)state;
    open_store();
    in_task(remove_two);
    store_close(store);
    spoil_index();
    open_store();
    in_task(see_two_and_four);
    store_close(store);
}

/* A file that a power cut took is written again from the journal. */
static void test_a_lost_file_comes_back(void **state)
{
    (void)state;
    open_store();
    in_task(remove_two);
    store_close(store);
    char path[160];
    snprintf(path, sizeof path, "%s/accounts/example.test/bob/mailbox-1", directory);
    assert_fine(file_remove_tree(path));
    open_store();
    in_task(see_two_and_four);
    store_close(store);
}

static void find_second(const char *name, void *arg)
{
    if (strncmp(name, "2.", 2) == 0)
        snprintf(arg, 100, "%s", name);
}

/* A file system without a journal may leave a name whose file has become another one. */
static void test_a_file_of_somebody_else_is_left_alone(void **state)
{
    (void)state;
    open_store();
    in_task(remove_two);
    store_close(store);
    char theirs[160], place[160], name[100] = "", path[300];
    static const char text[] = "theirs, and longer than the message that is written again\r\n";
    snprintf(theirs, sizeof theirs, "%s/theirs", directory);
    assert_fine(file_save(theirs, str_from(text), 0600));
    snprintf(place, sizeof place, "%s/accounts/example.test/bob/mailbox-1/0", directory);
    assert_fine(file_list(place, find_second, name));
    snprintf(path, sizeof path, "%s/%s", place, name);
    assert_fine(file_remove(path));
    assert_int_equal(link(theirs, path), 0);
    open_store();
    in_task(see_two_and_four);
    store_close(store);
    struct buf found = buf_make(1000);
    assert_fine(file_load(theirs, &found));
    assert_true(str_equal(buf_str(&found), str_from(text)));
    buf_free(&found);
}

static void read_after_new_journal(void)
{
    assert_fine(deliver("bob@example.test", "five\r\n"));
    struct maildrop *m = open_drop("bob@example.test");
    size_t count;
    maildrop_rows(m, &count);
    assert_int_equal(count, 3);
    expect_message(m, 2, "five\r\n");
    maildrop_close(m);
}

static void test_another_journal_loses_nothing(void **state)
{
    (void)state;
    open_store();
    in_task(remove_two);
    store_close(store);
    char path[160];
    snprintf(path, sizeof path, "%s/journal", directory);
    assert_fine(file_remove_tree(path));
    open_store();
    in_task(read_after_new_journal);
    store_close(store);
}

static void see_spooled(void)
{
    struct maildrop *m = open_drop("alice@example.test");
    size_t count;
    maildrop_rows(m, &count);
    assert_int_equal(count, 1);
    expect_message(m, 0, "spooled\r\n");
    maildrop_close(m);
}

static void deliver_spooled(void)
{
    uint64_t id = store_new_spool_id(store);
    struct file *file;
    assert_fine(store_spool_file(store, id, &file));
    struct iovec part = {(void *)(uintptr_t) "spooled\r\n", 9};
    assert_fine(file_write_at(file, &part, 1, 0));
    assert_fine(store_spool_sync(store, id, file));
    file_close(file);
    struct store_recipient r[2] = {
        {.account = STR("alice@example.test"), .head = STR("Return-Path: <>\r\n")},
        {.account = STR("bob@example.test"), .head = STR("Return-Path: <>\r\n")}};
    store_deliver(store, r, 2, 1, NULL, id, 9);
    for (int i = 0; i < 2; i++) {
        assert_fine(r[i].result);
        struct maildrop *m = open_drop(i ? "bob@example.test" : "alice@example.test");
        expect_message(m, 0, "spooled\r\n");
        maildrop_close(m);
    }
}

static void count_file(const char *name, void *arg)
{
    (void)name;
    ++*(size_t *)arg;
}

static void test_a_spooled_body_goes_after_the_checkpoint(void **state)
{
    (void)state;
    char path[160];
    open_store();
    in_task(deliver_spooled);
    store_close(store);
    snprintf(path, sizeof path, "%s/incoming/12345", directory);
    struct file *file;
    assert_fine(file_open(path, FILE_CREATE_NEW, &file)); /* nobody's */
    file_close(file);
    open_store();
    in_task(see_spooled);
    store_close(store);
    size_t count = 0;
    snprintf(path, sizeof path, "%s/incoming", directory);
    assert_fine(file_list(path, count_file, &count));
    assert_int_equal(count, 0);
    open_store(); /* the record is in the journal still */
    in_task(see_spooled);
    store_close(store);
}

/* A ledger of acknowledged deliveries, told through a pipe by a child that is killed. */
struct line {
    uint32_t life, sender, number;
};

static int ledger;
static uint32_t life;

static const char *account_of(uint32_t sender)
{
    static const char *const names[ACCOUNTS] = {"a@example.test", "b@example.test",
                                                "c@example.test"};
    return names[sender % ACCOUNTS];
}

static void send_for_ever(void *arg)
{
    uint32_t sender = *(uint32_t *)arg;
    for (uint32_t i = 0;; i++) {
        char text[64];
        snprintf(text, sizeof text, "%u %u %u \r\n", life, sender, i);
        if (deliver(account_of(sender), text).kind)
            _exit(1);
        struct line l = {life, sender, i};
        if (write(ledger, &l, sizeof l) != sizeof l)
            _exit(1);
    }
}

static void send_all(void)
{
    static uint32_t numbers[SENDERS];
    struct scope scope;
    scope_init(&scope);
    for (uint32_t i = 0; i < SENDERS; i++) {
        numbers[i] = i;
        task_start(&scope, "sender", send_for_ever, &numbers[i]);
    }
    scope_join(&scope);
}

static void crash(uint32_t after, uint32_t acknowledged[SENDERS])
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(pipes[0]);
        ledger = pipes[1];
        offload_start(2);
        open_store();
        in_task(send_all);
        _exit(1);
    }
    close(pipes[1]);
    struct line l;
    uint32_t count = 0;
    while (read(pipes[0], &l, sizeof l) == sizeof l) {
        assert_int_equal(l.number, acknowledged[l.sender]);
        acknowledged[l.sender] = l.number + 1;
        if (++count == after)
            kill(child, SIGKILL);
    }
    close(pipes[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static uint32_t found[KILLS][SENDERS];

/* Every message once, in each sender's order. */
static void count_all(void)
{
    memset(found, 0, sizeof found);
    for (uint32_t a = 0; a < ACCOUNTS; a++) {
        struct maildrop *m = open_drop(account_of(a));
        size_t count;
        const struct index_row *row = maildrop_rows(m, &count);
        for (size_t i = 0; i < count; i++) {
            char memory[256];
            size_t got;
            uint64_t of_life, sender, number;
            assert_int_equal(row[i].uid, i + 1);
            assert_fine(maildrop_read(m, i, 0, memory, sizeof memory, &got));
            assert_int_equal(got, row[i].size_bytes);
            struct str rest = str_skip(str_make(memory, got), 17);
            assert_true(num_parse(str_word(&rest), KILLS, &of_life));
            assert_true(num_parse(str_word(&rest), SENDERS, &sender));
            assert_true(num_parse(str_word(&rest), UINT32_MAX, &number));
            assert_int_equal(found[of_life][sender], number);
            found[of_life][sender]++;
        }
        maildrop_close(m);
    }
}

static void test_kill_loses_nothing_acknowledged(void **state)
{
    (void)state;
    static uint32_t acknowledged[KILLS][SENDERS];
    offload_stop(); /* threads do not survive a fork */
    for (life = 0; life < KILLS; life++)
        crash(1 + (uint32_t)random_below(800), acknowledged[life]);
    offload_start(2);
    for (int again = 0; again < 2; again++) {
        open_store();
        in_task(count_all);
        store_close(store);
        for (uint32_t l = 0; l < KILLS; l++)
            for (uint32_t i = 0; i < SENDERS; i++) {
                assert_true(found[l][i] >= acknowledged[l][i]);
                assert_true(found[l][i] <= acknowledged[l][i] + 1); /* the one in flight */
            }
    }
}

static void wait_for_checkpoints(int64_t count)
{
    struct store_statistics s = {0};
    for (int64_t end = clock_now_ms() + PATIENCE_MS; s.checkpoints < count && clock_now_ms() < end;
         store_statistics(store, &s))
        task_sleep(5);
    assert_true(s.checkpoints >= count);
}

static void deliver_and_wait(void)
{
    struct store_statistics s;
    for (int i = 0; i < 2; i++) {
        store_statistics(store, &s);
        assert_fine(deliver("bob@example.test", "one\r\n"));
        wait_for_checkpoints(s.checkpoints + 1);
    }
}

static void test_a_delivery_wakes_the_keeper(void **state)
{
    (void)state;
    open_store();
    in_task(deliver_and_wait);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_stay_in_their_place),
        cmocka_unit_test(test_names_can_be_read_back),
        cmocka_unit_test_setup_teardown(test_delivered_mail_is_seen_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_maildrop_is_opened_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replay_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_damaged_index_is_made_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_lost_file_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_of_somebody_else_is_left_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_another_journal_loses_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_spooled_body_goes_after_the_checkpoint, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_delivery_wakes_the_keeper, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kill_loses_nothing_acknowledged, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
