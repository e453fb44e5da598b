# SPDX-License-Identifier: ISC
"""Mail filters by the milter protocol: what they are told, what they may do, and that a message is never half edited."""
import re
import socket
import struct

import pytest
from filters import LEADING_SPACE, Filter, add, agree, change, insert, packet, text
from peers import transport
from server import Smtp, until
from test_clients import pop3

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


def content(server, user="bob@example.test"):
    """Header and body of the one mail in the mailbox, without what delivery puts on top."""
    def look():
        box = pop3(server, user)
        found = b"\n".join(box.retr(1)[1]).decode("utf-8", "surrogateescape") + "\n" if box.stat()[0] > 0 else None
        box.quit()
        return found
    head, _, body = until(look, why=lambda: f"{server.events()}").partition("\n\n")
    return re.sub(r"^Return-Path:.*\nDelivered-To:.*\nReceived:.*(\n[ \t].*)*\n", "", head), body


def names(head):
    return [line.split(":")[0] for line in head.split("\n") if line[:1] not in (" ", "\t")]


EDITS = [change(1, "Subject", "changed"), change(2, "subject", ""), change(7, "X-Late", " late"), change(3, "X-Never", ""), add("X-Added", "yes\nno"),
         insert(0, "X-Top", "top"), insert(2, "X-Third", "third")]


def test_header_edits(serve, filters):
    f = filters({"E": [*EDITS, packet("c")]})
    server = serve(f)
    assert send(server).startswith("250 2.0.0")
    head, body = content(server)
    # Our trace field counts where a field is inserted, and is not to be found by its name.
    assert names(head) == ["X-Top", "Received", "X-Third", "From", "Subject", "X-Two", "X-Late", "X-Added"], head
    assert "\nSubject: changed\n" in head and "two" not in head and "X-Added: yes\n\tno" in head and "X-Late:  late" in head
    assert body == "hello\n"
    assert server.wait_event("milter.decision")["result"] == "edit"


def test_a_signature_stays_below_our_trace_field(serve, filters):
    f = filters({"E": [insert(0, "DKIM-Signature", "v=1"), packet("c")]})
    server = serve(f)
    send(server)
    assert names(content(server)[0])[:2] == ["Received", "DKIM-Signature"]


def test_the_trace_field_cannot_be_changed(serve, filters):
    f = filters({"E": [change(1, "Received", ""), packet("c")]})
    server = serve(f)
    send(server, "Received: by old.test\r\n" + MESSAGE)
    head, _ = content(server)
    assert "old.test" not in head and "by mail.example.test" in head


@pytest.mark.parametrize("steps", [0, LEADING_SPACE])
def test_long_lines_of_a_filters_fields_are_folded(serve, filters, steps):
    """A line has 998 octets at most (RFC 5322 section 2.1.1); with its folds taken out the value is what the filter said."""
    words = " ".join(f"word{k}" for k in range(400))
    values = [words, "k=" + "v" * 990 + " " + "w" * 996, "short\n" + words]
    f = filters({"E": [*(add(f"X-{k}", (" " if steps else "") + value) for k, value in enumerate(values)), packet("c")]}, offer=agree(steps=steps))
    server = serve(f)
    assert send(server).startswith("250 2.0.0")
    head, body = content(server)
    assert max(len(line) for line in head.split("\n")) <= 998 and body == "hello\n"
    plain = re.sub(r"\n(?=[ \t])", "", head).split("\n")
    for k, value in enumerate(values):
        assert f"X-{k}: " + value.replace("\n", "\t") in plain


def test_leading_space_is_kept_in_edits(serve, filters):
    f = filters({"E": [add("X-A", "  two"), packet("c")]}, offer=agree(steps=LEADING_SPACE))
    server = serve(f)
    send(server)
    assert "\nX-A:  two\n" in content(server)[0] + "\n"


def test_an_edit_cannot_end_the_header(serve, filters):
    f = filters({"E": [add("X-A", "a\r\n\r\nEvil: yes\r\nMore: too"), packet("c")]})
    server = serve(f)
    send(server)
    head, body = content(server)
    assert "Evil" not in names(head) and "More" not in names(head) and body == "hello\n"


def test_recipients_and_sender(serve, filters):
    f = filters({"E": [packet("+", text("<alice@example.test>")), packet("-", text("<bob@example.test>")), packet("e", text("<new@elsewhere.test>")),
                       packet("a")]})
    server = serve(f)
    assert send(server).startswith("250 2.0.0")
    server.wait_event("delivery.done", to="alice@example.test")
    accepted = server.wait_event("message.accepted")
    assert accepted["from"] == "new@elsewhere.test" and accepted["to"] == "alice@example.test" and accepted["recipients"] == 1
    assert not server.events("delivery.done", to="bob@example.test")


def test_parameters_of_a_recipient_and_a_sender_that_a_filter_names(serve, filters, make_stub):
    """They are those that it would have said itself (RFC 3461)."""
    stub = make_stub()
    f = filters({"E": [packet("2", text("<new@far.test>", "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;old@far.test")), packet("2", text("<plain@far.test>")),
                       packet("e", text("<b@elsewhere.test>", "ENVID=e+2B1 RET=HDRS SIZE=5")), packet("c")]})
    server = serve(f, conf=transport("far.test", stub.port))
    assert send(server).startswith("250 2.0.0")
    message = stub.wait(1)[0]
    assert message.mail.startswith("MAIL FROM:<b@elsewhere.test>") and " RET=HDRS" in message.mail and " ENVID=e+2B1" in message.mail
    assert sorted(message.rcpt) == ["RCPT TO:<new@far.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;old@far.test", "RCPT TO:<plain@far.test>"]


@pytest.mark.parametrize("edit", [packet("2", text("<alice@example.test>", "NOTIFY=SOMETIMES")), packet("2", text("<alice@example.test>", "X=1")),
                                  packet("2", text("<alice@example.test>", "NOTIFY=NEVER\r\nDATA")), packet("e", text("<b@elsewhere.test>", "RET=SOME")),
                                  add("X-Long", "a" * 1000), change(1, "Subject", "b" * 1100), insert(0, "X" * 999, "c"), packet("+", text("<nobody-there@example.test>")), packet("+", text("no address")), packet("e", text("<a@b")),
                                  packet("+", text("<>"))])
def test_an_edit_that_cannot_be_done_is_a_failure(serve, filters, edit):
    f = filters({"E": [add("X-Half", "yes"), packet("-", text("<bob@example.test>")), edit, packet("c")]})
    server = serve(f, more="on-failure = accept")
    assert send(server).startswith("250 2.0.0")
    server.wait_event("delivery.done", to="bob@example.test")
    assert "X-Half" not in names(content(server)[0])
    assert server.wait_event("milter.failed")["action"] == "accept"


@pytest.mark.parametrize("size", [0, 5, 70_000, 1_100_000, 3_000_000])
@pytest.mark.parametrize("before", [10, 2_000_000])
def test_replaced_bodies(serve, filters, size, before):
    new = (b"0123456789" * 7 + b"\r\n") * (size // 72 + 1)
    new = new[:size]
    pieces = [packet("b", new[i:i + 65535]) for i in range(0, len(new), 65535)] or [packet("b")]
    f = filters({"E": [add("X-New", "y" * 900), *pieces, packet("c")]})
    server = serve(f)
    old = MESSAGE + ("x" * 70 + "\r\n") * (before // 72)
    assert send(server, old).startswith("250 2.0.0")
    head, body = content(server)
    assert "X-New" in names(head) and "From" in names(head)
    assert body.rstrip("\n") == new.decode().replace("\r\n", "\n").rstrip("\n")
    assert b"".join(f.data("B")).decode() == old.split("\r\n\r\n", 1)[1]


def test_large_header_edits_of_a_large_message(serve, filters):
    """What is in a file keeps its body; the header section grows in front of it."""
    f = filters({"E": [*(add(f"X-{i}", "v" * 900) for i in range(40)), packet("c")]})
    server = serve(f)
    body = ("z" * 70 + "\r\n") * 40_000
    assert send(server, MESSAGE + body).startswith("250 2.0.0")
    head, got = content(server)
    assert names(head)[-40:] == [f"X-{i}" for i in range(40)]
    assert got == "hello\n" + body.replace("\r\n", "\n")


def test_each_filter_sees_what_those_before_it_made(serve, filters):
    first = filters({"E": [add("X-First", "1"), change(1, "Subject", "first"), packet("b", b"first body\r\n"), packet("-", text("<bob@example.test>")),
                           packet("+", text("<alice@example.test>")), packet("c")]})
    second = filters({"E": [change(1, "X-First", "2"), packet("c")]})
    server = serve(first, second)
    assert send(server).startswith("250 2.0.0")
    server.wait_event("delivery.done", to="alice@example.test")
    assert ("X-First", "1") in second.fields() and ("Subject", "first") in second.fields() and second.data("B") == [b"first body\r\n"]
    head, body = content(server, "alice@example.test")
    assert "X-First: 2" in head and body == "first body\n"


REFUSALS = {"reject": (packet("r"), "550 5.7.1"), "tempfail": (packet("t"), "451 4.7.1"), "reply": (packet("y", text("554 5.6.9 100%% spam")), "554 5.6.9 100% spam"),
            "shutdown": (packet("4"), "421 4.7.1"), "connfail": (packet("f"), "451 4.7.1")}


@pytest.mark.parametrize("letter", "CHMRTLNBE")
def test_refusals_at_each_stage(serve, filters, letter):
    f = filters()
    server = serve(f)
    for how, (said, reply) in REFUSALS.items():
        f.say[letter] = said
        refuse_once(server, letter, how, reply)


def refuse_once(server, letter, how, reply):
    if letter == "C":
        reply = {"550": "554", "451": "421"}.get(reply[:3], reply[:3])
    with socket.create_connection(server.where("smtp")) as c:
        stream = c.makefile("rwb")
        got = []
        for line in (None, "EHLO x.test", "MAIL FROM:<a@b.test>", "RCPT TO:<bob@example.test>", "DATA", MESSAGE + "."):
            if line:
                stream.write(line.encode() + b"\r\n")
                stream.flush()
            answer = stream.readline().decode()
            while answer[3:4] == "-":
                answer = stream.readline().decode()
            got.append(answer)
            if answer[:1] not in "23":
                break
    index = min("CHMRTLNBE".index(letter), 5)
    assert len(got) == index + 1 and got[-1].startswith(reply), (how, got)
    assert server.wait_event("milter.decision", result={"connfail": "tempfail"}.get(how, how))
    assert server.queue() == [] and not server.events("message.accepted"), how


def test_a_filter_is_asked_about_commands_that_are_none(serve, filters):
    """What it says to one changes nothing about the message, and it is not shown what we know."""
    said = [packet("c"), packet("r"), packet("y", text("501 5.5.2 what?")), packet("a"), packet("t")]
    f = filters({"U": lambda _: said.pop(0)})
    old, deaf = filters(offer=agree(version=2)), filters(offer=agree(steps=1 << 8))
    server = serve(old, deaf, f)
    with talk(server) as c:
        c.expect("XYZZY  one two", "500 5.5.1 Unknown command")
        c.expect("NOOP", "250")
        c.expect("FOO", "550 5.7.1")
        c.expect("MAIL FROM:<a@b.test>", "250")
        c.expect("BAR", "501 5.5.2 what?")
        c.expect("RCPT TO:<bob@example.test>", "250")
        c.expect("BAZ", "500 5.5.1")
        c.expect("QUUX", "451 4.7.1")
        c.expect("DATA", "354")
        c.expect(MESSAGE + ".", "250")
    assert f.data("U") == [b"XYZZY  one two\0", b"FOO\0", b"BAR\0", b"BAZ\0", b"QUUX\0"]
    assert f.data("E") and old.data("U") == deaf.data("U") == []
    assert server.wait_event("milter.decision", stage="unknown", status="5.5.2")


def test_a_filter_that_fails_at_an_unknown_command_defers_the_message_alone(serve, filters):
    f = filters({"U": None})
    server = serve(f)
    with talk(server) as c:
        c.expect("MAIL FROM:<a@b.test>", "250")
        c.expect("FOO", "500 5.5.1")
        c.expect("RCPT TO:<bob@example.test>", "451 4.7.1")
        c.expect("RSET", "250")
        c.expect("MAIL FROM:<a@b.test>", "250")
    assert server.wait_event("milter.failed", stage="unknown")


def test_a_refused_recipient_is_not_the_end(serve, filters):
    f = filters({"R": lambda data: packet("r" if b"alice" in data else "c")})
    server = serve(f)
    with talk(server) as c:
        c.expect("MAIL FROM:<a@b.test>", "250")
        c.expect("RCPT TO:<alice@example.test>", "550 5.7.1")
        c.expect("RCPT TO:<bob@example.test>", "250")
        c.expect("DATA", "354")
        c.expect(MESSAGE + ".", "250")
    server.wait_event("delivery.done", to="bob@example.test")
    assert not server.events("delivery.done", to="alice@example.test")


def test_filters_that_want_to_know_hear_of_refused_recipients(serve, filters):
    f, plain = filters(offer=agree(steps=1 << 11)), filters()
    server = serve(f, plain)
    with talk(server) as c:
        c.expect("MAIL FROM:<a@b.test>", "250")
        c.expect("RCPT TO:<nobody@example.test>", "550 5.1.1")
        c.expect("RCPT TO:<bob@example.test>", "250")
    until(lambda: f.data("Q"))
    assert [d.split(b"\0")[0] for d in f.data("R")] == [b"<nobody@example.test>", b"<bob@example.test>"] and len(plain.data("R")) == 1
    refused = [d for d in f.data("D") if d[:1] == b"R"][0]
    assert b"{rcpt_mailer}\0error\0" in refused and b"{rcpt_host}\x005.1.1\0" in refused


@pytest.mark.parametrize("letter", "MRTLNBE")
def test_discarded_mail_is_accepted_and_gone(serve, filters, letter):
    f, late = filters({letter: packet("d")}), filters()
    server = serve(f, late)
    assert send(server).startswith("250 2.0.0")
    assert server.queue() == [] and not server.events("delivery.done") and server.wait_event("milter.decision")["result"] == "discard"
    assert "E" not in late.letters()


@pytest.mark.parametrize("letter, heard", [("C", "OC"), ("H", "OCH"), ("M", "OCHMAM"), ("L", "OCHMRTLAMRTL")])
def test_accepted_early_is_heard_no_more(serve, filters, letter, heard):
    f = filters({letter: packet("a")})
    server = serve(f)
    with talk(server) as c:
        for _ in range(2):
            c.message("a@b.test", ["bob@example.test"], MESSAGE)
    until(lambda: "Q" in f.letters())
    assert f.letters().replace("D", "").rstrip("Q").rstrip("A") == heard
    until(lambda: len(server.events("message.accepted")) == 2)


def test_one_connection_for_all_messages_of_a_session(serve, filters):
    f = filters()
    server = serve(f)
    with talk(server) as c:
        c.message("a@b.test", ["bob@example.test"], MESSAGE)
        c.expect("MAIL FROM:<a@b.test>", "250")
        c.expect("RSET", "250")
        c.message("a@b.test", ["bob@example.test"], MESSAGE)
    until(lambda: "Q" in f.letters())
    assert f.connections == 1 and f.letters().replace("D", "").replace("L", "") == "OCHMRTNBEMAMRTNBEQ"


def test_skip_and_what_a_filter_does_not_want(serve, filters):
    skipping = filters({"B": packet("s")}, offer=agree(steps=1 << 10))
    deaf = filters(offer=agree(steps=0x7F | 1 << 9))
    mute = filters({k: b"" for k in "CHMRTLNB"}, offer=agree(steps=0x1FFFFF & ~0x77F))
    server = serve(skipping, deaf, mute)
    assert send(server, MESSAGE + ("x" * 70 + "\r\n") * 3000).startswith("250 2.0.0")
    until(lambda: all("Q" in f.letters() for f in (skipping, deaf, mute)))
    assert skipping.letters().count("B") == 1 and deaf.letters().replace("D", "") == "OEQ"
    assert mute.letters().replace("D", "").replace("B", "") == "OCHMRTLLLLNEQ"


def test_old_versions_are_spoken(serve, filters):
    f = filters(offer=agree(version=2, actions=0x1F, steps=0))
    server = serve(f)
    assert send(server).startswith("250 2.0.0")
    assert "T" not in f.letters() and "E" in f.letters()


def test_macros_that_a_filter_names(serve, filters):
    f = filters(offer=agree(wishes=struct.pack(">I", 2) + b"{client_addr} j\0" + struct.pack(">I", 5) + b"{i} {no_such}\0"))
    server = serve(f)
    assert send(server).startswith("250 2.0.0")
    macros = f.macros()
    assert macros["M"] == {"{client_addr}": "127.0.0.1", "j": "mail.example.test"} and set(macros["E"]) == {"i"}


def test_progress_keeps_it_waiting(serve, filters):
    f = filters({"E": [packet("p")] * 5 + [add("X-Slow", "yes"), packet("p"), packet("c")]})
    server = serve(f, more="end-timeout = 5s")
    assert send(server).startswith("250 2.0.0")
    assert "X-Slow" in names(content(server)[0])


def test_quarantine_holds_the_message_until_it_is_released(serve, filters):
    f = filters({"E": [add("X-Held", "yes"), packet("q", text("looks odd")), packet("c")]})
    server = serve(f)
    assert send(server).startswith("250 2.0.0")
    held = until(server.queue)[0]
    assert [d["state"] for d in held["deliveries"]] == ["held"]
    assert "quarantined by the filter f0: looks odd" in server.cli("queue", "why", held["id"])
    server.crash_role("mta")
    held = until(server.queue)[0]
    assert [d["state"] for d in held["deliveries"]] == ["held"] and "looks odd" in server.cli("queue", "why", held["id"])
    server.cli("queue", "release", held["id"])
    assert "X-Held" in names(content(server)[0])


def test_unix_sockets_inside_the_sandbox(serve, filters, tmp_path):
    f = filters(path=tmp_path / "f.sock")
    tmp_path.chmod(0o755)
    server = serve(f)
    assert send(server).startswith("250 2.0.0") and "E" in f.letters()


FAILURES = {"closes": None, "garbage": b"HTTP/1.0 400 Bad\r\n\r\n" * 8, "unasked": packet("c") + packet("c"), "empty": b"\0\0\0\0",
            "too long": struct.pack(">I", 1 << 30) + b"c", "unknown": packet("Z"), "bad reply": packet("y", text("250 fine")),
            "contradiction": packet("y", text("550 4.0.0 x"))}
LATE = {"half an edit": [add("X-Half", "yes"), packet("b", b"half"), struct.pack(">I", 50) + b"hX-"], "silence after edits": [add("X-Half", "yes"), b""],
        "half a body": [packet("b", b"half" * 1000)] * 300 + [packet("Z")], "too many edits": [add("X-Half", "y")] * 1001 + [packet("c")],
        "too much header": [add("X-Half", "y" * 60000), packet("c")], "bad name": [add("X-Half", "y"), add("X Half", "y"), packet("c")],
        "too much body": [packet("b", b"x" * 65535)] * 20 + [packet("c")], "skip": [packet("s")], "edits not agreed": [packet("+", text("<alice@example.test>")), packet("c")]}


@pytest.mark.parametrize("policy", ["defer", "accept"])
@pytest.mark.parametrize("letter", "OCHMRTLNBE")
def test_a_failing_filter_never_half_edits(serve, filters, letter, policy):
    f = filters()
    server = serve(f, more=f"on-failure = {policy}")
    for count, (how, said) in enumerate(FAILURES.items(), 1):
        # What comes behind the verdict is read with the next message only.
        f.say[letter] = packet("Z") if how == "unasked" and letter == "E" else said
        got = send(server)
        until(lambda n=count: len(server.events("milter.failed", action=policy)) >= n)
        if policy == "defer":
            assert got.startswith("451 4.7.1 a mail filter is not available"), (how, got)
            assert server.queue() == [] and not server.events("message.accepted") and not list(bodies(server))
        else:
            assert got.startswith("250 2.0.0"), (how, got)
    if policy == "accept":
        until(lambda: len(server.events("delivery.done")) == len(FAILURES))
        assert content(server)[1] == "hello\n"


def bodies(server):
    return (p for p in (server.directory / "spool" / "bodies").rglob("*") if p.is_file())


@pytest.mark.parametrize("policy", ["defer", "accept"])
@pytest.mark.parametrize("size", [10, 2_000_000])
@pytest.mark.parametrize("how", LATE)
def test_a_filter_that_fails_half_way_leaves_nothing_behind(serve, filters, how, size, policy):
    f = filters({"E": LATE[how]}, offer=agree(actions=0x1FF & ~0x84) if how == "edits not agreed" else None)
    limit = "message-size = 3M" if size > 10 else "message-size = 64K"
    said = LATE[how] if how != "too much body" or size == 10 else [packet("b", b"x" * 65535)] * 60 + [packet("c")]
    f.say["E"] = said
    server = serve(f, more=f"on-failure = {policy}\n end-timeout = 2s", listener=limit)
    message = MESSAGE + ("x" * 70 + "\r\n") * (size // 72)
    got = send(server, message)
    assert server.wait_event("milter.failed")["stage"] == "end"
    if policy == "defer":
        assert got.startswith("451 4.7.1"), got
        assert server.queue() == [] and not list(bodies(server))
    else:
        assert got.startswith("250 2.0.0"), got
        head, body = content(server)
        assert "X-Half" not in names(head) and body == message.replace("\r\n", "\n").partition("\n\n")[2]


def test_a_filter_that_is_not_there_defers_mail_and_may_come_back(serve, filters):
    f = filters()
    server = serve(f)
    f.close()
    with talk(server) as c:
        c.expect("MAIL FROM:<a@b.test>", "451 4.7.1")
    assert server.wait_event("milter.failed", stage="open")
    again = filters({"E": [add("X-Back", "yes"), packet("c")]})
    server.conf.write_text(server.conf.read_text().replace(f.where(), again.where()))
    server.reload()
    assert send(server).startswith("250 2.0.0")
    assert "X-Back" in names(content(server)[0])


def test_a_connection_that_is_lost_between_messages_is_made_anew(serve, filters):
    f = filters()
    server = serve(f)
    with talk(server) as c:
        c.message("a@b.test", ["bob@example.test"], MESSAGE)
        f.hang_up()
        c.message("a@b.test", ["bob@example.test"], MESSAGE)
    assert f.connections == 2 and f.letters().count("C") == 2 and f.letters().count("H") == 2


def test_a_filter_that_says_too_little_in_time(serve, filters):
    f = filters({"M": b"\0\0"})
    server = serve(f, more="command-timeout = 200ms")
    assert send(server).startswith("451 4.7.1")
    assert server.wait_event("milter.failed")["stage"] == "mail"


@pytest.mark.parametrize("text, error", [
    ('milter "m" {\n}', 'milter "m" needs a socket like'),
    ('milter "m" {\nsocket = "inet:127.0.0.1"\n}', "needs a socket like"),
    ('milter "m" {\nsocket = "inet:127.0.0.1:0"\n}', "needs a socket like"),
    ('milter "m" {\nsocket = "inet:filter.test:99"\n}', "needs a socket like"),
    ('milter "m" {\nsocket = "unix:"\n}', "needs a socket like"),
    ('milter "m" {\nsocket = "unix:/' + "x" * 107 + '"\n}', "path of more than 107 bytes"),
    ('milter "m" {\nsocket = "inet:[::1]:99"\non-failure = reject\n}', "allowed: defer, accept"),
    ('milter "m" {\nsocket = "inet:[::1]:99"\nconnect-timeout = 1ms\n}', "connect-timeout is"),
])
def test_configuration_errors_are_exact(make_server, text, error):
    server = make_server(start=False)
    server.add_conf(text)
    assert error in server.cli("check", status=1)


@pytest.mark.parametrize("listener, option, error", [
    ("mx", 'milters = {"none"}', 'milters has "none"; there is no section milter of that name'),
    ("mx", 'milters = {"m", "m"}', 'milters has "m" twice'), ("pop3", 'milters = {"m"}', "milters are for the roles"),
    ("mx", 'milters = {"m"}', None)])
def test_listeners_name_filters(make_server, listener, option, error):
    server = make_server(start=False)
    server.add_conf('milter "m" {\nsocket = "inet:localhost:99"\n}')
    server.listener_conf(listener, option)
    assert (error or "") in server.cli("check", status=1 if error else 0)
