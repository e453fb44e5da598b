/* SPDX-License-Identifier: ISC */
/*
 * fuzz_smtp_reply.c - a reply is lines that a client reads as the same code, status and text; a
 * reply line is what its four first bytes say
 *
 * The input is the code and the status in six octets, and the text.
 */
#include "proto/smtp_reply.h"

#include "fuzz.h"

static void check_line(struct str in)
{
    struct smtp_reply_line line;
    bool is_good = smtp_reply_parse(in, &line);
    struct str bare = in;
    if (bare.n > 0 && bare.p[bare.n - 1] == '\n')
        bare.n--;
    if (bare.n > 0 && bare.p[bare.n - 1] == '\r')
        bare.n--;
    bool is_code = bare.n >= 3 && bare.p[0] >= '2' && bare.p[0] <= '5' && bare.p[1] >= '0' &&
                   bare.p[1] <= '9' && bare.p[2] >= '0' && bare.p[2] <= '9';
    bool has_mark = bare.n == 3 || (bare.n > 3 && (bare.p[3] == ' ' || bare.p[3] == '-'));
    must(is_good == (is_code && has_mark));
    if (!is_good)
        return;
    must(line.code == (unsigned)(bare.p[0] * 100 + bare.p[1] * 10 + bare.p[2] - '0' * 111));
    must(line.is_last == (bare.n == 3 || bare.p[3] == ' '));
    must(str_equal(line.text, str_skip(bare, 4)));
}

static void check_status(struct str in)
{
    struct fault_status status;
    struct str rest;
    if (!fault_status_parse(in, &status, &rest))
        return;
    char text[32];
    int n = snprintf(text, sizeof text, "%u.%u.%u", status.class, status.subject, status.detail);
    must(status.class <= 999 && status.subject <= 999 && status.detail <= 999);
    must(rest.n < in.n && str_equal(rest, str_skip(in, in.n - rest.n)));
    struct fault_status again;
    must(fault_status_parse(str_make(text, (size_t)n), &again, &rest) && rest.n == 0);
    must(memcmp(&status, &again, sizeof again) == 0);
}

/* Appends the text as it may come out, without the blanks and line ends where it may be folded. */
static void append_plain(struct buf *out, struct str text, bool is_utf8)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool is_safe = c >= 0x20 && c != 0x7F && (is_utf8 || c < 0x80);
        if (c != ' ' && c != '\n')
            must(buf_append_byte(out, is_safe ? (char)c : '?'));
    }
}

/* Every line has the code and the status, and together they have the text. */
static void check_reply(unsigned code, struct fault_status status, struct str text, bool is_utf8)
{
    struct buf out = buf_make((size_t)1 << 24), heard = buf_make((size_t)1 << 24),
               plain = buf_make((size_t)1 << 24);
    must(smtp_reply_append(&out, code, status, text, is_utf8));
    for (struct str rest = buf_str(&out); rest.n > 0;) {
        size_t n = str_find(rest, STR("\r\n"));
        struct smtp_reply_line line;
        struct fault_status said;
        must(n + 2 <= rest.n && n + 2 <= SMTP_REPLY_LINE_MAX);
        must(smtp_reply_parse(str_head(rest, n), &line) && line.code == code);
        must(line.is_last == (n + 2 == rest.n));
        if (status.class)
            must(fault_status_parse(line.text, &said, &line.text) &&
                 memcmp(&said, &status, sizeof said) == 0);
        append_plain(&heard, line.text, true);
        rest = str_skip(rest, n + 2);
    }
    append_plain(&plain, text, is_utf8);
    must(str_equal(buf_str(&plain), buf_str(&heard)));
    buf_free(&out);
    buf_free(&heard);
    buf_free(&plain);
}

const struct fuzz_memory fuzz_memory = {.factor = 96, .base = 8192};

void fuzz_one(struct str in)
{
    check_line(in);
    check_status(in);
    uint8_t flags = take_octet(&in);
    unsigned code = 200 + take_octet(&in) % 200 + (flags & 2 ? 200U : 0U);
    bool has_status = (flags & 4) && code / 100 != 3;
    struct fault_status status = {has_status ? (uint16_t)(code / 100) : 0, take_octet(&in),
                                  take_octet(&in)};
    check_reply(code, status, in, flags & 1);
}
