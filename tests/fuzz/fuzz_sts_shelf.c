/* SPDX-License-Identifier: ISC */
/*
 * fuzz_sts_shelf.c - a file with a policy is none, or the one that would be written of what it says
 */
#include "send/sts_shelf.h"

#include "base/buf.h"
#include "check/mta_sts.h"
#include "fuzz.h"

const struct fuzz_memory fuzz_memory = {.factor = 4, .base = 8192};

void fuzz_one(struct str in)
{
    struct sts_stored s, again;
    if (!sts_shelf_parse(in, &s))
        return;
    struct buf text = buf_make(2 * MTA_STS_POLICY_MAX);
    must(s.id.n > 0 && s.id.n <= MTA_STS_ID_MAX && s.fetched_s >= 0 && s.expires_s >= 0);
    must(s.text.n > 0 && s.text.n <= MTA_STS_POLICY_MAX && s.text.p + s.text.n == in.p + in.n);
    must(buf_printf(&text, "eilbote-mta-sts " STR_FMT " %lld %lld\n", STR_ARG(s.id),
                    (long long)s.fetched_s, (long long)s.expires_s));
    must(buf_append(&text, s.text));
    must(sts_shelf_parse(buf_str(&text), &again) && str_equal(again.id, s.id) &&
         str_equal(again.text, s.text) && again.fetched_s == s.fetched_s &&
         again.expires_s == s.expires_s);
    buf_free(&text);
}
