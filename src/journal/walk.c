/* SPDX-License-Identifier: ISC */
/*
 * walk.c - the good records of a log, one after the other
 *
 * The file is read in large pieces through a window that moves forward. Where no good record is,
 * the next one is searched byte by byte.
 */
#include "journal/walk.h"

#include "journal/crc32c.h"

#include <stdlib.h>

enum {
    WINDOW_BYTES = 4 << 20,
    AHEAD_BYTES = 16 << 20 /* on their way from the disk: a cold log is read at twice the rate */
};

struct walk walk_make(struct segment *segment, uint64_t offset)
{
    if (segment)
        file_expect_sequential(segment->reader);
    return (struct walk){.segment = segment, .offset = offset};
}

void walk_free(struct walk *w)
{
    free(w->window);
    w->window = NULL;
}

/* Has the bytes from begin on fetched, and what comes behind end. */
static void look_ahead(struct walk *w, uint64_t begin, uint64_t end)
{
    uint64_t size = w->segment->readable;
    uint64_t until = size - end > AHEAD_BYTES ? end + AHEAD_BYTES : size;
    uint64_t from = w->ahead > begin ? w->ahead : begin;
    if (from >= until)
        return;
    file_expect_soon(w->segment->reader, (int64_t)from, (int64_t)(until - from));
    w->ahead = until;
}

/* Makes the window begin at the offset and hold n bytes or all there are. */
static struct fault move_window(struct walk *w, uint64_t offset, size_t n)
{
    if (n < WINDOW_BYTES)
        n = WINDOW_BYTES;
    if (n > w->segment->readable - offset)
        n = (size_t)(w->segment->readable - offset);
    size_t kept = 0;
    if (offset >= w->window_offset && offset < w->window_offset + w->window_used) {
        size_t skipped = (size_t)(offset - w->window_offset);
        kept = w->window_used - skipped;
        memmove(w->window, w->window + skipped, kept);
    }
    if (n > w->window_size) {
        w->window_size = n;
        w->window = realloc(w->window, n);
        if (!w->window)
            abort();
    }
    w->window_offset = offset;
    w->window_used = kept;
    if (kept >= n)
        return FINE;
    size_t got;
    look_ahead(w, offset + kept, offset + n);
    struct fault fault = file_read_at(w->segment->reader, w->window + kept, n - kept,
                                      (int64_t)(offset + kept), &got);
    w->window_used += got;
    return fault;
}

/* n bytes at the offset, or NULL when the file has not so many or cannot be read. */
static char *look(struct walk *w, uint64_t offset, size_t n, struct fault *fault)
{
    if (offset + n > w->segment->readable)
        return NULL;
    bool is_inside = offset >= w->window_offset && offset + n <= w->window_offset + w->window_used;
    if (!is_inside) {
        *fault = move_window(w, offset, n);
        if (fault->kind || w->window_used < n)
            return NULL;
    }
    return w->window + (offset - w->window_offset);
}

bool walk_record_at(struct walk *w, uint64_t offset, struct walk_record *out, struct fault *fault)
{
    struct segment *s = w->segment;
    char *bytes = look(w, offset, FORMAT_RECORD_HEADER, fault);
    if (!bytes || !format_get_record(&s->format, (unsigned char *)bytes, &out->header))
        return false;
    size_t length = out->header.length;
    bytes = look(w, offset, FORMAT_RECORD_HEADER + length, fault);
    if (!bytes)
        return false;
    out->payload = str_make(bytes + FORMAT_RECORD_HEADER, length);
    if (crc32c(0, out->payload.p, length) != out->header.payload_crc)
        return false;
    out->segment = s;
    out->position = s->format.base + offset;
    out->end = out->position + FORMAT_RECORD_HEADER + length;
    return true;
}

/* The next offset where a record may begin; the window holds a header's size at w->offset. */
static uint64_t next_candidate(const struct walk *w)
{
    struct str rest =
        str_skip(str_make(w->window, w->window_used), (size_t)(w->offset + 1 - w->window_offset));
    size_t at = str_find(rest, STR(FORMAT_RECORD_MAGIC));
    /* The magic may begin in the last three bytes of the window. */
    return w->offset + 1 + (at < rest.n ? at : rest.n - 3);
}

static void next_segment(struct walk *w)
{
    w->segment = w->segment->next;
    w->offset = FORMAT_PAGE;
    w->window_used = 0;
    w->ahead = 0;
    if (w->segment)
        file_expect_sequential(w->segment->reader);
}

bool walk_next(struct walk *w, struct walk_record *out, struct fault *fault)
{
    while (w->segment) {
        struct segment *s = w->segment;
        if (s->format.base + w->offset >= s->valid_end ||
            !look(w, w->offset, FORMAT_RECORD_HEADER, fault)) {
            if (fault->kind)
                return false;
            next_segment(w);
            continue;
        }
        if (walk_record_at(w, w->offset, out, fault)) {
            w->offset = out->end - s->format.base;
            if (out->header.flags & FORMAT_IS_LAST)
                w->offset = format_page_up(w->offset);
            return true;
        }
        if (fault->kind)
            return false;
        w->offset = next_candidate(w);
    }
    return false;
}
