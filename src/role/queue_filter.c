/* SPDX-License-Identifier: ISC */
/*
 * queue_filter.c - which deliveries of the queue an operator means
 */
#include "role/queue_filter.h"

static bool read_text(const json_t *value, struct str *out)
{
    *out = str_from(json_string_value(value));
    return out->n > 0;
}

static bool read_age(const json_t *value, int64_t *out)
{
    *out = json_integer_value(value);
    return *out > 0;
}

static bool read_condition(const char *name, const json_t *value, struct queue_filter *out)
{
    if (strcmp(name, "sender") == 0)
        return read_text(value, &out->sender);
    if (strcmp(name, "recipient") == 0)
        return read_text(value, &out->recipient);
    if (strcmp(name, "domain") == 0)
        return read_text(value, &out->domain);
    if (strcmp(name, "state") == 0)
        return read_text(value, &out->state);
    if (strcmp(name, "older_ms") == 0)
        return read_age(value, &out->older_ms);
    if (strcmp(name, "younger_ms") == 0)
        return read_age(value, &out->younger_ms);
    out->ids = value;
    return strcmp(name, "ids") == 0 && json_array_size(value) > 0;
}

struct fault queue_filter_read(const json_t *request, struct queue_filter *out)
{
    json_t *filter = json_object_get(request, "filter"), *value;
    const char *name;
    *out = (struct queue_filter){0};
    if (filter && !json_is_object(filter))
        return fault_make(501, FAULT_STATUS(5, 5, 4), "the filter is no object");
    json_object_foreach(
        filter, name,
        value) if (!read_condition(name, value,
                                   out)) return fault_make(501, FAULT_STATUS(5, 5, 4),
                                                           "\"%s\" is no good condition", name);
    const json_t *all = json_object_get(request, "all");
    size_t conditions = json_object_size(filter);
    if (all && (!json_is_true(all) || conditions > 0))
        return fault_make(501, FAULT_STATUS(5, 5, 4),
                          "\"all\" is true and without conditions, or is not there");
    out->has_choice = all || conditions > 0;
    return FINE;
}

struct fault queue_filter_read_choice(const json_t *request, struct queue_filter *out)
{
    struct fault f = queue_filter_read(request, out);
    if (f.kind || out->has_choice)
        return f;
    return fault_make(501, FAULT_STATUS(5, 5, 4),
                      "the request does not say which messages: \"filter\" with a condition, or "
                      "\"all\": true for every one");
}

/* "a@b", or "@b" for everybody there; <> is the null sender. */
static bool is_address_like(struct str address, struct str wanted)
{
    if (str_equal(wanted, STR("<>")))
        return address.n == 0;
    if (wanted.n > 0 && wanted.p[0] == '@')
        return str_ends_nocase(address, wanted);
    return str_equal_nocase(address, wanted);
}

static bool has_recipient(const struct queue_delivery *d, struct str wanted)
{
    for (size_t i = 0; i < d->rcpt_count; i++)
        if (is_address_like(d->message->envelope.rcpt[d->rcpt[i]].address, wanted))
            return true;
    return false;
}

const char *queue_filter_state_name(const struct queue_delivery *d)
{
    switch (d->state) {
    case QUEUE_WAITING:
        return "waiting";
    case QUEUE_READY:
        return d->is_hold_wanted ? "held" : "delivering";
    case QUEUE_HELD:
        return "held";
    case QUEUE_ENDED:
        return "ended";
    }
    return "?";
}

bool queue_filter_fits(const struct queue_filter *f, const struct queue_delivery *d, int64_t now_ms)
{
    const struct queue_message *m = d->message;
    int64_t age = now_ms - m->envelope.arrival_ms;
    if (d->state == QUEUE_ENDED)
        return false;
    if (f->sender.n > 0 && !is_address_like(m->envelope.sender, f->sender))
        return false;
    if (f->recipient.n > 0 && !has_recipient(d, f->recipient))
        return false;
    if (f->domain.n > 0 && !str_equal_nocase(f->domain, d->domain))
        return false;
    if (f->state.n > 0 && !str_equal(f->state, str_from(queue_filter_state_name(d))))
        return false;
    return (f->older_ms == 0 || age > f->older_ms) && (f->younger_ms == 0 || age < f->younger_ms);
}
