# SPDX-License-Identifier: ISC
"""Where mail goes by the DNS (RFC 5321 section 5.1, RFC 7505), asked of a real authoritative server."""
import shutil
import socket
import subprocess
import tempfile

import pytest
from peers import SmtpStub
from server import free_port, until

ZONE = """$ORIGIN test.
$TTL 60
@ SOA ns.test. hostmaster.test. 1 60 60 60 60
@ NS ns.test.
ns A 127.0.0.1
mx1 A 127.0.0.2
mx2 A 127.0.0.3
mx3 A 127.0.0.4
two MX 10 mx1
two MX 20 mx2
equal MX 10 mx1
equal MX 10 mx2
null MX 0 .
plain A 127.0.0.2
alias CNAME two
nohost MX 10 gone.test.
loop MX 10 mail.example.test.
loop MX 20 mx1
behind MX 5 mx1
behind MX 10 mail.example.test.
behind MX 20 mx2
nothing TXT "no address"
back MX 10 mx3
"""


class Nsd:
    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="eb-nsd-")
        self.port = free_port()
        with open(f"{self.base}/test.zone", "w", encoding="utf-8") as zone:
            zone.write(ZONE)
        with open(f"{self.base}/nsd.conf", "w", encoding="utf-8") as conf:
            conf.write(f"""server:
    ip-address: 127.0.0.1@{self.port}
    username: ""
    zonesdir: "{self.base}"
    database: ""
    pidfile: ""
    xfrdfile: "{self.base}/xfrd.state"
    zonelistfile: "{self.base}/zone.list"
    xfrdir: "{self.base}"
    server-count: 1
remote-control:
    control-enable: no
zone:
    name: "test"
    zonefile: "test.zone"
""")
        with open(f"{self.base}/out", "wb") as out:
            self.process = subprocess.Popen(["/usr/sbin/nsd", "-d", "-c", f"{self.base}/nsd.conf"], stdout=out, stderr=out)
        until(self.is_answering, why=self.why)

    def why(self):
        with open(f"{self.base}/out", encoding="utf-8") as out:
            return out.read()

    def is_answering(self):
        """Asks for the SOA of the zone over TCP."""
        query = b"\0\x1e\x12\x34\0\0\0\1\0\0\0\0\0\0\4test\0\0\6\0\1"
        query = (len(query) - 2).to_bytes(2, "big") + query[2:]
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as s:
                s.sendall(query)
                return s.recv(2) != b""
        except OSError:
            return False

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.base, ignore_errors=True)


@pytest.fixture(scope="module")
def nsd():
    server = Nsd()
    yield server
    server.close()


@pytest.fixture
def net(make_server, nsd):
    """A server that finds its way by the zone, and mail exchangers at 127.0.0.2 to 4."""
    port = free_port()
    hosts = {name: SmtpStub(f"127.0.0.{2 + k}", port) for k, name in enumerate(("mx1", "mx2", "mx3"))}
    server = make_server("--trust", "127.0.0.1/32", conf=f"""
delivery {{\n port = {port}\n}}
queue {{\n retry-first = 200ms\n retry-max = 400ms\n}}
stub-zone "test" {{\n server = {{"127.0.0.1@{nsd.port}"}}\n}}
stub-zone "refused" {{\n server = {{"127.0.0.1@{nsd.port}"}}\n}}
""")
    yield server, hosts
    for host in hosts.values():
        host.close()


def send(server, *rcpts):
    with server.smtp() as c:
        return c.message("me@back.test", rcpts)


def status_of(notice):
    return [line for line in notice.text.split("\r\n") if line.startswith("Status: ")][0]


def test_best_preference_first(net):
    server, hosts = net
    for _ in range(5):
        send(server, "you@two.test")
    hosts["mx1"].wait(5)
    assert hosts["mx2"].connections == 0


def test_next_preference_when_the_best_is_down(net):
    server, hosts = net
    hosts["mx1"].close()
    send(server, "you@two.test")
    hosts["mx2"].wait(1)


def test_equal_preferences_share(net):
    server, hosts = net
    for k in range(12):
        send(server, f"u{k}@equal.test")
        until(lambda: len(hosts["mx1"].messages) + len(hosts["mx2"].messages) == k + 1)
        server.cli("queue", "retry", "--all", status=1)
    assert len(hosts["mx1"].messages) + len(hosts["mx2"].messages) == 12


@pytest.mark.parametrize("domain", ["plain.test", "alias.test"])
def test_without_mx_the_address_and_cname_are_used(net, domain):
    server, hosts = net
    send(server, f"you@{domain}")
    hosts["mx1"].wait(1)


def test_address_literal(net):
    server, hosts = net
    send(server, "you@[127.0.0.3]")
    assert hosts["mx2"].wait(1)[0].rcpt[0].startswith("RCPT TO:<you@[127.0.0.3]>")


@pytest.mark.parametrize("domain, status", [("null.test", "5.1.10"), ("gone.test", "5.1.2"), ("loop.test", "5.4.6"), ("nothing.test", "5.4.4"),
                                            ("nohost.test", "5.4.4")])
def test_no_way_is_returned_with_the_right_status(net, domain, status):
    server, hosts = net
    send(server, f"you@{domain}")
    notice = hosts["mx3"].wait(1)[0]
    assert status_of(notice) == f"Status: {status}"
    assert hosts["mx1"].connections == hosts["mx2"].connections == 0
    server.wait_empty()


def test_only_better_hosts_than_ourselves(net):
    server, hosts = net
    hosts["mx1"].replies = {"RCPT": ["451 4.2.0 later"]}
    send(server, "you@behind.test")
    hosts["mx1"].wait(1)
    assert hosts["mx2"].connections == 0


def test_dns_failure_only_delays(net):
    server, hosts = net
    ident = send(server, "you@x.refused")
    deferred = server.wait_event("delivery.deferred", message=ident)
    assert (deferred["reply"], deferred["status"]) == (451, "4.4.3")
    assert server.events("delivery.failed") == []
    assert hosts["mx3"].messages == []
