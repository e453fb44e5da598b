# SPDX-License-Identifier: ISC
"""The client's name in the Received field (RFC 5321 section 4.4), confirmed by a real authoritative server."""
import re
import socket

import pytest
from nsd import Nsd, stub_zones
from server import Talk, free_port
from test_clients import mail_of

SOA = "$TTL 60\n@ SOA ns.test. hostmaster.test. 1 60 60 60 60\n@ NS ns.test.\n"
V4, V6 = "2.0.192.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"
ZONES = {
    "test": SOA + """ns A 127.0.0.1
good A 192.0.2.1
good AAAA 2001:db8::1
many A 192.0.2.3
many A 192.0.2.99
forged A 192.0.2.99
""",
    V4: SOA + """1 PTR Good.test.
2 PTR forged.test.
3 PTR forged.test.
3 PTR many.test.
4 PTR gone.test.
5 PTR we\\032ird.test.
7 CNAME 7.sub
7.sub PTR good.test.
8 PTR .
""",
    V6: SOA + "1" + ".0" * 23 + " PTR good.test.\n",
}


@pytest.fixture(scope="module")
def nsd():
    server = Nsd(ZONES)
    yield server
    server.close()


def serve(make_server, port, option=""):
    server = make_server(conf=stub_zones(port, "test", V4, V6), start=False)
    server.listener_conf("mx", f'proxy-from = {{"127.0.0.1/32"}}\n    authentication = off\n    {option}')
    server.start()
    return server


def received(server, client, count=1):
    """What the first Received field says about a client behind a proxy that has sent messages in one session."""
    family, own = ("TCP6", "2001:db8::2") if ":" in client else ("TCP4", "192.0.2.200")
    with Talk(server.where("smtp")) as c:
        c.send(f"PROXY {family} {client} {own} 4711 25\r\n".encode())
        assert c.reply().startswith("220 ")
        c.expect("EHLO helo.test", "250-")
        for _ in range(count):
            c.expect("MAIL FROM:<>", "250 ")
            c.expect("RCPT TO:<bob@example.test>", "250 ")
            c.expect("DATA", "354 ")
            c.expect("Subject: t\r\n\r\nx\r\n.", "250 ")
        c.expect("QUIT", "221 ")
    fields = [" ".join(mail.get_all("Received")[-1].split()) for mail in mail_of(server, count)]
    return re.match(r"from helo\.test \((.*?)\) by ", fields[-1])[1]


@pytest.mark.parametrize("client, said", [
    ("192.0.2.1", "good.test [192.0.2.1]"),
    ("2001:db8::1", "good.test [IPv6:2001:db8::1]"),
    ("192.0.2.2", "unknown [192.0.2.2]"),
    ("192.0.2.3", "many.test [192.0.2.3]"),
    ("192.0.2.4", "unknown [192.0.2.4]"),
    ("192.0.2.5", "unknown [192.0.2.5]"),
    ("192.0.2.6", "unknown [192.0.2.6]"),
    ("192.0.2.7", "unknown [192.0.2.7]"),
    ("192.0.2.8", "unknown [192.0.2.8]"),
])
def test_only_a_name_that_leads_back_is_said(make_server, nsd, client, said):
    server = serve(make_server, nsd.port)
    assert received(server, client) == said
    ended = server.wait_event("smtp.session.ended", messages=1)
    assert ended.get("name", "unknown") == said.split(" ")[0]
    assert server.events("smtp.name.failed") == []


def test_names_can_be_switched_off(make_server, nsd):
    server = serve(make_server, nsd.port, "client-name = off")
    assert received(server, "192.0.2.1") == "unknown [192.0.2.1]"


def test_a_silent_name_server_is_not_waited_for(make_server):
    """It takes the questions and never answers; the name is asked for once in a session."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", free_port()))
        server = serve(make_server, silent.getsockname()[1])
        assert received(server, "192.0.2.1", 2) == "unknown [192.0.2.1]"
        failed = server.wait_event("smtp.name.failed")
        assert failed["text"] == "the DNS failed at the name of the address"
        server.wait_event("smtp.session.ended", messages=2)
        assert len(server.events("smtp.name.failed")) == 1


def test_loopback_and_submission_are_not_looked_up(make_server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", free_port()))
        server = make_server(conf=stub_zones(silent.getsockname()[1], "127.in-addr.arpa", V4), start=False)
        server.listener_conf("submission", 'proxy-from = {"127.0.0.1/32"}')
        server.start()
        with server.smtp() as c:
            c.message("me@back.test", ["bob@example.test"])
        with Talk(server.where("submission")) as c:
            c.send(b"PROXY TCP4 192.0.2.1 192.0.2.200 4711 587\r\n")
            assert c.reply().startswith("220 ")
            c.expect("EHLO client.test", "250-")
            c.expect("STARTTLS", "220 ")
            c.start_tls()
            c.expect("EHLO client.test", "250-")
            c.expect("AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=", "235 ")
            c.expect("MAIL FROM:<alice@example.test>", "250 ")
            c.expect("RCPT TO:<bob@example.test>", "250 ")
            c.expect("DATA", "354 ")
            c.expect("Subject: t\r\n\r\nx\r\n.", "250 ")
        assert len(mail_of(server, 2)) == 2
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.recv(1)
