/* SPDX-License-Identifier: ISC */
/*
 * fuzz_room.h - a directory for the targets that need files, removed when the process ends
 */
#ifndef TESTS_FUZZ_FUZZ_ROOM_H
#define TESTS_FUZZ_FUZZ_ROOM_H

#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"
#include "os/file.h"

static char room[64];

static inline void leave_room(void)
{
    (void)file_remove_tree(room);
}

/* The directory, made at the first call; in memory where the system has such a place. */
static inline const char *enter_room(void)
{
    if (room[0])
        return room;
    snprintf(room, sizeof room, "%s/eilbote-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    must(mkdtemp(room) != NULL);
    atexit(leave_room);
    return room;
}

/* Puts a file into the directory, without a sync; its path. */
static inline const char *put_file(const char *name, struct str content)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", enter_room(), name);
    FILE *file = fopen(path, "we");
    must(file && fwrite(content.n ? content.p : "", 1, content.n, file) == content.n);
    must(fclose(file) == 0);
    return path;
}

#endif
