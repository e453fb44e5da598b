/* SPDX-License-Identifier: ISC */
/*
 * conf_json.h - the configuration as JSON
 */
#ifndef CLI_CONF_JSON_H
#define CLI_CONF_JSON_H

#include "conf/conf.h"

#include <jansson.h>

/*
 * The whole configuration, defaults included (given, for json_decref): options by their names,
 * sections as objects, those with titles as objects by title. Counts are numbers, switches booleans,
 * lists arrays; sizes, durations and everything else are strings as the file would have them.
 */
json_t *conf_json(const struct conf *c);

#endif
