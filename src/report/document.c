/* SPDX-License-Identifier: ISC */
/*
 * document.c - a report of somebody else, read
 */
#include "report/document.h"

#include <stdlib.h>

#include "base/utf8.h"

enum { ARENA_BYTES = DOCUMENT_BYTES_MAX + (1 << 20), FIRST_ROOM = 64, RECORD_TEXT_MAX = 64 << 10 };

#define TIME_MAX INT64_C(253402300799) /* the year 9999 ends */

void document_start(struct document *d, enum report_about kind)
{
    *d = (struct document){.kind = kind, .arena = arena_make(ARENA_BYTES)};
    d->about = json_object();
}

void document_free(struct document *d)
{
    json_decref(d->about);
    free(d->record);
    arena_free(&d->arena);
    *d = (struct document){0};
}

struct str document_clean(struct str text, char room[DOCUMENT_TEXT_ROOM])
{
    size_t n = 0;
    uint32_t character;
    text = str_trim(text);
    while (text.n > 0 && n < DOCUMENT_TEXT_MAX) {
        struct str before = text;
        if (utf8_take(&text, &character) && !utf8_is_control(character)) {
            memcpy(room + n, before.p, before.n - text.n);
            n += before.n - text.n;
            continue;
        }
        if (text.n == before.n)
            text = str_skip(text, 1);
        room[n++] = '?';
    }
    return str_trim(str_make(room, n));
}

struct str document_text(struct document *d, struct str text)
{
    char room[DOCUMENT_TEXT_ROOM];
    struct str clean = document_clean(text, room);
    char *copy = clean.n > 0 ? arena_try(&d->arena, clean.n) : NULL;
    if (!copy)
        return STR_NONE;
    memcpy(copy, clean.p, clean.n);
    return str_make(copy, clean.n);
}

struct str document_name(struct document *d, struct str text)
{
    struct str name = document_text(d, str_head(str_trim(text), 256));
    char *copy = (char *)(uintptr_t)name.p;
    for (size_t i = 0; i < name.n; i++)
        copy[i] = str_lower_byte(copy[i]);
    while (name.n > 0 && (name.p[name.n - 1] == '.' || name.p[name.n - 1] == ' '))
        name.n--;
    return name;
}

static bool has_room(struct document *d)
{
    if (d->count == DOCUMENT_RECORDS_MAX)
        return false;
    if (d->count < d->room)
        return true;
    d->room = d->room ? d->room * 2 : FIRST_ROOM;
    d->record = realloc(d->record, d->room * sizeof *d->record);
    if (!d->record)
        abort();
    return true;
}

void document_add(struct document *d, int64_t count, json_t *record)
{
    char *text = json_dumps(record, JSON_COMPACT | JSON_PRESERVE_ORDER);
    size_t n = text ? strlen(text) : 0;
    char *kept = n > 0 && n <= RECORD_TEXT_MAX && has_room(d) ? arena_try(&d->arena, n) : NULL;
    if (kept) {
        memcpy(kept, text, n);
        d->record[d->count++] = (struct document_record){count, str_make(kept, n)};
    } else {
        d->left_out++;
    }
    free(text);
    json_decref(record);
}

int64_t document_count(struct str text)
{
    int64_t count = 0;
    text = str_trim(text);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return 0;
        count = count * 10 + (text.p[i] - '0');
        if (count > DOCUMENT_COUNT_MAX)
            count = DOCUMENT_COUNT_MAX;
    }
    return count;
}

bool document_is_whole(const struct document *d)
{
    return d->organization.n > 0 && d->report_id.n > 0 && d->domain.n > 0 && d->begin_s >= 0 &&
           d->end_s >= d->begin_s && d->end_s <= TIME_MAX;
}
