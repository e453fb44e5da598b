# SPDX-License-Identifier: ISC
"""The disk of the power cuts: recorded under a loop device, and built again as a cut may have left it."""
import array
import mmap
import os
import subprocess
import time

WRITE, FLUSH = 1, 2
INDEX_HEAD, ENTRY_WORDS = 4096, 4
SECTOR, BLOCK = 512, 4096
COMMIT = bytes.fromhex("c03b399800000002")  # how a commit block of the journal begins: the magic number and its type
PATIENCE_S = 30


class MountFailed(Exception):
    """A file system of FUSE or on the loop device could not be mounted: nothing can be said about the point."""


class Disk:
    """A file of FUSE with a loop device and ext4 on it. The place has the folders "fuse" and "fs" for the two mounts."""

    def __init__(self, program, place, mode, image, *more):
        self.fuse, self.fs = place / "fuse", place / "fs"
        self.program = subprocess.Popen([program, mode, self.fuse, image, *more])
        end = time.monotonic() + PATIENCE_S
        while not (self.fuse / "disk").exists():
            if self.program.poll() is not None or time.monotonic() > end:
                raise MountFailed("FUSE does not serve the disk")
            time.sleep(0.002)

    def bytes(self):
        return open(self.fuse / "disk", "r+b", buffering=0)

    def repair(self):
        """What a start of the machine does with a file system that has no journal of its own."""
        done = subprocess.run(["e2fsck", "-fy", self.fuse / "disk"], capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise MountFailed(done.stderr.strip() or done.stdout.strip())

    def mount(self):
        done = subprocess.run(["mount", "-t", "ext4", "-o", "loop", self.fuse / "disk", self.fs], capture_output=True, text=True, check=False)
        if done.returncode:
            raise MountFailed(done.stderr.strip())

    def close(self):
        """Who was killed may be using it for a moment, and the loop device goes with its last user."""
        if os.path.ismount(self.fs):
            unmount(self.fs)
        unmount(self.fuse)
        self.program.wait()


def unmount(place):
    end = time.monotonic() + PATIENCE_S
    while subprocess.run(["umount", place], stderr=subprocess.DEVNULL, check=False).returncode:
        if time.monotonic() > end:
            raise MountFailed(f"{place} is still in use")
        time.sleep(0.005)


def make_image(path, size, has_journal):
    with open(path, "wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", *([] if has_journal else ["-O", "^has_journal"]), path], check=True)


class Counter:
    """How many writes and flushes have been recorded by now."""

    def __init__(self, index):
        with open(index, "r+b") as file:
            self.memory = memoryview(mmap.mmap(file.fileno(), INDEX_HEAD)).cast("Q")

    def now(self):
        return self.memory[0]


class Recording:
    """The log of a disk."""

    def __init__(self, index, data):
        self.data = open(data, "rb")
        with open(index, "rb") as file:
            count = int.from_bytes(file.read(8), "little")
            file.seek(INDEX_HEAD)
            self.entries = array.array("Q", file.read(count * ENTRY_WORDS * 8))

    def __len__(self):
        return len(self.entries) // ENTRY_WORDS

    def kind(self, at):
        return self.entries[at * ENTRY_WORDS]

    def size(self, at):
        return self.entries[at * ENTRY_WORDS + 2]

    def apply(self, at, fd, size=None):
        _, offset, whole, data_at = self.entries[at * ENTRY_WORDS:(at + 1) * ENTRY_WORDS]
        os.pwrite(fd, os.pread(self.data.fileno(), whole if size is None else size, data_at), offset)

    def apply_all(self, first, end, fd):
        for at in range(first, end):
            if self.kind(at) == WRITE:
                self.apply(at, fd)

    def commits(self, first, end):
        """Where ext4 ends a transaction of its journal: until then, what names files have is in memory only."""
        return [at for at in range(first, end) if self.kind(at) == WRITE and self.has_commit(at)]

    def has_commit(self, at):
        _, _, size, data_at = self.entries[at * ENTRY_WORDS:(at + 1) * ENTRY_WORDS]
        return any(os.pread(self.data.fileno(), len(COMMIT), data_at + k) == COMMIT for k in range(0, size, BLOCK))

    def last_flush(self, cut):
        """The number of entries up to and with the last flush before the cut."""
        while cut > 0 and self.kind(cut - 1) != FLUSH:
            cut -= 1
        return cut


class Follower:
    """An image that follows a recording from flush to flush."""

    def __init__(self, recording, base, image):
        subprocess.run(["cp", "--sparse=always", base, image], check=True)
        self.recording, self.path, self.file, self.at = recording, image, open(image, "r+b", buffering=0), 0

    def advance(self, cut):
        """To the last flush before the cut; gives the writes after it. Cuts come in rising order."""
        flush = self.recording.last_flush(cut)
        self.recording.apply_all(self.at, flush, self.file.fileno())
        self.at = max(self.at, flush)
        return range(self.at, cut)


def choose(rng, pending, recording):
    """What of the writes after the flush reached the disk: (entry, bytes) in their order; the last one maybe in part."""
    share = rng.choice((0, 0.1, 0.2, 0.3, 0.5, 0.5, 0.7, 0.8, 0.9, 1))
    chosen = [(at, recording.size(at)) for at in pending if rng.random() < share]
    if chosen:
        at, size = chosen[-1]
        chosen[-1] = (at, rng.randint(0, size // SECTOR) * SECTOR)
    return chosen
