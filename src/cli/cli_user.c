/* SPDX-License-Identifier: ISC */
/*
 * cli_user.c - eilbote user add|list|remove|passwd|set
 */
#include "cli/cli.h"

#include <stdio.h>

#include "base/num.h"
#include "cli/ask.h"
#include "cli/say.h"
#include "directory/edit.h"
#include "os/file.h"
#include "store/name.h"

enum { FOLDER_MAX = 1024 };

/* An account as the roles call it. */
static const char *canonical(struct arena *a, const char *address)
{
    return directory_canonical(a, str_from(address)).p;
}

/* The folder of an account's mailbox, which is made with its first message; NULL for a name that has
 * none. */
static const char *mail_path(const struct conf *c, struct arena *a, const char *address)
{
    struct buf name = buf_make(FOLDER_MAX);
    const char *path = NULL;
    if (buf_append(&name, STR("mail/accounts/")) &&
        name_account_path(&name, str_from(canonical(a, address))))
        path = conf_state_path(c, a, arena_c_string(a, buf_str(&name)));
    buf_free(&name);
    return path;
}

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

/* The mail of an earlier account of that name is the new one's now. */
static void warn_of_mail(const struct invocation *i, const char *address)
{
    struct arena a = arena_make(1 << 16);
    struct conf *c = cli_conf(i);
    const char *mail = c ? mail_path(c, &a, address) : NULL;
    if (mail && file_exists(mail))
        fprintf(stderr, "eilbote user add: %s had an account before; its mail in %s is there\n",
                address, mail);
    conf_free(c);
    arena_free(&a);
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
    if (result == CLI_DONE)
        warn_of_mail(i, words[0]);
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

static void take_count(void *arg, const json_t *line)
{
    *(int64_t *)arg = say_number(line, "messages");
}

/* Removes account and mail. The account may be gone, by an earlier removal. */
static int remove_all(const struct invocation *i, const struct conf *c, struct directory *d,
                      const char *address)
{
    struct arena a = arena_make(1 << 16);
    const char *mail = mail_path(c, &a, address), *name = canonical(&a, address);
    int64_t count = 0;
    struct fault f = ask_role(c, "mda", json_pack("{s:s}", "verb", "status"), NULL, NULL);
    bool is_answered = !f.kind;
    if (!f.kind)
        f = directory_account_remove(d, str_from(address));
    bool is_removed = !f.kind;
    if (is_removed || (is_answered && mail && file_exists(mail)))
        f = ask_role(c, "mda", json_pack("{s:s, s:s}", "verb", "mailbox.purge", "account", name),
                     take_count, &count);
    int result = CLI_DONE;
    if (f.kind && is_removed)
        result = cli_fail(i, "the account is removed, its mail is not: %s; try again", f.text);
    else if (f.kind)
        result = cli_fail(i, is_answered ? "%s" : "nothing is removed: %s", f.text);
    else if (i->is_json)
        result =
            cli_print_json(json_pack("{s:s, s:I}", "account", name, "messages", (json_int_t)count));
    else
        printf("%lld message%s removed\n", (long long)count, count == 1 ? "" : "s");
    arena_free(&a);
    return result;
}

/* Removes the account and says where its mail is. */
static int remove_account(const struct invocation *i, const struct conf *c, struct directory *d,
                          const char *address)
{
    struct arena a = arena_make(1 << 16);
    int result = cli_result(i, directory_account_remove(d, str_from(address)));
    const char *mail = result == CLI_DONE ? mail_path(c, &a, address) : NULL;
    if (result == CLI_DONE && i->is_json)
        result = cli_print_json(
            json_pack("{s:s, s:s?}", "account", canonical(&a, address), "mail", mail));
    else if (mail)
        printf("Its mail, if any, stays in %s; eilbote user remove --purge %s removes it.\n", mail,
               address);
    arena_free(&a);
    return result;
}

int cli_user_remove(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    bool is_purge = false;
    const struct cli_option options[] = {{"--purge", &is_purge, NULL, NULL}};
    int result = cli_parse(i, options, 1, 1, 1, words);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_WRITE) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    struct conf *c = cli_conf(i);
    if (!c)
        result = CLI_FAILED;
    else
        result = is_purge ? remove_all(i, c, d, words[0]) : remove_account(i, c, d, words[0]);
    conf_free(c);
    directory_close(d);
    return result;
}
