/* SPDX-License-Identifier: ISC */
/*
 * hash_flooding.c - names chosen to collide do so under one key only
 *
 * The defence is map_hash(), which is keyed; every map that strangers fill takes its key from
 * random_u64(), which test_hash_flooding.py looks after.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/map.h"

enum { NAMES = 2048, LONGEST_FAIR = 16 };

struct name {
    struct map_node node;
    char text[24];
};

/* Names whose hashes under the key 1, 2 end in eleven zeros: all in one bucket of 2048. */
static struct name *choose(void)
{
    static const uint64_t guessed[2] = {1, 2};
    struct name *names = calloc(NAMES, sizeof *names);
    size_t count = 0;
    assert_non_null(names);
    for (uint64_t k = 0; count < NAMES; k++) {
        struct name *n = &names[count];
        int length = snprintf(n->text, sizeof n->text, "%llu@b.test", (unsigned long long)k);
        struct str key = str_make(n->text, (size_t)length);
        if ((map_hash(guessed, key) & (NAMES - 1)) == 0) {
            n->node.key = key;
            count++;
        }
    }
    return names;
}

static size_t longest_chain(uint64_t low, uint64_t high, struct name *names)
{
    struct map m = map_make(low, high);
    size_t longest = 0;
    for (size_t i = 0; i < NAMES; i++)
        map_insert(&m, &names[i].node, names[i].node.key);
    for (size_t i = 0; i < m.bucket_count; i++) {
        size_t n = 0;
        for (struct map_node *at = m.bucket[i]; at; at = at->next)
            n++;
        longest = n > longest ? n : longest;
    }
    map_free(&m);
    return longest;
}

static void test_names_chosen_for_one_key_are_spread_by_another(void **state)
{
    (void)state;
    struct name *names = choose();
    assert_int_equal(longest_chain(1, 2, names), NAMES);
    for (uint64_t key = 3; key < 103; key++)
        assert_in_range(longest_chain(key, 2, names), 1, LONGEST_FAIR);
    for (uint64_t key = 3; key < 103; key++)
        assert_in_range(longest_chain(1, key, names), 1, LONGEST_FAIR);
    free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_chosen_for_one_key_are_spread_by_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
