/* SPDX-License-Identifier: ISC */
/*
 * tls_outcome.c - the names of RFC 8460 for what came of TLS sessions
 */
#include "send/tls_outcome.h"

const char *tls_policy_type_name(enum tls_policy_type type)
{
    static const char *const names[] = {[TLS_POLICY_NONE] = "no-policy-found",
                                        [TLS_POLICY_STS] = "sts",
                                        [TLS_POLICY_TLSA] = "tlsa"};
    return names[type];
}

const char *tls_result_name(enum tls_result result)
{
    static const char *const names[] = {[TLS_SUCCESS] = "success",
                                        [TLS_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
                                        [TLS_CERTIFICATE_HOST_MISMATCH] =
                                            "certificate-host-mismatch",
                                        [TLS_CERTIFICATE_EXPIRED] = "certificate-expired",
                                        [TLS_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
                                        [TLS_VALIDATION_FAILURE] = "validation-failure",
                                        [TLS_TLSA_INVALID] = "tlsa-invalid",
                                        [TLS_DNSSEC_INVALID] = "dnssec-invalid",
                                        [TLS_DANE_REQUIRED] = "dane-required",
                                        [TLS_STS_POLICY_FETCH_ERROR] = "sts-policy-fetch-error",
                                        [TLS_STS_POLICY_INVALID] = "sts-policy-invalid",
                                        [TLS_STS_WEBPKI_INVALID] = "sts-webpki-invalid"};
    return names[result];
}
