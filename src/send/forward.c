/* SPDX-License-Identifier: ISC */
/*
 * forward.c - the sender that the next hop gets for mail that we forward
 */
#include "send/forward.h"

#include "event/event.h"
#include "mail/address.h"
#include "os/clock.h"

enum { ARENA_LIMIT = 1 << 12 };

static void tell(const struct job *j, struct str rewritten)
{
    const struct queue_message *m = j->delivery->message;
    char id[QUEUE_ID_TEXT_MAX];
    struct event e;
    event_begin(&e, j->sender->options.log, "srs.rewritten");
    event_text(&e, "message", queue_id_text(m->id, id));
    event_text(&e, "session", m->envelope.session);
    event_text(&e, "from", m->envelope.sender);
    event_text(&e, "as", rewritten);
    event_text(&e, "domain", j->delivery->domain);
    event_end(&e);
}

/* Appends "local@domain". False when it cannot be made, or is too long for a path. */
static bool rewrite(const struct srs_secrets *secrets, struct str sender, struct str domain,
                    struct buf *out)
{
    struct arena a = arena_make(ARENA_LIMIT);
    struct buf local = buf_make(SRS_LOCAL_MAX);
    struct address was;
    bool is_good =
        address_parse(&a, sender, ADDRESS_ALLOW_UTF8, &was) &&
        srs_forward(secrets, was.local, was.domain, srs_day(clock_real_ms() / 1000), &local);
    struct address is = {.kind = ADDRESS_DOMAIN, .local = buf_str(&local), .domain = domain};
    is_good = is_good && address_print(out, &is);
    buf_free(&local);
    arena_free(&a);
    return is_good;
}

struct str forward_sender(const struct job *j, const struct conf *conf,
                          char room[FORWARD_SENDER_MAX])
{
    struct str sender = j->delivery->message->envelope.sender;
    struct buf text = buf_make(ADDRESS_PATH_MAX - 2);
    struct srs_secrets secrets;
    if (!j->sender->options.srs)
        return sender;
    srs_ring_get(j->sender->options.srs, &secrets);
    if (rewrite(&secrets, sender, conf_srs_domain(conf), &text)) {
        memcpy(room, text.data, text.used);
        sender = str_make(room, text.used);
        tell(j, sender);
    }
    explicit_bzero(&secrets, sizeof secrets);
    buf_free(&text);
    return sender;
}
