# SPDX-License-Identifier: ISC
"""eilbote bench source and sink against each other."""
import json
import signal
import subprocess

import pytest
from peers import is_listening
from server import EILBOTE, PATIENCE_S, until


class Sink:
    def __init__(self, directory, *options):
        self.path = directory / "sink"
        self.at = f"unix:{self.path}"
        self.process = subprocess.Popen([EILBOTE, "bench", "sink", "--listen", self.at, "--json", *options], stdout=subprocess.PIPE, text=True)
        until(lambda: is_listening(self.path) or self.process.poll() is not None)
        assert self.process.poll() is None

    def totals(self):
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0
        return json.loads(out)


def source(sink, *options):
    done = subprocess.run([EILBOTE, "bench", "source", "--to", sink.at, "--json", *options], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("options", [[], ["--no-pipelining"], ["--threads", "2"], ["--size", "70000"], ["--per-connection", "1"], ["--per-connection", "7"]])
def test_every_message_arrives_once(tmp_path, options):
    sink = Sink(tmp_path)
    status, sent = source(sink, "--messages", "500", "--connections", "5", "--latency", *options)
    totals = sink.totals()
    assert (status, sent["messages"], sent["errors"]) == (0, 500, {})
    assert (totals["messages"], totals["refused"]) == (500, 0)
    assert 0 < sent["latency_us"]["median"] <= sent["latency_us"]["p99"]


def test_size_is_the_content_on_the_wire(tmp_path):
    sink = Sink(tmp_path, "--lmtp")
    status, _ = source(sink, "--lmtp", "--messages", "10", "--size", "4096")
    assert status == 0
    assert sink.totals()["bytes"] == 10 * 4096


def test_refused_messages_are_counted_by_code(tmp_path):
    sink = Sink(tmp_path, "--refuse-percent", "25", "--delay-ms", "5")
    status, sent = source(sink, "--messages", "100", "--connections", "1")
    totals = sink.totals()
    assert (status, sent["messages"], sent["errors"]) == (1, 75, {"451": 25})
    assert (totals["messages"], totals["refused"]) == (75, 25)


def test_idle_connections_are_held(tmp_path):
    sink = Sink(tmp_path)
    done = subprocess.run([EILBOTE, "bench", "source", "--to", sink.at, "--idle", "50", "--seconds", "1"], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout) == (0, "holding 50\n")
    assert sink.totals()["connections"] == 50
