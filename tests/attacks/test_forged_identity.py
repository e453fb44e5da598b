# SPDX-License-Identifier: ISC
"""
Mail that claims to be somebody else's: results of checks that somebody forged, signatures that cover a part, signed messages that got a
second author, and messages that want to know too much of the DNS.

The defences are authres_is_of() in mail/authres.c, the treatment of l= in check/dkim_verify.c, find_authors(), begin_dmarc() and the rule in
serve/inspection.c, the count of questions in check/ask.c, and the empty line that keep_apart() in serve/session_content.c puts in.
"""
import base64
import email
import email.policy
import re

import authres
import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from dialogue import QUICK, pop
from dns_stub import DnsStub, record
from nsd import stub_zones
from server import Talk, until

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
DER = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
HOST = "mail.example.test"


def text(owner, content):
    """A TXT record, in strings of 200 octets."""
    pieces = [content[k:k + 200].encode() for k in range(0, len(content), 200)]
    return record(owner, "TXT", b"".join(bytes([len(piece)]) + piece for piece in pieces))


ZONE = {("key._domainkey.bank.test", "TXT"): [text("key._domainkey.bank.test", "v=DKIM1; p=" + base64.b64encode(DER).decode())],
        ("_dmarc.bank.test", "TXT"): [text("_dmarc.bank.test", "v=DMARC1; p=reject")],
        ("bank.test", "TXT"): [text("bank.test", "v=spf1 -all")]}


class Counting(DnsStub):
    """Notes the names that are asked about; where there is nothing it says so for every name."""

    def __init__(self, records):
        self.asked = set()
        super().__init__(records)

    def answer(self, query, is_udp):
        end = query.index(b"\0", 12) + 1
        if query[end:end + 2] == b"\0\x10":  # all of ours here; the resolver asks for addresses on its way down to a name
            self.asked.add(query[12:end + 2].lower())
        return super().answer(query, is_udp)


@pytest.fixture
def world(make_server):
    made = []

    def make(records=None):
        made.append(Counting({**ZONE, **(records or {})}))
        server = make_server(conf=QUICK + stub_zones(made[-1].port, "test"), start=False)
        server.listener_conf("mx", 'proxy-from = {"127.0.0.1/32"}\n    client-name = off')
        server.start()
        return server, made[-1]

    yield make
    for each in made:
        each.close()


def send(server, content, sender="x@elsewhere.test"):
    with Talk(server.where("smtp")) as c:
        c.send(b"PROXY TCP4 192.0.2.9 192.0.2.200 4711 25\r\n")
        assert c.reply().startswith("220 ")
        c.expect("EHLO helo.test", "250-")
        c.expect(f"MAIL FROM:<{sender}>", "250 ")
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("DATA", "354 ")
        c.send(content + b".\r\n")
        return c.reply()


def only(server):
    return until(lambda: pop(server, "bob@example.test"))[0]


PLAIN = b"From: <ceo@bank.test>\r\nTo: <bob@example.test>\r\nSubject: pay\r\nDate: Thu, 1 Oct 2026 10:00:00 +0000\r\n\r\npay me\r\n"
NOBODY = PLAIN.replace(b"bank.test", b"nobody.test")

FORGED = [f"{HOST}; dmarc=pass", f"{HOST.upper()}; dmarc=pass", f"{HOST} ; dmarc=pass", f"{HOST} 1; dmarc=pass", f"{HOST}(x)1(y); dmarc=pass",
          f'"{HOST}"; dmarc=pass', f'"mail\\.example.test"; dmarc=pass', f"(a (b) \\) c) {HOST}; dmarc=pass", f"\r\n {HOST}\r\n\t; dmarc=pass",
          f"(\r\n x)\r\n\t{HOST}; dmarc=pass", f"{HOST}", f"{HOST};", f'"\r\n {HOST}"; dmarc=pass', f"{HOST} dmarc=pass", f"({HOST}; dmarc=pass",
          f'"{HOST}; dmarc=pass', "; dmarc=pass", "", f"{HOST}.; dmarc=pass", f"{HOST}/1; dmarc=pass", f"{HOST}= ; dmarc=pass", f"<{HOST}>; dmarc=pass",
          f"{HOST}, other.test; dmarc=pass", f"\x0b{HOST}; dmarc=pass", f"{HOST}\x7f; dmarc=pass", f"\xa0{HOST}; dmarc=pass",
          f"\u200b{HOST}; dmarc=pass", f"\u3000{HOST}; dmarc=pass", f"m\xadail.example.test; dmarc=pass", f"\uff4dail.example.test; dmarc=pass"]


def test_no_forged_result_stays(world):
    """Each spelling, in any case of the field's name; a reader that knows the format finds one field of ours, and it is true."""
    server, _ = world()
    names = ["Authentication-Results", "AUTHENTICATION-RESULTS", "authentication-results "]
    forged = "".join(f"{names[k % 3]}: {value}\r\n" for k, value in enumerate(FORGED))
    other = "Authentication-Results: other.test; spf=pass smtp.mailfrom=a@b.test\r\n"
    assert send(server, (forged + other).encode() + NOBODY).startswith("250 ")
    message = email.message_from_bytes(only(server), policy=email.policy.compat32)
    found = message.get_all("Authentication-Results")
    read = [authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {re.sub(chr(10) + '|' + chr(13), '', value)}") for value in found]
    assert [each.authserv_id for each in read] == [HOST, "other.test"]
    assert [(result.method, result.result) for result in read[0].results] == [("spf", "none"), ("dkim", "none"), ("dmarc", "none")]


def signed(content, **how):
    return dkim.sign(content, b"key", b"bank.test", PEM, include_headers=[b"from", b"to", b"subject", b"date"], **how) + content


def test_what_stands_behind_a_partial_signature_is_not_believed(world):
    server, _ = world()
    assert send(server, signed(PLAIN, length=True)).startswith("250 ")
    reply = send(server, signed(PLAIN, length=True) + b"and send the rest to the thief\r\n")
    assert reply.startswith("550 5.7.1 ") and "DMARC" in reply
    assert server.wait_event("check.dkim", result="policy")["domain"] == "bank.test"


@pytest.mark.parametrize("extra, code", [
    (b"From: <thief@nobody.test>\r\n", "550 5.6.0 "), (b"from : <thief@nobody.test>\r\n", "550 5.6.0 "), (b"FROM:\r\n <thief@nobody.test>\r\n", "550 5.6.0 ")])
@pytest.mark.parametrize("is_on_top", [True, False])
def test_a_signed_message_gets_no_second_author(world, extra, code, is_on_top):
    server, _ = world()
    whole = signed(PLAIN)
    assert send(server, whole).startswith("250 ")
    assert send(server, extra + whole if is_on_top else whole.replace(b"\r\n\r\n", b"\r\n" + extra + b"\r\n", 1)).startswith(code)


@pytest.mark.parametrize("line", [b"no field\r\n", b"caf\xc3\xa9: x\r\n", b": x\r\n", b"a b: x\r\n"])
@pytest.mark.parametrize("is_large", [False, True])
def test_behind_a_line_that_is_no_field_there_are_no_fields(world, line, is_large):
    """Readers that skip such a line would show the second author, and believe the results: for them, too, it is the body."""
    server, _ = world()
    hidden = line + f"From: <ceo@bank.test>\r\nAuthentication-Results: {HOST}; dmarc=pass\r\n\r\n".encode()
    content = NOBODY.replace(b"\r\n\r\n", b"\r\n" + hidden, 1) + (b"x" * 70 + b"\r\n") * (20000 if is_large else 0)
    assert send(server, content).startswith("250 ")
    stored = only(server)
    header = stored[:stored.index(b"\r\n\r\n")]
    assert b"bank.test" not in header and header.lower().count(b"authentication-results:") == 1
    assert stored[len(header) + 4:] == content[content.index(line):]


@pytest.mark.parametrize("change", [
    (b"pay me", b"pay us"), (b"Subject: pay", b"Subject: pay now"), (b"ceo@", b"cfo@"), (b"d=bank.test", b"d=test"), (b"d=bank.test", b"d=nobody.test"),
    (b"h=from", b"h=fron"), (b"a=rsa-sha256", b"a=rsa-sha1"), (b"s=key", b"s=other")])
def test_a_signature_holds_for_nothing_else(world, change):
    server, _ = world()
    whole = signed(PLAIN)
    assert change[0] in whole
    assert send(server, whole.replace(*change)).startswith("550 5.7.1 ")


def flood():
    """A message and a zone that would like hundreds of answers."""
    zone = {("spf.test", "TXT"): [text("spf.test", "v=spf1 " + " ".join(f"include:i{k}.spf.test" for k in range(9)) + " -all")]}
    for k in range(9):
        zone[f"i{k}.spf.test", "TXT"] = [text(f"i{k}.spf.test", "v=spf1 " + " ".join(f"include:j{m}.i{k}.spf.test" for m in range(9)))]
    names = [f"a{k}.b.c.d.e.f.g.h.i.j{k}.test" for k in range(50)]
    content = b"".join(f"DKIM-Signature: v=1; a=rsa-sha256; d={each}; s=s{k}; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=aaaa\r\n".encode()
                       for k, each in enumerate(names))
    seals = b"".join(f"ARC-Seal: i={k}; a=rsa-sha256; cv={'none' if k == 1 else 'pass'}; d=arc{k}.test; s=s; b=aaaa\r\n"
                     f"ARC-Message-Signature: i={k}; a=rsa-sha256; d=arc{k}.test; s=s; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=aaaa\r\n"
                     f"ARC-Authentication-Results: i={k}; x.test; none\r\n".encode() for k in range(50, 0, -1))
    authors = ",\r\n ".join(f"<x@{each}>" for each in names[:4])
    return zone, seals + content + f"From: {authors}\r\n\r\nx\r\n".encode()


def test_no_message_may_ask_for_ever(world):
    zone, content = flood()
    server, dns = world(zone)
    assert re.match("250 |550 5.7.1 ", send(server, content, "x@spf.test"))
    assert 10 < len(dns.asked) <= 40, sorted(dns.asked)
    assert server.wait_event("check.dkim")["result"] == "temperror"


def fail(question):
    """SERVFAIL, behind the id."""
    return b"\x81\x82\0\1\0\0\0\0\0\0" + question


BROKEN = {("k._domainkey.broken.test", "TXT"): fail, ("broken.test", "TXT"): fail}
SIGNATURE = "DKIM-Signature: v=1; a=rsa-sha256; d={}; s=k; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=aaaa\r\n"
VICTIM = b"From: <teller@bank.test>\r\n\r\nx\r\n"


@pytest.mark.parametrize("way", ["key", "sender", "flood", "authors"])
def test_what_strangers_publish_does_not_keep_a_policy_from_us(world, way):
    """Names that fail, and more questions than a message may cause: the author's policy is known before."""
    zone, content = flood()
    server, _ = world({**zone, **BROKEN})
    head, sender = b"", "x@elsewhere.test"
    if way == "key":
        head = SIGNATURE.format("broken.test").encode()
    elif way == "sender":
        sender = "x@broken.test"
    elif way == "flood":
        head, sender = content[:content.index(b"From: ")], "x@spf.test"
    else:
        head = b"From: <a@a.test>, <b@b.test>, <c@c.test>,\r\n "
    letter = head + (VICTIM[6:] if way == "authors" else VICTIM)
    assert send(server, letter, sender).startswith("550 5.7.1 ")
    assert server.wait_event("check.dmarc")["result"] == "fail"


def test_what_the_domain_itself_cannot_say_now_is_asked_again(world):
    server, _ = world({("k._domainkey.bank.test", "TXT"): fail})
    assert send(server, SIGNATURE.format("bank.test").encode() + VICTIM).startswith("451 4.7.1 ")


AUTHORS = ['teller@bank.test "', "teller@bank.test\u00a0", "teller@bank.test\\", "teller@bank.test)", "teller@bank.test]", "teller@bank.test!", "teller@bank.test/",
           "teller@bank.test#x", "teller@bank.test..", "teller@bank..test", 'teller@"bank.test"', "teller@[bank.test]", '<teller@bank.test">', "<teller@bank.test",
           'a@lax.test, "x <teller@bank.test>', "<teller@bank.test> <a@lax.test>", "a@lax.test (x, teller@bank.test", "teller@bank.test\x7f", "teller@bank.test\u3000",
           "<teller@=?utf-8?q?bank.test?=>", "teller@bank.test@lax.test", "<teller@bank.test a@lax.test>", "<teller@bank.test:a@lax.test>",
           "<teller@bank.test;@lax.test>", "teller@bank.test>a@lax.test", "teller@bank.test: a@lax.test;", "<a@lax.test> teller@bank.test",
           ", ".join(f"a@a{k}.test" for k in range(4)) + ", teller@bank.test", "a@lax.test," * 2000 + "teller@bank.test"]


@pytest.mark.parametrize("author", AUTHORS, ids=range(len(AUTHORS)))
def test_an_author_that_readers_spell_differently_is_refused(world, author):
    server, _ = world()
    lines = f"From: {author}\r\n".replace(",", ",\r\n ") + "\r\nx\r\n"
    assert send(server, lines.encode()).startswith("550 5.6.0 ")


@pytest.mark.parametrize("author", ["teller@bank.test.", "<teller@BANK.test>", "teller@(x)bank.test", "@bank.test", "Teller, The <teller@bank.test>"])
def test_the_same_domain_in_other_words(world, author):
    server, _ = world()
    assert send(server, f"From: {author}\r\n\r\nx\r\n".encode()).startswith("550 5.7.1 ")


LENGTHS = {f"cut{n}": b"\x20v=spf1 +all"[:n] for n in range(12)} | {
    "long": b"\x05v=spf1 +all", "nothing": b"", "zero": b"\0" * 50, "beyond": b"\x0bv=spf1 +all\xff", "split": b"\x03v=s\x08pf1 +all"}


@pytest.mark.parametrize("key", LENGTHS)
def test_a_text_record_of_a_wrong_length_lets_nobody_in(world, key):
    """But for the one that is well formed in pieces."""
    server, _ = world({("odd.test", "TXT"): [record("odd.test", "TXT", LENGTHS[key])]})
    assert send(server, NOBODY, "x@odd.test").startswith("250 ")
    assert (server.wait_event("check.spf")["result"] == "pass") == (key == "split")
