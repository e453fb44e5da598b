/* SPDX-License-Identifier: ISC */
/*
 * disk_calls.c - the C library's calls about files, for the server and its libraries
 *
 * Relative paths, and those below /sim, are the simulated disk's; others go to the real system.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "disk_calls.h"
#include "system.h"

enum { SYNC_LEAST_US = 50, SYNC_MOST_US = 8000, DEVICE = 77 };

static int fail(int error)
{
    errno = error;
    return -1;
}

static struct inode *root(void)
{
    return world->disk->root;
}

static struct inode *find(const char *path)
{
    return disk_find(root(), path, NULL, NULL);
}

struct open_file *file_of(int descriptor)
{
    struct object *o = system_object(descriptor);
    if (o && o->kind != OBJECT_FILE && o->kind != OBJECT_DIRECTORY && o->kind != OBJECT_TEXT)
        errno = ESPIPE;
    else if (o)
        return (struct open_file *)(void *)o;
    return NULL;
}

static int open_inode(struct inode *i, int flags)
{
    struct open_file *f = world_alloc(sizeof *f);
    f->object = (struct object){.kind = i->type == INODE_DIRECTORY ? OBJECT_DIRECTORY : OBJECT_FILE,
                                .references = 1,
                                .flags = flags};
    f->inode = i;
    f->losses_told = i->losses;
    f->disk_losses_told = world->disk->losses;
    i->opened++;
    return system_open(&f->object);
}

int open_at(struct inode *from, const char *path, int flags, unsigned mode)
{
    char last[DISK_NAME_MAX];
    struct inode *parent;
    system_call();
    int error = disk_fails(flags & O_CREAT ? DISK_OPEN | DISK_NAMES : DISK_OPEN);
    if (error)
        return fail(error);
    struct inode *i = disk_find(from, path, &parent, last);
    if (i && (flags & O_CREAT) && (flags & O_EXCL))
        return fail(EEXIST);
    if (i && (flags & O_DIRECTORY) && i->type != INODE_DIRECTORY)
        return fail(ENOTDIR);
    if (i && i->type == INODE_DIRECTORY && (flags & O_ACCMODE) != O_RDONLY)
        return fail(EISDIR);
    if (!i && !((flags & O_CREAT) && parent))
        return -1;
    if (!i)
        i = disk_create(parent, last, INODE_FILE, mode);
    if (flags & O_TRUNC)
        disk_truncate(i, 0);
    return open_inode(i, flags);
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, unsigned) : 0;
    va_end(args);
    if (!disk_has(path))
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    return open_at(root(), path, flags, mode);
}

/* What open becomes where the compiler knows the number of arguments. */
int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
    return open(path, flags);
}

int openat(int directory, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, unsigned) : 0;
    va_end(args);
    if (!system_has(directory) && !(directory == AT_FDCWD && disk_has(path)))
        return (int)syscall(SYS_openat, directory, path, flags, mode);
    struct open_file *f = directory == AT_FDCWD ? NULL : file_of(directory);
    return open_at(f ? f->inode : root(), path, flags, mode);
}

/* What memfd_create made: no disk is behind it. */
static bool is_memory(const struct open_file *f)
{
    return f->inode->number == 0;
}

static ssize_t read_file(struct open_file *f, void *memory, size_t size, int64_t offset)
{
    system_call();
    int error = is_memory(f) ? 0 : disk_fails(DISK_READ);
    if (error)
        return fail(error);
    if (f->inode->type == INODE_DIRECTORY)
        return fail(EISDIR);
    return (ssize_t)disk_read(f->inode, memory, size, offset);
}

static ssize_t write_file(struct open_file *f, const void *memory, size_t size, int64_t offset)
{
    struct disk *d = world->disk;
    system_call();
    int error = is_memory(f) ? 0 : disk_fails(DISK_WRITE);
    if (error)
        return fail(error);
    if (d->short_write_one_in && size > 1 && sim_chance(1, d->short_write_one_in)) {
        if (sim_chance(1, 3))
            return fail(EINTR);
        size = (size_t)sim_between(1, (int64_t)size - 1);
    }
    return disk_write(f->inode, memory, size, offset);
}

ssize_t pread(int descriptor, void *memory, size_t size, off_t offset)
{
    if (!system_has(descriptor))
        return syscall(SYS_pread64, descriptor, memory, size, offset);
    struct open_file *f = file_of(descriptor);
    return f ? read_file(f, memory, size, offset) : -1;
}

ssize_t pwrite(int descriptor, const void *memory, size_t size, off_t offset)
{
    if (!system_has(descriptor))
        return syscall(SYS_pwrite64, descriptor, memory, size, offset);
    struct open_file *f = file_of(descriptor);
    return f ? write_file(f, memory, size, offset) : -1;
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset)
{
    struct open_file *f = file_of(descriptor);
    ssize_t done = 0;
    for (int i = 0; f && i < count; i++) {
        if (parts[i].iov_len == 0)
            continue;
        ssize_t n = write_file(f, parts[i].iov_base, parts[i].iov_len, offset + done);
        if (n < 0)
            return done > 0 ? done : -1;
        done += n;
        if ((size_t)n < parts[i].iov_len)
            break;
    }
    return f ? done : -1;
}

/* read and write at the file's own offset; from poll_calls.c, which knows the kinds. */
ssize_t file_read_on(struct object *o, void *memory, size_t size);
ssize_t file_write_on(struct object *o, const void *memory, size_t size);

ssize_t file_read_on(struct object *o, void *memory, size_t size)
{
    struct open_file *f = (struct open_file *)(void *)o;
    ssize_t n = read_file(f, memory, size, f->offset);
    if (n > 0)
        f->offset += n;
    return n;
}

ssize_t file_write_on(struct object *o, const void *memory, size_t size)
{
    struct open_file *f = (struct open_file *)(void *)o;
    if (o->flags & O_APPEND)
        f->offset = f->inode->live_size;
    ssize_t n = write_file(f, memory, size, f->offset);
    if (n > 0)
        f->offset += n;
    if (n > 0 && (o->flags & O_APPEND)) /* the event log */
        sim_tell(memory, (size_t)n);
    return n;
}

void file_end(struct object *o)
{
    struct open_file *f = (struct open_file *)(void *)o;
    f->inode->opened--;
    disk_let_go(f->inode);
    world_free(f, sizeof *f);
}

int memfd_create(const char *name, unsigned flags)
{
    (void)name;
    system_call();
    struct inode *i = world_alloc(sizeof *i);
    *i = (struct inode){.type = INODE_FILE, .links = 1, .allocated = INT64_MAX / 2};
    return open_inode(i, (int)flags);
}

/* As Linux does: a loss is told once to each open file that was there before it. */
static int tell_loss(unsigned *told, unsigned losses, int error)
{
    if (*told != losses && !error)
        error = EIO;
    *told = losses;
    return error;
}

/* A sync takes time, in which others work. */
int fdatasync(int descriptor)
{
    struct open_file *f = file_of(descriptor);
    system_call();
    int error = disk_fails(DISK_SYNC);
    fiber_sleep(sim_between(SYNC_LEAST_US, SYNC_MOST_US) * 1000);
    system_sync();
    if (!f)
        return -1;
    struct inode *i = f->inode;
    if (error && i->type == INODE_FILE)
        disk_fail_sync(i);
    error = tell_loss(&f->losses_told, i->losses, error);
    if (error)
        return fail(error);
    if (i->type == INODE_DIRECTORY)
        disk_sync_directory(i);
    else
        disk_sync_file(i);
    return 0;
}

int fsync(int descriptor)
{
    return fdatasync(descriptor);
}

int syncfs(int descriptor)
{
    struct open_file *f = file_of(descriptor);
    system_call();
    int error = disk_fails(DISK_SYNC);
    fiber_sleep(sim_between(SYNC_LEAST_US, 4 * SYNC_MOST_US) * 1000);
    system_sync();
    if (!f)
        return -1;
    if (error)
        disk_fail_sync_all();
    error = tell_loss(&f->disk_losses_told, world->disk->losses, error);
    if (error)
        return fail(error);
    disk_sync_all();
    return 0;
}

int posix_fallocate(int descriptor, off_t offset, off_t size)
{
    struct open_file *f = file_of(descriptor);
    system_call();
    int error = disk_fails(DISK_GROW);
    return !f ? EBADF : error ? error : disk_allocate(f->inode, offset + size);
}

int posix_fadvise(int descriptor, off_t offset, off_t size, int advice)
{
    struct open_file *f = file_of(descriptor);
    (void)offset;
    (void)size;
    if (f && advice == POSIX_FADV_DONTNEED)
        disk_forget(f->inode);
    return 0;
}

int ftruncate(int descriptor, off_t size)
{
    struct open_file *f = file_of(descriptor);
    system_call();
    int error = disk_fails(DISK_GROW);
    if (!f || error)
        return f ? fail(error) : -1;
    disk_truncate(f->inode, size);
    return 0;
}

int flock(int descriptor, int operation)
{
    (void)operation;
    return file_of(descriptor) ? 0 : -1;
}

/* Record locks: one process has the disk, and SQLite keeps its own connections apart. */
int fcntl(int descriptor, int command, ...)
{
    va_list args;
    va_start(args, command);
    void *arg = va_arg(args, void *);
    va_end(args);
    if (!system_has(descriptor))
        return (int)syscall(SYS_fcntl, descriptor, command, arg);
    struct object *o = system_object(descriptor);
    if (!o)
        return -1;
    switch (command) {
    case F_GETFL:
        return o->flags;
    case F_SETFL:
        o->flags = (int)(intptr_t)arg;
        if (o->kind == OBJECT_FILE && (o->flags & O_DIRECT))
            file_of(descriptor)->inode->is_direct = true;
        return 0;
    case F_GETLK:
        ((struct flock *)arg)->l_type = F_UNLCK;
        return 0;
    default:
        return 0;
    }
}

static void describe(const struct inode *i, struct stat *out)
{
    static const unsigned types[] = {S_IFREG, S_IFDIR, S_IFSOCK};
    *out = (struct stat){.st_dev = DEVICE,
                         .st_ino = i->number,
                         .st_mode = types[i->type] | (i->mode & 07777),
                         .st_nlink = i->links,
                         .st_size = i->live_size,
                         .st_blksize = DISK_PAGE,
                         .st_blocks = i->live_size / 512};
}

int stat(const char *path, struct stat *out)
{
    if (!disk_has(path))
        return (int)syscall(SYS_newfstatat, AT_FDCWD, path, out, 0);
    system_call();
    struct inode *i = find(path);
    if (!i)
        return -1;
    describe(i, out);
    return 0;
}

int lstat(const char *path, struct stat *out)
{
    return stat(path, out);
}

int fstat(int descriptor, struct stat *out)
{
    if (!system_has(descriptor))
        return (int)syscall(SYS_newfstatat, descriptor, "", out, AT_EMPTY_PATH);
    struct open_file *f = file_of(descriptor);
    if (!f)
        return -1;
    describe(f->inode, out);
    return 0;
}

int access(const char *path, int mode)
{
    if (!disk_has(path))
        return (int)syscall(SYS_faccessat, AT_FDCWD, path, mode);
    system_call();
    return find(path) ? 0 : -1;
}

static bool is_empty(const struct inode *directory)
{
    for (const struct name *n = directory->names; n; n = n->next)
        if (n->live)
            return false;
    return true;
}

static int remove_at(struct inode *from, const char *path, bool is_directory)
{
    char last[DISK_NAME_MAX];
    struct inode *parent;
    system_call();
    int error = disk_fails(DISK_NAMES);
    if (error)
        return fail(error);
    struct inode *i = disk_find(from, path, &parent, last);
    if (!i)
        return -1;
    if (is_directory != (i->type == INODE_DIRECTORY))
        return fail(is_directory ? ENOTDIR : EISDIR);
    if (is_directory && !is_empty(i))
        return fail(ENOTEMPTY);
    disk_remove(parent, last);
    return 0;
}

int unlink(const char *path)
{
    return disk_has(path) ? remove_at(root(), path, false)
                          : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return disk_has(path) ? remove_at(root(), path, true)
                          : (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

int unlinkat(int directory, const char *path, int flags)
{
    if (directory == AT_FDCWD)
        return flags & AT_REMOVEDIR ? rmdir(path) : unlink(path);
    struct open_file *f = file_of(directory);
    return f ? remove_at(f->inode, path, flags & AT_REMOVEDIR) : -1;
}

int rename(const char *from, const char *to)
{
    char old[DISK_NAME_MAX], new[DISK_NAME_MAX];
    struct inode *source, *target;
    system_call();
    int error = disk_fails(DISK_NAMES);
    if (error)
        return fail(error);
    struct inode *moved = disk_find(root(), from, &source, old);
    disk_find(root(), to, &target, new);
    if (!moved || !target)
        return fail(ENOENT);
    disk_rename(source, old, target, new);
    return 0;
}

int mkdir(const char *path, mode_t mode)
{
    char last[DISK_NAME_MAX];
    struct inode *parent;
    if (!disk_has(path))
        return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    system_call();
    int error = disk_fails(DISK_NAMES);
    if (error)
        return fail(error);
    if (disk_find(root(), path, &parent, last))
        return fail(EEXIST);
    if (!parent)
        return -1;
    disk_create(parent, last, INODE_DIRECTORY, mode);
    return 0;
}

int fchmod(int descriptor, mode_t mode)
{
    struct open_file *f = file_of(descriptor);
    if (!f)
        return -1;
    f->inode->mode = mode;
    return 0;
}

int chmod(const char *path, mode_t mode)
{
    struct inode *i = find(path);
    if (!i)
        return -1;
    i->mode = mode;
    return 0;
}

int statvfs(const char *path, struct statvfs *out)
{
    const struct disk *d = world->disk;
    system_call();
    if (!find(path))
        return -1;
    *out = (struct statvfs){.f_bsize = DISK_PAGE,
                            .f_frsize = DISK_PAGE,
                            .f_blocks = (fsblkcnt_t)d->room_pages,
                            .f_bfree = (fsblkcnt_t)(d->room_pages - d->used_pages),
                            .f_bavail = (fsblkcnt_t)(d->room_pages - d->used_pages)};
    return 0;
}

char *getcwd(char *memory, size_t size)
{
    static const char here[] = "/sim";
    if (size < sizeof here) {
        errno = ERANGE;
        return NULL;
    }
    return memcpy(memory, here, sizeof here);
}

int chdir(const char *path)
{
    (void)path;
    return 0;
}

ssize_t readlink(const char *restrict path, char *restrict memory, size_t size)
{
    if (!disk_has(path))
        return syscall(SYS_readlinkat, AT_FDCWD, path, memory, size);
    return fail(EINVAL);
}

/* Mapped files are SQLite's index of its log: shared by what one process has open, and lost with
 * it. */
void *mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset)
{
    enum { MAPPING_BYTES = 1 << 20 };
    if (!system_has(descriptor)) {
        long at = syscall(SYS_mmap, address, size, protection, flags, descriptor, offset);
        return (void *)at; // NOLINT(performance-no-int-to-ptr)
    }
    struct open_file *f = file_of(descriptor);
    if (!f || offset + (off_t)size > MAPPING_BYTES) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (!f->inode->mapping || f->inode->mapping_process != world->process) {
        f->inode->mapping_process = world->process;
        long at = syscall(SYS_mmap, NULL, MAPPING_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        f->inode->mapping = (void *)at; // NOLINT(performance-no-int-to-ptr)
    }
    return (char *)f->inode->mapping + offset;
}

static bool is_mapping(const void *address)
{
    for (const struct inode *i = world->disk->all; i; i = i->next)
        if (i->mapping && i->mapping_process == world->process &&
            (const char *)address >= (char *)i->mapping &&
            (const char *)address < (char *)i->mapping + (1 << 20))
            return true;
    return false;
}

int munmap(void *address, size_t size)
{
    if (world && world->disk && is_mapping(address))
        return 0;
    return (int)syscall(SYS_munmap, address, size);
}
