# SPDX-License-Identifier: ISC
"""More clients than may come in: each is served, or told at once that it is not, in the words of its protocol."""
import contextlib
import resource
import socket
import time

import pytest
from peers import transport
from server import IS_SANITIZED, PATIENCE_S, until

SESSIONS, DESCRIPTORS = 5, 400


def first_lines(where, count, refusal):
    """What so many connections are told, all of them open at a time. Those that are refused are closed."""
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(socket.create_connection(where, timeout=PATIENCE_S)) for _ in range(count)]
        files = [link.makefile("rb") for link in links]
        lines = [file.readline() for file in files]
        assert all(file.read() == b"" for file, line in zip(files, lines) if line == refusal)
        return lines


@pytest.mark.parametrize("name, welcome, refusal, event", [
    ("smtp", b"220 ", b"421 4.3.2 too many connections, try again later\r\n", "smtp.session.refused"),
    ("pop3", b"+OK ", b"-ERR [SYS/TEMP] not now, try again later\r\n", "pop3.session.refused")])
def test_sessions_beyond_the_limit_are_told_so(make_server, name, welcome, refusal, event):
    server = make_server(conf=f"limits {{\n sessions = {SESSIONS}\n}}\n")
    lines = first_lines(server.where(name), SESSIONS + 3, refusal)
    assert (sum(line.startswith(welcome) for line in lines), lines.count(refusal)) == (SESSIONS, 3)
    until(lambda: len(server.events(event)) == 3)
    assert all(e["client"].startswith("127.0.0.1:") and "too many" in e["text"] for e in server.events(event))
    # There is room again when they have left.
    until(lambda: first_lines(server.where(name), 1, refusal)[0].startswith(welcome))


def test_a_crowd_at_the_door_leaves_the_log_alone(make_server):
    """Of many who are turned away the number is told, and of a few who they were."""
    told_a_second, crowd = 20, 400
    server = make_server(conf=f"limits {{\n sessions = {SESSIONS}\n}}\n")
    refused = 0

    def knock():
        nonlocal refused
        with socket.create_connection(server.where("smtp"), timeout=PATIENCE_S) as link:
            is_refused = link.makefile("rb").readline().startswith(b"421 ")
        refused += is_refused
        return is_refused

    def told():
        """Who was turned away one by one, and how many more."""
        return len(server.events("smtp.session.refused")), sum(e["count"] for e in server.events("sessions.refused", listener="mx"))
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        for _ in range(SESSIONS):
            stack.enter_context(server.smtp())
        assert all(knock() for _ in range(crowd))
    # The number comes with the next client, in a later second.
    until(lambda: not knock() and sum(told()) == refused, why=lambda: f"{told()} of {refused}")
    seconds = time.monotonic() - begin + 1
    assert 0 < told()[0] <= told_a_second * seconds, f"{told()[0]} were told in {seconds:.1f} s"


@pytest.mark.skipif(IS_SANITIZED, reason="the sanitized builds serve with --single, where both roles have the descriptors together")
def test_more_clients_than_descriptors(make_server, make_stub):
    """None waits for a greeting that cannot come, mail that was accepted is sent, and the operator is answered."""
    stub = make_stub()
    server = make_server("--trust", "127.0.0.1/32", conf=transport("far.test", stub.port), start=False)
    server.before_exec = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    server.start()
    with server.smtp() as c, contextlib.ExitStack() as stack:
        links = [stack.enter_context(socket.create_connection(server.where("smtp"), timeout=PATIENCE_S)) for _ in range(2 * DESCRIPTORS)]
        lines = [link.makefile("rb").readline() for link in links]
        assert {line[:4] for line in lines} == {b"220 ", b"421 "}
        assert sum(line.startswith(b"220 ") for line in lines) >= DESCRIPTORS / 2
        c.message("me@back.test", ["you@far.test"])
        stub.wait()
        assert server.queue() == []
