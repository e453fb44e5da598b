/* SPDX-License-Identifier: ISC */
/*
 * key_store.c - private keys of our domains: FOLDER/DOMAIN/SELECTOR.pem
 */
#include "sign/key_store.h"

#include <assert.h>
#include <openssl/crypto.h>

#include "base/arena.h"
#include "base/hostname.h"
#include "os/file.h"
#include "os/key_pair.h"

enum { PATH_ARENA_BYTES = 16 * 1024, FOLDER_PERMISSIONS = 0700, KEY_PERMISSIONS = 0400 };

static const char *folder_of(struct arena *a, const char *folder, struct str domain)
{
    assert(hostname_is_valid(domain));
    return arena_printf(a, "%s/" STR_FMT, folder, STR_ARG(domain)).p;
}

static const char *path_of(struct arena *a, const char *folder, struct str domain,
                           struct str selector)
{
    assert(hostname_is_valid(selector));
    return arena_printf(a, "%s/" STR_FMT ".pem", folder_of(a, folder, domain), STR_ARG(selector)).p;
}

static void wipe(struct buf *b)
{
    if (b->used > 0)
        OPENSSL_cleanse(b->data, b->used);
    buf_free(b);
}

static struct fault make_folder(const char *path, const struct owner *owner)
{
    struct fault f = file_establish_directory(path, NULL, 0);
    return f.kind ? f : owner_give(path, owner, FOLDER_PERMISSIONS);
}

struct fault key_store_save(const char *folder, struct str domain, struct str selector,
                            const EVP_PKEY *key, const struct owner *owner)
{
    struct arena a = arena_make(PATH_ARENA_BYTES);
    struct buf pem = buf_make(KEY_PAIR_PEM_MAX);
    const char *path = path_of(&a, folder, domain, selector);
    buf_reserve(&pem, KEY_PAIR_PEM_MAX); /* so that no copy is left behind */
    struct fault f = make_folder(folder, owner);
    if (!f.kind)
        f = make_folder(folder_of(&a, folder, domain), owner);
    if (!f.kind && !key_pair_write(key, &pem))
        f = fault_make(451, FAULT_STATUS(4, 7, 5), "%s: the key cannot be written", path);
    if (!f.kind)
        f = file_save(path, buf_str(&pem), KEY_PERMISSIONS);
    if (!f.kind)
        f = owner_give(path, owner, KEY_PERMISSIONS);
    wipe(&pem);
    arena_free(&a);
    return f;
}

struct fault key_store_load(const char *folder, struct str domain, struct str selector,
                            EVP_PKEY **out)
{
    struct arena a = arena_make(PATH_ARENA_BYTES);
    struct buf pem = buf_make(KEY_PAIR_PEM_MAX);
    const char *path = path_of(&a, folder, domain, selector);
    *out = NULL;
    buf_reserve(&pem, KEY_PAIR_PEM_MAX);
    struct fault f = file_load(path, &pem);
    if (!f.kind && !(*out = key_pair_read(buf_str(&pem))))
        f = fault_make(451, FAULT_STATUS(4, 7, 5), "%s holds no private key", path);
    wipe(&pem);
    arena_free(&a);
    return f;
}

bool key_store_has(const char *folder, struct str domain, struct str selector)
{
    struct arena a = arena_make(PATH_ARENA_BYTES);
    bool has = file_exists(path_of(&a, folder, domain, selector));
    arena_free(&a);
    return has;
}

struct fault key_store_remove(const char *folder, struct str domain, struct str selector)
{
    struct arena a = arena_make(PATH_ARENA_BYTES);
    struct fault f = file_remove(path_of(&a, folder, domain, selector));
    arena_free(&a);
    return f;
}
