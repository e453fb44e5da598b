/* SPDX-License-Identifier: ISC */
/*
 * value.c - the values of options: read, printed, described
 */
#include "conf/value.h"

#include "base/hostname.h"
#include "base/ip.h"
#include "base/num.h"
#include "check/policy_rules.h"

static struct str lower_copy(struct str text, struct arena *a)
{
    char *copy = arena_c_string(a, text);
    for (size_t i = 0; i < text.n; i++)
        copy[i] = str_lower_byte(copy[i]);
    return str_make(copy, text.n);
}

/* A domain in ASCII, perhaps with a dot before it for what is below. */
static bool parse_name(struct str text, struct arena *a, struct str *out)
{
    struct str name = text.n > 0 && text.p[0] == '.' ? str_skip(text, 1) : text;
    if (!hostname_is_valid(name) || hostname_ends_in_number(name))
        return false;
    *out = lower_copy(text, a);
    return true;
}

static bool parse_number(const struct field *f, struct str text, int64_t *out)
{
    uint64_t value = 0, maximum = (uint64_t)f->maximum;
    bool is_good = f->kind == FIELD_SIZE       ? num_parse_size(text, maximum, &value)
                   : f->kind == FIELD_DURATION ? num_parse_duration(text, maximum, &value)
                                               : num_parse(text, maximum, &value);
    *out = (int64_t)value;
    return is_good && *out >= f->minimum;
}

static bool parse_switch(struct str text, bool *out)
{
    static const char *const on[] = {"on", "yes", "true"}, *const off[] = {"off", "no", "false"};
    for (size_t i = 0; i < 3; i++) {
        *out = str_equal_nocase(text, str_from(on[i]));
        if (*out || str_equal_nocase(text, str_from(off[i])))
            return true;
    }
    return false;
}

static bool parse_word(const struct field *f, struct str text, int *out)
{
    for (int i = 0; f->words[i]; i++) {
        if (text.n > 0 && str_equal_nocase(text, str_from(f->words[i]))) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* What a relative path is relative to comes before it. */
static size_t longest(const struct field *f, struct str text)
{
    bool is_relative = f->kind == FIELD_PATH && text.p[0] != '/';
    return VALUE_OCTETS_MAX - (is_relative ? VALUE_DIRECTORY_MAX + 1 : 0);
}

bool value_parse(const struct field *f, struct str text, struct arena *a, void *value)
{
    switch (f->kind) {
    case FIELD_TEXT:
    case FIELD_PATH:
        *(struct str *)value = arena_copy(a, text);
        return text.n > 0 && text.n <= longest(f, text) && str_index(text, '\n') == text.n;
    case FIELD_NAME:
        return parse_name(text, a, value);
    case FIELD_COUNT:
    case FIELD_SIZE:
    case FIELD_DURATION:
        return parse_number(f, text, value);
    case FIELD_SWITCH:
        return parse_switch(text, value);
    case FIELD_WORD:
        return parse_word(f, text, value);
    case FIELD_ADDRESS:
        return ip_parse(text, value);
    case FIELD_NETWORK:
        return ip_network_parse(text, value);
    case FIELD_ENDPOINT:
        return ip_endpoint_parse(text, 53, value);
    case FIELD_SENDER:
        *(struct str *)value = lower_copy(text, a);
        return policy_sender_is_pattern(text);
    case FIELD_ACTION:
        return policy_action_parse(text, value);
    case FIELD_SITE:
        return dnsbl_site_parse(lower_copy(text, a), value);
    case FIELD_RATE:
        return policy_rate_parse(text, value);
    }
    return false;
}

static bool print_size(int64_t bytes, struct buf *out)
{
    static const char suffix[] = "\0KMG";
    int unit = 0;
    while (unit < 3 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    return buf_append_number(out, bytes) && (unit == 0 || buf_append_byte(out, suffix[unit]));
}

static bool print_duration(int64_t ms, struct buf *out)
{
    static const struct {
        int64_t ms;
        const char *suffix;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    while (ms % units[i].ms != 0)
        i++;
    if (ms == 0)
        i = 3;
    return buf_append_number(out, ms / units[i].ms) && buf_append(out, str_from(units[i].suffix));
}

bool value_print_text(struct str text, struct buf *out)
{
    bool is_good = buf_append_byte(out, '"');
    for (size_t i = 0; i < text.n && is_good; i++) {
        if (text.p[i] == '"' || text.p[i] == '\\' || text.p[i] == '$')
            is_good = buf_append_byte(out, '\\');
        is_good = is_good && buf_append_byte(out, text.p[i]);
    }
    return is_good && buf_append_byte(out, '"');
}

bool value_print(const struct field *f, const void *value, struct buf *out)
{
    char text[IP_TEXT_MAX], words[80];
    switch (f->kind) {
    case FIELD_TEXT:
    case FIELD_PATH:
    case FIELD_NAME:
    case FIELD_SENDER:
        return value_print_text(*(const struct str *)value, out);
    case FIELD_COUNT:
        return buf_append_number(out, *(const int64_t *)value);
    case FIELD_SIZE:
        return print_size(*(const int64_t *)value, out);
    case FIELD_DURATION:
        return print_duration(*(const int64_t *)value, out);
    case FIELD_SWITCH:
        return buf_append(out, *(const bool *)value ? STR("on") : STR("off"));
    case FIELD_WORD:
        return buf_append(out, str_from(f->words[*(const int *)value]));
    case FIELD_ADDRESS:
        return value_print_text(ip_format(value, text), out);
    case FIELD_NETWORK:
        return value_print_text(ip_network_format(value, text), out);
    case FIELD_ENDPOINT:
        return value_print_text(ip_endpoint_format(value, text), out);
    case FIELD_ACTION:
        return value_print_text(policy_action_text(value, words), out);
    case FIELD_SITE:
        return value_print_text(((const struct dnsbl_site *)value)->written, out);
    case FIELD_RATE:
        return value_print_text(policy_rate_text(value, words), out);
    }
    return false;
}

static bool describe_range(const char *what, const struct field *f, struct buf *out)
{
    return buf_append(out, str_from(what)) && buf_append(out, STR(" from ")) &&
           value_print(f, &f->minimum, out) && buf_append(out, STR(" to ")) &&
           value_print(f, &f->maximum, out);
}

static bool describe_words(const struct field *f, struct buf *out)
{
    bool is_good = true, is_first = true;
    for (size_t i = 0; f->words[i] && is_good; i++) {
        if (f->words[i][0] == '\0')
            continue;
        is_good =
            (is_first || buf_append(out, STR(", "))) && buf_append(out, str_from(f->words[i]));
        is_first = false;
    }
    return is_good;
}

bool value_describe(const struct field *f, struct buf *out)
{
    switch (f->kind) {
    case FIELD_TEXT:
        return buf_append(out, STR("a text of 1 to 1023 bytes in one line"));
    case FIELD_PATH:
        return buf_append(out, STR("a path"));
    case FIELD_NAME:
        return buf_append(out, STR("a domain name in ASCII, like mail.example.org"));
    case FIELD_COUNT:
        return describe_range("a number", f, out);
    case FIELD_SIZE:
        return describe_range("a size", f, out);
    case FIELD_DURATION:
        return describe_range("a duration", f, out);
    case FIELD_SWITCH:
        return buf_append(out, STR("on, off"));
    case FIELD_WORD:
        return describe_words(f, out);
    case FIELD_ADDRESS:
        return buf_append(out, STR("an IPv4 or IPv6 address"));
    case FIELD_NETWORK:
        return buf_append(out, STR("a network like 192.0.2.0/24 or 2001:db8::/32"));
    case FIELD_ENDPOINT:
        return buf_append(out, STR("an address, ADDRESS@PORT or ADDRESS:PORT"));
    case FIELD_SENDER:
        return buf_append(out, STR("an address, a domain, or .DOMAIN for what is below it"));
    case FIELD_ACTION:
        return buf_append(out, STR("off, record, mark, \"weight N\", defer, refuse"));
    case FIELD_SITE:
        return buf_append(out, STR("ZONE, ZONE=127.0.0.[2..4], ZONE&0.0.0.4, each with *WEIGHT "
                                   "behind it where 1 will not do"));
    case FIELD_RATE:
        return buf_append(out, STR("\"address|network|sender|account connections|messages|"
                                   "recipients|bytes|auth-failures COUNT/DURATION\", where "
                                   "connections have no sender or account and auth-failures no "
                                   "sender"));
    }
    return false;
}
