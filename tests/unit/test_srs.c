/* SPDX-License-Identifier: ISC */
/* Senders of forwarded mail, rewritten and back (check/srs.h). */
#include "check/srs.h"

#include "mail_test.h"

#define SECRET "0123456789abcdef"
#define OTHER  "fedcba9876543210"

enum { TODAY = 700 };

static struct srs_secrets secrets_of(const char *text)
{
    struct srs_secrets s;
    assert_true(srs_secrets_parse(str_from(text), &s));
    return s;
}

/* The rewritten local part, in a buffer of the caller's. */
static struct str forward(const struct srs_secrets *s, const char *local, const char *domain,
                          unsigned day, struct buf *out)
{
    out->used = 0;
    assert_true(srs_forward(s, str_from(local), str_from(domain), day, out));
    return buf_str(out);
}

static enum srs_result reverse(const struct srs_secrets *s, struct str rewritten, unsigned day)
{
    struct buf out = buf_make(256);
    struct str domain;
    enum srs_result r = srs_reverse(s, rewritten, day, &out, &domain);
    buf_free(&out);
    return r;
}

static void expect_back(const struct srs_secrets *s, struct str rewritten, const char *local,
                        const char *domain)
{
    struct buf out = buf_make(256);
    struct str found;
    assert_int_equal(srs_reverse(s, rewritten, TODAY, &out, &found), SRS_GOOD);
    if (!str_equal(buf_str(&out), str_from(local)) || !str_equal_nocase(found, str_from(domain)))
        fail_msg(STR_FMT " is " STR_FMT " at " STR_FMT, STR_ARG(rewritten), STR_ARG(buf_str(&out)),
                 STR_ARG(found));
    buf_free(&out);
}

static void test_there_and_back(void **state)
{
    static const char *const rows[][2] = {
        {"alice", "example.org"},     {"a=b==c", "example.org"},
        {"SRS0", "example.org"},      {"SRS1=x=y", "example.org"},
        {"two words", "example.org"}, {"alice", "xn--bcher-kva.example"}};
    (void)state;
    struct srs_secrets s = secrets_of(SECRET);
    struct buf out = buf_make(256);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str local = forward(&s, rows[i][0], rows[i][1], TODAY, &out);
        assert_true(str_starts(local, STR("SRS0=")) && srs_is_rewritten(local));
        expect_back(&s, local, rows[i][0], rows[i][1]);
    }
    buf_free(&out);
}

static void test_the_form_of_others(void **state)
{
    (void)state;
    struct srs_secrets s = secrets_of(SECRET);
    struct buf out = buf_make(256);
    struct str local = forward(&s, "alice", "example.org", TODAY, &out);
    if (!str_equal(local, STR("SRS0=vuTUHTva=V4=example.org=alice")))
        fail_msg(STR_FMT, STR_ARG(local));
    local = forward(&s, "SRS0=opaque=rest", "first.example", TODAY, &out);
    if (!str_equal(local, STR("SRS1=5xk8AmM6=first.example==opaque=rest")))
        fail_msg(STR_FMT, STR_ARG(local));
    buf_free(&out);
}

/* A hash is for its parts as they are divided, not for their octets in a row; and for the kind of address. */
static void test_boundaries_cannot_be_moved(void **state)
{
    static const struct {
        const char *local, *domain, *genuine,
            *forged; /* what is in the address, and put in its place */
    } rows[] = {
        {"muser", "victim.co", "=victim.co=muser", "=victim.com=user"},
        {"user", "victim.com", "=victim.com=user", "=victim.c=omuser"},
        {"=user", "victim.com", "=victim.com==user", "=victim.com=user"},
        {"SRS0=TT=a.test=b", "first.example", "=first.example==TT", "=first.exampl=e=TT"},
        {"SRS0=victim.com=user", "V4", "SRS1=", "SRS0="},
    };
    (void)state;
    struct srs_secrets s = secrets_of(SECRET);
    struct buf out = buf_make(256), moved = buf_make(256);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str made = forward(&s, rows[i].local, rows[i].domain, TODAY, &out);
        size_t at = str_find(made, str_from(rows[i].genuine));
        assert_true(at < made.n);
        moved.used = 0;
        buf_append(&moved, str_head(made, at));
        buf_append(&moved, str_from(rows[i].forged));
        buf_append(&moved, str_skip(made, at + strlen(rows[i].genuine)));
        if (reverse(&s, buf_str(&moved), TODAY) != SRS_FORGED)
            fail_msg(STR_FMT, STR_ARG(buf_str(&moved)));
    }
    buf_free(&out);
    buf_free(&moved);
}

/* However many hops: the first one is told, and the hash is ours. */
static void test_hops(void **state)
{
    (void)state;
    struct srs_secrets ours = secrets_of(SECRET), theirs = secrets_of(OTHER);
    struct buf one = buf_make(256), two = buf_make(256), three = buf_make(256);
    forward(&theirs, "alice", "example.org", TODAY, &one);
    buf_append_byte(&one, '\0');
    forward(&ours, one.data, "first.example", TODAY, &two);
    one.used--;
    expect_back(&ours, buf_str(&two), one.data, "first.example");
    buf_append_byte(&two, '\0');
    forward(&theirs, two.data, "second.example", TODAY, &three);
    expect_back(&theirs, buf_str(&three), one.data, "first.example");
    assert_int_equal(reverse(&ours, buf_str(&three), TODAY), SRS_FORGED);
    buf_free(&one);
    buf_free(&two);
    buf_free(&three);
}

static void test_separators_of_others(void **state)
{
    (void)state;
    struct srs_secrets s = secrets_of(SECRET);
    struct buf out = buf_make(256);
    struct str local = forward(&s, "SRS0+x=TT=example.org=a", "first.example", TODAY, &out);
    assert_true(str_find(local, STR("=first.example=+x=TT=")) < local.n);
    expect_back(&s, local, "SRS0+x=TT=example.org=a", "first.example");
    buf_free(&out);
}

static void test_case_is_lost_on_the_way(void **state)
{
    (void)state;
    struct srs_secrets s = secrets_of(SECRET);
    struct buf out = buf_make(256);
    forward(&s, "alice", "example.org", TODAY, &out);
    for (size_t i = 0; i < out.used; i++)
        out.data[i] = str_lower_byte(out.data[i]);
    expect_back(&s, buf_str(&out), "alice", "example.org");
    buf_free(&out);
}

static void test_days(void **state)
{
    (void)state;
    struct srs_secrets s = secrets_of(SECRET);
    struct buf out = buf_make(256);
    static const struct {
        unsigned made, now;
        enum srs_result expected;
    } rows[] = {{700, 700, SRS_GOOD},    {700, 721, SRS_GOOD},    {700, 722, SRS_EXPIRED},
                {700, 699, SRS_GOOD},    {700, 698, SRS_EXPIRED}, {1020, 17, SRS_GOOD},
                {1020, 18, SRS_EXPIRED}, {0, 1023, SRS_GOOD},     {700, 188, SRS_EXPIRED}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str local = forward(&s, "alice", "example.org", rows[i].made, &out);
        if (reverse(&s, local, rows[i].now) != rows[i].expected)
            fail_msg("made at %u, at %u", rows[i].made, rows[i].now);
    }
    assert_int_equal(srs_day(INT64_C(86400) * 1025 + 5), 1);
    buf_free(&out);
}

/* Any octet that is changed to another, but for case, is found. */
static void test_forged(void **state)
{
    (void)state;
    struct srs_secrets s = secrets_of(SECRET);
    struct buf out = buf_make(256);
    forward(&s, "alice", "example.org", TODAY, &out);
    for (size_t i = 0; i < out.used; i++) {
        char kept = out.data[i];
        out.data[i] = kept == 'z' ? 'y' : 'z';
        assert_int_not_equal(reverse(&s, buf_str(&out), TODAY), SRS_GOOD);
        out.data[i] = kept;
    }
    assert_int_equal(reverse(&s, buf_str(&out), TODAY), SRS_GOOD);
    static const char *const rows[] = {"SRS0=",
                                       "SRS0==",
                                       "SRS0=a=b=c=d",
                                       "SRS0=AAAAAAAA=AA==a",
                                       "SRS1=",
                                       "SRS1==a==b",
                                       "SRS1=AAAAAAAA=first==x=y=z=w"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (reverse(&s, str_from(rows[i]), TODAY) == SRS_GOOD)
            fail_msg("%s", rows[i]);
    assert_int_equal(reverse(&s, STR("SRS0"), TODAY), SRS_NONE);
    assert_int_equal(reverse(&s, STR("alice"), TODAY), SRS_NONE);
    buf_free(&out);
}

static void test_secrets(void **state)
{
    (void)state;
    static struct srs_secrets before, rotated, after, none;
    before = secrets_of(OTHER "\n");
    rotated = secrets_of("# new\n" SECRET "\n\n" OTHER "\n");
    after = secrets_of(SECRET);
    struct buf out = buf_make(256);
    struct str local = forward(&before, "alice", "example.org", TODAY, &out);
    expect_back(&rotated, local, "alice", "example.org");
    assert_int_equal(reverse(&after, local, TODAY), SRS_FORGED);
    local = forward(&rotated, "alice", "example.org", TODAY, &out);
    expect_back(&after, local, "alice", "example.org");
    assert_false(srs_secrets_parse(STR("short\n"), &none));
    assert_false(srs_secrets_parse(STR("# nothing\n"), &none));
    buf_free(&out);
}

/* What cannot be told back is not made. */
static void test_what_is_not_rewritten(void **state)
{
    (void)state;
    struct srs_secrets s = secrets_of(SECRET), none = {.count = 0};
    struct buf out = buf_make(1024);
    char longest[SRS_LOCAL_MAX];
    memset(longest, 'a', sizeof longest);
    struct str domain = STR("example.org");
    assert_false(srs_forward(&none, STR("alice"), domain, TODAY, &out));
    assert_false(srs_forward(&s, STR_NONE, domain, TODAY, &out));
    assert_false(srs_forward(&s, STR("alice"), STR("a=b"), TODAY, &out));
    size_t room = SRS_LOCAL_MAX - domain.n - (sizeof "SRS0=12345678=TT==" - 1);
    assert_false(srs_forward(&s, str_make(longest, room + 1), domain, TODAY, &out));
    assert_int_equal(out.used, 0);
    assert_true(srs_forward(&s, str_make(longest, room), domain, TODAY, &out));
    assert_int_equal(out.used, SRS_LOCAL_MAX);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_the_form_of_others),
        cmocka_unit_test(test_boundaries_cannot_be_moved),
        cmocka_unit_test(test_hops),
        cmocka_unit_test(test_separators_of_others),
        cmocka_unit_test(test_case_is_lost_on_the_way),
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_what_is_not_rewritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
