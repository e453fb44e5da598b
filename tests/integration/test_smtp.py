# SPDX-License-Identifier: ISC
"""Taking mail in: who may what, the limits, and input that is refused, on the wire."""
import base64
import re
import socket

import pytest
from peers import transport
from server import PASSWORD, Smtp, Talk, until


def test_nobody_relays_unknown(server):
    with server.smtp() as c:
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        assert c.ask("RCPT TO:<b@other.test>") == "550 5.7.1 relaying denied"
        assert c.ask("RCPT TO:<b%other.test@far.test>") == "550 5.7.1 relaying denied"
        assert c.ask('RCPT TO:<"b@other.test"@far.test>') == "550 5.7.1 relaying denied"
        assert c.ask("RCPT TO:<@example.test:b@other.test>") == "550 5.7.1 relaying denied"
        assert c.ask("RCPT TO:<nobody@example.test>") == "550 5.1.1 no such user here"
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("RCPT TO:<Bob+lists@EXAMPLE.test>", "250 ")
        c.expect("RCPT TO:<postmaster>", "250 ")


def test_trusted_network_relays(make_server):
    server = make_server("--trust", "127.0.0.1/32")
    with server.smtp() as c:
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        c.expect("RCPT TO:<b@other.test>", "250 ")


def test_submission_needs_tls_then_login(server):
    with server.smtp("submission") as c:
        assert "AUTH" not in c.hello and "STARTTLS" in c.hello
        c.expect("MAIL FROM:<alice@example.test>", "530 5.7.0")
        c.expect("AUTH PLAIN AGEAYg==", "5")
        c.upgrade()
        assert "STARTTLS" not in c.hello and "AUTH " in c.hello
        c.expect("MAIL FROM:<alice@example.test>", "530 5.7.0")


@pytest.mark.parametrize("name", ["submission", "submissions"])
def test_login_mechanisms(server, name):
    for mechanism in ("PLAIN", "LOGIN"):
        with server.smtp(name) as c:
            if name == "submission":
                c.upgrade()
            if mechanism == "PLAIN":
                c.login("alice@example.test")
            else:
                c.expect("AUTH LOGIN", "334 ")
                c.expect(base64.b64encode(b"alice@example.test").decode(), "334 ")
                c.expect(base64.b64encode(PASSWORD.encode()).decode(), "235 ")


def test_login_takes_the_name_with_the_command(server):
    """As .NET and many devices send it: a second question for the name would be answered with the password."""
    name, password = base64.b64encode(b"alice@example.test").decode(), base64.b64encode(PASSWORD.encode()).decode()
    with server.smtp("submissions") as c:
        c.expect(f"AUTH LOGIN {name}", "334 UGFzc3dvcmQ=")
        c.expect(password, "235 ")
    with Talk(server.where("pop3s"), implicit_tls=True) as c:
        c.reply()
        c.expect(f"AUTH LOGIN {name}", "+ UGFzc3dvcmQ=")
        c.expect(password, "+OK")


def test_authenticated_sender_uses_its_own_addresses_only(server):
    server.cli("alias", "add", "sales@example.test", "alice@example.test")
    with server.submission() as c:
        for address, start in (("alice@example.test", "250 "), ("alice+x@example.test", "250 "), ("sales@example.test", "250 "),
                               ("", "250 "), ("bob@example.test", "550 5.7.1"), ("alice@far.test", "550 5.7.1")):
            c.expect(f"MAIL FROM:<{address}>", start)
            c.expect("RSET", "250 ")


def test_failed_logins_are_limited(make_server):
    server = make_server(conf="limits {\n auth-failures-per-address = 3\n}\n", start=False)
    server.start()
    wrong = base64.b64encode(b"\0alice@example.test\0wrong").decode()
    answers = []
    for _ in range(2):
        with server.smtp("submissions") as c:
            answers += [c.ask(f"AUTH PLAIN {wrong}") for _ in range(2)]
    assert answers[0].startswith("535 5.7.8") and answers[2].startswith("535 5.7.8")
    with server.smtp("submissions") as c:
        right = base64.b64encode(f"\0alice@example.test\0{PASSWORD}".encode()).decode()
        assert not c.ask(f"AUTH PLAIN {right}").startswith("235")


def test_unknown_and_known_users_fail_alike(server):
    """With the same words; that it is the same work, too, is shown in tests/unit/test_directory.c."""
    answers = []
    for user in ("alice@example.test", "nobody@example.test"):
        with server.smtp("submissions") as c:
            answers.append(c.ask("AUTH PLAIN " + base64.b64encode(f"\0{user}\0wrong".encode()).decode()))
    assert answers[0] == answers[1]
    assert answers[0].startswith("535 5.7.8")


@pytest.mark.parametrize("text, reply", [
    (b"Subject: x\r\n\r\na\nb\r\n.\r\n", "5"),
    (b"Subject: x\r\n\r\na\rb\r\n.\r\n", "5"),
    (b"Subject: x\r\n\r\na\0b\r\n.\r\n", "5"),
    (b"Subject: x\r\n\r\na\n.\r\nMAIL FROM:<evil@far.test>\r\n.\r\n", "5"),
    (b"Subject: x\r\n\r\na\r\n.\nMAIL FROM:<evil@far.test>\r\n.\r\n", "5"),
    (b"Subject: x\r\n\r\n" + b"a" * 1001 + b"\r\n.\r\n", "5"),
])
def test_broken_content_is_refused_and_smuggles_nothing(server, text, reply):
    with server.smtp() as c:
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("DATA", "354 ")
        c.send(text)
        assert c.reply().startswith(reply)
    assert server.queue() == []
    assert server.events("message.accepted") == []


def test_bytes_behind_starttls_close_the_connection(server):
    with server.smtp("submission") as c:
        c.send(b"STARTTLS\r\nEHLO evil.test\r\n")
        assert c.reply().startswith("5")
        assert c.is_closed()


@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "POST / HTTP/1.0", "CONNECT a:25 HTTP/1.1"])
def test_http_is_dropped(server, line):
    with server.smtp(hello=None) as c:
        assert c.ask(line).startswith("5")
        assert c.is_closed()


def test_early_talkers_are_dropped(make_server):
    server = make_server(conf="limits {\n greeting-delay = 2s\n}\n")
    with Talk(server.where("smtp")) as c:
        c.send(b"EHLO early.test\r\n")
        assert c.reply().startswith("554 ")
        assert c.is_closed()


def test_size_limit(make_server):
    server = make_server(conf="limits {\n message-size = 64K\n}\n")
    with server.smtp() as c:
        assert "SIZE 65536" in c.hello
        c.expect("MAIL FROM:<a@far.test> SIZE=65537", "552 5.3.4")
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("DATA", "354 ")
        c.send(b"a" * 900 + b"\r\n")
        c.send((b"a" * 900 + b"\r\n") * 80 + b".\r\n")
        assert c.reply().startswith("552 5.3.4")
        c.expect("NOOP", "250 ")


def test_recipient_limit(make_server):
    server = make_server("--trust", "127.0.0.1/32", conf="limits {\n recipients = 100\n}\n")
    with server.smtp() as c:
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        for k in range(100):
            c.expect(f"RCPT TO:<u{k}@far.test>", "250 ")
        c.expect("RCPT TO:<more@far.test>", "452 4.5.3")


def test_messages_and_errors_of_a_connection_are_limited(make_server):
    server = make_server(conf="limits {\n messages-per-connection = 1\n errors-per-connection = 3\n}\n")
    with server.smtp() as c:
        c.message("a@far.test", ["bob@example.test"])
        assert c.ask("MAIL FROM:<a@far.test>")[:1] in "45"
    with server.smtp() as c:
        answers = [c.ask("FOO") for _ in range(3)]
        assert answers[0].startswith("500 ") and answers[-1].startswith(("421 ", "500 "))
        assert c.is_closed()


def test_guessing_addresses_ends_the_connection(make_server):
    server = make_server("--trust", "127.0.0.2/32", conf="limits {\n errors-per-connection = 3\n}\n")
    with server.smtp() as c:
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("RCPT TO:<u1@example.test>", "550 5.1.1")
        c.expect("RCPT TO:<u2@example.test>", "550 5.1.1")
        c.expect("RCPT TO:<u3@example.test>", "421 4.7.0")
        assert c.is_closed()
    assert server.wait_event("smtp.session.dropped")["reply"] == 421
    assert len(server.events("smtp.rcpt.refused")) == 3


def test_trusted_clients_may_err_about_recipients(make_server):
    server = make_server("--trust", "127.0.0.1/32", conf="limits {\n errors-per-connection = 3\n}\n")
    with server.smtp() as c:
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        for k in range(5):
            c.expect(f"RCPT TO:<u{k}@example.test>", "550 5.1.1")
        c.expect("RCPT TO:<bob@example.test>", "250 ")


@pytest.mark.parametrize("lines", [["NOOP"], ["RSET"], ["VRFY x", "HELP"], ["MAIL FROM:<a@far.test>", "RSET"], ["what"]])
def test_commands_of_an_address_are_limited(make_server, lines):
    """All of them, in one session or many; loopback addresses are exempt, so a proxy stands in front."""
    server = make_server(start=False, conf="limits {\n commands-per-minute = 30\n errors-per-connection = 1000\n}\n")
    server.listener_conf("mx", 'proxy-from = {"127.0.0.1/32"}')
    server.start()

    def session():
        """Says 20 commands more; gives the last reply."""
        with Talk(server.where("smtp")) as c:
            c.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n")
            c.reply()
            c.expect("EHLO client.test", "250-")
            c.send("".join(lines[k % len(lines)] + "\r\n" for k in range(20)).encode())
            c.socket.shutdown(socket.SHUT_WR)
            return c.file.read().decode().splitlines()[-1]

    assert not session().startswith("421")
    assert session() == "421 4.7.0 too many commands from your address, try again in a minute"


def test_sessions_of_the_listener_are_limited(make_server):
    server = make_server(conf="limits {\n sessions = 2\n}\n")
    with server.smtp(), server.smtp():
        with Talk(server.where("smtp")) as c:
            assert c.reply().startswith("421 4.3.2")
    until(lambda: not Talk(server.where("smtp")).reply().startswith("421"))


def test_command_timeout(make_server):
    server = make_server(conf="limits {\n command-timeout = 1s\n}\n")
    with server.smtp() as c:
        assert c.reply().startswith("421 4.4.2")
        assert c.is_closed()


def test_disk_low_is_452(make_server):
    server = make_server(conf="queue {\n disk-reserve = 1024G\n}\n")
    server.wait_event("disk.low")
    with server.smtp() as c:
        c.expect("MAIL FROM:<a@far.test>", "452 4.3.1")


def test_trouble_with_the_disk_is_told_without_paths(server):
    """Strangers hear what to do; the operator finds the reason among the events."""
    bodies = server.directory / "spool" / "bodies"
    bodies.rename(server.directory / "spool" / "away")
    bodies.write_text("in the way")
    with server.smtp() as c:
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("DATA", "354 ")
        assert c.ask("Subject: large\r\n\r\n" + ("x" * 76 + "\r\n") * 20000 + ".") == "451 4.3.0 Local trouble, try again later"
    assert "spool/bodies/" in server.wait_event("message.refused")["text"]
    bodies.unlink()
    (server.directory / "spool" / "away").rename(bodies)


def test_looping_message_is_stopped(server):
    received = "Received: from a by b; Mon, 01 Jan 2024 00:00:00 +0000\r\n"
    with server.smtp() as c:
        c.message("a@far.test", ["bob@example.test"], received * 99 + "\r\nx\r\n")
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("DATA", "354 ")
        assert c.ask(received * 101 + "\r\nx\r\n.").startswith("554 5.4.6")


def test_proxy_header_gives_the_address(make_server):
    server = make_server(start=False)
    server.listener_conf("mx", 'proxy-from = {"127.0.0.1/32"}')
    server.start()
    with Talk(server.where("smtp")) as c:
        c.send(b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 25\r\n")
        assert c.reply().startswith("220 ")
        c.expect("EHLO x.test", "250-")
        c.expect("QUIT", "221 ")
    assert server.wait_event("smtp.session.ended")["client"] == "192.0.2.7:4711"


def test_chunking_and_pipelining(make_server, stub):
    server = make_server("--trust", "127.0.0.1/32", conf=transport("far.test", stub.port))
    with server.smtp() as c:
        c.send(b"MAIL FROM:<a@far.test>\r\nRCPT TO:<b@far.test>\r\nBDAT 12\r\nSubject: x\r\nBDAT 7 LAST\r\n\r\n.\r\n\r\nNOOP\r\n")
        assert [c.reply()[:3] for _ in range(5)] == ["250"] * 5
    assert stub.wait()[0].text.endswith("Subject: x\r\n\r\n.\r\n\r\n")


def test_vrfy_expn_help_are_safe(server):
    with server.smtp() as c:
        assert c.ask("VRFY bob").startswith("252 ")
        assert c.ask("EXPN list").startswith(("502 ", "550 ", "252 "))
        assert c.ask("HELP").startswith("214")


def test_submission_repairs_the_header(make_server, stub):
    server = make_server(conf=transport("far.test", stub.port))
    with server.submission() as c:
        c.message("alice@example.test", ["you@far.test"], "From: alice@example.test\r\nBcc: secret@far.test\r\nSubject: s\r\n\r\nx\r\n")
    text = stub.wait()[0].text
    assert "secret@far.test" not in text
    signatures, received = text.split("Received: ", 1)
    assert received and re.fullmatch(r"(DKIM-Signature: [^\r]*\r\n([ \t][^\r]*\r\n)*)+", signatures)
    head = text.split("\r\n\r\n")[0]
    assert "\r\nDate: " in head and "\r\nMessage-ID: <" in head and "@mail.example.test>" in head


@pytest.mark.parametrize("text,hidden", [
    ("Subject: s\r\nResent-Bcc: secret@far.test\r\n\r\nbody\r\n", True),  # RFC 5322 section 3.6.6
    ("Date: d\r\nMessage-ID: <i>\r\nResent-Bcc: secret@far.test\r\n\r\nbody\r\n", True),
    ("Subject: s\r\nno field\r\nBcc: secret@far.test\r\n\r\nbody\r\n", False),
    ("Date: d\r\nMessage-ID: <i>\r\nno field\r\nBcc: secret@far.test\r\n\r\nbody\r\n", False)])
def test_submission_shows_no_blind_copy_in_the_header(make_server, stub, text, hidden):
    server = make_server(conf=transport("far.test", stub.port))
    with server.submission() as c:
        c.message("alice@example.test", ["you@far.test"], text)
    head, _, body = stub.wait()[0].text.partition("\r\n\r\n")
    assert "secret@far.test" not in head and "\r\nDate: " in head
    assert body == "body\r\n" if hidden else body.startswith("no field\r\nBcc:")


@pytest.mark.parametrize("way", ["submission", "smtp", "lmtp"])
def test_a_message_without_a_header_keeps_its_text(server, way):
    """What stands behind the trace fields without an empty line would be taken for a header, or for the end of the last field."""
    texts = ["hello world\r\nBcc: x\r\n", " by another.test; today\r\nSubject: s\r\n\r\nx\r\n", "\r\nhello\r\n", "Subject: s\r\n\r\nhello\r\n"]
    for text in texts:
        with server.submission() if way == "submission" else server.smtp() if way == "smtp" else lmtp_client(server) as c:
            c.expect("MAIL FROM:<alice@example.test>", "250 ")
            c.expect("RCPT TO:<bob@example.test>", "250 ")
            c.expect("DATA", "354 ")
            c.expect(text + ".", "250 ")
        server.wait_empty()
    with Talk(server.where("pop3s"), implicit_tls=True) as c:
        c.reply()
        c.expect("USER bob@example.test", "+OK")
        c.expect(f"PASS {PASSWORD}", "+OK 4 ")
        for number, text in enumerate(texts, 1):
            c.expect(f"RETR {number}", "+OK")
            head, _, body = b"".join(iter(c.file.readline, b".\r\n")).decode().partition("\r\n\r\n")
            assert all(line.startswith((" ", "Return-Path:", "Delivered-To:", "Received:", "Date:", "Message-ID:", "Subject:"))
                       for line in head.split("\r\n")), head
            assert " by another" not in head and body == {2: "hello\r\n", 3: "hello\r\n"}.get(number - 1, text)


def lmtp_client(server):
    client = Talk(str(server.directory / "ctl" / "lmtp.sock"))
    client.reply()
    client.expect("LHLO client.test", "250-")
    return client


def test_local_socket_needs_no_login_and_mx_gives_none(server):
    with Smtp(str(server.directory / "ctl" / "submit.sock")) as c:
        c.expect("MAIL FROM:<root@example.test>", "250 ")
        c.expect("RCPT TO:<x@far.test>", "250 ")
    with server.smtp() as c:
        assert "AUTH" not in c.hello
        c.expect("AUTH PLAIN AGEAYg==", "5")


def test_connection_reset_leaves_no_trace(server):
    c = server.smtp()
    c.expect("MAIL FROM:<a@far.test>", "250 ")
    c.expect("RCPT TO:<bob@example.test>", "250 ")
    c.expect("DATA", "354 ")
    c.send(b"Subject: half\r\n")
    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    c.close()
    server.wait_event("smtp.session.ended")
    assert server.queue() == []


@pytest.mark.parametrize("last", ["X-Last: x\r\nBcc: hidden@far.test\r\n\r\nbody\r\n", "\r\nbody\r\n"])
def test_a_header_section_too_large_to_be_repaired_is_refused(server, last):
    """Bcc behind the part that is looked at would be sent to everybody; one that fits is taken, however long the body is."""
    fill = "X-Fill: " + "x" * 900 + "\r\n"
    with server.submission() as c:
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("DATA", "354 ")
        c.expect(fill * 1200 + last + ".", "552 5.3.4 the header section is larger than 1048576 bytes")
        c.message("alice@example.test", ["bob@example.test"], fill * 1000 + "\r\n" + fill * 1000)
