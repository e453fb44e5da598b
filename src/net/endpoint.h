/* SPDX-License-Identifier: ISC */
/*
 * endpoint.h - where a stream begins or ends: an IP address with a port, or a Unix socket's path
 */
#ifndef NET_ENDPOINT_H
#define NET_ENDPOINT_H

#include "base/ip.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/socket.h>

struct endpoint {
    struct sockaddr_storage address;
    socklen_t length;
};

enum { ENDPOINT_TEXT_MAX = 128 };

struct endpoint endpoint_from_ip(const struct ip_address *ip, uint16_t port);

/* False when the path is too long for a socket address. */
bool endpoint_from_path(const char *path, struct endpoint *out);

bool endpoint_is_unix(const struct endpoint *e);

/* The address of an IP endpoint; IPv4-mapped addresses become IPv4. False for a Unix socket. */
bool endpoint_ip(const struct endpoint *e, struct ip_address *out);
uint16_t endpoint_port(const struct endpoint *e);

/* "192.0.2.1:25", "[2001:db8::1]:25" or "unix:PATH". */
struct str endpoint_text(const struct endpoint *e, char text[ENDPOINT_TEXT_MAX]);

#endif
