/* SPDX-License-Identifier: ISC */
/*
 * fuzz_story.c - an event line is printed as one line that a terminal does not obey; a story is the
 * lines that name what it is about
 *
 * The input is what the story is about, then lines as the event files would have them.
 */
#include "cli/story.h"

#include "base/utf8.h"
#include "cli/events.h"
#include "fuzz.h"

static bool has_text(const json_t *o, const char *name, const char *text)
{
    const json_t *value = json_object_get(o, name);
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* One line, whatever was in the event. */
static void check_print(struct str line)
{
    char *text = NULL;
    size_t size = 0;
    FILE *before = stdout;
    stdout = open_memstream(&text, &size);
    must(stdout != NULL);
    story_print_line(line, false);
    fclose(stdout);
    stdout = before;
    struct str out = str_make(text, size);
    uint32_t character;
    must(size > 0 && str_index(out, '\n') == size - 1);
    for (out.n--; utf8_take(&out, &character);)
        must(!utf8_is_control(character));
    must(out.n == 0);
    free(text);
}

static void check_names(struct str line)
{
    struct str time = events_time(line), name = events_name(line);
    must(!str_has(time, '"') && !str_has(name, '"'));
    must(time.n == 0 || (time.p > line.p && time.p + time.n <= line.p + line.n));
    must(name.n == 0 || (name.p > line.p && name.p + name.n <= line.p + line.n));
    must(time.n == 0 || name.n == 0 || name.p > time.p + time.n);
}

/* What is learned from a line with the id itself is in the story, and so is the line. */
static void check_story(struct story *s, const char *about, struct str line)
{
    json_t *o = json_loadb(line.p, line.n, JSON_ALLOW_NUL, NULL);
    bool is_session = !strchr(about, '@') && has_text(o, "session", about);
    bool is_bare = !json_object_get(o, "message") && !json_object_get(o, "about");
    story_learn(s, line);
    if (is_session && is_bare && about[0] && strlen(about) != 13)
        must(story_has(s, line));
    if (!json_is_object(o))
        must(!story_has(s, line));
    json_decref(o);
}

const struct fuzz_memory fuzz_memory = {.factor = 64, .base = 1 << 16};

void fuzz_one(struct str in)
{
    char about[64] = "";
    struct str head, line;
    bool has_more = str_cut(in, '\n', &head, &in);
    head = str_head(head, sizeof about - 1);
    memcpy(about, head.p ? head.p : "", head.n);
    struct story *s = story_make(head.n > 0 ? about : NULL);
    while (has_more) {
        has_more = str_cut(in, '\n', &line, &in);
        if (str_has(line, '\0'))
            continue;
        check_names(line);
        check_print(line);
        if (head.n > 0)
            check_story(s, about, line);
        else
            must(story_has(s, line));
    }
    story_free(s);
}
