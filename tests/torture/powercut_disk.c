/* SPDX-License-Identifier: ISC */
/*
 * powercut_disk.c - a disk in a file: what a loop device writes to it is recorded
 *
 *     powercut_disk record MOUNTPOINT IMAGE INDEX DATA
 *     powercut_disk view MOUNTPOINT IMAGE [INDEX DATA]
 *
 * A FUSE file system with one file, "disk", whose bytes are those of the image. "record" writes
 * them through and notes each write and each flush in the order in which they are answered; one
 * thread, so that a flush stands behind every write that was answered before it came. "view" keeps
 * what is written to itself, and forgets it; when asked, it notes it too. The index is a page, whose first number counts the
 * entries and grows when an entry is whole, and then the entries. POWERCUT_RATE is how many bytes a
 * second a slow disk writes.
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, FLUSH = 2, INDEX_HEAD = 4096, ENTRIES_MOST = 1 << 22 };

struct entry {
    uint64_t kind;
    uint64_t offset;
    uint64_t size;
    uint64_t data_at;
};

struct disk {
    unsigned char *bytes;
    uint64_t size;
    _Atomic(uint64_t) *count; /* NULL: nothing is recorded */
    struct entry *entry;
    int data;
    uint64_t data_size;
    uint64_t rate; /* 0: as fast as it goes */
    const char *mountpoint;
};

static struct disk *disk(void)
{
    return fuse_get_context()->private_data;
}

static bool is_disk(const char *path)
{
    return strcmp(path, "/disk") == 0;
}

static int note(struct disk *d, struct entry e, const char *bytes)
{
    if (!d->count)
        return 0;
    uint64_t at = atomic_load(d->count);
    if (at == ENTRIES_MOST || (e.size > 0 && write(d->data, bytes, e.size) != (ssize_t)e.size))
        return -EIO;
    e.data_at = d->data_size;
    d->data_size += e.size;
    d->entry[at] = e;
    atomic_store(d->count, at + 1);
    return 0;
}

static void take_time(const struct disk *d, size_t size)
{
    enum { NS = 1000000000 };
    if (d->rate == 0)
        return;
    uint64_t ns = size * (uint64_t)NS / d->rate;
    struct timespec pause = {.tv_sec = (time_t)(ns / NS), .tv_nsec = (long)(ns % NS)};
    nanosleep(&pause, NULL);
}

static int disk_getattr(const char *path, struct stat *out, struct fuse_file_info *info)
{
    (void)info;
    memset(out, 0, sizeof *out);
    out->st_nlink = 1;
    out->st_mode = is_disk(path) ? S_IFREG | 0600 : S_IFDIR | 0700;
    out->st_size = is_disk(path) ? (off_t)disk()->size : 0;
    return is_disk(path) || strcmp(path, "/") == 0 ? 0 : -ENOENT;
}

static int disk_open(const char *path, struct fuse_file_info *info)
{
    (void)info;
    return is_disk(path) ? 0 : -ENOENT;
}

static int disk_read(const char *path, char *out, size_t size, off_t offset,
                     struct fuse_file_info *info)
{
    (void)path, (void)info;
    const struct disk *d = disk();
    uint64_t at = (uint64_t)offset;
    if (at >= d->size)
        return 0;
    if (size > d->size - at)
        size = (size_t)(d->size - at);
    memcpy(out, d->bytes + at, size);
    return (int)size;
}

static int disk_write(const char *path, const char *bytes, size_t size, off_t offset,
                      struct fuse_file_info *info)
{
    (void)path, (void)info;
    struct disk *d = disk();
    uint64_t at = (uint64_t)offset;
    if (at > d->size || size > d->size - at)
        return -ENOSPC;
    int result = note(d, (struct entry){.kind = WRITE, .offset = at, .size = size}, bytes);
    if (result != 0)
        return result;
    memcpy(d->bytes + at, bytes, size);
    take_time(d, size);
    return (int)size;
}

static int disk_fsync(const char *path, int is_data_only, struct fuse_file_info *info)
{
    (void)path, (void)is_data_only, (void)info;
    return note(disk(), (struct entry){.kind = FLUSH}, NULL);
}

/*
 * Goes into a mount namespace of its own, without the disk. Where all processes of a run are killed,
 * the last one to end unmounts what was mounted in its namespace: if that were this one, ext4 would
 * wait for ever for what only it can answer, and every loop device of the machine with it.
 */
static void *stand_aside(struct fuse_conn_info *info, struct fuse_config *config)
{
    (void)info, (void)config;
    struct disk *d = disk();
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        umount2(d->mountpoint, MNT_DETACH) != 0) {
        perror("powercut_disk");
        exit(1);
    }
    return d;
}

static const struct fuse_operations operations = {
    .init = stand_aside,
    .getattr = disk_getattr,
    .open = disk_open,
    .read = disk_read,
    .write = disk_write,
    .fsync = disk_fsync,
};

static void *map_file(const char *path, size_t size, int flags)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (memory == MAP_FAILED) {
        perror(path);
        exit(1);
    }
    close(fd);
    return memory;
}

static void start_recording(struct disk *d, const char *index, const char *data)
{
    size_t size = INDEX_HEAD + ENTRIES_MOST * sizeof *d->entry;
    d->data = open(data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (d->data < 0 || truncate(index, (off_t)size) != 0) {
        perror("powercut_disk");
        exit(1);
    }
    unsigned char *memory = map_file(index, size, MAP_SHARED);
    d->count = (void *)memory;
    d->entry = (void *)(memory + INDEX_HEAD);
}

int main(int argc, char **argv)
{
    bool is_view = argc >= 4 && strcmp(argv[1], "view") == 0;
    bool is_recording = argc == 6 && (is_view || strcmp(argv[1], "record") == 0);
    if (!is_recording && !(is_view && argc == 4)) {
        fputs("usage: powercut_disk record MOUNTPOINT IMAGE INDEX DATA\n"
              "       powercut_disk view MOUNTPOINT IMAGE [INDEX DATA]\n",
              stderr);
        return 2;
    }
    struct stat image;
    if (stat(argv[3], &image) != 0) {
        perror(argv[3]);
        return 1;
    }
    const char *rate = getenv("POWERCUT_RATE");
    struct disk d = {.size = (uint64_t)image.st_size,
                     .rate = rate ? strtoull(rate, NULL, 10) : 0,
                     .mountpoint = argv[2]};
    d.bytes = map_file(argv[3], d.size, is_view ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED);
    if (is_recording)
        start_recording(&d, argv[4], argv[5]);
    char *words[] = {argv[0], "-f", "-s", argv[2], NULL};
    return fuse_main(4, words, &operations, &d);
}
