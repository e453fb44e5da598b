/* SPDX-License-Identifier: ISC */
/*
 * authres.c - the Authentication-Results field (RFC 8601)
 *
 * The value is put together on one line and folded by header_append.
 */
#include "mail/authres.h"

#include "mail/header.h"
#include "mail/idna.h"

enum { USUAL_VALUE = 512, VALUE_MAX = 320, REASON_MAX = 200, ID_MAX = 1024 };

/* What may stand in a value without quotes: a token (RFC 2045), or an address of such (section 2.2). */
static bool is_plain(struct str s)
{
    size_t ats = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        ats += c == '@';
        if (c <= ' ' || c > '~' || strchr("()<>,;:\\\"/[]?=", c))
            return false;
    }
    return s.n > 0 && ats <= 1 && s.p[s.n - 1] != '@';
}

static bool append_quoted(struct buf *out, struct str s)
{
    bool fits = buf_append_byte(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '"' || c == '\\')
            fits = fits && buf_append_byte(out, '\\');
        fits = fits && buf_append_byte(out, c < ' ' || c > '~' ? '?' : c);
    }
    return fits && buf_append_byte(out, '"');
}

static bool append_value(struct buf *out, struct str s, size_t most)
{
    s = str_head(s, most);
    return is_plain(s) ? buf_append(out, s) : append_quoted(out, s);
}

void authres_begin(struct authres *a, struct str authserv_id)
{
    *a = (struct authres){.value = buf_make(AUTHRES_FIELD_MAX / 2)};
    buf_reserve(&a->value, USUAL_VALUE);
    append_value(&a->value, authserv_id, IDNA_DOMAIN_MAX);
}

/* Takes back what was appended since, unless it fitted. */
static bool keep(struct authres *a, size_t before, bool fits)
{
    if (!fits)
        a->value.used = before;
    return fits;
}

void authres_add(struct authres *a, const char *method, const char *result, struct str reason)
{
    size_t before = a->value.used;
    bool fits = buf_append(&a->value, STR("; ")) && buf_append(&a->value, str_from(method)) &&
                buf_append_byte(&a->value, '=') && buf_append(&a->value, str_from(result)) &&
                (reason.n == 0 || (buf_append(&a->value, STR(" reason=")) &&
                                   append_quoted(&a->value, str_head(reason, REASON_MAX))));
    a->has_result |= keep(a, before, fits);
}

void authres_property(struct authres *a, const char *name, struct str value)
{
    size_t before = a->value.used;
    keep(a, before,
         value.n == 0 ||
             (buf_append_byte(&a->value, ' ') && buf_append(&a->value, str_from(name)) &&
              buf_append_byte(&a->value, '=') && append_value(&a->value, value, VALUE_MAX)));
}

bool authres_append(struct authres *a, struct buf *out)
{
    if (!a->has_result)
        buf_append(&a->value, STR("; none"));
    bool fits = header_append(out, STR("Authentication-Results"), buf_str(&a->value));
    buf_free(&a->value);
    return fits;
}

/* Skips blanks, folds and comments; false when a comment does not end. */
static bool skip_comments(struct str *s)
{
    size_t depth = 0;
    for (; s->n > 0; *s = str_skip(*s, 1)) {
        char c = s->p[0];
        if (depth > 0 && c == '\\')
            *s = str_skip(*s, 1);
        else if (c == '(')
            depth++;
        else if (depth > 0 && c == ')')
            depth--;
        else if (depth == 0 && (c == '\0' || !strchr(" \t\r\n", c)))
            return true;
    }
    return depth == 0;
}

/* As it is: quoted or not, a name of others is one that all readers read alike. */
static bool read_quoted(struct str *s, struct buf *out)
{
    for (*s = str_skip(*s, 1); s->n > 0; *s = str_skip(*s, 1)) {
        char c = s->p[0];
        if (c == '"') {
            *s = str_skip(*s, 1);
            return true;
        }
        if (c == '\\' && s->n > 1) {
            *s = str_skip(*s, 1);
            c = s->p[0];
        }
        if (!buf_append_byte(out, c))
            return false;
    }
    return false;
}

static bool read_token(struct str *s, struct buf *out)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != '\0' && !strchr(" \t\r\n;(\"", s->p[n]))
        n++;
    bool fits = buf_append(out, str_head(*s, n));
    *s = str_skip(*s, n);
    return fits && n > 0;
}

/* What may follow the identifier: a version, and the end or the first result. */
static bool is_end_of_id(struct str s)
{
    if (!skip_comments(&s))
        return false;
    while (s.n > 0 && s.p[0] >= '0' && s.p[0] <= '9')
        s = str_skip(s, 1);
    return skip_comments(&s) && (s.n == 0 || s.p[0] == ';');
}

/* The name as a generous reader may see it; false when it is no name of a server. */
static bool read_name(struct str id, char room[IDNA_DOMAIN_MAX], struct str *out)
{
    while (id.n > 0 && id.p[id.n - 1] == '.')
        id = str_head(id, id.n - 1);
    *out = str_has_8bit(id) ? idna_to_ascii(id, room) : id;
    return is_plain(*out) && !str_has(*out, '@');
}

bool authres_is_of(struct str value, struct str authserv_id)
{
    char room[IDNA_DOMAIN_MAX];
    struct str name;
    struct buf id = buf_make(ID_MAX);
    bool is_read = skip_comments(&value) && value.n > 0 &&
                   (value.p[0] == '"' ? read_quoted(&value, &id) : read_token(&value, &id)) &&
                   is_end_of_id(value) && read_name(buf_str(&id), room, &name);
    bool is_ours = !is_read || idna_equal(name, authserv_id);
    buf_free(&id);
    return is_ours;
}
