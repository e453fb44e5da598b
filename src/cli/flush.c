/* SPDX-License-Identifier: ISC */
/*
 * flush.c - sendmail -q: trying messages of the queue again now
 *
 * The forms are those of Postfix and Sendmail. Sendmail takes parts of ids and addresses; here, as
 * with Postfix, they are whole, or the domain.
 */
#include "cli/flush.h"

#include <sysexits.h>

#include "cli/ask.h"
#include "cli/say.h"
#include "queue/envelope.h"

static json_t *refuse(const struct invocation *i, const char *what)
{
    if (what[0] >= '0' && what[0] <= '9')
        cli_fail(i,
                 "-q%s asks for a look at the queue every %s; the server does that by itself "
                 "(retry-first, retry-max in eilbote.conf), and -q alone tries everything now",
                 what, what);
    else
        cli_fail(i,
                 "-q%s is not understood; allowed: -q, -qIID, -qRRECIPIENT, -qRDOMAIN, -qSSENDER, "
                 "-qSDOMAIN",
                 what);
    return NULL;
}

/* "a@b" for itself, a domain for everybody there. */
static json_t *choose_sender(const char *word)
{
    bool is_address = strchr(word, '@') || strcmp(word, "<>") == 0;
    return is_address ? json_string(word) : json_sprintf("@%s", word);
}

json_t *flush_request(const struct invocation *i, const char *what)
{
    char kind = what[0];
    const char *word = kind ? what + 1 : "";
    uint64_t id;
    json_t *request = json_pack("{s:s}", "verb", "queue.retry"), *filter = NULL;
    if (!kind || strcmp(what, "f") == 0)
        json_object_set_new(request, "all", json_true());
    else if (kind == 'I' && queue_id_parse(str_from(word), &id))
        filter = json_pack("{s:[s]}", "ids", word);
    else if (kind == 'R' && word[0])
        filter = json_pack("{s:s}", strchr(word, '@') ? "recipient" : "domain", word);
    else if (kind == 'S' && word[0])
        filter = json_pack("{s:o}", "sender", choose_sender(word));
    if (filter)
        json_object_set_new(request, "filter", filter);
    if (json_object_size(request) == 2)
        return request;
    json_decref(request);
    return refuse(i, what);
}

static void count_deliveries(void *arg, const json_t *line)
{
    int64_t *count = arg;
    *count = say_number(line, "changed") + say_number(line, "refused");
}

int flush_queue(const struct invocation *i, json_t *request)
{
    struct conf *c = cli_conf(i);
    if (!c) {
        json_decref(request);
        return EX_CONFIG;
    }
    int64_t count = 0;
    bool is_one = json_object_get(json_object_get(request, "filter"), "ids");
    struct fault f = ask_role(c, "mta", request, count_deliveries, &count);
    conf_free(c);
    if (f.kind || (is_one && count == 0)) {
        cli_fail(i, "%s", f.kind ? f.text : "no such message is in the queue");
        return EX_UNAVAILABLE;
    }
    return EX_OK;
}
