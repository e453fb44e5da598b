# SPDX-License-Identifier: ISC
"""
DNS records of every wrong length: MX, A, AAAA, PTR and CNAME data from nothing to too much, names that are cut, that point at themselves or
nowhere, and counts that lie. No mail is lost or misled by them, and a good record beside them is used.

The defences are dns_mx_read(), dns_name_read() and dns_address_read() in proto/dns.c, behind what libunbound refuses itself.
"""
import pytest
from dialogue import pop
from dns_stub import DnsStub, name, record
from nsd import stub_zones
from peers import SmtpStub
from server import Talk, free_port, until

LOCAL = bytes([127, 0, 0, 2])
GOOD = {("mx1.test", "A"): [record("mx1.test", "A", LOCAL)]}
# Data of an MX record that names no host.
BAD_MX = {f"mx{n}": (b"\0\5" + name("mx1.test"))[:n] for n in range(0, 12)}
BAD_MX.update({"beyond": b"\0\5" + name("mx1.test") + b"x", "beyond2": b"\0\5" + name("mx1.test") * 2, "label64": b"\0\5" + b"\x40" + b"a" * 64 + b"\0",
               "label63": b"\0\5" + b"\x3f" + b"a" * 63 + b"\4test\0", "long": b"\0\5" + (b"\x3f" + b"a" * 63) * 4 + b"\0", "long2": b"\0\5" + b"\1a" * 300 + b"\0",
               "itself": b"\0\5\xc0\xff", "nowhere": b"\0\5\xff\xff", "half": b"\0\5\xc0", "extended": b"\0\5\x41\0", "nul": b"\0\5\4a\0bc\4test\0",
               "dot": b"\0\5\3a.b\4test\0", "blank": b"\0\5\3a b\4test\0", "line": b"\0\5\5a\r\nbc\4test\0", "slash": b"\0\5\x09../../etc\4test\0", "root": b"\0\5\0",
               "eight": b"\0\5\2\xff\xfe\4test\0", "bracket": b"\0\5\x0b[127.0.0.2]\0", "digits": b"\0\5\x03127\x010\x010\x012\0"})


def lengths(size):
    """Address data of every length but the right one."""
    return [n for n in range(0, 40) if n != size] + [255, 256, 1000]


@pytest.fixture
def world(make_server):
    """A server that asks a stub, with mail exchangers at 127.0.0.2 (good) and 127.0.0.3 (where a bad record must not lead)."""
    made, port = [], free_port()
    hosts = [SmtpStub("127.0.0.2", port), SmtpStub("127.0.0.3", port)]
    made += hosts

    def make(records, more=""):
        dns = DnsStub({**GOOD, **records})
        made.append(dns)
        server = make_server("--trust", "127.0.0.1/32", conf=f"delivery {{\n port = {port}\n}}\nqueue {{\n retry-first = 1h\n}}\n{stub_zones(dns.port, 'test', 'in-addr.arpa')}{more}")
        return server, hosts

    yield make
    for each in made:
        each.close()


def send_all(server, domains):
    with server.smtp() as c:
        return {domain: c.message("", [f"x@{domain}"]) for domain in domains}


def outcome(server, ident):
    """done, deferred or failed, once it is known."""
    def look():
        return [e["event"] for e in server.events(message=ident) if e["event"] in ("delivery.done", "delivery.deferred", "delivery.failed")]
    return until(look)[0].partition(".")[2]


def test_a_bad_mx_record_does_not_hide_a_good_one(world):
    """Every wrong length beside a good record of lower preference: the mail goes to the good host, or waits where the whole answer was refused."""
    records = {(f"{key}.test", "MX"): [record(f"{key}.test", "MX", data), record(f"{key}.test", "MX", b"\0\x14" + name("mx1.test"))] for key, data in BAD_MX.items()}
    server, hosts = world(records)
    ids = send_all(server, [f"{key}.test" for key in BAD_MX])
    outcomes = {domain: outcome(server, ident) for domain, ident in ids.items()}
    assert set(outcomes.values()) <= {"done", "deferred"}, outcomes
    assert sum(1 for what in outcomes.values() if what == "done") == len(hosts[0].messages) >= 12, outcomes
    assert hosts[1].connections == 0


def test_a_bad_mx_record_alone_sends_nothing_anywhere(world):
    """It is returned or waits; the address record of the domain itself is no way around an MX record (RFC 5321 section 5.1)."""
    records = {}
    for key, data in BAD_MX.items():
        records[f"{key}.test", "MX"] = [record(f"{key}.test", "MX", data)]
        records[f"{key}.test", "A"] = [record(f"{key}.test", "A", bytes([127, 0, 0, 3]))]
    server, hosts = world(records)
    ids = send_all(server, [f"{key}.test" for key in BAD_MX])
    outcomes = {domain: outcome(server, ident) for domain, ident in ids.items()}
    assert set(outcomes.values()) <= {"failed", "deferred"}, outcomes
    assert hosts[0].connections == hosts[1].connections == 0


@pytest.mark.parametrize("kind, size", [("A", 4), ("AAAA", 16)])
def test_an_address_of_a_wrong_length_is_none(world, kind, size):
    """127.0.0.3 cut short, or with more behind it; nobody is connected to. Beside a good one, the good one is used."""
    mapped = bytes(10) + b"\xff\xff" + bytes([127, 0, 0, 3])
    records = {}
    for n in lengths(size):
        # One that begins with the address, and one that ends with it: a reader that errs takes either.
        for side, data in (("front", (mapped[-size:] * 300)[:n]), ("back", (bytes(1000) + mapped)[-n:] if n else b"")):
            records[f"alone{n}{side}.test", kind] = [record(f"alone{n}{side}.test", kind, data)]
            records[f"beside{n}{side}.test", kind] = [record(f"beside{n}{side}.test", kind, data)]
            records.setdefault((f"beside{n}{side}.test", "A"), []).append(record(f"beside{n}{side}.test", "A", LOCAL))
    server, hosts = world(records)
    ids = send_all(server, [domain for domain, _ in records if domain.startswith("alone")])
    assert {outcome(server, ident) for ident in ids.values()} <= {"failed", "deferred"}
    assert hosts[0].connections == 0
    ids = send_all(server, {domain for domain, _ in records if domain.startswith("beside")})
    outcomes = [outcome(server, ident) for ident in ids.values()]
    assert set(outcomes) <= {"done", "deferred"} and outcomes.count("done") == len(hosts[0].messages)
    assert hosts[1].connections == 0


def lying(length, count=1, data=b"\0\5" + name("mx1.test"), cut=None):
    """An answer whose record says a length, whose header says a count, and which ends early."""
    def make(question):
        packet = b"\x84\0\0\1" + count.to_bytes(2, "big") + b"\0\0\0\0" + question + record("lie.test", "MX", data, length)
        return packet[:cut] if cut is not None else packet
    return make


def test_answers_that_lie_about_their_lengths_only_delay(world):
    lies = {f"length{n}": lying(n) for n in (0, 1, 2, 3, 11, 13, 100, 65535)}
    lies.update({f"count{n}": lying(12, n) for n in (0, 2, 100, 65535)})
    lies.update({f"cut{n}": lying(12, cut=n) for n in (0, 1, 5, 9, 10, 11, 20, 27, 30, 40)})
    lies["noquestion"] = lambda question: b"\x84\0\0\0\0\0\0\0\0\0"
    lies["otherquestion"] = lambda question: b"\x84\0\0\1\0\1\0\0\0\0" + name("other.test") + b"\0\x0f\0\1" + record("other.test", "MX", b"\0\5" + name("evil.test"))
    lies["otherowner"] = lambda question: b"\x84\0\0\1\0\1\0\0\0\0" + question + record("other.test", "MX", b"\0\5" + name("evil.test"))
    lies["loop"] = lambda question: b"\x84\0\0\1\0\1\0\0\0\0" + question + b"\xc0\x0c\0\x0f\0\1\0\0\0\5\0\4\0\5" + b"\xc0" + bytes([10 + len(question) + 2 + 14])
    server, hosts = world({(f"{key}.test", "MX"): make for key, make in lies.items()} | {("evil.test", "A"): [record("evil.test", "A", bytes([127, 0, 0, 3]))]})
    ids = send_all(server, [f"{key}.test" for key in lies])
    for domain, ident in ids.items():
        assert outcome(server, ident) in ("deferred", "failed", "done"), domain
    assert hosts[1].connections == 0


PTR = {"empty": b"", "cut": b"\7client", "label": b"\x40" + b"a" * 64 + b"\0", "beyond": name("client.test") + b"x", "pointer": b"\xc0\xff", "nul": b"\4a\0bc\4test\0",
       "line": b"\x0ca\r\nX-Bad: yes\4test\0", "root": b"\0", "long": (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0", "quote": b"\5a\"(b)\4test\0"}


@pytest.mark.parametrize("key", PTR)
def test_the_name_of_a_client_is_none_when_its_record_is_broken(world, key):
    """And the message is taken all the same."""
    data = PTR[key]
    owner = "7.2.0.192.in-addr.arpa"
    server, _ = world({(owner, "PTR"): [record(owner, "PTR", data)], ("client.test", "A"): [record("client.test", "A", bytes([192, 0, 2, 7]))]}, "")
    server.listener_conf("mx", 'proxy-from = {"127.0.0.1/32"}\n    authentication = off')
    server.reload()
    with Talk(server.where("smtp")) as c:
        c.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n")
        assert c.reply().startswith("220 ")
        c.expect("EHLO c.test", "250-")
        for line, start in (("MAIL FROM:<x@elsewhere.example>", "250 "), ("RCPT TO:<alice@example.test>", "250 "), ("DATA", "354 "), ("S: x\r\n\r\nx\r\n.", "250 ")):
            c.expect(line, start)
    server.wait_empty()
    text, = pop(server)
    assert b"from c.test (unknown [192.0.2.7])" in b" ".join(text.split()) and b"X-Bad" not in text
