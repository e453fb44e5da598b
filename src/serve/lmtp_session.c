/* SPDX-License-Identifier: ISC */
/*
 * lmtp_session.c - what we do about each event of LMTP (RFC 2033)
 *
 * smtp_session.c drives the engine. Here recipients must have a mailbox with room, and on_message
 * puts the message into all of them at once: one journal record each, awaited together, then one
 * reply each.
 */
#include "serve/lmtp_session.h"

#include <stdlib.h>

#include "mail/header.h"
#include "mail/received.h"
#include "net/offload.h"
#include "os/clock.h"
#include "serve/session.h"
#include "store/store.h"

enum { HEAD_MAX = RECEIVED_FIELD_MAX + 2048, EXPANSION_LIMIT = 32 << 20 };

static struct fault on_mail(struct session *s, const struct smtp_mail *mail)
{
    struct server *server = s->visitor.server;
    struct fault f = server_may_begin(server);
    if (f.kind)
        return f;
    session_forget(s);
    struct transaction *t = &s->transaction;
    t->id = store_new_spool_id(server->store);
    t->announced_size = mail->size;
    t->only_rcpt = address_copy(&t->arena, &mail->sender);
    t->envelope.sender = address_text(&t->arena, &mail->sender);
    t->envelope.is_utf8 = mail->is_utf8;
    return FINE;
}

/*
 * The mailbox among what the address expands to: its own (an alias of that name may have further
 * targets, which are not our business), or the only one.
 */
static const struct directory_recipient *choose(const struct directory_recipients *r,
                                                const struct address *a, struct arena *arena)
{
    size_t plus = str_index(a->local, '+');
    struct str whole = address_text(arena, a);
    struct str base = arena_printf(arena, STR_FMT "@" STR_FMT, STR_ARG(str_head(a->local, plus)),
                                   STR_ARG(a->domain));
    for (size_t i = 0; i < r->count; i++)
        if (r->item[i].account.n > 0 && (str_equal_nocase(r->item[i].account, whole) ||
                                         str_equal_nocase(r->item[i].account, base)))
            return &r->item[i];
    return r->count == 1 && r->item[0].account.n > 0 ? &r->item[0] : NULL;
}

/* RFC 3463: X.2.2 is a full mailbox; for good when the message could never fit. */
static struct fault check_quota(const struct session *s, struct str account, int64_t quota_bytes,
                                uint64_t size_bytes)
{
    int64_t used = 0;
    if (quota_bytes == 0)
        return FINE;
    if (size_bytes > (uint64_t)quota_bytes)
        return fault_make(552, FAULT_STATUS(5, 2, 2), "the message is larger than the mailbox");
    struct fault f = store_usage(s->visitor.server->store, account, &used);
    if (f.kind)
        return f;
    return used >= quota_bytes || size_bytes > (uint64_t)(quota_bytes - used)
               ? fault_make(452, FAULT_STATUS(4, 2, 2), "the mailbox is full")
               : FINE;
}

static void add_mailbox(struct transaction *t, const struct smtp_rcpt *rcpt,
                        const struct directory_recipient *r)
{
    if (t->mailbox_count == t->mailbox_size) {
        size_t size = t->mailbox_size ? t->mailbox_size * 2 : 4;
        struct mailbox_rcpt *grown = arena_alloc(&t->arena, size * sizeof *grown);
        if (t->mailbox_count > 0)
            memcpy(grown, t->mailbox, t->mailbox_count * sizeof *grown);
        t->mailbox = grown;
        t->mailbox_size = size;
    }
    t->mailbox[t->mailbox_count++] =
        (struct mailbox_rcpt){.account = arena_copy(&t->arena, r->account),
                              .address = address_copy(&t->arena, &rcpt->address),
                              .quota_bytes = r->quota_bytes};
}

static struct fault take_rcpt(struct session *s, const struct smtp_rcpt *rcpt,
                              struct arena *scratch)
{
    struct transaction *t = &s->transaction;
    struct address a = rcpt->address;
    if (a.kind == ADDRESS_POSTMASTER) {
        a.local = STR("postmaster");
        a.domain = s->visitor.live->conf->hostname;
    }
    struct directory_recipients expanded;
    bool is_ours;
    struct fault f = directory_cache_expand(s->visitor.server->directory_cache, a.local, a.domain,
                                            scratch, &is_ours, &expanded);
    if (f.kind == FAULT_LATER)
        return f;
    const struct directory_recipient *r =
        f.kind || !is_ours ? NULL : choose(&expanded, &a, scratch);
    if (!r)
        return fault_make(550, FAULT_STATUS(5, 1, 1), "no such mailbox here");
    f = check_quota(s, r->account, r->quota_bytes, t->announced_size);
    if (!f.kind)
        add_mailbox(t, rcpt, r);
    return f;
}

static struct fault on_rcpt(struct session *s, const struct smtp_rcpt *rcpt)
{
    struct arena scratch = arena_make(EXPANSION_LIMIT);
    struct fault f = take_rcpt(s, rcpt, &scratch);
    arena_free(&scratch);
    return f;
}

static struct fault make_spool_file(void *owner, uint64_t id, struct file **out)
{
    return store_spool_file(owner, id, out);
}

static struct fault sync_spool_file(void *owner, uint64_t id, struct file *file)
{
    return store_spool_sync(owner, id, file);
}

static struct fault discard_spool_file(void *owner, uint64_t id)
{
    return store_spool_discard(owner, id);
}

static const struct intake_place spool_place = {
    .file = make_spool_file, .sync = sync_spool_file, .discard = discard_spool_file};

/* Return-Path is the last server's to set, that is ours (RFC 5321 section 4.4). What has no header
 * section gets the empty line that keeps it from our fields. */
static struct fault fit_under_head(void *arg, struct buf *content)
{
    (void)arg;
    struct header_field field;
    struct header_iterator i = header_iterate(buf_str(content));
    bool is_missing = header_is_missing(buf_str(content));
    if (!is_missing && !header_find(buf_str(content), STR("Return-Path"), &field))
        return FINE;
    struct buf kept = buf_make(content->limit);
    if (is_missing)
        buf_append(&kept, STR("\r\n"));
    while (header_next(&i, &field))
        if (!str_equal_nocase(field.name, STR("Return-Path")))
            buf_append(&kept, field.whole);
    if (i.has_separator)
        buf_append(&kept, STR("\r\n"));
    buf_append(&kept, i.rest);
    buf_free(content);
    *content = kept;
    return FINE;
}

static struct fault on_data(struct session *s)
{
    struct transaction *t = &s->transaction;
    struct server *server = s->visitor.server;
    int64_t limit = s->visitor.live->conf->queue.in_flight_bytes;
    if (atomic_load(&server->in_flight_bytes) >= limit)
        return fault_make(452, FAULT_STATUS(4, 3, 1),
                          "too much mail is being received, try again later");
    intake_start(&t->intake, &spool_place, server->store, t->id, &server->in_flight_bytes, limit,
                 t->announced_size);
    t->intake.reader = (struct intake_reader){.prepare = fit_under_head};
    return FINE;
}

/* A message on its way into the mailboxes. */
struct delivery {
    struct session *session;
    struct store_recipient *rcpt; /* those that have room */
    size_t count;
    struct fault *result; /* of every recipient of the transaction */
    size_t *place;        /* of rcpt in it */
};

static struct fault store_message(void *arg, struct buf *content, uint64_t file_size)
{
    struct delivery *d = arg;
    struct session *s = d->session;
    store_deliver(s->visitor.server->store, d->rcpt, d->count, clock_real_ms(), content,
                  content ? 0 : s->transaction.id, file_size);
    for (size_t i = 0; i < d->count; i++)
        d->result[d->place[i]] = d->rcpt[i].result;
    return FINE; /* the file, if any, is the store's */
}

/* The trace fields on top of this recipient's message. */
static struct str head_for(struct session *s, const struct mailbox_rcpt *rcpt, struct arena *arena)
{
    const struct transaction *t = &s->transaction;
    struct buf head = buf_make(HEAD_MAX);
    received_append_return_path(&head, &t->only_rcpt);
    buf_append(&head, STR("Delivered-To: "));
    address_print(&head, &rcpt->address);
    buf_append(&head, STR("\r\n"));
    session_append_received(s, &rcpt->address, &head);
    struct str copy = arena_copy(arena, buf_str(&head));
    buf_free(&head);
    return copy;
}

static struct fault deliver(struct session *s, struct fault *result)
{
    struct transaction *t = &s->transaction;
    size_t n = t->mailbox_count;
    struct arena arena = arena_make(SIZE_MAX); /* as much as so many recipients need */
    struct delivery d = {.session = s,
                         .rcpt = arena_alloc(&arena, n * sizeof *d.rcpt),
                         .place = arena_alloc(&arena, n * sizeof *d.place),
                         .result = result};
    for (size_t i = 0; i < n; i++) {
        const struct mailbox_rcpt *m = &t->mailbox[i];
        result[i] = check_quota(s, m->account, m->quota_bytes, intake_size(&t->intake));
        if (result[i].kind)
            continue;
        d.place[d.count] = i;
        d.rcpt[d.count++] =
            (struct store_recipient){.account = m->account, .head = head_for(s, m, &arena)};
    }
    struct fault f = FINE;
    if (d.count > 0)
        f = intake_finish(&t->intake, store_message, &d);
    else
        intake_drop(&t->intake);
    arena_free(&arena);
    return f;
}

static void tell_message(const struct session *s, uint64_t size, const struct fault *result)
{
    const struct transaction *t = &s->transaction;
    char id[QUEUE_ID_TEXT_MAX];
    struct event e;
    size_t refused = 0;
    for (size_t i = 0; i < t->mailbox_count; i++)
        refused += result[i].kind != FAULT_FINE;
    event_begin(&e, s->visitor.server->log, refused ? "mailbox.refused" : "mailbox.stored");
    event_text(&e, "session", str_from(s->visitor.id));
    event_text(&e, "store-id", queue_id_text(t->id, id));
    event_text(&e, "from", t->envelope.sender);
    event_number(&e, "recipients", (int64_t)t->mailbox_count);
    event_number(&e, "refused", (int64_t)refused);
    for (size_t i = 0, told = 0; i < t->mailbox_count && told < 3; i++)
        if (!refused || result[i].kind) {
            event_text(&e, "to", t->mailbox[i].account);
            if (refused && told == 0)
                event_fault(&e, &result[i]);
            told++;
        }
    event_number(&e, "size", (int64_t)size);
    event_end(&e);
}

static bool on_message(struct session *s)
{
    struct transaction *t = &s->transaction;
    struct fault *result = calloc(t->mailbox_count + 1, sizeof *result);
    if (!result)
        abort();
    uint64_t size = intake_size(&t->intake);
    struct fault f = session_check_loop(t);
    if (!f.kind)
        f = deliver(s, result);
    bool is_any_good = false;
    for (size_t i = 0; i < t->mailbox_count; i++) {
        if (f.kind)
            result[i] = f;
        is_any_good |= !result[i].kind;
        smtp_server_answer(&s->engine, &result[i]);
    }
    tell_message(s, size, result);
    free(result);
    return is_any_good;
}

static const struct session_handlers handlers = {on_mail, on_rcpt, on_data, on_message};

void lmtp_session_serve(struct conn *c, void *arg)
{
    session_serve(arg, c, &handlers);
}
