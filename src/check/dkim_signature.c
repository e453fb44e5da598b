/* SPDX-License-Identifier: ISC */
/*
 * dkim_signature.c - the fields that hold signatures (RFC 6376 3.5, 6.1.1, RFC 8617 4.1)
 *
 * One function reads each tag, in the order of the RFC, into what has been read so far; the first that finds something
 * wrong ends the reading.
 */
#include "check/dkim_signature.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/num.h"
#include "check/tag_list.h"
#include "mail/idna.h"

enum {
    NAME_MAX_OCTETS = 253,
    LABEL_MAX = 63,
    BASE64_MAX = 1024,
    LENGTH_DIGITS = 76,
    TIME_DIGITS = 12
};

struct reading {
    const struct tag_list *list;
    enum dkim_form form;
    struct arena *arena;
    struct dkim_signature *out;
};

static const struct dkim_finding NO_FINDING = {DKIM_NONE, ""};

static struct dkim_finding unreadable(const char *reason)
{
    return (struct dkim_finding){DKIM_NEUTRAL, reason};
}

static struct dkim_finding permanent(const char *reason)
{
    return (struct dkim_finding){DKIM_PERMERROR, reason};
}

static struct dkim_finding policy(const char *reason)
{
    return (struct dkim_finding){DKIM_POLICY, reason};
}

static struct dkim_finding read_version(const struct reading *r)
{
    const struct tag *v = tag_list_find(r->list, "v");
    if (r->form != DKIM_SIGNATURE)
        return NO_FINDING;
    return v && str_equal(v->value, STR("1")) ? NO_FINDING : unreadable("v= is not 1");
}

static bool is_label_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* Labels of letters, digits, hyphens and, as selectors often have them, underscores. */
static bool is_ascii_name(struct str name)
{
    size_t label = 0;
    if (name.n > NAME_MAX_OCTETS)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '.' ? label == 0 : !is_label_character(name.p[i]) || label == LABEL_MAX)
            return false;
        label = name.p[i] == '.' ? 0 : label + 1;
    }
    return label > 0;
}

/* The name as lower-case A-labels (RFC 8616 4); empty when it is none. */
static struct str spell(struct str name, struct arena *arena)
{
    char ascii[IDNA_DOMAIN_MAX];
    if (str_has_8bit(name))
        return arena_copy(arena, idna_to_ascii(name, ascii));
    if (!is_ascii_name(name))
        return STR_NONE;
    for (size_t i = 0; i < name.n; i++)
        ascii[i] = str_lower_byte(name.p[i]);
    return arena_copy(arena, str_make(ascii, name.n));
}

static struct dkim_finding read_domain(const struct reading *r)
{
    const struct tag *d = tag_list_find(r->list, "d"), *s = tag_list_find(r->list, "s");
    if (!d || !s)
        return unreadable("d= or s= is missing");
    r->out->domain = spell(d->value, r->arena);
    r->out->selector = spell(s->value, r->arena);
    if (!str_has(r->out->domain, '.'))
        return unreadable("d= is no domain name");
    return r->out->selector.n > 0 ? NO_FINDING : unreadable("s= is no name");
}

static struct dkim_finding read_algorithm(const struct reading *r)
{
    const struct tag *a = tag_list_find(r->list, "a");
    if (!a)
        return unreadable("a= is missing");
    r->out->kind = DKIM_KEY_RSA;
    if (str_equal(a->value, STR("rsa-sha256"))) {
        r->out->algorithm = "rsa-sha256";
    } else if (str_equal(a->value, STR("ed25519-sha256"))) {
        r->out->algorithm = "ed25519-sha256";
        r->out->kind = DKIM_KEY_ED25519;
    } else if (str_equal(a->value, STR("rsa-sha1"))) {
        r->out->algorithm = "rsa-sha1";
        return policy("rsa-sha1 is not relied on (RFC 8301)");
    } else {
        return unreadable("a= is an unknown algorithm");
    }
    return NO_FINDING;
}

static bool read_canon(struct str name, enum dkim_canon *out)
{
    *out = str_equal(name, STR("relaxed")) ? DKIM_RELAXED : DKIM_SIMPLE;
    return *out == DKIM_RELAXED || str_equal(name, STR("simple"));
}

static struct dkim_finding read_canons(const struct reading *r)
{
    const struct tag *c = tag_list_find(r->list, "c");
    struct str header = c ? c->value : STR("simple"), body = STR("simple");
    r->out->header_canon = DKIM_RELAXED;
    if (r->form == DKIM_ARC_SEAL)
        return NO_FINDING;
    if (str_has(header, '/'))
        str_cut(header, '/', &header, &body);
    if (!read_canon(header, &r->out->header_canon) || !read_canon(body, &r->out->body_canon))
        return unreadable("c= is an unknown canonical form");
    return NO_FINDING;
}

static bool decode(const struct tag *tag, struct arena *arena, struct str *text, struct str *out)
{
    if (!tag || tag->value.n == 0)
        return false;
    size_t most = tag->value.n < BASE64_MAX ? tag->value.n : BASE64_MAX;
    struct buf joined = arena_buf(arena, most), octets = arena_buf(arena, most / 4 * 3);
    bool is_good = tag_value_join(&joined, tag->value) && decode_base64(&octets, buf_str(&joined));
    *text = buf_str(&joined);
    *out = buf_str(&octets);
    return is_good;
}

static struct dkim_finding read_hashes(const struct reading *r)
{
    const struct tag *b = tag_list_find(r->list, "b");
    struct str ignored;
    if (!decode(b, r->arena, &r->out->text, &r->out->signature))
        return unreadable("b= is missing or not base64");
    r->out->left_out = b->whole;
    if (r->form == DKIM_ARC_SEAL)
        return NO_FINDING;
    if (!decode(tag_list_find(r->list, "bh"), r->arena, &ignored, &r->out->body_hash))
        return unreadable("bh= is missing or not base64");
    return NO_FINDING;
}

static bool is_field_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] >= 0x7F)
            return false;
    return name.n > 0;
}

/* Sealers are told to sign no field of ARC with the message (RFC 8617 4.1.2), but many sign the results, which does no
 * harm; a seal that covers a signature cannot be covered by it. */
static struct dkim_finding read_names(const struct reading *r)
{
    const struct tag *h = tag_list_find(r->list, "h");
    bool has_from = false, has_seal = false;
    size_t count = 0;
    if (r->form == DKIM_ARC_SEAL)
        return NO_FINDING;
    if (!h)
        return unreadable("h= is missing");
    struct str rest = h->value, name;
    r->out->names = h->value;
    while (tag_item_next(&rest, ':', &name)) {
        if (!is_field_name(name))
            return unreadable("h= is no list of field names");
        if (count++ == DKIM_NAMES_MAX)
            return policy("h= has more than 500 names");
        has_from |= str_equal_nocase(name, STR("From"));
        has_seal |= str_equal_nocase(name, STR("ARC-Seal"));
    }
    if (r->form == DKIM_ARC_MESSAGE && has_seal)
        return permanent("an ARC-Seal is signed");
    return has_from ? NO_FINDING : permanent("From is not signed");
}

static bool is_below(struct str name, struct str domain)
{
    return str_ends_nocase(name, domain) &&
           (name.n == domain.n || name.p[name.n - domain.n - 1] == '.');
}

/* i= (3.5): its domain is d= or below it. Its local part stays encoded as it is. */
static struct dkim_finding read_identity(const struct reading *r)
{
    const struct tag *i = tag_list_find(r->list, "i");
    struct buf text = buf_make(DKIM_IDENTITY_MAX);
    if (r->form != DKIM_SIGNATURE)
        return NO_FINDING;
    bool fits = i ? tag_value_join(&text, i->value)
                  : buf_append_byte(&text, '@') && buf_append(&text, r->out->domain);
    if (fits) {
        r->out->identity = arena_copy(r->arena, buf_str(&text));
        size_t at = str_last_index(r->out->identity, '@');
        r->out->identity_domain = spell(str_skip(r->out->identity, at + 1), r->arena);
    }
    buf_free(&text);
    if (r->out->identity_domain.n == 0)
        return unreadable("i= has no domain");
    return is_below(r->out->identity_domain, r->out->domain) ? NO_FINDING
                                                             : permanent("i= is not within d=");
}

/* l=: a number that is too large for any body is the largest there is. */
static struct dkim_finding read_length(const struct reading *r)
{
    const struct tag *l = tag_list_find(r->list, "l");
    r->out->length = DKIM_BODY_WHOLE;
    if (!l || r->form == DKIM_ARC_SEAL)
        return NO_FINDING;
    for (size_t i = 0; i < l->value.n; i++)
        if (l->value.p[i] < '0' || l->value.p[i] > '9')
            return unreadable("l= is no number");
    if (l->value.n == 0 || l->value.n > LENGTH_DIGITS)
        return unreadable("l= is no number");
    if (!num_parse(l->value, DKIM_BODY_WHOLE - 1, &r->out->length))
        r->out->length = DKIM_BODY_WHOLE - 1;
    return NO_FINDING;
}

static bool read_time(const struct tag *tag, int64_t *out)
{
    uint64_t time;
    *out = -1;
    if (!tag)
        return true;
    if (tag->value.n > TIME_DIGITS || !num_parse(tag->value, INT64_MAX, &time))
        return false;
    *out = (int64_t)time;
    return true;
}

static struct dkim_finding read_times(const struct reading *r)
{
    if (!read_time(tag_list_find(r->list, "t"), &r->out->signed_at))
        return unreadable("t= is no time");
    if (r->form == DKIM_ARC_SEAL)
        return NO_FINDING;
    if (!read_time(tag_list_find(r->list, "x"), &r->out->expires_at))
        return unreadable("x= is no time");
    if (r->out->expires_at >= 0 && r->out->signed_at >= r->out->expires_at)
        return permanent("x= is not after t=");
    return NO_FINDING;
}

/* q= (3.5): one of the ways to get the key is known. */
static struct dkim_finding read_query(const struct reading *r)
{
    const struct tag *q = tag_list_find(r->list, "q");
    if (!q || r->form == DKIM_ARC_SEAL)
        return NO_FINDING;
    struct str rest = q->value, item;
    while (tag_item_next(&rest, ':', &item))
        if (str_equal(item, STR("dns/txt")))
            return NO_FINDING;
    return unreadable("q= has no known way to the key");
}

struct dkim_finding dkim_signature_read(const struct header_field *field, enum dkim_form form,
                                        struct arena *arena, struct dkim_signature *out)
{
    static struct dkim_finding (*const read[])(const struct reading *) = {
        read_domain, read_version,  read_algorithm, read_canons, read_hashes,
        read_names,  read_identity, read_length,    read_times,  read_query,
    };
    struct tag_list list;
    struct reading r = {&list, form, arena, out};
    *out = (struct dkim_signature){.field = field->whole, .signed_at = -1, .expires_at = -1};
    if (field->whole.n > DKIM_FIELD_MAX)
        return policy("the field of the signature is too large");
    if (!tag_list_parse(field->value, &list))
        return unreadable("the field is no list of tags");
    for (size_t i = 0; i < sizeof read / sizeof read[0]; i++) {
        struct dkim_finding f = read[i](&r);
        if (f.result)
            return f;
    }
    return NO_FINDING;
}

struct dkim_finding dkim_signature_check_time(const struct dkim_signature *s, int64_t now_s)
{
    if (s->expires_at >= 0 && s->expires_at < now_s)
        return permanent("the signature has expired");
    if (s->signed_at > now_s + DKIM_SKEW_S)
        return policy("the signature is from the future");
    return NO_FINDING;
}

static void read_keys(const struct ask_answer *answer, const struct dkim_signature *s,
                      bool is_tls_report, struct arena *arena, struct dkim_keys *out)
{
    const struct dkim_key_use use = {.kind = s->kind, .is_tls_report = is_tls_report};
    for (size_t i = 0; i < answer->count && out->count < DKIM_KEYS_MAX; i++) {
        struct dkim_finding f = dkim_key_read(answer->texts[i], use, arena, &out->key[out->count]);
        /* A record that is a key, though none for this, says more than one that is something else. */
        if (!f.result)
            out->count++;
        else if (!out->finding.result || out->finding.result == DKIM_NEUTRAL)
            out->finding = f;
    }
    if (out->count > 0)
        out->finding = NO_FINDING;
    else if (!out->finding.result)
        out->finding = permanent("there is no key");
    else
        out->finding.result = DKIM_PERMERROR;
}

void dkim_signature_fetch(const struct dkim_signature *s, bool is_tls_report, struct asker *asker,
                          struct arena *arena, struct dkim_keys *out)
{
    struct ask_answer answer;
    struct buf name = buf_make(3 * NAME_MAX_OCTETS);
    bool fits = buf_append(&name, s->selector) && buf_append(&name, STR("._domainkey.")) &&
                buf_append(&name, s->domain);
    *out = (struct dkim_keys){.finding = NO_FINDING};
    if (!fits)
        abort();
    ask(asker, buf_str(&name), ASK_TXT, &answer);
    buf_free(&name);
    out->is_secure = answer.is_secure;
    if (answer.status == ASK_FAILED)
        out->finding = (struct dkim_finding){DKIM_TEMPERROR, "the key cannot be had now"};
    else if (answer.status == ASK_FOUND)
        read_keys(&answer, s, is_tls_report, arena, out);
    else
        out->finding = permanent("there is no key");
}

static struct dkim_finding try_key(const struct dkim_signature *s, const struct dkim_key *key,
                                   const struct dkim_key_opener *opener, const unsigned char *hash,
                                   unsigned *bits)
{
    struct dkim_finding f;
    if (key->is_strict && !str_equal(s->identity_domain, s->domain) && s->identity.n > 0)
        return permanent("the key is not for domains below its own");
    EVP_PKEY_CTX *ready =
        opener ? opener->open(opener->context, key, bits, &f) : dkim_key_open(key, bits, &f);
    if (ready)
        f = dkim_key_verify(ready, s->signature, hash)
                ? (struct dkim_finding){DKIM_PASS, ""}
                : (struct dkim_finding){DKIM_FAIL, "the signature is not of these header fields"};
    if (opener && ready)
        opener->close(opener->context, key, ready);
    else
        EVP_PKEY_CTX_free(ready);
    return f;
}

struct dkim_finding dkim_signature_verify(const struct dkim_signature *s,
                                          const struct dkim_keys *keys,
                                          const struct dkim_key_opener *opener,
                                          const unsigned char hash[DKIM_HASH_SIZE], unsigned *bits)
{
    struct dkim_finding f = keys->finding;
    *bits = 0;
    for (size_t i = 0; i < keys->count && f.result != DKIM_PASS; i++)
        f = try_key(s, &keys->key[i], opener, hash, bits);
    return f;
}
