/* SPDX-License-Identifier: ISC */
/*
 * dkim_fields.c - the fields of a header section as signatures choose and hash them (RFC 6376 3.7, 5.4.2)
 *
 * The fields are sorted by name once. A choice is a search among the names, and a count for each of how many of its
 * fields are taken already.
 */
#include "check/dkim_fields.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "check/dkim_hash.h"
#include "check/tag_list.h"

enum { USUAL_LINE = 1024 /* octets of a field */, USUAL_FIELDS = 40 };

struct dkim_name {
    const struct header_field *field;
    size_t same; /* at the first of a name: how many have it */
};

static int compare_names(struct str a, struct str b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        char x = str_lower_byte(a.p[i]), y = str_lower_byte(b.p[i]);
        if (x != y)
            return (unsigned char)x < (unsigned char)y ? -1 : 1;
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

static int compare_fields(const void *a, const void *b)
{
    const struct dkim_name *x = a, *y = b;
    int order = compare_names(x->field->name, y->field->name);
    return order != 0 ? order : x->field < y->field ? -1 : x->field > y->field;
}

static void sort(const struct header_field *field, size_t count, struct dkim_name *name)
{
    for (size_t i = 0; i < count; i++)
        name[i] = (struct dkim_name){.field = &field[i]};
    if (count > 0)
        qsort(name, count, sizeof *name, compare_fields);
    for (size_t i = 0, first = 0; i < count; i++) {
        if (compare_names(name[first].field->name, name[i].field->name) != 0)
            first = i;
        name[first].same++;
    }
}

bool dkim_fields_read(struct str section, struct arena *arena, struct dkim_fields *out)
{
    struct header_iterator i = header_iterate(section);
    struct header_field field, *list, usual[USUAL_FIELDS];
    size_t count = 0;
    *out = (struct dkim_fields){0};
    if (section.n > DKIM_SECTION_MAX)
        return false;
    while (header_next(&i, &field)) {
        if (count < USUAL_FIELDS)
            usual[count] = field;
        if (count++ == DKIM_FIELDS_MAX)
            return false;
    }
    list = arena_alloc(arena, count * sizeof *list);
    struct dkim_name *name = arena_alloc(arena, count * sizeof *name);
    i = header_iterate(section);
    if (count > 0 && count <= USUAL_FIELDS)
        memcpy(list, usual, count * sizeof *list);
    else
        for (size_t k = 0; header_next(&i, &field); k++)
            list[k] = field;
    sort(list, count, name);
    *out = (struct dkim_fields){.count = count, .field = list, .name = name};
    return true;
}

/* The first in the order of names that has this one; count when none has. */
static size_t find_name(const struct dkim_fields *f, struct str name)
{
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_names(f->name[middle].field->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < f->count && compare_names(f->name[low].field->name, name) == 0 ? low : f->count;
}

size_t dkim_fields_count(const struct dkim_fields *f, struct str name)
{
    size_t first = find_name(f, name);
    return first < f->count ? f->name[first].same : 0;
}

/* The next field of that name from the bottom up that is neither taken nor the signature's own; NULL when none is. */
static const struct header_field *choose(const struct dkim_fields *f, struct str name,
                                         struct str own, size_t *taken)
{
    size_t first = find_name(f, name);
    while (first < f->count && taken[first] < f->name[first].same) {
        size_t at = first + f->name[first].same - ++taken[first];
        if (f->name[at].field->whole.p != own.p)
            return f->name[at].field;
    }
    return NULL;
}

/* OpenSSL's digests and small buffers fail for want of memory alone. */
static void must(bool is_done)
{
    if (!is_done)
        abort();
}

static void hash_fields(const struct dkim_fields *f, const struct dkim_choice *c, struct buf *line,
                        EVP_MD_CTX *digest)
{
    struct str rest = c->names, name;
    size_t *taken = calloc(f->count + 1, sizeof *taken);
    must(taken != NULL);
    while (tag_item_next(&rest, ':', &name)) {
        const struct header_field *field = choose(f, name, c->own, taken);
        if (!field)
            continue;
        line->used = 0;
        must(dkim_canon_field(c->canon, field->whole, line) && buf_append(line, STR("\r\n")) &&
             EVP_DigestUpdate(digest, line->data, line->used) == 1);
    }
    free(taken);
}

void dkim_fields_hash(const struct dkim_fields *f, const struct dkim_choice *choice,
                      unsigned char hash[DKIM_HASH_SIZE])
{
    struct buf line = buf_make(SIZE_MAX / 2);
    buf_reserve(&line, USUAL_LINE);
    EVP_MD_CTX *digest = dkim_hash_begin();
    hash_fields(f, choice, &line, digest);
    line.used = 0;
    must(dkim_canon_without(choice->canon, choice->own, choice->left_out, &line) &&
         EVP_DigestUpdate(digest, line.data, line.used) == 1 &&
         EVP_DigestFinal_ex(digest, hash, NULL) == 1);
    EVP_MD_CTX_free(digest);
    buf_free(&line);
}
