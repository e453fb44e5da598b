/* SPDX-License-Identifier: ISC */
/*
 * transfer.c - moving jobs over one connection
 *
 * At most two transactions are under way: one whose body has been sent and waits for its reply, and
 * the one whose commands went out behind that body. A job with more recipients than a transaction
 * takes has several, one after the other.
 */
#include "send/transfer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "mail/dotline.h"
#include "mail/dsn.h"
#include "net/loop.h"
#include "send/forward.h"
#include "send/outgoing.h"

enum {
    RCPTS_A_TRANSACTION = 100, /* every server takes that many (RFC 5321 section 4.5.3.1.8) */
    PARTS = 48
};

struct transaction {
    struct job *job;
    bool is_cut;  /* its body could not be written to the end */
    size_t first; /* of the job's recipients */
    struct smtp_client_mail mail;
    struct outgoing content;
    char sender[FORWARD_SENDER_MAX]; /* rewritten */
    struct smtp_client_rcpt rcpt[];  /* then a byte for each, is_accepted */
};

static int64_t deadline_after(int64_t ms)
{
    return loop_now_ms(loop_current()) + ms;
}

struct transfer *transfer_make(struct carrier *c)
{
    struct transfer *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    t->carrier = c;
    t->dialogue = buf_make(SMTP_CLIENT_DIALOGUE_MAX);
    t->limits = &c->route->live->conf->delivery;
    t->options = (struct smtp_client_options){.is_lmtp = c->route->is_lmtp,
                                              .may_chunk = c->route->is_lmtp,
                                              .hello_name = c->route->live->conf->hostname};
    return t;
}

void transfer_begin_host(struct transfer *t)
{
    t->remote[0] = '\0';
    t->dialogue.used = 0;
}

void transfer_connected(struct transfer *t, struct str host, const struct endpoint *to)
{
    char text[ENDPOINT_TEXT_MAX];
    struct str address = endpoint_text(to, text);
    snprintf(t->host, sizeof t->host, STR_FMT, STR_ARG(host));
    if (host.n > 0 && !str_starts(address, host))
        snprintf(t->remote, sizeof t->remote, STR_FMT " (" STR_FMT ")", STR_ARG(host),
                 STR_ARG(address));
    else
        snprintf(t->remote, sizeof t->remote, STR_FMT, STR_ARG(address));
    smtp_client_init(&t->client, &t->options);
    t->message_count = 0;
}

void transfer_disconnect(struct transfer *t)
{
    if (!t->conn)
        return;
    if (!t->client.is_broken && smtp_client_outstanding(&t->client) == 0) {
        smtp_client_quit(&t->client);
        struct str output = smtp_client_output(&t->client);
        conn_write(t->conn, &output, 1, deadline_after(0));
    }
    t->dialogue.used = 0;
    buf_append(&t->dialogue, buf_str(&t->client.dialogue));
    smtp_client_free(&t->client);
    conn_close(t->conn);
    t->conn = NULL;
}

void transfer_free(struct transfer *t)
{
    assert(!t->first && !t->second);
    transfer_disconnect(t);
    buf_free(&t->dialogue);
    free(t);
}

void transfer_describe(struct transfer *t, struct job *j)
{
    memcpy(j->remote, t->remote, sizeof j->remote);
    j->dialogue.used = 0;
    buf_append(&j->dialogue, buf_str(t->conn ? &t->client.dialogue : &t->dialogue));
}

static int64_t patience_ms(const struct transfer *t)
{
    const struct conf_delivery *l = t->limits;
    switch (smtp_client_step(&t->client)) {
    case SMTP_CLIENT_STEP_NONE:
    case SMTP_CLIENT_STEP_GREETING:
    case SMTP_CLIENT_STEP_HELLO:
        return l->greeting_timeout_ms;
    case SMTP_CLIENT_STEP_MAIL:
        return l->mail_timeout_ms;
    case SMTP_CLIENT_STEP_RCPT:
        return l->rcpt_timeout_ms;
    case SMTP_CLIENT_STEP_DATA:
        return l->data_timeout_ms;
    case SMTP_CLIENT_STEP_END:
        return l->end_timeout_ms;
    }
    return l->end_timeout_ms;
}

static struct fault flush(struct transfer *t)
{
    struct str output = smtp_client_output(&t->client);
    if (output.n == 0)
        return FINE;
    struct fault f = conn_write(t->conn, &output, 1, deadline_after(t->limits->block_timeout_ms));
    if (!f.kind)
        smtp_client_sent(&t->client, output.n);
    return f;
}

/* The wait's fault, told as what the other server did. */
static struct fault lost(struct transfer *t, const struct fault *f)
{
    if (task_is_cancelled())
        return fault_make(421, FAULT_STATUS(4, 3, 2), "we are shutting down");
    return fault_make(421, FAULT_STATUS(4, 4, 2), "%s while waiting for the reply to %s",
                      f->kind ? f->text : "the server closed the connection",
                      smtp_client_step_name(&t->client));
}

/* Feeds unread bytes, or waits for some; FINE with kind MORE when another task woke us. */
static struct fault step(struct transfer *t, struct smtp_client_event *e, bool may_return_early)
{
    struct fault f = flush(t);
    if (f.kind)
        return lost(t, &f);
    smtp_client_feed(&t->client, STR_NONE, e);
    if (e->kind != SMTP_CLIENT_MORE)
        return FINE;
    int64_t deadline = deadline_after(patience_ms(t));
    if (may_return_early && !conn_may_have_input(t->conn)) {
        f = conn_wait_input(t->conn, deadline);
        if (!f.kind && !conn_may_have_input(t->conn))
            return FINE;
    }
    struct str in = STR_NONE;
    if (!f.kind)
        f = conn_read(t->conn, deadline, &in);
    if (f.kind || in.n == 0)
        return lost(t, &f);
    conn_consume(t->conn, smtp_client_feed(&t->client, in, e));
    return FINE;
}

struct fault transfer_await(struct transfer *t, struct smtp_client_event *e)
{
    do {
        struct fault f = step(t, e, false);
        if (f.kind)
            return f;
    } while (e->kind == SMTP_CLIENT_MORE);
    return e->kind == SMTP_CLIENT_BROKEN ? e->fault : FINE;
}

static bool needs_utf8_address(const struct transaction *x)
{
    bool needs = str_has_8bit(x->mail.sender);
    for (size_t i = 0; i < x->mail.rcpt_count; i++)
        needs = needs || str_has_8bit(x->rcpt[i].path);
    return needs;
}

static struct fault fit_size(const struct transfer *t, uint64_t size_bytes)
{
    uint64_t limit = t->client.size_limit;
    if (!(t->client.capabilities & SMTP_HAS_SIZE) || limit == 0 || size_bytes <= limit)
        return FINE;
    return fault_make(552, FAULT_STATUS(5, 3, 4),
                      "the message has %llu bytes, the server takes %llu",
                      (unsigned long long)size_bytes, (unsigned long long)limit);
}

/*
 * Mail that needs what the next hop lacks is never sent as is: 5.6.7 for addresses, 5.6.9 for
 * header fields of the message and of its parts (RFC 6531 section 3.5, RFC 6532 section 3.7); 8-bit
 * bodies are converted, or else 5.6.3 (RFC 6152). A message that does not need what its sender
 * announced goes without. 8-bit header fields that nobody announced are no internationalized mail
 * but a fault of its sender's: 8BITMIME carries them, as every octet.
 */
static struct fault fit_to_server(struct transfer *t, struct transaction *x)
{
    unsigned has = t->client.capabilities;
    bool can_utf8 = has & SMTP_HAS_SMTPUTF8, can_8bit = has & SMTP_HAS_8BITMIME;
    struct fault f = fit_size(t, x->mail.size_bytes);
    if (f.kind || (can_8bit && (can_utf8 || !x->mail.is_utf8)))
        return f;
    if (!can_utf8 && needs_utf8_address(x))
        return fault_make(550, FAULT_STATUS(5, 6, 7),
                          "an address needs SMTPUTF8, which the server does not have");
    f = outgoing_look(&x->content);
    if (f.kind)
        return f;
    if (!can_utf8 && x->mail.is_utf8 && x->content.has_8bit_header)
        return fault_make(550, FAULT_STATUS(5, 6, 9),
                          "a header field needs SMTPUTF8, which the server does not have");
    if (!can_utf8)
        x->mail.is_utf8 = false;
    if (can_8bit || !x->content.has_8bit)
        return FINE;
    f = outgoing_convert(&x->content);
    x->mail.size_bytes = x->content.size_bytes;
    return f.kind ? f : fit_size(t, x->mail.size_bytes);
}

static const char *ret_name(uint8_t ret)
{
    return ret == DSN_RETURN_FULL ? "FULL" : ret == DSN_RETURN_HEADERS ? "HDRS" : NULL;
}

/* NOTIFY as it was given, in the order of the standard. */
static struct str notify_name(uint8_t notify)
{
    static const char *const names[] = {
        "",      "NEVER", "SUCCESS",       "", "FAILURE",       "", "SUCCESS,FAILURE",       "",
        "DELAY", "",      "SUCCESS,DELAY", "", "FAILURE,DELAY", "", "SUCCESS,FAILURE,DELAY", ""};
    return str_from(names[notify & 15]);
}

static const struct queue_rcpt *rcpt_of(const struct job *j, size_t i)
{
    return &j->delivery->message->envelope.rcpt[j->delivery->rcpt[i]];
}

/* How many recipients go together: of one sender. One with an address that the server cannot take fails without the others. */
static size_t count_part(const struct transfer *t, const struct job *j)
{
    size_t most = RCPTS_A_TRANSACTION, left = j->delivery->rcpt_count - j->begun, count = 1;
    if (t->client.rcpt_max > 0 && t->client.rcpt_max < most)
        most = t->client.rcpt_max;
    if (left < most)
        most = left;
    bool has_utf8 = t->client.capabilities & SMTP_HAS_SMTPUTF8;
    bool is_forwarded = forward_is_wanted(rcpt_of(j, j->begun));
    bool is_8bit = str_has_8bit(rcpt_of(j, j->begun)->address);
    while (count < most && forward_is_wanted(rcpt_of(j, j->begun + count)) == is_forwarded &&
           (has_utf8 || str_has_8bit(rcpt_of(j, j->begun + count)->address) == is_8bit))
        count++;
    return count;
}

static void free_transaction(struct transaction *x)
{
    outgoing_free(&x->content);
    free(x);
}

static struct transaction *make_transaction(struct transfer *t, struct job *j)
{
    const struct queue_delivery *d = j->delivery;
    const struct queue_envelope *e = &d->message->envelope;
    size_t first = j->begun, count = count_part(t, j);
    struct transaction *x = calloc(1, sizeof *x + count * (sizeof *x->rcpt + 1));
    if (!x)
        abort();
    x->job = j;
    x->first = first;
    j->begun += count;
    x->content =
        outgoing_make(t->carrier->sender->queue, d->message, t->carrier->sender->options.keys);
    x->mail = (struct smtp_client_mail){.sender = e->sender,
                                        .ret = str_from(ret_name(e->ret)),
                                        .envid = e->envid,
                                        .rcpt = x->rcpt,
                                        .size_bytes = d->message->body_size,
                                        .is_8bit = e->is_8bit,
                                        .is_utf8 = e->is_utf8,
                                        .is_tls_required = e->is_tls_required,
                                        .is_accepted = (uint8_t *)(x->rcpt + count)};
    while (x->mail.rcpt_count < count) {
        const struct queue_rcpt *r = rcpt_of(j, first + x->mail.rcpt_count);
        x->rcpt[x->mail.rcpt_count++] =
            (struct smtp_client_rcpt){r->address, notify_name(r->notify), r->orcpt};
    }
    if (forward_is_wanted(rcpt_of(j, first)))
        x->mail.sender = forward_sender(j, t->carrier->route->live->conf, x->sender);
    return x;
}

/* Collects parts and writes them when there are many. */
struct gather {
    struct transfer *t;
    struct str part[PARTS];
    size_t count;
};

static struct fault write_parts(struct gather *g)
{
    struct fault f =
        conn_write(g->t->conn, g->part, g->count, deadline_after(g->t->limits->block_timeout_ms));
    g->count = 0;
    return f;
}

static struct fault add_stuffed(struct gather *g, struct dotline_stuffer *s, struct str content)
{
    struct str slice;
    while (dotline_stuff(s, &content, &slice)) {
        g->part[g->count++] = slice;
        if (g->count < PARTS - 4)
            continue;
        struct fault f = write_parts(g);
        if (f.kind)
            return f;
    }
    return FINE;
}

static struct fault add_content(struct gather *g, struct dotline_stuffer *s, struct str content,
                                bool is_chunked)
{
    if (!is_chunked)
        return add_stuffed(g, s, content);
    g->part[g->count++] = content;
    return FINE;
}

static struct fault add_body(struct gather *g, struct dotline_stuffer *s, struct outgoing *c,
                             bool is_chunked)
{
    struct outgoing_reader r = outgoing_read(c);
    while (outgoing_next(&r)) {
        r.fault = add_content(g, s, r.piece, is_chunked);
        if (!r.fault.kind && !r.is_lasting)
            r.fault = write_parts(g);
    }
    outgoing_read_end(&r);
    return r.fault;
}

static bool begin_next(struct transfer *t);

/* Writes the body with its end, and in the same flight what may follow it. */
static struct fault send_body(struct transfer *t, struct transaction *x)
{
    x->is_cut = true;
    struct fault f = flush(t);
    if (f.kind)
        return f;
    struct gather g = {.t = t};
    struct dotline_stuffer stuffer = {0};
    bool is_chunked = smtp_client_is_chunked(&t->client);
    f = add_body(&g, &stuffer, &x->content, is_chunked);
    if (f.kind)
        return f;
    if (!is_chunked)
        g.part[g.count++] = dotline_stuff_end(&stuffer);
    smtp_client_body_sent(&t->client, &x->mail);
    /* Pieces that do not last are written already, and it may be what comes behind that fails. */
    x->is_cut = false;
    begin_next(t);
    struct str more = smtp_client_output(&t->client);
    g.part[g.count++] = more;
    f = write_parts(&g);
    if (!f.kind)
        smtp_client_sent(&t->client, more.n);
    return f;
}

/* Gives a recipient its result. */
static void settle(struct transaction *x, size_t index, const struct fault *f)
{
    struct job *j = x->job;
    if (j->is_settled[x->first + index])
        return;
    j->result[x->first + index] = *f;
    j->is_settled[x->first + index] = true;
}

static void settle_rest(struct transaction *x, const struct fault *f)
{
    for (size_t i = 0; i < x->mail.rcpt_count; i++)
        settle(x, i, f);
}

static void return_job(struct transfer *t, struct job *j)
{
    j->has_dsn = t->conn && (t->client.capabilities & SMTP_HAS_DSN);
    j->is_local = t->carrier->route->is_local;
    bool has_trouble = false;
    for (size_t i = 0; i < j->delivery->rcpt_count; i++)
        has_trouble = has_trouble || j->result[i].kind;
    if (has_trouble)
        transfer_describe(t, j);
    else
        memcpy(j->remote, t->remote, sizeof j->remote);
    carrier_return(j);
}

/* A transaction of the job is over. The job goes back after its last one, or waits for the next. */
static void end_part(struct transfer *t, struct job *j)
{
    if ((t->first && t->first->job == j) || (t->second && t->second->job == j))
        return;
    if (j->begun == j->delivery->rcpt_count)
        return_job(t, j);
    else
        list_push_front(&t->carrier->jobs, &j->link);
}

/* Takes a transaction that has ended out. */
static void end_transaction(struct transfer *t, struct transaction *x)
{
    struct job *j = x->job;
    assert(x == t->first);
    t->first = t->second;
    t->second = NULL;
    free_transaction(x);
    end_part(t, j);
}

/* The job whose next part is to be begun before anything else, or NULL. */
static struct job *job_in_parts(const struct transfer *t)
{
    struct transaction *last = t->second ? t->second : t->first;
    struct job *j = last ? last->job : NULL;
    if (!last && !list_is_empty(&t->carrier->jobs))
        j = LIST_ENTRY(t->carrier->jobs.next, struct job, link);
    return j && j->begun > 0 && j->begun < j->delivery->rcpt_count ? j : NULL;
}

/* The next part of the job that was begun last, or the next job. */
static struct transaction *next_transaction(struct transfer *t)
{
    if (t->first && job_in_parts(t))
        return make_transaction(t, job_in_parts(t));
    struct list *link = list_pop_front(&t->carrier->jobs);
    return link ? make_transaction(t, LIST_ENTRY(link, struct job, link)) : NULL;
}

/* No further message goes over this connection. One that another site needs carries what it was
 * made for all the same. */
static bool is_connection_spent(const struct transfer *t)
{
    if (t->carrier->is_dismissed && t->message_count > 0)
        return true;
    uint64_t most = (uint64_t)t->limits->connection_message_max;
    if (t->client.mail_max > 0 && t->client.mail_max < most)
        most = t->client.mail_max;
    return t->message_count >= most;
}

/* Begins a transaction if the engine allows one. False when there is nothing to begin. */
static bool begin_next(struct transfer *t)
{
    if (t->second || !smtp_client_may_begin(&t->client))
        return false;
    if (is_connection_spent(t) && !job_in_parts(t))
        return false;
    struct transaction *x = next_transaction(t);
    if (!x)
        return false;
    if (t->first)
        t->second = x;
    else
        t->first = x;
    struct fault f = fit_to_server(t, x);
    if (f.kind) {
        settle_rest(x, &f);
        struct job *j = x->job;
        if (t->second == x)
            t->second = NULL;
        else
            t->first = NULL;
        free_transaction(x);
        end_part(t, j);
        return begin_next(t);
    }
    t->message_count++;
    smtp_client_begin(&t->client, &x->mail);
    return true;
}

static struct transaction *transaction_of(struct transfer *t, const struct smtp_client_mail *m)
{
    return t->first && &t->first->mail == m ? t->first : t->second;
}

static struct fault handle(struct transfer *t, const struct smtp_client_event *e)
{
    struct transaction *x = e->mail ? transaction_of(t, e->mail) : NULL;
    switch (e->kind) {
    case SMTP_CLIENT_RCPT:
        /* A recipient that was accepted has no result until the message has one. */
        if (e->fault.kind || x->mail.final_count > 0)
            settle(x, e->index, &e->fault);
        return FINE;
    case SMTP_CLIENT_BODY:
        return send_body(t, x);
    case SMTP_CLIENT_DONE:
        settle_rest(x, &e->fault);
        end_transaction(t, x);
        return FINE;
    case SMTP_CLIENT_BROKEN:
    case SMTP_CLIENT_REFUSED:
        return e->fault;
    case SMTP_CLIENT_MORE:
    case SMTP_CLIENT_READY:
    case SMTP_CLIENT_TLS:
    case SMTP_CLIENT_CHALLENGE:
    case SMTP_CLIENT_AUTH:
        return FINE;
    }
    return FINE;
}

/* The connection is gone: what was under way is told so and goes back. */
static void abandon(struct transfer *t, const struct fault *f)
{
    while (t->first) {
        struct transaction *x = t->first;
        job_fail(x->job, f);
        x->job->begun = x->job->delivery->rcpt_count;
        if (t->second && t->second->job == x->job) {
            free_transaction(t->second);
            t->second = NULL;
        }
        end_transaction(t, x);
    }
    struct job *j = job_in_parts(t);
    if (j) {
        list_remove(&j->link);
        job_fail(j, f);
        return_job(t, j);
    }
    t->client.is_broken = true;
    transfer_disconnect(t);
}

/* The connection takes no more bytes; what the server has said before still counts, or messages
 * that it has taken would be sent again. A body that did not get through has no answer. */
static void take_last_words(struct transfer *t)
{
    struct smtp_client_event e;
    struct str in;
    while (t->first && !t->first->is_cut && !t->client.is_broken) {
        smtp_client_feed(&t->client, STR_NONE, &e);
        if (e.kind == SMTP_CLIENT_MORE) {
            if (conn_read(t->conn, deadline_after(0), &in).kind || in.n == 0)
                return;
            conn_consume(t->conn, smtp_client_feed(&t->client, in, &e));
        }
        if (e.kind == SMTP_CLIENT_BODY) { /* of the message behind, whose commands were not sent */
            transaction_of(t, e.mail)->is_cut = true;
            continue;
        }
        bool is_answer = e.kind == SMTP_CLIENT_RCPT || e.kind == SMTP_CLIENT_DONE;
        if (!is_answer && e.kind != SMTP_CLIENT_MORE)
            return;
        handle(t, &e);
    }
}

void transfer_jobs(struct transfer *t)
{
    for (;;) {
        while (begin_next(t))
            ;
        /* The answer to the RSET behind a message that nobody was taken for is still awaited. */
        if (!t->first && smtp_client_outstanding(&t->client) == 0)
            break;
        struct smtp_client_event e;
        struct fault f = step(t, &e, true);
        if (!f.kind)
            f = handle(t, &e);
        if (f.kind) {
            if (!task_is_cancelled())
                take_last_words(t);
            abandon(t, &f);
            return;
        }
    }
    if (is_connection_spent(t))
        transfer_disconnect(t);
}
