# SPDX-License-Identifier: ISC
"""Where mail goes by the DNS (RFC 5321 section 5.1, RFC 7505), asked of a real authoritative server."""
import pytest
from nsd import Nsd, stub_zones
from peers import SmtpStub, transport
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
mixednull MX 0 .
mixednull MX 10 mx1
nulls MX 0 .
nulls MX 10 .
address MX 5 127.0.0.3.
address MX 10 mx1
addresses MX 5 127.0.0.3.
odd MX 5 we\\032ird
odd MX 10 mx1
odds MX 5 we\\032ird
named CNAME mx1
viacname MX 10 named
circle1 CNAME circle2
circle2 CNAME circle1
tocircle MX 10 circle1
half MX 5 gone
half MX 10 circle1
half MX 20 mx1
twice MX 5 mx1
twice MX 10 mx1
twice MX 20 mx2
"""
LONG = ".".join([character * 60 for character in "abc"])
ZONE += "".join(f"crowd MX {1000 - k} gone{k}\n" for k in range(100)) + "crowd MX 1 mx1\n"
# Answers of nearly 64 KiB; the names of the second are too much once they are not compressed.
ZONE += "".join(f"large MX {k} mx1\n" for k in range(2000))
ZONE += f"{LONG} A 127.0.0.2\n" + "".join(f"huge MX {k} {LONG}\n" for k in range(3500))
ZONE += "".join(f"wide{h} A 127.9.{k // 250}.{1 + k % 250}\n" for h in range(40) for k in range(3000))
ZONE += "".join(f"widest MX {10 + h} wide{h}\n" for h in range(40)) + "widest MX 1 mx1\n"


@pytest.fixture(scope="module")
def nsd():
    server = Nsd({"test": ZONE})
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
{stub_zones(nsd.port, "test", "refused")}""")
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


REFUSALS = [("GREETING", "554 5.7.1 not you"), ("GREETING", "521 5.3.2 no mail here"), ("GREETING", "550 no"), ("EHLO", "550 5.7.1 not you"),
            ("EHLO", "554 no"), ("GREETING", "421 4.3.2 busy")]


@pytest.mark.parametrize("verb, reply", REFUSALS)
def test_next_host_when_the_best_refuses_to_talk(net, verb, reply):
    server, hosts = net
    hosts["mx1"].replies = {verb: [reply, ...]}
    ident = send(server, "you@two.test")
    hosts["mx2"].wait(1)
    assert server.wait_event("delivery.done", message=ident)["attempt"] == 1
    assert hosts["mx1"].connections == 1


@pytest.mark.parametrize("first, second", [(REFUSALS[0], REFUSALS[0]), (REFUSALS[3], REFUSALS[0]), (REFUSALS[0], REFUSALS[1]),
                                           (REFUSALS[1], REFUSALS[0])])
def test_all_hosts_refuse_to_talk_only_delays(net, first, second):
    server, hosts = net
    for host, (verb, reply) in zip(("mx1", "mx2"), (first, second)):
        hosts[host].replies = {verb: [reply, ...]}
    ident = send(server, "you@two.test")
    deferred = server.wait_event("delivery.deferred", message=ident)
    assert (deferred["outcome"], deferred["reply"]) == ("later", int(second[1][:3]))
    assert deferred["remote"].startswith("mx2.test ")
    server.wait_event("delivery.deferred", message=ident, attempt=2)
    for host in ("mx1", "mx2"):
        hosts[host].replies = {}
    server.cli("queue", "retry", "--all")
    hosts["mx1"].wait(1)
    assert server.events("delivery.failed") == []


@pytest.mark.parametrize("reply", ["521 5.3.2 no mail here", "521 no mail here"])
def test_all_hosts_take_no_mail_at_all(net, reply):
    server, hosts = net
    for host in ("mx1", "mx2"):
        hosts[host].replies = {"GREETING": [reply, ...]}
    send(server, "you@two.test")
    notice = hosts["mx3"].wait(1)[0]
    assert status_of(notice) == "Status: 5.3.2"
    assert "Diagnostic-Code: smtp; 521 5.3.2 no mail here\r\n" in notice.text
    assert hosts["mx1"].connections == hosts["mx2"].connections == 1
    server.wait_empty()


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


@pytest.mark.parametrize("domain", ["mixednull.test", "address.test", "odd.test", "viacname.test", "half.test", "crowd.test", "large.test", "widest.test"])
def test_records_that_are_no_good_do_not_hide_a_good_one(net, domain):
    server, hosts = net
    ident = send(server, f"you@{domain}")
    hosts["mx1"].wait(1)
    assert server.wait_event("delivery.done", message=ident)["attempt"] == 1
    assert hosts["mx2"].connections == 0


def test_a_host_named_twice_is_tried_once(net):
    server, hosts = net
    hosts["mx1"].replies = {"GREETING": ["554 no", ...]}
    send(server, "you@twice.test")
    hosts["mx2"].wait(1)
    assert hosts["mx1"].connections == 1


@pytest.mark.parametrize("domain", ["circle1.test", "tocircle.test", "huge.test"])
def test_names_in_a_circle_and_answers_that_are_too_large_only_delay(net, domain):
    server, hosts = net
    ident = send(server, f"you@{domain}")
    deferred = server.wait_event("delivery.deferred", message=ident)
    assert (deferred["outcome"], deferred["status"]) == ("later", "4.4.3")
    assert server.events("delivery.failed") == []
    assert hosts["mx3"].messages == []


def test_address_literal(net):
    server, hosts = net
    send(server, "you@[127.0.0.3]")
    assert hosts["mx2"].wait(1)[0].rcpt[0].startswith("RCPT TO:<you@[127.0.0.3]>")


@pytest.mark.parametrize("domain, status", [("null.test", "5.1.10"), ("gone.test", "5.1.2"), ("loop.test", "5.4.6"), ("nothing.test", "5.4.4"),
                                            ("nohost.test", "5.4.4"), ("nulls.test", "5.4.4"), ("addresses.test", "5.4.4"), ("odds.test", "5.4.4")])
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


@pytest.mark.parametrize("host", ["gone.test", "nothing.test"])
def test_a_next_hop_without_an_address_only_delays(make_server, nsd, host):
    """A slip in the configuration, or in the zone of the next hop, is no reason to return all mail."""
    server = make_server("--trust", "127.0.0.1/32", conf=stub_zones(nsd.port, "test") + transport("far.example", 25, host))
    ident = send(server, "you@far.example")
    deferred = server.wait_event("delivery.deferred", message=ident)
    assert (deferred["reply"], deferred["status"]) == (550, "5.4.4")
    assert server.events("delivery.failed") == []
