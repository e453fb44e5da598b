# SPDX-License-Identifier: ISC
"""A name server that says what it is told, octet by octet, over UDP and TCP."""
import socket
import threading

from server import free_port

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}


def name(text):
    """A domain name in wire form."""
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def record(owner, kind, data, length=None):
    """A record; its length field says what it is told."""
    return name(owner) + TYPES[kind].to_bytes(2, "big") + b"\0\1\0\0\0\5" + (len(data) if length is None else length).to_bytes(2, "big") + data


class DnsStub:
    """
    Records are lists under (name, type); what is not there has no data. With a function in place of a list, that function makes the whole
    packet behind the id from the question.
    """

    def __init__(self, records):
        self.records = records
        self.port, self.tcp, self.udp = self.bind()
        for work in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=work, daemon=True).start()

    @staticmethod
    def bind():
        """A port that is free for both; others look for one at the same time."""
        for _ in range(100):
            port = free_port()
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                udp.bind(("127.0.0.1", port))
                return port, socket.create_server(("127.0.0.1", port)), udp
            except OSError:
                udp.close()
        raise OSError("no port is free")

    def answer(self, query, is_udp):
        labels, end = [], 12
        while query[end]:
            labels.append(query[end + 1:end + 1 + query[end]].decode("latin-1").lower())
            end += 1 + query[end]
        question = query[12:end + 5]
        kind = {number: word for word, number in TYPES.items()}.get(int.from_bytes(query[end + 1:end + 3], "big"), "")
        found = self.records.get((".".join(labels), kind), [])
        if callable(found):
            return query[:2] + found(question)
        if sum(map(len, found)) > 1100 and is_udp:
            return query[:2] + b"\x86\0\0\1\0\0\0\0\0\0" + question
        return query[:2] + b"\x84\0\0\1" + len(found).to_bytes(2, "big") + b"\0\0\0\0" + question + b"".join(found)

    def serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
                self.udp.sendto(self.answer(query, True), peer)
            except OSError:
                return
            except (IndexError, ValueError):
                continue

    def serve_tcp(self):
        while True:
            try:
                client, _ = self.tcp.accept()
            except OSError:
                return
            with client, client.makefile("rb") as stream:
                try:
                    while size := stream.read(2):
                        answer = self.answer(stream.read(int.from_bytes(size, "big")), False)
                        client.sendall(len(answer).to_bytes(2, "big") + answer)
                except (OSError, IndexError, ValueError):
                    pass

    def close(self):
        self.tcp.shutdown(socket.SHUT_RDWR)
        self.tcp.close()
        self.udp.close()
