/* SPDX-License-Identifier: ISC */
/*
 * buf.h - a growable buffer whose limit is given at birth
 *
 * The storage grows by doubling up to the limit and belongs to the buffer. An append that would
 * pass the limit changes nothing and returns false; running out of memory ends the process.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

#include <stdint.h>

struct buf {
    char *data;
    size_t used;
    size_t size;  /* bytes allocated */
    size_t limit; /* bytes the buffer may ever hold */
};

/* An empty buffer; allocates nothing. */
static inline struct buf buf_make(size_t limit_bytes)
{
    return (struct buf){NULL, 0, 0, limit_bytes};
}

/* What the buffer holds; valid until the next call that changes it. */
static inline struct str buf_str(const struct buf *b)
{
    return str_make(b->data, b->used);
}

/* Gives the storage back; the limit stays and the buffer can be used again. */
void buf_free(struct buf *b);

/* Makes room for n more bytes at data + used. False when that would pass the limit. */
bool buf_reserve(struct buf *b, size_t n);

bool buf_append(struct buf *b, struct str s);
bool buf_append_byte(struct buf *b, char byte);

/* Appends a number in decimal. */
bool buf_append_number(struct buf *b, int64_t number);

/* Appends printf output; nothing is appended when it would pass the limit. */
bool buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first n bytes (at most used) and moves the rest to the front. */
void buf_consume(struct buf *b, size_t n);

#endif
