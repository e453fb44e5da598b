/* SPDX-License-Identifier: ISC */
/*
 * trial.c - what the commands that try something out have in common
 */
#include "cli/trial.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "cli/say.h"
#include "conf/conf_resolver.h"
#include "mail/address.h"
#include "net/loop.h"
#include "net/offload.h"
#include "net/task.h"
#include "os/clock.h"
#include "os/file.h"
#include "role/control.h"

enum { ARENA_LIMIT = 1 << 20, OFFLOAD_THREADS = 2, DNS_PORT = 53, HELO_MAX = 255, WORD_MAX = 1000 };

#define TIME_MAX UINT64_C(253402300799) /* the end of the year 9999 */

const char trial_more[] =
    "Asks the DNS as the configuration says, without one as /etc/resolv.conf says, with --resolver "
    "these servers;\n"
    "touches nothing and sends nothing. Exit status: 0 when there is an answer, whatever it is.\n";

struct trial trial_make(struct invocation *i)
{
    return (struct trial){.i = i, .arena = arena_make(ARENA_LIMIT)};
}

void trial_free(struct trial *t)
{
    conf_free(t->conf);
    arena_free(&t->arena);
}

int trial_load(struct trial *t, bool is_needed)
{
    const struct invocation *i = t->i;
    const char *by_environment = getenv("EILBOTE_CONF");
    bool is_named = i->has_conf || (by_environment && by_environment[0]);
    if (!is_needed && !is_named && !file_exists(i->conf_path))
        return CLI_DONE;
    t->conf = cli_conf(i);
    return t->conf ? CLI_DONE : CLI_FAILED;
}

struct str trial_hostname(const struct trial *t)
{
    return t->conf ? t->conf->hostname : STR("unknown");
}

int trial_ip(const struct trial *t, const char *name, const char *text, struct ip_address *out)
{
    if (ip_parse(str_from(text), out))
        return CLI_DONE;
    return cli_usage(t->i, "%s is \"%s\"; allowed: an IPv4 or IPv6 address", name, text);
}

int trial_check_helo(const struct trial *t, const char *text)
{
    struct str s = str_from(text);
    if (s.n > 0 && s.n <= HELO_MAX && str_is_printable(s) && !str_has(s, ' '))
        return CLI_DONE;
    return cli_usage(t->i, "--helo is \"%s\"; allowed: a host name, or an address in brackets",
                     text);
}

int trial_word(const struct trial *t, const char *name, const char *text, struct str *out)
{
    *out = str_from(text);
    if (out->n >= 2 && out->p[0] == '<' && out->p[out->n - 1] == '>')
        *out = str_make(out->p + 1, out->n - 2);
    if (out->n > WORD_MAX || str_has(*out, '\r') || str_has(*out, '\n'))
        return cli_usage(t->i, "%s is more than a line, or more than %d octets", name, WORD_MAX);
    return CLI_DONE;
}

int trial_sender(struct trial *t, const char *name, const char *text, struct str *out)
{
    struct address a;
    *out = STR_NONE;
    if (text[0] == '\0' || strcmp(text, "<>") == 0)
        return CLI_DONE;
    if (!address_parse(&t->arena, str_from(text), ADDRESS_ALLOW_UTF8, &a))
        return cli_usage(t->i, "%s is \"%s\"; allowed: an address, or <> for the null sender", name,
                         text);
    *out = address_text(&t->arena, &a);
    return CLI_DONE;
}

int trial_time(const struct trial *t, const char *text, int64_t *now_s)
{
    uint64_t seconds;
    *now_s = clock_real_ms() / 1000;
    if (!text)
        return CLI_DONE;
    if (!num_parse(str_from(text), TIME_MAX, &seconds))
        return cli_usage(t->i, "--time is \"%s\"; allowed: seconds since 1970", text);
    *now_s = (int64_t)seconds;
    return CLI_DONE;
}

/* The configuration's resolver, where the command line says nothing else. */
static int take_options(struct trial *t, struct resolver_options *o)
{
    if (t->conf)
        conf_resolver_options(t->conf, &t->arena, o);
    struct ip_endpoint *list = arena_alloc(&t->arena, CLI_WORDS_MAX * sizeof *list);
    size_t count = 0;
    for (; count < CLI_WORDS_MAX && t->servers[count]; count++)
        if (!ip_endpoint_parse(str_from(t->servers[count]), DNS_PORT, &list[count]))
            return cli_usage(t->i,
                             "--resolver is \"%s\"; allowed: ADDRESS:PORT, where an IPv6 address "
                             "stands in brackets, or ADDRESS@PORT",
                             t->servers[count]);
    if (count > 0) {
        o->servers = list;
        o->server_count = count;
        o->stub_count = 0;
        o->root_hints = NULL;
        o->is_everything_asked = true;
    }
    if (t->trust_anchor)
        o->trust_anchor = t->trust_anchor;
    return CLI_DONE;
}

struct running {
    struct trial *trial;
    struct resolver_options options;
    struct scope scope;
    struct fault fault;
    void (*run)(void *arg);
    void *arg;
};

static void work(void *arg)
{
    struct running *r = arg;
    struct trial *t = r->trial;
    t->deadline_ms = loop_now_ms(loop_current()) + TRIAL_TIME_MS;
    r->fault = resolver_start(&r->options, &t->resolver);
    if (!r->fault.kind) {
        r->run(r->arg);
        resolver_stop(t->resolver);
        t->resolver = NULL;
    }
    loop_stop(loop_current());
}

/* The library opens this file later, and says less. */
static int check_anchor(const struct trial *t)
{
    struct file *f;
    struct fault fault = t->trust_anchor ? file_open(t->trust_anchor, FILE_READ, &f) : FINE;
    if (t->trust_anchor && !fault.kind)
        file_close(f);
    return cli_result(t->i, fault);
}

int trial_run(struct trial *t, void (*run)(void *arg), void *arg)
{
    struct running r = {.trial = t, .run = run, .arg = arg};
    int result = take_options(t, &r.options);
    if (result == CLI_DONE)
        result = check_anchor(t);
    if (result != CLI_DONE)
        return result;
    struct loop *loop = loop_make();
    offload_start(OFFLOAD_THREADS);
    scope_init(&r.scope);
    if (task_start(&r.scope, "trial", work, &r))
        loop_run(loop);
    else
        r.fault = fault_make(451, FAULT_STATUS(4, 3, 0), "no memory for a task");
    offload_stop();
    loop_free(loop);
    return cli_result(t->i, r.fault);
}

void trial_print_row(const char *what, const char *result, const char *domain, const char *more,
                     const char *reason)
{
    static const int widths[] = {6, 9, 24, 12, 0};
    const char *const cells[] = {what, result, domain, more, reason};
    int missing = 0; /* blanks in front of the next text, if one comes */
    for (size_t k = 0; k < sizeof cells / sizeof *cells; k++) {
        int length = (int)strlen(cells[k]);
        if (length > 0) {
            printf("%*s", missing, "");
            say_safely(cells[k]);
            missing = 0;
        }
        missing += (length < widths[k] ? widths[k] - length : 0) + 2;
    }
    putchar('\n');
}

void trial_put_text(json_t *o, const char *name, struct str text)
{
    json_object_set_new(o, name, control_text(text));
}

void trial_put_fault(json_t *o, const struct fault *f)
{
    char status[24];
    snprintf(status, sizeof status, "%u.%u.%u", (unsigned)f->status.class,
             (unsigned)f->status.subject, (unsigned)f->status.detail);
    json_object_set_new(o, "reply", json_integer(f->reply));
    json_object_set_new(o, "status", json_string(status));
    json_object_set_new(o, "reason", control_text(fault_text(f)));
}
