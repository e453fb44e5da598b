# SPDX-License-Identifier: ISC
"""X"""


@pytest.mark.parametrize("first", [b"STARTTLS\r\n", b"EHLO x\r\n", b"HELO x\r\n"])
def test_what_comes_before_the_reply_is_not_obeyed(quick, first):
    behind = b"MAIL FROM:<x@elsewhere.test>\r\nNOOP\r\n"
    with quick.smtp() as c:
        c.send(first + behind)
        got = drained(c)
        assert got.count(b"\r\n") == 1 and got.startswith(b"554 5.5.0 "), got
    for at in range(1, len(first)):
        with quick.smtp() as c:
            c.send(first[:at])
            time.sleep(0.002)
            c.send(first[at:] + b"NOOP\r\n")
            got = drained(c)
            assert got.count(b"\r\n") == 1 and got.startswith(b"554 5.5.0 "), got
