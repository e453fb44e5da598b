# SPDX-License-Identifier: ISC
"""An authoritative name server for the zones of a test."""
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

from server import free_port, until

CONF = """server:
    ip-address: 127.0.0.1@{port}
    username: ""
    zonesdir: "{base}"
    database: ""
    pidfile: ""
    xfrdfile: "{base}/xfrd.state"
    zonelistfile: "{base}/zone.list"
    xfrdir: "{base}"
    server-count: 1
remote-control:
    control-enable: no
"""


class Nsd:
    def __init__(self, zones):
        self.base = tempfile.mkdtemp(prefix="eb-nsd-")
        for name, text in zones.items():
            with open(f"{self.base}/{name}.zone", "w", encoding="utf-8") as zone:
                zone.write(text)
        for _ in range(5):  # somebody else may take the port
            self.start(zones)
            until(lambda: self.process.poll() is not None or self.is_answering(next(iter(zones))), why=self.why)
            if self.process.poll() is None:
                return
        raise AssertionError(f"nsd does not start: {self.why()}")

    def start(self, zones):
        self.port = free_port()
        conf = CONF.format(port=self.port, base=self.base)
        for name in zones:
            conf += f'zone:\n    name: "{name}"\n    zonefile: "{name}.zone"\n'
        with open(f"{self.base}/nsd.conf", "w", encoding="utf-8") as file:
            file.write(conf)
        with open(f"{self.base}/out", "wb") as out:
            self.process = subprocess.Popen(["/usr/sbin/nsd", "-d", "-c", f"{self.base}/nsd.conf"], stdout=out, stderr=out)

    def why(self):
        with open(f"{self.base}/out", encoding="utf-8") as out:
            return out.read()

    def is_answering(self, zone):
        """Asks for the SOA of a zone over TCP."""
        name = b"".join(bytes([len(label)]) + label.encode() for label in zone.split("."))
        query = b"\x12\x34\0\0\0\1\0\0\0\0\0\0" + name + b"\0\0\6\0\1"
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as s:
                s.sendall(len(query).to_bytes(2, "big") + query)
                return s.recv(2) != b""
        except OSError:
            return False

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.base, ignore_errors=True)


def stub_zones(port, *zones):
    """The part of a configuration that has these zones asked of 127.0.0.1 at the port."""
    return "".join(f'stub-zone "{zone}" {{\n server = {{"127.0.0.1@{port}"}}\n}}\n' for zone in zones)


class Signer:
    """Signs zones with a key of their own for each, as ldns-signzone does it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.anchors = []

    def sign(self, name, text, spoil=()):
        """The signed zone. The data of the records at the names in spoil (with the type, "a.test. TLSA") is changed after that: they are bogus."""
        zone = self.folder / f"{name}.zone"
        zone.write_text(text)
        key = self.run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", name)
        self.run("ldns-signzone", "-f", zone.with_suffix(".signed"), zone, key)
        self.anchors.append((self.folder / f"{key}.key").read_text())
        signed = zone.with_suffix(".signed").read_text()
        for start in spoil:
            owner, kind = start.split()
            signed, count = re.subn(rf"(?mi)^({re.escape(owner)}\s+\d+\s+IN\s+{kind}\s.*)(.)$", lambda m: m[1] + ("0" if m[2] != "0" else "1"), signed)
            assert count, f"{start} is not in the zone"
        return signed

    def run(self, *words):
        return subprocess.run(list(map(str, words)), cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def anchor_file(self):
        path = self.folder / "anchor"
        path.write_text("".join(self.anchors))
        return path
