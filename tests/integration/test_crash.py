# SPDX-License-Identifier: ISC
"""kill -9 of everything under load, again and again: what was acknowledged is delivered or still queued, and nothing else is lost or made up."""
import collections
import re
import socket
import threading
import time

from peers import transport
from server import IS_SANITIZED, PATIENCE_S, until

KILLS = 10 if IS_SANITIZED else 100
CLIENTS = 4


class Load(threading.Thread):
    """Sends numbered messages one after the other and notes which were acknowledged, whatever happens to the connection."""

    def __init__(self, name, where):
        super().__init__(daemon=True)
        self.label, self.where = name, where
        self.acknowledged, self.sent, self.is_over = set(), set(), False

    def run(self):
        number = 0
        while not self.is_over:
            try:
                with socket.create_connection(self.where, timeout=PATIENCE_S) as s, s.makefile("rb") as lines:
                    s.settimeout(PATIENCE_S)
                    self.expect(lines, b"220")
                    self.say(s, lines, b"HELO load.test\r\n", b"250")
                    while not self.is_over:
                        number += 1
                        self.one(s, lines, f"{self.label}.{number}")
            except (OSError, EOFError):
                time.sleep(0.01)

    @staticmethod
    def expect(lines, code):
        line = lines.readline()
        if not line.startswith(code):
            raise EOFError

    def say(self, s, lines, text, code):
        s.sendall(text)
        self.expect(lines, code)

    def one(self, s, lines, mark):
        s.sendall(b"MAIL FROM:<me@back.test>\r\nRCPT TO:<you@far.test>\r\nDATA\r\n")
        for code in (b"250", b"250", b"354"):
            self.expect(lines, code)
        self.sent.add(mark)
        self.say(s, lines, f"Subject: t\r\nX-Mark: {mark}\r\n\r\n{'x' * 500}\r\n.\r\n".encode(), b"250")
        self.acknowledged.add(mark)


def marks_of(stub):
    with stub.lock:
        return collections.Counter(re.search(rb"^X-Mark: (\S+)\r$", m.data, re.M)[1].decode() for m in stub.messages)


def test_nothing_acknowledged_is_lost_in_100_kills(make_server, stub):
    server = make_server("--trust", "127.0.0.1/32", conf=transport("far.test", stub.port) + "queue {\n retry-first = 100ms\n checkpoint = 200ms\n}\n")
    load = [Load(str(k), server.where("smtp")) for k in range(CLIENTS)]
    for client in load:
        client.start()
    before = 0
    for _ in range(KILLS):
        until(lambda: sum(len(c.acknowledged) for c in load) > before, why=lambda: "no message was taken: " + "".join(server.output))
        before = sum(len(c.acknowledged) for c in load)
        server.end_all()
        server.start()
    for client in load:
        client.is_over = True
    for client in load:
        client.join()
    acknowledged = set().union(*(c.acknowledged for c in load))
    sent = set().union(*(c.sent for c in load))
    until(lambda: acknowledged <= set(marks_of(stub)), why=
          lambda: f"lost: {sorted(acknowledged - set(marks_of(stub)))[:10]} of {len(acknowledged)}; queue {len(server.queue())}")
    server.wait_empty()
    seen = marks_of(stub)
    assert set(seen) <= sent
    # At each crash at most what was in flight is sent twice: a transaction or two on each connection.
    assert sum(seen.values()) - len(seen) <= KILLS * 20 * 2, seen.most_common(5)
