/* SPDX-License-Identifier: ISC */
/*
 * field.h - the options of eilbote.conf as a table
 *
 * One row per option says its name, its kind, where its value lives in struct conf and what it is
 * when nobody sets it. Reading, checking, defaults and printing all go by this table.
 */
#ifndef CONF_FIELD_H
#define CONF_FIELD_H

#include "base/str.h"

#include <stdint.h>

enum field_kind {
    FIELD_TEXT,     /* struct str */
    FIELD_NAME,     /* struct str, a domain in lower case, perhaps with a leading dot */
    FIELD_PATH,     /* struct str */
    FIELD_SENDER,   /* struct str, "local@domain", "domain" or ".domain" in lower case */
    FIELD_COUNT,    /* int64_t */
    FIELD_SIZE,     /* int64_t, bytes */
    FIELD_DURATION, /* int64_t, milliseconds */
    FIELD_SWITCH,   /* bool */
    FIELD_WORD,     /* int, an index into words */
    FIELD_ADDRESS,  /* struct ip_address */
    FIELD_NETWORK,  /* struct ip_network */
    FIELD_ENDPOINT, /* struct ip_endpoint */
    FIELD_ACTION,   /* struct policy_action */
    FIELD_SITE,     /* struct dnsbl_site */
    FIELD_RATE      /* struct policy_rate */
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;        /* in the section's struct */
    const char *standard; /* value when not set; NULL: empty, zero or off */
    int64_t minimum, maximum;
    const char *const *words; /* NULL-terminated; "" cannot be written */
    bool is_list;             /* the struct has {item, count} */
};

/* A section of the file and where it goes. */
struct section {
    const char *name; /* NULL: the top level */
    const struct field *fields;
    size_t field_count;
    bool has_title; /* may be repeated; the title is the struct's first member, a struct str */
    size_t offset;  /* in struct conf: the struct, or with a title the pointer to them; the
                       count follows the pointer */
    size_t size;    /* of the struct */
};

extern const struct section field_sections[];
extern const size_t field_section_count;

/* The row of that name in the section, or NULL. */
const struct field *field_find(const struct section *section, const char *name);

/* Bytes of one value of this kind. */
size_t field_size(const struct field *f);

/* Whether the option at place (no list) has a value: texts and ports may have none. */
bool field_is_set(const struct field *f, const void *place);

/* The names of roles, for messages. */
extern const char *const field_roles[];

#endif
