/* SPDX-License-Identifier: ISC */
/*
 * test_linear.c - what a parser costs grows with its input and no faster: time and memory
 *
 * For each shape of input that could be dear, eight times the input may take twelve times the time
 * of this thread on a processor, and nine times the memory. The least of many runs is compared, both
 * sizes in turn, so that what else the machine does adds nothing; a quadratic parser takes 64 times as
 * long. Parsers whose input has a small limit (addresses, names, PROXY headers, DNS records) are not here,
 * nor are sections with titles, each of which libconfuse compares with all before it: they are the operator's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <malloc.h>

#include "../fuzz/meter.h"
#include "base/encode.h"
#include "base/utf8.h"
#include "check/arc.h"
#include "check/dkim_verify.h"
#include "check/spf.h"
#include "check/tag_list.h"
#include "cli/compose.h"
#include "cli/story.h"
#include "conf/conf.h"
#include "mail/content_type.h"
#include "mail/date.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/mailbox_list.h"
#include "mail/sevenbit.h"
#include "mail/transfer_encoder.h"
#include "proto/pop3_server.h"
#include "proto/smtp_client.h"
#include "proto/smtp_reply.h"
#include "proto/smtp_server.h"
#include "queue/record.h"
#include "role/control.h"
#include "role/queue_filter.h"
#include "store/entry.h"

enum { GROWTH = 8, TIME_MOST = 12, TIME_FAILS = 24, MEMORY_MOST = 9, MEMORY_BASE = 64 << 10 };
enum { ROUNDS_LEAST = 5, ROUNDS_MOST = 60 };
enum { RUN_NS = 20000, SAMPLE_NS = 100000, SIZE_MOST = 1 << 16 };

static struct buf large(void)
{
    return buf_make((size_t)1 << 30);
}

static void run_header(struct str in)
{
    struct header_field f;
    struct buf out = large();
    header_size(in);
    header_find(in, STR("zzz"), &f);
    header_count(in, STR("a"), SIZE_MAX);
    header_unfold(&out, in);
    out.used = 0;
    header_append(&out, STR("X"), in);
    buf_free(&out);
}

static void run_sevenbit(struct str in)
{
    struct sevenbit *s = sevenbit_make();
    struct buf out = large();
    sevenbit_look(s, in);
    if (!sevenbit_look_end(s).kind) {
        sevenbit_convert(s, in, &out);
        sevenbit_convert_end(s, &out);
    }
    sevenbit_free(s);
    buf_free(&out);
}

static void run_field(struct str in)
{
    struct content_type type;
    int64_t time;
    content_type_parse(in, &type);
    transfer_encoding_parse(in);
    date_parse(in, &time);
}

static void run_mailbox_list(struct str in)
{
    struct buf out = large();
    while (mailbox_list_next(&in, &out))
        out.used = 0;
    buf_free(&out);
}

static void run_decode(struct str in)
{
    struct buf out = large();
    decode_base64(&out, in);
    decode_hex(&out, in);
    decode_xtext(&out, in);
    encode_xtext(&out, in);
    utf8_is_valid(in);
    buf_free(&out);
}

static void run_transfer_encode(struct str in)
{
    struct transfer_encoder e = {0};
    struct buf out = large();
    transfer_encode(&e, in, &out);
    transfer_encode_end(&e, &out);
    buf_free(&out);
}

/* Fed in pieces of that size, 0: whole. */
static void feed_smtp_server(struct str in, size_t piece)
{
    static const struct smtp_server_options options = {.hostname = {"mx.test", 7},
                                                       .has_chunking = true};
    struct smtp_server s;
    struct smtp_event e;
    smtp_server_init(&s, &options, false);
    smtp_server_greet(&s);
    smtp_server_sent(&s, smtp_server_output(&s).n);
    while (in.n > 0 && !smtp_server_is_ended(&s)) {
        size_t n = smtp_server_feed(&s, piece ? str_head(in, piece) : in, &e);
        in = str_skip(in, n);
        while (smtp_server_answers_wanted(&s) > 0)
            smtp_server_answer(&s, &FINE);
        if (n == 0 || e.kind == SMTP_EVENT_HELLO || e.kind == SMTP_EVENT_DATA)
            smtp_server_sent(&s, smtp_server_output(&s).n);
    }
    smtp_server_free(&s);
}

static void run_smtp_server(struct str in)
{
    feed_smtp_server(in, 0);
}

static void run_smtp_server_octets(struct str in)
{
    feed_smtp_server(in, 1);
}

static void run_smtp_client(struct str in)
{
    const struct smtp_client_options options = {.hello_name = STR("me.test")};
    struct smtp_client c;
    struct smtp_client_event e;
    smtp_client_init(&c, &options);
    do {
        in = str_skip(in, smtp_client_feed(&c, in, &e));
        smtp_client_sent(&c, smtp_client_output(&c).n);
    } while (in.n > 0 && e.kind != SMTP_CLIENT_BROKEN && e.kind != SMTP_CLIENT_REFUSED);
    smtp_client_free(&c);
}

static void run_smtp_reply(struct str in)
{
    struct buf out = large();
    smtp_reply_append(&out, 550, FAULT_STATUS(5, 1, 1), in, true);
    buf_free(&out);
}

static void run_pop3_server(struct str in)
{
    static const struct pop3_server_options options = {.may_clear_auth = true,
                                                       .error_max = UINT32_MAX};
    struct pop3_server s;
    struct pop3_event e;
    pop3_server_init(&s, &options, true);
    while (in.n > 0) {
        in = str_skip(in, pop3_server_feed(&s, in, &e));
        pop3_server_sent(&s, pop3_server_output(&s).n);
        if (e.kind == POP3_LOGIN)
            pop3_server_refuse(&s, POP3_REFUSE_AUTH);
    }
    pop3_server_free(&s);
}

static void run_compose(struct str in)
{
    struct buf message = large();
    FILE *file = fmemopen((void *)(uintptr_t)in.p, in.n, "r");
    assert_non_null(file);
    if (!compose_read(file, false, &message).kind) {
        compose_add_from(&message, STR("me"), STR("me@home.test"));
        compose_fit_lines(&message);
    }
    fclose(file);
    buf_free(&message);
}

static void run_dsn(struct str in)
{
    struct address a = {.kind = ADDRESS_DOMAIN, .local = STR("a"), .domain = STR("b.test")};
    struct dsn_recipient r = {.final = &a, .status = {5, 1, 1}, .diagnostic = STR("550 no")};
    struct dsn d = {.hostname = STR("mx.test"),
                    .message_id = STR("1@mx.test"),
                    .boundary = STR("=_1"),
                    .sender = &a,
                    .message = in,
                    .is_message_whole = true,
                    .message_limit = SIZE_MAX,
                    .recipient = &r,
                    .recipient_count = 1};
    struct buf out = large();
    assert_true(dsn_append(&out, &d));
    buf_free(&out);
}

static void run_conf(struct str in)
{
    struct buf text = large();
    struct conf *c;
    assert_true(buf_append(&text, STR("hostname = mx.test\n")) && buf_append(&text, in) &&
                buf_append_byte(&text, '\0'));
    conf_parse("/etc/eilbote.conf", buf_str(&text), &c);
    conf_free(c);
    buf_free(&text);
}

static void run_control(struct str in)
{
    json_t *request;
    struct queue_filter filter;
    if (!control_parse(in, &request).kind)
        queue_filter_read(request, &filter);
    json_decref(request);
}

static void run_story(struct str in)
{
    struct story *s = story_make("someone@far.test");
    story_learn(s, in);
    story_has(s, in);
    story_free(s);
}

/* One recipient for each octet, each at a domain of its own. */
static void run_envelope(struct str in)
{
    size_t count = in.n / 16;
    struct queue_rcpt *rcpt = calloc(count, sizeof *rcpt);
    char(*text)[24] = calloc(count, sizeof *text);
    for (size_t i = 0; i < count; i++)
        rcpt[i].address =
            str_make(text[i], (size_t)snprintf(text[i], sizeof text[i], "u@d%zu.test", i));
    struct queue_envelope e = {.rcpt = rcpt, .rcpt_count = count};
    struct buf out = buf_make(record_accept_max(&e));
    record_pack_accept(&out, 1, &e, false, 0);
    struct queue_message *m = record_unpack_accept(buf_str(&out), 4096);
    assert_non_null(m);
    assert_int_equal(m->delivery_count, count);
    message_free(m);
    buf_free(&out);
    free(text);
    free(rcpt);
}

static void run_tag_list(struct str in)
{
    struct tag_list list;
    struct tag tag;
    struct str rest = in, item;
    struct buf out = large();
    tag_list_parse(in, &list);
    while (tag_next(&rest, &tag) != TAG_END)
        ;
    for (rest = in; tag_item_next(&rest, ':', &item);)
        ;
    tag_value_join(&out, in);
    buf_free(&out);
}

static void run_dkim_body(struct str in)
{
    struct dkim_body *b = dkim_body_make();
    dkim_body_want(b, DKIM_SIMPLE, DKIM_BODY_WHOLE);
    dkim_body_want(b, DKIM_RELAXED, DKIM_BODY_WHOLE);
    dkim_body_want(b, DKIM_RELAXED, 100);
    dkim_body_feed(b, in);
    dkim_body_end(b);
    dkim_body_free(b);
}

static void answer_key(void *context, struct arena *arena, const char *name, enum ask_type type,
                       struct ask_answer *out)
{
    static const char record[] =
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    static const struct str key = {record, sizeof record - 1};
    (void)context, (void)arena, (void)name, (void)type;
    *out = (struct ask_answer){.status = ASK_FOUND, .texts = &key, .count = 1};
}

/* A header section; the body is empty. */
static void run_dkim(struct str in)
{
    const struct dkim_verify_options options = {.now_s = 1700000000};
    struct arena arena = arena_make(1 << 16);
    struct asker asker = {answer_key, NULL, &arena, 40};
    struct dkim_body *b = dkim_body_make();
    struct dkim_verifier *v = dkim_verify_begin(in, b, &options);
    struct arc_verifier *chain = arc_verify_begin(in, b, 1700000000);
    dkim_body_end(b);
    dkim_verify_fetch(v, &asker);
    dkim_verify_finish(v, NULL);
    arc_verify_fetch(chain, &asker);
    arc_verify_finish(chain, NULL);
    arc_verify_free(chain);
    dkim_verify_free(v);
    dkim_body_free(b);
    arena_free(&arena);
}

#define DKIM_HEAD                                                                                  \
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed; d=a.b; s=c; b=YWJj;\r\n"                    \
    " bh=frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=; h=From"
#define TEN(text) text text text text text text text text text text

/* Every TXT question has the input for its answer; no other name exists. */
static void answer_spf(void *context, struct arena *arena, const char *name, enum ask_type type,
                       struct ask_answer *out)
{
    (void)arena;
    (void)name;
    *out = (struct ask_answer){.status = type == ASK_TXT ? ASK_FOUND : ASK_NO_NAME};
    if (type != ASK_TXT)
        return;
    out->count = 1;
    out->texts = context;
}

/* A record in which '@' stands for the '%' of macros, as that one numbers the units. */
static void run_spf(struct str in)
{
    struct arena arena = arena_make(1 << 20);
    struct buf text = large();
    assert_true(buf_append(&text, in));
    for (size_t i = 0; i < text.used; i++)
        text.data[i] = in.p[i] == '@' ? '%' : in.p[i];
    struct str record = buf_str(&text);
    struct asker asker = {.answer = answer_spf, .context = &record, .arena = &arena, .left = 40};
    const struct spf_question q = {.helo = STR("c.test"),
                                   .mail_from = STR("a-b-c-d-e-f@d.test"),
                                   .void_limit = SPF_VOID_LIMIT};
    struct spf_verdict v;
    spf_check(&q, &asker, &v);
    arena_free(&arena);
    buf_free(&text);
}

static const struct shape {
    const char *name;
    void (*run)(struct str in);
    const char *head, *unit, *tail; /* "%" in a unit is its number */
    size_t size;
} shapes[] = {
    {"header: fields", run_header, "", "a: b\r\n", "\r\n", 8192},
    {"header: folds", run_header, "a: b\r\n", " x\r\n", "\r\n", 8192},
    {"header: bare LF", run_header, "a: b", "\n", "", 8192},
    {"header: bare CR", run_header, "a: b", "\r", "", 8192},
    {"header: a long name", run_header, "", "a", "", 8192},
    {"header: blanks", run_header, "a: ", " ", "x", 8192},
    {"header: blanks in front of the colon", run_header, "a", " ", ":", 8192},
    {"sevenbit: parts", run_sevenbit, "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
     "--b\r\n\r\n\xE4\r\n", "--b--\r\n", 8192},
    {"sevenbit: nested", run_sevenbit, "",
     "Content-Type: multipart/mixed; boundary=b%\r\n\r\n--b%\r\n", "\xE4\r\n", 8192},
    {"sevenbit: almost a boundary", run_sevenbit,
     "Content-Type: multipart/mixed; boundary=bbbbbbbbbbbbbbbb\r\n\r\n--bbbbbbbbbbbbbbbb\r\n\r\n",
     "--bbbbbbbbbbbbbbb\r\n\xE4", "", 8192},
    {"sevenbit: one line", run_sevenbit, "\r\n", "\xE4", "", 8192},
    {"sevenbit: dashes", run_sevenbit, "Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--",
     "", 8192},
    {"sevenbit: messages in messages", run_sevenbit, "", "Content-Type: message/rfc822\r\n\r\n",
     "\r\n\xE4", 8192},
    {"field: comments", run_field, "", "(", "", 8192},
    {"field: closed comments", run_field, "a/b", "(x)", ";", 8192},
    {"field: backslashes", run_field, "(", "\\", ")", 8192},
    {"field: parameters", run_field, "a/b", ";c=d", "", 8192},
    {"field: empty parameters", run_field, "a/b", ";", "", 8192},
    {"field: a quoted value", run_field, "a/b;boundary=\"", "\\x", "\"", 8192},
    {"mailbox list: addresses", run_mailbox_list, "", "a@b.test, ", "", 8192},
    {"mailbox list: comments", run_mailbox_list, "", "(", "", 8192},
    {"mailbox list: commas", run_mailbox_list, "", ",", "", 8192},
    {"mailbox list: groups", run_mailbox_list, "", "a:;", "", 8192},
    {"mailbox list: quotes", run_mailbox_list, "", "\"", "", 8192},
    {"mailbox list: brackets", run_mailbox_list, "", "<", "", 8192},
    {"mailbox list: literals", run_mailbox_list, "", "[", "", 8192},
    {"decode: digits", run_decode, "", "abcd", "", 8192},
    {"decode: what is no digit", run_decode, "", "++++", "", 8192},
    {"decode: three octets a character", run_decode, "", "\xE2\x82\xAC", "", 8192},
    {"transfer encoding: 8-bit", run_transfer_encode, "", "\xE4", "", 8192},
    {"transfer encoding: blanks", run_transfer_encode, "", " ", "", 8192},
    {"transfer encoding: lines", run_transfer_encode, "", "-\r\n", "", 8192},
    {"SMTP server: commands", run_smtp_server, "", "NOOP\r\n", "", 8192},
    {"SMTP server: unknown commands", run_smtp_server, "", "\r\n", "", 8192},
    {"SMTP server: a line without end", run_smtp_server, "", "x", "", 8192},
    {"SMTP server: a line without end, octet by octet", run_smtp_server_octets, "", "x", "", 8192},
    {"SMTP server: recipients", run_smtp_server, "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\n",
     "RCPT TO:<c@d.test>\r\n", "", 8192},
    {"SMTP server: refused parameters", run_smtp_server, "EHLO c.test\r\n",
     "MAIL FROM:<a@b.test> A=1 B=2\r\n", "", 8192},
    {"SMTP server: dots", run_smtp_server,
     "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n", "..\r\n", ".\r\n",
     8192},
    {"SMTP server: dots and text", run_smtp_server,
     "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n", "..\r\na\r\n", "",
     8192},
    {"SMTP server: one line of content", run_smtp_server,
     "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n", "x", "", 65536},
    {"SMTP server: chunks", run_smtp_server,
     "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n", "BDAT 1\r\nx", "", 8192},
    {"SMTP client: lines of a reply", run_smtp_client, "", "220-x\r\n", "220 x\r\n", 8192},
    {"SMTP client: a line without end", run_smtp_client, "", "220-x", "", 8192},
    {"SMTP client: capabilities", run_smtp_client, "220 x\r\n", "250-SIZE 1 2 3\r\n", "250 x\r\n",
     8192},
    {"SMTP reply: lines", run_smtp_reply, "", "\n", "", 8192},
    {"SMTP reply: no blank", run_smtp_reply, "", "\x80", "", 8192},
    {"SMTP reply: blanks", run_smtp_reply, "", " ", "", 8192},
    {"POP3 server: commands", run_pop3_server, "", "CAPA\r\n", "", 8192},
    {"POP3 server: logins", run_pop3_server, "", "USER u\r\nPASS p\r\n", "", 8192},
    {"POP3 server: a line without end", run_pop3_server, "", "x", "", 8192},
    {"sendmail: lines", run_compose, "", "\n", "", 8192},
    {"sendmail: one line", run_compose, "\n", "x", "", 8192},
    {"sendmail: fields", run_compose, "", "a: b\n", "", 8192},
    {"notice: parts", run_dsn, "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
     "--b\r\n\r\n\xE4\r\n", "--b--\r\n", 8192},
    {"notice: fields", run_dsn, "", "a: b\r\n", "", 8192},
    {"configuration: comments", run_conf, "", "# x\n", "", 8192},
    {"configuration: a list", run_conf, "relay-domains = {", "\"d%.test\", ", "\"x.test\"}\n",
     8192},
    {"configuration: open variables", run_conf, "", "${", "", 8192},
    {"configuration: open comments", run_conf, "", "/*", "", 8192},
    {"configuration: open sections", run_conf, "", "a {\n", "", 8192},
    {"control: ids", run_control, "{\"verb\":\"x\",\"filter\":{\"ids\":[", "\"AAAAAAAAAAAAA\",",
     "\"AAAAAAAAAAAAA\"]}}", 8192},
    {"control: names", run_control, "{", "\"k%\":1,", "\"k\":1}", 8192},
    {"control: depth", run_control, "", "[", "", 8192},
    {"event line: fields", run_story, "{", "\"k%\":1,", "\"k\":1}", 8192},
    {"event line: almost the address", run_story, "{\"to\":\"", "\\\"someone@far.tes", "\"}", 8192},
    {"tag list: tags", run_tag_list, "", "t%=v;", "", 8192},
    {"tag list: nothing", run_tag_list, "", ";", "", 8192},
    {"tag list: a value of folds", run_tag_list, "a=b", "\r\n c", "", 8192},
    {"tag list: blanks", run_tag_list, "a=b", " ", "", 8192},
    {"tag list: almost folds", run_tag_list, "a=b", "\r\n", "", 8192},
    {"tag list: items", run_tag_list, "", ":", "", 8192},
    {"DKIM body: empty lines", run_dkim_body, "", "\r\n", "x", 8192},
    {"DKIM body: blanks", run_dkim_body, "", " \t", "x", 8192},
    {"DKIM body: bare CR", run_dkim_body, "", "\r", "", 8192},
    {"DKIM body: lines of blanks", run_dkim_body, "", " \r\n", "x", 8192},
    {"DKIM: fields", run_dkim, DKIM_HEAD TEN(TEN(":a")) "\r\n", "x%: " TEN(TEN("xyz")) "\r\n", "",
     8192},
    {"DKIM: fields of one name", run_dkim, DKIM_HEAD TEN(TEN(":x")) "\r\n",
     "x: " TEN(TEN("xyz")) "\r\n", "", 8192},
    {"DKIM: a signed field of folds", run_dkim, DKIM_HEAD "\r\nFrom: a", "\r\n b", "\r\n", 8192},
    {"DKIM: a name", run_dkim, DKIM_HEAD "\r\n", "a", ": b\r\n", 8192},
    {"ARC: results", run_dkim, "", "ARC-Authentication-Results: i=%; " TEN(TEN("xyz")) "\r\n", "",
     8192},
    {"ARC: tags in front of the instance", run_dkim, "ARC-Seal: ", "t%=v;", "\r\n", 8192},
    {"SPF: mechanisms", run_spf, "v=spf1", " ip4:192.0.2.1", " -all", 8192},
    {"SPF: spaces", run_spf, "v=spf1", " ", "-all", 8192},
    {"SPF: unknown modifiers", run_spf, "v=spf1", " m%=x", " -all", 8192},
    {"SPF: macros", run_spf, "v=spf1 exists:", "@{s99r-.}", " -all", 8192},
    {"SPF: a long domain", run_spf, "v=spf1 exists:", "x.", "test -all", 8192},
    {"SPF: digits of a transformer", run_spf, "v=spf1 exists:@{d", "1", "} -all", 8192},
    {"SPF: delimiters", run_spf, "v=spf1 exists:@{d", ".", "} -all", 8192},
    {"SPF: slashes", run_spf, "v=spf1 a:", "/", "24 -all", 8192},
    {"SPF: digits of a prefix", run_spf, "v=spf1 a/", "1", " -all", 8192},
    {"SPF: a record that includes itself", run_spf, "v=spf1 include:d.test", " m=x", "", 8192},
    {"queue record: recipients", run_envelope, "", "x", "", 8192},
};

static struct buf make_input(const struct shape *s, size_t size)
{
    struct buf b = large();
    assert_true(buf_append(&b, str_from(s->head)));
    for (int64_t i = 0; b.used < size; i++)
        for (const char *c = s->unit; *c; c++)
            assert_true(*c == '%' ? buf_append_number(&b, i) : buf_append_byte(&b, *c));
    assert_true(buf_append(&b, str_from(s->tail)));
    return b;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* So many runs one after the other. */
static int64_t measure(const struct shape *s, struct str in, int times)
{
    int64_t start = now_ns();
    for (int i = 0; i < times; i++)
        s->run(in);
    return now_ns() - start;
}

/* What takes so long that the caches of the processor do not decide. */
static size_t choose_size(const struct shape *s)
{
    size_t size = s->size;
    for (bool is_long = false; !is_long && size < SIZE_MOST; size *= 2) {
        struct buf in = make_input(s, size);
        s->run(buf_str(&in));
        is_long = measure(s, buf_str(&in), 1) > RUN_NS;
        buf_free(&in);
    }
    return size;
}

static bool is_linear(const struct shape *s)
{
    size_t size = choose_size(s);
    struct buf small = make_input(s, size), big = make_input(s, size * GROWTH);
    int64_t least_small = INT64_MAX, least_big = INT64_MAX;
    int times = 1;
    while (measure(s, buf_str(&small), times) < SAMPLE_NS)
        times *= 2;
    for (int round = 0; round < ROUNDS_MOST; round++) {
        int64_t a = measure(s, buf_str(&small), times), b = measure(s, buf_str(&big), times);
        least_small = a < least_small ? a : least_small;
        least_big = b < least_big ? b : least_big;
        if (round >= ROUNDS_LEAST && least_big <= TIME_MOST * least_small)
            break;
    }
    long long before = meter_start();
    s->run(buf_str(&small));
    long long held_small = meter_peak() - before;
    before = meter_start();
    s->run(buf_str(&big));
    long long held_big = meter_peak() - before;
    /* Hash tables that leave the caches, and neighbours on the processor, may cost a little more: that
     * is said. What grows with the square takes 64 times as long. */
    bool is_steep = least_big > TIME_MOST * least_small;
    bool is_good =
        least_big <= TIME_FAILS * least_small && held_big <= MEMORY_MOST * held_small + MEMORY_BASE;
    if (is_steep || !is_good)
        print_error(
            "%s: %zu octets in %.1f us with %lld octets of memory, %zu in %.1f us with %lld\n",
            s->name, small.used, (double)least_small / 1e3 / times, held_small, big.used,
            (double)least_big / 1e3 / times, held_big);
    buf_free(&small);
    buf_free(&big);
    return is_good;
}

static void test_eight_times_the_input_costs_eight_times(void **state)
{
    (void)state;
    size_t bad = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        bad += !is_linear(&shapes[i]);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eight_times_the_input_costs_eight_times),
    };
    /* What the kernel does for large blocks of memory is not the parser's. */
    if (!mallopt(M_MMAP_THRESHOLD, 32 << 20) || !mallopt(M_TRIM_THRESHOLD, 1 << 30))
        print_message("without settings of malloc, large blocks may seem dear\n");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
