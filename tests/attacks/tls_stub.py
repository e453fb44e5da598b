# SPDX-License-Identifier: ISC
"""A next hop with STARTTLS whose octets around the handshake are scripted."""
import socket
import ssl
import threading

from server import PATIENCE_S, until


class TlsStub:
    """
    before and after are the lines that EHLO is answered with in the clear and under TLS, ready is what STARTTLS is answered with, last is
    what the final dot is answered with under TLS (then the connection is closed, without a word of TLS when is_torn). Lines that it heard
    are in clear and secret.
    """

    def __init__(self, server, before=("STARTTLS",), after=(), ready=b"220 go on\r\n", last=b"250 2.0.0 taken\r\n", is_torn=False):
        self.before, self.after, self.ready, self.last, self.is_torn = before, after, ready, last, is_torn
        self.clear, self.secret, self.messages = [], [], []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(server.directory / "tls" / "certificate.pem", server.directory / "tls" / "key.pem")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            with client:
                client.settimeout(PATIENCE_S)
                client.sendall(b"220 stub.test ESMTP\r\n")
                if self.talk(client, self.before, self.clear):
                    client.sendall(self.ready)
                    with self.context.wrap_socket(client, server_side=True, suppress_ragged_eofs=True) as secret:
                        self.talk(secret, self.after, self.secret)
        except OSError:
            pass

    def talk(self, client, offered, heard):
        """True when TLS is wanted."""
        stream = client.makefile("rb")
        for line in stream:
            heard.append(line)
            verb = line.strip().upper()
            if verb == b"STARTTLS":
                return True
            if verb == b"DATA":
                client.sendall(b"354 go on\r\n")
                self.messages.append(b"".join(iter(stream.readline, b".\r\n")))
                client.sendall(self.last)
                if self.is_torn:
                    client.shutdown(socket.SHUT_RDWR)
                    raise OSError
            elif verb.startswith(b"EHLO"):
                names = ["stub.test", *offered]
                client.sendall("".join(f"250{'-' if name is not names[-1] else ' '}{name}\r\n" for name in names).encode())
            else:
                client.sendall(b"250 2.0.0 fine\r\n")
        return False

    def wait(self, count=1):
        until(lambda: len(self.messages) >= count, why=lambda: f"heard {self.clear} in the clear and {self.secret} under TLS")
        return self.messages

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
