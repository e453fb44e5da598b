/* SPDX-License-Identifier: ISC */
/*
 * dialogue.c - the last lines of a conversation, for people
 */
#include "proto/dialogue.h"

enum { LINE_SHOWN = 512 };

void dialogue_note(struct buf *dialogue, const char *who, struct str line)
{
    line = str_head(line, LINE_SHOWN);
    size_t needed = line.n + strlen(who) + 1;
    if (needed > dialogue->limit - dialogue->used) {
        size_t drop = dialogue->used < needed * 2 ? dialogue->used : needed * 2;
        drop += str_index(str_skip(buf_str(dialogue), drop), '\n') + 1;
        buf_consume(dialogue, drop < dialogue->used ? drop : dialogue->used);
    }
    buf_append(dialogue, str_from(who));
    size_t start = dialogue->used;
    buf_append(dialogue, line);
    for (size_t i = start; i < dialogue->used; i++)
        if ((unsigned char)dialogue->data[i] < 0x20 || dialogue->data[i] == 0x7F)
            dialogue->data[i] = '?';
    buf_append_byte(dialogue, '\n');
}
