/* SPDX-License-Identifier: ISC */
/*
 * dmarc_record.c - what a domain asks receivers to do with mail that is not its own
 */
#include "check/dmarc_record.h"

#include "check/tag_list.h"

static const char *const policies[] = {[DMARC_ASKS_NONE] = "none",
                                       [DMARC_ASKS_QUARANTINE] = "quarantine",
                                       [DMARC_ASKS_REJECT] = "reject"};

const char *dmarc_policy_name(enum dmarc_policy policy)
{
    return policies[policy];
}

static bool read_policy(struct str value, enum dmarc_policy *out, bool *is_given)
{
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
        if (str_equal_nocase(value, str_from(policies[i]))) {
            *out = (enum dmarc_policy)i;
            *is_given = true;
            return true;
        }
    return false;
}

static bool is_letter(struct str value, char letter)
{
    return value.n == 1 && str_lower_byte(value.p[0]) == letter;
}

/* What a record is read with: its tags so far. */
struct reading {
    struct dmarc_record *record;
    bool is_p_wrong, is_sp_wrong, is_np_wrong;
};

static void take_text(struct str *to, struct str value)
{
    if (!to->p)
        *to = value;
}

static void take(struct reading *r, const struct tag *tag)
{
    struct dmarc_record *d = r->record;
    struct str value = tag->value;
    if (str_equal_nocase(tag->name, STR("p")) && !d->has_p && !r->is_p_wrong)
        r->is_p_wrong = !read_policy(value, &d->p, &d->has_p);
    else if (str_equal_nocase(tag->name, STR("sp")) && !d->has_sp && !r->is_sp_wrong)
        r->is_sp_wrong = !read_policy(value, &d->sp, &d->has_sp);
    else if (str_equal_nocase(tag->name, STR("np")) && !d->has_np && !r->is_np_wrong)
        r->is_np_wrong = !read_policy(value, &d->np, &d->has_np);
    else if (str_equal_nocase(tag->name, STR("psd")) && d->psd == DMARC_PSD_UNKNOWN)
        d->psd = is_letter(value, 'y')   ? DMARC_PSD_YES
                 : is_letter(value, 'n') ? DMARC_PSD_NO
                                         : DMARC_PSD_UNKNOWN;
    else if (str_equal_nocase(tag->name, STR("t")))
        d->is_test = d->is_test || is_letter(value, 'y');
    else if (str_equal_nocase(tag->name, STR("adkim")))
        d->is_dkim_strict = d->is_dkim_strict || is_letter(value, 's');
    else if (str_equal_nocase(tag->name, STR("aspf")))
        d->is_spf_strict = d->is_spf_strict || is_letter(value, 's');
    else if (str_equal_nocase(tag->name, STR("rua")))
        take_text(&d->rua, value);
    else if (str_equal_nocase(tag->name, STR("ruf")))
        take_text(&d->ruf, value);
    else if (str_equal_nocase(tag->name, STR("fo")))
        take_text(&d->fo, value);
}

bool dmarc_record_parse(struct str text, struct dmarc_record *out)
{
    struct tag tag;
    enum tag_found found;
    *out = (struct dmarc_record){0};
    struct reading r = {.record = out};
    /* By RFC 9989 the text begins with "v": no blanks in front of it, as other lists of tags have them. */
    if (text.n == 0 || str_lower_byte(text.p[0]) != 'v' || tag_next(&text, &tag) != TAG_GOOD ||
        !str_equal_nocase(tag.name, STR("v")) || !str_equal(tag.value, STR("DMARC1")))
        return false;
    while ((found = tag_next(&text, &tag)) != TAG_END)
        if (found == TAG_GOOD)
            take(&r, &tag);
    out->is_broken = !out->has_p || r.is_sp_wrong || r.is_np_wrong;
    if (!out->has_sp)
        out->sp = out->p;
    if (!out->has_np)
        out->np = out->sp;
    return true;
}

bool dmarc_uri_next(struct str *rest, struct str *address)
{
    struct str item;
    while (tag_item_next(rest, ',', &item)) {
        if (!str_starts_nocase(item, STR("mailto:")))
            continue;
        *address = str_head(str_skip(item, 7), str_index(str_skip(item, 7), '!'));
        *address = str_head(*address, str_index(*address, '?'));
        if (address->n > 0 && str_is_printable(*address) && str_index(*address, '@') > 0 &&
            str_index(*address, '@') < address->n - 1)
            return true;
    }
    return false;
}
