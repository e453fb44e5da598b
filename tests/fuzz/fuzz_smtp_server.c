/* SPDX-License-Identifier: ISC */
/*
 * fuzz_smtp_server.c - wire and events do not depend on how the input was cut
 *
 * The input is a steering octet and packets separated by 0xFE; between packets the output is sent.
 */
#include "../transcript/smtp_player.h"
#include "fuzz.h"
#include "proto/smtp_engine.h"

struct steering {
    uint32_t verdicts;
    unsigned challenges;
};

static void decide(struct player *p, enum smtp_event_kind kind)
{
    struct steering *steering = p->arg;
    uint32_t choice = next_choice(&steering->verdicts);
    bool is_auth = kind == SMTP_EVENT_AUTH || kind == SMTP_EVENT_AUTH_RESPONSE;
    struct fault verdicts[3] = {FINE, {.kind = FAULT_LATER}, {.kind = FAULT_NEVER}};
    struct fault closing = {.kind = FAULT_LATER, .reply = 421, .status = {4, 3, 2}};
    if (is_auth && choice > 7 && steering->challenges++ < 4)
        smtp_server_challenge(&p->server, STR("challenge"));
    else
        smtp_server_answer(&p->server,
                           choice == 15 ? &closing : &verdicts[choice > 2 ? 0 : choice]);
}

static void play(struct player *p, const struct smtp_server_options *options, bool is_tls,
                 struct str in, uint32_t cut, struct steering *steering)
{
    player_start(p, options, is_tls, decide, steering);
    player_flush(p, SIZE_MAX);
    bool has_more = true;
    while (has_more) {
        struct str packet;
        has_more = str_cut(in, '\xFE', &packet, &in);
        bool is_odd = packet.n & 1;
        while (packet.n > 0)
            player_feed(p, take_cut(&packet, &cut));
        player_flush(p, SIZE_MAX);
        if (p->server.phase == SMTP_PHASE_TLS && is_odd)
            smtp_server_tls_started(&p->server);
    }
}

const struct fuzz_memory fuzz_memory = {.factor = 1024, .base = 1 << 20};

void fuzz_one(struct str in)
{
    uint8_t flags = take_octet(&in), seed = take_octet(&in);
    struct smtp_server_options options = {
        .kind = flags & 1 ? SMTP_LMTP : SMTP_MX,
        .hostname = STR("mx.test"),
        .size_limit = flags & 2 ? 60 : 0,
        .rcpt_limit = 3,
        .mail_limit = 5,
        .line_limit = 40,
        .error_limit = 10,
        .auth_failure_limit = 2,
        .auth_mechanisms = flags & 4 ? STR("PLAIN LOGIN") : STR(""),
        .is_auth_in_clear = flags & 8,
        .has_starttls = flags & 16,
        .has_smtputf8 = flags & 32,
        .has_chunking = true,
        .has_dsn = true,
        .has_limits = flags & 64,
    };
    const struct cuts cuts = cut_ways(in.n, seed);
    struct steering steering = {seed, 0};
    struct player whole, cut;
    play(&whole, &options, flags & 128, in, CUT_WHOLE, &steering);
    for (size_t i = 0; i < cuts.count; i++) {
        steering = (struct steering){seed, 0};
        play(&cut, &options, flags & 128, in, cuts.way[i], &steering);
        must(str_equal(buf_str(&whole.wire), buf_str(&cut.wire)));
        must(str_equal(buf_str(&whole.events), buf_str(&cut.events)));
        must(whole.is_finished == cut.is_finished);
        player_stop(&cut);
    }
    for (size_t i = 0; i < whole.wire.used; i++)
        must((uint8_t)whole.wire.data[i] >= 0x20 || whole.wire.data[i] == '\r' ||
             whole.wire.data[i] == '\n');
    player_stop(&whole);
}
