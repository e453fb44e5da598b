/* SPDX-License-Identifier: ISC */
/*
 * spf.c - whether a client may use a domain as its sender (SPF, RFC 7208)
 *
 * check_host() calls itself for include and goes round for redirect; each costs a term, so that neither goes deep. What
 * is decided overwrites the reason given before: the last one is that of the result.
 */
#include "check/spf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/hostname.h"
#include "check/iprev.h"
#include "check/spf_macro.h"
#include "check/spf_record.h"
#include "mail/idna.h"

enum { NAME_MAX_OCTETS = 253, LABEL_MAX = 63, VALUE_MAX = 512, SHOWN_MAX = 120 };

enum outcome { NO_MATCH, MATCH, TEMPORARY, PERMANENT };
enum confirmation { UNASKED, CONFIRMED, REFUTED };

struct check {
    const struct spf_question *q;
    struct asker *asker;
    struct spf_verdict *out;
    struct spf_facts facts;
    struct str explanation,
        explaining; /* exp= of the first record or where it redirects, and whose it is */
    bool has_names; /* the client's were asked for */
    struct ask_answer names;
    enum confirmation confirmed[IPREV_NAMES_MAX];
    char room[SPF_NAME_ROOM];
    char reason[SPF_REASON_MAX + 1];
};

static enum spf_result check_host(struct check *c, struct str domain, bool is_first);

const char *spf_result_name(enum spf_result result)
{
    static const char *const names[] = {
        [SPF_NONE] = "none",           [SPF_NEUTRAL] = "neutral",   [SPF_PASS] = "pass",
        [SPF_FAIL] = "fail",           [SPF_SOFTFAIL] = "softfail", [SPF_TEMPERROR] = "temperror",
        [SPF_PERMERROR] = "permerror",
    };
    return names[result];
}

static void give_reason(struct check *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void give_reason(struct check *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->reason, sizeof c->reason, format, args);
    va_end(args);
}

static struct str shown(struct str text)
{
    return str_head(text, SHOWN_MAX);
}

/* The text in the arena, without what no reply may have. */
static struct str keep_printable(struct check *c, struct str text)
{
    char *copy = arena_c_string(c->asker->arena, text);
    for (size_t i = 0; i < text.n; i++)
        copy[i] = str_is_printable(str_make(copy + i, 1)) ? copy[i] : '?';
    return str_make(copy, text.n);
}

/* --- what is asked of the DNS (4.4, 4.6.4) --- */

/* MATCH when there are records. What is asked for a term's sake and not there is void. */
static enum outcome look_up(struct check *c, struct str name, enum ask_type type,
                            struct ask_answer *answer)
{
    unsigned left = c->asker->left;
    ask(c->asker, name, type, answer);
    if (answer->status == ASK_FOUND)
        return MATCH;
    if (answer->status == ASK_FAILED) {
        give_reason(c, "the DNS failed at " STR_FMT, STR_ARG(shown(name)));
        return TEMPORARY;
    }
    bool is_void = c->asker->left < left;
    c->out->voids += is_void;
    if (!is_void || c->out->voids <= c->q->void_limit)
        return NO_MATCH;
    give_reason(c, "more than %u questions have no answer, the last one about " STR_FMT,
                c->q->void_limit, STR_ARG(shown(name)));
    return PERMANENT;
}

static bool count_term(struct check *c, const struct spf_term *t)
{
    if (++c->out->terms <= SPF_TERMS_MAX)
        return true;
    give_reason(c, "more than %d terms ask the DNS, the last one is " STR_FMT, SPF_TERMS_MAX,
                STR_ARG(shown(t->text)));
    return false;
}

/* The client's names are asked for once; 0 also when that fails (5.5). */
static size_t count_names(struct check *c)
{
    if (!c->has_names) {
        unsigned left = c->asker->left;
        c->has_names = true;
        iprev_ask_names(&c->q->ip, c->asker, &c->names);
        c->out->voids += c->asker->left < left &&
                         (c->names.status == ASK_NO_NAME || c->names.status == ASK_NO_DATA);
    }
    size_t count = c->names.status == ASK_FOUND ? c->names.count : 0;
    return count < IPREV_NAMES_MAX ? count : IPREV_NAMES_MAX;
}

static bool is_confirmed(struct check *c, size_t i)
{
    bool has_address;
    if (c->confirmed[i] == UNASKED) {
        iprev_confirm(&c->q->ip, c->names.names[i], c->asker, &has_address);
        c->confirmed[i] = has_address ? CONFIRMED : REFUTED;
    }
    return c->confirmed[i] == CONFIRMED;
}

static bool is_below(struct str name, struct str domain)
{
    return name.n > domain.n && name.p[name.n - domain.n - 1] == '.' &&
           str_ends_nocase(name, domain);
}

/* %{p}: the domain itself, or else a name below it, or else any (7.3). */
static struct str find_client_name(void *context)
{
    struct check *c = context;
    size_t count = count_names(c);
    struct str domain = c->facts.domain;
    for (size_t i = 0; i < count; i++)
        if (str_equal_nocase(c->names.names[i], domain) && is_confirmed(c, i))
            return c->names.names[i];
    for (size_t i = 0; i < count; i++)
        if (is_below(c->names.names[i], domain) && is_confirmed(c, i))
            return c->names.names[i];
    for (size_t i = 0; i < count; i++)
        if (is_confirmed(c, i))
            return c->names.names[i];
    return STR("unknown");
}

/* --- mechanisms (5) --- */

/* The domain that a term is about, in the check's room or the current one; MATCH, or an error. */
static enum outcome find_target(struct check *c, const struct spf_term *t, struct str *name)
{
    *name = c->facts.domain;
    if (t->domain_spec.n == 0)
        return MATCH;
    if (!spf_macro_expand_name(&c->facts, t->domain_spec, c->room, name)) {
        give_reason(c, "more than %d macros, the last one in " STR_FMT, SPF_MACROS_MAX,
                    STR_ARG(shown(t->text)));
        return PERMANENT;
    }
    if (c->out->voids <= c->q->void_limit)
        return MATCH;
    give_reason(c, "more than %u questions have no answer, the last one about the client's name",
                c->q->void_limit);
    return PERMANENT;
}

/* Whether a host has the client among its addresses, or their networks. */
static enum outcome match_host(struct check *c, struct str name, const struct spf_term *t)
{
    bool is_v4 = ip_is_v4(&c->q->ip);
    struct ip_network around = ip_network_around(&c->q->ip, is_v4 ? t->v4_bits : t->v6_bits);
    struct ask_answer answer;
    enum outcome o = look_up(c, name, is_v4 ? ASK_A : ASK_AAAA, &answer);
    if (o != MATCH)
        return o;
    for (size_t i = 0; i < answer.count; i++)
        if (ip_network_contains(&around, &answer.addresses[i]))
            return MATCH;
    return NO_MATCH;
}

/* The DNS gives records in any order; the same question has the same answer. */
static bool is_before(const struct ask_mx *a, const struct ask_mx *b)
{
    return a->preference != b->preference ? a->preference < b->preference
                                          : str_compare(a->host, b->host) < 0;
}

static enum outcome match_mx(struct check *c, struct str name, const struct spf_term *t)
{
    struct ask_answer answer;
    const struct ask_mx *hosts[SPF_HOSTS_MAX];
    enum outcome o = look_up(c, name, ASK_MX, &answer);
    if (o != MATCH)
        return o;
    if (answer.count > SPF_HOSTS_MAX) {
        give_reason(c, "more than %d mail hosts of " STR_FMT, SPF_HOSTS_MAX, STR_ARG(shown(name)));
        return PERMANENT;
    }
    for (size_t i = 0; i < answer.count; i++) {
        size_t at = i;
        for (; at > 0 && is_before(&answer.hosts[i], hosts[at - 1]); at--)
            hosts[at] = hosts[at - 1];
        hosts[at] = &answer.hosts[i];
    }
    o = NO_MATCH;
    for (size_t i = 0; i < answer.count && o == NO_MATCH; i++)
        o = match_host(c, hosts[i]->host, t);
    return o;
}

static enum outcome match_ptr(struct check *c, struct str name)
{
    size_t count = count_names(c);
    for (size_t i = 0; i < count; i++) {
        struct str own = c->names.names[i];
        if ((str_equal_nocase(own, name) || is_below(own, name)) && is_confirmed(c, i))
            return MATCH;
    }
    if (c->out->voids <= c->q->void_limit)
        return NO_MATCH;
    give_reason(c, "more than %u questions have no answer, the last one about the client's name",
                c->q->void_limit);
    return PERMANENT;
}

/* 5.2: what the result of the other record means here. */
static enum outcome match_include(struct check *c, struct str name)
{
    struct str kept = arena_copy(c->asker->arena, name);
    switch (check_host(c, kept, false)) {
    case SPF_PASS:
        return MATCH;
    case SPF_FAIL:
    case SPF_SOFTFAIL:
    case SPF_NEUTRAL:
        return NO_MATCH;
    case SPF_TEMPERROR:
        return TEMPORARY;
    case SPF_NONE:
        give_reason(c, "no SPF record to include at " STR_FMT, STR_ARG(shown(kept)));
        return PERMANENT;
    case SPF_PERMERROR:
        break;
    }
    return PERMANENT;
}

static enum outcome match_exists(struct check *c, struct str name)
{
    struct ask_answer answer;
    return look_up(c, name, ASK_A, &answer);
}

/* The client's own network is as good as the record's: both are equal in so many bits. */
static bool match_network(const struct check *c, const struct spf_term *t)
{
    bool is_v4 = t->kind == SPF_IP4;
    if (ip_is_v4(&c->q->ip) != is_v4)
        return false;
    struct ip_network around = ip_network_around(&c->q->ip, is_v4 ? t->v4_bits : t->v6_bits);
    return ip_network_contains(&around, &t->ip);
}

static enum outcome match(struct check *c, const struct spf_term *t)
{
    struct str name;
    if (t->kind == SPF_ALL)
        return MATCH;
    if (t->kind == SPF_IP4 || t->kind == SPF_IP6)
        return match_network(c, t) ? MATCH : NO_MATCH;
    if (!count_term(c, t))
        return PERMANENT;
    enum outcome o = find_target(c, t, &name);
    if (o != MATCH)
        return o;
    return t->kind == SPF_INCLUDE  ? match_include(c, name)
           : t->kind == SPF_EXISTS ? match_exists(c, name)
           : t->kind == SPF_PTR    ? match_ptr(c, name)
           : t->kind == SPF_MX     ? match_mx(c, name, t)
                                   : match_host(c, name, t);
}

/* --- records (4.4 to 4.7, 6.1) --- */

/* 4.3: whether the name has the form of a domain that can have a record. */
static bool is_domain(struct str name)
{
    size_t label = 0;
    if (name.n > NAME_MAX_OCTETS || !str_has(name, '.') || !str_is_printable(name))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (c == ' ' || c == '\\' || c == '[' || (c == '.' ? label == 0 : label == LABEL_MAX))
            return false;
        label = c == '.' ? 0 : label + 1;
    }
    return label > 0;
}

/* NEUTRAL, and the record, when there is one. */
static enum spf_result find_record(struct check *c, struct str domain, struct str *text)
{
    struct ask_answer answer = {.status = ASK_NO_NAME};
    size_t count = 0;
    if (is_domain(domain))
        ask(c->asker, domain, ASK_TXT, &answer);
    if (answer.status == ASK_FAILED) {
        give_reason(c, "the DNS failed at " STR_FMT, STR_ARG(shown(domain)));
        return SPF_TEMPERROR;
    }
    for (size_t i = 0; answer.status == ASK_FOUND && i < answer.count; i++) {
        if (!spf_record_is_one(answer.texts[i]))
            continue;
        *text = answer.texts[i];
        count++;
    }
    if (count == 1)
        return SPF_NEUTRAL;
    give_reason(c, "%s at " STR_FMT, count > 1 ? "several SPF records" : "no SPF record",
                STR_ARG(shown(domain)));
    return count > 1 ? SPF_PERMERROR : SPF_NONE;
}

static enum spf_result result_of(char qualifier)
{
    return qualifier == '+'   ? SPF_PASS
           : qualifier == '-' ? SPF_FAIL
           : qualifier == '~' ? SPF_SOFTFAIL
                              : SPF_NEUTRAL;
}

/* The directive that decides, in its usual spelling or, when that is too long, the beginning of its own. */
static void note_mechanism(struct check *c, const struct spf_term *t)
{
    struct buf text = buf_make(SPF_MECHANISM_MAX);
    struct str spelled =
        spf_record_print(&text, t) ? buf_str(&text) : str_head(t->text, SPF_MECHANISM_MAX);
    c->out->mechanism = arena_copy(c->asker->arena, spelled);
    buf_free(&text);
}

static enum spf_result decide(struct check *c, enum outcome o, const struct spf_term *t,
                              bool is_first)
{
    if (is_first)
        note_mechanism(c, t);
    if (o == TEMPORARY)
        return SPF_TEMPERROR;
    if (o == PERMANENT)
        return SPF_PERMERROR;
    if (t->kind != SPF_INCLUDE)
        give_reason(c, STR_FMT " of " STR_FMT, STR_ARG(shown(t->text)),
                    STR_ARG(shown(c->facts.domain)));
    return result_of(t->qualifier);
}

/* Goes through the directives; false when none matches. */
static bool evaluate(struct check *c, const struct spf_record *record, bool is_first,
                     enum spf_result *result)
{
    struct str rest = record->terms;
    struct spf_term term;
    while (spf_record_next(&rest, &term)) {
        if (term.kind >= SPF_REDIRECT)
            continue;
        enum outcome o = match(c, &term);
        if (o == NO_MATCH)
            continue;
        *result = decide(c, o, &term, is_first);
        return true;
    }
    return false;
}

/* 6.1: the domain to go on with; false when that is a permerror. */
static bool redirect(struct check *c, struct str spec, struct str *domain)
{
    struct spf_term term = {.kind = SPF_REDIRECT, .text = spec, .domain_spec = spec};
    struct str name;
    if (!count_term(c, &term) || find_target(c, &term, &name) != MATCH)
        return false;
    *domain = arena_copy(c->asker->arena, name);
    return true;
}

/* The record of one domain; *next when it redirects. */
static enum spf_result check_record(struct check *c, struct str domain, bool is_first,
                                    struct str *next)
{
    struct str text;
    struct spf_record record;
    struct spf_wrong wrong;
    enum spf_result result = find_record(c, domain, &text);
    *next = STR_NONE;
    if (result != SPF_NEUTRAL)
        return result;
    if (!spf_record_parse(text, &record, &wrong)) {
        give_reason(c, "%s " STR_FMT " of " STR_FMT, wrong.why, STR_ARG(shown(wrong.term)),
                    STR_ARG(shown(domain)));
        return SPF_PERMERROR;
    }
    c->facts.domain = domain;
    if (is_first) {
        c->explanation = record.explanation;
        c->explaining = domain;
    }
    if (evaluate(c, &record, is_first, &result))
        return result;
    if (record.redirect.n > 0)
        return redirect(c, record.redirect, next) ? SPF_NEUTRAL : SPF_PERMERROR;
    if (is_first)
        c->out->mechanism = STR("default");
    give_reason(c, "nothing of " STR_FMT " matches", STR_ARG(shown(domain)));
    return SPF_NEUTRAL;
}

static enum spf_result check_host(struct check *c, struct str domain, bool is_first)
{
    struct str outer = c->facts.domain, next;
    enum spf_result result = check_record(c, domain, is_first, &next);
    while (next.p) {
        domain = next;
        result = check_record(c, domain, is_first, &next);
        if (result == SPF_NONE) {
            give_reason(c, "no SPF record to redirect to at " STR_FMT, STR_ARG(shown(domain)));
            result = SPF_PERMERROR;
        }
    }
    c->facts.domain = outer;
    return result;
}

/* --- the explanation (6.2) --- */

/* Whatever goes wrong, there is none; nothing that is asked here counts. */
static void explain(struct check *c)
{
    char text[SPF_EXPLANATION_MAX];
    struct ask_answer answer;
    struct str name, found;
    unsigned voids = c->out->voids;
    if (c->explanation.n == 0)
        return;
    c->facts.domain = c->explaining;
    if (spf_macro_expand_name(&c->facts, c->explanation, c->room, &name)) {
        ask(c->asker, name, ASK_TXT, &answer);
        if (answer.status == ASK_FOUND && answer.count == 1 &&
            spf_macro_is_valid(answer.texts[0], true) &&
            spf_macro_expand_text(&c->facts, answer.texts[0], text, sizeof text, &found))
            c->out->explanation = arena_copy(c->asker->arena, found);
    }
    c->out->voids = voids;
}

/* --- the sender (2.3, 2.4, 4.1, 4.3) --- */

/* The name without its last dot, a name of U-labels as A-labels (4.3). */
static struct str to_ascii(struct check *c, struct str name)
{
    char ascii[IDNA_DOMAIN_MAX];
    if (name.n > 0 && name.p[name.n - 1] == '.')
        name.n--;
    return str_has_8bit(name) ? arena_copy(c->asker->arena, idna_to_ascii(name, ascii)) : name;
}

static void take_sender(struct check *c)
{
    const struct spf_question *q = c->q;
    bool is_helo = q->identity == SPF_HELO || q->mail_from.n == 0;
    struct str domain = is_helo ? q->helo : q->mail_from, local = STR_NONE;
    size_t at = is_helo ? domain.n : str_last_index(domain, '@');
    if (at < domain.n) {
        local = str_head(domain, at);
        domain = str_skip(domain, at + 1);
    }
    if (local.n == 0)
        local = STR("postmaster");
    local = str_head(local, VALUE_MAX);
    domain = to_ascii(c, str_head(domain, VALUE_MAX));
    c->out->domain = domain;
    c->out->sender =
        arena_printf(c->asker->arena, STR_FMT "@" STR_FMT, STR_ARG(local), STR_ARG(domain));
    c->facts = (struct spf_facts){
        .sender = c->out->sender,
        .local = local,
        .sender_domain = domain,
        .domain = domain,
        .helo = to_ascii(c, str_head(q->helo, VALUE_MAX)),
        .receiver = str_head(q->receiver, VALUE_MAX),
        .ip = q->ip,
        .now_s = q->now_s,
        .client_name = find_client_name,
        .context = c,
        .macros_left = SPF_MACROS_MAX,
    };
}

void spf_check(const struct spf_question *q, struct asker *a, struct spf_verdict *out)
{
    struct check *c = arena_alloc(a->arena, sizeof *c);
    *out = (struct spf_verdict){.identity = q->identity};
    c->q = q;
    c->asker = a;
    c->out = out;
    take_sender(c);
    if (!is_domain(out->domain) || hostname_ends_in_number(out->domain)) {
        out->result = SPF_NONE;
        give_reason(c, STR_FMT " is no domain", STR_ARG(shown(out->domain)));
    } else {
        out->result = check_host(c, out->domain, true);
    }
    if (out->result == SPF_FAIL)
        explain(c);
    out->reason = keep_printable(c, str_from(c->reason));
}
