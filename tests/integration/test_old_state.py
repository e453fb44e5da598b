# SPDX-License-Identifier: ISC
"""The state directories that older versions left when they were killed (states/VERSION.tar.xz, made by tests/torture/keep_state) are opened."""
import contextlib
import pathlib
import re
import shutil
import sqlite3
import subprocess
import tarfile

import faults
import pytest
from server import EILBOTE, PASSWORD, until

STATES = sorted((pathlib.Path(__file__).parent / "states").glob("*.tar.xz"))
ALICE, BOB = faults.HERE


def came(stub):
    with stub.lock:
        return sorted((re.search("<(.*?)>", line)[1], faults.mark_of(m.data)) for m in stub.messages for line in m.rcpt)


def marks(server, user):
    box = faults.open_mailbox(server, user)
    found = [faults.mark_of(b"".join(line + b"\r\n" for line in box.retr(k)[1])) for k in range(1, box.stat()[0] + 1)]
    box.quit()
    return found


def opened(make_server, stub, state):
    """A server with that state, not started yet."""
    server = make_server(start=False)
    shutil.rmtree(server.directory)
    with tarfile.open(state) as tar:
        tar.extractall(server.base)
    text = re.sub(r"^port-offset = \d+$", f"port-offset = {server.offset}", server.conf.read_text(), flags=re.M)
    server.conf.write_text(text.replace("30999", str(stub.port)))
    return server


@pytest.mark.parametrize("state", STATES, ids=lambda p: p.name)
def test_what_an_older_version_left_is_there(make_server, stub, state):
    server = opened(make_server, stub, state)
    server.start()
    late = [(f"{k}@later.test", f"cold{k}") for k in range(3)] + [("late@later.test", "hot")]
    server.cli("queue", "retry", "--all", status=None)
    until(lambda: came(stub) == late, why=lambda: f"{came(stub)} {server.queue()}")
    assert [m["deliveries"][0]["state"] for m in server.queue()] == ["held"]
    server.cli("queue", "release", "--all")
    until(lambda: came(stub) == sorted([*late, ("held@later.test", "held")]))
    assert marks(server, ALICE) == ["cold1", "cold2", "sent"] and marks(server, BOB) == ["sent", "hot"]
    with server.smtp() as c:
        c.message("me@back.test", ["both@example.test"])
    until(lambda: len(server.events("mailbox.stored")) == 1)
    server.wait_empty()


def submit(server, stub):
    """What the next hop gets of a mail that alice submits."""
    before = len(stub.messages)
    with server.smtp("submission") as c:
        c.upgrade()
        c.login(ALICE)
        c.message(ALICE, ["you@far.test"], f"From: {ALICE}\r\nSubject: t\r\n\r\nx\r\n")
    return stub.wait(before + 1)[before].text


def export(server):
    """The directory but for its keys and remarks."""
    return [line for line in server.cli("directory", "export").splitlines() if not line.startswith(("dkim ", "#"))]


def format_of(server):
    with contextlib.closing(sqlite3.connect(server.directory / "directory.db")) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


@pytest.mark.parametrize("state", STATES, ids=lambda p: p.name)
def test_an_older_directory_gets_what_has_been_added_since(make_server, stub, state):
    """The roles read it as it is; whoever writes first brings it up to date, beside others who do, and nothing is lost."""
    server = opened(make_server, stub, state)
    was = format_of(server)
    before = export(server)
    assert [line.split()[0] for line in before].count("account") == 2
    server.start()
    assert "DKIM-Signature" not in submit(server, stub) and server.cli("dkim", "list") == "" and format_of(server) == was
    words = (["dkim", "rotate", "example.test"], ["alias", "add", "new@example.test", BOB], ["user", "add", "carol@example.test", "--password-stdin"])
    writers = [subprocess.Popen([EILBOTE, "-c", server.conf, *w], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for w in words]
    for writer in writers:
        said = writer.communicate(PASSWORD + "\n")[1]
        assert writer.returncode == 0, said
    assert format_of(server) > was
    after = export(server)
    assert set(before) < set(after) and len(after) == len(before) + 2
    until(lambda: submit(server, stub).count("DKIM-Signature:") == 2)
    server.add_conf('reports {\n    address = {"reports@example.test"}\n}')
    server.reload()
    with server.smtp() as c:
        c.message("me@back.test", ["new@example.test", "carol@example.test"])
        c.expect("MAIL FROM:<me@back.test>", "250 ")
        c.expect("RCPT TO:<reports@example.test>", "250 ")
    until(lambda: len(marks(server, BOB)) >= 2)
    server.stop()
    server.start()
    assert submit(server, stub).count("DKIM-Signature:") == 2 and export(server) == after
