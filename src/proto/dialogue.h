/* SPDX-License-Identifier: ISC */
/*
 * dialogue.h - the last lines of a conversation, for people
 */
#ifndef PROTO_DIALOGUE_H
#define PROTO_DIALOGUE_H

#include "base/buf.h"

/*
 * Appends who ("C: ", "S: ") and the line (at most 512 bytes of it, control bytes as '?') to the
 * dialogue, a buffer of at least 2000 bytes; its oldest lines make room.
 */
void dialogue_note(struct buf *dialogue, const char *who, struct str line);

#endif
