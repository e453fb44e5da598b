/* SPDX-License-Identifier: ISC */
/*
 * cli_user.c - eilbote user add|list|remove|passwd|set
 */
#include "cli/cli.h"

#include <stdio.h>

#include "base/num.h"
#include "directory/edit.h"

/* A password for an account: read, or made; the buffer gets it. */
static int get_password(const struct invocation *i, bool is_read, struct buf *password)
{
    char made[CLI_PASSWORD_SIZE];
    if (is_read)
        return cli_read_password(password)
                   ? CLI_DONE
                   : cli_fail(i, "no password of at most %d bytes on standard input",
                              VERIFIER_PASSWORD_MAX);
    cli_make_password(made);
    return buf_append(password, str_from(made)) ? CLI_DONE : CLI_FAILED;
}

/* Tells a password that was made. */
static int print_password(const struct invocation *i, const char *address, struct str password)
{
    if (i->is_json)
        return cli_print_json(
            json_pack("{s:s,s:s%}", "account", address, "password", password.p, password.n));
    printf("%s has the password " STR_FMT "\n", address, STR_ARG(password));
    return CLI_DONE;
}

/* Gives --quota's value in bytes. */
static int get_quota(const struct invocation *i, const char *text, int64_t *quota_bytes)
{
    uint64_t value = 0;
    if (text && !num_parse_size(str_from(text), INT64_MAX, &value))
        return cli_usage(i, "--quota is \"%s\"; allowed: a size like 500M, 0 for none", text);
    *quota_bytes = (int64_t)value;
    return CLI_DONE;
}

int cli_user_add(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL}, *quota_text = NULL;
    bool is_read = false;
    int64_t quota_bytes = 0;
    const struct cli_option options[] = {{"--password-stdin", &is_read, NULL, NULL},
                                         {"--quota", NULL, &quota_text, NULL}};
    int result = cli_parse(i, options, 2, 1, 1, words);
    if (result == CLI_DONE)
        result = get_quota(i, quota_text, &quota_bytes);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_WRITE) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    struct buf password = buf_make(VERIFIER_PASSWORD_MAX + 1);
    result = get_password(i, is_read, &password);
    if (result == CLI_DONE)
        result = cli_result(
            i, directory_account_add(d, str_from(words[0]), buf_str(&password), quota_bytes));
    if (result == CLI_DONE && !is_read)
        result = print_password(i, words[0], buf_str(&password));
    buf_free(&password);
    directory_close(d);
    return result;
}

int cli_user_passwd(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    bool is_read = false;
    const struct cli_option options[] = {{"--password-stdin", &is_read, NULL, NULL}};
    int result = cli_parse(i, options, 1, 1, 1, words);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_WRITE) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    struct buf password = buf_make(VERIFIER_PASSWORD_MAX + 1);
    result = get_password(i, is_read, &password);
    if (result == CLI_DONE)
        result = cli_result(
            i, directory_account_set_password(d, str_from(words[0]), buf_str(&password)));
    if (result == CLI_DONE && !is_read)
        result = print_password(i, words[0], buf_str(&password));
    buf_free(&password);
    directory_close(d);
    return result;
}

int cli_user_set(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL}, *quota_text = NULL, *enabled = NULL;
    int64_t quota_bytes = 0;
    const struct cli_option options[] = {{"--quota", NULL, &quota_text, NULL},
                                         {"--enabled", NULL, &enabled, NULL}};
    int result = cli_parse(i, options, 2, 1, 1, words);
    if (result == CLI_DONE)
        result = get_quota(i, quota_text, &quota_bytes);
    if (result == CLI_DONE && enabled && strcmp(enabled, "yes") != 0 && strcmp(enabled, "no") != 0)
        result = cli_usage(i, "--enabled is \"%s\"; allowed: yes, no", enabled);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_WRITE) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    struct str address = str_from(words[0]);
    if (quota_text)
        result = cli_result(i, directory_account_set_quota(d, address, quota_bytes));
    if (enabled && result == CLI_DONE)
        result = cli_result(i, directory_account_enable(d, address, strcmp(enabled, "yes") == 0));
    directory_close(d);
    return result;
}

static void print_account(const struct directory_account *account, void *array)
{
    if (array)
        json_array_append_new(array, json_pack("{s:s%,s:I,s:b}", "account", account->address.p,
                                               account->address.n, "quota",
                                               (json_int_t)account->quota_bytes, "enabled",
                                               (int)account->is_enabled));
    else
        printf(STR_FMT " quota=%lld enabled=%s\n", STR_ARG(account->address),
               (long long)account->quota_bytes, account->is_enabled ? "yes" : "no");
}

int cli_user_list(struct invocation *i)
{
    int result = cli_parse(i, NULL, 0, 0, 0, NULL);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_READ) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    json_t *array = i->is_json ? json_array() : NULL;
    result = cli_result(i, directory_list_accounts(d, print_account, array));
    directory_close(d);
    return array && cli_print_json(array) != CLI_DONE ? CLI_FAILED : result;
}

int cli_user_remove(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    int result = cli_parse(i, NULL, 0, 1, 1, words);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_WRITE) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    result = cli_result(i, directory_account_remove(d, str_from(words[0])));
    directory_close(d);
    return result;
}
