# SPDX-License-Identifier: ISC
"""More than the server can take: ten times its capacity, crowds of connections that do nothing or next to it, and a backlog to a dead host."""
import collections
import contextlib
import json
import multiprocessing
import os
import pathlib
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from peers import TimedStub, transport
from server import EILBOTE, PATIENCE_S, Server, Smtp, free_port, until

SOURCES = [f"127.9.{k}.1" for k in range(1, 21)]
FROM_ALL = [word for address in SOURCES for word in ("--source", address)]

# Ten times the capacity.
SESSIONS = 100  # of the server's limit; so many clients at a time are its capacity, and ten times as many the overload
MESSAGES_A_SESSION = 20
PEAK_S, OVERLOAD_S, TIMES, MARGIN = 15, 60, 10, 1.15
GOODPUT_LEAST = 0.8
SLOW_SYNC_US = 20000  # is added to each sync of a disk that is slow
CLEAN = {"421", "452"}
WAIT_MOST_S = 30  # for any reply: less than the patience of any client

# Crowds.
IDLE, SLOW = 50000, 10000
DESCRIPTORS_KEPT = 2300  # of a role: what it keeps for itself, and some for the good client
IDLE_KIB, COMMAND_KIB, MESSAGE_KIB = 8, 8, 10  # a connection
BYTE_EVERY_S = 3
CROWD_S = 30

# A backlog.
BACKLOG = 100000
AFTERWARDS_S = 60
GOOD_P95_S = 5
GAP_S = 0.05  # between two good messages


@contextlib.contextmanager
def on_processor(number):
    """What is started meanwhile has one processor, and whoever loads it has the others."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[number]} if len(before) > 1 else before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def serving(conf, *transports):
    base = tempfile.mkdtemp(prefix="eilbote-overload.")
    server = Server(pathlib.Path(base), ("--trust", "127.0.0.0/8"), conf + "".join(transport(*t) for t in transports))
    try:
        with on_processor(0):
            server.start()
        yield server
    finally:
        server.end_all()
        shutil.rmtree(base)


@contextlib.contextmanager
def sink(port):
    """Takes mail; gives a function that says how many messages have come."""
    with tempfile.TemporaryDirectory(prefix="eilbote-sink.") as folder:
        counter = pathlib.Path(folder) / "count"
        with on_processor(1):
            process = subprocess.Popen([EILBOTE, "bench", "sink", "--listen", f"127.0.0.1:{port}", "--count-file", counter], stdout=subprocess.DEVNULL)
        try:
            until(lambda: counter.exists() and counter.read_text())
            yield lambda: int(counter.read_text().split()[0])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def begin_source(server, *words):
    words = [EILBOTE, "bench", "source", "--to", f"127.0.0.1:{server.port('smtp')}", "--json", *FROM_ALL, *map(str, words)]
    with on_processor(1):
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def load(server, arrived, connections, seconds, pause_ms=100):
    """What the clients say, and how many messages a second came out of the server meanwhile. All that was taken comes."""
    before, begin = arrived(), time.monotonic()
    process = begin_source(server, "--connections", connections, "--seconds", seconds, "--per-connection", MESSAGES_A_SESSION, "--rcpt", "you@far.test",
                           "--pause-ms", pause_ms)
    time.sleep(seconds)
    rate = (arrived() - before) / (time.monotonic() - begin)
    result = json.loads(process.communicate(timeout=PATIENCE_S)[0])
    until(lambda: arrived() - before >= result["messages"], why=lambda: f"{arrived() - before} of {result['messages']} have come")
    return result, rate


def look_for_dirt(what, result, report):
    dirt = {code: count for code, count in result["errors"].items() if code not in CLEAN}
    if dirt or result["stuck"]:
        report.violation(f"{what}: not a clean refusal: {dirt}{', no reply for a minute' if result['stuck'] else ''}")
    if result["longest_ms"] > 1000 * WAIT_MOST_S:
        report.violation(f"{what}: a reply took {result['longest_ms'] / 1000:.1f} s")


def ten_times(what, report):
    port = free_port()
    with sink(port) as arrived, serving(f"limits {{\n sessions = {SESSIONS}\n}}\nlog {{\n size = 1G\n}}\n", ("far.test", port)) as server:
        load(server, arrived, SESSIONS, 3)
        _, first = load(server, arrived, SESSIONS, PEAK_S)
        # Who was turned away comes again after so long that all together offer somewhat more than is wanted.
        pause_ms = max(1, int(1000 * (TIMES - 1) * SESSIONS * MESSAGES_A_SESSION / (TIMES * MARGIN * first)))
        result, goodput = load(server, arrived, TIMES * SESSIONS, OVERLOAD_S, pause_ms)
        _, second = load(server, arrived, SESSIONS, PEAK_S)
        peak = (first + second) / 2
        offered = result["connections"] * MESSAGES_A_SESSION / OVERLOAD_S
        report.figure(f"{what}: capacity {first:,.0f} and {second:,.0f} messages/s; for {OVERLOAD_S} s {offered / peak:.1f} times as many offered by {TIMES} times the "
                      f"sessions: goodput {goodput:,.0f}/s, {goodput / peak:.0%}; load {os.getloadavg()[0]:.1f}")
        report.figure(f"{what}: of {result['connections']} sessions {result['turned']} were turned away; replies that were no success: {result['errors']}; longest wait "
                      f"{result['longest_ms']} ms")
        look_for_dirt(what, result, report)
        if offered < TIMES * peak:
            report.violation(f"{what}: only {offered / peak:.1f} times the capacity was offered")
        if goodput < GOODPUT_LEAST * peak:
            report.violation(f"{what}: goodput {goodput / peak:.0%} of the peak")


def send_good(where, port, pipe):
    """In a process of its own: a message every now and then, each on a connection of its own, until something is said; then how long each took."""
    stub, begun = TimedStub(port), {}
    pipe.send("ready")
    while not pipe.poll():
        begun[len(begun) + 1] = time.monotonic()
        with Smtp(where) as c:
            c.message("me@back.test", ["you@far.test"], f"Subject: t\r\nX-Good: {len(begun)}\r\n\r\nx\r\n")
        time.sleep(GAP_S)
    until(lambda: len(stub.came) == len(begun), why="good mail is missing")
    pipe.send(sorted(stub.came[n] - at for n, at in begun.items()))


@contextlib.contextmanager
def in_process(target, *args):
    """The pipe to a process that runs the function, with the pipe's other end as its last argument; it has said that it is ready."""
    pipe, far_end = multiprocessing.Pipe()
    process = multiprocessing.Process(target=target, args=(*args, far_end), daemon=True)
    with on_processor(1):
        process.start()
    try:
        pipe.recv()
        yield pipe
    finally:
        process.terminate()
        process.join()


def ask(pipe):
    pipe.send("over")
    return pipe.recv()


def tell_good(what, taken, report):
    p95 = taken[min(len(taken) - 1, int(0.95 * len(taken)))]
    report.figure(f"{what}: good mail p50 {1000 * taken[len(taken) // 2]:.0f} ms, p95 {1000 * p95:.0f} ms, slowest {taken[-1]:.2f} s ({len(taken)} messages)")
    if p95 >= GOOD_P95_S:
        report.violation(f"{what}: good mail has a p95 of {p95:.1f} s")


def memory_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.split("\n") if line.startswith(("Private_Clean:", "Private_Dirty:")))


def open_slow(where, source, text):
    s = socket.socket()
    s.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    s.settimeout(PATIENCE_S)
    s.bind((source, 0))
    s.connect(where)
    with s.makefile("rb") as lines:
        for line, code in ((b"", b"220"), *text):
            s.sendall(line)
            if not lines.readline().startswith(code):
                raise EOFError("a slow connection was not served")
    s.setblocking(False)
    return s


GREETED = ((b"HELO slow.test\r\n", b"250"),)
IN_BODY = (*GREETED, (b"MAIL FROM:<me@back.test>\r\n", b"250"), (b"RCPT TO:<you@far.test>\r\n", b"250"), (b"DATA\r\n", b"354"))


def be_slow(where, count, text, drip, pipe):
    """So many connections that say a byte now and then, until something is said; then how many of them the server has ended."""
    links = [open_slow(where, SOURCES[k % len(SOURCES)], text) for k in range(count)]
    said, ended = collections.Counter(), set()
    with selectors.DefaultSelector() as selector:
        for k, s in enumerate(links):
            selector.register(s, selectors.EVENT_READ, k)
        pipe.send("ready")
        begin = time.monotonic()
        turn = 0
        while not pipe.poll():
            for key, _ in selector.select(0.01):
                with contextlib.suppress(BlockingIOError):
                    if not key.fileobj.recv(4096):
                        ended.add(key.data)
                        selector.unregister(key.fileobj)
            while turn < (time.monotonic() - begin) * count / BYTE_EVERY_S:
                k = turn % count
                turn += 1
                if k not in ended:
                    links[k].send(drip[said[k] % len(drip):][:1])
                    said[k] += 1
    pipe.send(len(ended))


@contextlib.contextmanager
def idle_crowd(server, count):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100
    sizes = [most] * (count // most) + [count % most]
    holders = [begin_source(server, "--idle", size) for size in sizes if size]
    try:
        yield sum(int(holder.stdout.readline().split()[1]) for holder in holders)
    finally:
        for holder in holders:
            holder.send_signal(signal.SIGTERM)
            holder.wait()


class Scale:
    """Memory of a process, and what each of a number of connections has added to it since the last look."""

    def __init__(self, pid, report):
        self.pid, self.report, self.last = pid, report, memory_kib(pid)

    def weigh(self, what, count, most):
        now = memory_kib(self.pid)
        each, self.last = (now - self.last) / count, now
        self.report.figure(f"{count} {what}: {each:.1f} KiB each")
        if each > most:
            self.report.violation(f"{what} take {each:.1f} KiB each, not {most}")


def crowds(report):
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - DESCRIPTORS_KEPT
    share = min(1, room / (IDLE + SLOW))
    idle, slow = int(IDLE * share), int(SLOW * share)
    if share < 1:
        report.figure(f"{IDLE} idle and {SLOW} slow connections: skipped, a process may have {room + DESCRIPTORS_KEPT} descriptors here; {idle} and {slow} instead")
    port = free_port()
    with serving("log {\n size = 1G\n}\n", ("far.test", port)) as server:
        where, mta = server.where("smtp"), until(lambda: server.role("mta"))
        with in_process(send_good, where, port) as good, contextlib.ExitStack() as stack:
            time.sleep(2)
            scale = Scale(mta, report)
            held = stack.enter_context(idle_crowd(server, idle))
            if held < idle:
                report.violation(f"only {held} idle connections were greeted")
            time.sleep(3)  # the quiet second after which a session lets go of its stack, and some
            scale.weigh("idle connections", held, IDLE_KIB)
            drippers = []
            for what, text, drip, most in (("slow commands", GREETED, b"NOOP\r\n", COMMAND_KIB),
                                           ("slow messages", IN_BODY, b"a line, slowly\r\n", MESSAGE_KIB)):
                drippers.append(stack.enter_context(in_process(be_slow, where, slow // 2, text, drip)))
                time.sleep(2 * BYTE_EVERY_S)
                scale.weigh(what, slow // 2, most)
            time.sleep(CROWD_S)
            ended = sum(ask(dripper) for dripper in drippers)
            if ended:
                report.violation(f"{ended} slow connections were ended")
            tell_good("beside the crowds", ask(good), report)
            if server.role("mta") != mta:
                report.violation("the mta is another process")


@contextlib.contextmanager
def dead_host():
    """Connections are neither taken nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as s, contextlib.ExitStack() as stack:
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(s.getsockname())
        yield s.getsockname()[1]


def backlog(report):
    port = free_port()
    with dead_host() as dead, serving("queue {\n retry-first = 5s\n retry-max = 30s\n}\nlog {\n size = 1G\n}\n", ("far.test", port), ("dead.test", dead)) as server:
        with in_process(send_good, server.where("smtp"), port) as good:
            begin = time.monotonic()
            filler = begin_source(server, "--connections", 20, "--messages", BACKLOG, "--rcpt", "u%d@dead.test", "--size", 1024)
            result = json.loads(filler.communicate(timeout=10 * PATIENCE_S)[0])
            report.say(f"{result['messages']} messages to a dead host taken in {time.monotonic() - begin:.1f} s; {result['errors']}")
            if result["messages"] < BACKLOG:
                report.violation(f"{result['messages']} messages of the backlog were taken: {result['errors']}")
            time.sleep(AFTERWARDS_S)
            waiting = len(server.queue())
            tell_good(f"beside a backlog of {waiting}", ask(good), report)
            if waiting < result["messages"]:
                report.violation(f"{waiting} of {result['messages']} messages of the backlog are in the queue")


def limited_by_disk(report):
    os.environ["EILBOTE_BENCH_SYNC"] = f"delay-us:{SLOW_SYNC_US}"
    try:
        ten_times("limited by the disk", report)
    finally:
        del os.environ["EILBOTE_BENCH_SYNC"]


def limited_by_processor(report):
    ten_times("limited by the processor", report)


def run(_given, report):
    for scene in (limited_by_disk, limited_by_processor, crowds, backlog):
        try:
            scene(report)
            report.did(1)
        except AssertionError as fault:
            report.violation(f"{scene.__name__}: {str(fault)[:2000]}")
