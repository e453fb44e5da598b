/* SPDX-License-Identifier: ISC */
/*
 * fuzz_event.c - whatever the texts are, an event is one line of JSON with its fields in it
 *
 * The input is pieces separated by 0xFE; the first octet of each says what it becomes.
 */
#include "event/event.h"

#include <jansson.h>

#include "fuzz_room.h"

static void add(struct event *e, struct str piece)
{
    uint8_t kind = take_octet(&piece);
    int64_t number = 0;
    struct fault f = fault_make(kind * 7U, FAULT_STATUS(kind & 7, (uint16_t)piece.n, kind), STR_FMT,
                                STR_ARG(piece));
    memcpy(&number, piece.p, piece.n < sizeof number ? piece.n : sizeof number);
    switch (kind & 3) {
    case 0:
        event_text(e, "text", piece);
        break;
    case 1:
        event_number(e, "number", number);
        break;
    case 2:
        event_flag(e, "flag", kind & 4);
        break;
    default:
        event_fault(e, &f);
    }
}

static void check(struct str line, struct str in)
{
    json_error_t error;
    must(line.n > 0 && line.n <= EVENT_LINE_MAX && str_index(line, '\n') == line.n - 1);
    json_t *o = json_loadb(line.p, line.n, JSON_ALLOW_NUL, &error);
    must(json_is_object(o) && json_object_get(o, "time"));
    must(strcmp(json_string_value(json_object_get(o, "event")), "test") == 0);
    const json_t *whole = json_object_get(o, "whole");
    must(whole || json_is_true(json_object_get(o, "cut")));
    if (whole && in.n <= EVENT_TEXT_MAX && !str_has_8bit(in))
        must(str_equal(in, str_make(json_string_value(whole), json_string_length(whole))));
    json_decref(o);
}

const struct fuzz_memory fuzz_memory = {.factor = 64, .base = 1048576, .keeps = true};

void fuzz_one(struct str in)
{
    struct str rest = in, piece;
    const char *path = put_file("events", STR_NONE);
    struct event_log *log;
    struct buf line = buf_make(1 << 20);
    struct event e;
    must(!event_log_open(path, 1 << 20, 1, false, &log).kind);
    event_begin(&e, log, "test");
    for (bool has_more = true; has_more;) {
        has_more = str_cut(rest, '\xFE', &piece, &rest);
        if (piece.n > 0)
            add(&e, piece);
    }
    event_text(&e, "whole", in);
    event_end(&e);
    event_log_close(log);
    must(!file_load(path, &line).kind);
    check(buf_str(&line), in);
    buf_free(&line);
}
