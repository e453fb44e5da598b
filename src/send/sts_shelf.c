/* SPDX-License-Identifier: ISC */
/*
 * sts_shelf.c - the files in which MTA-STS policies outlive a restart, one for each domain
 */
#include "send/sts_shelf.h"

#include "base/hostname.h"
#include "base/num.h"
#include "check/mta_sts.h"
#include "net/offload.h"
#include "os/file.h"

enum { FILE_MAX = MTA_STS_POLICY_MAX + 256, NAMES_MAX = 16 << 20, FILE_PERMISSIONS = 0600 };

#define MARK STR("eilbote-mta-sts")

static bool read_time(struct str *line, int64_t *out)
{
    uint64_t number;
    if (!num_parse(str_word(line), INT64_MAX, &number))
        return false;
    *out = (int64_t)number;
    return true;
}

bool sts_shelf_parse(struct str content, struct sts_stored *out)
{
    struct str line;
    if (!str_cut(content, '\n', &line, &out->text) || !str_equal(str_word(&line), MARK))
        return false;
    out->id = str_word(&line);
    return mta_sts_is_id(out->id) && out->text.n <= MTA_STS_POLICY_MAX && out->text.n > 0 &&
           read_time(&line, &out->fetched_s) && read_time(&line, &out->expires_s) && line.n == 0;
}

bool sts_shelf_is_old(const struct sts_stored *s, int64_t now_s)
{
    enum { DAY_S = 86400 };
    int64_t age_s = now_s - s->fetched_s;
    return age_s > DAY_S || age_s > (s->expires_s - s->fetched_s) / 2;
}

struct shelf_work {
    const char *folder, *path;
    struct str content;
    struct buf loaded;
    bool is_unreadable;
    struct fault fault;
};

static const char *path_of(struct arena *a, const char *folder, struct str domain)
{
    return arena_c_string(a, arena_printf(a, "%s/" STR_FMT, folder, STR_ARG(domain)));
}

static void load(void *arg)
{
    struct shelf_work *w = arg;
    w->fault = file_load(w->path, &w->loaded);
    w->is_unreadable = w->fault.kind && file_exists(w->path);
    /* Who was killed may not have got as far as to sync the name. Without the right to, it counts all the same. */
    if (!w->fault.kind)
        (void)file_sync_directory(w->folder);
}

bool sts_shelf_get(const char *folder, struct str domain, struct arena *a, struct sts_stored *out,
                   bool *is_unreadable)
{
    struct arena scratch = arena_make(1 << 16);
    struct shelf_work w = {
        .folder = folder, .path = path_of(&scratch, folder, domain), .loaded = buf_make(FILE_MAX)};
    offload(load, &w);
    *is_unreadable = w.is_unreadable;
    bool is_there = !w.fault.kind && sts_shelf_parse(buf_str(&w.loaded), out);
    if (is_there) {
        out->id = arena_copy(a, out->id);
        out->text = arena_copy(a, out->text);
    }
    buf_free(&w.loaded);
    arena_free(&scratch);
    return is_there;
}

static void save(void *arg)
{
    struct shelf_work *w = arg;
    w->fault = file_establish_directory(w->folder, NULL, 0);
    if (!w->fault.kind)
        w->fault = file_save(w->path, w->content, FILE_PERMISSIONS);
}

struct fault sts_shelf_put(const char *folder, struct str domain, const struct sts_stored *s)
{
    struct arena scratch = arena_make(1 << 16);
    struct buf content = buf_make(FILE_MAX);
    buf_append(&content, MARK);
    buf_printf(&content, " " STR_FMT " %lld %lld\n", STR_ARG(s->id), (long long)s->fetched_s,
               (long long)s->expires_s);
    buf_append(&content, s->text);
    struct shelf_work w = {
        .folder = folder, .path = path_of(&scratch, folder, domain), .content = buf_str(&content)};
    offload(save, &w);
    buf_free(&content);
    arena_free(&scratch);
    return w.fault;
}

struct listing {
    const char *folder;
    int64_t now_s;
    struct buf names; /* each with a line end */
};

static void look_at(const char *name, void *arg)
{
    struct listing *l = arg;
    struct arena a = arena_make(2 * FILE_MAX);
    const char *path = path_of(&a, l->folder, str_from(name));
    struct buf content = buf_make(FILE_MAX);
    struct sts_stored stored = {0};
    /* What cannot be read now may be read later: a policy is not lost to a shortage. */
    bool is_read = !file_load(path, &content).kind;
    bool holds = hostname_is_valid(str_from(name)) && sts_shelf_parse(buf_str(&content), &stored) &&
                 stored.expires_s > l->now_s;
    if (is_read && !holds)
        file_remove(path);
    else if (is_read && sts_shelf_is_old(&stored, l->now_s))
        buf_printf(&l->names, "%s\n", name);
    buf_free(&content);
    arena_free(&a);
}

static void list(void *arg)
{
    struct listing *l = arg;
    if (file_exists(l->folder))
        file_list(l->folder, look_at, l);
}

void sts_shelf_each(const char *folder, int64_t now_s, void (*each)(void *arg, struct str domain),
                    void *arg)
{
    struct listing l = {folder, now_s, buf_make(NAMES_MAX)};
    struct str name;
    offload(list, &l);
    for (struct str rest = buf_str(&l.names); str_cut(rest, '\n', &name, &rest);)
        each(arg, name);
    buf_free(&l.names);
}
