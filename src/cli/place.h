/* SPDX-License-Identifier: ISC */
/*
 * place.h - an address with a port as people write it
 */
#ifndef CLI_PLACE_H
#define CLI_PLACE_H

#include "base/ip.h"

/* "ADDRESS:PORT" or "[IPV6]:PORT", where localhost is 127.0.0.1. Without a port it is the default, unless that is 0. False when it is neither. */
bool place_parse(struct str text, uint16_t default_port, struct ip_endpoint *out);

#endif
