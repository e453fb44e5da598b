/* SPDX-License-Identifier: ISC */
/*
 * peer_reader.c - somebody who reads a mailbox and removes what was read
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "ledger.h"
#include "plan.h"
#include "talk.h"

enum {
    SEEN_MOST = 1024,
    UID_MAX = 72,
    TEXT_MOST = 2 << 20,
    PATIENCE_S = 900,
    REST_MOST_S = 6 * 3600
};

struct seen {
    char uid[UID_MAX];
    bool is_gone;  /* its removal was confirmed */
    bool is_asked; /* removal asked for in this session */
};

struct reader {
    size_t user;
    char address[LEDGER_ADDRESS_MAX];
    struct talk *talk;
    char *line, *text;
    struct seen seen[SEEN_MOST];
    size_t seen_count;
};

static bool ask(struct reader *r, const char *command)
{
    return talk_say(r->talk, "%s\r\n", command) && talk_line(r->talk, r->line) && r->line[0] == '+';
}

static struct seen *find_seen(struct reader *r, const char *uid)
{
    for (size_t i = 0; i < r->seen_count; i++)
        if (strcmp(r->seen[i].uid, uid) == 0)
            return &r->seen[i];
    return NULL;
}

/* Whether a copy may be there twice without anybody's fault: a role was gone, or a disk failed. */
static bool is_doubtful(void)
{
    return world->ledger->crashes > 0 || world->disk->troubles_met > 0;
}

static void look_at(struct reader *r, size_t size)
{
    bool is_sound;
    if (ledger_read_notice(r->text, size, r->address))
        return;
    struct ledger_message *m = ledger_recognise(r->text, size, &is_sound);
    if (!m) {
        ledger_blame(0, "a text that nobody sent is in the mailbox %s", r->address);
        return;
    }
    struct ledger_delivery *d = ledger_deliver(m, r->address, is_sound);
    if (d)
        d->is_certain = !is_doubtful();
}

static bool read_one(struct reader *r, unsigned long number, const char *uid)
{
    char command[64];
    struct seen *known = find_seen(r, uid);
    if (known && known->is_gone)
        ledger_blame(0, "the message %s of %s was removed and is there again", uid, r->address);
    if (!known) {
        snprintf(command, sizeof command, "RETR %lu", number);
        if (!ask(r, command))
            return false;
        ptrdiff_t n = talk_dotted(r->talk, r->text, TEXT_MOST);
        if (n < 0 || r->seen_count == SEEN_MOST)
            return false;
        look_at(r, (size_t)n);
        known = &r->seen[r->seen_count++];
        snprintf(known->uid, sizeof known->uid, "%s", uid);
    }
    if (sim_chance(1, 3)) {
        snprintf(command, sizeof command, "DELE %lu", number);
        known->is_asked = ask(r, command);
    }
    return true;
}

static bool read_all(struct reader *r)
{
    enum { LIST_MOST = 64 * 1024 };
    if (!ask(r, "UIDL"))
        return false;
    char *list = world_take(LIST_MOST);
    ptrdiff_t n = talk_dotted(r->talk, list, LIST_MOST - 1);
    bool is_well = n >= 0;
    list[is_well ? n : 0] = '\0';
    for (char *line = list, *end; is_well && (end = strstr(line, "\r\n")); line = end + 2) {
        *end = '\0';
        char *uid = strchr(line, ' ');
        is_well = uid && read_one(r, strtoul(line, NULL, 10), uid + 1);
    }
    world_free(list, LIST_MOST);
    return is_well;
}

static void visit(struct reader *r)
{
    static const struct link link = {.latency_ns = SIM_MS, .jitter_ns = SIM_MS};
    char command[64];
    struct stream *stream = net_connect(0x0a080001 + (uint32_t)r->user, PLAN_PORT_POP3, &link);
    if (!stream)
        return;
    for (size_t i = 0; i < r->seen_count; i++)
        r->seen[i].is_asked = false;
    r->talk = talk_make(stream, PATIENCE_S * SIM_SECOND);
    snprintf(command, sizeof command, "USER %s", r->address);
    if (talk_line(r->talk, r->line) && ask(r, command) && ask(r, "PASS secret") && read_all(r) &&
        ask(r, "QUIT"))
        for (size_t i = 0; i < r->seen_count; i++)
            r->seen[i].is_gone |= r->seen[i].is_asked;
    talk_close(r->talk, false);
}

void reader_run(void *arg)
{
    struct reader *r = world_alloc(sizeof *r);
    r->user = (size_t)(uintptr_t)arg;
    r->line = world_take(TALK_LINE_MAX);
    r->text = world_take(TEXT_MOST);
    snprintf(r->address, sizeof r->address, "u%zu@home.test", r->user);
    for (int64_t rest_s = 40; !world->plan->is_stopping;) {
        fiber_sleep(sim_between(1, rest_s) * SIM_SECOND);
        visit(r);
        rest_s += rest_s / (plan_is_healed() ? 1 : 6);
        if (rest_s > REST_MOST_S)
            rest_s = REST_MOST_S;
    }
}
