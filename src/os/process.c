/* SPDX-License-Identifier: ISC */
/*
 * process.c - starting this program again as a child, and hearing of its end
 */
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/num.h"

enum {
    SYSTEMD_FIRST = 3,
    COMPLAINT_MAX = 1024 /* less than PIPE_BUF: a pipe takes it whole or says that it is full */
};

struct fault process_start(char *const arguments[], int keep, int *pid)
{
    *pid = fork();
    if (*pid < 0)
        return fault_make(451, FAULT_STATUS(4, 3, 0), "cannot fork: %s", strerrordesc_np(errno));
    if (*pid > 0)
        return FINE;
    fcntl(keep, F_SETFD, 0);
    execv("/proc/self/exe", arguments);
    _exit(127);
}

void process_path(char *out, size_t size)
{
    static const char gone[] = " (deleted)";
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    size_t length = n < 0 ? 0 : (size_t)n;
    if (length >= sizeof gone && memcmp(out + length - strlen(gone), gone, strlen(gone)) == 0)
        length -= strlen(gone);
    out[length] = '\0';
}

struct fault process_try(const char *program, char *const arguments[], int *pid)
{
    *pid = fork();
    if (*pid < 0)
        return fault_make(451, FAULT_STATUS(4, 3, 0), "cannot fork: %s", strerrordesc_np(errno));
    if (*pid > 0)
        return FINE;
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0)
        dup2(nowhere, STDOUT_FILENO);
    execv(program, arguments);
    _exit(127);
}

struct fault process_become(const char *program, char *const arguments[], const int *keep,
                            size_t count)
{
    for (size_t i = 0; i < count; i++)
        fcntl(keep[i], F_SETFD, 0);
    execv(program, arguments);
    int error = errno;
    for (size_t i = 0; i < count; i++)
        fcntl(keep[i], F_SETFD, FD_CLOEXEC);
    return fault_make(551, FAULT_STATUS(5, 3, 5), "cannot run %s: %s", program,
                      strerrordesc_np(error));
}

bool process_close_on_exec(int descriptor)
{
    return fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0;
}

void process_set_name(const char *name)
{
    char text[16];
    snprintf(text, sizeof text, "eilbote %s", name);
    prctl(PR_SET_NAME, text, 0, 0, 0);
}

void process_end_with_parent(void)
{
    pid_t parent = getppid();
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (getppid() != parent)
        _exit(1);
}

void process_signal(int pid, enum process_signal signal)
{
    kill(pid, signal == PROCESS_STOP ? SIGTERM : SIGKILL);
}

int process_reap(char how[PROCESS_END_MAX], bool *is_clean)
{
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0)
        return 0;
    *is_clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (WIFEXITED(status))
        snprintf(how, PROCESS_END_MAX, "ended with status %d", WEXITSTATUS(status));
    else
        snprintf(how, PROCESS_END_MAX, "was ended by signal %d", WTERMSIG(status));
    return (int)pid;
}

void process_complain(const char *format, ...)
{
    char line[COMPLAINT_MAX];
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    size_t length = n < 0 ? 0 : (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
    line[length++] = '\n';
    if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT))
        return;
    while (write(STDERR_FILENO, line, length) < 0 && errno == EINTR)
        ;
}

void process_notify_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, strlen(path));
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0)
        return;
    sendto(s, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, length);
    close(s);
}

int process_systemd_sockets(int *first)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    uint64_t number, fds;
    *first = SYSTEMD_FIRST;
    if (!pid || !count || !num_parse(str_from(pid), INT32_MAX, &number) ||
        number != (uint64_t)getpid() || !num_parse(str_from(count), 1024, &fds))
        return 0;
    for (int i = 0; i < (int)fds; i++)
        fcntl(SYSTEMD_FIRST + i, F_SETFD, FD_CLOEXEC);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    return (int)fds;
}
