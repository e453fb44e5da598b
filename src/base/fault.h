/* SPDX-License-Identifier: ISC */
/*
 * fault.h - the three outcomes of handling mail: done, try later, never
 *
 * A fault is decided where its cause is known and carried unchanged to the SMTP reply, the queue,
 * the DSN and the event log. It is a plain value: nothing to free, and safe to copy anywhere.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/str.h"

#include <stdint.h>

enum fault_kind { FAULT_FINE = 0, FAULT_LATER, FAULT_NEVER };

/* RFC 3463 class.subject.detail; class 0 means that there is no enhanced code. */
struct fault_status {
    uint16_t class;
    uint16_t subject;
    uint16_t detail;
};

enum { FAULT_TEXT_MAX = 240 };

struct fault {
    enum fault_kind kind;
    bool is_answer;  /* another server's reply, in its words; else our own finding */
    bool is_private; /* the text is for the operator alone: it has paths of this machine */
    uint16_t reply;  /* RFC 5321 reply code; 0 when nothing to say */
    struct fault_status status;
    char text[FAULT_TEXT_MAX]; /* NUL-terminated, printable ASCII or UTF-8, never a control byte */
};

#define FINE ((struct fault){0})

/*
 * A fault from its reply code, status and text. The kind follows from the first digit: 2 and 3 are
 * fine, 4 is later, 5 is never. Control bytes and bytes that are no UTF-8 become '?' in the text, a
 * longer text is cut at a character.
 */
struct fault fault_make(unsigned reply, struct fault_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define FAULT_STATUS(a, b, c)                                                                      \
    (struct fault_status)                                                                          \
    {                                                                                              \
        a, b, c                                                                                    \
    }

/*
 * Reads "C.S.D" at the start of s (each at most 999, RFC 2034); *rest is what follows it and one
 * space. False when there is none.
 */
bool fault_status_parse(struct str s, struct fault_status *out, struct str *rest);

static inline struct str fault_text(const struct fault *f)
{
    return str_from(f->text);
}

/* "fine", "later" or "never". */
const char *fault_kind_name(enum fault_kind kind);

#endif
