# SPDX-License-Identifier: ISC
"""Reports about TLS that we make and send (RFC 8460): from deliveries that went well and badly to the address of the domain's record."""
import collections
import email
import email.policy
import gzip
import json

from nsd import stub_zones
from server import until
from test_tls_policy import internet, policy, send, sessions, world  # noqa: F401 (fixtures)

FIELDS = {"organization-name", "date-range", "contact-info", "report-id", "policies"}


def read(message):
    """The mail of a report and its JSON."""
    mail = email.message_from_bytes(message.data, policy=email.policy.SMTP)
    part, = [p for p in mail.walk() if p.get_content_type() == "application/tlsrpt+gzip"]
    return mail, json.loads(gzip.decompress(part.get_payload(decode=True)))


def collect(server, host):
    """Sends what there is, and gives all that has arrived: a count for domain, policy type, its domain and result."""
    server.cli("reports", "send")
    until(lambda: len([m for m in host.messages if b"TLS-Report-Domain: " in m.data]) == len(server.events("report.sent")))
    counts = collections.Counter()
    for message in host.messages:
        if b"TLS-Report-Domain: " not in message.data:
            continue
        mail, report = read(message)
        for entry in report["policies"]:
            key = mail["TLS-Report-Domain"], entry["policy"]["policy-type"], entry["policy"]["policy-domain"]
            counts[key + ("success",)] += entry["summary"]["total-successful-session-count"]
            for failure in entry.get("failure-details", []):
                counts[key + (failure["result-type"],)] += failure["failed-session-count"]
            assert sum(f["failed-session-count"] for f in entry.get("failure-details", [])) == entry["summary"]["total-failure-session-count"]
    return +counts


def expect_counts(server, host, counts):
    """What is counted comes a moment after its session."""
    latest = []

    def has_come():
        latest[:] = [collect(server, host)]
        return latest[0] == counts
    until(has_come, why=lambda: f"{latest[0]}, not {counts}, of {sessions(server)}")


def fail(server, rcpt, sender="me@back.open"):
    """Sends what has to wait, and takes it back before it is tried again and again."""
    ident = send(server, rcpt, sender)
    server.wait_event("delivery.deferred", message=ident)
    server.cli("queue", "drop", ident)
    return ident


def test_dane_success_and_failure_are_reported(world):  # noqa: F811
    server = world.serve()
    for domain in ("ee", "unproven", "none"):
        ident = send(server, f"you@{domain}.signed")
        server.wait_event("delivery.done", message=ident)
    fail(server, "you@bad.signed")
    fail(server, "you@strip.signed")
    server.wait_empty()
    bad, strip = (len(sessions(server, mx=f"mx-{d}.signed")) for d in ("bad", "strip"))
    assert bad and strip
    expect_counts(server, world.good, {
        ("ee.signed", "tlsa", "mx-ee.signed", "success"): 1, ("unproven.signed", "tlsa", "mx-ee.signed", "success"): 1,
        ("unproven.signed", "tlsa", "unproven.signed", "dnssec-invalid"): 1, ("bad.signed", "tlsa", "mx-bad.signed", "validation-failure"): bad,
        ("strip.signed", "tlsa", "mx-strip.signed", "starttls-not-supported"): strip})
    # The mail is as the RFC wants it, and whoever reads it knows who sent it.
    mail, report = next(read(m) for m in world.good.messages if b"TLS-Report-Domain: bad.signed" in m.data)
    assert mail.get_content_type() == "multipart/report" and mail.get_param("report-type") == "tlsrpt"
    assert mail["TLS-Report-Submitter"] == "mail.example.test" and mail["To"] == "tls@box.signed" and "d=example.test" in mail["DKIM-Signature"]
    assert "tls-report-domain" in mail["DKIM-Signature"].lower()
    assert set(report) == FIELDS and set(report["date-range"]) == {"start-datetime", "end-datetime"} and report["contact-info"] == "postmaster@mail.example.test"
    policy_of_host = report["policies"][0]["policy"]
    assert policy_of_host == {"policy-type": "tlsa", "policy-domain": "mx-bad.signed", "policy-string": ["3 1 1 " + "00" * 32]}
    failure = report["policies"][0]["failure-details"][0]
    assert failure["sending-mta-ip"] == "127.0.0.1" and failure["receiving-ip"] == "127.0.0.2" and failure["receiving-mx-hostname"] == "mx-bad.signed"
    assert failure["receiving-mx-helo"] == "127.0.0.2" and "DANE" in failure["failure-reason-code"]
    # box.signed has a record, too, but all that went there were reports.
    assert len(sessions(server, mx="mx-ee.signed")) > 2


def test_sts_success_and_failure_are_reported(world):  # noqa: F811
    web = world.publish()
    web.publish("one.open", policy())
    web.publish("three.open", policy("three"))
    host = world.host("127.0.0.4", tls=world.net.good.context())
    server = world.serve()
    server.wait_event("delivery.done", message=send(server, "you@one.open"))
    server.wait_event("delivery.done", message=send(server, "you@two.open"))  # its policy is not there
    host.tls = world.net.wrong.context()
    fail(server, "you@three.open")
    server.wait_empty()
    wrong = len(sessions(server, domain="three.open", result="certificate-host-mismatch"))
    assert wrong
    expect_counts(server, world.good, {
        ("one.open", "sts", "one.open", "success"): 1, ("two.open", "no-policy-found", "two.open", "sts-policy-fetch-error"): 1,
        ("three.open", "sts", "three.open", "certificate-host-mismatch"): wrong})
    entry = [read(m)[1]["policies"][0] for m in world.good.messages if b"TLS-Report-Domain: three.open" in m.data][0]
    assert entry["policy"]["mx-host"] == ["mx.three.open"] and "mode: enforce" in entry["policy"]["policy-string"]


def test_a_report_that_we_send_is_read_by_us(world, make_server):  # noqa: F811
    """That its policy is about a host of another domain changes nothing about whom it is for."""
    server = world.serve()
    server.wait_event("delivery.done", message=send(server, "you@ee.signed"))
    expect_counts(server, world.good, {("ee.signed", "tlsa", "mx-ee.signed", "success"): 1})
    report = [m for m in world.good.messages if b"TLS-Report-Domain: " in m.data][0]
    other = make_server(conf=stub_zones(world.net.dns.port, "signed") + 'reports {\n address = {"tls@ee.signed"}\n}\n')
    other.cli("domain", "add", "ee.signed")
    with other.smtp() as c:
        c.expect("MAIL FROM:<postmaster@mail.example.test>", "250 ")
        c.expect("RCPT TO:<tls@ee.signed>", "250 ")
        c.expect("DATA", "354 ")
        c.send(report.data.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert c.reply().startswith("250 ")
    shown, = [json.loads(line) for line in other.cli("--json", "reports", "list").splitlines()]
    assert (shown["kind"], shown["domain"], shown["pass"], shown["fail"]) == ("tls", "ee.signed", 1, 0)


def test_without_reports_nobody_is_asked(world):  # noqa: F811
    server = world.serve(more="reports {\n send = off\n}\n")
    server.wait_event("delivery.done", message=send(server, "you@ee.signed"))
    assert json.loads(server.cli("--json", "reports", "send")) == {"sent": 0, "waiting": 0, "dropped": 0}


def test_a_domain_that_cannot_be_asked_is_told_of(world):  # noqa: F811
    """Its mail is not held up by the question about its record."""
    server = world.serve()
    server.wait_event("delivery.done", message=send(server, "you@mute.signed"))
    lost = server.wait_event("report.uncounted", domain="mute.signed")
    assert lost["kind"] == "tls" and "DNS" in lost["reason"]
