/* SPDX-License-Identifier: ISC */
/*
 * conf_resolver.h - the resolver that a configuration asks for
 */
#ifndef CONF_CONF_RESOLVER_H
#define CONF_CONF_RESOLVER_H

#include "conf/conf.h"
#include "net/resolver.h"

/* What the configuration says about the resolver, allocated in a. The configuration is borrowed as long as the
 * options. */
void conf_resolver_options(const struct conf *c, struct arena *a, struct resolver_options *out);

#endif
