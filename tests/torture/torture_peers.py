# SPDX-License-Identifier: ISC
"""Next hops that do what no server should, at every step, and how long good mail takes meanwhile."""
import multiprocessing
import pathlib
import shutil
import tempfile
import time

import evil
from peers import TimedStub
from server import Server, Smtp, free_port, until

GAP_S = 0.02  # between two good messages
WINDOW_S = 5
IDLE_S = 0.3  # after which no connection is kept
RATIO = 1.2


def stream(where, port, pipe):
    """In a process of its own, so that what the evil servers need of Python is not in the measure: good mail at a steady pace."""
    good, begun = TimedStub(port), {}
    pipe.send("ready")
    with Smtp(where) as c:
        while not pipe.poll():
            number = len(begun) + 1
            begun[number] = time.monotonic()
            c.message("me@back.test", ["you@far.test"], f"Subject: t\r\nX-Good: {number}\r\n\r\nx\r\n")
            time.sleep(GAP_S)
    until(lambda: len(good.came) == len(begun), why="good mail is missing")
    pipe.send((begun, good.came))


def percentile(values, share):
    return values[min(len(values) - 1, int(share * len(values)))] * 1000


class Windows:
    """How long good mail took that was begun in certain times."""

    def __init__(self):
        self.spans = []

    def take(self, world, fault):
        """The same mail to the same hops, that are evil or not."""
        world.become(fault)
        begin = time.monotonic()
        ids = world.send_evil()
        time.sleep(max(0, begin + WINDOW_S - time.monotonic()))
        self.spans.append((begin, time.monotonic()))
        return ids

    def latencies(self, begun, came):
        return sorted(came[n] - at for n, at in begun.items() if any(a <= at < b for a, b in self.spans))


def one_fault(world, fault, alone, beside, report):
    """How many of the steps the evil ones had a chance at."""
    ids = alone.take(world, "")
    until(lambda: not world.missing(ids), why="good next hops do not get their mail")
    time.sleep(IDLE_S)
    ids = beside.take(world, fault)
    until(lambda: world.has_settled(ids), why=lambda: f"{fault}: not settled: {world.server.queue()}")
    for text in world.wrong(ids, fault):
        report.violation(text)
    reached = sum(hop.reached > 0 for hop in world.evil.values())
    world.become("")
    world.server.cli("reload")
    world.server.cli("queue", "retry", "--all", status=None)
    until(lambda: not world.missing(ids), why=lambda: f"{fault}: has not come: {world.missing(ids)}")
    time.sleep(IDLE_S)
    return reached


def run(given, report):
    base = tempfile.mkdtemp(prefix="eilbote-peers.")
    port, (pipe, far_end) = free_port(), multiprocessing.Pipe()
    server = Server(pathlib.Path(base), ("--trust", "127.0.0.1/32"))
    child = multiprocessing.Process(target=stream, args=(server.where("smtp"), port, far_end), daemon=True)
    world = evil.World(server, port, free_port)
    try:
        server.start()
        child.start()
        pipe.recv()
        alone, beside, reached, pairs = Windows(), Windows(), 0, 0
        for _ in range(given.rounds):
            for fault in evil.FAULTS:
                reached += one_fault(world, fault, alone, beside, report)
                pairs += len(world.evil)
        report.did(reached)
        pipe.send("over")
        begun, came = pipe.recv()
        a, b = alone.latencies(begun, came), beside.latencies(begun, came)
        ratio = percentile(b, 0.99) / percentile(a, 0.99)
        report.figure(f"{len(evil.STEPS)} steps x {len(evil.FAULTS)} faults: {pairs} pairs, {reached} reached")
        report.figure(f"good mail beside next hops that are good: p50 {percentile(a, 0.5):.1f} ms, p99 {percentile(a, 0.99):.1f} ms ({len(a)}); beside "
                      f"evil ones: p50 {percentile(b, 0.5):.1f} ms, p99 {percentile(b, 0.99):.1f} ms ({len(b)}); ratio of the p99 {ratio:.2f}")
        if ratio > RATIO:
            report.violation(f"the good peer's p99 is {ratio:.2f} x")
    finally:
        child.terminate()
        server.end_all()
        world.close()
        shutil.rmtree(base)
