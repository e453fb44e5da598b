# SPDX-License-Identifier: ISC
"""
Path tricks: names that lead out of the folder of a mailbox, of a message or of a role.

The defences are is_local_part() and hostname_is_valid() for accounts (directory/directory.c), the form of names of folders (store/name.c), that
ids are read as numbers (queue ids), and that no file is named by what a client says.
"""
import os
import pathlib
import re
import subprocess
import tempfile

import pytest
from dialogue import plain, pop
from server import EILBOTE, Talk

TRICKS = ["../x", "../../x", "../../../../../../tmp/x", "/etc/passwd", "/tmp/x", "..", ".", "./x", "x/../y", "x/y", "x//y", "~root", "~", "..\\x", "x\\..\\y", "%2e%2e%2fx",
          "..%2fx", "..;/x", "CON", "x\n../y", "x\0../y", "-x", "--config", "$(id)", "`id`", "|id", ";id", "*", "?", "{a,b}", "x y", "alice@example.test/../bob",
          "\u2025/x", "\uff0e\uff0e/x", ".alice", "alice.", "index.db", "x" * 300]


def tree(base):
    """Every name below, without what has nothing to do with names from outside."""
    return {str(pathlib.Path(folder, name).relative_to(base)) for folder, names, files in os.walk(base) for name in (*names, *files)}


@pytest.fixture
def watched(make_server):
    """A server with a catch-all; afterwards nothing may be there that is in no account's folder, in the queue's or beside them."""
    server = make_server("--trust", "127.0.0.1/32", conf="limits {\n greeting-delay = 0\n errors-per-connection = 10000\n auth-failures-per-address = 10000\n"
                         " auth-failures-per-account = 10000\n}\n")
    server.cli("alias", "add", "@example.test", "bob@example.test")
    marker = pathlib.Path(tempfile.gettempdir()) / "x"
    was_there = marker.exists()
    before = {name for name in tree(server.base) if not name.startswith(("d/spool", "d/mail"))}
    yield server
    server.wait_empty()
    after = tree(server.base)
    # The keys of the one domain that a test may make are in a folder of its name.
    assert {name for name in after if not name.startswith(("d/spool", "d/mail", "d/keys/index.db"))} - before <= {"d/log/mta/events.jsonl.1", "d/log/mda/events.jsonl.1",
                                                                                                  "d/directory.db-wal", "d/directory.db-shm", "d/directory.db-journal"}
    accounts = {pathlib.Path(name).parts[3] for name in after if name.startswith("d/mail/accounts/")}
    assert accounts <= {"example.test", "alice@example.test", "bob@example.test"}, accounts
    assert {pathlib.Path(name).parts[2] for name in after if name.startswith("d/mail/")} <= {"journal", "incoming", "accounts"}
    assert marker.exists() == was_there


def test_addresses(watched):
    """Whatever is taken for the catch-all is in bob's folder and nowhere else."""
    taken = 0
    with watched.smtp() as c:
        for trick in TRICKS:
            if "\n" in trick:
                continue  # ends the session
            for address in (f"{trick}@example.test", f'"{trick}"@example.test', f"bob+{trick}@example.test", f'"bob+{trick}"@example.test', f"alice@{trick}", f"x@{trick}.example.test"):
                for line in (f"MAIL FROM:<{address}>", "MAIL FROM:<x@elsewhere.test>"):
                    if c.ask(line).startswith("250"):
                        break
                answer = c.ask(f"RCPT TO:<{address}>")
                if answer.startswith("250") and "@example.test>" in f"{address}>":
                    c.expect("DATA", "354 ")
                    c.expect("Subject: t\r\n\r\nx\r\n.", "250 ")
                    taken += 1
                else:
                    c.expect("RSET", "250 ")
    watched.wait_empty()
    assert taken > 80 and len(pop(watched, "bob@example.test")) == taken and pop(watched) == []


def test_lmtp_and_logins(watched):
    """Names of mailboxes are asked of the directory, never of the file system: what the mda takes is the catch-all's."""
    taken = 0
    for trick in TRICKS[:-1]:
        if "\n" in trick or "\0" in trick:
            continue
        names = (trick, f"{trick}@example.test", f"../alice@example.test{trick}", f"alice@example.test/{trick}")
        with Talk(str(watched.directory / "ctl" / "lmtp.sock")) as c:
            c.reply()
            c.expect("LHLO x.test", "250-")
            c.expect("MAIL FROM:<x@elsewhere.test> SMTPUTF8", "250 ")
            answers = [c.ask(f"RCPT TO:<{name}>") for name in names]
            assert answers[0][0] == answers[2][0] == answers[3][0] == "5", answers
            if answers[1].startswith("250"):
                c.expect("DATA", "354 ")
                c.expect("Subject: t\r\n\r\nx\r\n.", "250 ")
                taken += 1
        with Talk(watched.where("pop3s"), implicit_tls=True) as c:
            c.reply()
            for name in names[:2]:
                assert not c.ask(f"AUTH PLAIN {plain(name)}").startswith("+OK"), name
                c.ask(f"USER {name}")
                assert not c.ask("PASS secret").startswith("+OK"), name
    assert taken > 10 and len(pop(watched, "bob@example.test")) == taken


def run(server, *words):
    return subprocess.run([EILBOTE, "-c", str(server.conf), *words], input="secret\n", capture_output=True, text=True, check=False)


def test_accounts_with_odd_names(watched):
    """An account that an operator makes may be called ../x or *: its folder is then called so in letters that lead nowhere."""
    made = []
    for trick in TRICKS:
        if "\0" in trick:
            continue
        if run(watched, "user", "add", "--password-stdin", "--", f"{trick}@example.test").returncode == 0:
            made.append(f"{trick}@example.test")
        assert run(watched, "user", "add", f"x@{trick}", "--password-stdin").returncode != 0
        if any(c in trick for c in "./~% \\;|`{*?\n=$"):
            assert run(watched, "domain", "add", trick).returncode != 0 or trick in ("index.db",), trick
    with watched.smtp() as c:
        for address in made:
            c.message("x@elsewhere.test", [address], mail=" SMTPUTF8")
    watched.wait_empty()
    for address in made:
        assert len(pop(watched, address)) == 1, address
    folders = [path.name for path in (watched.directory / "mail" / "accounts" / "example.test").iterdir()]
    assert len(folders) == len(made) > 10
    assert all(re.fullmatch(r"(?!\.)([-a-z0-9_.]|%[0-9a-f]{2})+", name) for name in folders), folders
    for address in made:
        assert run(watched, "user", "remove", "--purge", "--", address).returncode == 0, address
    assert [path.name for path in (watched.directory / "mail" / "accounts" / "example.test").iterdir() if path.name not in ("alice", "bob")] == []


def test_ids_of_messages(watched):
    for trick in TRICKS:
        if "\0" not in trick:
            for verb in ("show", "why", "drop", "bounce"):
                done = run(watched, "queue", verb, trick)
                assert done.returncode != 0 and "root:" not in done.stdout + done.stderr
