/* SPDX-License-Identifier: ISC */
/*
 * fuzz_mta_sts.c - a record and a policy that are read, printed and read again are the same; a pattern holds for its own
 * hosts and for no other
 */
#include "check/mta_sts.h"

#include "base/buf.h"
#include "base/hostname.h"
#include "fuzz.h"

static void check_record(struct str in)
{
    struct str id, again;
    enum mta_sts_record found = mta_sts_record_parse(in, &id);
    must(found == MTA_STS_ABSENT || str_starts(in, STR("v=STSv1")));
    if (found != MTA_STS_GOOD)
        return;
    must(id.n > 0 && id.n <= MTA_STS_ID_MAX && id.p >= in.p && id.p + id.n <= in.p + in.n);
    struct buf text = buf_make(128);
    must(buf_printf(&text, "v=STSv1; id=" STR_FMT ";", STR_ARG(id)));
    must(mta_sts_record_parse(buf_str(&text), &again) == MTA_STS_GOOD && str_equal(id, again));
    buf_free(&text);
}

/* By the labels of both, one by one from the right. */
static bool model_has(struct str pattern, struct str host)
{
    bool is_first = true;
    for (;;) {
        size_t p = str_last_index(pattern, '.'), h = str_last_index(host, '.');
        struct str label = p == pattern.n ? pattern : str_skip(pattern, p + 1);
        struct str other = h == host.n ? host : str_skip(host, h + 1);
        bool is_last = p == pattern.n, is_end = h == host.n;
        if (is_last && !is_first && str_equal(label, STR("*")))
            return is_end && other.n > 0;
        if (!str_equal_nocase(label, other) || is_last != is_end)
            return false;
        if (is_last)
            return true;
        pattern = str_head(pattern, p);
        host = str_head(host, h);
        is_first = false;
    }
}

static void check_host(const struct mta_sts_policy *p, struct str host)
{
    bool has = false;
    for (size_t i = 0; i < p->mx_count; i++)
        has = has || model_has(p->mx[i], host);
    must(mta_sts_policy_has(p, host) == has);
}

static void check_hosts(const struct mta_sts_policy *p)
{
    for (size_t i = 0; i < p->mx_count; i++) {
        struct buf host = buf_make(1024);
        bool is_wild = str_starts(p->mx[i], STR("*."));
        struct str rest = is_wild ? str_skip(p->mx[i], 2) : p->mx[i];
        must(hostname_is_valid(rest));
        check_host(p, rest);
        must(buf_append(&host, STR("A.")) && buf_append(&host, rest));
        check_host(p, buf_str(&host));
        must(mta_sts_policy_has(p, is_wild ? buf_str(&host) : rest));
        must(buf_append(&host, STR(".b")));
        check_host(p, buf_str(&host));
        buf_free(&host);
    }
}

static struct buf print(const struct mta_sts_policy *p)
{
    struct buf text = buf_make(2 * MTA_STS_POLICY_MAX);
    must(buf_printf(&text, "version: STSv1\r\nmode: %s\r\nmax_age: %lld\r\n",
                    mta_sts_mode_name(p->mode), (long long)p->max_age_s));
    for (size_t i = 0; i < p->mx_count; i++)
        must(buf_printf(&text, "mx: " STR_FMT "\r\n", STR_ARG(p->mx[i])));
    return text;
}

static void check_policy(struct str in)
{
    struct arena a = arena_make(8 * MTA_STS_POLICY_MAX);
    struct mta_sts_policy policy, again;
    const char *reason;
    bool is_good = mta_sts_policy_parse(in, &a, &policy, &reason);
    must(is_good == !reason && policy.mx_count <= MTA_STS_MX_MAX);
    if (is_good) {
        must(in.n <= MTA_STS_POLICY_MAX && (policy.mx_count > 0 || policy.mode == MTA_STS_NONE));
        must(policy.max_age_s >= 0 && policy.max_age_s <= MTA_STS_AGE_MAX_S);
        struct buf text = print(&policy);
        must(mta_sts_policy_parse(buf_str(&text), &a, &again, &reason));
        must(again.mode == policy.mode && again.max_age_s == policy.max_age_s &&
             again.mx_count == policy.mx_count);
        for (size_t i = 0; i < policy.mx_count; i++)
            must(str_equal(again.mx[i], policy.mx[i]));
        check_hosts(&policy);
        buf_free(&text);
    }
    arena_free(&a);
}

const struct fuzz_memory fuzz_memory = {.factor = 16, .base = 131072};

void fuzz_one(struct str in)
{
    check_record(in);
    check_policy(in);
}
