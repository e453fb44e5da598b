/* SPDX-License-Identifier: ISC */
/*
 * test_queue_relief.c - memory and journal stay bounded whatever the sender keeps
 */
#include "queue/internal.h"
#include "queue_room.h"

#include <pthread.h>

static const char *const one_domain[] = {"bob@one.test"};
static const struct fault trouble = {.kind = FAULT_LATER, .reply = 450, .text = "come back"};

static void put_off_all(void *arg)
{
    struct world *w = arg;
    w->relief_count++;
    for (; w->ready_count > 0; w->put_off_count++)
        queue_put_off(w->queue, w->ready[--w->ready_count], 3600 * 1000);
}

static void accept_many(struct world *w, size_t count)
{
    for (size_t i = 0; i < count; i++)
        accept_for(w, one_domain, 1, 100);
}

static void few_with_the_sender(struct queue_options *o)
{
    o->ready_most = 10;
    o->hot_most = 5;
    o->relieve = put_off_all;
}

static void more_than_the_sender_should_have(struct world *w)
{
    struct queue_statistics s;
    accept_many(w, 10);
    wait_for_ready(w, 10);
    assert_int_equal(w->relief_count, 0);
    accept_many(w, 1);
    while (w->relief_count == 0)
        task_sleep(2);
    assert_int_equal(w->ready_count, 0);
    do {
        task_sleep(2);
        queue_statistics(w->queue, &s);
    } while (s.hot > 0);
    assert_int_equal(s.cold_loaded, 0);
    assert_int_equal(s.messages, 11);
    assert_int_equal(w->relief_count, 1);
}

static void test_beyond_the_bound_the_sender_is_asked_for_relief(void **state)
{
    (void)state;
    run_alone(more_than_the_sender_should_have, few_with_the_sender);
}

static void few_loaded(struct queue_options *o)
{
    o->loaded_most = 8;
    o->relieve = put_off_all;
}

/* The first of the cold messages that are due fill what may be loaded, and nothing comes of them. */
static void what_is_behind_is_loaded_too(struct world *w)
{
    struct queue_statistics s;
    accept_many(w, 30);
    wait_for_ready(w, 30);
    while (w->ready_count > 0) {
        struct queue_delivery *d = w->ready[--w->ready_count];
        uint32_t left = d->rcpt[0];
        queue_finish(w->queue, d,
                     &(struct queue_outcome){
                         .left = &left, .left_count = 1, .trouble = &trouble, .pause_ms = 1500});
    }
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
    while (w->put_off_count + w->ready_count < 30)
        task_sleep(2);
    assert_in_range(w->put_off_count, 16, 30);
    queue_statistics(w->queue, &s);
    assert_int_equal(s.messages, 30);
}

static void test_a_silent_destination_does_not_keep_others_from_being_loaded(void **state)
{
    (void)state;
    run_alone(what_is_behind_is_loaded_too, few_loaded);
}

static void no_memory_short_journal(struct queue_options *o)
{
    o->memory_bytes = 0;
    o->journal_bytes = 2 << 20;
}

static void assert_body(struct world *w, const struct queue_message *m)
{
    struct buf body = buf_make(200000);
    assert_int_equal(queue_read_body(w->queue, m, 0, 200000, &body).kind, FAULT_FINE);
    assert_int_equal(body.used, 100000);
    assert_int_equal(body.data[99999], 'x');
    buf_free(&body);
}

static void one_that_stays_with_the_sender(struct world *w)
{
    struct queue_statistics s;
    accept_for(w, one_domain, 1, 100000);
    wait_for_ready(w, 1);
    struct queue_delivery *stays = w->ready[0];
    assert_int_equal(stays->message->body_kind, QUEUE_BODY_JOURNAL);
    do {
        w->ready_count = 0;
        accept_for(w, one_domain, 1, 100000);
        wait_for_ready(w, 1);
        queue_finish(w->queue, w->ready[0], &(struct queue_outcome){0});
        queue_statistics(w->queue, &s);
    } while (s.journal.oldest_position <= stays->message->body_position);
    assert_int_equal(stays->message->body_kind, QUEUE_BODY_FILE);
    assert_body(w, stays->message);
    queue_finish(w->queue, stays, &(struct queue_outcome){0});
}

static void test_one_that_is_being_sent_does_not_keep_the_journal_long(void **state)
{
    (void)state;
    run_alone(one_that_stays_with_the_sender, no_memory_short_journal);
}

static void hold_what_is_with_the_sender(struct world *w)
{
    accept_many(w, 1);
    wait_for_ready(w, 1);
    assert_true(queue_hold(w->queue, w->ready[0]));
    queue_sync(w->queue);
}

static void it_is_held_then_released(struct world *w)
{
    task_sleep(20);
    assert_int_equal(w->ready_count, 0);
    struct queue_message *m = pin_only(w);
    assert_int_equal(m->delivery[0].state, QUEUE_HELD);
    assert_true(queue_release(w->queue, &m->delivery[0]));
    queue_unpin(w->queue, m);
    wait_for_ready(w, 1);
    assert_true(queue_hold(w->queue, w->ready[0]));
    assert_true(queue_release(w->queue, w->ready[0]));
    assert_false(queue_release(w->queue, w->ready[0]));
    queue_sync(w->queue);
}

static void it_is_ready_then_held_untried(struct world *w)
{
    wait_for_ready(w, 1);
    struct queue_delivery *d = w->ready[0];
    assert_true(queue_hold(w->queue, d));
    queue_put_off(w->queue, d, 1000);
    assert_int_equal(d->state, QUEUE_HELD);
    assert_int_equal(d->attempts, 0);
    assert_true(queue_drop(w->queue, d));
}

static void test_a_hold_of_what_is_with_the_sender_outlives_the_server(void **state)
{
    (void)state;
    static struct world w;
    make_world(&w);
    run(&w, hold_what_is_with_the_sender);
    run(&w, it_is_held_then_released);
    run(&w, it_is_ready_then_held_untried);
    remove_world(&w);
}

static void ask_for_a_checkpoint(void *arg)
{
    struct world *w = arg;
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
}

static void defer(struct world *w, struct queue_delivery *d)
{
    uint32_t left = d->rcpt[0];
    queue_finish(w->queue, d,
                 &(struct queue_outcome){.left = &left, .left_count = 1, .trouble = &trouble});
}

static void ask_while_one_is_made(struct world *w)
{
    struct queue_statistics s;
    struct scope other;
    scope_init(&other);
    accept_many(w, 2);
    wait_for_ready(w, 2);
    defer(w, w->ready[0]);
    assert_non_null(task_start(&other, "other", ask_for_a_checkpoint, w));
    task_yield();
    task_yield();
    defer(w, w->ready[1]);
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
    queue_statistics(w->queue, &s);
    assert_int_equal(s.hot, 0);
    scope_join(&other);
}

static void test_a_checkpoint_that_had_begun_is_not_the_one_asked_for(void **state)
{
    (void)state;
    run_alone(ask_while_one_is_made, NULL);
}

static int gate[2];

static void wait_at_the_gate(void *arg)
{
    char byte;
    (void)arg;
    if (read(gate[0], &byte, 1) != 1)
        abort();
}

static void occupy_a_thread(void *arg)
{
    offload(wait_at_the_gate, arg);
}

/* A checkpoint that cannot write yet, with the message in it. */
static void begin_a_checkpoint(struct world *w, struct scope *others, const struct queue_message *m)
{
    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < 2; i++)
        assert_non_null(task_start(others, "occupied", occupy_a_thread, NULL));
    assert_non_null(task_start(others, "other", ask_for_a_checkpoint, w));
    while (!m->is_checkpointed)
        task_sleep(2);
}

static void end_the_checkpoint(struct scope *others)
{
    assert_int_equal(write(gate[1], "ab", 2), 2);
    scope_join(others);
    close(gate[0]);
    close(gate[1]);
}

/* It waits when the checkpoint takes its state, and is due and put off before that is written. */
static void put_off_while_a_checkpoint_writes(struct world *w)
{
    struct scope others;
    scope_init(&others);
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE); /* the keeper is at leisure */
    accept_many(w, 1);
    wait_for_ready(w, 1);
    struct queue_delivery *d = w->ready[0];
    uint32_t left = d->rcpt[0];
    w->ready_count = 0;
    queue_finish(w->queue, d,
                 &(struct queue_outcome){
                     .left = &left, .left_count = 1, .trouble = &trouble, .pause_ms = 200});
    begin_a_checkpoint(w, &others, d->message);
    wait_for_ready(w, 1);
    w->ready_count = 0;
    queue_put_off(w->queue, d, 3600 * 1000);
    end_the_checkpoint(&others);
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
}

static void it_is_put_off(struct world *w)
{
    struct queue_message *m = pin_only(w);
    assert_true(m->delivery[0].next_attempt_ms > clock_real_ms() + 1800 * 1000);
    assert_int_equal(m->delivery[0].attempts, 0);
    queue_unpin(w->queue, m);
    assert_int_equal(w->ready_count, 0);
}

static void put_off_and_look(struct world *w)
{
    put_off_while_a_checkpoint_writes(w);
    it_is_put_off(w);
}

static void test_what_is_put_off_while_a_checkpoint_writes_is_not_loaded_early(void **state)
{
    (void)state;
    static struct world w;
    make_world(&w);
    run(&w, put_off_and_look);
    run(&w, it_is_put_off);
    remove_world(&w);
}

static void fill_segments(struct world *w)
{
    for (int i = 0; i < 25; i++) {
        w->ready_count = 0;
        accept_for(w, one_domain, 1, 100000);
        wait_for_ready(w, 1);
        queue_finish(w->queue, w->ready[0], &(struct queue_outcome){0});
    }
    queue_sync(w->queue);
}

static void hold_while_a_checkpoint_writes(struct world *w)
{
    struct queue_statistics before, after;
    struct scope others;
    scope_init(&others);
    assert_int_equal(queue_checkpoint(w->queue).kind, FAULT_FINE);
    accept_many(w, 1);
    wait_for_ready(w, 1);
    struct queue_delivery *d = w->ready[0];
    defer(w, d);
    queue_sync(w->queue);
    begin_a_checkpoint(w, &others, d->message);
    queue_statistics(w->queue, &before);
    assert_true(queue_hold(w->queue, d));
    fill_segments(w); /* 2.5 MB in segments of 1 MB */
    end_the_checkpoint(&others);
    queue_statistics(w->queue, &after);
    assert_in_range(after.journal.oldest_position, 0, before.journal.end_position);
}

static void it_is_held(struct world *w)
{
    struct queue_message *m = pin_only(w);
    assert_int_equal(m->delivery[0].state, QUEUE_HELD);
    queue_unpin(w->queue, m);
}

static void test_the_journal_keeps_what_changes_while_a_checkpoint_writes(void **state)
{
    (void)state;
    static struct world w;
    make_world(&w);
    run(&w, hold_while_a_checkpoint_writes);
    run(&w, it_is_held);
    remove_world(&w);
}

void __real_loop_post(struct loop *l, struct loop_message *message);
void __wrap_loop_post(struct loop *l, struct loop_message *message);

/* What a thread with is_held_back would have posted to the queue's owner. */
static _Thread_local bool is_held_back;
static struct loop_message *_Atomic held;

void __wrap_loop_post(struct loop *l, struct loop_message *message)
{
    if (is_held_back)
        atomic_store(&held, message);
    else
        __real_loop_post(l, message);
}

static void accept_elsewhere(void *arg)
{
    struct world *w = arg;
    accept_many(w, 1);
    loop_stop(loop_current());
}

static void *be_another_loop(void *arg)
{
    struct loop *l = loop_make();
    struct scope scope;
    scope_init(&scope);
    is_held_back = true;
    task_start(&scope, "elsewhere", accept_elsewhere, arg);
    loop_run(l);
    loop_free(l);
    return NULL;
}

/* It is in the journal and the owner does not know it yet, while what came later lets it trim. */
static void trim_while_one_is_on_its_way(struct world *w)
{
    struct queue_statistics s;
    struct scope others;
    pthread_t thread;
    scope_init(&others);
    atomic_store(&held, NULL);
    assert_int_equal(pthread_create(&thread, NULL, be_another_loop, w), 0);
    while (!atomic_load(&held))
        task_sleep(2);
    struct loop_message *message = atomic_load(&held);
    struct queue_message *m =
        (struct queue_message *)((char *)message - offsetof(struct queue_message, arrival));
    fill_segments(w);
    unsigned epoch = atomic_load(&w->queue->epoch);
    assert_non_null(task_start(&others, "other", ask_for_a_checkpoint, w));
    while (atomic_load(&w->queue->epoch) == epoch)
        task_sleep(2);
    queue_statistics(w->queue, &s);
    assert_in_range(s.journal.oldest_position, 0, m->position);
    __real_loop_post(w->queue->owner, message);
    scope_join(&others);
    pthread_join(thread, NULL);
}

static void it_is_there(struct world *w)
{
    queue_unpin(w->queue, pin_only(w));
}

static void test_the_journal_keeps_what_is_on_its_way_to_the_queue(void **state)
{
    (void)state;
    static struct world w;
    make_world(&w);
    run(&w, trim_while_one_is_on_its_way);
    run(&w, it_is_there);
    remove_world(&w);
}

static void replay_many_records(struct world *w)
{
    accept_for(w, two_domains, 3, 100);
    wait_for_ready(w, 2);
    for (int i = 0; i < 5000; i++) {
        assert_true(queue_hold(w->queue, w->ready[0]));
        assert_true(queue_release(w->queue, w->ready[0]));
    }
    queue_sync(w->queue);
}

static void memory_is_as_after_one(struct world *w)
{
    wait_for_ready(w, 2);
    assert_in_range(w->ready[0]->message->arena.total, 1, 8192);
}

static void test_replaying_many_changes_takes_no_memory(void **state)
{
    (void)state;
    static struct world w;
    make_world(&w);
    run(&w, replay_many_records);
    run(&w, memory_is_as_after_one);
    remove_world(&w);
}

static void wait_for_rest(struct world *w)
{
    int64_t end = clock_now_ms() + PATIENCE_MS;
    while (!w->queue->is_at_rest && clock_now_ms() < end)
        task_sleep(5);
    assert_true(w->queue->is_at_rest);
}

static void rest_and_work(struct world *w)
{
    wait_for_rest(w);
    assert_int_equal(w->queue->checkpoints_begun, 0);
    accept_for(w, two_domains, 3, 4096);
    assert_false(w->queue->is_at_rest);
    wait_for_ready(w, 2);
    for (size_t i = 0; i < 2; i++)
        queue_finish(w->queue, w->ready[i], &(struct queue_outcome){.is_attempt = true});
    wait_for_rest(w);
    assert_int_not_equal(w->queue->checkpoints_ended, 0);
}

static void checkpoint_often(struct queue_options *o)
{
    o->checkpoint_ms = 10;
}

static void test_the_keeper_rests_until_there_is_work(void **state)
{
    (void)state;
    run_alone(rest_and_work, checkpoint_often);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beyond_the_bound_the_sender_is_asked_for_relief),
        cmocka_unit_test(test_a_silent_destination_does_not_keep_others_from_being_loaded),
        cmocka_unit_test(test_one_that_is_being_sent_does_not_keep_the_journal_long),
        cmocka_unit_test(test_a_hold_of_what_is_with_the_sender_outlives_the_server),
        cmocka_unit_test(test_a_checkpoint_that_had_begun_is_not_the_one_asked_for),
        cmocka_unit_test(test_what_is_put_off_while_a_checkpoint_writes_is_not_loaded_early),
        cmocka_unit_test(test_the_journal_keeps_what_changes_while_a_checkpoint_writes),
        cmocka_unit_test(test_the_journal_keeps_what_is_on_its_way_to_the_queue),
        cmocka_unit_test(test_replaying_many_changes_takes_no_memory),
        cmocka_unit_test(test_the_keeper_rests_until_there_is_work),
    };
    return cmocka_run_group_tests(tests, start_queue_room, stop_queue_room);
}
