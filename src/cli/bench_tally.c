/* SPDX-License-Identifier: ISC */
/*
 * bench_tally.c - adding up and printing what eilbote bench source has seen
 */
#include "cli/bench_tally.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"

static int compare_ns(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

void bench_tally_add(struct bench_tally *t, const struct bench_tally *other)
{
    t->done += other->done;
    t->connects += other->connects;
    t->turned += other->turned;
    if (other->longest_ms > t->longest_ms)
        t->longest_ms = other->longest_ms;
    t->is_stuck |= other->is_stuck;
    if (other->first_ns < t->first_ns)
        t->first_ns = other->first_ns;
    if (other->last_ns > t->last_ns)
        t->last_ns = other->last_ns;
    for (size_t code = 0; code < BENCH_REPLY_CODES; code++)
        t->errors[code] += other->errors[code];
    for (size_t k = 0; k < other->latency_count && t->latency_count < BENCH_SAMPLES_MAX; k++)
        t->latency_ns[t->latency_count++] = other->latency_ns[k];
}

static double percentile_us(const struct bench_tally *t, size_t percent)
{
    return t->latency_count == 0
               ? 0
               : (double)t->latency_ns[(t->latency_count - 1) * percent / 100] / 1000;
}

static json_t *as_json(const struct bench_tally *t, double seconds, double rate)
{
    json_t *errors = json_object();
    char code[NUM_DECIMAL_MAX + 1];
    for (size_t k = 0; k < BENCH_REPLY_CODES; k++) {
        if (t->errors[k] == 0)
            continue;
        snprintf(code, sizeof code, "%zu", k);
        json_object_set_new(errors, k ? code : "lost", json_integer((json_int_t)t->errors[k]));
    }
    json_t *result = json_pack(
        "{s:I,s:f,s:f,s:I,s:I,s:I,s:o,s:b}", "messages", (json_int_t)t->done, "seconds", seconds,
        "per_second", rate, "connections", (json_int_t)t->connects, "turned", (json_int_t)t->turned,
        "longest_ms", (json_int_t)t->longest_ms, "errors", errors, "stuck", t->is_stuck);
    if (t->latency_ns)
        json_object_set_new(result, "latency_us",
                            json_pack("{s:f,s:f,s:f}", "median", percentile_us(t, 50), "p95",
                                      percentile_us(t, 95), "p99", percentile_us(t, 99)));
    return result;
}

static void print_text(const struct bench_tally *t, double seconds, double rate)
{
    printf("%llu messages in %.3f s, %.0f messages/s, %llu connections\n",
           (unsigned long long)t->done, seconds, rate, (unsigned long long)t->connects);
    for (size_t k = 1; k < BENCH_REPLY_CODES; k++)
        if (t->errors[k] > 0)
            printf("  reply %zu: %llu\n", k, (unsigned long long)t->errors[k]);
    if (t->errors[0] > 0)
        printf("  lost connections: %llu\n", (unsigned long long)t->errors[0]);
    if (t->latency_ns)
        printf("from the final dot to its reply: median %.0f us, 95 %% %.0f us, 99 %% %.0f us\n",
               percentile_us(t, 50), percentile_us(t, 95), percentile_us(t, 99));
}

int bench_tally_print(const struct invocation *i, struct bench_tally *t)
{
    double seconds = (double)(t->last_ns - t->first_ns) / 1e9;
    double rate = seconds > 0 ? (double)t->done / seconds : 0;
    uint64_t error_count = 0;
    for (size_t k = 0; k < BENCH_REPLY_CODES; k++)
        error_count += t->errors[k];
    if (t->latency_count > 0)
        qsort(t->latency_ns, t->latency_count, sizeof t->latency_ns[0], compare_ns);
    if (i->is_json)
        cli_print_json(as_json(t, seconds, rate));
    else
        print_text(t, seconds, rate);
    if (t->is_stuck)
        return cli_fail(i, "the server said nothing for %d s", BENCH_QUIET_MS / 1000);
    return error_count > 0 || t->done == 0 ? CLI_FAILED : CLI_DONE;
}
