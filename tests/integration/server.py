# SPDX-License-Identifier: ISC
"""Running eilbote for a test, and talking to it byte by byte."""
import base64
import json
import os
import pathlib
import random
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
EILBOTE = os.environ.get("EILBOTE", str(ROOT / "build" / "eilbote"))
IS_SANITIZED = pathlib.Path(os.environ.get("EILBOTE_BUILD", "build")).name in ("build-asan", "build-tsan")
# No test says how fast something is: a machine may be slow, and this is how long something may take that does not happen.
PATIENCE_S = 240 if IS_SANITIZED else 120
REPORT = re.compile(r"(ERROR|WARNING): \w*Sanitizer|runtime error:|SUMMARY: \w*Sanitizer|was ended by signal (?!9\b)|Assertion .* failed")
PORTS = {"smtp": 25, "submission": 587, "submissions": 465, "pop3": 110, "pop3s": 995}
PASSWORD = "secret"


# Tests that run side by side take their ports from ranges of their own: between the look at a port and its use nobody else has it.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8


def free_port():
    """A port below those that the system gives to clients, and above those of the servers here."""
    start = 31000 + WORKER * 220
    while True:
        port = random.randrange(start, start + 220)
        if is_free(port):
            return port


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def has_ipv6():
    with socket.socket(socket.AF_INET6) as s:
        try:
            s.bind(("::1", 0))
        except OSError:
            return False
    return True


def free_offset():
    """An offset at which all ports are free, below those that the system gives to clients."""
    start = 10000 + WORKER * 2500
    while True:
        offset = random.randrange(start, start + 2500 - max(PORTS.values()))
        if all(is_free(number + offset) for number in PORTS.values()):
            return offset


def until(what, seconds=PATIENCE_S, why="it did not happen in time"):
    """Asks until the answer is true, and gives it."""
    end = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < end, why() if callable(why) else why
        time.sleep(0.02)


class Talk:
    """A connection on which lines are said and replies read."""

    def __init__(self, where, implicit_tls=False):
        if isinstance(where, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(where)
        else:
            self.socket = socket.create_connection(where, timeout=PATIENCE_S)
        self.socket.settimeout(PATIENCE_S)
        self.file = None
        if implicit_tls:
            self.start_tls()
        else:
            self.file = self.socket.makefile("rb")

    def start_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        """The next reply; its lines with a line feed between them. Empty at the end of the stream."""
        lines = []
        while True:
            line = self.file.readline()
            lines.append(line.decode("utf-8", "surrogateescape").rstrip("\r\n"))
            if not line or line[3:4] != b"-":
                return "\n".join(lines)

    def ask(self, line):
        self.send(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return self.reply()

    def expect(self, line, start):
        got = self.ask(line)
        assert got.startswith(start), f"{line!r} was answered {got!r}, not {start!r}"
        return got

    def is_closed(self):
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Smtp(Talk):
    """After the greeting and EHLO."""

    def __init__(self, where, implicit_tls=False, hello="client.test"):
        super().__init__(where, implicit_tls)
        self.greeting = self.reply()
        assert self.greeting.startswith("220 "), self.greeting
        self.hello = self.expect(f"EHLO {hello}", "250-") if hello else ""

    def upgrade(self, hello="client.test"):
        self.expect("STARTTLS", "220 ")
        self.start_tls()
        self.hello = self.expect(f"EHLO {hello}", "250-")

    def login(self, user, password=PASSWORD):
        secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        self.expect(f"AUTH PLAIN {secret}", "235 ")

    def message(self, sender, rcpts, text="Subject: t\r\n\r\nx\r\n", mail="", rcpt=""):
        """Sends a message and gives its id."""
        self.expect(f"MAIL FROM:<{sender}>{mail}", "250 ")
        for address in rcpts:
            self.expect(f"RCPT TO:<{address}>{rcpt}", "250 ")
        self.expect("DATA", "354 ")
        stuffed = re.sub(r"^\.", "..", text, flags=re.M)
        got = self.ask(stuffed + ".")
        assert got.startswith("250 2.0.0 accepted as "), got
        return got.split()[-1]


class Server:
    def __init__(self, base, init=(), conf="", single=False):
        self.base = pathlib.Path(base)
        self.is_single = IS_SANITIZED or single
        self.directory = self.base / "d"
        self.conf = self.directory / "eilbote.conf"
        self.offset = free_offset()
        self.process = None
        self.output = []
        self.reader = None
        self.before_exec = None
        words = ["init", "--dir", self.directory, "--domain", "example.test", "--user", "alice@example.test", "--local", "--hostname",
                 "mail.example.test", "--port-offset", self.offset, "--password-stdin", *init]
        done = subprocess.run([EILBOTE, *map(str, words)], input=PASSWORD + "\n", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.cli("user", "add", "bob@example.test", "--password-stdin", stdin=PASSWORD + "\n")
        if conf:
            self.add_conf(conf)

    def add_conf(self, text):
        with self.conf.open("a", encoding="utf-8") as file:
            file.write("\n" + text + "\n")

    def listener_conf(self, listener, option):
        """Adds an option to a listener that init has made."""
        text = self.conf.read_text()
        head = f'listener "{listener}" {{\n'
        assert head in text
        self.conf.write_text(text.replace(head, head + f"    {option}\n"))

    def cli(self, *words, stdin="", status=0):
        done = subprocess.run([EILBOTE, "-c", str(self.conf), *map(str, words)], input=stdin, capture_output=True, text=True, check=False)
        assert status in (None, done.returncode), done.stderr or done.stdout  # None: any
        return done.stdout if not done.returncode else done.stderr

    def start(self):
        """Serves. Another test may have taken a port since it was looked at; then the first start is made with others."""
        is_first = self.process is None
        while not self.try_start():
            assert is_first and "Address already in use" in "".join(self.output), "".join(self.output)
            self.output.clear()
            before, self.offset = self.offset, free_offset()
            self.conf.write_text(self.conf.read_text().replace(f"port-offset = {before}\n", f"port-offset = {self.offset}\n"))

    def begin(self):
        """Starts the process; the event comes when it is ready."""
        words = [EILBOTE, "-c", str(self.conf), "serve"] + (["--single"] if self.is_single else [])
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                                        preexec_fn=self.before_exec)
        ready = threading.Event()
        self.reader = threading.Thread(target=self.read, args=(self.process.stdout, ready), daemon=True)
        self.reader.start()
        return ready

    def try_start(self):
        ready = self.begin()
        until(lambda: ready.is_set() or self.process.poll() is not None)
        return ready.is_set()

    def read(self, stream, ready):
        for line in stream:
            self.output.append(line)
            if line == "ready\n":
                ready.set()

    def members(self):
        """The processes of the server's session."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if self.process and int(fields[3]) == self.process.pid and fields[0] != "Z":
                    found.append(int(entry.name))
        return found

    def role(self, name):
        """The process id of a role."""
        for pid in self.members():
            try:
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if words[-3:-1] == [b"role", name.encode()]:
                return pid
        return None

    def kill_role(self, name):
        os.kill(until(lambda: self.role(name)), signal.SIGKILL)

    def crash_role(self, name):
        """Kills a role (the server, where all is in one process) and waits until it is back."""
        until(lambda: len(self.events("role.ready")) >= 2)
        before = len(self.events("role.ready"))
        if self.is_single:
            self.end_all()
            self.start()
        else:
            self.kill_role(name)
        until(lambda: len(self.events("role.ready")) > before)

    def reload(self):
        """Asks for a reload, which both roles then have done."""
        self.cli("reload")

    def hang_up(self, event, count=2):
        """Asks for a reload by signal and waits for what the roles say of it."""
        before = len(self.events(event))
        self.process.send_signal(signal.SIGHUP)
        until(lambda: len(self.events(event)) == before + count, why=lambda: f"no {event}: " + "".join(self.output))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        if self.process:
            self.process.wait(timeout=PATIENCE_S)
            self.reader.join(timeout=PATIENCE_S)

    def assert_clean(self):
        text = "".join(self.output)
        assert not REPORT.search(text), text
        if self.process:
            assert self.process.returncode == 0, text
            assert self.members() == []

    def end_all(self):
        for pid in self.members():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.process:
            self.process.wait()
            # A process that is gone from the table may still be closing its sockets.
            until(lambda: self.members() == [] and all(is_free(self.port(name)) for name in PORTS))

    def port(self, name):
        return PORTS[name] + self.offset

    def where(self, name):
        return ("127.0.0.1", self.port(name))

    def smtp(self, name="smtp", hello="client.test"):
        return Smtp(self.where(name), name == "submissions", hello)

    def submission(self, user="alice@example.test"):
        """A client of the submission port that has logged in."""
        client = self.smtp("submission")
        client.upgrade()
        client.login(user)
        return client

    def events(self, name=None, **fields):
        """The mta's and mda's events of that name whose fields have these values."""
        found = []
        for role in ("mta", "mda"):
            folder = self.directory / "log" / role
            files = sorted(folder.glob("events.jsonl*"), key=lambda p: -int(p.suffix[1:]) if p.suffix[1:].isdigit() else 0)
            for file in files:
                for line in file.read_text().split("\n")[:-1]:  # behind the last line feed, one may just be written
                    event = json.loads(line)
                    if name in (None, event["event"]) and all(event.get(k) == v for k, v in fields.items()):
                        found.append(event)
        return found

    def wait_event(self, name, **fields):
        return until(lambda: self.events(name, **fields), why=
                     lambda: f"no event {name} {fields} among\n" + "\n".join(map(json.dumps, self.events())) + "\n" + "".join(self.output))[0]

    def queue(self, *words):
        return [json.loads(line) for line in self.cli("queue", "ls", "--json", *words).splitlines()]

    def wait_empty(self):
        until(lambda: self.queue() == [], why=lambda: f"still in the queue: {self.queue()}")
