# SPDX-License-Identifier: ISC
"""Every call of every function that touches the disk fails once, and from then on, at work and while a role starts."""
import random
import shutil
import tempfile
import time

from faults import ERRORS, FUNCTIONS, ROLES, Faulty

LOOKS = 3  # at how many calls a piece of work makes
RENEW = 200  # points, then a fresh server
KILL_SHARE = 0.25  # of the points at work, that are killed before the cause ends
TELL_S = 60


class Runner:
    """Servers, one after the other, and what they did."""

    def __init__(self, report):
        self.report, self.faulty, self.base, self.age = report, None, None, 0
        self.tally, self.slowest, self.points, self.reached = {}, 0.0, 0, 0

    def renew(self):
        self.drop()
        self.base, self.age = tempfile.mkdtemp(prefix="eilbote-faults."), 0
        self.faulty = Faulty(self.base)
        self.faulty.start()
        return self.faulty

    def drop(self):
        if not self.faulty:
            return
        for word, count in self.faulty.tally.items():
            self.tally[word] = self.tally.get(word, 0) + count
        self.slowest = max(self.slowest, self.faulty.slowest)
        self.faulty.close()
        shutil.rmtree(self.base)
        self.faulty = None

    def one(self, phase, *point):
        if not self.faulty or self.age >= RENEW:
            self.renew()
        more = (random.random() < KILL_SHARE,) if phase == "while_serving" else ()
        self.reached += getattr(self.faulty, phase)(*point, *more)
        self.points += 1
        self.age += 1
        if self.faulty.violations:
            for text in self.faulty.violations:
                self.report.violation(text)
            self.drop()  # what went wrong once is not counted again


def count_calls(runner):
    """How many calls of each function a role makes: while it starts, and in a piece of work at most."""
    faulty = runner.renew()
    zero = {key: 0 for key in faulty.plan.counts()}
    starting, serving = faulty.plan.counts(), dict(zero)
    for _ in range(LOOKS):
        before = faulty.plan.counts()
        faulty.while_serving("mta", "open", 5, 1 << 60, False)
        now = faulty.plan.counts()
        serving = {key: max(serving[key], now[key] - before[key]) for key in now}
    return {"while_starting": starting, "while_serving": serving}


def all_points(counts):
    """First every call with one of its errors, then the rest."""
    first, rest = [], []
    for phase, table in counts.items():
        for (role, function), count in table.items():
            for at in range(1, count + 1):
                kinds = [(phase, role, function, error, at, is_for_good) for error in ERRORS[function] for is_for_good in (False, True)]
                random.shuffle(kinds)
                first.append(kinds[0])
                rest += kinds[1:]
    random.shuffle(first)
    random.shuffle(rest)
    return first + rest


def run(given, report):
    runner = Runner(report)
    try:
        counts = count_calls(runner)
        for phase, table in counts.items():
            for role in ROLES:
                report.say(f"calls {phase.replace('_', ' ')}, {role}: " + ", ".join(f"{f} {table[role, f]}" for f in FUNCTIONS if table[role, f]))
        points = all_points(counts)
        report.say(f"{len(points)} points in all")
        told = time.monotonic()
        for point in points[:given.faults or None]:
            runner.one(*point)
            if time.monotonic() > told + TELL_S:
                told = time.monotonic()
                report.say(f"{runner.points} points")
    finally:
        runner.drop()
    report.did(runner.reached)
    report.figure(f"{runner.points} calls failed one after the other ({runner.reached} were reached); slowest recovery {runner.slowest:.1f} s")
    report.figure(", ".join(f"{word} {count}" for word, count in sorted(runner.tally.items())))
