/* SPDX-License-Identifier: ISC */
/*
 * count.h - what happened, as the outcomes that reports tell of
 *
 * For tasks of any loop; nothing blocks.
 */
#ifndef REPORT_COUNT_H
#define REPORT_COUNT_H

#include "check/dmarc.h"
#include "report/store.h"

enum { REPORT_SIGNATURES_MAX = 100 /* of an outcome (RFC 9990) */ };

struct report_signature {
    struct str domain, selector;
    const char *result; /* as RFC 8601 names them */
};

/* A message of strangers that DMARC had something to say about. Texts are borrowed. */
struct report_message {
    const struct dmarc_verdict *dmarc;
    struct ip_address ip;
    struct str envelope_domain; /* of MAIL FROM; empty for the null sender */
    struct str spf_domain;
    const char *spf_result; /* NULL: SPF was left out */
    const struct report_signature *signature;
    size_t signature_count;
    enum dmarc_policy disposition; /* what became of it */
    bool is_list, is_vouched;      /* why that is not what the policy asked for */
    int64_t time_s;
};

/* Counts it, when its policy wants reports. */
void report_count_dmarc(struct report_store *s, const struct report_message *m);

/* What came of TLS with a domain's host (RFC 8460 section 4). Texts are borrowed; empty ones are left out. */
struct report_tls {
    struct str domain;        /* of the recipients, which is told */
    struct str policy_domain; /* of DANE that of the host (RFC 7672 section 2.2.3); empty: domain */
    const char *policy_type;  /* "tlsa", "sts" or "no-policy-found" */
    const struct str *policy_string;
    size_t policy_string_count;
    const struct str *mx_pattern; /* of an MTA-STS policy */
    size_t mx_pattern_count;
    const char *failure; /* a result type of section 4.3, or NULL: it went well */
    struct str sending_ip, receiving_ip, receiving_mx, receiving_helo, reason;
    int64_t time_s;
};

/* A session as an outcome of its own, without the address that wants to know: the caller's to free(). */
struct report_outcome *report_tls_outcome(const struct report_tls *t);

#endif
