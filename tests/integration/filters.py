# SPDX-License-Identifier: ISC
"""A mail filter that says what a test wants: the milter protocol from the other side, packet by packet."""
import os
import socket
import struct
import threading

ALL_ACTIONS = 0x1FF
LEADING_SPACE = 1 << 20
VERDICTS = "CHMRTULNBE"


def packet(command, data=b""):
    return struct.pack(">I", 1 + len(data)) + command.encode("latin-1") + data


def text(*strings):
    return b"".join(s.encode("utf-8", "surrogateescape") + b"\0" for s in strings)


def add(name, value):
    return packet("h", text(name, value))


def insert(index, name, value):
    return packet("i", struct.pack(">I", index) + text(name, value))


def change(index, name, value):
    return packet("m", struct.pack(">I", index) + text(name, value))


def agree(version=6, actions=ALL_ACTIONS, steps=0, wishes=b""):
    return packet("O", struct.pack(">III", version, actions, steps) + wishes)


class Filter:
    """
    Answers each command with what `say` has for its letter: octets, or a function of the data that gives them; b"c"-packets else.
    None breaks the connection off; an empty answer is silence. `heard` has (letter, data) of all connections, macros as ("D", ...).
    """

    def __init__(self, say=None, path=None, offer=None):
        self.say, self.offer, self.path = dict(say or {}), offer or agree(), path
        self.heard, self.lock, self.sockets = [], threading.Lock(), []
        self.connections = 0
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            os.chmod(path, 0o777)
        else:
            self.listener = socket.socket()
            self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(50)
        self.port = None if path else self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def where(self):
        return f"unix:{self.path}" if self.path else f"inet:127.0.0.1:{self.port}"

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.sockets.append(peer)
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        try:
            with peer, peer.makefile("rb") as stream:
                while True:
                    head = stream.read(4)
                    if len(head) < 4:
                        return
                    data = stream.read(struct.unpack(">I", head)[0])
                    letter = chr(data[0])
                    with self.lock:
                        self.heard.append((letter, data[1:]))
                    answer = self.answer(letter, data[1:])
                    if answer is None:
                        return
                    for piece in answer if isinstance(answer, list) else [answer]:
                        peer.sendall(piece)
        except OSError:
            pass

    def answer(self, letter, data):
        if letter == "O":
            said = self.say.get("O", self.offer)
        elif letter in self.say:
            said = self.say[letter]
        else:
            said = packet("c") if letter in VERDICTS else b""
        return said(data) if callable(said) else said

    def letters(self):
        with self.lock:
            return "".join(letter for letter, _ in self.heard)

    def data(self, letter):
        with self.lock:
            return [data for known, data in self.heard if known == letter]

    def fields(self):
        return [tuple(part.decode("utf-8", "surrogateescape") for part in data.split(b"\0")[:2]) for data in self.data("L")]

    def macros(self):
        """Of each command, the latest: {letter: {name: value}}."""
        result = {}
        for data in self.data("D"):
            words = [w.decode() for w in data[1:].split(b"\0")[:-1]]
            result[chr(data[0])] = dict(zip(words[::2], words[1::2]))
        return result

    def close(self):
        self.hang_up()
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def hang_up(self):
        """Ends all connections."""
        with self.lock:
            for peer in self.sockets:
                try:
                    peer.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it has ended

    def conf(self, name, more=""):
        return f'milter "{name}" {{\n    socket = "{self.where()}"\n    {more}\n}}\n'
