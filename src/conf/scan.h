/* SPDX-License-Identifier: ISC */
/*
 * scan.h - the tokens of a configuration's text, and what libconfuse does not tell: open quotes,
 * lines of sections
 */
#ifndef CONF_SCAN_H
#define CONF_SCAN_H

#include "base/str.h"

/* A reader of tokens: a copy of it looks ahead. */
struct scan {
    struct str rest;
    int line;          /* of the rest; begins with 1 */
    int token_line;    /* where the token begins, */
    const char *start; /* with its quote */
    struct str token;  /* a word, what is quoted, or one of ={}(),+ */
    bool is_quoted;
    bool has_no_brace;   /* known: no } is in the rest */
    const char *trouble; /* what is left open */
};

/* The next token; false at the end, or when something is left open. */
bool scan_next(struct scan *s);

/* Writes blanks over the comments: libconfuse takes those behind an equal sign or in a list for
 * tokens. Nothing is left open in the text. */
void scan_blank_comments(char *text);

/* Whether the token is one of ={}(),+, or that one. */
bool scan_is_mark(const struct scan *s);
bool scan_is(const struct scan *s, char mark);

/*
 * Looks for a quote that is not closed in its line (one that ends in a backslash goes on), or a
 * comment or brace that is not closed at all: libconfuse takes everything up to the next quote, or
 * to the end, for its text and complains about something else, if at all. Returns the line where it
 * is opened and *what is open ("quote", "comment", "brace"); 0 when there is none.
 */
int scan_for_open(struct str source, const char **what);

/* The line where a section begins: the last one with that name and, unless it is empty, that title
 * in any case. 0 when there is none. */
int scan_for_section(struct str source, struct str name, struct str title);

/* The line of an option at the top level, the last one of that name. 0 when there is none. */
int scan_for_option(struct str source, struct str name);

#endif
