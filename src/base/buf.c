/* SPDX-License-Identifier: ISC */
/*
 * buf.c - a growable buffer whose limit is given at birth
 */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"

enum { FIRST_SIZE = 256 };

void buf_free(struct buf *b)
{
    free(b->data);
    b->data = NULL;
    b->used = 0;
    b->size = 0;
}

bool buf_reserve(struct buf *b, size_t n)
{
    assert(b->used <= b->size && b->size <= b->limit);
    if (n <= b->size - b->used)
        return true;
    if (n > b->limit - b->used)
        return false;
    size_t size = b->size ? b->size : FIRST_SIZE;
    while (size - b->used < n && size <= b->limit / 2)
        size *= 2;
    if (size - b->used < n || size > b->limit)
        size = b->limit;
    char *data = realloc(b->data, size);
    if (!data)
        abort();
    b->data = data;
    b->size = size;
    return true;
}

bool buf_append(struct buf *b, struct str s)
{
    if (!buf_reserve(b, s.n))
        return false;
    if (s.n > 0)
        memcpy(b->data + b->used, s.p, s.n);
    b->used += s.n;
    return true;
}

bool buf_append_byte(struct buf *b, char byte)
{
    if (b->used == b->size && !buf_reserve(b, 1))
        return false;
    b->data[b->used++] = byte;
    return true;
}

bool buf_append_number(struct buf *b, int64_t number)
{
    char digits[NUM_DECIMAL_MAX];
    return buf_append(b, num_format(number, digits));
}

bool buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    size_t room = b->size - b->used;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(room > 0 ? b->data + b->used : NULL, room, format, args);
    bool is_done = n >= 0 && (size_t)n < room;
    if (n >= 0 && !is_done && buf_reserve(b, (size_t)n + 1)) {
        vsnprintf(b->data + b->used, (size_t)n + 1, format, again);
        is_done = true;
    }
    va_end(again);
    va_end(args);
    if (is_done)
        b->used += (size_t)n;
    return is_done;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->used);
    if (n < b->used)
        memmove(b->data, b->data + n, b->used - n);
    b->used -= n;
}
