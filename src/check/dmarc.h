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

/* What other checks say. */
struct dmarc_question {
    struct str spf_domain; /* of MAIL FROM when SPF passed, else empty */
    const struct str
        *dkim_domains; /* of the signatures that passed; the first DMARC_IDENTITIES_MAX count */
    size_t dkim_count;
    const struct str *
        unsure_domains; /* of signatures and MAIL FROM that the DNS has kept from a result: where one
                                       * would be aligned, and nothing else is, there is none here */
    size_t unsure_count; /* the first DMARC_IDENTITIES_MAX + 1 count */
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

/* The evaluation of one author; lives in the asker's arena. */
struct dmarc_inquest;

/*
 * Asks for the policy of an author's domain (as written in the From field's address), section 4.10.1: at most
 * DMARC_WALK_MAX questions, and one whether the domain exists. An author with a record of its own costs one. It comes
 * before the other checks, so that none of them can use up the questions it takes.
 */
struct dmarc_inquest *dmarc_begin(struct str author, struct asker *a);

/*
 * Evaluates section 5.3 with what the other checks have found. Asks the rest of the author's walk and fewer than
 * DMARC_WALK_MAX questions for each identity that could be aligned, once one of another name has to be compared.
 */
void dmarc_finish(struct dmarc_inquest *d, const struct dmarc_question *q,
                  struct dmarc_verdict *out);

/*
 * The Organizational Domain of a name (4.10.2), in the asker's arena; *has_failed becomes true when a question on the
 * way to it failed. At most DMARC_WALK_MAX questions.
 */
struct str dmarc_organization(struct str domain, struct asker *a, bool *has_failed);

const char *dmarc_result_name(enum dmarc_result result);

#endif
