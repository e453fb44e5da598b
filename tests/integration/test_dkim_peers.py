# SPDX-License-Identifier: ISC
"""
DKIM and ARC against other implementations: what is signed here holds for dkimpy and libopendkim, what they sign holds here, and messages that were
changed on the way are judged alike. Where the others differ from the RFC the test says how, as narrowly as it can (see explain()).
"""
import base64
import logging
import os
import pathlib
import random
import re
import subprocess
import time

import dkim
import pytest
from opendkim import OpenDkim

BUILD = pathlib.Path(os.environ.get("EILBOTE_BUILD", "build"))
SEED = int(os.environ.get("SEED", "1"))
COUNT = int(os.environ.get("COUNT", "1000"))
CANONS = ("simple", "relaxed")
DOMAIN = "example.com"
logging.getLogger("dkimpy").propagate = False  # what it thinks of thousands of broken messages is compared, not read


def openssl(*words, given=None):
    return subprocess.run(["openssl", *words], input=given, capture_output=True, check=True).stdout


class Keys:
    """An RSA and an Ed25519 pair, their records and the zone."""

    def __init__(self, folder):
        self.rsa = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        self.ed25519 = openssl("genpkey", "-algorithm", "ED25519")
        (folder / "rsa.pem").write_bytes(self.rsa)
        (folder / "ed.pem").write_bytes(self.ed25519)
        self.files = [str(folder / "rsa.pem"), str(folder / "ed.pem")]
        public = [openssl("pkey", "-pubout", "-outform", "DER", given=key) for key in (self.rsa, self.ed25519)]
        self.records = {("rsa", DOMAIN): "v=DKIM1; k=rsa; p=" + base64.b64encode(public[0]).decode(),
                        ("ed", DOMAIN): "v=DKIM1; k=ed25519; p=" + base64.b64encode(public[1][-32:]).decode()}
        self.seed = base64.b64encode(openssl("pkey", "-outform", "DER", given=self.ed25519)[-32:])
        # The form of RSA keys that dkimpy reads.
        self.rsa_traditional = openssl("pkey", "-traditional", given=self.rsa)

    def zone(self):
        return "".join(f"{s}._domainkey.{d} TXT {record}\n" for (s, d), record in self.records.items()).encode()

    def answer(self, name, timeout=5):
        selector, _, domain = name.decode().lower().rstrip(".").partition("._domainkey.")
        record = self.records.get((selector, domain))
        return record.encode() if record else None


class Driver:
    """The program's own room, behind tests/integration/dkim_driver.c."""

    def __init__(self, keys):
        self.keys = keys
        self.process = subprocess.Popen([BUILD / "tests/integration/dkim_driver", *keys.files], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, verb, message, now=None):
        zone = self.keys.zone()
        self.process.stdin.write(b"%s %d %d %d\n" % (verb.encode(), now or time.time(), len(message), len(zone)) + message + zone)
        self.process.stdin.flush()
        return self.process.stdout.readline().decode()[:-1]

    def verify(self, message):
        line = self.ask("verify", message)
        return [tuple(part.split(" ", 1)) for part in line.split("|")] if line else []

    def arc(self, message):
        return tuple(self.ask("arc", message).split(" ", 1))

    def sign(self, message):
        return self.process.stdout.read(int(self.ask("sign", message)))

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait() == 0


@pytest.fixture(name="keys", scope="module")
def make_keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(name="here", scope="module")
def make_driver(keys):
    driver = Driver(keys)
    yield driver
    driver.close()


@pytest.fixture(name="opendkim", scope="module")
def make_opendkim(keys):
    return OpenDkim(keys.records)


def split(message):
    """The fields, each without its last line end, and the body."""
    section, _, body = message.partition(b"\r\n\r\n")
    return re.split(rb"\r\n(?![ \t])", section), body


def by_dkimpy(message, keys, index):
    try:
        return dkim.DKIM(message).verify(idx=index, dnsfunc=keys.answer)
    except (dkim.DKIMException, ValueError, IndexError, TypeError, AssertionError, KeyError):
        return False


WORDS = [b"hello", b"the", b"game", b"=20", b".", b"..", b"From", b"m\xc3\xbcller", b"\xff\x80", b"a" * 200, b"<x@example.com>", b"--", b"0"]
BLANKS = [b" ", b" ", b" ", b"  ", b"\t", b" \t ", b"   "]


def make_line(rng):
    text = b"".join(rng.choice(WORDS) + rng.choice(BLANKS) for _ in range(rng.choice((0, 1, 3, 8))))
    return rng.choice((b"", b"", b" ", b"\t")) + (text if rng.random() < 0.3 else text.rstrip())


def make_body(rng):
    kind = rng.random()
    if kind < 0.05:
        return b""
    if kind < 0.1:
        return rng.choice((b"\r\n", b"\r\n\r\n", b" ", b" \r\n", b"\t\r\n\r\n", b"x"))
    lines = [rng.choice((b"", make_line(rng), make_line(rng))) for _ in range(rng.choice((1, 2, 5, 20, 100)))]
    return b"\r\n".join(lines) + b"\r\n" * rng.choice((0, 1, 1, 1, 2, 5))


def make_value(rng):
    value = b" ".join(rng.choice(WORDS[:7]) for _ in range(rng.choice((1, 2, 5))))
    if rng.random() < 0.3:
        value = value.replace(b" ", rng.choice((b"\r\n ", b"\r\n\t", b"  ", b" \r\n \t")), 1)
    return rng.choice((b" ", b" ", b"", b"  ", b"\t")) + value + rng.choice((b"", b"", b"", b" ", b"\t "))


# libopendkim wants an address there.
FROM = [b" Joe <joe@example.com>", b"joe@example.com", b"\tJoe \r\n\t<joe@example.com> ", b" \"J  X\"  <joe@example.com>"]


def make_message(rng):
    names = [b"To", b"Cc", b"Subject", b"Date", b"Message-ID", b"X-Other", b"Received", b"Received", b"Reply-To", b"MIME-Version", b"Content-Type",
             b"List-Id", b"List-Unsubscribe", b"Comments", b"Sender"]
    chosen = [b"From"] + rng.sample(names, rng.randrange(1, len(names)))
    chosen += [rng.choice(chosen[1:])] * rng.choice((0, 0, 1, 3))
    rng.shuffle(chosen)
    fields = [rng.choice((name, name, name.lower(), name.upper())) + b":" + (rng.choice(FROM) if name == b"From" else make_value(rng))
              for name in chosen]
    return b"\r\n".join(fields) + b"\r\n\r\n" + make_body(rng)


def choose_names(rng, message):
    present = [field.split(b":")[0].strip() for field in split(message)[0]]
    names = [b"From"] + [n for n in present if rng.random() < 0.6 and n.lower() not in (b"from", b"received", b"comments")]
    return names + [b"Subject", b"To"][:rng.choice((0, 1, 2))]


def is_cut_after_a_blank(message):
    """
    A body whose last line has blanks at its end but no line end. RFC 6376 3.4.4 takes blanks away at the end of lines and adds the line end; dkimpy looks
    for blanks in front of a line end alone and keeps these.
    """
    return message.endswith((b" ", b"\t"))


def test_what_is_signed_here_holds_elsewhere(keys, here, opendkim):
    rng = random.Random(SEED)
    for k in range(COUNT):
        message = make_message(rng)
        signed = here.sign(message) + message
        assert here.verify(signed) == [("pass", ""), ("pass", "")], (k, signed)
        assert opendkim.verify(*split(signed)) == [(True, "ok"), (True, "ok")], (k, signed)
        assert [by_dkimpy(signed, keys, i) or is_cut_after_a_blank(message) for i in (0, 1)] == [True, True], (k, signed)


def sign_by_dkimpy(rng, message, keys):
    d = dkim.DKIM(message)
    d.should_not_sign = set()
    canons = (rng.choice(CANONS), "simple" if is_cut_after_a_blank(message) else rng.choice(CANONS))
    # Its RSA, all of it in Python, takes 50 times as long.
    key, selector, algorithm = rng.choice(((keys.seed, b"ed", b"ed25519-sha256"),) * 9 + ((keys.rsa_traditional, b"rsa", b"rsa-sha256"),))
    return d.sign(selector, DOMAIN.encode(), key, signature_algorithm=algorithm, canonicalize=tuple(c.encode() for c in canons),
                  include_headers=choose_names(rng, message), length=rng.random() < 0.2)


def sign_by_opendkim(rng, message, keys, opendkim):
    key, selector, algorithm = rng.choice(((keys.ed25519, "ed", "ed25519-sha256"), (keys.rsa, "rsa", "rsa-sha256")))
    # What it makes of Ed25519 with simple header fields it does not take itself.
    canon = "relaxed" if selector == "ed" else rng.choice(CANONS)
    return opendkim.sign(*split(message), key, selector, DOMAIN, algorithm, canon, rng.choice(CANONS))


def sign_elsewhere(rng, message, keys, opendkim):
    return (sign_by_dkimpy(rng, message, keys) if rng.random() < 0.5 else sign_by_opendkim(rng, message, keys, opendkim)) + message


def test_what_is_signed_elsewhere_holds_here(keys, here, opendkim):
    rng = random.Random(SEED + 1)
    for k in range(COUNT):
        signed = sign_elsewhere(rng, make_message(rng), keys, opendkim)
        assert here.verify(signed) == [("pass", "")], (k, signed)


def change_octet(rng, text):
    at = rng.randrange(len(text) + 1)
    new = rng.choice((b"", b"", b"x", b" ", b";", b"=", b":", b"0", b"\t", b"\r\n ", text[at:at + 1].swapcase()))
    return text[:at] + new + text[at + rng.choice((0, 1)):]


def change_lines(rng, text):
    lines = text.split(b"\r\n")
    at = rng.randrange(len(lines))
    lines[at:at + rng.choice((0, 1, 1, 2))] = rng.sample(lines, min(len(lines), rng.choice((0, 1, 1, 2))))
    return b"\r\n".join(lines)


def change(rng, message):
    """The message as somebody on the way may have left it: header fields or body, some octets or lines. Still with CRLF alone, and with fields."""
    while True:
        section, separator, body = message.partition(b"\r\n\r\n")
        how = rng.choice((change_octet, change_octet, change_lines))
        for _ in range(rng.choice((1, 1, 2, 3))):
            if rng.random() < 0.7:
                section = how(rng, section)
            else:
                body = how(rng, body)
        changed = section + separator + body
        if re.search(rb"\r(?!\n)|(?<!\r)\n", changed):
            continue
        fields = re.split(rb"\r\n(?![ \t])", section)
        if all(re.match(rb"[!-9;-~]+[ \t]*:", f) for f in fields):
            return changed


NOT_BASE64 = ("neutral", "b= is missing or not base64")


def explain_opendkim(found, theirs):
    """RFC 6376 2.10 says which octets base64 is made of. libopendkim passes over any other in b=, so what somebody wrote into it does no harm there."""
    return found == NOT_BASE64 and theirs == (True, "ok")


def has_odd_base64(message):
    """
    A tag b= that decodes to what it was, though the bits that RFC 4648 3.5 wants to be zero are not, or with another number of "=" at its end than
    belongs there (RFC 6376 2.10 has two at most): here that is no base64, as the RFCs allow.
    """
    for text in (found for field in split(message)[0] for found in re.findall(rb"[;\s]b=([A-Za-z0-9+/=\s]+)", field)):
        text = re.sub(rb"\s", b"", text)
        core = text.rstrip(b"=")
        if b"=" not in core and len(core) % 4 != 1 and base64.b64encode(base64.b64decode(core + b"=" * (-len(core) % 4))) != text:
            return True
    return False


def explain_dkimpy(found, passes, message):
    """
    dkimpy refuses a message with more than one From, whatever h= says (here DMARC does that), and knows no blank in front of the colon (RFC 6376 3.4.2
    takes it away), and of an ARC-Message-Signature it looks for one with " i=N;" in it, though relaxed canonicalization (3.4.2) makes all blanks there alike.
    """
    fields = split(message)[0]
    if found[0] == "pass":
        from_count = sum(re.match(rb"from[ \t]*:", f, re.I) is not None for f in fields)
        has_blank = any(re.match(rb"[!-9;-~]+[ \t]", f) for f in fields)
        is_overlooked = any(re.match(rb"ARC-Message-Signature:(?!.* i=\d+;)", f, re.I | re.S) for f in fields)
        return not passes and (is_cut_after_a_blank(message) or from_count > 1 or has_blank or is_overlooked)
    return passes and found[1] == NOT_BASE64[1] and has_odd_base64(message)


def test_changed_messages_are_judged_alike(keys, here, opendkim):
    rng = random.Random(SEED + 2)
    compared = passed = 0
    for k in range(2 * COUNT):
        message = make_message(rng)
        signed = here.sign(message) + message if rng.random() < 0.3 else sign_elsewhere(rng, message, keys, opendkim)
        changed = change(rng, signed)
        ours, theirs = here.verify(changed), opendkim.verify(*split(changed))
        # When one of the fields of the message is not to its liking, libopendkim judges no signature; RFC 6376 6.1 wants each by itself.
        has_opinion = len(theirs) == len(ours)
        for i, found in enumerate(ours):
            passes, python = found[0] == "pass", by_dkimpy(changed, keys, i)
            compared += has_opinion
            passed += passes
            assert not has_opinion or theirs[i][0] == passes or explain_opendkim(found, theirs[i]), (k, i, found, theirs[i], changed)
            assert python == passes or explain_dkimpy(found, python, changed), (k, i, found, changed)
    assert compared > COUNT and passed > COUNT / 4 and compared - passed > COUNT / 4


RECORDS = [
    # record, here, libopendkim, dkimpy; "KEY" is the key
    ("v=DKIM1; k=rsa; p=KEY", "pass", True, True),
    ("p=KEY", "pass", True, True),
    ("v=DKIM1; p=KEY; n=a note; s=email; t=y", "pass", True, True),
    ("v=DKIM1;h=sha1:sha256;p=KEY;", "pass", True, True),
    ("v=DKIM1; p=", "permerror the key has been revoked", False, False),
    ("v=DKIM2; p=KEY", "permerror the record is no key record", False, False),
    ("v=DKIM1; k=rsa", "permerror the key record has no key", False, False),
    ("hello", "permerror the key record cannot be read", False, False),
    ("v=DKIM1; p=AAAA", "permerror the key is no RSA key", False, False),
    # libopendkim does not compare k= with a= (RFC 6376 6.1.2), and takes a tag that is there twice (3.2).
    ("v=DKIM1; k=ed25519; p=KEY", "permerror the key is for another algorithm", True, False),
    ("v=DKIM1; p=KEY; p=KEY", "permerror the key record cannot be read", True, False),
    # dkimpy does not look at h=, and puts its own error aside when s= is for something else (RFC 6376 3.6.1).
    ("v=DKIM1; h=sha1; p=KEY", "permerror the key is not for SHA-256", False, True),
    ("v=DKIM1; s=other; p=KEY", "permerror the key is not for mail", False, None),
    # RFC 6376 3.6.1: v=, if there, is the first tag. The others do not mind.
    ("p=KEY; v=DKIM1", "permerror the record is no key record", None, None),
]


@pytest.mark.parametrize("record, expected, by_opendkim, by_python", RECORDS)
def test_key_records_are_judged_alike(keys, here, record, expected, by_opendkim, by_python):
    message = b"From: Joe <joe@example.com>\r\nSubject: hi\r\n\r\nHello\r\n"
    signed = here.sign(message).split(b"DKIM-Signature")[1]
    signed = b"DKIM-Signature" + signed + message
    before = keys.records["rsa", DOMAIN]
    keys.records["rsa", DOMAIN] = record.replace("KEY", before.partition("p=")[2])
    try:
        judged = (" ".join(here.verify(signed)[0]).strip(), OpenDkim(keys.records).verify(*split(signed))[0][0], by_dkimpy(signed, keys, 0))
    finally:
        keys.records["rsa", DOMAIN] = before
    assert judged[0] == expected
    assert by_opendkim in (None, judged[1]) and by_python in (None, judged[2]), judged


def seal(message, keys, rng, count):
    """The message with so many sets of dkimpy's in front of it; a list changes it between them."""
    for instance in range(1, count + 1):
        verdict = b"" if instance == 1 else b" arc=pass;"
        results = b"Authentication-Results: mx.example;" + verdict + b" spf=pass smtp.mailfrom=a@example.com\r\n"
        lines = dkim.ARC(results + message).sign(b"rsa", DOMAIN.encode(), keys.rsa_traditional, b"mx.example", include_headers=[b"From", b"Subject", b"To"])
        assert lines, "dkimpy has sealed nothing"
        message = b"".join(lines) + message
        if instance < count and rng.random() < 0.5:
            message += b"-- \r\nThe list\r\n"
    return message


def arc_by_dkimpy(message, keys):
    try:
        return dkim.ARC(message).verify(dnsfunc=keys.answer)[0] or b"fail"
    except (dkim.DKIMException, ValueError, IndexError, TypeError, AssertionError, KeyError):
        return b"fail"


def test_chains_that_dkimpy_sealed(keys, here):
    rng = random.Random(SEED + 3)
    passed = failed = 0
    for k in range(COUNT // 10):
        message = make_message(rng)
        message += b"." if is_cut_after_a_blank(message) else b""
        sealed = seal(message, keys, rng, rng.choice((1, 1, 2, 3, 4)))
        assert here.arc(sealed) == ("pass", ""), (k, sealed)
        for _ in range(10):
            changed = change(rng, sealed)
            ours, theirs = here.arc(changed), arc_by_dkimpy(changed, keys).decode()
            passed += ours[0] == "pass"
            failed += ours[0] == "fail"
            assert ours[0] == theirs or explain_dkimpy(ours, theirs == "pass", changed), (k, ours, theirs, changed)
    assert passed > COUNT / 20 and failed > COUNT / 20
