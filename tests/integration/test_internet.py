# SPDX-License-Identifier: ISC
"""Mail between hosts of a miniature internet (internet.py), on the real ports, with the DNS asked from its signed root on."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import types

import pytest
from authority import Authority, PolicyServer
from internet import HEAD, LEAF, NET, ROOT, Host, NameServer, Names, Stripper, Wire, why_not
from peers import SmtpStub
from postfix import Postfix
from server import EILBOTE, Smtp, until

REASON = why_not()
pytestmark = pytest.mark.skipif(REASON != "", reason=REASON)

STRIPPING = f"{NET}.4"  # a name server that passes no signatures on
A, B, C, WEB, GOOD, WRONG, CLEAR, LATE, BETWEEN, OTHER = (f"{NET}.{n}" for n in (11, 12, 13, 15, 21, 22, 23, 24, 25, 26))
POLICY = "version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: 86400\r\n"
STS = {"right": ("enforce", GOOD), "wrong": ("enforce", WRONG), "testing": ("testing", WRONG), "stripped": ("enforce", CLEAR), "between": ("enforce", BETWEEN)}
TLSRPT = '_smtp._tls.{name} TXT "v=TLSRPTv1; rua=mailto:reports@b.eb"\n'


def mx(name, address, more=""):
    return f"{name} MX 10 mx.{name}\nmx.{name} A {address}\n{more}"


def signed_zone(good):
    return "".join((mx("match", GOOD, f"_25._tcp.mx.match TLSA 3 1 1 {good.digest()}\n"),
                    mx("mismatch", GOOD, f"_25._tcp.mx.mismatch TLSA 3 1 1 {'00' * 32}\n"),
                    mx("bogus", GOOD, f"_25._tcp.mx.bogus TLSA 3 1 1 {good.digest()}\n"),
                    mx("strip", CLEAR, f"_25._tcp.mx.strip TLSA 3 1 1 {good.digest()}\n"),
                    mx("between", BETWEEN, f"_25._tcp.mx.between TLSA 3 1 1 {good.digest()}\n"),
                    mx("postfix", OTHER, f'_25._tcp.mx.postfix TLSA 3 1 1 {good.digest()}\npostfix TXT "v=spf1 mx -all"\n'),
                    "null MX 0 .\n"))


def open_zone():
    return "".join((*(mx(name, address, f'mta-sts.{name} A {WEB}\n_mta-sts.{name} TXT "v=STSv1; id=1;"\n') for name, (_, address) in STS.items()),
                    f"two MX 10 first.two\ntwo MX 20 second.two\nfirst.two A {LATE}\nsecond.two A {CLEAR}\n",
                    mx("sender", A), mx("path", BETWEEN), TLSRPT.format(name="wrong")))


@pytest.fixture(scope="module", name="net")
def internet():
    folder, closers = pathlib.Path(tempfile.mkdtemp(prefix="eb-net-")), []
    folder.chmod(0o755)  # the roles read it, which have users of their own
    net = types.SimpleNamespace(wire=Wire())
    closers.append(net.wire)
    try:
        build(net, folder, closers)
        yield net
    finally:
        for closer in reversed(closers):
            closer.close()
        shutil.rmtree(folder, ignore_errors=True)


def build(net, folder, closers):
    authority = Authority(folder)
    net.good = authority.issue("mx.right.open.eb")
    net.wrong = authority.issue("somebody.else")
    spaces = {name: net.wire.add(name, *addresses) for name, addresses in (
        ("names", [f"{NET}.{n}" for n in (1, 2, 3, 4)]), ("a", [A]), ("b", [B]), ("c", [C]), ("web", [WEB]), ("far", [GOOD, WRONG, CLEAR, LATE]), ("between", [BETWEEN]), ("other", [OTHER]))}
    net.far, net.beside = spaces["far"], spaces["other"]
    delivery = f'delivery {{\n ca-file = "{authority.file}"\n}}\n'
    net.a = Host(spaces["a"], "a.eb", folder, delivery, ("--trust", "127.0.0.1/32"))
    net.b = Host(spaces["b"], "b.eb", folder, delivery)
    net.c = Host(spaces["c"], "c.eb", folder, delivery)
    net.c.conf.write_text(net.c.conf.read_text().replace('policy "mx" {\n', 'policy "mx" {\n    greylisting = defer\n    greylist-delay = 1s\n'))
    net.b.cli("alias", "add", "onward@b.eb", "you@match.signed.eb")
    zones = {f"{h.domain}": (h.records(address), True, ()) for h, address in ((net.a, A), (net.b, B), (net.c, C))}
    zones["signed.eb"] = signed_zone(net.good), True, ["_25._tcp.mx.bogus.signed.eb. TLSA"]
    zones["open.eb"] = open_zone(), False, ()
    closers.append(Names(folder, spaces["names"], zones))
    net.folder, net.zones = folder, spaces["names"]
    with spaces["names"]:
        closers.append(NameServer(STRIPPING, {".": HEAD.format(origin=".", ns="a.root.") + f"a.root. A {STRIPPING}\n"}))
    with spaces["web"]:
        net.web = PolicyServer(WEB, 443, authority.issue(*(f"mta-sts.{name}.open.eb" for name in STS)))
    closers.append(net.web)
    for name, (mode, _) in STS.items():
        net.web.publish(f"{name}.open.eb", POLICY.format(mode=mode, mx=f"mx.{name}.open.eb"))
    with spaces["far"]:
        net.secure = SmtpStub(GOOD, 25, tls=net.good.context(), tls_extensions=("REQUIRETLS",))
        net.other = SmtpStub(WRONG, 25, tls=net.wrong.context())
        net.clear = SmtpStub(CLEAR, 25)
    with spaces["between"]:
        net.stripper = Stripper(BETWEEN, GOOD)
    closers.extend((net.secure, net.other, net.clear, net.stripper))
    for host in (net.a, net.b, net.c):
        closers.append(host)
        host.start()


def done(host, ident):
    return host.wait_event("delivery.done", message=ident)


def waits(host, ident):
    """Why a message waits, to the operator's eye; then it is taken away."""
    deferred = host.wait_event("delivery.deferred", message=ident)
    said = host.cli("queue", "why", ident)
    host.cli("queue", "drop", ident)
    return deferred["status"], said


def test_two_servers_believe_each_other(net):
    """From the records that the one prints the other knows its mail: SPF by the real address, DKIM, DMARC; and the way there is DANE's."""
    done(net.a, net.a.submit("bob@b.eb", "From: bob@a.eb\r\nSubject: believed\r\n\r\nx\r\n"))
    assert net.a.wait_event("tls.session", mx="mx.b.eb")["policy"] == "tlsa"
    message = net.b.wait_mail("Subject: believed")
    for verdict in ("spf=pass", "dkim=pass", "dmarc=pass"):
        assert verdict in message.split("Subject:")[0]


def test_a_forger_is_refused(net):
    with net.far, Smtp((B, 25)) as c:
        c.expect("MAIL FROM:<bob@a.eb>", "250 ")
        c.expect("RCPT TO:<bob@b.eb>", "250 ")
        c.expect("DATA", "354 ")
        assert c.ask("From: bob@a.eb\r\nSubject: forged\r\n\r\nx\r\n.").startswith("550 5.7.1 ")


def test_dane(net):
    done(net.a, net.a.submit("you@match.signed.eb"))
    assert net.secure.messages[-1].is_tls
    for name, status, text in (("mismatch", "4.7.5", "DANE"), ("bogus", "4.7.5", "TLSA"), ("strip", "4.7.10", "STARTTLS")):
        got, said = waits(net.a, net.a.submit(f"you@{name}.signed.eb"))
        assert got == status and text in said


def test_mta_sts(net):
    done(net.a, net.a.submit("you@right.open.eb"))
    session = net.a.wait_event("tls.session", domain="right.open.eb")
    assert session["result"] == "success", (session, net.a.events("sts.failed"))
    for name, status in (("wrong", "4.7.5"), ("stripped", "4.7.10")):
        got, said = waits(net.a, net.a.submit(f"you@{name}.open.eb"))
        assert got == status and "MTA-STS" in said
    done(net.a, net.a.submit("you@testing.open.eb"))
    assert net.a.wait_event("tls.session", domain="testing.open.eb")["result"] == "certificate-host-mismatch"


@pytest.mark.parametrize("domain, policy", [("between.signed.eb", "DANE"), ("between.open.eb", "MTA-STS")])
def test_who_takes_the_offer_of_tls_away_gets_no_mail(net, domain, policy):
    """Where a policy wants TLS the mail waits, and the operator sees which one, and what the server seemed to offer."""
    before, taken = len(net.secure.messages), net.stripper.taken
    status, said = waits(net.a, net.a.submit(f"you@{domain}"))
    assert status == "4.7.10" and policy in said and "does not offer STARTTLS" in said
    assert "250-8BITMIME" in said and "250-STARTTLS" not in said
    assert net.stripper.taken > taken and len(net.secure.messages) == before
    session = net.a.wait_event("tls.session", mx=f"mx.{domain}")
    assert session["result"] == "starttls-not-supported" and session["enforced"]


def test_without_a_policy_who_takes_the_offer_away_can_read_it(net):
    before, taken = len(net.secure.messages), net.stripper.taken
    done(net.a, net.a.submit("you@path.open.eb"))
    assert net.stripper.taken > taken and not net.secure.messages[before].is_tls
    assert net.a.wait_event("tls.session", mx="mx.path.open.eb")["policy"] == "no-policy-found"


POSTFIX = f"""myhostname = mx.postfix.signed.eb
smtpd_peername_lookup = no
relayhost = [{B}]
virtual_mailbox_domains = postfix.signed.eb
virtual_mailbox_maps = static:box
smtpd_tls_security_level = may
smtpd_tls_chain_files = {{key}}, {{chain}}
smtp_tls_loglevel = 1
"""


@pytest.fixture
def postfix(net):
    """A Postfix, which has no DNS there: what it does not know it sends to B."""
    if not shutil.which("postfix", path=os.environ["PATH"] + ":/usr/sbin"):
        pytest.skip("Postfix is not there (Debian: postfix)")
    with net.beside:
        peer = Postfix(25, 25, POSTFIX.format(key=net.good.key, chain=net.good.chain), OTHER)
    yield peer
    with net.beside:
        peer.close()


def test_mail_to_and_from_a_postfix(net, postfix):
    done(net.a, net.a.submit("you@postfix.signed.eb", "From: bob@a.eb\r\nSubject: to postfix\r\n\r\nx\r\n"))
    box = until(postfix.box, why=postfix.log)
    assert "Subject: to postfix" in box and "DKIM-Signature" in box
    session = net.a.wait_event("tls.session", mx="mx.postfix.signed.eb")
    assert session["policy"] == "tlsa" and session["result"] == "success"
    with net.beside, Smtp((OTHER, 25)) as c:
        for command, reply in (("MAIL FROM:<me@postfix.signed.eb>", "250"), ("RCPT TO:<bob@b.eb>", "250"), ("DATA", "354"),
                               ("From: me@postfix.signed.eb\r\nSubject: by postfix\r\n\r\nx\r\n.", "250")):
            c.expect(command, reply)
    message = net.b.wait_mail("Subject: by postfix")
    assert "spf=pass" in message and "dmarc=none" in message and f"[{OTHER}]" in message


def test_mail_exchangers_in_their_order(net):
    done(net.a, net.a.submit("you@two.open.eb"))
    assert "second.two" in net.a.events("delivery.done", to="you@two.open.eb")[-1]["remote"]
    with net.far:
        late = SmtpStub(LATE, 25)
    try:
        until(lambda: net.a.submit("you@two.open.eb") and late.messages, why="the best host is never asked again")
    finally:
        late.close()
    net.a.wait_event("delivery.failed", message=net.a.submit("you@null.signed.eb"))
    assert net.a.events("delivery.failed")[-1]["status"] == "5.1.10"


def test_requiretls_over_two_hops(net):
    before = len(net.secure.messages)
    done(net.a, net.a.submit("onward@b.eb", mail=" REQUIRETLS"))
    until(lambda: len(net.secure.messages) > before)
    assert net.secure.messages[-1].is_tls and net.secure.messages[-1].mail.endswith(" REQUIRETLS")


def test_greylisting_is_passed_by_our_own_queue(net):
    with net.a.space, Smtp(("127.0.0.1", 25)) as c:
        ident = c.message("new@sender.open.eb", ["bob@c.eb"], "From: new@sender.open.eb\r\nSubject: grey\r\n\r\nx\r\n")
    assert net.a.wait_event("delivery.deferred", message=ident)["reply"] == 451
    assert done(net.a, ident)["attempt"] > 1
    net.c.wait_mail("Subject: grey")


def test_reports_travel_between_two_servers(net):
    """About the mail above: B tells A of DMARC, A tells B of TLS, and each reads what came."""
    def kinds(host):
        return {(r["kind"], r["domain"]) for r in map(json.loads, host.cli("--json", "reports", "list").splitlines())}

    done(net.a, net.a.submit("bob@b.eb"))

    def have_come():
        net.a.cli("reports", "send")
        net.b.cli("reports", "send")
        return ("dmarc", "a.eb") in kinds(net.a) and ("tls", "b.eb") in kinds(net.b)
    until(have_come, why=lambda: f"{kinds(net.a)} {kinds(net.b)} {net.a.events('report.sent')} {net.b.events('report.sent')}")


def with_resolver(net, tmp_path, address, *words):
    """Runs eilbote where /etc/resolv.conf names that server."""
    (tmp_path / "resolv.conf").write_text(f"nameserver {address}\n")
    shell = f'mount --bind "{tmp_path}/resolv.conf" /etc/resolv.conf && exec "$@"'
    with net.zones:
        return subprocess.run(["unshare", "-m", "sh", "-c", shell, "sh", EILBOTE, *map(str, words)], input="secret\n", capture_output=True, text=True, check=False)


def init(net, tmp_path, address):
    folder = tmp_path / address
    done = with_resolver(net, tmp_path, address, "init", "--dir", folder, "--domain", "new.eb", "--user", "x@new.eb", "--password-stdin", "--trust-anchor", net.folder / "anchor")
    assert done.returncode == 0, done.stderr
    return folder / "eilbote.conf"


def test_dane_is_switched_on_where_it_works(net, tmp_path):
    conf = init(net, tmp_path, ROOT)
    assert f'\n    trust-anchor-file = "{net.folder}/anchor"' in conf.read_text()
    assert with_resolver(net, tmp_path, ROOT, "-c", conf, "check").stderr == ""
    # The same configuration behind a resolver that strips signatures: no error of its own, but nothing would leave.
    done = with_resolver(net, tmp_path, STRIPPING, "-c", conf, "check")
    assert done.returncode == 0 and "no proven answer comes" in done.stderr


def test_dane_is_left_off_where_signatures_do_not_come(net, tmp_path):
    conf = init(net, tmp_path, STRIPPING)
    assert "\n#     trust-anchor-file" in conf.read_text() and "\n    trust-anchor-file" not in conf.read_text()
    done = with_resolver(net, tmp_path, STRIPPING, "-c", conf, "check")
    assert done.returncode == 0 and "no trust-anchor-file" in done.stderr


def test_a_stub_zone_leaves_all_other_names_to_the_system(net, tmp_path):
    """Proven as without it: the anchor is the root's, whose server is that of /etc/resolv.conf."""
    conf = init(net, tmp_path, ROOT)
    conf.write_text(conf.read_text() + f'stub-zone "open.eb" {{\n    server = {{"{LEAF}"}}\n}}\n')
    assert with_resolver(net, tmp_path, ROOT, "-c", conf, "check").stderr == ""
    conf = init(net, tmp_path, LEAF)
    conf.write_text(conf.read_text() + f'stub-zone "a.eb" {{\n    server = {{"{STRIPPING}"}}\n}}\n')
    route = with_resolver(net, tmp_path, LEAF, "-c", conf, "--json", "try", "route", "x@two.open.eb")
    assert "first.two.open.eb" in route.stdout, route.stdout + route.stderr


def test_a_server_tells_that_signatures_do_not_come(net):
    host = Host(net.zones, "lone.eb", net.folder)
    try:
        host.conf.write_text(host.conf.read_text().replace(f'root-hints = "{net.folder}/hints"', f'server = {{"{STRIPPING}"}}'))
        host.start()
        assert host.wait_event("resolver.unproven")["reply"] == 451
    finally:
        host.close()
    assert net.a.events("resolver.unproven") == []
