/* SPDX-License-Identifier: ISC */
/*
 * say.c - times, durations and sizes as people read them
 */
#include "cli/say.h"

#include <stdio.h>

#include "base/time.h"

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

void say_safely(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < 0x20 || *text == 0x7F ? '?' : *text);
}
