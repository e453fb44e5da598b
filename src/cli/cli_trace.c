/* SPDX-License-Identifier: ISC */
/*
 * cli_trace.c - eilbote trace: the story of a message, a session or an address, and the present
 */
#include "cli/cli.h"

#include <stdio.h>

#include "base/num.h"
#include "cli/events.h"
#include "cli/story.h"
#include "os/clock.h"

/* Prints what there is and what comes, until the process is ended. The events so far are those of
 * the story, or none when it is about everything. */
static struct fault follow(const struct invocation *i, const struct conf *c, const char *about)
{
    struct story *s = story_make(about);
    struct events *e = NULL;
    struct str line;
    struct fault f = about ? story_learn_all(s, c) : FINE;
    if (!f.kind)
        f = events_open(c, &e);
    if (!f.kind)
        f = events_wait(e); /* watches from now on */
    if (!f.kind && !about)
        events_skip(e);
    while (!f.kind) {
        while (events_next(e, &line)) {
            story_learn(s, line);
            if (story_has(s, line))
                story_print_line(line, i->is_json);
        }
        if (fflush(stdout) != 0)
            break;
        f = events_wait(e);
    }
    events_close(e);
    story_free(s);
    return f;
}

int cli_trace(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL}, *since = NULL;
    bool is_live = false;
    uint64_t since_ms = 0;
    const uint64_t most_ms = UINT64_C(3650) * 24 * 3600 * 1000;
    const struct cli_option options[] = {{"--follow", &is_live, NULL, NULL},
                                         {"--since", NULL, &since, NULL}};
    int result = cli_parse(i, options, 2, 0, 1, words);
    if (result == CLI_DONE && since && !num_parse_duration(str_from(since), most_ms, &since_ms))
        result = cli_usage(i, "--since is \"%s\"; allowed: a duration like 2h", since);
    if (result == CLI_DONE && since && is_live)
        result = cli_usage(i, "--follow and --since exclude each other");
    struct conf *c = result == CLI_DONE ? cli_conf(i) : NULL;
    if (!c)
        return result == CLI_DONE ? CLI_FAILED : result;
    if (is_live) {
        result = cli_result(i, follow(i, c, words[0]));
    } else {
        int64_t from_ms = since ? clock_real_ms() - (int64_t)since_ms : 0;
        int64_t count = story_print(i, c, words[0], from_ms, NULL);
        result = count < 0 ? CLI_FAILED : CLI_DONE;
        if (count == 0 && words[0])
            result = cli_fail(i, "the events know nothing of %s", words[0]);
    }
    conf_free(c);
    return result;
}
