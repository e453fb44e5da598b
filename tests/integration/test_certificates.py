# SPDX-License-Identifier: ISC
"""New certificates under load: a few of the swaps of `make torture ONLY=certificates`."""
import certificates
import changes
from peers import transport
from server import until

SWAPS = 4


def test_certificates_are_exchanged_under_load(make_server, make_stub, tmp_path):
    stub = make_stub()
    server = make_server(*certificates.TRUSTED, conf=changes.CONF + transport("far.test", stub.port))
    shelf, visitors = certificates.Shelf(server, tmp_path, 2), certificates.make_visitors(server)
    for visitor in visitors:
        visitor.start()
    for number in range(SWAPS):
        before = [len(v.handshakes) + v.resumed for v in visitors]
        shelf.swap(number)
        until(lambda: all(len(v.handshakes) + v.resumed > n + 1 or v.wrong for v, n in zip(visitors, before)),
              why=lambda: f"nobody comes any more: {[v.wrong for v in visitors]}")
    changes.finish(server, visitors)
    assert changes.check(server, stub, visitors) + certificates.check(shelf, visitors) == []
    assert all(v.handshakes for v in visitors if not v.resumes) and visitors[1].resumed
