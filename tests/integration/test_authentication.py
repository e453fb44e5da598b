# SPDX-License-Identifier: ISC
"""SPF, DKIM, ARC and DMARC of mail that comes in: what is said of it, and what becomes of it."""
import json
import re
import signal
import socket
import sqlite3
import time

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from nsd import Nsd, stub_zones
from server import Talk, until
from test_clients import mail_of

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())


def key_record():
    import base64  # pylint: disable=import-outside-toplevel
    der = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()
    return " ".join(f'"{text[k:k + 200]}"' for k in range(0, len(text), 200))


SOA = "$TTL 60\n@ SOA ns.test. hostmaster.test. 1 60 60 60 60\n@ NS ns.test.\n"
ZONES = {"test": SOA + f"""ns A 127.0.0.1
strict TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.strict TXT "v=DMARC1; p=reject"
key._domainkey.strict TXT {key_record()}
known TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.known TXT "v=DMARC1; p=reject; rua=mailto:r@known.test"
junk TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.junk TXT "v=DMARC1; p=quarantine"
lax TXT "v=spf1 ip4:192.0.2.1 ~all"
_dmarc.lax TXT "v=DMARC1; p=none"
broken TXT "v=spf1 nonsense"
key._domainkey.forwarder TXT {key_record()}
"""}
GOOD, BAD = "192.0.2.1", "192.0.2.99"


@pytest.fixture(scope="module")
def nsd():
    server = Nsd(ZONES)
    yield server
    server.close()


@pytest.fixture
def serve(make_server, nsd):
    def make(option=""):
        server = make_server(conf=stub_zones(nsd.port, "test"), start=False)
        server.listener_conf("mx", f'proxy-from = {{"127.0.0.1/32"}}\n    client-name = off\n    {option}')
        server.start()
        return server
    return make


def send(server, client, sender, text):
    """The reply to a message from a client behind a proxy."""
    with Talk(server.where("smtp")) as c:
        c.send(f"PROXY TCP4 {client} 192.0.2.200 4711 25\r\n".encode())
        assert c.reply().startswith("220 ")
        c.expect("EHLO helo.test", "250-")
        c.expect(f"MAIL FROM:<{sender}>", "250 ")
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("DATA", "354 ")
        c.send(text.replace("\r\n.", "\r\n..").encode() + b"\r\n.\r\n")
        return c.reply()


def mail(author, subject="t", more=""):
    return f"From: <{author}>\r\nTo: <bob@example.test>\r\nSubject: {subject}\r\nDate: Thu, 1 Oct 2026 10:00:00 +0000\r\n{more}\r\nhello\r\n"


def signed(text, domain="strict.test"):
    return dkim.sign(text.encode(), b"key", domain.encode(), PEM, include_headers=[b"from", b"to", b"subject"]).decode() + text


def only(server):
    return mail_of(server)[0]


def results(message):
    """Method -> (result, the rest) of our field, which stands on top."""
    assert message.keys()[0] in ("Authentication-Results", "Return-Path", "Delivered-To") or message.keys()[0].startswith("X-Eilbote")
    value = re.sub(r"\s+", " ", message["Authentication-Results"])
    host, *parts = [part.strip() for part in value.split(";")]
    assert host == "mail.example.test"
    return {part.split("=", 1)[0]: part.split("=", 1)[1] for part in parts}


def test_what_is_genuine_passes(serve):
    server = serve()
    assert send(server, GOOD, "a@strict.test", signed(mail("a@strict.test"))).startswith("250 ")
    found = results(only(server))
    assert found["spf"] == 'pass reason="ip4:192.0.2.1 of strict.test" smtp.mailfrom=a@strict.test'
    assert found["dkim"].startswith("pass header.d=strict.test header.s=key header.a=rsa-sha256 header.b=")
    assert found["dmarc"] == "pass header.from=strict.test policy.dmarc=reject"
    assert server.wait_event("check.dmarc")["result"] == "pass"


def test_what_the_domain_disowns_is_refused(serve):
    server = serve()
    reply = send(server, BAD, "a@strict.test", mail("a@strict.test"))
    assert reply.startswith("550 5.7.1 ") and "DMARC" in reply and "strict.test" in reply
    assert server.wait_event("check.spf")["result"] == "fail"
    assert server.wait_event("check.spf")["mechanism"] == "-all"
    refused = server.wait_event("message.refused")
    assert refused["reply"] == 550 and server.wait_event("check.dmarc")["action"] == "refuse"
    assert server.queue() == []


def test_a_signature_suffices_where_the_path_does_not(serve):
    server = serve()
    assert send(server, BAD, "x@lax.test", signed(mail("a@strict.test"))).startswith("250 ")
    found = results(only(server))
    assert found["spf"].startswith("softfail") and found["dmarc"].startswith("pass ")


def test_a_changed_body_is_refused(serve):
    server = serve()
    reply = send(server, BAD, "x@lax.test", signed(mail("a@strict.test")).replace("hello", "hallo"))
    assert reply.startswith("550 5.7.1 ")
    assert server.wait_event("check.dkim")["result"] == "fail"


def test_mail_of_a_list_is_marked_instead(serve):
    server = serve()
    assert send(server, BAD, "l@lax.test", mail("a@strict.test", more="List-Id: <l.lax.test>\r\n")).startswith("250 ")
    message = only(server)
    assert message["X-Eilbote-Junk"] == "dmarc" and results(message)["dmarc"].startswith("fail ")


def test_quarantine_marks(serve):
    server = serve()
    assert send(server, BAD, "a@junk.test", mail("a@junk.test")).startswith("250 ")
    message = only(server)
    assert message["X-Eilbote-Junk"] == "dmarc" and "policy.dmarc=quarantine" in results(message)["dmarc"]


def test_a_policy_of_none_changes_nothing(serve):
    server = serve()
    assert send(server, BAD, "a@lax.test", mail("a@lax.test")).startswith("250 ")
    message = only(server)
    assert message["X-Eilbote-Junk"] is None and results(message)["dmarc"].startswith("fail ")


@pytest.mark.parametrize("text, why", [
    ("Subject: t\r\n\r\nx\r\n", "no From field"),
    ("From: <a@lax.test>\r\nFrom: <b@lax.test>\r\n\r\nx\r\n", "several From fields"),
    ("From: nobody:;\r\n\r\nx\r\n", "no address")])
def test_an_author_is_needed(serve, text, why):
    server = serve()
    reply = send(server, GOOD, "a@lax.test", text)
    assert reply.startswith("550 5.6.0 ") and why in reply


def test_of_several_authors_the_strictest_counts(serve):
    server = serve()
    assert send(server, GOOD, "a@lax.test", mail("a@lax.test>, <b@strict.test")).startswith("550 5.7.1 ")


FORGED = ("Authentication-Results: mail.example.test; dmarc=pass header.from=strict.test\r\n"
          "Authentication-Results: \"MAIL.example.test\" 1;\r\n\tspf=pass\r\n"
          "X-Eilbote-Junk: no\r\nAuthentication-Results: other.test; dmarc=pass\r\n")


@pytest.mark.parametrize("padding", [0, 1500000])
def test_forged_results_are_taken_away(serve, padding):
    """In memory, and in a file; what others have said stays, and so does all of the body."""
    server = serve()
    body = "".join(f"{k:070}\r\n" for k in range(padding // 72))
    text = FORGED + mail("a@lax.test") + body
    assert send(server, GOOD, "a@lax.test", text).startswith("250 ")
    message = only(server)
    ours, other = message.get_all("Authentication-Results")
    assert "smtp.mailfrom=a@lax.test; dkim=none; dmarc=pass" in re.sub(r"\s+", " ", ours) and other == "other.test; dmarc=pass"
    assert message["X-Eilbote-Junk"] is None
    assert message.get_payload().splitlines() == ("hello\n" + body).splitlines()


@pytest.mark.parametrize("option, client", [("", "127.0.0.1"), ('trust = {"192.0.2.7/32"}', "192.0.2.7"), ("authentication = off", BAD)])
def test_forged_results_of_those_who_are_not_checked(serve, option, client):
    """Who is believed, as a backup MX, hands on what strangers wrote."""
    server = serve(option)
    assert send(server, client, "a@lax.test", FORGED + mail("a@lax.test")).startswith("250 ")
    message = only(server)
    assert message.get_all("Authentication-Results") == ["other.test; dmarc=pass"] and message["X-Eilbote-Junk"] is None


def test_forged_results_of_users(make_server):
    server = make_server()
    with server.submission() as c:
        c.message("alice@example.test", ["bob@example.test"], FORGED + mail("alice@example.test"))
    message = only(server)
    assert message.get_all("Authentication-Results") == ["other.test; dmarc=pass"] and message["X-Eilbote-Junk"] is None


@pytest.mark.parametrize("padding", [0, 1500000])
def test_signatures_hold_for_small_and_large(serve, padding):
    server = serve()
    text = signed(mail("a@strict.test") + "".join(f"{k:070}\r\n" for k in range(padding // 72)))
    assert send(server, BAD, "x@lax.test", text).startswith("250 ")
    assert results(only(server))["dkim"].startswith("pass ")


def test_record_tells_and_does_nothing(serve):
    server = serve("authentication = record")
    assert send(server, BAD, "a@strict.test", mail("a@strict.test")).startswith("250 ")
    message = only(server)
    assert results(message)["dmarc"].startswith("fail ") and message["X-Eilbote-Junk"] is None


def test_mark_refuses_nothing(serve):
    server = serve("authentication = mark")
    assert send(server, BAD, "a@strict.test", mail("a@strict.test")).startswith("250 ")
    assert only(server)["X-Eilbote-Junk"] == "dmarc"


def test_off_asks_nothing(serve):
    server = serve("authentication = off")
    assert send(server, BAD, "a@strict.test", mail("a@strict.test")).startswith("250 ")
    assert only(server)["Authentication-Results"] is None and not server.events("check.spf")


def test_a_trusted_forwarder_vouches(serve):
    server = serve('trusted-forwarders = {"forwarder.test"}')
    text = mail("a@strict.test", more="Authentication-Results: forwarder.test; dmarc=pass header.from=strict.test\r\n")
    seal = b"".join(dkim.arc_sign(text.encode(), b"key", b"forwarder.test", PEM, b"forwarder.test", include_headers=[b"from", b"to", b"subject"]))
    assert send(server, BAD, "f@lax.test", seal.decode() + text).startswith("250 ")
    message = only(server)
    found = results(message)
    assert found["arc"] == "pass header.oldest-pass=0" and "trusted forwarder" in found["dmarc"] and message["X-Eilbote-Junk"] is None
    stranger = b"".join(dkim.arc_sign(text.encode(), b"key", b"strict.test", PEM, b"forwarder.test", include_headers=[b"from", b"to", b"subject"]))
    assert send(server, BAD, "f@lax.test", stranger.decode() + text).startswith("550 5.7.1 ")


def test_checks_that_a_stop_cuts_short_decide_nothing(make_server):
    """The DNS never answers; the server has 20 seconds to finish what it has begun, and less is left than the checks may take."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = make_server(conf=stub_zones(silent.getsockname()[1], "test"), start=False)
        server.listener_conf("mx", 'proxy-from = {"127.0.0.1/32"}\n    client-name = off')
        server.start()
        with Talk(server.where("smtp")) as c:
            c.send(b"PROXY TCP4 192.0.2.99 192.0.2.200 4711 25\r\n")
            assert c.reply().startswith("220 ")
            c.expect("EHLO helo.test", "250-")
            c.expect("MAIL FROM:<a@strict.test>", "250 ")
            c.expect("RCPT TO:<bob@example.test>", "250 ")
            c.expect("DATA", "354 ")
            server.process.send_signal(signal.SIGTERM)
            server.wait_event("role.stopping")
            c.send(mail("a@strict.test").encode())
            time.sleep(3)  # so much less is left; both times would end together otherwise
            c.send(b".\r\n")
            assert c.reply().startswith("421 4.3.2 ")
        server.stop()
        assert server.events("message.accepted") == []


def remember(server, days):
    """As if the mail that was noted had come on so many days."""
    path = server.directory / "spool" / "greylist.db"
    with sqlite3.connect(path, timeout=30) as book:
        assert book.execute("UPDATE memory SET passes = ?", (days,)).rowcount == 1
    book.close()


def test_local_history_speaks_for_a_message(serve):
    """A network that brought a domain's genuine mail on many days is that of a forwarder whom we know; one good message is not enough, nor another
    network, nor another domain: who wants to forge mail has genuine mail of his own."""
    server = serve("local-history = 3")
    forged = genuine = mail("a@known.test")
    refused = "550 5.7.1"
    assert send(server, BAD, "a@other.test", forged).startswith(refused)
    assert send(server, GOOD, "a@known.test", genuine).startswith("250 ")
    until(lambda: (server.directory / "spool" / "greylist.db").exists())
    assert send(server, BAD, "a@other.test", forged).startswith(refused)
    remember(server, 2)
    assert send(server, BAD, "a@other.test", forged).startswith(refused)
    remember(server, 3)
    assert send(server, BAD, "a@other.test", forged).startswith("250 ")
    assert send(server, "198.51.100.9", "a@other.test", forged).startswith(refused)
    assert send(server, BAD, "a@other.test", mail("a@strict.test")).startswith(refused)
    marked = next(m for m in mail_of(server, 2) if m["X-Eilbote-Junk"])
    assert marked["X-Eilbote-Junk"] == "dmarc" and "genuine mail of this domain came from this network on 3 days" in re.sub(r"\s+", " ", marked["Authentication-Results"])
    assert "3 days" in server.wait_event("check.dmarc", action="mark")["history"]
    with sqlite3.connect(server.directory / "spool" / "reports.db", timeout=30) as reports:
        until(lambda: any("local_policy" in row[0] for row in reports.execute("SELECT text FROM outcome")))
    reports.close()
    letter = server.base / "letter"
    letter.write_bytes(forged.encode())
    for ip, result in ((BAD, "mark"), ("198.51.100.9", "refuse")):
        got = json.loads(server.cli("try", "smtp", "--json", "--from-ip", ip, "--helo", "helo.test", "--mail", "a@other.test", "--rcpt",
                                    "bob@example.test", "--data", letter))
        assert got["result"] == result, got
        got = json.loads(server.cli("try", "message", letter, "--json", "--ip", ip, "--helo", "helo.test", "--from", "a@other.test"))
        assert got["action"] == result and ("3 days" in got["history"]) == (result == "mark"), got


def test_what_is_marked_or_forged_makes_no_history(serve):
    server = serve("local-history = 1")
    assert send(server, BAD, "a@other.test", mail("a@lax.test")).startswith("250 ")
    assert send(server, BAD, "a@other.test", mail("a@junk.test")).startswith("250 ")
    assert send(server, BAD, "a@other.test", mail("a@strict.test")).startswith("550 5.7.1")
