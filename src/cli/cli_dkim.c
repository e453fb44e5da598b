/* SPDX-License-Identifier: ISC */
/*
 * cli_dkim.c - eilbote dkim list|rotate|prune
 *
 * A rotation takes two commands, as the DNS needs its time in between: the first makes the next keys and says what to
 * publish, the second has them sign. Keys that signed before are kept until no mail of theirs can be on its way.
 */
#include "cli/cli.h"

#include <stdio.h>

#include "cli/say.h"
#include "cli/signing_keys.h"
#include "cli/zone_text.h"
#include "os/clock.h"
#include "os/file.h"
#include "sign/key_store.h"

enum { ARENA_BYTES = 64 << 20, TEXT_LIMIT = 64 << 20, DAY_S = 24 * 60 * 60 };

/* What the commands work with. */
struct desk {
    struct invocation *i;
    struct conf *conf;
    struct directory *directory;
    struct arena arena;
    struct owner owner;
    struct signing_keys_place place;
    int64_t now_s;
};

static int open_desk(struct desk *k, struct invocation *i, enum directory_access access)
{
    *k = (struct desk){.i = i, .arena = arena_make(ARENA_BYTES), .now_s = clock_real_ms() / 1000};
    k->conf = cli_conf(i);
    k->directory = k->conf ? cli_directory(i, access) : NULL;
    if (!k->directory)
        return CLI_FAILED;
    k->place = cli_keys_place(k->conf, &k->arena, &k->owner);
    return CLI_DONE;
}

static int close_desk(struct desk *k, int result)
{
    directory_close(k->directory);
    conf_free(k->conf);
    arena_free(&k->arena);
    return result;
}

/* Mail is tried for that long; a day more for those who look at it late. */
static int64_t drained_at(const struct desk *k, const struct directory_key *key)
{
    return key->since_s + k->conf->queue.bounce_after_ms / 1000 + DAY_S;
}

static struct str name_of(struct desk *k, const struct directory_key *key)
{
    return arena_printf(&k->arena, STR_FMT "._domainkey." STR_FMT, STR_ARG(key->selector),
                        STR_ARG(key->domain));
}

static json_t *key_json(struct desk *k, const struct directory_key *key)
{
    struct str name = name_of(k, key);
    json_t *o = json_pack("{s:s%,s:s%,s:s%,s:s,s:I,s:s%,s:s%,s:b}", "domain", key->domain.p,
                          key->domain.n, "selector", key->selector.p, key->selector.n, "algorithm",
                          key->algorithm.p, key->algorithm.n, "state",
                          directory_key_state_name(key->state), "since", (json_int_t)key->since_s,
                          "name", name.p, name.n, "record", key->record.p, key->record.n, "private",
                          (int)key_store_has(k->place.folder, key->domain, key->selector));
    if (key->state == DIRECTORY_KEY_RETIRING)
        json_object_set_new(o, "drained", json_integer(drained_at(k, key)));
    return o;
}

static void print_key(struct desk *k, const struct directory_key *key)
{
    char since[SAY_MAX], drained[SAY_MAX];
    printf(STR_FMT " " STR_FMT " " STR_FMT " %s since %s", STR_ARG(key->domain),
           STR_ARG(key->selector), STR_ARG(key->algorithm), directory_key_state_name(key->state),
           say_time(key->since_s * 1000, since));
    if (key->state == DIRECTORY_KEY_RETIRING)
        printf(", its mail has drained at %s", say_time(drained_at(k, key) * 1000, drained));
    if (!key_store_has(k->place.folder, key->domain, key->selector))
        printf(", NO PRIVATE KEY in %s", k->place.folder);
    putchar('\n');
}

/* The domain that is named, which has to be ours; without a name all of them. */
static int find_domain(struct desk *k, const char *word, struct str *domain)
{
    bool has = true;
    *domain = cli_folded(&k->arena, word);
    int result = domain->n > 0 ? cli_result(k->i, directory_has_domain(k->directory, *domain, &has))
                               : CLI_DONE;
    return result == CLI_DONE && !has
               ? cli_fail(k->i,
                          STR_FMT " is not in the directory; eilbote domain add makes it ours",
                          STR_ARG(*domain))
               : result;
}

int cli_dkim_list(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    struct desk k;
    struct str domain;
    struct signing_keys keys;
    int result = cli_parse(i, NULL, 0, 0, 1, words);
    if (result != CLI_DONE)
        return result;
    result = open_desk(&k, i, DIRECTORY_READ);
    if (result == CLI_DONE)
        result = find_domain(&k, words[0], &domain);
    if (result == CLI_DONE)
        result = cli_result(i, signing_keys_list(k.directory, domain, &k.arena, &keys));
    if (result != CLI_DONE)
        return close_desk(&k, result);
    json_t *array = json_array();
    for (size_t n = 0; n < keys.count; n++)
        if (i->is_json)
            json_array_append_new(array, key_json(&k, &keys.item[n]));
        else
            print_key(&k, &keys.item[n]);
    if (i->is_json)
        result = cli_print_json(array);
    else
        json_decref(array);
    return close_desk(&k, result);
}

static size_t count_in(const struct signing_keys *keys, enum directory_key_state state)
{
    size_t count = 0;
    for (size_t n = 0; n < keys->count; n++)
        count += keys->item[n].state == state;
    return count;
}

/* The records of the keys in that state, as a zone file has them. */
static int print_records(struct desk *k, const struct signing_keys *keys,
                         enum directory_key_state state)
{
    struct buf text = buf_make(TEXT_LIMIT);
    bool is_good = true;
    for (size_t n = 0; n < keys->count && is_good; n++)
        if (keys->item[n].state == state)
            is_good = zone_text_txt(&text, name_of(k, &keys->item[n]), keys->item[n].record);
    if (text.used > 0)
        fwrite(text.data, 1, text.used, stdout);
    buf_free(&text);
    return is_good ? CLI_DONE : CLI_FAILED;
}

static void print_names(struct desk *k, const struct signing_keys *keys,
                        enum directory_key_state state)
{
    for (size_t n = 0; n < keys->count; n++)
        if (keys->item[n].state == state)
            printf(";   " STR_FMT ".\n", STR_ARG(name_of(k, &keys->item[n])));
}

/* Removes what has retired and drained, of one domain or all; appends what it was to the array. */
static int prune(struct desk *k, struct str domain, json_t *removed)
{
    struct signing_keys keys;
    int result = cli_result(k->i, signing_keys_list(k->directory, domain, &k->arena, &keys));
    for (size_t n = 0; result == CLI_DONE && n < keys.count; n++) {
        const struct directory_key *key = &keys.item[n];
        if (key->state != DIRECTORY_KEY_RETIRING || drained_at(k, key) > k->now_s)
            continue;
        json_array_append_new(removed, key_json(k, key));
        result = cli_result(k->i, signing_keys_remove(k->directory, &k->place, key));
        if (result == CLI_DONE && !k->i->is_json)
            printf("Removed " STR_FMT " of " STR_FMT "; take " STR_FMT ". out of the DNS.\n",
                   STR_ARG(key->selector), STR_ARG(key->domain), STR_ARG(name_of(k, key)));
    }
    return result;
}

int cli_dkim_prune(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    struct desk k;
    struct str domain;
    int result = cli_parse(i, NULL, 0, 0, 1, words);
    if (result != CLI_DONE)
        return result;
    json_t *removed = json_array();
    result = open_desk(&k, i, DIRECTORY_WRITE);
    if (result == CLI_DONE)
        result = find_domain(&k, words[0], &domain);
    if (result == CLI_DONE)
        result = prune(&k, domain, removed);
    if (result == CLI_DONE && i->is_json)
        return close_desk(&k, cli_print_json(json_pack("{s:o}", "removed", removed)));
    if (result == CLI_DONE && json_array_size(removed) == 0)
        puts("No key has retired for long enough.");
    json_decref(removed);
    return close_desk(&k, result);
}

/* The first keys of a domain sign at once: a signature without a record in the DNS counts as none. */
static int make_next(struct desk *k, struct str domain, const struct signing_keys *before)
{
    bool is_first = count_in(before, DIRECTORY_KEY_ACTIVE) == 0;
    if (count_in(before, DIRECTORY_KEY_NEXT) > 0)
        return CLI_DONE;
    bool is_folder_new = !file_exists(k->place.folder);
    int result = cli_result(
        k->i, signing_keys_make(k->directory, &k->place, domain,
                                is_first ? DIRECTORY_KEY_ACTIVE : DIRECTORY_KEY_NEXT, k->now_s));
    if (is_folder_new && result == CLI_DONE)
        fprintf(stderr,
                "%s is new; a server that is running cannot look into it before: eilbote upgrade\n",
                k->place.folder);
    return result;
}

static int explain(struct desk *k, struct str domain, const struct signing_keys *keys)
{
    bool has_next = count_in(keys, DIRECTORY_KEY_NEXT) > 0;
    bool has_retiring = count_in(keys, DIRECTORY_KEY_RETIRING) > 0;
    printf("; To be in the DNS, for the keys of " STR_FMT " that %s:\n", STR_ARG(domain),
           has_next ? "are to sign next" : "sign");
    int result = print_records(k, keys, has_next ? DIRECTORY_KEY_NEXT : DIRECTORY_KEY_ACTIVE);
    if (has_next)
        printf("; When every name server has them: eilbote dkim rotate " STR_FMT " --activate\n",
               STR_ARG(domain));
    if (has_retiring) {
        puts("; To stay in the DNS until eilbote dkim prune has removed the keys:");
        print_names(k, keys, DIRECTORY_KEY_RETIRING);
    }
    return result;
}

static int rotate(struct desk *k, struct str domain, bool is_activation, json_t *removed)
{
    struct signing_keys keys;
    int result = cli_result(k->i, signing_keys_list(k->directory, domain, &k->arena, &keys));
    if (result == CLI_DONE && is_activation)
        result = cli_result(k->i, directory_keys_activate(k->directory, domain, k->now_s));
    else if (result == CLI_DONE)
        result = make_next(k, domain, &keys);
    if (result == CLI_DONE)
        result = prune(k, domain, removed);
    if (result == CLI_DONE)
        result = cli_result(k->i, signing_keys_list(k->directory, domain, &k->arena, &keys));
    if (result != CLI_DONE)
        return result;
    if (!k->i->is_json)
        return explain(k, domain, &keys);
    json_t *array = json_array();
    for (size_t n = 0; n < keys.count; n++)
        json_array_append_new(array, key_json(k, &keys.item[n]));
    return cli_print_json(json_pack("{s:o,s:O}", "keys", array, "removed", removed));
}

int cli_dkim_rotate(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    bool is_activation = false;
    const struct cli_option options[] = {{"--activate", &is_activation, NULL, NULL}};
    struct desk k;
    struct str domain;
    int result = cli_parse(i, options, 1, 1, 1, words);
    if (result != CLI_DONE)
        return result;
    json_t *removed = json_array();
    result = open_desk(&k, i, DIRECTORY_WRITE);
    if (result == CLI_DONE)
        result = find_domain(&k, words[0], &domain);
    if (result == CLI_DONE)
        result = rotate(&k, domain, is_activation, removed);
    json_decref(removed);
    return close_desk(&k, result);
}
