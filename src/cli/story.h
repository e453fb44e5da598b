/* SPDX-License-Identifier: ISC */
/*
 * story.h - what the events tell about a message, a session or an address
 */
#ifndef CLI_STORY_H
#define CLI_STORY_H

#include "cli/cli.h"

struct story;

/*
 * A story about a message's id, a session's id or an address; NULL is about everything. Sessions
 * that brought a message belong to its story, and so do the notices about it; the messages of a
 * session belong to the session's.
 */
struct story *story_make(const char *about);
void story_free(struct story *s);

/* Learns from a line what else belongs to the story; every line once, before story_has of it. */
void story_learn(struct story *s, struct str line);
struct fault story_learn_all(struct story *s, const struct conf *c); /* from all there are */
bool story_has(const struct story *s, struct str line);

/* Prints a line for people, or as it is. */
void story_print_line(struct str line, bool is_json);

/* Prints what there is about it, since that real time in ms, under a headline unless it is NULL or
 * nothing follows. Gives the number of lines; -1 after saying why the events cannot be read. */
int64_t story_print(const struct invocation *i, const struct conf *c, const char *about,
                    int64_t since_ms, const char *headline);

#endif
