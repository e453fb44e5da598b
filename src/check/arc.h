/* SPDX-License-Identifier: ISC */
/*
 * arc.h - the Authenticated Received Chain of a message (RFC 8617 5.2)
 *
 *   begin    reads the sets from the header section, checks how they hang together, wants the hash of the body
 *   fetch    asks the DNS for the keys; any time between begin and finish
 *   finish   once the body has ended: checks the newest message signature, every seal, and the older message signatures
 *
 * Threads: as in dkim_verify.h. A chain that fails counts as no chain, not as bad mail.
 */
#ifndef CHECK_ARC_H
#define CHECK_ARC_H

#include "check/ask.h"
#include "check/dkim_body.h"
#include "check/dkim_key.h"

enum {
    ARC_SETS_MAX = 50,
    ARC_OLDER_ASKED_MAX =
        4 /* keys of older message signatures that are no seal's, and are asked for */
};

enum arc_result { ARC_NONE, ARC_PASS, ARC_FAIL };

struct arc_verdict {
    enum arc_result result;
    const char *reason; /* for people; empty unless it fails */
    bool is_temporary;  /* it fails because the DNS did not answer */
    size_t instance;    /* the set that made it fail; 0: none in particular */
    size_t count; /* sealers: their domains in lower-case A-labels, oldest first; only for pass */
    struct str sealer[ARC_SETS_MAX];
    size_t
        oldest_pass; /* of pass: the oldest set whose message signature still holds; 0: all do (5.2 step 4) */
};

struct arc_verifier;

/*
 * Begins with a header section (borrowed until free; with or without its empty line) and a body of which nothing has
 * come yet (borrowed until finish).
 */
struct arc_verifier *arc_verify_begin(struct str section, struct dkim_body *body, int64_t now_s);

/* Asks for the keys, once; one question for each name. Nothing is asked about a chain that has failed already. */
void arc_verify_fetch(struct arc_verifier *v, struct asker *asker);

/* How many keys finish may have to try, after fetch. */
size_t arc_verify_key_count(const struct arc_verifier *v);

/*
 * Decides, once, after fetch and the end of the body. Keys are opened by the opener, which may be NULL. The verdict
 * lives as long as the verifier.
 */
const struct arc_verdict *arc_verify_finish(struct arc_verifier *v,
                                            const struct dkim_key_opener *opener);

void arc_verify_free(struct arc_verifier *v);

/* "none", "pass" or "fail". */
const char *arc_result_name(enum arc_result result);

#endif
