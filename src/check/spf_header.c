/* SPDX-License-Identifier: ISC */
/*
 * spf_header.c - the Received-SPF field (RFC 7208 section 9.1)
 */
#include "check/spf_header.h"

#include "mail/header.h"

enum { VALUE_MAX = 320 };

static bool is_atom_text(char c)
{
    char lower = str_lower_byte(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_dot_atom(struct str value)
{
    bool is_behind_dot = true;
    for (size_t i = 0; i < value.n; i++) {
        bool is_dot = value.p[i] == '.';
        if (is_dot ? is_behind_dot : !is_atom_text(value.p[i]))
            return false;
        is_behind_dot = is_dot;
    }
    return !is_behind_dot;
}

static char printable(char c)
{
    return c >= ' ' && c <= '~' ? c : '?';
}

/* dot-atom or quoted-string */
static bool append_value(struct buf *out, struct str value)
{
    value = str_head(value, VALUE_MAX);
    if (is_dot_atom(value))
        return buf_append(out, value);
    bool fits = buf_append_byte(out, '"');
    for (size_t i = 0; i < value.n && fits; i++) {
        char c = printable(value.p[i]);
        fits = (c != '"' && c != '\\') || buf_append_byte(out, '\\');
        fits = fits && buf_append_byte(out, c);
    }
    return fits && buf_append_byte(out, '"');
}

static bool append_pair(struct buf *out, const char *key, struct str value)
{
    return buf_append(out, STR("; ")) && buf_append(out, str_from(key)) &&
           buf_append_byte(out, '=') && append_value(out, value);
}

static bool append_in_comment(struct buf *out, struct str text)
{
    text = str_head(text, VALUE_MAX);
    bool fits = true;
    for (size_t i = 0; i < text.n && fits; i++) {
        char c = printable(text.p[i]);
        fits = buf_append_byte(out, c == '(' || c == ')' || c == '\\' ? '?' : c);
    }
    return fits;
}

/* What is said in words about domain and address: "%d" and "%i". */
static const char *phrase_of(enum spf_result result)
{
    static const char *const phrases[] = {
        [SPF_NONE] = "%d does not say which senders it permits",
        [SPF_NEUTRAL] = "domain of %d neither permits nor denies %i",
        [SPF_PASS] = "domain of %d designates %i as permitted sender",
        [SPF_FAIL] = "domain of %d does not designate %i as permitted sender",
        [SPF_SOFTFAIL] = "transitioning domain of %d does not designate %i as permitted sender",
        [SPF_TEMPERROR] = "temporary error in processing of %d",
        [SPF_PERMERROR] = "permanent error in processing of %d",
    };
    return phrases[result];
}

static bool append_comment(struct buf *out, const struct spf_question *q,
                           const struct spf_verdict *v, struct str ip)
{
    bool fits = buf_append(out, STR(" (")) && append_in_comment(out, q->receiver) &&
                buf_append(out, STR(": "));
    for (const char *p = phrase_of(v->result); *p && fits; p++) {
        if (*p != '%')
            fits = buf_append_byte(out, *p);
        else if (*++p == 'd')
            fits = append_in_comment(out, v->domain);
        else
            fits = buf_append(out, ip);
    }
    return fits && buf_append_byte(out, ')');
}

static bool append_all(struct buf *out, const struct spf_question *q, const struct spf_verdict *v)
{
    char text[IP_TEXT_MAX];
    struct str ip = ip_format(&q->ip, text);
    bool is_mail_from = v->identity == SPF_MAIL_FROM;
    bool fits = buf_append(out, str_from(spf_result_name(v->result))) &&
                append_comment(out, q, v, ip) && buf_append(out, STR(" client-ip=")) &&
                append_value(out, ip) && append_pair(out, "receiver", q->receiver) &&
                append_pair(out, "identity", is_mail_from ? STR("mailfrom") : STR("helo"));
    if (is_mail_from)
        fits = fits && append_pair(out, "envelope-from", v->sender);
    fits = fits && append_pair(out, "helo", q->helo);
    if (v->mechanism.n > 0)
        fits = fits && append_pair(out, "mechanism", v->mechanism);
    if (v->result == SPF_TEMPERROR || v->result == SPF_PERMERROR)
        fits = fits && append_pair(out, "problem", v->reason);
    return fits;
}

bool spf_header_append(struct buf *out, const struct spf_question *q, const struct spf_verdict *v)
{
    struct buf value = buf_make(SPF_HEADER_MAX);
    bool fits =
        append_all(&value, q, v) && header_append(out, STR("Received-SPF"), buf_str(&value));
    buf_free(&value);
    return fits;
}
