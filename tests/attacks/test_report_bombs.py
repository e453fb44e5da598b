# SPDX-License-Identifier: ISC
"""
Reports that are bombs, or lies: archives that are far larger inside, documents that are deep, wide or endless, entities, numbers beyond
measure, names that would write into the log or onto a terminal, and mail that has the world's reports sent to a victim.

The defences are the bounds of report/archive.h, report/dmarc_read.h, report/tls_read.h and report/document.h; the document type declaration
that ends the reading in report/dmarc_read.c; document_clean() in report/document.c; and the places of serve/report_intake.c.
"""
import gzip
import io
import json
import zipfile
import zlib

import pytest
from dialogue import QUICK
from server import until
from test_reports import OLD, TLS, listed, report_mail, zipped

MIB = 1 << 20
HEAD, TAIL = OLD.split("<record>", 1)[0], "</feedback>"


@pytest.fixture
def collector(make_server):
    server = make_server(conf=QUICK + 'reports {\n address = {"dmarc@example.test"}\n}\n')
    yield server
    # Whatever came, an honest report is read afterwards.
    assert bring(server, gzip.compress(OLD.format(id="honest").encode())).startswith("250 ")
    assert "honest" in [r["report_id"] for r in listed(server)]
    assert len(server.events("role.ready")) == 2, "a role ended"


def bring(server, content, subtype="gzip"):
    with server.smtp() as c:
        c.expect("MAIL FROM:<reports@big.test>", "250 ")
        c.expect("RCPT TO:<dmarc@example.test>", "250 ")
        c.expect("DATA", "354 ")
        c.send(report_mail(content, subtype=subtype).replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return c.reply()


def inflated(start, piece, count, end=b""):
    """A gzip that is large inside, made without holding that."""
    out, packer = [], zlib.compressobj(9, zlib.DEFLATED, 31)
    for part in [start] + [piece] * count + [end]:
        out.append(packer.compress(part))
    return b"".join(out) + packer.flush()


def peak_kib(server, role="mta"):
    """What the role has held at most, and holds at least when it runs."""
    pid = server.role(role) or server.process.pid
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int([line for line in status if line.startswith("VmHWM")][0].split()[1])


def lol():
    entities = "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10 if k else "lol"}">' for k in range(10))
    return f'<?xml version="1.0"?><!DOCTYPE feedback [{entities}]><feedback><report_metadata><org_name>&l9;</org_name></report_metadata></feedback>'


BOMBS = {
    "gzip": lambda: inflated(b"<feedback>", b" " * MIB, 2000),
    "json": lambda: inflated(b'{"a":"', b"x" * MIB, 500),
    "zip": lambda: zipped("<feedback>" + " " * (200 * MIB)),
    "text": lambda: inflated(b"<feedback><report_metadata><org_name>", b"x" * MIB, 99, b"</org_name></report_metadata></feedback>"),
    "attribute": lambda: inflated(b'<feedback a="', b"x" * MIB, 90, b'"></feedback>'),
    "name": lambda: inflated(b"<feedback><", b"x" * MIB, 90, b"></feedback>"),
    "comment": lambda: inflated(b"<feedback><!--", b"x" * MIB, 90, b"--></feedback>"),
    "attributes": lambda: inflated(b"<feedback", b"".join(b' a%d="x"' % k for k in range(200000)), 1, b"></feedback>"),
    "deep": lambda: gzip.compress(b"<feedback>" + b"<a>" * 100000),
    "elements": lambda: inflated(b"<feedback>", b"<a/>" * (MIB // 4), 95, b"</feedback>"),
    "laughs": lambda: gzip.compress(lol().encode()),
    "outside": lambda: gzip.compress(b'<!DOCTYPE feedback [<!ENTITY x SYSTEM "file:///etc/passwd">]><feedback>&x;</feedback>'),
    "json-deep": lambda: gzip.compress(b'{"a":' + b"[" * 1000000),
    "gzip-in-gzip": lambda: gzip.compress(gzip.compress(OLD.format(id="inner").encode())),
    "cut": lambda: gzip.compress(OLD.format(id="cut").encode())[:-20],
    "encrypted": lambda: zipped(OLD.format(id="z")).replace(b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\1\0", 1),
}


WHY = {"gzip": "more than 104857600 octets", "zip": "more than 104857600 octets", "json": "too large", "attribute": "too long", "name": "too long",
       "comment": "too long", "attributes": "too long", "deep": "too deep", "elements": "too many elements", "laughs": "document type",
       "outside": "document type", "json-deep": "too deep", "cut": "ends in the middle", "encrypted": "encrypted", "gzip-in-gzip": "holds no report",
       "text": "is missing"}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(collector, name):
    before = peak_kib(collector)
    content = BOMBS[name]()
    assert len(content) < 10 * MIB
    assert bring(collector, content)[:9] in ("554 5.6.0", "552 5.3.4")
    assert WHY[name] in collector.wait_event("report.unread", outcome="never")["text"]
    assert listed(collector) == []
    assert peak_kib(collector) - before < 64 << 10, "a bomb took more memory than the bounds allow"


def test_many_entries_are_one(collector):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("first.xml", OLD.format(id="first"))
        for k in range(20000):
            z.writestr(f"{k}.xml", OLD.format(id=k)[:200])
    assert bring(collector, out.getvalue()).startswith("250 ")
    assert [r["report_id"] for r in listed(collector)] == ["first"]


def test_many_records_are_counted_and_cut(collector):
    record = "<record>" + OLD.format(id="x").split("<record>")[1]
    assert bring(collector, inflated((HEAD.format(id="many")).encode(), record.encode() * 1000, 30, TAIL.encode())).startswith("250 ")
    report, = listed(collector)
    assert report["record_count"] == 20000 and report["pass"] == 12 * 30000 and report["about"]["left_out"] == 10000


@pytest.mark.parametrize("count", ["99999999999999999999999999", "18446744073709551617", "-1", "1e9", "0x7fffffff", "", "9223372036854775807"])
def test_numbers_beyond_measure(collector, count):
    assert bring(collector, gzip.compress(OLD.format(id="n").replace("<count>12<", f"<count>{count}<").encode())).startswith("250 ")
    tls = json.dumps({**TLS, "report-id": "t"}).replace("5326", count if count.isdigit() else "7")
    assert bring(collector, gzip.compress(tls.encode()), "tlsrpt+gzip")[:3] in ("250", "554")
    report = [r for r in listed(collector) if r["report_id"] == "n"][0]
    assert 0 <= report["pass"] <= 10**12 and report["fail"] == 3
    collector.cli("reports", "show", report["id"])


def test_names_do_not_write_into_the_log(collector):
    evil = 'Evil"}&#10;{"event":"role.ready"}\u202e\u009b31m\u2028x'
    assert bring(collector, gzip.compress(OLD.format(id="e").replace("Big Mail", evil).encode())).startswith("250 ")
    assert bring(collector, gzip.compress(json.dumps({**TLS, "organization-name": "a\x1b]0;x\x07\nb", "report-id": "\0\r\n"}).encode())).startswith(("250 ", "554 "))
    event = collector.wait_event("report.received", report="e")
    assert "\n" not in event["organization"]
    for words in (("reports",), ("reports", "show", listed(collector)[0]["id"])):
        shown = collector.cli(*words)
        assert not [c for c in shown if c != "\n" and (ord(c) < 32 or c in "\x7f\x9b\u202e\u2028")], shown


def crowd(server, content):
    """The replies to many who bring it at a time."""
    clients = [server.smtp() for _ in range(16)]
    for c in clients:
        c.expect("MAIL FROM:<reports@big.test>", "250 ")
        c.expect("RCPT TO:<dmarc@example.test>", "250 ")
        c.expect("DATA", "354 ")
    for c in clients:
        c.send(content)
    replies = {c.reply()[:9] for c in clients}
    for c in clients:
        c.close()
    assert replies <= {"451 4.3.2", "554 5.6.0"} and "554 5.6.0" in replies
    return replies


def test_many_at_a_time_are_put_off(collector):
    """Only some are read at a time; the others are to come again, and nobody waits for them."""
    content = report_mail(inflated(b"<feedback>", b"<a/>" * (MIB // 4), 60)).replace(b"\r\n.", b"\r\n..") + b".\r\n"
    until(lambda: "451 4.3.2" in crowd(collector, content))
