# SPDX-License-Identifier: ISC
"""A miniature internet: hosts in network namespaces of their own on one wire, a signed root, a signed top-level domain, and zones below it."""
import ctypes
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading

import nsd
from server import EILBOTE, IS_SANITIZED, PASSWORD, Server, Smtp, until

NET = "11.22.33"  # of nobody here: what a stranger's policy may make us ask is public
ROOT, TLD, LEAF = f"{NET}.1", f"{NET}.2", f"{NET}.3"
HEAD = "$ORIGIN {origin}\n$TTL 60\n@ SOA {ns} hostmaster.{ns} 1 60 60 60 60\n@ NS {ns}\n"
NSD_CONF = nsd.CONF.replace("127.0.0.1@{port}", "{address}@53")
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def run(*words, cwd=None):
    return subprocess.run(list(map(str, words)), cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def why_not():
    """What keeps this machine from having namespaces; empty: nothing."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    for program in ("ip", "nsd", "ldns-signzone", "ldns-keygen", "ldns-key2ds"):
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            return f"{program} is not there (Debian: iproute2, nsd, ldnsutils)"
    try:
        name = f"eb{os.getpid()}-try"
        run("ip", "netns", "add", name)
        run("ip", "netns", "del", name)
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not allowed: {error.stderr.strip()}"
    return ""


class Namespace:
    """In a with block, what this thread opens and starts is in there."""

    def __init__(self, name):
        self.name, self.before = f"eb{os.getpid()}-{name}", []
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words):
        return run("ip", "-n", self.name, *words)

    def enter(self, descriptor):
        if LIBC.setns(descriptor, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(descriptor)

    def __enter__(self):
        self.before.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        self.enter(os.open(f"/run/netns/{self.name}", os.O_RDONLY))
        return self

    def __exit__(self, *_):
        self.enter(self.before.pop())

    def close(self):
        run("ip", "netns", "del", self.name)


class Wire:
    """A bridge in a namespace, to which the others are connected."""

    def __init__(self):
        self.hub, self.namespaces = Namespace("hub"), {}
        self.hub.ip("link", "add", "wire", "type", "bridge")
        self.hub.ip("link", "set", "wire", "up")

    def add(self, name, *addresses):
        space = self.namespaces[name] = Namespace(name)
        port = f"p{len(self.namespaces)}"
        self.hub.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space.name)
        self.hub.ip("link", "set", port, "master", "wire", "up")
        for address in addresses:
            space.ip("address", "add", f"{address}/24", "dev", "eth0")
        space.ip("link", "set", "eth0", "up")
        return space

    def close(self):
        for space in (*self.namespaces.values(), self.hub):
            space.close()


class Stripper:
    """Somebody on the way to a server, who passes everything on but its offer of STARTTLS. In its namespace, with the threads it starts."""

    def __init__(self, address, target):
        self.target, self.taken, self.lock, self.open = target, 0, threading.Lock(), []
        self.listener = socket.create_server((address, 25))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection((self.target, 25))
            except OSError:
                return
            with self.lock:
                self.open += [client, server]
            for source, sink, how in ((client, server, lambda line: line), (server, client, self.strip)):
                threading.Thread(target=self.pass_on, args=(source, sink, how), daemon=True).start()

    def strip(self, line):
        if b"STARTTLS" not in line:
            return line
        self.taken += 1
        return b"" if line[3:4] == b"-" else b"250 HELP\r\n"

    def pass_on(self, source, sink, how):
        try:
            with source.makefile("rb") as stream:
                for line in stream:
                    sink.sendall(how(line))
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one of them has gone

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        with self.lock:
            for one in (self.listener, *self.open):
                one.close()


class NameServer:
    """nsd at an address; in its namespace."""

    def __init__(self, address, zones):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="eb-nsd-"))
        conf = NSD_CONF.format(address=address, base=self.base)
        for number, (name, text) in enumerate(zones.items()):
            (self.base / f"{number}.zone").write_text(text)
            conf += f'zone:\n    name: "{name}"\n    zonefile: "{number}.zone"\n'
        (self.base / "nsd.conf").write_text(conf)
        with (self.base / "out").open("wb") as out:
            self.process = subprocess.Popen(["/usr/sbin/nsd", "-d", "-c", str(self.base / "nsd.conf")], stdout=out, stderr=out)

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.base, ignore_errors=True)


class Names:
    """The DNS from the root on. Each of the zones is signed or not; of the signed ones the zone above has the DS."""

    def __init__(self, folder, space, zones):
        self.folder, self.servers = pathlib.Path(folder), []
        leaves, delegations = {}, ""
        for name, (text, is_signed, spoil) in zones.items():
            text = HEAD.format(origin=f"{name}.", ns="ns.eb.") + text
            leaves[name], ds = self.sign(name, text, spoil) if is_signed else (text, "")
            delegations += f"{name}. NS ns.eb.\n{ds}\n"
        tld, tld_ds = self.sign("eb", HEAD.format(origin="eb.", ns="a.eb-servers.eb.") + f"a.eb-servers A {TLD}\nns A {LEAF}\n" + delegations)
        root, _ = self.sign(".", HEAD.format(origin=".", ns="a.root.") + f"a.root. A {ROOT}\neb. NS a.eb-servers.eb.\na.eb-servers.eb. A {TLD}\n{tld_ds}\n")
        (self.folder / "hints").write_text(f". 3600000 NS a.root.\na.root. 3600000 A {ROOT}\n")
        with space:
            for address, served in ((ROOT, {".": root}), (TLD, {"eb": tld}), (LEAF, leaves)):
                self.servers.append(NameServer(address, served))

    def sign(self, name, text, spoil=()):
        """The zone signed with a new key, and its DS. The data of the records in spoil ("a.eb. TLSA") is changed after that."""
        zone = self.folder / f"zone-{name}"
        zone.write_text(text)
        key = run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", name, cwd=self.folder)
        run("ldns-signzone", "-o", name, "-f", f"{zone}-signed", zone, key, cwd=self.folder)
        if name == ".":
            (self.folder / "anchor").write_text((self.folder / f"{key}.key").read_text())
        signed = pathlib.Path(f"{zone}-signed").read_text()
        for start in spoil:
            owner, kind = start.split()
            signed, count = re.subn(rf"(?mi)^({re.escape(owner)}\s+\d+\s+IN\s+{kind}\s.*)(.)$", lambda m: m[1] + ("0" if m[2] != "0" else "1"), signed)
            assert count, f"{start} is not in the zone"
        return signed, run("ldns-key2ds", "-n", "-2", f"{key}.key", cwd=self.folder)

    def close(self):
        for server in self.servers:
            server.close()


class Host(Server):
    """An Eilbote at its real ports in a namespace: bob at a domain, with the name mx in it. Its records are what it says itself."""

    def __init__(self, space, domain, names_folder, conf="", init=()):
        self.space, self.domain, self.name = space, domain, f"mx.{domain}"
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="eb-host-"))
        self.base.chmod(0o755)
        self.directory, self.is_single, self.offset = self.base / "d", IS_SANITIZED, 0
        self.conf, self.process, self.output, self.reader, self.before_exec = self.directory / "eilbote.conf", None, [], None, None
        words = ["init", "--dir", self.directory, "--domain", domain, "--user", f"bob@{domain}", "--hostname", self.name, "--password-stdin", "--trust-anchor", "/nowhere", *init]
        done = subprocess.run([EILBOTE, *map(str, words)], input=PASSWORD + "\n", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.listener_conf("mx", "greeting-delay = 0")
        self.add_conf(f"""resolver {{
    root-hints = "{names_folder}/hints"
    trust-anchor-file = "{names_folder}/anchor"
}}
queue {{
    retry-first = 200ms
    retry-max = 400ms
}}
reports {{
    address = {{"reports@{domain}"}}
}}
{conf}""")

    def records(self, address, dmarc="reject"):
        """For its zone. Where there is DANE no policy for the web is needed."""
        text = self.cli("dns", "print", self.domain).replace("p=none", f"p={dmarc}")
        return re.sub(r"(?m)^_mta-sts.*\n", "", text) + f"{self.name}. A {address}\n"

    def start(self):
        with self.space:
            super().start()

    def end_all(self):
        with self.space:
            super().end_all()

    def close(self):
        try:
            self.stop()
            self.assert_clean()
        finally:
            self.end_all()
            shutil.rmtree(self.base, ignore_errors=True)

    def submit(self, rcpt, text="", mail=""):
        """Bob logs in and sends; gives the id."""
        with self.space, Smtp(("127.0.0.1", 587)) as c:
            c.upgrade()
            c.login(f"bob@{self.domain}")
            return c.message(f"bob@{self.domain}", [rcpt], text or f"From: bob@{self.domain}\r\nTo: {rcpt}\r\nSubject: hello\r\n\r\nthe body\r\n", mail=mail)

    def mailbox(self):
        """All that is in it, as text."""
        return [p.read_text() for p in (self.directory / "mail").rglob("*") if p.is_file() and p.name.split(".")[0].isdigit()]

    def wait_mail(self, part):
        """The message that has this in it."""
        return until(lambda: [m for m in self.mailbox() if part in m], why=lambda: f"{part!r} is not there: " + "".join(self.output))[0]
