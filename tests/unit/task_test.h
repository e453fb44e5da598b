/* SPDX-License-Identifier: ISC */
/*
 * task_test.h - for tests whose work is a task; behind cmocka.h
 */
#ifndef TESTS_UNIT_TASK_TEST_H
#define TESTS_UNIT_TASK_TEST_H

#include "net/loop.h"
#include "net/task.h"

/* Runs it as a task of a loop of its own, until it stops the loop. */
static inline void run_as_task(void (*act)(void *arg))
{
    struct loop *l = loop_make();
    struct scope s;
    scope_init(&s);
    assert_non_null(task_start(&s, "test", act, NULL));
    loop_run(l);
    loop_free(l);
}

#endif
