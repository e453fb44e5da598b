/* SPDX-License-Identifier: ISC */
/*
 * directory.c - names in directories, whole files and the durable write of file.h
 */
#include "os/file.h"

#include "os/file_fault.h"
#include "os/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static char *copy_bytes(const char *p, size_t n)
{
    char *copy = malloc(n + 1);
    if (!copy)
        abort();
    memcpy(copy, p, n);
    copy[n] = '\0';
    return copy;
}

/* The directory that holds the last name of path; the caller frees it. */
static char *parent_of(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    if (n == 0)
        return copy_bytes(".", 1);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return copy_bytes(path, n);
}

struct fault file_rename(const char *from, const char *to)
{
    return rename(from, to) == 0 ? FINE : file_fault("rename", from, errno);
}

struct fault file_remove(const char *path)
{
    return unlink(path) == 0 || errno == ENOENT ? FINE : file_fault("remove", path, errno);
}

bool file_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

/* Opens path and hands the descriptor to a system call that syncs. */
static struct fault sync_path(const char *path, int flags, int (*sync_fd)(int fd))
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0)
        return file_fault("open", path, errno);
    struct fault fault = sync_fd(fd) == 0 ? FINE : file_fault("sync", path, errno);
    close(fd);
    return fault;
}

static int sync_and_forget(int fd)
{
    int result = fdatasync(fd), error = errno;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    errno = error;
    return result;
}

struct fault file_sync_path(const char *path)
{
    return file_exists(path) ? sync_path(path, 0, sync_and_forget) : FINE;
}

struct fault file_sync_directory(const char *path)
{
    return sync_path(path, O_DIRECTORY, fsync);
}

struct fault file_make_directory(const char *path)
{
    if (mkdir(path, 0700) == 0)
        return FINE;
    if (errno == ENOENT) {
        char *parent = parent_of(path);
        struct fault fault = strcmp(parent, path) == 0 ? file_fault("make directory", path, ENOENT)
                                                       : file_make_directory(parent);
        free(parent);
        if (fault.kind)
            return fault;
        if (mkdir(path, 0700) == 0)
            return FINE;
    }
    int error = errno;
    struct stat status;
    if (error == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return FINE;
    return file_fault("make directory", path, error);
}

/* A role's sandbox closes what holds its folder: that was made, then, by somebody who may. */
static bool is_closed_to_us(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_closed = fd < 0 && errno == EACCES;
    if (fd >= 0)
        close(fd);
    return is_closed;
}

struct fault file_establish_directory(const char *path, const char *const *names, size_t count)
{
    char *parent = parent_of(path), *full;
    struct fault fault = file_make_directory(path);
    for (size_t i = 0; i < count && !fault.kind; i++) {
        if (asprintf(&full, "%s/%s", path, names[i]) < 0)
            abort();
        fault = file_make_directory(full);
        free(full);
    }
    if (!fault.kind)
        fault = file_sync_directory(path);
    if (!fault.kind && !is_closed_to_us(parent))
        fault = file_sync_directory(parent);
    free(parent);
    return fault;
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

struct fault file_list(const char *path, void (*each)(const char *name, void *arg), void *arg)
{
    DIR *directory = opendir(path);
    if (!directory)
        return file_fault("list", path, errno);
    struct dirent *entry;
    while (errno = 0, (entry = readdir(directory)) != NULL)
        if (!is_dot(entry->d_name))
            each(entry->d_name, arg);
    struct fault fault = errno == 0 ? FINE : file_fault("list", path, errno);
    closedir(directory);
    return fault;
}

static int remove_entry(int parent, const char *name);

/* Empties the directory behind fd, which it closes. 0 or an errno. */
static int empty_directory(int fd)
{
    DIR *directory = fdopendir(fd);
    if (!directory) {
        int error = errno;
        close(fd);
        return error;
    }
    int error = 0;
    struct dirent *entry;
    while (error == 0 && (errno = 0, (entry = readdir(directory)) != NULL))
        if (!is_dot(entry->d_name))
            error = remove_entry(dirfd(directory), entry->d_name);
    if (error == 0)
        error = errno;
    closedir(directory);
    return error;
}

/* Removes whatever has that name, a directory with all in it. 0 or an errno. */
static int remove_entry(int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return errno;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = empty_directory(fd);
    if (error != 0)
        return error;
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : errno;
}

struct fault file_remove_tree(const char *path)
{
    int error = remove_entry(AT_FDCWD, path);
    return error == 0 ? FINE : file_fault("remove", path, error);
}

struct fault file_load(const char *path, struct buf *out)
{
    enum { STEP_BYTES = 64 * 1024 };
    struct file *f;
    struct fault fault = file_open(path, FILE_READ, &f);
    if (fault.kind)
        return fault;
    int64_t at = 0;
    for (;;) {
        /* One byte more than allowed is asked for, so that a file of exactly the limit is fine. */
        size_t room = out->limit - out->used;
        size_t want = room < STEP_BYTES ? room : STEP_BYTES;
        char beyond;
        size_t got;
        if (want > 0 && !buf_reserve(out, want))
            abort(); /* want fits the limit */
        fault = file_read_at(f, want ? out->data + out->used : &beyond, want ? want : 1, at, &got);
        if (fault.kind || got == 0)
            break;
        if (want == 0) {
            fault = fault_make(451, FAULT_STATUS(4, 3, 0), "read %s: larger than %zu bytes", path,
                               out->limit);
            break;
        }
        out->used += got;
        at += (int64_t)got;
    }
    file_close(f);
    return fault;
}

static struct fault write_new(const char *path, struct str content, unsigned permissions)
{
    struct file *f;
    struct fault fault = file_open(path, FILE_CREATE_NEW, &f);
    if (fault.kind)
        return fault;
    fault = file_append(f, content);
    if (!fault.kind)
        fault = file_set_permissions(f, permissions);
    /* The bytes before the name: a name must never point to a file that a crash left empty. */
    if (!fault.kind)
        fault = file_sync(f);
    file_close(f);
    return fault;
}

struct fault file_save(const char *path, struct str content, unsigned permissions)
{
    char *beside;
    if (asprintf(&beside, "%s.%016llx.new", path, (unsigned long long)random_u64()) < 0)
        abort();
    struct fault fault = write_new(beside, content, permissions);
    /* The rename is atomic: whoever opens path sees the old bytes or all of the new ones. */
    if (!fault.kind)
        fault = file_rename(beside, path);
    if (fault.kind)
        unlink(beside); /* best effort; the first fault is the one that matters */
    free(beside);
    if (fault.kind)
        return fault;
    /* The name after the bytes: only now does a crash find the new file under it. */
    char *parent = parent_of(path);
    fault = file_sync_directory(parent);
    free(parent);
    return fault;
}

struct fault file_space(const char *path, int64_t *free_bytes, int64_t *total_bytes)
{
    struct statvfs status;
    *free_bytes = *total_bytes = 0;
    if (statvfs(path, &status) != 0)
        return file_fault("statvfs", path, errno);
    *free_bytes = (int64_t)(status.f_bavail * status.f_frsize);
    *total_bytes = (int64_t)(status.f_blocks * status.f_frsize);
    return FINE;
}
