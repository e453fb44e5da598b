/* SPDX-License-Identifier: ISC */
/*
 * zone.c - what the DNS says of a name
 */
#include "zone.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "author.h"
#include "plan.h"

enum { LATE_MOST_S = 40, TEXT_MOST = 600, STRING_MAX = 255 };

static struct zone_record *next_record(struct zone_answer *out)
{
    if (out->count == ZONE_RECORDS_MOST)
        sim_broken("an answer of the DNS has too many records");
    return &out->record[out->count++];
}

static size_t put_name(unsigned char *out, const char *name)
{
    size_t used = 0;
    while (*name) {
        size_t n = strcspn(name, ".");
        out[used++] = (unsigned char)n;
        memcpy(out + used, name, n);
        used += n;
        name += n + (name[n] == '.');
    }
    out[used++] = 0;
    return used;
}

void zone_add_address(struct zone_answer *out, uint32_t address)
{
    struct zone_record *r = next_record(out);
    for (int i = 0; i < 4; i++)
        r->data[i] = (unsigned char)(address >> (24 - 8 * i));
    r->size = 4;
}

void zone_add_exchanger(struct zone_answer *out, unsigned preference, const char *host)
{
    struct zone_record *r = next_record(out);
    r->data[0] = 0;
    r->data[1] = (unsigned char)preference;
    r->size = 2 + put_name(r->data + 2, host);
}

void zone_add_text(struct zone_answer *out, const char *format, ...)
{
    struct zone_record *r = next_record(out);
    char text[TEXT_MOST];
    va_list args;
    va_start(args, format);
    size_t size = (size_t)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (size >= sizeof text)
        sim_broken("a text of the DNS is too long");
    for (size_t at = 0; at < size || at == 0; at += STRING_MAX) {
        size_t n = size - at < STRING_MAX ? size - at : STRING_MAX;
        r->data[r->size++] = (unsigned char)n;
        memcpy(r->data + r->size, text + at, n);
        r->size += n;
    }
}

void zone_add_broken_text(struct zone_answer *out, const char *text)
{
    zone_add_text(out, "%s", text);
    struct zone_record *r = &out->record[out->count - 1];
    switch (sim_below(4)) {
    case 0: /* nothing, not even a length */
        r->size = 0;
        break;
    case 1: /* more is announced than comes */
        r->data[0] = (unsigned char)sim_between(r->data[0] + 1, 255);
        r->size = 1 + (size_t)sim_below(r->size);
        break;
    case 2: /* cut anywhere */
        r->size = (size_t)sim_below(r->size);
        break;
    default: /* less, so that text is taken for lengths */
        r->data[0] = (unsigned char)sim_below(r->data[0] + 1u);
        break;
    }
}

const char *zone_below(const char *name, const char *domain, char label[256])
{
    size_t n = strlen(name), d = strlen(domain);
    label[0] = '\0';
    if (n == d)
        return strcmp(name, domain) == 0 ? label : NULL;
    if (n < d + 2 || n > 255 || name[n - d - 1] != '.' || strcmp(name + n - d, domain) != 0)
        return NULL;
    memcpy(label, name, n - d - 1);
    label[n - d - 1] = '\0';
    return label;
}

/* Those from the first on. */
static void give_exchangers(const struct plan_domain *d, size_t first, struct zone_answer *out)
{
    for (size_t i = first; i < d->servers; i++) {
        char name[64];
        snprintf(name, sizeof name, "mx%zu.%s", i, d->name);
        zone_add_exchanger(out, (unsigned)(10 * i / 2), name);
    }
}

static void give_address(const struct plan_domain *d, const char *label, bool is_lie,
                         struct zone_answer *out)
{
    enum { NOBODY = 99 << 16 };
    size_t at = (size_t)(label[2] - '0');
    if (strncmp(label, "mx", 2) != 0 || at >= d->servers || label[3] != '\0')
        out->count = ZONE_NO_NAME;
    else
        zone_add_address(out, is_lie ? 0x0a000000 | NOBODY | (d->server[at].address & 0xffff)
                                     : d->server[at].address);
}

static void give(const struct plan_domain *d, const char *label, int type, enum dns_mood mood,
                 struct zone_answer *out)
{
    static const int refusals[] = {[DNS_SERVFAIL] = ZONE_FAILURE,
                                   [DNS_SILENT] = ZONE_SILENCE,
                                   [DNS_LATE] = 0,
                                   [DNS_NXDOMAIN] = ZONE_NO_NAME};
    bool is_apex = label[0] == '\0';
    out->count = refusals[mood];
    if (out->count < 0)
        return;
    if (mood == DNS_LATE)
        out->late_ns = sim_between(0, LATE_MOST_S) * SIM_SECOND;
    if (type == ZONE_MX && is_apex)
        give_exchangers(d, mood == DNS_FLIPS ? sim_below(d->servers) : 0, out);
    else if (type == ZONE_A && !is_apex)
        give_address(d, label, mood == DNS_LIES, out);
}

static bool is_host(const char *label)
{
    return label[0] == '\0' || (strlen(label) == 3 && strncmp(label, "mx", 2) == 0);
}

bool zone_denies_domain(const char *name)
{
    const struct plan *p = world->plan;
    for (size_t i = 0; i < p->domains; i++)
        if (strcmp(p->domain[i].name, name) == 0)
            return p->domain[i].dns_one_in > 0 && p->domain[i].dns_mood == DNS_NXDOMAIN;
    return false;
}

void zone_resolve(const char *name, int type, struct zone_answer *out)
{
    struct plan *p = world->plan;
    char label[256];
    for (size_t i = 0; i < p->domains; i++) {
        struct plan_domain *d = &p->domain[i];
        if (!zone_below(name, d->name, label))
            continue;
        if (peer_policy_resolve(d, label, type, out))
            return;
        if (!is_host(label))
            break;
        bool is_in_mood = !plan_is_healed() && d->dns_one_in && sim_chance(1, d->dns_one_in);
        give(d, label, type, is_in_mood ? d->dns_mood : DNS_WELL, out);
        return;
    }
    if (!p->has_policies || !author_resolve(name, type, out))
        out->count = ZONE_NO_NAME;
}
