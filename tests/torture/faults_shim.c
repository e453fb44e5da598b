/* SPDX-License-Identifier: ISC */
/*
 * faults_shim.c - a system whose calls fail as a plan says, preloaded into a server's roles
 *
 * FAULTS_PLAN names a file of 64-bit numbers that the test and every role have mapped: which calls
 * fail, how, and how many of each there were. FAULTS_ROOT is the directory whose files count; what
 * is outside, and what is no file, is left alone. The functions have names of their own and take
 * the library's place by their labels, so that no header's declaration is in the way.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The order is that of FUNCTIONS in tests/integration/faults.py. */
enum function {
    OPEN,
    CREATE, /* an open that may write */
    READ,
    PREAD,
    WRITE,
    PWRITE,
    FSYNC,
    FDATASYNC,
    SYNCFS,
    RENAME,
    UNLINK,
    MKDIR,
    FTRUNCATE,
    FALLOCATE,
    ACCEPT,
    SOCKET,
    FUNCTIONS,
    EVERY_WRITE /* for freezing: all that change the disk, and syncs */
};

enum { SHORT = 0, FROZEN = -1 };
enum { AT_CURRENT = -100, MAY_WRITE = 3, MAY_CREATE = 0100 };
enum { LOOK_US = 1000 };

struct plan {
    _Atomic int64_t role, function, error, at, is_for_good, seen, hits, reserved;
    _Atomic int64_t count[2][FUNCTIONS];
};

static struct plan *plan;
static int64_t role;
static dev_t device; /* of the root: what is a file elsewhere, like a memfd, is left alone */

/* Which role this process is, by its command line; -1: none. */
static int64_t find_role(void)
{
    char line[2048];
    int64_t found = -1;
    int fd = (int)syscall(SYS_openat, AT_CURRENT, "/proc/self/cmdline", 0);
    ssize_t n = syscall(SYS_read, fd, line, sizeof line - 1);
    syscall(SYS_close, fd);
    for (ssize_t i = 0; i + 9 <= n; i++)
        if (memcmp(line + i, "role\0mt", 7) == 0 || memcmp(line + i, "role\0md", 7) == 0)
            found = line[i + 6] == 'd';
    return found;
}

__attribute__((constructor)) static void map_plan(void)
{
    const char *path = getenv("FAULTS_PLAN");
    role = find_role();
    if (!path || role < 0)
        return;
    int fd = (int)syscall(SYS_openat, AT_CURRENT, path, 02);
    void *memory = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    struct stat status;
    const char *root = getenv("FAULTS_ROOT");
    if (memory == MAP_FAILED || !root || stat(root, &status) != 0)
        abort();
    device = status.st_dev;
    plan = memory;
}

static int is_writing(enum function f)
{
    return f == CREATE || (f >= WRITE && f <= FALLOCATE);
}

static int is_meant(enum function f)
{
    int64_t function = plan->function;
    return plan->role == role && (function == f || (function == EVERY_WRITE && is_writing(f)));
}

/* Counts the call. 0: it is to be made; else errno, or -1 for a short write. */
static int judge(enum function f)
{
    plan->count[role][f]++;
    if (!is_meant(f))
        return 0;
    int64_t number = ++plan->seen, at = plan->at;
    if (number != at && !(plan->is_for_good && number > at))
        return 0;
    plan->hits++;
    int64_t error = plan->error;
    while (plan->error == FROZEN && is_meant(f))
        usleep(LOOK_US);
    return error == FROZEN ? 0 : error == SHORT ? -1 : (int)error;
}

static int is_ours(const char *path)
{
    const char *root = getenv("FAULTS_ROOT");
    return path[0] != '/' || (root && strncmp(path, root, strlen(root)) == 0);
}

static int is_file(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_dev == device &&
           (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
}

/* Whether the call fails, with errno set. */
static int fails_at(enum function f, int is_counted)
{
    int error = plan && is_counted ? judge(f) : 0;
    if (error > 0)
        errno = error;
    return error > 0;
}

static int open_any(int folder, const char *path, int flags, unsigned mode)
{
    int is_counted = is_ours(path);
    if (fails_at(OPEN, is_counted))
        return -1;
    if ((flags & (MAY_WRITE | MAY_CREATE)) && fails_at(CREATE, is_counted))
        return -1;
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

int shim_open(const char *path, int flags, ...) __asm__("open64");
int shim_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    unsigned mode = flags & MAY_CREATE ? va_arg(args, unsigned) : 0;
    va_end(args);
    return open_any(AT_CURRENT, path, flags, mode);
}

int shim_open_2(const char *path, int flags) __asm__("__open64_2");
int shim_open_2(const char *path, int flags)
{
    return open_any(AT_CURRENT, path, flags, 0);
}

int shim_openat(int folder, const char *path, int flags, ...) __asm__("openat64");
int shim_openat(int folder, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    unsigned mode = flags & MAY_CREATE ? va_arg(args, unsigned) : 0;
    va_end(args);
    return open_any(folder, path, flags, mode);
}

ssize_t shim_read(int fd, void *memory, size_t size) __asm__("read");
ssize_t shim_read(int fd, void *memory, size_t size)
{
    if (fails_at(READ, is_file(fd)))
        return -1;
    return syscall(SYS_read, fd, memory, size);
}

ssize_t shim_pread(int fd, void *memory, size_t size, int64_t offset) __asm__("pread64");
ssize_t shim_pread(int fd, void *memory, size_t size, int64_t offset)
{
    if (fails_at(PREAD, is_file(fd)))
        return -1;
    return syscall(SYS_pread64, fd, memory, size, offset);
}

/* How much of a write is made: all, or as much as a signal or a nearly full disk leaves of it. */
static ssize_t part_of(enum function f, int fd, size_t size)
{
    int error = plan && is_file(fd) ? judge(f) : 0;
    if (error > 0) {
        errno = error;
        return -1;
    }
    return (ssize_t)(error < 0 && size > 1 ? size / 2 : size);
}

ssize_t shim_write(int fd, const void *memory, size_t size) __asm__("write");
ssize_t shim_write(int fd, const void *memory, size_t size)
{
    ssize_t part = part_of(WRITE, fd, size);
    return part < 0 ? -1 : syscall(SYS_write, fd, memory, part);
}

ssize_t shim_pwrite(int fd, const void *memory, size_t size, int64_t offset) __asm__("pwrite64");
ssize_t shim_pwrite(int fd, const void *memory, size_t size, int64_t offset)
{
    ssize_t part = part_of(PWRITE, fd, size);
    return part < 0 ? -1 : syscall(SYS_pwrite64, fd, memory, part, offset);
}

ssize_t shim_pwritev(int fd, const struct iovec *parts, int count,
                     int64_t offset) __asm__("pwritev64");
ssize_t shim_pwritev(int fd, const struct iovec *parts, int count, int64_t offset)
{
    ssize_t part = part_of(PWRITE, fd, parts[0].iov_len);
    if (part < 0)
        return -1;
    if ((size_t)part < parts[0].iov_len)
        return syscall(SYS_pwrite64, fd, parts[0].iov_base, part, offset);
    return syscall(SYS_pwritev, fd, parts, count, offset, 0);
}

int shim_fsync(int fd) __asm__("fsync");
int shim_fsync(int fd)
{
    return fails_at(FSYNC, 1) ? -1 : (int)syscall(SYS_fsync, fd);
}

int shim_fdatasync(int fd) __asm__("fdatasync");
int shim_fdatasync(int fd)
{
    return fails_at(FDATASYNC, 1) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int shim_syncfs(int fd) __asm__("syncfs");
int shim_syncfs(int fd)
{
    return fails_at(SYNCFS, 1) ? -1 : (int)syscall(SYS_syncfs, fd);
}

int shim_rename(const char *from, const char *to) __asm__("rename");
int shim_rename(const char *from, const char *to)
{
    if (fails_at(RENAME, is_ours(from)))
        return -1;
    return (int)syscall(SYS_renameat2, AT_CURRENT, from, AT_CURRENT, to, 0);
}

int shim_unlink(const char *path) __asm__("unlink");
int shim_unlink(const char *path)
{
    if (fails_at(UNLINK, is_ours(path)))
        return -1;
    return (int)syscall(SYS_unlinkat, AT_CURRENT, path, 0);
}

int shim_unlinkat(int folder, const char *path, int flags) __asm__("unlinkat");
int shim_unlinkat(int folder, const char *path, int flags)
{
    return fails_at(UNLINK, 1) ? -1 : (int)syscall(SYS_unlinkat, folder, path, flags);
}

int shim_mkdir(const char *path, unsigned mode) __asm__("mkdir");
int shim_mkdir(const char *path, unsigned mode)
{
    if (fails_at(MKDIR, is_ours(path)))
        return -1;
    return (int)syscall(SYS_mkdirat, AT_CURRENT, path, mode);
}

int shim_ftruncate(int fd, int64_t size) __asm__("ftruncate64");
int shim_ftruncate(int fd, int64_t size)
{
    return fails_at(FTRUNCATE, 1) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

/* The one that returns the error. */
int shim_fallocate(int fd, int64_t offset, int64_t size) __asm__("posix_fallocate64");
int shim_fallocate(int fd, int64_t offset, int64_t size)
{
    int is_bad = fails_at(FALLOCATE, 1) || syscall(SYS_fallocate, fd, 0, offset, size) != 0;
    return is_bad ? errno : 0;
}

int shim_accept(int fd, void *address, void *length, int flags) __asm__("accept4");
int shim_accept(int fd, void *address, void *length, int flags)
{
    return fails_at(ACCEPT, 1) ? -1 : (int)syscall(SYS_accept4, fd, address, length, flags);
}

int shim_socket(int family, int type, int protocol) __asm__("socket");
int shim_socket(int family, int type, int protocol)
{
    return fails_at(SOCKET, 1) ? -1 : (int)syscall(SYS_socket, family, type, protocol);
}
