/* SPDX-License-Identifier: ISC */
/*
 * fuzz_dmarc.c - a record that is read, printed and read again is the same; what was published
 * passes for its own domain, never for a stranger's, and costs few questions
 */
#include "check/dmarc.h"

#include "base/buf.h"
#include "fuzz.h"

static void print_flag(struct buf *out, const char *tag, bool is_set, const char *value)
{
    if (is_set)
        must(buf_printf(out, "; %s=%s", tag, value));
}

static void print_text(struct buf *out, const char *tag, struct str value)
{
    if (value.n > 0)
        must(buf_printf(out, "; %s=", tag) && buf_append(out, value));
}

static void check_printed(const struct dmarc_record *r, size_t room)
{
    struct buf text = buf_make(room + 256);
    struct dmarc_record again;
    must(buf_append(&text, STR("v=DMARC1")));
    print_flag(&text, "p", r->has_p, dmarc_policy_name(r->p));
    print_flag(&text, "sp", r->has_sp, dmarc_policy_name(r->sp));
    print_flag(&text, "np", r->has_np, dmarc_policy_name(r->np));
    print_flag(&text, "psd", r->psd != DMARC_PSD_UNKNOWN, r->psd == DMARC_PSD_YES ? "y" : "n");
    print_flag(&text, "t", r->is_test, "y");
    print_flag(&text, "adkim", r->is_dkim_strict, "s");
    print_flag(&text, "aspf", r->is_spf_strict, "s");
    print_text(&text, "rua", r->rua);
    print_text(&text, "ruf", r->ruf);
    print_text(&text, "fo", r->fo);
    must(dmarc_record_parse(buf_str(&text), &again));
    must(again.p == r->p && again.sp == r->sp && again.np == r->np && again.psd == r->psd);
    must(again.is_test == r->is_test && again.is_dkim_strict == r->is_dkim_strict &&
         again.is_spf_strict == r->is_spf_strict);
    must(str_equal(again.rua, r->rua) && str_equal(again.ruf, r->ruf) &&
         str_equal(again.fo, r->fo));
    must(!r->is_broken || !r->has_p || !r->has_sp || !r->has_np);
    must(again.is_broken == !r->has_p);
    buf_free(&text);
}

static void check_addresses(struct str list)
{
    struct str address;
    while (dmarc_uri_next(&list, &address))
        must(str_has(address, '@') && !str_has(address, '!') && !str_has(address, ',') &&
             str_is_printable(address));
}

/* The input's lines are the records of a domain and those above it. */
struct records {
    struct str at[4];
    unsigned asked;
};

static void answer(void *context, struct arena *arena, const char *name, enum ask_type type,
                   struct ask_answer *out)
{
    static const char *const names[] = {"_dmarc.a.b.example", "_dmarc.b.example", "_dmarc.example",
                                        "_dmarc.c.b.example"};
    struct records *r = context;
    (void)arena;
    r->asked++;
    *out = (struct ask_answer){.status = ASK_NO_DATA};
    for (size_t i = 0; i < 4; i++)
        if (type == ASK_TXT && r->at[i].n > 0 && strcmp(name, names[i]) == 0)
            *out = (struct ask_answer){.status = ASK_FOUND, .count = 1, .texts = &r->at[i]};
}

static struct dmarc_verdict judge(struct records *r, struct str spf, const struct str *signer)
{
    struct arena arena = arena_make(1 << 16);
    struct asker asker = {.answer = answer, .context = r, .arena = &arena, .left = 40};
    struct dmarc_verdict v;
    dmarc_finish(dmarc_begin(STR("a.b.example"), &asker),
                 &(struct dmarc_question){
                     .spf_domain = spf, .dkim_domains = signer, .dkim_count = signer != NULL},
                 &v);
    must(r->asked <= 2 * DMARC_WALK_MAX + 1);
    must(v.policy <= v.asked);
    must((v.result == DMARC_PASS) == (v.is_spf_aligned || v.is_dkim_aligned));
    r->asked = 0;
    arena_free(&arena);
    return v;
}

static void check_verdicts(struct str in)
{
    struct records r = {0};
    struct str own = STR("a.b.example"), stranger = STR("b.example.net"), near = STR("c.b.example");
    for (size_t i = 0; i < 4; i++)
        str_cut(in, '\n', &r.at[i], &in);
    enum dmarc_result without = judge(&r, STR_NONE, NULL).result;
    must(without == DMARC_NONE || without == DMARC_FAIL);
    must(judge(&r, own, NULL).result == (without == DMARC_NONE ? DMARC_NONE : DMARC_PASS));
    must(judge(&r, STR_NONE, &own).result == (without == DMARC_NONE ? DMARC_NONE : DMARC_PASS));
    must(judge(&r, stranger, &stranger).result == without);
    struct dmarc_verdict v = judge(&r, near, NULL);
    must(v.result != DMARC_PASS || !v.record.is_spf_strict);
}

const struct fuzz_memory fuzz_memory = {.factor = 8, .base = 65536};

void fuzz_one(struct str in)
{
    struct dmarc_record record;
    if (dmarc_record_parse(in, &record)) {
        check_printed(&record, in.n);
        check_addresses(record.rua);
        check_addresses(record.ruf);
    }
    check_addresses(in);
    check_verdicts(in);
}
