/* SPDX-License-Identifier: ISC */
/*
 * stand_threads.h - threads one at a time in the place of os/thread.c: the same contracts
 */
#ifndef TESTS_FUZZ_STAND_THREADS_H
#define TESTS_FUZZ_STAND_THREADS_H

#include "os/thread.h"

void __wrap_thread_start(struct thread *t, const char *name, void (*run)(void *arg), void *arg);
void __wrap_thread_join(struct thread *t);
void __wrap_cond_wait(struct cond *c, struct mutex *m);
void __wrap_cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline_ns);
void __wrap_cond_signal(struct cond *c);
void __wrap_cond_broadcast(struct cond *c);

#endif
