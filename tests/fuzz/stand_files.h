/* SPDX-License-Identifier: ISC */
/*
 * stand_files.h - files in memory in the place of os/file.c: the same contracts
 */
#ifndef TESTS_FUZZ_STAND_FILES_H
#define TESTS_FUZZ_STAND_FILES_H

#include "os/file.h"

struct fault __wrap_file_open(const char *path, enum file_mode mode, struct file **out);
void __wrap_file_close(struct file *f);
struct fault __wrap_file_read_at(struct file *f, void *memory, size_t size_bytes, int64_t offset,
                                 size_t *got);
struct fault __wrap_file_write_at(struct file *f, struct iovec *parts, size_t count,
                                  int64_t offset);
struct fault __wrap_file_sync(struct file *f);
void __wrap_file_bypass_cache(struct file *f);
struct fault __wrap_file_zero(struct file *f, int64_t size_bytes);
struct fault __wrap_file_truncate(struct file *f, int64_t size_bytes);
struct fault __wrap_file_size(struct file *f, int64_t *size_bytes);
void __wrap_file_expect_sequential(struct file *f);
void __wrap_file_expect_soon(struct file *f, int64_t offset, int64_t size_bytes);
void __wrap_file_forget_cached(struct file *f);
bool __wrap_file_try_lock(struct file *f);
struct fault __wrap_file_rename(const char *from, const char *to);
struct fault __wrap_file_remove(const char *path);
struct fault __wrap_file_sync_directory(const char *path);
struct fault __wrap_file_make_directory(const char *path);
struct fault __wrap_file_establish_directory(const char *path, const char *const *names,
                                             size_t count);
struct fault __wrap_file_list(const char *path, void (*each)(const char *name, void *arg),
                              void *arg);
struct fault __wrap_file_remove_tree(const char *path);

#endif
