/* SPDX-License-Identifier: ISC */
/*
 * complete.h - what follows from the values together: derived values and contradictions
 */
#ifndef CONF_COMPLETE_H
#define CONF_COMPLETE_H

#include "conf/conf.h"

struct complete_error {
    const char *section; /* NULL: the top level */
    struct str title;    /* of the section; the option's name at the top level */
    char text[FAULT_TEXT_MAX];
};

/*
 * Fills in ports, TLS and paths that follow from others and looks for what contradicts itself.
 * False with the first error.
 */
bool complete_conf(struct conf *c, struct complete_error *error);

#endif
