/* SPDX-License-Identifier: ISC */
/*
 * srs.c - senders of mail that we forward, rewritten so that bounces come back by us
 */
#include "check/srs.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/encode.h"

enum {
    TAG = 4, /* "SRS0" */
    DAY_S = 24 * 60 * 60,
    DAYS_MODULO = 1024,
    SECRET_MIN = 16,
    SHA1_SIZE = 20,
    ENCODED_MAX = 32
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

bool srs_secrets_parse(struct str text, struct srs_secrets *out)
{
    struct str line, rest = text;
    bool has_more = true;
    out->count = 0;
    while (has_more) {
        has_more = str_cut(rest, '\n', &line, &rest);
        line = str_trim(line);
        if (line.n == 0 || line.p[0] == '#')
            continue;
        if (line.n < SECRET_MIN || line.n > SRS_SECRET_SIZE || out->count == SRS_SECRETS_MAX)
            return false;
        memcpy(out->item[out->count].text, line.p, line.n);
        out->item[out->count++].n = line.n;
    }
    return out->count > 0;
}

unsigned srs_day(int64_t now_s)
{
    return (unsigned)(now_s / DAY_S % DAYS_MODULO);
}

static bool has_tag(struct str local, char digit)
{
    return local.n > TAG && str_starts_nocase(local, STR("SRS")) && local.p[TAG - 1] == digit &&
           (local.p[TAG] == '=' || local.p[TAG] == '+' || local.p[TAG] == '-');
}

bool srs_is_rewritten(struct str local)
{
    return has_tag(local, '0') || has_tag(local, '1');
}

/* The hash of the parts, which begin with the tag, under that secret. Only the last one can have '=' in it. */
static void make_hash(const struct srs_secrets *secrets, size_t which, const struct str *part,
                      size_t count, char hash[SRS_HASH_CHARS])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    size_t size = 0;
    struct buf text = buf_make((size_t)3 * SRS_LOCAL_MAX), encoded = buf_make(ENCODED_MAX);
    for (size_t k = 0; k < count; k++) {
        for (size_t i = 0; i < part[k].n; i++)
            buf_append_byte(&text, str_lower_byte(part[k].p[i]));
        buf_append_byte(&text, '=');
    }
    if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA1", NULL, secrets->item[which].text,
                   secrets->item[which].n, (const unsigned char *)text.data, text.used, digest,
                   sizeof digest, &size) ||
        size != SHA1_SIZE || !encode_base64(&encoded, str_make((const char *)digest, size)))
        abort();
    memcpy(hash, encoded.data, SRS_HASH_CHARS);
    buf_free(&text);
    buf_free(&encoded);
}

/* In constant time: who guesses learns nothing of how near it was. */
static bool is_hash(const struct srs_secrets *secrets, struct str said, const struct str *part,
                    size_t count)
{
    bool is_any = false;
    for (size_t k = 0; k < secrets->count && said.n == SRS_HASH_CHARS; k++) {
        char hash[SRS_HASH_CHARS];
        unsigned difference = 0;
        make_hash(secrets, k, part, count, hash);
        for (size_t i = 0; i < SRS_HASH_CHARS; i++)
            difference |= (unsigned char)(str_lower_byte(hash[i]) ^ str_lower_byte(said.p[i]));
        is_any |= difference == 0;
    }
    return is_any;
}

/* "SRS1=HASH=first=rest", where rest begins with the separator of the SRS0 that it was. */
static bool append_second(const struct srs_secrets *secrets, struct str first, struct str rest,
                          struct buf *out)
{
    char hash[SRS_HASH_CHARS];
    if (first.n + rest.n > SRS_LOCAL_MAX)
        return false;
    make_hash(secrets, 0, (const struct str[]){STR("SRS1"), first, rest}, 3, hash);
    return buf_append(out, STR("SRS1=")) && buf_append(out, str_make(hash, SRS_HASH_CHARS)) &&
           buf_append_byte(out, '=') && buf_append(out, first) && buf_append_byte(out, '=') &&
           buf_append(out, rest);
}

static bool append_first(const struct srs_secrets *secrets, struct str local, struct str domain,
                         unsigned day, struct buf *out)
{
    char hash[SRS_HASH_CHARS];
    const char stamp[] = {alphabet[day >> 5 & 31], alphabet[day & 31]};
    struct str stamped = str_make(stamp, sizeof stamp);
    if (local.n + domain.n > SRS_LOCAL_MAX)
        return false;
    make_hash(secrets, 0, (const struct str[]){STR("SRS0"), stamped, domain, local}, 4, hash);
    return buf_append(out, STR("SRS0=")) && buf_append(out, str_make(hash, SRS_HASH_CHARS)) &&
           buf_append_byte(out, '=') && buf_append(out, stamped) && buf_append_byte(out, '=') &&
           buf_append(out, domain) && buf_append_byte(out, '=') && buf_append(out, local);
}

/* The parts of "SRS1=HASH=first=rest". */
static bool split_second(struct str rewritten, struct str *hash, struct str *first,
                         struct str *rest)
{
    return has_tag(rewritten, '1') && str_cut(str_skip(rewritten, TAG + 1), '=', hash, rest) &&
           str_cut(*rest, '=', first, rest) && first->n > 0 && rest->n > 1 &&
           (rest->p[0] == '=' || rest->p[0] == '+' || rest->p[0] == '-');
}

bool srs_forward(const struct srs_secrets *secrets, struct str local, struct str domain,
                 unsigned day, struct buf *out)
{
    struct str hash, first, rest;
    size_t before = out->used;
    if (secrets->count == 0 || local.n == 0 || domain.n == 0 || str_has(domain, '='))
        return false;
    bool is_good = has_tag(local, '0') && local.n > TAG + 1
                       ? append_second(secrets, domain, str_skip(local, TAG), out)
                   : split_second(local, &hash, &first, &rest)
                       ? append_second(secrets, first, rest, out)
                       : append_first(secrets, local, domain, day, out);
    if (!is_good || out->used - before > SRS_LOCAL_MAX)
        out->used = before;
    return out->used > before;
}

static bool read_day(struct str stamp, unsigned *day)
{
    *day = 0;
    for (size_t i = 0; i < stamp.n; i++) {
        char upper = (char)(stamp.p[i] >= 'a' && stamp.p[i] <= 'z' ? stamp.p[i] - 32 : stamp.p[i]);
        const char *at = memchr(alphabet, upper, sizeof alphabet - 1);
        if (!at)
            return false;
        *day = *day << 5 | (unsigned)(at - alphabet);
    }
    return stamp.n == 2;
}

/* A clock that was set back by hours has made addresses of tomorrow. */
static bool is_over(unsigned made, unsigned today)
{
    return (today + 1 + DAYS_MODULO - made) % DAYS_MODULO > SRS_DAYS + 1;
}

static enum srs_result reverse_first(const struct srs_secrets *secrets, struct str rewritten,
                                     unsigned day, struct buf *out, struct str *domain)
{
    struct str hash, stamp, local, rest = str_skip(rewritten, TAG + 1);
    unsigned made;
    if (!str_cut(rest, '=', &hash, &rest) || !str_cut(rest, '=', &stamp, &rest) ||
        !str_cut(rest, '=', domain, &local) || domain->n == 0 || local.n == 0 ||
        !read_day(stamp, &made) ||
        !is_hash(secrets, hash, (const struct str[]){STR("SRS0"), stamp, *domain, local}, 4))
        return SRS_FORGED;
    if (is_over(made, day))
        return SRS_EXPIRED;
    return buf_append(out, local) ? SRS_GOOD : SRS_FORGED;
}

enum srs_result srs_reverse(const struct srs_secrets *secrets, struct str rewritten, unsigned day,
                            struct buf *out, struct str *domain)
{
    struct str hash, rest;
    if (!srs_is_rewritten(rewritten))
        return SRS_NONE;
    if (rewritten.n > SRS_LOCAL_MAX)
        return SRS_FORGED;
    if (has_tag(rewritten, '0'))
        return reverse_first(secrets, rewritten, day, out, domain);
    if (!split_second(rewritten, &hash, domain, &rest) ||
        !is_hash(secrets, hash, (const struct str[]){STR("SRS1"), *domain, rest}, 3))
        return SRS_FORGED;
    return buf_append(out, STR("SRS0")) && buf_append(out, rest) ? SRS_GOOD : SRS_FORGED;
}
