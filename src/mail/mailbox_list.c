/* SPDX-License-Identifier: ISC */
/*
 * mailbox_list.c - the addresses in a header field: To, Cc, Bcc, From (RFC 5322 3.4)
 *
 * One pass over an element of the list. What stands in angle brackets is the address, whatever else
 * there is; an element without them is the address itself.
 */
#include "mail/mailbox_list.h"

struct scanner {
    struct str in;
    size_t at;
    size_t bare;   /* where the element's text begins in out */
    bool is_angle; /* between the brackets */
    bool has_angle;
    bool is_full;
    bool is_unclear; /* something was not closed, or there were brackets before */
};

static void skip_comment(struct scanner *s)
{
    unsigned depth = 0;
    for (; s->at < s->in.n; s->at++) {
        char c = s->in.p[s->at];
        if (c == '\\' && s->at + 1 < s->in.n)
            s->at++;
        else if (c == '(')
            depth++;
        else if (c == ')' && --depth == 0)
            return;
    }
    s->is_unclear = true;
}

/* Line ends belong to the folding, never to an address. */
static void add(struct scanner *s, struct buf *out, char c)
{
    if (c != '\r' && c != '\n' && (!s->has_angle || s->is_angle))
        s->is_full = !buf_append_byte(out, c) || s->is_full;
}

static void take_quoted(struct scanner *s, struct buf *out)
{
    add(s, out, '"');
    for (s->at++; s->at < s->in.n && s->in.p[s->at] != '"'; s->at++) {
        char c = s->in.p[s->at];
        add(s, out, c);
        if (c == '\\' && s->at + 1 < s->in.n)
            add(s, out, s->in.p[++s->at]);
    }
    s->is_unclear |= s->at == s->in.n;
    add(s, out, '"');
}

static void take_literal(struct scanner *s, struct buf *out)
{
    for (; s->at < s->in.n && s->in.p[s->at] != ']'; s->at++)
        add(s, out, s->in.p[s->at]);
    s->is_unclear |= s->at == s->in.n;
    add(s, out, ']');
}

/* One byte, or one thing that begins with it. False when it ends the element. */
static bool take(struct scanner *s, struct buf *out)
{
    char c = s->in.p[s->at];
    switch (c) {
    case '(':
        skip_comment(s);
        return true;
    case '"':
        take_quoted(s, out);
        return true;
    case '[':
        take_literal(s, out);
        return true;
    case '<':
        out->used = s->bare;
        s->is_unclear |= s->has_angle;
        s->is_angle = s->has_angle = true;
        return true;
    case '>':
        s->is_angle = false;
        return true;
    case ':':
        if (s->is_angle)
            add(s, out, c);
        else
            out->used = s->bare; /* the name of a group */
        return true;
    case ',':
    case ';':
        return s->is_angle;
    case ' ':
    case '\t':
    case '\r':
    case '\n':
        return true;
    }
    add(s, out, c);
    return true;
}

/* One element, and the separator behind it. */
static struct scanner scan(struct str *rest, struct buf *out)
{
    struct scanner s = {.in = *rest, .bare = out->used};
    while (s.at < s.in.n && take(&s, out))
        s.at++;
    s.is_unclear |= s.is_angle;
    *rest = str_skip(*rest, s.at + 1);
    return s;
}

bool mailbox_list_is_clear(struct str list)
{
    struct buf out = buf_make(list.n + 2);
    bool is_clear = true;
    while (list.n > 0 && is_clear) {
        is_clear = !scan(&list, &out).is_unclear;
        out.used = 0;
    }
    buf_free(&out);
    return is_clear;
}

bool mailbox_list_next(struct str *rest, struct buf *out)
{
    while (rest->n > 0) {
        struct scanner s = scan(rest, out);
        if (s.is_full) {
            out->used = s.bare;
            return false;
        }
        if (out->used > s.bare)
            return true;
    }
    return false;
}
