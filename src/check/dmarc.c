/* SPDX-License-Identifier: ISC */
/*
 * dmarc.c - tree walks, alignment, and the policy that counts (RFC 9989)
 */
#include "check/dmarc.h"

#include "mail/idna.h"

enum { LABELS_JUMP = 7 };

/* A name that was asked about. */
struct stop {
    struct str name;
    bool has_record;
    struct dmarc_record record;
};

struct walk {
    size_t count;
    struct stop stop[DMARC_WALK_MAX]; /* from the longest name on */
    struct str organization;          /* once the walk is over */
    bool has_failed;                  /* a question did */
    bool is_over;
};

struct dmarc_inquest {
    struct asker *asker;
    struct walk author;
    struct dmarc_verdict verdict;
};

const char *dmarc_result_name(enum dmarc_result result)
{
    static const char *const names[] = {[DMARC_NONE] = "none",
                                        [DMARC_PASS] = "pass",
                                        [DMARC_FAIL] = "fail",
                                        [DMARC_TEMPERROR] = "temperror"};
    return names[result];
}

static struct str spell(struct arena *arena, struct str domain)
{
    char ascii[IDNA_DOMAIN_MAX];
    if (str_ends_nocase(domain, STR(".")))
        domain.n--;
    struct str name = idna_to_ascii(domain, ascii);
    if (name.n > 0)
        return arena_copy(arena, name);
    char *copy = arena_c_string(arena, str_head(domain, IDNA_DOMAIN_MAX));
    for (char *c = copy; *c; c++)
        *c = str_lower_byte(*c);
    return str_from(copy);
}

static size_t count_labels(struct str name)
{
    size_t count = name.n > 0;
    for (size_t i = 0; i < name.n; i++)
        count += name.p[i] == '.';
    return count;
}

/* The last so many labels of the name. */
static struct str last_labels(struct str name, size_t count)
{
    for (size_t labels = count_labels(name); labels > count; labels--)
        name = str_skip(name, str_index(name, '.') + 1);
    return name;
}

/* The only record of DMARC among the texts; several are none (4.10, step 2). */
static void take_record(const struct ask_answer *answer, struct stop *stop)
{
    size_t found = 0;
    for (size_t i = 0; i < answer->count; i++) {
        struct dmarc_record record;
        if (!dmarc_record_parse(answer->texts[i], &record))
            continue;
        stop->record = record;
        found++;
    }
    stop->has_record = found == 1;
}

static const struct stop *find_stop(const struct walk *w, struct str name)
{
    for (size_t i = 0; i < w->count; i++)
        if (str_equal(w->stop[i].name, name))
            return &w->stop[i];
    return NULL;
}

/* Looks at one name; what the author's walk has seen is not asked for again. */
static void look(struct dmarc_inquest *c, struct walk *w, struct str name)
{
    struct stop *stop = &w->stop[w->count++];
    const struct stop *known = w == &c->author ? NULL : find_stop(&c->author, name);
    if (known) {
        *stop = *known;
        return;
    }
    struct ask_answer answer;
    *stop = (struct stop){.name = name};
    ask(c->asker, arena_printf(c->asker->arena, "_dmarc." STR_FMT, STR_ARG(name)), ASK_TXT,
        &answer);
    if (answer.status == ASK_FOUND)
        take_record(&answer, stop);
    w->has_failed |= answer.status == ASK_FAILED;
}

/* A record counts for the organization when somebody owns the name. */
static bool is_owned(const struct stop *s)
{
    return s->has_record && (s->record.psd == DMARC_PSD_YES || count_labels(s->name) > 1);
}

/* Section 4.10.2. */
static struct str find_organization(const struct walk *w, struct str start)
{
    struct str organization = start;
    for (size_t i = 0; i < w->count; i++) {
        const struct stop *s = &w->stop[i];
        if (!is_owned(s))
            continue;
        organization = s->name;
        if (s->record.psd == DMARC_PSD_YES && i > 0)
            organization = last_labels(start, count_labels(s->name) + 1);
    }
    return organization;
}

/* Section 4.10: from the name itself to the top, until a record says whose it is. The first question of it. */
static void begin_walk(struct dmarc_inquest *c, struct walk *w, struct str start)
{
    *w = (struct walk){.organization = start};
    look(c, w, start);
}

/* The others, which tell the organization. */
static void end_walk(struct dmarc_inquest *c, struct walk *w)
{
    while (!w->is_over) {
        const struct stop *last = &w->stop[w->count - 1];
        size_t labels = count_labels(last->name);
        w->is_over = w->has_failed || (last->has_record && last->record.psd != DMARC_PSD_UNKNOWN) ||
                     labels < 2;
        if (!w->is_over)
            look(c, w, last_labels(last->name, labels > LABELS_JUMP ? LABELS_JUMP : labels - 1));
    }
    w->organization = find_organization(w, w->stop[0].name);
}

/* The record that counts for the author (4.10.1): its own, its organization's, its public suffix's. */
static const struct stop *find_policy(const struct walk *w)
{
    if (w->stop[0].has_record)
        return &w->stop[0];
    const struct stop *own = find_stop(w, w->organization);
    if (own && is_owned(own))
        return own;
    const struct stop *last = &w->stop[w->count - 1];
    return last->has_record && last->record.psd == DMARC_PSD_YES ? last : NULL;
}

static bool has_uri(struct str list)
{
    struct str address;
    return dmarc_uri_next(&list, &address);
}

static enum dmarc_policy soften(enum dmarc_policy policy, bool is_test)
{
    return is_test && policy != DMARC_ASKS_NONE ? policy - 1 : policy;
}

static void find_author_organization(struct dmarc_inquest *c)
{
    end_walk(c, &c->author);
    c->verdict.organization = c->author.organization;
}

/* Which of a record's policies is meant for the author; an inherited one depends on its being there (RFC 8020). */
static void choose_policy(struct dmarc_inquest *c, const struct stop *from)
{
    struct dmarc_verdict *v = &c->verdict;
    v->record = from->record;
    v->record_domain = from->name;
    v->exists = true;
    v->asked = from->record.p;
    if (!str_equal(from->name, v->author)) {
        struct ask_answer answer;
        ask(c->asker, v->author, ASK_A, &answer);
        v->exists = answer.status != ASK_NO_NAME;
        c->author.has_failed |= answer.status == ASK_FAILED && from->record.sp != from->record.np;
        v->asked = v->exists ? from->record.sp : from->record.np;
    }
    if (from->record.is_broken)
        v->asked = DMARC_ASKS_NONE;
    v->policy = soften(v->asked, from->record.is_test);
}

static bool is_below(struct str name, struct str domain)
{
    return name.n > domain.n && name.p[name.n - domain.n - 1] == '.' &&
           str_ends_nocase(name, domain);
}

/* Names of one organization have two labels in common at least, unless one of them is the top itself. */
static bool may_be_of_one(struct str name, struct str author)
{
    struct str top = last_labels(author, 2);
    return str_equal(name, top) || is_below(name, top);
}

/* Whether the identity is the author's, or of the same organization (4.4). What has to be asked for that is asked. */
static bool is_aligned(struct dmarc_inquest *c, struct str identity, bool is_strict,
                       bool *is_unsure)
{
    struct dmarc_verdict *v = &c->verdict;
    struct walk w;
    struct str name = spell(c->asker->arena, identity);
    if (str_equal(name, v->author))
        return true;
    if (is_strict || !may_be_of_one(name, v->author))
        return false;
    find_author_organization(c);
    *is_unsure |= c->author.has_failed;
    if (c->author.has_failed ||
        (!str_equal(name, v->organization) && !is_below(name, v->organization)))
        return false;
    begin_walk(c, &w, name);
    end_walk(c, &w);
    *is_unsure |= w.has_failed;
    return !w.has_failed && str_equal(w.organization, v->organization);
}

/* Whether a check that the DNS has kept from a result could have changed this one. */
static bool is_undecided(const struct dmarc_question *q, struct dmarc_inquest *c)
{
    bool is_unsure = false;
    for (size_t i = 0; i < q->unsure_count && i <= DMARC_IDENTITIES_MAX && !is_unsure; i++)
        if (is_aligned(c, q->unsure_domains[i], false, &is_unsure))
            return true;
    return is_unsure;
}

/* True when nobody can tell whether something that is not aligned would be. */
static bool align(const struct dmarc_question *q, struct dmarc_inquest *c)
{
    struct dmarc_verdict *v = &c->verdict;
    bool is_unsure = c->author.has_failed;
    for (size_t i = 0; i < q->dkim_count && i < DMARC_IDENTITIES_MAX && !v->is_dkim_aligned; i++)
        if (is_aligned(c, q->dkim_domains[i], v->record.is_dkim_strict, &is_unsure)) {
            v->is_dkim_aligned = true;
            v->aligned = q->dkim_domains[i];
        }
    if (q->spf_domain.n > 0 && is_aligned(c, q->spf_domain, v->record.is_spf_strict, &is_unsure)) {
        v->is_spf_aligned = true;
        if (!v->is_dkim_aligned)
            v->aligned = q->spf_domain;
    }
    return is_unsure;
}

static void conclude(const struct dmarc_question *q, struct dmarc_inquest *c)
{
    struct dmarc_verdict *v = &c->verdict;
    bool is_unsure = align(q, c);
    if (v->is_dkim_aligned || v->is_spf_aligned) {
        v->result = DMARC_PASS;
        return;
    }
    is_unsure = is_unsure || is_undecided(q, c);
    v->result = is_unsure ? DMARC_TEMPERROR : DMARC_FAIL;
    v->reason = is_unsure ? STR("the DNS failed, nobody can tell")
                : q->dkim_count > 0 || q->spf_domain.n > 0
                    ? STR("what passed is of another organization")
                    : STR("neither SPF nor DKIM passed");
}

struct dmarc_inquest *dmarc_begin(struct str author, struct asker *a)
{
    struct dmarc_inquest *c = arena_alloc(a->arena, sizeof *c);
    *c = (struct dmarc_inquest){.asker = a, .verdict.author = spell(a->arena, author)};
    begin_walk(c, &c->author, c->verdict.author);
    if (!c->author.stop[0].has_record)
        find_author_organization(c);
    const struct stop *from = find_policy(&c->author);
    if (!from && c->author.has_failed) {
        c->verdict.result = DMARC_TEMPERROR;
        c->verdict.reason = STR("the DNS failed on the way to a policy");
    } else if (!from) {
        c->verdict.reason = STR("the domain has no policy");
    } else if (from->record.is_broken && !has_uri(from->record.rua)) {
        c->verdict.reason =
            STR("the domain's record has no valid policy, and no address for reports");
    } else {
        choose_policy(c, from);
    }
    return c;
}

void dmarc_finish(struct dmarc_inquest *d, const struct dmarc_question *q,
                  struct dmarc_verdict *out)
{
    if (d->verdict.record_domain.n > 0)
        conclude(q, d);
    *out = d->verdict;
}

struct str dmarc_organization(struct str domain, struct asker *a, bool *has_failed)
{
    struct dmarc_inquest c = {.asker = a};
    begin_walk(&c, &c.author, spell(a->arena, domain));
    end_walk(&c, &c.author);
    *has_failed |= c.author.has_failed;
    return c.author.organization;
}
