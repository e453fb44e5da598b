/* SPDX-License-Identifier: ISC */
/*
 * policy_internal.h - what the files of the policy share
 */
#ifndef CHECK_POLICY_INTERNAL_H
#define CHECK_POLICY_INTERNAL_H

#include "check/policy.h"

/* What a rule has found, before its action is applied. */
struct policy_cause {
    enum policy_stage stage;
    const char *rule;
    const struct policy_action *action;
    struct str domain;
    struct str reason;          /* in words; what the reply begins with */
    const char *advice;         /* what to do about it, or NULL */
    struct fault_status status; /* of a refusal for good */
    bool is_unsure;             /* the DNS failed: refuse becomes defer, and the rest a record */
    int64_t *score;             /* where a weight goes */
    const char **mark;          /* where a mark goes */
};

/* Does what the action says. FINE, or the reply. */
struct fault policy_act(struct policy *p, const struct policy_cause *c);

/* Tells that the rule found nothing. */
void policy_pass(struct policy *p, enum policy_stage stage, const char *rule, struct str domain);

/* Applies the scores as they are now. */
struct fault policy_judge_score(struct policy *p, enum policy_stage stage);

#endif
