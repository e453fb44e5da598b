# SPDX-License-Identifier: ISC
"""
Load whose every message has a number, and the ledger of it that is kept outside: what was acknowledged is delivered, to another server and to
mailboxes here, and nothing else is lost or made up. What may come twice is what was in flight at a kill, and no more:

A delivery is settled once its record is durable. The journal keeps the order in which records are handed to it, on the mta's one loop here. So
when the event log says delivery.done, and a message that is begun after that is acknowledged (its record is durable), then the delivery is
settled, and no later kill may bring it back. Each kill allows one more copy of what had been sent and was not settled in this sense; a kill of
the mda alone allows it only in mailboxes, for the mta remembers what the other server has taken.
"""
import collections
import json
import poplib
import re
import socket
import ssl
import threading
import time

from server import PASSWORD, PATIENCE_S, until

CLIENTS = 4
AHEAD = 40  # so many messages the clients may be ahead of the deliveries: a backlog would all be in flight
FAR, HERE = "you@far.test", ("alice@example.test", "bob@example.test")
CONF = "mta-threads = 1\ndelivery {\n connections-per-site = 4\n}\nqueue {\n retry-first = 100ms\n retry-max = 1s\n checkpoint = 200ms\n}\nlog {\n size = 1G\n}\n"


class Load(threading.Thread):
    """Sends numbered messages one after the other and notes which were acknowledged, whatever happens to the connection."""

    def __init__(self, name, where, here, may_go_on):
        super().__init__(daemon=True)
        self.label, self.where, self.here, self.may_go_on = name, where, here, may_go_on
        self.number, self.acknowledged, self.sent, self.is_over = 0, {}, {}, False

    def run(self):
        while not self.is_over:
            try:
                with socket.create_connection(self.where, timeout=PATIENCE_S) as s, s.makefile("rb") as lines:
                    s.settimeout(PATIENCE_S)
                    self.expect(lines, b"220")
                    self.say(s, lines, b"HELO load.test\r\n", b"250")
                    while not self.is_over:
                        if self.may_go_on():
                            self.one(s, lines)
                        else:
                            time.sleep(0.005)
            except (OSError, EOFError):
                time.sleep(0.01)

    @staticmethod
    def expect(lines, code):
        line = lines.readline()
        if not line.startswith(code):
            raise EOFError
        return line

    def say(self, s, lines, text, code):
        s.sendall(text)
        return self.expect(lines, code)

    def one(self, s, lines):
        self.number += 1
        number, mark = self.number, f"{self.label}.{self.number}"
        s.sendall(f"MAIL FROM:<me@back.test>\r\nRCPT TO:<{FAR}>\r\nRCPT TO:<{self.here}>\r\nDATA\r\n".encode())
        for code in (b"250", b"250", b"250", b"354"):
            self.expect(lines, code)
        self.sent[number] = mark
        reply = self.say(s, lines, f"Subject: t\r\nX-Mark: {mark}\r\n\r\n{'x' * 500}\r\n.\r\n".encode(), b"250")
        self.acknowledged[number] = reply.split()[-1].decode()


class Ledger:
    """What was sent, acknowledged, delivered and settled, and at how many kills each delivery was in flight."""

    def __init__(self, server, stub):
        self.server, self.stub = server, stub
        self.log = (server.directory / "log" / "mta" / "events.jsonl").open("r")
        self.rest = ""
        self.settled = {}  # (message id, recipient) -> the number of the first kill that finds it settled
        self.sent = {}  # mark -> the number of the first kill that finds it sent
        self.kills = []  # which roles each one was of
        self.load = [Load(str(k), server.where("smtp"), HERE[k % 2], self.is_near) for k in range(CLIENTS)]
        for client in self.load:
            client.start()

    def is_near(self):
        return sum(len(c.acknowledged) for c in self.load) - len(self.stub.messages) < AHEAD

    def read_done(self):
        """The deliveries that the event log has told since the last time."""
        self.rest += self.log.read()
        *lines, self.rest = self.rest.split("\n")
        # A kill may have cut a line.
        events = [json.loads(line) for line in lines if '"delivery.' in line and line.endswith("}")]
        assert not [e for e in events if e["event"] == "delivery.failed"], events
        return {(e["message"], e["to"]) for e in events if e["event"] == "delivery.done"}

    def before_kill(self):
        """Waits until mail moves to both places and what has been told as done is settled."""
        done = set()

        def has_moved():
            done.update(self.read_done())
            return {to == FAR for _, to in done} == {True, False}
        until(has_moved, why=lambda: f"no mail moves: done {len(done)}; " + "".join(self.server.output[-20:]))
        begun = {client: client.number for client in self.load}
        until(lambda: any(max(c.acknowledged, default=0) > begun[c] for c in self.load), why=lambda: "no message was taken: " + "".join(
            self.server.output[-20:]))
        for delivery in done:
            self.settled.setdefault(delivery, len(self.kills))

    def after_kill(self, *roles):
        for client in self.load:
            for mark in list(client.sent.values()):
                self.sent.setdefault(mark, len(self.kills))
        self.kills.append(roles)

    def finish(self):
        for client in self.load:
            client.is_over = True
        for client in self.load:
            client.join()
        self.server.wait_empty()

    def kills_in_flight(self, mark, ident, recipient):
        """The roles that were killed while the delivery was in flight, one after the other: those of one kill, too, have moments between them."""
        first = self.sent.get(mark, len(self.kills))
        last = self.settled.get((ident, recipient), len(self.kills))
        return [role for roles in self.kills[first:last] for role in roles if role == "mta" or recipient != FAR]

    def check(self):
        far, here = marks_of_stub(self.stub), marks_of_mailboxes(self.server)
        twice = 0
        for client in self.load:
            for number, mark in client.sent.items():
                ident = client.acknowledged.get(number)
                for seen, recipient in ((far, FAR), (here, client.here)):
                    copies = seen.pop(mark, 0)
                    assert copies or not ident, f"{mark} ({ident}) was acknowledged and is lost for {recipient}"
                    kills = self.kills_in_flight(mark, ident, recipient)
                    assert copies <= 1 + len(kills), f"{mark} ({ident}) came {copies} times to {recipient} at these kills: {kills}"
                    twice += max(copies - 1, 0)
        assert not far and not here, f"made up: {far} {here}"
        print(f"{len(self.kills)} kills, {sum(len(c.acknowledged) for c in self.load)} messages acknowledged, {twice} copies too many")


def mark_of(text):
    return re.search(rb"^X-Mark: (\S+)\r?$", text, re.M)[1].decode()


def marks_of_stub(stub):
    with stub.lock:
        return collections.Counter(mark_of(m.data) for m in stub.messages)


def marks_of_mailboxes(server):
    marks = collections.Counter()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for user in HERE:
        box = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"), context=context, timeout=PATIENCE_S)
        box.user(user)
        box.pass_(PASSWORD)
        for number in range(1, box.stat()[0] + 1):
            marks[mark_of(b"\r\n".join(box.top(number, 0)[1]))] += 1
        box.quit()
    return marks
