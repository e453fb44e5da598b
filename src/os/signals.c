/* SPDX-License-Identifier: ISC */
/*
 * signals.c - the signals that ask for something: stop, reload, upgrade, a child has ended
 */
#include "os/signals.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

static sigset_t asked_for(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGCHLD);
    return set;
}

static enum signals_event event_of(int number)
{
    switch (number) {
    case SIGHUP:
        return SIGNALS_RELOAD;
    case SIGUSR2:
        return SIGNALS_UPGRADE;
    case SIGCHLD:
        return SIGNALS_CHILD;
    default:
        return SIGNALS_STOP;
    }
}

void signals_block(void)
{
    sigset_t set = asked_for();
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        abort();
    signal(SIGPIPE, SIG_IGN);
}

enum signals_event signals_wait(void)
{
    sigset_t set = asked_for();
    int number;
    while (sigwait(&set, &number) != 0)
        ;
    return event_of(number);
}

int signals_descriptor(void)
{
    sigset_t set = asked_for();
    int descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor < 0)
        abort();
    return descriptor;
}

bool signals_take(int descriptor, enum signals_event *out)
{
    struct signalfd_siginfo info;
    if (read(descriptor, &info, sizeof info) != (ssize_t)sizeof info)
        return false;
    *out = event_of((int)info.ssi_signo);
    return true;
}
