/* SPDX-License-Identifier: ISC */
/*
 * journal_room.h - what the journal's tests share: a directory and a memory of what was replayed
 */
#ifndef TESTS_JOURNAL_ROOM_H
#define TESTS_JOURNAL_ROOM_H

#include "journal/format.h"
#include "journal/journal.h"
#include "os/file.h"

#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct replayed {
    uint16_t type;
    uint64_t position;
    size_t length;
    char payload[256]; /* the beginning */
};

/* What the last open delivered. */
struct room {
    char directory[64];
    struct journal *journal;
    struct replayed *record;
    size_t count, size;
    struct journal_damage damage[8];
    size_t damage_count;
    _Atomic int alarms; /* the first one's text */
    struct fault first_alarm;
};

static inline void assert_fine(struct fault f)
{
    assert_string_equal(f.text, "");
    assert_true(f.kind == FAULT_FINE);
}

static inline void room_record(void *arg, const struct journal_record *record)
{
    struct room *r = arg;
    if (r->count == r->size) {
        r->size = r->size ? 2 * r->size : 64;
        r->record = realloc(r->record, r->size * sizeof *r->record);
        assert_non_null(r->record);
    }
    struct replayed *p = &r->record[r->count++];
    *p = (struct replayed){record->type, record->position, record->payload.n, {0}};
    struct str head = str_head(record->payload, sizeof p->payload - 1);
    if (head.n > 0)
        memcpy(p->payload, head.p, head.n);
}

static inline void room_damage(void *arg, const struct journal_damage *damage)
{
    struct room *r = arg;
    assert_true(r->damage_count < 8);
    r->damage[r->damage_count++] = *damage;
}

static inline void room_alarm(void *arg, const struct fault *fault)
{
    struct room *r = arg;
    if (atomic_fetch_add(&r->alarms, 1) == 0)
        r->first_alarm = *fault;
}

static inline void room_make(struct room *r, const char *name)
{
    *r = (struct room){.alarms = 0};
    snprintf(r->directory, sizeof r->directory, "test_%s.%ld", name, (long)getpid());
    assert_fine(file_remove_tree(r->directory));
    assert_fine(file_make_directory(r->directory));
}

static inline struct fault room_try_open(struct room *r, int64_t segment_bytes, unsigned spares)
{
    r->count = r->damage_count = 0;
    r->alarms = 0;
    struct journal_options options = {
        .directory = r->directory,
        .segment_bytes = segment_bytes,
        .spare_segments = spares,
        .alarm = room_alarm,
        .alarm_arg = r,
    };
    struct journal_replay replay = {room_record, room_damage, r};
    return journal_open(&options, &replay, &r->journal);
}

static inline void room_open(struct room *r, int64_t segment_bytes)
{
    assert_fine(room_try_open(r, segment_bytes, 1));
}

static inline void room_close(struct room *r)
{
    journal_close(r->journal);
    r->journal = NULL;
}

static inline void room_free(struct room *r)
{
    room_close(r);
    free(r->record);
    assert_fine(file_remove_tree(r->directory));
}

static inline struct fault room_try_put(struct room *r, const char *text, size_t length,
                                        uint64_t *position)
{
    char *bytes = calloc(1, length + 1);
    assert_non_null(bytes);
    memset(bytes, '.', length);
    memcpy(bytes, text, strlen(text) < length ? strlen(text) : length);
    struct iovec part = {bytes, length};
    struct fault fault = journal_wait(r->journal, 7, &part, 1, position);
    free(bytes);
    return fault;
}

/* A record that begins with the text and is as long as that. */
static inline uint64_t room_put(struct room *r, const char *text, size_t length)
{
    uint64_t position = 0;
    assert_fine(room_try_put(r, text, length, &position));
    assert_true(position > 0);
    return position;
}

static inline struct journal_statistics room_statistics(struct room *r)
{
    struct journal_statistics st;
    journal_statistics(r->journal, &st);
    return st;
}

#endif
