# SPDX-License-Identifier: ISC
"""Filters of Debian packages as they are: opendkim, python3-milter (both on libmilter) and Rspamd."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap

import dkim
import pytest
from server import PATIENCE_S, Smtp, free_port, until
from test_milter import MESSAGE, content, names, send


class Peer:
    """A filter that is a program of its own."""

    def __init__(self, words, port, log):
        self.port, self.log = port, log
        with log.open("wb") as out:
            self.process = subprocess.Popen([str(w) for w in words], stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        until(self.listens, why=lambda: log.read_text(errors="replace")[-3000:])

    def listens(self):
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=PATIENCE_S)
        except ProcessLookupError:
            pass

    def conf(self):
        return f'milter "peer" {{\n    socket = "inet:127.0.0.1:{self.port}"\n}}\n'


@pytest.fixture
def peers():
    made = []

    def make(*args):
        made.append(Peer(*args))
        return made[-1]
    yield make
    for one in made:
        one.close()


def serve(make_server, peer, listener="mx", more=""):
    server = make_server("--trust", "127.0.0.1/32", conf=peer.conf(), start=False)
    server.listener_conf(listener, f'milters = {{"peer"}}\n    client-name = off\n    {more}')
    server.start()
    return server


def need(program):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


def test_opendkim_signs_as_a_filter(make_server, peers, tmp_path):
    opendkim, openssl = need("opendkim"), need("openssl")
    key, port = tmp_path / "s.private", free_port()
    subprocess.run([openssl, "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    public = subprocess.run([openssl, "rsa", "-in", str(key), "-pubout", "-outform", "PEM"], check=True, capture_output=True, text=True).stdout
    record = "v=DKIM1; k=rsa; p=" + "".join(public.split("\n")[1:-2])
    (tmp_path / "conf").write_text(f"Mode s\nDomain elsewhere.test\nSelector s\nKeyFile {key}\nSocket inet:{port}@127.0.0.1\nInternalHosts 127.0.0.1\n"
                                   "Background no\nSyslog no\nRequireSafeKeys no\nCanonicalization simple/simple\n")
    peer = peers([opendkim, "-f", "-x", tmp_path / "conf"], port, tmp_path / "log")
    server = serve(make_server, peer)
    assert send(server, MESSAGE.replace("Subject: one", "Subject:one")).startswith("250 2.0.0")
    head, body = content(server)
    assert "DKIM-Signature" in names(head), head
    mail = f"{head}\n\n{body}".replace("\n", "\r\n").encode()
    assert dkim.verify(mail, dnsfunc=lambda name, timeout=5: record.encode())


FILTER = textwrap.dedent("""
    import sys
    import Milter

    class Filter(Milter.Base):
        def __init__(self):
            self.id = Milter.uniqueID()
        def connect(self, name, family, address):
            self.client = f"{name} {address[0]}"
            return Milter.CONTINUE
        @Milter.noreply
        def header(self, name, value):
            return Milter.CONTINUE
        def body(self, chunk):
            self.size = getattr(self, "size", 0) + len(chunk)
            return Milter.CONTINUE
        def eom(self):
            self.addheader("X-Client", self.client)
            self.addheader("X-Size", str(self.size))
            self.chgheader("Subject", 2, "")
            self.addheader("X-First", "first", 0)
            self.replacebody("new\\r\\n")
            self.chgfrom("<other@elsewhere.test>")
            self.addrcpt("<alice@example.test>")
            self.delrcpt("<bob@example.test>")
            self.progress()
            if self.getsymval("i") and sys.argv[2] == "hold":
                self.quarantine("because")
            if sys.argv[2] == "reply":
                self.setreply("554", "5.7.7", "not 100%% good")
                return Milter.REJECT
            return Milter.ACCEPT

    Milter.factory = Filter
    Milter.set_flags(Milter.ADDHDRS | Milter.CHGHDRS | Milter.CHGBODY | Milter.ADDRCPT | Milter.DELRCPT | Milter.CHGFROM | Milter.QUARANTINE)
    Milter.runmilter("test", "inet:" + sys.argv[1] + "@127.0.0.1", 60)
""")


def python_filter(peers, tmp_path, how):
    check = subprocess.run([sys.executable, "-c", "import Milter"], capture_output=True, check=False)
    if check.returncode:
        pytest.skip("python3-milter is not installed")
    (tmp_path / "filter.py").write_text(FILTER)
    port = free_port()
    return peers([sys.executable, tmp_path / "filter.py", port, how], port, tmp_path / "log")


def test_libmilter_edits_all(make_server, peers, tmp_path):
    server = serve(make_server, python_filter(peers, tmp_path, "edit"))
    with Smtp(server.where("smtp")) as c:
        for _ in range(2):
            c.message("a@elsewhere.test", ["bob@example.test"], MESSAGE)
    until(lambda: len(server.events("delivery.done", to="alice@example.test")) == 2, why=lambda: f"{server.events()}")
    head, body = content(server, "alice@example.test")
    assert body == "new\n" and "X-Client: [127.0.0.1] 127.0.0.1" in head and "X-Size: 7" in head and "two" not in head
    assert names(head)[0] == "X-First" and server.wait_event("message.accepted")["from"] == "other@elsewhere.test"
    assert not server.events("milter.failed")


def test_libmilter_replies_and_holds(make_server, peers, tmp_path):
    server = serve(make_server, python_filter(peers, tmp_path, "reply"))
    assert send(server).startswith("554 5.7.7 not 100% good")


def test_libmilter_holds(make_server, peers, tmp_path):
    server = serve(make_server, python_filter(peers, tmp_path, "hold"))
    assert send(server).startswith("250 2.0.0")
    held = until(server.queue)[0]
    assert "because" in server.cli("queue", "why", held["id"])


def rspamd(peers, tmp_path):
    program, port = need("rspamd"), free_port()
    user = "_rspamd" if os.getuid() == 0 else ""
    for folder in ("run", "lua"):
        (tmp_path / folder).mkdir()
        if user:
            shutil.chown(tmp_path / folder, user)
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(folder.stat().st_mode | 0o055)
    (tmp_path / "rspamd.conf").write_text(textwrap.dedent(f"""
        options {{ pidfile = "{tmp_path}/run/pid"; dns {{ nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }} filters = ""; tempdir = "{tmp_path}/run";
            control_socket = "{tmp_path}/run/rspamd.sock mode=0600"; }}
        logging {{ type = "console"; level = "info"; }}
        worker "rspamd_proxy" {{ bind_socket = "127.0.0.1:{port}"; milter = yes; timeout = 60s; count = 1;
            upstream "local" {{ default = yes; self_scan = yes; }} }}
        metric {{ name = "default"; actions {{ reject = 15; }} }}
        modules {{ path = "{tmp_path}/lua"; }}
    """))
    words = [program, "-f", "-c", tmp_path / "rspamd.conf"] + (["-u", user, "-g", user] if user else ["-i"])
    return peers(words, port, tmp_path / "log.txt")


def test_rspamd_scans_as_a_filter(make_server, peers, tmp_path):
    peer = rspamd(peers, tmp_path)
    server = serve(make_server, peer)
    got = send(server)
    assert got.startswith("250 2.0.0"), got + peer.log.read_text(errors="replace")[-3000:]
    content(server)
    assert not server.events("milter.failed")
    log = until(lambda: [t for t in peer.log.read_text(errors="replace").split("\n") if "rspamd_task_write_log" in t])[0]
    assert "<a@elsewhere.test>" in log and "127.0.0.1" in log, log
