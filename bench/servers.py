# SPDX-License-Identifier: ISC
"""The servers that are measured: each is started in a private directory on a free port, and ended by its pid."""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ACCOUNTS = 10
# Peers whose packages exclude each other are unpacked, not installed.
UNPACKED = {"exim": "exim4-daemon-light", "opensmtpd": "opensmtpd"}


class Unavailable(Exception):
    """This peer cannot be measured here; the text says why."""


def free_port(low=21000):
    for port in range(low, 60000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Unavailable("no free port")


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
            return probe.recv(3) == b"220"
    except OSError:
        return False


def unpack(name, into):
    """The tree of a Debian package below into, fetched once."""
    tree = into / name
    if not tree.exists():
        into.mkdir(parents=True, exist_ok=True)
        fetched = subprocess.run(["apt-get", "download", name], cwd=into, capture_output=True, text=True, check=False)
        packages = sorted(into.glob(f"{name}_*.deb"))
        if fetched.returncode or not packages:
            raise Unavailable(f"the package {name} cannot be fetched")
        subprocess.run(["dpkg", "-x", packages[-1], tree], check=True)
    package = sorted(into.glob(f"{name}_*.deb"))[-1]
    version = subprocess.run(["dpkg-deb", "-f", package, "Version"], capture_output=True, text=True, check=True).stdout.strip()
    return tree, version


def children(pid):
    """The pid and those of everything below it."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += children(int(child))
    return found


class Server:
    """One server; mode is relay (to the sink), mailbox or hold (nothing is sent on)."""

    name = ""
    # How many messages make a run of about 8 s: relay, mailbox, 64 KiB, one a connection.
    counts = {}

    def __init__(self, cache):
        self.cache = cache
        self.process = None
        self.silent = None
        self.version = ""

    def fill(self, template, target, **values):
        text = (HERE / "peers" / self.name / template).read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        target.write_text(text)

    def start(self, work, mode, sink_port, environment=None):
        self.work, self.mode, self.sink_port = work, mode, sink_port
        work.mkdir(parents=True)
        work.chmod(0o755)
        self.port = free_port()
        if mode == "hold":
            # A next hop that takes connections and never says a word: everything waits for it.
            self.silent = socket.create_server(("127.0.0.1", 0), backlog=128)
            self.sink_port = self.silent.getsockname()[1]
        command = self.prepare()
        with open(work / "output", "wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})}, start_new_session=True)
        self.await_ready(30)

    def await_ready(self, seconds):
        end = time.monotonic() + seconds
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > end:
                text = (self.work / "output").read_text(errors="replace")[-400:]
                self.stop()
                raise Unavailable(f"{self.name} does not start: {text.strip()}")
            time.sleep(0.02)

    def stop(self):
        if self.silent:
            self.silent.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                for pid in children(self.process.pid):
                    os.kill(pid, signal.SIGKILL)
                self.process.wait()

    def delivered(self):
        """Messages in the mailboxes."""
        return sum(len(os.listdir(new)) for new in (self.work / "mail").glob("*/new"))

    def memory_kib(self):
        """Private memory of all its processes."""
        total = 0
        for pid in children(self.process.pid):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().split("\n"):
                if line.startswith(("Private_Clean:", "Private_Dirty:")):
                    total += int(line.split()[1])
        return total


class Eilbote(Server):
    name = "eilbote"
    counts = {"relay": 120000, "mailbox": 100000, "relay-1": 40000, "mailbox-1": 40000, "relay-64k": 16000}

    def __init__(self, cache, program):
        super().__init__(cache)
        self.program = program
        self.version = "this tree"
        self.trust = '{"127.0.0.0/8"}'
        self.of_listener = self.more = ""  # further lines of the configuration

    def run(self, *words, text=""):
        done = subprocess.run([self.program, *map(str, words)], input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(done.stderr.strip())

    def prepare(self):
        conf = self.work / "eilbote.conf"
        self.run("init", "--dir", self.work / "state", "--domain", "bench.test", "--user", "u0@bench.test", "--local", "--password-stdin", text="a password\n")
        self.fill("eilbote.conf", conf, OFFSET=self.port - 25, WORK=self.work, SINKPORT=self.sink_port,
                  TRUST=self.trust, LISTENER=self.of_listener, MORE=self.more,
                  DELIVERIES=10000000 if self.mode == "hold" else 100000)  # what is accepted stays in memory: the rest is not measured
        for number in range(1, ACCOUNTS):
            self.run("-c", conf, "user", "add", f"u{number}@bench.test", "--password-stdin", text="a password\n")
        return [self.program, "-c", conf, "serve"]

    def delivered(self):
        inboxes = (self.work / "state" / "mail" / "accounts").glob("*/*/mailbox-1/*")
        return sum(len(os.listdir(inbox)) for inbox in inboxes)


class Postfix(Server):
    name = "postfix"
    counts = {"relay": 6000, "mailbox": 6000, "relay-1": 6000, "mailbox-1": 6000, "relay-64k": 4000}

    def __init__(self, cache):
        super().__init__(cache)
        if not pathlib.Path("/usr/lib/postfix/sbin/master").exists():
            raise Unavailable("postfix is not installed")
        if os.getuid() != 0:
            raise Unavailable("Postfix starts as root only")
        self.version = subprocess.run(["/usr/sbin/postconf", "-dh", "mail_version"], capture_output=True, text=True, check=True).stdout.strip()

    def prepare(self):
        etc, nobody = self.work / "etc", pwd.getpwnam("nobody")
        for name in ("etc", "spool", "data", "mail"):
            (self.work / name).mkdir()
        shutil.chown(self.work / "data", "postfix")
        shutil.chown(self.work / "mail", nobody.pw_uid)
        self.fill("main.cf", etc / "main.cf", WORK=self.work, UID=nobody.pw_uid, GID=nobody.pw_gid,
                  RELAYHOST=f"[127.0.0.1]:{self.sink_port}" if self.mode == "relay" else "", DOMAINS="bench.test" if self.mode == "mailbox" else "")
        self.fill("master.cf", etc / "master.cf", PORT=self.port)
        for number in range(ACCOUNTS):
            (etc / "mailboxes").open("a").write(f"u{number}@bench.test u{number}/\n")
        subprocess.run(["/usr/sbin/postmap", "-c", etc, f"hash:{etc}/mailboxes"], check=True)
        subprocess.run(["/usr/sbin/postfix", "-c", etc, "check"], check=True, capture_output=True)
        return ["/usr/lib/postfix/sbin/master", "-c", etc, "-d"]


class Namespaced(Server):
    """A peer that is unpacked: its users and directories stand in a mount namespace of its own."""

    users = ()

    def __init__(self, cache):
        super().__init__(cache)
        if os.getuid() != 0:
            raise Unavailable("mount namespaces need root")
        self.tree, self.version = unpack(UNPACKED[self.name], cache)

    def enter(self, mounts, command):
        etc = self.work / "etc"
        etc.mkdir()
        passwd, group = pathlib.Path("/etc/passwd").read_text(), pathlib.Path("/etc/group").read_text()
        for name, number, home in self.users:
            passwd += f"{name}:x:{number}:{number}::{home}:/bin/false\n"
            group += f"{name}:x:{number}:\n"
        (etc / "passwd").write_text(passwd)
        (etc / "group").write_text(group)
        mounts = {**mounts, etc / "passwd": "/etc/passwd", etc / "group": "/etc/group"}
        script = "set -e\n" + "".join(f"mount --bind {source} {target}\n" for source, target in mounts.items())
        (self.work / "enter").write_text(script + f"exec {command}\n")
        return ["unshare", "--mount", "--propagation", "private", "/bin/sh", self.work / "enter"]


class OpenSmtpd(Namespaced):
    name = "opensmtpd"
    counts = {"relay": 2500, "mailbox": 3000, "relay-1": 2500, "mailbox-1": 2500, "relay-64k": 1500}
    users = (("opensmtpd", 64001, "/var/lib/opensmtpd/empty"), ("opensmtpq", 64002, "/var/lib/opensmtpd/empty"), ("mailboxes", 64003, "/"))

    def prepare(self):
        work = self.work
        for name in ("spool/smtpd", "lib/opensmtpd/empty", "run", "libexec", "mail"):
            (work / name).mkdir(parents=True)
        (work / "spool" / "smtpd").chmod(0o711)
        os.chown(work / "mail", 64003, 64003)
        shutil.copytree(self.tree / "usr/libexec/opensmtpd", work / "libexec/opensmtpd")
        action = f"relay host smtp://127.0.0.1:{self.sink_port}"
        if self.mode == "mailbox":
            action = f'maildir "{work}/mail/%{{dest.user}}" virtual {{ "@" = "mailboxes" }}'
        self.fill("smtpd.conf", work / "smtpd.conf", PORT=self.port, ACTION=f'action "do" {action}')
        (work / "smtpd.conf").chmod(0o600)
        mounts = {work / "spool": "/var/spool", work / "lib": "/var/lib", work / "libexec": "/usr/libexec", work / "run": "/run"}
        return self.enter(mounts, f"{self.tree}/usr/sbin/smtpd -d -f {work}/smtpd.conf")


class Exim(Namespaced):
    name = "exim"
    counts = {"relay": 1400, "mailbox": 1400, "relay-1": 1400, "mailbox-1": 1400, "relay-64k": 1000}
    users = (("Debian-exim", 64004, "/nonexistent"),)

    def prepare(self):
        work = self.work
        for name in ("spool", "log", "mail"):
            (work / name).mkdir()
            os.chown(work / name, 64004, 64004)
        router = (HERE / "peers/exim" / f"router-{self.mode}").read_text()
        self.fill("exim.conf", work / "exim.conf", ROUTER=router, WORK=work, PORT=self.port, SINKPORT=self.sink_port)
        return self.enter({}, f"{self.tree}/usr/sbin/exim4 -C {work}/exim.conf -bdf -q1m")


PEERS = (Postfix, OpenSmtpd, Exim)
