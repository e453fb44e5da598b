# SPDX-License-Identifier: ISC
"""Certificates of an authority that a test makes, what the DNS says of them, and web servers with MTA-STS policies."""
import datetime
import hashlib
import http.server
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = datetime.timedelta(days=1)


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


class Authority:
    def __init__(self, folder, name="Test Authority"):
        self.folder, self.name = folder, x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.build(self.name, self.key, lambda b: b.add_extension(x509.BasicConstraints(True, None), True))
        self.file = folder / f"{name.replace(' ', '-')}.pem"
        self.file.write_bytes(pem(self.certificate))

    def build(self, subject, key, extend, begin=-DAY, end=DAY):
        now = datetime.datetime.utcnow()
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now + begin).not_valid_after(now + end)
        return extend(builder).sign(self.key, hashes.SHA256())

    def issue(self, *names, is_expired=False):
        """A certificate for the names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
        alternatives = x509.SubjectAlternativeName([x509.DNSName(n) for n in names])
        span = (-3 * DAY, -DAY) if is_expired else (-DAY, DAY)
        return Issued(self, key, self.build(subject, key, lambda b: b.add_extension(alternatives, False), *span))

    def digest(self):
        return hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


class Issued:
    def __init__(self, authority, key, certificate):
        self.certificate = certificate
        path = authority.folder / f"{certificate.serial_number:x}"
        self.chain, self.key = path.with_suffix(".pem"), path.with_suffix(".key")
        self.chain.write_bytes(pem(certificate) + pem(authority.certificate))
        self.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context

    def digest(self):
        """Of its key, as in a TLSA record 3 1 1."""
        spki = self.certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).hexdigest()


class PolicyServer:
    """HTTPS at an address. Its answer: status, headers, body; None closes. Counts who asks, by host."""

    def __init__(self, host, port, issued):
        self.answers, self.asked = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                host = self.headers["Host"].split(":")[0]
                outer.asked.append((host, self.path))
                answer = outer.answers.get(host)
                if not answer:
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((host, port), Handler)
        self.server.socket = issued.context().wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def publish(self, domain, text, status=200, kind="text/plain", **headers):
        self.answers["mta-sts." + domain] = (status, {"Content-Type": kind, **headers}, text.encode())

    def close(self):
        self.server.shutdown()
        self.server.server_close()
