/* SPDX-License-Identifier: ISC */
/*
 * events.c - the event files of all roles, read as one stream in order of time
 *
 * All files are opened at the start, so that a rotation while we read takes nothing away and gives
 * nothing twice. At the end of the current one a look at its name tells whether it was rotated.
 */
#include "cli/events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROLES = 2, FILES_MOST = 500 };

/* The files of one role. */
struct stream {
    char *path; /* of the current file */
    FILE *file[FILES_MOST];
    size_t at, count; /* the one being read, and how many there are */
    char *line;
    size_t line_size;
    ssize_t line_used; /* 0: none read ahead */
};

struct events {
    struct arena arena;
    struct stream stream[ROLES];
    struct stream *given; /* whose line was given last */
    int watch;            /* inotify, or -1 */
};

static struct fault open_file(struct stream *s, const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file && errno == ENOENT)
        return FINE;
    if (!file)
        return fault_make(451, FAULT_STATUS(4, 3, 0), "%s: %s", path, strerrordesc_np(errno));
    s->file[s->count++] = file;
    return FINE;
}

static struct fault open_stream(struct events *e, struct stream *s)
{
    size_t renamed = 0;
    struct fault f = FINE;
    while (renamed + 1 < FILES_MOST &&
           access(arena_printf(&e->arena, "%s.%zu", s->path, renamed + 1).p, F_OK) == 0)
        renamed++;
    for (; renamed > 0 && !f.kind; renamed--)
        f = open_file(s, arena_printf(&e->arena, "%s.%zu", s->path, renamed).p);
    return f.kind ? f : open_file(s, s->path);
}

struct fault events_open(const struct conf *c, struct events **out)
{
    static const char *const names[ROLES] = {"log/mta/events.jsonl", "log/mda/events.jsonl"};
    struct events *e = calloc(1, sizeof *e);
    if (!e)
        abort();
    e->arena = arena_make(1 << 20);
    e->watch = -1;
    struct fault f = FINE;
    for (size_t i = 0; i < ROLES && !f.kind; i++) {
        e->stream[i].path = conf_state_path(c, &e->arena, names[i]);
        f = open_stream(e, &e->stream[i]);
    }
    if (f.kind)
        events_close(e);
    *out = f.kind ? NULL : e;
    return f;
}

void events_close(struct events *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < ROLES; i++) {
        for (size_t k = 0; k < e->stream[i].count; k++)
            if (e->stream[i].file[k])
                fclose(e->stream[i].file[k]);
        free(e->stream[i].line);
    }
    if (e->watch >= 0)
        close(e->watch);
    arena_free(&e->arena);
    free(e);
}

/* True when the current file has been renamed, or has only now been made; then it is opened. */
static bool has_successor(struct stream *s)
{
    struct stat named, open;
    if (stat(s->path, &named) != 0)
        return false;
    if (s->count > 0 && fstat(fileno(s->file[s->count - 1]), &open) == 0 &&
        open.st_ino == named.st_ino && open.st_dev == named.st_dev)
        return false;
    if (s->count == FILES_MOST) {
        /* Those before the last one have been read to the end. */
        s->file[0] = s->file[s->count - 1];
        s->count = 1;
        s->at = 0;
    }
    size_t before = s->count;
    return !open_file(s, s->path).kind && s->count > before;
}

/* Reads a whole line of the file at hand; one that is still being written is left for later. */
static bool read_line(struct stream *s)
{
    FILE *file = s->file[s->at];
    long start = ftell(file);
    ssize_t n = getline(&s->line, &s->line_size, file);
    if (n > 0 && s->line[n - 1] == '\n') {
        s->line_used = n;
        return true;
    }
    fseek(file, start, SEEK_SET);
    clearerr(file);
    return false;
}

static bool read_ahead(struct stream *s)
{
    while (s->line_used == 0) {
        if (s->at < s->count && read_line(s))
            return true;
        if (s->at + 1 >= s->count && !has_successor(s))
            return false;
        /* What was written between the last look and the rotation. */
        if (s->at < s->count && s->file[s->at] && read_line(s))
            return true;
        if (s->at + 1 < s->count) {
            fclose(s->file[s->at]);
            s->file[s->at++] = NULL;
        }
    }
    return true;
}

/* The string that begins behind start, with which the line begins. */
static struct str string_behind(struct str line, struct str start)
{
    if (!str_starts(line, start))
        return STR_NONE;
    line = str_skip(line, start.n);
    return str_head(line, str_index(line, '"'));
}

static const char time_start[] = "{\"time\":\"";

struct str events_time(struct str line)
{
    return string_behind(line, str_from(time_start));
}

struct str events_name(struct str line)
{
    size_t before = sizeof time_start - 1 + events_time(line).n;
    return string_behind(str_skip(line, before), STR("\",\"event\":\""));
}

bool events_next(struct events *e, struct str *line)
{
    if (e->given)
        e->given->line_used = 0;
    e->given = NULL;
    for (size_t i = 0; i < ROLES; i++) {
        struct stream *s = &e->stream[i];
        if (!read_ahead(s))
            continue;
        struct str time = events_time(str_make(s->line, (size_t)s->line_used));
        if (e->given && str_compare(events_time(*line), time) <= 0)
            continue;
        e->given = s;
        *line = str_make(s->line, (size_t)s->line_used - 1);
    }
    return e->given != NULL;
}

void events_skip(struct events *e)
{
    for (size_t i = 0; i < ROLES; i++) {
        struct stream *s = &e->stream[i];
        while (s->at + 1 < s->count) {
            fclose(s->file[s->at]);
            s->file[s->at++] = NULL;
        }
        if (s->at < s->count)
            fseek(s->file[s->at], 0, SEEK_END);
    }
}

static struct fault watch_folders(struct events *e)
{
    e->watch = inotify_init1(IN_CLOEXEC);
    bool is_watched = false;
    for (size_t i = 0; i < ROLES && e->watch >= 0; i++) {
        struct str path = str_from(e->stream[i].path);
        const char *folder = arena_c_string(&e->arena, str_head(path, str_last_index(path, '/')));
        if (inotify_add_watch(e->watch, folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO) >= 0)
            is_watched = true;
    }
    if (is_watched)
        return FINE;
    return fault_make(451, FAULT_STATUS(4, 3, 0), "the event files cannot be watched: %s",
                      strerrordesc_np(errno));
}

struct fault events_wait(struct events *e)
{
    /* What came before the watch was there is read by the caller's next look. */
    if (e->watch < 0)
        return watch_folders(e);
    char notes[4000];
    if (read(e->watch, notes, sizeof notes) < 0 && errno != EINTR)
        return fault_make(451, FAULT_STATUS(4, 3, 0), "the event files cannot be watched: %s",
                          strerrordesc_np(errno));
    return FINE;
}
