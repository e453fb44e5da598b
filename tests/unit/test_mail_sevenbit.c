/* SPDX-License-Identifier: ISC */
/*
 * test_mail_sevenbit.c - 8-bit content as 7-bit content: whole, byte by byte, at random splits
 */
#include "mail/sevenbit.h"

#include "mail/content_type.h"

#include "mail_test.h"

enum { ROOM = 8 << 20 };

/* Both readings in pieces: of the given size, or of random sizes up to 60 when it is 0. */
static struct fault convert(struct str in, size_t piece, struct buf *out)
{
    struct sevenbit *s = sevenbit_make();
    struct str rest = in;
    unsigned random = 1;
    out->used = 0;
    for (struct str part; rest.n > 0; rest = str_skip(rest, part.n)) {
        random = random * 1103515245 + 12345;
        part = str_head(rest, piece ? piece : 1 + (random >> 16) % 60);
        sevenbit_look(s, part);
    }
    struct fault f = sevenbit_look_end(s);
    rest = in;
    for (struct str part; rest.n > 0 && !f.kind; rest = str_skip(rest, part.n)) {
        random = random * 1103515245 + 12345;
        part = str_head(rest, piece ? piece : 1 + (random >> 16) % 60);
        sevenbit_convert(s, part, out);
    }
    if (!f.kind)
        sevenbit_convert_end(s, out);
    sevenbit_free(s);
    return f;
}

/* However the content is split, the outcome is the same; gives it. */
static struct fault convert_in_all_ways(struct str in, struct buf *out)
{
    static const size_t pieces[] = {1, 2, 3, 7, 999, 1000, 1001, 0};
    struct fault f = convert(in, in.n + 1, out);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct buf other = buf_make(ROOM);
        struct fault g = convert(in, pieces[i], &other);
        assert_int_equal(f.kind, g.kind);
        assert_string_equal(f.text, g.text);
        if (!str_equal(buf_str(out), buf_str(&other)))
            fail_msg("pieces of %zu: got <" STR_FMT ">, not <" STR_FMT ">", pieces[i],
                     STR_ARG(buf_str(&other)), STR_ARG(buf_str(out)));
        buf_free(&other);
    }
    return f;
}

struct row {
    const char *in, *out;
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buf out = buf_make(ROOM);
        struct fault f = convert_in_all_ways(str_from(rows[i].in), &out);
        assert_string_equal(f.text, "");
        assert_str(buf_str(&out), rows[i].out);
        buf_free(&out);
    }
}

/* Each of the smallest parts gets fields; all of them fit. */
static void test_many_small_parts_have_room(void **state)
{
    (void)state;
    enum { PARTS = 9000 };
    struct buf in = buf_make(ROOM), out = buf_make(0);
    buf_append(&in, STR("Content-Type: multipart/digest; boundary=b\r\n\r\n"));
    for (size_t i = 0; i < PARTS / 2; i++)
        buf_append(&in, STR("--b\r\n\xFF\r\n"));
    out.limit = SEVENBIT_OUTPUT_MAX(in.used);
    assert_string_equal(convert(buf_str(&in), in.used, &out).text, "");
    assert_false(str_has_8bit(buf_str(&out)));
    assert_true(out.used > PARTS / 2 * 100);
    buf_free(&in);
    buf_free(&out);
}

#define ENCODING "Content-Transfer-Encoding: "
#define BINARY   "Content-Type: application/octet-stream\r\n"

static void test_single_part(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* Fields are rewritten in place; what is missing is added. */
        {"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" ENCODING
         "8bit\r\nSubject: s\r\n\r\nGr\xC3\xBC\xC3\x9F"
         "e = a.\r\n",
         "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" ENCODING
         "quoted-printable\r\nSubject: s\r\n\r\nGr=C3=BC=C3=9Fe =3D a.\r\n"},
        {"Subject: s\r\n\r\n\xE4\r\n",
         "Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
         "charset=unknown-8bit\r\n" ENCODING "quoted-printable\r\n\r\n=E4\r\n"},
        {"mime-version: 1.0\r\ncontent-type: text/html\r\ncontent-transfer-encoding: 8bit\r\n"
         "content-transfer-encoding: 7bit\r\n\r\n\xE4",
         "mime-version: 1.0\r\ncontent-type: text/html\r\n" ENCODING "quoted-printable\r\n\r\n=E4"},
        /* Everything but text becomes base64, with its line ends. */
        {"MIME-Version: 1.0\r\n" BINARY "\r\n\xFF\r\n\r\n",
         "MIME-Version: 1.0\r\n" BINARY ENCODING "base64\r\n\r\n/w0KDQo=\r\n"},
        /* A type that cannot be read is text (RFC 2045 section 5.2). */
        {"MIME-Version: 1.0\r\nContent-Type: nonsense\r\n\r\n\xE4\r\n",
         "MIME-Version: 1.0\r\nContent-Type: nonsense\r\n" ENCODING
         "quoted-printable\r\n\r\n=E4\r\n"},
        /* A header that ends without an empty line gets one. */
        {"Subject: s\r\nno field \xE4\r\n",
         "Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
         "charset=unknown-8bit\r\n" ENCODING "quoted-printable\r\n\r\nno field =E4\r\n"},
        /* What has no 8-bit byte stays as it is. */
        {"Subject: s\r\n" ENCODING "8bit\r\n\r\n= plain \r\n",
         "Subject: s\r\n" ENCODING "8bit\r\n\r\n= plain \r\n"},
        {"Subject: s", "Subject: s"},
        {"Subject: s\r\n", "Subject: s\r\n"},
        {"", ""},
    };
    check(rows, sizeof rows / sizeof *rows);
}

#define TEXT_HEAD                                                                                  \
    "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
#define TEXT_QP                                                                                    \
    "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: "                 \
    "quoted-printable\r\n\r\n"
#define TEN     "0123456789"
#define SEVENTY TEN TEN TEN TEN TEN TEN TEN

static void test_quoted_printable_lines(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {TEXT_HEAD "\xE4 \r\n\t\r\na b\r\n", TEXT_QP "=E4=20\r\n=09\r\na b\r\n"},
        {TEXT_HEAD "\xE4 ", TEXT_QP "=E4=20"},
        {TEXT_HEAD "\xE4\ra\n\r\r\n", TEXT_QP "=E4=0Da=0A=0D\r\n"},
        {TEXT_HEAD SEVENTY "12\xE4\r\n", TEXT_QP SEVENTY "12=E4\r\n"},
        {TEXT_HEAD SEVENTY "123\xE4\r\n", TEXT_QP SEVENTY "123=\r\n=E4\r\n"},
        {TEXT_HEAD SEVENTY "\xE4"
                           "12345\r\n",
         TEXT_QP SEVENTY "=E412=\r\n345\r\n"},
        /* A line that only the encoding begins is no boundary. */
        {TEXT_HEAD SEVENTY "\xE4--b\r\n", TEXT_QP SEVENTY "=E4--=\r\nb\r\n"},
        {TEXT_HEAD SEVENTY "12\xE4--b\r\n", TEXT_QP SEVENTY "12=E4=\r\n=2D-b\r\n"},
    };
    check(rows, sizeof rows / sizeof *rows);
}

#define MIXED "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n"

static void test_multipart(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* Only the parts that need it; the line end in front of a boundary is not the part's. */
        {MIXED ENCODING "8bit\r\n\r\n--b\r\n\r\n= \r\n--b\r\n" BINARY "\r\n\xFF\r\n--b\r\n\r\n\xE4"
                        "\r\n--b--\r\n",
         MIXED ENCODING "7bit\r\n\r\n--b\r\n\r\n= \r\n--b\r\n" BINARY ENCODING
                        "base64\r\n\r\n/w==\r\n--b\r\nContent-Type: text/plain; "
                        "charset=unknown-8bit\r\n" ENCODING
                        "quoted-printable\r\n\r\n=E4\r\n--b--\r\n"},
        /* A boundary of an outer multipart ends the inner one; blanks behind one are nothing. */
        {MIXED "\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\n\xE4"
               "\r\n--b \t\r\n\r\n\xE5\r\n--b--",
         MIXED "\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n"
               "Content-Type: text/plain; charset=unknown-8bit\r\n" ENCODING
               "quoted-printable\r\n\r\n=E4\r\n--b \t\r\nContent-Type: text/plain; "
               "charset=unknown-8bit\r\n" ENCODING "quoted-printable\r\n\r\n=E5\r\n--b--"},
        /* In front of the first part and behind the last nobody reads. */
        {MIXED "\r\n\xE4--b\r\n--b\r\n\r\nx\r\n--b--\r\n\xE4\r\n--b\r\n",
         MIXED "\r\n*--b\r\n--b\r\n\r\nx\r\n--b--\r\n*\r\n--b\r\n"},
        /* A line with more than the boundary is none. */
        {MIXED "\r\n--b\r\n\r\n\xE4\r\n--bc\r\n--b---\r\n-b\r\n",
         MIXED "\r\n--b\r\nContent-Type: text/plain; charset=unknown-8bit\r\n" ENCODING
               "quoted-printable\r\n\r\n=E4\r\n--bc\r\n--b---\r\n-b\r\n"},
        /* A part without a body, and one that ends within its header. */
        {MIXED "\r\n--b\r\n--b\r\nContent-Type: text/plain\r\n--b\r\n" BINARY "\r\n\xE4\r\n--b--",
         MIXED "\r\n--b\r\n--b\r\nContent-Type: text/plain\r\n--b\r\n" BINARY ENCODING
               "base64\r\n\r\n5A==\r\n--b--"},
    };
    check(rows, sizeof rows / sizeof *rows);
}

static void test_message_within(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {MIXED "\r\n--b\r\nContent-Type: message/rfc822\r\n" ENCODING
               "8bit\r\n\r\nSubject: in\r\n\r\n\xE4\r\n--b--\r\n",
         MIXED "\r\n--b\r\nContent-Type: message/rfc822\r\n" ENCODING
               "7bit\r\n\r\nSubject: in\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
               "charset=unknown-8bit\r\n" ENCODING "quoted-printable\r\n\r\n=E4\r\n--b--\r\n"},
        /* In a digest every part is one (RFC 2046 section 5.1.5). */
        {"MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n"
         "MIME-Version: 1.0\r\n" BINARY "\r\n\xE4\r\n--d--\r\n",
         "MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n"
         "MIME-Version: 1.0\r\n" BINARY ENCODING "base64\r\n\r\n5A==\r\n--d--\r\n"},
        /* A message with UTF-8 in its header may be encoded as a whole (RFC 6532 section 3.7). */
        {MIXED
         "\r\n--b\r\nContent-Type: message/global\r\n\r\nSubject: \xC3\xA4\r\n\r\n\r\n--b--\r\n",
         MIXED "\r\n--b\r\nContent-Type: message/global\r\n" ENCODING
               "quoted-printable\r\n\r\nSubject: =C3=A4\r\n\r\n\r\n--b--\r\n"},
        /* The first line is no field: the inner message has no header, as the outer one. */
        {"MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\xE4\r\n",
         "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\nMIME-Version: "
         "1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n" ENCODING
         "quoted-printable\r\n\r\n=E4\r\n"},
    };
    check(rows, sizeof rows / sizeof *rows);
}

static void test_what_cannot_be_converted(void **state)
{
    (void)state;
    static const struct {
        const char *in, *why;
    } rows[] = {
        {"Subject: \xE4\r\n\r\nx\r\n", "a header field has 8-bit bytes"},
        {MIXED "\r\n--b\r\nContent-Description: \xE4\r\n\r\n--b--\r\n",
         "a header field has 8-bit bytes"},
        {MIXED ENCODING "base64\r\n\r\n--b\r\n\r\n\xE4\r\n--b--\r\n",
         "a part that claims to be encoded has 8-bit bytes"},
        {ENCODING "Quoted-Printable\r\n\r\n\xE4\r\n",
         "a part that claims to be encoded has 8-bit bytes"},
        {ENCODING "x-uuencode\r\n\r\n\xE4\r\n", "a part that claims to be encoded has 8-bit bytes"},
        {"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n\xE4\r\n--s--\r\n",
         "a signed part must not be changed"},
        {"Content-Type: multipart/signed; boundary=s\r\n\r\n\xE4\r\n--s\r\n\r\nx\r\n--s--\r\n",
         "a signed part must not be changed"},
        {"Content-Type: multipart/mixed\r\n\r\n\xE4\r\n", "a multipart has no boundary"},
        {"Content-Type: message/partial\r\n\r\n\xE4\r\n",
         "a part has a type that is never encoded"},
        {"Content-Type: message/delivery-status\r\n\r\n\xE4\r\n",
         "a part has a type that is never encoded"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = buf_make(ROOM);
        struct fault f = convert_in_all_ways(str_from(rows[i].in), &out);
        assert_int_equal(f.kind, FAULT_NEVER);
        assert_int_equal(f.reply, 554);
        assert_true(f.status.class == 5 && f.status.subject == 6 && f.status.detail == 3);
        assert_non_null(strstr(f.text, rows[i].why));
        buf_free(&out);
    }
}

/* A signed part, an encoded one: without an 8-bit byte in it each stays as it is beside another. */
static void test_what_is_sealed_stays(void **state)
{
    (void)state;
#define SIGNED                                                                                     \
    "Content-Type: multipart/signed; boundary=s\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"        \
    "--s\r\nContent-Transfer-Encoding: 8bit\r\n\r\n= x \r\n--s--\r\n"
    static const struct row rows[] = {
        {MIXED "\r\n--b\r\n" SIGNED "--b\r\n" BINARY "\r\n\xE4\r\n--b--\r\n",
         MIXED "\r\n--b\r\n" SIGNED "--b\r\n" BINARY ENCODING "base64\r\n\r\n5A==\r\n--b--\r\n"},
    };
    check(rows, sizeof rows / sizeof *rows);
}

static enum sevenbit_header header_of(struct str in, size_t piece)
{
    struct sevenbit *s = sevenbit_make();
    for (struct str part; in.n > 0; in = str_skip(in, part.n)) {
        part = str_head(in, piece);
        sevenbit_look(s, part);
    }
    sevenbit_look_end(s);
    enum sevenbit_header header = sevenbit_header(s);
    sevenbit_free(s);
    return header;
}

static void test_what_the_headers_hold(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        enum sevenbit_header header;
    } rows[] = {
        {"Subject: s\r\n\r\n\xC3\xA4\r\n", SEVENBIT_HEADER_ASCII},
        {"Subject: \xC3\xA4\r\n\r\nx\r\n", SEVENBIT_HEADER_UTF8},
        {"Subject: \xE4\r\n\r\nx\r\n", SEVENBIT_HEADER_OTHER},
        {MIXED "\r\n\xC3\xA4: x\r\n--b\r\n\r\n\xC3\xA4: x\r\n--b--\r\n", SEVENBIT_HEADER_ASCII},
        {MIXED "\r\n--b\r\nContent-Description: \xC3\xA4\r\n\r\n--b--\r\n", SEVENBIT_HEADER_UTF8},
        {MIXED "\r\n--b\r\nX: \xC3\xA4\r\n\r\n--b\r\nX: \xE4\r\n--b--\r\n", SEVENBIT_HEADER_OTHER},
        {MIXED "\r\n--b\r\nX: \xE4\r\n\r\n--b\r\nX: \xC3\xA4\r\n--b--\r\n", SEVENBIT_HEADER_OTHER},
        {MIXED "\r\n--b\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
               "Content-Description: \xC3\xA4\r\n\r\n--s--\r\n--b--\r\n",
         SEVENBIT_HEADER_UTF8},
        {MIXED "\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: \xC3\xA4\r\n--b--\r\n",
         SEVENBIT_HEADER_UTF8},
        {MIXED "\r\n--b\r\nContent-Type: message/global\r\n\r\nSubject: \xC3\xA4\r\n--b--\r\n",
         SEVENBIT_HEADER_ASCII},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t piece = 1; piece < 100; piece += 7)
            assert_int_equal(header_of(str_from(rows[i].in), piece), rows[i].header);
}

/* Where the limits end the look, 8-bit bytes may be a field's. */
static void test_headers_beyond_the_limits(void **state)
{
    (void)state;
    struct buf in = buf_make(ROOM);
    for (int i = 0; i <= SEVENBIT_DEPTH_MAX; i++)
        buf_printf(&in, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
    assert_int_equal(header_of(buf_str(&in), 999), SEVENBIT_HEADER_ASCII);
    buf_append(&in, STR("X: \xC3\xA4\r\n\r\nx\r\n"));
    assert_int_equal(header_of(buf_str(&in), 999), SEVENBIT_HEADER_OTHER);
    for (int is_early = 0; is_early < 2; is_early++) {
        in.used = 0;
        buf_append(&in, is_early ? STR("X: \xC3\xA4") : STR("X: x"));
        for (int i = 0; i < SEVENBIT_HEADER_MAX; i++)
            buf_append_byte(&in, 'x');
        buf_append(&in, is_early ? STR("\r\n") : STR("\xC3\xA4\r\n"));
        assert_int_not_equal(header_of(buf_str(&in), 999), SEVENBIT_HEADER_ASCII);
    }
    buf_free(&in);
}

static void test_limits(void **state)
{
    (void)state;
    struct buf in = buf_make(ROOM), out = buf_make(ROOM);
    for (int depth = SEVENBIT_DEPTH_MAX - 1; depth <= SEVENBIT_DEPTH_MAX; depth++) {
        in.used = 0;
        for (int i = 0; i <= depth; i++)
            buf_printf(&in, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
        buf_append(&in, STR("\r\n\xE4\r\n"));
        struct fault f = convert_in_all_ways(buf_str(&in), &out);
        assert_int_equal(f.kind, depth < SEVENBIT_DEPTH_MAX ? FAULT_FINE : FAULT_NEVER);
    }
    for (int count = SEVENBIT_PARTS_MAX - 1; count <= SEVENBIT_PARTS_MAX; count++) {
        in.used = 0;
        buf_append(&in, STR(MIXED "\r\n"));
        for (int i = 0; i < count; i++)
            buf_append(&in, STR("--b\r\n\r\n\xE4\r\n"));
        assert_int_equal(convert(buf_str(&in), 4096, &out).kind,
                         count < SEVENBIT_PARTS_MAX ? FAULT_FINE : FAULT_NEVER);
    }
    in.used = 0;
    buf_append(&in, STR("Subject:"));
    for (int i = 0; i < SEVENBIT_HEADER_MAX; i++)
        buf_append_byte(&in, 'x');
    buf_append(&in, STR("\r\n\r\n\xE4\r\n"));
    assert_int_equal(convert(buf_str(&in), 4096, &out).kind, FAULT_NEVER);
    buf_free(&in);
    buf_free(&out);
}

/* Messages put together by chance: what is converted has no 8-bit byte, and converting it again
 * changes nothing. */
static void test_chance(void **state)
{
    (void)state;
    static const char *const words[] = {"\r\n",
                                        "\r\n\r\n",
                                        "--b\r\n",
                                        "--b--\r\n",
                                        "--c\r\n",
                                        "\xE4",
                                        "a ",
                                        "\r",
                                        "\n",
                                        ".",
                                        "Content-Type: multipart/mixed; boundary=b\r\n",
                                        "Content-Type: text/plain\r\n",
                                        "Content-Type: multipart/digest; boundary=\"c\"\r\n",
                                        BINARY,
                                        ENCODING "8bit\r\n",
                                        "Content-Type: message/rfc822\r\n",
                                        "MIME-Version: 1.0\r\n",
                                        SEVENTY,
                                        "\t\r\n",
                                        "Content-Type: multipart/signed; boundary=c\r\n",
                                        "X: y\r\n",
                                        ENCODING "base64\r\n"};
    struct buf in = buf_make(ROOM), out = buf_make(ROOM), again = buf_make(ROOM);
    unsigned random = 7;
    int converted = 0;
    for (int round = 0; round < 3000; round++) {
        in.used = 0;
        if (round % 2)
            buf_append(&in, STR(MIXED "\r\n--b\r\n"));
        for (int i = 0; i < 25; i++) {
            random = random * 1103515245 + 12345;
            buf_append(&in, str_from(words[(random >> 16) % (sizeof words / sizeof *words)]));
        }
        if (convert_in_all_ways(buf_str(&in), &out).kind)
            continue;
        converted += str_has_8bit(buf_str(&in));
        assert_false(str_has_8bit(buf_str(&out)));
        assert_int_equal(convert(buf_str(&out), 11, &again).kind, FAULT_FINE);
        assert_true(str_equal(buf_str(&out), buf_str(&again)));
    }
    assert_true(converted > 200);
    buf_free(&in);
    buf_free(&out);
    buf_free(&again);
}

static void test_content_type(void **state)
{
    (void)state;
    static const struct {
        const char *value, *type, *subtype, *boundary;
    } rows[] = {
        {" text/plain", "text", "plain", ""},
        {" (a (b) \\) c) Multipart / (x) mixed ;\r\n\tBOUNDARY = \"a \\\"b\" (y); z=1", "Multipart",
         "mixed", "a \"b"},
        {" multipart/mixed; x=\"boundary=no\"; ; boundary=a'b=c", "multipart", "mixed", "a'b"},
        {" multipart/mixed; boundary=\"a  \"; boundary=second", "multipart", "mixed", "a"},
        {" multipart/mixed; boundary=\"open", "multipart", "mixed", ""},
        {" multipart/mixed; boundary=", "multipart", "mixed", ""},
        {" multipart/mixed; =a; boundary=b", "multipart", "mixed", ""},
        {" text", NULL, NULL, NULL},
        {" /plain", NULL, NULL, NULL},
        {" text/", NULL, NULL, NULL},
        {"", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct content_type t;
        assert_int_equal(content_type_parse(str_from(rows[i].value), &t), rows[i].type != NULL);
        if (!rows[i].type)
            continue;
        assert_str(t.type, rows[i].type);
        assert_str(t.subtype, rows[i].subtype);
        assert_str(str_make(t.boundary, t.boundary_n), rows[i].boundary);
    }
    assert_int_equal(transfer_encoding_parse(STR(" (x) 8BIT ")), TRANSFER_8BIT);
    assert_int_equal(transfer_encoding_parse(STR(" ")), TRANSFER_7BIT);
    assert_int_equal(transfer_encoding_parse(STR("Binary")), TRANSFER_BINARY);
    assert_int_equal(transfer_encoding_parse(STR("base64")), TRANSFER_ENCODED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_small_parts_have_room),
        cmocka_unit_test(test_single_part),
        cmocka_unit_test(test_quoted_printable_lines),
        cmocka_unit_test(test_multipart),
        cmocka_unit_test(test_message_within),
        cmocka_unit_test(test_what_cannot_be_converted),
        cmocka_unit_test(test_what_is_sealed_stays),
        cmocka_unit_test(test_what_the_headers_hold),
        cmocka_unit_test(test_headers_beyond_the_limits),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_chance),
        cmocka_unit_test(test_content_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
