# SPDX-License-Identifier: ISC
"""A server whose wall clock jumps. Used by the tests here and by `make torture`."""
import contextlib
import mmap
import os
import pathlib
import struct

from server import ROOT

SHIM = pathlib.Path(os.environ.get("EILBOTE_BUILD", ROOT / "build")).resolve() / "tests/torture/libclock_shim.so"
HOUR_S, TEN_YEARS_S = 3600, 3652 * 86400
JUMPS = {"an hour forward": HOUR_S, "an hour back": -HOUR_S, "ten years forward": TEN_YEARS_S, "ten years back": -TEN_YEARS_S}
CONF = "queue {\n retry-first = 3s\n retry-max = 3s\n checkpoint = 200ms\n}\n"


class Clock:
    def __init__(self, path):
        path.write_bytes(bytes(8))
        path.chmod(0o666)
        self.path = path
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 8)

    def set_ahead(self, seconds):
        struct.pack_into("q", self.memory, 0, seconds)

    @contextlib.contextmanager
    def preloaded(self):
        """Processes that are started meanwhile have this clock."""
        added = {"LD_PRELOAD": str(SHIM), "CLOCK_PLAN": str(self.path)}
        os.environ.update(added)
        try:
            yield
        finally:
            for name in added:
                del os.environ[name]
