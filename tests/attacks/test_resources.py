# SPDX-License-Identifier: ISC
"""
Floods of commands, recipients, fields and parts: what one client may cost. That the work grows no faster than the input is measured in floods.c.

The defences are the limits of serve/session_mail.c (envelope, recipients), has_erred_enough() in proto/smtp_server.c, EXPAND_MAX of aliases,
and that readers of headers and parts look at each octet a bounded number of times.
"""
import pytest
from dialogue import drained, pop
from peers import transport
from server import until



def test_endless_recipients_do_not_fill_the_memory(make_server):
    server = make_server(conf="limits {\n errors-per-connection = 1000000\n}")
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


def test_a_recipient_named_again_gets_one_message(make_server, stub):
    """By the client or by aliases: nobody's mailbox is filled by a client that says its name a thousand times."""
    server = make_server(conf=transport("away.test", stub.port))
    server.cli("alias", "add", "all@example.test", "alice@example.test", "bob@example.test")
    with server.submission() as c:
        c.message("alice@example.test", ["bob@example.test"] * 3 + ["all@example.test"] * 2 + ["x@away.test"] * 2)
        c.message("alice@example.test", ["x@away.test"], rcpt=" NOTIFY=NEVER")
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        for notify in ("FAILURE ORCPT=rfc822;a@away.test", "FAILURE ORCPT=rfc822;b@away.test", "NEVER"):
            c.expect(f"RCPT TO:<x@away.test> NOTIFY={notify}", "250 ")
        c.expect("DATA", "354 ")
        c.expect("Subject: reports\r\n\r\n.", "250 ")
    server.wait_empty()
    assert len(pop(server)) == 1 and len(pop(server, "bob@example.test")) == 1
    assert sorted(len(m.rcpt) for m in stub.messages) == [1, 1, 3]


@pytest.fixture
def quick(make_server):
    return make_server(conf="limits {\n greeting-delay = 0\n}\n")


def test_recipients_have_a_limit(quick):
    with quick.smtp() as c:
        c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
        c.send(b"RCPT TO:<alice@example.test>\r\n" * 1002)
        got = [c.reply()[:9] for _ in range(1002)]
        assert got == ["250 2.1.5"] * 1000 + ["452 4.5.3"] * 2
        c.expect("DATA", "354 ")
        c.expect("S: t\r\n\r\n\r\n.", "250 ")


def test_many_errors_end_the_session(quick):
    with quick.smtp() as c:
        c.send(b"FOO\r\n" * 1000)
        got = drained(c).splitlines()
        assert [line[:3] for line in got] == [b"500"] * 19 + [b"421"]


FLOODS = {
    "fields": "X: y\r\n" * 100000 + "\r\nx\r\n",
    "folds": "Subject: a\r\n" + " b\r\n" * 100000 + "\r\nx\r\n",
    "one field": "Subject: " + ("x" * 900 + "\r\n ") * 500 + "y\r\n\r\nx\r\n",
    "parameters": "Content-Type: multipart/mixed" + ";\r\n a=b" * 50000 + "\r\n\r\n\u00e9\r\n",
    "comments": "Content-Type: " + ("(" * 900 + "\r\n ") * 100 + "text/plain\r\n\r\n\u00e9\r\n",
    "depth": "".join(f"Content-Type: multipart/mixed; boundary=b{k}\r\n\r\n--b{k}\r\n" for k in range(5000)) + "\r\n\u00e9\r\n",
    "messages": "Content-Type: message/rfc822\r\n\r\n" * 5000 + "\u00e9\r\n",
    "parts": "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + "--b\r\n\r\n\u00e9\r\n" * 50000 + "--b--\r\n",
    "dots": "Subject: s\r\n\r\n" + "..\r\n" * 100000,
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_message_of_nothing_but_structure_goes_through(make_server, make_stub, kind):
    """To a mailbox as it is; to a next hop without 8BITMIME converted or refused, in either case while others are served."""
    stub = make_stub(extensions=("PIPELINING",))
    server = make_server("--trust", "127.0.0.1/32", conf=transport("away.test", stub.port))
    with server.smtp() as c:
        ident = c.message("alice@example.test", ["bob@example.test", "x@away.test"], FLOODS[kind], mail=" BODY=8BITMIME")
        c.expect("NOOP", "250 ")
    server.wait_empty()
    assert len(pop(server, "bob@example.test")) == 1
    until(lambda: server.events("delivery.done", message=ident, to="x@away.test") or server.events("delivery.failed", message=ident, to="x@away.test"))
