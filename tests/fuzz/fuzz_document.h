/* SPDX-License-Identifier: ISC */
/*
 * fuzz_document.h - what every report that was read must be
 */
#ifndef TESTS_FUZZ_FUZZ_DOCUMENT_H
#define TESTS_FUZZ_FUZZ_DOCUMENT_H

#include "base/utf8.h"
#include "fuzz.h"
#include "report/document.h"

static inline void must_be_text(struct str s)
{
    uint32_t character;
    must(s.n <= DOCUMENT_TEXT_ROOM);
    while (s.n > 0)
        must(utf8_take(&s, &character) && !utf8_is_control(character));
}

static inline void must_be_kept(const struct document *d)
{
    must(document_is_whole(d) && d->count <= DOCUMENT_RECORDS_MAX);
    must(d->good >= 0 && d->good <= DOCUMENT_COUNT_MAX && d->bad >= 0 &&
         d->bad <= DOCUMENT_COUNT_MAX);
    must_be_text(d->organization);
    must_be_text(d->report_id);
    must_be_text(d->domain);
    for (size_t i = 0; i < d->count; i++) {
        must(d->record[i].count >= 0 && d->record[i].count <= DOCUMENT_COUNT_MAX);
        json_t *record = json_loadb(d->record[i].text.p, d->record[i].text.n, 0, NULL);
        must(json_is_object(record));
        json_decref(record);
    }
}

static inline void must_be_same(const struct document *a, const struct document *b)
{
    must(a->kind == b->kind && str_equal(a->organization, b->organization) &&
         str_equal(a->report_id, b->report_id) && str_equal(a->domain, b->domain));
    must(a->begin_s == b->begin_s && a->end_s == b->end_s && a->good == b->good &&
         a->bad == b->bad && a->count == b->count && a->left_out == b->left_out);
    must(json_equal(a->about, b->about));
    for (size_t i = 0; i < a->count; i++)
        must(a->record[i].count == b->record[i].count &&
             str_equal(a->record[i].text, b->record[i].text));
}

#endif
