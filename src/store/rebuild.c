/* SPDX-License-Identifier: ISC */
/*
 * rebuild.c - what the names of the message files tell when the index is lost
 */
#include "store/rebuild.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "os/file.h"

struct fault rebuild_put_aside(const char *directory)
{
    char from[INDEX_PATH_MAX], to[INDEX_PATH_MAX];
    static const char *const logs[] = {"index.db-wal", "index.db-shm", "index.db-journal"};
    snprintf(from, sizeof from, "%s/index.db", directory);
    snprintf(to, sizeof to, "%s/index.db.damaged", directory);
    struct fault f = file_exists(from) ? file_rename(from, to) : FINE;
    for (size_t i = 0; i < sizeof logs / sizeof logs[0] && !f.kind; i++) {
        snprintf(from, sizeof from, "%s/%s", directory, logs[i]);
        f = file_remove(from);
    }
    return f;
}

bool rebuild_has_damaged(const char *directory)
{
    char path[INDEX_PATH_MAX];
    snprintf(path, sizeof path, "%s/index.db.damaged", directory);
    return file_exists(path);
}

struct scan {
    struct rebuild_list *list;
    struct fault fault;
    char path[INDEX_PATH_MAX];
};

bool rebuild_name_parse(struct str name, struct index_row *row)
{
    struct str uid, position, received;
    uint64_t a, b, c;
    if (!str_cut(name, '.', &uid, &received) || !str_cut(received, '.', &position, &received) ||
        !num_parse(uid, UINT32_MAX - 1, &a) || a == 0 || !num_parse_hex(position, INT64_MAX, &b) ||
        !num_parse_hex(received, INT64_MAX, &c))
        return false;
    *row = (struct index_row){.uid = (uint32_t)a, .position = b, .received_ms = (int64_t)c};
    return true;
}

static void add_row(struct rebuild_list *l, const struct index_row *row)
{
    if (l->count == l->size) {
        l->size = l->size ? 2 * l->size : 64;
        l->row = realloc(l->row, l->size * sizeof *l->row);
        if (!l->row)
            abort();
    }
    l->row[l->count++] = *row;
}

void rebuild_free(struct rebuild_list *l)
{
    free(l->row);
    *l = (struct rebuild_list){0};
}

static void take_file(const char *name, void *arg)
{
    struct scan *s = arg;
    struct index_row row;
    char path[INDEX_PATH_MAX + 256];
    struct file *file;
    if (s->fault.kind || !rebuild_name_parse(str_from(name), &row))
        return;
    snprintf(path, sizeof path, "%s/%s", s->path, name);
    s->fault = file_open(path, FILE_READ, &file);
    if (s->fault.kind)
        return;
    s->fault = file_size(file, &row.size_bytes);
    file_close(file);
    if (!s->fault.kind)
        add_row(s->list, &row);
}

static void take_place(const char *name, void *arg)
{
    struct scan *s = arg;
    uint64_t place;
    if (s->fault.kind || !num_parse(str_from(name), UINT32_MAX, &place))
        return;
    size_t length = strlen(s->path);
    snprintf(s->path + length, sizeof s->path - length, "/%s", name);
    struct fault f = file_list(s->path, take_file, s);
    if (!s->fault.kind)
        s->fault = f;
    s->path[length] = '\0';
}

static int by_uid(const void *a, const void *b)
{
    const struct index_row *x = a, *y = b;
    if (x->uid != y->uid)
        return (x->uid > y->uid) - (x->uid < y->uid);
    return (x->received_ms > y->received_ms) - (x->received_ms < y->received_ms);
}

struct fault rebuild_scan(const char *directory, struct rebuild_list *out)
{
    struct scan s = {.list = out};
    *out = (struct rebuild_list){0};
    snprintf(s.path, sizeof s.path, "%s/mailbox-1", directory);
    if (!file_exists(s.path))
        return FINE;
    struct fault f = file_list(s.path, take_place, &s);
    if (out->count > 0)
        qsort(out->row, out->count, sizeof *out->row, by_uid);
    return f.kind ? f : s.fault;
}

bool rebuild_has_before(const struct rebuild_list *l, uint64_t position)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->row[i].position < position)
            return true;
    return false;
}

static struct fault give_uid(const char *directory, struct index_row *row, uint32_t uid)
{
    char from[INDEX_PATH_MAX], to[INDEX_PATH_MAX];
    index_message_path(directory, row, from);
    row->uid = uid;
    index_message_path(directory, row, to);
    char *name = strrchr(to, '/');
    *name = '\0';
    struct fault f = file_make_directory(to);
    *name = '/';
    return f.kind ? f : file_rename(from, to);
}

struct fault rebuild_part_twins(const char *directory, struct rebuild_list *l)
{
    struct fault f = FINE;
    uint32_t last = 0, highest = l->count > 0 ? l->row[l->count - 1].uid : 0;
    for (size_t i = 0; i < l->count && !f.kind; i++) {
        bool is_twin = l->row[i].uid == last;
        last = l->row[i].uid;
        if (is_twin)
            f = give_uid(directory, &l->row[i], ++highest);
    }
    return f;
}
