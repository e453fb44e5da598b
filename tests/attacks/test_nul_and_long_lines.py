# SPDX-License-Identifier: ISC
"""
NUL and over-long lines, everywhere that lines are read: each command, the header and the body, POP3, LMTP, the control socket, the
configuration and the directory's text.

The defences are run_line() and start_drain() in proto/smtp_server.c, dotline_scan() with its limit, the bounded line of proto/pop3_server.c,
read_request() and control_parse() in role/control.c, conf_scan and conf_parse() for the configuration.
"""
import itertools
import json
import socket

import pytest
from dialogue import drained, plain, pop_login, start_message
from server import IS_SANITIZED, PASSWORD, Talk

VERBS = ["EHLO c.test", "HELO c.test", "MAIL FROM:<x@elsewhere.test>", "RCPT TO:<alice@example.test>", "DATA", "BDAT 5 LAST", "RSET", "NOOP", "VRFY alice",
         "EXPN all", "HELP", "STARTTLS", "AUTH PLAIN AGEAYg==", "QUIT", "XYZZY"]


@pytest.fixture
def quick(make_server):
    return make_server(conf="limits {\n greeting-delay = 0\n errors-per-connection = 1000\n}\n")


def nul_places(line):
    return {line[:at] + b"\0" + line[at:] for at in (0, 1, len(line) // 2, len(line) - 1, len(line))}


@pytest.mark.parametrize("listener", ["smtp", "lmtp"])
def test_a_command_with_a_nul_is_not_run(quick, listener):
    for line in (line for verb in VERBS for line in nul_places(verb.encode())):
        with Talk(str(quick.directory / "ctl" / "lmtp.sock")) if listener == "lmtp" else quick.smtp(hello="") as c:
            if listener == "lmtp":
                c.reply()
            c.expect("LHLO x.test" if listener == "lmtp" else "EHLO x.test", "250-")
            c.send(line + b"\r\n")
            assert c.reply().startswith("500 5.5.2 "), line
            c.expect("NOOP", "250 ")
            c.expect("DATA", "503 ")


@pytest.mark.parametrize("listener", ["smtp", "lmtp"])
def test_a_command_without_an_end_is_dropped_and_the_next_is_run(quick, listener):
    for verb, size in itertools.product(VERBS, (13000, 100000, 3000000)):
        with Talk(str(quick.directory / "ctl" / "lmtp.sock")) if listener == "lmtp" else quick.smtp(hello="") as c:
            if listener == "lmtp":
                c.reply()
            c.expect("LHLO x.test" if listener == "lmtp" else "EHLO x.test", "250-")
            c.send(verb.encode() + b" " + b"x" * size + b"\r\n")
            assert c.reply().startswith("500 5.5."), (verb, size)
            c.expect("NOOP", "250 ")
            c.expect("DATA", "503 ")


@pytest.mark.skipif(IS_SANITIZED, reason="sanitizers keep what was freed")
def test_a_line_that_never_ends_takes_no_memory(quick):
    """64 MiB into a command, into AUTH's answer, into a body's line: the role stays as small as it was."""
    def resident():
        pid = quick.role("mta") or quick.process.pid
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096

    with quick.smtp("submissions") as a, quick.smtp() as b, quick.smtp() as c:
        start_message(b)
        a.expect("AUTH PLAIN", "334 ")
        before = resident()
        for _ in range(64):
            for talk in (a, b, c):
                talk.send(b"x" * (1 << 20))
        assert resident() - before < 24 << 20
        a.expect("", "500 5.5.6")
        c.expect("", "500 5.5.2")
        b.expect("\r\n.", "55")


@pytest.mark.parametrize("content", [b"\0", b"\0S: x\r\n\r\nx\r\n", b"S\0: x\r\n\r\nx\r\n", b"S: x\0\r\n\r\nx\r\n", b"S: x\r\n\0\r\nx\r\n", b"S: x\r\n\r\n\0x\r\n", b"S: x\r\n\r\nx\0",
                                     b"S: x\r\n\r\nx\r\0\n", b"S: x\r\n\r\nx\r\n\0"])
def test_a_message_with_a_nul_is_refused(quick, content):
    for listener in ("smtp", "lmtp"):
        for is_chunk in (False, True):
            with Talk(str(quick.directory / "ctl" / "lmtp.sock")) if listener == "lmtp" else quick.smtp() as c:
                if listener == "lmtp":
                    c.reply()
                    c.expect("LHLO x.test", "250-")
                start_message(c, not is_chunk)
                c.send(b"BDAT %d LAST\r\n%s" % (len(content), content) if is_chunk else content + b"\r\n.\r\n")
                assert b"550 5.5.2 " in drained(c).splitlines()[-1]
    assert quick.events("message.accepted") == []


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


POP3 = ["CAPA", "USER alice@example.test", "PASS secret", "AUTH PLAIN", "AUTH SCRAM-SHA-256", "STLS", "STAT", "LIST 1", "RETR 1", "DELE 1", "NOOP", "RSET", "UIDL 1",
        "TOP 1 0", "QUIT", "XYZZY"]


@pytest.mark.parametrize("is_open", [False, True])
def test_pop3_runs_neither(quick, is_open):
    for verb in POP3:
        for line in [*nul_places(verb.encode()), verb.encode() + b" " + b"x" * 300, verb.encode() + b" " + b"x" * 1000000]:
            c = pop_login(quick) if is_open else Talk(quick.where("pop3s"), implicit_tls=True)
            with c:
                if not is_open:
                    c.reply()
                c.send(line + b"\r\n")
                assert c.reply().startswith("-ERR"), line[:40]
                assert c.ask("NOOP" if is_open else "CAPA").startswith("+OK"), line[:40]
                if is_open:
                    c.expect("QUIT", "+OK")


def test_pop3_takes_no_nul_in_a_login(quick):
    """A C string ends there: alice\\0x is not alice, and secret\\0x is not her password."""
    for user, password in (("alice@example.test\0x", PASSWORD), ("alice@example.test", PASSWORD + "\0x"), ("alice@example.test", PASSWORD + "\0")):
        with Talk(quick.where("pop3s"), implicit_tls=True) as c:
            c.reply()
            c.expect(f"AUTH PLAIN {plain(user, password)}", "-ERR")
        with quick.smtp("submissions") as c:
            assert c.ask(f"AUTH PLAIN {plain(user, password)}").startswith(("535 ", "501 "))


def control(server, role, data):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(str(server.directory / "ctl" / role / "sock"))
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass
        got = b""
        try:
            while piece := s.recv(65536):
                got += piece
        except ConnectionError:
            pass
        return got.splitlines()


@pytest.mark.parametrize("role", ["mta", "mda"])
def test_control_socket_refuses_both(server, role):
    good = b'{"verb":"status"}\n'
    first = control(server, role, good)
    for data in [b"\0\n", b'{"verb":"status\0"}\n', b'{"verb":"status\\u0000"}\n', b'{"verb\\u0000":"status"}\n', b'\0{"verb":"status"}\n', b"x" * (3 << 20), b"{" * 100000 + b"\n",
                 b'{"verb":"' + b"x" * (2 << 20) + b'"}\n', b'{"verb":"x","y":' + b"[" * 9 + b"]" * 9 + b"}\n", b"", b"\n", b"[]\n", b'{"verb":"status"', b"\xff\n"]:
        lines = [json.loads(line) for line in control(server, role, data)]
        assert len(lines) <= 1 and all(line["error"] and line["reply"] == 500 for line in lines), (data[:40], lines)
    assert json.loads(control(server, role, b'{"verb":1}\n')[0])["reply"] == 502
    assert [sorted(json.loads(line)) for line in control(server, role, good)] == [sorted(json.loads(line)) for line in first]


def test_configuration_refuses_both(server):
    """With the line where it stands, and the server goes on with what it has."""
    text = server.conf.read_bytes()
    for bad in (b"\0", b'hostname = "a\0b"\n', b"# \0\n", b"x" * 100000, b"x" * 100000 + b" = 1\n", b'greeting = "' + b"x" * 3000000 + b'"\n',
                b"limits {" * 10000, b'"' + b"\\" * 100001):
        server.conf.write_bytes(text + bad)
        assert "eilbote.conf:" in server.cli("check", status=1)
        assert "eilbote.conf:" in server.cli("reload", status=1)
    server.conf.write_bytes(text)
    server.cli("check", status=0)
    with server.smtp() as c:
        c.message("x@elsewhere.test", ["alice@example.test"])


def test_directory_text_refuses_both(server):
    before = server.cli("directory", "export")
    for bad in ("user a\0b@example.test\n", "domain a\0.test\n", "alias x@example.test a\0@b.test\n", "user " + "x" * 100000 + "@example.test\n", "x" * 3000000 + "\n", "\0\n"):
        server.cli("directory", "apply", "-", stdin=before + bad, status=1)
    assert server.cli("directory", "export") == before
