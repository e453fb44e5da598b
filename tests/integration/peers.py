# SPDX-License-Identifier: ISC
"""Servers that Eilbote sends to: one in Python that misbehaves on command, and real ones from Debian packages."""
import pathlib
import re
import socket
import threading
import time

from server import until


class Received:
    """A message that a stub has taken."""

    def __init__(self, mail, is_tls=False):
        self.mail, self.is_tls = mail, is_tls
        self.rcpt = []
        self.data = b""

    @property
    def text(self):
        return self.data.decode("utf-8", "replace")


class SmtpStub:
    """
    An SMTP or LMTP server whose replies are scripted: replies={"RCPT": ["451 4.7.1 later", None]} answers the first RCPT so and the second
    as usual; the last reply of a list that ends in ... is repeated for ever. A reply may be a function of the line. A reply of "" says
    nothing, "close" closes. With tls (a context) it offers STARTTLS, and behind it tls_extensions as well.
    """

    def __init__(self, host, port, replies=None, extensions=("PIPELINING", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES", "SMTPUTF8", "SIZE 0"), tls=None, tls_extensions=()):
        self.host, self.port = host, port
        self.tls, self.tls_extensions = tls, tls_extensions
        self.replies = {verb: list(queue) for verb, queue in (replies or {}).items()}
        self.extensions = extensions
        self.messages, self.lines, self.connections = [], [], 0
        self.lock = threading.Lock()
        self.open = []
        self.listener = socket.create_server((host, port), backlog=100, family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open.append(client)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def scripted(self, verb, line):
        with self.lock:
            queue = self.replies.get(verb, [])
            if not queue:
                return None
            reply = queue[0]
            if len(queue) < 2 or queue[1] is not ...:
                queue.pop(0)
        return reply(line) if callable(reply) else reply

    def usual(self, verb, session, is_tls):
        if verb == "EHLO" or verb == "LHLO":
            names = [self.host, *self.extensions, *(self.tls_extensions if is_tls else ["STARTTLS"] if self.tls else [])]
            return "\r\n".join(f"250{'-' if k + 1 < len(names) else ' '}{name}" for k, name in enumerate(names))
        if verb == "DATA":
            return "354 go on" if session and session.rcpt else "503 5.5.1 no recipients"
        if verb == "GREETING":
            return f"220 {self.host} ESMTP stub"
        return "221 2.0.0 bye" if verb == "QUIT" else "250 2.0.0 fine"

    def serve(self, client):
        try:
            with client, client.makefile("rb") as stream:
                is_upgrade = self.talk(client, stream)
            if is_upgrade:
                with self.tls.wrap_socket(is_upgrade, server_side=True) as secure, secure.makefile("rb") as stream:
                    self.talk(secure, stream, is_tls=True)
        except OSError:
            pass

    def talk(self, client, stream, is_tls=False):
        """Gives a copy of the socket when the client wants TLS on it."""
        session = None
        line, verb = "", "NOTHING" if is_tls else "GREETING"
        while True:
            reply = self.scripted(verb, line) if verb != "NOTHING" else ""
            if reply == "close":
                return None
            reply = self.usual(verb, session, is_tls) if reply is None else reply
            if verb == "MAIL" and reply.startswith("2"):
                session = Received(line, is_tls)
            if verb == "RCPT" and reply.startswith("2") and session:
                session.rcpt.append(line)
            if reply:
                client.sendall(reply.encode() + b"\r\n")
            if verb == "DATA" and reply.startswith("3"):
                session.data = self.content(stream)
                self.end_message(client, session)
                session = None
            if verb == "STARTTLS" and self.tls and not is_tls and reply.startswith("2"):
                return client.dup()
            if verb == "QUIT":
                return None
            raw = stream.readline()
            if not raw:
                return None
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            verb = line.split(" ")[0].split(":")[0].upper()
            with self.lock:
                self.lines.append(line)

    def end_message(self, client, session):
        reply = self.scripted("END", "")
        if reply == "close":
            raise OSError
        if reply is None:
            reply = "250 2.0.0 taken"
        if reply.startswith("2"):
            with self.lock:
                self.messages.append(session)
        client.sendall(reply.encode() + b"\r\n")

    @staticmethod
    def content(stream):
        lines = []
        while (line := stream.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b".") else line)
        if not line:
            raise OSError
        return b"".join(lines)

    def wait(self, count=1):
        until(lambda: len(self.messages) >= count, why=lambda: f"{len(self.messages)} messages of {count}; said: {self.lines}")
        return self.messages

    def close(self):
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
        with self.lock:
            for client in self.open:
                try:
                    client.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


def is_listening(path):
    """A Unix socket at the path accepts connections (it can be there before it does)."""
    listening = 0x00010000
    rows = [line.split() for line in pathlib.Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()[1:]]
    return any(int(row[3], 16) & listening and row[7:] == [str(path)] for row in rows)


def transport(domain, port, host="127.0.0.1", more=""):
    return f'transport "{domain}" {{\n host = "{host}"\n port = {port}\n {more}\n}}\n'


def read_if_there(path):
    path = pathlib.Path(path)
    return path.read_text() if path.exists() else ""


class TimedStub(SmtpStub):
    """Notes when the message with the number in X-Good came, and keeps no text."""

    def __init__(self, port):
        self.came = {}
        super().__init__("127.0.0.1", port)

    def end_message(self, client, session):
        self.came[int(re.search(rb"X-Good: (\d+)", session.data)[1])] = time.monotonic()
        client.sendall(b"250 2.0.0 taken\r\n")
