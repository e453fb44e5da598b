/* SPDX-License-Identifier: ISC */
/*
 * dmarc_read.c - aggregate reports about DMARC
 *
 * Each end of an element looks its path up in a table; rows of a list of results are collected between the start and the end
 * of their element.
 */
#include "report/dmarc_read.h"

#include <expat.h>
#include <stdlib.h>

#include "base/buf.h"

enum { PATH_LIMIT = 512, NAME_LIMIT = 64, TEXT_LIMIT = DOCUMENT_TEXT_MAX, SIGNATURES_MAX = 100 };

struct dmarc_reader {
    XML_Parser parser;
    struct document *out;
    struct buf path, text;
    size_t depth, elements;
    size_t unseen; /* elements open below one whose name is too long */
    int64_t fed;
    json_t *record, *result; /* that are being read */
    int64_t count;
    const char *error;
};

enum target {
    TO_ORGANIZATION,
    TO_REPORT_ID,
    TO_BEGIN,
    TO_END,
    TO_DOMAIN,
    TO_ABOUT,
    TO_COUNT,
    TO_RECORD,
    TO_RESULT
};

static const struct {
    const char *path, *name;
    enum target target;
} rows[] = {
    {"/feedback/report_metadata/org_name", NULL, TO_ORGANIZATION},
    {"/feedback/report_metadata/report_id", NULL, TO_REPORT_ID},
    {"/feedback/report_metadata/date_range/begin", NULL, TO_BEGIN},
    {"/feedback/report_metadata/date_range/end", NULL, TO_END},
    {"/feedback/report_metadata/email", "contact", TO_ABOUT},
    {"/feedback/report_metadata/extra_contact_info", "extra", TO_ABOUT},
    {"/feedback/report_metadata/generator", "generator", TO_ABOUT},
    {"/feedback/report_metadata/error", "error", TO_ABOUT},
    {"/feedback/policy_published/domain", NULL, TO_DOMAIN},
    {"/feedback/policy_published/p", "p", TO_ABOUT},
    {"/feedback/policy_published/sp", "sp", TO_ABOUT},
    {"/feedback/policy_published/np", "np", TO_ABOUT},
    {"/feedback/policy_published/adkim", "adkim", TO_ABOUT},
    {"/feedback/policy_published/aspf", "aspf", TO_ABOUT},
    {"/feedback/policy_published/pct", "pct", TO_ABOUT},
    {"/feedback/policy_published/fo", "fo", TO_ABOUT},
    {"/feedback/policy_published/testing", "testing", TO_ABOUT},
    {"/feedback/policy_published/discovery_method", "discovery_method", TO_ABOUT},
    {"/feedback/record/row/source_ip", "ip", TO_RECORD},
    {"/feedback/record/row/count", NULL, TO_COUNT},
    {"/feedback/record/row/policy_evaluated/disposition", "disposition", TO_RECORD},
    {"/feedback/record/row/policy_evaluated/dkim", "dkim", TO_RECORD},
    {"/feedback/record/row/policy_evaluated/spf", "spf", TO_RECORD},
    {"/feedback/record/row/policy_evaluated/reason/type", "reason", TO_RECORD},
    {"/feedback/record/row/policy_evaluated/reason/comment", "comment", TO_RECORD},
    {"/feedback/record/identifiers/header_from", "from", TO_RECORD},
    {"/feedback/record/identifiers/envelope_from", "envelope_from", TO_RECORD},
    {"/feedback/record/identifiers/envelope_to", "envelope_to", TO_RECORD},
    {"/feedback/record/auth_results/dkim/domain", "domain", TO_RESULT},
    {"/feedback/record/auth_results/dkim/selector", "selector", TO_RESULT},
    {"/feedback/record/auth_results/dkim/result", "result", TO_RESULT},
    {"/feedback/record/auth_results/spf/domain", "spf_domain", TO_RECORD},
    {"/feedback/record/auth_results/spf/result", "spf_result", TO_RECORD},
};

static void stop(struct dmarc_reader *r, const char *error)
{
    if (!r->error) {
        r->error = error;
        XML_StopParser(r->parser, XML_FALSE);
    }
}

static bool is_at(const struct dmarc_reader *r, const char *path)
{
    return r->unseen == 0 && str_equal(buf_str(&r->path), str_from(path));
}

static void begin_record(struct dmarc_reader *r)
{
    r->record = json_pack("{s:[]}", "signatures");
    r->count = 0;
}

static void on_start(void *arg, const char *name, const char **attributes)
{
    struct dmarc_reader *r = arg;
    (void)attributes;
    const char *colon = strrchr(name, ':');
    struct str local = str_from(colon ? colon + 1 : name);
    if (++r->depth > DMARC_READ_DEPTH_MAX)
        stop(r, "its elements are too deep");
    else if (++r->elements > DMARC_READ_ELEMENTS_MAX)
        stop(r, "it has too many elements");
    else if (r->depth == 1 && !str_equal(local, STR("feedback")))
        stop(r, "it is no feedback");
    if (r->unseen > 0 || local.n > NAME_LIMIT)
        r->unseen++;
    else if (!buf_append_byte(&r->path, '/') || !buf_append(&r->path, local))
        stop(r, "its names are too long");
    r->text.used = 0;
    if (is_at(r, "/feedback/record") && !r->record)
        begin_record(r);
    if (is_at(r, "/feedback/record/auth_results/dkim") && !r->result)
        r->result = json_object();
}

static void on_text(void *arg, const char *text, int n)
{
    struct dmarc_reader *r = arg;
    size_t room = TEXT_LIMIT - r->text.used;
    buf_append(&r->text, str_head(str_make(text, (size_t)n), room));
}

static void set_once(json_t *o, const char *name, struct str raw)
{
    char room[DOCUMENT_TEXT_ROOM];
    struct str text = document_clean(raw, room);
    if (o && text.n > 0 && !json_object_get(o, name))
        json_object_set_new(o, name, json_stringn(text.p, text.n));
}

static void set_first(struct str *to, struct str text)
{
    if (to->n == 0)
        *to = text;
}

/* What an element of the table said. */
static void take(struct dmarc_reader *r, size_t row)
{
    struct document *d = r->out;
    struct str raw = buf_str(&r->text);
    switch (rows[row].target) {
    case TO_ORGANIZATION:
        set_first(&d->organization, document_text(d, raw));
        break;
    case TO_REPORT_ID:
        set_first(&d->report_id, document_text(d, raw));
        break;
    case TO_BEGIN:
        d->begin_s = document_count(raw);
        break;
    case TO_END:
        d->end_s = document_count(raw);
        break;
    case TO_DOMAIN:
        set_first(&d->domain, document_name(d, raw));
        break;
    case TO_COUNT:
        r->count = document_count(raw);
        break;
    case TO_ABOUT:
        set_once(d->about, rows[row].name, raw);
        break;
    case TO_RECORD:
        set_once(r->record, rows[row].name, raw);
        break;
    case TO_RESULT:
        set_once(r->result, rows[row].name, raw);
        break;
    }
}

static bool says_pass(const json_t *record, const char *name)
{
    const char *text = json_string_value(json_object_get(record, name));
    return text && str_equal_nocase(str_from(text), STR("pass"));
}

static void end_record(struct dmarc_reader *r)
{
    struct document *d = r->out;
    bool is_good = says_pass(r->record, "dkim") || says_pass(r->record, "spf");
    int64_t *sum = is_good ? &d->good : &d->bad;
    *sum = *sum + r->count < DOCUMENT_COUNT_MAX ? *sum + r->count : DOCUMENT_COUNT_MAX;
    document_add(d, r->count, r->record);
    r->record = NULL;
}

static void end_result(struct dmarc_reader *r)
{
    json_t *list = json_object_get(r->record, "signatures");
    if (list && json_array_size(list) < SIGNATURES_MAX)
        json_array_append(list, r->result);
    json_decref(r->result);
    r->result = NULL;
}

static void on_end(void *arg, const char *name)
{
    struct dmarc_reader *r = arg;
    (void)name;
    r->depth--;
    if (r->unseen > 0) {
        r->unseen--;
        return;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (is_at(r, rows[i].path))
            take(r, i);
    if (r->record && is_at(r, "/feedback/record"))
        end_record(r);
    else if (r->result && is_at(r, "/feedback/record/auth_results/dkim"))
        end_result(r);
    r->path.used = str_last_index(buf_str(&r->path), '/');
    r->text.used = 0;
}

static void on_doctype(void *arg, const char *name, const char *system, const char *public,
                       int has_subset)
{
    (void)name;
    (void)system;
    (void)public;
    (void)has_subset;
    stop(arg, "it has a document type declaration");
}

struct dmarc_reader *dmarc_reader_make(struct document *out)
{
    struct dmarc_reader *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    r->parser = XML_ParserCreate(NULL);
    if (!r->parser)
        abort();
    r->out = out;
    r->path = buf_make(PATH_LIMIT);
    r->text = buf_make(TEXT_LIMIT);
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    return r;
}

void dmarc_reader_free(struct dmarc_reader *r)
{
    if (!r)
        return;
    XML_ParserFree(r->parser);
    json_decref(r->record);
    json_decref(r->result);
    buf_free(&r->path);
    buf_free(&r->text);
    free(r);
}

bool dmarc_reader_feed(struct dmarc_reader *r, struct str piece)
{
    if (r->error)
        return false;
    if (XML_Parse(r->parser, piece.p, (int)piece.n, 0) == XML_STATUS_ERROR) {
        if (!r->error)
            r->error = XML_ErrorString(XML_GetErrorCode(r->parser));
        return false;
    }
    r->fed += (int64_t)piece.n;
    int64_t read = XML_GetCurrentByteIndex(r->parser);
    if (r->fed - (read < 0 ? 0 : read) > DMARC_READ_TOKEN_MAX)
        r->error = "something in it is too long";
    return !r->error;
}

struct fault dmarc_reader_end(struct dmarc_reader *r)
{
    if (!r->error && XML_Parse(r->parser, "", 0, 1) == XML_STATUS_ERROR && !r->error)
        r->error = XML_ErrorString(XML_GetErrorCode(r->parser));
    if (!r->error && !document_is_whole(r->out))
        r->error = "organization, report id, domain or time is missing";
    if (r->error)
        return fault_make(554, FAULT_STATUS(5, 6, 0), "the report cannot be read: %s", r->error);
    return FINE;
}
