/* SPDX-License-Identifier: ISC */
/*
 * test_queue.c - the queue: records, rest in queue.db, scheduling, replay after a crash
 *
 * Each test opens a spool in a directory of its own and plays the sender: ready deliveries are put
 * on a list, from which the test finishes them.
 */
#include "queue_room.h"

#include "mail/dsn.h"
#include "queue/cold.h"
#include "queue/record.h"

#include <sys/stat.h>

static void accept_one(struct world *w)
{
    accept_for(w, two_domains, 3, 4096);
    wait_for_ready(w, 2);
    assert_int_equal(w->ready[0]->rcpt_count + w->ready[1]->rcpt_count, 3);
    struct buf body = buf_make(8192);
    assert_int_equal(queue_read_body(w->queue, w->ready[0]->message, 4000, 8192, &body).kind,
                     FAULT_FINE);
    assert_int_equal(body.used, 96);
    buf_free(&body);
}

static void find_it_again(struct world *w)
{
    wait_for_ready(w, 2);
    const struct queue_message *m = w->ready[0]->message;
    assert_int_equal(m->envelope.rcpt_count, 3);
    assert_true(str_equal(m->envelope.envid, STR("id+2B")));
    assert_int_equal(m->envelope.rcpt[0].notify, 4);
    assert_int_equal(m->body_size, 4096);
}

static void finish_one_defer_other(struct world *w)
{
    wait_for_ready(w, 2);
    struct fault f = fault_make(554, FAULT_STATUS(5, 7, 1), "come back");
    f.kind = FAULT_LATER; /* of one host among several */
    f.is_answer = true;
    struct queue_delivery *one = w->ready[0], *two = w->ready[1];
    if (!str_equal(one->domain, STR("one.test"))) {
        one = w->ready[1];
        two = w->ready[0];
    }
    queue_finish(w->queue, one, &(struct queue_outcome){.is_attempt = true});
    uint32_t left[] = {two->rcpt[0]};
    queue_finish(w->queue, two,
                 &(struct queue_outcome){.left = left,
                                         .left_count = 1,
                                         .trouble = &f,
                                         .remote = STR("mx.two.test"),
                                         .dialogue = STR("S: 450"),
                                         .is_attempt = true});
}

static void only_the_deferred_is_left(struct world *w)
{
    task_sleep(20);
    assert_int_equal(w->ready_count, 0);
    struct queue_message *m = pin_only(w);
    assert_int_equal(m->open_count, 1);
    struct queue_delivery *d = message_delivery(m, STR("two.test"));
    assert_int_equal(d->state, QUEUE_WAITING);
    assert_int_equal(d->attempts, 1);
    assert_string_equal(d->trouble->fault.text, "come back");
    assert_int_equal(d->trouble->fault.kind, FAULT_LATER);
    assert_int_equal(d->trouble->fault.reply, 554);
    assert_true(d->trouble->fault.is_answer);
    assert_true(str_equal(d->trouble->remote, STR("mx.two.test")));
    int64_t pause = d->next_attempt_ms - d->trouble->time_ms;
    assert_in_range(pause, 48000, 72000);
    queue_unpin(w->queue, m);
}

static void checkpoint_then_the_same(struct world *w)
{
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
    struct queue_statistics s;
    queue_statistics(w->queue, &s);
    assert_int_equal(s.messages, 1);
    assert_int_equal(s.hot, 0);
    assert_int_equal(s.cold_loaded, 0);
    only_the_deferred_is_left(w);
}

static void retry_and_finish(struct world *w)
{
    struct queue_message *m = pin_only(w);
    assert_true(queue_retry(w->queue, message_delivery(m, STR("two.test"))));
    queue_unpin(w->queue, m);
    wait_for_ready(w, 1);
    struct buf body = buf_make(8192);
    assert_int_equal(queue_read_body(w->queue, w->ready[0]->message, 0, 8192, &body).kind,
                     FAULT_FINE);
    assert_int_equal(body.used, 4096);
    buf_free(&body);
    queue_finish(w->queue, w->ready[0], &(struct queue_outcome){.is_attempt = true});
}

static void nothing_is_left(struct world *w)
{
    uint64_t ids[10];
    size_t count;
    task_sleep(20);
    assert_int_equal(w->ready_count, 0);
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
    assert_int_equal(queue_ids(w->queue, 0, ids, 10, &count).kind, FAULT_FINE);
    assert_int_equal(count, 0);
}

static void count_file(const char *name, void *arg)
{
    (void)name;
    ++*(size_t *)arg;
}

static size_t body_files(const struct world *w)
{
    size_t count = 0;
    for (unsigned i = 0; i < 256; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/bodies/%02x", w->directory, i);
        file_list(path, count_file, &count);
    }
    return count;
}

/* Between a notice and the end of what it is about there is no moment without either. */
static void accept_and_look(struct world *w)
{
    struct queue_statistics s;
    accept_for(w, (const char *const[]){"bob@one.test"}, 1, 10);
    queue_statistics(w->queue, &s);
    assert_int_equal(s.messages, 1);
}

static void test_accepted_is_there_at_once(void **state)
{
    (void)state;
    run_alone(accept_and_look, NULL);
}

static void test_a_message_lives_through_restarts(void **state)
{
    (void)state;
    static struct world w;
    make_world(&w);
    run(&w, accept_one);
    run(&w, find_it_again);
    run(&w, finish_one_defer_other);
    run(&w, only_the_deferred_is_left);
    run(&w, checkpoint_then_the_same);
    assert_int_equal(body_files(&w), 1);
    run(&w, only_the_deferred_is_left);
    run(&w, retry_and_finish);
    run(&w, nothing_is_left);
    assert_int_equal(body_files(&w), 0);
    run(&w, nothing_is_left);
    remove_world(&w);
}

static void accept_held(struct world *w)
{
    struct queue_rcpt rcpt[] = {{.address = STR("bob@one.test")},
                                {.address = STR("carol@two.test")}};
    struct queue_envelope e = {.sender = STR("alice@example.test"),
                               .hold = STR("looks odd"),
                               .arrival_ms = clock_real_ms(),
                               .rcpt = rcpt,
                               .rcpt_count = 2};
    struct buf body = buf_make(16);
    buf_append(&body, STR("x\r\n"));
    assert_int_equal(queue_accept(w->queue, queue_new_id(w->queue), &e, &body, 0).kind, FAULT_FINE);
}

/* In quarantine until an operator says so, also after a restart and at rest. */
static void release_held(struct world *w)
{
    uint64_t id;
    size_t count;
    struct queue_message *m;
    assert_int_equal(queue_ids(w->queue, 0, &id, 1, &count).kind, FAULT_FINE);
    assert_int_equal(count, 1);
    assert_int_equal(queue_pin(w->queue, id, &m).kind, FAULT_FINE);
    assert_int_equal(w->ready_count, 0);
    assert_int_equal(m->delivery_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(m->delivery[i].state, QUEUE_HELD);
        assert_string_equal(m->delivery[i].trouble->fault.text, "looks odd");
    }
    assert_true(queue_release(w->queue, &m->delivery[0]));
    queue_unpin(w->queue, m);
    wait_for_ready(w, 1);
    assert_int_equal(w->ready_count, 1);
}

static void put_held_to_rest(struct world *w)
{
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
}

static void test_quarantine_outlives_restarts(void **state)
{
    (void)state;
    struct world w;
    make_world(&w);
    run(&w, accept_held);
    run(&w, put_held_to_rest);
    run(&w, release_held);
    remove_world(&w);
}

static void accept_expanded(struct world *w)
{
    struct queue_rcpt rcpt[] = {
        {.address = STR("bob@one.test"), .notify = DSN_NOTIFY_NEVER},
        {.address = STR("all@one.test"), .notify = DSN_NOTIFY_SUCCESS | QUEUE_NOTIFY_EXPANDED},
        {.address = STR("carol@one.test"), .notify = DSN_NOTIFY_NEVER}};
    struct queue_envelope e = {.sender = STR("alice@example.test"),
                               .arrival_ms = clock_real_ms(),
                               .rcpt = rcpt,
                               .rcpt_count = 3};
    struct buf body = buf_make(16);
    buf_append(&body, STR("x\r\n"));
    assert_int_equal(queue_accept(w->queue, queue_new_id(w->queue), &e, &body, 0).kind, FAULT_FINE);
}

/* The delivery of what was expanded, beside the one to the domain. */
static struct queue_delivery *expanded_delivery(struct world *w)
{
    wait_for_ready(w, 2);
    struct queue_delivery *d = w->ready[delivery_is_expanded(w->ready[0]) ? 0 : 1];
    assert_true(delivery_is_expanded(d));
    assert_int_equal(d->rcpt_count, 1);
    assert_int_equal(d->rcpt[0], 1);
    struct queue_delivery *other = w->ready[d == w->ready[0] ? 1 : 0];
    assert_true(str_equal(other->domain, STR("one.test")));
    assert_int_equal(other->rcpt_count, 2);
    return d;
}

static void look_for_expanded(struct world *w)
{
    expanded_delivery(w);
}

static void put_expanded_to_rest(struct world *w)
{
    struct queue_statistics s;
    expanded_delivery(w);
    queue_put_off(w->queue, w->ready[0], 60000);
    queue_put_off(w->queue, w->ready[1], 60000);
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
    queue_statistics(w->queue, &s);
    assert_int_equal(s.hot, 0);
}

static void finish_expanded(struct world *w)
{
    struct queue_message *m = pin_only(w);
    for (size_t i = 0; i < m->delivery_count; i++)
        assert_true(queue_retry(w->queue, &m->delivery[i]));
    queue_unpin(w->queue, m);
    queue_finish(w->queue, expanded_delivery(w), &(struct queue_outcome){.is_attempt = true});
}

static void only_the_domain_is_left(struct world *w)
{
    wait_for_ready(w, 1);
    const struct queue_message *m = w->ready[0]->message;
    assert_true(str_equal(w->ready[0]->domain, STR("one.test")));
    assert_int_equal(m->open_count, 1);
}

static void test_what_was_expanded_is_told_once_through_restarts(void **state)
{
    (void)state;
    static struct world w;
    make_world(&w);
    run(&w, accept_expanded);
    run(&w, look_for_expanded);
    run(&w, put_expanded_to_rest);
    run(&w, finish_expanded);
    run(&w, only_the_domain_is_left);
    remove_world(&w);
}

static void hold_release_drop(struct world *w)
{
    accept_for(w, two_domains, 3, 100);
    wait_for_ready(w, 2);
    struct queue_message *m = w->ready[0]->message;
    struct queue_delivery *a = w->ready[0], *b = w->ready[1];
    uint64_t id = m->id;
    assert_false(queue_retry(w->queue, a));
    assert_false(queue_drop(w->queue, a));
    assert_true(queue_hold(w->queue, a)); /* takes effect when the attempt ends */
    struct fault f = fault_make(421, FAULT_STATUS(4, 4, 2), "lost");
    uint32_t left_a[] = {a->rcpt[0]}, left_b[] = {b->rcpt[0]};
    struct queue_outcome later = {.left = left_a, .left_count = 1, .trouble = &f};
    queue_finish(w->queue, a, &later);
    assert_int_equal(a->state, QUEUE_HELD);
    later.left = left_b;
    queue_finish(w->queue, b, &later);
    assert_int_equal(b->state, QUEUE_WAITING);
    assert_true(queue_hold(w->queue, b));
    assert_false(queue_retry(w->queue, b));
    w->ready_count = 0;
    assert_int_equal(queue_pin(w->queue, id, &m).kind, FAULT_FINE);
    assert_true(queue_release(w->queue, a));
    assert_true(queue_drop(w->queue, b));
    assert_int_equal(b->state, QUEUE_ENDED);
    queue_unpin(w->queue, m);
    wait_for_ready(w, 1);
    queue_finish(w->queue, w->ready[0], &(struct queue_outcome){0});
    assert_int_equal(queue_pin(w->queue, id, &m).kind, FAULT_FINE);
    assert_null(m);
}

static void test_hold_release_retry_drop(void **state)
{
    (void)state;
    run_alone(hold_release_drop, NULL);
}

static void end_while_somebody_looks(struct world *w)
{
    accept_for(w, two_domains, 1, 100);
    wait_for_ready(w, 1);
    struct queue_delivery *d = w->ready[0];
    struct fault f = fault_make(450, FAULT_STATUS(4, 2, 0), "come back");
    uint32_t left = d->rcpt[0];
    queue_finish(w->queue, d,
                 &(struct queue_outcome){.left = &left, .left_count = 1, .trouble = &f});
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
    w->ready_count = 0;
    struct queue_message *m = pin_only(w);
    assert_true(queue_drop(w->queue, &m->delivery[0]));
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
    assert_int_equal(m->open_count, 0);
    queue_unpin(w->queue, m);
    nothing_is_left(w);
    assert_int_equal(body_files(w), 0);
}

static void test_a_message_that_is_looked_at_may_end_at_rest(void **state)
{
    (void)state;
    run_alone(end_while_somebody_looks, NULL);
}

static void bodies_beyond_the_budget(struct world *w)
{
    for (int i = 0; i < 4; i++)
        accept_for(w, two_domains, 1, 400000);
    wait_for_ready(w, 4);
    int in_memory = 0;
    for (size_t i = 0; i < 4; i++) {
        in_memory += w->ready[i]->message->body_kind == QUEUE_BODY_MEMORY;
        struct buf body = buf_make(500000);
        assert_int_equal(queue_read_body(w->queue, w->ready[i]->message, 0, 500000, &body).kind,
                         FAULT_FINE);
        assert_int_equal(body.used, 400000);
        assert_int_equal(body.data[399999], 'x');
        buf_free(&body);
    }
    assert_int_equal(in_memory, 2);
    for (size_t i = 0; i < 4; i++)
        queue_finish(w->queue, w->ready[i], &(struct queue_outcome){0});
    struct queue_statistics s;
    queue_statistics(w->queue, &s);
    assert_int_equal(s.body_bytes, 0);
}

static void test_bodies_beyond_the_memory_budget_are_read_from_the_journal(void **state)
{
    (void)state;
    run_alone(bodies_beyond_the_budget, NULL);
}

static void fill_segments(struct world *w)
{
    for (int round = 0; round < 60; round++) {
        w->ready_count = 0;
        for (int i = 0; i < 8; i++)
            accept_for(w, two_domains, 1, 50000);
        wait_for_ready(w, 8);
        for (size_t i = 0; i < 8; i++)
            queue_finish(w->queue, w->ready[i], &(struct queue_outcome){0});
        if (round % 10 == 9)
            assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
    }
    struct queue_statistics s;
    queue_statistics(w->queue, &s);
    assert_in_range(s.journal.segments, 1, 8); /* 24 MB went through segments of 1 MB */
}

static void test_a_checkpoint_lets_the_journal_go(void **state)
{
    (void)state;
    static struct world w;
    make_world(&w);
    run(&w, fill_segments);
    run(&w, nothing_is_left);
    remove_world(&w);
}

static void test_ids_and_damaged_records(void **state)
{
    (void)state;
    char text[QUEUE_ID_TEXT_MAX];
    uint64_t id = 0;
    assert_true(queue_id_parse(queue_id_text(0x1234567890abcdefULL, text), &id));
    assert_true(id == 0x1234567890abcdefULL);
    assert_false(queue_id_parse(STR("ZZZZZZZZZZZZZ"), &id));
    assert_false(queue_id_parse(STR("000000000000U"), &id));
    assert_false(queue_id_parse(STR("0"), &id));
    /* Every prefix of a record, and each byte changed, is refused or read without harm. */
    struct queue_rcpt rcpt = {.address = STR("bob@one.test")};
    struct queue_envelope e = {.sender = STR("a@b"), .rcpt = &rcpt, .rcpt_count = 1};
    struct buf b = buf_make(4096);
    record_pack_accept(&b, 77, &e, false, 4);
    buf_append(&b, STR("body"));
    for (size_t n = 0; n < b.used; n++)
        assert_null(record_unpack_accept(str_head(buf_str(&b), n), 0));
    for (size_t i = 0; i < b.used; i++) {
        for (int bit = 0; bit < 8; bit++) {
            b.data[i] ^= (char)(1 << bit);
            struct queue_message *m = record_unpack_accept(buf_str(&b), 0);
            if (m)
                message_free(m);
            b.data[i] ^= (char)(1 << bit);
        }
    }
    struct queue_message *m = record_unpack_accept(buf_str(&b), 9);
    assert_non_null(m);
    assert_int_equal(m->body_size, 4);
    b.used = 0;
    record_pack_delivery(&b, &m->delivery[0]);
    for (size_t n = 0; n < b.used; n++)
        assert_false(record_apply_delivery(m, str_head(buf_str(&b), n)));
    assert_true(record_apply_delivery(m, buf_str(&b)));
    message_free(m);
    buf_free(&b);
}

static void test_a_message_is_read_with_any_number_of_changes(void **state)
{
    (void)state;
    enum { RCPTS = 1000, CHANGES = 10000 };
    static struct queue_rcpt rcpt[RCPTS];
    struct queue_envelope e = {.sender = STR("a@b"), .rcpt = rcpt, .rcpt_count = RCPTS};
    for (size_t i = 0; i < RCPTS; i++)
        rcpt[i].address = STR("x@y.test");
    struct buf b = buf_make(1 << 20), change = buf_make(1 << 20);
    record_pack_accept(&b, 77, &e, false, 0);
    struct queue_message *m = record_unpack_accept(buf_str(&b), 9);
    assert_non_null(m);
    record_pack_delivery(&change, &m->delivery[0]);
    for (size_t i = 0; i < CHANGES; i++)
        assert_true(record_apply_delivery(m, buf_str(&change)));
    assert_int_equal(m->delivery[0].rcpt_count, RCPTS);
    /* One that has ended and waits again is open again. */
    m->delivery[0].state = QUEUE_ENDED;
    m->open_count = 0;
    assert_true(record_apply_delivery(m, buf_str(&change)));
    assert_int_equal(m->open_count, 1);
    message_free(m);
    buf_free(&change);
    buf_free(&b);
}

static void test_an_envelope_has_a_largest_size(void **state)
{
    (void)state;
    static struct queue_rcpt rcpt[ENVELOPE_RCPT_MAX + 1];
    struct queue_envelope e = {.rcpt = rcpt}, again;
    for (size_t i = 0; i <= ENVELOPE_RCPT_MAX; i++)
        rcpt[i].address = STR("x@y.test");
    for (size_t more = 0; more < 2; more++) {
        struct arena arena = arena_make(16 << 20);
        e.rcpt_count = ENVELOPE_RCPT_MAX + more;
        struct buf b = buf_make(envelope_packed_max(&e));
        envelope_pack(&b, &e);
        assert_int_equal(envelope_unpack(&arena, buf_str(&b), &again), more == 0);
        arena_free(&arena);
        buf_free(&b);
    }
}

enum { OPENED = 10, REFUSED, NOBODY = 65534 };

/* In a process that may not write the file, whoever runs the tests. */
static int open_as_reader(const struct world *w)
{
    struct cold *cold;
    if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        return 0;
    struct fault f = cold_open(w->directory, &cold);
    return f.kind == FAULT_FINE ? OPENED : f.reply == 451 ? REFUSED : 0;
}

static void test_what_cannot_be_written_is_not_opened(void **state)
{
    (void)state;
    static struct world w;
    struct cold *cold;
    char path[96];
    int status = 0;
    make_world(&w);
    assert_int_equal(cold_open(w.directory, &cold).kind, FAULT_FINE);
    cold_close(cold);
    assert_int_equal(chmod(w.directory, 0777), 0);
    snprintf(path, sizeof path, "%s/bodies", w.directory);
    assert_int_equal(chmod(path, 0777), 0);
    snprintf(path, sizeof path, "%s/queue.db", w.directory);
    assert_int_equal(chmod(path, 0444), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(open_as_reader(&w));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), REFUSED);
    remove_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted_is_there_at_once),
        cmocka_unit_test(test_a_message_lives_through_restarts),
        cmocka_unit_test(test_what_was_expanded_is_told_once_through_restarts),
        cmocka_unit_test(test_hold_release_retry_drop),
        cmocka_unit_test(test_quarantine_outlives_restarts),
        cmocka_unit_test(test_a_message_that_is_looked_at_may_end_at_rest),
        cmocka_unit_test(test_bodies_beyond_the_memory_budget_are_read_from_the_journal),
        cmocka_unit_test(test_a_checkpoint_lets_the_journal_go),
        cmocka_unit_test(test_ids_and_damaged_records),
        cmocka_unit_test(test_a_message_is_read_with_any_number_of_changes),
        cmocka_unit_test(test_an_envelope_has_a_largest_size),
        cmocka_unit_test(test_what_cannot_be_written_is_not_opened),
    };
    return cmocka_run_group_tests(tests, start_queue_room, stop_queue_room);
}
