/* SPDX-License-Identifier: ISC */
/*
 * test_journal_crash.c - kill -9 with records in flight, and a ledger of what was acknowledged
 *
 * A child appends from several threads and tells each acknowledgement through a pipe; the parent
 * kills it in the middle, opens the journal and compares.
 */
#include "journal_room.h"
#include "base/num.h"
#include "os/random.h"
#include "os/thread.h"

#include <signal.h>
#include <sys/wait.h>

enum { THREADS = 4, KILLS = 20, SEGMENT = 65536 };

struct entry {
    uint32_t thread;
    uint32_t number;
};

struct writer {
    struct room *room;
    uint32_t id;
    uint32_t life;
    int ledger;
    struct thread thread;
};

static void append_for_ever(void *arg)
{
    struct writer *w = arg;
    for (uint32_t i = 0;; i++) {
        char text[40];
        snprintf(text, sizeof text, "%u %u %u ", w->life, w->id, i);
        room_put(w->room, text, 20 + (i * 97 + w->id * 31) % 3000);
        struct entry e = {w->id, i};
        if (write(w->ledger, &e, sizeof e) != sizeof e)
            return;
    }
}

static void run_child(struct room *r, uint32_t life, int ledger)
{
    room_open(r, SEGMENT);
    static struct writer writers[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.room = r, .id = i, .life = life, .ledger = ledger};
        thread_start(&writers[i].thread, "writer", append_for_ever, &writers[i]);
    }
    for (;;)
        pause();
}

/* Starts a child and kills it after about that many acknowledgements; fills the ledger. */
static void crash(struct room *r, uint32_t life, uint64_t after, uint32_t acknowledged[THREADS])
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(pipes[0]);
        run_child(r, life, pipes[1]);
        _exit(0);
    }
    close(pipes[1]);
    memset(acknowledged, 0, THREADS * sizeof acknowledged[0]);
    struct entry e;
    uint64_t count = 0;
    while (read(pipes[0], &e, sizeof e) == sizeof e) {
        assert_true(e.thread < THREADS);
        assert_int_equal(e.number, acknowledged[e.thread]);
        acknowledged[e.thread] = e.number + 1;
        if (++count == after)
            kill(child, SIGKILL); /* what is in the pipe by then was acknowledged, too */
    }
    close(pipes[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(count >= after);
}

/* Compares what the journal gives with the ledger of that life. */
static void compare(const struct room *r, uint32_t life, const uint32_t acknowledged[THREADS])
{
    uint32_t found[THREADS] = {0};
    uint64_t last_life = 0;
    for (size_t k = 0; k < r->count; k++) {
        struct str rest = str_from(r->record[k].payload);
        uint64_t of_life, id, number;
        assert_true(num_parse(str_word(&rest), life, &of_life));
        assert_true(num_parse(str_word(&rest), THREADS - 1, &id));
        assert_true(num_parse(str_word(&rest), UINT32_MAX, &number));
        assert_int_equal(r->record[k].length, 20 + (number * 97 + id * 31) % 3000);
        assert_true(of_life >= last_life);
        last_life = of_life;
        if (of_life != life)
            continue;                        /* left in a segment that is not trimmed whole */
        assert_int_equal(number, found[id]); /* in order, none twice, none missing */
        found[id]++;
    }
    for (int t = 0; t < THREADS; t++) {
        assert_true(found[t] >= acknowledged[t]);
        assert_true(found[t] <= acknowledged[t] + 1); /* the one in flight */
    }
}

static void test_nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, "journal_crash");
    for (uint32_t life = 0; life < KILLS; life++) {
        uint32_t acknowledged[THREADS];
        crash(&r, life, 1 + random_below(300), acknowledged);
        room_open(&r, SEGMENT);
        assert_int_equal(r.damage_count, 0);
        compare(&r, life, acknowledged);
        /* The next life writes over recycled segments. */
        journal_trim(r.journal, room_statistics(&r).end_position);
        room_close(&r);
    }
    room_open(&r, SEGMENT);
    room_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_acknowledged_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
