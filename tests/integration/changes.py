# SPDX-License-Identifier: ISC
"""
Clients that notice every refused connection and every transaction that is cut, while the server is reloaded and makes way for itself. What was
acknowledged comes exactly once. Used by the tests here and by `make torture`.
"""
import contextlib
import random
import signal
import socket
import threading
import time

from ledger import FAR, HERE, marks_of_mailboxes, marks_of_stub
from server import PATIENCE_S, until

TRANSACTIONS = 5  # of a connection
CONF = "delivery {\n connections-per-site = 4\n}\nqueue {\n retry-first = 100ms\n retry-max = 1s\n}\nlog {\n size = 1G\n}\n"


class Turned(Exception):
    """The server has said that it ends the session, before a transaction."""


class Visitor(threading.Thread):
    """Connects, sends some messages, connects again. It may be slow: then it keeps a transaction open for up to that time."""
    sender = "me@back.test"

    def __init__(self, label, server, slow_s=0.0):
        super().__init__(daemon=True)
        self.label, self.server, self.slow_s, self.is_over = label, server, slow_s, False
        self.number, self.acknowledged, self.turned, self.slowest = 0, set(), 0, 0.0
        self.wrong = []

    def run(self):
        while not self.is_over:
            try:
                self.visit()
            except Turned:
                self.turned += 1
            except (OSError, EOFError) as fault:
                self.wrong.append(f"{type(self).__name__} {self.label}: {fault!r}")

    def visit(self):
        begin = time.monotonic()
        with socket.create_connection(self.server.where("smtp"), timeout=PATIENCE_S) as s, s.makefile("rb") as lines:
            self.expect(lines, b"220")
            self.slowest = max(self.slowest, time.monotonic() - begin)
            self.say(s, lines, b"HELO load.test\r\n", b"250", may_turn=True)
            for _ in range(TRANSACTIONS):
                self.transaction(s, lines)
            self.say(s, lines, b"QUIT\r\n", b"221", may_turn=True)

    def transaction(self, s, lines):
        self.number += 1
        mark = f"{self.label}.{self.number}"
        self.say(s, lines, f"MAIL FROM:<{self.sender}>\r\n".encode(), b"250", may_turn=True)
        for rcpt in (FAR, HERE[0]):
            self.say(s, lines, f"RCPT TO:<{rcpt}>\r\n".encode(), b"250")
        self.say(s, lines, b"DATA\r\n", b"354")
        time.sleep(random.uniform(0, self.slow_s))
        self.say(s, lines, f"Subject: t\r\nX-Mark: {mark}\r\n\r\n{'x' * 500}\r\n.\r\n".encode(), b"250")
        self.acknowledged.add(mark)

    def say(self, s, lines, text, code, may_turn=False):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError) if may_turn else contextlib.nullcontext():
            s.sendall(text)
        self.expect(lines, code, may_turn)

    @staticmethod
    def expect(lines, code, may_turn=False):
        line = lines.readline()
        if may_turn and line.startswith(b"421 "):
            raise Turned
        if not line.startswith(code):
            raise EOFError(f"{line!r} instead of {code!r}")


def reload(server, number):
    """With another limit each time, so that there is something new."""
    text = server.conf.read_text()
    start = text.index("retry-max = ")
    server.conf.write_text(text[:start] + f"retry-max = {1000 + number}ms" + text[text.index("\n", start):])
    server.reload()


def upgrade(server):
    """By signal; seconds until all roles are new ones."""
    begin, before = time.monotonic(), server.output.count("ready\n")
    server.process.send_signal(signal.SIGUSR2)
    until(lambda: server.output.count("ready\n") > before, why=lambda: "no upgrade: " + "".join(server.output[-20:]))
    return time.monotonic() - begin


def finish(server, visitors):
    for visitor in visitors:
        visitor.is_over = True
    for visitor in visitors:
        visitor.join()
    server.wait_empty()


def check(server, stub, visitors):
    """What is wrong: sentences."""
    wrong = [text for visitor in visitors for text in visitor.wrong]
    acknowledged = set().union(*(visitor.acknowledged for visitor in visitors))
    for where, seen in (("the next hop", marks_of_stub(stub)), ("the mailbox", marks_of_mailboxes(server))):
        wrong += [f"{mark} is lost for {where}" for mark in acknowledged if mark not in seen]
        wrong += [f"{mark} came {count} times to {where}" for mark, count in seen.items() if count > 1]
    return wrong
