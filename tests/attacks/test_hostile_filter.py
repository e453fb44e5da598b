# SPDX-License-Identifier: ISC
"""
A mail filter that was taken over, and what it may cost: memory, disk, time, and the form of the message.

The defences are the bounds of proto/milter.h (take_edit, milter_feed), collect_body() and draft_collect() in serve/draft.c, MILTER_PATIENCE in
serve/milter_link.c and put_octet() in mail/header_edit.c.
"""
import itertools
import struct
import threading

import pytest
from filters import Filter, add, change, insert, packet, text
from server import until
from test_milter import MESSAGE, bodies, content, names, send
from test_report_bombs import peak_kib

MIB = 1 << 20
FLOODS = {
    "bodies": lambda: (packet("b", b"x" * 65535) for _ in itertools.count()),
    "empty bodies": lambda: (packet("b") * 1000 for _ in itertools.count()),
    "fields": lambda: (add("X", "y" * 1000) for _ in itertools.count()),
    "empty fields": lambda: (change(1, "X", "") for _ in itertools.count()),
    "recipients": lambda: (packet("+", text(f"<u{k}@far{k}.test>")) for k in itertools.count()),
    "progress": lambda: (packet("p") * 1000 for _ in itertools.count()),
    "one packet": lambda: itertools.chain([struct.pack(">I", 0x7FFFFFFF) + b"b"], (b"x" * 65536 for _ in itertools.count())),
    "macro lists": None,
}


class Flood(Filter):
    """Says without end what a generator gives, from the end of a message on; or before it has agreed."""

    def __init__(self, letter, pieces):
        self.pieces, self.letter, self.is_stopped = pieces, letter, threading.Event()
        super().__init__()

    def serve(self, peer):
        try:
            super().serve(peer)
        except OSError:
            pass

    def answer(self, letter, data):
        return Endless(self.pieces()) if letter == self.letter else super().answer(letter, data)


class Endless(list):
    def __init__(self, pieces):
        super().__init__()
        self.pieces = pieces

    def __iter__(self):
        return self.pieces


@pytest.mark.parametrize("policy", ["defer", "accept"])
@pytest.mark.parametrize("how", FLOODS)
def test_a_filter_that_never_ends_costs_its_bounds(make_server, how, policy):
    wishes = packet("l", struct.pack(">I", 1) + b"j " * 900 + b"\0")
    flood = Flood("E", FLOODS[how]) if FLOODS[how] else Flood("O", lambda: (wishes for _ in itertools.count()))
    server = make_server(conf=flood.conf("f", f"on-failure = {policy}\n end-timeout = 300ms\n connect-timeout = 1s"), start=False)
    server.listener_conf("mx", 'milters = {"f"}\n    message-size = 4M\n    client-name = off')
    server.start()
    before = peak_kib(server)
    got = send(server)
    assert got.startswith("451 4.7.1" if policy == "defer" else "250 2.0.0"), got
    assert server.wait_event("milter.failed")["action"] == policy
    assert peak_kib(server) - before < 24 * 1024
    if policy == "accept":
        head, body = content(server)
        assert body == "hello\n" and "X" not in names(head)
    until(lambda: not list(bodies(server)))
    flood.close()


NASTY = ["a\r\nEvil: 1", "a\nEvil: 1", "a\rEvil: 1", "a\r\n\r\nEvil: 1", "\r\nEvil: 1", "\n\n\nEvil: 1", "a\r\r\nEvil: 1", "a\x00Evil: 1", "a\x7f\x08\x1b[1m",
         "x\r\n.\r\nEvil: 1", "\n", "\r\n \r\n\r\n", "a" * 900]


def test_values_stay_in_their_fields(make_server):
    edits = [e for k, value in enumerate(NASTY) for e in (add(f"X-A{k}", value), insert(k, f"X-I{k}", value), change(1, f"X-C{k}", value))]
    filter_ = Filter({"E": [*(e for e in edits), change(1, "Subject", NASTY[0]), packet("c")]})
    server = make_server(conf=filter_.conf("f"), start=False)
    server.listener_conf("mx", 'milters = {"f"}\n    client-name = off')
    server.start()
    assert send(server, MESSAGE).startswith("250 2.0.0")
    head, body = content(server)
    assert "Evil" not in names(head) and body == "hello\n"
    assert len([n for n in names(head) if n.startswith(("X-A", "X-I", "X-C"))]) == 3 * len(NASTY)
    assert not any(ord(c) < 32 and c not in "\n\t" or ord(c) == 127 for c in head)
    filter_.close()


@pytest.mark.parametrize("said", ["550 5.7.1 a\r\n250 2.0.0 ok", "550 5.7.1 a\n221 bye", "550 a\x07b", "550 " + "x" * 60000, "550-a\r\n550 b"])
def test_replies_stay_one_line(make_server, said):
    filter_ = Filter({"M": packet("y", text(said))})
    server = make_server(conf=filter_.conf("f"), start=False)
    server.listener_conf("mx", 'milters = {"f"}\n    client-name = off')
    server.start()
    got = send(server)
    assert got.startswith("550 5.7.1 ") and "\n" not in got and len(got) < 512 and got.isprintable(), got
    filter_.close()
