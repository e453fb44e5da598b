/* SPDX-License-Identifier: ISC */
/*
 * powercut_shim.c - a system whose syncs are lies, preloaded for the negative controls
 *
 * POWERCUT_SHIM=files: no sync of a file does anything; POWERCUT_SHIM=directories: no sync of a
 * directory does. The sync of a whole file system is left as it is.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_lie(int fd)
{
    const char *which = getenv("POWERCUT_SHIM");
    struct stat status;
    if (!which || fstat(fd, &status) != 0)
        return 0;
    return strcmp(which, S_ISDIR(status.st_mode) ? "directories" : "files") == 0;
}

int fdatasync(int fd)
{
    return is_lie(fd) ? 0 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return is_lie(fd) ? 0 : (int)syscall(SYS_fsync, fd);
}
