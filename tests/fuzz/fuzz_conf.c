/* SPDX-License-Identifier: ISC */
/*
 * fuzz_conf.c - a file is refused with its name, or means the same when printed and read again
 *
 * After each file a good one is read, or one whose fault is known: nothing of a bad one stays behind.
 */
#include "conf/conf.h"

#include "base/utf8.h"
#include "fuzz.h"

static const char path[] = "/etc/eilbote/eilbote.conf";

/* What conf_read gives is a C string. */
static struct fault parse(struct str text, struct conf **out)
{
    struct buf source = buf_make(CONF_SOURCE_LIMIT * 16);
    must(buf_append(&source, text) && buf_append_byte(&source, '\0'));
    struct fault f = conf_parse(path, buf_str(&source), out);
    buf_free(&source);
    return f;
}

static void check_print(const struct conf *c)
{
    struct buf once = buf_make((size_t)1 << 24), twice = buf_make((size_t)1 << 24);
    struct conf *again;
    must(conf_print(c, &once));
    struct fault f = parse(buf_str(&once), &again);
    if (f.kind)
        fprintf(stderr, "%s\n" STR_FMT, f.text, STR_ARG(buf_str(&once)));
    must(!f.kind && conf_print(again, &twice));
    must(str_equal(buf_str(&once), buf_str(&twice)));
    conf_free(again);
    buf_free(&once);
    buf_free(&twice);
}

static void check_bad(void)
{
    struct conf *c;
    struct fault f = parse(STR("hostname = mx.test\nlisteners = 1\n"), &c);
    must(!c && str_find(fault_text(&f), STR("eilbote.conf:2: unknown option \"listeners\"")) <
                   str_from(f.text).n);
}

static void check_good(void)
{
    struct conf *c;
    must(!parse(STR("hostname = mx.test\n"), &c).kind);
    must(str_equal(c->hostname, STR("mx.test")));
    conf_free(c);
}

const struct fuzz_memory fuzz_memory = {.factor = 4096, .base = 8388608, .keeps = true};

void fuzz_one(struct str in)
{
    struct conf *c;
    struct fault f = parse(in, &c);
    must((f.kind != FAULT_FINE) == (c == NULL));
    if (c)
        check_print(c);
    else
        must(f.kind == FAULT_NEVER && str_starts(fault_text(&f), str_from(path)) &&
             utf8_is_valid(fault_text(&f)));
    conf_free(c);
    if (in.n % 2 == 0)
        check_bad();
    else
        check_good();
}
