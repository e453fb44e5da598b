# SPDX-License-Identifier: ISC
"""Next hops that close, or reset, right behind their answer to a message, while the next one is on its way: what they have taken is not sent again."""
import collections
import contextlib
import re
import socket
import struct
import threading

import pytest
from peers import transport
from server import free_port, until

MESSAGES = 150
RESET = struct.pack("ii", 1, 0)
SIZES = (300, 300, 90000)


class Hasty:
    """Takes some messages on each connection; the answer to the last one and the end of the connection are one."""

    def __init__(self, resets):
        self.resets = resets
        self.port = free_port()
        self.marks, self.lock, self.connections = collections.Counter(), threading.Lock(), 0
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.connections += 1
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a reset would take along what waits to be sent
                threading.Thread(target=self.serve, args=(client, 1 + self.connections % 3), daemon=True).start()

    def serve(self, client, messages):
        with contextlib.suppress(OSError), client, client.makefile("rb") as lines:
            client.sendall(b"220 hasty.test\r\n")
            while messages and (line := lines.readline()):
                verb = line[:4].upper()
                body = self.body(client, lines, line, verb)
                if body is None:
                    more = b"250-hasty.test\r\n250-PIPELINING\r\n250 CHUNKING\r\n" if verb in (b"EHLO", b"LHLO") else b"250 2.0.0 fine\r\n"
                    client.sendall(more)
                    continue
                messages -= 1
                with self.lock:
                    self.marks[re.search(rb"X-Mark: (\d+)", body)[1]] += 1
                client.sendall(b"250 2.0.0 taken\r\n")
            if self.resets:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    @staticmethod
    def body(client, lines, line, verb):
        if verb == b"BDAT":
            body = lines.read(size := int(line.split()[1]))
            if len(body) < size:
                raise OSError
            return body
        if verb != b"DATA":
            return None
        client.sendall(b"354 go on\r\n")
        body = b""
        while (more := lines.readline()) != b".\r\n":
            if not more:
                raise OSError
            body += more
        return body

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.mark.parametrize("resets", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_what_was_taken_with_the_last_words_is_not_sent_again(make_server, protocol, resets):
    hasty = Hasty(resets)
    conf = transport("far.test", hasty.port, more=f"protocol = {protocol}") + "delivery {\n connections-per-site = 2\n}\n"
    server = make_server("--trust", "127.0.0.1/32", conf=conf + "queue {\n retry-first = 100ms\n retry-max = 1s\n}\n")
    try:
        with server.smtp() as c:
            for k in range(MESSAGES):
                c.message("me@back.test", ["you@far.test"], f"Subject: t\r\nX-Mark: {k}\r\n\r\n" + ("x" * 70 + "\r\n") * (SIZES[k % len(SIZES)] // 72))
        until(lambda: not server.queue(), why=lambda: f"still in the queue: {server.queue()[:2]}")
    finally:
        hasty.close()
    assert len(hasty.marks) == MESSAGES
    assert {mark: n for mark, n in hasty.marks.items() if n > 1} == {}
