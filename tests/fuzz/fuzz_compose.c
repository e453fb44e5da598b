/* SPDX-License-Identifier: ISC */
/*
 * fuzz_compose.c - what a program pipes into sendmail becomes a message with CRLF line ends and
 * short lines, or is refused with the line that no message may have
 */
#include "cli/compose.h"

#include "fuzz.h"
#include "mail/header.h"
#include "mail/transfer_encoder.h"

/* The same by its definition: line by line, with LF or CRLF. */
static bool convert(struct str in, bool has_dot, struct buf *out)
{
    for (bool is_first = true; in.n > 0; is_first = false) {
        struct str line;
        str_cut(in, '\n', &line, &in);
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (has_dot && str_equal(line, STR(".")))
            return true;
        if (is_first && str_starts(line, STR("From ")))
            continue;
        if (str_has(line, '\0') || str_has(line, '\r'))
            return false;
        must(buf_append(out, line) && buf_append(out, STR("\r\n")));
    }
    return true;
}

static void check_lines(struct str text, size_t most)
{
    while (text.n > 0) {
        size_t n = str_find(text, STR("\r\n"));
        must(n < text.n && n <= most && !str_has(str_head(text, n), '\n'));
        text = str_skip(text, n + 2);
    }
}

/* A message that gets a sender says the same behind it. */
static void check_from(struct buf *message, struct str name)
{
    struct header_field field;
    struct buf before = buf_make(message->limit);
    bool had_from = header_find(buf_str(message), STR("From"), &field);
    must(buf_append(&before, buf_str(message)));
    must(compose_add_from(message, str_head(name, 100), STR("me@home.test")));
    must(header_count(buf_str(message), STR("From"), 99) >= 1 || message->used == 0);
    must(had_from == str_equal(buf_str(message), buf_str(&before)));
    must(str_equal(str_skip(buf_str(message), message->used - before.used), buf_str(&before)));
    buf_free(&before);
}

static void check_fit(struct buf *message)
{
    struct header_field field;
    size_t header = header_size(buf_str(message));
    struct buf before = buf_make(message->limit);
    must(buf_append(&before, buf_str(message)));
    must(!compose_fit_lines(message).kind);
    if (!str_equal(buf_str(&before), buf_str(message))) {
        must(header_find(buf_str(message), STR("Content-Transfer-Encoding"), &field));
        must(str_equal(str_trim(field.value), STR("quoted-printable")));
        must(header_count(buf_str(message), STR("Content-Transfer-Encoding"), 9) == 1);
        check_lines(str_skip(buf_str(message), header_size(buf_str(message))), 76);
        must(message->used <= TRANSFER_GROWTH * before.used + 1024 && before.used - header > 998);
    }
    buf_free(&before);
}

const struct fuzz_memory fuzz_memory = {.factor = 64, .base = 1 << 16};

void fuzz_one(struct str in)
{
    uint8_t flags = take_octet(&in);
    struct buf message = buf_make((size_t)1 << 24), plain = buf_make((size_t)1 << 24);
    if (flags & 2) /* fuzzing alone seldom makes a line too long */
        for (size_t i = 0; i < 1000; i++)
            must(buf_append_byte(&plain, (char)('a' + i % 26)));
    must(buf_append(&plain, in));
    struct buf input = plain;
    plain = buf_make((size_t)1 << 24);
    FILE *file = fmemopen(input.used ? input.data : " ", input.used ? input.used : 1, "r");
    must(file != NULL);
    struct fault f = compose_read(file, flags & 1, &message);
    fclose(file);
    struct str given = input.used ? buf_str(&input) : STR(" ");
    bool is_good = convert(given, flags & 1, &plain);
    must(is_good == (f.kind == FAULT_FINE));
    must(is_good ? str_equal(buf_str(&message), buf_str(&plain)) : f.reply == 554);
    if (is_good) {
        check_lines(buf_str(&message), SIZE_MAX);
        check_from(&message, in);
        check_fit(&message);
    }
    buf_free(&message);
    buf_free(&plain);
    buf_free(&input);
}
