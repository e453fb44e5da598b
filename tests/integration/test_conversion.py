# SPDX-License-Identifier: ISC
"""8-bit mail for servers without 8BITMIME (RFC 6152 section 3), judged by Python's email package."""
import email
import email.policy
import quopri
import re

import pytest
from peers import transport

FAST = "queue {\n retry-first = 200ms\n retry-max = 400ms\n}\n"
UMLAUTS = "Gr\u00fc\u00dfe, k\u00f6nnte = sein \t\r\n.\r\n..zwei Punkte\r\n" + "\u00e4" * 400 + "\r\n"
TEXT = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{UMLAUTS}"
BYTES = "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + "\u00ff\u00fe x\r\n" * 40
INNER = f"Subject: inner\r\nMIME-Version: 1.0\r\n{TEXT}"
HEAD = "From: me@back.test\r\nSubject: t\r\nMIME-Version: 1.0\r\n"


def multipart(boundary, *parts, kind="mixed"):
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{body}--{boundary}--\r\n'


MESSAGES = {
    "text": HEAD + TEXT,
    "no mime": f"From: me@back.test\r\nSubject: t\r\n\r\n{UMLAUTS}",
    "binary": HEAD + BYTES,
    "mixed": HEAD + multipart("=_a b", TEXT, "Content-Type: text/html\r\n\r\n<p>= 7 bit</p>", BYTES),
    "nested": HEAD + multipart("a", multipart("ab", TEXT, TEXT, kind="alternative"), BYTES),
    "message": HEAD + multipart("a", TEXT, f"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{INNER}"),
    "digest": HEAD + multipart("d", f"\r\n{INNER}", f"\r\n{INNER}", kind="digest"),
    "beside a signature": HEAD + multipart("a", TEXT, multipart("s", "\r\n= 7 bit ", "Content-Type: application/pgp-signature\r\n\r\nx",
                                                                kind="signed")),
}
IMPOSSIBLE = {
    "signed": HEAD + multipart("s", TEXT, "Content-Type: application/pgp-signature\r\n\r\nx", kind="signed"),
    "header": f"Subject: \u00e4\r\n\r\n{UMLAUTS}",
    "claims base64": HEAD + f"Content-Transfer-Encoding: base64\r\n\r\n{UMLAUTS}",
}


@pytest.fixture
def old(make_server, make_stub):
    """A server whose next hop knows nothing of 8 bit."""
    far, back = make_stub(extensions=("SIZE 0",)), make_stub()
    return make_server("--trust", "127.0.0.1/32", conf=FAST + transport("far.test", far.port) + transport("back.test", back.port)), far, back


def leaves(data):
    """What each part is and holds, as a mail program sees it."""
    return [(part.get_content_type(), part.get_payload(decode=True)) for part in email.message_from_bytes(data).walk() if not part.is_multipart()]


def send(server, text, mail=" BODY=8BITMIME"):
    with server.smtp() as c:
        return c.message("me@back.test", ["you@far.test"], text, mail=mail)


@pytest.mark.parametrize("name", MESSAGES)
def test_parts_come_out_as_they_went_in(old, name):
    server, far, _ = old
    send(server, MESSAGES[name])
    got = far.wait()[0]
    assert got.data.isascii() and "BODY=" not in got.mail
    assert leaves(got.data) == leaves(MESSAGES[name].encode())
    assert f"SIZE={len(got.data)}" in got.mail.split()
    encodings = set(re.findall(rb"^Content-Transfer-Encoding: (\S+)\r$", got.data, re.M))
    assert encodings and encodings <= {b"7bit", b"quoted-printable", b"base64"} | ({b"8bit"} if "signature" in name else set())
    assert got.data.count(b"\r\nMIME-Version: 1.0\r\n") == (2 if name == "message" else 3 if name == "digest" else 1)


def test_mail_from_a_file_is_converted_too(old):
    server, far, _ = old
    text = HEAD + multipart("a", TEXT, "Content-Type: image/png\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + "\u20ac123456789\r\n" * 200000)
    send(server, text)
    got = far.wait()[0]
    assert got.data.isascii() and leaves(got.data) == leaves(text.encode())
    assert f"SIZE={len(got.data)}" in got.mail.split()


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_cannot_be_converted_is_returned(old, name):
    server, far, back = old
    ident = send(server, IMPOSSIBLE[name])
    failed = server.wait_event("delivery.failed", message=ident)
    assert (failed["reply"], failed["status"]) == (554, "5.6.3")
    assert "Status: 5.6.3\r\n" in back.wait()[0].text
    assert far.messages == []


INTERNATIONAL = {
    "header": "Subject: \u00e4\r\n\r\nx\r\n",
    "part": HEAD + multipart("a", "Content-Type: text/plain\r\nContent-Description: \u00e4\r\n\r\nx"),
    "part of a signed part": HEAD + multipart("s", "Content-Description: \u00e4\r\n\r\nx", kind="signed"),
    "message": HEAD + multipart("a", "Content-Type: message/rfc822\r\n\r\nSubject: \u00e4\r\n\r\nx"),
}


@pytest.mark.parametrize("extensions", [("8BITMIME",), ()])
@pytest.mark.parametrize("name", INTERNATIONAL)
def test_utf8_in_any_header_needs_smtputf8(make_server, make_stub, name, extensions):
    far, back = make_stub(extensions=extensions), make_stub()
    server = make_server("--trust", "127.0.0.1/32", conf=FAST + transport("far.test", far.port) + transport("back.test", back.port))
    ident = send(server, INTERNATIONAL[name], " BODY=8BITMIME SMTPUTF8")
    failed = server.wait_event("delivery.failed", message=ident)
    assert (failed["reply"], failed["status"]) == (550, "5.6.9")
    assert "Status: 5.6.9\r\n" in back.wait()[0].text
    assert far.messages == []


@pytest.mark.parametrize("mail,text", [
    (" BODY=8BITMIME SMTPUTF8", MESSAGES["mixed"]),
    (" BODY=8BITMIME SMTPUTF8", HEAD + multipart("a", "Content-Type: message/global\r\n\r\nSubject: \u00e4\r\n\r\nx")),
    (" BODY=8BITMIME", INTERNATIONAL["header"]),
    (" BODY=8BITMIME", INTERNATIONAL["part"]),
])
def test_what_needs_no_smtputf8_goes_without(make_server, make_stub, mail, text):
    far = make_stub(extensions=("8BITMIME",))
    server = make_server("--trust", "127.0.0.1/32", conf=FAST + transport("far.test", far.port))
    send(server, text, mail)
    got = far.wait()[0]
    assert got.text.endswith(text) and "SMTPUTF8" not in got.mail and "BODY=8BITMIME" in got.mail


def test_8bit_only_announced_goes_as_it_is(old):
    server, far, _ = old
    text = HEAD + "Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n= plain \r\n"
    send(server, text)
    assert far.wait()[0].data.endswith(text.encode())


def test_converted_mail_may_be_too_large(make_server, make_stub):
    far, back = make_stub(extensions=("SIZE 40000",)), make_stub()
    server = make_server("--trust", "127.0.0.1/32", conf=FAST + transport("far.test", far.port) + transport("back.test", back.port))
    ident = send(server, HEAD + "Content-Type: text/plain\r\n\r\n" + ("\u00e4" * 40 + "\r\n") * 400)
    assert server.wait_event("delivery.failed", message=ident)["status"] == "5.3.4"
    assert "Status: 5.3.4\r\n" in back.wait()[0].text


def test_notices_are_converted(make_server, make_stub):
    far, back = make_stub(replies={"RCPT": ["550 5.1.1 no", ...]}), make_stub(extensions=())
    server = make_server("--trust", "127.0.0.1/32", conf=FAST + transport("far.test", far.port) + transport("back.test", back.port))
    send(server, MESSAGES["mixed"])
    got = back.wait()[0]
    assert got.data.isascii()
    _, _, returned = email.message_from_bytes(got.data, policy=email.policy.SMTP).get_payload()
    assert leaves(returned.get_payload(0).as_bytes()) == leaves(MESSAGES["mixed"].encode())


@pytest.mark.parametrize("subject,kind", [("\u00e4", "message/global"), ("\udce4", "text/rfc822-headers")])
@pytest.mark.parametrize("ret", ["", " RET=HDRS"])
def test_notices_about_8bit_headers_reach_old_servers(make_server, make_stub, subject, kind, ret):
    far, back = make_stub(replies={"RCPT": ["550 5.1.1 no", ...]}), make_stub(extensions=())
    server = make_server("--trust", "127.0.0.1/32", conf=FAST + transport("far.test", far.port) + transport("back.test", back.port))
    text = f"Subject: {subject}\r\n\r\nx\r\n".encode("utf-8", "surrogateescape")
    with server.smtp() as c:
        c.expect(f"MAIL FROM:<me@back.test> BODY=8BITMIME{ret}", "250 ")
        c.expect("RCPT TO:<you@far.test>", "250 ")
        c.expect("DATA", "354 ")
        c.send(text + b".\r\n")
        assert c.reply().startswith("250 ")
    got = back.wait()[0]
    assert got.data.isascii()
    _, _, returned = email.message_from_bytes(got.data).get_payload()
    assert returned.get_content_type() == (kind if not ret else "text/rfc822-headers")
    assert returned["Content-Transfer-Encoding"] == "quoted-printable"
    assert text.splitlines(keepends=True)[0] in quopri.decodestring(got.data)
