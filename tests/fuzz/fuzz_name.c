/* SPDX-License-Identifier: ISC */
/*
 * fuzz_name.c - an account has one place in the file system, below its domain's, and each place one
 * account; the name of a message file is what it would be called
 */
#include "store/name.h"

#include "fuzz.h"
#include "store/rebuild.h"

/* Nothing that a file system or a shell would take for more than a name. */
static void check_component(struct str c)
{
    must(c.n > 0 && c.n <= NAME_COMPONENT_MAX && c.p[0] != '.');
    for (size_t i = 0; i < c.n; i++)
        must(strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.%", c.p[i]) && c.p[i]);
}

static void check_name(struct str in)
{
    struct buf out = buf_make(1024), again = buf_make(1024);
    if (name_escape(&out, in)) {
        check_component(buf_str(&out));
        must(name_unescape(&again, buf_str(&out)) && str_equal(buf_str(&again), in));
    } else {
        must(out.used == 0 && (in.n == 0 || in.n * 3 > NAME_COMPONENT_MAX));
    }
    out.used = again.used = 0;
    if (name_unescape(&out, in)) {
        must(name_escape(&again, buf_str(&out)) && str_equal(buf_str(&again), in));
    } else {
        must(out.used == 0);
    }
    buf_free(&out);
    buf_free(&again);
}

static void check_path(struct str in)
{
    struct buf out = buf_make(1024);
    if (name_account_path(&out, in)) {
        size_t slash = str_index(buf_str(&out), '/');
        must(slash < out.used);
        check_component(str_head(buf_str(&out), slash));
        check_component(str_skip(buf_str(&out), slash + 1));
    } else {
        must(out.used == 0);
    }
    buf_free(&out);
}

static void check_message_file(struct str in)
{
    struct index_row row, again;
    char text[64];
    if (!rebuild_name_parse(in, &row))
        return;
    int n = snprintf(text, sizeof text, "%u.%llx.%llx", row.uid, (unsigned long long)row.position,
                     (unsigned long long)row.received_ms);
    must(row.uid > 0 && row.received_ms >= 0 && row.size_bytes == 0);
    must(rebuild_name_parse(str_make(text, (size_t)n), &again));
    must(again.uid == row.uid && again.position == row.position);
    must(again.received_ms == row.received_ms);
}

const struct fuzz_memory fuzz_memory = {.factor = 8, .base = 4096};

void fuzz_one(struct str in)
{
    check_name(in);
    check_path(in);
    check_message_file(in);
}
