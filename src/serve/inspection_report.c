/* SPDX-License-Identifier: ISC */
/*
 * inspection_report.c - what the checks said of a message is counted for the report to its domain
 */
#include "serve/inspection_report.h"

#include "mail/idna.h"
#include "report/count.h"

/* The results of the signatures, those that were not checked included. */
static size_t list_signatures(const struct inspection *i, struct report_signature *out, size_t most)
{
    size_t count = dkim_verify_count(i->dkim);
    for (size_t k = 0; k < count && k < most; k++) {
        const struct dkim_verdict *v = dkim_verify_verdict(i->dkim, k);
        out[k] = (struct report_signature){v->domain, v->selector, dkim_result_name(v->result)};
    }
    return count < most ? count : most;
}

void inspection_report(const struct inspection *i, const struct inspection_visit *visit,
                       struct report_store *store)
{
    static const enum dmarc_policy dispositions[] = {[INSPECTION_TAKE] = DMARC_ASKS_NONE,
                                                     [INSPECTION_MARK_JUNK] = DMARC_ASKS_QUARANTINE,
                                                     [INSPECTION_REFUSE] = DMARC_ASKS_REJECT};
    struct report_signature signatures[DKIM_VERDICTS_MAX];
    char ascii[IDNA_DOMAIN_MAX];
    if (i->authors == 0)
        return;
    struct str said = str_skip(visit->sender, str_last_index(visit->sender, '@') + 1);
    struct report_message m = {
        .dmarc = &i->dmarc,
        .ip = visit->ip,
        .envelope_domain = visit->sender.n > 0 ? idna_to_ascii(said, ascii) : STR_NONE,
        .spf_domain = i->spf.domain,
        .spf_result = visit->is_client_unknown ? NULL : spf_result_name(i->spf.result),
        .signature = signatures,
        .signature_count = list_signatures(i, signatures, DKIM_VERDICTS_MAX),
        .disposition = dispositions[i->action],
        .is_list = i->is_list,
        .is_vouched = i->vouched_by.n > 0,
        .time_s = visit->now_s,
    };
    report_count_dmarc(store, &m);
}
