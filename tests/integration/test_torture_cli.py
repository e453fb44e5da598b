# SPDX-License-Identifier: ISC
"""`make torture` itself: what it is asked for, and that it ends in order when it is told to, leaving nothing behind."""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest
from server import IS_SANITIZED, PATIENCE_S, ROOT, until

TORTURE, POWERCUT, FUZZ = ROOT / "tests/torture/torture", ROOT / "tests/torture/powercut", ROOT / "tools/fuzz"
BUILD = pathlib.Path(os.environ.get("EILBOTE_BUILD", "build")).resolve()
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
sys.path.append(str(TORTURE.parent))


@pytest.mark.parametrize("variable", ["KILLS", "CHANGES", "SWAPS", "JUMPS", "ROUNDS", "POINTS", "FAULTS"])
@pytest.mark.parametrize("value", ["0", "-5", "", "x", "1.5", "1e3"])
def test_a_count_is_a_positive_whole_number(variable, value):
    done = subprocess.run([TORTURE, "--look", f"--{variable.lower()}={value}"], capture_output=True, text=True, check=False)
    if (variable, value) == ("FAULTS", "0"):
        assert done.returncode == 0  # all of them
        return
    assert done.returncode == 2
    assert f"{variable}={value} is not allowed; it is a positive whole number" in done.stderr


def test_a_part_that_does_not_exist_is_named():
    done = subprocess.run([TORTURE, "--look", "--only=kills,nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'ONLY: there is no part "nonsense"; the parts are faults, ' in done.stderr


@pytest.mark.parametrize("target, words, said", [
    ("torture", ["ONLY=nonsense"], 'ONLY: there is no part "nonsense"'),
    ("torture", ["KILLS=0"], "KILLS=0 is not allowed"),
    ("torture-powercut", ["POINTS=0"], "POINTS=0 is not allowed"),
    ("fuzz", ["EXECS=foo"], "EXECS=foo is not allowed; it is a positive whole number, such as 1000 or 1e8"),
    ("fuzz", ["EXECS=0"], "EXECS=0 is not allowed"),
    ("fuzz", ["T=abc"], "T=abc is not allowed; it is a positive whole number of seconds"),
    ("fuzz", ["T=0"], "T=0 is not allowed"),
])
def test_options_are_looked_at_before_anything_is_built(target, words, said):
    """The recipe as make would run it: what looks comes before what builds, and refuses."""
    recipe = subprocess.run(["make", "-n", target, *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.replace("\\\n", " ")
    steps = [step.strip() for step in recipe.split("&&")]
    look, build = ([k for k, step in enumerate(steps) if word in step] for word in ("--look", "tools/build"))
    assert look and build and look[0] < build[0], recipe
    if target == "torture-powercut" and os.geteuid() != 0:
        pytest.skip("not root: it says that first")
    done = subprocess.run(["bash", "-c", steps[look[0]]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_part_that_did_nothing_is_a_violation(monkeypatch):
    import importlib.machinery  # pylint: disable=import-outside-toplevel
    import importlib.util  # pylint: disable=import-outside-toplevel
    import types  # pylint: disable=import-outside-toplevel
    loader = importlib.machinery.SourceFileLoader("torture_program", str(TORTURE))
    program = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(program)
    part = types.SimpleNamespace(run=lambda given, report: report.figure("0 kills"))
    monkeypatch.setitem(sys.modules, "torture_kills", part)
    told = []
    report = program.run_part("kills", types.SimpleNamespace(seed=1), told.append)
    assert report.violations == ["nothing was done"]
    part.run = lambda given, report: report.did(1)
    assert program.run_part("kills", types.SimpleNamespace(seed=1), told.append).violations == []


def test_help_tells_what_variables_are_when_nothing_is_said():
    said = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    makefile = (ROOT / "Makefile").read_text()
    for name, value in re.findall(r"^([A-Z]+) \?= *(.*)$", makefile, re.M):
        shown = "(the time)" if "date" in value else value
        assert re.search(rf"^{name}={re.escape(shown)} +\S", said, re.M), f"{name}={shown} is not in\n{said}"


def test_a_build_says_what_went_wrong_and_floods_no_log(tmp_path):
    steps = [f"build {tmp_path}/{n}: say\n" for n in range(200)]
    plan = tmp_path / "build.ninja"
    plan.write_text("rule say\n  command = touch $out\nrule warn\n  command = echo a warning; touch $out\nrule fail\n  command = echo the reason; false\n"
                    + "".join(steps) + f"build {tmp_path}/w: warn\n")

    def build():
        return subprocess.run([ROOT / "tools/build", tmp_path], capture_output=True, text=True, check=False)
    done = build()
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if not re.fullmatch(r".*: \[\d+/\d+\]", line)] == ["a warning"]
    assert len(done.stdout.splitlines()) < 20
    done = build()
    assert (done.returncode, done.stdout) == (0, "")
    plan.write_text(plan.read_text() + f"build {tmp_path}/f: fail\n")
    done = build()
    assert done.returncode != 0
    assert "the reason\n" in done.stdout


def test_a_run_of_fuzzing_says_how_little_it_was(tmp_path):
    """A program stands for the targets, which takes what libFuzzer takes and says what it says."""
    folder, info = tmp_path / "tests/fuzz", tmp_path / "meson-info"
    folder.mkdir(parents=True)
    info.mkdir()
    (info / "intro-buildoptions.json").write_text('[{"name": "b_sanitize", "value": "none"}]')
    for name, count in (("fuzz_ip", 2000000), ("fuzz_date", 500)):
        (folder / name).write_text(f"#!/bin/sh\necho ' cov: 12'\necho stat::number_of_executed_units: {count}\n")
        (folder / name).chmod(0o755)
    said = subprocess.run([FUZZ, "run", tmp_path, "--seconds=2", "--corpus", tmp_path / "corpus"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("fuzz: 2 targets, 1 s each, 2 s in all\n")
    assert "fuzz: 2 targets, 1 s each: 500 (date) to 2,000,000 executions, median 2,000,000\n" in said
    assert "fuzz: 1 targets had fewer than 1,000,000: for them this was a smoke test" in said


def living_with(place):
    """Processes whose words or environment name the place."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if any(str(place).encode() in (entry / name).read_bytes() for name in ("cmdline", "environ")):
                    found.append((entry / "cmdline").read_bytes())
            except OSError:
                continue
    return found


def backing(device):
    """What is behind a loop device; empty when it is free."""
    with contextlib.suppress(OSError):
        return (device / "loop/backing_file").read_text().strip()
    return ""


def loops_of(place):
    return [device for device in pathlib.Path("/sys/block").glob("loop*") if str(place) in backing(device)]


class Loops:
    """The loop devices of a run. One that is never given back shows a path that begins at a mount which nobody has any more."""

    def __init__(self, place):
        self.place, self.seen = place, set()

    def are_there(self):
        self.seen.update(loops_of(self.place))
        return self.seen

    def are_gone(self):
        return not any(str(self.place) in backing(device) or backing(device) == "/disk" for device in self.seen)


def start(words, place):
    """The program, with temporary files in a place of its own, in a session of its own."""
    def heed():
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
    return subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, preexec_fn=heed,
                            env=os.environ | {"TMPDIR": str(place)})


def end_in_the_middle(process, place, is_underway, number, is_for_all):
    """Sends the signal when the work is under way; what was said."""
    try:
        until(lambda: is_underway() or process.poll() is not None)
        assert process.poll() is None, process.stdout.read()
        (os.killpg if is_for_all else os.kill)(process.pid, number)
        said = process.communicate(timeout=PATIENCE_S)[0]
    finally:
        process.terminate()  # where the test has failed
        process.wait(timeout=PATIENCE_S)
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said, said
    assert list(place.iterdir()) == []
    until(lambda: not living_with(place), why=lambda: f"still there: {living_with(place)}")
    return said


def serving(place, prefix):
    return lambda: [f for p in place.glob(f"*/{prefix}.*") for f in p.glob("**/sock") if "mta" in f.parts]


needs_processes = pytest.mark.skipif(IS_SANITIZED, reason="the parts start many servers, which take too long with a sanitizer")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="not root: nothing can be mounted")


@needs_processes
@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
@pytest.mark.parametrize("is_for_all", [False, True], ids=["alone", "group"])
def test_a_signal_ends_it_in_order(tmp_path, number, is_for_all):
    process = start([TORTURE, "--build", BUILD, "--only", "kills,clocks", "--kills", 50], tmp_path)
    said = end_in_the_middle(process, tmp_path, serving(tmp_path, "eilbote-kills"), number, is_for_all)
    assert re.search(r"^part +seconds +violations", said, re.M), said
    assert re.search(r"^kills +broken +0  -$", said, re.M), said
    assert f"torture: ended by {number.name}; not begun: clocks\n" in said


@needs_processes
def test_faults_leave_no_plan(tmp_path):
    process = start([TORTURE, "--build", BUILD, "--only", "faults"], tmp_path)
    end_in_the_middle(process, tmp_path, serving(tmp_path, "eilbote-faults"), signal.SIGTERM, True)


@needs_processes
@needs_root
def test_disks_leave_no_mount_and_no_loop_device(tmp_path):
    process = start([TORTURE, "--build", BUILD, "--only", "disks"], tmp_path)
    loops = Loops(tmp_path)
    end_in_the_middle(process, tmp_path, loops.are_there, signal.SIGTERM, True)
    until(loops.are_gone)


@needs_processes
@needs_root
@pytest.mark.skipif(not (BUILD / "tests/torture/powercut_disk").exists(), reason="the build has no disk to cut the power of (-Dtorture=true)")
@pytest.mark.parametrize("words", [[POWERCUT], [TORTURE, "--only", "powercut"]], ids=["powercut", "torture"])
def test_power_cuts_leave_nothing(tmp_path, words):
    process = start([*words, "--build", BUILD, "--points", 1000], tmp_path)
    loops = Loops(tmp_path)
    end_in_the_middle(process, tmp_path, loops.are_there, signal.SIGINT, True)
    until(loops.are_gone)
