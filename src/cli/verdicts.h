/* SPDX-License-Identifier: ISC */
/*
 * verdicts.h - what the checks say, as JSON and as rows of a table
 *
 * Each verdict has the fields result, domain and reason, and those of its kind. What a check does not know is an
 * empty text.
 */
#ifndef CLI_VERDICTS_H
#define CLI_VERDICTS_H

#include "serve/inspection.h"

#include <jansson.h>

json_t *verdict_spf(const struct spf_verdict *v);
json_t *verdict_dkim(const struct dkim_verdict *v);
json_t *verdict_arc(const struct arc_verdict *v);
json_t *verdict_dmarc(const struct inspection *i);

/* Puts all of them under their names: spf (null without a client), dkim (a list), arc, dmarc. The inspection may be
 * NULL: nothing was looked at. */
void verdict_put_all(json_t *o, const struct inspection *i, bool has_client);
void verdict_print_all(const json_t *o);

/* Prints one of these verdicts as a row. */
void verdict_print(const char *method, const json_t *verdict);

#endif
