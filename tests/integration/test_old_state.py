# SPDX-License-Identifier: ISC
"""The state directories that older versions left when they were killed (states/VERSION.tar.xz, made by tests/torture/keep_state) are opened."""
import pathlib
import re
import shutil
import tarfile

import faults
import pytest
from server import until

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


@pytest.mark.parametrize("state", STATES, ids=lambda p: p.name)
def test_what_an_older_version_left_is_there(make_server, stub, state):
    server = make_server(start=False)
    shutil.rmtree(server.directory)
    with tarfile.open(state) as tar:
        tar.extractall(server.base)
    text = re.sub(r"^port-offset = \d+$", f"port-offset = {server.offset}", server.conf.read_text(), flags=re.M)
    server.conf.write_text(text.replace("30999", str(stub.port)))
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
