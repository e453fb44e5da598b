/* SPDX-License-Identifier: ISC */
/*
 * milter.c - the mail server's side of the milter protocol, versions 2 to 6, without any I/O
 *
 * A packet is its length in four octets, a command and data; strings end with NUL. There is no RFC:
 * numbers and letters are those of libmilter.
 */
#include "proto/milter.h"

#include <assert.h>

enum {
    LENGTH_OCTETS = 4,
    OUTPUT_MAX = 1 << 20,
};

static bool put_number(struct buf *out, uint32_t n)
{
    const char octets[] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
    return buf_append(out, str_make(octets, sizeof octets));
}

/* Begins a packet; gives where, for end_packet. */
static size_t begin_packet(struct milter *m, char command)
{
    size_t start = m->output.used;
    bool fits = put_number(&m->output, 0) && buf_append_byte(&m->output, command);
    assert(fits);
    return start;
}

static void end_packet(struct milter *m, size_t start)
{
    uint32_t n = (uint32_t)(m->output.used - start - LENGTH_OCTETS);
    for (unsigned i = 0; i < LENGTH_OCTETS; i++)
        m->output.data[start + i] = (char)(n >> (24 - 8 * i));
}

/* Puts a string: a NUL inside would end it for the filter, and the line ends are those of its world. */
static void put_string(struct milter *m, struct str s)
{
    struct buf *out = &m->output;
    bool fits = buf_reserve(out, s.n + 1);
    assert(fits);
    for (size_t i = 0; i < s.n; i++) {
        bool is_line_end = s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n';
        if (!is_line_end)
            out->data[out->used++] = s.p[i] ? s.p[i] : '?';
    }
    out->data[out->used++] = '\0';
}

/* The command waits for its answer unless the filter gives none. */
static void await(struct milter *m, char command, uint32_t mute)
{
    assert(!m->asked && m->is_ready);
    if (!(m->steps & mute))
        m->asked = command;
}

static bool is_wished(const struct milter *m, enum milter_stage stage,
                      const struct milter_macro *macro)
{
    struct str rest = buf_str(&m->wishes[stage]), wish, wanted = str_from(macro->name);
    if (!m->has_wishes[stage])
        return macro->stages & 1U << stage;
    /* "{i}" and "i" are the same macro. */
    if (wanted.n == 3 && wanted.p[0] == '{')
        wanted = str_make(wanted.p + 1, 1);
    while ((wish = str_word(&rest)).n > 0) {
        if (wish.n == 3 && wish.p[0] == '{')
            wish = str_make(wish.p + 1, 1);
        if (str_equal(wish, wanted))
            return true;
    }
    return false;
}

static void put_macros(struct milter *m, char command, enum milter_stage stage,
                       struct milter_macros macros)
{
    bool has_any = false;
    size_t start = m->output.used;
    begin_packet(m, 'D');
    buf_append_byte(&m->output, command);
    for (size_t i = 0; i < macros.count; i++) {
        const struct milter_macro *macro = &macros.item[i];
        if (macro->value.n == 0 || !is_wished(m, stage, macro))
            continue;
        put_string(m, str_from(macro->name));
        put_string(m, str_head(macro->value, MILTER_VALUE_MAX));
        has_any = true;
    }
    if (has_any)
        end_packet(m, start);
    else
        m->output.used = start;
}

void milter_begin(struct milter *m)
{
    *m = (struct milter){.output = buf_make(OUTPUT_MAX),
                         .input = buf_make(LENGTH_OCTETS + MILTER_PACKET_MAX),
                         .asked = 'O'};
    for (size_t i = 0; i < MILTER_STAGES; i++)
        m->wishes[i] = buf_make(MILTER_WISHES_MAX);
    size_t start = begin_packet(m, 'O');
    put_number(&m->output, MILTER_VERSION);
    put_number(&m->output, MILTER_ACTIONS);
    put_number(&m->output, MILTER_STEPS);
    end_packet(m, start);
}

void milter_free(struct milter *m)
{
    buf_free(&m->output);
    buf_free(&m->input);
    for (size_t i = 0; i < MILTER_STAGES; i++)
        buf_free(&m->wishes[i]);
}

bool milter_is_waiting(const struct milter *m)
{
    return m->asked != 0;
}

bool milter_wants(const struct milter *m, enum milter_step step)
{
    uint32_t since = step == MILTER_NO_DATA ? 4 : step == MILTER_NO_UNKNOWN ? 3 : 2;
    return m->version >= since && !(m->steps & (uint32_t)step);
}

bool milter_wants_body(const struct milter *m)
{
    return !m->is_skipping && milter_wants(m, MILTER_NO_BODY);
}

void milter_connect(struct milter *m, struct str name, char family, uint16_t port,
                    struct str address, struct milter_macros macros)
{
    if (!milter_wants(m, MILTER_NO_CONNECT))
        return;
    put_macros(m, 'C', MILTER_CONNECT, macros);
    size_t start = begin_packet(m, 'C');
    put_string(m, name);
    buf_append_byte(&m->output, family);
    if (family != 'U') {
        buf_append_byte(&m->output, (char)(port >> 8));
        buf_append_byte(&m->output, (char)port);
        put_string(m, address);
    }
    end_packet(m, start);
    await(m, 'C', MILTER_MUTE_CONNECT);
}

static void say_words(struct milter *m, char command, const struct str *words, size_t count,
                      uint32_t mute)
{
    size_t start = begin_packet(m, command);
    for (size_t i = 0; i < count; i++)
        put_string(m, words[i]);
    end_packet(m, start);
    await(m, command, mute);
}

void milter_helo(struct milter *m, struct str name, struct milter_macros macros)
{
    if (!milter_wants(m, MILTER_NO_HELO))
        return;
    put_macros(m, 'H', MILTER_HELO, macros);
    say_words(m, 'H', &name, 1, MILTER_MUTE_HELO);
}

static void begin_message(struct milter *m)
{
    m->is_skipping = false;
    m->edit_count = 0;
}

void milter_mail(struct milter *m, const struct str *words, size_t count,
                 struct milter_macros macros)
{
    begin_message(m);
    if (!milter_wants(m, MILTER_NO_MAIL))
        return;
    put_macros(m, 'M', MILTER_MAIL, macros);
    say_words(m, 'M', words, count, MILTER_MUTE_MAIL);
}

void milter_rcpt(struct milter *m, const struct str *words, size_t count,
                 struct milter_macros macros)
{
    if (!milter_wants(m, MILTER_NO_RCPT))
        return;
    put_macros(m, 'R', MILTER_RCPT, macros);
    say_words(m, 'R', words, count, MILTER_MUTE_RCPT);
}

void milter_data(struct milter *m, struct milter_macros macros)
{
    if (!milter_wants(m, MILTER_NO_DATA))
        return;
    put_macros(m, 'T', MILTER_DATA, macros);
    say_words(m, 'T', NULL, 0, MILTER_MUTE_DATA);
}

void milter_unknown(struct milter *m, struct str command)
{
    if (milter_wants(m, MILTER_NO_UNKNOWN))
        say_words(m, 'U', &command, 1, MILTER_MUTE_UNKNOWN);
}

void milter_field(struct milter *m, struct str name, struct str value)
{
    if (!milter_wants(m, MILTER_NO_HEADERS))
        return;
    if (!(m->steps & MILTER_LEADING_SPACE) && value.n > 0 && value.p[0] == ' ')
        value = str_skip(value, 1);
    const struct str words[] = {str_head(name, MILTER_VALUE_MAX),
                                str_head(value, MILTER_VALUE_MAX)};
    say_words(m, 'L', words, 2, MILTER_MUTE_HEADER);
}

void milter_end_of_header(struct milter *m, struct milter_macros macros)
{
    if (!milter_wants(m, MILTER_NO_END_OF_HEADER))
        return;
    put_macros(m, 'N', MILTER_END_OF_HEADER, macros);
    say_words(m, 'N', NULL, 0, MILTER_MUTE_END_OF_HEADER);
}

void milter_body(struct milter *m, struct str chunk)
{
    assert(chunk.n <= MILTER_CHUNK_MAX);
    if (!milter_wants_body(m))
        return;
    size_t start = begin_packet(m, 'B');
    buf_append(&m->output, chunk);
    end_packet(m, start);
    await(m, 'B', MILTER_MUTE_BODY);
}

void milter_end(struct milter *m, struct milter_macros macros)
{
    put_macros(m, 'E', MILTER_END, macros);
    say_words(m, 'E', NULL, 0, 0);
}

static void say_alone(struct milter *m, char command)
{
    end_packet(m, begin_packet(m, command));
}

void milter_abort(struct milter *m)
{
    assert(!m->asked);
    say_alone(m, 'A');
    begin_message(m);
}

void milter_quit(struct milter *m)
{
    say_alone(m, 'Q');
}

struct str milter_output(const struct milter *m)
{
    return buf_str(&m->output);
}

void milter_sent(struct milter *m, size_t n)
{
    buf_consume(&m->output, n);
}
