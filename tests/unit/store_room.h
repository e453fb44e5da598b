/* SPDX-License-Identifier: ISC */
/*
 * store_room.h - a store of its own for a test, delivering to it and reading from it
 */
#ifndef TESTS_UNIT_STORE_ROOM_H
#define TESTS_UNIT_STORE_ROOM_H

#include "net/offload.h"
#include "net/task.h"
#include "os/file.h"
#include "store/maildrop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];
static struct store *store;

static inline void assert_fine(struct fault f)
{
    assert_string_equal(f.text, "");
    assert_int_equal(f.kind, FAULT_FINE);
}

static inline struct store_options options_of_test(void)
{
    return (struct store_options){
        .directory = directory,
        .journal = {.segment_bytes = 1 << 20, .spare_segments = 1, .spare_segments_max = 2},
        .checkpoint_ms = 50,
        .journal_bytes = 4 << 20,
        .unapplied_bytes = 8 << 20,
        .unapplied_wait_ms = 20000,
        .thread_count = 2,
        .index_most = 2,
    };
}

static inline void open_store(void)
{
    struct store_options o = options_of_test();
    assert_fine(store_open(&o, &store));
}

static void (*work)(void);

static inline void run_work(void *arg)
{
    (void)arg;
    work();
    loop_stop(loop_current());
}

/* Runs the function as a task. */
static inline void in_task(void (*run)(void))
{
    struct loop *loop = loop_make();
    struct scope scope;
    work = run;
    scope_init(&scope);
    assert_non_null(task_start(&scope, "test", run_work, NULL));
    loop_run(loop);
    loop_free(loop);
}

static inline struct fault deliver(const char *account, const char *text)
{
    struct store_recipient r = {.account = str_from(account), .head = STR("Return-Path: <>\r\n")};
    struct buf content = buf_make(1 << 20);
    buf_append(&content, str_from(text));
    store_deliver(store, &r, 1, 1234567890123, &content, 0, 0);
    buf_free(&content);
    return r.result;
}

static inline struct maildrop *open_drop(const char *account)
{
    struct maildrop *m;
    assert_fine(maildrop_open(store, str_from(account), &m));
    return m;
}

static inline void expect_message(struct maildrop *m, size_t place, const char *text)
{
    char memory[1024];
    size_t got;
    assert_fine(maildrop_read(m, place, 0, memory, sizeof memory, &got));
    struct str expected = str_from(text), found = str_make(memory, got);
    assert_true(str_starts(found, STR("Return-Path: <>\r\n")));
    assert_true(str_equal(str_skip(found, 17), expected));
    size_t count;
    assert_int_equal(maildrop_rows(m, &count)[place].size_bytes, got);
}

static inline int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "test_store.%ld", (long)getpid());
    assert_fine(file_remove_tree(directory));
    offload_start(2);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    offload_stop();
    assert_fine(file_remove_tree(directory));
    return 0;
}

#endif
