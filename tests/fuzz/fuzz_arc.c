/* SPDX-License-Identifier: ISC */
/*
 * fuzz_arc.c - the verdict on a chain does not depend on cuts; a chain that passes has whole sets, and no other body
 *
 * The first line of the input is the record of all keys.
 */
#include "check/arc.h"

#include "fuzz.h"
#include "fuzz_asker.h"
#include "mail/header.h"

struct seen {
    enum arc_result result;
    const char *reason;
    size_t instance, count;
};

static struct seen verify(struct str message, struct str more, struct str *record, uint32_t cut)
{
    size_t size = header_size(message);
    struct arena arena = arena_make(1 << 16);
    struct asker asker = {answer_record, record, &arena, 40};
    struct dkim_body *b = dkim_body_make();
    struct arc_verifier *v = arc_verify_begin(str_head(message, size), b, 4000000000);
    for (struct str rest = str_skip(message, size); rest.n > 0;)
        dkim_body_feed(b, take_cut(&rest, &cut));
    dkim_body_feed(b, more);
    dkim_body_end(b);
    arc_verify_fetch(v, &asker);
    const struct arc_verdict *verdict = arc_verify_finish(v, NULL);
    struct seen seen = {verdict->result, verdict->reason, verdict->instance, verdict->count};
    must((verdict->result == ARC_FAIL) == (*verdict->reason != '\0'));
    must((verdict->result == ARC_PASS) == (verdict->count > 0));
    for (size_t i = 0; i < verdict->count; i++)
        must(str_has(verdict->sealer[i], '.') && !str_has(verdict->sealer[i], ';'));
    arc_verify_free(v);
    dkim_body_free(b);
    arena_free(&arena);
    return seen;
}

const struct fuzz_memory fuzz_memory = {.factor = 200, .base = 2 << 20};

void fuzz_one(struct str in)
{
    uint8_t seed = take_octet(&in);
    struct str record;
    str_cut(in, '\n', &record, &in);
    struct seen whole = verify(in, STR(""), &record, CUT_WHOLE);
    struct seen cut = verify(in, STR(""), &record, CUT_RANDOM + seed);
    size_t seals = header_count(in, STR("ARC-Seal"), 100);
    size_t messages = header_count(in, STR("ARC-Message-Signature"), 100);
    size_t results = header_count(in, STR("ARC-Authentication-Results"), 100);
    must(whole.result == cut.result && whole.reason == cut.reason &&
         whole.instance == cut.instance);
    must(whole.result != ARC_NONE || seals + messages + results == 0);
    if (whole.result == ARC_PASS) {
        must(whole.count == seals && whole.count == messages && whole.count == results);
        must(verify(in, STR("x\r\n"), &record, CUT_OCTETS).result == ARC_FAIL);
    }
}
