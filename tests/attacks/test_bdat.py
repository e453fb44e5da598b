# SPDX-License-Identifier: ISC
"""X"""


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"a\0b\r\n", b"a\r", b"a\r\r\n", b"\n", b"a\r\n.\n"])
def test_bdat_with_broken_lines(quick, content):
    for first in range(len(content)):
        with quick.smtp() as c:
            start_message(c, False)
            chunks = [content[:first], content[first:]]
            c.send(b"".join(b"BDAT %d%s\r\n%s" % (len(chunk), b" LAST" if k else b"", chunk) for k, chunk in enumerate(chunks)) + SMUGGLED)
            assert b"550 5.5.2 " in drained(c).splitlines()[-1]
    assert quick.events("message.accepted") == []


def test_bdat_that_cannot_be_counted_closes(quick):
    for line in ("BDAT", "BDAT x", "BDAT -1", "BDAT 18446744073709551616", "BDAT 1 LAST LAST", "BDAT 1 FIRST", "BDAT 0x10 LAST"):
        with quick.smtp() as c:
            start_message(c, False)
            c.send(line.encode() + b"\r\n" + SMUGGLED)
            assert re.fullmatch(rb"501 5\.5\.4 [^\r\n]+\r\n", drained(c))
    with quick.smtp() as c:
        start_message(c, False)
        c.expect("BDAT 0 LAST", "250 2.0.0 accepted")
        start_message(c, False)
        c.expect("BDAT 5\r\nabc", "250 2.0.0 ")
        c.expect("DATA", "503 5.5.1")
        c.expect("RCPT TO:<bob@example.test>", "503 5.5.1")
        c.expect("MAIL FROM:<bob@example.test>", "503 5.5.1")
        c.expect("RSET", "250 ")
