# SPDX-License-Identifier: ISC
"""Reloads and upgrades under load: no refused connection, no cut transaction, nothing lost and nothing twice."""
import pathlib
import random
import shutil
import tempfile

import changes
from peers import SmtpStub, transport
from server import Server, free_port, until

ROUND = 50  # changes, then a fresh server and a look at what came
VISITORS = 6
SLOW_S = 4.0  # the most that one visitor takes for a message


def one_round(count, report, slowest):
    base = tempfile.mkdtemp(prefix="eilbote-changes.")
    stub = SmtpStub("127.0.0.1", free_port())
    server = Server(pathlib.Path(base), ("--trust", "127.0.0.1/32"), changes.CONF + transport("far.test", stub.port))
    visitors = [changes.Visitor(str(k), server, 0.0 if k else SLOW_S) for k in range(VISITORS)]
    try:
        server.start()
        for visitor in visitors:
            visitor.start()
        for number in range(count):
            before = [len(v.acknowledged) for v in visitors]
            if random.random() < 0.5:
                changes.reload(server, number)
            else:
                slowest["upgrade"] = max(slowest["upgrade"], changes.upgrade(server))
            until(lambda: all(len(v.acknowledged) > n or v.wrong for v, n in zip(visitors, before) if not v.slow_s))
        changes.finish(server, visitors)
        for text in changes.check(server, stub, visitors):
            report.violation(text)
        slowest["greeting"] = max(slowest["greeting"], *(v.slowest for v in visitors))
        delayed = len(server.events("delivery.deferred"))
        return sum(len(v.acknowledged) for v in visitors), sum(v.turned for v in visitors), delayed
    finally:
        server.end_all()
        stub.close()
        shutil.rmtree(base)


def run(given, report):
    slowest, done, total = {"upgrade": 0.0, "greeting": 0.0}, 0, [0, 0, 0]
    while done < given.changes:
        size = min(ROUND, given.changes - done)
        total = [a + b for a, b in zip(total, one_round(size, report, slowest))]
        done += size
        report.did(size)
        report.say(f"{done} changes, {total[0]} messages")
    report.figure(f"{done} changes, {total[0]} messages acknowledged, {total[1]} sessions ended by 421 between transactions, {total[2]} deliveries put off; "
                  f"an upgrade took at most {slowest['upgrade']:.2f} s, a greeting {slowest['greeting']:.2f} s")
