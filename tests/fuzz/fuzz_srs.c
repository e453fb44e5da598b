/* SPDX-License-Identifier: ISC */
/*
 * fuzz_srs.c - every sender that can be rewritten comes back as it was, by one hop or two; and what comes back otherwise is
 * what we would have made
 */
#include "check/srs.h"

#include "fuzz.h"

enum { ROOM = 2 * SRS_LOCAL_MAX };

static const char ours[] = "a secret of this test", others[] = "another secret of it";

static void check_back(const struct srs_secrets *s, struct str rewritten, unsigned day,
                       struct str local, struct str domain)
{
    struct buf out = buf_make(ROOM);
    struct str found;
    must(rewritten.n <= SRS_LOCAL_MAX && srs_is_rewritten(rewritten));
    must(srs_reverse(s, rewritten, day, &out, &found) == SRS_GOOD);
    must(str_equal(buf_str(&out), local) && str_equal(found, domain));
    out.used = 0;
    struct srs_secrets wrong;
    must(srs_secrets_parse(STR("a wrong secret, which is none"), &wrong));
    must(srs_reverse(&wrong, rewritten, day, &out, &found) == SRS_FORGED && out.used == 0);
    buf_free(&out);
}

/* "local@domain", where what SRS makes of it is plain unless it was rewritten before. */
static void check_forward(const struct srs_secrets *s, struct str in, unsigned day)
{
    size_t at = str_last_index(in, '@');
    struct str local = str_head(in, at), domain = str_skip(in, at + 1);
    struct buf first = buf_make(ROOM), second = buf_make(ROOM);
    struct srs_secrets theirs;
    must(srs_secrets_parse(str_from(others), &theirs));
    if (!srs_is_rewritten(local) && srs_forward(s, local, domain, day, &first)) {
        check_back(s, buf_str(&first), day, local, domain);
        if (srs_forward(&theirs, buf_str(&first), STR("first.example"), day, &second))
            check_back(&theirs, buf_str(&second), day, buf_str(&first), STR("first.example"));
    }
    buf_free(&first);
    buf_free(&second);
}

/* Nobody who does not know the secret makes one: inputs are not of ours. */
static void check_reverse(const struct srs_secrets *s, struct str in, unsigned day)
{
    struct buf out = buf_make(ROOM), again = buf_make(ROOM);
    struct str domain;
    enum srs_result r = srs_reverse(s, in, day, &out, &domain);
    must((r == SRS_NONE) == !srs_is_rewritten(in));
    must(r == SRS_GOOD || out.used == 0);
    if (r == SRS_GOOD && srs_forward(s, buf_str(&out), domain, day, &again))
        must(in.n == again.used && str_starts_nocase(in, STR("SRS")));
    buf_free(&out);
    buf_free(&again);
}

const struct fuzz_memory fuzz_memory = {.factor = 4, .base = 16384};

void fuzz_one(struct str in)
{
    struct srs_secrets s, read;
    must(srs_secrets_parse(str_from(ours), &s));
    unsigned day = in.n > 0 ? (unsigned char)in.p[0] * 4U : 0;
    check_forward(&s, in, day);
    check_reverse(&s, in, day);
    if (srs_secrets_parse(in, &read))
        must(read.count > 0 && read.count <= SRS_SECRETS_MAX);
}
