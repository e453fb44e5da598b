/* SPDX-License-Identifier: ISC */
/*
 * fuzz_received.c - what a client says of itself cannot break or forge a trace field
 *
 * The input is a steering octet and then helo, names, id and recipient, each ended by a LF.
 */
#include "mail/received.h"

#include "fuzz.h"
#include "mail/date.h"
#include "mail/header.h"

static struct str take_line(struct str *in)
{
    struct str line;
    str_cut(*in, '\n', &line, in);
    return line;
}

static void check_field(struct str message, const char *name, size_t longest_line)
{
    struct header_iterator i = header_iterate(message);
    struct header_field f;
    must(header_next(&i, &f) && str_equal(f.name, str_from(name)));
    must(f.whole.n == message.n && !header_next(&i, &f) && i.rest.n == 0);
    while (message.n > 0) {
        size_t n = str_find(message, STR("\r\n"));
        must(n < message.n && n <= longest_line);
        for (size_t k = 0; k < n; k++)
            must((unsigned char)message.p[k] >= 0x20 && message.p[k] != 0x7F);
        message = str_skip(message, n + 2);
    }
}

static void check_received(const struct received *r)
{
    struct buf out = buf_make(RECEIVED_FIELD_MAX), value = buf_make(RECEIVED_FIELD_MAX);
    struct header_field f;
    int64_t time;
    must(received_append(&out, r));
    check_field(buf_str(&out), "Received", 998);
    must(header_find(buf_str(&out), STR("received"), &f) && header_unfold(&value, f.value));
    struct str text = buf_str(&value);
    must(str_starts(text, STR("from ")) && str_find(text, STR(" by mx.test ")) < text.n);
    must(date_parse(str_skip(text, str_last_index(text, ';') + 1), &time) && time == r->time);
    must(!str_has_8bit(text) || (r->is_utf8 && r->recipient && r->recipient->is_utf8));
    buf_free(&out);
    buf_free(&value);
}

const struct fuzz_memory fuzz_memory = {.factor = 8, .base = 65536};

void fuzz_one(struct str in)
{
    uint8_t flags = take_octet(&in);
    struct arena arena = arena_make(8192);
    struct received r = {
        .hostname = STR("mx.test"),
        .is_lmtp = flags & 1,
        .is_extended = flags & 2,
        .is_tls = flags & 4,
        .is_authenticated = flags & 8,
        .is_utf8 = flags & 16,
        .time = 1700000000 + flags,
        .offset_minutes = (int)flags * 10 - 1280,
        .helo = take_line(&in),
        .client_name = take_line(&in),
        .client_ip = take_line(&in),
        .tls_version = take_line(&in),
        .tls_cipher = take_line(&in),
        .id = take_line(&in),
    };
    struct address recipient;
    if (address_parse_path(&arena, &in, ADDRESS_ALLOW_NULL | ADDRESS_ALLOW_UTF8, &recipient)) {
        struct buf out = buf_make(RECEIVED_FIELD_MAX);
        r.recipient = &recipient;
        must(received_append_return_path(&out, &recipient));
        check_field(buf_str(&out), "Return-Path", 998);
        buf_free(&out);
    }
    check_received(&r);
    arena_free(&arena);
}
