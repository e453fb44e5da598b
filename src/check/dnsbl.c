/* SPDX-License-Identifier: ISC */
/*
 * dnsbl.c - lists of addresses and domains in the DNS (RFC 5782)
 */
#include "check/dnsbl.h"

#include <stdio.h>

#include "check/iprev.h"

struct str dnsbl_reverse(const struct ip_address *ip, char room[DNSBL_NAME_MAX])
{
    char reverse[IPREV_REVERSE_MAX];
    struct str name = iprev_reverse_name(ip, reverse);
    size_t tail = ip_is_v4(ip) ? sizeof ".in-addr.arpa" - 1 : sizeof ".ip6.arpa" - 1;
    memcpy(room, name.p, name.n - tail);
    return str_make(room, name.n - tail);
}

/* "NAME.ZONE" for the DNS; too long a one is none, and ask() says so. */
static struct str full_name(const struct dnsbl_site *site, struct str name,
                            char room[2 * DNSBL_NAME_MAX])
{
    int n = snprintf(room, (size_t)2 * DNSBL_NAME_MAX, STR_FMT "." STR_FMT,
                     STR_ARG(str_head(name, DNSBL_NAME_MAX)), STR_ARG(site->zone));
    return str_make(room, (size_t)n);
}

static void judge(struct dnsbl_finding *f, const struct ask_answer *answer)
{
    f->status = answer->status == ASK_FAILED ? DNSBL_FAILED : DNSBL_CLEAR;
    for (size_t i = 0; answer->status == ASK_FOUND && i < answer->count; i++) {
        const struct ip_address *code = &answer->addresses[i];
        enum dnsbl_status status = dnsbl_site_matches(f->site, code) ? DNSBL_LISTED
                                   : !dnsbl_is_code(code)            ? DNSBL_STRANGE
                                   : dnsbl_is_error(code)            ? DNSBL_REFUSED
                                                                     : DNSBL_CLEAR;
        if (status == DNSBL_CLEAR || f->status == DNSBL_LISTED)
            continue;
        f->status = status;
        f->code = *code;
    }
}

void dnsbl_check(const struct dnsbl_site *sites, size_t count, struct str name, struct asker *a,
                 struct dnsbl_verdict *out)
{
    struct ask_answer answers[DNSBL_SITES_MAX];
    char room[2 * DNSBL_NAME_MAX];
    *out = (struct dnsbl_verdict){.count = count};
    for (size_t i = 0; i < count; i++) {
        struct dnsbl_finding *f = &out->finding[i];
        size_t same = 0;
        while (same < i && !str_equal_nocase(sites[same].zone, sites[i].zone))
            same++;
        if (same == i)
            ask(a, full_name(&sites[i], name, room), ASK_A, &answers[i]);
        else
            answers[i] = answers[same];
        f->site = &sites[i];
        judge(f, &answers[i]);
        if (f->status != DNSBL_LISTED)
            continue;
        out->weight += f->site->weight;
        if (f->site->weight > 0 && (!out->reason || f->site->weight > out->reason->site->weight))
            out->reason = f;
    }
}

struct str dnsbl_explain(const struct dnsbl_site *site, struct str name, struct asker *a,
                         char room[DNSBL_TEXT_MAX])
{
    char full[2 * DNSBL_NAME_MAX];
    struct ask_answer answer;
    ask(a, full_name(site, name, full), ASK_TXT, &answer);
    if (answer.status != ASK_FOUND || answer.count == 0)
        return STR_NONE;
    struct str text = str_head(answer.texts[0], DNSBL_TEXT_MAX);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        room[i] = c == '"' ? '\'' : c >= ' ' && c < 127 ? c : '?';
    }
    return str_make(room, text.n);
}
