/* SPDX-License-Identifier: ISC */
/*
 * inspection.c - what the checks say of a message that a stranger brings
 */
#include "serve/inspection.h"

#include <stdio.h>
#include <stdlib.h>

#include "mail/authres.h"
#include "mail/header.h"
#include "mail/idna.h"
#include "mail/mailbox_list.h"
#include "net/offload.h"

enum {
    KEYS_AT_ONCE =
        2, /* so many are tried on the spot: they take less than the way to another thread and back */
    USUAL_ROOM = 6 << 10, /* what the answers and verdicts of most messages take */
    FROM_MAX = 16 << 10,  /* octets of a From field that are looked at */
    SIGNERS_MAX = DKIM_CHECKED_MAX
};

struct inspection *inspection_begin(struct str section, int64_t now_s)
{
    struct inspection *i = calloc(1, sizeof *i);
    if (!i)
        abort();
    i->arena = arena_make(INSPECTION_ARENA_LIMIT);
    arena_reserve(&i->arena, section.n + USUAL_ROOM);
    i->section = arena_copy(&i->arena, section);
    i->body = dkim_body_make();
    i->dkim = dkim_verify_begin(i->section, i->body, &(struct dkim_verify_options){.now_s = now_s});
    i->arc_verifier = arc_verify_begin(i->section, i->body, now_s);
    return i;
}

void inspection_read(struct inspection *i, struct str piece)
{
    dkim_body_feed(i->body, piece);
}

void inspection_free(struct inspection *i)
{
    if (!i)
        return;
    dkim_verify_free(i->dkim);
    arc_verify_free(i->arc_verifier);
    dkim_body_free(i->body);
    arena_free(&i->arena);
    free(i);
}

struct signatures {
    struct inspection *inspection;
    const struct dkim_key_opener *opener;
};

static void check_signatures(void *arg)
{
    const struct signatures *s = arg;
    struct inspection *i = s->inspection;
    dkim_body_end(i->body);
    dkim_verify_finish(i->dkim, s->opener);
    i->arc = arc_verify_finish(i->arc_verifier, s->opener);
}

/* What the DNS can be asked about. Underscores are no part of mail domains, and yet some send with them. */
static bool is_domain(struct str domain)
{
    struct idna_literal literal;
    char ascii[IDNA_DOMAIN_MAX], plain[IDNA_DOMAIN_MAX];
    if (str_ends_nocase(domain, STR(".")))
        domain.n--;
    if (domain.n > sizeof plain)
        return false;
    for (size_t k = 0; k < domain.n; k++)
        plain[k] = domain.p[k] == '_' ? 'u' : domain.p[k];
    return idna_literal_parse(domain, &literal) ||
           idna_to_ascii(str_make(plain, domain.n), ascii).n > 0;
}

/* Of an address: a new domain is one more author. What has no domain is part of a name with a comma in it. */
static const char *add_author(struct inspection *i, struct str *domains, struct str address)
{
    size_t at = str_last_index(address, '@');
    struct str domain = str_skip(address, at + 1);
    if (at == address.n)
        return NULL;
    if (!is_domain(domain))
        return "the From field has an address whose domain is none";
    for (size_t k = 0; k < i->authors; k++)
        if (str_equal_nocase(domains[k], domain))
            return NULL;
    if (i->authors == INSPECTION_AUTHORS_MAX)
        return "the From field has addresses of more than 4 domains";
    domains[i->authors++] = arena_copy(&i->arena, domain);
    return NULL;
}

/* The domains of the From field's addresses, each once. What keeps readers from agreeing about them, or NULL. */
static const char *find_authors(struct inspection *i, struct str domains[INSPECTION_AUTHORS_MAX])
{
    struct header_iterator fields = header_iterate(i->section);
    struct header_field field, from = {0};
    while (header_next(&fields, &field)) {
        if (!str_equal_nocase(field.name, STR("From")))
            continue;
        if (from.name.n > 0)
            return "the message has several From fields";
        from = field;
    }
    if (from.name.n == 0)
        return "the message has no From field";
    struct str rest = from.value;
    if (rest.n > FROM_MAX)
        return "the From field is longer than 16384 octets";
    if (!mailbox_list_is_clear(rest))
        return "the From field has a quote or a bracket that is not closed, or one or an \"@\" too "
               "many";
    struct buf address = buf_make(FROM_MAX);
    const char *trouble = NULL;
    while (!trouble && mailbox_list_next(&rest, &address)) {
        trouble = add_author(i, domains, buf_str(&address));
        address.used = 0;
    }
    buf_free(&address);
    return trouble ? trouble : i->authors == 0 ? "the From field has no address" : NULL;
}

/* Asks for the policies before anything else is asked. */
static void begin_dmarc(struct inspection *i, struct asker *asker,
                        struct dmarc_inquest *inquests[INSPECTION_AUTHORS_MAX])
{
    struct str authors[INSPECTION_AUTHORS_MAX] = {STR_NONE};
    i->author_trouble = find_authors(i, authors);
    if (i->author_trouble)
        i->authors = 0;
    for (size_t k = 0; k < i->authors; k++)
        inquests[k] = dmarc_begin(authors[k], asker);
}

/* Which of two verdicts about authors counts: the failure with the stricter wish (RFC 9989 section 11.5). */
static bool is_worse(const struct dmarc_verdict *a, const struct dmarc_verdict *b)
{
    static const int order[] = {
        [DMARC_NONE] = 1, [DMARC_PASS] = 0, [DMARC_TEMPERROR] = 2, [DMARC_FAIL] = 3};
    return order[a->result] != order[b->result] ? order[a->result] > order[b->result]
                                                : a->policy > b->policy;
}

static void finish_dmarc(struct inspection *i, struct dmarc_inquest *const *inquests)
{
    struct str signers[SIGNERS_MAX], unsure[SIGNERS_MAX + 1];
    struct dmarc_question q = {.dkim_domains = signers, .unsure_domains = unsure};
    for (size_t k = 0; k < dkim_verify_count(i->dkim); k++) {
        const struct dkim_verdict *v = dkim_verify_verdict(i->dkim, k);
        if (v->result == DKIM_TEMPERROR && q.unsure_count < SIGNERS_MAX)
            unsure[q.unsure_count++] = v->domain;
        if (v->result == DKIM_PASS && q.dkim_count < SIGNERS_MAX)
            signers[q.dkim_count++] = v->domain;
    }
    if (i->spf.result == SPF_TEMPERROR)
        unsure[q.unsure_count++] = i->spf.domain;
    if (i->spf.result == SPF_PASS)
        q.spf_domain = i->spf.domain;
    for (size_t k = 0; k < i->authors; k++) {
        struct dmarc_verdict v;
        dmarc_finish(inquests[k], &q, &v);
        if (k == 0 || is_worse(&v, &i->dmarc))
            i->dmarc = v;
    }
}

/* What mailing lists put in: they change what was signed, for good reasons. */
static bool looks_like_a_list(struct str section)
{
    static const char *const names[] = {"List-Id", "List-Post", "List-Unsubscribe", "Mailing-List"};
    struct header_iterator fields = header_iterate(section);
    struct header_field field;
    while (header_next(&fields, &field))
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (str_equal_nocase(field.name, str_from(names[i])))
                return true;
    return false;
}

/* The newest seal of a chain that holds tells who has handled the message last. */
static void find_voucher(struct inspection *i, const struct inspection_visit *visit)
{
    if (i->arc->result != ARC_PASS || i->arc->count == 0)
        return;
    struct str sealer = i->arc->sealer[i->arc->count - 1];
    for (size_t k = 0; k < visit->forwarder_count; k++)
        if (idna_equal(visit->forwarders[k], sealer))
            i->vouched_by = sealer;
}

static void refuse(struct inspection *i, const struct fault *f)
{
    i->action = INSPECTION_REFUSE;
    i->fault = *f;
}

static struct fault dmarc_refusal(const struct dmarc_verdict *v)
{
    return fault_make(550, FAULT_STATUS(5, 7, 1),
                      "DMARC: the policy of " STR_FMT " is reject, and " STR_FMT,
                      STR_ARG(str_head(v->record_domain, 120)), STR_ARG(v->reason));
}

static struct fault dmarc_delay(const struct dmarc_verdict *v)
{
    return fault_make(451, FAULT_STATUS(4, 7, 1),
                      "DMARC: the policy of " STR_FMT
                      " is %s, and the DNS does not tell now whether the message passes",
                      STR_ARG(str_head(v->record_domain, 120)), dmarc_policy_name(v->policy));
}

/* Whether local history speaks for the message. */
static bool is_known_here(struct inspection *i, const struct inspection_visit *visit)
{
    int64_t days = visit->history_days > 0 && visit->count_days
                       ? visit->count_days(visit->arg, i->dmarc.author)
                       : 0;
    if (days == 0 || days < visit->history_days)
        return false;
    i->history = arena_printf(
        &i->arena, "not refused: genuine mail of this domain came from this network on %lld days",
        (long long)days);
    return true;
}

/* The rule (inspection.h). */
static void rule(struct inspection *i, const struct inspection_visit *visit)
{
    const struct dmarc_verdict *v = &i->dmarc;
    bool has_failed = v->result == DMARC_FAIL && i->vouched_by.n == 0;
    bool is_undecided = v->result == DMARC_TEMPERROR && v->policy != DMARC_ASKS_NONE;
    if (visit->may_refuse && i->author_trouble) {
        struct fault f = fault_make(550, FAULT_STATUS(5, 6, 0), "%s", i->author_trouble);
        refuse(i, &f);
    } else if (is_undecided && visit->may_refuse && i->vouched_by.n == 0 && !i->is_list) {
        struct fault f = dmarc_delay(v);
        refuse(i, &f);
    } else if (has_failed && v->policy == DMARC_ASKS_REJECT && visit->may_refuse && !i->is_list &&
               !is_known_here(i, visit)) {
        struct fault f = dmarc_refusal(v);
        refuse(i, &f);
    } else if (has_failed && v->policy != DMARC_ASKS_NONE && visit->may_mark) {
        i->action = INSPECTION_MARK_JUNK;
        i->mark = STR("dmarc");
    } else if (visit->mark.n > 0) {
        i->action = INSPECTION_MARK_JUNK;
        i->mark = visit->mark;
    }
}

void inspection_decide(struct inspection *i, const struct inspection_visit *visit)
{
    struct inquiry inquiry = {.resolver = visit->resolver, .deadline_ms = visit->deadline_ms};
    struct asker asker =
        inquiry_asker(&inquiry, &i->arena, INSPECTION_QUESTIONS_MAX - visit->questions_asked);
    struct spf_question q = {.identity = SPF_MAIL_FROM,
                             .ip = visit->ip,
                             .helo = visit->helo,
                             .mail_from = visit->sender,
                             .receiver = visit->hostname,
                             .now_s = visit->now_s,
                             .void_limit = SPF_VOID_LIMIT};
    struct signatures signatures = {i, visit->opener.open ? &visit->opener : NULL};
    struct dmarc_inquest *inquests[INSPECTION_AUTHORS_MAX] = {NULL};
    begin_dmarc(i, &asker, inquests);
    unsigned kept =
        asker.left < INSPECTION_ALIGNMENT_QUESTIONS ? asker.left : INSPECTION_ALIGNMENT_QUESTIONS;
    asker.left -= kept;
    dkim_verify_fetch(i->dkim, &asker);
    if (!visit->is_client_unknown)
        spf_check(&q, &asker, &i->spf);
    arc_verify_fetch(i->arc_verifier, &asker);
    asker.left += kept;
    if (dkim_verify_key_count(i->dkim) + arc_verify_key_count(i->arc_verifier) > KEYS_AT_ONCE)
        offload(check_signatures, &signatures);
    else
        check_signatures(&signatures);
    finish_dmarc(i, inquests);
    i->questions = INSPECTION_QUESTIONS_MAX - asker.left;
    i->is_list = i->dmarc.result != DMARC_PASS && looks_like_a_list(i->section);
    find_voucher(i, visit);
    rule(i, visit);
    if (inquiry.is_cancelled) {
        struct fault f = fault_make(421, FAULT_STATUS(4, 3, 2), "we are shutting down");
        refuse(i, &f);
    }
}

static void add_dkim(struct authres *a, const struct dkim_verdict *v)
{
    authres_add(a, "dkim", dkim_result_name(v->result), str_from(v->reason));
    authres_property(a, "header.d", v->domain);
    authres_property(a, "header.s", v->selector);
    authres_property(a, "header.a", str_from(v->algorithm));
    authres_property(a, "header.b", v->b);
}

static void add_spf(struct authres *a, const struct spf_verdict *v, struct str sender)
{
    authres_add(a, "spf", spf_result_name(v->result), v->reason);
    if (sender.n > 0)
        authres_property(a, "smtp.mailfrom", sender);
    else
        authres_property(a, "smtp.helo", v->domain);
}

/* How far back the chain's signatures of the message hold (RFC 8617 section 5.2). */
static void add_arc(struct authres *a, const struct arc_verdict *v)
{
    char text[8];
    authres_add(a, "arc", arc_result_name(v->result), str_from(v->reason));
    if (v->result != ARC_PASS)
        return;
    snprintf(text, sizeof text, "%zu", v->oldest_pass);
    authres_property(a, "header.oldest-pass", str_from(text));
}

static void add_dmarc(struct authres *a, const struct inspection *i)
{
    const struct dmarc_verdict *v = &i->dmarc;
    authres_add(a, "dmarc", i->author_trouble ? "permerror" : dmarc_result_name(v->result),
                i->author_trouble     ? str_from(i->author_trouble)
                : i->vouched_by.n > 0 ? STR("a trusted forwarder vouches for it")
                : i->history.n > 0    ? i->history
                                      : v->reason);
    authres_property(a, "header.from", v->author);
    if (v->record_domain.n > 0)
        authres_property(a, "policy.dmarc", str_from(dmarc_policy_name(v->policy)));
}

bool inspection_append(const struct inspection *i, const struct inspection_visit *visit,
                       struct buf *out)
{
    struct authres a;
    char ip[IP_TEXT_MAX];
    authres_begin(&a, visit->hostname);
    if (visit->client_name.n > 0) {
        authres_add(&a, "iprev", "pass", STR_NONE);
        authres_property(&a, "policy.iprev", ip_format(&visit->ip, ip));
    }
    if (!visit->is_client_unknown)
        add_spf(&a, &i->spf, visit->sender);
    if (dkim_verify_count(i->dkim) == 0)
        authres_add(&a, "dkim", "none", STR_NONE);
    for (size_t k = 0; k < dkim_verify_count(i->dkim); k++)
        add_dkim(&a, dkim_verify_verdict(i->dkim, k));
    if (i->arc->result != ARC_NONE)
        add_arc(&a, i->arc);
    add_dmarc(&a, i);
    return (i->action != INSPECTION_MARK_JUNK ||
            header_append(out, STR(INSPECTION_MARK), i->mark)) &&
           authres_append(&a, out);
}

bool inspection_is_forged(struct str name, struct str value, struct str hostname)
{
    return str_equal_nocase(name, STR(INSPECTION_MARK)) ||
           (str_equal_nocase(name, STR("Authentication-Results")) &&
            authres_is_of(value, hostname));
}
