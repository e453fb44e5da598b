/* SPDX-License-Identifier: ISC */
/*
 * address.c - an e-mail address that has been checked (RFC 5321 4.1.2, 6531 3.3)
 *
 * The parser walks a slice once and collects into two fixed buffers, so that nothing is allocated
 * for input that turns out to be wrong.
 */
#include "mail/address.h"

#include "base/utf8.h"
#include "mail/idna.h"

struct draft {
    char local[ADDRESS_REWRITTEN_MAX];
    size_t local_n;
    size_t local_printed_n; /* with quotes and backslashes */
    char domain[IDNA_DOMAIN_MAX];
    size_t domain_n;
    enum address_kind kind;
};

/* RFC 5322 atext as a set of bits: octets 0..63, then 64..127. */
static bool is_atext(char c)
{
    static const uint64_t set[2] = {0xA3FFACFA00000000U, 0x7FFFFFFFC7FFFFFEU};
    unsigned char octet = (unsigned char)c;
    return octet < 128 && ((set[octet / 64] >> (octet % 64)) & 1);
}

static bool is_ascii_printable(char c)
{
    return c >= 0x20 && c < 0x7F;
}

/* Takes one character above ASCII that is no control character. */
static bool take_utf8(struct str *in, struct str *taken)
{
    uint32_t character;
    struct str before = *in;
    if (!utf8_take(in, &character))
        return false;
    if (character < 0xA0) {
        *in = before;
        return false;
    }
    *taken = str_make(before.p, before.n - in->n);
    return true;
}

static bool add_local(struct draft *d, struct str bytes)
{
    if (bytes.n > sizeof d->local - d->local_n)
        return false;
    memcpy(d->local + d->local_n, bytes.p, bytes.n);
    d->local_n += bytes.n;
    return true;
}

static bool take_quoted(struct str *in, struct draft *d)
{
    *in = str_skip(*in, 1);
    while (in->n > 0 && in->p[0] != '"') {
        struct str taken;
        if (in->p[0] == '\\') {
            *in = str_skip(*in, 1);
            if (in->n == 0 || !is_ascii_printable(in->p[0]))
                return false;
            taken = str_head(*in, 1);
            *in = str_skip(*in, 1);
        } else if (is_ascii_printable(in->p[0])) {
            taken = str_head(*in, 1);
            *in = str_skip(*in, 1);
        } else if (!take_utf8(in, &taken)) {
            return false;
        }
        if (!add_local(d, taken))
            return false;
    }
    if (in->n == 0)
        return false;
    *in = str_skip(*in, 1);
    return true;
}

static bool take_dot_string(struct str *in, struct draft *d)
{
    bool is_atom_empty = true;
    while (in->n > 0) {
        struct str taken;
        if (is_atext(in->p[0]) || (in->p[0] == '.' && !is_atom_empty)) {
            taken = str_head(*in, 1);
            *in = str_skip(*in, 1);
        } else if (!take_utf8(in, &taken)) {
            break;
        }
        is_atom_empty = taken.p[0] == '.';
        if (!add_local(d, taken))
            return false;
    }
    return !is_atom_empty;
}

/* Domain or literal up to the first byte that cannot belong to it. */
static bool take_domain(struct str *in, struct draft *d)
{
    if (in->n > 0 && in->p[0] == '[') {
        size_t end = str_index(*in, ']');
        struct idna_literal literal;
        if (end == in->n || !idna_literal_parse(str_head(*in, end + 1), &literal))
            return false;
        char text[IDNA_LITERAL_MAX];
        d->domain_n = idna_literal_print(&literal, text).n;
        memcpy(d->domain, text, d->domain_n);
        d->kind = ADDRESS_LITERAL;
        *in = str_skip(*in, end + 1);
        return true;
    }
    size_t n = 0;
    while (n < in->n && (unsigned char)in->p[n] > 0x20 && !strchr(">,:@", in->p[n]))
        n++;
    struct str domain = str_head(*in, n);
    if (n > sizeof d->domain || !idna_domain_is_valid(domain, true))
        return false;
    for (size_t i = 0; i < n; i++)
        d->domain[i] = str_lower_byte(domain.p[i]);
    d->domain_n = n;
    d->kind = ADDRESS_DOMAIN;
    *in = str_skip(*in, n);
    return true;
}

static bool is_dot_string(struct str local)
{
    if (local.n == 0 || local.p[0] == '.' || local.p[local.n - 1] == '.')
        return false;
    for (size_t i = 0; i < local.n; i++) {
        if (local.p[i] == '.' && local.p[i + 1] == '.')
            return false;
        if (local.p[i] != '.' && !is_atext(local.p[i]) && !(local.p[i] & 0x80))
            return false;
    }
    return true;
}

static size_t printed_size(struct str local)
{
    if (is_dot_string(local))
        return local.n;
    size_t n = local.n + 2;
    for (size_t i = 0; i < local.n; i++)
        n += local.p[i] == '"' || local.p[i] == '\\';
    return n;
}

/* "@a,@b:" in front of a mailbox; says nothing and is dropped (RFC 5321 appendix C). */
static bool skip_source_route(struct str *in)
{
    struct draft ignored;
    size_t start_n = in->n;
    while (in->n > 0 && in->p[0] == '@' && start_n - in->n < ADDRESS_PATH_MAX) {
        *in = str_skip(*in, 1);
        if (!take_domain(in, &ignored) || in->n == 0)
            return false;
        char next = in->p[0];
        *in = str_skip(*in, 1);
        if (next == ':')
            return true;
        if (next != ',')
            return false;
    }
    return false;
}

/* SRS0 or SRS1, and a separator. */
static bool is_rewritten(struct str local)
{
    return local.n > 4 &&
           (str_starts_nocase(local, STR("SRS0")) || str_starts_nocase(local, STR("SRS1"))) &&
           (local.p[4] == '=' || local.p[4] == '+' || local.p[4] == '-');
}

static bool take_mailbox(struct str *in, unsigned allow, struct draft *d)
{
    if (in->n == 0 || !(in->p[0] == '"' ? take_quoted(in, d) : take_dot_string(in, d)))
        return false;
    d->local_printed_n = printed_size(str_make(d->local, d->local_n));
    struct str local = str_make(d->local, d->local_n);
    if (d->local_printed_n > (is_rewritten(local) ? ADDRESS_REWRITTEN_MAX : ADDRESS_LOCAL_MAX))
        return false;
    if (in->n > 0 && in->p[0] == '@') {
        *in = str_skip(*in, 1);
        if (!take_domain(in, d) || d->local_printed_n + 1 + d->domain_n + 2 > ADDRESS_PATH_MAX)
            return false;
    } else {
        if (!(allow & ADDRESS_ALLOW_POSTMASTER) ||
            !str_equal_nocase(str_make(d->local, d->local_n), STR("postmaster")))
            return false;
        d->kind = ADDRESS_POSTMASTER;
    }
    return true;
}

static bool finish(struct arena *arena, const struct draft *d, unsigned allow, struct address *out)
{
    struct str local = str_make(d->local, d->local_n), domain = str_make(d->domain, d->domain_n);
    bool is_utf8 = str_has_8bit(local) || str_has_8bit(domain);
    if (is_utf8 && !(allow & ADDRESS_ALLOW_UTF8))
        return false;
    char *memory = arena_try(arena, local.n + domain.n + 1);
    if (!memory)
        return false;
    memcpy(memory, local.p, local.n);
    memcpy(memory + local.n, domain.p, domain.n);
    *out = (struct address){
        .kind = d->kind,
        .is_utf8 = is_utf8,
        .local = str_make(memory, local.n),
        .domain = str_make(memory + local.n, domain.n),
    };
    return true;
}

bool address_parse_path(struct arena *arena, struct str *input, unsigned allow, struct address *out)
{
    struct str in = *input;
    if (in.n < 2 || in.p[0] != '<')
        return false;
    in = str_skip(in, 1);
    if (in.p[0] == '>') {
        if (!(allow & ADDRESS_ALLOW_NULL))
            return false;
        *out = (struct address){.kind = ADDRESS_NULL, .is_null = true};
        *input = str_skip(in, 1);
        return true;
    }
    if (in.p[0] == '@' && !skip_source_route(&in))
        return false;
    struct draft d;
    d.local_n = d.domain_n = 0;
    if (!take_mailbox(&in, allow, &d) || in.n == 0 || in.p[0] != '>' ||
        !finish(arena, &d, allow, out))
        return false;
    *input = str_skip(in, 1);
    return true;
}

bool address_parse(struct arena *arena, struct str text, unsigned allow, struct address *out)
{
    if (text.n == 0) {
        if (allow & ADDRESS_ALLOW_NULL)
            *out = (struct address){.kind = ADDRESS_NULL, .is_null = true};
        return (allow & ADDRESS_ALLOW_NULL) != 0;
    }
    struct draft d;
    d.local_n = d.domain_n = 0;
    return take_mailbox(&text, allow, &d) && text.n == 0 && finish(arena, &d, allow, out);
}

struct address address_copy(struct arena *arena, const struct address *a)
{
    struct address copy = *a;
    copy.local = arena_copy(arena, a->local);
    copy.domain = arena_copy(arena, a->domain);
    return copy;
}

static bool print_local(struct buf *out, struct str local)
{
    if (is_dot_string(local))
        return buf_append(out, local);
    bool fits = buf_append_byte(out, '"');
    for (size_t i = 0; i < local.n && fits; i++) {
        if (local.p[i] == '"' || local.p[i] == '\\')
            fits = buf_append_byte(out, '\\');
        fits = fits && buf_append_byte(out, local.p[i]);
    }
    return fits && buf_append_byte(out, '"');
}

bool address_print(struct buf *out, const struct address *a)
{
    size_t start = out->used;
    if (a->kind == ADDRESS_NULL)
        return true;
    bool fits = print_local(out, a->local);
    if (a->kind != ADDRESS_POSTMASTER)
        fits = fits && buf_append_byte(out, '@') && buf_append(out, a->domain);
    if (!fits)
        out->used = start;
    return fits;
}

bool address_print_path(struct buf *out, const struct address *a)
{
    size_t start = out->used;
    if (buf_append_byte(out, '<') && address_print(out, a) && buf_append_byte(out, '>'))
        return true;
    out->used = start;
    return false;
}

struct str address_text(struct arena *arena, const struct address *a)
{
    struct buf text = buf_make(ADDRESS_PATH_MAX);
    address_print(&text, a);
    struct str copy = arena_copy(arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

bool address_equal(const struct address *a, const struct address *b)
{
    return a->kind == b->kind && str_equal(a->local, b->local) && idna_equal(a->domain, b->domain);
}
