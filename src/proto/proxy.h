/* SPDX-License-Identifier: ISC */
/*
 * proxy.h - the PROXY protocol's header, versions 1 (text) and 2 (binary), without I/O
 *
 * A load balancer says in front of the stream whom it speaks for. Only the source address is used;
 * what version 2 adds behind the addresses is skipped.
 */
#ifndef PROTO_PROXY_H
#define PROTO_PROXY_H

#include "base/ip.h"
#include "base/str.h"

enum proxy_result {
    PROXY_MORE,    /* the header is not complete */
    PROXY_SOURCE,  /* *source is the client */
    PROXY_UNKNOWN, /* a header without addresses: the balancer itself speaks */
    PROXY_BAD
};

enum { PROXY_HEADER_MAX = 16 + 1024 };

/* Reads a header at the start of in; *size is its length unless the result is MORE or BAD. */
enum proxy_result proxy_parse(struct str in, size_t *size, struct ip_endpoint *source);

#endif
