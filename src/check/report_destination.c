/* SPDX-License-Identifier: ISC */
/*
 * report_destination.c - whether the reports of a domain may go to an address of another one
 */
#include "check/report_destination.h"

#include "check/dmarc.h"
#include "mail/idna.h"

/* The record's own wish: FOUND addresses take the place of the one that was asked about. */
static enum report_consent take_wish(const struct dmarc_record *record, struct report_uri *uri)
{
    struct report_uri wish;
    struct str rest = record->rua;
    bool has_wish = false;
    while (report_uri_next(&rest, &wish)) {
        has_wish |= !wish.is_https;
        if (wish.is_https || !idna_equal(wish.domain, uri->domain))
            continue;
        memcpy(uri->address, wish.address, wish.address_n);
        uri->address_n = wish.address_n;
        uri->domain = str_make(uri->address + (wish.domain.p - wish.address), wish.domain.n);
        return REPORT_CONSENT_GIVEN;
    }
    return has_wish ? REPORT_CONSENT_MISSING : REPORT_CONSENT_GIVEN;
}

enum report_consent report_destination_check(struct str policy_domain, struct report_uri *uri,
                                             struct asker *a)
{
    struct ask_answer answer;
    bool has_failed = false;
    char ascii[IDNA_DOMAIN_MAX];
    struct str host = idna_to_ascii(uri->domain, ascii);
    if (host.n == 0)
        return REPORT_CONSENT_MISSING;
    host = arena_copy(a->arena, host);
    struct str ours = dmarc_organization(policy_domain, a, &has_failed);
    struct str theirs = dmarc_organization(host, a, &has_failed);
    if (!has_failed && str_equal(ours, theirs))
        return REPORT_CONSENT_GIVEN;
    ask(a,
        arena_printf(a->arena, STR_FMT "._report._dmarc." STR_FMT, STR_ARG(policy_domain),
                     STR_ARG(host)),
        ASK_TXT, &answer);
    for (size_t i = 0; answer.status == ASK_FOUND && i < answer.count; i++) {
        struct dmarc_record record;
        if (dmarc_record_parse(answer.texts[i], &record))
            return take_wish(&record, uri);
    }
    return has_failed || answer.status == ASK_FAILED ? REPORT_CONSENT_UNKNOWN
                                                     : REPORT_CONSENT_MISSING;
}
