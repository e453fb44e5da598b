/* SPDX-License-Identifier: ISC */
/*
 * cli.h - what the commands of the command line share
 *
 * A command is a row of the table in main.c and a function in a file of its own. Its exit status
 * is CLI_DONE, CLI_FAILED (with a sentence on standard error) or CLI_USAGE.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/signing_keys.h"
#include "conf/conf.h"
#include "directory/directory.h"

#include <jansson.h>

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

enum { CLI_WORDS_MAX = 64 };

struct invocation;

struct command {
    const char *name;    /* one or two words */
    const char *usage;   /* what follows the name */
    const char *summary; /* one line */
    int (*run)(struct invocation *i);
    bool changes_directory; /* the roles are told */
    const char *more;       /* lines for --help behind the summary, or NULL */
};

struct invocation {
    const struct command *command;
    const char *conf_path;
    bool has_conf; /* by -c */
    bool is_json;
    int argc; /* what follows the name */
    char **argv;
};

/* An option of a command: --name, or with a value --name VALUE or --name=VALUE. */
struct cli_option {
    const char *name;
    bool *flag;         /* or */
    const char **value; /* where the value goes, or */
    const char **list;  /* where each value goes, up to CLI_WORDS_MAX */
};

/*
 * Sorts the arguments into options and words (-c, --json and --help are understood everywhere);
 * "--" ends the options. An option has one value, unless it has a list. CLI_DONE with at least least and at most most words in words (an array of
 * CLI_WORDS_MAX), else CLI_USAGE after saying what is wrong. -1 when --help was answered.
 */
int cli_parse(struct invocation *i, const struct cli_option *options, size_t option_count,
              size_t least, size_t most, const char **words);

/* Prints "eilbote NAME: ..." to standard error and gives CLI_FAILED. */
int cli_fail(const struct invocation *i, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* CLI_DONE for FINE, else prints the fault's text and gives CLI_FAILED. */
int cli_result(const struct invocation *i, struct fault f);

/* Prints what is wrong and the usage, and gives CLI_USAGE. */
int cli_usage(const struct invocation *i, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Loads the configuration, or says why not and gives NULL. */
struct conf *cli_conf(const struct invocation *i);

/* Opens the directory of the configuration, or says why not and gives NULL. */
struct directory *cli_directory(const struct invocation *i, enum directory_access access);

/* Where the configuration has private keys; *owner is whose they become when the server has users. */
struct signing_keys_place cli_keys_place(const struct conf *c, struct arena *a,
                                         struct owner *owner);

/* A word in lower case, a name with U-labels as A-labels; empty for NULL. */
struct str cli_folded(struct arena *a, const char *word);

/* A domain of mail so folded, else CLI_USAGE after saying what is wrong. */
int cli_domain(const struct invocation *i, struct arena *a, const char *word, struct str *out);

/* Prints a JSON value (taken) in one line. */
int cli_print_json(json_t *value);

/* The first line of standard input without its line end. False when it is empty or too long. */
bool cli_read_password(struct buf *out);

/* Makes a password nobody can guess: 24 characters, about 120 bits. */
enum { CLI_PASSWORD_SIZE = 25 };
void cli_make_password(char password[CLI_PASSWORD_SIZE]);

/* The commands, one file each. */
int cli_serve(struct invocation *i);
int cli_reload(struct invocation *i);
int cli_upgrade(struct invocation *i);
int cli_role(struct invocation *i);
int cli_init(struct invocation *i);
int cli_check(struct invocation *i);
int cli_domain_add(struct invocation *i);
int cli_domain_list(struct invocation *i);
int cli_domain_remove(struct invocation *i);
int cli_dkim_list(struct invocation *i);
int cli_dkim_rotate(struct invocation *i);
int cli_dkim_prune(struct invocation *i);
int cli_dns_print(struct invocation *i);
int cli_dns_check(struct invocation *i);
int cli_user_add(struct invocation *i);
int cli_user_list(struct invocation *i);
int cli_user_remove(struct invocation *i);
int cli_user_passwd(struct invocation *i);
int cli_user_set(struct invocation *i);
int cli_alias_add(struct invocation *i);
int cli_alias_list(struct invocation *i);
int cli_alias_remove(struct invocation *i);
int cli_directory_export(struct invocation *i);
int cli_directory_apply(struct invocation *i);
int cli_queue_ls(struct invocation *i);
int cli_queue_show(struct invocation *i);
int cli_queue_why(struct invocation *i);
int cli_queue_act(struct invocation *i); /* retry, hold, release, drop, bounce */
int cli_reports(struct invocation *i);
int cli_reports_show(struct invocation *i);
int cli_reports_send(struct invocation *i);
int cli_trace(struct invocation *i);
int cli_top(struct invocation *i);
int cli_send(struct invocation *i);
int cli_sendmail(struct invocation *i);
int cli_mailq(struct invocation *i); /* sendmail -bp under its other name */
int cli_try_smtp(struct invocation *i);
int cli_try_spf(struct invocation *i);
int cli_try_message(struct invocation *i);
int cli_try_route(struct invocation *i);
int cli_bench_source(struct invocation *i);
int cli_bench_sink(struct invocation *i);

#endif
