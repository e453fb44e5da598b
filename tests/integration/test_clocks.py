# SPDX-License-Identifier: ISC
"""The wall clock jumps, by an hour and by ten years, forward and back: mail is taken, delivered and read, and what waits does not wait for years."""
import clocks
import pytest
from faults import FAR, HERE, LATER, open_mailbox
from peers import transport
from server import IS_SANITIZED, until

pytestmark = pytest.mark.skipif(IS_SANITIZED or not clocks.SHIM.exists(), reason="a sanitizer must be the first library in a process: nothing can be preloaded")


@pytest.fixture
def world(make_server, make_stub, tmp_path):
    is_shy = [True]
    stub = make_stub(replies={"RCPT": [lambda line: "451 4.2.1 later" if is_shy[0] and "later.test" in line else None, ...]})
    conf = clocks.CONF + "".join(transport(domain, stub.port) for domain in ("far.test", "later.test", "back.test"))
    server = make_server("--trust", "127.0.0.1/32", conf=conf, start=False)
    clock = clocks.Clock(tmp_path / "clock")
    with clock.preloaded():
        server.start()
    return server, stub, clock, is_shy


def rcpts(stub):
    with stub.lock:
        return [line for m in stub.messages for line in m.rcpt]


def count(stub, address):
    return sum(f"<{address}>" in line for line in rcpts(stub))


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


@pytest.mark.parametrize("with_restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("jump", clocks.JUMPS)
def test_the_clock_jumps(world, jump, with_restart):
    server, stub, clock, is_shy = world
    with server.smtp() as c:
        c.message("me@back.test", [LATER])
    until(lambda: server.events("delivery.deferred"))
    exchange(server, stub)
    until(lambda: [m["rests"] for m in server.queue()] == ["queue.db"])
    clock.set_ahead(clocks.JUMPS[jump])
    if with_restart:
        server.stop()
        with clock.preloaded():
            server.start()
    exchange(server, stub)
    is_shy[0] = False
    # It is delivered, or returned when it has become too old for that.
    until(lambda: count(stub, LATER) or count(stub, "me@back.test"), why=lambda: f"it waits: {server.queue()}")
    assert count(stub, LATER) + count(stub, "me@back.test") == 1
    clock.set_ahead(0)
    exchange(server, stub)
    server.wait_empty()
