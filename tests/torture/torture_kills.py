# SPDX-License-Identifier: ISC
"""kill -9 of any role, or of all there is, at random times under full load, and the ledger of tests/integration/ledger.py."""
import os
import pathlib
import random
import shutil
import signal
import socket
import tempfile
import time

from ledger import CONF, Ledger
from peers import SmtpStub, transport
from server import PATIENCE_S, Server, free_port

ROUND = 100  # kills, then a fresh server and a look at the ledger
READY_S = 2
ROLE_KILLS_MOST = 4  # of one supervisor, whose pauses grow when a role ends again and again
VICTIMS = (("mta",), ("mda",), ("mta", "mda"), ("all",))
SERVICE = {"mta": "smtp", "mda": "pop3"}


def await_greeting(server, role):
    """Until the role talks to a client."""
    while True:
        try:
            with socket.create_connection(server.where(SERVICE[role]), timeout=PATIENCE_S) as s, s.makefile("rb") as lines:
                if lines.readline():
                    return
        except OSError:
            time.sleep(0.002)


def kill(server, victims):
    """Seconds from the kill until all serve again."""
    begin = time.monotonic()
    if victims == ("all",):
        server.end_all()
        server.start()
    else:
        pids = [server.role(name) for name in victims]
        begin = time.monotonic()
        for pid in pids:
            if pid:
                os.kill(pid, signal.SIGKILL)
    for role in SERVICE:
        await_greeting(server, role)
    return time.monotonic() - begin


def one_round(count, report, slowest):
    base = tempfile.mkdtemp(prefix="eilbote-kills.")
    stub = SmtpStub("127.0.0.1", free_port())
    server = Server(pathlib.Path(base), ("--trust", "127.0.0.1/32"), CONF + transport("far.test", stub.port))
    try:
        server.start()
        ledger = Ledger(server, stub)
        role_kills = 0
        for _ in range(count):
            ledger.before_kill()
            time.sleep(random.uniform(0, 0.05))
            victims = random.choice(VICTIMS) if role_kills < ROLE_KILLS_MOST else ("all",)
            role_kills = 0 if victims == ("all",) else role_kills + 1
            taken = kill(server, victims)
            ledger.after_kill(*(("mta", "mda") if victims == ("all",) else victims))
            name = "+".join(victims)
            slowest[name] = max(slowest.get(name, 0), taken)
            if taken > READY_S:
                report.violation(f"ready again {taken:.2f} s after a kill of {name}")
        ledger.finish()
        ledger.check()
        return sum(len(c.acknowledged) for c in ledger.load)
    except AssertionError as fault:
        report.violation(str(fault)[:2000])
        return 0
    finally:
        server.end_all()
        stub.close()
        shutil.rmtree(base)


def run(given, report):
    slowest, done, messages = {}, 0, 0
    while done < given.kills:
        size = min(ROUND, given.kills - done)
        messages += one_round(size, report, slowest)
        done += size
        report.did(size)
        report.say(f"{done} kills, {messages} messages acknowledged")
    if not messages:
        report.violation("no message was acknowledged")
    report.figure(f"{done} kills, {messages} messages acknowledged; ready again after at most "
                  + ", ".join(f"{seconds:.2f} s ({name})" for name, seconds in sorted(slowest.items())))
