/* SPDX-License-Identifier: ISC */
/*
 * inspection.h - what the checks say of a message that a stranger brings, and what follows from that
 *
 * SPF, DKIM, ARC and DMARC are rooms of their own (check/); here they are asked about one message, within one bound of
 * questions and time, the author's policy first, so that nothing in the message can use up what that takes; and the
 * rule is applied:
 *
 *   no author, or several From fields, or one    refused: nobody could tell whom a reader takes it for
 *     that not everybody reads alike
 *   DMARC fails, the domain asks for reject      refused, unless something speaks for the message
 *     it looks like the mail of a list           marked: what lists change breaks signatures (RFC 9989 section 8)
 *     a forwarder that is trusted vouches (ARC)  taken
 *     its network has brought genuine mail of    marked: a forwarder that is known here
 *     that author's domain on enough days
 *     (local history)
 *   DMARC fails, the domain asks for quarantine  marked for the junk mailbox
 *   the DNS keeps from us whether DMARC fails,   put off, where nothing speaks for the message
 *     and the domain asks for either
 *   the policy of the listener marks it          marked for the junk mailbox (check/policy.h)
 *   everything else                              taken
 */
#ifndef SERVE_INSPECTION_H
#define SERVE_INSPECTION_H

#include "base/buf.h"
#include "base/fault.h"
#include "base/ip.h"
#include "check/arc.h"
#include "check/dkim_verify.h"
#include "check/dmarc.h"
#include "check/spf.h"
#include "net/inquiry.h"

enum {
    INSPECTION_QUESTIONS_MAX = 40,      /* to the DNS, of all checks together */
    INSPECTION_ALIGNMENT_QUESTIONS = 8, /* of these, kept for the comparison of organizations */
    INSPECTION_TIME_MS = 20000, /* that they may take together; then they are temporary errors */
    INSPECTION_AUTHORS_MAX = 4,
    /* octets that all answers together may take */
    INSPECTION_ARENA_LIMIT = (INSPECTION_QUESTIONS_MAX + 8) * INQUIRY_ANSWER_BYTES
};

#define INSPECTION_MARK "X-Eilbote-Junk"

enum inspection_action { INSPECTION_TAKE, INSPECTION_MARK_JUNK, INSPECTION_REFUSE };

/* Who brings the message, and to whom. Texts are borrowed. */
struct inspection_visit {
    struct ip_address ip;
    struct str helo, sender; /* "local@domain", empty for the null sender */
    struct str client_name;  /* confirmed by the DNS, or empty */
    struct str hostname;     /* ours: the authserv-id */
    int64_t now_s, deadline_ms;
    unsigned questions_asked; /* about this message, before */
    struct str mark;          /* the policy's rule that marks it, or empty */
    struct resolver *resolver;
    struct dkim_key_opener opener; /* zeroed: each key is opened anew */
    const struct str *forwarders;  /* domains whose ARC seals are believed */
    size_t forwarder_count;
    /* On how many days genuine mail of that author's domain came from the client's network; asked only where it counts.
     * NULL: nobody knows. */
    int64_t (*count_days)(void *arg, struct str author);
    void *arg;
    int64_t history_days; /* that are enough; 0: none are */
    bool may_refuse, may_mark;
    bool is_client_unknown; /* nobody knows who brings it: SPF is left out */
};

struct inspection {
    struct arena arena;
    struct str section; /* the header section as it came */
    struct dkim_body *body;
    struct dkim_verifier *dkim;
    struct arc_verifier *arc_verifier;
    struct spf_verdict spf;
    const struct arc_verdict *arc;
    struct dmarc_verdict dmarc; /* of the author that counts */
    size_t authors;             /* domains of the From field's addresses */
    const char *author_trouble; /* why nobody is taken for the author; NULL: somebody is */
    bool is_list;               /* DMARC has not passed, and fields of a list are there */
    struct str
        history; /* why the client's network is known, when that kept the message from being refused */
    struct str vouched_by; /* the trusted forwarder whose seal makes up for DMARC */
    unsigned questions;    /* that were asked */
    enum inspection_action action;
    struct str mark;    /* of MARK_JUNK: what for */
    struct fault fault; /* of REFUSE */
};

/* Begins with the header section as it came, which is copied. */
struct inspection *inspection_begin(struct str section, int64_t now_s);

/* The next octets of the body, cut anywhere. Any thread. */
void inspection_read(struct inspection *i, struct str piece);

/* The body has ended: asks and decides. Suspends the task. */
void inspection_decide(struct inspection *i, const struct inspection_visit *visit);

/* Appends the fields that tell of it: Authentication-Results, and the mark. False when out is full. */
bool inspection_append(const struct inspection *i, const struct inspection_visit *visit,
                       struct buf *out);

/* Whether a field of the message claims to be ours, and must not stay (RFC 8601 section 5). */
bool inspection_is_forged(struct str name, struct str value, struct str hostname);

void inspection_free(struct inspection *i);

#endif
