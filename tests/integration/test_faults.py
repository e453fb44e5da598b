# SPDX-License-Identifier: ISC
"""
Calls that fail in the roles, a few of those that `make torture ONLY=faults` tries one after the other: what was acknowledged arrives, what was
refused does not, and mail goes on when the cause has ended.
"""
import errno
import random

import pytest
from faults import ERRORS, FAR, FUNCTIONS, ROLES, SHIM, Faulty, Plan, preloaded
from peers import transport
from server import IS_SANITIZED, PATIENCE_S, until

pytestmark = pytest.mark.skipif(IS_SANITIZED or not SHIM.exists(), reason="a sanitizer must be the first library in a process: nothing can be preloaded")
# At work: (role, function, the last call to try). A piece of work makes at least so many.
CALLS = (("mta", "pwrite", 15), ("mta", "fdatasync", 12), ("mta", "create", 2), ("mta", "open", 3), ("mta", "pread", 20), ("mta", "accept", 10),
         ("mta", "socket", 3), ("mda", "pwrite", 40), ("mda", "fdatasync", 12), ("mda", "create", 10), ("mda", "open", 15), ("mda", "pread", 30),
         ("mda", "unlink", 5), ("mda", "mkdir", 8), ("mda", "accept", 5), ("mda", "syncfs", 1), ("mta", "syncfs", 1))
STARTS = (("open", 18), ("create", 8), ("pread", 4), ("pwrite", 15), ("fdatasync", 4), ("mkdir", 4), ("fallocate", 1), ("socket", 1))


@pytest.fixture
def faulty(tmp_path):
    base = tmp_path / "s"
    base.mkdir()
    faulty = Faulty(base, patience=PATIENCE_S)
    faulty.start()
    yield faulty
    faulty.close()


@pytest.mark.parametrize("seed", range(2))
def test_a_call_fails_at_work(faulty, seed):
    rng = random.Random(seed)
    reached = 0
    for role, function, most in CALLS:
        reached += faulty.while_serving(role, function, rng.choice(ERRORS[function]), rng.randint(1, most), rng.random() < 0.5, rng.random() < 0.25)
        assert faulty.violations == []
    assert reached >= 3


def test_a_call_fails_while_a_role_starts(faulty):
    rng = random.Random(1)
    for function, most in STARTS:
        for role in ROLES:
            faulty.while_starting(role, function, rng.choice(ERRORS[function]), rng.randint(1, most), rng.random() < 0.5)
            assert faulty.violations == []


@pytest.mark.parametrize("role, calls", [("mta", range(5, 8)), ("mda", range(8, 15))])
def test_a_database_that_could_not_be_opened_for_writing_is_opened_again(faulty, role, calls):
    """SQLite opens it for reading then, and would stay with that: mail for the mailbox waited until the role was started again."""
    for at in calls:
        faulty.while_starting(role, "create", errno.ENOSPC, at, True)
        assert faulty.violations == []


@pytest.mark.parametrize("role", ROLES)
def test_a_disk_that_does_not_answer(faulty, role):
    faulty.frozen(role, 1)
    assert faulty.violations == []


def written(server):
    """How often the journal names the domain: in the message, and in what became of it."""
    return sum(path.read_bytes().count(b"far.test") for path in (server.directory / "spool/journal").iterdir())


def test_a_result_that_the_disk_refused_is_written_later(make_server, make_stub, tmp_path):
    """The next hop has the message, and the record of that cannot be written just then: a restart would send it again."""
    plan = Plan(tmp_path / "plan")

    def take(_line):
        plan.arm("mta", FUNCTIONS.index("pwrite"), errno.EIO, 1, True)
        return "250 2.0.0 taken"
    stub = make_stub(replies={"END": [take]})
    server = make_server("--trust", "127.0.0.1/32", conf=transport("far.test", stub.port), start=False)
    with preloaded(plan, server.directory):
        server.start()
        with server.smtp() as c:
            c.message("me@back.test", [FAR])
        server.wait_event("delivery.done")
        server.wait_event("journal.alarm")
        before = written(server)
        plan.clear()
        until(lambda: written(server) > before, why="the journal has no result")
        server.end_all()
        server.start()
    with server.smtp() as c:
        c.message("me@back.test", [FAR], "Subject: the next\r\n\r\nx\r\n")
    until(lambda: any("the next" in m.text for m in stub.messages))
    server.wait_empty()
    assert len(stub.messages) == 2
