# SPDX-License-Identifier: ISC
"""An upgrade: the supervisor becomes the program that is there now, nobody who connects is refused, and what has begun is finished."""
import os
import shutil
import signal
import socket
import subprocess

import changes
import pytest
from peers import transport
from server import EILBOTE, IS_SANITIZED, PATIENCE_S, until

pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="the sanitized builds serve with --single: one process makes no way for another")


CHANGES = 8


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


def test_transactions_are_finished_by_the_one_that_began_them(make_server):
    server = make_server()
    with server.smtp() as c, server.smtp() as idle:
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("DATA", "354 ")
        server.process.send_signal(signal.SIGUSR2)
        assert idle.reply().startswith("421 ")
        # Who connects now is not refused, and is served by the next one.
        with socket.create_connection(server.where("smtp"), timeout=PATIENCE_S) as late:
            c.expect("Subject: s\r\n\r\nx\r\n.", "250 2.0.0 accepted")
            assert c.reply().startswith("421 ")
            assert late.recv(100).startswith(b"220 ")
    server.wait_event("mailbox.stored")


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
