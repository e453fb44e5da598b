/* SPDX-License-Identifier: ISC */
/*
 * endpoint.c - where a stream begins or ends: an IP address with a port, or a Unix socket's path
 */
#include "net/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

static const unsigned char v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

struct endpoint endpoint_from_ip(const struct ip_address *ip, uint16_t port)
{
    struct endpoint e = {0};
    if (ip_is_v4(ip)) {
        struct sockaddr_in *in = (struct sockaddr_in *)&e.address;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, ip->byte + 12, 4);
        e.length = sizeof *in;
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&e.address;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        memcpy(&in6->sin6_addr, ip->byte, 16);
        e.length = sizeof *in6;
    }
    return e;
}

bool endpoint_from_path(const char *path, struct endpoint *out)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&out->address;
    size_t n = strlen(path);
    memset(out, 0, sizeof *out);
    if (n >= sizeof un->sun_path)
        return false;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, n + 1);
    out->length = sizeof *un;
    return true;
}

bool endpoint_is_unix(const struct endpoint *e)
{
    return e->address.ss_family == AF_UNIX;
}

bool endpoint_ip(const struct endpoint *e, struct ip_address *out)
{
    if (e->address.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&e->address;
        memcpy(out->byte, v4_mapped, 12);
        memcpy(out->byte + 12, &in->sin_addr, 4);
        return true;
    }
    if (e->address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&e->address;
        memcpy(out->byte, &in6->sin6_addr, 16);
        return true;
    }
    return false;
}

uint16_t endpoint_port(const struct endpoint *e)
{
    if (e->address.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&e->address)->sin_port);
    if (e->address.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&e->address)->sin6_port);
    return 0;
}

struct str endpoint_text(const struct endpoint *e, char text[ENDPOINT_TEXT_MAX])
{
    struct ip_address ip;
    char ip_text[IP_TEXT_MAX];
    int n;
    if (endpoint_ip(e, &ip)) {
        struct str address = ip_format(&ip, ip_text);
        n = snprintf(text, ENDPOINT_TEXT_MAX, ip_is_v4(&ip) ? "%.*s:%u" : "[%.*s]:%u",
                     STR_ARG(address), (unsigned)endpoint_port(e));
    } else {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&e->address;
        n = snprintf(text, ENDPOINT_TEXT_MAX, "unix:%s",
                     e->length > sizeof(sa_family_t) ? un->sun_path : "");
    }
    return str_make(text, n < 0                           ? 0
                          : (size_t)n < ENDPOINT_TEXT_MAX ? (size_t)n
                                                          : ENDPOINT_TEXT_MAX - 1);
}
