/* SPDX-License-Identifier: ISC */
/*
 * disk_loss.c - what the disk does not take and the cache still shows
 */
#include "disk.h"
#include "world.h"

void disk_take_back_page(struct inode *i, size_t at)
{
    world_free(i->live[at], DISK_PAGE);
    i->live[at] = i->stable[at];
    i->is_lost[at] = false;
}

/* A sync that failed, as on Linux: some pages made it, the others count as written all the same. */
void disk_fail_sync(struct inode *i)
{
    bool has_lost = false;
    for (size_t at = 0; at < i->page_room; at++) {
        if (i->live[at] == i->stable[at] || i->is_lost[at])
            continue;
        if (sim_chance(1, 2))
            disk_settle_page(i, at);
        else
            has_lost = i->is_lost[at] = true;
    }
    i->losses += has_lost;
    world->disk->losses += has_lost;
    if (i->is_direct)
        disk_forget(i);
}

void disk_forget(struct inode *i)
{
    for (size_t at = 0; i->losses && at < i->page_room; at++)
        if (i->is_lost[at])
            disk_take_back_page(i, at);
}

void disk_forget_some(void)
{
    for (struct inode *i = world->disk->all; i; i = i->next)
        for (size_t at = 0; i->losses && at < i->page_room; at++)
            if (i->is_lost[at] && sim_chance(1, 2))
                disk_take_back_page(i, at);
}

void disk_fail_sync_all(void)
{
    for (struct inode *i = world->disk->all; i; i = i->next)
        if (i->type == INODE_FILE && !i->is_direct)
            disk_fail_sync(i);
}
