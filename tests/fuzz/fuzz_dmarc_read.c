/* SPDX-License-Identifier: ISC */
/*
 * fuzz_dmarc_read.c - what is read does not depend on how it comes in; what is kept is whole, bounded and printable, and
 * read again when it is written as XML anew
 */
#include "report/dmarc_read.h"

#include "fuzz.h"
#include "fuzz_document.h"
#include "report/dmarc_write.h"

static struct fault read_cut(struct str in, uint32_t cut, struct document *out)
{
    document_start(out, REPORT_DMARC);
    struct dmarc_reader *r = dmarc_reader_make(out);
    while (in.n > 0 && dmarc_reader_feed(r, take_cut(&in, &cut)))
        ;
    struct fault f = dmarc_reader_end(r);
    dmarc_reader_free(r);
    return f;
}

/* What was learned of the report itself, written by our own hand. */
static void check_written(const struct document *d)
{
    struct buf text = buf_make(1 << 20);
    struct document again;
    struct report_draft draft = {
        .ticket = {.domain = d->domain}, .begin_s = d->begin_s, .end_s = d->end_s};
    const struct report_author by = {
        .organization = d->organization, .address = STR("a@b.example"), .report_id = d->report_id};
    must(dmarc_report_write(&draft, &by, &text));
    must(!read_cut(buf_str(&text), CUT_WHOLE, &again).kind);
    must(str_equal(again.organization, d->organization) &&
         str_equal(again.report_id, d->report_id) && str_equal(again.domain, d->domain));
    must(again.begin_s == d->begin_s && again.end_s == d->end_s && again.count == 0);
    document_free(&again);
    buf_free(&text);
}

const struct fuzz_memory fuzz_memory = {.factor = 4096, .base = 4 << 20};

void fuzz_one(struct str in)
{
    struct document whole, cut;
    uint32_t seed = in.n > 0 ? (uint32_t)(unsigned char)in.p[in.n - 1] + CUT_RANDOM : CUT_RANDOM;
    struct fault f = read_cut(in, CUT_WHOLE, &whole);
    struct fault g = read_cut(in, CUT_OCTETS, &cut);
    must(f.kind == g.kind);
    if (!f.kind)
        must_be_same(&whole, &cut);
    document_free(&cut);
    g = read_cut(in, seed, &cut);
    must(f.kind == g.kind);
    if (!f.kind) {
        must_be_same(&whole, &cut);
        must_be_kept(&whole);
        check_written(&whole);
    }
    document_free(&cut);
    document_free(&whole);
}
