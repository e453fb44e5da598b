# SPDX-License-Identifier: ISC
"""The policy of a listener: who is let in, with which reply, and what is told of it."""
import json
import subprocess

import pytest
from nsd import Nsd, stub_zones
from server import EILBOTE, Talk, free_port, until
from test_clients import mail_of

SOA = "$TTL 60\n@ SOA ns.test. hostmaster.test. 1 60 60 60 60\n@ NS ns.test.\n"
V4, V6 = "2.0.192.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"
NIBBLES = "9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
ZONES = {
    "test": SOA + f"""ns A 127.0.0.1
good MX 10 mx.good
mx.good A 192.0.2.1
good TXT "v=spf1 ip4:192.0.2.1 -all"
plain A 192.0.2.77
null MX 0 .
textonly TXT "nothing"
client A 192.0.2.1
9.2.0.192.bl A 127.0.0.2
9.2.0.192.bl TXT "spam \\"from\\" 192.0.2.9, see https://bl.test/"
10.2.0.192.bl A 127.0.0.10
11.2.0.192.bl A 127.255.255.254
12.2.0.192.bl A 192.0.2.200
13.2.0.192.bl A 127.0.0.2
13.2.0.192.wl A 127.0.5.2
14.2.0.192.bits A 127.0.0.6
{NIBBLES}.bl A 127.0.0.2
evil.test.rhs A 127.0.1.2
evil MX 10 mx.good
""",
    V4: SOA + "1 PTR client.test.\n3 PTR forged.test.\n",
    V6: SOA,
}
GOOD = "192.0.2.1"


@pytest.fixture(scope="module")
def nsd():
    server = Nsd(ZONES)
    yield server
    server.close()


@pytest.fixture
def serve(make_server, nsd):
    def make(policy, listener="client-name = off\n    authentication = off"):
        server = make_server(conf=stub_zones(nsd.port, "test", V4, V6) + f'policy "mx" {{\n{policy}\n}}\n', start=False)
        server.listener_conf("mx", f'proxy-from = {{"127.0.0.1/32"}}\n    greeting-delay = 0\n    {listener}')
        server.start()
        return server
    return make


class Stranger(Talk):
    """A client behind a proxy, who gets the replies to what it says."""

    def __init__(self, server, ip):
        super().__init__(server.where("smtp"))
        family, own = ("TCP6", "2001:db8::2") if ":" in ip else ("TCP4", "192.0.2.200")
        self.send(f"PROXY {family} {ip} {own} 4711 25\r\n".encode())
        self.greeting = self.reply()

    def run(self, sender="a@good.test", helo="helo.test", rcpt="bob@example.test"):
        """The first reply that is no success, with its verb; of MAIL and RCPT when all are."""
        for verb, line in (("helo", f"EHLO {helo}"), ("mail", f"MAIL FROM:<{sender}>"), ("rcpt", f"RCPT TO:<{rcpt}>")):
            got = self.ask(line)
            if not got.startswith("250"):
                return verb, got
        return "ok", got

    def message(self):
        self.expect("DATA", "354 ")
        return self.ask("From: <a@good.test>\r\nSubject: t\r\n\r\nx\r\n.")


def attempt(server, ip=GOOD, **said):
    with Stranger(server, ip) as c:
        if not c.greeting.startswith("220 "):
            return "connect", c.greeting
        return c.run(**said)


def decision(server, **fields):
    return server.wait_event("policy.decision", **fields)


def test_blocked_and_allowed_networks(serve):
    server = serve('block-clients = {"192.0.2.0/24", "2001:db8::/64"}\n allow-clients = {"192.0.2.1"}')
    stage, reply = attempt(server, "192.0.2.9")
    assert stage == "connect" and reply.startswith("554 5.7.1 ") and "192.0.2.9" in reply and "192.0.2.0/24" in reply
    assert attempt(server, "2001:db8::9")[0] == "connect"
    assert attempt(server)[0] == "ok"
    found = decision(server, rule="block-clients", reason="192.0.2.0/24")
    assert (found["stage"], found["result"], found["reply"], found["reason"]) == ("connect", "refuse", 554, "192.0.2.0/24")
    assert decision(server, rule="block-clients", reason="2001:db8::/64")
    assert decision(server, rule="allow-clients")["result"] == "allow"


@pytest.mark.parametrize("helo, rule", [
    ("mail.example.test", "helo-own-name"), ("MAIL.example.test", "helo-own-name"), ("[127.0.0.1]", "helo-own-name"),
    ("127.0.0.1", "helo-own-name"), ("not_a..name", "helo-invalid"), ("[192.0.2.55]", "helo-literal"), ("x.bad.test", "block-helo"),
    ("bad.test", None), ("fine.test", None), ("allowed.bad.test", None)])
def test_helo_rules(serve, helo, rule):
    server = serve('helo-invalid = refuse\n helo-literal = refuse\n block-helo = {".bad.test"}\n allow-helo = {"allowed.bad.test"}')
    stage, reply = attempt(server, helo=helo)
    assert (stage, reply[:10]) == (("helo", "550 5.7.1 ") if rule else ("ok", reply[:10]))
    if rule:
        assert helo in reply and decision(server, rule=rule)["stage"] == "helo"


def test_our_name_in_helo_is_refused_unless_told_otherwise(serve):
    assert attempt(serve(""), helo="mail.example.test")[0] == "helo"
    assert attempt(serve("helo-own-name = off"), helo="mail.example.test")[0] == "ok"


@pytest.mark.parametrize("sender, reply", [
    ("a@good.test", None), ("a@plain.test", None), ("", None), ("a@[192.0.2.5]", None), ("a@gone.test", "550 5.1.8 "),
    ("a@textonly.test", "550 5.1.8 "), ("a@null.test", "550 5.7.27 ")])
def test_sender_domains(serve, sender, reply):
    server = serve("unknown-sender-domain = refuse\n null-mx-sender = refuse")
    stage, got = attempt(server, sender=sender)
    assert stage == ("mail" if reply else "ok")
    if reply:
        assert got.startswith(reply) and sender[2:] in got


def test_a_sender_domain_that_cannot_be_asked_about_is_put_off(make_server):
    """A name server that says nothing is no word about the domain."""
    server = make_server(conf=stub_zones(free_port(), "test") + 'policy "mx" {\n unknown-sender-domain = refuse\n}\n', start=False)
    server.listener_conf("mx", 'proxy-from = {"127.0.0.1/32"}')
    server.start()
    stage, reply = attempt(server)
    assert stage == "mail" and reply.startswith("450 4.1.8 ") and "try again later" in reply


@pytest.mark.parametrize("ip, refused, said", [
    ("192.0.2.9", True, "127.0.0.2"), ("2001:db8::9", True, "127.0.0.2"), ("192.0.2.10", False, None), ("192.0.2.11", False, "does not answer us"),
    ("192.0.2.12", False, "outside of 127.0.0.0/8"), ("192.0.2.13", False, None), ("192.0.2.1", False, None)])
def test_dnsbl(serve, ip, refused, said):
    server = serve('dnsbl-sites = {"bl.test=127.0.0.[2..4]*3", "wl.test*-2"}\n dnsbl-threshold = 2')
    stage, reply = attempt(server, ip)
    assert stage == ("mail" if refused else "ok"), reply
    if refused:
        assert reply.startswith("550 5.7.1 ") and ip in reply and "bl.test" in reply and said in reply
        assert decision(server, rule="dnsbl-sites")["result"] == "refuse"
    elif said:
        found = decision(server, rule="dnsbl-sites", result="error")
        assert said in found["reason"] and found["domain"] == "bl.test"


def test_what_a_list_says_is_quoted_harmlessly(serve):
    _, reply = attempt(serve('dnsbl-sites = {"bl.test"}'), "192.0.2.9")
    assert "\"spam 'from' 192.0.2.9, see https://bl.test/\"" in reply


def test_masks_and_lists_that_exempt(serve):
    server = serve('dnsbl-sites = {"bits.test&0.0.0.4", "bl.test"}\n dnswl-sites = {"wl.test=127.0.5.[2..3]"}')
    assert attempt(server, "192.0.2.14")[0] == "mail"
    assert attempt(server, "192.0.2.13")[0] == "ok"
    assert decision(server, rule="dnswl-sites")["result"] == "allow"


def test_domain_lists(serve):
    server = serve('rhsbl-sites = {"rhs.test"}')
    stage, reply = attempt(server, sender="a@evil.test")
    assert stage == "mail" and "evil.test is listed by rhs.test (127.0.1.2)" in reply
    assert attempt(server, helo="evil.test")[0] == "mail" and attempt(server)[0] == "ok"


@pytest.mark.parametrize("ip, rule", [("192.0.2.2", "no-reverse-name"), ("192.0.2.3", "unconfirmed-name"), (GOOD, None)])
def test_the_clients_name(serve, ip, rule):
    server = serve("no-reverse-name = refuse\n unconfirmed-name = refuse")
    stage, reply = attempt(server, ip)
    assert stage == ("mail" if rule else "ok")
    if rule:
        assert reply.startswith("550 5.7.25 ") and ip in reply and decision(server, rule=rule)["result"] == "refuse"


def test_weights_add_up_and_mark_or_refuse(serve):
    server = serve('helo-literal = "weight 3"\n no-reverse-name = "weight 3"\n unknown-sender-domain = "weight 4"\n'
                   "mark-score = 6\n refuse-score = 10")
    with Stranger(server, "192.0.2.2") as c:
        assert c.run(helo="[192.0.2.2]", sender="a@gone.test")[0] == "mail"
        assert c.ask("MAIL FROM:<a@good.test>").startswith("250 ") and c.ask("RCPT TO:<bob@example.test>").startswith("250 ")
        assert c.message().startswith("250 ")
    assert mail_of(server)[0]["X-Eilbote-Junk"] == "mark-score"
    assert decision(server, rule="refuse-score")["reply"] == 550


@pytest.mark.parametrize("authentication", ["off", "refuse"])
def test_a_mark_reaches_the_message(serve, authentication):
    server = serve("unknown-sender-domain = mark", f"client-name = off\n    authentication = {authentication}")
    with Stranger(server, GOOD) as c:
        assert c.run(sender="a@textonly.test")[0] == "ok" and c.message().startswith("250 ")
    message = mail_of(server)[0]
    assert message.get_all("X-Eilbote-Junk") == ["unknown-sender-domain"]


def test_senders_by_name(serve):
    server = serve('block-senders = {"bad@good.test", ".below.test", "plain.test"}\n allow-senders = {"gone.test"}\n unknown-sender-domain = refuse')
    assert [attempt(server, sender=who)[0] for who in ("BAD@good.test", "a@x.below.test", "a@plain.test", "a@gone.test", "a@good.test")] == [
        "mail", "mail", "mail", "ok", "ok"]


GREY = "greylisting = defer\n greylist-delay = {}\n greylist-allow-after = {}"


def test_greylisting_puts_off_once(serve):
    server = serve(GREY.format("1h", 0))
    stage, reply = attempt(server, "192.0.2.9")
    assert stage == "rcpt" and reply.startswith("451 4.7.1 ") and "60 minutes" in reply
    assert attempt(server, GOOD)[0] == "ok"  # SPF
    assert attempt(server, "192.0.2.9", rcpt="nobody@example.test")[1].startswith("550 5.1.1 ")


def test_greylisting_lasts_over_restarts(serve):
    server = serve(GREY.format("50ms", 0))
    assert attempt(server, "192.0.2.9")[0] == "rcpt"
    server.stop()
    server.start()
    until(lambda: attempt(server, "192.0.2.77")[0] == "ok")  # another host of the network
    assert attempt(server, "192.0.2.9", sender="b@good.test")[0] == "rcpt"


def test_a_network_that_delivers_is_known(serve):
    server = serve(GREY.format("0s", 2))
    assert [attempt(server, "192.0.2.9", sender=f"{k}@good.test")[0] for k in (1, 1, 1)] == ["rcpt", "ok", "ok"]
    assert attempt(server, "192.0.2.9", sender="new@good.test")[0] == "ok"


def test_a_message_for_many_counts_once_for_its_network(serve):
    server = serve(GREY.format("0s", 2))
    both = ("alice@example.test", "bob@example.test")
    for rcpt in both:
        assert attempt(server, "192.0.2.9", sender="1@good.test", rcpt=rcpt)[0] == "rcpt"
    with Stranger(server, "192.0.2.9") as c:
        assert c.run(sender="1@good.test", rcpt=both[0])[0] == "ok"
        c.expect(f"RCPT TO:<{both[1]}>", "250 ")
    assert attempt(server, "192.0.2.9", sender="2@good.test")[0] == "rcpt"
    assert attempt(server, "192.0.2.9", sender="1@good.test")[0] == "ok"
    assert attempt(server, "192.0.2.9", sender="3@good.test")[0] == "ok"


def test_a_damaged_memory_is_begun_anew(serve):
    server = serve(GREY.format("1h", 0))
    assert attempt(server, "192.0.2.9")[0] == "rcpt"
    server.stop()
    path = server.directory / "spool" / "greylist.db"
    path.write_bytes(b"x" * 4096)
    server.start()
    assert attempt(server, "192.0.2.9")[0] == "rcpt" and server.events("policy.failed") == []


@pytest.mark.parametrize("rate, stage, code", [
    ("address connections 2/1h", "connect", "421 4.7.1 "), ("network messages 2/1h", "mail", "450 4.7.1 "),
    ("sender recipients 2/1h", "rcpt", "451 4.7.1 "), ("address recipients 2/h", "rcpt", "451 4.7.1 ")])
def test_rates(serve, rate, stage, code):
    server = serve(f'rates = {{"{rate}"}}')
    assert [attempt(server)[0] for _ in range(2)] == ["ok", "ok"]
    got, reply = attempt(server)
    assert got == stage and reply.startswith(code) and rate.split("/", maxsplit=1)[0] in reply and "come again in" in reply
    assert decision(server, rule="rates")["stage"] == stage


def test_octets_are_counted(serve):
    server = serve('rates = {"address bytes 1K/1h"}')
    for expected in ("ok", "mail"):
        with Stranger(server, GOOD) as c:
            assert c.run()[0] == expected
            if expected == "ok":
                c.expect("DATA", "354 ")
                assert c.ask("Subject: t\r\n\r\n" + ("x" * 70 + "\r\n") * 20 + ".").startswith("250 ")


def test_an_account_has_its_own_rate(make_server):
    server = make_server(conf='policy "submission" {\n rates = {"account recipients 2/1h"}\n}')
    with server.submission() as c:
        c.message("alice@example.test", ["bob@example.test"])
        c.message("alice@example.test", ["bob@example.test"])
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        assert "account recipients 2/1h" in c.expect("RCPT TO:<bob@example.test>", "451 4.7.1 ")


def test_failed_logins_are_counted(make_server):
    server = make_server(conf='policy "submission" {\n rates = {"account auth-failures 1/1h"}\n}')
    with server.smtp("submission") as c:
        c.upgrade()
        assert c.ask("AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABiYWQ=").startswith("535 ")
        assert c.ask("AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABiYWQ=").startswith("454 4.7.0 ")


def test_who_is_refused_again_and_again_waits(serve):
    server = serve('block-senders = {"bad.test"}\n tarpit-after = 2\n tarpit-delay = 60s\n tarpit-delay-max = 60s\n tarpit-sessions = 1')
    with Stranger(server, GOOD) as c:
        assert c.run(sender="a@bad.test")[0] == "mail"
        c.send(b"MAIL FROM:<a@bad.test>\r\n")  # the second refusal waits, and so do all later ones
        until(lambda: len(server.events("policy.decision", rule="block-senders")) == 2)
        with Stranger(server, GOOD) as second:  # no room to wait: told so at once
            assert second.greeting.startswith("220 ") and second.reply().startswith("421 4.7.0 ")
        assert attempt(server, "192.0.2.77")[0] == "ok"


# What "eilbote try smtp" says, the server does.

EVERYTHING = """block-clients = {"192.0.2.66"}
 helo-invalid = "weight 2"
 unconfirmed-name = "weight 2"
 no-reverse-name = "weight 2"
 unknown-sender-domain = refuse
 null-mx-sender = refuse
 dnsbl-sites = {"bl.test=127.0.0.2*2", "wl.test*-2"}
 rhsbl-sites = {"rhs.test"}
 rhsbl-action = mark
 block-senders = {"bad@good.test"}
 mark-score = 2
 refuse-score = 4
 greylisting = defer
 greylist-delay = 1h"""
LETTER = "From: <a@good.test>\r\nSubject: t\r\n\r\nx\r\n"


def try_smtp(server, ip, helo, sender, rcpt, *more, stdin="", status=0):
    words = [EILBOTE, "-c", str(server.conf), "--json", "try", "smtp", "--from-ip", ip, "--helo", helo, "--mail", sender, "--rcpt", rcpt, *more]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout) if status == 0 else done.stderr


@pytest.mark.parametrize("ip, helo, sender, rcpt", [
    ("192.0.2.66", "h.test", "a@good.test", "bob"), (GOOD, "mail.example.test", "a@good.test", "bob"), (GOOD, "h.test", "a@gone.test", "bob"),
    (GOOD, "h.test", "a@null.test", "bob"), (GOOD, "h.test", "bad@good.test", "bob"), ("192.0.2.9", "h.test", "a@good.test", "bob"),
    ("192.0.2.13", "h.test", "a@good.test", "bob"), ("192.0.2.3", "bad_..helo", "a@good.test", "bob"), ("192.0.2.2", "h.test", "a@good.test", "bob"),
    ("192.0.2.2", "h.test", "a@plain.test", "nobody"), (GOOD, "h.test", "a@good.test", "bob"), (GOOD, "h.test", "a@evil.test", "bob"),
    (GOOD, "h.test", "<>", "bob"), ("127.0.0.1", "mail.example.test", "a@gone.test", "bob")])
def test_try_says_what_the_server_does(serve, ip, helo, sender, rcpt):
    server = serve(EVERYTHING, "client-name = on\n    authentication = refuse")
    before = try_smtp(server, ip, helo, sender, rcpt + "@example.test", "--data", "-", stdin=LETTER)
    assert before == try_smtp(server, ip, helo, sender, rcpt + "@example.test", "--data", "-", stdin=LETTER)  # nothing is remembered
    with Stranger(server, ip) as c:
        stage, reply = ("connect", c.greeting) if not c.greeting.startswith("220 ") else c.run(
            sender=sender.strip("<>"), helo=helo, rcpt=rcpt + "@example.test")
        if stage == "ok":
            stage, reply = "data", c.message()
    said = next(one for one in reversed(before["decisions"]) if one["rule"] == "reply")
    assert before["stage"] == said["stage"] == stage
    assert said["reply"] == int(reply[:3]), (said, reply)
    if said["result"] != "pass":
        assert reply == f"{said['reply']} {said['status']} {said['text']}" and before["reason"] == said["text"]
        assert before["result"] == ("defer" if said["reply"] < 500 else "refuse")
    server.wait_event("smtp.session.ended" if stage != "connect" else "smtp.session.refused")
    told = [(e["stage"], e["rule"], e["result"]) for e in server.events("policy.decision")]
    assert told == [(o["stage"], o["rule"], o["result"]) for o in before["decisions"]
                    if o["rule"] not in ("reply", "recipient", "authentication") and o["result"] != "pass"]
    if stage == "data" and reply.startswith("250"):
        assert (mail_of(server)[0]["X-Eilbote-Junk"] is not None) == (before["result"] == "mark")


def test_try_touches_nothing(serve):
    server = serve(GREY.format("1h", 0))
    folder = server.directory / "spool"
    server.stop()
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}
    got = try_smtp(server, "192.0.2.9", "h.test", "a@plain.test", "bob@example.test")
    assert (got["result"], got["stage"], got["rule"], got["reply"], got["status"]) == ("defer", "rcpt", "greylisting", 451, "4.7.1")
    assert {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")} == before


def test_try_knows_the_greylist_and_another_time(serve):
    server = serve(GREY.format("1h", 0))
    assert attempt(server, "192.0.2.9", sender="a@plain.test")[0] == "rcpt"
    now = int(subprocess.run(["date", "+%s"], capture_output=True, check=True).stdout)
    words = "192.0.2.9", "h.test", "a@plain.test", "bob@example.test"
    assert "too early" in [o for o in try_smtp(server, *words)["decisions"] if o["rule"] == "greylisting"][0]["text"]
    assert try_smtp(server, *words, "--time", str(now + 7200))["result"] == "accept"


def test_try_says_what_is_wrong_with_its_words(serve):
    server = serve("")
    assert "--rcpt is" in try_smtp(server, GOOD, "h.test", "a@good.test", "nonsense", status=2)
    assert "--from-ip is" in try_smtp(server, "x", "h.test", "a@good.test", "bob@example.test", status=2)
    assert "no listener" in try_smtp(server, GOOD, "h.test", "a@good.test", "bob@example.test", "--listener", "gone", status=1)
    text = subprocess.run([EILBOTE, "-c", str(server.conf), "try", "smtp", "--from-ip", GOOD, "--helo", "mail.example.test", "--mail", "<>", "--rcpt",
                           "bob@example.test"], capture_output=True, text=True, check=True).stdout
    assert "helo-own-name" in text and "550 5.7.1 " in text and text.endswith("result  refuse at helo\n")


@pytest.mark.parametrize("policy, what", [
    ('dnsbl-sites = {"bl.test=127.0.0.300"}', "dnsbl-sites"), ('dnsbl-sites = {"bl.test*0"}', "dnsbl-sites"), ("helo-invalid = perhaps", "helo-invalid"),
    ('rates = {"sender connections 1/1h"}', "rates"), ('rates = {"address messages 0/1h"}', "rates"), ('block-senders = {"a@"}', "block-senders"),
    ("greylist-delay = 1d\n greylist-window = 1h", "greylist-delay"), ('helo-invalid = "weight 0"', "helo-invalid")])
def test_what_is_wrong_is_named(make_server, policy, what):
    server = make_server(conf=f'policy "mx" {{\n{policy}\n}}', start=False)
    said = server.cli("check", status=1)
    assert what in said and "eilbote.conf:" in said


def test_a_policy_is_for_a_listener_that_is_there(make_server):
    server = make_server(conf='policy "nowhere" {\n}', start=False)
    assert 'policy "nowhere" is for a listener that is not there' in server.cli("check", status=1)
