/* SPDX-License-Identifier: ISC */
/*
 * process.h - starting this program again as a child, and hearing of its end
 */
#ifndef OS_PROCESS_H
#define OS_PROCESS_H

#include "base/fault.h"

#include <stdint.h>

/* A child of this program's own file with arguments (NULL at the end, the name first). The
 * descriptor keep stays open in it, all others of ours are closed on exec. Signals that are blocked
 * stay blocked: one that comes before the child listens waits for it instead of ending it. */
struct fault process_start(char *const arguments[], int keep, int *pid);

/* The path of this program's file, also when another file has taken its place there. */
void process_path(char *out, size_t size);

/* A child of the program at path; what it prints is not seen, what it complains about is. */
struct fault process_try(const char *program, char *const arguments[], int *pid);

/* Becomes the program at path with these descriptors open. Returns only the fault: nothing has
 * changed then. */
struct fault process_become(const char *program, char *const arguments[], const int *keep,
                            size_t count);

/* False when there is no such descriptor. */
bool process_close_on_exec(int descriptor);

/* What ps and top show for this process, at most 15 bytes of "eilbote NAME". */
void process_set_name(const char *name);

/* Gets SIGTERM when the parent ends; after the last change of user, which forgets it. */
void process_end_with_parent(void);

/* Sends SIGTERM or SIGKILL to a child that has not been reaped yet. */
enum process_signal { PROCESS_STOP, PROCESS_KILL };
void process_signal(int pid, enum process_signal signal);

/* Takes a child that has ended: its id, 0 when there is none; how says it for people. */
enum { PROCESS_END_MAX = 64 };
int process_reap(char how[PROCESS_END_MAX], bool *is_clean);

/* Says a line, whose line feed it adds, on standard error, unless that would have to wait for
 * somebody to read there: then nobody hears it. */
void process_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Tells systemd (sd_notify(3)) when it asked to be told; state is e.g. "READY=1". */
void process_notify_systemd(const char *state);

/* Descriptors that systemd passed (sd_listen_fds(3)); returns their number, the first is *first. */
int process_systemd_sockets(int *first);

#endif
