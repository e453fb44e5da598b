# SPDX-License-Identifier: ISC
"""
Truncation: a connection that ends inside of a body, with TLS closed in order, torn or reset, leaves no message; one that ends inside of a
reply of the next hop leaves the message in the queue.

The defence is that only DOTLINE_END or the last chunk makes SMTP_EVENT_MESSAGE (smtp_content_feed(), smtp_content_finish_chunk()), and that
only whole lines are replies (smtp_client_feed()).
"""
import socket
import ssl

import pytest
from dialogue import QUICK
from peers import transport
from tls_stub import TlsStub

BODY = b"Subject: cut\r\n\r\nPay 1000 to Bob\r\n.\r\n"


def end_in_order(c):
    c.socket.unwrap()


def end_torn(c):
    c.socket.shutdown(socket.SHUT_RDWR)


def end_reset(c):
    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.fixture(params=[end_in_order, end_torn, end_reset], ids=["in_order", "torn", "reset"])
def end(request):
    return request.param


def finish(c, end):
    """Ends the connection so, and frees what is left of it."""
    try:
        end(c)
    except (OSError, ssl.SSLError, ValueError):
        pass
    c.close()


def begin(server, listener):
    c = server.smtp(listener)
    if listener == "smtp":
        c.upgrade()
    else:
        c.login("alice@example.test")
    c.expect("MAIL FROM:<alice@example.test>", "250 ")
    c.expect("RCPT TO:<bob@example.test>", "250 ")
    return c


@pytest.mark.parametrize("listener", ["smtp", "submissions"])
def test_tls_closed_inside_a_body_leaves_no_message(make_server, listener, end):
    server = make_server(conf=QUICK)
    count = 0
    for at in list(range(0, len(BODY), 5)) + list(range(len(BODY) - 5, len(BODY))):
        c = begin(server, listener)
        c.expect("DATA", "354 ")
        c.send(BODY[:at])
        finish(c, end)
        count += 1
    server.wait_empty()
    server.stop()
    assert len(server.events("smtp.session.ended")) == count and server.events("message.accepted") == []


def test_tls_closed_inside_chunks_leaves_no_message(make_server, end):
    server = make_server(conf=QUICK)
    whole = b"BDAT 20\r\n" + BODY[:20] + b"BDAT %d LAST\r\n" % (len(BODY) - 20) + BODY[20:]
    for at in range(0, len(whole), 3):
        c = begin(server, "smtp")
        c.send(whole[:at])
        finish(c, end)
    server.stop()
    assert server.events("message.accepted") == []


def test_a_tls_record_that_is_cut_leaves_no_message(make_server):
    """The end of the body is on its way, in a record whose last octets never come: the connection is torn below TLS."""
    server = make_server(conf=QUICK)
    for lost in (1, 5, 16, 30):
        raw = socket.create_connection(server.where("submissions"))
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        tls = context.wrap_bio(into, out)

        def step(what, raw=raw, into=into, out=out):
            while True:
                try:
                    got = what()
                    raw.sendall(out.read())
                    return got
                except ssl.SSLWantReadError:
                    raw.sendall(out.read())
                    into.write(raw.recv(65536))

        step(tls.do_handshake)
        step(tls.read)
        login = b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ="
        for line in (b"EHLO c.test", login, b"MAIL FROM:<alice@example.test>", b"RCPT TO:<bob@example.test>", b"DATA"):
            tls.write(line + b"\r\n")
            got = step(tls.read)
        assert got.startswith(b"354 ")
        tls.write(BODY)
        raw.sendall(out.read()[:-lost])
        raw.close()
    server.stop()
    assert len(server.events("smtp.session.ended")) == 4 and server.events("message.accepted") == []


@pytest.mark.parametrize("last", [b"", b"2", b"250", b"250 2.0.0 taken", b"250-2.0.0 taken\r\n", b"250 2.0.0 taken\r"])
def test_a_reply_that_is_cut_is_no_delivery(make_server, last):
    server = make_server("--trust", "127.0.0.1/32", conf=QUICK + "queue {\n retry-first = 1h\n}\n", start=False)
    stub = TlsStub(server, last=last, is_torn=True)
    server.add_conf(transport("away.test", stub.port))
    server.start()
    try:
        with server.smtp() as c:
            ident = c.message("me@elsewhere.test", ["x@away.test"])
        stub.wait()
        assert server.wait_event("delivery.deferred", message=ident)["outcome"] == "later"
        assert server.events("delivery.done") == [] and len(server.queue()) == 1
    finally:
        stub.close()
