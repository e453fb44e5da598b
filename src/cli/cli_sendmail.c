/* SPDX-License-Identifier: ISC */
/*
 * cli_sendmail.c - what programs expect of sendmail
 *
 * Options are those that Postfix, Exim and Sendmail share; the exit status is one of sysexits.h.
 * Options about how the message is delivered are understood and left aside: the server decides.
 */
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/encode.h"
#include "cli/compose.h"
#include "cli/flush.h"
#include "cli/handover.h"

enum mode { MODE_SEND, MODE_SMTP, MODE_QUEUE, MODE_ALIASES };

struct words {
    enum mode mode;
    const char *flush; /* what stands behind -q */
    const char *from, *full_name, *notify, *ret, *envid;
    bool has_header_rcpt; /* -t */
    bool ignores_dot;     /* -i */
};

static int usage_error(const struct invocation *i, const char *what, const char *word)
{
    cli_fail(i, "%s \"%s\" is not understood", what, word);
    return EX_USAGE;
}

/* The word behind -b. */
static bool take_mode(struct words *w, const char *word)
{
    if (strcmp(word, "m") == 0)
        w->mode = MODE_SEND;
    else if (strcmp(word, "s") == 0)
        w->mode = MODE_SMTP;
    else if (strcmp(word, "p") == 0)
        w->mode = MODE_QUEUE;
    else if (strcmp(word, "i") == 0)
        w->mode = MODE_ALIASES;
    else
        return false;
    return true;
}

static int refuse_mode(const struct invocation *i, const char *word)
{
    if (strcmp(word, "d") != 0 && strcmp(word, "D") != 0)
        return usage_error(i, "-b", word);
    cli_fail(i, "-b%s is not for this program; eilbote serve is the server", word);
    return EX_USAGE;
}

static int take_options(const struct invocation *i, struct words *w, int argc, char **argv)
{
    optind = 1;
    opterr = 0;
    for (int c; (c = getopt(argc, argv, "+:A:B:F:GIL:N:O:R:UV:X:b:e:f:h:imno:p:q::r:tv")) != -1;) {
        switch (c) {
        case 'b':
            if (!take_mode(w, optarg))
                return refuse_mode(i, optarg);
            break;
        case 'f':
        case 'r':
            w->from = optarg;
            break;
        case 'F':
            w->full_name = optarg;
            break;
        case 'N':
            w->notify = optarg;
            break;
        case 'R':
            w->ret = optarg;
            break;
        case 'V':
            w->envid = optarg;
            break;
        case 'q':
            w->flush = optarg ? optarg : "";
            break;
        case 't':
            w->has_header_rcpt = true;
            break;
        case 'i':
            w->ignores_dot = true;
            break;
        case 'o':
            w->ignores_dot = w->ignores_dot || strcmp(optarg, "i") == 0;
            break;
        case '?':
        case ':': {
            const char option[] = {'-', (char)optopt, '\0'};
            return usage_error(i, c == '?' ? "the option" : "without a value the option", option);
        }
        default:
            break;
        }
    }
    return EX_OK;
}

/* An exit status for a fault (sysexits.h). */
static int status_of(const struct fault *f)
{
    if (f->kind == FAULT_FINE)
        return EX_OK;
    if (f->kind == FAULT_LATER)
        return EX_TEMPFAIL;
    if (f->status.subject == 1)
        return EX_NOUSER;
    if (f->status.subject == 7)
        return EX_NOPERM;
    if (f->status.subject == 6 || f->reply == 552)
        return EX_DATAERR;
    return f->reply == 551 ? EX_CONFIG : EX_UNAVAILABLE;
}

static struct fault take_notify(struct handover *h, const struct words *w)
{
    struct buf envid = buf_make(100);
    struct fault f = FINE;
    if (w->notify)
        h->notify = str_from(w->notify);
    if (w->ret)
        h->ret = strcasecmp(w->ret, "hdrs") == 0 ? STR("HDRS") : STR("FULL");
    if (w->envid && encode_xtext(&envid, str_from(w->envid)))
        h->envid = arena_copy(&h->arena, buf_str(&envid));
    else if (w->envid)
        f = fault_make(501, FAULT_STATUS(5, 5, 4), "the envelope id is too long");
    buf_free(&envid);
    return f;
}

static struct fault take_sender(struct handover *h, const struct words *w)
{
    if (!w->from)
        return handover_default_sender(h, &h->sender);
    struct str from = str_from(w->from);
    if (from.n > 1 && from.p[0] == '<' && from.p[from.n - 1] == '>')
        from = str_make(from.p + 1, from.n - 2);
    return from.n > 0 ? handover_address(h, from, &h->sender) : FINE;
}

static struct fault fill(struct handover *h, const struct words *w, char **addresses)
{
    struct fault f = take_notify(h, w);
    if (!f.kind)
        f = take_sender(h, w);
    for (; *addresses && !f.kind; addresses++)
        f = handover_add_rcpts(h, str_from(*addresses));
    if (!f.kind)
        f = compose_read(stdin, !w->ignores_dot, &h->message);
    if (!f.kind && w->has_header_rcpt)
        f = handover_add_header_rcpts(h);
    if (!f.kind && h->rcpt_count == 0)
        f = fault_make(501, FAULT_STATUS(5, 1, 3), "no recipient is named");
    if (!f.kind && h->sender.n > 0 &&
        !compose_add_from(&h->message, str_from(w->full_name), h->sender))
        f = fault_make(552, FAULT_STATUS(5, 3, 4), "the message is too large");
    return f;
}

/* Copies what is there; false at the end of the stream. */
static bool copy(int from, int to)
{
    char bytes[2048];
    ssize_t n = read(from, bytes, sizeof bytes);
    for (ssize_t at = 0; at < n;) {
        ssize_t m = write(to, bytes + at, (size_t)(n - at));
        if (m <= 0)
            return false;
        at += m;
    }
    return n > 0;
}

/* -bs: SMTP on standard input and output, spoken by the server itself. */
static __attribute__((noinline)) struct fault speak_smtp(const struct handover *h)
{
    int s;
    struct fault f = handover_connect(h, &s);
    if (f.kind)
        return f;
    struct pollfd wait[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = s, .events = POLLIN}};
    for (bool is_open = true; is_open;) {
        if (poll(wait, 2, -1) < 0 && errno != EINTR)
            break;
        if (wait[1].revents)
            is_open = copy(s, STDOUT_FILENO);
        if (wait[0].revents && !copy(STDIN_FILENO, s)) {
            /* Our side has ended; the server's last words still come. */
            shutdown(s, SHUT_WR);
            wait[0].fd = -1;
        }
    }
    close(s);
    return FINE;
}

static int send_message(struct invocation *i, const struct words *w, char **addresses)
{
    struct handover h;
    if (!handover_init(&h, i)) {
        handover_free(&h);
        return EX_CONFIG;
    }
    struct fault f;
    if (w->mode == MODE_SMTP) {
        f = speak_smtp(&h);
    } else {
        f = fill(&h, w, addresses);
        if (!f.kind)
            f = handover_send(&h);
    }
    int status = status_of(f.kind ? &f : &h.refusal);
    /* A refusal of every recipient has been told already. */
    if (f.kind && (!h.refusal.kind || h.refusal.reply != f.reply))
        cli_result(i, f);
    handover_free(&h);
    return status;
}

static int flush(const struct invocation *i, const struct words *w, char **addresses)
{
    if (addresses[0] || w->mode != MODE_SEND || w->has_header_rcpt) {
        cli_fail(i, "-q tries again what is in the queue; nothing else goes with it");
        return EX_USAGE;
    }
    json_t *request = flush_request(i, w->flush);
    return request ? flush_queue(i, request) : EX_USAGE;
}

int cli_sendmail(struct invocation *i)
{
    struct words w = {.mode = MODE_SEND};
    if (i->argc > 0 && strcmp(i->argv[0], "--help") == 0)
        return cli_parse(i, NULL, 0, 0, 0, NULL);
    /* getopt reads behind the command's name, which the table of commands has taken off. */
    int result = take_options(i, &w, i->argc + 1, i->argv - 1);
    if (result != EX_OK)
        return result;
    char **addresses = i->argv - 1 + optind;
    if (w.flush)
        return flush(i, &w, addresses);
    if (w.mode == MODE_ALIASES)
        return EX_OK; /* aliases are in force when they are added */
    return w.mode == MODE_QUEUE ? cli_mailq(i) : send_message(i, &w, addresses);
}

int cli_mailq(struct invocation *i)
{
    i->argc = 0;
    return cli_queue_ls(i) == CLI_DONE ? EX_OK : EX_UNAVAILABLE;
}
