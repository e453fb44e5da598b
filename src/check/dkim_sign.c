/* SPDX-License-Identifier: ISC */
/*
 * dkim_sign.c - signatures for a message that leaves (RFC 6376 5)
 *
 * A signature names each field it covers once for each time it is there and once more, so that no further one can be
 * put in without breaking it (8.15). Fields that readers show or clients act upon are named even when they are not
 * there at all. Those that a mailing list rightly adds are covered only when they are there. Trace fields are left out
 * (5.4.1).
 */
#include "check/dkim_sign.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/encode.h"
#include "check/dkim_fields.h"
#include "check/dkim_key.h"

enum { LINE_WIDTH = 76, SIGNATURE_OCTETS_MAX = 1024 };

struct dkim_signer {
    struct dkim_sign_options options;
    struct dkim_body *body;
    struct arena arena;
    struct dkim_fields fields;
    int want;
    size_t name_count;
    struct str name[DKIM_SIGN_NAMES_MAX];
};

/* Who wrote to whom about what, what it answers, and how its body is read: with another one, the reader sees something
 * else. */
static const char *const always[] = {
    "From",       "To",           "Cc",           "Subject",
    "Date",       "Reply-To",     "Message-ID",   "In-Reply-To",
    "References", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
};

/* Those of lists (RFC 8058 wants the ones about unsubscribing signed), of people who send a message on, of reports
 * (RFC 8460 5.3), and of parts. */
static const char *const when_there[] = {
    "Sender",
    "Content-ID",
    "Content-Description",
    "Content-Disposition",
    "Content-Language",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Resent-Date",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Resent-Cc",
    "Resent-Message-ID",
    "Auto-Submitted",
    "TLS-Report-Domain",
    "TLS-Report-Submitter",
};

static bool add_names(struct dkim_signer *s, struct str name, bool is_always)
{
    size_t count = dkim_fields_count(&s->fields, name);
    size_t times = count > 0 || is_always ? count + 1 : 0;
    if (times > DKIM_SIGN_NAMES_MAX - s->name_count)
        return false;
    for (size_t i = 0; i < times; i++)
        s->name[s->name_count++] = name;
    return true;
}

static bool choose_names(struct dkim_signer *s)
{
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        if (!add_names(s, str_from(always[i]), true))
            return false;
    for (size_t i = 0; i < sizeof when_there / sizeof when_there[0]; i++)
        if (!add_names(s, str_from(when_there[i]), false))
            return false;
    return dkim_fields_count(&s->fields, STR("From")) > 0;
}

struct dkim_signer *dkim_sign_begin(struct str section, struct dkim_body *body,
                                    const struct dkim_sign_options *options)
{
    struct dkim_signer *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->options = *options;
    s->body = body;
    s->arena = arena_make(DKIM_FIELDS_ROOM);
    if (dkim_fields_read(section, &s->arena, &s->fields) && choose_names(s) &&
        (s->want = dkim_body_want(body, DKIM_RELAXED, DKIM_BODY_WHOLE)) >= 0)
        return s;
    dkim_sign_free(s);
    return NULL;
}

void dkim_sign_free(struct dkim_signer *s)
{
    if (!s)
        return;
    arena_free(&s->arena);
    free(s);
}

/* A field that is being written, in lines of LINE_WIDTH. */
struct field {
    struct buf text;
    size_t line; /* where the last line begins */
    bool is_full;
};

static void put(struct field *f, struct str word)
{
    if (f->text.used - f->line + word.n > LINE_WIDTH) {
        f->is_full |= !buf_append(&f->text, STR("\r\n "));
        f->line = f->text.used - 1;
    }
    f->is_full |= !buf_append(&f->text, word);
}

/* " name=value;" on one line. */
static void put_tag(struct field *f, const char *name, struct str value)
{
    struct buf tag = buf_make(DKIM_SIGN_FIELD_MAX);
    bool fits = buf_append(&tag, str_from(name)) && buf_append_byte(&tag, '=') &&
                buf_append(&tag, value) && buf_append_byte(&tag, ';');
    if (f->text.used - f->line + 1 + tag.used <= LINE_WIDTH)
        put(f, STR(" "));
    put(f, buf_str(&tag));
    f->is_full |= !fits;
    buf_free(&tag);
}

static void put_number(struct field *f, const char *name, int64_t number)
{
    struct buf digits = buf_make(32);
    f->is_full |= !buf_append_number(&digits, number);
    put_tag(f, name, buf_str(&digits));
    buf_free(&digits);
}

/* " h=From:From:To ..." with line ends between names; what is signed has them, too. */
static void put_names(struct field *f, const struct dkim_signer *s)
{
    put(f, STR(" h="));
    for (size_t i = 0; i < s->name_count; i++) {
        struct buf word = buf_make(128);
        f->is_full |= !buf_append(&word, s->name[i]) ||
                      !buf_append_byte(&word, i + 1 < s->name_count ? ':' : ';');
        put(f, buf_str(&word));
        buf_free(&word);
    }
}

static void put_base64(struct field *f, struct str octets)
{
    struct buf text = buf_make(2 * SIGNATURE_OCTETS_MAX);
    f->is_full |= !encode_base64(&text, octets);
    for (struct str rest = buf_str(&text); rest.n > 0;) {
        size_t used = f->text.used - f->line, left = used < LINE_WIDTH ? LINE_WIDTH - used : 0;
        struct str piece = str_head(rest, left > 0 ? left : LINE_WIDTH - 1);
        put(f, piece);
        rest = str_skip(rest, piece.n);
    }
    buf_free(&text);
}

static void put_tags(struct field *f, const struct dkim_signer *s, const struct dkim_sign_key *k,
                     enum dkim_key_kind kind)
{
    const struct dkim_sign_options *o = &s->options;
    uint64_t octets;
    struct buf hash = buf_make(64);
    put(f, STR("DKIM-Signature: v=1;"));
    put_tag(f, "a", kind == DKIM_KEY_RSA ? STR("rsa-sha256") : STR("ed25519-sha256"));
    put_tag(f, "c", STR("relaxed/relaxed"));
    put_tag(f, "d", o->domain);
    put_tag(f, "s", k->selector);
    put_number(f, "t", o->now_s);
    if (o->lifetime_s > 0)
        put_number(f, "x", o->now_s + o->lifetime_s);
    put_names(f, s);
    f->is_full |= !encode_base64(&hash, dkim_body_hash(s->body, s->want, &octets));
    put_tag(f, "bh", buf_str(&hash));
    put(f, STR(" b="));
    buf_free(&hash);
}

static bool may_sign(const EVP_PKEY *key, enum dkim_key_kind *kind)
{
    return dkim_key_kind(key, kind) &&
           (*kind != DKIM_KEY_RSA || EVP_PKEY_get_bits(key) >= DKIM_SIGN_BITS_MIN);
}

static void hash_fields(const struct dkim_signer *s, const struct field *f,
                        unsigned char hash[DKIM_HASH_SIZE])
{
    struct buf names = buf_make(DKIM_SIGN_FIELD_MAX);
    bool fits = true;
    for (size_t i = 0; i < s->name_count; i++)
        fits = fits && (i == 0 || buf_append_byte(&names, ':')) && buf_append(&names, s->name[i]);
    assert(fits);
    struct str own = buf_str(&f->text);
    const struct dkim_choice choice = {DKIM_RELAXED, buf_str(&names), own,
                                       str_make(own.p + own.n, 0)};
    dkim_fields_hash(&s->fields, &choice, hash);
    buf_free(&names);
}

static bool sign(const struct dkim_signer *s, const struct dkim_sign_key *k, struct buf *out)
{
    struct field f = {.text = buf_make(DKIM_SIGN_FIELD_MAX)};
    struct buf signature = buf_make(SIGNATURE_OCTETS_MAX);
    unsigned char hash[DKIM_HASH_SIZE];
    enum dkim_key_kind kind;
    bool is_signed = false;
    if (may_sign(k->key, &kind)) {
        put_tags(&f, s, k, kind);
        hash_fields(s, &f, hash);
        is_signed = dkim_key_sign(k->key, hash, &signature);
        put_base64(&f, buf_str(&signature));
        f.is_full |= !buf_append(&f.text, STR("\r\n"));
    }
    is_signed = is_signed && !f.is_full && buf_append(out, buf_str(&f.text));
    buf_free(&f.text);
    buf_free(&signature);
    return is_signed;
}

bool dkim_sign_finish(const struct dkim_signer *s, struct buf *out)
{
    size_t start = out->used;
    for (size_t i = 0; i < s->options.key_count; i++)
        if (!sign(s, &s->options.keys[i], out)) {
            out->used = start;
            return false;
        }
    return true;
}
