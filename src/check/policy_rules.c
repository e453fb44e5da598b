/* SPDX-License-Identifier: ISC */
/*
 * policy_rules.c - what an operator writes about who is let in, as values
 */
#include "check/policy_rules.h"

#include <stdio.h>

#include "base/hostname.h"
#include "base/num.h"

enum { TEXT_MAX = 80 };

#define WINDOW_MS_MAX (31 * INT64_C(24) * 3600000)
#define COUNT_MAX     (INT64_C(1) << 50)

static const char *const acts[] = {"off", "record", "mark", "weight", "defer", "refuse"};
static const char *const scopes[] = {"address", "network", "sender", "account"};
static const char *const quantities[] = {"connections", "messages", "recipients", "bytes",
                                         "auth-failures"};

static bool find_word(struct str word, const char *const *words, size_t count, unsigned *out)
{
    for (*out = 0; *out < count; ++*out)
        if (str_equal_nocase(word, str_from(words[*out])))
            return true;
    return false;
}

bool policy_action_parse(struct str text, struct policy_action *out)
{
    unsigned act;
    uint64_t weight = 0;
    struct str word = str_word(&text), rest = str_trim(text);
    if (!find_word(word, acts, sizeof acts / sizeof *acts, &act))
        return false;
    bool is_weight = act == POLICY_WEIGHT;
    bool is_negative = is_weight && rest.n > 0 && rest.p[0] == '-';
    if (is_weight &&
        (!num_parse(str_skip(rest, is_negative), POLICY_WEIGHT_MAX, &weight) || weight == 0))
        return false;
    *out = (struct policy_action){(enum policy_act)act,
                                  is_negative ? -(int64_t)weight : (int64_t)weight};
    return is_weight || rest.n == 0;
}

struct str policy_action_text(const struct policy_action *a, char text[TEXT_MAX])
{
    int n = a->act == POLICY_WEIGHT ? snprintf(text, TEXT_MAX, "weight %lld", (long long)a->weight)
                                    : snprintf(text, TEXT_MAX, "%s", acts[a->act]);
    return str_make(text, (size_t)n);
}

/* "1h", or "h" for one of them. */
static bool parse_window(struct str text, int64_t *out)
{
    char one[8];
    uint64_t ms;
    if (text.n > 0 && text.n < 3 && (text.p[0] < '0' || text.p[0] > '9')) {
        int n = snprintf(one, sizeof one, "1" STR_FMT, STR_ARG(text));
        text = str_make(one, (size_t)n);
    }
    if (!num_parse_duration(text, WINDOW_MS_MAX, &ms) || ms < 1000)
        return false;
    *out = (int64_t)ms;
    return true;
}

/* Who fails to log in has no sender, and those who connect have no account. */
static bool makes_sense(const struct policy_rate *r)
{
    bool is_early = r->quantity == POLICY_CONNECTIONS || r->quantity == POLICY_AUTH_FAILURES;
    bool is_place = r->scope == POLICY_BY_ADDRESS || r->scope == POLICY_BY_NETWORK;
    return is_place || !is_early ||
           (r->quantity == POLICY_AUTH_FAILURES && r->scope == POLICY_BY_ACCOUNT);
}

bool policy_rate_parse(struct str text, struct policy_rate *out)
{
    unsigned scope, quantity;
    uint64_t count;
    struct str first = str_word(&text), second = str_word(&text), third = str_word(&text), number,
               window;
    if (!find_word(first, scopes, sizeof scopes / sizeof *scopes, &scope) ||
        !find_word(second, quantities, sizeof quantities / sizeof *quantities, &quantity) ||
        str_trim(text).n > 0 || !str_cut(third, '/', &number, &window))
        return false;
    *out = (struct policy_rate){.scope = (enum policy_scope)scope,
                                .quantity = (enum policy_quantity)quantity};
    bool is_number = quantity == POLICY_BYTES ? num_parse_size(number, COUNT_MAX, &count)
                                              : num_parse(number, 1000000000, &count);
    if (!is_number || count == 0 || !parse_window(window, &out->window_ms))
        return false;
    out->count = (int64_t)count;
    return makes_sense(out);
}

struct str policy_rate_text(const struct policy_rate *r, char text[TEXT_MAX])
{
    static const struct {
        int64_t ms;
        char suffix;
    } units[] = {{86400000, 'd'}, {3600000, 'h'}, {60000, 'm'}, {1000, 's'}};
    size_t i = 0;
    while (i < 3 && r->window_ms % units[i].ms != 0)
        i++;
    int n = snprintf(text, TEXT_MAX, "%s %s %lld/%lld%c", scopes[r->scope], quantities[r->quantity],
                     (long long)r->count, (long long)(r->window_ms / units[i].ms), units[i].suffix);
    return str_make(text, (size_t)n);
}

bool policy_sender_is_pattern(struct str text)
{
    size_t at = str_last_index(text, '@');
    struct str domain = at < text.n ? str_skip(text, at + 1) : text;
    if (at == 0 || !str_is_printable(text) || str_has(text, ' '))
        return false;
    if (at == text.n && text.n > 0 && text.p[0] == '.')
        domain = str_skip(text, 1);
    return hostname_is_valid(domain) && !hostname_ends_in_number(domain);
}
