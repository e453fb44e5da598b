# SPDX-License-Identifier: ISC
"""What strangers try: smuggling, relaying, guessing, injecting, and breaking off."""
import base64
import itertools
import json
import re
import socket

import pytest
from peers import transport
from server import PASSWORD, Talk, until


def drained(talk):
    """All that comes until the server closes."""
    return talk.file.read()


def pop(server, user="alice@example.test"):
    """The text of every message in a mailbox."""
    with Talk(server.where("pop3s"), implicit_tls=True) as talk:
        assert talk.reply().startswith("+OK")
        talk.expect(f"USER {user}", "+OK")
        talk.expect(f"PASS {PASSWORD}", "+OK")
        count = int(talk.expect("STAT", "+OK").split()[1])
        texts = []
        for number in range(1, count + 1):
            talk.expect(f"RETR {number}", "+OK")
            lines = []
            while (line := talk.file.readline()) != b".\r\n":
                lines.append(line)
            texts.append(b"".join(lines))
        return texts


# ------------------------------------------------------------------------------------------- who gets mail

def test_empty_local_part_does_not_answer_for_the_domain(server):
    with server.smtp() as c:
        c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
        c.expect('RCPT TO:<""@example.test>', "550 5.1.1")
        c.expect("RCPT TO:<alice@example.test>", "250 ")
        c.expect("RCPT TO:<nobody@example.test>", "550 5.1.1")


def test_empty_local_part_with_a_catch_all(server):
    server.cli("alias", "add", "@example.test", "bob@example.test")
    with server.smtp() as c:
        c.message("x@elsewhere.test", ['""@example.test'])
        c.message("x@elsewhere.test", ["alice@example.test"], "Subject: to alice\r\n\r\n\r\n")
    server.wait_empty()
    assert [b"to alice" in text for text in pop(server)] == [True]
    assert len(pop(server, "bob@example.test")) == 1


@pytest.mark.parametrize("local", [r'bob+x y', r'bob+> SIZE=1', r'bob+\"', r'bob+a@b', 'bob+..', 'bob+"'])
def test_quoted_local_parts_stay_quoted(server, local):
    quoted = '"' + re.sub(r'(["])', r'\\\1', local.replace("\\", "")) + '"'
    with server.smtp() as c:
        c.message("x@elsewhere.test", [f"{quoted}@example.test"])
    server.wait_empty()
    assert [f"Delivered-To: {quoted}@example.test\r\n".encode() in text for text in pop(server, "bob@example.test")] == [True]


def test_postmaster_without_domain(server):
    with server.smtp() as c:
        c.message("x@elsewhere.test", ["postmaster"])
    server.wait_empty()
    assert len(pop(server)) == 1


def test_endless_recipients_do_not_fill_the_memory(server):
    line = b"RCPT TO:<" + b"x" * 60 + b"@" + b"elsewhere." * 17 + b"test>\r\n"
    with server.smtp() as c:
        c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
        for _ in range(600):
            c.send(line * 100)
            for _ in range(100):
                assert c.reply().startswith("550 5.7.1")
        c.expect("RCPT TO:<alice@example.test>", "250 ")


def test_an_alias_of_many(server):
    """As an attacker would use the largest list there is, again and again in one transaction."""
    targets = [f"{'x' * 40}{number}@{'y' * 60}.elsewhere.test" for number in range(9000)]
    text = server.cli("directory", "export")
    server.cli("directory", "apply", "-", stdin=text + "".join(f"alias all@example.test {target}\n" for target in targets))
    with server.smtp() as c:
        c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
        c.expect("RCPT TO:<all@example.test>", "250 ")
        for _ in range(30):
            c.expect("RCPT TO:<all@example.test>", "452 4.5.3")
        c.expect("RCPT TO:<alice@example.test>", "250 ")
        c.expect("RSET", "250 ")


def test_an_alias_passes_on_what_was_asked_for(make_server, stub):
    server = make_server(conf=transport("away.test", stub.port))
    server.cli("alias", "add", "team@example.test", "x@away.test")
    with server.smtp() as c:
        c.message("x@elsewhere.test", ["team+a=b@example.test"])
        c.message("x@elsewhere.test", ['"team+a b"@example.test'])
    stub.wait(2)
    assert sorted(m.rcpt for m in stub.messages) == [['RCPT TO:<x@away.test> ORCPT=rfc822;"team+2Ba+20b"@example.test'],
                                                     ["RCPT TO:<x@away.test> ORCPT=rfc822;team+2Ba+3Db@example.test"]]


RELAYED = ["x%other.test@[127.0.0.1]", "alice@[127.0.0.1]", "x@example.test.other.test", "x@sub.example.test", "x@relay.test.other.test",
           "x@notrelay.test", '"x@other.test"@other.test', "@example.test:x@other.test", "@other.test,@example.test:x@other.test",
           "x@[IPv6:::1]", "x@xample.test"]
UNKNOWN = ["x%other.test@example.test", '"x@other.test"@example.test', "@other.test:x@example.test", "other.test!x@example.test",
           "x%other.test@EXAMPLE.TEST"]
BROKEN = ["x@example.test.", "x@", "@", "@example.test", "x@example.test@other.test", "x@other.test@example.test", "x@@example.test",
          "x@.test", "x@example..test", "x@other.test:x@example.test", "x y@example.test", '"x@example.test', "x@[127.0.0.1", "x@[300.1.1.1]"]


@pytest.mark.parametrize("listener", ["smtp"])
def test_nobody_relays(make_server, listener):
    server = make_server(conf='relay-domains = { "relay.test" }')
    with server.smtp(listener) as c:
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        c.expect("RCPT TO:<x@relay.test>", "250 ")
        c.expect("RCPT TO:<x@RELAY.test>", "250 ")
        for address in RELAYED:
            c.expect(f"RCPT TO:<{address}>", "550 5.7.1")
        c.expect("RCPT TO:<x@relay.test> ORCPT=rfc822;x@other.test", "250 ")
    with server.smtp(listener) as c:
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        for address in UNKNOWN:
            c.expect(f"RCPT TO:<{address}>", "550 5.1.1")
    with server.smtp(listener) as c:
        c.expect("MAIL FROM:<alice@example.test> SMTPUTF8", "250 ")
        for address in BROKEN:
            c.expect(f"RCPT TO:<{address}>", "501 5.1.3")
        c.expect("RCPT TO:<x@ex\u0430mple.test>", "550 5.7.1")
        c.expect("RCPT TO:<x@example\u3002test>", "5")


def test_a_login_sends_only_as_itself(server):
    server.cli("alias", "add", "sales@example.test", "alice@example.test")
    with server.submission() as c:
        for good in ("alice@example.test", "ALICE@Example.TEST", "alice+x@example.test", "sales@example.test", '"alice"@example.test', ""):
            c.expect(f"MAIL FROM:<{good}>", "250 ")
            c.expect("RSET", "250 ")
        for bad in ("bob@example.test", "alice@other.test", "alice@sub.example.test", "bob+alice@example.test", '"alice@example.test"@other.test',
                    "alice%example.test@example.test", "@example.test:bob@example.test", "alice@[127.0.0.1]"):
            c.expect(f"MAIL FROM:<{bad}>", "550 5.7.1")


# ---------------------------------------------------------------------------------------------- logging in

def plain(user, password=PASSWORD, act_as=""):
    return base64.b64encode(f"{act_as}\0{user}\0{password}".encode()).decode()


def test_a_locked_account_does_not_tell_which_password_is_right(make_server):
    server = make_server(conf="limits {\n auth-failures-per-account = 3\n auth-failures-per-address = 1000\n}")
    with server.smtp("submissions") as c:
        c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "535 ")
        c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "535 ")
    with server.smtp("submissions") as c:
        c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "535 ")
        wrong = c.ask(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}")
        assert wrong.startswith("454 4.7.0"), wrong
        assert c.ask(f"AUTH PLAIN {plain('bob@example.test')}") == wrong
        c.expect(f"AUTH PLAIN {plain('alice@example.test')}", "235 ")
    with Talk(server.where("pop3s"), implicit_tls=True) as c:
        c.reply()
        for _ in range(3):
            c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "-ERR [AUTH]")
        wrong = c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "-ERR [SYS/TEMP]")
        assert c.ask(f"AUTH PLAIN {plain('bob@example.test')}") == wrong
        c.expect("USER bob@example.test", "+OK")
        assert c.ask(f"PASS {PASSWORD}") == wrong


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
