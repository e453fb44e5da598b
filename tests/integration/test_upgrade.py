# SPDX-License-Identifier: ISC
"""An upgrade: the supervisor becomes the program that is there now, nobody who connects is refused, and what has begun is finished."""
import contextlib
import os
import pathlib
import poplib
import shutil
import signal
import ssl
import subprocess

import changes
import ledger
import pytest
from peers import transport
from server import EILBOTE, IS_SANITIZED, PASSWORD, PATIENCE_S, Talk, until

pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="the sanitized builds serve with --single: one process makes no way for another")


CHANGES = 8
KILLS = 8


def upgrade(server, status=0):
    """With the command line of the build, whatever the server's program is."""
    done = subprocess.run([EILBOTE, "-c", server.conf, "upgrade"], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stderr


def pids(server):
    return [until(lambda: server.role(name)) for name in ("mta", "mda")]


def program_of(pid):
    return os.readlink(f"/proc/{pid}/exe")


@pytest.fixture
def installed(make_server, tmp_path, monkeypatch):
    """A server whose program is a file of its own, which can be replaced."""
    program = tmp_path / "eilbote"
    shutil.copy(EILBOTE, program)
    monkeypatch.setattr("server.EILBOTE", str(program))
    return make_server(), program


def replace(program, source):
    """As a package does it: another file takes the name."""
    fresh = program.with_suffix(".new")
    if isinstance(source, bytes):
        fresh.write_bytes(source)
        fresh.chmod(0o755)
    else:
        shutil.copy(source, fresh)
    fresh.rename(program)


def test_the_program_that_is_there_now_takes_over(installed):
    server, program = installed
    supervisor, before = server.process.pid, pids(server)
    replace(program, EILBOTE)
    assert program_of(supervisor).endswith(" (deleted)")
    upgrade(server)
    after = pids(server)
    assert server.process.poll() is None and not set(before) & set(after)
    assert {program_of(pid) for pid in (supervisor, *after)} == {str(program)}
    with server.smtp() as c:
        c.message("me@far.test", ["bob@example.test"])
    server.wait_event("mailbox.stored")


def processes(server, role):
    """All of that role: two while one makes way for the other."""
    found = set()
    for pid in server.members():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-3:-1] == [b"role", role.encode()]:
                found.add(pid)
    return found


def until_alone(server, count=2):
    """Each role has taken charge that many times, and is there once."""
    until(lambda: len(server.events("role.ready")) >= count, why=lambda: "not ready: " + "".join(server.output))
    until(lambda: all(len(processes(server, role)) == 1 for role in ("mta", "mda")), why=lambda: "not one of each: " + "".join(server.output))


def mailbox(server, user):
    """How often each subject is in it."""
    box = pop3(server)
    box.user(user)
    box.pass_(PASSWORD)
    lines = [line for number in range(1, box.stat()[0] + 1) for line in box.top(number, 0)[1]]
    box.quit()
    return sorted(line[9:].decode() for line in lines if line.startswith(b"Subject: "))


def pop3(server):
    """A connection that has been greeted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return poplib.POP3_SSL("127.0.0.1", server.port("pop3s"), context=context, timeout=PATIENCE_S)


class Overlap:
    """An old mta that a client in the middle of its message keeps, and the new one beside it, with a client that has been greeted."""

    def __init__(self, server, stack):
        self.server = server
        self.old = until(lambda: server.role("mta"))
        self.slow = stack.enter_context(server.smtp())
        idle = stack.enter_context(server.smtp())
        self.begin(self.slow)
        self.slow.expect("DATA", "354 ")
        server.process.send_signal(signal.SIGUSR2)
        assert idle.reply().startswith("421 ")  # the old one listens no more
        self.late = stack.enter_context(server.smtp())
        (self.new,) = processes(server, "mta") - {self.old}

    @staticmethod
    def begin(client):
        client.expect("MAIL FROM:<a@far.test>", "250 ")
        client.expect("RCPT TO:<bob@example.test>", "250 ")

    def end_slow(self):
        self.slow.expect("Subject: slow\r\n\r\nx\r\n.", "250 2.0.0 accepted")
        assert self.slow.reply().startswith("421 ")

    def send_late(self, client=None):
        client = client or self.late
        self.begin(client)
        client.expect("DATA", "354 ")
        client.expect("Subject: late\r\n\r\nx\r\n.", "250 2.0.0 accepted")

    def check(self, *subjects):
        """One process of each role goes on, and these messages are there, each once."""
        until_alone(self.server, 4)
        self.server.wait_empty()
        assert mailbox(self.server, "bob@example.test") == sorted(subjects)


@pytest.fixture
def overlap(make_server):
    with contextlib.ExitStack() as stack:
        yield Overlap(make_server(), stack)


def test_the_new_one_talks_while_a_slow_client_holds_the_old_one(overlap):
    """The greeting and the answer to EHLO come before the slow client ends its message; what needs the queue comes after."""
    server, late = overlap.server, overlap.late
    assert len(server.events("role.waiting")) == 1 and len(server.events("role.ready")) == 2
    late.send(b"MAIL FROM:<a@far.test>\r\n")
    overlap.end_slow()
    assert late.reply().startswith("250 ")
    late.expect("RSET", "250 ")
    assert overlap.new in processes(server, "mta") and overlap.old not in processes(server, "mta")
    overlap.send_late()
    overlap.check("slow", "late")


def test_a_reload_in_the_overlap_is_followed(overlap):
    server = overlap.server
    server.add_conf("queue {\n retry-max = 5h\n}")
    server.hang_up("reload.done", 1)  # the mda's turn has not come
    overlap.end_slow()
    overlap.send_late()
    overlap.check("slow", "late")


def test_the_old_one_is_killed_in_the_overlap(overlap):
    """Its lock is free then; the message that it was in the middle of was never acknowledged."""
    overlap.late.send(b"MAIL FROM:<a@far.test>\r\n")
    os.kill(overlap.old, signal.SIGKILL)
    assert overlap.slow.is_closed()
    assert overlap.late.reply().startswith("250 ")
    overlap.late.expect("RSET", "250 ")
    overlap.send_late()
    overlap.check("late")


def test_the_new_one_is_killed_in_the_overlap(overlap):
    """There is another one, which waits, too."""
    server = overlap.server
    os.kill(overlap.new, signal.SIGKILL)
    assert overlap.late.is_closed()
    with server.smtp() as later:
        assert overlap.old in processes(server, "mta") and len(processes(server, "mta")) == 2
        overlap.end_slow()
        overlap.send_late(later)
    overlap.check("slow", "late")


def test_both_are_killed_in_the_overlap(overlap):
    for pid in (overlap.old, overlap.new):
        os.kill(pid, signal.SIGKILL)
    with overlap.server.smtp() as later:
        overlap.send_late(later)
    overlap.check("late")


def test_a_stop_in_the_overlap_finishes_what_has_begun(overlap):
    overlap.late.send(b"MAIL FROM:<a@far.test>\r\n")
    overlap.server.process.send_signal(signal.SIGTERM)
    assert overlap.late.reply().startswith("421 ")
    overlap.end_slow()
    overlap.server.stop()
    overlap.server.assert_clean()
    overlap.server.start()
    overlap.server.wait_empty()
    assert mailbox(overlap.server, "bob@example.test") == ["slow"]


def test_an_upgrade_in_the_overlap_comes_after_it(overlap):
    server = overlap.server
    server.process.send_signal(signal.SIGUSR2)
    server.cli("check")
    assert len(server.events("role.waiting")) == 1
    overlap.end_slow()
    until_alone(server, 6)
    with server.smtp() as later:
        overlap.send_late(later)
    server.wait_empty()
    assert mailbox(server, "bob@example.test") == ["late", "slow"]


def test_a_new_one_that_cannot_start_gets_the_place_for_itself(make_server):
    """With the old one in it there would be no further upgrade, to a program that can."""
    server = make_server()
    database, away = server.directory / "directory.db", server.directory / "away.db"
    with server.smtp() as idle:
        database.rename(away)
        database.mkdir()
        server.process.send_signal(signal.SIGUSR2)
        assert idle.reply().startswith("421 ")
        until(lambda: any("the mta" in line and "it is started again" in line for line in server.output))
    database.rmdir()
    away.rename(database)
    until_alone(server, 4)
    with server.smtp() as c:
        c.message("me@far.test", ["bob@example.test"])


def test_a_login_waits_for_the_mailboxes_and_not_for_its_greeting(make_server):
    """The mda before is in the middle of a delivery; what it acknowledges is seen by who logs in with the next one."""
    server = make_server()
    with Talk(str(server.directory / "ctl" / "lmtp.sock")) as slow:
        assert slow.reply().startswith("220 ")
        slow.expect("LHLO client.test", "250-")
        slow.expect("MAIL FROM:<a@far.test>", "250 ")
        slow.expect("RCPT TO:<bob@example.test>", "250 ")
        slow.expect("DATA", "354 ")
        server.process.send_signal(signal.SIGUSR2)
        until(lambda: len(server.events("role.waiting")) == 2)
        until(lambda: len(server.events("role.stopping")) == 2)
        box = pop3(server)
        assert box.user("bob@example.test").startswith(b"+OK")
        box._putcmd(f"PASS {PASSWORD}")
        slow.expect("Subject: slow\r\n\r\nx\r\n.", "250 ")
    assert box._getresp().startswith(b"+OK")
    assert box.stat()[0] == 1
    box.quit()


def test_nothing_acknowledged_is_lost_when_one_of_two_is_killed(make_server, stub):
    server = make_server("--trust", "127.0.0.1/32", conf=ledger.CONF + transport("far.test", stub.port))
    book = ledger.Ledger(server, stub)
    for number in range(KILLS):
        role = ("mta", "mda")[number % 2]
        book.before_kill()
        ready = server.output.count("ready\n")
        old = until(lambda: server.role(role))
        server.process.send_signal(signal.SIGUSR2)
        until(lambda: processes(server, role) - {old})
        for victim in [old] if number % 4 < 2 else processes(server, role) - {old}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        book.after_kill(role)
        until(lambda: server.output.count("ready\n") > ready, why=lambda: "not ready: " + "".join(server.output[-20:]))
        until(lambda: len(processes(server, role)) == 1)
    book.finish()
    book.check()


def test_a_program_that_cannot_run_changes_nothing(installed):
    server, program = installed
    before = pids(server)
    replace(program, b"#!/bin/false\n")
    assert "cannot run or does not like the configuration: it ended with status 1" in upgrade(server, 1)
    assert server.wait_event("upgrade.failed")["text"].startswith(str(program))
    assert pids(server) == before
    with server.smtp() as c:
        c.message("me@far.test", ["bob@example.test"])


def test_nobody_is_refused_and_nothing_cut_while_it_changes(make_server, stub):
    server = make_server("--trust", "127.0.0.1/32", conf=changes.CONF + transport("far.test", stub.port))
    visitors = [changes.Visitor(str(k), server) for k in range(4)]
    for visitor in visitors:
        visitor.start()
    for number in range(CHANGES):
        before = [len(v.acknowledged) for v in visitors]
        if number % 2:
            changes.reload(server, number)
        else:
            changes.upgrade(server)
        until(lambda: all(len(v.acknowledged) > count or v.wrong for v, count in zip(visitors, before)))
    changes.finish(server, visitors)
    assert changes.check(server, stub, visitors) == []
