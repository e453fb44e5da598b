/* SPDX-License-Identifier: ISC */
/*
 * tlsrpt_record.c - where a domain wants to hear of TLS that failed
 */
#include "check/tlsrpt_record.h"

#include "check/report_uri.h"
#include "check/tag_list.h"

/* RFC 8460 section 3: a record begins with its version, without blanks in front or within. */
static bool is_version(struct str text)
{
    struct tag tag;
    return str_starts(text, STR("v=TLSRPTv1")) && tag_next(&text, &tag) == TAG_GOOD &&
           str_equal(tag.name, STR("v")) && str_equal(tag.value, STR("TLSRPTv1"));
}

bool tlsrpt_record_parse(struct str text, struct tlsrpt_record *out)
{
    struct report_uri uri;
    struct tag tag;
    enum tag_found found;
    *out = (struct tlsrpt_record){STR_NONE};
    if (!is_version(text))
        return false;
    while ((found = tag_next(&text, &tag)) != TAG_END)
        if (found == TAG_GOOD && str_equal(tag.name, STR("rua")) && !out->rua.p)
            out->rua = tag.value;
    struct str rest = out->rua;
    return report_uri_next(&rest, &uri);
}

bool tlsrpt_record_find(struct str domain, struct asker *a, struct tlsrpt_record *out,
                        bool *has_failed)
{
    struct ask_answer answer;
    struct str text = STR_NONE;
    size_t found = 0;
    ask(a, arena_printf(a->arena, "_smtp._tls." STR_FMT, STR_ARG(domain)), ASK_TXT, &answer);
    *has_failed = answer.status == ASK_FAILED;
    for (size_t i = 0; answer.status == ASK_FOUND && i < answer.count; i++) {
        if (!is_version(answer.texts[i]))
            continue;
        text = answer.texts[i];
        found++;
    }
    return found == 1 && tlsrpt_record_parse(text, out);
}
