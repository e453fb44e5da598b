/* SPDX-License-Identifier: ISC */
/*
 * dkim_result.h - what came of a signature, and why (RFC 8601 2.7.1)
 *
 *  pass       it holds
 *  fail       the body or the chosen fields are not what was signed
 *  policy     it may hold, but is of a kind that is not relied on: weak, partial, one too many
 *  neutral    it cannot be read
 *  temperror  its key could not be had now (RFC 6376 6.1.2)
 *  permerror  it can be read, and can never hold: no key, a key for something else, From not signed (6.1.1, 6.1.2)
 */
#ifndef CHECK_DKIM_RESULT_H
#define CHECK_DKIM_RESULT_H

enum dkim_result {
    DKIM_NONE,
    DKIM_PASS,
    DKIM_FAIL,
    DKIM_POLICY,
    DKIM_NEUTRAL,
    DKIM_TEMPERROR,
    DKIM_PERMERROR
};

/* NONE: nothing was found yet that decides. */
struct dkim_finding {
    enum dkim_result result;
    const char *reason; /* one line for people, no part of it from the message */
};

/* "none", "pass" ... as Authentication-Results writes it. */
const char *dkim_result_name(enum dkim_result result);

#endif
