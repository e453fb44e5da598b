/* SPDX-License-Identifier: ISC */
/*
 * draft.c - a message that has been taken in, as the filters see and edit it
 *
 * In a file the header section ends where the body begins, whatever its length: there is room in front
 * of it, and a new one is written there in the end.
 */
#include "serve/draft.h"

#include <assert.h>

#include "mail/header.h"
#include "net/offload.h"

enum {
    SECTION_MAX = INTAKE_MEMORY_MAX,
    FILE_ROOM = INTAKE_MEMORY_MAX + INTAKE_TOP_MAX, /* for a header section, in front of a body */
    EDITS_FIRST = 8,
};

struct file_job {
    struct draft *draft;
    struct buf *buf;
    uint64_t offset;
    size_t size;
    struct fault fault;
};

static void read_file(void *arg)
{
    struct file_job *j = arg;
    size_t got = 0;
    j->fault = file_read_at(j->draft->intake->file, j->buf->data + j->buf->used, j->size,
                            (int64_t)j->offset, &got);
    j->buf->used += got;
}

static struct fault no_room(void)
{
    return fault_make(451, FAULT_STATUS(4, 3, 0), "the message has no room to be filtered");
}

static struct fault read_at(struct draft *d, uint64_t offset, size_t size, struct buf *out)
{
    struct file_job j = {.draft = d, .buf = out, .offset = offset, .size = size};
    if (!buf_reserve(out, size))
        return no_room();
    offload(read_file, &j);
    return j.fault;
}

/* The beginning of what was taken in, with the whole header section. */
static struct fault load_section(struct draft *d, struct str *begin)
{
    struct intake *i = d->intake;
    *begin = buf_str(&i->content);
    if (!i->file)
        return FINE;
    size_t size = i->file_size < SECTION_MAX ? (size_t)i->file_size : SECTION_MAX;
    struct fault f = read_at(d, i->file_start, size, &d->section);
    *begin = buf_str(&d->section);
    return f;
}

struct fault draft_begin(struct draft *d, struct intake *i, struct str top, size_t trace_size,
                         uint64_t size_limit)
{
    struct str begin;
    *d = (struct draft){.intake = i,
                        .size_limit = size_limit,
                        .section = buf_make(SECTION_MAX),
                        .header = header_edit_make(INTAKE_TOP_MAX),
                        .room = i->place->top_room - DRAFT_SIGNATURES_MAX - top.n,
                        .memory = buf_make(INTAKE_MEMORY_MAX),
                        .piece = buf_make(INTAKE_MEMORY_MAX),
                        .arena = arena_make(DRAFT_TEXT_MAX)};
    struct fault f = load_section(d, &begin);
    if (f.kind)
        return f;
    size_t size = trace_size + header_size(str_skip(begin, trace_size));
    bool is_whole = size < SECTION_MAX || intake_size(i) == size;
    if (!is_whole || !header_edit_load(&d->header, top, false) ||
        !header_edit_load(&d->header, str_head(begin, trace_size), true) ||
        !header_edit_load(&d->header, str_make(begin.p + trace_size, size - trace_size), false))
        return fault_make(552, FAULT_STATUS(5, 3, 4),
                          "the header section is larger than %d bytes or %d fields", SECTION_MAX,
                          HEADER_EDIT_FIELDS_MAX);
    d->body = i->file ? (struct draft_body){.start = i->file_start + size,
                                            .size = i->file_size - size,
                                            .is_in_file = true}
                      : (struct draft_body){.memory = str_skip(begin, size)};
    return FINE;
}

void draft_free(struct draft *d)
{
    buf_free(&d->section);
    buf_free(&d->memory);
    buf_free(&d->piece);
    header_edit_free(&d->header);
    arena_free(&d->arena);
}

struct fault draft_read(struct draft *d, uint64_t offset, size_t size, struct buf *out)
{
    const struct draft_body *b = &d->body;
    if (!b->is_in_file)
        return buf_append(out, str_head(str_skip(b->memory, (size_t)offset), size)) ? FINE
                                                                                    : no_room();
    if (offset >= b->size)
        return FINE;
    if (size > b->size - offset)
        size = (size_t)(b->size - offset);
    return read_at(d, b->start + offset, size, out);
}

static void write_piece(void *arg)
{
    struct file_job *j = arg;
    struct draft *d = j->draft;
    struct intake *i = d->intake;
    struct iovec part = {j->buf->data, j->buf->used};
    if (!i->file) {
        j->fault = i->place->file(i->owner, i->id, &i->file);
        d->has_own_file = !j->fault.kind;
    }
    if (!j->fault.kind)
        j->fault = file_write_at(i->file, &part, 1, (int64_t)j->offset);
}

/* Where a new body may begin in the file: behind all that is there and is still wanted. */
static uint64_t place_for_body(const struct draft *d)
{
    uint64_t end = d->body.is_in_file ? d->body.start + d->body.size : 0;
    uint64_t taken = d->intake->file_start + d->intake->file_size;
    return (end > taken ? end : taken) + FILE_ROOM;
}

/* Moves the piece of the new body that is in memory to the file. */
static struct fault spill(struct draft *d)
{
    struct draft_body *b = &d->new_body;
    if (!b->is_in_file)
        *b = (struct draft_body){.start = place_for_body(d), .is_in_file = true};
    struct file_job j = {.draft = d, .buf = &d->piece, .offset = b->start + b->size};
    offload(write_piece, &j);
    b->size += d->piece.used;
    d->piece.used = 0;
    return j.fault;
}

static struct fault collect_body(struct draft *d, struct str piece)
{
    d->has_new_body = true;
    if (d->new_body.size + d->piece.used + piece.n > d->size_limit)
        return fault_make(451, FAULT_STATUS(4, 3, 0), "its body is larger than a message may be");
    if (d->piece.used + piece.n > INTAKE_MEMORY_MAX) {
        struct fault f = spill(d);
        if (f.kind)
            return f;
    }
    return buf_append(&d->piece, piece) ? FINE : no_room();
}

static bool is_about_header(enum milter_event_kind kind)
{
    return kind == MILTER_ADD_FIELD || kind == MILTER_INSERT_FIELD || kind == MILTER_CHANGE_FIELD;
}

static struct fault too_much(void)
{
    return fault_make(451, FAULT_STATUS(4, 3, 0), "its edits take more room than they may");
}

static struct draft_edit *add_edit(struct draft *d)
{
    if (d->edit_count == d->edit_room) {
        size_t room = d->edit_room ? 2 * d->edit_room : EDITS_FIRST;
        struct draft_edit *grown = arena_try(&d->arena, room * sizeof *grown);
        if (!grown)
            return NULL;
        if (d->edit_count > 0)
            memcpy(grown, d->edit, d->edit_count * sizeof *grown);
        d->edit = grown;
        d->edit_room = room;
    }
    return &d->edit[d->edit_count++];
}

static bool copy(struct arena *arena, struct str from, struct str *to)
{
    char *text = arena_try(arena, from.n + 1);
    if (!text)
        return false;
    if (from.n > 0)
        memcpy(text, from.p, from.n);
    *to = str_make(text, from.n);
    return true;
}

struct fault draft_collect(struct draft *d, const struct milter_event *e)
{
    if (e->kind == MILTER_BODY)
        return collect_body(d, e->value);
    if (is_about_header(e->kind)) {
        d->cost += header_edit_cost(e->name, e->value);
        if (d->cost > d->room || d->header.count + d->edit_count >= HEADER_EDIT_FIELDS_MAX)
            return too_much();
        if (header_edit_is_too_long(e->name, e->value))
            return fault_make(451, FAULT_STATUS(4, 7, 1),
                              "its field " STR_FMT " has a line of more than %d octets",
                              STR_ARG(str_head(e->name, 100)), HEADER_EDIT_LINE_MAX);
    }
    struct draft_edit *edit = add_edit(d);
    if (!edit)
        return too_much();
    *edit = (struct draft_edit){.kind = e->kind, .index = e->index};
    return copy(&d->arena, e->name, &edit->name) && copy(&d->arena, e->value, &edit->value)
               ? FINE
               : too_much();
}

/* A signature above our trace field would be taken for one of ours (sign/signing.h). */
static size_t place_for_field(const struct header_edit *h, const struct draft_edit *e)
{
    size_t trace = 0;
    while (trace < h->count && !h->item[trace].is_hidden)
        trace++;
    bool is_signature = str_equal_nocase(e->name, STR("DKIM-Signature"));
    return is_signature && e->index <= trace ? trace + 1 : e->index;
}

static void edit_header(struct header_edit *h, const struct draft_edit *e, bool has_space)
{
    bool is_done = true;
    if (e->kind == MILTER_CHANGE_FIELD)
        is_done = header_edit_change(h, e->index, e->name, e->value, has_space);
    else if (e->kind == MILTER_INSERT_FIELD)
        is_done = header_edit_insert(h, place_for_field(h, e), e->name, e->value, has_space);
    else
        is_done = header_edit_insert(h, h->count, e->name, e->value, has_space);
    assert(is_done); /* draft_collect has counted what it takes */
}

static void forget(struct draft *d)
{
    arena_free(&d->arena);
    d->edit = NULL;
    d->edit_count = d->edit_room = d->cost = 0;
    d->piece.used = 0;
    d->new_body = (struct draft_body){0};
    d->has_new_body = false;
}

/* The new body takes the place of the one before. */
static struct fault keep_body(struct draft *d)
{
    struct fault f = d->new_body.is_in_file ? spill(d) : FINE;
    if (f.kind)
        return f;
    d->body = d->new_body;
    if (!d->body.is_in_file) {
        struct buf before = d->memory;
        d->memory = d->piece;
        d->piece = before;
        d->body.memory = buf_str(&d->memory);
    }
    d->is_changed = true;
    return FINE;
}

struct fault draft_keep(struct draft *d, bool has_space)
{
    struct fault f = d->has_new_body ? keep_body(d) : FINE;
    for (size_t i = 0; i < d->edit_count && !f.kind; i++)
        if (is_about_header(d->edit[i].kind)) {
            edit_header(&d->header, &d->edit[i], has_space);
            d->is_changed = true;
        }
    d->room -= d->cost;
    forget(d);
    return f;
}

void draft_drop(struct draft *d)
{
    forget(d);
}

static void discard_file(void *arg)
{
    struct file_job *j = arg;
    struct intake *i = j->draft->intake;
    file_close(i->file);
    i->file = NULL;
    j->fault = i->place->discard(i->owner, i->id);
}

static struct fault leave_file(struct draft *d)
{
    struct file_job j = {.draft = d};
    if (!d->intake->file)
        return FINE;
    offload(discard_file, &j);
    d->intake->file_size = 0;
    return j.fault;
}

/* Ends the file behind the body, and puts the header section in front of it. */
static void write_section(void *arg)
{
    struct file_job *j = arg;
    struct intake *i = j->draft->intake;
    struct iovec part = {j->buf->data, j->buf->used};
    j->fault = file_truncate(i->file, (int64_t)(j->offset + j->size));
    if (!j->fault.kind && j->buf->used > 0)
        j->fault = file_write_at(i->file, &part, 1, (int64_t)(j->offset - j->buf->used));
}

static struct fault apply_in_file(struct draft *d, struct buf *section)
{
    struct intake *i = d->intake;
    struct draft_body *b = &d->body;
    struct file_job j = {.draft = d, .buf = section, .offset = b->start, .size = (size_t)b->size};
    assert(b->start >= section->used);
    offload(write_section, &j);
    i->file_start = b->start - section->used;
    i->file_size = section->used + b->size;
    i->content.used = 0;
    return j.fault;
}

static struct fault apply_in_memory(struct draft *d, struct buf *section)
{
    struct intake *i = d->intake;
    if (!buf_append(section, d->body.memory))
        return no_room();
    struct fault f = leave_file(d);
    buf_free(&i->content);
    i->content = *section;
    *section = buf_make(section->limit);
    return f;
}

/* A body in memory that has become too large for that, with its header section. */
static struct fault move_to_file(struct draft *d)
{
    struct buf body = buf_make(INTAKE_MEMORY_MAX + INTAKE_TOP_MAX);
    if (!buf_append(&body, d->body.memory))
        return no_room();
    struct draft_body moved = {.start = place_for_body(d), .size = body.used, .is_in_file = true};
    struct file_job j = {.draft = d, .buf = &body, .offset = moved.start};
    offload(write_piece, &j);
    d->body = moved;
    buf_free(&body);
    return j.fault;
}

static struct fault apply_changes(struct draft *d)
{
    struct intake *i = d->intake;
    struct buf section = buf_make(i->content.limit);
    bool fits = header_edit_print(&d->header, &section) && buf_append(&section, STR("\r\n"));
    struct fault f = fits ? FINE : no_room();
    bool is_large = section.used + d->body.memory.n > INTAKE_MEMORY_MAX + INTAKE_TOP_MAX;
    if (!f.kind && !d->body.is_in_file && is_large)
        f = move_to_file(d);
    if (!f.kind)
        f = d->body.is_in_file ? apply_in_file(d, &section) : apply_in_memory(d, &section);
    buf_free(&section);
    return f;
}

struct fault draft_apply(struct draft *d, struct buf *top)
{
    struct intake *i = d->intake;
    if (d->is_changed) {
        top->used = 0;
        return apply_changes(d);
    }
    /* What a filter began to say and never finished may be in the file. */
    if (d->has_own_file)
        return leave_file(d);
    struct buf nothing = buf_make(0);
    struct file_job j = {
        .draft = d, .buf = &nothing, .offset = i->file_start, .size = (size_t)i->file_size};
    if (i->file)
        offload(write_section, &j);
    return j.fault;
}
