/* SPDX-License-Identifier: ISC */
/*
 * dkim_result.c - the names of the results (RFC 8601 2.7.1)
 */
#include "check/dkim_result.h"

const char *dkim_result_name(enum dkim_result result)
{
    static const char *const names[] = {
        [DKIM_NONE] = "none",           [DKIM_PASS] = "pass",       [DKIM_FAIL] = "fail",
        [DKIM_POLICY] = "policy",       [DKIM_NEUTRAL] = "neutral", [DKIM_TEMPERROR] = "temperror",
        [DKIM_PERMERROR] = "permerror",
    };
    return names[result];
}
