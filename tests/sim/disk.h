/* SPDX-License-Identifier: ISC */
/*
 * disk.h - a file system whose unsynced part is at the mercy of a power cut
 *
 * A file has pages as the programs see them and pages as they are on the disk; a name in a directory
 * leads to one file now and perhaps to another on the disk. A sync of a file makes its bytes and its
 * size stable, a sync of a directory its names, and neither does the other's work: what a program
 * may rely on by POSIX, not what one file system happens to do. At a power cut each page that is not
 * stable is old, new or torn at a sector, each size old or new, and of each directory's changes
 * the first few have come to pass; the two halves of a rename come together.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_PAGE = 4096, DISK_SECTOR = 512, DISK_NAME_MAX = 96 };

enum inode_type { INODE_FILE, INODE_DIRECTORY, INODE_SOCKET };

struct inode {
    enum inode_type type;
    uint64_t number;
    struct inode *next, *next_directory; /* of all there are */
    struct inode *parent;
    unsigned mode, links;
    unsigned stable_names, opened;
    bool is_direct;        /* is written past the cache */
    unsigned losses;       /* syncs that could not write all */
    char **live, **stable; /* pages; NULL: zeros */
    bool *is_lost;         /* what is live is in the cache alone, and no sync will write it */
    size_t page_room;
    int64_t live_size, stable_size;
    int64_t allocated;           /* by fallocate: bytes that cost nothing any more */
    int64_t cost;                /* pages that count for the disk */
    struct name *names, **shelf; /* of a directory: in order, and by hash */
    struct change *changes, **change_end;
    void *mapping; /* of the server's process; forgotten with it */
    uint64_t mapping_process;
};

struct name {
    struct name *next, *next_on_shelf;
    struct inode *live, *stable;
    unsigned changes; /* that are not stable yet */
    uint32_t hash;
    char text[DISK_NAME_MAX];
};

/* A name that leads elsewhere, not stable yet. */
struct change {
    struct change *next;
    struct name *name;
    struct inode *to;    /* NULL: removed */
    struct change *twin; /* the other half of a rename */
    struct inode *directory;
    bool is_kept;
};

enum disk_operation {
    DISK_OPEN = 1,
    DISK_READ = 2,
    DISK_WRITE = 4,
    DISK_SYNC = 8,
    DISK_NAMES = 16, /* rename, unlink, mkdir */
    DISK_GROW = 32   /* fallocate, truncate, new pages */
};

/* Operations of those kinds fail with that errno, so often, from the call of that number on. */
struct disk_trouble {
    unsigned operations;
    int error;
    uint64_t from_call, count, met;
    int64_t from_ns, until_ns;
};

enum { DISK_TROUBLES_MOST = 8 };

struct disk {
    struct inode *root, *all, *directories;
    uint64_t inode_last;
    int64_t used_pages, room_pages;
    struct disk_trouble trouble[DISK_TROUBLES_MOST];
    size_t trouble_count;
    uint64_t calls;
    unsigned short_write_one_in; /* 0: never */
    uint64_t power_cuts, troubles_met;
    unsigned losses; /* of all files */
    int64_t last_trouble_ns;
    /* Planted defects take parts of the disk's honesty away. */
    bool ignores_file_sync, ignores_directory_sync;
};

void disk_make(void);

/* The errno that this operation fails with now, or 0. */
int disk_fails(enum disk_operation operation);

/* The file that a path leads to from a directory (absolute paths: from the root); NULL with errno.
 * With parent not NULL the last name need not exist: its directory and text are given. */
struct inode *disk_find(struct inode *from, const char *path, struct inode **parent, char *last);

struct inode *disk_create(struct inode *directory, const char *text, enum inode_type type,
                          unsigned mode);
void disk_remove(struct inode *directory, const char *text);
void disk_rename(struct inode *from, const char *old, struct inode *to, const char *new);

/* Forgets what was never synced of a file that nobody can reach any more; others stay as they are. */
void disk_let_go(struct inode *i);

/* Bytes read: less only at the end. Bytes written or -1 with errno. */
size_t disk_read(const struct inode *i, void *memory, size_t size, int64_t offset);
ptrdiff_t disk_write(struct inode *i, const void *memory, size_t size, int64_t offset);
int disk_allocate(struct inode *i, int64_t size);
void disk_truncate(struct inode *i, int64_t size);

void disk_sync_file(struct inode *i);
void disk_fail_sync(struct inode *i);
void disk_fail_sync_all(void);

/* A page becomes what the cache has, or what the disk has. */
void disk_settle_page(struct inode *i, size_t at);
void disk_take_back_page(struct inode *i, size_t at);

/* The cache forgets what it could not write: of a file, or some of it of all files. */
void disk_forget(struct inode *i);
void disk_forget_some(void);
void disk_sync_directory(struct inode *directory);
void disk_sync_all(void);
void disk_lose_power(void);

#endif
