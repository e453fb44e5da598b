# SPDX-License-Identifier: ISC
"""What strangers try: smuggling, relaying, guessing, injecting, and breaking off."""
import base64
import email
import itertools
import re
import socket
import time

import pytest
from peers import transport
from server import PASSWORD, Talk


def drained(talk):
    """All that comes until the server closes, be it with a reset."""
    got = b""
    try:
        while piece := talk.socket.recv(65536):
            got += piece
    except ConnectionError:
        pass
    return got


@pytest.fixture
def quick(make_server):
    """A server that does not let strangers wait for its greeting."""
    return make_server(conf="limits {\n greeting-delay = 0\n}")


def pop(server, user="alice@example.test"):
    """The text of every message in a mailbox."""
    with Talk(server.where("pop3s"), implicit_tls=True) as talk:
        assert talk.reply().startswith("+OK")
        talk.expect(f"USER {user}", "+OK")
        talk.expect(f"PASS {PASSWORD}", "+OK")
        count = int(talk.expect("STAT", "+OK").split()[1])
        texts = []
        for number in range(1, count + 1):
            talk.expect(f"RETR {number}", "+OK")
            lines = []
            while (line := talk.file.readline()) != b".\r\n":
                lines.append(line)
            texts.append(b"".join(lines))
        return texts


# ------------------------------------------------------------------------------------------- who gets mail

def test_empty_local_part_does_not_answer_for_the_domain(server):
    with server.smtp() as c:
        c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
        c.expect('RCPT TO:<""@example.test>', "550 5.1.1")
        c.expect("RCPT TO:<alice@example.test>", "250 ")
        c.expect("RCPT TO:<nobody@example.test>", "550 5.1.1")


def test_empty_local_part_with_a_catch_all(server):
    server.cli("alias", "add", "@example.test", "bob@example.test")
    with server.smtp() as c:
        c.message("x@elsewhere.test", ['""@example.test'])
        c.message("x@elsewhere.test", ["alice@example.test"], "Subject: to alice\r\n\r\n\r\n")
    server.wait_empty()
    assert [b"to alice" in text for text in pop(server)] == [True]
    assert len(pop(server, "bob@example.test")) == 1


@pytest.mark.parametrize("local", [r'bob+x y', r'bob+> SIZE=1', r'bob+\"', r'bob+a@b', 'bob+..', 'bob+"'])
def test_quoted_local_parts_stay_quoted(server, local):
    quoted = '"' + re.sub(r'(["])', r'\\\1', local.replace("\\", "")) + '"'
    with server.smtp() as c:
        c.message("x@elsewhere.test", [f"{quoted}@example.test"])
    server.wait_empty()
    assert [f"Delivered-To: {quoted}@example.test\r\n".encode() in text for text in pop(server, "bob@example.test")] == [True]


def test_postmaster_without_domain(server):
    with server.smtp() as c:
        c.message("x@elsewhere.test", ["postmaster"])
    server.wait_empty()
    assert len(pop(server)) == 1


def test_endless_recipients_do_not_fill_the_memory(make_server):
    server = make_server(conf="limits {\n errors-per-connection = 1000000\n}")
    line = b"RCPT TO:<" + b"x" * 60 + b"@" + b"elsewhere." * 17 + b"test>\r\n"
    with server.smtp() as c:
        c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
        for _ in range(600):
            c.send(line * 100)
            for _ in range(100):
                assert c.reply().startswith("550 5.7.1")
        c.expect("RCPT TO:<alice@example.test>", "250 ")


def test_an_alias_of_many(server):
    """As an attacker would use the largest list there is, again and again in one transaction."""
    targets = [f"{'x' * 40}{number}@{'y' * 60}.elsewhere.test" for number in range(9000)]
    text = server.cli("directory", "export")
    server.cli("directory", "apply", "-", stdin=text + "".join(f"alias all@example.test {target}\n" for target in targets))
    with server.smtp() as c:
        c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
        c.expect("RCPT TO:<all@example.test>", "250 ")
        for _ in range(30):
            c.expect("RCPT TO:<all@example.test>", "452 4.5.3")
        c.expect("RCPT TO:<alice@example.test>", "250 ")
        c.expect("RSET", "250 ")


def test_a_recipient_named_again_gets_one_message(make_server, stub):
    """By the client or by aliases: nobody's mailbox is filled by a client that says its name a thousand times."""
    server = make_server(conf=transport("away.test", stub.port))
    server.cli("alias", "add", "all@example.test", "alice@example.test", "bob@example.test")
    with server.submission() as c:
        c.message("alice@example.test", ["bob@example.test"] * 3 + ["all@example.test"] * 2 + ["x@away.test"] * 2)
        c.message("alice@example.test", ["x@away.test"], rcpt=" NOTIFY=NEVER")
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        for notify in ("FAILURE ORCPT=rfc822;a@away.test", "FAILURE ORCPT=rfc822;b@away.test", "NEVER"):
            c.expect(f"RCPT TO:<x@away.test> NOTIFY={notify}", "250 ")
        c.expect("DATA", "354 ")
        c.expect("Subject: reports\r\n\r\n.", "250 ")
    server.wait_empty()
    assert len(pop(server)) == 1 and len(pop(server, "bob@example.test")) == 1
    assert sorted(len(m.rcpt) for m in stub.messages) == [1, 1, 3]


def test_an_alias_passes_on_what_was_asked_for(make_server, stub):
    server = make_server(conf=transport("away.test", stub.port))
    server.cli("alias", "add", "team@example.test", "x@away.test")
    with server.smtp() as c:
        c.message("x@elsewhere.test", ["team+a=b@example.test"])
        c.message("x@elsewhere.test", ['"team+a b"@example.test'])
    stub.wait(2)
    assert sorted(m.rcpt for m in stub.messages) == [['RCPT TO:<x@away.test> ORCPT=rfc822;"team+2Ba+20b"@example.test'],
                                                     ["RCPT TO:<x@away.test> ORCPT=rfc822;team+2Ba+3Db@example.test"]]


RELAYED = ["x%other.test@[127.0.0.2]", "alice@[127.0.0.2]", "x@example.test.other.test", "x@sub.example.test", "x@relay.test.other.test",
           "x@notrelay.test", '"x@other.test"@other.test', "@example.test:x@other.test", "@other.test,@example.test:x@other.test",
           "x@[IPv6:::1]", "x@xample.test"]
UNKNOWN = ["x%other.test@example.test", '"x@other.test"@example.test', "@other.test:x@example.test", "other.test!x@example.test",
           "x%other.test@EXAMPLE.TEST", "x%other.test@[127.0.0.1]"]
BROKEN = ["x@example.test.", "x@", "@", "@example.test", "x@example.test@other.test", "x@other.test@example.test", "x@@example.test",
          "x@.test", "x@example..test", "x@other.test:x@example.test", "x y@example.test", '"x@example.test', "x@[127.0.0.1", "x@[300.1.1.1]"]


@pytest.mark.parametrize("listener", ["smtp"])
def test_nobody_relays(make_server, listener):
    server = make_server(conf='relay-domains = { "relay.test" }')
    with server.smtp(listener) as c:
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        c.expect("RCPT TO:<x@relay.test>", "250 ")
        c.expect("RCPT TO:<x@RELAY.test>", "250 ")
        for address in RELAYED:
            c.expect(f"RCPT TO:<{address}>", "550 5.7.1")
        c.expect("RCPT TO:<x@relay.test> ORCPT=rfc822;x@other.test", "250 ")
    with server.smtp(listener) as c:
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        for address in UNKNOWN:
            c.expect(f"RCPT TO:<{address}>", "550 5.1.1")
    with server.smtp(listener) as c:
        c.expect("MAIL FROM:<alice@example.test> SMTPUTF8", "250 ")
        for address in BROKEN:
            c.expect(f"RCPT TO:<{address}>", "501 5.1.3")
        c.expect("RCPT TO:<x@ex\u0430mple.test>", "550 5.7.1")
        c.expect("RCPT TO:<x@example\u3002test>", "5")


def test_a_login_sends_only_as_itself(server):
    server.cli("alias", "add", "sales@example.test", "alice@example.test")
    with server.submission() as c:
        for good in ("alice@example.test", "ALICE@Example.TEST", "alice+x@example.test", "sales@example.test", '"alice"@example.test', ""):
            c.expect(f"MAIL FROM:<{good}>", "250 ")
            c.expect("RSET", "250 ")
        for bad in ("bob@example.test", "alice@other.test", "alice@sub.example.test", "bob+alice@example.test", '"alice@example.test"@other.test',
                    "alice%example.test@example.test", "@example.test:bob@example.test", "alice@[127.0.0.1]"):
            c.expect(f"MAIL FROM:<{bad}>", "550 5.7.1")


# ---------------------------------------------------------------------------------------------- logging in

def plain(user, password=PASSWORD, act_as=""):
    return base64.b64encode(f"{act_as}\0{user}\0{password}".encode()).decode()


def test_a_locked_account_does_not_tell_which_password_is_right(make_server):
    server = make_server(conf="limits {\n auth-failures-per-account = 3\n auth-failures-per-address = 1000\n}")
    with server.smtp("submissions") as c:
        c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "535 ")
        c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "535 ")
    with server.smtp("submissions") as c:
        c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "535 ")
        wrong = c.ask(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}")
        assert wrong.startswith("454 4.7.0"), wrong
        assert c.ask(f"AUTH PLAIN {plain('bob@example.test')}") == wrong
        c.expect(f"AUTH PLAIN {plain('alice@example.test')}", "235 ")
    with Talk(server.where("pop3s"), implicit_tls=True) as c:
        c.reply()
        for _ in range(3):
            c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "-ERR [AUTH]")
        wrong = c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "-ERR [SYS/TEMP]")
        assert c.ask(f"AUTH PLAIN {plain('bob@example.test')}") == wrong
        c.expect("USER bob@example.test", "+OK")
        assert c.ask(f"PASS {PASSWORD}") == wrong


def test_auth_where_it_may_not_be(server):
    for listener in ("smtp", "submission"):
        with server.smtp(listener) as c:
            assert "AUTH" not in c.hello
            assert not c.ask(f"AUTH PLAIN {plain('alice@example.test')}").startswith("2")
    with server.smtp() as c:
        c.upgrade()
        assert "AUTH" not in c.hello
    with server.smtp("submissions") as c:
        assert "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN" in c.hello
        c.expect("AUTH", "501 5.5.4")
        c.expect("AUTH CRAM-MD5", "504 5.5.4")
        c.expect("AUTH PLAIN !!!!", "501 5.5.2")
        c.expect("AUTH PLAIN", "334 ")
        c.expect("*", "501 5.7.0")
        c.expect("AUTH PLAIN", "334 ")
        c.expect("\0", "500 5.5.2")
        c.expect(f"AUTH PLAIN {plain('alice@example.test', act_as='bob@example.test')}", "535 5.7.8")
        c.expect(f"AUTH PLAIN {plain('alice@example.test', act_as='alice@example.test')}", "235 ")
        c.expect(f"AUTH PLAIN {plain('alice@example.test')}", "503 5.5.1")
    with server.smtp("submissions") as c:
        c.expect("AUTH PLAIN", "334 ")
        c.expect("A" * 12287, "500 5.5.6")
        c.expect("NOOP", "250 ")
        c.expect("MAIL FROM:<alice@example.test>", "530 5.7.0")


# ----------------------------------------------------------------------------------------- smuggling, lines

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


DOT_TRICKS = sorted({b"".join(parts) for size in range(1, 5) for parts in itertools.product((b"\r", b"\n", b"\0", b"."), repeat=size)
                     if b"." in parts and parts.count(b".") == 1})
SMUGGLED = b"MAIL FROM:<evil@elsewhere.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\nQUIT\r\n"


def start_message(c, with_data=True):
    c.expect("RSET", "250 ")
    c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
    c.expect("RCPT TO:<alice@example.test>", "250 ")
    if with_data:
        c.expect("DATA", "354 ")


def is_clean(data):
    """Whether there is no CR without LF, no LF without CR and no NUL."""
    return not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", data)


def test_only_crlf_dot_crlf_ends_a_message(quick):
    """Every row of CR, LF, NUL around a dot, as far as it is not the true end: refused, closed, nothing behind it done."""
    refused = 0
    for trick in DOT_TRICKS:
        body = b"Subject: t\r\n\r\nx" + trick + SMUGGLED
        if is_clean(body):
            continue
        with quick.smtp() as c:
            start_message(c)
            c.send(body)
            assert re.fullmatch(rb"550 5\.5\.2 [^\r\n]+\r\n", drained(c)), trick
        refused += 1
    assert refused > 100
    assert quick.events("message.accepted") == []


@pytest.mark.parametrize("trick", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n.\0\r\n", b"\r\n\0.\r\n", b"\r\n\r.\r\n"])
def test_smuggling_at_every_split(quick, trick):
    body = b"S: t\r\n\r\nx" + trick + b"RSET\r\n"
    for at in range(9, len(body)):
        with quick.smtp() as c:
            c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            start_message(c)
            c.send(body[:at])
            time.sleep(0.002)
            try:
                c.send(body[at:])
                assert drained(c).startswith(b"550 5.5.2 ")
            except ConnectionError:
                pass
    assert quick.events("message.accepted") == []


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


def test_strangers_are_dropped(server):
    for first in (b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.0\r\n", b"CONNECT x:25 HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n"):
        with server.smtp(hello="") as c:
            c.send(first + b"Host: x\r\n\r\n" + SMUGGLED)
            assert re.fullmatch(rb"554 5\.5\.0 [^\r\n]+\r\n", drained(c))
    with Talk(server.where("smtp")) as c:
        c.send(b"EHLO x\r\n")
        assert re.fullmatch(rb"554 5\.5\.0 [^\r\n]+\r\n", drained(c))
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2
    with server.smtp(hello="") as c:
        c.send(hello + b"\r\n" * 30)
        got = drained(c).splitlines()
        assert got[-1].startswith((b"421 4.7.0 ", b"500 5.5.2 ")) and len(got) <= 20
    with server.smtp("submissions") as c:
        c.expect("STARTTLS", "503 5.5.1")
    with Talk(server.where("submissions")) as c:
        c.send(b"EHLO x\r\n")
        assert not drained(c).startswith(b"2")


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


def test_recipients_have_a_limit(quick):
    with quick.smtp() as c:
        c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
        c.send(b"RCPT TO:<alice@example.test>\r\n" * 1002)
        got = [c.reply()[:9] for _ in range(1002)]
        assert got == ["250 2.1.5"] * 1000 + ["452 4.5.3"] * 2
        c.expect("DATA", "354 ")
        c.expect("S: t\r\n\r\n\r\n.", "250 ")


def test_many_errors_end_the_session(quick):
    with quick.smtp() as c:
        c.send(b"FOO\r\n" * 1000)
        got = drained(c).splitlines()
        assert [line[:3] for line in got] == [b"500"] * 19 + [b"421"]


# -------------------------------------------------------------------------------------- servers we send to

def test_answers_that_fit_no_question_lose_nothing(make_server, make_stub):
    """A good code for the wrong step, and replies beyond measure: the message stays and is tried again."""
    odd = {"rcpt-354": {"RCPT": ["354 go on", ...]}, "data-250": {"DATA": ["250 fine", ...]}, "end-354": {"END": ["354 go on", ...]},
           "mail-334": {"MAIL": ["334 ", ...]}, "rcpt-long": {"RCPT": ["250 " + "x" * 100000, ...]}, "ehlo-long": {"EHLO": ["250-" + "x" * 100000, ...]},
           "rcpt-many": {"RCPT": ["250-x\r\n" * 50000 + "250 fine", ...]}, "greeting-none": {"GREETING": ["\1\2\3", ...]},
           "mail-999": {"MAIL": ["999 what", ...]}, "end-close": {"END": ["close", ...]}, "end-421": {"END": ["421 4.3.2 going", ...]}}
    stubs = {name: make_stub(replies=replies) for name, replies in odd.items()}
    server = make_server(conf="".join(transport(f"{name}.test", stub.port) for name, stub in stubs.items()) + "queue {\n retry-first = 1h\n}")
    with server.submission() as c:
        ids = {name: c.message("alice@example.test", [f"x@{name}.test"]) for name in odd}
    for name, message in ids.items():
        server.wait_event("delivery.deferred", message=message, outcome="later")
        assert server.events("delivery.done", message=message) == [], name
        assert "It was tried 1 time." in server.cli("queue", "why", message)
    assert server.events("notice.accepted") == []
    assert len(server.queue()) == len(odd)
    assert not any(stub.messages for name, stub in stubs.items() if not name.startswith("end-"))


def test_text_of_a_refusal_is_made_harmless(make_server, make_stub):
    stub = make_stub(replies={"RCPT": ["550 5.1.1 no\x1b[31m such\x07 user\tX", ...]})
    server = make_server(conf=transport("away.test", stub.port))
    with server.submission() as c:
        message = c.message("alice@example.test", ["x@away.test"])
    failed = server.wait_event("delivery.failed", message=message)
    assert failed["text"] == "no?[31m such? user?X"
    server.wait_empty()
    notice = email.message_from_bytes(pop(server)[0])
    assert notice.get_content_type() == "multipart/report"
    status = notice.get_payload(1).get_payload(1)
    assert (status["Action"], status["Status"], status["Final-Recipient"]) == ("failed", "5.1.1", "rfc822; x@away.test")
    assert status["Diagnostic-Code"] == "smtp; 550 5.1.1 no?[31m such? user?X"
    assert not re.search(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]", pop(server)[0])


def test_what_strangers_say_stays_where_it_is_put(server):
    """Control characters and quotes reach neither the trace field nor the lines of the event log."""
    nasty = ['EHLO a"b\\c', "EHLO a(b)c;d", "EHLO a\u00e9b", "EHLO <script>", 'EHLO "},{"event":"x"']
    for hello in nasty:
        with server.smtp(hello="") as c:
            got = c.ask(hello)
            if got.startswith("250"):
                c.message("x@elsewhere.test", ["alice@example.test"])
            c.ask('MAIL FROM:<"a\\"},{\\"event\\":\\"x"@elsewhere.test>')
            c.ask('RCPT TO:<"a\\"},{\\"event\\":\\"x"@example.test>')
    server.wait_empty()
    assert server.events("x") == []
    texts = pop(server)
    assert texts
    for text in texts:
        trace = email.message_from_bytes(text).get_all("Received")
        assert len(trace) == 2 and all(re.fullmatch(r"from [-A-Za-z0-9.?_\[\]:+/=]+ \(.*", field, flags=re.S) for field in trace), trace


def test_pop3_out_of_order(server):
    with Talk(server.where("pop3")) as c:
        c.reply()
        c.send(b"STLS\r\nCAPA\r\n")
        assert drained(c) == b"-ERR bytes behind STLS, closing\r\n"
    with Talk(server.where("pop3s"), implicit_tls=True) as c:
        c.reply()
        for line in ("PASS x", "STAT", "RETR 1", "DELE 1", "LIST", "USER", "USER a b", "QUIT x", "X" * 5000, "USER \x01"):
            c.expect(line, "-ERR ")
        c.expect("USER alice@example.test", "+OK")
        c.expect(f"PASS {PASSWORD}", "+OK")
        for line in ("TOP 1 1", "TOP 0 1", "TOP 1", "TOP 1 99999999999999999999", "LIST 0", "UIDL 1", "DELE -1", "USER x"):
            c.expect(line, "-ERR ")
        c.expect("QUIT", "+OK")


def test_a_message_in_data_survives_the_end(make_server):
    server = make_server()
    with server.smtp() as idle, server.smtp() as c:
        start_message(c)
        c.send(b"Subject: late\r\n\r\n")
        server.process.terminate()
        assert idle.reply().startswith("421 4.3.2 ")
        c.send(b"x\r\n.\r\n")
        assert c.reply().startswith("250 2.0.0 accepted as ")
        assert c.reply().startswith("421 4.3.2 ")
    server.stop()
    server.start()
    server.wait_empty()
    assert len(pop(server)) == 1
