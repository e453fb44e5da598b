# SPDX-License-Identifier: ISC
"""What several attacks have in common: the words they say, and reading what came of them."""
import base64

from server import PASSWORD, Talk

# A greeting delay is one more defence; it has a test of its own, and these look at what is behind it.
QUICK = "limits {\n greeting-delay = 0\n}\n"
SMUGGLED = b"MAIL FROM:<evil@elsewhere.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\nQUIT\r\n"


def drained(talk):
    """All that comes until the server closes, be it with a reset."""
    got = b""
    try:
        while piece := talk.socket.recv(65536):
            got += piece
    except ConnectionError:
        pass
    return got


def pop_login(server, user="alice@example.test"):
    """A POP3 session with its mailbox open, for use in a with statement. Without a QUIT, the mailbox is free only when the server has noticed the end."""
    talk = Talk(server.where("pop3s"), implicit_tls=True)
    assert talk.reply().startswith("+OK")
    talk.expect(f"USER {user}", "+OK")
    talk.expect(f"PASS {PASSWORD}", "+OK")
    return talk


def pop(server, user="alice@example.test"):
    """The text of every message in a mailbox."""
    with pop_login(server, user) as talk:
        count = int(talk.expect("STAT", "+OK").split()[1])
        texts = []
        for number in range(1, count + 1):
            talk.expect(f"RETR {number}", "+OK")
            texts.append(b"".join(iter(talk.file.readline, b".\r\n")))
        talk.expect("QUIT", "+OK")
        return texts


def start_message(c, with_data=True):
    c.expect("RSET", "250 ")
    c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
    c.expect("RCPT TO:<alice@example.test>", "250 ")
    if with_data:
        c.expect("DATA", "354 ")


def plain(user, password=PASSWORD, act_as=""):
    return base64.b64encode(f"{act_as}\0{user}\0{password}".encode()).decode()
