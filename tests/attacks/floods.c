/* SPDX-License-Identifier: ISC */
/*
 * floods.c - input of eight times the size costs about eight times the work
 *
 * Fields, parameters, comments, parts and addresses without number. Nothing absolute is said: each
 * case is compared with itself, best of several runs, and has several tries. The defence is that
 * header_next(), content_type_parse(), mailbox_list_next(), sevenbit_look(), sevenbit_convert(),
 * dotline_scan(), submit_repair() and received's callers look at each octet a bounded number of
 * times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "mail/content_type.h"
#include "mail/dotline.h"
#include "mail/header.h"
#include "mail/mailbox_list.h"
#include "mail/sevenbit.h"
#include "serve/submit.h"

enum { SMALL = 48 << 10, TIMES = 8, RATIO_MOST = 20, RUNS = 5, TRIES = 6, LIMIT = 64 << 20 };

/* Text of n octets or a little more: the head, the unit again and again, the tail. */
struct flood {
    const char *name;
    const char *head, *unit, *tail;
    size_t (*work)(struct str in);
};

static volatile size_t sink;

static size_t fields(struct str in)
{
    struct header_iterator i = header_iterate(in);
    struct header_field f;
    struct buf out = buf_make(LIMIT);
    size_t n = 0;
    while (header_next(&i, &f)) {
        buf_free(&out);
        n += f.name.n + header_unfold(&out, f.value);
    }
    buf_free(&out);
    return n + header_count(in, STR("Received"), SIZE_MAX) + header_size(in) +
           header_find(in, STR("X-Not-There"), &f) + header_is_missing(in);
}

static size_t append(struct str in)
{
    struct buf out = buf_make(LIMIT);
    size_t n = header_append(&out, STR("Subject"), in);
    buf_free(&out);
    return n;
}

static size_t repair(struct str in)
{
    struct buf out = buf_make(LIMIT);
    size_t n = submit_repair(in, STR("mx.test"), STR("id"), 0, 0, &out);
    buf_free(&out);
    return n;
}

static size_t type(struct str in)
{
    struct content_type t;
    return content_type_parse(in, &t) + (size_t)transfer_encoding_parse(in);
}

static size_t addresses(struct str in)
{
    struct buf out = buf_make(LIMIT);
    size_t n = 0;
    while (mailbox_list_next(&in, &out)) {
        n += out.used;
        buf_free(&out);
    }
    buf_free(&out);
    return n;
}

static size_t convert(struct str in)
{
    struct sevenbit *s = sevenbit_make();
    struct buf out = buf_make((size_t)LIMIT * 20);
    size_t n = 0;
    for (struct str rest = in; rest.n > 0; rest = str_skip(rest, 1000))
        sevenbit_look(s, str_head(rest, 1000));
    bool is_fine = !sevenbit_look_end(s).kind;
    for (struct str rest = in; rest.n > 0 && is_fine; rest = str_skip(rest, 1000)) {
        sevenbit_convert(s, str_head(rest, 1000), &out);
        n += out.used;
        buf_free(&out);
    }
    if (is_fine)
        sevenbit_convert_end(s, &out);
    buf_free(&out);
    sevenbit_free(s);
    return n;
}

static size_t dots(struct str in)
{
    struct dotline_scanner s = dotline_scanner_make(true, 1000);
    struct dotline_stuffer out = {0};
    enum dotline_found found;
    struct str content, piece;
    size_t n = 0;
    for (struct str rest = in; rest.n > 0;) {
        rest = str_skip(rest, dotline_scan(&s, rest, &found, &content));
        n += found == DOTLINE_CONTENT ? content.n : 0;
    }
    while (dotline_stuff(&out, &in, &piece))
        n += piece.n;
    return n;
}

#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
#define EIGHT "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"

static const struct flood floods[] = {
    {"fields", "", "Received: x\r\n", "\r\n", fields},
    {"fields without a value", "", "a:\r\n", "\r\n", fields},
    {"folds", "Subject: x", "\r\n y", "\r\n\r\n", fields},
    {"one field without an end", "Subject: ", "x", "", fields},
    {"one name without a colon", "", "x", "", fields},
    {"colons", "a:", ":", "\r\n\r\n", fields},
    {"fold without an end", "a: b\r\n", " ", "", fields},
    {"a value of words", "", "word ", "", append},
    {"a value of blanks", "", "  ", "", append},
    {"a value of one word", "", "x", "", append},
    {"a value of controls", "", "\r\n\x01", "", append},
    {"blind copies", "", "Bcc: x@b.test\r\n", "\r\nbody", repair},
    {"no end of the header section", "", "X: y\r\n", "z", repair},
    {"parameters", "multipart/mixed", "; a=b", "; boundary=x", type},
    {"quoted parameters", "multipart/mixed", "; a=\"\\\"b\"", "; boundary=x", type},
    {"semicolons", "text/plain", ";", "", type},
    {"nested comments", "", "(", "text/plain", type},
    {"closed comments", "", "()", "text/plain", type},
    {"backslashes", "text/plain; a=\"", "\\\\", "\"", type},
    {"boundaries", "multipart/mixed", "; boundary=\"", "", type},
    {"an address list", "", "a@b.test, ", "", addresses},
    {"display names", "", "\"x\" <a@b.test>, ", "", addresses},
    {"words without an address", "", "word ", "", addresses},
    {"comments in comments", "", "(", "a@b.test", addresses},
    {"comments behind comments", "", "()", "a@b.test", addresses},
    {"quotes", "", "\"", "", addresses},
    {"angle brackets", "", "<", "a@b.test", addresses},
    {"groups", "", "g:", ";", addresses},
    {"closed groups", "", "g:a@b;", "", addresses},
    {"commas", "", ",", "", addresses},
    {"at signs", "", "@", "", addresses},
    {"source routes", "<", "@a.test,", ":b@c.test>", addresses},
    {"escapes", "\"", "\\\"", "", addresses},
    {"parts", MIXED, "--b\r\n\r\n" EIGHT "\r\n", "--b--\r\n", convert},
    {"parts within parts", "", MIXED "--b\r\n", EIGHT "\r\n", convert},
    {"messages within messages", "", "Content-Type: message/rfc822\r\n\r\n", EIGHT "\r\n", convert},
    {"lines that begin like a boundary", MIXED "--b\r\n\r\n" EIGHT "\r\n", "--bx\r\n", "--b--\r\n",
     convert},
    {"dashes", MIXED "--b\r\n\r\n" EIGHT "\r\n", "-", "\r\n--b--\r\n", convert},
    {"short lines", "Subject: s\r\n\r\n" EIGHT, "\r\n", EIGHT, convert},
    {"one long line", "Subject: s\r\n\r\n" EIGHT, "x", "\r\n", convert},
    {"octets above ASCII", "Subject: s\r\n\r\n", "\xFF", "\r\n", convert},
    {"a header section without an end", "", "X: y\r\n", EIGHT, convert},
    {"boundaries never used", "", "Content-Type: multipart/mixed; boundary=c\r\n", MIXED, convert},
    {"dot lines", "", "..\r\n", "", dots},
    {"empty lines", "", "\r\n", "", dots},
    {"long lines", "", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "", dots},
};

static void make(const struct flood *f, size_t n, struct buf *out)
{
    buf_append(out, str_from(f->head));
    while (out->used < n)
        buf_append(out, str_from(f->unit));
    buf_append(out, str_from(f->tail));
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The best of several runs: what others do on the machine can only add. */
static double cost(const struct flood *f, struct str in)
{
    double best = 1e9;
    for (int i = 0; i < RUNS; i++) {
        double start = seconds();
        sink = sink + f->work(in);
        double took = seconds() - start;
        best = took < best ? took : best;
    }
    return best;
}

static void test_work_grows_no_faster_than_the_input(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof floods / sizeof floods[0]; i++) {
        struct buf small = buf_make(LIMIT), large = buf_make(LIMIT);
        double ratio = RATIO_MOST;
        make(&floods[i], SMALL, &small);
        make(&floods[i], (size_t)SMALL * TIMES, &large);
        for (int k = 0; k < TRIES && ratio >= RATIO_MOST; k++)
            ratio = cost(&floods[i], buf_str(&large)) / (cost(&floods[i], buf_str(&small)) + 1e-5);
        if (ratio >= RATIO_MOST)
            fail_msg("%s: %d times the input cost %.1f times the work", floods[i].name, TIMES,
                     ratio);
        buf_free(&small);
        buf_free(&large);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_work_grows_no_faster_than_the_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
