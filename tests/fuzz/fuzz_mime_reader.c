/* SPDX-License-Identifier: ISC */
/*
 * fuzz_mime_reader.c - parts lie in the message, in order, and do not overlap; what is put into a part comes out of it, in
 * each encoding
 */
#include "mail/mime_reader.h"

#include "base/encode.h"
#include "fuzz.h"

static void check_order(struct str in)
{
    struct mime_reader r;
    struct mime_part part;
    const char *at = in.p;
    size_t count = 0;
    struct buf out = buf_make(in.n);
    mime_reader_start(&r, in);
    while (mime_reader_next(&r, &part)) {
        must(++count <= MIME_READER_PARTS_MAX && r.depth <= MIME_READER_DEPTH_MAX);
        must(part.header.n == 0 || part.header.p >= at);
        if (part.body.n > 0) {
            must(part.body.p >= at && part.body.p + part.body.n <= in.p + in.n);
            at = part.body.p + part.body.n;
        }
        out.used = 0;
        must(mime_part_decode(&part, &out)); /* decoding makes nothing longer */
    }
    must(!mime_reader_next(&r, &part) || count == 0);
    buf_free(&out);
}

/* The body in a message of its own, and what the reader gives of it. */
static void check_part(struct str body, const char *encoding, struct str expected)
{
    struct mime_reader r;
    struct mime_part part;
    struct buf message = buf_make(body.n + 1024), out = buf_make(expected.n);
    must(buf_printf(&message,
                    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_x_1\"\r\n\r\n"
                    "preamble\r\n--=_x_1\r\nContent-Type: application/gzip\r\n"
                    "Content-Transfer-Encoding: %s\r\n\r\n",
                    encoding) &&
         buf_append(&message, body) && buf_append(&message, STR("\r\n--=_x_1--\r\nepilogue\r\n")));
    mime_reader_start(&r, buf_str(&message));
    must(mime_reader_next(&r, &part) && str_equal(part.type.subtype, STR("gzip")));
    must(mime_part_decode(&part, &out) && str_equal(buf_str(&out), expected));
    must(!mime_reader_next(&r, &part));
    buf_free(&message);
    buf_free(&out);
}

const struct fuzz_memory fuzz_memory = {.factor = 24, .base = 65536};

void fuzz_one(struct str in)
{
    struct buf text = buf_make(in.n * 4 + 64);
    check_order(in);
    must(encode_base64(&text, in));
    check_part(buf_str(&text), "Base64", in);
    text.used = 0;
    for (size_t i = 0; i < in.n; i++)
        must(buf_printf(&text, i % 20 == 19 ? "=%02X= \t\r\n" : "=%02X", (unsigned char)in.p[i]));
    check_part(buf_str(&text), "quoted-printable", in);
    if (str_find(in, STR("--=_x_1")) == in.n && !str_has(in, '\r') && !str_has(in, '\n'))
        check_part(in, "binary", in);
    buf_free(&text);
}
