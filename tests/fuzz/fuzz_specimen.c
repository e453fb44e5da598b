/* SPDX-License-Identifier: ISC */
/*
 * fuzz_specimen.c - a message in a file means the same however it is cut, and with line ends of Unix
 */
#include "cli/specimen.h"

#include "fuzz.h"
#include "serve/intake.h"

static const struct conf_limits limits = {.line_size_bytes = 100, .message_size_bytes = 1000};

static void read_cut(struct specimen *s, struct str in, uint32_t cut)
{
    specimen_begin(s, &limits, 1700000000);
    while (in.n > 0)
        specimen_feed(s, take_cut(&in, &cut));
    specimen_end(s);
}

static void must_mean_the_same(const struct specimen *a, const struct specimen *b)
{
    must(a->octets == b->octets && a->has_mbox_line == b->has_mbox_line);
    must(str_equal(fault_text(&a->fault), fault_text(&b->fault)));
    must((a->inspection == NULL) == (b->inspection == NULL));
    must(!a->inspection || str_equal(a->inspection->section, b->inspection->section));
}

/* As `eilbote try message -` does. */
static void read_file(struct specimen *s, struct str in)
{
    FILE *file = fmemopen((void *)(uintptr_t)in.p, in.n, "r"), *before = stdin;
    must(file != NULL);
    stdin = file;
    specimen_begin(s, &limits, 1700000000);
    must(specimen_open(s, NULL, "-") == CLI_DONE);
    stdin = before;
    fclose(file);
}

/* More than is held of a header section, which is longer than any input: once. */
static void check_too_large(void)
{
    struct specimen s;
    specimen_begin(&s, NULL, 1700000000);
    for (int i = 0; i <= INTAKE_MEMORY_MAX / 1024; i++) {
        char text[1024];
        memset(text, 'x', sizeof text);
        memcpy(text, "A: ", 3);
        specimen_feed(&s, str_make(text, i == 0 ? 3 : sizeof text));
    }
    specimen_end(&s);
    must(!s.inspection && s.head.used <= INTAKE_MEMORY_MAX && s.fault.reply == 552);
    specimen_free(&s);
}

/* The message without what an mbox has on top. */
static struct str without_mbox_line(struct str in)
{
    return str_starts(in, STR("From ")) ? str_skip(in, str_index(in, '\n') + 1) : in;
}

static size_t count_octets(struct str message)
{
    size_t n = message.n;
    for (size_t i = 0; i < message.n; i++)
        n += message.p[i] == '\n' && (i == 0 || message.p[i - 1] != '\r');
    return message.n > 0 && message.p[message.n - 1] != '\n' ? n + 2 : n;
}

static void drop_crs(struct str in, struct buf *out)
{
    for (size_t i = 0; i < in.n; i++)
        if (in.p[i] != '\r' || i + 1 == in.n || in.p[i + 1] != '\n')
            buf_append_byte(out, in.p[i]);
}

const struct fuzz_memory fuzz_memory = {.factor = 200, .base = 8 << 20};

void fuzz_one(struct str in)
{
    uint8_t seed = take_octet(&in);
    const struct cuts cuts = cut_ways(in.n, seed);
    struct specimen whole, other;
    read_cut(&whole, in, CUT_WHOLE);
    must(whole.octets == count_octets(without_mbox_line(in)));
    must(whole.has_mbox_line == str_starts(in, STR("From ")));
    for (size_t i = 0; i < cuts.count; i++) {
        read_cut(&other, in, cuts.way[i]);
        must_mean_the_same(&whole, &other);
        must(whole.has_lf == other.has_lf && whole.has_crlf == other.has_crlf);
        specimen_free(&other);
    }
    if (in.n > 0) {
        read_file(&other, in);
        must_mean_the_same(&whole, &other);
        specimen_free(&other);
    }
    if (!whole.is_broken) {
        struct buf unix_like = buf_make(in.n + 1);
        drop_crs(in, &unix_like);
        read_cut(&other, buf_str(&unix_like), CUT_WHOLE);
        must_mean_the_same(&whole, &other);
        must(!other.has_crlf);
        specimen_free(&other);
        buf_free(&unix_like);
    }
    specimen_free(&whole);
    static bool is_checked;
    if (!is_checked)
        check_too_large();
    is_checked = true;
}
