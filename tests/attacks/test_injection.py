# SPDX-License-Identifier: ISC
"""
Header and log injection: line ends, quotes, terminal escapes and separators through every field that a stranger fills and that ends up in a
header, a notice, a command to the next hop, or the event log.

The defences are put_special() in event/event.c, append_safe() in mail/received.c, the parsers of paths and parameters (address_parse_path(),
proto/smtp_params.c), for replies of other servers make_presentable() in base/fault.c, and behind all of them header_append() in mail/header.c.
"""
import base64
import email
import json
import re
import ssl

import pytest
from dialogue import pop
from peers import transport
from server import Talk, until

# What each payload would start, if its line end, quote or escape did what it does elsewhere.
EVIL = ["\r\nX-Injected: yes", "\nX-Injected: yes", "\rX-Injected: yes", '"},{"event":"injected"', '\\"},{\\"event\\":\\"injected\\"', "\x1b[31mX-Injected",
        "\x1b]0;injected\x07", "\x7f\x08injected", "\0injected", "\u0085X-Injected: yes", "\u009b31minjected", "\u2028X-Injected: yes", "\u202einjected",
        "=?utf-8?q?=0D=0AX-Injected:_yes?=", "%0d%0aX-Injected: yes", "+0D+0AX-Injected:+20yes", "<x@injected.test>", "> SIZE=1 BODY=8BITMIME",
        "(comment) injected", "; injected", "\tinjected", "injected\x0b\x0c", "${injected}", "%s%n%p", "\udcff\udcfeinjected"]
FIELDS = {"received", "return-path", "delivered-to", "subject", "date", "message-id", "from", "to", "mime-version", "content-type", "auto-submitted", "references",
          "in-reply-to", "dkim-signature"}


def harmless(server, stub=None):
    """Looks at everything that was written: logs, messages in mailboxes, commands that went out. Gives the texts of the messages."""
    server.wait_empty()
    for path in (server.directory / "log").rglob("events.jsonl*"):
        raw = path.read_bytes()
        assert not re.search(rb"[\0-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]", raw), path
        for line in raw.decode("utf-8").split("\n")[:-1]:
            event = json.loads(line)
            assert isinstance(event, dict) and event["event"] != "injected", line
    texts = pop(server) + pop(server, "bob@example.test") + [m.data for m in (stub.messages if stub else ())]
    for text in texts:
        head = text.split(b"\r\n\r\n", 1)[0]
        assert not re.search(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n", head), head
        assert {name.lower() for name in email.message_from_bytes(text).keys()} <= FIELDS, head
    if stub:
        assert all(re.match(r"(EHLO|MAIL FROM:<|RCPT TO:<|DATA$|QUIT$|RSET$)", line) for line in stub.lines), stub.lines
    return texts


@pytest.fixture
def world(make_server, stub):
    return make_server("--trust", "127.0.0.1/32", conf="limits {\n greeting-delay = 0\n errors-per-connection = 1000\n}\n" + transport("away.test", stub.port)), stub


def say_raw(server, *lines):
    """Each line in a session of its own, behind a greeting and, for RCPT, a sender; then a message, if there is still somebody to take it."""
    for line in lines:
        with server.smtp(hello="") as c:
            if not line.startswith("EHLO"):
                c.expect("EHLO c.test", "250-")
            if line.startswith("RCPT"):
                c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
            c.send(line.encode("utf-8", "surrogateescape") + b"\r\n")
            first = c.reply()
            if not first.startswith("250"):
                continue
            if line.startswith("EHLO"):
                c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
            for rest in ("RCPT TO:<alice@example.test>", "RCPT TO:<x@away.test>", "DATA", "Subject: t\r\n\r\nx\r\n."):
                c.ask(rest)


FORMS = ["EHLO {}", "EHLO c{}.test", "HELO {}", "EHLO [{}]", "MAIL FROM:<{}@elsewhere.test>", 'MAIL FROM:<"{}"@elsewhere.test>', "MAIL FROM:<x@{}>",
         "MAIL FROM:<x@elsewhere.test> {}", "MAIL FROM:<x@elsewhere.test> SIZE={}", "MAIL FROM:<x@elsewhere.test> BODY={}",
         "MAIL FROM:<x@elsewhere.test> ENVID={}", "MAIL FROM:<x@elsewhere.test> RET={}", "MAIL FROM:<x@elsewhere.test> AUTH={}",
         "MAIL FROM:<{}@elsewhere.test> SMTPUTF8", "@{}:x@elsewhere.test", "RCPT TO:<{}@example.test>", 'RCPT TO:<"bob+{}"@example.test>',
         "RCPT TO:<bob+{}@example.test>", "RCPT TO:<x@{}>", "RCPT TO:<x@away.test> ORCPT=rfc822;{}", "RCPT TO:<bob@example.test> ORCPT={}",
         "RCPT TO:<x@away.test> NOTIFY={}", "RCPT TO:<x@away.test> {}", 'RCPT TO:<"{}"@away.test>', "{}", "VRFY {}", "HELP {}", "NOOP {}"]


@pytest.mark.parametrize("forms", [FORMS[k::4] for k in range(4)])
def test_commands(world, forms):
    server, stub = world
    say_raw(server, *(form.format(evil) for form in forms for evil in EVIL))
    harmless(server, stub)


def xtext(text):
    return "".join(c if "!" <= c <= "~" and c not in "+=" else f"+{b:02X}" for c in text for b in c.encode("utf-8", "surrogateescape"))


def test_notices_show_what_xtext_hides_without_obeying_it(make_server, make_stub):
    """ENVID and ORCPT may hold any octet in xtext; a notice prints them decoded (RFC 3464 sections 2.2.1 and 2.3.1)."""
    stub = make_stub(replies={"RCPT": ["550 5.1.1 no", ...]})
    server = make_server(conf="limits {\n errors-per-connection = 1000\n}\n" + transport("away.test", stub.port))
    with server.submission() as c:
        for evil in EVIL:
            for parameters in ((" ENVID=" + xtext(evil), ""), ("", " ORCPT=rfc822;" + xtext(evil)), (" RET=HDRS ENVID=+0D+0A+0D+0AX", " ORCPT=x-a;+0D+0A")):
                if c.ask(f"MAIL FROM:<alice@example.test>{parameters[0]}").startswith("250"):
                    if c.ask(f"RCPT TO:<x@away.test> NOTIFY=FAILURE{parameters[1]}").startswith("250"):
                        c.expect("DATA", "354 ")
                        c.expect("Subject: t\r\n\r\nx\r\n.", "250 ")
                c.ask("RSET")
    texts = harmless(server)
    assert texts
    for text in texts:
        notice = email.message_from_bytes(text)
        assert notice.get_content_type() == "multipart/report" and len(notice.get_payload()) == 3
        about, rcpt = notice.get_payload(1).get_payload()
        assert {name.lower() for name in about.keys()} <= {"reporting-mta", "original-envelope-id", "arrival-date", "received-from-mta"}
        assert {name.lower() for name in rcpt.keys()} <= {"original-recipient", "final-recipient", "action", "status", "remote-mta", "diagnostic-code", "last-attempt-date"}
        assert not re.search(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]", text)


STEPS = ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "END"]


@pytest.mark.parametrize("step", STEPS)
def test_replies_of_other_servers(make_server, make_stub, step):
    """Their words go into events, into queue why and into notices to the sender."""
    replies = [f"{code} 5.7.1 no{evil}" for evil in EVIL[:-1] for code in ("451", "550") if "\n" not in evil] + ["550-5.1.1 a\x1b[1m\r\n550 5.1.1 b\0c\rd"]
    stubs = [make_stub(replies={step: [reply, ...]}) for reply in replies]
    server = make_server(conf="queue {\n retry-first = 1h\n}\n" + "".join(transport(f"away{k}.test", stub.port, more="tls = never") for k, stub in enumerate(stubs)))
    with server.submission() as c:
        ids = [c.message("alice@example.test", [f"x@away{k}.test"]) for k in range(len(stubs))]
    for ident in ids:
        until(lambda ident=ident: server.events("delivery.deferred", message=ident) + server.events("delivery.failed", message=ident),
              why=lambda: f"nothing was said of {ident}")
    for event in server.events("delivery.deferred") + server.events("delivery.failed"):
        assert not re.search("[\0-\x1f\x7f-\x9f\u2028\u2029\u202e]", event["text"]), event
    server.cli("queue", "drop", "--all", status=0 if server.queue() else 1)
    for text in harmless(server):
        notice = email.message_from_bytes(text)
        status = notice.get_payload(1).get_payload(1)
        assert "x-injected" not in {name.lower() for name in status.keys()}
        assert not re.search(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]", text)


def test_words_that_a_server_offers_are_not_said_to_it(make_server, make_stub):
    """Nothing of a reply to EHLO comes back in our commands."""
    stub = make_stub(extensions=("PIPELINING", "SIZE 1e9\rX", "AUTH PLAIN\x1b[1m", "LIMITS RCPTMAX=-1 MAILMAX=99999999999999999999", "SIZE 18446744073709551616", "DSN", "8BITMIME"))
    server = make_server("--trust", "127.0.0.1/32", conf=transport("away.test", stub.port))
    with server.smtp() as c:
        c.message("me@elsewhere.test", ["x@away.test"])
    stub.wait()
    assert [line for line in stub.lines if not re.fullmatch(r"[ -~]+", line)] == []
    harmless(server, stub)


@pytest.mark.parametrize("listener", ["submissions", "pop3s"])
def test_names_at_login(make_server, listener):
    server = make_server(conf="limits {\n greeting-delay = 0\n auth-failures-per-address = 10000\n auth-failures-per-account = 10000\n}\n")
    for evil in EVIL:
        name = evil.encode("utf-8", "surrogateescape")
        b64 = [base64.b64encode(x).decode() for x in (b"\0" + name + b"\0x", name + b"\0alice@example.test\0x", name, b"n,,n=" + name + b",r=abc", b"n,a=" + name + b",n=x,r=abc")]
        with Talk(server.where(listener), implicit_tls=True) as c:
            c.reply()
            if listener == "submissions":
                c.expect("EHLO c.test", "250-")
            for line in (f"AUTH PLAIN {b64[0]}", f"AUTH PLAIN {b64[1]}", f"AUTH LOGIN {b64[2]}", f"AUTH SCRAM-SHA-256 {b64[3]}", f"AUTH SCRAM-SHA-256 {b64[4]}"):
                got = c.ask(line)
                if got.startswith(("334", "+ ")):
                    got = c.ask(base64.b64encode(b"x").decode() if "LOGIN" in line else "*")
                assert got == "" or got[0] in "45-", (line, got)
                if got == "" or got.startswith("421"):
                    break
            else:
                if listener == "pop3s":
                    c.send(b"USER " + name + b"\r\nPASS x\r\n")
                    drained_some = c.reply()
                    assert drained_some[:1] in ("+", "-", "")
    harmless(server)


@pytest.mark.parametrize("evil", ["PROXY TCP4 192.0.2.7\x1b[1m 192.0.2.1 1 25\r\n", 'PROXY TCP4 192.0.2.7","event":"injected 192.0.2.1 1 25\r\n',
                                  "PROXY UNKNOWN \x1b]0;x\x07\r\n", "PROXY TCP4 192.0.2.7 192.0.2.1 1 25\r\r\n", "PROXY TCP4 192.0.2.7 192.0.2.1 1 25\nX: y\r\n",
                                  "PROXY TCP6 fe80::1%eth0 ::1 1 25\r\n", "PROXY TCP4 192.0.2.7\0 192.0.2.1 1 25\r\n", "PROXY TCP4 192.0.2.7 192.0.2.1 70000 25\r\n"])
def test_proxy_header(make_server, evil):
    server = make_server(start=False)
    server.listener_conf("mx", 'proxy-from = {"127.0.0.1/32"}')
    server.start()
    with Talk(server.where("smtp")) as c:
        c.send(evil.encode())
        got = c.reply()
        if evil.startswith("PROXY UNKNOWN"):
            assert got.startswith("220 ")
        else:
            assert got.startswith("421 ") and c.is_closed()
    server.wait_event("smtp.session.ended")
    harmless(server)


def test_names_of_a_client_in_tls(server):
    """SNI is bytes of the client's choice."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name in ("../../etc/passwd", 'a"b', "x" * 200, "${x}"):
        with server.smtp() as c:
            c.expect("STARTTLS", "220 ")
            try:
                c.socket = context.wrap_socket(c.socket, server_hostname=name)
            except (ssl.SSLError, ValueError, OSError):
                continue
    harmless(server)


def test_what_strangers_say_stays_where_it_is_put(server):
    """Control characters and quotes reach neither the trace field nor the lines of the event log."""
    for hello in ['EHLO a"b\\c', "EHLO a(b)c;d", "EHLO a\u00e9b", "EHLO <script>", 'EHLO "},{"event":"x"']:
        with server.smtp(hello="") as c:
            if c.ask(hello).startswith("250"):
                c.message("x@elsewhere.test", ["alice@example.test"])
            c.ask('MAIL FROM:<"a\\"},{\\"event\\":\\"x"@elsewhere.test>')
            c.ask('RCPT TO:<"a\\"},{\\"event\\":\\"x"@example.test>')
    texts = harmless(server)
    assert server.events("x") == [] and texts
    for text in texts:
        trace = email.message_from_bytes(text).get_all("Received")
        assert len(trace) == 2 and all(re.fullmatch(r"from [-A-Za-z0-9.?_\[\]:+/=]+ \(.*", field, flags=re.S) for field in trace), trace


def test_text_of_a_refusal_is_made_harmless(make_server, make_stub):
    stub = make_stub(replies={"RCPT": ["550 5.1.1 no\x1b[31m such\x07 user\tX", ...]})
    server = make_server(conf=transport("away.test", stub.port))
    with server.submission() as c:
        message = c.message("alice@example.test", ["x@away.test"])
    assert server.wait_event("delivery.failed", message=message)["text"] == "no?[31m such? user?X"
    server.wait_empty()
    notice = email.message_from_bytes(pop(server)[0])
    status = notice.get_payload(1).get_payload(1)
    assert (status["Action"], status["Status"], status["Final-Recipient"]) == ("failed", "5.1.1", "rfc822; x@away.test")
    assert status["Diagnostic-Code"] == "smtp; 550 5.1.1 no?[31m such? user?X"
    assert not re.search(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]", pop(server)[0])
