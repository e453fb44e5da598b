/* SPDX-License-Identifier: ISC */
/*
 * validation.c - whether DNSSEC works here, before mail depends on it
 */
#include "cli/validation.h"

#include "cli/trial.h"
#include "net/loop.h"

struct probe {
    struct trial trial;
    struct fault fault;
};

static void run_probe(void *arg)
{
    struct probe *p = arg;
    p->fault = resolver_prove(p->trial.resolver, loop_now_ms(loop_current()) + VALIDATION_TIME_MS);
}

struct fault validation_try(struct invocation *i, struct conf *c, const char *anchor)
{
    struct probe p = {.trial = trial_make(i),
                      .fault = fault_make(451, FAULT_STATUS(4, 3, 5), "there is no resolver")};
    p.trial.trust_anchor = anchor;
    p.trial.conf = c;
    trial_run(&p.trial, run_probe, &p);
    p.trial.conf = NULL; /* the caller's */
    trial_free(&p.trial);
    return p.fault;
}
