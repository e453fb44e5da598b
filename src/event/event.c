/* SPDX-License-Identifier: ISC */
/*
 * event.c - one decision as one JSON line
 */
#include "event/event.h"

#include <assert.h>

#include "base/num.h"
#include "base/time.h"
#include "base/utf8.h"
#include "os/clock.h"

/* What must still fit behind the last field. */
#define CLOSING ",\"cut\":true}\n"
enum { ROOM = EVENT_LINE_MAX - (int)sizeof CLOSING };

static bool put(struct event *e, struct str s)
{
    if (s.n > ROOM - e->n)
        return false;
    memcpy(e->line + e->n, s.p, s.n);
    e->n += s.n;
    return true;
}

static bool put_name(struct event *e, const char *name)
{
    return put(e, STR(",\"")) && put(e, str_from(name)) && put(e, STR("\":"));
}

static void put_digits(char *to, unsigned value, unsigned count)
{
    while (count > 0) {
        to[--count] = (char)('0' + value % 10);
        value /= 10;
    }
}

void event_begin(struct event *e, struct event_log *log, const char *name)
{
    char time[] = "{\"time\":\"0000-00-00T00:00:00.000Z\",\"event\":\"";
    char *to = time + 9;
    int64_t now_ms = clock_real_ms();
    struct time_parts t = time_split(now_ms / 1000);
    put_digits(to, (unsigned)t.year, 4);
    put_digits(to + 5, t.month, 2);
    put_digits(to + 8, t.day, 2);
    put_digits(to + 11, t.hour, 2);
    put_digits(to + 14, t.minute, 2);
    put_digits(to + 17, t.second, 2);
    put_digits(to + 20, (unsigned)(now_ms % 1000), 3);
    e->log = log;
    e->n = 0;
    e->is_full = false;
    bool is_put = put(e, str_from(time)) && put(e, str_from(name)) && put(e, STR("\""));
    assert(is_put);
}

/* Bytes at the front of s that stand in a JSON string as they are. */
static size_t plain_length(struct str s)
{
    size_t n = 0;
    while (n < s.n && (unsigned char)s.p[n] >= 0x20 && (unsigned char)s.p[n] < 0x7F &&
           s.p[n] != '"' && s.p[n] != '\\')
        n++;
    return n;
}

/* Puts the one character at the front of *s that plain_length stopped at. */
static bool put_special(struct event *e, struct str *s)
{
    static const char hex[] = "0123456789abcdef";
    struct str before = *s;
    unsigned char c = (unsigned char)s->p[0];
    uint32_t character;
    if (c == '"' || c == '\\') {
        char escaped[2] = {'\\', (char)c};
        *s = str_skip(*s, 1);
        return put(e, str_make(escaped, 2));
    }
    if (!utf8_take(s, &character)) {
        *s = str_skip(*s, 1);
        return put(e, STR("\xEF\xBF\xBD"));
    }
    if (utf8_is_control(character)) {
        char escaped[6] = {'\\',
                           'u',
                           hex[character >> 12 & 15],
                           hex[character >> 8 & 15],
                           hex[character >> 4 & 15],
                           hex[character & 15]};
        return put(e, str_make(escaped, 6));
    }
    return put(e, str_head(before, before.n - s->n));
}

static bool put_string(struct event *e, struct str text)
{
    bool is_cut = text.n > EVENT_TEXT_MAX, is_good = put(e, STR("\""));
    if (is_cut) {
        text.n = EVENT_TEXT_MAX;
        while (text.n > 0 && ((unsigned char)text.p[text.n] & 0xC0) == 0x80)
            text.n--;
    }
    while (text.n > 0 && is_good) {
        size_t n = plain_length(text);
        is_good = put(e, str_head(text, n));
        text = str_skip(text, n);
        if (text.n > 0 && is_good)
            is_good = put_special(e, &text);
    }
    return is_good && put(e, is_cut ? STR("...\"") : STR("\""));
}

/* Takes a field that did not fit out again. */
static void settle(struct event *e, size_t start, bool is_good)
{
    if (is_good)
        return;
    e->n = start;
    e->is_full = true;
}

void event_text(struct event *e, const char *name, struct str text)
{
    size_t start = e->n;
    settle(e, start, put_name(e, name) && put_string(e, text));
}

void event_number(struct event *e, const char *name, int64_t number)
{
    char digits[NUM_DECIMAL_MAX];
    size_t start = e->n;
    settle(e, start, put_name(e, name) && put(e, num_format(number, digits)));
}

void event_flag(struct event *e, const char *name, bool flag)
{
    size_t start = e->n;
    settle(e, start, put_name(e, name) && put(e, flag ? STR("true") : STR("false")));
}

void event_fault(struct event *e, const struct fault *f)
{
    event_text(e, "outcome", str_from(fault_kind_name(f->kind)));
    if (f->reply > 0)
        event_number(e, "reply", f->reply);
    if (f->status.class > 0) {
        size_t start = e->n;
        char digits[NUM_DECIMAL_MAX];
        bool is_good = put_name(e, "status") && put(e, STR("\"")) &&
                       put(e, num_format(f->status.class, digits)) && put(e, STR(".")) &&
                       put(e, num_format(f->status.subject, digits)) && put(e, STR(".")) &&
                       put(e, num_format(f->status.detail, digits)) && put(e, STR("\""));
        settle(e, start, is_good);
    }
    if (f->text[0])
        event_text(e, "text", fault_text(f));
    if (f->is_answer)
        event_flag(e, "answer", true);
}

void event_end(struct event *e)
{
    struct str closing = e->is_full ? STR(CLOSING) : STR("}\n");
    assert(e->n + closing.n <= sizeof e->line);
    memcpy(e->line + e->n, closing.p, closing.n);
    event_log_add(e->log, str_make(e->line, e->n + closing.n));
}
