/* SPDX-License-Identifier: ISC */
/*
 * file.c - open files
 *
 * Thin over the system calls; each loops until all is done, and the one place where an errno
 * becomes a fault is file_fault.
 */
#include "os/file.h"

#include "os/file_fault.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/memory.h"

struct file {
    int fd;
    bool is_direct; /* O_DIRECT is set */
    char path[];    /* for the texts of faults */
};

struct fault file_fault(const char *doing, const char *path, int error)
{
    const char *word = strerrordesc_np(error);
    if (!word)
        word = "unknown error";
    bool is_full = error == ENOSPC || error == EDQUOT;
    struct fault f =
        fault_make(is_full ? 452 : 451, is_full ? FAULT_STATUS(4, 3, 1) : FAULT_STATUS(4, 3, 0),
                   "%s %s: %s", doing, path, word);
    f.is_private = true;
    return f;
}

static int flags_of_mode(enum file_mode mode)
{
    switch (mode) {
    case FILE_READ:
        return O_RDONLY;
    case FILE_READ_WRITE:
        return O_RDWR;
    case FILE_CREATE:
        return O_RDWR | O_CREAT;
    case FILE_CREATE_NEW:
        return O_RDWR | O_CREAT | O_EXCL;
    case FILE_APPEND:
        return O_WRONLY | O_CREAT | O_APPEND;
    }
    return O_RDONLY;
}

struct fault file_open(const char *path, enum file_mode mode, struct file **out)
{
    *out = NULL;
    int fd;
    do {
        fd = open(path, flags_of_mode(mode) | O_CLOEXEC, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return file_fault("open", path, errno);
    struct file *f = malloc(sizeof *f + strlen(path) + 1);
    if (!f)
        abort();
    f->fd = fd;
    f->is_direct = false;
    memcpy(f->path, path, strlen(path) + 1);
    *out = f;
    return FINE;
}

void file_close(struct file *f)
{
    if (!f)
        return;
    close(f->fd); /* on Linux the descriptor is gone even after EINTR */
    free(f);
}

struct fault file_read_at(struct file *f, void *memory, size_t size_bytes, int64_t offset,
                          size_t *got)
{
    *got = 0;
    while (*got < size_bytes) {
        ssize_t n = pread(f->fd, (char *)memory + *got, size_bytes - *got, offset + (int64_t)*got);
        if (n == 0)
            break;
        if (n > 0)
            *got += (size_t)n;
        else if (errno != EINTR)
            return file_fault("read", f->path, errno);
    }
    return FINE;
}

/* Moves the first of the parts forward by the n bytes that were written. */
static void consume_parts(struct iovec **parts, size_t *count, size_t n)
{
    while (*count > 0 && n >= (*parts)->iov_len) {
        n -= (*parts)->iov_len;
        (*parts)++;
        (*count)--;
    }
    assert(n == 0 || *count > 0);
    if (n > 0) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + n;
        (*parts)->iov_len -= n;
    }
}

static bool set_direct(struct file *f, bool is_direct)
{
    int flags = fcntl(f->fd, F_GETFL);
    if (flags < 0 || fcntl(f->fd, F_SETFL, is_direct ? flags | O_DIRECT : flags & ~O_DIRECT) != 0)
        return false;
    f->is_direct = is_direct;
    return true;
}

void file_bypass_cache(struct file *f)
{
    set_direct(f, true);
}

struct fault file_write_at(struct file *f, struct iovec *parts, size_t count, int64_t offset)
{
    consume_parts(&parts, &count, 0);
    while (count > 0) {
        ssize_t n = pwritev(f->fd, parts, count < IOV_MAX ? (int)count : IOV_MAX, offset);
        if (n < 0 && errno == EINTR)
            continue;
        /* A device that wants larger blocks than pages, or the rest of a short write. */
        if (n < 0 && errno == EINVAL && f->is_direct && set_direct(f, false))
            continue;
        if (n < 0)
            return file_fault("write", f->path, errno);
        if (n == 0)
            return file_fault("write", f->path, EIO);
        consume_parts(&parts, &count, (size_t)n);
        offset += n;
    }
    return FINE;
}

struct fault file_append(struct file *f, struct str s)
{
    while (s.n > 0) {
        ssize_t n = write(f->fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return file_fault("write", f->path, n < 0 ? errno : EIO);
        s = str_skip(s, (size_t)n);
    }
    return FINE;
}

struct fault file_sync(struct file *f)
{
    /* Not repeated after EINTR: what a failed sync left undone, a second one may not report. */
    return fdatasync(f->fd) == 0 ? FINE : file_fault("sync", f->path, errno);
}

struct fault file_sync_system(struct file *f)
{
    return syncfs(f->fd) == 0 ? FINE : file_fault("sync", f->path, errno);
}

struct fault file_zero(struct file *f, int64_t size_bytes)
{
    int error;
    do {
        error = posix_fallocate(f->fd, 0, size_bytes);
    } while (error == EINTR);
    if (error != 0)
        return file_fault("allocate", f->path, error);
    /* Allocated blocks are marked unwritten; only written zeros clear that mark. */
    enum { CHUNK_BYTES = 1 << 20 };
    int64_t chunk = size_bytes < CHUNK_BYTES ? size_bytes : CHUNK_BYTES;
    void *zeros = memory_zero_pages((size_t)chunk);
    struct fault fault = FINE;
    for (int64_t at = 0; at < size_bytes && !fault.kind; at += chunk) {
        int64_t left = size_bytes - at;
        struct iovec part = {zeros, (size_t)(left < chunk ? left : chunk)};
        fault = file_write_at(f, &part, 1, at);
    }
    free(zeros);
    return fault;
}

struct fault file_truncate(struct file *f, int64_t size_bytes)
{
    int result;
    do {
        result = ftruncate(f->fd, size_bytes);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? FINE : file_fault("truncate", f->path, errno);
}

struct fault file_size(struct file *f, int64_t *size_bytes)
{
    struct stat status;
    *size_bytes = 0;
    if (fstat(f->fd, &status) != 0)
        return file_fault("stat", f->path, errno);
    *size_bytes = status.st_size;
    return FINE;
}

struct fault file_set_permissions(struct file *f, unsigned permissions)
{
    return fchmod(f->fd, (mode_t)permissions) == 0 ? FINE : file_fault("chmod", f->path, errno);
}

void file_expect_sequential(struct file *f)
{
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* advice: a refusal changes nothing */
}

void file_expect_soon(struct file *f, int64_t offset, int64_t size_bytes)
{
    /* The kernel takes no more at a time than the device does in one go. */
    enum { STEP_BYTES = 1 << 20 };
    for (int64_t at = offset; at < offset + size_bytes; at += STEP_BYTES)
        posix_fadvise(f->fd, at, STEP_BYTES, POSIX_FADV_WILLNEED);
}

void file_forget_cached(struct file *f)
{
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
}

bool file_try_lock(struct file *f)
{
    int result;
    do {
        result = flock(f->fd, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}
