/* SPDX-License-Identifier: ISC */
/*
 * fuzz_dkim_verify.c - verdicts do not depend on cuts; what passes covers From and the whole body
 *
 * The first octet of the input steers the options and the DNS, the rest of its first line is the key record.
 */
#include "check/dkim_verify.h"

#include "fuzz.h"
#include "fuzz_asker.h"
#include "mail/header.h"

/* What passes is tried with more of a body, and so are some of the rest. */
enum { MORE_PERIOD = 8 };

struct seen {
    size_t count;
    enum dkim_result result[DKIM_VERDICTS_MAX];
    const char *reason[DKIM_VERDICTS_MAX];
};

static void check_verdict(const struct dkim_verdict *d, bool may_pass_partial)
{
    must(d->result != DKIM_NONE);
    must((d->result == DKIM_PASS) == (*d->reason == '\0'));
    must(!str_has(d->domain, ';') && !str_has(d->selector, ' ') && !str_has(d->identity, '\n'));
    if (d->result == DKIM_PASS) {
        must(d->domain.n > 0 && d->selector.n > 0 && str_has(d->identity, '@'));
        must(d->uncovered_octets == 0 || (may_pass_partial && d->has_length));
        must(d->key_bits >= 256);
    }
}

static struct seen verify(struct str message, struct str more, struct str *record, uint8_t choice,
                          uint32_t cut)
{
    const struct dkim_verify_options options = {
        .now_s = 1700000000, .may_pass_partial = choice & 1, .is_tls_report = choice & 2};
    size_t size = header_size(message);
    struct arena arena = arena_make(1 << 16);
    struct asker asker = {answer_record, choice & 4 ? NULL : record, &arena, choice & 8 ? 1 : 40};
    struct dkim_body *b = dkim_body_make();
    struct dkim_verifier *v = dkim_verify_begin(str_head(message, size), b, &options);
    struct seen seen = {.count = dkim_verify_count(v)};
    for (struct str rest = str_skip(message, size); rest.n > 0;)
        dkim_body_feed(b, take_cut(&rest, &cut));
    dkim_body_feed(b, more);
    dkim_body_end(b);
    dkim_verify_fetch(v, &asker);
    size_t keys = dkim_verify_key_count(v), passed = 0;
    dkim_verify_finish(v, NULL);
    for (size_t i = 0; i < seen.count; i++) {
        const struct dkim_verdict *d = dkim_verify_verdict(v, i);
        check_verdict(d, choice & 1);
        seen.result[i] = d->result;
        seen.reason[i] = d->reason;
        passed += d->result == DKIM_PASS;
    }
    must(passed <= keys);
    dkim_verify_free(v);
    dkim_body_free(b);
    arena_free(&arena);
    return seen;
}

/* With more of a body nothing passes but by a length. */
static void check_more(struct str in, struct str *record, uint8_t choice, size_t count)
{
    uint32_t cut = cut_ways(in.n, choice).way[0];
    struct seen more = verify(in, STR("x\r\n"), record, choice, cut);
    must(more.count == count);
    for (size_t i = 0; i < count; i++)
        must(more.result[i] != DKIM_PASS || choice & 1);
}

const struct fuzz_memory fuzz_memory = {.factor = 200, .base = 2 << 20};

void fuzz_one(struct str in)
{
    uint8_t choice = take_octet(&in);
    struct str record, nothing = STR("");
    str_cut(in, '\n', &record, &in);
    struct seen whole = verify(in, nothing, &record, choice, CUT_WHOLE);
    struct seen cut = verify(in, nothing, &record, choice, CUT_RANDOM + choice);
    size_t fields = header_count(in, STR("DKIM-Signature"), DKIM_VERDICTS_MAX);
    must(whole.count <= fields && (whole.count > 0) == (fields > 0));
    must(cut.count == whole.count);
    size_t checked = 0, passed = 0;
    for (size_t i = 0; i < whole.count; i++) {
        checked += strcmp(whole.reason[i], "more than 8 signatures") != 0;
        must(cut.result[i] == whole.result[i] && cut.reason[i] == whole.reason[i]);
        passed += whole.result[i] == DKIM_PASS;
    }
    if (passed > 0 || in.n % MORE_PERIOD == 0)
        check_more(in, &record, choice, whole.count);
    must(checked <= DKIM_CHECKED_MAX);
    must(checked == DKIM_CHECKED_MAX || checked == whole.count);
}
