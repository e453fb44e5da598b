# SPDX-License-Identifier: ISC
"""
A next hop that is fine up to one step of the conversation and then does what no server should, beside one that is always fine. Used by the
tests here and by `make torture`.
"""
import contextlib
import os
import pathlib
import socket
import ssl
import struct
import threading
import time

# The client's steps: what the server is asked for when it becomes evil. Those with a dash are in the second round of the same name.
STEPS = ("CONNECT", "GREETING", "EHLO", "STARTTLS", "HANDSHAKE", "EHLO-TLS", "AUTH", "AUTH-SECRET", "MAIL", "RCPT", "RCPT-2", "DATA", "BODY", "END",
         "MAIL-NEXT", "BDAT", "BDAT-END", "QUIT", "LHLO", "LMTP-END-2")
# Reached only when the steps before went well twice on one connection.
LATE_STEPS = ("MAIL-NEXT", "QUIT")
FAULTS = ("hang", "reset", "close", "garbage", "drip", "endless-line", "endless-lines", "wrong-code", "extra-reply", "nul")
ENDLESS_S = 3  # what never ends, ends so late
EXTENSIONS = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN")
TLS_STEPS, AUTH_STEPS, LMTP_STEPS = ("STARTTLS", "HANDSHAKE", "EHLO-TLS", "AUTH", "AUTH-SECRET"), ("AUTH", "AUTH-SECRET"), ("LHLO", "LMTP-END-2", "BDAT", "BDAT-END")


class Evil(Exception):
    """The fault was its last act."""


class Session:
    """One conversation, evil at a step."""

    def __init__(self, server, client):
        self.server, self.s = server, client
        self.file = client.makefile("rb")
        self.is_tls = False
        self.messages = self.rcpts = 0
        self.step = server.step
        self.does_chunks = self.step.startswith("BDAT")
        self.is_lmtp = self.step in LMTP_STEPS

    def at(self, step, reply):
        """Says the reply, or does what is evil at this step."""
        if step == self.step and self.server.fault:
            self.server.reached += 1
            self.be_evil(reply or "250 what?")
        elif reply:
            self.s.sendall(reply.encode() + b"\r\n")

    def until_over(self, text, pause=0.0):
        end = time.monotonic() + ENDLESS_S
        while time.monotonic() < end and not self.server.is_over:
            self.s.sendall(text)
            time.sleep(pause)
        raise Evil

    def be_evil(self, reply):
        fault = self.server.fault
        code = reply.rsplit("\r\n", 1)[-1][:3]
        if fault == "hang":
            self.server.over.wait(ENDLESS_S)
            raise Evil
        if fault == "reset":
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Evil
        if fault == "close":
            raise Evil
        if fault == "garbage":
            self.s.sendall(os.urandom(2000) + b"\r\n")
            raise Evil
        if fault == "drip":
            for byte in (reply + "\r\n").encode():
                self.s.sendall(bytes([byte]))
                time.sleep(0.01)
        if fault == "endless-line":
            self.until_over(code.encode() + b"-" + b"x" * 4000)
        if fault == "endless-lines":
            self.until_over(code.encode() + b"-and so on\r\n" * 50)
        if fault == "wrong-code":
            self.s.sendall(b"354 go on\r\n" if code != "354" else b"250 taken\r\n")
        if fault == "extra-reply":
            self.s.sendall(reply.encode() + b"\r\n250 and one more\r\n")
        if fault == "nul":
            self.s.sendall(reply.encode()[:4] + b"\0\xff\0\x80\r\n")

    def talk(self):
        self.at("CONNECT", "")
        self.at("GREETING", "220 evil.test ESMTP")
        while line := self.file.readline():
            word = line.split(b" ")[0].split(b":")[0].strip().upper().decode("latin-1")
            handler = getattr(self, "on_" + word.lower(), None)
            if not handler:
                self.s.sendall(b"250 2.0.0 fine\r\n")
            elif handler(line):
                return

    def on_ehlo(self, _line):
        names = [*EXTENSIONS]
        if not self.is_tls and self.server.has_tls:
            names.append("STARTTLS")
        if self.is_tls and self.step in AUTH_STEPS:
            names.append("AUTH LOGIN" if self.step == "AUTH" else "AUTH PLAIN")
        lines = ["evil.test", *names]
        reply = "\r\n".join(f"250{'-' if k + 1 < len(lines) else ' '}{name}" for k, name in enumerate(lines))
        self.at("EHLO-TLS" if self.is_tls else "EHLO", reply)

    def on_lhlo(self, _line):
        chunks = "250-CHUNKING\r\n" if self.does_chunks else ""
        self.at("LHLO", f"250-evil.test\r\n{chunks}250 PIPELINING")

    def on_starttls(self, _line):
        self.at("STARTTLS", "220 go on")
        self.at("HANDSHAKE", "")
        self.s = self.server.context.wrap_socket(self.s, server_side=True)
        self.file = self.s.makefile("rb")
        self.is_tls = True

    def on_auth(self, line):
        if b" " not in line[5:].strip():
            self.at("AUTH", "334 ")
            self.file.readline()
        else:
            self.at("AUTH", "")
        self.at("AUTH-SECRET", "235 2.7.0 welcome")

    def on_mail(self, _line):
        self.rcpts = 0
        self.at("MAIL-NEXT" if self.messages else "MAIL", "250 2.1.0 fine")

    def on_rcpt(self, _line):
        self.rcpts += 1
        self.at("RCPT-2" if self.rcpts == 2 else "RCPT", "250 2.1.5 fine")

    def on_data(self, _line):
        self.at("DATA", "354 go on")
        lines = []
        while (line := self.file.readline()) not in (b".\r\n", b""):
            lines.append(line)
            if len(lines) == 1:
                self.at("BODY", "")
        if line:
            self.end(b"".join(lines))

    def on_bdat(self, line):
        size = int(line.split()[1])
        self.at("BDAT", "")
        data = self.file.read(size)
        if len(data) == size:
            self.end(data)

    def end(self, data):
        """One reply a recipient, or one in all."""
        self.messages += 1
        for number in range(self.rcpts if self.is_lmtp else 1):
            if number + 1 == self.rcpts or not self.is_lmtp:
                self.server.taken.append(data)
            step = "BDAT-END" if self.does_chunks else "LMTP-END-2" if number else "END"
            self.at(step, "250 2.0.0 taken")

    def on_rset(self, _line):
        self.rcpts = 0
        self.s.sendall(b"250 2.0.0 fine\r\n")

    def on_quit(self, _line):
        self.at("QUIT", "221 bye")
        return True


class EvilServer:
    """Evil at a step as long as it has a fault."""

    def __init__(self, step, port, context):
        self.step, self.fault, self.reached = step, "", 0
        self.context, self.has_tls = context, step in TLS_STEPS
        self.over, self.taken = threading.Event(), []
        self.listener = socket.create_server(("127.0.0.1", port), backlog=200)
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def is_over(self):
        return self.over.is_set()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        session = Session(self, client)
        with contextlib.suppress(OSError, Evil, ValueError, IndexError):
            session.talk()
        with contextlib.suppress(OSError):
            session.file.close()
            session.s.close()
            client.close()

    def close(self):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def server_context(directory):
    """With the certificate that init has made."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pathlib.Path(directory) / "tls/certificate.pem", pathlib.Path(directory) / "tls/key.pem")
    return context


def domain_of(step):
    return f"{step.lower()}.evil.test"


def transport_of(step, port):
    """What makes mail for the step's domain come to the step."""
    more = ""
    if step in AUTH_STEPS:
        more = 'tls = encrypt\n username = "out"\n password-file = "word"\n'
    if step in LMTP_STEPS:
        more = "protocol = lmtp\n"
    return f'transport "{domain_of(step)}" {{\n host = "127.0.0.1"\n port = {port}\n {more}}}\n'


CONF = """delivery {
    idle-timeout = 100ms
    connect-timeout = 1s
    greeting-timeout = 1s
    mail-timeout = 1s
    rcpt-timeout = 1s
    data-timeout = 1s
    block-timeout = 1s
    end-timeout = 1s
}
queue {
    retry-first = 1h
}
"""


class World:
    """A server, a next hop that is good, and one for each step that is not."""

    def __init__(self, server, good_port, free_port):
        self.server = server
        context = server_context(server.directory)
        self.evil = {step: EvilServer(step, free_port(), context) for step in STEPS}
        (server.directory / "word").write_text("word\n")
        server.add_conf(CONF + f'transport "far.test" {{\n host = "127.0.0.1"\n port = {good_port}\n}}\n'
                        + "".join(transport_of(step, hop.listener.getsockname()[1]) for step, hop in self.evil.items()))
        self.number = 0

    def become(self, fault):
        for hop in self.evil.values():
            hop.fault, hop.reached = fault, 0

    def send_evil(self):
        """Two messages for two to each: their ids by step."""
        found = {}
        for step in self.evil:
            found[step] = []
            for _ in range(2):
                self.number += 1
                with self.server.smtp() as c:
                    text = f"Subject: t\r\nX-Mark: {self.number}\r\n\r\n" + "x" * 500 + "\r\n"
                    found[step].append((c.message("me@far.test", [f"a@{domain_of(step)}", f"b@{domain_of(step)}"], text), self.number))
        return found

    def has_settled(self, ids):
        """Each message is done, or has been tried and waits."""
        queue = {m["id"]: m for m in self.server.queue()}
        return all(d["state"] == "waiting" and d["attempts"] for step in ids for ident, _ in ids[step] if ident in queue
                   for d in queue[ident]["deliveries"])

    def wrong(self, ids, fault):
        """What is gone from the queue has been taken, and nothing is returned for trouble that is none of the message's."""
        queue, found = {m["id"] for m in self.server.queue()}, []
        for step, messages in ids.items():
            taken = b"".join(self.evil[step].taken)
            for ident, number in messages:
                if ident not in queue and f"X-Mark: {number}\r\n".encode() not in taken:
                    found.append(f"{fault} at {step}: message {ident} is gone, and the server has not taken it")
        found += [f"{fault}: returned: {e}" for e in self.server.events("delivery.failed")]
        return found

    def missing(self, ids):
        return [f"{step} {number}" for step in ids for _, number in ids[step]
                if f"X-Mark: {number}\r\n".encode() not in b"".join(self.evil[step].taken)]

    def close(self):
        for hop in self.evil.values():
            hop.close()
