/* SPDX-License-Identifier: ISC */
/*
 * channel.h - packets between processes of this program, with descriptors in them
 *
 * A channel is one end of a pair of connected sockets that keeps packets apart (unix(7),
 * SOCK_SEQPACKET). Nothing here waits: a packet that does not fit is a fault at once.
 */
#ifndef OS_CHANNEL_H
#define OS_CHANNEL_H

#include "base/buf.h"
#include "base/fault.h"

enum { CHANNEL_DESCRIPTORS_MOST = 128 };

/* Both ends are closed on exec. */
void channel_pair(int ends[2]);

/* Sends size bytes and copies of the descriptors (CHANNEL_DESCRIPTORS_MOST at most), which stay the
 * caller's. 451 4.3.0 when the other
 * end is gone or has let too many packets lie. */
struct fault channel_send(int channel, const void *packet, size_t size, const int *descriptors,
                          size_t count);

enum channel_result { CHANNEL_PACKET, CHANNEL_CUT, CHANNEL_NOTHING, CHANNEL_END };

/*
 * Takes the next packet, of exactly size bytes; one of another size is the end: the other side is
 * not to be trusted. *count is how many descriptors may come, then how many came; they are the
 * caller's and closed on exec. A packet is cut when it had more of them, or when this process has
 * no room for all: then none is left open.
 */
enum channel_result channel_receive(int channel, void *packet, size_t size, int *descriptors,
                                    size_t *count);

/* Waits until there is something to receive. */
void channel_wait(int channel);

/* A descriptor that holds the text and has no name: a way to send what no packet can hold. */
int channel_hold_text(struct str text);

/* Appends what such a descriptor holds; false when the buffer's limit is reached. */
bool channel_read_text(int descriptor, struct buf *out);

#endif
