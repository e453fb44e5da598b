/* SPDX-License-Identifier: ISC */
/*
 * dkim_select.c - which signatures of a message are looked at, when there are many
 *
 * Only where there are more than can be checked, d= and the From field are read here; both are bounded.
 */
#include "check/dkim_select.h"

#include "check/dkim_signature.h"
#include "check/tag_list.h"
#include "mail/idna.h"
#include "mail/mailbox_list.h"

enum { FROM_MAX = 16 << 10 };

struct authors {
    size_t count;
    struct {
        char text[IDNA_DOMAIN_MAX];
        struct str name; /* lower-case A-labels */
    } domain[DKIM_AUTHORS_MAX];
};

static bool is_signature(const struct header_field *f)
{
    return str_equal_nocase(f->name, STR("DKIM-Signature"));
}

static void read_authors(const struct dkim_fields *fields, struct authors *out)
{
    struct str rest = STR_NONE;
    struct buf address = buf_make(FROM_MAX);
    out->count = 0;
    for (size_t i = 0; i < fields->count && !rest.p; i++)
        if (str_equal_nocase(fields->field[i].name, STR("From")))
            rest = str_head(fields->field[i].value, FROM_MAX);
    for (size_t n = 0; n < DKIM_AUTHORS_MAX && rest.n > 0 && mailbox_list_next(&rest, &address);
         n++) {
        struct str text = buf_str(&address);
        struct str name = idna_to_ascii(str_skip(text, str_last_index(text, '@') + 1),
                                        out->domain[out->count].text);
        out->domain[out->count].name = name;
        out->count += name.n > 0;
        address.used = 0;
    }
    buf_free(&address);
}

/* d= as lower-case A-labels; empty when there is none that could verify. */
static struct str read_domain(const struct header_field *field, char room[IDNA_DOMAIN_MAX])
{
    struct tag tag;
    struct str rest = field->value;
    while (field->whole.n <= DKIM_FIELD_MAX && tag_next(&rest, &tag) == TAG_GOOD)
        if (str_equal(tag.name, STR("d")))
            return str_has_8bit(tag.value) ? idna_to_ascii(tag.value, room) : tag.value;
    return STR_NONE;
}

static bool is_within(struct str name, struct str domain)
{
    return domain.n > 0 && str_ends_nocase(name, domain) &&
           (name.n == domain.n || name.p[name.n - domain.n - 1] == '.');
}

static bool is_related(const struct header_field *field, const struct authors *authors)
{
    char room[IDNA_DOMAIN_MAX];
    if (authors->count == 0)
        return false;
    struct str signer = read_domain(field, room);
    for (size_t i = 0; i < authors->count; i++)
        if (is_within(signer, authors->domain[i].name) ||
            is_within(authors->domain[i].name, signer))
            return true;
    return false;
}

static size_t count_signatures(const struct dkim_fields *fields)
{
    size_t count = 0;
    for (size_t i = 0; i < fields->count; i++)
        count += is_signature(&fields->field[i]);
    return count;
}

static size_t count_related(const struct dkim_fields *fields, const struct authors *authors)
{
    size_t count = 0;
    for (size_t i = 0; i < fields->count && count < DKIM_CHECKED_MAX; i++)
        count += is_signature(&fields->field[i]) && is_related(&fields->field[i], authors);
    return count;
}

size_t dkim_select(const struct dkim_fields *fields, struct dkim_selected out[DKIM_VERDICTS_MAX])
{
    struct authors authors = {.count = 0};
    size_t count = 0, unchecked = 0;
    if (count_signatures(fields) > DKIM_CHECKED_MAX)
        read_authors(fields, &authors);
    size_t related = count_related(fields, &authors), others = DKIM_CHECKED_MAX - related;
    for (size_t i = 0; i < fields->count && count < DKIM_VERDICTS_MAX; i++) {
        const struct header_field *f = &fields->field[i];
        if (!is_signature(f))
            continue;
        size_t *left = is_related(f, &authors) ? &related : &others;
        bool is_checked = *left > 0;
        *left -= is_checked;
        if (is_checked || unchecked < DKIM_VERDICTS_MAX - DKIM_CHECKED_MAX)
            out[count++] = (struct dkim_selected){f, is_checked};
        unchecked += !is_checked;
    }
    return count;
}
