/* SPDX-License-Identifier: ISC */
/*
 * client_name.c - the name of a client by the DNS, for trace fields (RFC 5321 section 4.4)
 *
 * Whoever owns an address says what its name is, so only the owner of the name can confirm it: the
 * name must have the address among its own.
 */
#include "serve/client_name.h"

#include <stdio.h>

#include "base/hostname.h"
#include "proto/dns.h"

enum { NAMES_MOST = 4 /* of one address that are asked back */ };

/* "1.2.0.192.in-addr.arpa", or a digit for each half byte under ip6.arpa (RFC 1035, RFC 3596). */
static const char *reverse_name(const struct ip_address *ip, struct arena *arena)
{
    const uint8_t *b = ip->byte;
    if (ip_is_v4(ip))
        return arena_c_string(
            arena, arena_printf(arena, "%u.%u.%u.%u.in-addr.arpa", b[15], b[14], b[13], b[12]));
    char text[16 * 4 + 1];
    for (size_t i = 0; i < 16; i++)
        snprintf(text + 4 * i, 5, "%x.%x.", b[15 - i] & 15u, b[15 - i] >> 4u);
    return arena_c_string(arena, arena_printf(arena, "%sip6.arpa", text));
}

/* Whether the name has the address among its own. */
static struct fault confirm(struct resolver *r, const struct ip_address *ip, int64_t deadline_ms,
                            struct arena *arena, struct str name, bool *is_confirmed)
{
    struct resolver_answer answer;
    struct ip_address found;
    struct fault f =
        resolver_lookup(r, arena, arena_c_string(arena, name),
                        ip_is_v4(ip) ? RESOLVER_A : RESOLVER_AAAA, deadline_ms, &answer);
    for (size_t i = 0; i < answer.count && !f.kind; i++)
        *is_confirmed = *is_confirmed || (dns_address_read(answer.data[i], !ip_is_v4(ip), &found) &&
                                          ip_equal(&found, ip));
    return f;
}

struct fault client_name_find(struct resolver *r, const struct ip_address *ip, int64_t deadline_ms,
                              struct arena *arena, struct str *name)
{
    struct resolver_answer answer;
    *name = STR_NONE;
    struct fault f = resolver_lookup(r, arena, reverse_name(ip, arena), RESOLVER_PTR, deadline_ms,
                                     &answer),
                 last = f;
    for (size_t i = 0; i < answer.count && i < NAMES_MOST && !f.kind; i++) {
        struct str candidate;
        bool is_confirmed = false;
        if (!dns_name_read(answer.data[i], arena, &candidate) || !hostname_is_valid(candidate))
            continue;
        last = confirm(r, ip, deadline_ms, arena, candidate, &is_confirmed);
        if (is_confirmed) {
            *name = candidate;
            return FINE;
        }
    }
    return last;
}
