# SPDX-License-Identifier: ISC
"""
Lost transaction reset: what one transaction said must not be there in the next, whatever ended the first.

The defence is that there is one place for it in the engine, smtp_engine_reset(), and one in the session, session_forget().
"""
import pytest
from dialogue import drained
from peers import transport

OLD = b"Subject: old\r\n\r\nold secret\r\n"
ENDS = {
    "rset": [(b"RSET", "250 ")],
    "ehlo": [(b"EHLO again.test", "250-")],
    "helo": [(b"HELO again.test", "250 "), (b"EHLO again.test", "250-")],
    "data": [(b"DATA", "354 "), (OLD + b".", "250 ")],
    "bdat": [(b"BDAT %d LAST\r\n%s" % (len(OLD), OLD[:-2]), "250 ")],
    "chunk, rset": [(b"BDAT %d\r\n%s" % (len(OLD), OLD[:-2]), "250 "), (b"RSET", "250 ")],
    "chunk, ehlo": [(b"BDAT %d\r\n%s" % (len(OLD), OLD[:-2]), "250 "), (b"EHLO again.test", "250-")],
    "too large": [(b"DATA", "354 "), (b"S: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 2000 + b".", "552 ")],
    "long line": [(b"DATA", "354 "), (b"S: x\r\n\r\n" + b"x" * 2000 + b"\r\n.", "550 ")],
    "chunk too large": [(b"BDAT 200000\r\n" + b"x" * 199998, "552 "), (b"RSET", "250 ")],
    "a loop": [(b"DATA", "354 "), (b"Received: x\r\n" * 101 + b"\r\nx\r\n.", "554 ")],
    "starttls": [(b"STARTTLS", "220 ")],
}


@pytest.fixture
def pair(make_server, stub):
    return make_server("--trust", "127.0.0.1/32", conf="limits {\n greeting-delay = 0\n message-size = 100K\n}\n" + transport("away.test", stub.port)), stub


@pytest.mark.parametrize("how", ENDS)
def test_nothing_of_a_transaction_is_left(pair, how):
    server, stub = pair
    with server.smtp() as c:
        c.expect("MAIL FROM:<old@elsewhere.test> RET=HDRS ENVID=oldid SIZE=5000 BODY=8BITMIME SMTPUTF8", "250 ")
        c.expect("RCPT TO:<old@away.test> NOTIFY=NEVER ORCPT=rfc822;old@first.test", "250 ")
        for line, start in ENDS[how]:
            c.send(line + b"\r\n")
            got = c.reply()
            assert got.startswith(start), got
        if how == "starttls":
            c.start_tls()
            c.expect("EHLO again.test", "250-")
        for line in ("RCPT TO:<x@away.test>", "DATA"):
            c.expect(line, "503 5.5.1")
        c.expect("MAIL FROM:<new@elsewhere.test>", "250 ")
        c.expect("DATA", "503 5.5.1")
        c.expect("RCPT TO:<new@away.test>", "250 ")
        c.expect("DATA", "354 ")
        c.expect("Subject: new\r\n\r\nx\r\n.", "250 ")
        c.expect("DATA", "503 5.5.1")
    server.wait_empty()
    new, = [m for m in stub.messages if "new@" in m.mail]
    assert new.mail.startswith("MAIL FROM:<new@elsewhere.test> SIZE=") and not any(word in new.mail for word in ("RET", "ENVID", "BODY", "UTF8"))
    assert new.rcpt == ["RCPT TO:<new@away.test>"] and "old" not in new.text
    assert len(stub.messages) == (2 if how in ("data", "bdat") else 1)


@pytest.mark.parametrize("size", [0, 5])
def test_a_chunk_behind_a_refused_mail_belongs_to_no_message(pair, size):
    """The octets of a chunk for nobody are neither commands nor content of the next message."""
    server, stub = pair
    inside = b"RSET\r\n"[:size] + b"\r\n"
    with server.smtp() as c:
        c.expect("MAIL FROM:<@>", "501 ")
        c.send(b"BDAT %d LAST\r\n%s" % (len(inside), inside))
        assert c.reply().startswith("503 5.5.1")
        c.message("new@elsewhere.test", ["new@away.test"])
    server.wait_empty()
    assert [m.rcpt for m in stub.messages] == [["RCPT TO:<new@away.test>"]]


def test_a_session_that_was_dropped_leaves_nothing_to_the_next(pair):
    server, stub = pair
    with server.smtp() as c:
        c.expect("MAIL FROM:<old@elsewhere.test>", "250 ")
        c.expect("RCPT TO:<old@away.test>", "250 ")
        c.expect("DATA", "354 ")
        c.send(b"Subject: old\nx\r\n")
        assert drained(c).startswith(b"550 5.5.2 ")
    with server.smtp() as c:
        c.expect("DATA", "503 5.5.1")
        c.message("new@elsewhere.test", ["new@away.test"])
    server.wait_empty()
    assert ["old" in m.text for m in stub.messages] == [False]
