/* SPDX-License-Identifier: ISC */
/*
 * mail_test.h - what the tests of the mail formats share
 */
#ifndef TESTS_UNIT_MAIL_TEST_H
#define TESTS_UNIT_MAIL_TEST_H

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static inline void assert_str(struct str got, const char *expected)
{
    if (!str_equal(got, str_from(expected)))
        fail_msg("got <" STR_FMT ">, expected <%s>", STR_ARG(got), expected);
}

#endif
