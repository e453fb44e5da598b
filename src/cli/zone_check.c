/* SPDX-License-Identifier: ISC */
/*
 * zone_check.c - whether the DNS says of a domain's mail what it should
 */
#include "cli/zone_check.h"

#include <stdarg.h>
#include <stdio.h>

#include "net/loop.h"
#include "role/control.h"

enum { REASON_MAX = 600, RECORD_MAX = 8192 };

const char *zone_level_name(enum zone_level level)
{
    static const char *const names[] = {[ZONE_OK] = "ok", [ZONE_WARN] = "warn", [ZONE_BAD] = "bad"};
    return names[level];
}

void zone_check_begin(struct zone_check *k, const char *name)
{
    k->name = name;
    arena_free(&k->answers);
    k->answers = arena_make((ZONE_CHECK_QUESTIONS + 8) * (size_t)INQUIRY_ANSWER_BYTES);
    k->inquiry = (struct inquiry){.resolver = k->resolver,
                                  .deadline_ms = loop_now_ms(loop_current()) + ZONE_CHECK_TIME_MS};
    k->asker = inquiry_asker(&k->inquiry, &k->answers, ZONE_CHECK_QUESTIONS);
}

static void put(json_t *o, const char *name, struct str text)
{
    json_object_set_new(o, name, control_text(text));
}

void zone_check_tell(struct zone_check *k, enum zone_level level, struct str name, struct str found,
                     const struct zone_item *mend, const char *format, ...)
{
    char reason[REASON_MAX];
    struct buf record = buf_make(RECORD_MAX);
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    if (mend)
        zone_plan_append(mend, &record);
    json_t *o = json_pack("{s:s, s:s}", "check", k->name, "result", zone_level_name(level));
    put(o, "domain", k->domain);
    put(o, "name", name);
    put(o, "reason", str_from(reason));
    put(o, "found", found);
    put(o, "expected", mend ? mend->data : STR_NONE);
    put(o, "record", str_trim(buf_str(&record)));
    if (level > k->worst)
        k->worst = level;
    k->tell(k->arg, o);
    json_decref(o);
    buf_free(&record);
}

void zone_check_run(struct zone_check *k)
{
    static void (*const everybody[])(struct zone_check *) = {
        zone_check_mx, zone_check_spf, zone_check_dmarc, zone_check_mta_sts, zone_check_tlsrpt,
    };
    static void (*const ours[])(struct zone_check *) = {
        zone_check_dkim, zone_check_ptr, zone_check_helo,
        zone_check_tlsa, zone_check_srv, zone_check_dnsbl,
    };
    if (k->plan)
        zone_check_addresses(k);
    for (size_t i = 0; i < sizeof everybody / sizeof *everybody; i++)
        everybody[i](k);
    for (size_t i = 0; k->plan && i < sizeof ours / sizeof *ours; i++)
        ours[i](k);
    arena_free(&k->answers);
}
