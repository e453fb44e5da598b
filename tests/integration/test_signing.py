# SPDX-License-Identifier: ISC
"""Mail of our domains leaves with the signatures of its author's domain; dkimpy and the receiving side of a second server judge them."""
import hashlib
import json
import os
import re
import sqlite3
import stat
import subprocess

import dkim
import dns.zone
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from filters import Filter, add, change, packet
from nsd import Nsd, stub_zones
from peers import transport
from test_authentication import send
from test_clients import mail_of

FAST = "queue {\n retry-first = 200ms\n retry-max = 400ms\n}\n"
UMLAUTS = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\u00fc\u00dfe  \r\n"
TEXT = "From: Alice <alice@example.test>\r\nTo: you@far.test\r\nSubject: t\r\n\r\nhello\r\n"


@pytest.fixture
def sender(make_server, stub):
    """A server that sends mail for far.test and back.test to the stub."""
    return make_server("--trust", "127.0.0.1/32", conf=FAST + transport("far.test", stub.port) + transport("back.test", stub.port))


def keys_of(server, domain="example.test"):
    return json.loads(server.cli("dkim", "list", domain, "--json"))


def in_state(server, state, domain="example.test"):
    return {key["selector"] for key in keys_of(server, domain) if key["state"] == state}


def dns_of(server):
    records = {key["name"]: key["record"].encode() for key in json.loads(server.cli("dkim", "list", "--json"))}
    return lambda name, timeout=5: records.get(name.decode().rstrip("."))


def signatures(data):
    """The tags of each signature on top."""
    section = re.sub(rb"\r\n[ \t]+", b" ", data.partition(b"\r\n\r\n")[0]).split(b"\r\n")
    fields = [line.split(b":", 1)[1] for line in section if line.startswith(b"DKIM-Signature:")]
    return [{k.strip().decode(): v.replace(b" ", b"").decode() for k, _, v in (tag.partition(b"=") for tag in field.split(b";"))} for field in fields]


def is_good(server, data, index):
    try:
        return dkim.DKIM(data).verify(idx=index, dnsfunc=dns_of(server))
    except dkim.ValidationError:
        return False


def judge(server, data):
    """Domain, selector and dkimpy's verdict of each signature, in order."""
    return [(s["d"], s["s"], is_good(server, data, k)) for k, s in enumerate(signatures(data))]


def submit(server, text=TEXT, rcpt="you@far.test", sender="alice@example.test", mail=""):
    with server.submission() as c:
        return c.message(sender, [rcpt], text, mail=mail)


def assert_signed(server, data, domain="example.test"):
    verdicts = judge(server, data)
    assert {(d, s) for d, s, _ in verdicts} == {(domain, s) for s in in_state(server, "active", domain)} and len(verdicts) == 2
    assert [good for _, _, good in verdicts] == [True, True]


def test_submitted_mail_has_both_signatures(sender, stub):
    submit(sender, TEXT.replace("Subject", "Bcc: secret@far.test\r\nSubject"))
    data = stub.wait()[0].data
    assert_signed(sender, data)
    found = signatures(data)
    assert sorted(s["a"] for s in found) == ["ed25519-sha256", "rsa-sha256"]
    # What we have added is signed, what we have removed is not there, and nothing can be added.
    names = found[0]["h"].lower().split(":")
    assert b"\r\nDate:" in data and b"\r\nMessage-ID:" in data and b"Bcc" not in data
    assert names.count("date") == names.count("message-id") == names.count("from") == names.count("subject") == 2 and names.count("reply-to") == 1
    assert data.index(b"DKIM-Signature") == 0 and data.index(b"\r\nReceived:") > 0
    for forged in (data.replace(b"hello", b"hallo"), data.replace(b"Subject: t", b"Subject: u"), b"Subject: u\r\n" + data, b"Reply-To: <x@y.test>\r\n" + data):
        assert not any(is_good(sender, forged, k) for k in range(2))


def test_local_programs_are_signed_too(sender, stub):
    sender.cli("send", "--from", "alice@example.test", "--to", "you@far.test", "--subject", "x", stdin="hello\n")
    assert_signed(sender, stub.wait()[0].data)


@pytest.mark.parametrize("size", [60 << 10, 200 << 10, (1 << 20) - 700, 1 << 20, 3 << 20])
def test_messages_of_all_sizes_are_signed(sender, stub, size):
    line = "x" * 70 + " \r\n"
    submit(sender, TEXT + line * (size // len(line)))
    assert_signed(sender, stub.wait()[0].data)


def test_other_authors_and_strangers_get_no_signature(sender, stub):
    submit(sender, TEXT.replace("alice@example.test", "alice@elsewhere.test"))
    submit(sender, TEXT.replace("From: Alice", "From: <x@elsewhere.test>\r\nFrom: Alice"))
    with sender.smtp() as c:  # trusted to relay, but what it relays is not ours
        c.message("alice@example.test", ["you@far.test"], TEXT)
    assert [signatures(m.data) for m in stub.wait(3)] == [[], [], []]


def test_a_login_does_not_sign_for_another_customer(sender, stub):
    sender.cli("domain", "add", "customer.test")
    sender.cli("user", "add", "carol@customer.test", "--password-stdin", stdin="x\n")
    text = TEXT.replace("alice@example.test", "carol@customer.test")
    submit(sender, text)
    assert signatures(stub.wait()[0].data) == []
    assert sender.wait_event("message.unsigned")["reply"] == 550
    # An address that is an alias of the account is its own.
    sender.cli("alias", "add", "sales@customer.test", "alice@example.test")
    submit(sender, text.replace("carol@", "sales@"))
    assert_signed(sender, stub.wait(2)[1].data, "customer.test")
    # And whoever is of the domain may speak for it.
    submit(sender, TEXT.replace("alice@example.test", "scanner@EXAMPLE.test"))
    assert_signed(sender, stub.wait(3)[2].data)


def test_notices_are_signed_by_the_domain_of_the_host(make_server, make_stub):
    far, back = make_stub(replies={"RCPT": ["550 5.1.1 nobody", ...]}), make_stub()
    server = make_server("--trust", "127.0.0.1/32", conf=FAST + transport("far.test", far.port) + transport("back.test", back.port))
    with server.smtp() as c:
        c.message("me@back.test", ["you@far.test"])
    data = back.wait()[0].data
    assert b"From: Mail Delivery System <MAILER-DAEMON@mail.example.test>" in data
    assert_signed(server, data)


def test_a_rotation_loses_no_signature(sender, stub):
    old = in_state(sender, "active")
    printed = sender.cli("dkim", "rotate", "example.test")
    new = in_state(sender, "next")
    assert {s[0] for s in new} == {"r", "e"} and not new & old and all(f"{s}._domainkey.example.test. IN TXT" in printed for s in new)
    assert sender.cli("dkim", "rotate", "example.test") == printed  # says it again, and makes no others
    submit(sender)
    assert {s["s"] for s in signatures(stub.wait()[0].data)} == old
    sender.cli("dkim", "rotate", "example.test", "--activate")
    assert in_state(sender, "active") == new and in_state(sender, "retiring") == old
    submit(sender)
    assert {s["s"] for s in signatures(stub.wait(2)[1].data)} == new
    for message in stub.messages:  # what was signed before is good while the old key is in the DNS
        assert all(good for _, _, good in judge(sender, message.data))
    assert "no next keys" in sender.cli("dkim", "rotate", "example.test", "--activate", status=1)
    assert "No key has retired" in sender.cli("dkim", "prune")
    for word in ("list", "rotate", "prune"):
        assert "is not in the directory" in sender.cli("dkim", word, "exmaple.test", status=1)
    assert in_state(sender, "retiring") == old


def test_a_key_goes_when_its_mail_has_drained(sender):
    old = in_state(sender, "active")
    sender.cli("dkim", "rotate", "example.test")
    sender.cli("dkim", "rotate", "example.test", "--activate")
    drained = {key["drained"] for key in keys_of(sender) if key["state"] == "retiring"}
    assert len(drained) == 1 and drained.pop() - max(key["since"] for key in keys_of(sender)) == 6 * 86400  # bounce-after, and a day
    exported = sender.cli("directory", "export")
    sender.cli("directory", "apply", "-", stdin=re.sub(r" retiring (\d+)", lambda m: f" retiring {int(m[1]) - 6 * 86400 - 1}", exported))
    printed = sender.cli("dkim", "prune", "example.test")
    assert all(f"take {s}._domainkey.example.test. out of the DNS" in printed for s in old)
    assert not in_state(sender, "retiring") and len(in_state(sender, "active")) == 2
    files = {path.stem for path in (sender.directory / "keys" / "example.test").iterdir()}
    assert files == in_state(sender, "active")


def test_mail_of_a_domain_without_keys_goes_unsigned_and_is_told_once(sender, stub):
    sender.cli("directory", "apply", "-", stdin=re.sub(r"^dkim .* active ", lambda m: m[0].replace("active", "retiring"), sender.cli("directory", "export"), flags=re.M))
    for _ in range(3):
        submit(sender)
    assert [signatures(m.data) for m in stub.wait(3)] == [[], [], []]
    told = sender.events("signing.unavailable")
    assert len(told) == 1 and told[0]["domain"] == "example.test" and "eilbote dkim rotate" in told[0]["text"]
    sender.cli("dkim", "rotate", "example.test")
    submit(sender)
    assert_signed(sender, stub.wait(4)[3].data)


@pytest.mark.parametrize("is_required", [False, True])
def test_keys_that_cannot_be_read(sender, stub, is_required):
    """Mail is taken all the same, and goes unsigned; unless the setting says that it must not."""
    if is_required:
        sender.conf.write_text("signing = required\n" + sender.conf.read_text())
    files = list((sender.directory / "keys" / "example.test").iterdir())
    content = {path: path.read_bytes() for path in files}
    for path in files:
        path.chmod(0o600)
        path.write_text("no key\n")
    sender.reload()
    told = sender.cli("check", status=1) if is_required else sender.cli("--json", "check")
    assert told.count("cannot sign the mail of example.test: ") == 2, told
    with sender.submission() as c:
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        c.expect("RCPT TO:<you@far.test>", "250 ")
        c.expect("DATA", "354 ")
        assert c.ask(TEXT + ".").startswith("451 4.7.5 " if is_required else "250 ")
    assert "holds no private key" in sender.wait_event("signing.unavailable")["text"]
    if not is_required:
        assert signatures(stub.wait()[0].data) == []
    for path in files:
        path.write_bytes(content[path])
    sender.reload()
    submit(sender)
    assert_signed(sender, stub.wait(1 if is_required else 2)[-1].data)


def test_one_key_of_two_still_signs(sender, stub):
    rsa = next(path for path in (sender.directory / "keys" / "example.test").iterdir() if path.stem[0] == "r")
    rsa.unlink()
    sender.reload()
    submit(sender)
    assert [(s["a"]) for s in signatures(stub.wait()[0].data)] == ["ed25519-sha256"]
    assert "NO PRIVATE KEY" in sender.cli("dkim", "list")
    warning, = json.loads(sender.cli("--json", "check"))["warnings"]
    assert warning.startswith(f"the key {rsa.stem} cannot sign the mail of example.test: ")


def test_signing_can_be_switched_off(sender, stub):
    sender.conf.write_text("signing = off\n" + sender.conf.read_text())
    sender.reload()
    submit(sender)
    assert signatures(stub.wait()[0].data) == []


@pytest.mark.parametrize("size", [0, 2 << 20])
def test_mail_that_is_converted_is_signed_as_it_leaves(make_server, make_stub, size):
    """RFC 6376 5.3. A next hop without 8BITMIME gets 7-bit content, and signatures of that; others get what was signed first."""
    old, new = make_stub(extensions=("SIZE 0",)), make_stub()
    server = make_server(conf=FAST + transport("far.test", old.port) + transport("new.test", new.port))
    text = TEXT.replace("\r\n\r\nhello\r\n", "\r\n") + UMLAUTS + "\u00e4" * 60 * (size > 0) + ("x" * 70 + "\r\n") * (size // 72)
    for rcpt in ("you@far.test", "you@new.test"):
        submit(server, text, rcpt=rcpt, mail=" BODY=8BITMIME")
    assert not new.wait()[0].data.isascii()
    assert_signed(server, new.messages[0].data)
    converted = old.wait()[0].data
    assert converted.isascii() and b"quoted-printable" in converted
    assert_signed(server, converted)


ZONE_HEAD = "$TTL 60\n@ SOA ns.example.test. hostmaster.example.test. 1 60 60 60 60\n@ NS ns.example.test.\nns A 127.0.0.1\nmail A 192.0.2.1\n"


def test_a_second_server_believes_it(sender, stub, make_server):
    """The receiver's way, through a DNS that has what dns print says, and nothing else."""
    submit(sender)
    data = stub.wait()[0].data
    nsd = Nsd({"example.test": ZONE_HEAD + sender.cli("dns", "print", "example.test"), "test": ZONE_HEAD.replace("example.test", "test")})
    try:
        receiver = make_server(conf=stub_zones(nsd.port, "example.test", "test"), start=False)
        receiver.listener_conf("mx", 'proxy-from = {"127.0.0.1/32"}\n    client-name = off')
        receiver.start()
        assert send(receiver, "192.0.2.1", "alice@example.test", data.decode()).startswith("250 ")
        assert send(receiver, "192.0.2.9", "alice@example.test", data.decode().replace("hello", "hallo")).startswith("250 ")
        good, bad = (re.sub(r"\s+", " ", m["Authentication-Results"]) for m in mail_of(receiver, 2))
    finally:
        nsd.close()
    assert good.count("dkim=pass header.d=example.test") == 2 and "spf=pass" in good and "dmarc=pass header.from=example.test policy.dmarc=none" in good
    assert bad.count("dkim=fail") == 2 and "spf=fail" in bad and "dmarc=fail" in bad


def test_what_dns_print_says_is_a_zone(sender, tmp_path):
    sender.cli("dkim", "rotate", "example.test")
    (tmp_path / "zone").write_text(ZONE_HEAD + sender.cli("dns", "print", "example.test"))
    subprocess.run(["/usr/sbin/nsd-checkzone", "example.test", tmp_path / "zone"], check=True)
    zone = dns.zone.from_file(str(tmp_path / "zone"), "example.test", relativize=False)
    text = {str(name)[:-1]: [b"".join(r.strings).decode() for r in data] for name, data in zone.iterate_rdatasets("TXT")}
    for key in keys_of(sender):
        assert text.pop(key["name"]) == [key["record"]]
        assert dkim.util.parse_tag_value(key["record"].encode())[b"v"] == b"DKIM1"
    assert text.pop("_mta-sts.example.test")[0].startswith("v=STSv1; id=")
    assert text == {"example.test": ["v=spf1 mx -all"], "mail.example.test": ["v=spf1 a -all"],
                    "_dmarc.example.test": ["v=DMARC1; p=none; rua=mailto:postmaster@example.test"],
                    "_smtp._tls.example.test": ["v=TLSRPTv1; rua=mailto:postmaster@example.test"]}
    certificate = x509.load_pem_x509_certificate((sender.directory / "tls" / "certificate.pem").read_bytes())
    public = certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert zone.find_rdataset("_25._tcp.mail", "TLSA").to_text().endswith(" 3 1 1 " + hashlib.sha256(public).hexdigest())
    assert zone.find_rdataset("_submissions._tcp", "SRV")[0].port == sender.port("submissions")
    assert str(zone.find_rdataset("_imaps._tcp", "SRV")[0].target) == "."
    assert str(zone.find_rdataset("@", "MX")[0].exchange) == "mail.example.test."
    same = json.loads(sender.cli("dns", "print", "example.test", "--json"))["records"]
    assert {(r["name"], r["data"]) for r in same if r["type"] == "TXT"} >= {(key["name"], key["record"]) for key in keys_of(sender)}


def test_names_of_another_zone_are_comments(sender, tmp_path):
    sender.cli("domain", "add", "other.test")
    printed = sender.cli("dns", "print", "other.test")
    (tmp_path / "zone").write_text(ZONE_HEAD.replace("example.test", "other.test") + printed)
    done = subprocess.run(["/usr/sbin/nsd-checkzone", "other.test", tmp_path / "zone"], capture_output=True, text=True, check=True)
    assert "out-of-zone" not in done.stdout + done.stderr and "; in the zone of that name: _25._tcp.mail.example.test. IN TLSA" in printed
    assert "no postmaster" in printed and "is not in the directory" in sender.cli("dns", "print", "nobody.test", status=1)


def test_a_directory_that_moves_keeps_its_keys(sender):
    """dkim lines are carried, private keys are not; a text without such lines leaves the keys alone."""
    before = keys_of(sender)
    text = sender.cli("directory", "export")
    assert "PRIVATE" not in text and "Private keys of dkim lines are not here" in text
    sender.cli("directory", "apply", "-", stdin="\n".join(line for line in text.splitlines() if not line.startswith("dkim ")))
    assert keys_of(sender) == before
    sender.cli("directory", "apply", "-", stdin=text)
    assert keys_of(sender) == before and sender.cli("directory", "export") == text


def test_a_domain_that_goes_takes_its_keys_along(sender):
    sender.cli("domain", "add", "Gone.test")
    folder = sender.directory / "keys" / "gone.test"
    assert len(list(folder.iterdir())) == 2 and len(keys_of(sender, "gone.test")) == 2
    sender.cli("domain", "remove", "gone.TEST")
    assert list(folder.iterdir()) == [] and "gone.test" not in sender.cli("dkim", "list")
    assert "is not in the directory" in sender.cli("dkim", "list", "gone.test", status=1)


def test_private_keys_are_for_one_role_alone(make_server):
    server = make_server(roles_have_users=True)
    server.cli("dkim", "rotate", "example.test")
    owners = set()
    for path in [server.directory / "keys", *(server.directory / "keys").rglob("*")]:
        found = path.stat()
        assert stat.S_IMODE(found.st_mode) == (0o700 if path.is_dir() else 0o400)
        owners.add(found.st_uid)
    assert owners == {(server.directory / "spool").stat().st_uid}
    if os.geteuid() == 0:
        assert owners != {0} and owners != {(server.directory / "mail").stat().st_uid}


def test_a_directory_of_an_older_version_gets_keys(sender, stub):
    """Format 1 of directory.db is read as it is, and becomes format 2 with the first change."""
    sender.stop()
    path = sender.directory / "directory.db"
    with sqlite3.connect(path) as db:
        db.executescript("DROP TABLE dkim_key; PRAGMA user_version = 1")
    sender.start()
    submit(sender)
    assert signatures(stub.wait()[0].data) == [] and sender.cli("dkim", "list") == ""
    assert len(sender.events("signing.unavailable")) == 1
    sender.cli("dkim", "rotate", "example.test")
    submit(sender)
    assert_signed(sender, stub.wait(2)[1].data)


@pytest.mark.parametrize("size", [10, 2_000_000])
@pytest.mark.parametrize("edits", [[], [change(1, "Subject", "edited"), add("X-Filter", "was here"), packet("b", b"another body\r\n")]])
def test_what_filters_make_of_submitted_mail_is_signed(make_server, stub, edits, size):
    """The signatures hold over what leaves, whatever was edited."""
    filter_ = Filter({"E": [*edits, packet("c")]})
    server = make_server(conf=FAST + transport("far.test", stub.port) + filter_.conf("f"), start=False)
    server.listener_conf("submission", 'milters = {"f"}')
    server.start()
    submit(server, TEXT + ("x" * 70 + "\r\n") * (size // 72))
    data = stub.wait()[0].data
    assert_signed(server, data)
    assert (b"Subject: edited" in data and data.endswith(b"another body\r\n")) == bool(edits)
    assert b"DKIM-Signature" not in b"".join(filter_.data("L"))
    macros = filter_.macros()["M"]
    assert macros["{auth_authen}"] == "alice@example.test" and macros["{auth_type}"] == "PLAIN"
    assert filter_.macros()["H"]["{tls_version}"].startswith("TLSv1")
    filter_.close()
