/* SPDX-License-Identifier: ISC */
/*
 * fuzz_spf.c - SPF records by the grammar and by any DNS: bounded, stable, and nothing of them escapes
 *
 * The input is two steering octets and then lines: HELO, sender, and the TXT records in the order in which they are
 * asked for. All other answers follow from the name and the second octet.
 */
#include "check/iprev.h"
#include "check/spf.h"
#include "check/spf_header.h"
#include "check/spf_macro.h"
#include "check/spf_record.h"
#include "fuzz.h"
#include "mail/header.h"

enum { QUESTIONS = 60, RECORDS_MAX = 16, MODEL_PARTS = 100 };

struct world {
    struct str records[RECORDS_MAX];
    size_t count, asked_records;
    unsigned asked;
    uint8_t seed;
    struct ip_address client;
};

static struct str take_line(struct str *in)
{
    struct str line;
    str_cut(*in, '\n', &line, in);
    return line;
}

static uint32_t hash(const struct world *w, struct str name, unsigned type)
{
    uint32_t h = 2166136261U ^ w->seed ^ type << 8;
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (uint8_t)name.p[i]) * 16777619U;
    return h >> 7;
}

static void give_texts(struct world *w, struct arena *arena, struct ask_answer *out)
{
    struct str *texts = arena_alloc(arena, 2 * sizeof *texts);
    out->status = w->asked_records < w->count ? ASK_FOUND : ASK_NO_NAME;
    if (out->status != ASK_FOUND)
        return;
    texts[0] = w->records[w->asked_records++];
    texts[1] = STR("v=spf2.0/pra");
    out->count = 1 + w->seed % 2;
    out->texts = texts;
}

static void give_hosts(uint32_t h, struct arena *arena, struct ask_answer *out)
{
    struct ask_mx *hosts = arena_alloc(arena, 13 * sizeof *hosts);
    out->count = h % 13;
    out->hosts = hosts;
    for (size_t i = 0; i < out->count; i++)
        hosts[i] = (struct ask_mx){
            i % 5 == 4 ? STR("") : arena_printf(arena, "h%u.test", (unsigned)(h >> 4) % 7),
            (uint16_t)(h >> i)};
}

static void give_names(uint32_t h, struct arena *arena, struct ask_answer *out)
{
    struct str *names = arena_alloc(arena, 13 * sizeof *names);
    out->count = h % 13;
    out->names = names;
    for (size_t i = 0; i < out->count; i++)
        names[i] = arena_printf(arena, "p%zu.sender.test", i);
}

static void answer(void *context, struct arena *arena, const char *name, enum ask_type type,
                   struct ask_answer *out)
{
    struct world *w = context;
    uint32_t h = hash(w, str_from(name), type);
    w->asked++;
    *out = (struct ask_answer){.status = h % 16 == 0  ? ASK_FAILED
                                         : h % 4 == 0 ? ASK_NO_DATA
                                                      : ASK_FOUND};
    if (out->status != ASK_FOUND)
        return;
    h >>= 4;
    struct ip_address *ip = arena_alloc(arena, sizeof *ip);
    *ip = w->client;
    ip->byte[15] ^= (uint8_t)(h % 3);
    out->count = 1;
    if (type == ASK_TXT)
        give_texts(w, arena, out);
    else if (type == ASK_MX)
        give_hosts(h, arena, out);
    else if (type == ASK_PTR)
        give_names(h, arena, out);
    else
        out->addresses = ip;
}

static void check_bounds(const struct world *w, const struct spf_question *q,
                         const struct spf_verdict *v)
{
    must(w->asked <= QUESTIONS);
    must(w->asked <= 2 + (1 + IPREV_NAMES_MAX) + (1 + SPF_HOSTS_MAX) * v->terms);
    must(v->terms <= SPF_TERMS_MAX + 1 && v->voids <= q->void_limit + 1);
    must(v->terms <= SPF_TERMS_MAX || v->result == SPF_PERMERROR);
    must(v->voids <= q->void_limit || v->result == SPF_PERMERROR);
    must(v->reason.n > 0 && v->reason.n <= SPF_REASON_MAX && str_is_printable(v->reason));
    must(v->mechanism.n <= SPF_MECHANISM_MAX && str_is_printable(v->mechanism));
    must(v->explanation.n <= SPF_EXPLANATION_MAX && str_is_printable(v->explanation));
    must(v->explanation.n == 0 || v->result == SPF_FAIL);
    must(v->result == SPF_NONE || v->result == SPF_TEMPERROR || v->result == SPF_PERMERROR ||
         v->mechanism.n > 0);
}

static void check_field(const struct spf_question *q, const struct spf_verdict *v)
{
    struct buf out = buf_make(SPF_HEADER_MAX);
    struct header_field f;
    must(spf_header_append(&out, q, v));
    struct header_iterator i = header_iterate(buf_str(&out));
    must(header_next(&i, &f) && str_equal(f.name, STR("Received-SPF")) && f.whole.n == out.used);
    must(str_starts(str_trim(f.value), str_from(spf_result_name(v->result))));
    for (struct str rest = buf_str(&out); rest.n > 0;) {
        size_t n = str_find(rest, STR("\r\n"));
        must(n < rest.n && n <= 998 && str_is_printable(str_head(rest, n)));
        rest = str_skip(rest, n + 2);
    }
    buf_free(&out);
}

/* A verdict, copied where the next one leaves it alone. */
static struct spf_verdict judge(struct world w, const struct spf_question *q, struct arena *arena)
{
    struct asker asker = {.answer = answer, .context = &w, .arena = arena, .left = QUESTIONS};
    struct spf_verdict v;
    spf_check(q, &asker, &v);
    check_bounds(&w, q, &v);
    check_field(q, &v);
    return v;
}

/* The record with each known name in the other case, and with more spaces. */
static struct str in_other_case(struct arena *arena, struct str text)
{
    if (!spf_record_is_one(text))
        return text;
    char *copy = arena_alloc(arena, 2 * text.n + 1);
    size_t used = 0;
    bool is_name = true;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        is_name = c == ' ' || (is_name && c != ':' && c != '/' && (c != '=' || i == 1));
        char lower = str_lower_byte(c);
        copy[used++] = is_name && lower >= 'a' && lower <= 'z' ? (char)(c ^ 0x20) : c;
        if (c == ' ')
            copy[used++] = ' ';
    }
    return str_make(copy, used);
}

static void check_other_case(struct world w, const struct spf_question *q,
                             const struct spf_verdict *v, struct arena *arena)
{
    for (size_t i = 0; i < w.count; i++)
        w.records[i] = in_other_case(arena, w.records[i]);
    struct spf_verdict other = judge(w, q, arena);
    must(other.result == v->result && other.terms == v->terms && other.voids == v->voids);
    must(other.mechanism.n == SPF_MECHANISM_MAX || str_equal(other.mechanism, v->mechanism) ||
         v->result == SPF_PERMERROR || v->result == SPF_TEMPERROR);
}

static bool is_same_term(const struct spf_term *a, const struct spf_term *b)
{
    return a->kind == b->kind && a->qualifier == b->qualifier &&
           str_equal(a->domain_spec, b->domain_spec) && ip_equal(&a->ip, &b->ip) &&
           a->v4_bits == b->v4_bits && a->v6_bits == b->v6_bits;
}

/* Printed, a term is read again as itself. */
static void check_print(struct str text)
{
    struct spf_record record, again;
    struct spf_wrong wrong;
    struct spf_term term, other;
    if (!spf_record_is_one(text) || !spf_record_parse(text, &record, &wrong))
        return;
    for (struct str rest = record.terms; spf_record_next(&rest, &term);) {
        struct buf out = buf_make(text.n + 100);
        must(buf_append(&out, STR("v=spf1 ")) && spf_record_print(&out, &term));
        must(spf_record_parse(buf_str(&out), &again, &wrong));
        struct str only = again.terms;
        must(spf_record_next(&only, &other) && is_same_term(&term, &other));
        must(!spf_record_next(&only, &other));
        must(term.domain_spec.n == 0 || spf_macro_is_valid(term.domain_spec, true));
        buf_free(&out);
    }
}

static struct str no_name(void *context)
{
    (void)context;
    return STR("unknown");
}

/* What "%{l" and the transformers make of a value, by a list of its parts. */
static size_t model(struct str value, unsigned kept, bool is_reversed, const char *delimiters,
                    char *out)
{
    struct str parts[MODEL_PARTS];
    size_t count = 1, used = 0;
    parts[0] = str_head(value, 0);
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] != '\0' && strchr(delimiters, value.p[i]))
            parts[count++] = str_make(value.p + i + 1, 0);
        else
            parts[count - 1].n++;
    }
    size_t first = kept > 0 && kept < count ? count - kept : 0;
    for (size_t i = first; i < count; i++) {
        struct str part = parts[is_reversed ? count - 1 - i : i];
        if (i > first)
            out[used++] = '.';
        for (size_t k = 0; k < part.n; k++)
            out[used++] = part.p[k] >= ' ' && part.p[k] <= '~' ? part.p[k] : '?';
    }
    return used;
}

static void check_macro(struct str value, uint8_t flags, uint8_t seed)
{
    static const char *const delimiters[] = {"", "-", ".-", "+,/_="};
    const char *chosen = delimiters[seed % 4];
    unsigned kept = seed / 4 % 8;
    char text[40], room[2 * MODEL_PARTS], expected[2 * MODEL_PARTS];
    value = str_head(value, MODEL_PARTS / 2);
    int n = kept ? snprintf(text, sizeof text, "%%{l%u%s%s}", kept, flags & 1 ? "r" : "", chosen)
                 : snprintf(text, sizeof text, "%%{l%s%s}", flags & 1 ? "R" : "", chosen);
    struct spf_facts facts = {.local = value, .macros_left = 1, .client_name = no_name};
    struct str found;
    must(spf_macro_is_valid(str_make(text, (size_t)n), false));
    must(spf_macro_expand_text(&facts, str_make(text, (size_t)n), room, sizeof room, &found));
    size_t used = model(value, kept, flags & 1, *chosen ? chosen : ".", expected);
    must(str_equal(found, str_make(expected, used)));
    must(!spf_macro_expand_text(&facts, str_make(text, (size_t)n), room, sizeof room, &found));
}

/* A domain-spec is a name of at most 253 octets, or none. */
static void check_name(struct str spec, struct str value)
{
    char room[SPF_NAME_ROOM];
    struct spf_facts facts = {
        .sender = value, .local = value, .helo = value, .macros_left = 100, .client_name = no_name};
    struct str name;
    if (!spf_macro_is_domain_spec(spec))
        return;
    must(spf_macro_is_valid(spec, false));
    if (spf_macro_expand_name(&facts, spec, room, &name))
        must(name.n <= 253);
}

static void check_iprev(struct world w, struct arena *arena)
{
    struct asker asker = {.answer = answer, .context = &w, .arena = arena, .left = QUESTIONS};
    struct iprev_verdict v;
    iprev_check(&w.client, &asker, &v);
    must(w.asked <= 1 + IPREV_NAMES_MAX && (v.name.n > 0) == (v.result == IPREV_PASS));
    must(str_equal(str_from(iprev_result_name(v.result)), STR("pass")) == (v.name.n > 0));
}

const struct fuzz_memory fuzz_memory = {.factor = 64, .base = 1 << 19};

void fuzz_one(struct str in)
{
    uint8_t flags = take_octet(&in);
    struct arena arena = arena_make((size_t)1 << 22);
    struct world w = {.seed = take_octet(&in)};
    struct spf_question q = {.identity = flags & 2 ? SPF_HELO : SPF_MAIL_FROM,
                             .helo = take_line(&in),
                             .mail_from = take_line(&in),
                             .receiver = STR("mx.test"),
                             .now_s = flags,
                             .void_limit = flags & 4 ? SPF_VOID_LIMIT : flags / 16};
    must(ip_parse(flags & 8 ? STR("2001:db8::1") : STR("192.0.2.1"), &q.ip));
    w.client = q.ip;
    while (in.n > 0 && w.count < RECORDS_MAX)
        w.records[w.count++] = take_line(&in);
    struct spf_verdict v = judge(w, &q, &arena);
    check_other_case(w, &q, &v, &arena);
    for (size_t i = 0; i < w.count; i++) {
        check_print(w.records[i]);
        check_name(w.records[i], q.mail_from);
    }
    check_macro(q.mail_from, flags, w.seed);
    check_iprev(w, &arena);
    arena_free(&arena);
}
