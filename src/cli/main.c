/* SPDX-License-Identifier: ISC */
/*
 * main.c - eilbote: the table of commands
 */
#include "cli/ask.h"

#include <stdio.h>
#include <stdlib.h>

/* clang-format off */
static const struct command commands[] = {
    {"init", "--dir DIR --domain DOMAIN --user USER@DOMAIN [--password-stdin] [--hostname NAME] [--conf FILE]\n"
        "           [--local] [--port-offset N] [--relay HOST:PORT] [--trust CIDR]...",
        "Makes a new server: configuration, keys, directory and state.", cli_init},
    {"check", "[--ports] [--print]", "Checks the configuration and what it names.", cli_check},
    {"domain add", "DOMAIN...", "Adds domains whose mail is ours.", cli_domain_add, true},
    {"domain list", "", "Lists our domains.", cli_domain_list},
    {"domain remove", "DOMAIN", "Removes a domain that has no users and aliases.", cli_domain_remove, true},
    {"user add", "ADDRESS [--password-stdin] [--quota SIZE]",
        "Adds an account; without --password-stdin its password is made and printed.", cli_user_add, true},
    {"user list", "", "Lists the accounts.", cli_user_list},
    {"user remove", "ADDRESS", "Removes an account; its mailbox files stay.", cli_user_remove, true},
    {"user passwd", "ADDRESS [--password-stdin]",
        "Changes a password; without --password-stdin it is made and printed.", cli_user_passwd, true},
    {"user set", "ADDRESS [--quota SIZE] [--enabled yes|no]", "Changes an account.", cli_user_set, true},
    {"alias add", "ALIAS TARGET...", "Adds targets to an alias; @DOMAIN is the catch-all.", cli_alias_add, true},
    {"alias list", "", "Lists the aliases.", cli_alias_list},
    {"alias remove", "ALIAS [TARGET]", "Removes an alias, or one of its targets.", cli_alias_remove, true},
    {"directory export", "", "Prints domains, users and aliases as text.", cli_directory_export},
    {"directory apply", "FILE", "Makes the directory what the file (- for standard input) says.", cli_directory_apply, true},
};
/* clang-format on */

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(FILE *to)
{
    fputs("usage: eilbote [-c FILE] COMMAND [--json] [--help] ...\n\n", to);
    for (size_t k = 0; k < COMMAND_COUNT; k++)
        fprintf(to, "  %-18s %s\n", commands[k].name, commands[k].summary);
    fputs("\nThe configuration is FILE, else $EILBOTE_CONF, else /etc/eilbote/eilbote.conf.\n", to);
}

/* How many of the words are the command's name; 0 when they are not. */
static int match(const char *name, int argc, char **argv)
{
    struct str rest = str_from(name), word;
    int count = 0;
    while ((word = str_word(&rest)).n > 0) {
        if (count == argc || !str_equal(word, str_from(argv[count])))
            return 0;
        count++;
    }
    return count;
}

static int run(struct invocation *i, int argc, char **argv)
{
    for (size_t k = 0; k < COMMAND_COUNT; k++) {
        int words = match(commands[k].name, argc, argv);
        if (words > 0) {
            i->command = &commands[k];
            i->argc = argc - words;
            i->argv = argv + words;
            int result = commands[k].run(i);
            if (commands[k].changes_directory && result >= 0 && result != CLI_USAGE)
                ask_forget_directory(i);
            return result < 0 ? CLI_DONE : result;
        }
    }
    fprintf(stderr, "eilbote: unknown command \"%s\"\n", argv[0]);
    for (size_t k = 0; k < COMMAND_COUNT; k++)
        if (str_starts(str_from(commands[k].name), str_from(argv[0])) &&
            commands[k].name[strlen(argv[0])] == ' ')
            fprintf(stderr, "usage: eilbote %s %s\n", commands[k].name, commands[k].usage);
    return CLI_USAGE;
}

int main(int argc, char **argv)
{
    struct invocation i = {.conf_path = getenv("EILBOTE_CONF")};
    int at = 1;
    if (!i.conf_path || !i.conf_path[0])
        i.conf_path = "/etc/eilbote/eilbote.conf";
    if (at < argc && strcmp(argv[at], "-c") == 0) {
        if (at + 1 == argc) {
            fputs("eilbote: -c needs a file\n", stderr);
            return CLI_USAGE;
        }
        i.conf_path = argv[at + 1];
        at += 2;
    }
    if (at < argc && strcmp(argv[at], "--help") == 0) {
        print_help(stdout);
        return CLI_DONE;
    }
    if (at == argc) {
        print_help(stderr);
        return CLI_USAGE;
    }
    int result = run(&i, argc - at, argv + at);
    if (fflush(stdout) != 0 || ferror(stdout))
        return result == CLI_DONE ? CLI_FAILED : result;
    return result;
}
