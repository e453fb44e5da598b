# SPDX-License-Identifier: ISC
"""
Strangers: other protocols, wrong order, and answers that fit no question.

The defences are the tables of commands with the phases in which each is allowed (proto/smtp_verbs.c, proto/pop3_server.c), and in
proto/smtp_client.c that a reply is taken for what it can be an answer to.
"""
import re

from dialogue import SMUGGLED, drained, plain, pop, start_message
from peers import transport
from server import PASSWORD, Talk



def test_auth_where_it_may_not_be(server):
    for listener in ("smtp", "submission"):
        with server.smtp(listener) as c:
            assert "AUTH" not in c.hello
            assert not c.ask(f"AUTH PLAIN {plain('alice@example.test')}").startswith("2")
    with server.smtp() as c:
        c.upgrade()
        assert "AUTH" not in c.hello
    with server.smtp("submissions") as c:
        assert "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN" in c.hello
        c.expect("AUTH", "501 5.5.4")
        c.expect("AUTH CRAM-MD5", "504 5.5.4")
        c.expect("AUTH PLAIN !!!!", "501 5.5.2")
        c.expect("AUTH PLAIN", "334 ")
        c.expect("*", "501 5.7.0")
        c.expect("AUTH PLAIN", "334 ")
        c.expect("\0", "500 5.5.2")
        c.expect(f"AUTH PLAIN {plain('alice@example.test', act_as='bob@example.test')}", "535 5.7.8")
        c.expect(f"AUTH PLAIN {plain('alice@example.test', act_as='alice@example.test')}", "235 ")
        c.expect(f"AUTH PLAIN {plain('alice@example.test')}", "503 5.5.1")
    with server.smtp("submissions") as c:
        c.expect("AUTH PLAIN", "334 ")
        c.expect("A" * 12287, "500 5.5.6")
        c.expect("NOOP", "250 ")
        c.expect("MAIL FROM:<alice@example.test>", "530 5.7.0")


def test_strangers_are_dropped(server):
    for first in (b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.0\r\n", b"CONNECT x:25 HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n"):
        with server.smtp(hello="") as c:
            c.send(first + b"Host: x\r\n\r\n" + SMUGGLED)
            assert re.fullmatch(rb"554 5\.5\.0 [^\r\n]+\r\n", drained(c))
    with Talk(server.where("smtp")) as c:
        c.send(b"EHLO x\r\n")
        assert re.fullmatch(rb"554 5\.5\.0 [^\r\n]+\r\n", drained(c))
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2
    with server.smtp(hello="") as c:
        c.send(hello + b"\r\n" * 30)
        got = drained(c).splitlines()
        assert got[-1].startswith((b"421 4.7.0 ", b"500 5.5.2 ")) and len(got) <= 20
    with server.smtp("submissions") as c:
        c.expect("STARTTLS", "503 5.5.1")
    with Talk(server.where("submissions")) as c:
        c.send(b"EHLO x\r\n")
        assert not drained(c).startswith(b"2")


def test_answers_that_fit_no_question_lose_nothing(make_server, make_stub):
    """A good code for the wrong step, and replies beyond measure: the message stays and is tried again."""
    odd = {"rcpt-354": {"RCPT": ["354 go on", ...]}, "data-250": {"DATA": ["250 fine", ...]}, "end-354": {"END": ["354 go on", ...]},
           "mail-334": {"MAIL": ["334 ", ...]}, "rcpt-long": {"RCPT": ["250 " + "x" * 100000, ...]}, "ehlo-long": {"EHLO": ["250-" + "x" * 100000, ...]},
           "rcpt-many": {"RCPT": ["250-x\r\n" * 50000 + "250 fine", ...]}, "greeting-none": {"GREETING": ["\1\2\3", ...]},
           "mail-999": {"MAIL": ["999 what", ...]}, "end-close": {"END": ["close", ...]}, "end-421": {"END": ["421 4.3.2 going", ...]}}
    stubs = {name: make_stub(replies=replies) for name, replies in odd.items()}
    server = make_server(conf="".join(transport(f"{name}.test", stub.port) for name, stub in stubs.items()) + "queue {\n retry-first = 1h\n}")
    with server.submission() as c:
        ids = {name: c.message("alice@example.test", [f"x@{name}.test"]) for name in odd}
    for name, message in ids.items():
        server.wait_event("delivery.deferred", message=message, outcome="later")
        assert server.events("delivery.done", message=message) == [], name
        assert "It was tried 1 time." in server.cli("queue", "why", message)
    assert server.events("notice.accepted") == []
    assert len(server.queue()) == len(odd)
    assert not any(stub.messages for name, stub in stubs.items() if not name.startswith("end-"))


def test_pop3_out_of_order(server):
    with Talk(server.where("pop3")) as c:
        c.reply()
        c.send(b"STLS\r\nCAPA\r\n")
        assert drained(c) == b"-ERR bytes behind STLS, closing\r\n"
    with Talk(server.where("pop3s"), implicit_tls=True) as c:
        c.reply()
        for line in ("PASS x", "STAT", "RETR 1", "DELE 1", "LIST", "USER", "USER a b", "QUIT x", "X" * 5000, "USER \x01"):
            c.expect(line, "-ERR ")
        c.expect("USER alice@example.test", "+OK")
        c.expect(f"PASS {PASSWORD}", "+OK")
        for line in ("TOP 1 1", "TOP 0 1", "TOP 1", "TOP 1 99999999999999999999", "LIST 0", "UIDL 1", "DELE -1", "USER x"):
            c.expect(line, "-ERR ")
        c.expect("QUIT", "+OK")


def test_a_message_in_data_survives_the_end(make_server):
    server = make_server()
    with server.smtp() as idle, server.smtp() as c:
        start_message(c)
        c.send(b"Subject: late\r\n\r\n")
        server.process.terminate()
        assert idle.reply().startswith("421 4.3.2 ")
        c.send(b"x\r\n.\r\n")
        assert c.reply().startswith("250 2.0.0 accepted as ")
        assert c.reply().startswith("421 4.3.2 ")
    server.stop()
    server.start()
    server.wait_empty()
    assert len(pop(server)) == 1
