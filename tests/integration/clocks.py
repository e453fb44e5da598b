# SPDX-License-Identifier: ISC
"""A server whose wall clock jumps. Used by the tests here and by `make torture`."""
import contextlib
import mmap
import os
import pathlib
import struct

from faults import FAR, HERE, LATER, open_mailbox
from peers import transport
from server import ROOT, until

SHIM = pathlib.Path(os.environ.get("EILBOTE_BUILD", ROOT / "build")).resolve() / "tests/torture/libclock_shim.so"
HOUR_S, TEN_YEARS_S = 3600, 3652 * 86400
JUMPS = {"an hour forward": HOUR_S, "an hour back": -HOUR_S, "ten years forward": TEN_YEARS_S, "ten years back": -TEN_YEARS_S}
CONF = "queue {\n retry-first = 3s\n retry-max = 3s\n checkpoint = 200ms\n}\n"


class Clock:
    def __init__(self, path):
        path.write_bytes(bytes(8))
        path.chmod(0o666)
        self.path = path
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 8)

    def set_ahead(self, seconds):
        struct.pack_into("q", self.memory, 0, seconds)

    @contextlib.contextmanager
    def preloaded(self):
        """Processes that are started meanwhile have this clock."""
        added = {"LD_PRELOAD": str(SHIM), "CLOCK_PLAN": str(self.path)}
        os.environ.update(added)
        try:
            yield
        finally:
            for name in added:
                del os.environ[name]


def replies():
    """Of the next hop, and whether it has no room for LATER."""
    is_shy = [True]
    return {"RCPT": [lambda line: "451 4.2.1 later" if is_shy[0] and "later.test" in line else None, ...]}, is_shy


def conf(stub):
    return CONF + "".join(transport(domain, stub.port) for domain in ("far.test", "later.test", "back.test"))


def count(stub, address):
    with stub.lock:
        return sum(f"<{address}>" in line for m in stub.messages for line in m.rcpt)


def exchange(server, stub):
    """Mail to both places, and a mailbox read and emptied."""
    before = count(stub, FAR)
    with server.smtp() as c:
        c.message("me@back.test", [FAR, HERE[0]])
    until(lambda: count(stub, FAR) == before + 1, why=lambda: f"not sent: {server.queue()}")

    def is_read():
        box = open_mailbox(server, HERE[0])
        number = box.stat()[0]
        for k in range(1, number + 1):
            box.retr(k)
            box.dele(k)
        box.quit()
        return number
    until(is_read)


def scene(server, stub, is_shy, clock, jump, with_restart):
    """The clock jumps while a message waits; the server has been started with it."""
    before = count(stub, LATER) + count(stub, "me@back.test")
    is_shy[0], deferred = True, len(server.events("delivery.deferred"))
    with server.smtp() as c:
        c.message("me@back.test", [LATER])
    until(lambda: len(server.events("delivery.deferred")) > deferred)
    exchange(server, stub)
    until(lambda: [m["rests"] for m in server.queue()] == ["queue.db"])
    clock.set_ahead(jump)
    if with_restart:
        server.stop()
        with clock.preloaded():
            server.start()
    exchange(server, stub)
    is_shy[0] = False
    # It is delivered, or returned when it has become too old for that.
    until(lambda: count(stub, LATER) + count(stub, "me@back.test") > before, why=lambda: f"it waits: {server.queue()}")
    assert count(stub, LATER) + count(stub, "me@back.test") == before + 1
    clock.set_ahead(0)
    exchange(server, stub)
    server.wait_empty()
