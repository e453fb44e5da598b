/* SPDX-License-Identifier: ISC */
/*
 * tls_outcome.h - what came of one attempt at a TLS session with a mail exchanger, in the terms of RFC 8460
 *
 * A sender tells each of them to the function in its options, on the thread of whatever loop the connection is on, and
 * writes it into the event log (tls.session). Everything is borrowed for the call.
 */
#ifndef SEND_TLS_OUTCOME_H
#define SEND_TLS_OUTCOME_H

#include "base/ip.h"
#include "base/str.h"

/* By what the session was judged (section 4.4, policy-type). */
enum tls_policy_type { TLS_POLICY_NONE, TLS_POLICY_STS, TLS_POLICY_TLSA };

/* section 4.3 */
enum tls_result {
    TLS_SUCCESS,
    TLS_STARTTLS_NOT_SUPPORTED,
    TLS_CERTIFICATE_HOST_MISMATCH,
    TLS_CERTIFICATE_EXPIRED,
    TLS_CERTIFICATE_NOT_TRUSTED,
    TLS_VALIDATION_FAILURE,
    TLS_TLSA_INVALID,
    TLS_DNSSEC_INVALID,
    TLS_DANE_REQUIRED,
    TLS_STS_POLICY_FETCH_ERROR,
    TLS_STS_POLICY_INVALID,
    TLS_STS_WEBPKI_INVALID
};

struct tls_outcome {
    struct str domain; /* of the recipients, A-labels */
    enum tls_policy_type policy_type;
    struct str policy_domain; /* the same, but with DANE the TLSA base domain (section 1.1) */
    const struct str
        *policy_string; /* the TLSA records as "3 1 1 hex", or the lines of the MTA-STS policy */
    size_t policy_string_count;
    const struct str *mx_host; /* the patterns of an MTA-STS policy */
    size_t mx_host_count;
    enum tls_result result;
    bool is_enforced;   /* a failure kept the message from that host */
    bool has_addresses; /* a connection was made, and these are its ends */
    struct ip_address sending_ip, receiving_ip;
    struct str receiving_mx;
    struct str receiving_helo; /* what the server called itself; empty when it has not said */
    struct str reason;         /* of a failure, for people */
};

typedef void tls_outcome_tell(void *arg, const struct tls_outcome *o);

/* The names of RFC 8460: "tlsa", "sts", "no-policy-found"; "success", "starttls-not-supported" and so on. */
const char *tls_policy_type_name(enum tls_policy_type type);
const char *tls_result_name(enum tls_result result);

#endif
