# SPDX-License-Identifier: ISC
"""Next hops that hang, lie, drip and never end, at every step of the conversation, a few of what `make torture ONLY=peers` does."""
import evil
import pytest
from server import free_port, until


@pytest.fixture
def world(make_server, stub):
    server = make_server("--trust", "127.0.0.1/32", start=False)
    world = evil.World(server, stub.port, free_port)
    server.start()
    yield world
    world.close()


@pytest.mark.parametrize("fault", evil.FAULTS)
def test_mail_for_evil_servers_waits_and_the_rest_goes_on(world, fault):
    world.become(fault)
    ids = world.send_evil()
    with world.server.smtp() as c:
        ident = c.message("me@far.test", ["you@far.test"])
    world.server.wait_event("delivery.done", message=ident)
    until(lambda: world.has_settled(ids), why=lambda: f"not settled: {world.server.queue()}")
    assert world.wrong(ids, fault) == []
    assert [step for step, hop in world.evil.items() if not hop.reached and step not in evil.LATE_STEPS] == []
    world.become("")
    world.server.cli("reload")
    world.server.cli("queue", "retry", "--all", status=None)
    until(lambda: world.missing(ids) == [], why=lambda: f"has not come: {world.missing(ids)}; {world.server.queue()}")
