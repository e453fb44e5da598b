# SPDX-License-Identifier: ISC
"""The wall clock jumps, by an hour and by ten years, forward and back: mail is taken, delivered and read, and what waits does not wait for years."""
import clocks
import pytest
from server import IS_SANITIZED

pytestmark = pytest.mark.skipif(IS_SANITIZED or not clocks.SHIM.exists(), reason="a sanitizer must be the first library in a process: nothing can be preloaded")


@pytest.mark.parametrize("with_restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("jump", clocks.JUMPS)
def test_the_clock_jumps(make_server, make_stub, tmp_path, jump, with_restart):
    replies, is_shy = clocks.replies()
    stub = make_stub(replies=replies)
    server = make_server("--trust", "127.0.0.1/32", conf=clocks.conf(stub), start=False)
    clock = clocks.Clock(tmp_path / "clock")
    with clock.preloaded():
        server.start()
    clocks.scene(server, stub, is_shy, clock, clocks.JUMPS[jump], with_restart)
