/* SPDX-License-Identifier: ISC */
/*
 * cli_directory.c - eilbote directory export|apply
 */
#include "cli/cli.h"

#include <stdio.h>

#include "directory/edit.h"
#include "directory/text.h"
#include "os/file.h"

enum { TEXT_LIMIT = 1024 * 1024 * 1024 };

static int export_text(const struct invocation *i, struct directory *d)
{
    struct buf text = buf_make(TEXT_LIMIT);
    int result = cli_result(i, directory_export(d, &text));
    if (result == CLI_DONE)
        fwrite(text.data, 1, text.used, stdout);
    buf_free(&text);
    return result;
}

static void add_domain(struct str domain, void *array)
{
    json_array_append_new(array, json_stringn(domain.p, domain.n));
}

static void add_account(const struct directory_account *a, void *array)
{
    struct buf verifier = buf_make(1024);
    if (directory_verifier_print(&a->verifier, &verifier))
        json_array_append_new(array, json_pack("{s:s%,s:I,s:b,s:s%}", "account", a->address.p,
                                               a->address.n, "quota", (json_int_t)a->quota_bytes,
                                               "enabled", (int)a->is_enabled, "scram-sha-256",
                                               verifier.data, verifier.used));
    buf_free(&verifier);
}

static void add_alias(const struct directory_alias *a, void *array)
{
    json_array_append_new(array, json_pack("{s:s%,s:s%}", "alias", a->address.p, a->address.n,
                                           "target", a->target.p, a->target.n));
}

static int export_json(const struct invocation *i, struct directory *d)
{
    json_t *domains = json_array(), *accounts = json_array(), *aliases = json_array();
    struct fault f = directory_list_domains(d, add_domain, domains);
    if (!f.kind)
        f = directory_list_accounts(d, add_account, accounts);
    if (!f.kind)
        f = directory_list_aliases(d, add_alias, aliases);
    json_t *whole =
        json_pack("{s:o,s:o,s:o}", "domains", domains, "accounts", accounts, "aliases", aliases);
    if (!f.kind)
        return cli_print_json(whole);
    json_decref(whole);
    return cli_result(i, f);
}

int cli_directory_export(struct invocation *i)
{
    int result = cli_parse(i, NULL, 0, 0, 0, NULL);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_READ) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    result = i->is_json ? export_json(i, d) : export_text(i, d);
    directory_close(d);
    return result;
}

static bool read_input(struct buf *out)
{
    char part[2048];
    size_t n;
    while ((n = fread(part, 1, sizeof part, stdin)) > 0)
        if (!buf_append(out, str_make(part, n)))
            return false;
    return !ferror(stdin);
}

int cli_directory_apply(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    int result = cli_parse(i, NULL, 0, 1, 1, words);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_WRITE) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    struct buf text = buf_make(TEXT_LIMIT);
    if (strcmp(words[0], "-") != 0)
        result = cli_result(i, file_load(words[0], &text));
    else if (!read_input(&text))
        result = cli_fail(i, "cannot read standard input");
    if (result == CLI_DONE)
        result = cli_result(i, directory_apply(d, buf_str(&text), words[0]));
    buf_free(&text);
    directory_close(d);
    return result;
}
