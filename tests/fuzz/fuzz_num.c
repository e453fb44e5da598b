/* SPDX-License-Identifier: ISC */
/*
 * fuzz_num.c - a number is what counting its digits one by one in 128 bits gives, or too large
 *
 * The first octets choose the maximum.
 */
#include "base/num.h"

#include "base/hostname.h"
#include "fuzz.h"

__extension__ typedef unsigned __int128 wide;

/* Digits of that base; false when there is another byte or none. Saturates far above 64 bits. */
static bool count_digits(struct str s, unsigned base, wide *out)
{
    *out = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, s.p[i] | 0x20);
        if (s.p[i] >= '0' && s.p[i] <= '9')
            at = digits + (s.p[i] - '0');
        else if (s.p[i] == '\0' || !at || at < digits + 10 || at >= digits + base)
            return false;
        if (*out >> 100 == 0)
            *out = *out * base + (unsigned)(at - digits);
    }
    return s.n > 0;
}

static void check(struct str in, uint64_t maximum, unsigned base)
{
    wide expected;
    uint64_t value = 77;
    bool is_good = base == 10 ? num_parse(in, maximum, &value) : num_parse_hex(in, maximum, &value);
    bool is_number = count_digits(in, base, &expected);
    must(is_good == (is_number && expected <= maximum));
    must(value == (is_good ? expected : 77));
}

static void check_size(struct str in, uint64_t maximum)
{
    uint64_t bytes = 0;
    size_t n = 0;
    wide expected;
    while (n < in.n && in.p[n] >= '0' && in.p[n] <= '9')
        n++;
    bool is_good = num_parse_size(in, maximum, &bytes),
         is_number = count_digits(str_head(in, n), 10, &expected);
    struct str unit = str_trim(str_skip(in, n));
    char first = unit.n > 0 ? (char)(unit.p[0] | 0x20) : 'b';
    expected <<= first == 'k' ? 10 : first == 'm' ? 20 : first == 'g' ? 30 : 0;
    bool is_unit =
        unit.n == 0 || str_equal_nocase(unit, STR("b")) ||
        (strchr("kmg", first) && (unit.n == 1 || str_equal_nocase(str_skip(unit, 1), STR("b")) ||
                                  str_equal_nocase(str_skip(unit, 1), STR("ib"))));
    must(is_good == (is_number && is_unit && expected <= maximum));
    must(!is_good || bytes == expected);
}

/* Parts add up; a duration that was said in parts says the same as their sum in ms. */
static void check_duration(struct str in, uint64_t maximum)
{
    uint64_t ms, again;
    char digits[NUM_DECIMAL_MAX], text[32];
    if (!num_parse_duration(in, maximum, &ms))
        return;
    must(ms <= maximum);
    if (ms > INT64_MAX)
        return;
    struct str number = num_format((int64_t)ms, digits);
    int n = snprintf(text, sizeof text, STR_FMT "ms", STR_ARG(number));
    must(num_parse_duration(str_make(text, (size_t)n), maximum, &again) && again == ms);
}

/* Labels as RFC 1123 has them, with the underscore. */
static bool is_hostname(struct str s)
{
    size_t length = 0;
    for (size_t i = 0; i <= s.n; i++) {
        char c = i < s.n ? s.p[i] : '.';
        bool is_inner = c == '-', is_outer = c == '_' || (c >= '0' && c <= '9') ||
                                             (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (c == '.' ? length == 0 || length > 63 || s.p[i - 1] == '-'
                     : !is_outer && (!is_inner || length == 0))
            return false;
        length = c == '.' ? 0 : length + 1;
    }
    return s.n <= 253;
}

const struct fuzz_memory fuzz_memory = {.factor = 0, .base = 0};

void fuzz_one(struct str in)
{
    uint64_t maximum = UINT64_MAX >> (take_octet(&in) & 63);
    char digits[NUM_DECIMAL_MAX];
    check(in, maximum, 10);
    check(in, maximum, 16);
    check_size(in, maximum);
    check_duration(in, maximum);
    must(hostname_is_valid(in) == is_hostname(in));
    struct str last = str_skip(in, str_has(in, '.') ? str_last_index(in, '.') + 1 : 0);
    wide ignored;
    must(hostname_ends_in_number(in) == (count_digits(last, 10, &ignored)));
    uint64_t value = 0, again;
    memcpy(&value, in.p, in.n < sizeof value ? in.n : sizeof value);
    must(num_parse(num_format((int64_t)(value >> 1), digits), UINT64_MAX, &again));
    must(again == value >> 1);
}
