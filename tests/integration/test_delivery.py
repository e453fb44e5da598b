# SPDX-License-Identifier: ISC
"""Handing on: retries, bounces, notices, DSN, and what misbehaving next hops get away with."""
import email
import re

import pytest
from peers import transport
from server import free_port, has_ipv6, until

FAST = "queue {\n retry-first = 200ms\n retry-max = 400ms\n}\n"


def serve(make_server, stub, conf=FAST, **more):
    return make_server("--trust", "127.0.0.1/32", conf=conf + transport("far.test", stub.port) + transport("back.test", stub.port), **more)


def parts_of(received):
    """The parts of a notice: text, the fields for each recipient, the returned message."""
    notice = email.message_from_bytes(received.data)
    assert notice.get_content_type() == "multipart/report"
    assert notice.get_param("report-type") == "delivery-status"
    text, status, returned = notice.get_payload()
    return text.get_payload(), [dict(part.items()) for part in status.get_payload()], returned


def test_message_arrives_as_it_was_with_a_trace_field(make_server, stub):
    server = serve(make_server, stub)
    body = "Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nend\r\n"
    with server.smtp() as c:
        ident = c.message("me@back.test", ["you@far.test", "two@far.test"], body)
    got = stub.wait()[0]
    assert got.mail.startswith("MAIL FROM:<me@back.test>")
    assert [line.split(" ")[1] for line in got.rcpt] == ["TO:<you@far.test>", "TO:<two@far.test>"]
    head, rest = got.text.split("Subject: dots\r\n", 1)
    assert "Subject: dots\r\n" + rest == body
    assert re.match(r"Received: from client\.test \(.*127\.0\.0\.1\]?\)\s+by mail\.example\.test", head), head
    assert ident in head
    server.wait_empty()
    done = server.wait_event("delivery.done", message=ident, to="two@far.test")
    assert done["remote"].startswith("127.0.0.1")


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_a_relay_may_be_an_ipv6_address(make_server, make_stub):
    stub = make_stub("::1")
    server = make_server("--trust", "127.0.0.1/32", "--relay", f"[::1]:{stub.port}")
    with server.smtp() as c:
        ident = c.message("me@back.test", ["you@far.test"])
    assert ident in stub.wait()[0].text
    assert server.wait_event("delivery.done", message=ident)["remote"] == f"::1 ([::1]:{stub.port})"


def test_greylisting_is_tried_again_and_never_bounced(make_server, make_stub):
    stub = make_stub(replies={"RCPT": ["451 4.7.1 greylisted, come back", "451 4.7.1 greylisted, come back"]})
    server = serve(make_server, stub)
    with server.smtp() as c:
        ident = c.message("me@back.test", ["you@far.test"])
    assert len(stub.wait()) == 1
    server.wait_empty()
    deferred = until(lambda: (found := server.events("delivery.deferred", message=ident))[1:] and found)
    assert [(e["attempt"], e["reply"], e["status"], e["text"]) for e in deferred] == [
        (1, 451, "4.7.1", "greylisted, come back"), (2, 451, "4.7.1", "greylisted, come back")]
    assert server.events("notice.accepted") == []


TRY_AGAIN, RETURN = (421, 450, 451, 452, 454, 471, 499), (500, 521, 550, 551, 552, 554, 571, 599)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "END"])
def test_the_first_digit_of_a_reply_decides(make_server, make_stub, step):
    """RFC 5321 section 4.2.1: whatever the other two are, a 4yz is tried again and not returned, a 5yz is returned at once."""
    stub = make_stub(replies={step: [reply for code in TRY_AGAIN + RETURN for reply in (f"{code} that is how it is", None)]})
    server = serve(make_server, stub)
    for number, code in enumerate(TRY_AGAIN + RETURN, 1):
        with server.smtp() as c:
            ident = c.message("me@back.test", ["you@far.test"])
        is_returned = code in RETURN
        assert stub.wait(number)[-1].mail.startswith("MAIL FROM:<>" if is_returned else "MAIL FROM:<me@back.test>"), code
        server.wait_empty()
        event = server.wait_event("delivery.failed" if is_returned else "delivery.deferred", message=ident)
        assert (event["attempt"], event["reply"]) == (1, code)
        assert server.events("delivery.deferred" if is_returned else "delivery.failed", message=ident) == []


def test_refusal_is_returned_at_once_with_its_text(make_server, make_stub):
    stub = make_stub(replies={"RCPT": ["550 5.1.1 nobody of that name", None]})
    server = serve(make_server, stub)
    with server.smtp() as c:
        c.message("me@back.test", ["gone@far.test"], "Subject: original\r\n\r\nthe body\r\n")
    notice = stub.wait()[0]
    assert notice.mail.startswith("MAIL FROM:<>")
    assert notice.rcpt[0].startswith("RCPT TO:<me@back.test>")
    text, (about, rcpt), returned = parts_of(notice)
    assert "550 5.1.1 nobody of that name" in text
    assert about["Reporting-MTA"] == "dns; mail.example.test"
    assert rcpt["Final-Recipient"] == "rfc822; gone@far.test"
    assert (rcpt["Action"], rcpt["Status"]) == ("failed", "5.1.1")
    assert rcpt["Diagnostic-Code"] == "smtp; 550 5.1.1 nobody of that name"
    assert "the body" in returned.as_string()
    server.wait_empty()


def test_each_recipient_has_its_own_outcome(make_server, make_stub):
    def answer(line):
        return "550 5.1.1 no" if "<no@" in line else "451 4.2.0 later" if "<later@" in line else None
    stub = make_stub(replies={"RCPT": [answer] * 3})
    server = serve(make_server, stub)
    with server.smtp() as c:
        ident = c.message("me@back.test", ["yes@far.test", "no@far.test", "later@far.test"])
    server.wait_empty()
    taken = [re.search("<(.*?)>", line)[1] for m in stub.messages for line in m.rcpt]
    assert sorted(taken) == ["later@far.test", "me@back.test", "yes@far.test"]
    server.wait_event("delivery.done", message=ident, to="later@far.test")
    assert len(server.events("delivery.done", message=ident, to="yes@far.test")) == 1


def test_notice_without_the_message_when_it_is_gone(make_server, make_stub):
    """A large message waits in a file of its own; the file is lost before the message is given up."""
    stub = make_stub(replies={"RCPT": ["451 4.2.0 later"]})
    server = serve(make_server, stub, "queue {\n retry-first = 1h\n}\n")
    with server.smtp() as c:
        ident = c.message("me@back.test", ["you@far.test"], "Subject: s\r\n\r\n" + ("x" * 70 + "\r\n") * 20000)
    server.wait_event("delivery.deferred", message=ident)
    until(lambda: server.queue()[0]["deliveries"][0]["state"] == "waiting")
    body, = [path for path in (server.directory / "spool" / "bodies").rglob("*") if path.is_file()]
    body.unlink()
    server.cli("queue", "bounce", ident)
    notice = email.message_from_bytes(stub.wait()[0].data)
    text, status = notice.get_payload()
    assert "cannot be read any more" in text.get_payload()
    assert status.get_payload()[1]["Final-Recipient"] == "rfc822; you@far.test"
    server.wait_empty()
    assert server.wait_event("notice.incomplete", about=ident)["outcome"] == "later"
    assert f"{ident} cannot be read, the notice to <me@back.test> goes without it" in server.cli("trace", ident)


def test_many_recipients_make_several_notices(make_server, make_stub):
    stub = make_stub(replies={"RCPT": [lambda line: "550 5.1.1 no" if "far.test" in line else None, ...]})
    server = serve(make_server, stub, FAST + "limits {\n recipients = 2000\n}\n")
    with server.smtp() as c:
        c.message("me@back.test", [f"u{k}@far.test" for k in range(1001)])
    notices = stub.wait(2)
    told = [part["Final-Recipient"] for m in notices for part in email.message_from_bytes(m.data).get_payload()[1].get_payload()[1:]]
    assert sorted(told) == sorted(f"rfc822; u{k}@far.test" for k in range(1001))
    server.wait_empty()


def test_a_notice_is_never_about_a_notice(make_server, make_stub):
    stub = make_stub(replies={"RCPT": ["550 5.1.1 no", ...]})
    server = serve(make_server, stub)
    with server.smtp() as c:
        c.message("me@back.test", ["you@far.test"])
    until(lambda: len(server.events("delivery.failed")) == 2)
    server.wait_empty()
    server.wait_event("notice.accepted")
    assert len(server.events("notice.accepted")) == 1
    assert stub.messages == []


def test_notify_never_and_success(make_server, make_stub):
    stub = make_stub(replies={"RCPT": ["550 5.1.1 no"]}, extensions=("PIPELINING", "8BITMIME"))
    server = serve(make_server, stub)
    with server.smtp() as c:
        c.message("me@back.test", ["you@far.test"], rcpt=" NOTIFY=NEVER")
        server.wait_event("delivery.failed")
        c.message("me@back.test", ["you@far.test"], mail=" ENVID=abc+2B RET=HDRS",
                  rcpt=" NOTIFY=SUCCESS ORCPT=rfc822;first@far.test", text="Subject: s\r\n\r\nsecret body\r\n")
    notice = stub.wait(2)[1]
    text, (about, rcpt), returned = parts_of(notice)
    assert about["Original-Envelope-Id"] == "abc+"
    assert (rcpt["Action"], rcpt["Status"]) == ("relayed", "2.0.0")
    assert rcpt["Original-Recipient"] == "rfc822; first@far.test"
    assert returned.get_content_type() == "text/rfc822-headers"
    assert "secret body" not in notice.text
    server.wait_event("notice.accepted")
    server.wait_empty()
    assert len(server.events("notice.accepted")) == 1


def test_notice_about_a_mailbox_names_no_socket(make_server, stub):
    server = serve(make_server, stub)
    with server.smtp() as c:
        c.message("me@back.test", ["bob@example.test"], rcpt=" NOTIFY=SUCCESS")
    text, (_, rcpt), _ = parts_of(stub.wait()[0])
    assert rcpt["Action"] == "delivered" and "Remote-MTA" not in rcpt
    assert "Mail server:" not in text and "lmtp.sock" not in text


def test_notice_about_a_local_server_that_is_away_has_no_path(make_server, stub):
    server = make_server("--trust", "127.0.0.1/32", conf=transport("back.test", stub.port) + "queue {\n retry-first = 100ms\n"
                         " retry-max = 200ms\n bounce-after = 1s\n}\nlocal {\n protocol = lmtp\n path = \"ctl/gone.sock\"\n}\n")
    with server.smtp() as c:
        c.message("me@back.test", ["bob@example.test"])
    server.wait_event("delivery.deferred")
    assert "gone.sock" in server.cli("queue", "why", "recipient=bob@example.test")
    notice = stub.wait()[0]
    text, (_, rcpt), _ = parts_of(notice)
    assert rcpt["Diagnostic-Code"] == "x-eilbote; 451 4.4.1 trouble on our own server"
    assert "gone.sock" not in notice.text and "trouble on our own server" in text


def members(stub):
    """What was passed on with the recipients behind an alias."""
    return sorted(line.split("NOTIFY=")[1].split()[0] if "NOTIFY=" in line else ""
                  for message in stub.messages if "far.test" in message.rcpt[0] for line in message.rcpt)


def test_an_alias_of_several_is_told_to_be_expanded(make_server, stub):
    """Its members are not asked for success, nor for failure where success was all that was asked for."""
    server = serve(make_server, stub)
    server.cli("alias", "add", "team@example.test", "a@far.test", "b@far.test")
    with server.smtp() as c:
        ident = c.message("me@back.test", ["team@example.test"] * 2, mail=" RET=FULL ENVID=e1", rcpt=" NOTIFY=SUCCESS",
                          text="Subject: s\r\n\r\nsecret body\r\n")
    notice = next(m for m in stub.wait(2) if "back.test" in m.rcpt[0])
    assert notice.mail.startswith("MAIL FROM:<>") and notice.rcpt[0].startswith("RCPT TO:<me@back.test>")
    text, (about, rcpt), returned = parts_of(notice)
    assert about["Original-Envelope-Id"] == "e1" and "handed on to the several addresses" in text
    assert (rcpt["Action"], rcpt["Status"]) == ("expanded", "2.0.0")
    assert rcpt["Original-Recipient"] == rcpt["Final-Recipient"] == "rfc822; team@example.test"
    assert returned.get_content_type() == "text/rfc822-headers" and "secret body" not in notice.text
    server.wait_empty()
    assert len(stub.messages) == 2 and members(stub) == ["NEVER", "NEVER"]
    assert server.events("message.accepted", message=ident)[0]["recipients"] == 2
    assert f"{ident} goes to the addresses behind the alias <team@example.test>" in server.cli("trace", ident)


def test_an_alias_is_told_after_a_crash(make_server, stub):
    """It was promised with the 250: not forgotten, and not told for ever (a crash between notice and record may repeat it once)."""
    server = serve(make_server, stub)
    server.cli("alias", "add", "team@example.test", "a@far.test", "b@far.test")
    with server.smtp() as c:
        c.message("me@back.test", ["team@example.test"], rcpt=" NOTIFY=SUCCESS")
        server.crash_role("mta")
    until(lambda: any("back.test" in m.rcpt[0] for m in stub.messages))
    server.wait_empty()
    assert len([m for m in stub.messages if "back.test" in m.rcpt[0]]) in (1, 2)
    server.crash_role("mta")
    assert server.queue() == []


def test_nobody_hears_of_an_alias_without_asking(make_server, stub):
    """Nor about a notice, nor of an alias of one, whose target tells."""
    server = serve(make_server, stub)
    server.cli("alias", "add", "team@example.test", "a@far.test", "b@far.test")
    server.cli("alias", "add", "one@example.test", "c@far.test")
    with server.smtp() as c:
        c.message("me@back.test", ["team@example.test"], rcpt=" NOTIFY=DELAY")
        c.message("me@back.test", ["team@example.test"])
        c.message("", ["team@example.test"], rcpt=" NOTIFY=SUCCESS,FAILURE")
        c.message("me@back.test", ["one@example.test"], rcpt=" NOTIFY=SUCCESS")
    stub.wait(4)
    server.wait_empty()
    assert members(stub) == ["", "", "DELAY", "DELAY", "FAILURE", "FAILURE", "SUCCESS"]
    assert len(stub.messages) == 4 and server.events("delivery.expanded") == []


def test_an_alias_is_told_beside_its_own_mailbox_and_others(make_server, stub):
    """The mailbox of that name gets the message; each alias is named in the one notice."""
    server = serve(make_server, stub)
    server.cli("alias", "add", "bob@example.test", "bob@example.test", "a@far.test")
    server.cli("alias", "add", "team@example.test", "a@far.test", "b@far.test")
    with server.smtp() as c:
        c.message("me@back.test", ["bob@example.test", "team@example.test"], rcpt=" NOTIFY=SUCCESS,FAILURE")
    server.wait_event("mailbox.stored", to="bob@example.test")
    notice = next(m for m in stub.wait(2) if "back.test" in m.rcpt[0])
    told = [(part["Final-Recipient"], part["Action"]) for part in parts_of(notice)[1][1:]]
    assert told == [("rfc822; bob@example.test", "expanded"), ("rfc822; team@example.test", "expanded")]
    server.wait_event("notice.accepted")
    server.wait_empty()
    assert len(server.events("notice.accepted")) == 1


def test_dsn_parameters_are_passed_on(make_server, stub):
    server = serve(make_server, stub)
    with server.smtp() as c:
        c.message("me@back.test", ["you@far.test"], mail=" RET=HDRS ENVID=x+3Dy", rcpt=" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@far.test")
    got = stub.wait()[0]
    assert " RET=HDRS" in got.mail and " ENVID=x+3Dy" in got.mail
    assert " NOTIFY=SUCCESS,FAILURE" in got.rcpt[0] and " ORCPT=rfc822;a@far.test" in got.rcpt[0]
    server.wait_empty()
    assert server.events("notice.accepted") == []


def test_delay_notice_then_expiry(make_server, make_stub):
    stub = make_stub(replies={"RCPT": [lambda line: "451 4.2.0 not now" if "far.test" in line else None, ...]})
    server = serve(make_server, stub, "queue {\n retry-first = 200ms\n retry-max = 400ms\n delay-notice = 500ms\n bounce-after = 2s\n}\n")
    with server.smtp() as c:
        c.message("me@back.test", ["you@far.test"])
    delayed, failed = [parts_of(m) for m in stub.wait(2)]
    assert (delayed[1][1]["Action"], delayed[1][1]["Status"]) == ("delayed", "4.2.0")
    assert "Will-Retry-Until" in delayed[1][1]
    assert (failed[1][1]["Action"], failed[1][1]["Diagnostic-Code"]) == ("failed", "smtp; 451 4.2.0 not now")
    server.wait_empty()
    server.wait_event("delivery.expired")


def expired(make_server, stub, port, more=""):
    """The fields of a notice about mail that was given up after a failed attempt."""
    server = make_server("--trust", "127.0.0.1/32", conf="queue {\n retry-first = 100ms\n retry-max = 200ms\n bounce-after = 1s\n}\n" + more +
                         transport("far.test", port) + transport("back.test", stub.port))
    with server.smtp() as c:
        c.message("me@back.test", ["you@far.test"])
    text, (_, rcpt), _ = parts_of(stub.wait()[0])
    server.wait_empty()
    return text, rcpt


def test_notice_about_a_host_that_was_never_reached(make_server, stub):
    text, rcpt = expired(make_server, stub, free_port())
    assert "Remote-MTA" not in rcpt and "Mail server:" not in text
    assert rcpt["Status"] == "4.4.1" and rcpt["Diagnostic-Code"].startswith("x-eilbote; 451 4.4.1 cannot connect")


@pytest.mark.parametrize("replies, more, status, words", [
    ({"GREETING": ["nonsense", ...]}, "", "4.5.0", "451 4.5.0 the server broke the protocol in its reply to greeting"),
    ({"MAIL": ["close", ...]}, "", "4.4.2", "421 4.4.2"),
    ({"EHLO": ["", ...]}, "delivery {\n greeting-timeout = 1s\n}\n", "4.4.2", "421 4.4.2"),
])
def test_notice_about_a_host_that_gave_no_answer(make_server, make_stub, stub, replies, more, status, words):
    far = make_stub(replies=replies)
    text, rcpt = expired(make_server, stub, far.port, more)
    assert f"127.0.0.1:{far.port}" in rcpt["Remote-MTA"]
    assert rcpt["Status"] == status and " ".join(rcpt["Diagnostic-Code"].split()).startswith("x-eilbote; " + words)
    assert "Reason:" in text and "It said:" not in text


def test_notice_about_a_host_that_refused_to_talk(make_server, make_stub, stub):
    far = make_stub(replies={"GREETING": ["554 5.7.1 not you", ...]})
    text, rcpt = expired(make_server, stub, far.port)
    assert (rcpt["Status"], rcpt["Diagnostic-Code"]) == ("4.7.1", "smtp; 554 5.7.1 not you")
    assert "It said:      554 5.7.1 not you" in text


@pytest.mark.parametrize("extensions", [(), ("PIPELINING",), ("PIPELINING", "LIMITS RCPTMAX=7")])
def test_many_recipients_go_in_parts(make_server, make_stub, extensions):
    """The servers that do not pipeline, and those that refuse all of a part, end it before the next can begin."""
    def answer(line):
        return "550 5.1.1 no" if "<no" in line else None
    stub = make_stub(replies={"RCPT": [answer, ...]}, extensions=extensions)
    server = serve(make_server, stub)
    names = [f"{'no' if k < 120 else 'yes'}{k}@far.test" for k in range(250)]
    with server.smtp() as c:
        ident = c.message("me@back.test", names)
    server.wait_empty()
    taken = [re.search("<(.*?)>", line)[1] for m in stub.messages for line in m.rcpt]
    assert sorted(taken) == sorted(names[120:] + ["me@back.test"])
    until(lambda: len(server.events("delivery.failed", message=ident)) == 120)
    until(lambda: len(server.events("delivery.done", message=ident)) == 130)


def test_connection_lost_between_parts(make_server, make_stub):
    stub = make_stub(replies={"RSET": ["close"], "RCPT": ["550 5.1.1 no"] * 100}, extensions=())
    server = serve(make_server, stub)
    with server.smtp() as c:
        ident = c.message("me@back.test", [f"u{k}@far.test" for k in range(150)])
    server.wait_empty()
    until(lambda: len(server.events("delivery.failed", message=ident)) == 100)
    until(lambda: len(server.events("delivery.deferred", message=ident)) == 50)
    until(lambda: len(server.events("delivery.done", message=ident)) == 50)
    assert sorted(e["to"] for e in server.events("delivery.done", message=ident)) == sorted(f"u{k}@far.test" for k in range(100, 150))


def test_utf8_address_among_others(make_server, make_stub):
    stub = make_stub(extensions=("PIPELINING", "8BITMIME"))
    server = serve(make_server, stub)
    names = [f"u{k}@far.test" for k in range(60)] + ["j\u00f6rg@far.test"] + [f"u{k}@far.test" for k in range(60, 120)]
    with server.smtp() as c:
        ident = c.message("me@back.test", names, mail=" SMTPUTF8")
    server.wait_empty()
    failed = server.wait_event("delivery.failed", message=ident)
    assert (failed["to"], failed["status"]) == (names[60], "5.6.7")
    until(lambda: len(server.events("delivery.done", message=ident)) == 120)


def test_utf8_address_needs_smtputf8(make_server, make_stub):
    stub = make_stub(extensions=("PIPELINING", "8BITMIME"))
    server = serve(make_server, stub)
    with server.smtp() as c:
        c.message("me@back.test", ["j\u00f6rg@far.test"], mail=" SMTPUTF8")
    notice = stub.wait()[0]
    assert "5.6.7" in notice.text
    assert all("j\u00f6rg" not in line for line in stub.lines if line.startswith("RCPT"))


def test_a_domain_in_u_labels_is_the_one_in_a_labels(make_server, make_stub):
    """RFC 6531 lets senders say both; the directory and the configuration have A-labels."""
    stub = make_stub()
    server = make_server(conf=transport("xn--mnchen-3ya.test", stub.port), start=False)
    server.conf.write_text('relay-domains = {"xn--mnchen-3ya.test"}\n' + server.conf.read_text())
    server.cli("domain", "add", "b\u00fccher.test")
    server.cli("alias", "add", "me@xn--bcher-kva.test", "bob@example.test")
    server.start()
    with server.smtp() as c:
        ident = c.message("a@back.test", ["me@b\u00fccher.test", "you@m\u00fcnchen.test"], mail=" SMTPUTF8")
        c.expect("MAIL FROM:<a@back.test> SMTPUTF8", "250 ")
        c.expect("RCPT TO:<nobody@B\u00dcCHER.test>", "550 5.1.1 ")
    assert stub.wait()[0].rcpt == ["RCPT TO:<you@m\u00fcnchen.test>"]
    server.wait_empty()
    until(lambda: {e["to"] for e in server.events("delivery.done", message=ident)} == {"bob@example.test", "you@m\u00fcnchen.test"})


def test_broken_connections_only_delay(make_server, make_stub):
    stub = make_stub(replies={"GREETING": ["close", "421 4.3.2 go away"], "END": ["close"]})
    server = serve(make_server, stub, "queue {\n retry-first = 1h\n}\n")
    with server.smtp() as c:
        ident = c.message("me@back.test", ["you@far.test"])
    for attempt in (1, 2, 3):
        server.wait_event("delivery.deferred", message=ident, attempt=attempt)
        server.cli("queue", "retry", "--all")
    stub.wait()
    server.wait_empty()
    assert server.events("delivery.failed", message=ident) == []


@pytest.mark.parametrize("reply", ["421 4.3.2 closing\r\n421 4.3.2 closing", "what?\r\n250 fine"])
def test_more_may_come_behind_the_reply_that_ends_it(make_server, make_stub, reply):
    stub = make_stub(replies={"MAIL": [reply]})
    server = serve(make_server, stub, "queue {\n retry-first = 1h\n}\n")
    with server.smtp() as c:
        ident = c.message("me@back.test", ["you@far.test"])
        server.wait_event("delivery.deferred", message=ident, attempt=1)
        server.cli("queue", "retry", "--all")
        stub.wait()
        c.expect("NOOP", "250 ")
    server.wait_empty()


def test_connections_to_a_site_are_bounded(make_server, make_stub):
    stub = make_stub()
    server = serve(make_server, stub, FAST + "delivery {\n connections-per-site = 2\n}\n")
    with server.smtp() as c:
        for k in range(50):
            c.message("me@back.test", [f"u{k}@far.test"])
    stub.wait(50)
    assert stub.connections <= 2
