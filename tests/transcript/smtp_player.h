/* SPDX-License-Identifier: ISC */
/*
 * smtp_player.h - drives the SMTP server engine the way a session does, and writes down what
 * happens
 *
 * The wire and the events must not depend on how the input was cut; the transcripts and the fuzzer
 * both compare two runs with it.
 */
#ifndef TESTS_TRANSCRIPT_SMTP_PLAYER_H
#define TESTS_TRANSCRIPT_SMTP_PLAYER_H

#include "proto/smtp_server.h"

struct player {
    struct smtp_server server;
    struct buf wire;    /* all that was sent */
    struct buf events;  /* one line per event, content joined */
    struct buf content; /* since the last event that was not content */
    bool is_finished;   /* QUIT or CLOSE came */
    /* Decides the open question; called until it is closed. */
    void (*decide)(struct player *p, enum smtp_event_kind kind);
    void *arg;
};

void player_start(struct player *p, const struct smtp_server_options *options, bool is_tls,
                  void (*decide)(struct player *, enum smtp_event_kind), void *arg);
void player_stop(struct player *p);

/* Feeds one piece and handles all events in it. */
void player_feed(struct player *p, struct str piece);

/* Sends the output, in pieces of at most the given size. */
void player_flush(struct player *p, size_t piece);

#endif
