# SPDX-License-Identifier: ISC
"""A next hop that believes in RFC 5321 to the letter: what it was sent, octet by octet, and every breach of the line rules in it."""
import re

from peers import SmtpStub


def is_clean(data):
    """Whether there is no CR without LF, no LF without CR and no NUL."""
    return not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", data)


def first_message(data):
    """
    What RFC 5321 sections 2.3.8 and 4.5.2 make of the octets behind a 354: (content, rest) when CRLF.CRLF ends them before anything is
    wrong, else None.
    """
    end = data.find(b".\r\n") if data.startswith(b".\r\n") else data.find(b"\r\n.\r\n") + 2
    content = data[:end]
    if end == 1 or not is_clean(content):
        return None
    return re.sub(rb"(?m)^\.", b"", content), data[end + 3:]


class StrictStub(SmtpStub):
    """Its messages are those that a reader of the letter sees; breaches are the contents that no such reader could have taken."""

    def __init__(self, *args, **more):
        self.breaches = []
        super().__init__(*args, **more)

    def content(self, stream):
        data = b""
        while not (data.endswith(b"\r\n.\r\n") or data == b".\r\n"):
            line = stream.readline()
            if not line:
                raise OSError
            data += line
        found = first_message(data)
        if not found or found[1]:
            self.breaches.append(data)
            raise OSError
        return found[0]
