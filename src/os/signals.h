/* SPDX-License-Identifier: ISC */
/*
 * signals.h - the signals that ask for something: stop, reload, upgrade, a child has ended
 */
#ifndef OS_SIGNALS_H
#define OS_SIGNALS_H

#include <stdbool.h>

enum signals_event { SIGNALS_STOP, SIGNALS_RELOAD, SIGNALS_UPGRADE, SIGNALS_CHILD };

/* Blocks them in this thread and all it will start, and ignores SIGPIPE. First thing in main. */
void signals_block(void);

/* Waits for the next one. */
enum signals_event signals_wait(void);

/* A descriptor that becomes readable when one is there; signals_take then gives it. */
int signals_descriptor(void);
bool signals_take(int descriptor, enum signals_event *out);

#endif
