/* SPDX-License-Identifier: ISC */
/*
 * smtp_params.c - the arguments of MAIL and RCPT
 *
 * One row per parameter; a repeated or malformed one is 501, an unknown one 555 (RFC
 * 5321 4.1.1.11).
 */
#include "proto/smtp_params.h"

#include "base/encode.h"
#include "base/num.h"
#include "base/utf8.h"

enum { AUTH_VALUE_MAX = 500 };

struct reader {
    struct arena *arena;
    struct smtp_mail *mail;
    struct smtp_rcpt *rcpt;
};

struct parameter {
    struct str name;
    bool is_known;
    bool (*read)(struct reader *r, bool has_value, struct str value);
};

static struct fault syntax_fault(struct str what)
{
    return fault_make(501, FAULT_STATUS(5, 5, 4), "Syntax error in " STR_FMT, STR_ARG(what));
}

static bool read_size(struct reader *r, bool has_value, struct str value)
{
    (void)has_value;
    return value.n <= 20 && num_parse(value, UINT64_MAX, &r->mail->size);
}

static bool read_body(struct reader *r, bool has_value, struct str value)
{
    (void)has_value;
    r->mail->is_8bit = str_equal_nocase(value, STR("8BITMIME"));
    return r->mail->is_8bit || str_equal_nocase(value, STR("7BIT"));
}

static bool read_smtputf8(struct reader *r, bool has_value, struct str value)
{
    (void)value;
    r->mail->is_utf8 = true;
    return !has_value;
}

static bool read_requiretls(struct reader *r, bool has_value, struct str value)
{
    (void)value;
    r->mail->is_tls_required = true;
    return !has_value;
}

static bool read_ret(struct reader *r, bool has_value, struct str value)
{
    (void)has_value;
    bool is_full = str_equal_nocase(value, STR("FULL"));
    r->mail->ret = is_full ? DSN_RETURN_FULL : DSN_RETURN_HEADERS;
    return is_full || str_equal_nocase(value, STR("HDRS"));
}

/* Decodes xtext of at most limit octets into the arena. */
static bool decode(struct arena *arena, struct str value, size_t limit, struct str *decoded)
{
    if (value.n == 0 || value.n > limit)
        return false;
    struct buf plain = buf_make(limit);
    bool is_valid = decode_xtext(&plain, value);
    char *memory = is_valid ? arena_try(arena, plain.used + 1) : NULL;
    if (memory && plain.used > 0) {
        memcpy(memory, plain.data, plain.used);
        *decoded = str_make(memory, plain.used);
    }
    buf_free(&plain);
    return memory != NULL;
}

static bool read_envid(struct reader *r, bool has_value, struct str value)
{
    (void)has_value;
    struct str plain = STR_NONE;
    r->mail->envid = value;
    return decode(r->arena, value, DSN_ENVID_MAX, &plain) && str_is_printable(plain);
}

static bool read_auth(struct reader *r, bool has_value, struct str value)
{
    (void)has_value;
    return decode(r->arena, value, AUTH_VALUE_MAX, &r->mail->auth);
}

static bool read_notify(struct reader *r, bool has_value, struct str value)
{
    const struct {
        struct str name;
        enum dsn_notify bit;
    } words[] = {{STR("NEVER"), DSN_NOTIFY_NEVER},
                 {STR("SUCCESS"), DSN_NOTIFY_SUCCESS},
                 {STR("FAILURE"), DSN_NOTIFY_FAILURE},
                 {STR("DELAY"), DSN_NOTIFY_DELAY}};
    bool has_more = has_value;
    while (has_more) {
        struct str word;
        size_t i = 0;
        has_more = str_cut(value, ',', &word, &value);
        while (i < 4 && !str_equal_nocase(word, words[i].name))
            i++;
        if (i == 4 || (r->rcpt->notify & words[i].bit))
            return false;
        r->rcpt->notify |= words[i].bit;
    }
    unsigned set = r->rcpt->notify;
    return set != 0 && (!(set & DSN_NOTIFY_NEVER) || set == DSN_NOTIFY_NEVER);
}

/* "type;xtext"; the address of type utf-8 may be UTF-8 as well (RFC 6533 section 3). */
static bool read_orcpt(struct reader *r, bool has_value, struct str value)
{
    (void)has_value;
    struct str type, address, plain = STR_NONE;
    if (value.n > DSN_ORCPT_MAX || !str_cut(value, ';', &type, &address) || type.n == 0)
        return false;
    for (size_t i = 0; i < type.n; i++) {
        char c = type.p[i];
        if (!(c == '-' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')))
            return false;
    }
    r->rcpt->orcpt = value;
    if (str_equal_nocase(type, STR("utf-8")))
        return address.n > 0 && utf8_is_valid(address);
    return decode(r->arena, address, DSN_ORCPT_MAX, &plain) && utf8_is_valid(plain);
}

/* Reads " NAME=value NAME ..." by the table of count rows. */
static struct fault read_all(struct reader *r, const struct parameter *table, size_t count,
                             struct str text)
{
    unsigned seen = 0;
    if (text.n > 0 && text.p[0] != ' ')
        return fault_make(501, FAULT_STATUS(5, 5, 4), "Blank missing behind the address");
    for (struct str word = str_word(&text); word.n > 0; word = str_word(&text)) {
        struct str name, value;
        size_t i = 0;
        bool has_value = str_cut(word, '=', &name, &value);
        while (i < count && !(table[i].is_known && str_equal_nocase(name, table[i].name)))
            i++;
        if (i == count)
            return fault_make(555, FAULT_STATUS(5, 5, 4), "Unknown parameter");
        if (seen & (1U << i))
            return fault_make(501, FAULT_STATUS(5, 5, 4), "Repeated parameter " STR_FMT,
                              STR_ARG(table[i].name));
        seen |= 1U << i;
        if (!table[i].read(r, has_value, value))
            return syntax_fault(table[i].name);
    }
    return FINE;
}

/* Takes "FROM:" or "TO:" and blanks behind it, which the grammar forbids and people type. */
static bool take_prefix(struct str *text, struct str prefix)
{
    if (!str_starts_nocase(*text, prefix))
        return false;
    *text = str_skip(*text, prefix.n);
    while (text->n > 0 && text->p[0] == ' ')
        *text = str_skip(*text, 1);
    return true;
}

static struct fault utf8_fault(void)
{
    return fault_make(553, FAULT_STATUS(5, 6, 7), "This address needs SMTPUTF8");
}

struct fault smtp_params_mail(const struct smtp_server_options *options, bool is_extended,
                              bool is_tls, bool is_auth_offered, struct arena *arena,
                              struct str text, struct smtp_mail *out)
{
    const struct parameter table[] = {
        {STR("SIZE"), is_extended, read_size},
        {STR("BODY"), is_extended, read_body},
        {STR("SMTPUTF8"), is_extended && options->has_smtputf8, read_smtputf8},
        {STR("RET"), is_extended && options->has_dsn, read_ret},
        {STR("ENVID"), is_extended && options->has_dsn, read_envid},
        {STR("AUTH"), is_extended && is_auth_offered, read_auth},
        {STR("REQUIRETLS"), is_extended && options->has_requiretls && is_tls, read_requiretls},
    };
    *out = (struct smtp_mail){.size = 0};
    struct reader r = {.arena = arena, .mail = out};
    if (!take_prefix(&text, STR("FROM:")))
        return syntax_fault(STR("MAIL FROM:<address>"));
    if (!address_parse_path(arena, &text, ADDRESS_ALLOW_NULL | ADDRESS_ALLOW_UTF8, &out->sender))
        return fault_make(501, FAULT_STATUS(5, 1, 7), "Bad sender address syntax");
    struct fault f = read_all(&r, table, sizeof table / sizeof *table, text);
    if (f.kind)
        return f;
    if (out->sender.is_utf8 && !out->is_utf8)
        return utf8_fault();
    if (options->size_limit > 0 && out->size > options->size_limit)
        return fault_make(552, FAULT_STATUS(5, 3, 4), "Message too large, the limit is %llu octets",
                          (unsigned long long)options->size_limit);
    return FINE;
}

struct fault smtp_params_rcpt(const struct smtp_server_options *options, bool is_extended,
                              bool is_utf8, struct arena *arena, struct str text,
                              struct smtp_rcpt *out)
{
    const struct parameter table[] = {
        {STR("NOTIFY"), is_extended && options->has_dsn, read_notify},
        {STR("ORCPT"), is_extended && options->has_dsn, read_orcpt},
    };
    *out = (struct smtp_rcpt){.notify = 0};
    struct reader r = {.arena = arena, .rcpt = out};
    if (!take_prefix(&text, STR("TO:")))
        return syntax_fault(STR("RCPT TO:<address>"));
    if (!address_parse_path(arena, &text, ADDRESS_ALLOW_POSTMASTER | ADDRESS_ALLOW_UTF8,
                            &out->address))
        return fault_make(501, FAULT_STATUS(5, 1, 3), "Bad recipient address syntax");
    struct fault f = read_all(&r, table, sizeof table / sizeof *table, text);
    if (f.kind)
        return f;
    return (out->address.is_utf8 || str_has_8bit(out->orcpt)) && !is_utf8 ? utf8_fault() : FINE;
}
