/* SPDX-License-Identifier: ISC */
/*
 * dmarc_write.c - an aggregate report as XML
 *
 * The namespace and the order of the elements are RFC 9990's. Readers that know RFC 7489 alone find what they know in
 * the places where they look for it.
 */
#include "report/dmarc_write.h"

/* Text as content: what XML cannot have was taken away when it was counted (report/count.c). */
static bool append_text(struct buf *out, struct str text)
{
    bool is_good = true;
    for (size_t i = 0; i < text.n && is_good; i++) {
        char c = text.p[i];
        is_good = c == '&'                 ? buf_append(out, STR("&amp;"))
                  : c == '<'               ? buf_append(out, STR("&lt;"))
                  : c == '>'               ? buf_append(out, STR("&gt;"))
                  : (unsigned char)c < ' ' ? buf_append_byte(out, '?')
                                           : buf_append_byte(out, c);
    }
    return is_good;
}

static void element(struct buf *out, const char *indent, const char *name, struct str text)
{
    buf_printf(out, "%s<%s>", indent, name);
    append_text(out, text);
    buf_printf(out, "</%s>\n", name);
}

static void number(struct buf *out, const char *indent, const char *name, int64_t value)
{
    buf_printf(out, "%s<%s>%lld</%s>\n", indent, name, (long long)value, name);
}

static struct str text_of(const json_t *o, const char *name)
{
    const json_t *text = json_object_get(o, name);
    return str_make(json_string_value(text), json_string_length(text));
}

static void write_metadata(const struct report_draft *d, const struct report_author *by,
                           struct buf *out)
{
    buf_append(out, STR("  <report_metadata>\n"));
    element(out, "    ", "org_name", by->organization);
    element(out, "    ", "email", by->address);
    element(out, "    ", "report_id", by->report_id);
    buf_append(out, STR("    <date_range>\n"));
    number(out, "      ", "begin", d->begin_s);
    number(out, "      ", "end", d->end_s);
    buf_append(out, STR("    </date_range>\n"));
    if (d->lost > 0)
        buf_printf(out,
                   "    <error>%lld messages are not in the records: there were too many "
                   "different ones</error>\n",
                   (long long)d->lost);
    element(out, "    ", "generator", STR("Eilbote"));
    buf_append(out, STR("  </report_metadata>\n"));
}

static void write_policy(const struct report_draft *d, struct buf *out)
{
    static const char *const names[] = {"p", "sp", "np", "adkim", "aspf"};
    buf_append(out, STR("  <policy_published>\n"));
    element(out, "    ", "domain", d->ticket.domain);
    element(out, "    ", "discovery_method", STR("treewalk"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        element(out, "    ", names[i], text_of(d->policy, names[i]));
    element(out, "    ", "testing", text_of(d->policy, "testing"));
    buf_append(out, STR("  </policy_published>\n"));
}

static void write_evaluation(const struct report_row *row, struct buf *out)
{
    static const char *const names[] = {"disposition", "dkim", "spf"};
    struct str reason = text_of(row->outcome, "reason");
    buf_append(out, STR("    <row>\n"));
    element(out, "      ", "source_ip", text_of(row->outcome, "ip"));
    number(out, "      ", "count", row->count);
    buf_append(out, STR("      <policy_evaluated>\n"));
    for (size_t i = 0; i < 3; i++)
        element(out, "        ", names[i], text_of(row->outcome, names[i]));
    if (reason.n > 0) {
        buf_append(out, STR("        <reason>\n"));
        element(out, "          ", "type", reason);
        buf_append(out, STR("        </reason>\n"));
    }
    buf_append(out, STR("      </policy_evaluated>\n    </row>\n"));
}

static void write_results(const struct report_row *row, struct buf *out)
{
    const json_t *signature;
    size_t i;
    struct str spf = text_of(row->outcome, "spf_domain");
    buf_append(out, STR("    <auth_results>\n"));
    json_array_foreach(json_object_get(row->outcome, "signatures"), i, signature)
    {
        static const char *const names[] = {"domain", "selector", "result"};
        buf_append(out, STR("      <dkim>\n"));
        for (size_t k = 0; k < 3; k++) {
            const json_t *text = json_array_get(signature, k);
            element(out, "        ", names[k],
                    str_make(json_string_value(text), json_string_length(text)));
        }
        buf_append(out, STR("      </dkim>\n"));
    }
    if (spf.n > 0) {
        buf_append(out, STR("      <spf>\n"));
        element(out, "        ", "domain", spf);
        element(out, "        ", "scope", STR("mfrom"));
        element(out, "        ", "result", text_of(row->outcome, "spf_result"));
        buf_append(out, STR("      </spf>\n"));
    }
    buf_append(out, STR("    </auth_results>\n"));
}

static void write_record(const struct report_row *row, struct buf *out)
{
    buf_append(out, STR("  <record>\n"));
    write_evaluation(row, out);
    buf_append(out, STR("    <identifiers>\n"));
    element(out, "      ", "header_from", text_of(row->outcome, "from"));
    element(out, "      ", "envelope_from", text_of(row->outcome, "envelope_from"));
    buf_append(out, STR("    </identifiers>\n"));
    write_results(row, out);
    buf_append(out, STR("  </record>\n"));
}

bool dmarc_report_write(const struct report_draft *d, const struct report_author *by,
                        struct buf *out)
{
    buf_append(out, STR("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                        "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n"
                        "  <version>1.0</version>\n"));
    write_metadata(d, by, out);
    write_policy(d, out);
    for (size_t i = 0; i < d->row_count; i++)
        write_record(&d->row[i], out);
    return buf_append(out, STR("</feedback>\n"));
}
