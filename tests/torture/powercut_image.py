# SPDX-License-Identifier: ISC
"""The disk of the power cuts: recorded under a loop device, and built again as a cut may have left it."""
import array
import mmap
import os
import subprocess
import time

WRITE, FLUSH = 1, 2
INDEX_HEAD, ENTRY_WORDS = 4096, 4
SECTOR = 512
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
    """The log of a disk, and an image that follows it from flush to flush."""

    def __init__(self, base, index, data, stable):
        self.data = open(data, "rb")
        with open(index, "rb") as file:
            count = int.from_bytes(file.read(8), "little")
            file.seek(INDEX_HEAD)
            self.entries = array.array("Q", file.read(count * ENTRY_WORDS * 8))
        subprocess.run(["cp", "--sparse=always", base, stable], check=True)
        self.image, self.stable, self.at = stable, open(stable, "r+b", buffering=0), 0

    def __len__(self):
        return len(self.entries) // ENTRY_WORDS

    def entry(self, at):
        return self.entries[at * ENTRY_WORDS:(at + 1) * ENTRY_WORDS]

    def apply(self, at, fd, size=None):
        _, offset, whole, data_at = self.entry(at)
        size = whole if size is None else size
        os.pwrite(fd, os.pread(self.data.fileno(), size, data_at), offset)

    def last_flush(self, cut):
        """The number of entries up to and with the last flush before the cut."""
        while cut > 0 and self.entry(cut - 1)[0] != FLUSH:
            cut -= 1
        return cut

    def advance(self, cut):
        """Brings the image to the last flush before the cut; gives the writes after it. Cuts come in rising order."""
        flush = self.last_flush(cut)
        for at in range(self.at, flush):
            if self.entry(at)[0] == WRITE:
                self.apply(at, self.stable.fileno())
        self.at = max(self.at, flush)
        return list(range(self.at, cut))


def choose(rng, pending, recording):
    """What of the writes after the flush reached the disk: (entry, bytes) in their order; the last one maybe in part."""
    share = rng.choice((0, 0.2, 0.5, 0.8, 1))
    chosen = [(at, recording.entry(at)[2]) for at in pending if rng.random() < share]
    if chosen:
        at, size = chosen[-1]
        chosen[-1] = (at, rng.randint(0, size // SECTOR) * SECTOR)
    return chosen
