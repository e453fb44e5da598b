# SPDX-License-Identifier: ISC
"""X"""


def test_command_lines_have_a_limit(make_server):
    server = make_server(conf='limits {\n command-length = 1024\n}', start=False)
    server.listener_conf("submission", "command-length = 512")
    server.start()
    for listener, most in (("smtp", 1024), ("submission", 512)):
        with server.smtp(listener) as c:
            c.expect("NOOP " + "x" * (most - 7), "250 ")
            for more in (1, 2, 100, 4000):
                c.expect("NOOP " + "x" * (most - 7 + more), "500 5.5.2")
            c.expect("NOOP", "250 ")


def test_bad_bytes_in_commands(quick):
    for line in (b"NOOP \0\r\n", b"NO\rOP\r\n", b"\r\r\n"):
        with quick.smtp() as c:
            c.send(line)
            assert c.reply().startswith("500 5.5.2 "), line
            c.expect("NOOP", "250 ")
    for line in (b"NOOP\nMAIL FROM:<x@x.test>\r\n", b"\nNOOP\r\n", b"x" * 20000 + b"\nNOOP\r\n"):
        with quick.smtp() as c:
            c.send(line)
            assert c.reply().startswith("500 5.5.2 "), line
            assert c.is_closed()
    with quick.smtp() as c:
        for line in ("MAIL FROM:<\udcff@x.test>", "MAIL FROM:<\udcc3\udca9@x.test>", "EHLO \udcff", "EHLO a b", "EHLO \x07", "\udcff\udcfe"):
            assert c.ask(line)[0] == "5", line


def test_text_lines_have_a_limit(quick):
    for size, code in ((998, "250"), (999, "550"), (1002, "550"), (5000, "550")):
        for head in ("", "."):
            with quick.smtp() as c:
                start_message(c)
                got = c.ask("S: t\r\n\r\n" + head + "x" * size + "\r\n.")
                assert got.startswith(code), (size, head, got)
                c.expect("NOOP", "250 ")
