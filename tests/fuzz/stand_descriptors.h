/* SPDX-License-Identifier: ISC */
/*
 * stand_descriptors.h - channels, texts and listening sockets without a system, for the reload's target
 *
 * As much of the calls as os/channel.c makes of them, with descriptors in messages.
 */
#ifndef TESTS_FUZZ_STAND_DESCRIPTORS_H
#define TESTS_FUZZ_STAND_DESCRIPTORS_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "net/listen.h"
#include "os/owner.h"

int __wrap_socketpair(int domain, int type, int protocol, int ends[2]);
ssize_t __wrap_sendmsg(int descriptor, const struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int descriptor, struct msghdr *message, int flags);
int __wrap_memfd_create(const char *name, unsigned flags);
ssize_t __wrap_write(int descriptor, const void *memory, size_t size);
int __wrap_close(int descriptor);
ssize_t __real_write(int descriptor, const void *memory, size_t size);
int __real_close(int descriptor);

struct fault __wrap_listen_open_beside(const struct endpoint *at, const int *others, size_t count,
                                       int *descriptor);
void __wrap_listen_remove(const struct endpoint *at);
struct fault __wrap_owner_give(const char *path, const struct owner *owner, unsigned permissions);
bool __wrap_owner_find(struct str name, struct owner *out);

#endif
