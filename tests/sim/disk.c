/* SPDX-License-Identifier: ISC */
/*
 * disk.c - files, names, and what a power cut makes of them
 */
#include "disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "world.h"

enum { ROOM_PAGES = 1 << 16, WRITE_BACK_ONE_IN = 48, NAMES_BACK_ONE_IN = 64, SHELVES = 64 };

static struct inode *new_inode(enum inode_type type, unsigned mode)
{
    struct inode *i = world_alloc(sizeof *i);
    *i = (struct inode){.type = type,
                        .number = ++world->disk->inode_last,
                        .mode = mode,
                        .links = 1,
                        .next = world->disk->all};
    i->change_end = &i->changes;
    world->disk->all = i;
    if (type == INODE_DIRECTORY) {
        i->next_directory = world->disk->directories;
        world->disk->directories = i;
    }
    return i;
}

void disk_make(void)
{
    world->disk = world_alloc(sizeof *world->disk);
    world->disk->room_pages = ROOM_PAGES;
    world->disk->root = new_inode(INODE_DIRECTORY, 0755);
    world->disk->root->parent = world->disk->root;
}

static bool strikes(const struct disk_trouble *t, enum disk_operation operation)
{
    const struct disk *d = world->disk;
    return (t->operations & operation) && d->calls >= t->from_call && t->met < t->count &&
           world->now_ns >= t->from_ns && world->now_ns < t->until_ns;
}

static void meet_trouble(int error)
{
    world->disk->troubles_met++;
    world->disk->last_trouble_ns = world->now_ns;
    sim_note("disk trouble", (uint64_t)error);
}

int disk_fails(enum disk_operation operation)
{
    struct disk *d = world->disk;
    d->calls++;
    for (size_t i = 0; i < d->trouble_count; i++)
        if (strikes(&d->trouble[i], operation)) {
            d->trouble[i].met++;
            meet_trouble(d->trouble[i].error);
            return d->trouble[i].error;
        }
    return 0;
}

void disk_let_go(struct inode *i)
{
    if (i->links || i->opened)
        return;
    world->disk->used_pages -= i->cost;
    i->cost = 0;
    for (size_t at = 0; at < i->page_room; at++) {
        if (i->live[at] != i->stable[at])
            disk_take_back_page(i, at);
    }
}

static uint32_t hash_of(const char *text, size_t n)
{
    uint32_t hash = 2166136261;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619;
    return hash;
}

static struct name *new_name(struct inode *directory, const char *text, size_t n, uint32_t hash)
{
    struct name **at = &directory->names, *name = world_alloc(sizeof *name);
    while (*at)
        at = &(*at)->next;
    *at = name;
    memcpy(name->text, text, n);
    name->hash = hash;
    if (!directory->shelf)
        directory->shelf = world_alloc(SHELVES * sizeof *directory->shelf);
    name->next_on_shelf = directory->shelf[hash % SHELVES];
    directory->shelf[hash % SHELVES] = name;
    return name;
}

static void drop_name(struct inode *directory, struct name *name)
{
    struct name **at = &directory->shelf[name->hash % SHELVES];
    while (*at != name)
        at = &(*at)->next_on_shelf;
    *at = name->next_on_shelf;
    world_free(name, sizeof *name);
}

static struct name *find_name(struct inode *directory, const char *text, size_t n, bool is_made)
{
    uint32_t hash = hash_of(text, n);
    struct name **shelf = directory->shelf ? &directory->shelf[hash % SHELVES] : NULL;
    for (struct name *i = shelf ? *shelf : NULL; i; i = i->next_on_shelf)
        if (i->hash == hash && strlen(i->text) == n && memcmp(i->text, text, n) == 0)
            return i;
    return is_made ? new_name(directory, text, n, hash) : NULL;
}

static struct inode *step(struct inode *directory, const char *text, size_t n)
{
    if (n == 1 && text[0] == '.')
        return directory;
    if (n == 2 && text[0] == '.' && text[1] == '.')
        return directory->parent;
    struct name *name = find_name(directory, text, n, false);
    return name ? name->live : NULL;
}

struct inode *disk_find(struct inode *from, const char *path, struct inode **parent, char *last)
{
    struct inode *at = *path == '/' ? world->disk->root : from;
    if (parent)
        *parent = NULL;
    if (strncmp(path, "/sim", 4) == 0)
        path += 4;
    while (*path == '/')
        path++;
    while (*path) {
        size_t n = strcspn(path, "/");
        const char *after = path + n + strspn(path + n, "/");
        if (n >= DISK_NAME_MAX) {
            errno = ENAMETOOLONG;
            return NULL;
        }
        if (!at || at->type != INODE_DIRECTORY) {
            errno = at ? ENOTDIR : ENOENT;
            return NULL;
        }
        if (!*after && parent) {
            *parent = at;
            memcpy(last, path, n);
            last[n] = '\0';
        }
        at = step(at, path, n);
        path = after;
    }
    if (!at)
        errno = ENOENT;
    return at;
}

/* The name leads to another file from now on; on the disk after the next sync of the directory. */
static struct change *change(struct inode *directory, const char *text, struct inode *to)
{
    struct name *name = find_name(directory, text, strlen(text), true);
    struct change *c = world_alloc(sizeof *c);
    *c = (struct change){.name = name, .to = to, .directory = directory};
    name->live = to;
    name->changes++;
    *directory->change_end = c;
    directory->change_end = &c->next;
    return c;
}

static char *const *page_at(const struct inode *i, size_t number)
{
    return number < i->page_room ? &i->live[number] : NULL;
}

size_t disk_read(const struct inode *i, void *memory, size_t size, int64_t offset)
{
    if (offset >= i->live_size)
        return 0;
    if ((int64_t)size > i->live_size - offset)
        size = (size_t)(i->live_size - offset);
    for (size_t done = 0; done < size;) {
        size_t at = (size_t)offset + done, inside = at % DISK_PAGE, n = DISK_PAGE - inside;
        char *const *page = page_at(i, at / DISK_PAGE);
        if (n > size - done)
            n = size - done;
        if (page && *page)
            memcpy((char *)memory + done, *page + inside, n);
        else
            memset((char *)memory + done, 0, n);
        done += n;
    }
    return size;
}

static void make_room(struct inode *i, size_t pages)
{
    size_t room = i->page_room ? i->page_room : 4;
    while (room < pages)
        room *= 2;
    if (room == i->page_room)
        return;
    char **live = world_alloc(room * sizeof *live), **stable = world_alloc(room * sizeof *stable);
    bool *is_lost = world_alloc(room * sizeof *is_lost);
    if (i->page_room) {
        memcpy(live, i->live, i->page_room * sizeof *live);
        memcpy(stable, i->stable, i->page_room * sizeof *stable);
        memcpy(is_lost, i->is_lost, i->page_room * sizeof *is_lost);
        world_free(i->is_lost, i->page_room * sizeof *is_lost);
        world_free(i->live, i->page_room * sizeof *live);
        world_free(i->stable, i->page_room * sizeof *stable);
    }
    i->live = live;
    i->stable = stable;
    i->is_lost = is_lost;
    i->page_room = room;
}

static bool is_zero(const char *p, size_t n)
{
    return n > 0 && p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

void disk_settle_page(struct inode *i, size_t at)
{
    if (i->live[at] == i->stable[at] || i->is_lost[at])
        return;
    world_free(i->stable[at], DISK_PAGE);
    i->stable[at] = i->live[at];
}

static bool has_room(int64_t pages)
{
    return world->disk->used_pages + pages <= world->disk->room_pages;
}

/* Writes into one page; false when the disk is full. */
static bool write_page(struct inode *i, size_t at, size_t inside, const char *from, size_t n)
{
    struct disk *d = world->disk;
    char *live = i->live[at];
    i->is_lost[at] = false;
    if (n == DISK_PAGE && is_zero(from, n)) {
        if (live && live != i->stable[at])
            world_free(live, DISK_PAGE);
        i->live[at] = NULL;
        return true;
    }
    if (!live || live == i->stable[at]) {
        bool costs = !live && (int64_t)(at * DISK_PAGE) >= i->allocated;
        if (costs && !has_room(1))
            return false;
        d->used_pages += costs;
        i->cost += costs;
        char *page = world_take(DISK_PAGE);
        if (live && n < DISK_PAGE)
            memcpy(page, live, DISK_PAGE);
        else if (n < DISK_PAGE)
            memset(page, 0, DISK_PAGE);
        i->live[at] = page;
    }
    memcpy(i->live[at] + inside, from, n);
    /* The system writes back when it likes: the disk may have what no sync asked for. */
    if (sim_chance(1, WRITE_BACK_ONE_IN))
        disk_settle_page(i, at);
    return true;
}

ptrdiff_t disk_write(struct inode *i, const void *memory, size_t size, int64_t offset)
{
    size_t done = 0;
    make_room(i, ((size_t)offset + size + DISK_PAGE - 1) / DISK_PAGE);
    while (done < size) {
        size_t at = (size_t)offset + done, inside = at % DISK_PAGE, n = DISK_PAGE - inside;
        if (n > size - done)
            n = size - done;
        if (!write_page(i, at / DISK_PAGE, inside, (const char *)memory + done, n))
            break;
        done += n;
    }
    if (offset + (int64_t)done > i->live_size)
        i->live_size = offset + (int64_t)done;
    if (done == 0 && size > 0) {
        meet_trouble(ENOSPC);
        errno = ENOSPC;
        return -1;
    }
    return (ptrdiff_t)done;
}

int disk_allocate(struct inode *i, int64_t size)
{
    struct disk *d = world->disk;
    int64_t pages = (size - i->allocated + DISK_PAGE - 1) / DISK_PAGE;
    if (pages > 0 && !has_room(pages)) {
        meet_trouble(ENOSPC);
        return ENOSPC;
    }
    if (pages > 0) {
        d->used_pages += pages;
        i->cost += pages;
        i->allocated = size;
    }
    make_room(i, (size_t)(size + DISK_PAGE - 1) / DISK_PAGE);
    if (size > i->live_size)
        i->live_size = size;
    return 0;
}

void disk_truncate(struct inode *i, int64_t size)
{
    size_t first = (size_t)(size + DISK_PAGE - 1) / DISK_PAGE;
    int64_t cost = 0;
    for (size_t at = first; at < i->page_room; at++) {
        if (i->live[at] && i->live[at] != i->stable[at])
            world_free(i->live[at], DISK_PAGE);
        if (i->live[at] && (int64_t)(at * DISK_PAGE) >= i->allocated)
            cost++;
        i->live[at] = NULL;
        i->is_lost[at] = false;
    }
    if (i->allocated > size) {
        cost += (i->allocated - size) / DISK_PAGE;
        i->allocated = size;
    }
    world->disk->used_pages -= cost;
    i->cost -= cost;
    if (size % DISK_PAGE && first > 0 && first <= i->page_room && i->live[first - 1] &&
        size < i->live_size) {
        static const char zeros[DISK_PAGE];
        size_t inside = (size_t)(size % DISK_PAGE);
        write_page(i, first - 1, inside, zeros, DISK_PAGE - inside);
    }
    make_room(i, first);
    i->live_size = size;
}

void disk_sync_file(struct inode *i)
{
    if (world->disk->ignores_file_sync)
        return;
    for (size_t at = 0; at < i->page_room; at++)
        disk_settle_page(i, at);
    i->stable_size = i->live_size;
}

/* This change comes to pass, with all before it in its directory and the other halves of renames. */
static void keep(struct change *last)
{
    for (struct change *c = last->directory->changes; !last->is_kept; c = c->next) {
        if (c->is_kept)
            continue;
        c->is_kept = true;
        if (c->twin)
            keep(c->twin);
    }
}

static void lead_to(struct name *name, struct inode *to)
{
    if (name->stable)
        name->stable->stable_names--;
    if (to)
        to->stable_names++;
    name->stable = to;
}

static void forget_names(struct inode *directory)
{
    for (struct name **at = &directory->names; *at;) {
        struct name *n = *at;
        if (n->live || n->stable || n->changes) {
            at = &n->next;
            continue;
        }
        *at = n->next;
        drop_name(directory, n);
    }
}

static void apply_kept(void)
{
    for (struct inode *i = world->disk->directories; i; i = i->next_directory) {
        bool is_removed = false;
        for (struct change *c; (c = i->changes) && c->is_kept;) {
            lead_to(c->name, c->to);
            c->name->changes--;
            is_removed |= !c->to;
            i->changes = c->next;
            world_free(c, sizeof *c);
        }
        if (!i->changes)
            i->change_end = &i->changes;
        if (is_removed)
            forget_names(i);
    }
}

void disk_sync_directory(struct inode *directory)
{
    if (world->disk->ignores_directory_sync || !directory->changes)
        return;
    for (struct change *c = directory->changes; c; c = c->next) {
        if (!c->is_kept && c->twin)
            keep(c->twin);
        c->is_kept = true;
    }
    apply_kept();
}

/* The system makes names stable now and then, too. */
static void write_names_back(struct inode *directory)
{
    if (sim_chance(1, NAMES_BACK_ONE_IN))
        disk_sync_directory(directory);
}

struct inode *disk_create(struct inode *directory, const char *text, enum inode_type type,
                          unsigned mode)
{
    write_names_back(directory);
    struct inode *i = new_inode(type, mode);
    i->parent = directory;
    change(directory, text, i);
    return i;
}

void disk_remove(struct inode *directory, const char *text)
{
    write_names_back(directory);
    struct name *name = find_name(directory, text, strlen(text), false);
    if (name && name->live) {
        name->live->links = 0;
        disk_let_go(name->live);
    }
    change(directory, text, NULL);
}

void disk_rename(struct inode *from, const char *old, struct inode *to, const char *new)
{
    struct inode *moved = find_name(from, old, strlen(old), false)->live;
    struct name *target = find_name(to, new, strlen(new), false);
    if (target && target->live == moved)
        return;
    if (target && target->live)
        target->live->links = 0;
    struct change *arrival = change(to, new, moved), *departure = change(from, old, NULL);
    arrival->twin = departure;
    departure->twin = arrival;
    moved->parent = to;
}

static void free_inode(struct inode *i)
{
    for (size_t at = 0; at < i->page_room; at++) {
        if (i->live[at] != i->stable[at])
            world_free(i->stable[at], DISK_PAGE);
        world_free(i->live[at], DISK_PAGE);
    }
    if (i->page_room) {
        world_free(i->is_lost, i->page_room * sizeof *i->is_lost);
        world_free(i->live, i->page_room * sizeof *i->live);
        world_free(i->stable, i->page_room * sizeof *i->stable);
    }
    world_free(i, sizeof *i);
}

/* Files that nothing leads to any more. */
static void sweep(void)
{
    for (struct inode **at = &world->disk->all; *at;) {
        struct inode *i = *at;
        if (i->type == INODE_DIRECTORY || i->links || i->stable_names || i->opened) {
            at = &i->next;
            continue;
        }
        *at = i->next;
        free_inode(i);
    }
}

void disk_sync_all(void)
{
    for (struct inode *i = world->disk->all; i; i = i->next)
        if (i->type == INODE_FILE)
            disk_sync_file(i);
        else
            disk_sync_directory(i);
    if (!world->disk->ignores_directory_sync)
        sweep();
}

static void tear(char *live, const char *stable)
{
    static const char zeros[DISK_PAGE];
    const char *old = stable ? stable : zeros;
    for (size_t at = 0; at < DISK_PAGE; at += DISK_SECTOR)
        if (sim_chance(1, 2))
            memcpy(live + at, old + at, DISK_SECTOR);
}

static void lose_page(struct inode *i, size_t at)
{
    if (i->live[at] == i->stable[at])
        return;
    uint64_t fate = i->is_lost[at] ? UINT64_MAX : sim_below(8);
    if (fate < 3) {
        disk_settle_page(i, at);
        return;
    }
    if (fate == 3 && i->live[at]) {
        tear(i->live[at], i->stable[at]);
        disk_settle_page(i, at);
        return;
    }
    disk_take_back_page(i, at);
}

static void lose_bytes(struct inode *i)
{
    for (size_t at = 0; at < i->page_room; at++)
        lose_page(i, at);
    if (i->live_size == i->stable_size)
        return;
    if (sim_chance(1, 2))
        i->stable_size = i->live_size;
    i->live_size = i->stable_size;
    for (size_t at = (size_t)(i->live_size + DISK_PAGE - 1) / DISK_PAGE; at < i->page_room; at++) {
        world_free(i->live[at], DISK_PAGE);
        i->live[at] = i->stable[at] = NULL;
        i->is_lost[at] = false;
    }
}

static void lose_names(void)
{
    for (struct inode *i = world->disk->all; i; i = i->next)
        for (struct change *c = i->changes; c && sim_chance(1, 2); c = c->next)
            keep(c);
    apply_kept();
    for (struct inode *i = world->disk->all; i; i = i->next)
        i->links = 0;
    for (struct inode *i = world->disk->all; i; i = i->next) {
        i->changes = NULL;
        i->change_end = &i->changes;
        for (struct name *n = i->names; n; n = n->next) {
            n->live = n->stable;
            n->changes = 0;
            if (n->live)
                n->live->parent = i;
            if (n->live)
                n->live->links = 1;
        }
        forget_names(i);
    }
}

/* What is there after a power cut costs what it costs. */
static void recount(void)
{
    struct disk *d = world->disk;
    d->used_pages = 0;
    for (struct inode *i = d->all; i; i = i->next) {
        i->cost = i->allocated / DISK_PAGE;
        for (size_t at = (size_t)(i->allocated / DISK_PAGE); at < i->page_room; at++)
            i->cost += i->live[at] != NULL;
        if (i->links)
            d->used_pages += i->cost;
        else
            i->cost = 0;
    }
}

void disk_lose_power(void)
{
    world->disk->power_cuts++;
    for (struct inode *i = world->disk->all; i; i = i->next)
        if (i->type == INODE_FILE)
            lose_bytes(i);
    lose_names();
    recount();
}
