/* SPDX-License-Identifier: ISC */
/*
 * num.c - numbers from outside
 */
#include "base/num.h"

static bool push_digit(uint64_t *value, unsigned base, unsigned digit, uint64_t maximum)
{
    uint64_t next;
    if (__builtin_mul_overflow(*value, base, &next) || __builtin_add_overflow(next, digit, &next))
        return false;
    *value = next;
    return next <= maximum;
}

bool num_parse(struct str s, uint64_t maximum, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (!push_digit(&value, 10, (unsigned)(s.p[i] - '0'), maximum))
            return false;
    }
    if (s.n == 0)
        return false;
    *out = value;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = str_lower_byte(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool num_parse_hex(struct str s, uint64_t maximum, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < s.n; i++) {
        int digit = hex_digit(s.p[i]);
        if (digit < 0 || !push_digit(&value, 16, (unsigned)digit, maximum))
            return false;
    }
    if (s.n == 0)
        return false;
    *out = value;
    return true;
}

/* Splits s after its leading digits. */
static struct str take_digits(struct str *s)
{
    size_t n = 0;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    struct str digits = str_head(*s, n);
    *s = str_skip(*s, n);
    return digits;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static bool find_unit(const struct unit *units, size_t count, struct str name, uint64_t *factor)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal_nocase(name, str_from(units[i].name))) {
            *factor = units[i].factor;
            return true;
        }
    }
    return false;
}

bool num_parse_size(struct str s, uint64_t maximum, uint64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1},          {"b", 1},        {"k", 1 << 10},   {"kb", 1 << 10},
        {"kib", 1 << 10}, {"m", 1 << 20},  {"mb", 1 << 20},  {"mib", 1 << 20},
        {"g", 1 << 30},   {"gb", 1 << 30}, {"gib", 1 << 30},
    };
    struct str digits = take_digits(&s);
    uint64_t value, factor;
    if (!num_parse(digits, maximum, &value) ||
        !find_unit(units, sizeof units / sizeof units[0], str_trim(s), &factor))
        return false;
    if (__builtin_mul_overflow(value, factor, &value) || value > maximum)
        return false;
    *bytes = value;
    return true;
}

bool num_parse_duration(struct str s, uint64_t maximum_ms, uint64_t *ms)
{
    static const struct unit units[] = {
        {"ms", 1},
        {"", 1000},
        {"s", 1000},
        {"m", 60 * 1000},
        {"h", 3600 * 1000},
        {"d", UINT64_C(24) * 3600 * 1000},
        {"w", UINT64_C(7) * 24 * 3600 * 1000},
    };
    uint64_t total = 0;
    if (s.n == 0)
        return false;
    while (s.n > 0) {
        uint64_t value, factor;
        if (!num_parse(take_digits(&s), UINT64_MAX, &value))
            return false;
        size_t n = 0;
        while (n < s.n && (s.p[n] < '0' || s.p[n] > '9'))
            n++;
        if (!find_unit(units, sizeof units / sizeof units[0], str_trim(str_head(s, n)), &factor))
            return false;
        s = str_skip(s, n);
        if (__builtin_mul_overflow(value, factor, &value) ||
            __builtin_add_overflow(total, value, &total) || total > maximum_ms)
            return false;
    }
    *ms = total;
    return true;
}

struct str num_format(int64_t number, char digits[NUM_DECIMAL_MAX])
{
    uint64_t rest = number < 0 ? (uint64_t)0 - (uint64_t)number : (uint64_t)number;
    size_t at = NUM_DECIMAL_MAX;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        digits[--at] = '-';
    return str_make(digits + at, NUM_DECIMAL_MAX - at);
}

size_t num_add_saturating(size_t a, size_t b)
{
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

size_t num_multiply_saturating(size_t a, size_t b)
{
    size_t product;
    return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}
