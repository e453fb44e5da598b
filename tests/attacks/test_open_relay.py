# SPDX-License-Identifier: ISC
"""
Open relay: more than sixty ways to name somebody elsewhere so that a server takes the address for one of its own.

The defence is that an address is parsed once (address_parse_path()) and that on_rcpt() in serve/session_mail.c asks for the domain of what
came out, and for nothing inside of the local part.
"""
import pytest
from dialogue import QUICK, pop
from peers import SmtpStub
from server import Talk, free_port

# Domains that are not ours, whatever stands in front or inside.
ELSEWHERE = [
    "x@other.test", "X@OTHER.TEST", "x%other.test@[127.0.0.2]", "alice@[127.0.0.2]", "alice@[192.0.2.1]", "x@[IPv6:::1]", "alice@[IPv6:2001:db8::1]",
    "x@example.test.other.test", "x@sub.example.test", "x@relay.test.other.test", "x@notrelay.test", "x@xample.test", "x@eexample.test",
    "x@example.tes", "x@example.testt", "x@example-test", "x@test", "x@example", "x@localhost", "x@localhost.localdomain",
    '"x@other.test"@other.test', '"alice@example.test"@other.test', '"alice"@other.test', "alice%example.test@other.test",
    "example.test!alice@other.test", "@example.test:x@other.test", "@example.test,@relay.test:x@other.test", "@other.test,@example.test:x@other.test",
    "@mail.example.test:x@other.test", "@[127.0.0.1]:x@other.test", "alice+@other.test", "x@other.test.example.test",
    "x@0x7f.1", "x@127.1", "x@127.0.0.1", "x@2130706433", "x@xn--exmple-cua.test", "x@example.test-", "x@-example.test",
]
# Ours by domain, with a local part that means somebody elsewhere to others: nobody of that name here.
STRANGE = [
    "x%other.test@example.test", "x%other.test%third.test@example.test", "x%other.test@EXAMPLE.TEST", "x%other.test@[127.0.0.1]",
    "x%40other.test@example.test", "x%%other.test@example.test", "%@example.test", '"x%other.test"@example.test', '"x@other.test"@example.test',
    '"x@other.test"@[127.0.0.1]', r'"x\@other.test"@example.test', '"x@other.test@"@example.test', '"<x@other.test>"@example.test',
    '"@other.test:x"@example.test', "@other.test:x@example.test", "@other.test,@third.test:x@example.test", "other.test!x@example.test",
    "other.test!third.test!x@example.test", "!other.test!x@example.test", "example.test!other.test!x@example.test", '"other.test!x"@example.test',
    "x=other.test@example.test", "x/other.test@example.test", "x#other.test@example.test", "smtp=x=other.test@example.test",
    '"x other.test"@example.test', '"|/bin/sh"@example.test', '"/etc/passwd"@example.test', '":include:/etc/passwd"@example.test',
    '"alice@example.test "@example.test', '"alice\\"@other.test"@example.test',
]
# No addresses at all (RFC 5321 section 4.1.2).
BROKEN = [
    "x@example.test.", "x@other.test.", "x@", "@", "@example.test", "x@example.test@other.test", "x@other.test@example.test", "x@@example.test",
    "x@.test", "x@example..test", "x@.example.test", "x@other.test:x@example.test", "x y@example.test", '"x@example.test', 'x"@example.test',
    "x@[127.0.0.1", "x@127.0.0.1]", "x@[300.1.1.1]", "x@[127.0.0.1]other.test", "x@[other.test]", "x@[]", "x@example.test[127.0.0.1]",
    "other.test!x", "x", "alice", "alice%example.test", "x:other.test", "other.test::x", "x@other.test,alice@example.test",
    "x@other.test;alice@example.test", "alice@example.test x@other.test", "<x@other.test>alice@example.test", "alice@example.test><x@other.test",
    "alice(x@other.test)@example.test", "alice@example.test(@other.test)", "alice@(comment)other.test", "(x)alice@other.test", "alice @example.test",
    "alice@ example.test", " alice@example.test", "alice@example.test ", "alice@example.test\t", "x@other.test\0@example.test",
    "x\0@other.test", "alice@example.test\0.other.test", "alice@example\r.test", ".x@example.test", "x.@example.test", "x..y@example.test",
    "@example.test@other.test:x@example.test", "@:x@example.test", "@other.test:", ":x@example.test", "x@exa_mple.te\\st", "x@example%other.test",
    "x@example!other.test", '"x"y@example.test', '"x"."@other.test', "x@\"example.test\"", "x@example.test/other.test", "x@*", "*@*",
    "x" * 65 + "@example.test", "x@" + "a" * 64 + ".test", "x@" + "a." * 128 + "test",
]
UNICODE = ["x@ex\u0430mple.test", "x@example\u3002test", "x@example\uff0etest", "x@\uff45xample.test", "x@example.test\u200b", "x@\u202etset.elpmaxe",
           "x@example.te\u017ft", "alice\uff20example.test@other.test", "x@ex\u00admple.test", "\u0430lice@example.test"]


@pytest.fixture
def open_world(make_server):
    """What is accepted for somebody elsewhere would go to this stub."""
    stub = SmtpStub("127.0.0.1", free_port())
    more = ('relay-domains = { "relay.test" }\nlimits {\n greeting-delay = 0\n errors-per-connection = 1000\n}\n')
    yield make_server("--relay", f"127.0.0.1:{stub.port}", conf=more), stub
    stub.close()


def test_there_are_more_than_sixty():
    ways = ELSEWHERE + STRANGE + BROKEN + UNICODE
    assert len(ways) == len(set(ways)) > 120


def test_nobody_relays(open_world):
    server, stub = open_world
    with server.smtp() as c:
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        for good in ("x@relay.test", "x@RELAY.test", "alice@example.test", "ALICE@EXAMPLE.TEST", '"alice"@example.test', "@other.test:alice@example.test"):
            c.expect(f"RCPT TO:<{good}>", "250 ")
        c.expect("RSET", "250 ")
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        for address in ELSEWHERE:
            got = c.ask(f"RCPT TO:<{address}>")
            assert got.startswith(("550 5.7.1", "501 5.1.3")), (address, got)
        for address in STRANGE:
            c.expect(f"RCPT TO:<{address}>", "550 5.1.1")
        for address in BROKEN:
            got = c.ask(f"RCPT TO:<{address}>")
            assert got.startswith(("501 5.1.3", "501 5.5.4", "500 5.5.2")), (address, got)
        for way in ("RCPT TO:x@other.test", "RCPT TO: <x@other.test>", "RCPT TO:<x@other.test", "RCPT TO:alice@example.test,x@other.test",
                    "RCPT x@other.test", "RCPT FROM:<x@other.test>", "RCPT TO:<> <x@other.test>", "SEND FROM:<x@other.test>",
                    "RCPT TO:<alice@example.test> <x@other.test>", "RCPT TO:<alice@example.test>,<x@other.test>"):
            assert c.ask(way)[0] == "5", way
        c.expect("DATA", "503 ")
    with server.smtp() as c:
        c.expect("MAIL FROM:<alice@example.test> SMTPUTF8", "250 ")
        for address in UNICODE:
            assert c.ask(f"RCPT TO:<{address}>")[0] == "5", address
        c.expect("DATA", "503 ")
    assert stub.messages == [] and server.queue() == []


@pytest.mark.parametrize("sender", ["", "alice@example.test", "postmaster@example.test", "x@[127.0.0.1]", "MAILER-DAEMON@example.test", '"alice@example.test"@x.test'])
def test_a_sender_of_ours_opens_nothing(open_world, sender):
    """Nor does a name in EHLO, or words about a login elsewhere (RFC 4954 section 5)."""
    server, stub = open_world
    for hello in ("example.test", "localhost", "[127.0.0.1]", "mail.example.test"):
        with server.smtp(hello=hello) as c:
            assert c.ask(f"MAIL FROM:<{sender}> AUTH=alice@example.test")[0] == "5"
            c.expect(f"MAIL FROM:<{sender}>", "250 ")
            c.expect("RCPT TO:<x@other.test>", "550 5.7.1")
            c.expect("RCPT TO:<x@other.test> ORCPT=rfc822;alice@example.test", "550 5.7.1")
    assert stub.messages == []


def test_a_catch_all_keeps_what_means_somebody_elsewhere(open_world):
    """With an alias for everybody, names like x%other.test are taken: for the mailbox behind it, never for other.test."""
    server, stub = open_world
    server.cli("alias", "add", "@example.test", "bob@example.test")
    with server.smtp() as c:
        for address in STRANGE:
            c.message("x@elsewhere.test", [address])
        for address in ELSEWHERE:
            c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
            assert c.ask(f"RCPT TO:<{address}>")[0] == "5", address
            c.expect("RSET", "250 ")
    server.wait_empty()
    assert stub.messages == [] and len(pop(server, "bob@example.test")) == len(STRANGE)


def test_lmtp_relays_nothing(server):
    """The mda has nowhere to send it to, and takes only names of mailboxes."""
    with Talk(str(server.directory / "ctl" / "lmtp.sock")) as c:
        c.reply()
        c.expect("LHLO x.test", "250-")
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        for address in [*ELSEWHERE, *STRANGE]:
            assert c.ask(f"RCPT TO:<{address}>")[0] == "5", address


def test_a_login_sends_only_as_itself(server):
    server.cli("alias", "add", "sales@example.test", "alice@example.test")
    with server.submission() as c:
        for good in ("alice@example.test", "ALICE@Example.TEST", "alice+x@example.test", "sales@example.test", '"alice"@example.test', ""):
            c.expect(f"MAIL FROM:<{good}>", "250 ")
            c.expect("RSET", "250 ")
        for bad in ("bob@example.test", "alice@other.test", "alice@sub.example.test", "bob+alice@example.test", '"alice@example.test"@other.test',
                    "alice%example.test@example.test", "@example.test:bob@example.test", "alice@[127.0.0.1]"):
            c.expect(f"MAIL FROM:<{bad}>", "550 5.7.1")


def test_empty_local_part_does_not_answer_for_the_domain(server):
    with server.smtp() as c:
        c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
        c.expect('RCPT TO:<""@example.test>', "550 5.1.1")
        c.expect("RCPT TO:<alice@example.test>", "250 ")
        c.expect("RCPT TO:<nobody@example.test>", "550 5.1.1")


def test_empty_local_part_with_a_catch_all(make_server):
    server = make_server(conf=QUICK)
    server.cli("alias", "add", "@example.test", "bob@example.test")
    with server.smtp() as c:
        c.message("x@elsewhere.test", ['""@example.test'])
        c.message("x@elsewhere.test", ["alice@example.test"], "Subject: to alice\r\n\r\n\r\n")
    server.wait_empty()
    assert [b"to alice" in text for text in pop(server)] == [True]
    assert len(pop(server, "bob@example.test")) == 1


def test_postmaster_without_domain(server):
    with server.smtp() as c:
        c.message("x@elsewhere.test", ["postmaster"])
    server.wait_empty()
    assert len(pop(server)) == 1
