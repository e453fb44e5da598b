# SPDX-License-Identifier: ISC
"""
How a run ends. The work is a process with a session and a place for files of its own. When it has ended, or a signal ends it, every process
that came of it is killed, whoever its parent is by then, and the place goes, but for the folders in it that have a file "kept".
"""
import contextlib
import ctypes
import fcntl
import multiprocessing
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
KEPT = "kept"
PATIENCE_S = 30
END_WITH_PARENT, BE_GIVEN_ORPHANS = 1, 36  # of prctl
THAW = 0xC0045878  # FITHAW


class Ended(Exception):
    """A signal asks for the end."""


def prctl(what, value):
    if ctypes.CDLL(None, use_errno=True).prctl(what, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def work_alone(work, tell, place):
    """In the process of the work; does not return."""
    status = 1
    try:
        os.setsid()  # what a terminal or a group is sent is for the parent alone
        prctl(END_WITH_PARENT, signal.SIGKILL)
        for number in (*SIGNALS, signal.SIGCHLD):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.environ["TMPDIR"] = str(place)
        tempfile.tempdir = None  # as if it had not been asked for before
        status = work(tell)
    except BaseException:  # pylint: disable=broad-except
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(status)  # threads that still wait for something do not matter


def processes_of(root):
    """All that came of the process and still run."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
                children.setdefault(int(parent), []).append((int(entry.name), state))
    found, new = [], [root]
    while new:
        below = children.get(new.pop(), [])
        new += [pid for pid, _ in below]
        found += [pid for pid, state in below if state != "Z"]
    return found


def thaw(pid, place):
    """A process that waits for a frozen disk cannot be killed."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
            where = line.split()[4]
            if where.startswith(str(place)):
                with contextlib.suppress(OSError), open_folder(f"/proc/{pid}/root{where}") as folder:
                    fcntl.ioctl(folder, THAW, 0)


@contextlib.contextmanager
def open_folder(path):
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield folder
    finally:
        os.close(folder)


def reap():
    """The processes that have ended, with their status."""
    ended = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = status
    return ended


def kill_all(pid, place):
    thaw(pid, place)
    end = time.monotonic() + PATIENCE_S
    while left := processes_of(os.getpid()):
        for one in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        if time.monotonic() > end:
            print(f"processes that do not end: {left}", file=sys.stderr)
            break
        reap()
        time.sleep(0.01)


def clean(place):
    """Removes all but what is kept; what it is."""
    kept = []
    for entry in sorted(place.iterdir()):
        if (entry / KEPT).exists():
            kept.append(entry)
        elif any(entry.glob(f"*/{KEPT}")):
            kept += clean(entry)
        elif entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if not kept:
        place.rmdir()
    return kept


def run(work, name):
    """
    Calls work(tell) in a process of its own, where temporary files go to a place that is removed. Gives a list of what was told, and the status:
    what the work returned, 1 when it broke off, 128 + n after signal n. Signals that were ignored before stay so.
    """
    ended, told = {}, []

    def end(number, _frame):
        for other in SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        raise Ended(number)

    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)
    signal.signal(signal.SIGCHLD, lambda *_: ended.update(reap()))  # orphans, thousands of them in the course of time
    prctl(BE_GIVEN_ORPHANS, 1)
    place = pathlib.Path(tempfile.mkdtemp(prefix=f"eilbote-{name}.")).resolve()
    place.chmod(0o711)  # a mailbox server may run as somebody else
    receiver, sender = multiprocessing.Pipe(duplex=False)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        work_alone(work, sender.send, place)
    sender.close()
    status = 0
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        with contextlib.suppress(EOFError):
            while True:
                told.append(receiver.recv())
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    except Ended as signalled:
        status = 128 + signalled.args[0]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if not status:
        code = os.waitstatus_to_exitcode(ended[pid] if pid in ended else os.waitpid(pid, 0)[1])
        status = code if code >= 0 else 128 - code
    kill_all(pid, place)
    for folder in clean(place):
        print(f"kept: {folder}", flush=True)
    return told, status
