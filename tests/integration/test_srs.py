# SPDX-License-Identifier: ISC
"""SRS: the senders of what is forwarded are rewritten, and bounces come back by us."""
import json
import os
import re
import stat
import subprocess
import time

import pytest
from peers import transport
from server import until

FAST = "queue {\n retry-first = 200ms\n retry-max = 400ms\n}\n"
TEXT = "From: me@back.test\r\nSubject: t\r\n\r\nx\r\n"
US = "mail.example.test"


def serve(make_server, stub, conf="", **more):
    server = make_server("--trust", "127.0.0.1/32", conf=conf + FAST + transport("far.test", stub.port) + transport("back.test", stub.port), **more)
    server.cli("alias", "add", "away@example.test", "you@far.test")
    return server


def sender_of(received):
    return re.match(r"MAIL FROM:<([^>]*)>", received.mail)[1]


def forwarded(make_server, stub, sender="me@back.test", **more):
    """A server, and the sender that the next hop got."""
    server = serve(make_server, stub, **more)
    with server.smtp() as c:
        c.message(sender, ["away@example.test"], TEXT)
    return server, sender_of(stub.wait()[0])


def test_the_sender_is_rewritten_and_its_bounce_comes_back(make_server, stub):
    server, rewritten = forwarded(make_server, stub)
    assert re.fullmatch(rf"SRS0=[A-Za-z0-9+/]{{8}}=[A-Z2-7]{{2}}=back\.test=me@{re.escape(US)}", rewritten)
    event = server.wait_event("srs.rewritten")
    assert event["from"] == "me@back.test" and event["as"] == rewritten
    assert server.wait_event("delivery.done", to="you@far.test")["from"] == "me@back.test"
    assert rewritten in server.cli("trace", event["message"])
    for local in (rewritten, rewritten.lower()):
        with server.smtp() as c:
            c.message("", [local], TEXT)
    bounces = stub.wait(3)[1:]
    assert [(sender_of(m), re.match(r"RCPT TO:<([^>]*)>", m.rcpt[0])[1]) for m in bounces] == [("", "me@back.test")] * 2


def test_only_bounces_come_back(make_server, stub):
    server, rewritten = forwarded(make_server, stub)
    forged = rewritten[:5] + ("B" if rewritten[5] in "Aa" else "A") + rewritten[6:]
    old = rewritten.replace("=me@", "=you@")
    with server.smtp() as c:
        c.expect("MAIL FROM:<x@back.test>", "250 ")
        c.expect(f"RCPT TO:<{rewritten}>", "550 5.7.1 ")
        c.expect("RSET", "250 ")
        c.expect("MAIL FROM:<>", "250 ")
        for wrong in (forged, old, f"SRS0=AAAAAAAA=AA=back.test=me@{US}", f"SRS0=@{US}", f"SRS1=AAAAAAAA=a.test==b@{US}"):
            c.expect(f"RCPT TO:<{wrong}>", "550 5.1.1 ")
        c.expect(f"RCPT TO:<{rewritten}>", "250 ")
    assert server.wait_event("smtp.rcpt.refused")["to"] == rewritten


def test_what_is_ours_or_nobodys_stays(make_server, stub):
    """Mail of our domains, of the null sender, to mailboxes, and what is relayed as it is."""
    server = serve(make_server, stub)
    with server.smtp() as c:
        for sender, rcpt in (("alice@example.test", "away@example.test"), ("", "away@example.test"), ("me@back.test", "two@far.test")):
            c.message(sender, [rcpt], TEXT)
    assert sorted(sender_of(m) for m in stub.wait(3)) == ["", "alice@example.test", "me@back.test"]
    assert not server.events("srs.rewritten")


def test_recipients_of_one_message_may_have_different_senders(make_server, stub):
    server = serve(make_server, stub)
    with server.smtp() as c:
        c.message("me@back.test", ["direct@far.test", "away@example.test", "alice@example.test"], TEXT)
    got = {m.rcpt[0].split("<")[1].split(">")[0]: sender_of(m) for m in stub.wait(2)}
    assert got["direct@far.test"] == "me@back.test" and got["you@far.test"].startswith("SRS0=")
    server.wait_empty()
    folder = server.directory / "mail" / "accounts" / "example.test" / "alice"
    until(lambda: any(b"Return-Path: <me@back.test>" in p.read_bytes() for p in folder.glob("mailbox-1/*/*") if p.is_file()))


def test_a_refusal_goes_to_the_original_sender(make_server, make_stub):
    """Our own notice needs no way back; ENVID and the original recipient are those of the sender (RFC 3461)."""
    stub = make_stub(replies={"RCPT": ["550 5.1.1 nobody here"]})
    server = serve(make_server, stub)
    with server.smtp() as c:
        c.message("me@back.test", ["away@example.test"], TEXT, mail=" ENVID=e1")
    notice = next(m for m in stub.wait() if b"multipart/report" in m.data)
    assert sender_of(notice) == "" and "TO:<me@back.test>" in notice.rcpt[0]
    assert re.search(r"(?i)^Original-Envelope-ID: *e1\r$", notice.text, re.M)
    assert re.search(r"(?i)^Original-Recipient: *rfc822; *away@example\.test\r$", notice.text, re.M)


def test_the_queue_has_the_original_sender(make_server, make_stub):
    stub = make_stub(replies={"RCPT": ["451 4.2.0 later"] * 100})
    server = serve(make_server, stub)
    with server.smtp() as c:
        ident = c.message("me@back.test", ["away@example.test"], TEXT)
    server.wait_event("delivery.deferred", message=ident)
    assert "me@back.test" in server.cli("queue", "why", ident) and "me@back.test" in server.cli("queue", "ls")


def test_after_a_restart_it_is_still_forwarded_mail(make_server, make_stub):
    """That is kept in the envelope, and the secret in a file of the mta's."""
    stub = make_stub(replies={"RCPT": ["451 4.2.0 later"]})
    server = serve(make_server, stub)
    with server.smtp() as c:
        c.message("me@back.test", ["away@example.test"], TEXT)
    server.wait_event("delivery.deferred")
    secret = server.directory / "spool" / "srs.secret"
    before = secret.read_text()
    server.stop()
    server.start()
    assert sender_of(stub.wait()[0]).startswith("SRS0=") and secret.read_text() == before
    assert stat.S_IMODE(os.stat(secret).st_mode) == 0o600


def test_settings(make_server, stub):
    server, rewritten = forwarded(make_server, stub, conf="srs-domain = bounce.test\n")
    assert rewritten.endswith("@bounce.test")
    text = server.conf.read_text()
    server.conf.write_text("srs = off\n" + text)
    server.reload()
    with server.smtp() as c:
        c.message("me@back.test", ["away@example.test"], TEXT)
        assert sender_of(stub.wait(2)[1]) == "me@back.test"
        c.message("", [rewritten], TEXT)  # those that are out there go on to count
    assert "TO:<me@back.test>" in stub.wait(3)[2].rcpt[0]


def test_secrets_rotate(make_server, stub):
    server, rewritten = forwarded(make_server, stub)
    secret = server.directory / "spool" / "srs.secret"
    old = secret.read_text()
    for text, expected in (("0123456789abcdef0\n" + old, "250 "), ("0123456789abcdef0\n", "550 5.1.1 "), ("short\n", "550 5.1.1 ")):
        secret.write_text(text)
        server.reload()
        with server.smtp() as c:
            c.expect("MAIL FROM:<>", "250 ")
            c.expect(f"RCPT TO:<{rewritten}>", expected)
    assert "srs.secret" in server.wait_event("srs.failed")["text"]


def perl(secret, program):
    code = "use Mail::SRS::Guarded; my $s = Mail::SRS::Guarded->new(Secret => $ARGV[0], HashLength => 8, HashMin => 8); " + program
    return subprocess.run(["perl", "-e", code, secret], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.skipif(subprocess.run(["perl", "-MMail::SRS::Guarded", "-e", "1"], capture_output=True, check=False).returncode != 0,
                    reason="libmail-srs-perl is not installed")
def test_hops_of_mail_srs(make_server, stub):
    """Our address goes through a hop of Mail::SRS and comes back, and its address through us; but its hashes are not ours, whatever the secret."""
    server, rewritten = forwarded(make_server, stub)
    secret, other = (server.directory / "spool" / "srs.secret").read_text().strip(), "another secret"
    second = perl(other, f"print $s->forward('{rewritten}', 'far.test')")
    assert second.startswith("SRS1=") and perl(other, f"print $s->reverse('{second}')") == rewritten
    theirs = perl(other, "print $s->forward('me@back.test', 'far.test')")
    with server.smtp() as c:
        c.message(theirs, ["away@example.test"], TEXT)
        second = sender_of(stub.wait(2)[1])
        assert second.startswith("SRS1=")
        c.message("", [second], TEXT)
        assert stub.wait(3)[2].rcpt[0] == f"RCPT TO:<{theirs}>"
        c.expect("MAIL FROM:<>", "250 ")
        forged = perl(secret, f"print $s->forward('me@back.test', '{US}')")
        c.expect(f"RCPT TO:<{forged}>", "550 5.1.1 ")


def test_long_senders(make_server, stub):
    """Those of newsletters fill their local part, and what is made of them is longer; we take it back all the same."""
    server, rewritten = forwarded(make_server, stub, sender="0" * 64 + "@back.test")
    assert len(rewritten.split("@")[0]) > 64
    with server.smtp() as c:
        c.message("", [rewritten], TEXT)
    assert f"TO:<{'0' * 64}@back.test>" in stub.wait(2)[1].rcpt[0]


def test_try_smtp_agrees(make_server, stub):
    server, rewritten = forwarded(make_server, stub)
    def attempt(sender, rcpt, *more):
        return json.loads(server.cli("try", "smtp", "--json", "--from-ip", "192.0.2.1", "--helo", "client.test", "--mail", sender, "--rcpt", rcpt,
                                     "--resolver", "127.0.0.1:1", *more))
    assert attempt("<>", rewritten)["result"] == "accept"
    assert (got := attempt("<>", rewritten.replace("=me@", "=you@")))["result"] == "refuse" and got["status"] == "5.1.1" and got["rule"] == "srs"
    assert attempt("x@back.test", rewritten)["status"] == "5.7.1"
    assert "days" in attempt("<>", rewritten, "--time", int(time.time()) + 30 * 86400)["reason"]
