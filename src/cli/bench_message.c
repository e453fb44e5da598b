/* SPDX-License-Identifier: ISC */
/*
 * bench_message.c - what eilbote bench source sends
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"

/* A message of that size with its final dot: a header and lines of 72 octets. */
static struct str make_body(const struct bench_source_options *o)
{
    static const char line[] = "The quick brown fox jumps over the lazy dog, again and again, "
                               "12345678\r\n";
    struct buf b = buf_make((size_t)o->size_bytes + 1024);
    bool is_fine = buf_printf(&b,
                              "From: <%s>\r\nTo: undisclosed-recipients:;\r\nSubject: load\r\n"
                              "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
                              "Message-ID: <load@source.example.test>\r\n\r\n",
                              o->from);
    while (is_fine && b.used + 3 < o->size_bytes) {
        size_t left = (size_t)o->size_bytes - b.used;
        if (left >= sizeof line + 2)
            is_fine = buf_append(&b, str_from(line));
        else
            is_fine = buf_append(&b, str_make(line, left - 2)) && buf_append(&b, STR("\r\n"));
    }
    if (!is_fine || !buf_append(&b, STR(".\r\n")))
        abort();
    return buf_str(&b);
}

/* The message of a file as it goes over the wire, with its final dot; lines may end with LF alone. */
static int read_body(const struct invocation *i, const char *path, struct str *out)
{
    FILE *in = fopen(path, "re");
    if (!in)
        return cli_fail(i, "%s: %s", path, strerror(errno));
    struct buf b = buf_make(BENCH_MESSAGE_MAX);
    bool is_line_start = true, is_fine = true;
    for (int c, last = 0; is_fine && (c = getc(in)) != EOF; last = c) {
        if (c == '\n' && last != '\r')
            is_fine = buf_append(&b, STR("\r"));
        if (c == '.' && is_line_start)
            is_fine = is_fine && buf_append(&b, STR("."));
        is_fine = is_fine && buf_append(&b, str_make(&(char){(char)c}, 1));
        is_line_start = c == '\n';
    }
    int error = ferror(in) ? errno : 0;
    fclose(in);
    is_fine = is_fine && buf_append(&b, is_line_start ? STR(".\r\n") : STR("\r\n.\r\n"));
    *out = buf_str(&b);
    if (!error && is_fine)
        return CLI_DONE;
    buf_free(&b);
    return error ? cli_fail(i, "%s: %s", path, strerror(error))
                 : cli_fail(i, "%s: more than %d octets", path, BENCH_MESSAGE_MAX);
}

int bench_message_make(const struct invocation *i, const struct bench_source_options *options,
                       struct str *out)
{
    if (options->message)
        return read_body(i, options->message, out);
    *out = make_body(options);
    return CLI_DONE;
}
