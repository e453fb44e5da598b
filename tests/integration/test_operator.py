# SPDX-License-Identifier: ISC
"""The operator's view of a running server: queue, why, trace, top, send, sendmail, changes of the directory."""
import contextlib
import email
import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import smtplib
import socket
import subprocess
import threading

import pytest
from peers import transport
from server import EILBOTE, IS_SANITIZED, PATIENCE_S, Smtp, free_port, has_ipv6, until

SLOW = "queue {\n retry-first = 1h\n}\n"


def deferred(make_server, make_stub, count=1):
    """A server whose messages to far.test wait."""
    stub = make_stub(replies={"RCPT": [lambda line: "451 4.2.0 mailbox busy" if "far.test" in line else None, ...]})
    server = make_server("--trust", "127.0.0.1/32", conf=SLOW + transport("far.test", stub.port) + transport("back.test", stub.port))
    with server.smtp() as c:
        ids = [c.message("me@back.test", [f"u{k}@far.test"]) for k in range(count)]
    until(lambda: len(server.events("delivery.deferred")) == count)
    until(lambda: all(m["deliveries"][0]["state"] == "waiting" for m in server.queue()))
    return server, stub, ids


def states(server):
    return sorted(d["state"] for m in server.queue() for d in m["deliveries"])


def test_without_a_server_the_error_says_so(make_server):
    server = make_server(start=False)
    for words in (["queue", "ls"], ["queue", "why", "sender=<>"], ["queue", "hold", "--all"], ["top", "--once"]):
        assert re.fullmatch(rf"eilbote {words[0]}.*: the server is not running; start it with: eilbote -c {server.conf} serve "
                            r"\(.*/ctl/mta/sock: No such file or directory\)\n", server.cli(*words, status=1))
    assert "the server is not running; start it with: eilbote -c " in server.cli("send", "--to", "a@b.test", status=1)
    server.cli("domain", "add", "more.test")


def test_an_operator_gets_in_beside_idle_connections(server):
    """Forgotten programs hold the control socket open: the longest idle ones go, and are told why."""
    idle = []
    for _ in range(100):
        idle.append(socket.socket(socket.AF_UNIX))
        idle[-1].connect(str(server.directory / "ctl/mta/sock"))
        idle[-1].settimeout(PATIENCE_S)
    assert server.queue() == []
    assert json.loads(idle[0].recv(1000)) == {"error": "too many control connections, try again", "reply": 421}
    idle[-1].send(b'{"verb":"queue.ls"}\n')
    assert json.loads(idle[-1].recv(1000)) == {"done": True}
    for s in idle:
        s.close()


def test_what_a_role_says_before_it_closes_is_told(make_server):
    """It need not have read the request: writing it may fail, and the reason is there to be read all the same."""
    server = make_server(start=False)
    path = server.directory / "ctl/mta/sock"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen()
        s.settimeout(PATIENCE_S)
        words = ["queue", "hold", *(f"{what}=" + "x" * 120000 for what in ("sender", "recipient", "domain"))]  # more than a socket holds
        asked = subprocess.Popen([EILBOTE, "-c", str(server.conf), *words], stderr=subprocess.PIPE, text=True)
        c = s.accept()[0]
        c.send(b'{"error":"too many control connections, try again","reply":421}\n')
        c.close()
        assert asked.communicate(timeout=PATIENCE_S)[1] == "eilbote queue hold: too many control connections, try again\n"
        assert asked.returncode == 1


def test_a_second_server_takes_nothing_from_the_first(server):
    """Other ports and the same state directory: the sockets of the one that serves stay its own."""
    other = server.directory / "other.conf"
    other.write_text(re.sub(r'listener "(mx|submission|submissions|pop3|pop3s)" \{.*?\n\}\n', "", server.conf.read_text(), flags=re.S))
    done = subprocess.run([EILBOTE, "-c", str(other), "serve"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r'eilbote serve: other\.conf:\d+: listener "local": cannot listen on .*submit\.sock: another server listens there\n',
                        done.stderr)
    server.cli("send", "--from", "alice@example.test", "--to", "bob@example.test", stdin="x\n")
    server.wait_empty()


def test_actions_need_a_filter_and_conditions_are_checked(server):
    assert server.cli("queue", "drop", status=2).startswith("eilbote queue drop: say which messages, or --all for every one\n")
    assert server.cli("queue", "drop", "--all", "state=held", status=2).startswith(
        "eilbote queue drop: --all is every message; leave it out to choose with conditions\n")
    for word in ("sender", "color=red", "state=gone", "age>x", "age<0", "age=1h", "sender=", "ABC"):
        assert server.cli("queue", "ls", word, status=2).startswith(f'eilbote queue ls: "{word}" is no condition; allowed')
    assert server.cli("queue", "drop", "age>1h", "age>2h", status=2).startswith('eilbote queue drop: "age>2h" is no condition; allowed, each once')
    assert server.cli("queue", "drop", "--all", status=1) == "eilbote queue drop: no such message is in the queue\n"


def ask(server, request):
    """The last line of the mta's answer to a request that no command makes."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(server.directory / "ctl" / "mta" / "sock"))
        s.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(s.makefile("rb").read().splitlines()[-1])


def test_the_server_wants_to_be_told_which_messages(make_server, make_stub):
    server, _, _ = deferred(make_server, make_stub)
    for verb in ("drop", "bounce", "hold", "release", "retry"):
        for more in ({}, {"filter": {}}, {"filter": {}, "all": False}):
            error = ask(server, {"verb": f"queue.{verb}", **more})["error"]
            assert '"all"' in error
    assert states(server) == ["waiting"]
    assert ask(server, {"verb": "queue.ls"}) == {"done": True}
    assert ask(server, {"verb": "queue.drop", "all": True}) == {"done": True}
    assert states(server) == []


def test_what_waits_for_a_silent_server_is_put_off_and_holds_up_nobody(make_server, make_stub):
    silent, fast = make_stub(replies={"GREETING": ["", ...]}), make_stub()
    conf = "queue {\n deliveries = 100\n checkpoint = 100ms\n}\n" + transport("silent.test", silent.port) + transport("fast.test", fast.port)
    server = make_server("--trust", "127.0.0.1/32", conf=conf)
    with server.smtp() as c:
        for k in range(300):
            c.message("me@back.test", [f"u{k}@silent.test"])
        crowded = server.wait_event("site.crowded")
        assert crowded["site"].startswith("127.0.0.1:") and crowded["put-off"] > 0 and crowded["kept"] >= 100
        for k in range(20):
            c.message("me@back.test", [f"u{k}@fast.test"])
    fast.wait(20)
    assert len(server.queue()) == 300
    # What is held is neither sent nor given back to the sender later.
    server.cli("queue", "hold", "--all")
    until(lambda: states(server) == ["held"] * 300)
    silent.close()
    server.stop()


def test_what_is_held_while_it_waits_for_a_connection_does_not_go_out(make_server, make_stub):
    stub = make_stub(replies={"MAIL": [lambda line: go.wait() and None, ...]})
    go = threading.Event()
    server = make_server("--trust", "127.0.0.1/32", conf="delivery {\n connections-per-site = 1\n}\n" + transport("far.test", stub.port))
    with server.smtp() as c:
        ids = [c.message("me@back.test", [f"u{k}@far.test"]) for k in range(20)]
    until(lambda: any(line.startswith("MAIL") for line in stub.lines))
    server.cli("queue", "hold", ids[-1])
    go.set()
    stub.wait(19)
    until(lambda: states(server) == ["held"])
    assert [m["id"] for m in server.queue()] == [ids[-1]]
    server.cli("queue", "release", ids[-1])
    stub.wait(20)


def test_filters_choose(make_server, make_stub):
    server, _, ids = deferred(make_server, make_stub, 3)
    assert {m["id"] for m in server.queue()} == set(ids)
    assert [m["id"] for m in server.queue("recipient=u1@far.test")] == [ids[1]]
    assert len(server.queue("sender=@back.test", "domain=far.test", "age<1h", "state=waiting")) == 3
    assert server.queue("sender=<>") == server.queue("age>1h") == server.queue("state=held") == server.queue("domain=x.test") == []
    assert {m["id"] for m in server.queue(ids[0], ids[2].lower())} == {ids[0], ids[2]}
    text = server.cli("queue", "ls")
    assert text.endswith("3 messages\n") and "451 mailbox busy" in text


def test_why_explains(make_server, make_stub):
    server, stub, (ident,) = deferred(make_server, make_stub)
    text = server.cli("queue", "why", ident)
    assert text.startswith(f"{ident} is a message of ")
    assert " from <me@back.test>.\n" in text
    assert "is in memory and in the journal.\n" in text
    assert f"It was tried 1 time. The last attempt was 0 s ago; 127.0.0.1:{stub.port}" in re.sub(r"was \d+ s ago", "was 0 s ago", text)
    assert "answered: 451 4.2.0 mailbox busy\n" in text
    assert "C: RCPT TO:<u0@far.test>\n" in text and "S: 451 4.2.0 mailbox busy\n" in text
    assert re.search(r"The next attempt comes in (4\d|5\d) min, at 20|comes in 1 h, at 20", text)
    assert re.search(r"An attempt that fails after .* \(in 4 days\) returns it to its sender\.", text)
    server.cli("queue", "hold", ident)
    assert "It is held until an operator releases it: eilbote queue release.\n" in server.cli("queue", "why", ident)
    why = json.loads(server.cli("queue", "why", "--json", ident))
    assert why["deliveries"][0]["trouble"]["text"] == "mailbox busy"
    server.cli("queue", "drop", ident)
    gone = server.cli("queue", "why", ident)
    assert gone.startswith(f"{ident} is not in the queue any more. Its story:\n") and "not delivered to <u0@far.test> yet" in gone
    assert server.cli("queue", "why", "0000000000001", status=1).endswith("and the events know nothing of it\n")


def test_only_a_reply_is_called_an_answer(make_server, make_stub):
    stub = make_stub(replies={"RCPT": ["close"]})
    server = make_server("--trust", "127.0.0.1/32", conf=SLOW + transport("far.test", stub.port))
    with server.smtp() as c:
        ident = c.message("me@back.test", ["you@far.test"])
    assert "answer" not in server.wait_event("delivery.deferred", message=ident)
    until(lambda: states(server) == ["waiting"])
    text = server.cli("queue", "why", ident)
    assert f"what went wrong with 127.0.0.1:{stub.port}: 421 4.4.2 " in text and "answered" not in text
    assert "C: RCPT TO:<you@far.test>\n" in text


def test_a_refused_greeting_is_shown(make_server, make_stub):
    stub = make_stub(replies={"GREETING": ["554 5.7.1 not you"]})
    server = make_server("--trust", "127.0.0.1/32", conf=SLOW + transport("far.test", stub.port))
    with server.smtp() as c:
        ident = c.message("me@back.test", ["you@far.test"])
    assert server.wait_event("delivery.deferred", message=ident)["answer"] is True
    until(lambda: states(server) == ["waiting"])
    text = server.cli("queue", "why", ident)
    assert f"127.0.0.1:{stub.port} answered: 554 5.7.1 not you\n" in text and "    S: 554 5.7.1 not you\n" in text


def test_down_site_is_named(make_server):
    server = make_server("--trust", "127.0.0.1/32", conf=SLOW + transport("far.test", free_port()))
    with server.smtp() as c:
        ident = c.message("me@back.test", ["you@far.test"])
    server.wait_event("delivery.deferred")
    until(lambda: states(server) == ["waiting"])
    text = server.cli("queue", "why", ident)
    assert re.search(r"The site 127\.0\.0\.1:\d+ is down and is tried again in \d+ s: .*refused", text), text


def test_why_names_a_site_that_does_not_answer(make_server, make_stub):
    silent = make_stub(replies={"GREETING": ["", ...]})
    server = make_server("--trust", "127.0.0.1/32", conf=transport("far.test", silent.port))
    with server.smtp() as c:
        ids = [c.message("me@back.test", [f"u{k}@far.test"]) for k in range(8)]
    until(lambda: silent.connections == 2)
    until(lambda: "has not answered on its 2 connections yet, and gets no more until it does; 2 deliveries wait there.\n"
          in server.cli("queue", "why", ids[-1]))
    silent.close()
    server.stop()


def test_a_site_that_found_no_connection_left_gets_the_next_one(make_server, make_stub):
    go = threading.Event()
    first, second = make_stub(replies={"MAIL": [lambda line: go.wait() and None]}), make_stub()
    conf = "delivery {\n connections = 1\n idle-timeout = 100ms\n}\n" + transport("a.test", first.port) + transport("b.test", second.port)
    server = make_server("--trust", "127.0.0.1/32", conf=conf)
    with server.smtp() as c:
        c.message("me@back.test", ["x@a.test"])
        until(lambda: any(line.startswith("MAIL") for line in first.lines))
        c.message("me@back.test", ["y@b.test"])
    until(lambda: "gets no further connection: all 1 of this server are in use (connections of delivery); 1 delivery waits there.\n"
          in server.cli("queue", "why", "domain=b.test"))
    assert not second.messages
    go.set()
    second.wait(1)
    server.wait_empty()


def test_why_says_what_becomes_of_it(make_server):
    server = make_server("--trust", "127.0.0.1/32", conf=SLOW + transport("far.test", free_port()))
    with server.smtp() as c:
        ident = c.message("", ["you@far.test"])
    until(lambda: states(server) == ["waiting"])
    end = "is its end: a notice is not returned to anybody.\n"
    assert re.search(rf"\nAn attempt that fails after .* {end}", server.cli("queue", "why", ident))
    server.conf.write_text(server.conf.read_text().replace(SLOW, SLOW.replace("}", " bounce-after = 1s\n}")))
    server.reload()
    until(lambda: f"It is older than bounce-after; an attempt that fails {end}" in server.cli("queue", "why", ident))


def test_hold_release_retry(make_server, make_stub):
    server, stub, _ = deferred(make_server, make_stub, 2)
    assert server.cli("queue", "hold", "recipient=u0@far.test") == "1 delivery changed\n"
    assert states(server) == ["held", "waiting"]
    stub.replies.clear()
    assert json.loads(server.cli("queue", "retry", "--all", "--json")) == {"changed": 1, "refused": 1}
    stub.wait(1)
    until(lambda: states(server) == ["held"])
    server.cli("queue", "release", "state=held")
    stub.wait(2)
    server.wait_empty()


def test_held_and_dropped_survive_a_restart(make_server, make_stub):
    server, _, ids = deferred(make_server, make_stub, 3)
    server.cli("queue", "hold", ids[0])
    server.cli("queue", "drop", ids[1])
    server.crash_role("mta")
    assert {m["id"]: m["deliveries"][0]["state"] for m in server.queue()} == {ids[0]: "held", ids[2]: "waiting"}


def test_bounce_returns_to_the_sender(make_server, make_stub):
    server, stub, _ = deferred(make_server, make_stub, 1)
    server.cli("queue", "bounce", "domain=far.test")
    notice = stub.wait()[0]
    assert notice.mail.startswith("MAIL FROM:<>") and "returned by the operator" in notice.text
    server.wait_empty()


def test_show_prints_the_content(make_server, make_stub):
    server, _, (ident,) = deferred(make_server, make_stub)
    assert "\nSubject: t\n\nx\n" in server.cli("queue", "show", ident)
    assert server.cli("queue", "show", "sender=<>", status=1).endswith("no such message is in the queue\n")


def on_terminal(server, *words):
    """What a command writes when its standard output is a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([EILBOTE, "-c", str(server.conf), *words], stdout=theirs) as process:
        os.close(theirs)
        written = b""
        try:
            while piece := os.read(ours, 4096):
                written += piece
        except OSError:  # the other end is closed
            pass
        os.close(ours)
    assert process.returncode == 0, words
    return written.decode()


def test_nothing_from_outside_speaks_to_the_terminal(make_server, make_stub):
    """Neither by ESC nor by the one character that means the same (U+009B); a file gets the content as it is."""
    evil = "\x1b[31m\u009b31m\x07\x7f"
    stub = make_stub(replies={"RCPT": [f"451-4.2.0 busy {evil}\r\n451 4.2.0 {evil}", ...]})
    server = make_server("--trust", "127.0.0.1/32", conf=SLOW + transport("far.test", stub.port))
    with server.smtp() as c:
        ident = c.message("me@back.test", ["you@far.test"], mail=" BODY=8BITMIME", text=f"Subject: t\r\n\r\na\tb{evil}\r\n\u00fc\r\n")
    server.wait_event("delivery.deferred")
    until(lambda: states(server) == ["waiting"])
    for words in (["queue", "ls"], ["queue", "show", ident], ["queue", "why", ident], ["trace", ident], ["trace"], ["top", "--once"]):
        for more in ([], ["--json"]):
            written = on_terminal(server, *words, *more)
            assert not re.search("[\0-\x08\x0b\x0c\x0e-\x1f\x80-\x9f]", written), (words, more, written)
    assert "\r\na\tb\\x1B[31m\\x9B31m\\x07\\x7F\r\n\u00fc" in on_terminal(server, "queue", "show", ident)
    raw = subprocess.run([EILBOTE, "-c", str(server.conf), "queue", "show", ident], capture_output=True, check=True).stdout.decode()
    assert raw.endswith(f"Subject: t\r\n\r\na\tb{evil}\r\n\u00fc\r\n")


def test_trace_finds_sessions_messages_and_addresses(make_server, make_stub):
    server, _, ids = deferred(make_server, make_stub, 2)
    server.wait_event("smtp.session.ended")
    story = server.cli("trace", ids[0])
    assert f"{ids[0]} accepted in session" in story and "not delivered to <u0@far.test> yet" in story
    assert "has ended after" in story and ids[1] not in story
    session = re.search(r"in session (\S+) from", story)[1]
    both = server.cli("trace", session)
    assert ids[0] in both and ids[1] in both
    assert ids[1] in server.cli("trace", "U1@FAR.test") and ids[0] not in server.cli("trace", "U1@FAR.test")
    lines = [json.loads(line) for line in server.cli("trace", "--json", ids[0]).splitlines()]
    assert [e["event"] for e in lines if e.get("message")] == ["message.accepted", "delivery.deferred"]
    assert lines == sorted(lines, key=lambda e: e["time"])
    assert server.cli("trace", "--since", "1h").count("\n") >= len(lines)
    assert server.cli("trace", "nobody@far.test", status=1) == "eilbote trace: the events know nothing of nobody@far.test\n"


def test_trace_has_a_message_accepted_before_it_is_delivered(make_server):
    """Two threads write, and their events may have the same millisecond."""
    server = make_server(start=False)
    ident, time = "1M81AF1QC0000", "2026-03-01T12:00:00.123Z"
    names = ["mailbox.stored", "delivery.done", "notice.accepted", "smtp.login", "message.accepted", "smtp.session.ended"]
    lines = [f'{{"time":"{time}","event":"{name}","session":"s1","message":"{ident}"}}\n' for name in names]
    (server.directory / "log" / "mta" / "events.jsonl").write_text("".join(lines[1:]))
    (server.directory / "log" / "mda" / "events.jsonl").write_text(lines[0])
    told = [json.loads(line)["event"] for line in server.cli("trace", "--json", ident).splitlines()]
    assert told == ["smtp.login", "message.accepted", "smtp.session.ended", "mailbox.stored", "delivery.done", "notice.accepted"]


def watches(process):
    """Whether it waits for changes of files; a descriptor may be gone before it is looked at."""
    for path in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if "inotify" in os.readlink(path):
                return True
    return False


def test_trace_follow_is_live(server):
    server.wait_event("role.ready")
    follow = subprocess.Popen([EILBOTE, "-c", str(server.conf), "trace", "--follow"], stdout=subprocess.PIPE, text=True)
    try:
        until(lambda: watches(follow))
        with server.smtp() as c:
            c.expect("MAIL FROM:<a@far.test>", "250 ")
            c.expect("RCPT TO:<b@other.test>", "550 ")
        lines = iter(line for line in follow.stdout if "role.ready" not in line)
        assert "recipient <b@other.test> refused: 550 5.7.1 relaying denied" in next(lines)
        assert "has ended after" in next(lines)
    finally:
        follow.kill()
        follow.wait()
        follow.stdout.close()


def test_top_prints_and_counts(make_server, make_stub):
    server, _, _ = deferred(make_server, make_stub, 2)
    status = json.loads(server.cli("top", "--once", "--json"))
    assert (status["messages"], status["accepted"], status["disk_low"]) == (2, 2, False)
    assert set(status["per_second"]) == {"accepted", "finished", "journal_records", "journal_syncs"}
    assert re.search(r"queue +2 ", server.cli("top", "--once"))


@pytest.mark.parametrize("role", ["mta", "mda"])
def test_ps_shows_the_role(make_server, role):
    """Not the "exe" of the file that the role was started from."""
    if IS_SANITIZED:
        pytest.skip("under a sanitizer the roles are one process")
    server = make_server()
    assert pathlib.Path(f"/proc/{server.role(role)}/comm").read_text(encoding="utf-8") == f"eilbote {role}\n"


def test_send_and_sendmail(make_server, stub):
    server = make_server(conf=transport("far.test", stub.port))
    assert re.fullmatch(r"accepted as \w{13}\n", server.cli("send", "--from", "alice@example.test", "--to", "a@far.test", "--subject",
                                                            "Gr\u00fc\u00dfe", stdin="line\n.\nend\n"))
    first = stub.wait(1)[0]
    assert first.mail.startswith("MAIL FROM:<alice@example.test>")
    assert first.text.endswith("\r\n\r\nline\r\n.\r\nend\r\n") and "\r\nSubject: Gr\u00fc\u00dfe\r\n" in first.text
    message = "To: A <a@far.test>, b@far.test\nBcc: hidden@far.test\nSubject: s\n\nbody\n.\nmore\n"
    server.cli("sendmail", "-t", "-oi", "-f", "bob@example.test", "-F", "Bob", "-N", "never", "-V", "e+1", "-R", "hdrs", stdin=message)
    second = stub.wait(2)[1]
    assert sorted(line.split()[1] for line in second.rcpt) == ["TO:<a@far.test>", "TO:<b@far.test>", "TO:<hidden@far.test>"]
    assert all(" NOTIFY=NEVER" in line for line in second.rcpt)
    assert " ENVID=e+2B1" in second.mail and " RET=HDRS" in second.mail
    assert "hidden@far.test" not in second.text and second.text.endswith("body\r\n.\r\nmore\r\n")
    assert '\r\nFrom: "Bob" <bob@example.test>\r\n' in second.text
    server.cli("sendmail", "c@far.test", stdin="Subject: dot\n\nseen\n.\nunseen\n")
    assert stub.wait(3)[2].text.endswith("seen\r\n") and "unseen" not in stub.messages[2].text
    server.cli("sendmail", "d@far.test, Eve <e@far.test>", "f@far.test", stdin="Subject: list\n\nx\n")
    assert [line.split(">")[0] for line in stub.wait(4)[3].rcpt] == ["RCPT TO:<d@far.test", "RCPT TO:<e@far.test", "RCPT TO:<f@far.test"]
    long = "x" * 2000 + "@far.test"
    assert "is no address" in server.cli("sendmail", "-t", stdin=f"To: {long}, a@far.test\n\nx\n", status=67)
    assert server.cli("sendmail", "-t", stdin="Subject: none\n\nx\n", status=67).endswith("no recipient is named\n")
    assert "is refused: 550 5.1.1" in server.cli("sendmail", "gone@example.test", stdin="x\n", status=67)
    assert server.cli("sendmail", "-by", status=64).endswith('-b "y" is not understood\n')
    assert server.cli("sendmail", "-iZfoo", "a@far.test", status=64).endswith(': the option "-Z" is not understood\n')
    assert server.cli("sendmail", "-i", "-f", status=64).endswith(': without a value the option "-f" is not understood\n')


def test_sendmail_sends_long_lines_of_text_as_quoted_printable(make_server, stub):
    """As PHP and cron write them; what is not plain text stays refused."""
    server = make_server(conf=transport("far.test", stub.port))
    long = "-" + "a = b \u00fc " * 200
    heads = {"Subject: t\n": ("text/plain", "utf-8"),
             "Subject: t\nContent-Type: text/html; charset=UTF-8\nContent-transfer-encoding: 8bit\nX: y\n": ("text/html", "utf-8"),
             "Subject: t\nMIME-Version: 1.0\nContent-Type: text/x; charset=x\n": ("text/x", "x")}
    for count, (head, expected) in enumerate(heads.items()):
        server.cli("sendmail", "-i", "a@far.test", stdin=f"{head}\nshort\n{long}\n.\nend \n")
        got = email.message_from_bytes(stub.wait(count + 1)[count].data)
        assert (got.get_content_type(), got.get_content_charset()) == expected
        assert got.get_all("Content-Transfer-Encoding") == ["quoted-printable"] and got.get_all("MIME-Version") == ["1.0"]
        assert got["Subject"] == "t" and got["From"] and got["X"] == ("y" if "X:" in head else None)
        assert got.get_payload(decode=True).decode() == f"short\r\n{long}\r\n.\r\nend \r\n"
        assert max(map(len, stub.messages[count].data.split(b"\r\n"))) < 998
    server.cli("sendmail", "a@far.test", stdin="x" * 999 + "\n")
    server.cli("sendmail", "a@far.test", stdin="Subject: t\n\n" + "x" * 998 + "\n")
    plain, whole = stub.wait(5)[3:]
    assert email.message_from_bytes(plain.data).get_payload(decode=True) == b"x" * 999 + b"\r\n"
    assert "Content-Transfer-Encoding" not in whole.text and whole.text.endswith("\r\n\r\n" + "x" * 998 + "\r\n")
    for head in ("Content-Type: multipart/mixed; boundary=b", "Content-Type: text/plain\nContent-Transfer-Encoding: base64",
                 "Content-Type: application/pdf", "Content-Type: nonsense", "X: " + "x" * 999):
        server.cli("sendmail", "a@far.test", stdin=f"{head}\n\n{'y' * 999}\n", status=65)
    assert "accepted" in server.cli("send", "--to", "a@far.test", stdin=long)


@pytest.mark.parametrize("bad, words", [("a\0b", "has a NUL in it"), ("a\rb", "has a CR that ends no line in it")])
def test_sendmail_names_the_line_that_no_message_may_have(server, bad, words):
    text = f"From bob Thu Jan  1 00:00:00 1970\nSubject: t\n\n{bad}\nmore\n".encode()
    for command, status in (["sendmail", "bob"], 65), (["send", "--to", "bob@example.test", "--file", "-"], 1):
        done = subprocess.run([EILBOTE, "-c", str(server.conf), *command], input=text, capture_output=True, check=False)
        assert (done.returncode, done.stderr.decode()) == (status, f"eilbote {command[0]}: line 4 of the message {words}\n")


def test_mail_for_users_of_this_host(server):
    """As cron and its like send it: to a name alone, which is one of our nearest domain, and not a loop that ends nowhere."""
    assert "<gone@mail.example.test> is refused: 550 5.1.1 no such user here" in server.cli("sendmail", "gone", stdin="x\n", status=67)
    server.cli("sendmail", "root", stdin="Subject: cron\n\nx\n")
    server.cli("sendmail", "bob", stdin="Subject: cron\n\nx\n")
    with server.smtp() as c:
        c.message("x@far.test", ['"bob+a b"@MAIL.example.test'])
        c.expect("MAIL FROM:<x@far.test>", "250 ")
        c.expect("RCPT TO:<gone@mail.example.test>", "550 5.1.1")
        c.expect("RCPT TO:<bob@other.example.test>", "550 5.7.1")
    server.wait_empty()
    until(lambda: len(server.events("mailbox.stored", to="bob@example.test")) == 2)
    server.wait_event("mailbox.stored", to="alice@example.test")  # who is root, as init has it
    assert server.events("delivery.failed") == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_mail_for_the_address_of_this_host(make_server, stub, address):
    """RFC 5321 section 4.1.3: that which the client talks to; mail for any other goes its way."""
    if address == "::1" and not has_ipv6():
        pytest.skip("no IPv6 here")
    server = make_server(start=False, conf=f'smarthost {{\n host = "127.0.0.1"\n port = {stub.port}\n}}\n')
    server.conf.write_text(server.conf.read_text().replace('address = {"127.0.0.1"}', f'address = {{"{address}"}}'))
    server.start()
    ours, other = ("[IPv6:0::1]", "[127.0.0.1]") if address == "::1" else ("[127.0.0.1]", "[IPv6:::1]")
    with Smtp((address, server.port("smtp"))) as c:
        c.message("x@far.test", [f"bob@{ours}"])
        c.message("x@far.test", [f"root@{ours}"])
        c.expect("MAIL FROM:<x@far.test>", "250 ")
        c.expect(f"RCPT TO:<gone@{ours}>", "550 5.1.1")
        c.expect(f"RCPT TO:<bob@{other}>", "550 5.7.1")
        c.expect("RCPT TO:<bob@[127.0.0.2]>", "550 5.7.1")
    server.cli("sendmail", "root@[127.0.0.1]", stdin="Subject: by another way\n\nx\n")
    assert stub.wait()[0].rcpt == ["RCPT TO:<root@[127.0.0.1]>"]
    server.wait_empty()
    until(lambda: {e["to"] for e in server.events("mailbox.stored")} == {"bob@example.test", "alice@example.test"})


@pytest.mark.parametrize("way", ["transport", "smarthost"])
def test_mail_for_this_host_goes_where_the_configuration_says(make_server, stub, way):
    title = '"mail.example.test" ' if way == "transport" else ""
    server = make_server(conf=f'{way} {title}{{\n host = "127.0.0.1"\n port = {stub.port}\n}}\n')
    server.cli("sendmail", "root", stdin="x\n")
    assert stub.wait()[0].rcpt == ["RCPT TO:<root@mail.example.test>"]


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_send_fails_when_a_recipient_is_refused(server, more):
    error = server.cli("send", *more, "--from", "alice@example.test", "--to", "gone@example.test", "--to", "bob@example.test", stdin="x\n",
                       status=1)
    assert "<gone@example.test> is refused: 550 5.1.1" in error


def test_sendmail_flushes_the_queue(make_server, make_stub):
    server, stub, ids = deferred(make_server, make_stub, 2)

    def is_tried(recipient, *words):
        before = len(server.events("delivery.deferred"))
        assert server.cli("sendmail", *words) == ""
        until(lambda: len(server.events("delivery.deferred")) == before + (2 if recipient is None else 1))
        until(lambda: states(server) == ["waiting"] * 2)
        lines = [line for line in stub.lines if line.startswith("RCPT") and "far.test" in line]
        return recipient is None or lines[-1] == f"RCPT TO:<{recipient}>"

    for words in (["-q"], ["-qf"], ["-v", "-q"], ["-qRfar.test"], ["-qSme@back.test"], ["-qSback.test"]):
        assert is_tried(None, *words)
    assert is_tried("u1@far.test", f"-qI{ids[1]}") and is_tried("u0@far.test", "-qRu0@far.test")
    for words in (["-qRnobody@far.test"], ["-qRother.test"], ["-qS<>"]):
        assert server.cli("sendmail", *words) == ""
    assert server.cli("sendmail", "-qI0000000000001", status=69) == "eilbote sendmail: no such message is in the queue\n"


def test_sendmail_refuses_what_is_no_flush(make_server):
    server = make_server(start=False)
    assert "the server is not running; start it with: eilbote -c " in server.cli("sendmail", "-q", status=69)
    assert server.cli("sendmail", "-q15m", status=64) == (
        "eilbote sendmail: -q15m asks for a look at the queue every 15m; the server does that by itself (retry-first, retry-max in "
        "eilbote.conf), and -q alone tries everything now\n")
    for word in ("-qI", "-qIabc", "-qR", "-qS", "-q!Ifoo", "-qGmain", "-qp", "-qQ"):
        assert server.cli("sendmail", word, status=64).startswith(f"eilbote sendmail: {word} is not understood; allowed: -q, -qIID, ")
    for words in (["-q", "a@b.test"], ["-q", "-bp"], ["-t", "-q"]):
        assert server.cli("sendmail", *words, status=64).endswith("nothing else goes with it\n")
    assert server.cli("sendmail", "-bd", "-q15m", status=64) == (
        "eilbote sendmail: -bd is not for this program; eilbote serve is the server\n")


def test_sendmail_by_name_speaks_smtp(server, tmp_path):
    (tmp_path / "sendmail").symlink_to(EILBOTE)
    done = subprocess.Popen([str(tmp_path / "sendmail"), "-bs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                            env=dict(os.environ, EILBOTE_CONF=str(server.conf)))
    with done:
        assert done.stdout.readline().startswith("220 ")
        done.stdin.write("QUIT\r\n")
        done.stdin.flush()
        assert done.stdout.readline().startswith("221 ")
    whole = "EHLO me\r\nMAIL FROM:<me@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: t\r\n\r\nx\r\n.\r\nQUIT\r\n"
    piped = subprocess.run([str(tmp_path / "sendmail"), "-bs"], input=whole, capture_output=True, text=True, check=True,
                           env={**os.environ, "EILBOTE_CONF": str(server.conf)})
    assert [line[:3] for line in piped.stdout.splitlines() if line[3] == " "] == ["220", "250", "250", "250", "354", "250", "221"]
    server.wait_empty()
    listed = subprocess.run([str(tmp_path / "sendmail"), "-bp"], capture_output=True, text=True, check=True,
                            env=dict(os.environ, EILBOTE_CONF=str(server.conf)))
    assert listed.stdout == "0 messages\n"
    for name, text in (("mailq", "0 messages\n"), ("newaliases", "")):
        (tmp_path / name).symlink_to(EILBOTE)
        assert subprocess.run([str(tmp_path / name)], capture_output=True, text=True, check=True,
                              env=dict(os.environ, EILBOTE_CONF=str(server.conf))).stdout == text
    assert server.cli("sendmail", "-bi") == ""


def test_directory_changes_are_known_at_once(server):
    with server.smtp() as c:
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        c.expect("RCPT TO:<carol@example.test>", "550 5.1.1")
        server.cli("user", "add", "carol@example.test", "--password-stdin", stdin="x\n")
        c.expect("RCPT TO:<carol@example.test>", "250 ")
        server.cli("user", "remove", "carol@example.test")
        c.expect("RCPT TO:<carol@example.test>", "550 5.1.1")


def test_directory_changes_are_known_to_the_mailboxes_at_once(server):
    with smtplib.LMTP(str(server.directory / "ctl" / "lmtp.sock")) as c:
        c.ehlo()
        for _ in range(3):
            assert c.mail("a@far.test")[0] == 250
            assert c.rcpt("carol@example.test")[0] == 550
            server.cli("user", "add", "carol@example.test", "--password-stdin", stdin="x\n")
            assert c.rcpt("carol@example.test")[0] == 250
            server.cli("user", "remove", "carol@example.test")
            assert c.rcpt("carol@example.test")[0] == 550
            c.rset()


def test_both_roles_tell_their_state(server):
    for role, key in (("mta", "messages"), ("mda", "sessions")):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(server.directory / "ctl" / role / "sock"))
            s.sendall(b'{"verb": "status"}\n')
            status, done = s.makefile().read().splitlines()
            assert json.loads(status)[key] == 0 and json.loads(done) == {"done": True}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could change the user")
def test_single_as_root_warns(make_server):
    server = make_server(single=True)
    assert "eilbote: warning: --single changes no user and gives up no right: all roles run as root\n" in server.output


@pytest.mark.skipif(IS_SANITIZED, reason="the sanitized builds serve with --single: a role that ends is the end")
def test_a_role_that_ends_again_and_again_gets_growing_pauses(server):
    """By the supervisor's own words: each pause is twice the one before, five seconds at most, unless the role ran for long in between."""
    until(lambda: len(server.events("role.ready")) == 2)
    log, aside = server.directory / "log" / "mda", server.directory / "log" / "aside"
    log.rename(aside)
    server.kill_role("mda")

    def pauses():
        return [float(s) for s in re.findall(r"the mda .*; it is started again in ([0-9.]+) s\n", "".join(server.output))]
    until(lambda: any(p >= 5 for p in pauses()), why=lambda: "".join(server.output))
    seen = pauses()
    assert seen[0] == 0.1 and all(after in (min(2 * before, 5), 0.1) for before, after in zip(seen, seen[1:])), seen
    assert re.search(r"the mda was ended by signal 9; it is started again in 0\.1 s\n", "".join(server.output))
    aside.rename(log)
    until(lambda: len(server.events("role.ready")) == 3)
    assert "the mta " not in "".join(server.output)


@pytest.mark.skipif(IS_SANITIZED, reason="the sanitized builds serve with --single: a role that ends is the end")
def test_roles_are_started_again_while_nobody_reads_what_the_server_says(server):
    """A pipe that is full: the supervisor would wait for its reader for ever."""
    server.stop()
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    server.process = subprocess.Popen([EILBOTE, "-c", server.conf, "serve"], stdout=writer, stderr=writer, start_new_session=True)
    until(lambda: len(server.events("role.ready")) == 4)
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writer, b"x"):
            pass
    os.set_blocking(writer, True)
    server.kill_role("mda")
    until(lambda: len(server.events("role.ready")) == 5)
    os.close(writer)
    os.close(reader)


def is_refused(server):
    """The port is closed: a client goes to another host at once instead of waiting."""
    try:
        socket.create_connection(("127.0.0.1", server.port("smtp")), 2).close()
        return False
    except ConnectionResetError:
        return False  # it was on its way when the port closed
    except ConnectionRefusedError:
        return True


def test_sigterm_keeps_no_connection_for_later(make_server, make_stub):
    """One that becomes idle while the server stops says QUIT at once, instead of waiting for the next message until all is broken off."""
    may_end, stubs = [threading.Event(), threading.Event()], []
    for event in may_end:
        stubs.append(make_stub(replies={"END": [lambda _, event=event: event.wait() and None, ...]}))
    conf = "delivery {\n idle-timeout = 10m\n}\n" + transport("far.test", stubs[0].port) + transport("slow.test", stubs[1].port)
    server = make_server("--trust", "127.0.0.1/32", conf=conf)
    with server.smtp() as c:
        for domain in ("far", "slow"):
            c.message("me@back.test", [f"you@{domain}.test"])
    until(lambda: all("DATA" in stub.lines for stub in stubs))
    server.process.send_signal(signal.SIGTERM)
    until(lambda: is_refused(server))
    server.wait_event("role.stopping")
    may_end[0].set()
    until(lambda: stubs[0].lines[-1] == "QUIT")
    may_end[1].set()
    server.stop()
    assert {e["to"] for e in server.events("delivery.done")} == {"you@far.test", "you@slow.test"}


def test_sigterm_lets_a_message_finish(make_server, stub):
    server = make_server("--trust", "127.0.0.1/32", conf=transport("far.test", stub.port))
    with server.smtp() as c:
        c.expect("MAIL FROM:<a@back.test>", "250 ")
        c.expect("RCPT TO:<b@far.test>", "250 ")
        c.expect("DATA", "354 ")
        server.process.send_signal(signal.SIGTERM)
        server.wait_event("role.stopping")
        until(lambda: is_refused(server), why="new clients are not refused")
        c.expect("Subject: s\r\n\r\nx\r\n.", "250 2.0.0 accepted")
        assert c.reply().startswith("421 ")
    server.stop()
    server.start()
    assert len(stub.wait()) == 1
