/* SPDX-License-Identifier: ISC */
/*
 * srs_ring.c - the secrets of rewritten senders, in a file that the mta alone can read
 */
#include "sign/srs_ring.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/encode.h"
#include "os/file.h"
#include "os/random.h"
#include "os/thread.h"

enum { FILE_MAX = 4096, RANDOM_BYTES = 32, PERMISSIONS = 0600 };

struct srs_ring {
    struct mutex mutex;
    struct srs_secrets secrets;
    struct arena arena;
    const char *path;
};

struct srs_ring *srs_ring_make(const char *path)
{
    struct srs_ring *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    mutex_init(&r->mutex);
    r->arena = arena_make(1 << 16);
    r->path = arena_c_string(&r->arena, str_from(path));
    return r;
}

void srs_ring_free(struct srs_ring *r)
{
    if (!r)
        return;
    explicit_bzero(&r->secrets, sizeof r->secrets);
    arena_free(&r->arena);
    mutex_destroy(&r->mutex);
    free(r);
}

static struct fault make_file(const char *path)
{
    unsigned char secret[RANDOM_BYTES];
    struct buf text = buf_make(FILE_MAX);
    random_bytes(secret, sizeof secret);
    encode_hex(&text, str_make((const char *)secret, sizeof secret));
    buf_append_byte(&text, '\n');
    struct fault f = file_save(path, buf_str(&text), PERMISSIONS);
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(text.data, text.used);
    buf_free(&text);
    return f;
}

struct fault srs_ring_load(struct srs_ring *r, bool may_make)
{
    struct srs_secrets read;
    struct buf text = buf_make(FILE_MAX);
    struct fault f = FINE;
    if (!file_exists(r->path)) {
        if (!may_make)
            return FINE;
        f = make_file(r->path);
    }
    if (!f.kind)
        f = file_load(r->path, &text);
    if (!f.kind && !srs_secrets_parse(buf_str(&text), &read))
        f = fault_make(451, FAULT_STATUS(4, 3, 0),
                       "%s has no secret, or one that is not of 16 to %d octets", r->path,
                       SRS_SECRET_SIZE);
    if (!f.kind) {
        mutex_lock(&r->mutex);
        r->secrets = read;
        mutex_unlock(&r->mutex);
    }
    if (text.used > 0)
        explicit_bzero(text.data, text.used);
    buf_free(&text);
    return f;
}

void srs_ring_get(struct srs_ring *r, struct srs_secrets *out)
{
    mutex_lock(&r->mutex);
    *out = r->secrets;
    mutex_unlock(&r->mutex);
}
