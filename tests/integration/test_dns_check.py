# SPDX-License-Identifier: ISC
"""eilbote dns check: what the DNS says of a domain's mail, and the record that mends it."""
import json
import subprocess

import pytest
from nsd import Nsd, Signer
from server import EILBOTE, PATIENCE_S, Server

SOA = "$TTL 60\n@ SOA ns.example.test. hostmaster.example.test. 1 60 60 60 60\n@ NS ns.example.test.\n"
HOST = "ns A 127.0.0.1\nmail A 192.0.2.1\n"
REVERSE = SOA + "1 PTR mail.example.test.\n2 PTR other.example.test.\n3 PTR gone.example.test.\n"
ROOT = SOA.replace("ns.example.test. 1", "ns.example.test. 1") + "1.2.0.192.list A 127.0.0.2\n1.2.0.192.list TXT \"seen sending\"\n" \
    "1.2.0.192.mute A 127.255.255.254\nrua._report._dmarc TXT \"v=DMARC1\"\n"


@pytest.fixture(scope="module", name="site")
def configured(tmp_path_factory):
    """A configuration with its directory. No server runs."""
    return Server(tmp_path_factory.mktemp("dnscheck"))


def check(site, zone, *words, zones=None, domain="example.test", conf=True, text=False):
    """Its exit status, and what it says of a zone with that text (the SOA is put in front)."""
    nsd = Nsd({"example.test": SOA + zone, "test": ROOT, "2.0.192.in-addr.arpa": REVERSE, **(zones or {})})
    try:
        done = subprocess.run([EILBOTE, *(["-c", site.conf] if conf else []), "dns", "check", domain, *([] if text else ["--json"]),
                               "--resolver", f"127.0.0.1:{nsd.port}", *map(str, words)], capture_output=True, text=True, check=False,
                              timeout=PATIENCE_S, env={"PATH": "/usr/bin"})
    finally:
        nsd.close()
    assert done.returncode in (0, 1) and done.stdout, (done.stdout, done.stderr)
    return done.returncode, done.stdout if text else json.loads(done.stdout)


def rows(got, name, result=None):
    return [o for o in got["checks"] if o["check"] == name and result in (None, o["result"])]


def row(got, name, result):
    assert len(rows(got, name, result)) == 1, (name, got)
    return rows(got, name, result)[0]


def printed(site):
    return site.cli("dns", "print", "example.test")


def changed(site, start, new=""):
    """What dns print says, with the records that begin so replaced."""
    text = printed(site)
    assert start in text
    head, _, tail = text.partition(start)
    rest = tail[tail.index("\n") + 1:] if "(" not in tail[:tail.index("\n")] else tail[tail.index(")\n") + 2:]
    return head + new + rest


def test_a_zone_as_printed_is_well(site):
    status, got = check(site, HOST + printed(site).replace("_mta-sts.example.test. IN", "; "))
    assert status == 0 and got["result"] == "warn" and got["domain"] == "example.test" and got["ours"]
    assert not [o for o in got["checks"] if o["result"] == "bad"]
    assert {o["check"] for o in got["checks"] if o["result"] == "warn"} == {"mta-sts"}
    assert len(rows(got, "dkim", "ok")) == 2 and rows(got, "srv", "ok") and row(got, "ptr", "ok")["found"] == "mail.example.test"
    assert "covers our addresses" in row(got, "spf", "ok")["reason"] and "1 of 10" in row(got, "spf", "ok")["reason"]
    assert "none is asked" in row(got, "dnsbl", "ok")["reason"]


def test_an_empty_zone_gets_every_record(site):
    """Each finding carries the record of dns print, and those together make the zone well."""
    status, got = check(site, HOST)
    assert status == 1 and got["result"] == "bad"
    records = [o["record"] for o in got["checks"] if o["record"]]
    lines = printed(site)
    for record in records:
        assert record in lines, record
    status, got = check(site, HOST + "\n".join(o["record"] for o in got["checks"] if o["check"] != "mta-sts") + "\n")
    assert status == 0, got
    out = check(site, HOST, text=True)[1]
    assert '    publish:\n        example.test. IN TXT "v=spf1 mx -all"\n' in out  # each record ends its line
    assert len([line for line in out.splitlines() if line[:1].isalpha()]) == len(check(site, HOST)[1]["checks"]) + 1
    assert out.splitlines()[-1].split()[:3] == ["result", "bad", "example.test"]


@pytest.mark.parametrize("start, new, name, result, reason, record", [
    ("example.test. IN MX", "example.test. IN MX 10 www.example.test.\nwww A 192.0.2.7\n", "mx", "bad", "no mail exchanger is our host",
     "example.test. IN MX 10 mail.example.test."),
    ("example.test. IN MX", "example.test. IN MX 0 .\n", "mx", "bad", "a null MX", None),
    ("example.test. IN TXT", 'example.test. IN TXT "v=spf1 -all"\n', "spf", "bad", "our address 192.0.2.1 gets fail",
     'example.test. IN TXT "v=spf1 mx -all"'),
    ("example.test. IN TXT", 'example.test. IN TXT "v=spf1 mx -all"\n@ TXT "v=spf1 -all"\n', "spf", "bad", "several SPF records",
     'example.test. IN TXT "v=spf1 mx -all"'),
    ("example.test. IN TXT", 'example.test. IN TXT "v=spf1 mx +all"\n', "spf", "bad", "everybody may send", None),
    ("example.test. IN TXT", 'example.test. IN TXT "v=spf1 mx foo -all"\n', "spf", "bad", "an error for all", None),
    ("example.test. IN TXT", 'example.test. IN TXT "v=spf1 ' + "a:mail.example.test " * 11 + '-all"\n', "spf", "bad", "an error for all", None),
    ("example.test. IN TXT", 'example.test. IN TXT "v=spf1 mx a:n1.example.test a:n2.example.test a:n3.example.test -all"\n', "spf", "bad",
     "an error for all", None),
    ("example.test. IN TXT", 'example.test. IN TXT "v=spf1 mx ' + "a:mail.example.test " * 4 + '" "' + "a:mail.example.test " * 4 + '-all"\n', "spf", "warn", "9 of 10 look-ups", None),
    ("_dmarc.example.test. IN", '_dmarc.example.test. IN TXT "v=DMARC1; p=maybe"\n', "dmarc", "bad", "p is missing",
     '_dmarc.example.test. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@example.test"'),
    ("_dmarc.example.test. IN", '_dmarc.example.test. IN TXT "v=DMARC1; rua=mailto:postmaster@example.test"\n', "dmarc", "warn", "counts as p=none",
     '_dmarc.example.test. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@example.test"'),
    ("_dmarc.example.test. IN", '_dmarc.example.test. IN TXT "v=DMARC1; p=none"\n', "dmarc", "warn", "no reports", None),
    ("_smtp._tls.example.test. IN", "", "tlsrpt", "warn", "there is none", "_smtp._tls.example.test. IN TXT"),
    ("_mta-sts.example.test. IN", '_mta-sts.example.test. IN TXT "v=STSv1; id=!"\n', "mta-sts", "bad", "not valid", "_mta-sts.example.test. IN TXT"),
    ("_mta-sts.example.test. IN", '_mta-sts.example.test. IN TXT "v=STSv1; id=1"\n', "mta-sts", "bad",
     "the policy is not there: its web server has no address", None),
    ("_mta-sts.example.test. IN", '_mta-sts.example.test. IN TXT "v=STSv1; id=1"\nmta-sts A 10.0.0.1\n', "mta-sts", "bad", "no address that may be asked", None),
    ("_submissions._tcp.example.test. IN", "_submissions._tcp.example.test. IN SRV 0 1 465 else.example.test.\n", "srv", "warn",
     "leads mail programs elsewhere", "_submissions._tcp.example.test. IN SRV 0 1 "),
    ("mail.example.test. IN TXT", 'mail.example.test. IN TXT "v=spf1 -all"\n', "helo", "bad", "SPF of our name says fail",
     'mail.example.test. IN TXT "v=spf1 a -all"'),
])
def test_what_is_wrong_is_found(site, start, new, name, result, reason, record):
    status, got = check(site, HOST + changed(site, start, new))
    found = row(got, name, result)
    assert reason in found["reason"], found
    if record:
        assert found["record"].startswith(record), found
    assert status == (result == "bad" or (name, start) == ("tlsrpt", "") or any(o["result"] == "bad" for o in got["checks"]))
    assert {o["check"] for o in got["checks"] if o["result"] == "bad"} <= {name, "mta-sts"} | ({"spf"} if name == "mx" else set())


def test_an_exchanger_that_is_an_alias(site):
    got = check(site, "ns A 127.0.0.1\nreal A 192.0.2.1\nmail CNAME real\n" + changed(site, "mail.example.test. IN TXT").replace("\n_25._tcp.mail", "\n;"))[1]
    assert "alias (CNAME)" in row(got, "mx", "bad")["reason"]


def test_keys(site):
    """The one that signs has to be there as it is; the next one may come."""
    keys = json.loads(site.cli("dkim", "list", "example.test", "--json"))
    rsa, edwards = (next(k for k in keys if k["algorithm"] == a) for a in ("rsa", "ed25519"))
    gone = check(site, HOST + changed(site, edwards["name"], ""))[1]
    assert row(gone, "dkim", "bad")["record"].startswith(edwards["name"] + '. IN TXT "v=DKIM1; k=ed25519')
    assert row(gone, "dkim", "bad")["expected"] == edwards["record"] and row(gone, "dkim", "bad")["name"] == edwards["name"]
    revoked = check(site, HOST + changed(site, edwards["name"], edwards["name"] + '. IN TXT "v=DKIM1; k=ed25519; p="\n'))[1]
    assert "revoked" in row(revoked, "dkim", "bad")["reason"] and row(revoked, "dkim", "bad")["found"].endswith("p=")
    other = edwards["record"][:-8] + "AAAAAAA="
    wrong = check(site, HOST + changed(site, edwards["name"], f'{edwards["name"]}. IN TXT "{other}"\n'))[1]
    assert "another key" in row(wrong, "dkim", "bad")["reason"]
    assert len(rows(wrong, "dkim", "ok")) == 1 and rows(wrong, "dkim", "ok")[0]["name"] == rsa["name"]


def test_addresses(site):
    """Each is looked at by its reverse name, the name in EHLO and SPF."""
    zone = HOST + "other A 192.0.2.2\n" + printed(site)
    status, got = check(site, zone, "--address", "192.0.2.2", "--address", "192.0.2.3")
    assert status == 1 and row(got, "ptr", "warn")["record"] == "2.2.0.192.in-addr.arpa. IN PTR mail.example.test."
    assert row(got, "ptr", "bad")["record"] == "3.2.0.192.in-addr.arpa. IN PTR mail.example.test."
    assert {o["record"] for o in rows(got, "helo", "bad") if " IN A " in o["record"]} == {
        "mail.example.test. IN A 192.0.2.2", "mail.example.test. IN A 192.0.2.3"}
    assert {o["expected"] for o in rows(got, "spf", "bad")} == {"v=spf1 ip4:192.0.2.2 mx -all", "v=spf1 ip4:192.0.2.3 mx -all"}


def test_reports_that_go_elsewhere(site):
    wish = '_dmarc.example.test. IN TXT "v=DMARC1; p=none; rua=mailto:a@%s"\n'
    got = check(site, HOST + changed(site, "_dmarc.example.test. IN", wish % "other.test"), zones={"other.test": SOA})[1]
    assert row(got, "dmarc", "bad")["record"] == 'example.test._report._dmarc.other.test. IN TXT "v=DMARC1"'
    consent = {"other.test": SOA + 'example.test._report._dmarc TXT "v=DMARC1"\n'}
    got = check(site, HOST + changed(site, "_dmarc.example.test. IN", wish % "other.test"), zones=consent)[1]
    assert row(got, "dmarc", "ok") and not rows(got, "dmarc", "bad")


def test_block_lists(site):
    zone = HOST + printed(site)
    status, got = check(site, zone, "--dnsbl", "list.test", "--dnsbl", "mute.test", "--dnsbl", "clear.test")
    listed = row(got, "dnsbl", "bad")
    assert status == 1 and (listed["name"], listed["found"]) == ("list.test", "127.0.0.2") and "192.0.2.1 is listed: seen sending" in listed["reason"]
    assert "refuses" in row(got, "dnsbl", "warn")["reason"] and row(got, "dnsbl", "ok")["name"] == "clear.test"


def test_lists_of_the_configuration_are_asked(site):
    path = site.conf.with_name("listed.conf")
    path.write_text(site.conf.read_text() + '\npolicy "mx" {\n dnsbl-sites = {"list.test"}\n dnsbl-action = mark\n}\n')
    class Other:
        conf = path
    assert row(check(Other, HOST + printed(site))[1], "dnsbl", "bad")["name"] == "list.test"


def test_certificates(site, tmp_path):
    """A signed zone: records that fit, that do not, and none."""
    for text, level, reason in ((printed(site), "ok", "1 of 1 records fit"),
                                (changed(site, "_25._tcp.mail.example.test. IN TLSA", "_25._tcp.mail TLSA 3 1 1 " + "ab" * 32 + "\n"), "bad",
                                 "none of which fits"), (changed(site, "_25._tcp.mail.example.test. IN TLSA"), "warn", "the zone is signed")):
        folder = tmp_path / level
        folder.mkdir()
        signer = Signer(folder)
        zone = signer.sign("example.test", "$ORIGIN example.test.\n" + SOA + HOST + text)
        nsd = Nsd({"example.test": zone})
        try:
            done = subprocess.run([EILBOTE, "-c", site.conf, "dns", "check", "example.test", "--json", "--resolver", f"127.0.0.1:{nsd.port}",
                                   "--trust-anchor", signer.anchor_file()], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        finally:
            nsd.close()
        found = row(json.loads(done.stdout), "tlsa", level)
        assert reason in found["reason"], found
        assert (" IN TLSA 3 1 1 " in found["record"]) == (level != "ok")


def test_a_domain_of_somebody_else(site):
    """What anybody can see is looked at, and nothing is compared with us; a configuration is not needed."""
    zone = {"other.test": SOA + '@ MX 1 mx\nmx A 192.0.2.9\n@ TXT "v=spf1 mx -all"\n_dmarc TXT "v=DMARC1; p=reject; rua=mailto:a@other.test"\n'}
    for conf in (True, False):
        status, got = check(site, HOST, zones=zone, domain="other.test", conf=conf)
        assert status == 0 and not got["ours"] and {o["check"] for o in got["checks"]} == {"mx", "spf", "dmarc", "mta-sts", "tlsrpt"}
        assert not any(o["record"] for o in got["checks"])
    assert "is not a domain of ours" in check(site, HOST, zones=zone, domain="other.test", text=True)[1]


def test_a_dns_that_does_not_answer(site):
    """It is no other verdict than that."""
    status, got = check(site, HOST, domain="x.refused")
    assert status == 1 and all("does not answer" in o["reason"] or "DNS" in o["reason"] for o in got["checks"] if o["result"] == "bad")


@pytest.mark.parametrize("name", ["", "exa mple", "a." * 150, "_dmarc.example.test", "192.0.2.1"])
def test_what_is_no_domain_is_not_looked_at(site, name):
    done = subprocess.run([EILBOTE, "-c", site.conf, "dns", "check", name, "--resolver=127.0.0.1@1"], capture_output=True, text=True, check=False,
                          timeout=PATIENCE_S)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith(f'eilbote dns check: "{name}" is no domain name')


def test_a_domain_that_is_not_ascii(site):
    got = check(site, "", domain="b\u00fccher.example", zones={"xn--bcher-kva.example": SOA.replace("example.test.", "xn--bcher-kva.example.") + "@ MX 0 .\n"})[1]
    assert got["domain"] == "xn--bcher-kva.example" and rows(got, "mx")
