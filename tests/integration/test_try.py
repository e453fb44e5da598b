# SPDX-License-Identifier: ISC
"""eilbote try: SPF, the checks of a message and routes, asked without a server that runs."""
import concurrent.futures
import email
import json
import os
import re
import socket
import subprocess

import dkim
import pytest
import test_authentication as genuine
from nsd import Nsd, stub_zones
from server import EILBOTE, PATIENCE_S, Server, free_port
from test_authentication import BAD, GOOD, PEM, mail, signed

ZONES = {"test": genuine.ZONES["test"] + """
mx1 A 127.0.0.2
mx1 AAAA ::1
mx2 A 127.0.0.3
two MX 20 mx2
two MX 10 mx1
null MX 0 .
gap MX 5 gone
gap MX 10 mx2
plain A 127.0.0.4
spaced TXT "v=spf1 a:x%%%_y%-:/.test -all"
x%\\032y%20:/ A 192.0.2.1
named TXT "v=spf1 a:%{h}.test -all"
crowd TXT "v=spf1 a:h1.test a:h2.test a:h3.test -all"
told TXT "v=spf1 -all exp=why.told.test"
why.told TXT "%{i} may not send for %{d}"
client A 192.0.2.1
""" + "".join(f"many MX {k} h{k}\n" for k in range(1, 31))
         + "".join(f'full TXT "x{k}"\nover TXT "x{k}"\n_dmarc.over TXT "x{k}"\n' for k in range(99))
         + 'full TXT "v=spf1 ip4:192.0.2.1 -all"\nover TXT "x" "y"\nover TXT "v=spf1 ip4:192.0.2.1 -all"\n'
         + '_dmarc.over TXT "x" "y"\n_dmarc.over TXT "v=DMARC1; p=reject"\n',
         "2.0.192.in-addr.arpa": genuine.SOA + "1 PTR client.test.\n"}
MANY = 30


@pytest.fixture(scope="module", name="dns")
def name_server():
    server = Nsd(ZONES)
    yield server
    server.close()


@pytest.fixture(scope="module", name="site")
def configured(tmp_path_factory):
    """A configuration with its directory. No server runs."""
    return Server(tmp_path_factory.mktemp("try"))


def run(*words, stdin=b"", status=0, env=None):
    done = subprocess.run([EILBOTE, "try", *map(str, words)], input=stdin, capture_output=True, check=False, timeout=PATIENCE_S,
                          env={**os.environ, "EILBOTE_CONF": "", **(env or {})})
    assert done.returncode == status, (done.stdout, done.stderr)
    return done


def ask(dns, *words, stdin=b"", more=()):
    """The JSON of an answer by the zones."""
    return json.loads(run(*words, "--json", "--resolver", f"127.0.0.1:{dns.port}", *more, stdin=stdin).stdout)


def examine(dns, text, *words, more=()):
    content = text if isinstance(text, bytes) else text.encode()
    return ask(dns, "message", "-", *words, stdin=content, more=more)


def client(ip, sender):
    return "--ip", ip, "--helo", "helo.test", "--from", sender


# SPF

@pytest.mark.parametrize("ip, sender, result, mechanism", [
    (GOOD, "a@strict.test", "pass", "ip4:192.0.2.1"), (BAD, "a@strict.test", "fail", "-all"), (BAD, "a@lax.test", "softfail", "~all"),
    (GOOD, "a@broken.test", "permerror", ""), (GOOD, "a@nothing.test", "none", ""), ("2001:db8::1", "a@strict.test", "fail", "-all")])
def test_spf(dns, ip, sender, result, mechanism):
    got = ask(dns, "spf", *client(ip, sender))
    assert (got["result"], got["mechanism"], got["domain"], got["sender"]) == (result, mechanism, sender[2:], sender)
    assert got["identity"] == "mailfrom" and got["questions"] == 1 and isinstance(got["reason"], str)


def test_records_that_are_too_many_are_an_error(dns):
    """A hundred texts are looked at; where there are more, nobody says that there is no record."""
    assert ask(dns, "spf", *client(GOOD, "a@full.test"))["result"] == "pass"
    assert ask(dns, "spf", *client(GOOD, "a@over.test"))["result"] == "temperror"
    got = examine(dns, mail(author="a@over.test"), *client(GOOD, "a@full.test"))
    assert got["dmarc"]["result"] == "temperror"


def test_spf_of_the_name_and_of_the_null_sender(dns):
    """The null sender is the postmaster at the name (RFC 7208 2.4)."""
    named = ask(dns, "spf", "--ip", GOOD, "--helo", "strict.test")
    null = ask(dns, "spf", "--ip", GOOD, "--helo", "strict.test", "--from", "<>")
    empty = ask(dns, "spf", "--ip", GOOD, "--helo", "strict.test", "--from", "")
    assert [o["identity"] for o in (named, null, empty)] == ["helo", "mailfrom", "mailfrom"]
    assert {(o["result"], o["sender"]) for o in (named, null, empty)} == {("pass", "postmaster@strict.test")}


@pytest.mark.parametrize("helo, sender, result, domain", [
    ("helo.test", "a@spaced.test", "pass", "spaced.test"), ("JUMPIN' JUPITER", "a@named.test", "fail", "named.test"), ("%%%", "a@named.test", "fail", "named.test"),
    ("[192.0.2.1]", "a b@strict.test", "pass", "strict.test"), ("x", "@strict.test", "pass", "strict.test"), ("x", "<a@strict.test>", "pass", "strict.test"),
    ("x", "a@strict...test", "none", "strict...test"), ("x", "a@" + "l" * 64 + ".test", "none", "l" * 64 + ".test"), ("x", "a@[192.0.2.1]", "none", "[192.0.2.1]"), ("", "", "none", "")])
def test_spf_has_a_result_for_whatever_a_client_may_say(dns, helo, sender, result, domain):
    got = ask(dns, "spf", "--ip", GOOD, "--helo", helo, "--from", sender)
    assert (got["result"], got["domain"]) == (result, domain)


def test_a_message_has_a_result_for_whatever_a_client_may_say(dns):
    """As SPF has for it alone."""
    for helo, sender in (("a b", "a@strict.test"), ("", "weird..addr@@strict.test"), ("[x", "<a@strict.test>"), ("helo.test", "")):
        words = ("--ip", GOOD, "--helo", helo, "--from", sender)
        got = examine(dns, mail("a@strict.test"), *words)["spf"]
        assert {k: got[k] for k in ("result", "domain")} == {k: v for k, v in ask(dns, "spf", *words).items() if k in ("result", "domain")}


def test_spf_counts_and_explains(dns):
    assert ask(dns, "spf", *client(BAD, "a@crowd.test"))["result"] == "permerror"  # three names that are not there
    got = ask(dns, "spf", *client(BAD, "a@told.test"))
    assert (got["result"], got["explanation"]) == ("fail", f"{BAD} may not send for told.test")
    text = run("spf", *client(BAD, "a@told.test"), "--resolver", f"127.0.0.1:{dns.port}").stdout.decode()
    assert re.match(r"spf +fail +told\.test +-all ", text) and text.splitlines()[1] == f"the domain says: {BAD} may not send for told.test"


def test_everything_is_asked_of_the_resolver(dns, site):
    """Not of the configuration, whose stub leads nowhere."""
    path = site.base / "other.conf"
    path.write_text(site.conf.read_text() + stub_zones(free_port(), "test"))
    assert ask(dns, "spf", *client(GOOD, "a@strict.test"), more=("-c", path))["result"] == "pass"


def test_the_configuration_says_whom_to_ask(dns, site):
    path = site.base / "stub.conf"
    path.write_text(site.conf.read_text() + stub_zones(dns.port, "test"))
    for words, env in ((("-c", path), None), ((), {"EILBOTE_CONF": str(path)})):
        got = json.loads(run("spf", "--json", *client(GOOD, "a@strict.test"), *words, env=env).stdout)
        assert got["result"] == "pass"


# A message

def same(got, expected):
    """The verdicts that the server tells of in Authentication-Results."""
    assert {method: got[method]["result"] for method in ("spf", "arc", "dmarc") if method in expected} | {
        "dkim": [o["result"] for o in got["dkim"]]} == expected


def test_message_that_is_genuine(dns):
    got = examine(dns, signed(mail("a@strict.test")), *client(GOOD, "a@strict.test"))
    same(got, {"spf": "pass", "dkim": ["pass"], "arc": "none", "dmarc": "pass"})
    signature = got["dkim"][0]
    assert (signature["domain"], signature["selector"], signature["algorithm"], signature["key_bits"]) == ("strict.test", "key", "rsa-sha256", 2048)
    assert got["dmarc"]["domain"] == got["dmarc"]["record_domain"] == "strict.test" and got["dmarc"]["policy"] == "reject"
    assert (got["action"], got["line_ends"], got["notes"], got["client_name"]) == ("take", "crlf", [], "client.test")
    assert got["fields"].startswith("Authentication-Results: unknown;") and "iprev=pass" in got["fields"]


CASES = [
    ("disowned", BAD, "a@strict.test", mail("a@strict.test")),
    ("signed by another way", BAD, "x@lax.test", signed(mail("a@strict.test"))),
    ("changed body", BAD, "x@lax.test", signed(mail("a@strict.test")).replace("hello", "hallo")),
    ("list", BAD, "l@lax.test", mail("a@strict.test", more="List-Id: <l.lax.test>\r\n")),
    ("quarantine", BAD, "a@junk.test", mail("a@junk.test")),
    ("none", BAD, "a@lax.test", mail("a@lax.test")),
    ("no author", GOOD, "a@lax.test", "Subject: t\r\n\r\nx\r\n"),
    ("two authors", GOOD, "a@lax.test", "From: <a@lax.test>\r\nFrom: <b@lax.test>\r\n\r\nx\r\n"),
    ("no header", GOOD, "a@lax.test", "what is this\r\nthat?\r\n"),
]


RULED = [(case, "refuse") for case in CASES] + [(case, rule) for case in CASES[:1] + CASES[6:7] for rule in ("mark", "record", "off")]


@pytest.mark.parametrize("case, rule", RULED, ids=[f"{case[0]}, {rule}" for case, rule in RULED])
def test_says_what_the_server_does(make_server, dns, case, rule):
    """Reply, mark and fields are those of a server that gets the message."""
    _, ip, sender, text = case
    server = make_server(conf=stub_zones(dns.port, "test", "2.0.192.in-addr.arpa"), start=False)
    server.listener_conf("mx", f'proxy-from = {{"127.0.0.1/32"}}\n    authentication = {rule}')
    server.start()
    reply = genuine.send(server, ip, sender, text)
    got = json.loads(server.cli("try", "message", "-", "--json", *client(ip, sender), stdin=text))
    if not reply.startswith("250 "):
        assert got["action"] == "refuse" and reply == f'{got["reply"]} {got["status"]} {got["reason"]}'
        return
    message, fields = genuine.only(server), email.message_from_string(got["fields"])
    for field in ("Authentication-Results", "X-Eilbote-Junk"):
        assert fields[field] == message[field]
    assert got["action"] == ("mark" if message["X-Eilbote-Junk"] else "take") and got["listener"] == "mx"
    assert bool(got["notes"]) == (rule == "off") == (got["fields"] == "")


def test_who_is_not_looked_at(dns, site):
    site.listener_conf("mx", 'trust = {"192.0.2.99/32"}')
    for ip, why in ((BAD, "the listener trusts the client"), ("127.0.0.1", "the client is this machine")):
        got = examine(dns, mail("a@strict.test"), *client(ip, "a@strict.test"), more=("-c", site.conf))
        assert got["action"] == "take" and got["dmarc"]["result"] == "fail" and why in got["notes"][0]


def test_a_trusted_forwarder_is_believed_as_configured(dns, tmp_path):
    site = Server(tmp_path)
    site.listener_conf("mx", 'trusted-forwarders = {"forwarder.test"}')
    text = mail("a@strict.test", more="Authentication-Results: forwarder.test; dmarc=pass header.from=strict.test\r\n")
    seal = b"".join(dkim.arc_sign(text.encode(), b"key", b"forwarder.test", PEM, b"forwarder.test", include_headers=[b"from", b"to", b"subject"]))
    believed = examine(dns, seal.decode() + text, *client(BAD, "f@lax.test"), more=("-c", site.conf))
    stranger = examine(dns, seal.decode() + text, *client(BAD, "f@lax.test"))
    assert (believed["action"], stranger["action"]) == ("take", "refuse")
    assert believed["vouched_by"] == believed["arc"]["domain"] == "forwarder.test" and believed["arc"]["sealers"] == ["forwarder.test"]


def test_without_a_client_signatures_alone_count(dns):
    got = examine(dns, signed(mail("a@strict.test")))
    assert got["spf"] is None and got["dmarc"]["result"] == "pass" and "SPF is left out" in got["notes"][0]
    assert "spf=" not in got["fields"] and got["client_name"] == ""
    assert examine(dns, mail("a@strict.test"))["action"] == "refuse"


def test_line_ends_of_a_file(dns, tmp_path):
    """LF counts as CRLF, also in a signed message, and the line of an mbox does not count."""
    text = signed(mail("a@strict.test")).encode()
    path = tmp_path / "m"
    for content, ends, notes in ((text.replace(b"\r\n", b"\n"), "lf", 1), (text.replace(b"hello\r\n", b"hello\n"), "mixed", 1),
                                 (b"From bob Thu Oct  1\n" + text.replace(b"\r\n", b"\n"), "lf", 2), (text[:-2], "crlf", 0)):
        path.write_bytes(content)
        got = ask(dns, "message", path, *client(BAD, "x@lax.test"))
        assert got["dkim"][0]["result"] == "pass" and got["dkim"][0]["domain"] == "strict.test"
        assert (got["line_ends"], len(got["notes"]), got["octets"]) == (ends, notes, len(text))


def test_time_decides_about_signatures(dns):
    text = mail("a@strict.test").encode()
    dated = dkim.sign(text, b"key", b"strict.test", PEM, include_headers=[b"from"]) + text
    made = int(re.search(rb"\bt=(\d+)", dated)[1])
    assert examine(dns, dated, "--time", made)["dkim"][0]["result"] == "pass"
    early = examine(dns, dated, "--time", made - 864000)["dkim"][0]
    assert early["result"] != "pass" and early["signed_at"] == made and "future" in early["reason"]


def test_table_for_people(dns):
    done = run("message", "-", *client(BAD, "a@strict.test"), "--resolver", f"127.0.0.1:{dns.port}", stdin=signed(mail("a@strict.test"), "lax.test").encode())
    rows = [re.split(r"  +", line) for line in done.stdout.decode().splitlines()]
    assert [row[:2] for row in rows] == [["spf", "fail"], ["dkim", "permerror"], ["arc", "none"], ["dmarc", "fail"], ["action", "refuse"]]
    assert rows[1][2:4] == ["lax.test", "key"] and rows[3][3] == "reject" and rows[4][2].startswith("550 5.7.1 DMARC: ")


@pytest.mark.parametrize("content, reply, why", [
    (b"From: <a@lax.test>\n\nx\0y\n", 550, "NUL octet"), (b"From: <a@lax.test>\n\nx\ry\n", 550, "Bare CR"),
    (b"From: <a@lax.test>\n\n" + b"x" * 70000 + b"\n", 550, "line longer"), (b"X-A: a\n" * 160000 + b"\nx\n", 552, "header section"),
    (b"From: <a@lax.test>\n\n" + b"0123456789\n" * 6000000, 552, "Message too large")],
                         ids=["nul", "bare cr", "long line", "header", "size"])
def test_what_the_protocol_does_not_let_through(dns, site, content, reply, why):
    got = examine(dns, content, *client(GOOD, "a@lax.test"), more=("-c", site.conf))
    assert (got["action"], got["reply"]) == ("refuse", reply) and why in got["reason"], got


def test_large_and_binary_files(dns, tmp_path):
    """A signature over many megabytes holds; what is no message at all is looked at, and refused."""
    text = signed(mail("a@strict.test") + "".join(f"{k:070}\r\n" for k in range(300000)))
    got = examine(dns, text)
    assert got["dkim"][0]["result"] == "pass" and got["octets"] == len(text)
    path = tmp_path / "binary"
    path.write_bytes(bytes(range(256)) * 20000)
    got = ask(dns, "message", path)
    assert got["action"] == "refuse" and got["dmarc"]["result"] == "permerror" and got["dkim"] == []
    path.write_bytes(b"")
    assert ask(dns, "message", path)["action"] == "refuse"


def test_files_that_cannot_be_looked_at(tmp_path):
    assert b"No such file" in run("message", tmp_path / "nothing", status=1).stderr
    assert b"Is a directory" in run("message", tmp_path, status=1).stderr
    assert b"/dev/zero: it is larger than 100 MiB" in run("message", "/dev/zero", status=1).stderr


def test_nothing_of_a_message_reaches_a_terminal(dns):
    text = "From: <a@\x1b[31mlax.test>\r\nDKIM-Signature: v=1; a=rsa-sha256; d=\x1b[2Jx.test; s=\x1b; h=from; bh=aa; b=bb\r\n\r\nx\r\n"
    for words in ((), ("--json",)):
        done = run("message", "-", "--resolver", f"127.0.0.1:{dns.port}", *words, stdin=text.encode())
        assert b"\x1b" not in done.stdout + done.stderr


# Routes

def route(dns, site, address, *more):
    return ask(dns, "route", address, more=("-c", site.conf, *more))


def hosts(got):
    return [(o["preference"], o["host"], sorted(o["addresses"])) for o in got["hosts"]]


def test_route_by_the_dns(dns, site):
    got = route(dns, site, "you@two.test")
    assert (got["result"], got["next_hop"], got["protocol"], got["tls"], got["domain"]) == ("found", "mx", "smtp", "may", "two.test")
    assert hosts(got) == [(10, "mx1.test", ["127.0.0.2", "::1"]), (20, "mx2.test", ["127.0.0.3"])]
    assert set(got["limits"]) == {"site_connections", "connections", "connection_messages"} and min(got["limits"].values()) > 0
    assert hosts(route(dns, site, "you@plain.test")) == [(0, "plain.test", ["127.0.0.4"])]
    assert hosts(route(dns, site, "you@[192.0.2.7]")) == [(0, "192.0.2.7", ["192.0.2.7"])]
    gap = route(dns, site, "you@gap.test")
    assert hosts(gap)[0] == (5, "gone.test", []) and "no address" in gap["hosts"][0]["reason"]
    many = route(dns, site, "you@many.test")["hosts"]
    assert len(many) == MANY and "not looked up" in many[-1]["reason"] and "no address" in many[0]["reason"]


def test_route_that_is_none(dns, site):
    for address, reply, status, why in (("you@null.test", 556, "5.1.10", "null MX"), ("you@nowhere.test", 550, "5.1.2", "does not exist"),
                                        ("nobody@example.test", 550, "5.1.1", "")):
        got = route(dns, site, address)
        assert (got["result"], got["reply"], got["status"]) == ("none", reply, status) and why in got["reason"]


def test_route_to_our_own(dns, site):
    site.cli("alias", "add", "team@example.test", "alice@example.test", "you@plain.test")
    got = route(dns, site, "team@example.test")
    assert (got["result"], got["next_hop"], got["protocol"], got["hosts"]) == ("found", "mailbox", "lmtp", [])
    assert sorted((o["address"], bool(o["account"])) for o in got["recipients"]) == [("alice@example.test", True), ("you@plain.test", False)]
    assert got["socket"].startswith("/") and got["port"] == 0


def test_route_as_configured(dns, tmp_path):
    site = Server(tmp_path, conf='transport "two.test" {\n host = "mx2.test"\n port = 2525\n tls = encrypt\n}\n'
                                 'smarthost {\n host = "mx1.test"\n tls = verify\n}\ndelivery {\n connections-per-site = 7\n}')
    got = route(dns, site, "you@two.test")
    assert (got["next_hop"], got["port"], got["tls"], got["limits"]["site_connections"]) == ("transport", 2525, "encrypt", 7)
    assert hosts(got) == [(0, "mx2.test", ["127.0.0.3"])]
    assert route(dns, site, "you@plain.test")["next_hop"] == "smarthost"
    assert route(dns, site, "you@[192.0.2.7]")["next_hop"] == "smarthost"
    text = run("route", "you@two.test", "-c", site.conf, "--resolver", f"127.0.0.1:{dns.port}").stdout.decode().splitlines()
    assert re.match(r"route +found +two\.test +transport", text[0]) and text[1] == "by      smtp, tls encrypt"
    assert re.match(r"host +0 +mx2\.test port 2525: 127\.0\.0\.3$", text[2]) and text[3].startswith("limits  7 connections there")


def test_nothing_is_touched(dns, site):
    """Neither files nor the mail exchangers, one of which would answer."""
    before = {path: path.stat().st_mtime_ns for path in site.base.rglob("*")}
    route(dns, site, "you@two.test")
    examine(dns, mail("a@lax.test"), more=("-c", site.conf))
    assert {path: path.stat().st_mtime_ns for path in site.base.rglob("*")} == before


# What is asked, and how it fails

def test_resolver_that_is_dead(site):
    """An answer comes all the same, in bounded time, and says that it is a temporary one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        dead = ("--json", "--resolver", f"127.0.0.1:{silent.getsockname()[1]}")
        text = signed(mail("a@strict.test")).encode()
        with concurrent.futures.ThreadPoolExecutor() as at_once:
            spf = at_once.submit(run, "spf", *client(GOOD, "a@strict.test"), *dead)
            message = at_once.submit(run, "message", "-", *client(GOOD, "a@strict.test"), *dead, stdin=text)
            way = at_once.submit(run, "route", "you@two.test", "-c", site.conf, *dead)
        got = json.loads(spf.result().stdout)
        assert got["result"] == "temperror" and "DNS" in got["reason"]
        got = json.loads(message.result().stdout)
        assert (got["spf"]["result"], got["dkim"][0]["result"], got["dmarc"]["result"]) == ("temperror",) * 3 and got["action"] == "take"
        got = json.loads(way.result().stdout)
        assert (got["result"], got["reply"]) == ("later", 451) and "DNS" in got["reason"]


def answer_mx_alone(ours, port):
    """Hands questions for MX on to the server at the port, and says nothing to others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        while True:
            query, asker = ours.recvfrom(4096)
            if query == b"end":
                return
            if b"\4test\0\0\x0f" in query:
                other.sendto(query, ("127.0.0.1", port))
                ours.sendto(other.recv(65536), asker)


def test_hosts_that_nobody_knows_of_take_no_longer_together(dns, site):
    """Nineteen names without an answer; each alone takes the library longer than all of them may."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours, concurrent.futures.ThreadPoolExecutor() as beside:
        ours.bind(("127.0.0.1", 0))
        beside.submit(answer_mx_alone, ours, dns.port)
        try:
            got = json.loads(run("route", "you@many.test", "-c", site.conf, "--json", "--resolver", f"127.0.0.1:{ours.getsockname()[1]}").stdout)
        finally:
            ours.sendto(b"end", ours.getsockname())
    assert len(got["hosts"]) == MANY and all(o["addresses"] == [] for o in got["hosts"])
    assert got["hosts"][18]["reason"] == "DNS lookup of h19.test failed: no answer in time"


def test_the_second_resolver_is_asked_when_the_first_is_dead(dns):
    done = run("spf", "--json", *client(GOOD, "a@strict.test"), "--resolver", f"127.0.0.1:{free_port()}", "--resolver", f"localhost:{dns.port}")
    assert json.loads(done.stdout)["result"] == "pass"


def test_answers_that_cannot_be_proven_fail(dns, tmp_path):
    """With a key of the root that signs nothing here."""
    anchor = tmp_path / "root.key"
    anchor.write_text(". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n")
    got = ask(dns, "spf", *client(GOOD, "a@strict.test"), more=("--trust-anchor", anchor))
    assert got["result"] == "temperror"
    anchor.write_text("this is no key\n")
    words = ("spf", *client(GOOD, "a@strict.test"), "--resolver", f"127.0.0.1:{dns.port}", "--trust-anchor")
    assert b"trust anchor" in run(*words, anchor, status=1).stderr
    assert b"No such file" in run(*words, tmp_path / "nothing", status=1).stderr


@pytest.mark.parametrize("words, said", [
    (("spf",), "--ip is missing"), (("spf", "--ip", "192.0.2.1"), "--helo is missing"),
    (("spf", "--ip", "192.0.2", "--helo", "a"), '--ip is "192.0.2"; allowed: an IPv4 or IPv6 address'),
    (("spf", "--ip", "::1", "--helo", "a\nb"), "--helo is more than a line"),
    (("spf", "--ip", "::1", "--helo", "a", "--from", "a@" + "b" * 999), "--from is more than a line, or more than 1000 octets"),
    (("spf", "--ip", "::1", "--helo", "a", "--resolver", "127.0.0.1:0"), '--resolver is "127.0.0.1:0"; allowed: ADDRESS:PORT'),
    (("spf", "--ip", "::1", "--helo", "a", "--resolver=127.0.0.1@0"), '--resolver is "127.0.0.1@0"; allowed: ADDRESS:PORT'),
    (("spf", "--ip", "::1", "--helo", "a", "--resolver", "dns.test:53"), '--resolver is "dns.test:53"'),
    (("spf", "--ip", "::1", "--ip", "::2", "--helo", "a"), '--ip is there twice'),
    (("spf", "x", "--ip", "::1", "--helo", "a"), "x is too much"),
    (("message",), "too few arguments"), (("message", "-", "--ip", "::1"), "--helo is missing; --ip, --helo and --from go together"),
    (("message", "-", "--helo", "a", "--from", ""), "--ip is missing"), (("message", "-", "--ip", "::1", "--helo", "a"), "--from is missing"),
    (("message", "-", "--time", "yesterday"), '--time is "yesterday"; allowed: seconds since 1970'),
    (("message", "-", "--time", "-1"), '--time is "-1"'), (("message", "-", "--time", "253402300800"), "--time is"),
    (("message", "-", "more"), "more is too much"), (("route",), "too few arguments"), (("route", "example.test"), '"example.test" is no address'),
    (("route", "a@b", "c@d"), "c@d is too much"), (("route", "a@b", "--ip", "::1"), "unknown option --ip")])
def test_bad_arguments(words, said):
    done = run(*words, status=2)
    assert done.stdout == b"" and done.stderr.decode().startswith(f"eilbote try {words[0]}: {said}"), done.stderr
    assert f"usage: eilbote try {words[0]} " in done.stderr.decode()


def test_a_configuration_that_is_named_must_be_there(dns, tmp_path):
    for words in (("spf", *client(GOOD, "a@strict.test")), ("message", "/dev/null"), ("route", "a@plain.test")):
        words = (*words, "--resolver", f"127.0.0.1:{dns.port}", "-c", tmp_path / "nothing.conf")
        assert b"nothing.conf" in run(*words, status=1).stderr
