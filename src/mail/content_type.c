/* SPDX-License-Identifier: ISC */
/*
 * content_type.c - the fields that say what a MIME entity holds (RFC 2045 sections 5 and 6)
 *
 * One pass over the value, token by token; comments and folding are skipped between tokens.
 */
#include "mail/content_type.h"

/* Blanks, line ends and comments, which may nest (RFC 5322 section 3.2.2). */
static void skip_space(struct str *s)
{
    size_t depth = 0, i = 0;
    for (; i < s->n; i++) {
        char c = s->p[i];
        if (c == '\\' && depth > 0)
            i++;
        else if (c == '(')
            depth++;
        else if (c == ')' && depth > 0)
            depth--;
        else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n')
            break;
    }
    *s = str_skip(*s, i);
}

/* A token (RFC 2045 section 5.1); empty when there is none. */
static struct str take_token(struct str *s)
{
    skip_space(s);
    size_t n = 0;
    while (n < s->n && s->p[n] > 0x20 && s->p[n] < 0x7F && !strchr("()<>@,;:\\\"/[]?=", s->p[n]))
        n++;
    struct str token = str_head(*s, n);
    *s = str_skip(*s, n);
    skip_space(s);
    return token;
}

static bool take_byte(struct str *s, char byte)
{
    if (s->n == 0 || s->p[0] != byte)
        return false;
    *s = str_skip(*s, 1);
    return true;
}

/* What stands between quotes, without its backslashes; what does not fit is counted only. */
static bool take_quoted(struct str *s, char *out, size_t *used)
{
    *used = 0;
    for (size_t i = 0; i < s->n; i++) {
        char c = s->p[i];
        if (c == '"') {
            *s = str_skip(*s, i + 1);
            skip_space(s);
            return true;
        }
        if (c == '\r' || c == '\n')
            continue;
        if (c == '\\' && ++i == s->n)
            return false;
        if (*used < CONTENT_TYPE_BOUNDARY_MAX)
            out[*used] = s->p[i];
        ++*used;
    }
    return false;
}

/* The value of a parameter into out; *used tells its length, which may be more than fits. */
static bool take_value(struct str *s, char *out, size_t *used)
{
    skip_space(s);
    if (take_byte(s, '"'))
        return take_quoted(s, out, used);
    struct str token = take_token(s);
    *used = token.n;
    if (token.n > 0)
        memcpy(out, token.p, str_head(token, CONTENT_TYPE_BOUNDARY_MAX).n);
    return token.n > 0;
}

/* The boundary, at most that long; trailing blanks are none of it (RFC 2046 section 5.1.1). */
static void keep_boundary(struct content_type *out, const char *value, size_t used)
{
    if (out->boundary_n > 0 || used > CONTENT_TYPE_BOUNDARY_MAX)
        return;
    while (used > 0 && (value[used - 1] == ' ' || value[used - 1] == '\t'))
        used--;
    memcpy(out->boundary, value, used);
    out->boundary_n = used;
}

bool content_type_parse(struct str value, struct content_type *out)
{
    *out = (struct content_type){0};
    out->type = take_token(&value);
    if (out->type.n == 0 || !take_byte(&value, '/'))
        return false;
    out->subtype = take_token(&value);
    if (out->subtype.n == 0)
        return false;
    while (take_byte(&value, ';')) {
        char text[CONTENT_TYPE_BOUNDARY_MAX];
        size_t used;
        struct str name = take_token(&value);
        if (name.n == 0)
            continue;
        if (!take_byte(&value, '=') || !take_value(&value, text, &used))
            break;
        if (str_equal_nocase(name, STR("boundary")))
            keep_boundary(out, text, used);
    }
    return true;
}

enum transfer_encoding transfer_encoding_parse(struct str value)
{
    struct str token = take_token(&value);
    if (token.n == 0 || str_equal_nocase(token, STR("7bit")))
        return TRANSFER_7BIT;
    if (str_equal_nocase(token, STR("8bit")))
        return TRANSFER_8BIT;
    return str_equal_nocase(token, STR("binary")) ? TRANSFER_BINARY : TRANSFER_ENCODED;
}
