# SPDX-License-Identifier: ISC
"""Mail filters by the milter protocol: what they are told, what they may do, and that a message is never half edited."""
import socket
import struct

import pytest
from filters import LEADING_SPACE, Filter, add, agree, change, insert, packet, text
from server import Smtp, until

MESSAGE = "From: <a@elsewhere.test>\r\nSubject: one\r\nX-Two:  spaces\r\nSubject: two\r\n folded\r\n\r\nhello\r\n"


@pytest.fixture
def filters():
    made = []

    def make(*args, **kw):
        made.append(Filter(*args, **kw))
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture
def serve(make_server):
    """A server whose mx asks the filters in their order."""
    def make(*some, more="", listener="", start=True, conf=""):
        texts = [f.conf(f"f{i}", more) for i, f in enumerate(some)]
        server = make_server(conf="".join(texts) + conf, start=False)
        names = ", ".join(f'"f{i}"' for i in range(len(some)))
        server.listener_conf("mx", f"milters = {{{names}}}\n    client-name = off\n    greeting-delay = 0\n    {listener}")
        if start:
            server.start()
        return server
    return make


def talk(server, listener="smtp"):
    return Smtp(server.where(listener))


def send(server, message=MESSAGE, rcpts=("bob@example.test",), sender="a@elsewhere.test"):
    """The answer to the end of the message, or the first that refuses it."""
    with talk(server) as c:
        got = c.ask(f"MAIL FROM:<{sender}>")
        for rcpt in rcpts:
            got = c.ask(f"RCPT TO:<{rcpt}>") if got.startswith("250") else got
        if got.startswith("250"):
            got = c.ask("DATA")
        if got.startswith("354"):
            got = c.ask(message + ".")
        return got


def delivered(server, user="bob@example.test", count=1):
    """The mails in the mailbox, when there are that many."""
    until(lambda: len(server.mails(user)) == count, why=lambda: f"{len(server.mails(user))} mails: {''.join(server.output)[-2000:]}")
    return server.mails(user)


def test_what_a_filter_is_told(serve, filters):
    f = filters(offer=agree(steps=LEADING_SPACE))
    server = serve(f)
    assert send(server).startswith("250 2.0.0")
    until(lambda: f.letters().endswith("Q"))
    assert f.letters().replace("D", "") == "OCHMRTLLLLNBEQ"
    assert struct.unpack(">III", f.data("O")[0]) == (6, 0x1FF, 0x1FFFFF)
    name, rest = f.data("C")[0].split(b"\0", 1)
    assert name == b"[127.0.0.1]" and rest[:1] == b"4" and rest[3:] == b"127.0.0.1\0"
    assert f.data("H") == [b"client.test\0"]
    assert f.data("M") == [b"<a@elsewhere.test>\0"] and f.data("R") == [b"<bob@example.test>\0"]
    assert f.fields() == [("From", " <a@elsewhere.test>"), ("Subject", " one"), ("X-Two", "  spaces"), ("Subject", " two\n folded")]
    assert f.data("B") == [b"hello\r\n"]
    macros = f.macros()
    assert macros["C"]["j"] == "mail.example.test" and macros["C"]["{daemon_name}"] == "mx" and macros["C"]["{client_addr}"] == "127.0.0.1"
    assert macros["M"]["{mail_addr}"] == "a@elsewhere.test" and macros["R"]["{rcpt_addr}"] == "bob@example.test"
    assert macros["E"]["i"] == server.wait_event("message.accepted")["message"]


def test_without_leading_space_one_is_taken_away(serve, filters):
    f = filters()
    send(serve(f))
    assert ("X-Two", " spaces") in f.fields() and ("Subject", "one") in f.fields()
