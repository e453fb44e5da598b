# SPDX-License-Identifier: ISC
"""What tests/sim says when it is asked for nonsense, when one of its jobs dies, and when it is interrupted."""
import os
import pathlib
import re
import signal
import subprocess

import pytest

from server import PATIENCE_S, until

SIM = pathlib.Path(os.environ["EILBOTE_BUILD"]) / "tests" / "sim" / "sim"
pytestmark = pytest.mark.skipif(not SIM.exists(), reason="sanitized builds have no simulation: its fibers and theirs do not go together")


def sim(*words):
    return subprocess.run([SIM, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@pytest.mark.parametrize("words", [
    ("--seeds", "abc"), ("--seeds", ""), ("--seeds", "0"), ("--seeds", "-1"), ("--seeds", "3x"), ("--from", "0"), ("--from", "-1"),
    ("--seed", ""), ("--seed", "0"), ("--seed", "1e9"), ("--jobs", "0"), ("--jobs", "-1"), ("--jobs", "257"), ("--minutes", "x"),
    ("--seeds", "99999999999999999999"), ("more",), ("--seeds", "2", "more"), ("--bug", "none-such"), ("--nonsense",)])
def test_nonsense_is_told_and_runs_nothing(words):
    done = sim(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert "usage: sim" in done.stderr
    if words[0] in ("--seeds", "--from", "--seed", "--jobs", "--minutes") and len(words) == 2:
        assert re.search(rf'{words[0][2:]} is "{re.escape(words[1])}"; allowed: a whole number from \d+ to \d+', done.stderr)


def test_seeds_that_fail_say_how_they_are_replayed():
    done = sim("--seeds", "4", "--bug", "no-dots")
    assert done.returncode == 1
    failed = re.findall(r"^make sim SEED=(\d+)$", done.stdout, re.MULTILINE)
    assert failed and f"{len(failed)} of 4 seeds failed" in done.stdout


def start(*words):
    return subprocess.Popen([SIM, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # pylint: disable=consider-using-with


def children(pid):
    return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def test_a_job_that_dies_is_explained():
    with start("--seeds", "100000", "--jobs", "1") as process:
        job = until(lambda: children(process.pid))[0]
        until(lambda: children(job))
        os.kill(job, signal.SIGKILL)
        output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert re.search(r"job 1 was ended by signal 9 in the middle of seed (\d+): make sim SEED=\1\b", output), output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_tells_what_was_done(number):
    with start("--seeds", "100000", "--jobs", "2") as process:
        jobs = until(lambda: len(children(process.pid)) == 2 and children(process.pid))
        until(lambda: children(jobs[0]))
        process.send_signal(number)
        output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + number
    assert re.search(r"^\d+ of \d+ seeds failed: .*\ninterrupted$", output, re.MULTILINE), output
    assert not any(os.path.exists(f"/proc/{job}") for job in jobs)
