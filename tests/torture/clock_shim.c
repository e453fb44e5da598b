/* SPDX-License-Identifier: ISC */
/*
 * clock_shim.c - a system whose wall clock jumps, preloaded into the server
 *
 * CLOCK_PLAN names a file whose first 64-bit number is how many seconds the clock is ahead. The
 * monotonic clock goes on as it is, like that of a kernel when somebody sets the time.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t *ahead_s;

__attribute__((constructor)) static void map_plan(void)
{
    const char *path = getenv("CLOCK_PLAN");
    if (!path)
        return;
    int fd = (int)syscall(SYS_openat, -100, path, 02);
    void *memory = mmap(NULL, sizeof *ahead_s, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (memory == MAP_FAILED)
        abort();
    ahead_s = memory;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    int result = (int)syscall(SYS_clock_gettime, clock, out);
    if (result == 0 && ahead_s && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        out->tv_sec += *ahead_s;
    return result;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
