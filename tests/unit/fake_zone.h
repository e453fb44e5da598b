/* SPDX-License-Identifier: ISC */
/*
 * fake_zone.h - a DNS in memory that answers the questions of the checks
 *
 * A zone is text: lines of "NAME TYPE DATA", names in lower case without the last dot. TXT data is the rest of the
 * line as it is; MX data "PREFERENCE HOST" (a host "." is the root); TLSA data "USAGE SELECTOR MATCHING HEX";
 * the type FAIL, without data, makes every question about the name fail. A name exists when it or a name below it
 * is in the zone. Names under "secure." are proven by DNSSEC.
 */
#ifndef TESTS_UNIT_FAKE_ZONE_H
#define TESTS_UNIT_FAKE_ZONE_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/num.h"
#include "check/ask.h"

enum { FAKE_ROWS_MAX = 1000 };

struct fake_zone {
    const char *text;
    unsigned asked;
    char log[3000]; /* "TYPE name\n" of each question */
};

struct fake_rows {
    bool exists, fails;
    size_t count;
    struct str data[FAKE_ROWS_MAX];
};

static const char *const FAKE_TYPES[] = {
    [ASK_A] = "A",     [ASK_AAAA] = "AAAA", [ASK_MX] = "MX",
    [ASK_PTR] = "PTR", [ASK_TXT] = "TXT",   [ASK_TLSA] = "TLSA"};

static struct str fake_word(struct str *line)
{
    const char *end = memchr(line->p, ' ', line->n);
    size_t n = end ? (size_t)(end - line->p) : line->n;
    struct str word = str_make(line->p, n);
    *line = str_skip(*line, n < line->n ? n + 1 : n);
    return word;
}

static bool fake_is_below(struct str owner, struct str name)
{
    return owner.n > name.n && owner.p[owner.n - name.n - 1] == '.' &&
           memcmp(owner.p + owner.n - name.n, name.p, name.n) == 0;
}

static void fake_row(struct str line, struct str name, const char *type, struct fake_rows *rows)
{
    struct str owner = fake_word(&line);
    bool is_here = str_equal(owner, name);
    rows->exists |= is_here || fake_is_below(owner, name);
    struct str kind = fake_word(&line);
    rows->fails |= is_here && str_equal(kind, str_from("FAIL"));
    if (!is_here || !str_equal(kind, str_from(type)))
        return;
    assert(rows->count < FAKE_ROWS_MAX);
    rows->data[rows->count++] = line;
}

static struct fake_rows *fake_find(const char *text, struct str name, const char *type)
{
    struct fake_rows *rows = calloc(1, sizeof *rows);
    assert(rows);
    while (*text) {
        size_t n = strcspn(text, "\n");
        if (n > 0)
            fake_row(str_make(text, n), name, type, rows);
        text += n + (text[n] == '\n');
    }
    return rows;
}

static void fake_addresses(struct arena *arena, const struct fake_rows *rows,
                           struct ask_answer *out)
{
    struct ip_address *list = arena_alloc(arena, rows->count * sizeof *list);
    for (size_t i = 0; i < rows->count; i++)
        assert(ip_parse(rows->data[i], &list[i]));
    out->addresses = list;
}

static void fake_hosts(struct arena *arena, const struct fake_rows *rows, struct ask_answer *out)
{
    struct ask_mx *list = arena_alloc(arena, rows->count * sizeof *list);
    for (size_t i = 0; i < rows->count; i++) {
        struct str line = rows->data[i];
        list[i].preference = (uint16_t)atoi(fake_word(&line).p);
        list[i].host = str_equal(line, str_from(".")) ? str_from("") : line;
    }
    out->hosts = list;
}

static void fake_keys(struct arena *arena, const struct fake_rows *rows, struct ask_answer *out)
{
    struct ask_tlsa *list = arena_alloc(arena, rows->count * sizeof *list);
    for (size_t i = 0; i < rows->count; i++) {
        struct str line = rows->data[i];
        list[i].usage = (uint8_t)atoi(fake_word(&line).p);
        list[i].selector = (uint8_t)atoi(fake_word(&line).p);
        list[i].matching = (uint8_t)atoi(fake_word(&line).p);
        char *data = arena_alloc(arena, line.n / 2 + 1);
        for (size_t at = 0; at + 1 < line.n; at += 2) {
            unsigned octet;
            assert(sscanf(line.p + at, "%2x", &octet) == 1);
            data[at / 2] = (char)octet;
        }
        list[i].data = str_make(data, line.n / 2);
    }
    out->keys = list;
}

static void fake_strings(struct arena *arena, const struct fake_rows *rows, struct ask_answer *out)
{
    struct str *list = arena_alloc(arena, rows->count * sizeof *list);
    for (size_t i = 0; i < rows->count; i++)
        list[i] = arena_copy(arena, rows->data[i]);
    out->texts = list;
}

static void fake_answer(void *context, struct arena *arena, const char *name, enum ask_type type,
                        struct ask_answer *out)
{
    struct fake_zone *zone = context;
    struct fake_rows *rows = fake_find(zone->text, str_from(name), FAKE_TYPES[type]);
    size_t used = strlen(zone->log);
    snprintf(zone->log + used, sizeof zone->log - used, "%s %s\n", FAKE_TYPES[type], name);
    zone->asked++;
    *out = (struct ask_answer){
        .status = rows->fails       ? ASK_FAILED
                  : rows->count > 0 ? ASK_FOUND
                  : rows->exists    ? ASK_NO_DATA
                                    : ASK_NO_NAME,
        .is_secure = strncmp(name, "secure.", 7) == 0 || strstr(name, ".secure.") != NULL,
        .ttl_s = 300,
        .count = rows->fails ? 0 : rows->count,
    };
    if (out->status == ASK_FOUND)
        (type == ASK_A || type == ASK_AAAA ? fake_addresses
         : type == ASK_MX                  ? fake_hosts
         : type == ASK_TLSA                ? fake_keys
                                           : fake_strings)(arena, rows, out);
    free(rows);
}

#endif
