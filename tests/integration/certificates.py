# SPDX-License-Identifier: ISC
"""
Certificates that are exchanged under load: clients of every port with TLS, who notice each refused connection, each cut transaction and each
certificate that was not in force when they came. Used by the tests here and by `make torture`.
"""
import base64
import os
import socket
import ssl
import subprocess
import time

from changes import TRANSACTIONS, Visitor
from ledger import HERE
from server import PASSWORD, PATIENCE_S

KINDS = (("rsa", "-newkey", "rsa:2048"), ("ec", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"))
TRUSTED = ("--trust", "127.0.0.1/32")


class Certificate:
    def __init__(self, folder, number):
        kind, *words = KINDS[number % len(KINDS)]
        self.chain, self.key = folder / f"{number}.{kind}.pem", folder / f"{number}.{kind}.key"
        subprocess.run(["openssl", "req", "-x509", *words, "-nodes", "-days", "3", "-subj", f"/CN=mail{number}.example.test", "-keyout", self.key, "-out",
                        self.chain], check=True, capture_output=True)
        self.der = ssl.PEM_cert_to_DER_cert(self.chain.read_text())


class Shelf:
    """What certificate was in force when. A swap is under way from the time at which its files are put there until the reload has been done."""

    def __init__(self, server, folder, count):
        self.server = server
        self.certificates = [Certificate(folder, number) for number in range(count)]
        self.spans = [[0.0, ssl.PEM_cert_to_DER_cert((server.directory / "tls/certificate.pem").read_text())]]

    def swap(self, number):
        fresh, tls = self.certificates[number % len(self.certificates)], self.server.directory / "tls"
        begin = time.monotonic()
        for source, name in ((fresh.chain, "certificate.pem"), (fresh.key, "key.pem")):
            (tls / "new").write_bytes(source.read_bytes())
            (tls / "new").chmod((tls / name).stat().st_mode)
            os.chown(tls / "new", (tls / name).stat().st_uid, (tls / name).stat().st_gid)
            (tls / "new").rename(tls / name)
        self.server.reload()
        self.spans.append([begin, fresh.der, time.monotonic()])
        return time.monotonic() - begin

    def may_have(self, begin, end):
        """What a client may have been shown that came at the one time and had it at the other."""
        latest = [der for start, der, *done in self.spans if not done or done[0] <= begin][-1]
        return {latest} | {der for start, der, *done in self.spans if done and start <= end and done[0] > begin}


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


class Secure(Visitor):
    """Under TLS from the beginning, by STARTTLS, or with what it remembers of the connection before."""

    def __init__(self, label, server, port, resumes=False):
        super().__init__(label, server)
        self.port, self.context, self.resumes = port, context(), resumes
        self.login = None
        if port == "submissions":
            self.sender = HERE[0]
            self.login = b"AUTH PLAIN " + base64.b64encode(f"\0{HERE[0]}\0{PASSWORD}".encode()) + b"\r\n"
        self.session, self.handshakes, self.resumed = None, [], 0

    def secure(self, raw, begin):
        s = self.context.wrap_socket(raw, session=self.session if self.resumes else None)
        if s.session_reused:
            self.resumed += 1
        else:
            self.handshakes.append((begin, time.monotonic(), s.getpeercert(binary_form=True)))
        return s

    def visit(self):
        begin = time.monotonic()
        with socket.create_connection(self.server.where(self.port), timeout=PATIENCE_S) as raw:
            if self.port == "smtp":
                with raw.makefile("rb", buffering=0) as lines:
                    self.expect(lines, b"220")
                    self.hello(raw, lines)
                    self.say(raw, lines, b"STARTTLS\r\n", b"220", may_turn=True)
            with self.secure(raw, begin) as s, s.makefile("rb") as lines:
                getattr(self, "talk_pop3" if self.port == "pop3s" else "talk_smtp")(s, lines)
                self.session = s.session

    def hello(self, s, lines):
        self.say(s, lines, b"EHLO load.test\r\n", b"250-", may_turn=True)
        while lines.readline()[3:4] == b"-":
            pass

    def talk_smtp(self, s, lines):
        if self.port != "smtp":
            self.expect(lines, b"220")
        self.hello(s, lines)
        if self.login:
            self.say(s, lines, self.login, b"235", may_turn=True)
        for _ in range(TRANSACTIONS):
            self.transaction(s, lines)
        self.say(s, lines, b"QUIT\r\n", b"221", may_turn=True)

    def talk_pop3(self, s, lines):
        for line in (b"", b"USER alice@example.test\r\n", f"PASS {PASSWORD}\r\n".encode(), b"STAT\r\n", b"QUIT\r\n"):
            self.say(s, lines, line, b"+OK")


def make_visitors(server):
    return [Secure("a", server, "smtp"), Secure("b", server, "smtp", resumes=True), Secure("c", server, "submissions"), Secure("d", server, "pop3s")]


def check(shelf, visitors):
    """What is wrong with the certificates: sentences."""
    names = {der: f"the one of swap {number}" for number, (_, der, *_) in enumerate(shelf.spans)}
    return [f"{v.port} {v.label}: a client that came at {begin:.3f} was shown {names.get(der, 'an unknown certificate')}, {end - begin:.3f} s later"
            for v in visitors for begin, end, der in v.handshakes if der not in shelf.may_have(begin, end)]
