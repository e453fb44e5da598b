/* SPDX-License-Identifier: ISC */
/*
 * dmarc.h - whether a message is from the domain that its author is of, and what that domain asks for when it
 * is not (DMARC, RFC 9989)
 *
 * Where the RFC leaves a choice: a record of a top-level name counts only with psd=y, so that no two domains under
 * it are one organization; a domain's own walk is spared when it cannot end at the author's Organizational
 * Domain, because that is no part of its name; tag names are read in any case.
 */
#ifndef CHECK_DMARC_H
#define CHECK_DMARC_H

#include "check/ask.h"
#include "check/dmarc_record.h"

enum { DMARC_WALK_MAX = 8 /* questions of one walk (4.10) */, DMARC_IDENTITIES_MAX = 8 };

enum dmarc_result { DMARC_NONE, DMARC_PASS, DMARC_FAIL, DMARC_TEMPERROR };

struct dmarc_question {
    struct str author;     /* domain of the From field's address, as written */
    struct str spf_domain; /* of MAIL FROM when SPF passed, else empty */
    const struct str
        *dkim_domains; /* of the signatures that passed; the first DMARC_IDENTITIES_MAX count */
    size_t dkim_count;
    bool is_unsure; /* another check met a failure of the DNS: without a pass there is no result */
};

/* Texts live in the asker's arena. */
struct dmarc_verdict {
    enum dmarc_result result;
    struct str author; /* A-labels, lower case */
    struct str
        organization; /* the author's Organizational Domain; empty when nothing depended on it */
    struct str record_domain; /* where the record that counts is; empty when there is none */
    struct dmarc_record record;
    bool exists;              /* the author's domain; known when the record is another domain's */
    enum dmarc_policy policy; /* that applies to the author's domain, t=y taken off */
    enum dmarc_policy asked;  /* before that */
    bool is_spf_aligned, is_dkim_aligned;
    struct str aligned; /* the domain that made it pass */
    struct str reason;  /* for people */
};

/*
 * Evaluates sections 4.10 and 5.3 for one author. Asks at most DMARC_WALK_MAX questions for the author's walk, one
 * whether the author's domain exists, and fewer for each identity that could be aligned. An author with a record of its
 * own costs one question until an identity of another name has to be compared.
 */
void dmarc_check(const struct dmarc_question *q, struct asker *a, struct dmarc_verdict *out);

/*
 * The Organizational Domain of a name (4.10.2), in the asker's arena; *has_failed becomes true when a question on the
 * way to it failed. At most DMARC_WALK_MAX questions.
 */
struct str dmarc_organization(struct str domain, struct asker *a, bool *has_failed);

const char *dmarc_result_name(enum dmarc_result result);

#endif
