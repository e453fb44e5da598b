/* SPDX-License-Identifier: ISC */
/*
 * fuzz_control.c - a request on the control socket is an object or refused; a filter holds for no
 * more than each of its conditions
 */
#include "role/control.h"

#include "fuzz.h"
#include "role/queue_filter.h"

/* Two deliveries with two recipients each, one of which waits. */
static struct queue_message *make_message(void)
{
    static struct queue_rcpt rcpt[4];
    struct arena arena = arena_make(1 << 16);
    struct queue_envelope e = {
        .sender = STR("me@home.test"), .rcpt = rcpt, .rcpt_count = 4, .arrival_ms = 1000000};
    rcpt[0].address = STR("a@far.test");
    rcpt[1].address = STR("b@far.test");
    rcpt[2].address = STR("c@near.test");
    rcpt[3].address = STR("d@near.test");
    struct queue_message *m = message_make(1, &arena, &e);
    m->delivery[1].state = QUEUE_HELD;
    return m;
}

/* The same answer as from one condition after the other. */
static void check_filter(const struct queue_filter *f)
{
    struct queue_message *m = make_message();
    const int64_t now_ms = 1500000;
    for (size_t i = 0; i < m->delivery_count; i++) {
        const struct queue_filter one[] = {
            {.sender = f->sender}, {.recipient = f->recipient}, {.domain = f->domain},
            {.state = f->state},   {.older_ms = f->older_ms},   {.younger_ms = f->younger_ms},
        };
        bool fits_each = true;
        for (size_t k = 0; k < sizeof one / sizeof one[0]; k++)
            fits_each = fits_each && queue_filter_fits(&one[k], &m->delivery[i], now_ms);
        must(queue_filter_fits(f, &m->delivery[i], now_ms) == fits_each);
    }
    message_free(m);
}

/* Nothing that was said is left out. */
static void check_whole(const json_t *request, const struct queue_filter *f)
{
    size_t conditions = (f->sender.n > 0) + (size_t)(f->recipient.n > 0) + (f->domain.n > 0) +
                        (f->state.n > 0) + (f->older_ms > 0) + (f->younger_ms > 0) +
                        (json_array_size(f->ids) > 0);
    must(conditions == json_object_size(json_object_get(request, "filter")));
}

const struct fuzz_memory fuzz_memory = {.factor = 512, .base = 262144};

void fuzz_one(struct str in)
{
    json_t *request, *text = control_text(in);
    must(text && (str_has_8bit(in) ||
                  str_equal(in, str_make(json_string_value(text), json_string_length(text)))));
    json_decref(text);
    struct fault f = control_parse(in, &request);
    must((f.kind == FAULT_FINE) == (request != NULL));
    must(!request || json_is_object(request));
    struct queue_filter filter;
    struct queue_filter choice;
    if (request && !queue_filter_read(request, &filter).kind) {
        must(!queue_filter_read_choice(request, &choice).kind == filter.has_choice);
        must(filter.has_choice == (json_is_true(json_object_get(request, "all")) ||
                                   json_object_size(json_object_get(request, "filter")) > 0));
        check_whole(request, &filter);
        check_filter(&filter);
    }
    json_decref(request);
}
