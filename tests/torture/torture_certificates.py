# SPDX-License-Identifier: ISC
"""Certificates are exchanged under load: no refused connection, no cut transaction, and whoever comes afterwards is shown the new one."""
import pathlib
import shutil
import tempfile

import certificates
import changes
from peers import SmtpStub, transport
from server import Server, free_port, until

ROUND = 50  # swaps, then a fresh server and a look at what came
KEPT = 6  # certificates that are put in by turns


def one_round(count, report, total):
    base = pathlib.Path(tempfile.mkdtemp(prefix="eilbote-certificates."))
    stub = SmtpStub("127.0.0.1", free_port())
    server = Server(base, certificates.TRUSTED, changes.CONF + transport("far.test", stub.port))
    try:
        server.start()
        shelf, visitors = certificates.Shelf(server, base, KEPT), certificates.make_visitors(server)
        for visitor in visitors:
            visitor.start()
        for number in range(count):
            before = [len(v.handshakes) + v.resumed for v in visitors]
            total["slowest"] = max(total["slowest"], shelf.swap(number))
            until(lambda: all(len(v.handshakes) + v.resumed > n + 1 or v.wrong for v, n in zip(visitors, before)))
        changes.finish(server, visitors)
        for text in changes.check(server, stub, visitors) + certificates.check(shelf, visitors):
            report.violation(text)
        total["handshakes"] += sum(len(v.handshakes) for v in visitors)
        total["resumed"] += sum(v.resumed for v in visitors)
        total["messages"] += sum(len(v.acknowledged) for v in visitors)
    finally:
        server.end_all()
        stub.close()
        shutil.rmtree(base)


def run(given, report):
    total, done = {"slowest": 0.0, "handshakes": 0, "resumed": 0, "messages": 0}, 0
    while done < given.swaps:
        size = min(ROUND, given.swaps - done)
        one_round(size, report, total)
        done += size
        report.did(size)
        report.say(f"{done} swaps, {total['handshakes']} handshakes")
    report.figure(f"{done} swaps, {total['handshakes']} full handshakes and {total['resumed']} resumed ones, {total['messages']} messages acknowledged; "
                  f"a swap took at most {total['slowest']:.2f} s")
