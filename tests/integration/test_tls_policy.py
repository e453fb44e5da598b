# SPDX-License-Identifier: ISC
"""What mail exchangers' domains and messages ask of TLS: DANE (RFC 7672), MTA-STS (RFC 8461), REQUIRETLS (RFC 8689)."""
import email
import json
import socket
import types

import pytest
from authority import Authority, PolicyServer
from nsd import Nsd, Signer, stub_zones
from peers import SmtpStub
from server import PATIENCE_S, free_port, until

HEAD = """$ORIGIN {zone}.
$TTL 60
@ SOA ns.{zone}. hostmaster.{zone}. 1 60 60 60 60
@ NS ns.{zone}.
ns A 127.0.0.1
back MX 10 mx-back
mx-back A 127.0.0.7
"""
WRONG = "00" * 32
POLICY = "version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: {age}\r\n"
STS_DOMAINS = ("one", "two", "three")
MANY = 20  # domains with policies, more than are fetched at a time
TLSRPT = 'TXT "v=TLSRPTv1; rua=https://127.0.0.1/report,mailto:tls@box.signed"'


def mx(name, address, extra=""):
    return f"{name} MX 10 mx-{name}\nmx-{name} A {address}\n{extra}"


def tlsa(port, name, data):
    return f"_{port}._tcp.mx-{name} TLSA {data}\n"


def signed_zone(port, good, authority):
    return HEAD.format(zone="signed") + "".join((
        mx("ee", "127.0.0.2", tlsa(port, "ee", f"3 1 1 {good.digest()}")),
        mx("bad", "127.0.0.2", tlsa(port, "bad", f"3 1 1 {WRONG}")),
        mx("ta", "127.0.0.2", tlsa(port, "ta", f"2 0 1 {authority.digest()}")),
        mx("other", "127.0.0.2", tlsa(port, "other", f"2 0 1 {authority.digest()}")),
        mx("pkix", "127.0.0.2", tlsa(port, "pkix", f"1 1 1 {WRONG}")),
        mx("strip", "127.0.0.3", tlsa(port, "strip", f"3 1 1 {good.digest()}")),
        mx("stripunusable", "127.0.0.3", tlsa(port, "stripunusable", f"1 1 1 {WRONG}")),
        mx("bogus", "127.0.0.2", tlsa(port, "bogus", f"3 1 1 {good.digest()}")),
        mx("none", "127.0.0.2"),
        mx("plain", "127.0.0.3"),
        mx("retired", "127.0.0.4", tlsa(port, "retired", f"3 1 1 {WRONG}")),
        "alias MX 10 mx-alias\nmx-alias CNAME mx-ee\n",
        # Names that CNAMEs lead elsewhere (RFC 7672 sections 2.2.2 and 2.2.3).
        "half MX 10 mx-half\nmx-half CNAME mx-tls.open.\n", tlsa(port, "half", f"3 1 1 {WRONG}"),
        "fitting MX 10 mx-fitting\nmx-fitting CNAME mx-tls.open.\n", tlsa(port, "fitting", f"3 1 1 {good.digest()}"),
        "halfclear MX 10 mx-halfclear\nmx-halfclear CNAME mx-clear.open.\n", tlsa(port, "halfclear", f"3 1 1 {good.digest()}"),
        "original MX 10 mx-original\nmx-original CNAME mx-none\n", tlsa(port, "original", f"3 1 1 {WRONG}"),
        "expanded MX 10 mx-expanded\nmx-expanded CNAME mx-ee\n", tlsa(port, "expanded", f"3 1 1 {WRONG}"),
        "between MX 10 mx-between\nmx-between CNAME mx-half2\nmx-half2 CNAME mx-clear.open.\n", tlsa(port, "half2", f"3 1 1 {WRONG}"),
        mx("pointed", "127.0.0.3", f"_{port}._tcp.mx-pointed CNAME _{port}._tcp.mx-clear.open.\n"),
        mx("named", "127.0.0.2", f"_{port}._tcp.mx-named CNAME _{port}._tcp.mx-bad\n"),
        mx("borrowed", "127.0.0.2", f"_{port}._tcp.mx-borrowed CNAME _{port}._tcp.mx-ee\n"),
        "second MX 10 mx-bad\nsecond MX 20 mx-ee\n",
        "unproven MX 10 mx-bogus\nunproven MX 20 mx-ee\n",
        "outward MX 10 mx-clear.open.\n",
        mx("mute", "127.0.0.3", "_tls.mute NS ns\n"),  # which does not answer for it
        "box MX 10 mx-ee\n",  # where reports go, which are not reported
        *(f"_smtp._tls.{d} {TLSRPT}\n" for d in ("ee", "bad", "strip", "unproven", "box")),
        *(f"mta-sts.{d} A 127.0.0.5\n_mta-sts.{d} TXT \"v=STSv1; id=1;\"\n" for d in ("ee", "bad")),
    ))


def open_zone(port):
    records = "".join(f"{d} MX 10 mx.{d}\nmx.{d} A 127.0.0.4\nmta-sts.{d} A 127.0.0.5\n_mta-sts.{d} TXT \"v=STSv1; id=1;\"\n_smtp._tls.{d} {TLSRPT}\n" for d in STS_DOMAINS)
    return HEAD.format(zone="open") + records + mx("clear", "127.0.0.3", tlsa(port, "clear", f"3 1 1 {WRONG}")) + mx("tls", "127.0.0.2") + (
        "inward MX 10 mx-bad.signed.\ntwice MX 10 mx.one\n_mta-sts.twice TXT \"v=STSv1; id=1;\"\n_mta-sts.twice TXT \"v=STSv1; id=2;\"\n"
        "mta-sts.twice A 127.0.0.5\n" + "".join(
            f"d{k} MX 10 mx-tls\nmta-sts.d{k} A 127.0.0.5\n_mta-sts.d{k} TXT \"v=STSv1; id=1;\"\n" for k in range(MANY)) + "private MX 10 mx.one\nmta-sts.private A 127.0.0.5\n_mta-sts.private TXT \"v=STSv1; id=1;\"\n")


@pytest.fixture(scope="module", name="net")
def internet(tmp_path_factory):
    """A signed zone and an open one, an authority and certificates; nobody listens yet."""
    folder = tmp_path_factory.mktemp("tls")
    net = types.SimpleNamespace(port=free_port(), https=free_port(), authority=Authority(folder), stranger=Authority(folder, "Stranger"))
    net.good = net.authority.issue("mx-ta.signed", "mx-tls.open", "mx-ee.signed", "mx-none.signed", *(f"mx.{d}.open" for d in STS_DOMAINS))
    net.web = net.authority.issue(*(f"mta-sts.{d}.open" for d in STS_DOMAINS), "mta-sts.private.open", "mta-sts.ee.signed", "mta-sts.bad.signed",
                                  "mta-sts.twice.open")
    net.wrong = net.authority.issue("somebody.else")
    net.late = net.authority.issue(*(f"mx.{d}.open" for d in STS_DOMAINS), is_expired=True)
    net.foreign = net.stranger.issue(*(f"mx.{d}.open" for d in STS_DOMAINS))
    signer = Signer(folder)
    zones = {"signed": signer.sign("signed", signed_zone(net.port, net.good, net.authority), [f"_{net.port}._tcp.mx-bogus.signed. TLSA"]), "open": open_zone(net.port)}
    net.anchor = signer.anchor_file()
    net.dns = Nsd(zones)
    yield net
    net.dns.close()


def conf_of(net, more="", networks='mta-sts-networks = {"127.0.0.0/8"}', queue=""):
    return f"""
delivery {{\n port = {net.port}\n ca-file = "{net.authority.file}"\n mta-sts-port = {net.https}\n {networks}\n}}
queue {{\n retry-first = 200ms\n retry-max = 400ms\n{queue}}}
resolver {{\n trust-anchor-file = "{net.anchor}"\n}}
{stub_zones(net.dns.port, "signed", "open")}
{more}"""


@pytest.fixture
def world(make_server, net):
    """The server, and mail exchangers: with TLS and the good certificate, without TLS, one of each test's own making, and the way back."""
    world = types.SimpleNamespace(net=net, stubs=[])

    def host(address, **how):
        stub = SmtpStub(address, net.port, **how)
        world.stubs.append(stub)
        return stub

    def serve(**how):
        world.server = make_server("--trust", "127.0.0.1/32", conf=conf_of(net, **how))
        return world.server

    def publish(issued=net.web):
        world.policies = PolicyServer("127.0.0.5", net.https, issued)
        return world.policies

    world.host, world.serve, world.publish = host, serve, publish
    world.good = host("127.0.0.2", tls=net.good.context(), tls_extensions=("REQUIRETLS",))
    world.clear = host("127.0.0.3")
    world.back = host("127.0.0.7", tls=net.good.context(), tls_extensions=("REQUIRETLS",))
    yield world
    for stub in world.stubs:
        stub.close()
    if hasattr(world, "policies"):
        world.policies.close()


def send(server, rcpt, sender="me@back.open", text="Subject: t\r\n\r\nx\r\n"):
    with server.smtp() as c:
        return c.message(sender, [rcpt], text)


def sessions(server, **fields):
    return server.events("tls.session", **fields)


@pytest.mark.parametrize("domain", ["ee", "ta", "alias", "fitting", "expanded", "borrowed"])
def test_dane_match_is_delivered(world, domain):
    """The last three by names that lead elsewhere: the expanded one, when it is proven, comes before the one in the MX record."""
    server = world.serve()
    send(server, f"you@{domain}.signed")
    assert world.good.wait(1)[0].is_tls
    assert server.wait_event("tls.session", policy="tlsa")["result"] == "success"


@pytest.mark.parametrize("domain, result, text", [("bad", "validation-failure", "DANE"), ("other", "certificate-host-mismatch", "DANE")])
def test_dane_mismatch_waits(world, domain, result, text):
    server = world.serve()
    ident = send(server, f"you@{domain}.signed")
    deferred = server.wait_event("delivery.deferred", message=ident, attempt=2)
    assert deferred["status"] == "4.7.5" and text in deferred["text"]
    session = server.wait_event("tls.session", result=result)
    assert session["policy"] == "tlsa" and session["enforced"] and session["receiving_ip"] == "127.0.0.2"
    assert world.good.messages == []
    assert "DANE" in server.cli("queue", "why", ident)


@pytest.mark.parametrize("domain", ["strip", "stripunusable"])
def test_dane_forbids_clear_text(world, domain):
    server = world.serve()
    ident = send(server, f"you@{domain}.signed")
    deferred = server.wait_event("delivery.deferred", message=ident)
    assert deferred["status"] == "4.7.10" and "STARTTLS" in deferred["text"] and "DANE" in deferred["text"]
    assert server.wait_event("tls.session")["result"] == "starttls-not-supported"
    assert world.clear.messages == []


@pytest.mark.parametrize("domain, status", [("bad", "5.7.5"), ("strip", "5.7.10")])
def test_what_a_policy_forbids_to_the_end_is_refused_for_good(world, domain, status):
    server = world.serve(queue=" bounce-after = 1s\n")
    send(server, f"you@{domain}.signed")
    notice = world.back.wait(1)[0].text
    assert f"Action: failed\r\nStatus: {status}\r\n" in notice and "DANE" in notice and "4" + status[1:] in notice


def test_bogus_records_keep_the_host_from_use(world):
    server = world.serve()
    ident = send(server, "you@bogus.signed")
    assert server.wait_event("delivery.deferred", message=ident)["status"] == "4.7.5"
    assert server.wait_event("tls.session")["result"] == "dnssec-invalid"
    send(server, "you@unproven.signed")
    world.good.wait(1)
    assert world.good.connections == 1


def test_the_next_host_is_tried_when_one_does_not_match(world):
    server = world.serve()
    ident = send(server, "you@second.signed")
    world.good.wait(1)
    assert server.wait_event("delivery.done", message=ident)["attempt"] == 1
    assert [s["result"] for s in sessions(server)] == ["validation-failure", "success"]


def test_unusable_records_want_tls_without_authentication(world):
    server = world.serve()
    send(server, "you@pkix.signed")
    assert world.good.wait(1)[0].is_tls


@pytest.mark.parametrize("domain", ["plain.signed", "clear.open"])
def test_without_a_policy_clear_text_will_do(world, domain):
    server = world.serve()
    send(server, f"you@{domain}")
    assert not world.clear.wait(1)[0].is_tls
    assert server.wait_event("tls.session")["policy"] == "no-policy-found"


def test_dane_needs_a_secure_way_to_the_records(world):
    """Neither a host of an open zone nor one that an open zone names is held to TLSA records."""
    server = world.serve()
    send(server, "you@outward.signed")
    assert not world.clear.wait(1)[0].is_tls
    send(server, "you@inward.open")
    assert world.good.wait(1)[0].is_tls


@pytest.mark.parametrize("domain, status", [("half", "4.7.5"), ("halfclear", "4.7.10"), ("original", "4.7.5"), ("named", "4.7.5")])
def test_dane_by_names_that_lead_elsewhere(world, domain, status):
    """
    A host whose CNAME is proven but leads into an open zone has the records at its own name; so has one whose expanded name has none;
    and records may be reached by a CNAME themselves.
    """
    server = world.serve()
    ident = send(server, f"you@{domain}.signed")
    deferred = server.wait_event("delivery.deferred", message=ident)
    assert deferred["status"] == status and "DANE" in deferred["text"]
    assert world.good.messages == world.clear.messages == []


@pytest.mark.parametrize("domain", ["between", "pointed"])
def test_dane_has_no_say_by_insecure_names(world, domain):
    """Records at a name between the first and the last are nobody's, and those that an open zone has are not proven."""
    server = world.serve()
    send(server, f"you@{domain}.signed")
    assert not world.clear.wait(1)[0].is_tls
    assert server.wait_event("tls.session")["policy"] == "no-policy-found"


def test_dane_comes_before_sts(world):
    """It decides alone: that the domain's policy names another host, or this one, changes nothing."""
    web = world.publish()
    web.publish("ee.signed", policy(mx="another.signed"))
    web.publish("bad.signed", policy(mx="mx-bad.signed"))
    server = world.serve()
    send(server, "you@ee.signed")
    world.good.wait(1)
    ident = send(server, "you@bad.signed")
    assert "DANE" in server.wait_event("delivery.deferred", message=ident)["text"]
    assert len(web.asked) == 2


def test_dane_can_be_overruled_by_the_operator(world):
    server = world.serve(more='tls-policy "bad.signed" {\n tls = encrypt\n}\ntls-policy "strip.signed" {\n tls = never\n}\n')
    send(server, "you@bad.signed")
    assert world.good.wait(1)[0].is_tls
    send(server, "you@strip.signed")
    assert not world.clear.wait(1)[0].is_tls


def test_operator_wants_a_certificate(world):
    server = world.serve(more='tls-policy ".open" {\n tls = verify\n}\n')
    send(server, "you@tls.open")
    assert world.good.wait(1)[0].is_tls
    world.host("127.0.0.4", tls=world.net.wrong.context())
    ident = send(server, "you@one.open")
    assert server.wait_event("delivery.deferred", message=ident)["status"] == "4.7.5"


def policy(domain="one", mode="enforce", mx=None, age=86400):
    return POLICY.format(mode=mode, mx=mx or f"mx.{domain}.open", age=age)


@pytest.mark.parametrize("pattern", ["mx.one.open", "*.one.open", "MX.one.OPEN"])
def test_sts_enforced_and_kept(world, pattern):
    world.publish().publish("one.open", policy(mx=pattern))
    host = world.host("127.0.0.4", tls=world.net.good.context())
    server = world.serve()
    send(server, "you@one.open")
    assert host.wait(1)[0].is_tls
    session = server.wait_event("tls.session")
    assert (session["policy"], session["mode"], session["result"]) == ("sts", "enforce", "success")


CERTIFICATES = [("wrong", "certificate-host-mismatch"), ("late", "certificate-expired"), ("foreign", "certificate-not-trusted")]


@pytest.mark.parametrize("certificate, result", CERTIFICATES)
@pytest.mark.parametrize("mode", ["enforce", "testing"])
def test_sts_certificates(world, certificate, result, mode):
    world.publish().publish("one.open", policy(mode=mode))
    host = world.host("127.0.0.4", tls=getattr(world.net, certificate).context())
    server = world.serve()
    ident = send(server, "you@one.open")
    session = server.wait_event("tls.session", result=result)
    assert session["enforced"] == (mode == "enforce")
    if mode == "enforce":
        deferred = server.wait_event("delivery.deferred", message=ident, attempt=2)
        assert deferred["status"] == "4.7.5" and "MTA-STS" in deferred["text"]
        assert host.messages == []
    else:
        assert host.wait(1)[0].is_tls


@pytest.mark.parametrize("mode", ["enforce", "testing"])
def test_sts_names_the_mail_exchangers(world, mode):
    world.publish().publish("one.open", policy(mode=mode, mx="*.mx.one.open"))
    host = world.host("127.0.0.4", tls=world.net.good.context())
    server = world.serve()
    ident = send(server, "you@one.open")
    assert server.wait_event("tls.session")["result"] == "validation-failure"
    if mode == "enforce":
        assert "does not name" in server.wait_event("delivery.deferred", message=ident)["text"]
        assert host.connections == 0
    else:
        host.wait(1)
        server.wait_event("delivery.done", message=ident)
        assert len(sessions(server)) == 1


@pytest.mark.parametrize("mode", ["enforce", "testing"])
def test_sts_without_starttls(world, mode):
    world.publish().publish("one.open", policy(mode=mode))
    host = world.host("127.0.0.4")
    server = world.serve()
    ident = send(server, "you@one.open")
    if mode == "enforce":
        assert server.wait_event("delivery.deferred", message=ident)["status"] == "4.7.10"
        assert host.messages == []
    else:
        host.wait(1)
    assert server.wait_event("tls.session")["result"] == "starttls-not-supported"


def test_a_policy_outlives_failures_and_restarts(world):
    """Neither a web server that is gone nor one with another certificate takes a known policy away."""
    web = world.publish()
    web.publish("one.open", policy())
    host = world.host("127.0.0.4", tls=world.net.good.context())
    server = world.serve()
    send(server, "you@one.open")
    host.wait(1)
    assert len(web.asked) == 1
    server.stop()
    web.close()
    host.tls = None
    # An old policy, which is to be fetched anew.
    kept = server.directory / "spool/mta-sts/one.open"
    head, rest = kept.read_text().split("\n", 1)
    mark, ident, fetched, expires = head.split()
    kept.write_text(f"{mark} {ident} {int(fetched) - 2 * 86400} {expires}\n{rest}")
    server.start()
    message = send(server, "you@one.open")
    assert server.wait_event("delivery.deferred", message=message)["status"] == "4.7.10"
    assert server.events("sts.failed", domain="one.open")
    assert len(host.messages) == 1
    # Its time is over: it has no say any more.
    server.stop()
    kept.write_text(f"{mark} {ident} {int(fetched) - 2 * 86400} {int(fetched) - 1}\n{rest}")
    server.start()
    assert not host.wait(2)[1].is_tls


def test_another_id_brings_the_new_policy(world):
    web = world.publish()
    web.publish("one.open", policy())
    host = world.host("127.0.0.4", tls=world.net.good.context())
    server = world.serve()
    send(server, "you@one.open")
    host.wait(1)
    server.stop()
    kept = server.directory / "spool/mta-sts/one.open"
    kept.write_text(kept.read_text().replace("eilbote-mta-sts 1 ", "eilbote-mta-sts 0 "))
    web.publish("one.open", "version: STSv1\nmode: none\nmax_age: 86400\n")
    host.tls = None
    server.start()
    send(server, "you@one.open")
    assert not host.wait(2)[1].is_tls
    assert kept.read_text().startswith("eilbote-mta-sts 1 ") and len(web.asked) == 2


BAD_ANSWERS = [("redirect", {"status": 302, "Location": "https://mta-sts.two.open/.well-known/mta-sts.txt"}, "HTTP 302"), ("html", {"kind": "text/html"}, "text/plain"),
               ("large", {"size": 70000}, "too large"), ("gone", {"status": 404}, "HTTP 404"), ("broken", {"text": "version: STSv2\n"}, "not valid")]


@pytest.mark.parametrize("what, how, reason", BAD_ANSWERS, ids=[a[0] for a in BAD_ANSWERS])
def test_what_is_no_policy(world, what, how, reason):
    web = world.publish()
    web.publish("two.open", policy("one"))
    options = {k: v for k, v in how.items() if k not in ("text", "size")}
    web.publish("one.open", how.get("text", policy()) + "x: y\n" * (how.get("size", 0) // 5), **options)
    host = world.host("127.0.0.4")
    server = world.serve()
    send(server, "you@one.open")
    host.wait(1)
    assert reason in server.wait_event("sts.failed", domain="one.open")["reason"]
    assert server.wait_event("delivery.done")
    assert [h for h, _ in web.asked] == ["mta-sts.one.open"], what


def test_the_web_server_has_to_be_the_right_one(world):
    world.publish(world.net.wrong).publish("one.open", policy())
    host = world.host("127.0.0.4", tls=world.net.good.context())
    server = world.serve()
    send(server, "you@one.open")
    host.wait(1)
    assert server.wait_event("tls.session")["result"] == "sts-webpki-invalid"


def test_two_records_are_none(world):
    web = world.publish()
    web.publish("twice.open", policy())
    host = world.host("127.0.0.4")
    send(world.serve(), "you@twice.open")
    host.wait(1)
    assert web.asked == []


def test_a_web_server_that_says_nothing_holds_up_nobody_else(world):
    with socket.create_server(("127.0.0.5", world.net.https)) as silent:
        world.host("127.0.0.4")
        server = world.serve()
        ident = send(server, "you@one.open")
        client, _ = silent.accept()
        for k in range(3):
            send(server, f"u{k}@clear.open")
        world.clear.wait(3)
        with server.smtp("submission", hello="") as c:
            assert c.greeting.startswith("220 ")
        assert server.events("delivery.done", message=ident) == server.events("sts.failed") == []
        client.close()
        server.wait_event("delivery.done", message=ident)


def test_slow_web_servers_keep_nobody_from_the_policy_that_is_known(world):
    """A new id asks for a fetch, but there is no place for one; what is known holds, and the mail does not wait."""
    web = world.publish()
    web.publish("one.open", policy())
    host = world.host("127.0.0.4", tls=world.net.good.context())
    server = world.serve()
    send(server, "you@one.open")
    host.wait(1)
    server.stop()
    web.close()
    kept = server.directory / "spool/mta-sts/one.open"
    kept.write_text(kept.read_text().replace("eilbote-mta-sts 1 ", "eilbote-mta-sts 0 "))
    with socket.create_server(("127.0.0.5", world.net.https)) as silent:
        silent.settimeout(PATIENCE_S)
        server.start()
        for k in range(MANY):
            send(server, f"you@d{k}.open")
        held = [silent.accept()[0] for _ in range(16)]
        send(server, "you@one.open")
        assert host.wait(2)[1].is_tls
        assert server.events("sts.failed", domain="one.open") == []
        for client in held:
            client.close()


def test_a_stranger_does_not_make_us_ask_our_own_network(world):
    web = world.publish()
    web.publish("private.open", policy())
    host = world.host("127.0.0.4")
    server = world.serve(networks="")
    send(server, "you@private.open")
    host.wait(1)
    assert "no address that may be asked" in server.wait_event("sts.failed")["reason"]
    assert web.asked == []


def secure_message(server, rcpt, text="Subject: t\r\n\r\nthe body\r\n", mail=" REQUIRETLS"):
    with server.smtp() as c:
        assert "REQUIRETLS" not in c.hello
        c.upgrade()
        assert "REQUIRETLS" in c.hello
        return c.message("me@back.signed", [rcpt], text, mail=mail)


def test_requiretls_is_for_tls_alone(world):
    server = world.serve()
    with server.smtp() as c:
        c.expect("MAIL FROM:<a@back.signed> REQUIRETLS", "555 ")
        c.upgrade()
        c.expect("MAIL FROM:<a@back.signed> REQUIRETLS=1", "501 ")


def test_requiretls_is_passed_on(world):
    server = world.serve()
    for domain in ("ee.signed", "ta.signed", "none.signed"):
        secure_message(server, f"you@{domain}")
    for message in world.good.wait(3):
        assert message.is_tls and message.mail.endswith(" REQUIRETLS")


def test_requiretls_with_an_enforced_policy(world):
    world.publish().publish("one.open", policy())
    host = world.host("127.0.0.4", tls=world.net.good.context(), tls_extensions=("REQUIRETLS",))
    server = world.serve()
    secure_message(server, "you@one.open")
    assert host.wait(1)[0].mail.endswith(" REQUIRETLS")


def test_requiretls_survives_a_restart(world):
    """It is in the journal's record, and the wish of a message is none of another's."""
    world.good.close()
    server = world.serve()
    ident = secure_message(server, "you@none.signed")
    server.wait_event("delivery.deferred", message=ident)
    server.crash_role("mta")
    world.good = world.host("127.0.0.2", tls=world.net.good.context(), tls_extensions=("REQUIRETLS",))
    server.cli("queue", "retry", "--all", status=None)
    assert world.good.wait(1)[0].mail.endswith(" REQUIRETLS")
    send(server, "you@none.signed")
    assert not world.good.wait(2)[1].mail.endswith(" REQUIRETLS")


@pytest.mark.parametrize("domain, status", [("plain.signed", "5.7.10"), ("tls.open", "5.7.30"), ("bad.signed", "5.7.30"), ("retired.signed", "5.7.30")])
def test_requiretls_that_cannot_be_kept_goes_back(world, domain, status):
    """To a server without TLS, one whose name nobody vouches for, one that does not match, one without REQUIRETLS."""
    world.net.retired = world.host("127.0.0.4", tls=world.net.good.context())
    server = world.serve()
    secure_message(server, f"you@{domain}", mail=" RET=FULL REQUIRETLS")
    failed = server.wait_event("delivery.failed")
    assert failed["status"] == status
    until(lambda: server.events("notice.accepted"))
    assert world.good.messages == [] and world.clear.messages == []


def test_the_notice_is_protected_too(world):
    server = world.serve()
    with server.smtp() as c:
        c.upgrade()
        c.message("me@ee.signed", ["you@plain.signed"], "Subject: t\r\n\r\nthe body\r\n", mail=" RET=FULL REQUIRETLS")
    notice = world.good.wait(1)[0]
    assert notice.is_tls and notice.mail.startswith("MAIL FROM:<>") and notice.mail.endswith(" REQUIRETLS")
    assert "text/rfc822-headers" in notice.text and "the body" not in notice.text and "5.7.10" in notice.text


def test_a_notice_that_cannot_be_protected_brings_nothing_back(world):
    """RFC 8689 section 5: it is not lost, and says nothing of what was to be protected."""
    server = world.serve()
    text = "Subject: secret\r\n\r\nthe body\r\n"
    with server.smtp() as c:
        c.upgrade()
        c.message("me@plain.signed", ["you@plain.signed"], text, mail=" RET=FULL ENVID=e1 REQUIRETLS")
    notice = world.clear.wait(1)[0]
    assert not notice.is_tls and notice.mail.startswith("MAIL FROM:<>") and "REQUIRETLS" not in notice.mail
    report = email.message_from_string(notice.text)
    assert report.get_content_type() == "multipart/report" and not report.defects
    assert [part.get_content_type() for part in report.get_payload()] == ["text/plain", "message/delivery-status"]
    assert "DKIM-Signature" in report
    assert "5.7.10" in notice.text and "Original-Envelope-Id: e1" in notice.text and "is left out" in notice.text
    assert "secret" not in notice.text and "the body" not in notice.text
    event = server.wait_event("notice.redacted", to="me@plain.signed")
    assert event["about"] == server.wait_event("notice.accepted")["message"]
    assert "without the message it is about" in server.cli("trace", event["message"])


def test_a_strangers_notice_that_cannot_be_protected_goes_on_without_what_it_brought(world):
    """Whatever it looks like; and it is not signed by us, whoever it says that it is from."""
    server = world.serve()
    report = ("From: MAILER-DAEMON@{own}\r\nDKIM-Signature: v=1; b=x\r\nMIME-Version: 1.0\r\n"
              "Content-Type: multipart/report; report-type=delivery-status; boundary=b1\r\n\r\n--b1\r\nContent-Type: text/plain\r\n\r\nfailed\r\n"
              "--b1\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n--b1\r\nContent-Type: message/rfc822\r\n\r\n"
              "Subject: secret\r\n\r\nsecret\r\n--b1--\r\n").format(own="example.test")
    for content in (report, "Subject: out of office\r\n\r\nyou wrote: secret\r\n"):
        with server.smtp() as c:
            c.upgrade()
            c.message("", ["you@plain.signed"], content, mail=" REQUIRETLS")
    for text in (m.text for m in world.clear.wait(2)):
        assert "is left out" in text and "secret" not in text and "DKIM-Signature" not in text
        assert ("Reporting-MTA: dns; x" in text) == ("multipart/report" in text)


def test_a_notice_without_requiretls_still_follows_the_policies(world):
    server = world.serve()
    with server.smtp() as c:
        c.upgrade()
        c.message("me@bad.signed", ["you@plain.signed"], "Subject: t\r\n\r\nthe body\r\n", mail=" REQUIRETLS")
    bare = server.wait_event("notice.redacted")["message"]
    assert server.wait_event("delivery.deferred", message=bare)["status"] == "4.7.5"
    assert world.good.messages == []


def test_tls_required_no_overrules_the_recipients_policies(world):
    server = world.serve()
    text = "TLS-Required: No\r\nSubject: t\r\n\r\nx\r\n"
    send(server, "you@strip.signed", text=text)
    assert not world.clear.wait(1)[0].is_tls
    send(server, "you@bad.signed", text=text)
    assert world.good.wait(1)[0].is_tls
    # One that asks for both means the stronger.
    secure_message(server, "you@plain.signed", text)
    assert server.wait_event("delivery.failed")["status"] == "5.7.10"


def route(world, address):
    return json.loads(world.server.cli("try", "route", address, "--json"))


def test_try_route_shows_the_policy(world):
    world.publish().publish("one.open", policy())
    server = world.serve()
    got = route(world, "you@ee.signed")
    assert got["tls_policy"]["policy"] == "dane" and got["hosts"][0]["dane"]["records"] == [f"3 1 1 {world.net.good.digest()}"]
    assert "DANE" in server.cli("try", "route", "you@ee.signed")
    got = route(world, "you@one.open")["tls_policy"]
    assert (got["policy"], got["mode"], got["mx"], got["source"]) == ("mta-sts", "enforce", ["mx.one.open"], "fetched")
    assert not (server.directory / "spool/mta-sts").exists()
    assert route(world, "you@clear.open")["tls_policy"]["policy"] == "none"
