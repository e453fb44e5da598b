/* SPDX-License-Identifier: ISC */
/*
 * thread.h - threads, mutexes and conditions
 *
 * The only place that names pthreads, so that a simulation can run threads one at a time. Errors of
 * these calls are programming errors or exhaustion and end the process.
 */
#ifndef OS_THREAD_H
#define OS_THREAD_H

#include <pthread.h>
#include <stdint.h>

struct thread {
    pthread_t handle;
};

struct mutex {
    pthread_mutex_t handle;
};

struct cond {
    pthread_cond_t handle;
};

/* Starts run(arg) on a new thread with all signals blocked; name is at most 15 bytes. */
void thread_start(struct thread *t, const char *name, void (*run)(void *arg), void *arg);
void thread_join(struct thread *t);

/*
 * Calls run when the calling thread ends, if thread_start made it: for what is kept for each thread.
 * To ask again for the same changes nothing; at most four may be asked for.
 */
void thread_at_end(void (*run)(void));

void mutex_init(struct mutex *m);
void mutex_destroy(struct mutex *m);
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);

void cond_init(struct cond *c);
void cond_destroy(struct cond *c);
void cond_wait(struct cond *c, struct mutex *m);

/* Waits at most until the monotonic time deadline_ns (clock_now_ns); spurious returns happen. */
void cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline_ns);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

/* Number of processors this process may use, at least 1. */
unsigned thread_processor_count(void);

#endif
