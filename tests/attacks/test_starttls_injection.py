# SPDX-License-Identifier: ISC
"""
STARTTLS injection: octets in the clear that one side takes for a part of the TLS session, from a client's side and from a server's.

The defences are close_early_talker() in proto/smtp_server.c, smtp_server_tls_started(), the same of POP3's STLS, and towards next hops
secure() in send/carrier.c, which looks for unread octets, and smtp_client_tls_started(), which forgets what was offered before.
"""
import socket
import time

import pytest
from dialogue import QUICK, drained, pop
from peers import transport
from server import Talk, until
from tls_stub import TlsStub

INJECTED = b"MAIL FROM:<evil@elsewhere.test>\r\nRCPT TO:<bob@example.test>\r\n"


@pytest.mark.parametrize("first", [b"STARTTLS\r\n", b"EHLO x\r\n", b"HELO x\r\n"])
def test_what_comes_before_the_reply_is_not_obeyed(make_server, first):
    server = make_server(conf=QUICK)
    behind = b"MAIL FROM:<x@elsewhere.test>\r\nNOOP\r\n"
    with server.smtp() as c:
        c.send(first + behind)
        got = drained(c)
        assert got.count(b"\r\n") == 1 and got.startswith(b"554 5.5.0 "), got
    for at in range(1, len(first)):
        with server.smtp() as c:
            c.send(first[:at])
            time.sleep(0.002)
            c.send(first[at:] + b"NOOP\r\n")
            got = drained(c)
            assert got.count(b"\r\n") == 1 and got.startswith(b"554 5.5.0 "), got


@pytest.mark.parametrize("listener", ["smtp", "submission", "pop3"])
def test_injected_commands_at_every_split(make_server, listener):
    """Whether what is injected comes with STARTTLS, behind it, or once the 220 is out: the connection ends, nothing is done under TLS."""
    server = make_server(conf=QUICK)
    verb, injected = (b"STLS\r\n", b"USER alice@example.test\r\nCAPA\r\n") if listener == "pop3" else (b"STARTTLS\r\n", INJECTED)
    whole = verb + injected
    for at in range(len(whole) + 1):
        with Talk(server.where("pop3")) if listener == "pop3" else server.smtp(listener) as c:
            if listener == "pop3":
                c.reply()
            c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            c.send(whole[:at])
            time.sleep(0.002)
            try:
                c.send(whole[at:])
            except ConnectionError:
                continue
            got = drained(c)
            # The 220 may be out before the rest comes; what follows is no TLS record, and nothing in the clear is answered any more.
            assert got.count(b"\r\n") <= 2 and b"250 " not in got, (at, got)
            assert b"CAPA" not in got and b"+OK" not in got.split(b"\r\n", 1)[1], (at, got)
    assert server.events("message.accepted") == []


def test_nothing_said_before_tls_holds_under_it(make_server):
    """A transaction begun, a name given and a login half made in the clear are gone."""
    server = make_server(conf=QUICK)
    with server.smtp() as c:
        c.expect("MAIL FROM:<evil@elsewhere.test>", "250 ")
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("STARTTLS", "220 ")
        c.start_tls()
        c.expect("RCPT TO:<alice@example.test>", "503 5.5.1")
        c.expect("DATA", "503 5.5.1")
        c.expect("MAIL FROM:<x@elsewhere.test>", "503 5.5.1 Say EHLO first")
        c.expect("EHLO again.test", "250-")
        c.message("x@elsewhere.test", ["alice@example.test"])
    server.wait_empty()
    text, = pop(server)
    assert b"evil" not in text and b"client.test" not in text and pop(server, "bob@example.test") == []


@pytest.fixture
def hop(make_server):
    """A server that sends to x@away.test by way of a scripted next hop."""
    made = []

    def make(tls="encrypt", **how):
        server = make_server("--trust", "127.0.0.1/32", conf=QUICK, start=False)
        stub = TlsStub(server, **how)
        made.append(stub)
        server.add_conf(transport("away.test", stub.port, more=f"tls = {tls}"))
        server.start()
        with server.smtp() as c:
            stub.id = c.message("me@elsewhere.test", ["x@away.test"], mail=" BODY=8BITMIME")
        return server, stub

    yield make
    for stub in made:
        stub.close()


BEHIND = b"250-evil.test\r\n250-SIZE 1\r\n250 AUTH PLAIN\r\n250 2.0.0 sender\r\n250 2.0.0 recipient\r\n354 go\r\n250 2.0.0 taken\r\n"


@pytest.mark.parametrize("ready", [b"220 go on\r\n" + BEHIND, b"220 go on\r\n2", b"220 go on\r\n\r\n", b"220-go\r\n220 on\r\n250 x\r\n"])
def test_octets_behind_the_220_end_the_connection(hop, ready):
    """Answers in the clear to commands that are only said under TLS would make a message delivered that nobody took."""
    server, stub = hop(ready=ready)
    deferred = server.wait_event("delivery.deferred", message=stub.id)
    assert (deferred["reply"], deferred["text"]) == (451, "bytes behind the reply to STARTTLS")
    assert stub.secret == [] and stub.messages == [] and server.events("delivery.done") == []


def test_what_was_offered_before_tls_is_forgotten(hop):
    """PIPELINING, SIZE, 8BITMIME, DSN and CHUNKING were somebody's words on the way."""
    server, stub = hop(before=("PIPELINING", "SIZE 1", "8BITMIME", "DSN", "CHUNKING", "STARTTLS"))
    stub.wait()
    server.wait_event("delivery.done", message=stub.id)
    assert [line for line in stub.secret if line.startswith((b"MAIL", b"RCPT"))] == [b"MAIL FROM:<me@elsewhere.test>\r\n", b"RCPT TO:<x@away.test>\r\n"]
    assert stub.secret[0].startswith(b"EHLO ") and not any(line.startswith(b"MAIL") for line in stub.clear)


def test_starttls_taken_out_sends_nothing_in_the_clear(hop):
    """Whoever strips the word from the reply to EHLO gets no mail where TLS is wanted."""
    server, stub = hop(before=("SIZE 0",))
    assert server.wait_event("delivery.deferred", message=stub.id)["text"].startswith("the server does not offer STARTTLS")
    assert stub.messages == [] and not any(line.startswith(b"MAIL") for line in stub.clear)


@pytest.mark.parametrize("ready", [b"454 not now\r\n", b"554 no\r\n", b"354 go\r\n"])
def test_starttls_refused_sends_nothing_in_the_clear(hop, ready):
    server, stub = hop(ready=ready)
    server.wait_event("delivery.deferred", message=stub.id)
    until(lambda: b"STARTTLS\r\n" in stub.clear)
    assert stub.messages == [] and not any(line.startswith(b"MAIL") for line in stub.clear + stub.secret)


def test_a_good_reply_of_another_code_is_followed_by_tls_too(hop):
    """RFC 5321 section 4.2.1: the first digit decides. What is said behind it is under TLS, as it is behind a 220."""
    _, stub = hop(ready=b"250 fine\r\n")
    stub.wait()
    assert not any(line.startswith(b"MAIL") for line in stub.clear) and any(line.startswith(b"MAIL") for line in stub.secret)
