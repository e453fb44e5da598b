/* SPDX-License-Identifier: ISC */
/*
 * offload.h - blocking or long work on other threads, awaited by a task
 */
#ifndef NET_OFFLOAD_H
#define NET_OFFLOAD_H

/* Starts the threads (at least 1) that all loops of the process share; stop waits for their work.
 */
void offload_start(unsigned thread_count);
void offload_stop(void);

/*
 * Runs work(arg) on an offload thread and suspends the task until it has ended. Not interrupted by
 * cancellation: arg may live on the task's stack.
 */
void offload(void (*work)(void *arg), void *arg);

#endif
