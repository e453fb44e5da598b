/* SPDX-License-Identifier: ISC */
/*
 * file.h - files and directories, and the one way to write durably
 *
 * Every call is whole: short reads and writes are continued and interruptions retried. Faults are
 * 452 4.3.1 when the disk or a quota is full, else 451 4.3.0, with the path and the system's word
 * in the text. Paths are C strings relative to the working directory or absolute.
 */
#ifndef OS_FILE_H
#define OS_FILE_H

#include "base/buf.h"
#include "base/fault.h"

#include <stdint.h>
#include <sys/uio.h>

struct file; /* an open file */

enum file_mode {
    FILE_READ,       /* must exist */
    FILE_READ_WRITE, /* must exist */
    FILE_CREATE,     /* read and write, made when missing */
    FILE_CREATE_NEW, /* read and write, must not exist */
    FILE_APPEND      /* write at the end, made when missing */
};

/* Opens path with mode 0600 for new files. *out is for file_close; NULL on a fault. */
struct fault file_open(const char *path, enum file_mode mode, struct file **out);

/* Closes and frees; NULL is allowed. What was not synced may be lost. */
void file_close(struct file *f);

/* Reads up to size_bytes at the offset; *got is less only at the end of the file. */
struct fault file_read_at(struct file *f, void *memory, size_t size_bytes, int64_t offset,
                          size_t *got);

/*
 * Writes all parts one after the other at the offset; the parts array is used up (changed). To a
 * file with file_bypass_cache: whole pages of memory_pages() at offsets of whole pages.
 */
struct fault file_write_at(struct file *f, struct iovec *parts, size_t count, int64_t offset);

/* Writes s at the end of a file opened with FILE_APPEND, or where the last such write ended. */
struct fault file_append(struct file *f, struct str s);

/* Makes written data durable: fdatasync, and fsync for a file whose size changed is implied. */
struct fault file_sync(struct file *f);

/*
 * Writes go past the system's cache from now on, where the file system can do that; elsewhere
 * nothing changes. Saves the work of the cache for what is hardly ever read; what others read
 * through the cache stays right.
 */
void file_bypass_cache(struct file *f);

/*
 * Allocates and zeroes the first size_bytes, whole pages, so that writing there changes no
 * metadata.
 */
struct fault file_zero(struct file *f, int64_t size_bytes);

/* Permission bits, whatever the umask. */
struct fault file_set_permissions(struct file *f, unsigned permissions);

struct fault file_truncate(struct file *f, int64_t size_bytes);
struct fault file_size(struct file *f, int64_t *size_bytes);

/* Tells the system that the file is read from start to end. */
void file_expect_sequential(struct file *f);

/* Lets the system fetch these bytes into its cache while the caller does something else. */
void file_expect_soon(struct file *f, int64_t offset, int64_t size_bytes);

/* Lets the system's cache forget what is synced; later writes of whole pages read nothing back. */
void file_forget_cached(struct file *f);

/* Takes an exclusive lock that ends with the open file; false when another open file holds it. */
bool file_try_lock(struct file *f);

struct fault file_rename(const char *from, const char *to);
struct fault file_remove(const char *path); /* a missing file is fine */
bool file_exists(const char *path);

/*
 * Makes what an earlier process wrote to that file durable, whether it got as far as to sync it or
 * not; a missing file is fine. What a killed process left is read like anything else, and a power
 * cut would take it back from under whoever acted on it. The system's cache forgets the file then:
 * what could not be written stays there as if it had been, and no later sync tells.
 */
struct fault file_sync_path(const char *path);

/* Makes names created, renamed or removed in the directory durable. */
struct fault file_sync_directory(const char *path);

/*
 * Makes everything written to the file system that holds the open file or directory durable (syncfs).
 * What could not be written is told once to each open file, and to one that was opened later never,
 * as anybody else may have heard of it meanwhile: it is opened before what is to be synced is written,
 * and kept. After a fault nothing that was written since the last FINE can be relied on, whatever the
 * next one says.
 */
struct fault file_sync_system(struct file *f);

/* Makes the directory (0700) and its missing parents. An existing one is fine. A power cut may take
 * it back, until a sync of what it is in. */
struct fault file_make_directory(const char *path);

/*
 * The durable form: makes the directory and in it those of the given names. All names that are in
 * the directory survive a power cut from now on, as does its own, also those that an earlier process
 * made and did not get as far as to sync.
 * What holds the directory is not synced when we may not open it: a sandbox keeps it from us.
 */
struct fault file_establish_directory(const char *path, const char *const *names, size_t count);

/* Calls each(name, arg) for the names in the directory except . and .., in no order. */
struct fault file_list(const char *path, void (*each)(const char *name, void *arg), void *arg);

/* Removes a directory with everything in it; a missing one is fine. Does not follow links. */
struct fault file_remove_tree(const char *path);

/* Appends the whole file to out; a file that passes the buffer's limit is a fault. */
struct fault file_load(const char *path, struct buf *out);

/*
 * The durable write: a new file beside path (its name ends in ".new") gets the bytes, is synced,
 * renamed over path, and the directory is synced. After FINE a crash shows the new content, before
 * it the old or the new.
 */
struct fault file_save(const char *path, struct str content, unsigned permissions);

/* Free and total bytes of the file system that holds path, for unprivileged writers. */
struct fault file_space(const char *path, int64_t *free_bytes, int64_t *total_bytes);

#endif
