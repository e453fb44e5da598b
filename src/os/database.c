/* SPDX-License-Identifier: ISC */
/*
 * database.c - SQLite in a process that may not pass through the directories above it
 */
#include "os/database.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

static int keep_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    int n = snprintf(out, (size_t)size, "%s", name);
    return n >= 0 && n < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

void database_use_relative_paths(void)
{
    static sqlite3_vfs relative;
    const sqlite3_vfs *standard = sqlite3_vfs_find(NULL);
    if (!standard || standard == &relative)
        return;
    relative = *standard;
    relative.zName = "eilbote";
    relative.xFullPathname = keep_path;
    if (sqlite3_vfs_register(&relative, 1) != SQLITE_OK)
        abort();
}
