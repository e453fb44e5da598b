# SPDX-License-Identifier: ISC
"""
Smuggling: line ends that this server, or the next one, could take for the end of a message. What counts is both how many messages are
accepted and what the next hop is sent. The same sequences go through the engine alone, at every split, in smuggling.c.

The defence is dotline_scan(), which lets only CRLF.CRLF end a message, and close_broken(), after which nothing is read; towards the next hop
dotline_stuff().
"""
import itertools
import os
import re
import socket
import time

import pytest
from dialogue import QUICK, drained, start_message
from peers import transport
from postfix import Postfix
from server import free_port, until
from strict import StrictStub, first_message, is_clean

LENGTH = 5
ENDS = (b"\r", b"\n", b"\r\n", b"\0")
HEAD = b"Subject: t\r\n\r\nx"
# In chunks, so that all of it may come at once: content behind DATA would be refused for that alone. Its last dot ends what nothing ended.
INSIDE = b"Subject: smuggled\r\n\r\nx\r\n"
SMUGGLED = b"MAIL FROM:<evil@elsewhere.test>\r\nRCPT TO:<y@away.test>\r\nBDAT %d LAST\r\n%s.\r\nQUIT\r\n" % (len(INSIDE), INSIDE)


def around_the_dot(before):
    """Every row of up to five line ends and NULs with a dot behind the first ones, each once."""
    rows = (b"".join(row[:before]) + b"." + b"".join(row[before:]) for n in range(before, LENGTH + 1) for row in itertools.product(ENDS, repeat=n))
    return sorted(set(rows))


def commands(data):
    """Whether the octets, read as commands to the letter, have the smuggled message among them: then it is no smuggler's."""
    while data and not data.startswith(SMUGGLED):
        line, _, data = data.partition(b"\n")
        if not line.endswith(b"\r"):
            return []  # cut by a bare LF: closed
    return [INSIDE] if data else []


@pytest.fixture
def next_hop():
    stub = StrictStub("127.0.0.1", free_port())
    yield stub
    stub.close()


def offer(server, content):
    """Sends a message to x@away.test; gives what was said to its content, and behind it."""
    with server.smtp() as c:
        c.send(b"MAIL FROM:<x@elsewhere.test>\r\nRCPT TO:<x@away.test>\r\nDATA\r\n")
        assert [c.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
        c.send(content)
        # What comes once the connection is closed has to be read from the same buffer.
        try:
            return c.file.read()
        except ConnectionError:
            return b""


def contents_at(stub):
    """What arrived, without the trace fields that were added on the way."""
    return sorted(re.sub(rb"\AReceived: .*?(?=\r\nSubject: )\r\n", b"", m.data, flags=re.S) for m in stub.messages)


@pytest.mark.parametrize("before", range(LENGTH + 1))
def test_what_a_reader_of_the_letter_takes_is_taken_and_nothing_else(make_server, next_hop, before):
    """Five of CR, LF, CRLF and NUL around the dot, with a message behind them that only a reader who errs can see."""
    server = make_server("--trust", "127.0.0.1/32", conf=QUICK + transport("away.test", next_hop.port, more="tls = never"))
    taken, refused = [], 0
    for trick in around_the_dot(before):
        content = HEAD + trick + SMUGGLED
        found = first_message(content)
        said = offer(server, content)
        if found:
            assert said.startswith(b"250 2.0.0 accepted as "), (trick, said)
            taken += [found[0], *commands(found[1])]
        else:
            assert not said or re.fullmatch(rb"550 5\.5\.2 [^\r\n]+\r\n", said), (trick, said)
            refused += 1
    server.wait_empty()
    assert len(server.events("message.accepted")) == len(taken)
    assert (contents_at(next_hop), next_hop.breaches) == (sorted(taken), [])
    assert refused > 300 or before == LENGTH


CHUNKS = [b"".join(row) for n in range(1, LENGTH + 1) for row in itertools.product((b"\r\n", b".", b"x"), repeat=n) if b"." in row]


def send_chunk(server, content):
    with server.smtp() as c:
        c.send(b"MAIL FROM:<x@elsewhere.test>\r\nRCPT TO:<x@away.test>\r\nBDAT %d LAST\r\n%s" % (len(content), content))
        assert [c.reply()[:3] for _ in range(3)] == ["250"] * 3


def test_dots_in_chunks_end_nothing_at_the_next_hop(make_server, next_hop):
    """BDAT carries a CRLF.CRLF with a message behind it as plain content; by DATA it must go out with its dots stuffed."""
    server = make_server("--trust", "127.0.0.1/32", conf=QUICK + transport("away.test", next_hop.port, more="tls = never"))
    contents = [HEAD + b"%d" % k + row + SMUGGLED for k, row in enumerate(CHUNKS)]
    for content in contents:
        send_chunk(server, content)
    server.wait_empty()
    assert (contents_at(next_hop), next_hop.breaches) == (sorted(contents), [])


@pytest.mark.skipif(os.geteuid() != 0, reason="Postfix wants to be started by root")
def test_postfix_sees_as_many_messages_as_were_accepted(make_server):
    """The same, with the next hop that most of the world has."""
    port = free_port()
    server = make_server("--trust", "127.0.0.1/32", "--relay", f"127.0.0.1:{port}", conf=QUICK)
    contents = [HEAD + b" number %d#" % k + row + SMUGGLED.replace(b"y@away.test", b"you@far.test") for k, row in enumerate(CHUNKS)]
    peer = Postfix(port, server.port("smtp"))
    try:
        for content in contents:
            with server.smtp() as c:
                c.send(b"MAIL FROM:<x@elsewhere.test>\r\nRCPT TO:<you@far.test>\r\nBDAT %d LAST\r\n%s" % (len(content), content))
                assert [c.reply()[:3] for _ in range(3)] == ["250"] * 3
        server.wait_empty()
        until(lambda: peer.box().count("\n\nx number ") >= len(contents), why=peer.log)
        box = peer.box()
    finally:
        peer.close()
    assert len(re.findall(r"^From x@elsewhere\.test ", box, re.M)) == len(contents) and "From evil" not in box
    for k, row in enumerate(CHUNKS):
        assert box.count(f"\n\nx number {k}#" + row.decode().replace("\r\n", "\n") + "MAIL FROM:<evil@elsewhere.test>\n") == 1, row


@pytest.mark.parametrize("trick", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n.\0\r\n", b"\r\n\0.\r\n", b"\r\n\r.\r\n"])
def test_smuggling_at_every_split(make_server, trick):
    server = make_server(conf=QUICK)
    body = b"S: t\r\n\r\nx" + trick + b"RSET\r\n"
    assert not is_clean(body)
    for at in range(9, len(body)):
        with server.smtp() as c:
            c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            start_message(c)
            c.send(body[:at])
            time.sleep(0.002)
            try:
                c.send(body[at:])
                assert drained(c).startswith(b"550 5.5.2 ")
            except ConnectionError:
                pass
    assert server.events("message.accepted") == []
