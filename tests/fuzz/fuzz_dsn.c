/* SPDX-License-Identifier: ISC */
/*
 * fuzz_dsn.c - whatever the other side said, the notice about it is legal mail
 *
 * The input is steering octets and then sender, recipient, ORCPT, ENVID, remote server and its reply,
 * each ended by a LF, and the original message. It is a message of a stranger, too, that is to lose its content.
 */
#include "mail/dsn.h"

#include "base/utf8.h"
#include "fuzz.h"
#include "mail/dsn_redact.h"
#include "mail/header.h"
#include "mail/mime_reader.h"
#include "mail/sevenbit.h"

#define BOUNDARY "=_bound.1"
#define END      "\r\n--" BOUNDARY "--\r\n"

enum { LINE_MOST = 998 };

static struct str take_line(struct str *in, size_t most)
{
    struct str line;
    str_cut(*in, '\n', &line, in);
    return str_head(line, most);
}

/* Lines end with CRLF, are short and hold no control byte but the tab. */
static void check_lines(struct str text, bool is_utf8)
{
    must(is_utf8 ? utf8_is_valid(text) : !str_has_8bit(text));
    while (text.n > 0) {
        size_t n = str_find(text, STR("\r\n"));
        must(n < text.n && n <= LINE_MOST);
        for (size_t i = 0; i < n; i++)
            must(((unsigned char)text.p[i] >= 0x20 || text.p[i] == '\t') && text.p[i] != 0x7F);
        text = str_skip(text, n + 2);
    }
}

/* A part's content; *text then begins behind the boundary line that ends it. */
static struct str take_part(struct str *text)
{
    size_t end = str_find(*text, STR("\r\n--" BOUNDARY "\r\n"));
    must(end < text->n);
    struct str part = str_head(*text, end + 2);
    *text = str_skip(*text, end + 4 + sizeof BOUNDARY - 1 + 2);
    return part;
}

/* Groups of fields with an empty line between them: one about the message, one a recipient. */
static void check_status(struct str part, const struct dsn *d)
{
    struct str groups = str_skip(part, header_size(part));
    size_t count = 0, recipients = 0;
    for (; groups.n > 0; count++) {
        struct header_field f;
        recipients += header_find(groups, STR("Final-Recipient"), &f);
        must(header_count(groups, STR("Final-Recipient"), 9) == (count > 0));
        must(header_count(groups, STR("Action"), 9) == (count > 0));
        must(header_count(groups, STR("Status"), 9) == (count > 0));
        must(header_count(groups, STR("Reporting-MTA"), 9) == (count == 0));
        groups = str_skip(groups, header_size(groups));
    }
    must(count == d->recipient_count + 1 && recipients == d->recipient_count);
}

/* Nobody knows which servers the notice will meet. */
static void check_convertible(struct str notice)
{
    struct sevenbit *s = sevenbit_make();
    sevenbit_look(s, notice);
    must(sevenbit_look_end(s).kind == FAULT_FINE);
    sevenbit_free(s);
}

static void check(struct str notice, const struct dsn *d)
{
    struct str text = notice;
    struct header_field f;
    bool is_utf8 = dsn_is_utf8(d);
    must(header_count(notice, STR("To"), 2) == 1 && header_find(notice, STR("From"), &f));
    must(header_count(notice, STR("Auto-Submitted"), 2) == 1);
    must(header_find(notice, STR("Content-Type"), &f));
    struct str header = take_part(&text), people = take_part(&text), status = text;
    if (d->message.n > 0)
        status = take_part(&text);
    else
        status.n -= sizeof END - 1 - 2; /* without an original this part is the last */
    check_lines(header, is_utf8);
    check_lines(people, is_utf8);
    check_lines(status, is_utf8);
    check_status(status, d);
    must(text.n >= sizeof END - 1 &&
         str_equal(str_skip(text, text.n - (sizeof END - 1)), STR(END)));
    if (d->message.n == 0)
        return;
    struct str original = str_head(text, text.n - (sizeof END - 1));
    original = str_skip(original, header_size(original));
    must(str_equal(original, str_head(d->message, original.n)));
    must(original.n <= d->message_limit || d->message_limit >= d->message.n);
}

static bool part_of(struct str message, unsigned number, struct mime_part *out)
{
    struct mime_reader r;
    bool has = true;
    mime_reader_start(&r, message);
    for (unsigned i = 0; has && i <= number; i++)
        has = mime_reader_next(&r, out);
    return has;
}

/* Without what it is about it has the text and the same fields, and nothing else. */
static void check_redacted(struct str notice)
{
    struct buf out = buf_make((size_t)1 << 22);
    struct mime_part old, new;
    must(dsn_redact(&out, notice));
    must(part_of(notice, 0, &old) && part_of(buf_str(&out), 0, &new));
    must(str_equal_nocase(new.type.subtype, STR("plain")) && str_starts(new.body, old.body));
    must(str_find(new.body, STR("is left out")) < new.body.n);
    must(part_of(notice, 1, &old) && part_of(buf_str(&out), 1, &new));
    must(str_equal(new.header, old.header) && str_equal(new.body, old.body));
    must(!part_of(buf_str(&out), 2, &new));
    buf_free(&out);
}

/* Of what a stranger sent: no more than it had and the few lines that are put in, and no signature. */
static void check_redacted_stranger(struct str message)
{
    struct buf out = buf_make((size_t)1 << 22);
    must(dsn_redact(&out, message));
    must(out.used <= message.n + 1024 + 3 * (size_t)CONTENT_TYPE_BOUNDARY_MAX);
    must(header_count(buf_str(&out), STR("DKIM-Signature"), 1) == 0);
    must(str_find(buf_str(&out), STR("is left out")) < out.used);
    buf_free(&out);
}

const struct fuzz_memory fuzz_memory = {.factor = 64, .base = 1048576};

void fuzz_one(struct str in)
{
    check_redacted_stranger(in);
    uint8_t flags = take_octet(&in), action = take_octet(&in), limit = take_octet(&in);
    struct arena arena = arena_make(1 << 16);
    struct address sender, final;
    struct str from = take_line(&in, 300), to = take_line(&in, 300);
    if (!address_parse(&arena, from, ADDRESS_ALLOW_UTF8, &sender) ||
        !address_parse(&arena, to, ADDRESS_ALLOW_UTF8, &final)) {
        arena_free(&arena);
        return;
    }
    struct dsn_recipient r[2] = {{.final = &final,
                                  .action = (enum dsn_action)(action % 5),
                                  .status = {4 + (flags & 1), action >> 4, action & 15},
                                  .orcpt = take_line(&in, DSN_ORCPT_MAX),
                                  .is_diagnostic_smtp = flags & 2,
                                  .last_attempt = 1700000000,
                                  .will_retry_until = flags & 4 ? 1700000001 : 0}};
    struct str envid = take_line(&in, DSN_ENVID_MAX);
    r[0].remote_mta = take_line(&in, 255);
    r[0].diagnostic = take_line(&in, FAULT_TEXT_MAX);
    r[1] = (struct dsn_recipient){.final = &sender, .action = DSN_DELAYED};
    struct dsn d = {.hostname = STR("mx.test"),
                    .time = 1700000000,
                    .message_id = STR("1@mx.test"),
                    .boundary = STR(BOUNDARY),
                    .sender = &sender,
                    .envid = envid,
                    .arrival = flags & 8 ? 1699999999 : 0,
                    .ret = (enum dsn_return)(limit % 3),
                    .is_smtputf8 = flags & 16,
                    .message = in,
                    .is_message_whole = flags & 32,
                    .message_limit = flags & 64 ? limit : 1 << 20,
                    .recipient = r,
                    .recipient_count = 1 + (flags >> 7)};
    struct buf out = buf_make((size_t)1 << 22);
    if (str_find(in, STR("--" BOUNDARY)) == in.n) {
        must(dsn_append(&out, &d));
        check(buf_str(&out), &d);
        check_redacted(buf_str(&out));
        if (!sender.is_utf8)
            check_convertible(buf_str(&out));
    }
    buf_free(&out);
    arena_free(&arena);
}
