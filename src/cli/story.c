/* SPDX-License-Identifier: ISC */
/*
 * story.c - what the events tell about a message, a session or an address
 *
 * The events are read twice: first to learn which messages and sessions belong together, then to
 * print them. Nothing but those ids is kept in memory.
 */
#include "cli/story.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "cli/events.h"
#include "cli/say.h"
#include "queue/envelope.h"

enum { KEPT_MOST = 1 << 30 };

struct story {
    char *address; /* as a JSON string, or NULL */
    bool is_about_all, is_about_session;
    json_t *messages; /* objects as sets of ids */
    json_t *sessions;
};

static void add_id(json_t *set, const char *id)
{
    if (id[0])
        json_object_set_new(set, id, json_true());
}

struct story *story_make(const char *about)
{
    struct story *s = calloc(1, sizeof *s);
    uint64_t id;
    char text[QUEUE_ID_TEXT_MAX];
    if (!s)
        abort();
    s->messages = json_object();
    s->sessions = json_object();
    s->is_about_all = about == NULL;
    if (!about)
        return s;
    if (strchr(about, '@')) {
        json_t *address = json_string(about);
        s->address = json_dumps(address, JSON_ENCODE_ANY);
        json_decref(address);
    } else if (queue_id_parse(str_from(about), &id)) {
        struct str canonical = queue_id_text(id, text);
        json_object_setn_new(s->messages, canonical.p, canonical.n, json_true());
    } else {
        s->is_about_session = true;
        add_id(s->sessions, about);
    }
    return s;
}

void story_free(struct story *s)
{
    json_decref(s->messages);
    json_decref(s->sessions);
    free(s->address);
    free(s);
}

static json_t *parse(struct str line)
{
    json_error_t error;
    return json_loadb(line.p, line.n, JSON_ALLOW_NUL, &error);
}

/* A field may be there several times ("to"), so the address is looked for in the text. */
static bool has_address(const struct story *s, struct str line)
{
    size_t n = s->address ? strlen(s->address) : 0;
    for (size_t at = 0; n > 0 && at + n <= line.n; at++)
        if (line.p[at] == '"' && str_equal_nocase(str_make(line.p + at, n), str_from(s->address)))
            return true;
    return false;
}

static bool is_in(const json_t *set, const char *id)
{
    return id[0] && json_object_get(set, id);
}

void story_learn(struct story *s, struct str line)
{
    if (s->is_about_all)
        return;
    bool is_named = has_address(s, line);
    json_t *o = parse(line);
    const char *message = say_text(o, "message"), *session = say_text(o, "session");
    if (is_named || is_in(s->messages, message) || is_in(s->messages, say_text(o, "about"))) {
        add_id(s->messages, message);
        add_id(s->sessions, session);
    } else if (s->is_about_session && is_in(s->sessions, session)) {
        add_id(s->messages, message);
    }
    json_decref(o);
}

bool story_has(const struct story *s, struct str line)
{
    if (s->is_about_all)
        return true;
    json_t *o = parse(line);
    const char *message = say_text(o, "message");
    const char *about = say_text(o, "about");
    bool is_ours = message[0] || about[0] ? is_in(s->messages, message) || is_in(s->messages, about)
                                          : is_in(s->sessions, say_text(o, "session"));
    json_decref(o);
    return is_ours;
}

/* Events as sentences: {name} is a field, [ ... ] stands only when all fields in it are there. */
/* clang-format off */
static const struct {
    const char *event, *sentence;
} sentences[] = {
    {"message.accepted", "{message} accepted in session {session} from <{from}> for {recipients} recipient(s), the last named <{to}>; {size} bytes"},
    {"message.refused", "message refused in session {session} from <{from}>: {reply} [{status} ]{text}"},
    {"smtp.rcpt.refused", "session {session}: recipient <{to}> refused: {reply} [{status} ]{text}"},
    {"smtp.login", "session {session}: {account} has logged in"},
    {"smtp.login.failed", "session {session}: login of {client} failed: {reply} [{status} ]{text}"},
    {"smtp.name.failed", "session {session}: the name of {client} is unknown: {text}"},
    {"policy.decision", "session {session}: {rule} at {stage} says {result}[ about {domain}][: {reason}][; {reply} [{status} ]{text}]"},
    {"policy.failed", "the policy cannot work as it should: {text}"},
    {"milter.decision", "[{message} ]in session {session}: the filter {milter} says {result} at {stage}[: {reply} [{status} ]{text}]"},
    {"milter.failed", "[{message} ]in session {session}: the filter {milter} failed at {stage}, {action}: {text}"},
    {"smtp.session.ended", "session {session} on {listener} from {client}[ ({helo})] has ended after {ms} ms with {messages} message(s)"},
    {"smtp.session.dropped", "session {session} on {listener} from {client} dropped: {reply} [{status} ]{text}"},
    {"smtp.session.refused", "session {session} on {listener} from {client} refused: {reply} [{status} ]{text}"},
    {"sessions.refused", "{count} clients more of {listener} were turned away"},
    {"delivery.done", "{message} delivered to <{to}>[ by {remote}], attempt {attempt}, {ms} ms"},
    {"srs.rewritten", "{message} goes to {domain} as mail of <{as}>, so that bounces to <{from}> come back by us"},
    {"delivery.expanded", "{message} goes to the addresses behind the alias <{to}>, and its sender is told so"},
    {"delivery.deferred", "{message} not delivered to <{to}> yet, attempt {attempt}[, {remote}]: {reply} [{status} ]{text}"},
    {"delivery.failed", "{message} cannot be delivered to <{to}>[, {remote}]: {reply} [{status} ]{text}"},
    {"delivery.expired", "{message} given up for <{to}> after attempt {attempt}[, {remote}]: {reply} [{status} ]{text}"},
    {"mailbox.removed", "the mail of {account} is removed, {messages} message(s)[: {reply} {text}]"},
    {"notice.accepted", "{message} is a notice to <{to}> that {about} is {action}"},
    {"notice.incomplete", "{about} cannot be read, the notice to <{to}> goes without it: {text}"},
    {"notice.redacted", "{about} cannot go to <{to}> with REQUIRETLS, {message} says the same without the message it is about[: {reply} [{status} ]{text}]"},
    {"notice.deferred", "<{to}> cannot be told yet that {about} is {action}: {reply} [{status} ]{text}"},
    {"notice.failed", "<{to}> cannot be told that {about} is {action}: {reply} [{status} ]{text}"},
};
/* clang-format on */

/* No string: strings may be inside. */
static void print_value(const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    say_safely(text);
    free(text);
}

static void print_field(const json_t *o, struct str name)
{
    json_t *value = json_object_getn(o, name.p, name.n);
    if (json_is_string(value))
        say_safely_slice(str_make(json_string_value(value), json_string_length(value)));
    else if (value)
        print_value(value);
}

static void print_sentence(const json_t *o, struct str sentence)
{
    while (sentence.n > 0) {
        char c = sentence.p[0];
        struct str inner = str_skip(sentence, 1);
        if (c == '{') {
            inner = str_head(inner, str_index(inner, '}'));
            print_field(o, inner);
            sentence = str_skip(sentence, inner.n + 2);
        } else if (c == '[') {
            inner = str_head(inner, str_index(inner, ']'));
            struct str name = str_skip(inner, str_index(inner, '{') + 1);
            if (json_object_getn(o, name.p, str_index(name, '}')))
                print_sentence(o, inner);
            sentence = str_skip(sentence, inner.n + 2);
        } else {
            putchar(c);
            sentence = inner;
        }
    }
}

static void print_plainly(const json_t *o, const char *event)
{
    void *at;
    say_safely(event);
    for (at = json_object_iter((json_t *)(uintptr_t)o); at;
         at = json_object_iter_next((json_t *)(uintptr_t)o, at)) {
        const char *name = json_object_iter_key(at);
        if (strcmp(name, "time") == 0 || strcmp(name, "event") == 0)
            continue;
        putchar(' ');
        say_safely(name);
        putchar('=');
        print_field(o, str_from(name));
    }
}

void story_print_line(struct str line, bool is_json)
{
    if (is_json) {
        printf(STR_FMT "\n", STR_ARG(line));
        return;
    }
    json_t *o = parse(line);
    const char *event = say_text(o, "event"), *sentence = NULL;
    for (size_t k = 0; k < sizeof sentences / sizeof sentences[0]; k++)
        if (strcmp(sentences[k].event, event) == 0)
            sentence = sentences[k].sentence;
    say_safely(say_text(o, "time"));
    fputs("  ", stdout);
    if (sentence)
        print_sentence(o, str_from(sentence));
    else
        print_plainly(o, event);
    putchar('\n');
    json_decref(o);
}

/* "2026-03-01T12:00:00.123Z", as the events have it. */
static void write_time(int64_t real_ms, char text[SAY_MAX])
{
    struct time_parts t = time_split(real_ms / 1000);
    snprintf(text, SAY_MAX, "%04lld-%02u-%02uT%02u:%02u:%02u.%03lldZ", (long long)t.year, t.month,
             t.day, t.hour, t.minute, t.second, (long long)(real_ms % 1000));
}

struct fault story_learn_all(struct story *s, const struct conf *c)
{
    struct events *e;
    struct str line;
    struct fault f = events_open(c, &e);
    while (!f.kind && events_next(e, &line))
        story_learn(s, line);
    events_close(e);
    return f;
}

/* The lines of one story. Each thread of a role writes its own a little later, so they are put into
 * the order of time. */
struct told {
    struct arena arena;
    struct told_line {
        struct str text;
        int stage;
        size_t number;
    } * line;
    size_t count, size;
};

/* Within a millisecond: a message comes, is stored, and then that is known to the sender. */
static int stage_of(struct str line)
{
    struct str name = events_name(line);
    if (str_starts(name, STR("delivery.")) || str_starts(name, STR("notice.")))
        return 2;
    return str_starts(name, STR("mailbox."));
}

static int by_time(const void *a, const void *b)
{
    const struct told_line *x = a, *y = b;
    int order = str_compare(events_time(x->text), events_time(y->text));
    if (order == 0)
        order = x->stage - y->stage;
    return order ? order : (x->number > y->number) - (x->number < y->number);
}

static void keep(struct told *t, struct str line)
{
    if (t->count == t->size) {
        t->size = t->size ? t->size * 2 : 64;
        t->line = realloc(t->line, t->size * sizeof *t->line);
        if (!t->line)
            abort();
    }
    t->line[t->count] = (struct told_line){arena_copy(&t->arena, line), stage_of(line), t->count};
    t->count++;
}

static void print_kept(struct told *t, bool is_json, const char *headline)
{
    if (t->count > 0)
        qsort(t->line, t->count, sizeof *t->line, by_time);
    if (t->count > 0 && headline)
        puts(headline);
    for (size_t k = 0; k < t->count; k++)
        story_print_line(t->line[k].text, is_json);
    free(t->line);
    arena_free(&t->arena);
}

int64_t story_print(const struct invocation *i, const struct conf *c, const char *about,
                    int64_t since_ms, const char *headline)
{
    struct story *s = story_make(about);
    struct told told = {.arena = arena_make(KEPT_MOST)};
    struct events *e = NULL;
    struct str line;
    char since[SAY_MAX];
    int64_t count = 0;
    write_time(since_ms, since);
    struct fault f = about ? story_learn_all(s, c) : FINE;
    if (!f.kind)
        f = events_open(c, &e);
    while (!f.kind && events_next(e, &line)) {
        if (str_compare(events_time(line), str_from(since)) < 0 || !story_has(s, line))
            continue;
        count++;
        if (about)
            keep(&told, line);
        else
            story_print_line(line, i->is_json);
    }
    print_kept(&told, i->is_json, headline);
    events_close(e);
    story_free(s);
    if (f.kind)
        cli_fail(i, "%s", f.text);
    return f.kind ? -1 : count;
}
