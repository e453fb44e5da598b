/* SPDX-License-Identifier: ISC */
/*
 * replay.c - reading the log at the start
 *
 * Good records are delivered in order. Where the sequence has a gap, either a crash tore batches
 * that were in flight, which nobody was promised: then the log ends there. Or acknowledged records
 * are lost: that is damage, which is reported, and the good records behind it are kept. A later
 * record decides it, as it says which batches were acknowledged when it was written; and what lies
 * before a void was good when that was written.
 *
 * What a process left unsynced when it was killed is still read here, from the system's memory, and
 * a power cut would take it back after somebody has acted on it. So the segments that can hold such
 * batches are synced before anybody may.
 */
#include "journal/internal.h"
#include "journal/walk.h"

#include <stdio.h>
#include <stdlib.h>

struct reading {
    struct journal *j;
    const struct journal_replay *replay;
    bool has_last;     /* a record or void was read */
    bool is_last;      /* it was the last one of its batch */
    uint64_t batch;    /* its batch */
    uint64_t sequence; /* what the next record must have */
    uint64_t end;      /* behind the last delivered record */
};

static void report_damage(struct reading *r, uint64_t position, uint64_t end)
{
    struct journal *j = r->j;
    j->statistics.damages++;
    struct fault fault =
        fault_make(451, FAULT_STATUS(4, 3, 0),
                   "the journal %s is damaged: acknowledged records lost at %llu..%llu",
                   j->directory, (unsigned long long)position, (unsigned long long)end);
    journal_alarm(j, &fault);
    struct journal_damage damage = {position, end};
    if (r->replay->damage)
        r->replay->damage(r->replay->arg, &damage);
}

/* Whether the batch was acknowledged, by what this record or a later one says. */
static bool is_acknowledged(const struct walk_record *from, uint64_t batch, struct fault *fault)
{
    if (from->segment->valid_end != UINT64_MAX)
        return true;
    struct walk ahead = walk_make(from->segment, from->position - from->segment->format.base);
    struct walk_record record;
    bool is_found = false;
    while (!is_found && walk_next(&ahead, &record, fault))
        is_found = record.header.batch - 1 - record.header.open_batches >= batch;
    walk_free(&ahead);
    return is_found;
}

/* The earliest batch that a record missing before this one can have belonged to. */
static uint64_t missing_batch(const struct reading *r, const struct walk_record *record)
{
    if (r->has_last)
        return r->is_last ? r->batch + 1 : r->batch;
    return record->header.flags & FORMAT_IS_FIRST ? record->header.batch - 1 : record->header.batch;
}

static bool is_behind_gap(const struct reading *r, const struct walk_record *record)
{
    if (r->has_last)
        return record->header.sequence != r->sequence;
    return record->position != r->end;
}

static void note(struct reading *r, const struct walk_record *record)
{
    r->has_last = true;
    r->batch = record->header.batch;
    r->is_last = (record->header.flags & FORMAT_IS_LAST) != 0;
    r->sequence = record->header.sequence + (record->header.type != FORMAT_VOID);
}

/* A void tells where the log before it ended; less than that is damage. */
static void read_void(struct reading *r, const struct walk_record *record)
{
    uint64_t cut = format_get_position((const unsigned char *)record->payload.p);
    if (cut > r->end)
        report_damage(r, r->end, cut);
    if (cut > r->end)
        r->end = cut;
    note(r, record);
}

static void deliver(struct reading *r, const struct walk_record *record)
{
    record->segment->has_records = true;
    struct journal_record out = {record->header.type, record->position, record->end,
                                 record->payload};
    r->replay->record(r->replay->arg, &out);
    r->end = record->end;
    note(r, record);
}

static struct fault read_all(struct reading *r)
{
    struct fault fault = FINE;
    struct walk w = walk_make(r->j->live.first, FORMAT_PAGE);
    struct walk_record record;
    while (walk_next(&w, &record, &fault)) {
        if (record.header.type == FORMAT_VOID) {
            if (record.payload.n == FORMAT_VOID_PAYLOAD)
                read_void(r, &record);
            continue;
        }
        if (is_behind_gap(r, &record)) {
            if (!is_acknowledged(&record, missing_batch(r, &record), &fault))
                break;
            report_damage(r, r->end, record.position);
        }
        deliver(r, &record);
    }
    walk_free(&w);
    return fault;
}

/* Sets where the valid records of each segment end, from the voids that later segments begin with.
 */
static struct fault apply_voids(struct journal *j)
{
    struct fault fault = FINE;
    for (struct segment *s = j->live.first; s && !fault.kind; s = s->next) {
        struct walk w = walk_make(s, FORMAT_PAGE);
        struct walk_record record;
        if (walk_record_at(&w, FORMAT_PAGE, &record, &fault) && record.header.type == FORMAT_VOID &&
            record.payload.n == FORMAT_VOID_PAYLOAD) {
            uint64_t cut = format_get_position((const unsigned char *)record.payload.p);
            for (struct segment *before = j->live.first; before != s; before = before->next)
                if (cut < before->valid_end)
                    before->valid_end = cut;
        }
        walk_free(&w);
    }
    return fault;
}

/* What the directory holds. */
struct found {
    struct journal *j;
    uint32_t *slot;
    size_t count;
    size_t size;
};

static void find_segment(const char *name, void *arg)
{
    struct found *f = arg;
    uint32_t slot;
    if (!segment_slot_of_name(name, &slot)) {
        /* A new file that a crash left before it was whole. */
        char *path;
        if (str_starts(str_from(name), STR("segment-")) &&
            str_ends_nocase(str_from(name), STR(".new"))) {
            if (asprintf(&path, "%s/%s", f->j->directory, name) < 0)
                abort();
            (void)file_remove(path);
            free(path);
        }
        return;
    }
    if (f->count == f->size) {
        f->size = f->size ? 2 * f->size : 16;
        f->slot = realloc(f->slot, f->size * sizeof *f->slot);
        if (!f->slot)
            abort();
    }
    f->slot[f->count++] = slot;
}

static void insert_by_base(struct segment_list *l, struct segment *s)
{
    struct segment **at = &l->first;
    while (*at && (*at)->format.base < s->format.base)
        at = &(*at)->next;
    s->next = *at;
    *at = s;
    if (!s->next)
        l->last = s;
    l->count++;
}

static struct fault take_segment(struct reading *r, uint32_t slot)
{
    struct journal *j = r->j;
    if (slot >= j->next_slot)
        j->next_slot = slot + 1;
    struct segment *s;
    bool is_segment;
    struct fault fault = segment_open(j->directory, slot, &s, &is_segment);
    if (fault.kind)
        return fault;
    if (!is_segment) {
        fault = fault_make(451, FAULT_STATUS(4, 3, 0),
                           "the journal %s is damaged: segment-%08u has no good header and is left",
                           j->directory, slot);
        journal_alarm(j, &fault);
        return FINE;
    }
    insert_by_base(&j->live, s);
    if (segment_end(s) > j->next_base)
        j->next_base = segment_end(s);
    if (s->format.generation >= j->next_generation)
        j->next_generation = s->format.generation + 1;
    return fault;
}

static struct fault take_segments(struct reading *r)
{
    struct found f = {.j = r->j};
    struct fault fault = file_list(r->j->directory, find_segment, &f);
    for (size_t i = 0; i < f.count && !fault.kind; i++)
        fault = take_segment(r, f.slot[i]);
    free(f.slot);
    return fault;
}

/* Batches in flight are consecutive, and none goes on in a second segment. */
static struct fault sync_last_batches(struct journal *j)
{
    struct segment *last[SEGMENT_COMMITTERS] = {NULL};
    struct fault fault = FINE;
    size_t count = 0;
    for (struct segment *s = j->live.first; s; s = s->next)
        if (s->has_records)
            last[count++ % SEGMENT_COMMITTERS] = s;
    for (size_t i = 0; i < SEGMENT_COMMITTERS && last[i] && !fault.kind; i++)
        fault = j->options.is_sync_off ? FINE : file_sync_path(last[i]->path);
    return fault;
}

struct fault replay_run(struct journal *j, const struct journal_replay *replay)
{
    struct reading r = {.j = j, .replay = replay, .sequence = 1};
    j->next_generation = 1;
    struct fault fault = take_segments(&r);
    if (!fault.kind)
        fault = apply_voids(j);
    if (fault.kind)
        return fault;
    if (j->live.first)
        r.end = j->live.first->format.base + FORMAT_PAGE;
    fault = read_all(&r);
    if (!fault.kind)
        fault = sync_last_batches(j);
    j->statistics.end_position = r.end;
    j->next_sequence = r.sequence;
    /* Above the numbers of batches that a crash may have left behind the end. */
    j->next_batch = r.batch + SEGMENT_COMMITTERS + 1;
    j->settled = j->next_batch - 1;
    return fault;
}
