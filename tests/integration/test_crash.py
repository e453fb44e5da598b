# SPDX-License-Identifier: ISC
"""kill -9 under load, again and again, against the ledger of ledger.py."""
import os
import random
import subprocess
import sys
import time

import pytest
from ledger import CLIENTS, CONF, Ledger, Load, marks_of_stub
from peers import transport
from server import IS_SANITIZED, until

KILLS = 10 if IS_SANITIZED else 70
ROLE_KILLS = 30
RELIEF_KILLS = 4 if IS_SANITIZED else 12


@pytest.fixture
def ledger(make_server, stub):
    server = make_server("--trust", "127.0.0.1/32", conf=CONF + transport("far.test", stub.port))
    return Ledger(server, stub)


def test_nothing_acknowledged_is_lost_when_everything_is_killed(ledger):
    for _ in range(KILLS):
        ledger.before_kill()
        ledger.server.end_all()
        ledger.after_kill("mta", "mda")
        ledger.server.start()
    ledger.finish()
    ledger.check()


@pytest.mark.skipif(IS_SANITIZED, reason="the sanitized builds serve with --single: there is no process of a role to kill")
def test_nothing_acknowledged_is_lost_when_roles_are_killed(ledger):
    """The supervisor starts them again, with a pause that would grow: after each pair there is another supervisor."""
    for number in range(ROLE_KILLS):
        name = ("mta", "mda")[number % 2]
        ledger.before_kill()
        ledger.server.kill_role(name)
        ledger.after_kill(name)
        if number % 2:
            ledger.before_kill()
            ledger.server.stop()
            ledger.server.assert_clean()
            ledger.server.start()
    assert "".join(ledger.server.output).count("was ended by signal 9") == ROLE_KILLS
    ledger.finish()
    ledger.check()


def test_nothing_acknowledged_is_lost_when_killed_in_a_relief(make_server, make_stub):
    """The next hop is silent, so the sender puts off what piles up, and the kill comes while that goes to rest. Nothing has been sent then."""
    stub = make_stub(replies={"GREETING": ["", ...]})
    conf = "queue {\n deliveries = 100\n retry-first = 100ms\n checkpoint = 1h\n}\n"
    server = make_server("--trust", "127.0.0.1/32", conf=conf + transport("far.test", stub.port))
    load = [Load(str(k), server.where("smtp"), "us@far.test", lambda: True) for k in range(CLIENTS)]
    for client in load:
        client.start()
    for _ in range(RELIEF_KILLS):
        before = len(server.events("site.crowded"))
        until(lambda: len(server.events("site.crowded")) > before, why=lambda: "no relief: " + "".join(server.output[-20:]))
        time.sleep(random.uniform(0, 0.3))  # anywhere between the word and the rest in queue.db
        server.end_all()
        server.start()
    for client in load:
        client.is_over = True
    for client in load:
        client.join()
    server.end_all()
    assert stub.messages == []
    stub.replies.clear()
    server.start()
    server.cli("queue", "retry", "--all")
    server.wait_empty()
    seen = marks_of_stub(stub)
    acknowledged = {client.sent[number] for client in load for number in client.acknowledged}
    assert len(acknowledged) > 100 and acknowledged <= set(seen), f"lost: {acknowledged - set(seen)}"
    assert set(seen) <= {mark for client in load for mark in client.sent.values()}
    assert set(seen.values()) == {1}


def kill_in_a_change(server):
    """A command dies with pages in directory.db and its journal beside it, which the roles may not take back."""
    change = ("import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); db.execute('PRAGMA cache_size = 10'); "
              "db.execute('BEGIN IMMEDIATE'); db.executemany('INSERT INTO domain VALUES (?)', ((f'half{i}.test',) for i in range(5000))); os._exit(9)")
    assert subprocess.run([sys.executable, "-c", change, str(server.directory / "directory.db")], check=False).returncode == 9
    assert os.path.getsize(server.directory / "directory.db-journal") > 0


def expect_the_directory(server):
    with server.submission() as client:
        client.message("alice@example.test", ["alice@example.test"])
    with server.smtp() as client:
        client.expect("MAIL FROM:<>", "250")
        client.expect("RCPT TO:<a@half1.test>", "550")


def test_a_killed_command_keeps_no_role_from_its_directory(make_server):
    """Whoever starts a role takes that back."""
    server = make_server()
    server.stop()
    kill_in_a_change(server)
    server.start()
    expect_the_directory(server)


def test_a_command_killed_beside_the_roles_stops_no_mail(make_server):
    """The first question that cannot be answered has the supervisor take the change back."""
    server = make_server(roles_have_users=True)
    for number in (1, 2):
        kill_in_a_change(server)
        with server.smtp() as client:
            client.expect("MAIL FROM:<>", "250")
            until(lambda: client.ask(f"RCPT TO:<{time.monotonic()}@example.test>")[:3] and "".join(server.output).count("is taken back") == number)
            until(lambda: client.ask("RCPT TO:<a@half1.test>").startswith("550 "), seconds=5)
        expect_the_directory(server)
    server.wait_empty()
    until(lambda: len(server.events("mailbox.stored")) == 2)
