/* SPDX-License-Identifier: ISC */
/*
 * iprev.c - the name of a client by the DNS, confirmed by its owner (RFC 8601 section 3)
 */
#include "check/iprev.h"

#include <stdio.h>

#include "base/hostname.h"

const char *iprev_result_name(enum iprev_result result)
{
    static const char *const names[] = {
        [IPREV_PASS] = "pass",
        [IPREV_FAIL] = "fail",
        [IPREV_TEMPERROR] = "temperror",
        [IPREV_PERMERROR] = "permerror",
    };
    return names[result];
}

/* RFC 1035 section 3.5, RFC 3596 section 2.5. */
struct str iprev_reverse_name(const struct ip_address *ip, char room[IPREV_REVERSE_MAX])
{
    const uint8_t *b = ip->byte;
    int n = 0;
    if (ip_is_v4(ip))
        n = snprintf(room, IPREV_REVERSE_MAX, "%u.%u.%u.%u.in-addr.arpa", b[15], b[14], b[13],
                     b[12]);
    for (size_t i = 0; i < 16 && !ip_is_v4(ip); i++)
        n += snprintf(room + n, IPREV_REVERSE_MAX - (size_t)n, "%x.%x.%s", b[15 - i] & 15u,
                      b[15 - i] >> 4u, i < 15 ? "" : "ip6.arpa");
    return str_make(room, (size_t)n);
}

void iprev_ask_names(const struct ip_address *ip, struct asker *a, struct ask_answer *out)
{
    char room[IPREV_REVERSE_MAX];
    ask(a, iprev_reverse_name(ip, room), ASK_PTR, out);
}

enum ask_status iprev_confirm(const struct ip_address *ip, struct str name, struct asker *a,
                              bool *has_address)
{
    struct ask_answer answer;
    *has_address = false;
    ask(a, name, ip_is_v4(ip) ? ASK_A : ASK_AAAA, &answer);
    for (size_t i = 0; answer.status == ASK_FOUND && i < answer.count; i++)
        *has_address = *has_address || ip_equal(ip, &answer.addresses[i]);
    return answer.status;
}

/* The DNS can have names of any octets; those of hosts are shown to people and put into fields. */
static bool is_host(struct str name)
{
    return hostname_is_valid(name) && !hostname_ends_in_number(name);
}

void iprev_check(const struct ip_address *ip, struct asker *a, struct iprev_verdict *out)
{
    struct ask_answer names;
    bool has_failed = false, has_addresses = false;
    iprev_ask_names(ip, a, &names);
    *out = (struct iprev_verdict){IPREV_PERMERROR, .reason = STR("the address has no name")};
    if (names.status == ASK_FAILED)
        *out = (struct iprev_verdict){IPREV_TEMPERROR,
                                      .reason = STR("the DNS failed at the name of the address")};
    if (names.status != ASK_FOUND || names.count == 0)
        return;
    out->has_names = true;
    for (size_t i = 0; i < names.count && i < IPREV_NAMES_MAX; i++) {
        bool is_confirmed;
        if (!is_host(names.names[i]))
            continue;
        enum ask_status status = iprev_confirm(ip, names.names[i], a, &is_confirmed);
        if (is_confirmed) {
            out->result = IPREV_PASS;
            out->name = names.names[i];
            out->reason = STR("the name has the address");
            return;
        }
        has_failed = has_failed || status == ASK_FAILED;
        has_addresses = has_addresses || status == ASK_FOUND;
    }
    out->result = has_failed ? IPREV_TEMPERROR : has_addresses ? IPREV_FAIL : IPREV_PERMERROR;
    out->reason = has_failed      ? STR("the DNS failed at the addresses of the name")
                  : has_addresses ? STR("no name of the address has it")
                                  : STR("no name of the address has any address");
}
