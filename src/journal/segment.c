/* SPDX-License-Identifier: ISC */
/*
 * segment.c - one file of the journal
 *
 * A file appears under its name only when it is whole: zeroed (so that later syncs change no
 * metadata), with a header, and synced.
 */
#include "journal/segment.h"

#include "base/num.h"
#include "os/memory.h"

#include <stdio.h>
#include <stdlib.h>

void segment_list_push(struct segment_list *l, struct segment *s)
{
    s->next = NULL;
    if (l->last)
        l->last->next = s;
    else
        l->first = s;
    l->last = s;
    l->count++;
}

void segment_list_push_front(struct segment_list *l, struct segment *s)
{
    s->next = l->first;
    l->first = s;
    if (!l->last)
        l->last = s;
    l->count++;
}

struct segment *segment_list_pop(struct segment_list *l)
{
    struct segment *s = l->first;
    if (!s)
        return NULL;
    l->first = s->next;
    if (!l->first)
        l->last = NULL;
    l->count--;
    s->next = NULL;
    return s;
}

bool segment_slot_of_name(const char *name, uint32_t *slot)
{
    struct str s = str_from(name);
    uint64_t value;
    if (!str_starts(s, STR("segment-")) || s.n != 16 ||
        !num_parse(str_skip(s, 8), UINT32_MAX, &value))
        return false;
    *slot = (uint32_t)value;
    return true;
}

static struct segment *allocate(const char *directory, uint32_t slot)
{
    struct segment *s = calloc(1, sizeof *s);
    if (!s || asprintf(&s->path, "%s/segment-%08u", directory, slot) < 0)
        abort();
    s->slot = slot;
    s->valid_end = UINT64_MAX;
    return s;
}

void segment_free(struct segment *s)
{
    if (!s)
        return;
    for (int i = 0; i < SEGMENT_COMMITTERS; i++)
        file_close(s->file[i]);
    file_close(s->reader);
    free(s->path);
    free(s);
}

static struct fault open_files(struct segment *s)
{
    struct fault fault = file_open(s->path, FILE_READ, &s->reader);
    for (int i = 0; i < SEGMENT_COMMITTERS && !fault.kind; i++) {
        fault = file_open(s->path, FILE_READ_WRITE, &s->file[i]);
        if (!fault.kind)
            file_bypass_cache(s->file[i]);
    }
    return fault;
}

/* The whole first page, so that writing it never needs the old one. */
static struct fault write_header(struct file *f, const struct format_segment *format)
{
    unsigned char *page = memory_zero_pages(FORMAT_PAGE);
    format_put_segment(format, page);
    struct iovec part = {page, FORMAT_PAGE};
    struct fault fault = file_write_at(f, &part, 1, 0);
    free(page);
    if (!fault.kind)
        fault = file_sync(f);
    /*
     * Where the cache cannot be bypassed, it holds the old bytes in pieces as large as they were
     * written; a small write would dirty one of those whole. Batches are whole pages, so nothing
     * need be kept for them.
     */
    file_forget_cached(f);
    return fault;
}

static struct fault make_file(const char *path, const struct format_segment *format)
{
    struct file *f;
    struct fault fault = file_open(path, FILE_CREATE, &f);
    if (fault.kind)
        return fault;
    file_bypass_cache(f);
    fault = file_zero(f, (int64_t)format->size);
    if (!fault.kind)
        fault = write_header(f, format);
    file_close(f);
    return fault;
}

struct fault segment_make(const char *directory, uint32_t slot, const struct format_segment *format,
                          struct segment **out)
{
    *out = NULL;
    struct segment *s = allocate(directory, slot);
    s->format = *format;
    s->readable = format->size;
    char *fresh;
    if (asprintf(&fresh, "%s.new", s->path) < 0)
        abort();
    struct fault fault = make_file(fresh, format);
    if (!fault.kind)
        fault = file_rename(fresh, s->path);
    if (fault.kind)
        (void)file_remove(fresh); /* gives a full disk its room back; the first fault counts */
    free(fresh);
    if (!fault.kind)
        fault = file_sync_directory(directory);
    if (!fault.kind)
        fault = open_files(s);
    if (fault.kind)
        segment_free(s);
    else
        *out = s;
    return fault;
}

struct fault segment_recycle(struct segment *s, const struct format_segment *format)
{
    s->format = *format;
    s->valid_end = UINT64_MAX;
    return write_header(s->file[0], format);
}

struct fault segment_open(const char *directory, uint32_t slot, struct segment **out,
                          bool *is_segment)
{
    *out = NULL;
    *is_segment = false;
    struct segment *s = allocate(directory, slot);
    struct fault fault = open_files(s);
    unsigned char header[FORMAT_SEGMENT_HEADER];
    size_t got = 0;
    int64_t size = 0;
    if (!fault.kind)
        fault = file_read_at(s->reader, header, sizeof header, 0, &got);
    if (!fault.kind)
        fault = file_size(s->reader, &size);
    if (!fault.kind && got == sizeof header && format_get_segment(header, &s->format)) {
        s->is_failed = size != (int64_t)s->format.size; /* read it, but do not use it again */
        s->readable = (uint64_t)size < s->format.size ? (uint64_t)size : s->format.size;
        *is_segment = true;
        *out = s;
    } else {
        segment_free(s);
    }
    return fault;
}

struct fault segment_remove(const char *directory, struct segment *s)
{
    struct fault fault = file_remove(s->path);
    if (!fault.kind)
        fault = file_sync_directory(directory);
    if (!fault.kind)
        segment_free(s);
    return fault;
}
