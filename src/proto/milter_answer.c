/* SPDX-License-Identifier: ISC */
/*
 * milter_answer.c - what a filter says: its packets are read, and held to what it was asked and what was agreed
 */
#include "proto/milter.h"

enum {
    LENGTH_OCTETS = 4,
    STEPS_OF_2 = 0x7F, /* the steps that version 2 knows */
};

static uint32_t get_number(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void break_off(struct milter *m, struct milter_event *out, const char *what)
{
    m->is_broken = true;
    m->asked = 0;
    *out = (struct milter_event){
        .kind = MILTER_BROKEN,
        .fault = fault_make(451, FAULT_STATUS(4, 7, 1), "the filter said %s", what)};
}

/* The next string; false when there is no whole one. */
static bool take_string(struct str *data, struct str *out)
{
    return str_cut(*data, '\0', out, data);
}

/* Names of macros that are wished for in stages, each list in place of what was there. */
static bool take_wishes(struct milter *m, struct str data)
{
    while (data.n > 0) {
        struct str names;
        if (data.n < LENGTH_OCTETS)
            return false;
        uint32_t stage = get_number(data);
        data = str_skip(data, LENGTH_OCTETS);
        if (!take_string(&data, &names) || stage >= MILTER_STAGES)
            return false;
        m->wishes[stage].used = 0;
        m->has_wishes[stage] = true;
        if (!buf_append(&m->wishes[stage], names))
            return false;
    }
    return true;
}

/* The filter's choice: a version no higher, and nothing that was not offered. */
static void agree(struct milter *m, struct str data, struct milter_event *out)
{
    enum { NUMBERS = 3 * LENGTH_OCTETS };
    if (data.n < NUMBERS) {
        break_off(m, out, "too little to agree");
        return;
    }
    uint32_t version = get_number(data), actions = get_number(str_skip(data, 4));
    uint32_t steps = get_number(str_skip(data, 8)) & ~(uint32_t)MILTER_LIBRARY_STEPS;
    if (version < 2 || version > MILTER_VERSION) {
        break_off(m, out, "a version that nobody offered");
        return;
    }
    if (actions & ~(uint32_t)MILTER_ACTIONS || steps & ~(uint32_t)MILTER_STEPS) {
        break_off(m, out, "that it needs what nobody offered");
        return;
    }
    if (!take_wishes(m, str_skip(data, NUMBERS))) {
        break_off(m, out, "macro names that make no list");
        return;
    }
    m->version = version;
    m->actions = actions;
    m->steps = version == 2 ? steps & STEPS_OF_2 : steps;
    m->is_ready = true;
    m->asked = 0;
    *out = (struct milter_event){.kind = MILTER_READY};
}

static void answer(struct milter *m, struct milter_event *out, enum milter_event_kind kind)
{
    m->asked = 0;
    out->kind = kind;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The text of a reply on one line: the lines of a longer one repeat its code. "%%" is a percent sign. */
static void append_reply_text(struct buf *out, struct str text, struct str code)
{
    struct str line;
    bool is_first = true;
    while (text.n > 0) {
        str_cut(text, '\n', &line, &text);
        line = str_trim(line);
        if (!is_first && str_starts(line, code) && line.n > 3)
            line = str_skip(line, 4);
        struct fault_status status;
        struct str rest;
        if (!is_first && fault_status_parse(line, &status, &rest))
            line = rest;
        if (!is_first)
            buf_append_byte(out, ' ');
        for (size_t i = 0; i < line.n; i++) {
            buf_append_byte(out, line.p[i]);
            i += line.p[i] == '%' && i + 1 < line.n && line.p[i + 1] == '%';
        }
        is_first = false;
    }
}

/* "550 5.7.1 text": a code that refuses, and a class that goes with it. */
static void take_reply(struct milter *m, struct str data, struct milter_event *out)
{
    struct str s, rest;
    bool is_code = take_string(&data, &s) && s.n >= 3 && (s.p[0] == '4' || s.p[0] == '5') &&
                   s.p[1] >= '0' && s.p[1] <= '5' && is_digit(s.p[2]) &&
                   (s.n == 3 || s.p[3] == ' ' || s.p[3] == '-');
    if (!is_code) {
        break_off(m, out, "a reply that is none");
        return;
    }
    unsigned class = (unsigned)(s.p[0] - '0');
    unsigned code = class * 100 + (unsigned)(s.p[1] - '0') * 10 + (unsigned)(s.p[2] - '0');
    struct fault_status status = FAULT_STATUS(4, 7, 1);
    struct str text = str_skip(s, 4);
    if (fault_status_parse(text, &status, &rest)) {
        if (status.class != class) {
            break_off(m, out, "a reply whose codes contradict each other");
            return;
        }
        text = rest;
    }
    status.class = (uint16_t) class;
    struct buf line = buf_make((size_t)2 * MILTER_PACKET_MAX);
    append_reply_text(&line, text, str_head(s, 3));
    answer(m, out, MILTER_REPLY);
    out->fault = line.used > 0
                     ? fault_make(code, status, STR_FMT, STR_ARG(str_head(buf_str(&line), 1000)))
                     : fault_make(code, status, "a filter does not let this through");
    buf_free(&line);
}

static void refuse(struct milter *m, struct milter_event *out, enum milter_event_kind kind)
{
    answer(m, out, kind);
    if (kind == MILTER_REJECT)
        out->fault = fault_make(550, FAULT_STATUS(5, 7, 1), "a filter does not let this through");
    else if (kind == MILTER_TEMPFAIL)
        out->fault = fault_make(451, FAULT_STATUS(4, 7, 1),
                                "a filter does not let this through now, try again later");
    else
        out->fault =
            fault_make(421, FAULT_STATUS(4, 7, 1), "a filter ends this session, try again later");
}

static bool is_field_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7F || s.p[i] == ':')
            return false;
    return s.n > 0;
}

static bool take_field(struct str data, struct milter_event *out)
{
    return take_string(&data, &out->name) && take_string(&data, &out->value) &&
           is_field_name(out->name);
}

static bool take_indexed_field(struct str data, struct milter_event *out)
{
    if (data.n < LENGTH_OCTETS)
        return false;
    out->index = get_number(data);
    return take_field(str_skip(data, LENGTH_OCTETS), out);
}

/* A path and perhaps its parameters. */
static bool take_path(struct str data, struct milter_event *out)
{
    if (!take_string(&data, &out->name))
        return false;
    take_string(&data, &out->value);
    return true;
}

/* The edits: the letter, what must have been agreed, and how its data are read. */
struct edit {
    char letter;
    uint32_t action;
    enum milter_event_kind kind;
    bool (*take)(struct str data, struct milter_event *out);
};

static bool take_all(struct str data, struct milter_event *out)
{
    out->value = data;
    return true;
}

static bool take_reason(struct str data, struct milter_event *out)
{
    return take_string(&data, &out->value);
}

static const struct edit edits[] = {
    {'+', MILTER_MAY_ADD_RCPT, MILTER_ADD_RCPT, take_path},
    {'2', MILTER_MAY_ADD_RCPT_ARGS, MILTER_ADD_RCPT, take_path},
    {'-', MILTER_MAY_DELETE_RCPT, MILTER_DELETE_RCPT, take_path},
    {'b', MILTER_MAY_CHANGE_BODY, MILTER_BODY, take_all},
    {'e', MILTER_MAY_CHANGE_SENDER, MILTER_SET_SENDER, take_path},
    {'h', MILTER_MAY_ADD_HEADERS, MILTER_ADD_FIELD, take_field},
    {'i', MILTER_MAY_ADD_HEADERS, MILTER_INSERT_FIELD, take_indexed_field},
    {'m', MILTER_MAY_CHANGE_HEADERS, MILTER_CHANGE_FIELD, take_indexed_field},
    {'q', MILTER_MAY_QUARANTINE, MILTER_QUARANTINE, take_reason},
};

static void take_edit(struct milter *m, const struct edit *e, struct str data,
                      struct milter_event *out)
{
    if (m->asked != 'E')
        break_off(m, out, "an edit before the end of the message");
    else if (!(m->actions & e->action))
        break_off(m, out, "an edit that was not agreed");
    else if (e->kind != MILTER_BODY && m->edit_count++ >= MILTER_EDITS_MAX)
        break_off(m, out, "too many edits");
    else if (!e->take(data, out))
        break_off(m, out, "an edit that makes no sense");
    else
        out->kind = e->kind;
}

/* Discarding is about a message; skipping about its body. */
static void take_verdict(struct milter *m, char letter, struct milter_event *out)
{
    bool is_early = m->asked == 'C' || m->asked == 'H' || m->asked == 'U';
    switch (letter) {
    case 'c':
        answer(m, out, MILTER_CONTINUE);
        break;
    case 'a':
        answer(m, out, MILTER_ACCEPT);
        break;
    case 'r':
        refuse(m, out, MILTER_REJECT);
        break;
    case 't':
    case 'f':
        refuse(m, out, MILTER_TEMPFAIL);
        break;
    case '4':
        refuse(m, out, MILTER_SHUTDOWN);
        break;
    case 'd':
        if (is_early)
            break_off(m, out, "that it discards what is no message");
        else
            answer(m, out, MILTER_DISCARD);
        break;
    case 's':
        if (m->asked != 'B' || !(m->steps & MILTER_CAN_SKIP)) {
            break_off(m, out, "that it skips what is no body");
            break;
        }
        m->is_skipping = true;
        answer(m, out, MILTER_SKIP);
        break;
    default:
        break_off(m, out, "a word that nobody knows");
    }
}

static void take_packet(struct milter *m, struct str packet, struct milter_event *out)
{
    char letter = packet.p[0];
    struct str data = str_skip(packet, 1);
    if (!m->asked) {
        break_off(m, out, "something without being asked");
        return;
    }
    if (!m->is_ready) {
        if (letter == 'O')
            agree(m, data, out);
        else if (letter != 'l' || !take_wishes(m, data))
            break_off(m, out, "something before it agreed");
        return;
    }
    if (letter == 'p') {
        out->kind = MILTER_PROGRESS;
        return;
    }
    if (letter == 'y') {
        take_reply(m, data, out);
        return;
    }
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++)
        if (edits[i].letter == letter) {
            take_edit(m, &edits[i], data, out);
            return;
        }
    take_verdict(m, letter, out);
}

/* Octets of the packet at hand with its length, or those of the length while that is not known. */
static size_t packet_size(const struct milter *m)
{
    if (m->input.used < LENGTH_OCTETS)
        return LENGTH_OCTETS;
    return LENGTH_OCTETS + (size_t)get_number(buf_str(&m->input));
}

size_t milter_feed(struct milter *m, struct str in, struct milter_event *out)
{
    size_t all = in.n;
    *out = (struct milter_event){.kind = MILTER_MORE};
    if (m->is_consumed) {
        m->input.used = 0;
        m->is_consumed = false;
    }
    while (in.n > 0 && out->kind == MILTER_MORE && !m->is_broken) {
        struct str piece = str_head(in, packet_size(m) - m->input.used);
        buf_append(&m->input, piece);
        in = str_skip(in, piece.n);
        size_t size = packet_size(m);
        if (m->input.used < LENGTH_OCTETS)
            continue;
        if (size == LENGTH_OCTETS)
            break_off(m, out, "nothing at all");
        else if (size > LENGTH_OCTETS + MILTER_PACKET_MAX)
            break_off(m, out, "more at a time than it may");
        else if (m->input.used == size) {
            take_packet(m, str_skip(buf_str(&m->input), LENGTH_OCTETS), out);
            m->is_consumed = out->kind != MILTER_MORE;
            if (!m->is_consumed)
                m->input.used = 0;
        }
    }
    return m->is_broken ? all : all - in.n;
}
