/* SPDX-License-Identifier: ISC */
/*
 * syntax.h - whether a configuration's text is made of options and sections that there are
 */
#ifndef CONF_SYNTAX_H
#define CONF_SYNTAX_H

#include "base/fault.h"

/*
 * Looks at everything but the values: names, titles, equal signs, braces, lists, and that nothing is
 * there twice. The text has no quote or brace left open (conf/scan.h). The fault, 500, begins with
 * PATH:LINE and says what was found and what is allowed.
 */
struct fault syntax_check(const char *path, struct str source);

#endif
