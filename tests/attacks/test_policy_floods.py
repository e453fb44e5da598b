# SPDX-License-Identifier: ISC
"""
Floods of the policy: look-ups, rows of the greylist, and sessions that wait in the tarpit.

The defences are the count of questions that begins in gate_mail() (serve/gate.c), tidy() in serve/greylist_book.c, and is_place_needed() and
the count of held sessions in serve/session_gate.c.
"""
import json
import sqlite3
import subprocess

import pytest
from dns_stub import DnsStub, record
from nsd import stub_zones
from server import EILBOTE, Talk, until

SITES = ", ".join(f'"l{k}.test"' for k in range(16))


def strangers(make_server, policy, more="", listener=""):
    server = make_server(conf=f'policy "mx" {{\n{policy}\n}}\n{more}', start=False)
    server.listener_conf("mx", f'proxy-from = {{"127.0.0.1/32"}}\n    greeting-delay = 0\n    client-name = off\n    {listener}')
    server.start()
    return server


def stranger(server, ip="192.0.2.9"):
    c = Talk(server.where("smtp"))
    c.send(f"PROXY TCP4 {ip} 192.0.2.200 4711 25\r\n".encode())
    return c


def txt(owner, text):
    return record(owner, "TXT", b"".join(bytes([len(text[k:k + 255])]) + text[k:k + 255].encode() for k in range(0, len(text), 255)))


def test_look_ups_of_all_checks_are_counted_together(make_server):
    """Lists, names, SPF, signatures and DMARC: each asks all that it may."""
    records = {("flood.test", "TXT"): [txt("flood.test", "v=spf1 " + " ".join(f"a:h{k}.test" for k in range(9)) + " -all")],
               ("flood.test", "A"): [record("flood.test", "A", bytes([192, 0, 2, 1]))]}
    for k in range(9):
        records[f"h{k}.test", "A"] = [record(f"h{k}.test", "A", bytes([192, 0, 2, 1]))]
    dns = DnsStub(records)
    server = make_server(conf=f'policy "mx" {{\n dnsbl-sites = {{{SITES}}}\n rhsbl-sites = {{{SITES}}}\n rhsbl-threshold = 2\n'
                         "unknown-sender-domain = refuse\n no-reverse-name = record\n helo-unresolvable = record\n}\n", start=False)
    signature = ("DKIM-Signature: v=1; a=rsa-sha256; d=flood.test; s=s{}; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n")
    letter = "".join(signature.format(k) for k in range(8)) + "From: <a@x.flood.test>\r\n\r\nx\r\n"
    words = [EILBOTE, "-c", str(server.conf), "--json", "try", "smtp", "--from-ip", "192.0.2.9", "--helo", "h1.test", "--mail", "a@flood.test",
             "--rcpt", "bob@example.test", "--data", "-", "--resolver", f"127.0.0.1:{dns.port}"]
    got = json.loads(subprocess.run(words, input=letter, capture_output=True, text=True, check=True).stdout)
    assert 32 <= got["questions"] <= 40  # eight are kept for the comparison of organizations
    assert got["stage"] == "data" and got["dmarc"]["result"] in ("temperror", "none")


def test_the_greylist_stays_small(make_server):
    server = strangers(make_server, "greylisting = defer\n greylist-size = 1000\n greylist-lifetime = 2d", listener="authentication = off",
                       more=stub_zones(DnsStub({}).port, "test"))
    with stranger(server) as c:
        assert c.reply().startswith("220 ")
        c.expect("EHLO h.test", "250-")
        for k in range(0, 3000, 50):
            c.send("".join(f"MAIL FROM:<s{k + n}@x.test>\r\nRCPT TO:<bob@example.test>\r\nRSET\r\n" for n in range(50)).encode())
            for n in range(50):
                assert c.reply().startswith("250 ") and c.reply().startswith("451 4.7.1 ") and c.reply().startswith("250 ")
    with sqlite3.connect(f"file:{server.directory}/spool/greylist.db?mode=ro", uri=True) as db:
        count = db.execute("SELECT count(*) FROM memory").fetchone()[0]
        assert 500 < count <= 1000
        assert db.execute("SELECT max(length(key)) FROM memory").fetchone()[0] == 32


@pytest.mark.parametrize("sessions, held", [(1000, 3), (8, 100)])
def test_who_waits_in_the_tarpit_takes_nobodys_place(make_server, sessions, held):
    """Neither more than may wait, nor half of the places."""
    server = strangers(make_server, f'block-senders = {{"bad.test"}}\n tarpit-after = 1\n tarpit-delay = 1m\n tarpit-delay-max = 1m\n'
                       f"tarpit-sessions = {held}", listener=f"authentication = off\n    sessions = {sessions}")
    with stranger(server) as c:
        assert c.reply().startswith("220 ")
        c.send(b"EHLO h.test\r\n")
        assert c.reply().startswith("250-")
        c.send(b"MAIL FROM:<a@bad.test>\r\n")
        until(lambda: server.events("policy.decision", rule="block-senders"))
    waiting = [stranger(server) for _ in range(7)]
    until(lambda: len(server.events("smtp.session.dropped") + server.events("smtp.session.refused")) >= 3)
    for number in range(20):  # others are served at once, one after the other
        with stranger(server, f"198.51.100.{number}") as c:
            assert c.reply().startswith("220 ")
            c.expect("EHLO h.test", "250-")
            c.expect("QUIT", "221 ")
    for c in waiting:
        c.close()
