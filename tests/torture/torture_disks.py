# SPDX-License-Identifier: ISC
"""A real disk that is full, fails and becomes read-only, or is frozen, and a log that cannot be written or that nobody reads (root)."""
import contextlib
import ctypes
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from faults import FAR, HERE, LATER, Faulty, open_mailbox
from server import until

IMAGE_BYTES = 256 << 20
NEW_MOUNTS = 0x20000  # CLONE_NEWNS
ONE_PAGE = 4096
FROZEN_S = 5


def call(*words):
    subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def own_mounts():
    """What is mounted from here on ends with this process."""
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    call("mount", "--make-rprivate", "/")


def is_unmounted(fs):
    """It is busy as long as processes that were killed are on their way out."""
    return subprocess.run(["umount", "--recursive", fs], stderr=subprocess.DEVNULL, check=False).returncode == 0


@contextlib.contextmanager
def disk():
    """An ext4 of its own, and a server on it."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="eilbote-disks."))
    image, fs = place / "image", place / "fs"
    fs.mkdir()
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    call("mkfs.ext4", "-q", "-m", "0", image)
    call("mount", "-o", "loop,errors=remount-ro", image, fs)
    faulty = Faulty(fs)
    faulty.image, faulty.fs = image, fs
    try:
        yield faulty
    finally:
        faulty.close()
        until(lambda: is_unmounted(fs), why="the disk stays busy")
        shutil.rmtree(place)


def fill(path):
    """Until nothing more fits."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size):
                    pass


def is_readable(faulty, user, count):
    with contextlib.suppress(Exception):
        box = open_mailbox(faulty.server, user, 10)
        try:
            return box.stat()[0] == count and len(box.retr(1)[1]) > 0
        finally:
            box.close()
    return False


def with_mail(faulty):
    """Something to read, and something that waits."""
    call("sync", "--file-system", faulty.fs)  # what init has made is no part of the test
    faulty.start()
    for rcpt in (HERE[0], LATER):
        if not faulty.send((rcpt,)):
            raise AssertionError("no mail is accepted before anything has failed")
    until(lambda: is_readable(faulty, HERE[0], 1))


def look(faulty, what, report):
    """While it lasts: no 250 that is not kept, what was stored is read."""
    until(lambda: not faulty.send((HERE[1],), timeout=2), 20)
    if not is_readable(faulty, HERE[0], 1):
        report.violation(f"{what}: the mailbox is not read")


def tell(faulty, what, report):
    for text in faulty.violations:
        report.violation(f"{what}: {text}")
    report.figure(f"{what}: all is well {faulty.slowest:.1f} s after its end; " + ", ".join(f"{w} {n}" for w, n in sorted(faulty.tally.items())))


def full(report):
    with disk() as faulty:
        with_mail(faulty)
        fill(faulty.fs / "filler")
        look(faulty, "full disk", report)
        before = len(faulty.stub.marks())
        faulty.stub.is_shy = False
        with contextlib.suppress(AssertionError):
            until(lambda: len(faulty.stub.marks()) > before, 20)
        if len(faulty.stub.marks()) == before:
            report.violation("full disk: what was queued is not sent")
        faulty.was_killed = True  # what was sent cannot be noted: it may be sent again
        (faulty.fs / "filler").unlink()
        faulty.finish(0, "full disk")
        tell(faulty, "full disk", report)


def full_and_killed(report):
    """It starts on the full disk, too."""
    with disk() as faulty:
        with_mail(faulty)
        fill(faulty.fs / "filler")
        faulty.was_killed = True
        faulty.server.end_all()
        faulty.start()
        look(faulty, "start on a full disk", report)
        (faulty.fs / "filler").unlink()
        faulty.finish(0, "start on a full disk")
        tell(faulty, "start on a full disk", report)


def read_only(report):
    """ext4 finds an error and makes itself read-only. What comes after takes a repair, and so a restart."""
    with disk() as faulty:
        with_mail(faulty)
        device = subprocess.run(["findmnt", "-no", "SOURCE", faulty.fs], capture_output=True, text=True, check=True).stdout.strip()
        pathlib.Path(f"/sys/fs/ext4/{os.path.basename(device)}/trigger_fs_error").write_text("torture")
        look(faulty, "read-only disk", report)
        faulty.was_killed = True
        faulty.server.end_all()
        call("umount", faulty.fs)
        subprocess.run(["e2fsck", "-fy", faulty.image], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        call("mount", "-o", "loop", faulty.image, faulty.fs)
        faulty.server.output.clear()
        faulty.start()
        faulty.finish(0, "read-only disk")
        tell(faulty, "read-only disk", report)


def frozen(report):
    with disk() as faulty:
        with_mail(faulty)
        call("fsfreeze", "--freeze", faulty.fs)
        try:
            end = time.monotonic() + FROZEN_S
            while time.monotonic() < end:
                if faulty.send((FAR,), timeout=0.5):
                    report.violation("frozen disk: 250 all the same")
                begin = time.monotonic()
                faulty.server.smtp().close()
                faulty.tally["slowest greeting ms"] = max(faulty.tally.get("slowest greeting ms", 0), round(1000 * (time.monotonic() - begin)))
        finally:
            call("fsfreeze", "--unfreeze", faulty.fs)
        faulty.finish(0, "frozen disk")
        tell(faulty, "frozen disk", report)


def log_full(report):
    """The log has a file system of its own, and that is full: mail goes on, and the log says how many lines it has not got."""
    with disk() as faulty:
        for role in ("mta", "mda"):
            call("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", faulty.server.directory / "log" / role)
        faulty.start()
        for _ in range(200):
            if not faulty.send((FAR, HERE[0])):
                report.violation("full log: mail is refused")
                break
        faulty.recover()
        for role in ("mta", "mda"):
            call("mount", "-o", "remount,size=16m", faulty.server.directory / "log" / role)
        faulty.finish(0, "full log")
        until(lambda: faulty.server.events("log.dropped"))
        tell(faulty, "full log", report)


def output_unread(report):
    """Nobody reads what the server says on its standard error; roles are killed until the pipe is full, and still come back."""
    with disk() as faulty:
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, ONE_PAGE)
        faulty.server.process = subprocess.Popen([os.environ["EILBOTE"], "-c", faulty.server.conf, "serve"], stdout=writer, stderr=writer,
                                                 start_new_session=True)
        until(lambda: faulty.send((FAR,), timeout=2), 20)
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(writer, b"x"):
                pass
        os.set_blocking(writer, True)
        faulty.was_killed = True
        for role in ("mta", "mda"):
            faulty.server.kill_role(role)
        try:
            faulty.recover()
        except AssertionError as fault:
            report.violation(f"unread output: {fault}")
        tell(faulty, "unread output", report)
        os.close(reader)
        os.close(writer)
        faulty.server.end_all()


def run(_given, report):
    own_mounts()
    for scenario in (full, full_and_killed, read_only,  frozen, log_full, output_unread):
        try:
            scenario(report)
            report.did(1)
        except AssertionError as fault:
            report.violation(f"{scenario.__name__}: {fault}")
