/* SPDX-License-Identifier: ISC */
/*
 * main.c - eilbote: the table of commands
 */
#include "cli/ask.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/filter.h"
#include "cli/trial.h"

/* clang-format off */
static const struct command commands[] = {
    {"init", "--dir DIR --domain DOMAIN --user USER@DOMAIN [--password-stdin] [--hostname NAME] [--conf FILE]\n"
        "           [--local] [--port-offset N] [--relay HOST:PORT] [--trust CIDR]...\n"
        "           [--trust-anchor FILE]",
        "Makes a new server: configuration, keys, directory and state.", cli_init},
    {"check", "[--ports] [--print]", "Checks the configuration and what it names.", cli_check},
    {"serve", "[--single]", "Serves: binds the ports, starts the roles and keeps them running.", cli_serve},
    {"reload", "", "Makes the running server take the configuration as it is now.", cli_reload},
    {"upgrade", "", "Makes the running server go on as the program that is installed now, with its ports open.", cli_upgrade},
    {"role", "NAME", "Runs one role; serve starts it.", cli_role},
    {"domain add", "DOMAIN...", "Adds domains whose mail is ours, and makes the keys that sign it.", cli_domain_add, true},
    {"domain list", "", "Lists our domains.", cli_domain_list},
    {"domain remove", "DOMAIN", "Removes a domain that has no users and aliases.", cli_domain_remove, true},
    {"dkim list", "[DOMAIN]", "Lists the keys that sign our mail.", cli_dkim_list},
    {"dkim rotate", "DOMAIN [--activate]", "Makes a domain's next keys and says what to publish; then has them sign.", cli_dkim_rotate, true},
    {"dkim prune", "[DOMAIN]", "Removes keys that have retired and whose mail has drained.", cli_dkim_prune, true},
    {"dns print", "DOMAIN", "Prints the records that a domain needs, as text for its zone.", cli_dns_print},
    {"dns check", "DOMAIN [--address IP]... [--dnsbl ZONE]... [--resolver HOST:PORT]... [--trust-anchor FILE]",
        "Asks the DNS what it says of a domain's mail, and prints the records that mend it.", cli_dns_check},
    {"user add", "ADDRESS [--password-stdin] [--quota SIZE]",
        "Adds an account; without --password-stdin its password is made and printed.", cli_user_add, true},
    {"user list", "", "Lists the accounts.", cli_user_list},
    {"user remove", "ADDRESS [--purge]", "Removes an account; its mail stays, or goes with --purge.", cli_user_remove, true},
    {"user passwd", "ADDRESS [--password-stdin]",
        "Changes a password; without --password-stdin it is made and printed.", cli_user_passwd, true},
    {"user set", "ADDRESS [--quota SIZE] [--enabled yes|no]", "Changes an account.", cli_user_set, true},
    {"alias add", "ALIAS TARGET...", "Adds targets to an alias; @DOMAIN is the catch-all.", cli_alias_add, true},
    {"alias list", "", "Lists the aliases.", cli_alias_list},
    {"alias remove", "ALIAS [TARGET]", "Removes an alias, or one of its targets.", cli_alias_remove, true},
    {"directory export", "", "Prints domains, users and aliases as text.", cli_directory_export},
    {"directory apply", "FILE", "Makes the directory what the file (- for standard input) says.", cli_directory_apply, true},
    {"queue ls", "[CONDITION...]", "Lists messages in the queue.", cli_queue_ls, .more = filter_conditions},
    {"queue show", "CONDITION...", "Shows messages with the beginning of their content.", cli_queue_show, .more = filter_conditions},
    {"queue why", "CONDITION...", "Explains why messages are still in the queue.", cli_queue_why, .more = filter_conditions},
    {"queue retry", "CONDITION...|--all", "Tries messages again now.", cli_queue_act, .more = filter_conditions},
    {"queue hold", "CONDITION...|--all", "Keeps messages from being tried.", cli_queue_act, .more = filter_conditions},
    {"queue release", "CONDITION...|--all", "Lets messages go that were held.", cli_queue_act, .more = filter_conditions},
    {"queue drop", "CONDITION...|--all", "Removes messages without a word to anybody.", cli_queue_act, .more = filter_conditions},
    {"queue bounce", "CONDITION...|--all", "Returns messages to their senders.", cli_queue_act, .more = filter_conditions},
    {"reports send", "[--domain DOMAIN]", "Sends our reports about DMARC and TLS now, those of today too.", cli_reports_send},
    {"reports show", "ID", "Shows a report about one of our domains.", cli_reports_show},
    {"reports list", "[--domain DOMAIN] [--since DURATION]", "Lists the reports about our domains.", cli_reports},
    {"reports", "[--domain DOMAIN] [--since DURATION]", "Lists the reports about our domains.", cli_reports},
    {"trace", "[ID|SESSION|ADDRESS] [--since DURATION|--follow]",
        "Tells the story of a message, a session or an address.", cli_trace},
    {"top", "[--once]", "Shows what the server is doing, every second.", cli_top},
    {"send", "[--from ADDRESS] [--to ADDRESS]... [--subject TEXT] [--file FILE]",
        "Sends the text on standard input, or a whole message from FILE (- for standard input).", cli_send},
    {"sendmail", "[OPTION...] [ADDRESS...]", "Does what programs expect of sendmail.", cli_sendmail},
    {"try smtp", "--from-ip ADDRESS --helo NAME --mail SENDER --rcpt ADDRESS [--data FILE] [--listener NAME] [--time SECONDS]\n"
        "           [--resolver HOST:PORT]... [--trust-anchor FILE]",
        "Says what the server would say to a client, and why, from its connection to its message.", cli_try_smtp, .more = trial_more},
    {"try spf", "--ip ADDRESS --helo NAME [--from SENDER] [--resolver HOST:PORT]... [--trust-anchor FILE]",
        "Says what SPF says of a client and its sender.", cli_try_spf, .more = trial_more},
    {"try message", "FILE [--ip ADDRESS --helo NAME --from SENDER] [--time SECONDS] [--resolver HOST:PORT]... [--trust-anchor FILE]",
        "Says what SPF, DKIM, ARC and DMARC say of a message, and what the server would do.", cli_try_message, .more = trial_more},
    {"try route", "ADDRESS [--resolver HOST:PORT]... [--trust-anchor FILE]",
        "Says where mail for an address would go.", cli_try_route, .more = trial_more},
    {"bench source", "--to ADDRESS:PORT|unix:PATH [--connections N] [--messages N | --seconds S] [--per-connection K] [--size BYTES | --message FILE]\n"
        "           [--from ADDRESS] [--rcpt ADDRESS]... [--client ADDRESS] [--lmtp] [--no-pipelining] [--latency] [--idle N [--tls]] [--threads N]",
        "Sends messages as fast as a server takes them, and measures.", cli_bench_source},
    {"bench sink", "--listen ADDRESS:PORT|unix:PATH [--lmtp] [--delay-ms N] [--refuse-percent N] [--count-file FILE] [--threads N]",
        "Takes messages and forgets them.", cli_bench_sink},
};
/* clang-format on */

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(FILE *to)
{
    fputs("usage: eilbote [-c FILE] [--json] COMMAND [--help] ...\n"
          "       eilbote --help | --version\n\n",
          to);
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

/* The usages of the commands whose name begins with that word; how many there are. */
static size_t print_group(const char *word, FILE *to)
{
    size_t count = 0;
    for (size_t k = 0; k < COMMAND_COUNT; k++) {
        if (!str_starts(str_from(commands[k].name), str_from(word)) ||
            commands[k].name[strlen(word)] != ' ')
            continue;
        fprintf(to, "usage: eilbote %s %s\n", commands[k].name, commands[k].usage);
        count++;
    }
    return count;
}

/* What is no command: half of one, or nothing we know. */
static int refuse(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0 && print_group(argv[0], stdout) > 0)
        return CLI_DONE;
    fprintf(stderr, "eilbote: unknown command \"%s\"\n", argv[0]);
    if (print_group(argv[0], stderr) == 0)
        fputs("eilbote --help lists what there is\n", stderr);
    return CLI_USAGE;
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
    return refuse(argc, argv);
}

/* True when the program was called by that name, however it is spelled. */
static bool is_called(const char *program, const char *name)
{
    struct str path = str_from(program);
    size_t slash = str_last_index(path, '/');
    return str_equal(slash < path.n ? str_skip(path, slash + 1) : path, str_from(name));
}

static const struct command *find(const char *name)
{
    for (size_t k = 0; k < COMMAND_COUNT; k++)
        if (strcmp(commands[k].name, name) == 0)
            return &commands[k];
    return NULL;
}

/* -c FILE and --json in front of the command: how many words; -1 after saying what is wrong. */
static int take_options(struct invocation *i, int argc, char **argv)
{
    int at = 0;
    for (; at < argc; at++) {
        if (strcmp(argv[at], "--json") == 0) {
            i->is_json = true;
            continue;
        }
        if (strcmp(argv[at], "-c") != 0)
            break;
        const char *file = ++at < argc ? argv[at] : NULL;
        if (!file)
            fputs("eilbote: -c needs a file\n", stderr);
        else if (i->has_conf)
            fprintf(stderr, "eilbote: -c is there twice: \"%s\" and \"%s\"\n", i->conf_path, file);
        if (!file || i->has_conf)
            return -1;
        i->conf_path = file;
        i->has_conf = true;
    }
    return at;
}

int main(int argc, char **argv)
{
    struct invocation i = {.conf_path = getenv("EILBOTE_CONF")};
    if (!i.conf_path || !i.conf_path[0])
        i.conf_path = "/etc/eilbote/eilbote.conf";
    bool is_mailq = argc > 0 && is_called(argv[0], "mailq");
    if (argc > 0 && is_called(argv[0], "newaliases"))
        return CLI_DONE; /* aliases are in force when they are added */
    if (is_mailq || (argc > 0 && is_called(argv[0], "sendmail"))) {
        i.command = find("sendmail");
        i.argc = argc - 1;
        i.argv = argv + 1;
        return is_mailq ? cli_mailq(&i) : cli_sendmail(&i);
    }
    int at = 1, taken = take_options(&i, argc - at, argv + at);
    if (taken < 0)
        return CLI_USAGE;
    at += taken;
    if (at < argc && strcmp(argv[at], "--help") == 0) {
        print_help(stdout);
        return CLI_DONE;
    }
    if (at < argc && strcmp(argv[at], "--version") == 0) {
        puts("eilbote " EILBOTE_VERSION);
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
