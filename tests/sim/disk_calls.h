/* SPDX-License-Identifier: ISC */
/*
 * disk_calls.h - what the calls about files share
 */
#ifndef SIM_DISK_CALLS_H
#define SIM_DISK_CALLS_H

#include <string.h>

#include "disk.h"
#include "system.h"

struct open_file {
    struct object object;
    struct inode *inode;
    int64_t offset;
    unsigned losses_told, disk_losses_told;
};

/* Whether a path is on the simulated disk. */
static inline bool disk_has(const char *path)
{
    return path[0] != '/' || strncmp(path, "/sim", 4) == 0;
}

/* The open file of a descriptor; NULL with errno when it is none. */
struct open_file *file_of(int descriptor);

/* A descriptor for the path as seen from a directory; -1 with errno. */
int open_at(struct inode *from, const char *path, int flags, unsigned mode);

#endif
