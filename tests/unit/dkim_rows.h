/* SPDX-License-Identifier: ISC */
/*
 * dkim_rows.h - rows of signatures that are right but for one thing, and what comes of them
 */
#ifndef TESTS_UNIT_DKIM_ROWS_H
#define TESTS_UNIT_DKIM_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "check/dkim_verify.h"
#include "dkim_letter.h"
#include "fake_zone.h"

enum { NOW = 1700000000 };

#define FROM    "From: Joe <joe@example.com>\r\n"
#define BODY    "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
#define ED25519 "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define HASH    "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="

static const struct dkim_verify_options OPTIONS = {.now_s = NOW};

/* "result reason" of each signature, a line each. */
static void verify(struct str section, struct str body, const char *zone_text,
                   const struct dkim_verify_options *options, char *out, size_t size)
{
    struct fake_zone *zone = calloc(1, sizeof *zone);
    struct arena arena = arena_make(1 << 22);
    struct asker asker = {fake_answer, zone, &arena, 40};
    struct dkim_body *b = dkim_body_make();
    struct dkim_verifier *v = dkim_verify_begin(section, b, options);
    zone->text = zone_text;
    for (struct str rest = body; rest.n > 0; rest = str_skip(rest, 7))
        dkim_body_feed(b, str_head(rest, 7));
    dkim_body_end(b);
    dkim_verify_fetch(v, &asker);
    dkim_verify_finish(v, NULL);
    out[0] = '\0';
    for (size_t i = 0, used = 0; i < dkim_verify_count(v); i++) {
        const struct dkim_verdict *d = dkim_verify_verdict(v, i);
        used += (size_t)snprintf(out + used, size - used, "%s%s%s%s", i > 0 ? "\n" : "",
                                 dkim_result_name(d->result), *d->reason ? " " : "", d->reason);
    }
    dkim_verify_free(v);
    dkim_body_free(b);
    arena_free(&arena);
    free(zone);
}

/* A message whose template is right but for what a row is about. */
struct row {
    const char *template; /* field of the signature, "@": filled in (dkim_letter.h) */
    const char *section;  /* after the signature has been made; NULL: FROM */
    const char *body;     /* as it arrives; NULL: BODY */
    const char *record;   /* TXT at ed._domainkey.example.com; NULL: the key */
    const char *expected;
};

#define TAGS      "v=1; a=ed25519-sha256; d=example.com; s=ed; h=From"
#define SIG(tags) "DKIM-Signature: " tags "; bh=@; b=@\r\n"

static inline void expect_row(const struct row *row, const struct dkim_verify_options *options)
{
    char seen[400], zone[1000];
    struct buf section = buf_make(1 << 20);
    EVP_PKEY *key = letter_key_ed25519();
    assert_true(buf_append(&section, STR(FROM)));
    letter_sign(&section, row->template, STR(BODY), key);
    EVP_PKEY_free(key);
    if (row->section) {
        section.used -= strlen(FROM);
        assert_true(buf_append(&section, str_from(row->section)));
    }
    snprintf(zone, sizeof zone, "ed._domainkey.example.com TXT %s\n",
             row->record ? row->record : ED25519);
    verify(buf_str(&section), str_from(row->body ? row->body : BODY), zone, options, seen,
           sizeof seen);
    if (strcmp(seen, row->expected) != 0)
        print_error("%s\n", row->template);
    assert_string_equal(seen, row->expected);
    buf_free(&section);
}

static inline void expect_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_row(&rows[i], &OPTIONS);
}

#define EXPECT_ROWS(rows) expect_rows(rows, sizeof(rows) / sizeof(rows)[0])

#endif
