# SPDX-License-Identifier: ISC
"""
Calls that fail in the roles, a few of those that `make torture ONLY=faults` tries one after the other: what was acknowledged arrives, what was
refused does not, and mail goes on when the cause has ended.
"""
import contextlib
import errno
import random

import pytest
from faults import ERRORS, FAR, FUNCTIONS, HERE, ROLES, SHIM, Faulty, Plan, content, preloaded
from peers import transport
from server import IS_SANITIZED, PATIENCE_S, Talk, until

pytestmark = pytest.mark.skipif(IS_SANITIZED or not SHIM.exists(), reason="a sanitizer must be the first library in a process: nothing can be preloaded")
# At work: (role, function, the last call to try). A piece of work makes at least so many.
CALLS = (("mta", "pwrite", 15), ("mta", "fdatasync", 12), ("mta", "create", 2), ("mta", "open", 3), ("mta", "pread", 20), ("mta", "accept", 10),
         ("mta", "socket", 3), ("mda", "pwrite", 40), ("mda", "fdatasync", 12), ("mda", "create", 10), ("mda", "open", 15), ("mda", "pread", 30),
         ("mda", "unlink", 5), ("mda", "mkdir", 8), ("mda", "accept", 5), ("mda", "syncfs", 1), ("mta", "syncfs", 1))
SEGMENTS = 3  # with the spare ones, of a journal that is at rest
PIECES = 3  # of 1 MiB, as a body is written while it comes in
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


def give(faulty, role, error, at):
    """A body of several MiB to the mta by SMTP or to the mda by LMTP, of whose pieces one cannot be written. The reply to it."""
    is_mta = role == "mta"
    rcpt, mark = (FAR if is_mta else HERE[0]), f"{role}{error}.{at}"
    with Talk(faulty.server.where("smtp") if is_mta else str(faulty.server.directory / "ctl/lmtp.sock")) as c:
        c.reply()
        c.expect("EHLO client.test" if is_mta else "LHLO client.test", "250")
        c.expect("MAIL FROM:<me@back.test>", "250")
        c.expect(f"RCPT TO:<{rcpt}>", "250")
        c.expect("DATA", "354")
        faulty.plan.arm(role, FUNCTIONS.index("pwrite"), error, at, False)
        c.send(content(mark, PIECES << 20) + b".\r\n")
        reply, hits = c.reply(), faulty.plan.hits
        faulty.plan.clear()
    assert hits == 1
    faulty.refused.add((mark, rcpt))
    return reply


@pytest.mark.parametrize("role", ROLES)
def test_a_piece_of_a_large_body_that_cannot_be_written_is_a_refusal(faulty, role):
    """Each piece in turn, once: what comes behind it is written, and a message with a hole must not be."""
    journal = faulty.server.directory / {"mta": "spool", "mda": "mail"}[role] / "journal"
    until(lambda: len(list(journal.glob("segment-????????"))) == SEGMENTS)  # else a spare one is written just now
    for error in (errno.EIO, errno.ENOSPC):
        for at in range(1, PIECES + 1):
            reply = give(faulty, role, error, at)
            assert reply.startswith(("451 ", "452 ")), (at, reply)
    assert faulty.server.queue() == []
    faulty.recover()
    faulty.settle()
    faulty.read_and_remove(HERE[0])
    assert faulty.violations == []


def written(server):
    """How often the journal names the domain: in the message, and in what became of it."""
    count = 0
    for path in (server.directory / "spool/journal").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a spare segment has got its name
            count += path.read_bytes().count(b"far.test")
    return count


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
