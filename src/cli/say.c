/* SPDX-License-Identifier: ISC */
/*
 * say.c - times, durations and sizes as people read them
 */
#include "cli/say.h"

#include <stdio.h>
#include <unistd.h>

#include "base/time.h"
#include "base/utf8.h"

const char *say_duration(int64_t ms, char text[SAY_MAX])
{
    static const struct {
        int64_t ms;
        const char *name;
    } unit[] = {{86400000, "days"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}};
    for (size_t i = 0; i < sizeof unit / sizeof unit[0]; i++) {
        int64_t least = i == 0 ? 2 * unit[i].ms : unit[i].ms;
        if (ms >= least) {
            snprintf(text, SAY_MAX, "%lld %s", (long long)(ms / unit[i].ms), unit[i].name);
            return text;
        }
    }
    snprintf(text, SAY_MAX, "0 s");
    return text;
}

const char *say_time(int64_t real_ms, char text[SAY_MAX])
{
    struct time_parts t = time_split(real_ms / 1000);
    snprintf(text, SAY_MAX, "%04lld-%02u-%02u %02u:%02u:%02uZ", (long long)t.year, t.month, t.day,
             t.hour, t.minute, t.second);
    return text;
}

const char *say_size(int64_t bytes, char text[SAY_MAX])
{
    static const char *const unit[] = {"KiB", "MiB", "GiB", "TiB"};
    if (bytes < 1024) {
        snprintf(text, SAY_MAX, "%lld B", (long long)bytes);
        return text;
    }
    double value = (double)bytes / 1024;
    size_t i = 0;
    for (; value >= 1024 && i < 3; i++)
        value /= 1024;
    snprintf(text, SAY_MAX, "%.1f %s", value, unit[i]);
    return text;
}

const char *say_text(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text ? text : "";
}

int64_t say_number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

/* Takes one character from the front; what is no UTF-8 counts as a NUL. */
static struct str take_character(struct str *text, uint32_t *character)
{
    struct str before = *text;
    if (!utf8_take(text, character)) {
        *character = 0;
        *text = str_skip(*text, 1);
    }
    return str_head(before, before.n - text->n);
}

void say_safely_slice(struct str text)
{
    uint32_t character;
    while (text.n > 0) {
        struct str bytes = take_character(&text, &character);
        if (utf8_is_control(character))
            putchar('?');
        else
            fwrite(bytes.p, 1, bytes.n, stdout);
    }
}

void say_safely(const char *text)
{
    say_safely_slice(str_from(text));
}

void say_lines(struct str text, const char *indent)
{
    uint32_t character;
    bool is_at_start = true;
    while (text.n > 0) {
        if (str_starts(text, STR("\r\n")))
            text = str_skip(text, 1);
        struct str bytes = take_character(&text, &character);
        if (is_at_start)
            fputs(indent, stdout);
        is_at_start = character == '\n';
        if (utf8_is_control(character) && !is_at_start && character != '\t')
            printf("\\x%02X", (unsigned)character);
        else
            fwrite(bytes.p, 1, bytes.n, stdout);
    }
    if (!is_at_start)
        putchar('\n');
}

bool say_to_terminal(void)
{
    return isatty(STDOUT_FILENO);
}

void say_json(const json_t *o)
{
    json_dumpf(o, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
}
