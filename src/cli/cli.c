/* SPDX-License-Identifier: ISC */
/*
 * cli.c - what the commands of the command line share
 */
#include "cli/cli.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hostname.h"
#include "mail/idna.h"
#include "os/file.h"
#include "os/owner.h"
#include "os/random.h"

int cli_fail(const struct invocation *i, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "eilbote %s: ", i->command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return CLI_FAILED;
}

int cli_result(const struct invocation *i, struct fault f)
{
    return f.kind ? cli_fail(i, "%s", f.text) : CLI_DONE;
}

int cli_usage(const struct invocation *i, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "eilbote %s: ", i->command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nusage: eilbote %s %s\n", i->command->name, i->command->usage);
    return CLI_USAGE;
}

static const struct cli_option *find_option(const struct cli_option *options, size_t count,
                                            struct str word)
{
    for (size_t k = 0; k < count; k++)
        if (str_equal(str_from(options[k].name), word))
            return &options[k];
    return NULL;
}

/* Takes the option at argv[*at], and its value. seen has a bit for each option with a value. */
static int take_option(struct invocation *i, const struct cli_option *options, size_t count,
                       int *at, uint64_t *seen)
{
    const struct cli_option common[] = {{"-c", NULL, &i->conf_path, NULL},
                                        {"--json", &i->is_json, NULL, NULL}};
    const char *word = i->argv[*at];
    struct str spelled = str_from(word);
    const char *value = word[1] == '-' ? strchr(word, '=') : NULL;
    if (value)
        spelled = str_head(spelled, (size_t)(value++ - word));
    const struct cli_option *o = find_option(options, count, spelled);
    if (!o)
        o = find_option(common, 2, spelled);
    if (!o)
        return cli_usage(i, "unknown option " STR_FMT, STR_ARG(spelled));
    const char *name = o->name;
    if (o->flag && value)
        return cli_usage(i, "%s has no value", name);
    if (o->flag) {
        *o->flag = true;
        return CLI_DONE;
    }
    if (!value && ++*at == i->argc)
        return cli_usage(i, "%s needs a value", name);
    value = value ? value : i->argv[*at];
    const char **place = o->value;
    uint64_t bit = UINT64_C(1) << (o == common ? 63 : o - options);
    if (place && (*seen & bit))
        return cli_usage(i, "%s is there twice: \"%s\" and \"%s\"", name, *place, value);
    *seen |= bit;
    i->has_conf |= o == common;
    if (o->list) {
        size_t used = 0;
        while (used < CLI_WORDS_MAX && o->list[used])
            used++;
        if (used == CLI_WORDS_MAX)
            return cli_usage(i, "%s is there more than %d times", name, CLI_WORDS_MAX);
        place = o->list + used;
    }
    assert(place);
    *place = value;
    return CLI_DONE;
}

int cli_parse(struct invocation *i, const struct cli_option *options, size_t option_count,
              size_t least, size_t most, const char **words)
{
    size_t count = 0;
    bool is_over = false;
    uint64_t seen = i->has_conf ? UINT64_C(1) << 63 : 0;
    assert(option_count < 63);
    for (int at = 0; at < i->argc; at++) {
        const char *word = i->argv[at];
        if (!is_over && strcmp(word, "--") == 0) {
            is_over = true;
        } else if (!is_over && strcmp(word, "--help") == 0) {
            printf("usage: eilbote %s %s\n\n%s\n", i->command->name, i->command->usage,
                   i->command->summary);
            fputs(i->command->more ? i->command->more : "", stdout);
            return -1;
        } else if (!is_over && word[0] == '-' && word[1] != '\0') {
            int result = take_option(i, options, option_count, &at, &seen);
            if (result != CLI_DONE)
                return result;
        } else if (count == most || count == CLI_WORDS_MAX) {
            return cli_usage(i, "%s is too much", word);
        } else {
            words[count++] = word;
        }
    }
    if (count < least)
        return cli_usage(i, "too few arguments");
    return CLI_DONE;
}

struct conf *cli_conf(const struct invocation *i)
{
    struct conf *c;
    struct fault f = conf_load(i->conf_path, &c);
    if (f.kind && !file_exists(i->conf_path))
        cli_fail(i, "%s; eilbote init makes one, and -c FILE or EILBOTE_CONF names another",
                 f.text);
    else if (f.kind)
        cli_fail(i, "%s", f.text);
    return c;
}

struct directory *cli_directory(const struct invocation *i, enum directory_access access)
{
    struct directory *d = NULL;
    struct conf *c = cli_conf(i);
    if (!c)
        return NULL;
    struct arena a = arena_make(64 * 1024);
    const char *path = conf_state_path(c, &a, "directory.db");
    struct fault f = directory_open(path, access, &d);
    if (f.kind && !owner_is_root() && file_exists(path))
        cli_fail(i, "%s; run this as root or as the server's user", f.text);
    else if (f.kind)
        cli_fail(i, "%s", f.text);
    arena_free(&a);
    conf_free(c);
    return d;
}

struct signing_keys_place cli_keys_place(const struct conf *c, struct arena *a, struct owner *owner)
{
    bool has_owner = owner_is_root() && c->mta_user.n > 0 && owner_find(c->mta_user, owner);
    return (struct signing_keys_place){conf_state_path(c, a, "keys"), has_owner ? owner : NULL};
}

struct str cli_folded(struct arena *a, const char *word)
{
    char ascii[IDNA_DOMAIN_MAX];
    struct str name = str_from(word);
    if (str_has_8bit(name) && idna_domain_is_valid(name, true))
        name = idna_to_ascii(name, ascii);
    struct str s = arena_copy(a, name);
    char *copy = (char *)(uintptr_t)s.p;
    for (size_t i = 0; i < s.n; i++)
        copy[i] = str_lower_byte(copy[i]);
    return s;
}

int cli_domain(const struct invocation *i, struct arena *a, const char *word, struct str *out)
{
    *out = cli_folded(a, word);
    if (hostname_is_mail_domain(*out))
        return CLI_DONE;
    return cli_usage(i, "\"%s\" is no domain name that mail can have", word);
}

int cli_print_json(json_t *value)
{
    int result = json_dumpf(value, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER);
    json_decref(value);
    putchar('\n');
    return result == 0 ? CLI_DONE : CLI_FAILED;
}

bool cli_read_password(struct buf *out)
{
    int c;
    while ((c = getchar()) != EOF && c != '\n')
        if (!buf_append_byte(out, (char)c))
            return false;
    if (out->used > 0 && out->data[out->used - 1] == '\r')
        out->used--;
    return out->used > 0;
}

void cli_make_password(char password[CLI_PASSWORD_SIZE])
{
    /* 32 characters that nobody mistakes for each other. */
    static const char set[] = "abcdefghijkmnpqrstuvwxyz23456789";
    uint8_t bytes[CLI_PASSWORD_SIZE - 1];
    random_bytes(bytes, sizeof bytes);
    for (size_t k = 0; k < sizeof bytes; k++)
        password[k] = set[bytes[k] % 32];
    password[CLI_PASSWORD_SIZE - 1] = '\0';
}
