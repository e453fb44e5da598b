/* SPDX-License-Identifier: ISC */
/*
 * filter.c - which messages of the queue: one grammar for all its commands
 */
#include "cli/filter.h"

#include "base/num.h"
#include "queue/envelope.h"

const char filter_conditions[] =
    "\nConditions, which must all hold:\n"
    "  sender=ADDRESS       the sender; <> for notices, @DOMAIN for everybody there\n"
    "  recipient=ADDRESS    one of the recipients that are left\n"
    "  domain=DOMAIN        the domain of the recipients\n"
    "  state=STATE          waiting, delivering or held\n"
    "  age>DURATION         how long it has been here, like 2h or 1d12h\n"
    "  age<DURATION\n"
    "  ID                   the id of a message; of several one must be it\n";

static const char allowed[] = "sender=ADDRESS, recipient=ADDRESS, domain=DOMAIN, "
                              "state=waiting|delivering|held, age>DURATION, age<DURATION, an id";

static bool add_text(json_t *filter, struct str word)
{
    static const char *const names[] = {"sender", "recipient", "domain", "state"};
    struct str name, value;
    if (!str_cut(word, '=', &name, &value) || value.n == 0)
        return false;
    if (str_equal(name, STR("state")) && !str_equal(value, STR("waiting")) &&
        !str_equal(value, STR("delivering")) && !str_equal(value, STR("held")))
        return false;
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
        if (str_equal(name, str_from(names[k])))
            return json_object_get(filter, names[k]) == NULL &&
                   json_object_set_new(filter, names[k], json_stringn(value.p, value.n)) == 0;
    return false;
}

static bool add_age(json_t *filter, struct str word)
{
    const uint64_t most_ms = UINT64_C(3650) * 24 * 3600 * 1000;
    const char *name = word.p[3] == '>' ? "older_ms" : "younger_ms";
    uint64_t ms;
    if (!num_parse_duration(str_skip(word, 4), most_ms, &ms) || ms == 0)
        return false;
    return json_object_get(filter, name) == NULL &&
           json_object_set_new(filter, name, json_integer((json_int_t)ms)) == 0;
}

static bool add_id(json_t *filter, struct str word)
{
    uint64_t id;
    json_t *ids = json_object_get(filter, "ids");
    if (!queue_id_parse(word, &id))
        return false;
    if (!ids) {
        ids = json_array();
        json_object_set_new(filter, "ids", ids);
    }
    return json_array_append_new(ids, json_stringn(word.p, word.n)) == 0;
}

json_t *filter_make(const struct invocation *i, const char *const *words)
{
    json_t *filter = json_object();
    for (size_t k = 0; k < CLI_WORDS_MAX && words[k]; k++) {
        struct str word = str_from(words[k]);
        bool is_age = str_starts(word, STR("age>")) || str_starts(word, STR("age<"));
        bool is_good = is_age               ? add_age(filter, word)
                       : str_has(word, '=') ? add_text(filter, word)
                                            : add_id(filter, word);
        if (!is_good) {
            cli_usage(i, "\"%s\" is no condition; allowed, each once: %s", words[k], allowed);
            json_decref(filter);
            return NULL;
        }
    }
    return filter;
}
