/* SPDX-License-Identifier: ISC */
/*
 * mta_sts.c - what a domain says of its mail exchangers: record and policy of MTA-STS (RFC 8461 section 3)
 */
#include "check/mta_sts.h"

#include "base/hostname.h"
#include "base/num.h"

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static struct str trim_blanks(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = str_skip(s, 1);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool mta_sts_is_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_letter_or_digit(s.p[i]))
            return false;
    return s.n > 0 && s.n <= MTA_STS_ID_MAX;
}

/* The name of a field that may come: a letter or digit, then up to 31 of those, "_", "-" and ".". */
static bool is_field_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_letter_or_digit(s.p[i]) &&
            (i == 0 || (s.p[i] != '_' && s.p[i] != '-' && s.p[i] != '.')))
            return false;
    return s.n > 0 && s.n <= MTA_STS_ID_MAX;
}

/* Visible characters but "=" and ";". */
static bool is_field_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7F || s.p[i] == '=' || s.p[i] == ';')
            return false;
    return s.n > 0;
}

enum mta_sts_record mta_sts_record_parse(struct str text, struct str *id)
{
    const struct str version = STR("v=STSv1");
    struct str rest, field, name, value;
    struct str behind = trim_blanks(str_skip(text, version.n));
    *id = STR_NONE;
    if (!str_starts(text, version) || behind.n == 0 || behind.p[0] != ';')
        return str_starts(text, version) && behind.n == 0 ? MTA_STS_BROKEN : MTA_STS_ABSENT;
    rest = str_skip(behind, 1);
    for (bool has_more = true; has_more;) {
        has_more = str_cut(rest, ';', &field, &rest);
        field = trim_blanks(field);
        if (field.n == 0 && !has_more)
            break; /* the last one may be followed by its delimiter */
        if (!str_cut(field, '=', &name, &value) || !is_field_name(name) || !is_field_value(value))
            return MTA_STS_BROKEN;
        if (!str_equal(name, STR("id")))
            continue;
        if (id->n > 0 || !mta_sts_is_id(value))
            return MTA_STS_BROKEN;
        *id = value;
    }
    return id->n > 0 ? MTA_STS_GOOD : MTA_STS_BROKEN;
}

struct reading {
    struct arena *arena;
    struct mta_sts_policy *policy;
    bool has_version, has_mode, has_max_age;
    const char *reason;
};

static bool wrong(struct reading *r, const char *reason)
{
    r->reason = reason;
    return false;
}

static bool read_mode(struct reading *r, struct str value)
{
    for (int mode = MTA_STS_NONE; mode <= MTA_STS_ENFORCE; mode++)
        if (str_equal(value, str_from(mta_sts_mode_name((enum mta_sts_mode)mode)))) {
            r->policy->mode = (enum mta_sts_mode)mode;
            r->has_mode = true;
            return true;
        }
    return wrong(r, "its mode is none of enforce, testing and none");
}

static bool read_max_age(struct reading *r, struct str value)
{
    enum { DIGITS_MAX = 10 };
    uint64_t seconds;
    if (value.n > DIGITS_MAX || !num_parse(value, UINT64_MAX, &seconds))
        return wrong(r, "its max_age is no number of seconds");
    r->policy->max_age_s = seconds > MTA_STS_AGE_MAX_S ? MTA_STS_AGE_MAX_S : (int64_t)seconds;
    r->has_max_age = true;
    return true;
}

static bool read_mx(struct reading *r, struct str value)
{
    struct str host = str_starts(value, STR("*.")) ? str_skip(value, 2) : value;
    if (!hostname_is_valid(host))
        return wrong(r, "an mx of it is no host name");
    if (r->policy->mx_count == MTA_STS_MX_MAX)
        return wrong(r, "it has more mx than are read");
    char *lower = arena_c_string(r->arena, value);
    for (size_t i = 0; i < value.n; i++)
        lower[i] = str_lower_byte(lower[i]);
    r->policy->mx[r->policy->mx_count++] = str_make(lower, value.n);
    return true;
}

static bool read_field(struct reading *r, struct str name, struct str value)
{
    if (str_equal(name, STR("version")) && !r->has_version) {
        r->has_version = str_equal(value, STR("STSv1"));
        return r->has_version || wrong(r, "its version is not STSv1");
    }
    if (str_equal(name, STR("mode")) && !r->has_mode)
        return read_mode(r, value);
    if (str_equal(name, STR("max_age")) && !r->has_max_age)
        return read_max_age(r, value);
    return str_equal(name, STR("mx")) ? read_mx(r, value) : true;
}

static bool read_line(struct reading *r, struct str line)
{
    struct str name, value;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (trim_blanks(line).n == 0)
        return true;
    if (!str_cut(line, ':', &name, &value) || !is_field_name(name))
        return wrong(r, "a line of it is no field");
    return read_field(r, name, trim_blanks(value));
}

bool mta_sts_policy_parse(struct str text, struct arena *a, struct mta_sts_policy *out,
                          const char **reason)
{
    struct reading r = {.arena = a, .policy = out};
    *out = (struct mta_sts_policy){.mx = arena_alloc(a, MTA_STS_MX_MAX * sizeof(struct str))};
    bool is_good = true;
    if (text.n > MTA_STS_POLICY_MAX)
        is_good = wrong(&r, "it is larger than 64 KiB");
    for (struct str line; is_good && text.n > 0;) {
        str_cut(text, '\n', &line, &text);
        is_good = read_line(&r, line);
    }
    if (is_good && !r.has_version)
        is_good = wrong(&r, "it has no version");
    if (is_good && !r.has_mode)
        is_good = wrong(&r, "it has no mode");
    if (is_good && !r.has_max_age)
        is_good = wrong(&r, "it has no max_age");
    if (is_good && out->mode != MTA_STS_NONE && out->mx_count == 0)
        is_good = wrong(&r, "it has no mx");
    *reason = r.reason;
    return is_good;
}

static bool matches(struct str pattern, struct str host)
{
    if (!str_starts(pattern, STR("*.")))
        return str_equal_nocase(pattern, host);
    size_t dot = str_index(host, '.');
    return dot > 0 && dot < host.n && str_equal_nocase(str_skip(pattern, 1), str_skip(host, dot));
}

bool mta_sts_policy_has(const struct mta_sts_policy *p, struct str host)
{
    for (size_t i = 0; i < p->mx_count; i++)
        if (matches(p->mx[i], host))
            return true;
    return false;
}

const char *mta_sts_mode_name(enum mta_sts_mode mode)
{
    static const char *const names[] = {
        [MTA_STS_NONE] = "none", [MTA_STS_TESTING] = "testing", [MTA_STS_ENFORCE] = "enforce"};
    return names[mode];
}
