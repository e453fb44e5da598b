/* SPDX-License-Identifier: ISC */
/*
 * sandbox.c - giving up rights: user, capabilities, system calls, paths
 */
#include "os/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<linux/landlock.h>)
#include <linux/landlock.h>
#define HAS_LANDLOCK 1
#endif
#endif

static struct fault failed(const char *what)
{
    return fault_make(451, FAULT_STATUS(4, 3, 5), "%s: %s", what, strerrordesc_np(errno));
}

static struct fault drop_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
        return failed("cannot clear ambient capabilities");
    if (syscall(SYS_capset, &header, none) != 0)
        return failed("cannot drop capabilities");
    return FINE;
}

bool sandbox_may_change_user(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct have[2];
    if (syscall(SYS_capget, &header, have) != 0)
        return false;
    unsigned wanted = 1U << CAP_SETUID | 1U << CAP_SETGID;
    return (have[0].effective & wanted) == wanted;
}

struct fault sandbox_become(const struct owner *owner)
{
    if (setgroups(0, NULL) != 0)
        return failed("cannot drop groups");
    if (setresgid(owner->gid, owner->gid, owner->gid) != 0)
        return failed("cannot change the group");
    if (setresuid(owner->uid, owner->uid, owner->uid) != 0)
        return failed("cannot change the user");
    return drop_capabilities();
}

/* clang-format off */
static const char *const allowed_calls[] = {
    /* files */
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2",
    "open", "openat", "close", "close_range", "lseek", "fstat", "stat", "lstat", "newfstatat", "statx", "fsync", "fdatasync",
    "syncfs", "sync_file_range", "fallocate", "ftruncate", "fadvise64", "rename", "renameat", "renameat2",
    "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "getdents64", "flock", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "fchmod", "umask", "statfs", "fstatfs", "getcwd", "dup", "dup2", "dup3", "pipe", "pipe2", "copy_file_range", "sendfile",
    /* memory and threads */
    "munmap", "mremap", "madvise", "brk", "mlock", "munlock", "mincore", "futex", "set_robust_list", "get_robust_list",
    "rseq", "exit", "exit_group", "set_tid_address", "sched_yield", "sched_getaffinity",
    "sched_setaffinity", "membarrier", "arch_prctl", "prctl", "gettid", "getpid", "getppid", "wait4",
    /* waiting and time */
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "poll", "ppoll", "select", "pselect6",
    "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time", "restart_syscall",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigpending", "sigaltstack",
    /* sockets */
    "bind", "listen", "accept", "accept4", "getsockname", "getpeername", "getsockopt", "setsockopt",
    "recvfrom", "recvmsg", "recvmmsg", "shutdown",
    /* who and what */
    "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getrandom", "getrlimit",
    "getrusage", "sysinfo", "uname",
};
/* clang-format on */

static bool allow(scmp_filter_ctx filter, const char *name)
{
    int number = seccomp_syscall_resolve_name(name);
    return number == __NR_SCMP_ERROR || seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) == 0;
}

/* A call with arguments of one kind only. Several rules for a call: any of them will do. */
static bool allow_when(scmp_filter_ctx filter, const char *name, struct scmp_arg_cmp when)
{
    int number = seccomp_syscall_resolve_name(name);
    return number == __NR_SCMP_ERROR ||
           seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, 1, &when) == 0;
}

/*
 * Threads, but no processes; signals and limits for ourselves, not for others of the same user, nor
 * through a descriptor that is told whom to signal; memory that is written is not run; of a terminal
 * only whether it is one.
 */
static bool allow_own_affairs(scmp_filter_ctx filter)
{
    const uint64_t both = PROT_WRITE | PROT_EXEC;
    static const uint64_t asked[] = {FIONREAD, FIONBIO, FIOCLEX, TCGETS};
    static const uint64_t told[] = {F_DUPFD,  F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,
                                    F_GETFL,  F_SETFL,         F_GETLK,     F_SETLK,
                                    F_SETLKW, F_OFD_GETLK,     F_OFD_SETLK, F_OFD_SETLKW};
    bool is_fine =
        allow_when(filter, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)) &&
        /* Its flags are in memory, where a filter cannot look; the C library then uses the other. */
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
        allow_when(filter, "tgkill", SCMP_A0(SCMP_CMP_EQ, (uint64_t)getpid())) &&
        allow_when(filter, "prlimit64", SCMP_A0(SCMP_CMP_EQ, 0)) &&
        allow_when(filter, "mprotect", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) &&
        allow_when(filter, "mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, both, 0)) &&
        allow_when(filter, "mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, both, PROT_WRITE)) &&
        allow_when(filter, "mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, both, PROT_EXEC));
    for (size_t i = 0; i < sizeof asked / sizeof asked[0] && is_fine; i++)
        is_fine = allow_when(filter, "ioctl", SCMP_A1(SCMP_CMP_EQ, asked[i]));
    for (size_t i = 0; i < sizeof told / sizeof told[0] && is_fine; i++)
        is_fine = allow_when(filter, "fcntl", SCMP_A1(SCMP_CMP_EQ, told[i]));
    return is_fine;
}

/* Local sockets of a type that has to be connected before it sends. */
static bool allow_local(scmp_filter_ctx filter, uint64_t type)
{
    const uint64_t types = 0xF; /* beside SOCK_NONBLOCK and SOCK_CLOEXEC */
    const struct scmp_arg_cmp local[] = {SCMP_A0(SCMP_CMP_EQ, AF_UNIX),
                                         SCMP_A1(SCMP_CMP_MASKED_EQ, types, type)};
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, local) == 0 &&
           seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 2, local) == 0;
}

/*
 * Who may not connect gets no socket that could send without it: no datagrams, and no TCP_FASTOPEN,
 * for which a listener that has been shut down is good, too.
 */
static bool allow_sockets(scmp_filter_ctx filter, bool may_connect)
{
    const uint64_t fast = MSG_FASTOPEN;
    if (!may_connect)
        return allow_local(filter, SOCK_STREAM) && allow_local(filter, SOCK_SEQPACKET) &&
               allow_when(filter, "sendto", SCMP_A4(SCMP_CMP_EQ, 0)) &&
               allow_when(filter, "sendmsg", SCMP_A2(SCMP_CMP_MASKED_EQ, fast, 0)) &&
               allow_when(filter, "sendmmsg", SCMP_A3(SCMP_CMP_MASKED_EQ, fast, 0));
    return allow_when(filter, "socket", SCMP_A0(SCMP_CMP_EQ, AF_UNIX)) &&
           allow_when(filter, "socket", SCMP_A0(SCMP_CMP_EQ, AF_INET)) &&
           allow_when(filter, "socket", SCMP_A0(SCMP_CMP_EQ, AF_INET6)) &&
           allow(filter, "socketpair") && allow(filter, "sendto") && allow(filter, "sendmsg") &&
           allow(filter, "sendmmsg") && allow(filter, "connect");
}

static struct fault filter_calls(bool may_connect, bool *is_filtered)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    bool is_fine = filter != NULL;
    for (size_t i = 0; is_fine && i < sizeof allowed_calls / sizeof allowed_calls[0]; i++)
        is_fine = allow(filter, allowed_calls[i]);
    is_fine = is_fine && allow_own_affairs(filter) && allow_sockets(filter, may_connect);
    if (!is_fine) {
        seccomp_release(filter);
        errno = ENOMEM;
        return failed("cannot build the system call filter");
    }
    int result = seccomp_load(filter);
    seccomp_release(filter);
    *is_filtered = result == 0;
    errno = -result;
    return result == 0 || result == -EINVAL || result == -ENOSYS
               ? FINE
               : failed("cannot load the system call filter");
}

#ifdef HAS_LANDLOCK
enum { REFER_SINCE = 2, TRUNCATE_SINCE = 3 };

static uint64_t rights(int version, bool may_write, bool is_directory)
{
    uint64_t r = LANDLOCK_ACCESS_FS_READ_FILE;
    if (is_directory)
        r |= LANDLOCK_ACCESS_FS_READ_DIR;
    if (!may_write)
        return r;
    r |= LANDLOCK_ACCESS_FS_WRITE_FILE;
#ifdef LANDLOCK_ACCESS_FS_TRUNCATE
    if (version >= TRUNCATE_SINCE)
        r |= LANDLOCK_ACCESS_FS_TRUNCATE;
#endif
    if (!is_directory)
        return r;
    r |= LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
         LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR;
#ifdef LANDLOCK_ACCESS_FS_REFER
    if (version >= REFER_SINCE)
        r |= LANDLOCK_ACCESS_FS_REFER;
#endif
    return r;
}

static struct fault add_path(int ruleset, int version, const struct sandbox_path *p)
{
    int descriptor = open(p->path, O_PATH | O_CLOEXEC);
    struct stat s;
    if (descriptor < 0)
        return FINE;
    bool is_directory = fstat(descriptor, &s) == 0 && S_ISDIR(s.st_mode);
    struct landlock_path_beneath_attr rule = {
        .allowed_access = rights(version, p->may_write, is_directory), .parent_fd = descriptor};
    long result = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    struct fault f = result == 0 ? FINE : failed(p->path);
    close(descriptor);
    return f;
}

static struct fault restrict_paths(const struct sandbox_rules *rules, int *version)
{
    *version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (*version <= 0) {
        *version = 0;
        return FINE;
    }
    struct landlock_ruleset_attr all = {.handled_access_fs = rights(*version, true, true) |
                                                             LANDLOCK_ACCESS_FS_EXECUTE};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (ruleset < 0)
        return failed("cannot make a Landlock ruleset");
    struct fault f = FINE;
    for (size_t i = 0; i < rules->path_count && !f.kind; i++)
        f = add_path(ruleset, *version, &rules->paths[i]);
    if (!f.kind && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        f = failed("cannot enter the Landlock ruleset");
    close(ruleset);
    return f;
}
#else
static struct fault restrict_paths(const struct sandbox_rules *rules, int *version)
{
    (void)rules;
    *version = 0;
    return FINE;
}
#endif

struct fault sandbox_enter(const struct sandbox_rules *rules, struct sandbox_report *report)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return failed("cannot set no_new_privs");
    struct fault f = restrict_paths(rules, &report->landlock_version);
    if (!f.kind)
        f = filter_calls(rules->may_connect, &report->has_seccomp);
    return f;
}

int64_t sandbox_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    return (int64_t)limit.rlim_cur;
}
