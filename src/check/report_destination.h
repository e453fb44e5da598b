/* SPDX-License-Identifier: ISC */
/*
 * report_destination.h - whether the reports of a domain may go to an address of another one (RFC 9990 section 4)
 *
 * Without the destination's consent anybody could have the world's reports sent to a victim.
 */
#ifndef CHECK_REPORT_DESTINATION_H
#define CHECK_REPORT_DESTINATION_H

#include "check/ask.h"
#include "check/report_uri.h"

enum report_consent {
    REPORT_CONSENT_GIVEN, /* the same organization, or it says so in the DNS */
    REPORT_CONSENT_MISSING,
    REPORT_CONSENT_UNKNOWN /* the DNS failed: ask again later */
};

/*
 * Whether reports about the policy domain may go to the URI's address. A rua in the destination's own record may change the
 * address within its host: then uri is filled anew; one at another host means no report to either. Asks at most two
 * tree walks and one question more.
 */
enum report_consent report_destination_check(struct str policy_domain, struct report_uri *uri,
                                             struct asker *a);

#endif
