/* SPDX-License-Identifier: ISC */
/*
 * listing_calls.c - the C library's calls that list directories
 */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>

#include "disk_calls.h"

/* A DIR of the simulated disk. */
struct listing {
    struct inode *directory;
    struct name *next;
    int descriptor;
    struct dirent entry;
};

static void *real(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function)
        abort();
    return function;
}

static bool is_listing(const DIR *directory)
{
    uint64_t magic;
    memcpy(&magic, directory, sizeof magic);
    return magic == 0x51d1aec704151;
}

struct marked_listing {
    uint64_t magic;
    struct listing listing;
};

static DIR *list(struct inode *directory, int descriptor)
{
    struct marked_listing *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    l->magic = 0x51d1aec704151;
    l->listing = (struct listing){
        .directory = directory, .next = directory->names, .descriptor = descriptor};
    return (DIR *)(void *)l;
}

static struct listing *listing_of(DIR *directory)
{
    return &((struct marked_listing *)(void *)directory)->listing;
}

DIR *opendir(const char *path)
{
    if (!disk_has(path))
        return ((DIR * (*)(const char *)) real("opendir"))(path);
    int descriptor = open_at(world->disk->root, path, O_RDONLY | O_DIRECTORY, 0);
    return descriptor < 0 ? NULL : fdopendir(descriptor);
}

DIR *fdopendir(int descriptor)
{
    struct open_file *f = file_of(descriptor);
    return f ? list(f->inode, descriptor) : NULL;
}

struct dirent *readdir(DIR *directory)
{
    if (!is_listing(directory))
        return ((struct dirent * (*)(DIR *)) real("readdir64"))(directory);
    struct listing *l = listing_of(directory);
    while (l->next && !l->next->live)
        l->next = l->next->next;
    if (!l->next)
        return NULL;
    l->entry.d_ino = l->next->live->number;
    memcpy(l->entry.d_name, l->next->text, strlen(l->next->text) + 1);
    l->next = l->next->next;
    return &l->entry;
}

int dirfd(DIR *directory)
{
    return is_listing(directory) ? listing_of(directory)->descriptor
                                 : ((int (*)(DIR *))real("dirfd"))(directory);
}

int closedir(DIR *directory)
{
    if (!is_listing(directory))
        return ((int (*)(DIR *))real("closedir"))(directory);
    system_close(listing_of(directory)->descriptor);
    free(directory);
    return 0;
}
