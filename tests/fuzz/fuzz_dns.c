/* SPDX-License-Identifier: ISC */
/*
 * fuzz_dns.c - a name from a record is written in wire form again as it came; an MX record names a
 * host or is refused
 */
#include "proto/dns.h"

#include "base/buf.h"
#include "base/hostname.h"
#include "fuzz.h"

/* The wire form of the text, label by label; no byte tells how the parser reads. */
static struct buf write_name(struct str text)
{
    struct buf wire = buf_make(1024);
    for (bool has_more = text.n > 0; has_more;) {
        struct str label;
        has_more = str_cut(text, '.', &label, &text);
        must(label.n > 0 && label.n <= 63);
        must(buf_append_byte(&wire, (char)label.n) && buf_append(&wire, label));
    }
    must(buf_append_byte(&wire, '\0'));
    return wire;
}

static void check_name(struct str in, struct arena *arena)
{
    struct str name;
    if (!dns_name_read(in, arena, &name))
        return;
    struct buf wire = write_name(name);
    must(in.n <= 255 && name.n <= 253);
    must(str_equal_nocase(buf_str(&wire), in));
    must(name.n == 0 || name.p[name.n - 1] != '.');
    buf_free(&wire);
}

/* Every name that can be written is read. */
static void check_written(struct str in, struct arena *arena)
{
    struct str name;
    if (!hostname_is_valid(in))
        return;
    struct buf wire = write_name(in);
    must(dns_name_read(buf_str(&wire), arena, &name) && str_equal_nocase(name, in));
    buf_free(&wire);
}

/* What the strings hold, with a length before each, is what was read; and each cut says where it is. */
static void check_text(struct str in, struct arena *arena)
{
    struct str text;
    if (!dns_text_read(in, arena, &text))
        return;
    size_t strings = 0;
    for (struct str rest = in, left = text; rest.n > 0; strings++) {
        size_t length = (unsigned char)rest.p[0];
        must(str_equal(str_head(left, length), str_head(str_skip(rest, 1), length)));
        left = str_skip(left, length);
        rest = str_skip(rest, length + 1);
    }
    must(strings > 0 && text.n + strings == in.n);
}

static void check_tlsa(struct str in)
{
    struct dns_tlsa t;
    bool is_read = dns_tlsa_read(in, &t);
    must(is_read == (in.n > 3 && in.n <= 3 + DNS_TLSA_DATA_MAX));
    if (!is_read)
        return;
    const char head[3] = {(char)t.usage, (char)t.selector, (char)t.matching};
    must(memcmp(head, in.p, 3) == 0 && str_equal(t.data, str_skip(in, 3)));
    must(!dns_tlsa_is_usable(&t) || ((t.usage == 2 || t.usage == 3) && t.selector < 2));
}

/* Each number and the name stand where they came from. */
static void check_service(struct str in, struct arena *arena)
{
    struct dns_srv srv;
    if (!dns_srv_read(in, arena, &srv))
        return;
    struct buf wire = buf_make(1024), name = write_name(srv.host);
    const uint16_t numbers[] = {srv.priority, srv.weight, srv.port};
    for (size_t i = 0; i < 3; i++)
        must(buf_append_byte(&wire, (char)(numbers[i] >> 8)) &&
             buf_append_byte(&wire, (char)(numbers[i] & 0xFF)));
    must(buf_append(&wire, buf_str(&name)) && str_equal_nocase(buf_str(&wire), in));
    buf_free(&wire);
    buf_free(&name);
}

const struct fuzz_memory fuzz_memory = {.factor = 2, .base = 8192};

void fuzz_one(struct str in)
{
    struct arena arena = arena_make(8192 + in.n);
    struct dns_mx mx;
    struct ip_address ip;
    struct str name;
    check_name(in, &arena);
    check_written(in, &arena);
    check_text(in, &arena);
    check_tlsa(in);
    check_service(in, &arena);
    if (dns_mx_read(in, &arena, &mx)) {
        must(dns_name_read(str_skip(in, 2), &arena, &name) && str_equal(name, mx.host));
        must(mx.preference == (uint8_t)in.p[0] * 256 + (uint8_t)in.p[1]);
        must(hostname_is_valid(mx.host) && !ip_parse(mx.host, &ip));
        must(!dns_mx_is_null(in));
    }
    if (dns_mx_is_null(in))
        must(dns_name_read(str_skip(in, 2), &arena, &name) && name.n == 0);
    must(dns_address_read(in, false, &ip) == (in.n == 4));
    if (in.n == 4)
        must(ip_is_v4(&ip) && memcmp(ip.byte + 12, in.p, 4) == 0);
    must(dns_address_read(in, true, &ip) == (in.n == 16));
    if (in.n == 16)
        must(memcmp(ip.byte, in.p, 16) == 0);
    arena_free(&arena);
}
