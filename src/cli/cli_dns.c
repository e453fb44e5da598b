/* SPDX-License-Identifier: ISC */
/*
 * cli_dns.c - eilbote dns print: the records that a domain needs, as text for its zone
 *
 * Names that are not in the domain's zone are comments.
 */
#include "cli/cli.h"

#include <stdio.h>

#include "cli/zone_plan.h"

enum { ARENA_BYTES = 16 << 20, TEXT_LIMIT = 1 << 20 };

static int print_json(const struct zone_plan *p)
{
    json_t *records = json_array();
    for (size_t k = 0; k < p->count; k++) {
        const struct zone_item *item = &p->item[k];
        if (item->kind != ZONE_COMMENT)
            json_array_append_new(
                records, json_pack("{s:s%,s:s,s:s%,s:b}", "name", item->name.p, item->name.n,
                                   "type", item->type, "data", item->data.p, item->data.n,
                                   "in-zone", (int)zone_plan_is_within(item->name, p->domain)));
    }
    return cli_print_json(
        json_pack("{s:s%,s:o}", "domain", p->domain.p, p->domain.n, "records", records));
}

static int print_text(const struct invocation *i, const struct zone_plan *p)
{
    struct buf text = buf_make(TEXT_LIMIT);
    bool is_good = true;
    for (size_t k = 0; k < p->count && is_good; k++) {
        const struct zone_item *item = &p->item[k];
        bool is_inside = item->kind == ZONE_COMMENT || zone_plan_is_within(item->name, p->domain);
        is_good = (is_inside || buf_append(&text, STR("; in the zone of that name: "))) &&
                  zone_plan_append(item, &text);
    }
    if (is_good && text.used > 0)
        fwrite(text.data, 1, text.used, stdout);
    buf_free(&text);
    return is_good ? CLI_DONE : cli_fail(i, "the records cannot be made");
}

int cli_dns_print(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    bool has = false;
    int result = cli_parse(i, NULL, 0, 1, 1, words);
    if (result != CLI_DONE)
        return result;
    struct arena arena = arena_make(ARENA_BYTES);
    struct zone_plan plan;
    struct conf *c = cli_conf(i);
    struct directory *directory = c ? cli_directory(i, DIRECTORY_READ) : NULL;
    struct str domain = cli_folded(&arena, words[0]);
    result = directory ? cli_result(i, directory_has_domain(directory, domain, &has)) : CLI_FAILED;
    if (result == CLI_DONE && !has)
        result =
            cli_fail(i, "%s is not in the directory; eilbote domain add makes it ours", words[0]);
    if (result == CLI_DONE)
        result = cli_result(i, zone_plan_make(c, directory, domain, &arena, &plan));
    if (result == CLI_DONE)
        result = i->is_json ? print_json(&plan) : print_text(i, &plan);
    directory_close(directory);
    conf_free(c);
    arena_free(&arena);
    return result;
}
