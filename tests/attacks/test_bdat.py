# SPDX-License-Identifier: ISC
"""
BDAT: sizes that overflow or do not count, chunks in every order, and commands hidden in chunks that are refused.

The defences are parse_bdat() and check_chunk() in proto/smtp_content.c: a size that cannot be read closes, and the octets of a chunk that is
refused are counted off all the same.
"""
import random
import re

import pytest
from dialogue import SMUGGLED, drained, pop, start_message
from server import Talk

HIDDEN = b"RSET\r\nMAIL FROM:<evil@elsewhere.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"


@pytest.fixture
def quick(make_server):
    return make_server(conf="limits {\n greeting-delay = 0\n message-size = 1M\n errors-per-connection = 1000\n}\n")


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"a\0b\r\n", b"a\r", b"a\r\r\n", b"\n", b"a\r\n.\n"])
def test_broken_lines_in_chunks(quick, content):
    for first in range(len(content)):
        with quick.smtp() as c:
            start_message(c, False)
            chunks = [content[:first], content[first:]]
            c.send(b"".join(b"BDAT %d%s\r\n%s" % (len(chunk), b" LAST" if k else b"", chunk) for k, chunk in enumerate(chunks)) + SMUGGLED)
            assert b"550 5.5.2 " in drained(c).splitlines()[-1]
    assert quick.events("message.accepted") == []


UNCOUNTABLE = ["", "x", "-1", "+5", "5.0", "0x10", "1e3", " ", "5,", "18446744073709551616", "99999999999999999999999999", "18446744073709551615 LAS",
               "1 LAST LAST", "1 FIRST", "LAST", "LAST 1", "5 5", "\u0665"]


@pytest.mark.parametrize("size", UNCOUNTABLE)
def test_a_size_that_cannot_be_read_closes(quick, size):
    with quick.smtp() as c:
        start_message(c, False)
        c.send(f"BDAT {size}".encode() + b" LAST\r\n" * ("LAST" not in size) + b"\r\n" * ("LAST" in size) + SMUGGLED)
        assert re.fullmatch(rb"50[01] 5\.5\.[24] [^\r\n]+\r\n", drained(c))
    assert quick.events("message.accepted") == []


@pytest.mark.parametrize("size", [2**20 + 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 5, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("before", [0, 7])
def test_a_size_beyond_the_limit_swallows_what_follows(quick, size, before):
    """Neither wraps around: nothing behind the command is run until so many octets have come."""
    with quick.smtp() as c:
        start_message(c, False)
        if before:
            c.send(b"BDAT 7\r\nS: x\r\n\r")
            assert c.reply().startswith("250 ")
        c.send(b"BDAT %d LAST\r\n" % size + SMUGGLED * 3)
        c.socket.shutdown(1)
        assert c.file.read() in (b"", b"552 5.3.4 Message too large, the limit is 1048576 octets\r\n")
    quick.wait_event("smtp.session.ended")
    assert quick.events("message.accepted") == []


def test_octets_of_a_refused_chunk_are_no_commands(quick):
    """Without a transaction, without a recipient, behind a chunk that was refused."""
    for lines in ([], [b"MAIL FROM:<x@elsewhere.test>"], [b"MAIL FROM:<x@elsewhere.test>", b"RCPT TO:<nobody@example.test>"],
                  [b"MAIL FROM:<x@elsewhere.test>", b"BDAT 2\r\n"], [b"MAIL FROM:<x@elsewhere.test>", b"RCPT TO:<bob@example.test>", b"BDAT 2000000\r\n" + b"x" * 1999998]):
        for last in (b"", b" LAST"):
            with quick.smtp() as c:
                for line in lines:
                    c.send(line + b"\r\n")
                    c.reply()
                c.send(b"BDAT %d%s\r\n%s" % (len(HIDDEN), last, HIDDEN) + b"NOOP\r\nQUIT\r\n")
                assert re.fullmatch(rb"5\d\d 5\.[53]\.[14] [^\r\n]+\r\n250 [^\r\n]+\r\n221 [^\r\n]+\r\n", c.file.read()), (lines, last)
    assert quick.events("message.accepted") == []


def expected(state, step, size):
    """The code that RFC 3030 wants for a step, and the state behind it: none, mail, rcpt, chunk or failed."""
    if step in ("RSET", "EHLO"):
        return 250, "none"
    if step == "MAIL":
        return (250, "mail") if state == "none" else (503, state)
    if step == "RCPT":
        return (250, "rcpt") if state in ("mail", "rcpt") else (503, state)
    if step == "DATA":
        return (354, "none") if state == "rcpt" else (503, state)
    if state in ("rcpt", "chunk") and size is not None:
        return 250, "none" if step == "LAST" else "chunk"
    return 503, "none" if step == "LAST" or state == "none" else "failed"


WORDS = {"MAIL": b"MAIL FROM:<x@elsewhere.test>\r\n", "RCPT": b"RCPT TO:<bob@example.test>\r\n", "RSET": b"RSET\r\n", "EHLO": b"EHLO c.test\r\n"}


@pytest.mark.parametrize("seed", range(8))
def test_sequences_of_chunks(quick, seed):
    """Random walks beside a model of RFC 3030: same codes, as many messages, each with its chunks in order."""
    chance, count, contents = random.Random(seed), 0, []
    for _ in range(15):
        state, content = "none", b""
        with quick.smtp() as c:
            for _ in range(40):
                step = chance.choice(["MAIL", "RCPT", "BDAT", "LAST"] * 3 + ["DATA", "DATA", "RSET", "EHLO"])
                size = chance.choice([0, 1, 5])
                code, after = expected(state, step, size)
                if step in WORDS:
                    c.send(WORDS[step])
                elif step == "DATA":
                    c.send(b"DATA\r\n")
                else:
                    count += 1
                    piece = (b"#%d#" % count + HIDDEN)[:size + 12] + b"\r\n"
                    c.send(b"BDAT %d%s\r\n%s" % (len(piece), b" LAST" * (step == "LAST"), piece))
                    content += piece if code == 250 else b""
                got = c.reply()
                assert got.startswith(f"{code}"), (seed, state, step, got)
                if step == "DATA" and code == 354:
                    count += 1
                    content = b"#%d#\r\n" % count
                    c.send(content + b".\r\n")
                    assert c.reply().startswith("250 ")
                if after == "none":
                    if code in (250, 354) and step in ("DATA", "LAST"):
                        contents.append(content)
                    content = b""
                state = after
    quick.wait_empty()
    texts = pop(quick, "bob@example.test")
    assert len(texts) == len(contents) > 5
    stuffed = sorted(text.split(b"\r\n\r\n", 1)[1] for text in texts)
    assert stuffed == sorted(contents)


def test_chunks_over_lmtp_answer_once_for_each(quick):
    """The reply to a chunk for nobody is one, however many recipients came before."""
    with Talk(str(quick.directory / "ctl" / "lmtp.sock")) as c:
        c.reply()
        c.expect("LHLO x.test", "250-")
        c.send(b"BDAT 6 LAST\r\nRSET\r\nNOOP\r\n")
        assert [c.reply()[:3] for _ in range(2)] == ["503", "250"]
        c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("RCPT TO:<alice@example.test>", "250 ")
        c.send(b"BDAT 8\r\nS: x\r\n\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n")
        assert [c.reply()[:3] for _ in range(4)] == ["250"] * 4
    assert [text.endswith(b"S: x\r\n\r\nRSET\r\n") for user in ("alice", "bob") for text in pop(quick, f"{user}@example.test")] == [True, True]
