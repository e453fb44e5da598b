# SPDX-License-Identifier: ISC
"""The wall clock jumps by an hour and by ten years, forward and back, in the same servers again and again, while they run and across restarts."""
import pathlib
import random
import shutil
import tempfile

import clocks
from peers import SmtpStub
from server import Server, free_port


def one_server(count, report):
    """So many jumps, each once at most, in any order. How many there were."""
    base = pathlib.Path(tempfile.mkdtemp(prefix="eilbote-clocks."))
    replies, is_shy = clocks.replies()
    stub = SmtpStub("127.0.0.1", free_port(), replies=replies)
    server = Server(base, ("--trust", "127.0.0.1/32"), clocks.conf(stub))
    clock = clocks.Clock(base / "clock")
    scenes = [(name, with_restart) for name in clocks.JUMPS for with_restart in (False, True)]
    random.shuffle(scenes)
    del scenes[count:]
    done = 0
    try:
        with clock.preloaded():
            server.start()
        for name, with_restart in scenes:
            try:
                clocks.scene(server, stub, is_shy, clock, clocks.JUMPS[name], with_restart)
            except AssertionError as fault:
                report.violation(f"{name}{' and a restart' if with_restart else ''}, after {done} others: {str(fault)[:1000]}")
                break  # what went wrong once is not counted again
            done += 1
        return done
    finally:
        server.end_all()
        stub.close()
        shutil.rmtree(base)


def run(given, report):
    most, done = 2 * len(clocks.JUMPS), 0
    for at in range(0, given.jumps, most):
        done += one_server(min(most, given.jumps - at), report)
    report.did(done)
    report.figure(f"{done} jumps")
