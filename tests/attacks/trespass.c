/* SPDX-License-Identifier: ISC */
/*
 * trespass.c - preloaded into the roles: once one has confined itself, tries what it must not do
 *
 * The first thread that a role makes comes right behind its sandbox; there each attempt is made
 * once, from inside, and log/ROLE/trespass.txt gets a line "NAME ERROR". EILBOTE_TRESPASS holds
 * "NAME=VALUE;" for what the attempts need: role (who tries), victim (a process), port (somebody listening), and any
 * number of read, write, list and make (paths).
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int report = -1;

static void note(const char *name, const char *value, long result)
{
    char line[600];
    const char *what = result >= 0 ? "DONE" : strerrorname_np(errno);
    int n = snprintf(line, sizeof line, "%s%s%s %s\n", name, value[0] ? "=" : "", value, what);
    if (write(report, line, (size_t)n) != n)
        abort();
}

static const char *setting(const char *name)
{
    static char value[300];
    const char *all = getenv("EILBOTE_TRESPASS"), *at = all ? strstr(all, name) : NULL;
    value[0] = '\0';
    if (at)
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at + strlen(name), ";"),
                 at + strlen(name));
    return value;
}

static pid_t victim(void)
{
    return (pid_t)strtol(setting("victim="), NULL, 10);
}

static long closed(int descriptor)
{
    if (descriptor >= 0)
        close(descriptor);
    return descriptor;
}

/* Paths. */
static long try_path(const char *kind, const char *path)
{
    if (strcmp(kind, "read") == 0)
        return closed(open(path, O_RDONLY | O_CLOEXEC));
    if (strcmp(kind, "write") == 0)
        return closed(open(path, O_WRONLY | O_APPEND | O_CLOEXEC));
    if (strcmp(kind, "list") == 0)
        return closed(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return closed(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
}

static void try_paths(void)
{
    char all[3000], *rest = all;
    snprintf(all, sizeof all, "%s", getenv("EILBOTE_TRESPASS"));
    for (char *item; (item = strsep(&rest, ";"));) {
        char *path = strchr(item, '=');
        if (!path || path[1] != '/')
            continue;
        *path++ = '\0';
        note(item, path, try_path(item, path));
    }
}

/* The network. */
static struct sockaddr_in outside(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtol(setting("port="), NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return to;
}

static int internet_socket(int type)
{
    return socket(AF_INET, type | SOCK_CLOEXEC, 0);
}

static long connect_out(void)
{
    struct sockaddr_in to = outside();
    int s = internet_socket(SOCK_STREAM);
    return s < 0 ? s : connect(s, (struct sockaddr *)&to, sizeof to);
}

static long fast_open(void)
{
    struct sockaddr_in to = outside();
    int s = internet_socket(SOCK_STREAM);
    return s < 0 ? s : sendto(s, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&to, sizeof to);
}

static long send_datagram(void)
{
    struct sockaddr_in to = outside();
    int s = internet_socket(SOCK_DGRAM);
    return s < 0 ? s : sendto(s, "x", 1, 0, (struct sockaddr *)&to, sizeof to);
}

static long connect_unix(void)
{
    struct sockaddr to = {.sa_family = AF_UNIX, .sa_data = "/x"};
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return s < 0 ? s : connect(s, &to, sizeof to);
}

/* With a flag, sendmsg connects a stream, were it only a listener that has been shut down; what the
 * socket here makes of that does not matter. */
static long fast_open_message(void)
{
    struct sockaddr_in to = outside();
    struct iovec part = {"x", 1};
    struct msghdr message = {
        .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part, .msg_iovlen = 1};
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return s < 0 ? 0 : sendmsg(s, &message, MSG_FASTOPEN | MSG_NOSIGNAL);
}

static long fast_open_messages(void)
{
    struct mmsghdr message = {{0}};
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return s < 0 ? 0 : sendmmsg(s, &message, 1, MSG_FASTOPEN | MSG_NOSIGNAL);
}

/* Those send to any path and name. */
static long datagram_unix(void)
{
    return closed(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static long raw_unix(void)
{
    return closed(socket(AF_UNIX, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static long datagram_pair(void)
{
    int ends[2];
    return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends);
}

static long packet_socket(void)
{
    return closed(socket(AF_PACKET, SOCK_RAW, 0));
}

static long netlink_socket(void)
{
    return closed(socket(AF_NETLINK, SOCK_RAW, 0));
}

/* Other programs and processes. */
static long exec_program(void)
{
    char *const arguments[] = {NULL};
    return execve("/bin/true", arguments, arguments);
}

static long exec_descriptor(void)
{
    char *const arguments[] = {NULL};
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    return syscall(SYS_execveat, self, "", arguments, arguments, AT_EMPTY_PATH);
}

static long in_child(long pid)
{
    if (pid == 0)
        _exit(0);
    return pid;
}

static long make_process(void)
{
    return in_child(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
}

static long make_process_anew(void)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, size, tls;
    } how = {.exit_signal = SIGCHLD};
    return in_child(syscall(SYS_clone3, &how, sizeof how));
}

static long trace(void)
{
    return ptrace(PTRACE_SEIZE, victim(), NULL, NULL);
}

static long read_memory(void)
{
    char here;
    struct iovec mine = {&here, 1}, theirs = {(void *)&report, 1};
    return process_vm_readv(victim(), &mine, 1, &theirs, 1, 0);
}

static long signal_other(void)
{
    return kill(victim(), 0);
}

static long signal_thread(void)
{
    return syscall(SYS_tgkill, victim(), victim(), 0);
}

/* A descriptor that signals somebody when there is something to read, and with which signal. */
static long signal_by_descriptor(void)
{
    return fcntl(report, F_SETOWN, victim());
}

static long signal_by_owner(void)
{
    struct f_owner_ex owner = {F_OWNER_PID, victim()};
    return fcntl(report, F_SETOWN_EX, &owner);
}

static long choose_signal(void)
{
    return fcntl(report, F_SETSIG, SIGKILL);
}

static long limit_other(void)
{
    struct rlimit limit;
    return prlimit(victim(), RLIMIT_NOFILE, NULL, &limit);
}

static long open_process(void)
{
    return closed((int)syscall(SYS_pidfd_open, victim(), 0));
}

/* Memory that is written and then run. */
static long turn_to_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? -1 : mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static long write_code(void)
{
    void *p =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? -1 : 0;
}

static long type_at_terminal(void)
{
    return ioctl(0, TIOCSTI, "x");
}

struct attempt {
    const char *name;
    long (*run)(void);
};

static const struct attempt attempts[] = {
    {"connect", connect_out},
    {"fast_open", fast_open},
    {"datagram", send_datagram},
    {"connect_unix", connect_unix},
    {"fast_open_message", fast_open_message},
    {"fast_open_messages", fast_open_messages},
    {"datagram_unix", datagram_unix},
    {"raw_unix", raw_unix},
    {"datagram_pair", datagram_pair},
    {"packet_socket", packet_socket},
    {"netlink_socket", netlink_socket},
    {"exec", exec_program},
    {"exec_descriptor", exec_descriptor},
    {"fork", make_process},
    {"clone3", make_process_anew},
    {"ptrace", trace},
    {"read_memory", read_memory},
    {"kill", signal_other},
    {"tgkill", signal_thread},
    {"signal_by_descriptor", signal_by_descriptor},
    {"signal_by_owner", signal_by_owner},
    {"choose_signal", choose_signal},
    {"prlimit", limit_other},
    {"pidfd_open", open_process},
    {"turn_to_code", turn_to_code},
    {"write_code", write_code},
    {"type_at_terminal", type_at_terminal},
};

/* Calls that nothing here needs; with arguments that would do nothing if they were let through. */
#define CALL(name)                                                                                 \
    {                                                                                              \
#name, SYS_##name                                                                          \
    }
static const struct {
    const char *name;
    long number;
} calls[] = {
    CALL(mount),
    CALL(umount2),
    CALL(unshare),
    CALL(setns),
    CALL(chroot),
    CALL(pivot_root),
    CALL(setuid),
    CALL(setgid),
    CALL(setresuid),
    CALL(setgroups),
    CALL(capset),
    CALL(keyctl),
    CALL(add_key),
    CALL(bpf),
    CALL(perf_event_open),
    CALL(userfaultfd),
    CALL(io_uring_setup),
    CALL(init_module),
    CALL(finit_module),
    CALL(delete_module),
    CALL(kexec_load),
    CALL(personality),
    CALL(open_by_handle_at),
    CALL(mknodat),
    CALL(fchownat),
    CALL(sethostname),
    CALL(settimeofday),
    CALL(clock_settime),
    CALL(clock_adjtime),
    CALL(reboot),
    CALL(swapon),
    CALL(acct),
    CALL(quotactl),
    CALL(syslog),
    CALL(memfd_create),
    CALL(fanotify_init),
    CALL(shmget),
    CALL(msgget),
    CALL(semget),
    CALL(sched_setscheduler),
    CALL(setpriority),
    CALL(seccomp),
    CALL(tkill),
    CALL(rt_sigqueueinfo),
    CALL(process_vm_writev),
    CALL(symlinkat),
    CALL(setxattr),
    CALL(truncate),
    CALL(chmod),
    CALL(fchmodat),
    CALL(utimensat),
    CALL(inotify_init1),
};

static void try_all(void)
{
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++)
        note(attempts[i].name, "", attempts[i].run());
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        note(calls[i].name, "", syscall(calls[i].number, -1, -1, -1, -1, -1, -1));
    try_paths();
}

/* "eilbote mta" has the folder log/mta, where it may write. */
static bool open_report(void)
{
    char name[32] = "", path[64];
    prctl(PR_GET_NAME, name, 0, 0, 0);
    if (strncmp(name, "eilbote m", 9) != 0 || strcmp(name + 8, setting("role=")) != 0)
        return false;
    snprintf(path, sizeof path, "log/%.8s/trespass.txt", name + 8);
    report = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return report >= 0;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    static bool is_done;
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (!is_done && getenv("EILBOTE_TRESPASS") && open_report()) {
        is_done = true;
        try_all();
        note("end", "", 0);
        close(report);
    }
    return real(thread, attributes, run, argument);
}
