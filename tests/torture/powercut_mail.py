# SPDX-License-Identifier: ISC
"""The mail of the power cuts: clients, the server it goes to, the ledger of what was promised when, and the check."""
import base64
import collections
import hashlib
import json
import poplib
import random
import re
import socket
import ssl
import threading
import time

from peers import SmtpStub
from server import PASSWORD

FAR, LATER, HERE = "you@far.test", "you@later.test", ("alice@example.test", "bob@example.test")
RCPTS = {"mixed": ((FAR,), (HERE[0],), (HERE[1],), (FAR, HERE[0]), (FAR, HERE[1]), (LATER, HERE[1]), (FAR, LATER, *HERE)), "heavy": ((LATER,),)}
# Of bodies: weight, least and most bytes.
SIZES = {"mixed": ((60, 200, 2000), (30, 4000, 40000), (9, 100000, 300000), (1, 1200000, 1500000)), "heavy": ((1, 300000, 900000),)}
ACCEPT, ABORT, REFUSE_RCPT, REFUSE_CONTENT = "accept", "abort", "refuse-rcpt", "refuse-content"
KINDS = (ACCEPT,) * 17 + (ABORT, REFUSE_RCPT, REFUSE_CONTENT)
RATE = {"mixed": 50, "heavy": 500}  # messages a second of a client
PAUSE_S = 0.3  # of who reads the mailboxes
AHEAD = 60  # so many deliveries may be under way: more are no better test
TIMEOUT_S = 60
LINE, POOL_LINES = 78, 10000
POOL = base64.encodebytes(random.Random(1).randbytes((POOL_LINES + 20000) * 57)).replace(b"\n", b"\r\n")  # where bodies are cut from
LOOP = "Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n" * 120


def content(rng, sizes, mark, head=""):
    low, high = rng.choices([s[1:] for s in sizes], [s[0] for s in sizes])[0]
    start, size = rng.randrange(POOL_LINES), rng.randint(low, high) // LINE
    text = POOL[start * LINE:(start + size) * LINE]
    return f"{head}Subject: t\r\nX-Mark: {mark}\r\nX-Sum: {hashlib.sha256(text).hexdigest()}\r\n\r\n".encode() + text


def mark_of(message):
    """The mark of a message that came, with the word BROKEN when it is not what was sent."""
    head, _, text = message.partition(b"\r\n\r\n")
    mark, digest = re.search(rb"^X-Mark: (\S+)\r?$", head, re.M), re.search(rb"^X-Sum: (\S+)\r?$", head, re.M)
    if not mark or not digest or hashlib.sha256(text).hexdigest() != digest[1].decode():
        return f"BROKEN {mark[1].decode() if mark else message[:200]}"
    return mark[1].decode()


class Stub(SmtpStub):
    """Takes mail and notes its mark and when; while it is_shy, it has only a "later" for LATER."""

    def __init__(self, port, now, is_shy):
        self.now, self.takes = now, collections.defaultdict(list)
        super().__init__("127.0.0.1", port, replies={"RCPT": [self.rcpt, ...]} if is_shy else None)

    @staticmethod
    def rcpt(line):
        return "451 4.2.1 later" if LATER in line else None

    def talk(self, client, stream):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().talk(client, stream)

    def end_message(self, client, session):
        mark = mark_of(session.data)
        with self.lock:
            for line in session.rcpt:
                self.takes[mark, re.search("<(.*?)>", line)[1]].append(self.now())
        client.sendall(b"250 2.0.0 taken\r\n")


class Sent:
    """A message: when its last byte was about to be sent, and when the 250 had come."""

    def __init__(self, kind, rcpts):
        self.kind, self.rcpts, self.begun, self.acknowledged, self.ident = kind, rcpts, None, None, None


class Ledger:
    """What was sent, acknowledged and settled; times are numbers of entries of the disk's log."""

    def __init__(self, now, events):
        self.now, self.events, self.rest = now, events, ""
        self.lock = threading.Lock()
        self.sent = {}
        self.unsettled = collections.deque()  # (when the event was seen, id, recipient)
        self.settled = {}
        self.removing, self.removed = {}, {}  # (mark, account): when QUIT was about to be said, when it was answered
        self.open = 0

    def read_events(self):
        """A delivery is settled once a message that is begun after its delivery.done is acknowledged: the journal keeps the order."""
        self.rest += self.events.read()
        *lines, self.rest = self.rest.split("\n")
        for line in lines:
            if '"delivery.done"' in line:
                event = json.loads(line)
                with self.lock:
                    self.unsettled.append((time.monotonic(), event["message"], event["to"]))
                    self.open -= 1

    def acknowledge(self, sent, begin, ident):
        now = self.now()
        with self.lock:
            sent.acknowledged, sent.ident = now, ident
            self.open += sum(rcpt != LATER for rcpt in sent.rcpts)
            while self.unsettled and self.unsettled[0][0] < begin:
                _, message, rcpt = self.unsettled.popleft()
                self.settled[message, rcpt] = now


class Client(threading.Thread):
    """Sends one message after the other: most are to be accepted, some to be refused, some break off."""

    def __init__(self, label, where, ledger, load, rng):
        super().__init__(daemon=True)
        self.label, self.where, self.ledger, self.load, self.rng = label, where, ledger, load, rng
        self.number, self.is_over, self.fault = 0, False, None

    def run(self):
        while not self.is_over:
            try:
                with socket.create_connection(self.where, timeout=TIMEOUT_S) as s, s.makefile("rb") as lines:
                    self.expect(lines, b"220")
                    self.say(s, lines, b"HELO load.test\r\n", b"250")
                    while not self.is_over and self.one(s, lines):
                        pass
            except (OSError, EOFError) as fault:
                self.fault = self.fault or fault
                time.sleep(0.01)

    @staticmethod
    def expect(lines, code):
        line = lines.readline()
        if not line.startswith(code):
            raise EOFError(line)
        return line

    def say(self, s, lines, text, code):
        s.sendall(text)
        return self.expect(lines, code)

    def one(self, s, lines):
        """One message; False when the connection was left."""
        time.sleep(self.rng.random() * 2 / RATE[self.load])
        if self.ledger.open > AHEAD:
            return True
        self.number += 1
        mark, kind = f"{self.label}.{self.number}", self.rng.choice(KINDS)
        sent = self.ledger.sent[mark] = Sent(kind, self.rng.choice(RCPTS[self.load]))
        begin = time.monotonic()
        self.say(s, lines, b"MAIL FROM:<me@back.test>\r\n", b"250")
        if kind == REFUSE_RCPT:
            self.say(s, lines, b"RCPT TO:<nobody@example.test>\r\n", b"550")
            return self.say(s, lines, b"RSET\r\n", b"250")
        for rcpt in sent.rcpts:
            self.say(s, lines, f"RCPT TO:<{rcpt}>\r\n".encode(), b"250")
        self.say(s, lines, b"DATA\r\n", b"354")
        text = content(self.rng, SIZES[self.load], mark, LOOP if kind == REFUSE_CONTENT else "")
        if kind == ABORT:
            s.sendall(text[:self.rng.randint(0, len(text))])
            return False
        sent.begun = self.ledger.now()
        reply = self.say(s, lines, text + b".\r\n", b"5" if kind == REFUSE_CONTENT else b"250")
        if kind == ACCEPT:
            self.ledger.acknowledge(sent, begin, reply.split()[-1].decode())
        return True


def open_mailbox(server, user):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    box = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"), context=context, timeout=TIMEOUT_S)
    box.user(user)
    box.pass_(PASSWORD)
    return box


def read_mailbox(box):
    """The marks of all messages, in their order."""
    return [mark_of(b"".join(line + b"\r\n" for line in box.retr(number)[1])) for number in range(1, box.stat()[0] + 1)]


def marks_of_mailboxes(server):
    """(mark, account) -> copies"""
    marks = collections.Counter()
    for user in HERE:
        box = open_mailbox(server, user)
        marks.update((mark, user) for mark in read_mailbox(box))
        box.quit()
    return marks


class Reader(threading.Thread):
    """Reads and removes what is in the mailboxes, again and again."""

    def __init__(self, server, ledger):
        super().__init__(daemon=True)
        self.server, self.ledger, self.is_over, self.fault = server, ledger, False, None

    def run(self):
        while not self.is_over:
            for user in HERE:
                try:
                    self.empty(user)
                except (OSError, EOFError, poplib.error_proto) as fault:
                    self.fault = self.fault or fault
            time.sleep(PAUSE_S)

    def empty(self, user):
        box = open_mailbox(self.server, user)
        marks = read_mailbox(box)
        for number in range(1, len(marks) + 1):
            box.dele(number)
        now = self.ledger.now()
        self.ledger.removing.update(((mark, user), now) for mark in marks)
        box.quit()
        now = self.ledger.now()
        self.ledger.removed.update(((mark, user), now) for mark in marks)


def check(ledger, early, cut, late, here, cuts):
    """
    What is wrong when the power was cut then, for the first time or the second: early is when the next hop took what in the recordings, late what
    it took after the start from the image, here what the mailboxes have. A list of sentences.
    """
    wrong = []
    came = collections.Counter({key: len(times) for key, times in late.items()})
    came.update(here)
    for mark, sent in ledger.sent.items():
        for rcpt in sent.rcpts:
            copies = came.pop((mark, rcpt), 0)
            before = sum(at <= cut for at in early.get((mark, rcpt), ()))
            word = f"{mark} ({sent.ident}, begun {sent.begun}, acknowledged {sent.acknowledged}, taken {before} times) for {rcpt}"
            if copies and (sent.kind != ACCEPT or sent.begun is None or sent.begun > cut):
                wrong.append(f"came from nowhere: {word}, {sent.kind}")
            is_gone = before > 0 or ledger.removing.get((mark, rcpt), cut + 1) <= cut
            if sent.acknowledged is not None and sent.acknowledged <= cut and copies == 0 and not is_gone:
                wrong.append(f"lost: {word}")
            if copies > allowed(ledger, mark, rcpt, cut, cuts):
                wrong.append(f"{copies} copies: {word}")
    wrong.extend(f"unknown: {key} {copies}" for key, copies in came.items())
    return wrong


def allowed(ledger, mark, rcpt, cut, cuts):
    """How many copies may be after the cut: the one not yet removed, and what was under way: to a mailbox maybe at each of the cuts."""
    if rcpt == LATER:
        return 1
    is_present = rcpt in HERE and ledger.removed.get((mark, rcpt), cut + 1) > cut
    is_settled = ledger.settled.get((ledger.sent[mark].ident, rcpt), cut + 1) <= cut
    return is_present + (cuts if rcpt in HERE else 1) * (not is_settled)


def generator(*words):
    return random.Random(".".join(map(str, words)))
