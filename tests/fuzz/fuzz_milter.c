/* SPDX-License-Identifier: ISC */
/*
 * fuzz_milter.c - whatever a filter says: what was not asked for or agreed is no event, and its fields stay fields
 *
 * The input is two steering octets and what the filter says in a whole session. Wire and events do not depend on how it
 * was cut. Edits come after the end of the message only, are of kinds that were agreed, few and bounded; a header
 * section that they are applied to has as many fields as the list says, no more octets than were counted, and no long lines.
 */
#include "proto/milter.h"

#include "base/utf8.h"
#include "fuzz.h"
#include "mail/header.h"
#include "mail/header_edit.h"

enum { STEPS = 16, EVENTS_MAX = 1 << 24, NEW_BYTES = 1 << 20 };

#define SECTION "From: a\r\nX: 1\r\n 2\r\nx: 3\r\nReceived: r\r\n"

struct session {
    struct milter milter;
    struct buf wire, events;
    struct header_edit header;
    size_t cost;
    unsigned edits, fields;
    unsigned step, quirks;
    bool is_over;
};

static void take_output(struct session *s)
{
    struct str out = milter_output(&s->milter);
    must(buf_append(&s->wire, out));
    milter_sent(&s->milter, out.n);
}

static void check_wire(struct str wire)
{
    while (wire.n > 0) {
        must(wire.n >= 5);
        const unsigned char *p = (const unsigned char *)wire.p;
        size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        must(n >= 1 && n <= wire.n - 4 && strchr("ODCHMRTLNBEAQKU", p[4]) && p[4]);
        wire = str_skip(wire, 4 + n);
    }
}

/* Says the next thing of a session, until an answer is due. */
static void say_more(struct session *s)
{
    static const struct milter_macro macro[] = {
        {"i", {"id", 2}, 1U << MILTER_MAIL | 1U << MILTER_END}, {"{none}", {NULL, 0}, ~0U}};
    const struct milter_macros macros = {macro, 2};
    const struct str words[] = {STR("<a@b.test>"), STR("SIZE=1")};
    struct milter *m = &s->milter;
    while (!milter_is_waiting(m) && !s->is_over && s->step < STEPS) {
        take_output(s);
        switch (s->step++) {
        case 0:
            milter_connect(m, STR("[192.0.2.1]"), s->quirks & 1 ? '4' : 'U', 25, STR("192.0.2.1"),
                           macros);
            break;
        case 1:
            milter_helo(m, STR("helo\0x"), macros);
            break;
        case 2:
            milter_mail(m, words, 2, macros);
            break;
        case 3:
            milter_rcpt(m, words, 1, macros);
            break;
        case 4:
            milter_data(m, macros);
            break;
        case 5:
            if (s->quirks & 4)
                milter_unknown(m, STR("FOO bar"));
            s->quirks &= ~4U;
            break;
        case 6:
            milter_field(m, STR("Subject"), STR(" a\r\n b\0c"));
            break;
        case 7:
            milter_end_of_header(m, macros);
            break;
        case 8:
        case 9:
            milter_body(m, STR("body\r\n"));
            break;
        case 10:
            milter_end(m, macros);
            break;
        case 11:
            s->step = 16;
            if (s->quirks & 2) { /* another message */
                milter_abort(m);
                s->step = 2;
                s->quirks &= ~2U;
            }
            break;
        }
    }
    take_output(s);
}

static void edit_header(struct session *s, const struct milter_event *e)
{
    struct header_edit *h = &s->header;
    bool has_space = s->milter.steps & MILTER_LEADING_SPACE;
    s->cost += header_edit_cost(e->name, e->value);
    if (s->cost > NEW_BYTES || header_edit_is_too_long(e->name, e->value))
        return;
    if (e->kind == MILTER_CHANGE_FIELD)
        must(header_edit_change(h, e->index, e->name, e->value, has_space));
    else
        must(header_edit_insert(h, e->kind == MILTER_INSERT_FIELD ? e->index : h->count, e->name,
                                e->value, has_space));
}

static void check_lines(struct str text)
{
    while (text.n > 0) {
        size_t n = str_find(text, STR("\r\n"));
        must(n < text.n && n <= HEADER_EDIT_LINE_MAX);
        text = str_skip(text, n + 2);
    }
}

static void check_header(const struct session *s)
{
    struct buf out = buf_make(4 << 20);
    must(header_edit_print(&s->header, &out));
    must(out.used <= sizeof SECTION + s->cost);
    struct header_iterator i = header_iterate(buf_str(&out));
    struct header_field field;
    size_t n = 0;
    while (header_next(&i, &field)) {
        must(n < s->header.count && str_equal(field.whole, s->header.item[n].whole));
        must(str_equal(field.name, s->header.item[n].name));
        check_lines(field.whole);
        n++;
    }
    must(n == s->header.count && i.rest.n == 0 && !i.has_separator);
    buf_free(&out);
}

static bool is_agreed(const struct session *s, enum milter_event_kind kind)
{
    static const uint32_t actions[] = {[MILTER_ADD_RCPT] =
                                           MILTER_MAY_ADD_RCPT | MILTER_MAY_ADD_RCPT_ARGS,
                                       [MILTER_DELETE_RCPT] = MILTER_MAY_DELETE_RCPT,
                                       [MILTER_SET_SENDER] = MILTER_MAY_CHANGE_SENDER,
                                       [MILTER_BODY] = MILTER_MAY_CHANGE_BODY,
                                       [MILTER_ADD_FIELD] = MILTER_MAY_ADD_HEADERS,
                                       [MILTER_INSERT_FIELD] = MILTER_MAY_ADD_HEADERS,
                                       [MILTER_CHANGE_FIELD] = MILTER_MAY_CHANGE_HEADERS,
                                       [MILTER_QUARANTINE] = MILTER_MAY_QUARANTINE};
    return s->milter.actions & actions[kind];
}

static void check_edit(struct session *s, const struct milter_event *e)
{
    must(milter_is_waiting(&s->milter) && s->milter.asked == 'E' && is_agreed(s, e->kind));
    must(e->name.n + e->value.n <= MILTER_PACKET_MAX);
    s->edits += e->kind != MILTER_BODY;
    must(s->edits <= 2 * MILTER_EDITS_MAX);
    if (e->kind == MILTER_ADD_FIELD || e->kind == MILTER_INSERT_FIELD ||
        e->kind == MILTER_CHANGE_FIELD)
        edit_header(s, e);
}

static void on_event(struct session *s, const struct milter_event *e, char asked)
{
    bool is_refusal = e->kind == MILTER_REJECT || e->kind == MILTER_TEMPFAIL ||
                      e->kind == MILTER_REPLY || e->kind == MILTER_SHUTDOWN;
    must(buf_printf(&s->events, "%d %u " STR_FMT "|" STR_FMT "|%u %u.%u.%u %s\n", e->kind, e->index,
                    STR_ARG(e->name), STR_ARG(e->value), e->fault.reply, e->fault.status.class,
                    e->fault.status.subject, e->fault.status.detail, e->fault.text));
    must(asked != 0 || e->kind == MILTER_BROKEN);
    must((is_refusal || e->kind == MILTER_BROKEN) == (e->fault.kind != FAULT_FINE));
    must(e->fault.kind == FAULT_FINE || e->fault.reply / 100 == e->fault.status.class);
    must(utf8_is_valid(fault_text(&e->fault)));
    must((e->kind == MILTER_READY) == (asked == 'O' && e->kind != MILTER_BROKEN));
    must(e->kind != MILTER_SKIP || (asked == 'B' && !milter_wants_body(&s->milter)));
    must(e->kind != MILTER_DISCARD || (asked != 'C' && asked != 'H' && asked != 'U'));
    if (e->kind >= MILTER_ADD_RCPT && e->kind <= MILTER_QUARANTINE)
        check_edit(s, e);
    else if (e->kind != MILTER_PROGRESS)
        must(!milter_is_waiting(&s->milter));
    if (e->kind == MILTER_READY)
        must(s->milter.version >= 2 && s->milter.version <= MILTER_VERSION &&
             !(s->milter.actions & ~(uint32_t)MILTER_ACTIONS) &&
             !(s->milter.steps & ~(uint32_t)MILTER_STEPS));
    s->is_over |= e->kind == MILTER_BROKEN;
}

static void feed(struct session *s, struct str piece)
{
    for (bool is_idle = false; !is_idle;) {
        struct milter_event e;
        char asked = s->milter.asked;
        size_t n = milter_feed(&s->milter, piece, &e);
        must(n <= piece.n && s->milter.input.used <= 4 + MILTER_PACKET_MAX);
        piece = str_skip(piece, n);
        is_idle = e.kind == MILTER_MORE && piece.n == 0;
        if (e.kind != MILTER_MORE)
            on_event(s, &e, asked);
        say_more(s);
    }
}

static void play(struct session *s, unsigned quirks, struct str in, uint32_t cut)
{
    *s = (struct session){.quirks = quirks,
                          .wire = buf_make(EVENTS_MAX),
                          .events = buf_make(EVENTS_MAX),
                          .header = header_edit_make(NEW_BYTES)};
    must(header_edit_load(&s->header, STR(SECTION), false));
    s->header.item[s->header.count - 1].is_hidden = true;
    milter_begin(&s->milter);
    take_output(s);
    while (in.n > 0)
        feed(s, take_cut(&in, &cut));
    milter_quit(&s->milter);
    take_output(s);
    check_header(s);
    check_wire(buf_str(&s->wire));
}

static void stop(struct session *s)
{
    milter_free(&s->milter);
    header_edit_free(&s->header);
    buf_free(&s->wire);
    buf_free(&s->events);
}

const struct fuzz_memory fuzz_memory = {.factor = 4096, .base = 8 << 20};

void fuzz_one(struct str in)
{
    uint8_t quirks = take_octet(&in), seed = take_octet(&in);
    static struct session whole, cut;
    const struct cuts cuts = cut_ways(in.n, seed);
    play(&whole, quirks, in, CUT_WHOLE);
    for (size_t i = 0; i < cuts.count; i++) {
        play(&cut, quirks, in, cuts.way[i]);
        must(str_equal(buf_str(&whole.wire), buf_str(&cut.wire)));
        must(str_equal(buf_str(&whole.events), buf_str(&cut.events)));
        stop(&cut);
    }
    stop(&whole);
}
