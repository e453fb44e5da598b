# SPDX-License-Identifier: ISC
"""More clients than may come in: each is served, or told at once that it is not, in the words of its protocol."""
import contextlib
import resource
import socket

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
