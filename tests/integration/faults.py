# SPDX-License-Identifier: ISC
"""
The n-th call of a function fails in a role, and what becomes of a small piece of every work that the server does: mail taken in, sent on,
put off and put into a mailbox, a large message, a mailbox read and emptied, a checkpoint. Used by the tests here and by `make torture`.
"""
import contextlib
import errno
import hashlib
import mmap
import os
import pathlib
import poplib
import random
import re
import socket
import ssl
import struct
import time

from peers import SmtpStub, transport
from server import PASSWORD, PATIENCE_S, ROOT, Server, free_port, until

SHIM = pathlib.Path(os.environ.get("EILBOTE_BUILD", ROOT / "build")).resolve() / "tests/torture/libfaults_shim.so"
ROLES = ("mta", "mda")
FUNCTIONS = ("open", "create", "read", "pread", "write", "pwrite", "fsync", "fdatasync", "syncfs", "rename", "unlink", "mkdir", "ftruncate",
             "fallocate", "accept", "socket")
EVERY_WRITE = len(FUNCTIONS) + 1
SHORT, FROZEN = 0, -1
FULL = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS)
ERRORS = {"open": (errno.EIO, errno.EMFILE), "create": FULL, "read": (errno.EIO,), "pread": (errno.EIO,), "write": (*FULL[:3], SHORT),
          "pwrite": (*FULL[:3], SHORT), "fsync": FULL[:3], "fdatasync": FULL[:3], "syncfs": FULL[:3], "rename": FULL, "unlink": (errno.EIO, errno.EROFS),
          "mkdir": FULL, "ftruncate": (errno.EIO, errno.ENOSPC), "fallocate": FULL[:3], "accept": (errno.EMFILE,), "socket": (errno.EMFILE,)}
RECOVERY_S = 10
UNWRITTEN_S = 3  # a result that the disk refused is offered to it again each second (src/queue/result.c); and a crash is seen so much later
LARGE = 1100000
CONF = """mta-threads = 1
mda-threads = 1
delivery {
    connections-per-site = 4
}
queue {
    retry-first = 200ms
    retry-max = 1s
    checkpoint = 100ms
    disk-reserve = 1M
}
"""
FAR, LATER, HERE = "you@far.test", "you@later.test", ("alice@example.test", "bob@example.test")
TROUBLE = (OSError, EOFError, poplib.error_proto)


def error_name(error):
    return {SHORT: "short", FROZEN: "frozen"}.get(error) or errno.errorcode[error]


class Plan:
    """What tests/torture/faults_shim.c has mapped."""
    HEAD = 8

    def __init__(self, path):
        size = 8 * (self.HEAD + 2 * len(FUNCTIONS))
        path.write_bytes(struct.pack("8q", 0, -1, *[0] * 6) + bytes(size - 8 * self.HEAD))
        path.chmod(0o666)
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), size)
        self.path = path

    def get(self, at):
        return struct.unpack_from("q", self.memory, 8 * at)[0]

    def put(self, at, value):
        struct.pack_into("q", self.memory, 8 * at, value)

    def arm(self, role, function, error, at, is_for_good):
        self.clear()
        for place, value in enumerate((ROLES.index(role), None, error, at, is_for_good, 0, 0)):
            if value is not None:
                self.put(place, value)
        self.put(1, function)  # last: now it counts

    def clear(self):
        self.put(1, -1)
        self.put(2, 0)

    @property
    def hits(self):
        return self.get(6)

    def counts(self):
        values = struct.unpack_from(f"{2 * len(FUNCTIONS)}q", self.memory, 8 * self.HEAD)
        return {(role, function): values[k * len(FUNCTIONS) + n] for k, role in enumerate(ROLES) for n, function in enumerate(FUNCTIONS)}


@contextlib.contextmanager
def preloaded(plan, root):
    """Processes that are started meanwhile have the library that makes calls fail."""
    added = {"LD_PRELOAD": str(SHIM), "FAULTS_PLAN": str(plan.path), "FAULTS_ROOT": str(root)}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


class Stub(SmtpStub):
    """Takes mail; for LATER it has no room while is_shy."""

    def __init__(self):
        self.is_shy = True
        super().__init__("127.0.0.1", free_port(), replies={"RCPT": [self.rcpt, ...]})

    def rcpt(self, line):
        return "451 4.2.1 later" if self.is_shy and LATER in line else None

    def marks(self):
        """What came to whom."""
        with self.lock:
            return [(mark_of(m.data), re.search("<(.*?)>", rcpt)[1]) for m in self.messages for rcpt in m.rcpt]


def content(mark, size):
    lines = [f"{mark} {random.getrandbits(256):064x}" for _ in range(size // 80 + 1)]
    text = "\r\n".join(lines) + "\r\n"
    return f"Subject: t\r\nX-Mark: {mark}\r\nX-Sum: {hashlib.sha256(text.encode()).hexdigest()}\r\n\r\n{text}".encode()


def mark_of(message):
    head, _, text = message.partition(b"\r\n\r\n")
    mark, digest = re.search(rb"^X-Mark: (\S+)\r?$", head, re.M), re.search(rb"^X-Sum: (\S+)\r?$", head, re.M)
    is_whole = mark and digest and hashlib.sha256(text).hexdigest() == digest[1].decode()
    return mark[1].decode() if is_whole else f"BROKEN {message[:300]}"


def open_mailbox(server, user, timeout=PATIENCE_S):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    box = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"), context=context, timeout=timeout)
    try:
        box.user(user)
        box.pass_(PASSWORD)
    except BaseException:
        box.close()
        raise
    return box


class Faulty:
    """A server whose roles have the library, what it was given, and whether it keeps its promises."""

    def __init__(self, base, patience=RECOVERY_S):
        self.stub = Stub()
        conf = CONF + transport("far.test", self.stub.port) + transport("later.test", self.stub.port)
        self.server = Server(base, ("--trust", "127.0.0.1/32"), conf)
        self.plan = Plan(pathlib.Path(f"{base}.plan"))  # beside it, where the disk is in order
        self.patience = patience
        self.number, self.last_refusal = 0, b""
        self.sent_at = {}  # of a mark
        self.accepted, self.refused = set(), set()  # (mark, recipient)
        self.removed, self.was_killed = set(), False
        self.recent, self.before = set(), set()  # accepted in this point, and in the one before: maybe not settled yet
        self.may_double = set()  # was not settled at a crash
        self.slowest, self.tally = 0.0, {}
        self.violations = []

    def start(self):
        with preloaded(self.plan, self.server.directory):
            self.server.start()

    def begin(self):
        with preloaded(self.plan, self.server.directory):
            return self.server.begin()

    def close(self):
        self.plan.clear()
        self.server.end_all()
        self.stub.close()
        self.plan.path.unlink()

    def count(self, what):
        self.tally[what] = self.tally.get(what, 0) + 1

    # The work.

    def send(self, rcpts, size=300, timeout=5):
        """One message on a connection of its own: its mark when it was accepted. What was refused is noted, what broke off may come or not."""
        self.number += 1
        mark = f"m{self.number}"
        self.sent_at[mark] = time.monotonic()
        try:
            with socket.create_connection(self.server.where("smtp"), timeout=timeout) as s, s.makefile("rb") as lines:
                for text in (b"", b"HELO load.test\r\n", b"MAIL FROM:<me@back.test>\r\n", *[f"RCPT TO:<{r}>\r\n".encode() for r in rcpts], b"DATA\r\n"):
                    s.sendall(text)
                    reply = lines.readline()
                    if reply[:1] not in (b"2", b"3"):
                        return self.refuse(mark, rcpts, reply)
                s.sendall(content(mark, size) + b".\r\n")
                reply = lines.readline()
                if not reply.startswith(b"250"):
                    return self.refuse(mark, rcpts, reply)
        except OSError:
            self.count("smtp broke off")
            return None
        self.count("smtp 250")
        self.accepted.update((mark, rcpt) for rcpt in rcpts)
        self.recent.update((mark, rcpt) for rcpt in rcpts)
        return mark

    def refuse(self, mark, rcpts, reply):
        if not reply:
            self.count("smtp broke off")
            return
        self.count(f"smtp {reply[:1].decode()}yz")
        self.last_refusal = reply
        self.refused.update((mark, rcpt) for rcpt in rcpts)
        if not reply.startswith(b"4"):
            self.violations.append(f"a trouble of the machine was answered {reply}")

    def read_and_remove(self, user, timeout=5):
        """Reads and empties a mailbox; what was accepted and has been read, and may be removed, has arrived."""
        marks, is_leaving, is_removed = [], False, False
        try:
            box = open_mailbox(self.server, user, timeout)
            try:
                for number in range(1, box.stat()[0] + 1):
                    marks.append(mark_of(b"".join(line + b"\r\n" for line in box.retr(number)[1])))
                    self.count("pop3 read")
                    box.dele(number)
                is_leaving = True
                box.quit()
                self.count("pop3 quit")
                is_removed = True
            finally:
                box.close()
        except TROUBLE:
            self.count("pop3 failed")
        self.see(marks, user)
        if is_removed:
            self.removed.update((mark, user) for mark in marks)
        if is_leaving:
            self.accepted.difference_update((mark, user) for mark in marks)

    def work(self):
        """A little of everything, while calls fail."""
        self.send((FAR,))
        self.send((HERE[0],))
        self.send((LATER,))
        self.send((FAR, HERE[1]), LARGE)
        self.await_checkpoint()
        self.read_and_remove(HERE[0])

    def await_checkpoint(self):
        """A checkpoint of the mta, if one comes while calls fail."""
        before, end = self.plan.counts()["mta", "syncfs"], time.monotonic() + 0.3
        while self.plan.counts()["mta", "syncfs"] == before and time.monotonic() < end:
            time.sleep(0.01)

    def see(self, marks, user):
        for mark in marks:
            if mark.startswith("BROKEN"):
                self.violations.append(f"a message that was read is not what was sent: {mark}")
            elif (mark, user) in self.removed and (mark, user) not in self.doubles():
                self.violations.append(f"{mark} was removed by {user} and is back")
            elif (mark, user) in self.refused:
                self.violations.append(f"{mark} was refused and is in the mailbox of {user}")

    def doubles(self):
        """What may come twice, for it was under way at a crash, or its result waited for the disk to take it."""
        if self.was_killed or any("is started again" in line for line in self.server.output):
            end = time.monotonic() - UNWRITTEN_S
            self.may_double |= self.recent | self.before | {(mark, user) for mark, user in self.removed if self.sent_at[mark] > end}
        return self.may_double

    # What must hold afterwards.

    def recover(self):
        """The cause has ended: within the time, mail is accepted and delivered to both places and a mailbox is read."""
        begin, far, here = time.monotonic(), None, None
        while not (far and here):
            far = far or self.send((FAR,), timeout=self.patience)
            here = here or self.send((HERE[1],), timeout=self.patience)
            assert time.monotonic() < begin + self.patience + 5, f"no mail is accepted after the cause has ended: {self.last_refusal} {self.says()}"
            time.sleep(0.01)
        self.await_marks()
        self.slowest = max(self.slowest, time.monotonic() - begin)
        if time.monotonic() - begin > self.patience:
            self.violations.append(f"recovery took {time.monotonic() - begin:.1f} s")

    def says(self):
        return "".join(self.server.output[-12:])

    def await_marks(self):
        """Until all that was accepted is where it belongs. Mail that waits is tried at once."""
        end = time.monotonic() + self.patience + 20

        def has_come():
            self.accepted.difference_update(key for key in self.stub.marks() if key[1] == FAR)
            for user in HERE:
                if any(rcpt == user for _, rcpt in self.accepted):
                    self.read_and_remove(user, self.patience)
            return all(rcpt == LATER for _, rcpt in self.accepted)
        while not has_come():
            if time.monotonic() > end:
                self.violations.append(f"LOST: {sorted(self.accepted)}; queue {self.server.queue()[:3]}; {self.says()}")
                break
            time.sleep(0.02)

    def settle(self):
        """What was put off comes too, and nothing that was refused has come."""
        self.stub.is_shy = False
        self.server.cli("queue", "retry", "--all", status=None)  # there may be none
        end = time.monotonic() + self.patience + 20
        while not self.accepted <= set(self.stub.marks()) and time.monotonic() < end:
            time.sleep(0.02)
        if not self.accepted <= set(self.stub.marks()):
            self.violations.append(f"LOST: {sorted(self.accepted - set(self.stub.marks()))}; queue {self.server.queue()[:3]}")
        came = self.stub.marks()
        self.violations += [f"{mark} was refused and came to {rcpt}" for mark, rcpt in came if (mark, rcpt) in self.refused]
        self.violations += [f"came broken: {mark}" for mark, _ in came if mark.startswith("BROKEN")]
        with self.stub.lock:
            self.stub.messages.clear()
        self.doubles()
        self.accepted, self.refused, self.before, self.recent, self.was_killed = set(), set(), self.recent, set(), False
        self.stub.is_shy = True

    def deaths(self):
        found = [line for line in self.server.output if re.search(r"was ended by signal (?!9\b)|Assertion|Sanitizer", line)]
        self.violations += [f"a role died: {line.strip()}" for line in found]

    def restart(self):
        self.server.end_all()
        self.start()

    def while_serving(self, role, function, error, at, is_for_good, with_kill=False):
        """The call fails at work. True when there was such a call. With a kill, all is ended and started again before the cause ends."""
        before = len(self.violations)
        self.server.output.clear()
        if not self.send((HERE[0],)):
            self.violations.append("no mail is accepted before anything has failed: " + self.says())
        self.plan.arm(role, FUNCTIONS.index(function), error, at, is_for_good)
        self.work()
        hits = self.plan.hits
        if with_kill:
            self.deaths()
            self.was_killed = True
            self.server.end_all()
            self.plan.clear()
            self.start()
        self.plan.clear()
        self.finish(before, f"{role} {function} {error_name(error)} {'from' if is_for_good else 'at'} {at}{', then killed' if with_kill else ''}")
        return hits > 0

    def while_starting(self, role, function, error, at, is_for_good):
        """The call fails while the role starts, with mail in the queue."""
        before = len(self.violations)
        self.send((LATER,))
        self.send((HERE[0],))
        self.was_killed = True
        self.server.end_all()
        self.server.output.clear()
        self.plan.arm(role, FUNCTIONS.index(function), error, at, is_for_good)
        ready = self.begin()
        until(lambda: ready.is_set() or self.plan.hits > 0 or self.server.process.poll() is not None)
        if is_for_good:
            time.sleep(0.5)
        hits = self.plan.hits
        self.plan.clear()
        begin = time.monotonic()
        while not ready.is_set() and time.monotonic() < begin + self.patience:
            time.sleep(0.01)
        if not ready.is_set():
            self.violations.append("the server does not become ready: " + self.says())
            self.restart()
        self.finish(before, f"start of {role}: {function} {error_name(error)} {'from' if is_for_good else 'at'} {at}")
        return hits > 0

    def finish(self, before, what):
        try:
            self.recover()
            self.settle()
        except AssertionError as fault:
            self.violations.append(str(fault))
            self.restart()
        self.deaths()
        self.violations[before:] = [f"{what}: {text}" for text in self.violations[before:]]

    def frozen(self, role, seconds):
        """Every write and sync of the role waits: no 250, but a greeting; all goes on afterwards."""
        before = len(self.violations)
        self.plan.arm(role, EVERY_WRITE, FROZEN, 1, True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begin = time.monotonic()
            with socket.create_connection(self.server.where("smtp"), timeout=PATIENCE_S) as s, s.makefile("rb") as lines:
                lines.readline()
                s.sendall(b"NOOP\r\n")
                lines.readline()
            self.tally["slowest NOOP ms"] = max(self.tally.get("slowest NOOP ms", 0), round((time.monotonic() - begin) * 1000))
            if role == "mta" and self.send((FAR,), timeout=0.5):
                self.violations.append("250 while the disk is frozen")
        self.plan.clear()
        self.finish(before, f"{role} frozen")
