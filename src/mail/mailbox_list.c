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
    bool is_routed;  /* the brackets began with a source route, which has ended */
    bool is_unclear; /* something was not closed, or there were brackets before */
    size_t ats;      /* of the address so far, those in quotes left out */
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

/* The only one of an address is between its parts; behind the brackets there is no address. */
static void count_at(struct scanner *s)
{
    s->ats++;
    s->is_unclear |= s->has_angle && !s->is_angle;
}

/* The end of a group's name, in which no address is, or of a source route (RFC 5322 4.4), in which there may be many. */
static void take_colon(struct scanner *s, struct buf *out)
{
    bool is_route =
        s->is_angle && !s->is_routed && out->used > s->bare && out->data[s->bare] == '@';
    if (s->is_angle) {
        add(s, out, ':');
        s->is_routed |= is_route;
        s->ats = is_route ? 0 : s->ats;
    } else {
        s->is_unclear |= s->ats > 0;
        s->ats = 0;
        out->used = s->bare; /* the name of a group */
    }
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
        s->ats = 0;
        return true;
    case '>':
        s->is_angle = false;
        return true;
    case ':':
        take_colon(s, out);
        return true;
    case '@':
        count_at(s);
        break;
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
    s.is_unclear |= s.is_angle || s.ats > 1;
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
