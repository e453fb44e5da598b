/* SPDX-License-Identifier: ISC */
/*
 * stand_files.c - files in memory in the place of os/file.c, for the journal's target
 *
 * A dozen files of a few pages under any path; directories are there by themselves. The linker sends
 * the calls here (--wrap), but for the sanitizers, which see the real ones.
 */
#include <errno.h>
#include <unistd.h>

#include "fuzz.h"
#include "os/file.h"
#include "os/file_fault.h"
#include "stand_files.h"

enum { FILES_MOST = 24, PATH_BYTES = 128, FILE_BYTES = 32768 };

/* It is there, or was removed while it was open. */
struct stored {
    char path[PATH_BYTES];
    bool is_there, is_locked;
    size_t opened, size;
    char bytes[FILE_BYTES];
};

struct file {
    struct stored *stored;
    bool has_lock;
};

static struct stored disk[FILES_MOST];

static struct stored *find(const char *path)
{
    for (size_t i = 0; i < FILES_MOST; i++)
        if (disk[i].is_there && strcmp(disk[i].path, path) == 0)
            return &disk[i];
    return NULL;
}

static void set_path(struct stored *s, const char *path)
{
    must(strlen(path) < PATH_BYTES);
    memcpy(s->path, path, strlen(path) + 1);
}

static struct stored *make(const char *path)
{
    size_t i = 0;
    while (i < FILES_MOST && (disk[i].is_there || disk[i].opened > 0))
        i++;
    must(i < FILES_MOST);
    disk[i].is_there = true;
    disk[i].size = 0;
    set_path(&disk[i], path);
    return &disk[i];
}

struct fault __wrap_file_open(const char *path, enum file_mode mode, struct file **out)
{
    struct stored *s = find(path);
    *out = NULL;
    must(mode == FILE_READ || mode == FILE_READ_WRITE || mode == FILE_CREATE);
    if (!s && mode != FILE_CREATE)
        return file_fault("open", path, ENOENT);
    if (!s)
        s = make(path);
    struct file *f = calloc(1, sizeof *f);
    must(f != NULL);
    f->stored = s;
    s->opened++;
    *out = f;
    return FINE;
}

void __wrap_file_close(struct file *f)
{
    if (!f)
        return;
    f->stored->opened--;
    if (f->has_lock)
        f->stored->is_locked = false;
    free(f);
}

struct fault __wrap_file_read_at(struct file *f, void *memory, size_t size_bytes, int64_t offset,
                                 size_t *got)
{
    *got = 0;
    if (offset < 0)
        return file_fault("read", f->stored->path, EINVAL);
    struct str bytes = str_skip(str_make(f->stored->bytes, f->stored->size), (size_t)offset);
    bytes = str_head(bytes, size_bytes);
    if (bytes.n > 0)
        memcpy(memory, bytes.p, bytes.n);
    *got = bytes.n;
    return FINE;
}

static void resize(struct stored *s, size_t size)
{
    must(size <= FILE_BYTES);
    if (size > s->size)
        memset(s->bytes + s->size, 0, size - s->size);
    s->size = size;
}

struct fault __wrap_file_write_at(struct file *f, struct iovec *parts, size_t count, int64_t offset)
{
    struct stored *s = f->stored;
    must(offset >= 0);
    for (size_t i = 0, at = (size_t)offset; i < count; at += parts[i++].iov_len) {
        if (at + parts[i].iov_len > s->size)
            resize(s, at + parts[i].iov_len);
        memcpy(s->bytes + at, parts[i].iov_base, parts[i].iov_len);
    }
    return FINE;
}

struct fault __wrap_file_zero(struct file *f, int64_t size_bytes)
{
    resize(f->stored, 0);
    resize(f->stored, (size_t)size_bytes);
    return FINE;
}

struct fault __wrap_file_truncate(struct file *f, int64_t size_bytes)
{
    resize(f->stored, (size_t)size_bytes);
    return FINE;
}

struct fault __wrap_file_size(struct file *f, int64_t *size_bytes)
{
    *size_bytes = (int64_t)f->stored->size;
    return FINE;
}

bool __wrap_file_try_lock(struct file *f)
{
    if (f->stored->is_locked)
        return false;
    f->stored->is_locked = f->has_lock = true;
    return true;
}

struct fault __wrap_file_rename(const char *from, const char *to)
{
    struct stored *s = find(from), *before = find(to);
    if (!s)
        return file_fault("rename", from, ENOENT);
    if (before && before != s)
        before->is_there = false;
    set_path(s, to);
    return FINE;
}

struct fault __wrap_file_remove(const char *path)
{
    struct stored *s = find(path);
    if (s)
        s->is_there = false;
    return FINE;
}

/* The name of a file in that directory, or NULL. */
static const char *name_in(const struct stored *s, const char *directory)
{
    size_t n = strlen(directory);
    bool is_in = s->is_there && strncmp(s->path, directory, n) == 0 && s->path[n] == '/';
    return is_in ? s->path + n + 1 : NULL;
}

struct fault __wrap_file_list(const char *path, void (*each)(const char *name, void *arg),
                              void *arg)
{
    for (size_t i = 0; i < FILES_MOST; i++)
        if (name_in(&disk[i], path))
            each(name_in(&disk[i], path), arg);
    return FINE;
}

struct fault __wrap_file_remove_tree(const char *path)
{
    for (size_t i = 0; i < FILES_MOST; i++)
        if (name_in(&disk[i], path))
            disk[i].is_there = false;
    (void)rmdir(path); /* the room, which is real */
    return FINE;
}

struct fault __wrap_file_make_directory(const char *path)
{
    (void)path;
    return FINE;
}

struct fault __wrap_file_establish_directory(const char *path, const char *const *names,
                                             size_t count)
{
    (void)path, (void)names, (void)count;
    return FINE;
}

struct fault __wrap_file_sync_directory(const char *path)
{
    (void)path;
    return FINE;
}

struct fault __wrap_file_sync(struct file *f)
{
    (void)f;
    return FINE;
}

void __wrap_file_bypass_cache(struct file *f)
{
    (void)f;
}

void __wrap_file_expect_sequential(struct file *f)
{
    (void)f;
}

void __wrap_file_expect_soon(struct file *f, int64_t offset, int64_t size_bytes)
{
    (void)f, (void)offset, (void)size_bytes;
}

void __wrap_file_forget_cached(struct file *f)
{
    (void)f;
}
