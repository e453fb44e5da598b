# SPDX-License-Identifier: ISC
"""Reports about DMARC that we make (RFC 9990), and those of others about our domains, DMARC and TLS (RFC 8460)."""
import email
import email.policy
import gzip
import io
import json
import pathlib
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zipfile
from email.message import EmailMessage

import clocks
import pytest
from filters import Filter, packet
from nsd import Nsd, stub_zones
from peers import transport
from server import IS_SANITIZED, Talk, until
from test_authentication import BAD, GOOD, SOA, key_record, mail, signed

SCHEMA = pathlib.Path(__file__).parent / "dmarc_report.xsd"
NS = "{urn:ietf:params:xml:ns:dmarc-2.0}"
ZONES = {"test": SOA + f"""ns A 127.0.0.1
strict TXT "v=spf1 ip4:{GOOD} -all"
_dmarc.strict TXT "v=DMARC1; p=reject; sp=quarantine; rua=mailto:agg@strict.test!10m, mailto:agg@collector.test,mailto:agg@refuses.test,mailto:tiny@strict.test!1"
key._domainkey.strict TXT {key_record()}
strict.test._report._dmarc.collector TXT "v=DMARC1"
nowish TXT "v=spf1 ip4:{GOOD} -all"
_dmarc.nowish TXT "v=DMARC1; p=none"
victim TXT "v=spf1 -all"
_dmarc.evil TXT "v=DMARC1; p=none; rua=mailto:x@victim.test"
moved TXT "v=spf1 -all"
_dmarc.moved TXT "v=DMARC1; p=none; rua=mailto:old@collector.test"
moved.test._report._dmarc.collector TXT "v=DMARC1; rua=mailto:new@collector.test"
testing TXT "v=spf1 -all"
_dmarc.testing TXT "v=DMARC1; p=reject; t=y; rua=mailto:agg@testing.test"
"""}


@pytest.fixture(scope="module")
def nsd():
    server = Nsd(ZONES)
    yield server
    server.close()


@pytest.fixture
def stub(make_stub):
    return make_stub()


@pytest.fixture
def world(make_server, nsd, stub):
    """A server whose mail for everybody goes to the stub."""
    def make(conf="", listener=""):
        hops = "".join(transport(f"{name}.test", stub.port) for name in ("strict", "collector", "refuses", "victim", "testing"))
        server = make_server(conf=stub_zones(nsd.port, "test") + hops + conf, start=False)
        server.listener_conf("mx", 'proxy-from = {"127.0.0.1/32"}\n    client-name = off\n    ' + listener)
        server.start()
        return server
    return make


def send(server, text, client=BAD, sender="x@strict.test", rcpt="bob@example.test"):
    with Talk(server.where("smtp")) as c:
        c.send(f"PROXY TCP4 {client} 192.0.2.200 4711 25\r\n".encode())
        assert c.reply().startswith("220 ")
        c.expect("EHLO helo.test", "250-")
        c.expect(f"MAIL FROM:<{sender}>", "250 ")
        c.expect(f"RCPT TO:<{rcpt}>", "250 ")
        c.expect("DATA", "354 ")
        data = text if isinstance(text, bytes) else text.encode()
        c.send(data.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n")
        return c.reply()


def send_reports(server, *words):
    return json.loads(server.cli("--json", "reports", "send", *words))


def opened(data):
    """The mail and the attachment of a report."""
    message = email.message_from_bytes(data, policy=email.policy.SMTP)
    part = [p for p in message.walk() if p.get_filename()][0]
    return message, part, gzip.decompress(part.get_payload(decode=True)).decode()


def check_schema(text, tmp_path):
    (tmp_path / "r.xml").write_text(text)
    if not shutil.which("xmllint"):
        pytest.skip("xmllint (Debian: libxml2-utils) is not there")
    done = subprocess.run(["xmllint", "--noout", "--schema", str(SCHEMA), str(tmp_path / "r.xml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + text


def sources(text):
    """(ip, count, disposition, dkim, spf, reason) of each record."""
    root = ET.fromstring(text)
    rows = []
    for record in root.findall(f"{NS}record"):
        row = record.find(f"{NS}row")
        done = row.find(f"{NS}policy_evaluated")
        reason = done.find(f"{NS}reason/{NS}type")
        rows.append((row.findtext(f"{NS}source_ip"), int(row.findtext(f"{NS}count")), *(done.findtext(NS + k) for k in ("disposition", "dkim", "spf")),
                     "" if reason is None else reason.text))
    return sorted(rows)


def test_a_report_is_made_and_sent(world, stub, tmp_path):
    server = world()
    for _ in range(2):
        assert send(server, mail("ceo@strict.test")).startswith("550 5.7.1 DMARC")
    assert send(server, mail("ceo@strict.test"), GOOD).startswith("250 ")
    assert send(server, signed(mail("ceo@strict.test")), BAD, "y@elsewhere.test").startswith("250 ")
    assert send(server, mail("ceo@strict.test", more="List-Id: <l.elsewhere.test>\r\n")).startswith("250 ")
    assert send(server, mail("ceo@nowish.test")).startswith("250 ")
    assert send_reports(server) == {"sent": 1, "waiting": 0, "dropped": 0}
    stub.wait(2)
    message, part, text = opened(stub.messages[0].data)
    check_schema(text, tmp_path)
    assert sources(text) == [(GOOD, 1, "pass", "fail", "pass", ""), (BAD, 1, "pass", "pass", "fail", ""),
                             (BAD, 1, "quarantine", "fail", "fail", "mailing_list"), (BAD, 2, "reject", "fail", "fail", "")]
    report_id = ET.fromstring(text).findtext(f"{NS}report_metadata/{NS}report_id")
    assert re.sub(r"\s+", " ", message["Subject"]) == f"Report Domain: strict.test Submitter: mail.example.test Report-ID: <{report_id}>"
    assert part.get_content_type() == "application/gzip"
    begin = int(ET.fromstring(text).findtext(f"{NS}report_metadata/{NS}date_range/{NS}begin"))
    end = int(ET.fromstring(text).findtext(f"{NS}report_metadata/{NS}date_range/{NS}end"))
    assert begin % 86400 == 0 and begin <= end < begin + 86400
    assert re.fullmatch(rf"mail\.example\.test!strict\.test!{begin}!{end}!\d+\.xml\.gz", part.get_filename())
    assert message["DKIM-Signature"] and "d=example.test" in message["DKIM-Signature"]
    to = message["To"]
    assert "agg@strict.test" in to and "agg@collector.test" in to and "refuses" not in to and "tiny" not in to
    # What was sent is gone, and comes no second time.
    assert send_reports(server) == {"sent": 0, "waiting": 0, "dropped": 0}


def test_what_is_put_off_is_counted_when_it_is_settled(world, stub):
    """Whoever puts it off, after the verdict: it comes again, and is one message."""
    verdicts = [packet("t"), packet("t"), packet("c"), packet("t"), packet("r")]
    filtering = Filter({"E": lambda _: verdicts.pop(0)})
    server = world(filtering.conf("f"), 'milters = {"f"}')
    answers = [send(server, mail("ceo@strict.test"), GOOD)[:3] for _ in range(5)]
    assert answers == ["451", "451", "250", "451", "550"]
    send_reports(server)
    assert sources(opened(stub.wait(1)[0].data)[2]) == [(GOOD, 2, "pass", "fail", "pass", "")]
    filtering.close()


def test_counts_survive_a_restart_and_periods_do_not_overlap(world, stub):
    server = world()
    send(server, mail("ceo@strict.test"))
    server.stop()
    server.start()
    assert send_reports(server, "--domain", "other.test")["sent"] == 0
    assert send_reports(server, "--domain", "STRICT.test")["sent"] == 1
    send(server, mail("ceo@strict.test"))
    assert send_reports(server)["sent"] == 1
    until(lambda: len({opened(m.data)[0]["Message-ID"] for m in stub.messages}) == 2)
    spans = sorted({tuple(int(ET.fromstring(opened(m.data)[2]).findtext(f"{NS}report_metadata/{NS}date_range/{NS}{k}")) for k in ("begin", "end"))
                    for m in stub.messages})
    assert spans[0][1] < spans[1][0] <= spans[1][1]


@pytest.mark.skipif(IS_SANITIZED or not clocks.SHIM.exists(), reason="a sanitizer must be the first library in a process: nothing can be preloaded")
def test_a_day_that_has_ended_is_reported_by_itself(make_server, nsd, stub, tmp_path):
    """Nothing leaves on the day itself; later the whole day is told of."""
    server = make_server(conf=stub_zones(nsd.port, "test") + transport("strict.test", stub.port), start=False)
    server.listener_conf("mx", 'proxy-from = {"127.0.0.1/32"}\n    client-name = off')
    clock = clocks.Clock(tmp_path / "clock")
    with clock.preloaded():
        server.start()
        send(server, mail("ceo@strict.test"))
        server.stop()
        assert server.events("report.sent") == [] and stub.messages == []
        clock.set_ahead(86400 + 86400 // 2)
        server.start()
    server.wait_event("report.sent", domain="strict.test")
    text = opened(stub.wait()[0].data)[2]
    begin, end = (int(ET.fromstring(text).findtext(f"{NS}report_metadata/{NS}date_range/{NS}{k}")) for k in ("begin", "end"))
    assert begin % 86400 == 0 and end == begin + 86399


def test_a_damaged_file_does_not_stop_the_mail(world):
    server = world()
    server.stop()
    (server.directory / "spool" / "reports.db").write_bytes(b"no database" * 1000)
    server.start()
    server.wait_event("report.store.failed")
    assert send(server, mail("ceo@strict.test"), GOOD).startswith("250 ")
    assert send_reports(server)["sent"] == 1
    assert (server.directory / "spool" / "reports.db.damaged").exists()


def test_a_report_waits_for_the_dns(world, nsd):
    """Where the DNS does not say whether an address wants it, nothing is sent and nothing lost."""
    server = world()
    send(server, mail("x@evil.test"))
    server.stop()
    before = server.conf.read_text()
    server.conf.write_text(before.replace(f"127.0.0.1@{nsd.port}", "127.0.0.1@1"))
    server.start()
    assert send_reports(server) == {"sent": 0, "waiting": 1, "dropped": 0}
    server.wait_event("report.deferred", domain="evil.test", status="4.4.3")
    server.stop()
    server.conf.write_text(before)
    server.start()
    assert send_reports(server) == {"sent": 0, "waiting": 0, "dropped": 1}


def test_nobody_gets_reports_who_did_not_ask(world, stub):
    server = world()
    for domain in ("evil.test", "moved.test", "testing.test"):
        send(server, mail(f"x@{domain}"))
    assert send_reports(server) == {"sent": 2, "waiting": 0, "dropped": 1}
    server.wait_event("report.dropped", domain="evil.test")
    server.wait_empty()
    sent = {opened(m.data)[0]["To"]: opened(m.data)[2] for m in stub.messages}
    assert sorted(sent) == ["agg@testing.test", "new@collector.test"]
    assert sources(sent["agg@testing.test"]) == [(BAD, 1, "quarantine", "fail", "fail", "policy_test_mode")]


def test_sending_can_be_switched_off(world):
    server = world("reports {\n send = off\n}\n")
    send(server, mail("ceo@strict.test"))
    assert send_reports(server) == {"sent": 0, "waiting": 0, "dropped": 0}


OLD = """<?xml version="1.0"?>
<feedback><report_metadata><org_name>Big Mail</org_name><email>noreply@big.test</email><report_id>{id}</report_id>
<date_range><begin>1767225600</begin><end>1767311999</end></date_range></report_metadata>
<policy_published><domain>example.test</domain><adkim>r</adkim><aspf>r</aspf><p>reject</p><sp>none</sp><pct>100</pct></policy_published>
<record><row><source_ip>192.0.2.7</source_ip><count>12</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>
<reason><type>forwarded</type><comment>x</comment></reason></policy_evaluated></row><identifiers><header_from>example.test</header_from></identifiers>
<auth_results><dkim><domain>example.test</domain><result>pass</result></dkim><spf><domain>far.test</domain><result>softfail</result></spf></auth_results></record>
<record><row><source_ip>2001:db8::7</source_ip><count>3</count><policy_evaluated><disposition>reject</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated>
</row><identifiers><header_from>example.test</header_from></identifiers><auth_results><spf><domain>far.test</domain><result>none</result></spf></auth_results></record>
</feedback>"""
TLS = {"organization-name": "Big Mail", "date-range": {"start-datetime": "2026-01-01T00:00:00Z", "end-datetime": "2026-01-01T23:59:59Z"},
       "contact-info": "tls@big.test", "report-id": "tls-1", "policies": [
           {"policy": {"policy-type": "sts", "policy-string": ["version: STSv1"], "policy-domain": "example.test", "mx-host": ["*.example.test"]},
            "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 303},
            "failure-details": [{"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.8", "receiving-mx-hostname": "mx1.example.test",
                                 "failed-session-count": 100}]}]}


def zipped(text, name="r.xml", method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        z.writestr(name, text)
    return out.getvalue()


def report_mail(content, maintype="application", subtype="gzip", sender="reports@big.test"):
    m = EmailMessage()
    m["From"], m["To"], m["Subject"] = sender, "dmarc@example.test", "Report Domain: example.test"
    m["Date"] = "Thu, 1 Oct 2026 10:00:00 +0000"
    m.set_content("This is a report.")
    m.add_attachment(content, maintype=maintype, subtype=subtype, filename="r")
    return m.as_bytes(policy=email.policy.SMTP)


@pytest.fixture
def collector(world):
    return world('reports {\n address = {"dmarc@example.test"}\n}\n')


def bring(server, content, subtype="gzip", rcpt="dmarc@example.test"):
    return send(server, report_mail(content, subtype=subtype), GOOD, "reports@big.test", rcpt)


def listed(server, *words):
    return [json.loads(line) for line in server.cli("--json", "reports", *words).splitlines()]


def test_reports_of_others_are_read_and_shown(collector):
    ways = {"gz": gzip.compress(OLD.format(id="gz").encode()), "zip": zipped(OLD.format(id="zip")), "xml": OLD.format(id="xml").encode(),
            "stored": zipped(OLD.format(id="stored"), method=zipfile.ZIP_STORED), "wide": gzip.compress(OLD.format(id="wide").replace("1.0\"", "1.0\" encoding=\"UTF-16\"").encode("utf-16"))}
    for content in ways.values():
        assert bring(collector, content).startswith("250 ")
    assert bring(collector, ways["gz"]).startswith("250 ")  # again: told, not kept twice
    collector.wait_event("report.received", new=False, report="gz")
    reports = listed(collector)
    assert sorted(r["report_id"] for r in reports) == sorted(ways)
    assert {(r["kind"], r["domain"], r["pass"], r["fail"], r["authentic"], r["submitter"]) for r in reports} == {("dmarc", "example.test", 12, 3, False, "big.test")}
    shown = collector.cli("reports", "show", reports[0]["id"])
    for part in ("Big Mail", "12 passed, 3 did not pass", "12 from 192.0.2.7: passed by DKIM", "because of forwarded", "3 from 2001:db8::7: did not pass; reject",
                 "SPF softfail for far.test", "DKIM pass for example.test", "p=reject"):
        assert part in shown
    assert listed(collector, "--domain", "other.test") == [] and len(listed(collector, "--domain", "test")) == len(ways)
    assert listed(collector, "--since", "1d") == []
    collector.cli("reports", "show", "999", status=1)
    assert collector.queue() == []  # read in place of being delivered


def test_reports_about_tls(collector):
    assert bring(collector, gzip.compress(json.dumps(TLS).encode()), "tlsrpt+gzip").startswith("250 ")
    report, = listed(collector, "list")
    assert (report["kind"], report["pass"], report["fail"], report["report_id"]) == ("tls", 5326, 303, "tls-1")
    shown = collector.cli("reports", "show", report["id"])
    assert "100 certificate-expired, from 192.0.2.8 to mx1.example.test" in shown


@pytest.mark.parametrize("change", [lambda text: "\ufeff" + text, lambda text: text.replace(": 5326", ": 5326.0"), lambda text: text.replace(": 5326", ': "5326"')],
                         ids=["mark", "fraction", "text"])
def test_reports_about_tls_in_other_spellings(collector, change):
    """A byte order mark in front (RFC 8259 section 8.1), numbers as others write them."""
    assert bring(collector, gzip.compress(change(json.dumps(TLS)).encode()), "tlsrpt+gzip").startswith("250 ")
    report, = listed(collector, "list")
    assert report["report_id"] == "tls-1" and (report["pass"], report["fail"]) == (5326, 303)


def test_no_report_is_made_about_reports(collector):
    """Or two servers would tell each other of theirs for ever; a message to others as well is one like any other."""
    content = report_mail(gzip.compress(OLD.format(id="r").encode()), sender="ceo@strict.test")
    assert send(collector, content, GOOD, "ceo@strict.test", "dmarc@example.test").startswith("250 ")
    assert send_reports(collector) == {"sent": 0, "waiting": 0, "dropped": 0}
    with Talk(collector.where("smtp")) as c:
        c.send(f"PROXY TCP4 {GOOD} 192.0.2.200 4711 25\r\n".encode())
        c.reply()
        c.expect("EHLO helo.test", "250-")
        c.expect("MAIL FROM:<ceo@strict.test>", "250 ")
        for rcpt in ("dmarc@example.test", "bob@example.test"):
            c.expect(f"RCPT TO:<{rcpt}>", "250 ")
        c.expect("DATA", "354 ")
        c.send(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert c.reply().startswith("250 ")
    assert send_reports(collector)["sent"] == 1
    assert [r["authentic"] for r in listed(collector)] == [True]


def test_what_is_no_report_is_refused_or_delivered(world):
    server = world('reports {\n address = {"dmarc@example.test", "bob@example.test"}\n}\n')
    assert bring(server, b"nothing").startswith("554 5.6.0")
    assert bring(server, gzip.compress(OLD.replace("example.test", "foreign.test").format(id="x").encode())).startswith("550 5.7.1")
    assert bring(server, b"nothing", rcpt="bob@example.test").startswith("250 ")
    assert bring(server, gzip.compress(OLD.format(id="both").encode()), rcpt="bob@example.test").startswith("250 ")
    assert [r["report_id"] for r in listed(server)] == ["both"]
    until(lambda: len(server.events("delivery.done")) == 2)


def test_our_report_is_read_by_ourselves(world, stub, make_server, nsd):
    """What one server sends another one reads, with the same numbers."""
    server = world()
    send(server, mail("ceo@strict.test"))
    send(server, mail("ceo@strict.test"), GOOD)
    assert send_reports(server)["sent"] == 1
    stub.wait()
    other = make_server(conf=stub_zones(nsd.port, "test") + 'reports {\n address = {"agg@strict.test"}\n}\n')
    other.cli("domain", "add", "strict.test")
    with other.smtp() as c:
        c.expect("MAIL FROM:<postmaster@mail.example.test>", "250 ")
        c.expect("RCPT TO:<agg@strict.test>", "250 ")
        c.expect("DATA", "354 ")
        c.send(stub.messages[0].data.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert c.reply().startswith("250 ")
    report, = listed(other)
    assert (report["domain"], report["pass"], report["fail"], report["submitter"]) == ("strict.test", 1, 1, "mail.example.test")
    assert f"1 from {BAD}: did not pass; reject" in other.cli("reports", "show", report["id"])


def test_the_zone_names_the_address_that_reads(collector):
    text = collector.cli("dns", "print", "example.test")
    assert 'rua=mailto:dmarc@example.test' in text and "_report._dmarc" not in text
    collector.cli("domain", "add", "other.example")
    text = collector.cli("dns", "print", "other.example")
    assert 'rua=mailto:dmarc@example.test' in text and "other.example._report._dmarc.example.test." in text
