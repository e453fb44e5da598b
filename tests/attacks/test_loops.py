# SPDX-License-Identifier: ISC
"""
Loops and backscatter: mail that goes round ends, and forged senders are not mailed for what somebody else sent.

The defences are RECEIVED_LOOP_LIMIT in serve/session_mail.c, drop_from_ourselves_on() in send/route.c, the steps and names seen of
directory_expand(), that notices have the null path and none is ever about one (send/settle.c), and that what can be refused is refused
while the client is there: unknown users, loops, broken content, mailboxes that are too small, and those that were full when the last message
came (directory/full.c).
"""
import pytest
from dialogue import QUICK, pop
from dns_stub import DnsStub, name, record
from nsd import stub_zones
from peers import transport
from server import until


@pytest.fixture
def round_trip(make_server):
    """Two servers, each of which believes that ring.test is the other's."""
    first, second = (make_server("--trust", "127.0.0.1/32", start=False) for _ in range(2))
    first.add_conf(QUICK + transport("ring.test", second.port("smtp")))
    second.add_conf(QUICK + transport("ring.test", first.port("smtp")))
    second.start()
    first.start()
    return first, second


def test_a_message_between_two_servers_ends(round_trip):
    """After a hundred trips, with one notice to the sender; the notice's own loop would end with none."""
    first, second = round_trip
    with first.smtp() as c:
        c.message("alice@example.test", ["x@ring.test"])
    until(lambda: first.events("delivery.failed") + second.events("delivery.failed"), why=lambda: f"{len(first.events('message.accepted'))} trips")
    first.wait_empty()
    second.wait_empty()
    trips = len(first.events("message.accepted", to="x@ring.test")) + len(second.events("message.accepted", to="x@ring.test"))
    assert 90 <= trips <= 102
    notices = [text for server in (first, second) for text in pop(server)]
    assert len(notices) == 1 and b"Status: 5.4.6" in notices[0]
    assert b"Return-Path: <>" in notices[0]


def test_a_notice_between_two_servers_ends_without_another(round_trip):
    first, second = round_trip
    with first.smtp() as c:
        c.message("", ["x@ring.test"])
    until(lambda: first.events("delivery.failed") + second.events("delivery.failed"))
    first.wait_empty()
    second.wait_empty()
    assert first.events("notice.accepted") == second.events("notice.accepted") == []


def test_a_sender_that_goes_round_too_gets_nothing_for_ever(round_trip):
    """The notice about a loop goes to a sender in the same loop."""
    first, second = round_trip
    with first.smtp() as c:
        c.message("y@ring.test", ["x@ring.test"])
    until(lambda: len(first.events("delivery.failed") + second.events("delivery.failed")) == 2)
    first.wait_empty()
    second.wait_empty()
    assert len(first.events("notice.accepted") + second.events("notice.accepted")) == 1


def test_aliases_in_a_circle_take_no_mail(server):
    server.cli("alias", "add", "a@example.test", "b@example.test")
    server.cli("alias", "add", "b@example.test", "c@example.test", "b+x@example.test")
    server.cli("alias", "add", "c@example.test", "a@example.test", "c@example.test")
    server.cli("alias", "add", "half@example.test", "a@example.test", "alice@example.test", "half@example.test")
    with server.smtp() as c:
        c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
        for alias in ("a", "b", "c"):
            assert c.ask(f"RCPT TO:<{alias}@example.test>").startswith(("550 5.1.1", "554 5.4.6"))
        c.expect("RSET", "250 ")
        c.message("x@elsewhere.test", ["half@example.test"])
    server.wait_empty()
    assert len(pop(server)) == 1


def test_a_transport_to_ourselves_ends(make_server):
    server = make_server("--trust", "127.0.0.1/32", start=False)
    server.add_conf(QUICK + transport("self.test", server.port("smtp")))
    server.start()
    with server.smtp() as c:
        c.message("alice@example.test", ["x@self.test"])
    until(lambda: pop(server))
    server.wait_empty()
    assert len(pop(server)) == 1 and len(server.events("message.accepted")) < 110


def test_mail_exchangers_that_begin_with_ourselves_end_at_once(make_server):
    """Neither round again nor to hosts that are worse than we are, which would hand it back."""
    local = bytes([127, 0, 0, 1])
    dns = DnsStub({("self.test", "MX"): [record("self.test", "MX", preference + name(host)) for preference, host in ((b"\0\5", "mail.example.test"), (b"\0\x14", "worse.test"))],
                   **{(host, "A"): [record(host, "A", local)] for host in ("mail.example.test", "worse.test")}})
    server = make_server("--trust", "127.0.0.1/32", start=False)
    server.add_conf(f"{QUICK}delivery {{\n port = {server.port('smtp')}\n}}\n{stub_zones(dns.port, 'test')}")
    server.start()
    with server.smtp() as c:
        ident = c.message("alice@example.test", ["x@self.test"])
    failed = until(lambda: server.events("delivery.failed"))
    server.wait_empty()
    dns.close()
    assert [(e["message"], e["status"]) for e in failed] == [(ident, "5.4.6")]
    assert len(server.events("message.accepted")) == len(pop(server)) == 1


REFUSED = {
    "unknown": (["nobody@example.test"], "S: x\r\n\r\nx\r\n"),
    "elsewhere": (["x@other.test"], "S: x\r\n\r\nx\r\n"),
    "loop": (["bob@example.test"], "Received: x\r\n" * 101 + "\r\nx\r\n"),
    "long line": (["bob@example.test"], "S: x\r\n\r\n" + "x" * 2000 + "\r\n"),
    "too large": (["bob@example.test"], "S: x\r\n\r\n" + ("x" * 900 + "\r\n") * 200),
    "control": (["bob@example.test"], "S: x\r\n\r\nx\0\r\n"),
    "syntax": (["bob@example.test@x"], "S: x\r\n\r\nx\r\n"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_forged_sender_hears_nothing_of_what_is_refused(make_server, stub, why):
    """The refusal is the client's to hear; mail to victim@away.test would be ours to the wrong one."""
    server = make_server(conf="limits {\n greeting-delay = 0\n message-size = 100K\n}\n" + transport("away.test", stub.port))
    rcpts, text = REFUSED[why]
    with server.smtp() as c:
        c.expect("MAIL FROM:<victim@away.test>", "250 ")
        answers = [c.ask(f"RCPT TO:<{rcpt}>") for rcpt in rcpts]
        if all(answer.startswith("250") for answer in answers):
            c.expect("DATA", "354 ")
            answers.append(c.ask(text + "."))
        assert answers[-1][0] == "5"
    server.stop()
    assert stub.messages == [] and server.events("message.accepted") == server.events("notice.accepted") == []


def test_asking_for_success_of_a_forged_sender_mails_it_once(make_server, stub):
    """NOTIFY=SUCCESS to a list is one notice for the message, not one for each name on it."""
    server = make_server(conf=QUICK + transport("away.test", stub.port))
    server.cli("alias", "add", "all@example.test", "alice@example.test", "bob@example.test")
    with server.smtp() as c:
        c.message("victim@away.test", ["all@example.test"] * 1, rcpt=" NOTIFY=SUCCESS,FAILURE,DELAY")
    server.wait_empty()
    assert len(stub.messages) == 1 and stub.messages[0].mail.startswith("MAIL FROM:<>")


def test_no_notice_about_a_notice_whatever_it_asks_for(make_server, make_stub):
    stub = make_stub(replies={"RCPT": ["550 5.1.1 no", ...]})
    server = make_server("--trust", "127.0.0.1/32", conf=QUICK + transport("away.test", stub.port))
    with server.smtp() as c:
        for notify in ("SUCCESS,FAILURE,DELAY", "FAILURE", "NEVER"):
            c.message("", ["x@away.test"], rcpt=f" NOTIFY={notify} ORCPT=rfc822;alice@example.test", mail=" RET=FULL ENVID=x")
    server.wait_empty()
    until(lambda: len(server.events("delivery.failed")) == 3)
    assert [e for e in server.events() if e["event"].startswith("notice.")] == [] and pop(server) == []


def offer(c, rcpt, size, announced=True):
    """What a stranger is told at last about a message of so many octets."""
    c.expect("RSET", "250 ")
    c.expect("MAIL FROM:<victim@away.test>" + (f" SIZE={size}" if announced else ""), "250 ")
    answer = c.ask(f"RCPT TO:<{rcpt}>")
    if not answer.startswith("250"):
        return "RCPT", answer
    c.expect("DATA", "354 ")
    return "DATA", c.ask("S: x\r\n\r\n" + ("x" * 98 + "\r\n") * (size // 100) + ".")


def test_a_full_mailbox_is_for_the_client_to_hear_of(make_server, stub):
    """The mailbox's own server says it of one message after the 250; whoever comes then is told himself."""
    server = make_server(conf=QUICK + transport("away.test", stub.port), start=False)
    server.cli("user", "set", "bob@example.test", "--quota", "20K")
    server.cli("alias", "add", "sales@example.test", "bob@example.test")
    server.cli("alias", "add", "both@example.test", "alice@example.test", "bob@example.test")
    server.start()
    full = "452 4.2.2 the mailbox is full"
    with server.smtp() as c:
        assert offer(c, "bob@example.test", 30000) == ("RCPT", "552 5.2.2 the message is larger than the mailbox")
        assert offer(c, "bob@example.test", 30000, announced=False) == ("DATA", "552 5.2.2 the message is larger than the mailbox")
        for event in ("delivery.done", "delivery.deferred"):
            assert offer(c, "bob@example.test", 14000)[1].startswith("250 ")
            server.wait_event(event, to="bob@example.test")
        for rcpt in ("bob@example.test", "BOB+x@Example.test", "sales@example.test"):
            assert offer(c, rcpt, 14000) == ("RCPT", full)
            assert offer(c, rcpt, 14000, announced=False) == ("DATA", full)
        assert offer(c, "both@example.test", 14000)[1].startswith("250 ")
        assert offer(c, "alice@example.test", 14000)[1].startswith("250 ")
        assert offer(c, "bob@example.test", 1000)[1].startswith("250 ")
        until(lambda: len(server.events("delivery.done", to="bob@example.test")) == 2)
        with server.submission() as own:  # who is known gets his notices
            own.message("alice@example.test", ["bob@example.test"], "S: x\r\n\r\n" + ("x" * 98 + "\r\n") * 140)
        server.cli("user", "set", "bob@example.test", "--quota", "100K")  # which the mailbox's server sees after a second at the latest
        until(lambda: [server.cli("queue", "retry", "--all", status=None), len(server.events("delivery.done", to="bob@example.test")) == 5][1])
        assert offer(c, "bob@example.test", 14000)[1].startswith("250 ")
    server.wait_empty()
    assert stub.messages == []
