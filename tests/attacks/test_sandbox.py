# SPDX-License-Identifier: ISC
"""
Each role tries, from inside of its process and behind its sandbox, what it must not do (trespass.c, preloaded); and is refused.

The defence is sandbox_enter() in os/sandbox.c with the paths of enter_sandbox() in role/role_process.c, and sandbox_become().
"""
import os
import pathlib
import re
import socket
import subprocess

import pytest
from dialogue import pop
from peers import transport
from server import EILBOTE, IS_SANITIZED, until

BUILD = pathlib.Path(os.environ.get("EILBOTE_BUILD", "build"))
pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="with sanitizers the roles are threads without a sandbox, and checks of their own are built in")
REFUSED = ("EPERM", "EACCES")
# What the mta is for. (A path of a Unix socket that is not there is refused as such.)
MAY = {"mta": {"connect": ("DONE",), "fast_open": ("DONE", "EOPNOTSUPP", "EINPROGRESS"), "datagram": ("DONE",), "connect_unix": ("ENOENT",),
               **{name: ("DONE",) for name in ("datagram_unix", "raw_unix", "datagram_pair")},
               **{name: ("ENOTCONN", "EOPNOTSUPP", "EINVAL") for name in ("fast_open_message", "fast_open_messages")}},
       "mda": {}}


@pytest.fixture
def secret(tmp_path):
    """A key that no configuration names, readable for everybody but a sandbox."""
    tmp_path.chmod(0o755)
    for folder in list(tmp_path.parents)[:2]:
        folder.chmod(0o755)
    key = tmp_path / "other.key"
    key.write_text("secret\n")
    key.chmod(0o666)
    return key


@pytest.fixture
def trespassers(make_server, stub, secret):
    """The reports of both roles: what was tried, and what came of it."""
    server = make_server(conf=transport("away.test", stub.port), roles_have_users=True, start=False)
    server.start()
    with server.smtp() as c:
        c.message("x@elsewhere.test", ["alice@example.test"])
    server.wait_empty()
    assert len(pop(server)) == 1
    server.stop()
    users = dict(re.findall(r'(m[td]a)-user = "(\d+):', server.conf.read_text()))
    # Somebody else's process of the same user, and somebody who listens.
    reports = {}
    listener = socket.create_server(("127.0.0.1", 0))
    for role, other in (("mta", "mda"), ("mda", "mta")):
        victim = subprocess.Popen(["sleep", "600"], user=int(users[role]) if users else None)
        state = {"mta": "spool", "mda": "mail"}
        files = [path for path in (server.directory / state[other]).rglob("*") if path.is_file()]
        keys = list((server.directory / "keys").rglob("*.pem"))
        assert len(keys) == 2
        # The mta signs, and may read them; nobody writes, and the mda does not even see them.
        reads = [*(keys if role == "mda" else []), *files[:8], server.directory / "log" / other / "events.jsonl", secret, "/root/.bashrc", "/etc/shadow" if users else secret, "/proc/1/environ"]
        writes = [*keys, server.directory / "directory.db", server.conf, server.directory / "tls" / "key.pem", EILBOTE, secret, "/etc/passwd", "/proc/self/mem"]
        lists = [*([server.directory / "keys"] if role == "mda" else []), server.directory / state[other], server.directory, "/home", "/root", "/var", "/dev", "/tmp", secret.parent, "/", "/sys"]
        makes = [server.directory / "keys" / "new", server.directory / "new", server.directory / state[other] / "new", server.directory / "ctl" / other / "new", server.directory / "log" / other / "new",
                 secret.parent / "new", "/tmp/eb-new", "/etc/eb-new"]
        paths = [(kind, path) for kind, which in (("read", reads), ("write", writes), ("list", lists), ("make", makes)) for path in which]
        os.environ["EILBOTE_TRESPASS"] = ";".join([f"role={role}", f"victim={victim.pid}", f"port={listener.getsockname()[1]}", *(f"{kind}={os.path.abspath(path)}" for kind, path in paths)])
        os.environ["LD_PRELOAD"] = str((BUILD / "tests" / "attacks" / "libtrespass.so").resolve())
        try:
            server.begin()
        finally:
            del os.environ["LD_PRELOAD"], os.environ["EILBOTE_TRESPASS"]
        report = server.directory / "log" / role / "trespass.txt"
        until(lambda report=report: report.exists() and report.read_text().endswith("end DONE\n"), why=lambda: "".join(server.output))
        reports[role] = dict(line.rsplit(" ", 1) for line in report.read_text().splitlines())
        assert len([name for name in reports[role] if "=" in name]) == len(set(paths)), "an attempt on a path was lost"
        server.stop()
        victim.kill()
        victim.wait()
    listener.close()
    return reports


def test_each_role_is_refused_what_it_must_not_do(trespassers):
    for role, report in trespassers.items():
        assert report.pop("end") == "DONE" and len(report) > 90
        wrong = {name: got for name, got in report.items() if got not in MAY[role].get(name, ("ENOSYS",) if name == "clone3" else REFUSED)}
        assert wrong == {}, role


def test_every_thread_of_a_role_is_confined(make_server):
    server = make_server()
    for role in ("mta", "mda"):
        tasks = list(pathlib.Path(f"/proc/{server.role(role)}/task").iterdir())
        assert len(tasks) > 2
        for task in tasks:
            status = (task / "status").read_text()
            assert re.search(r"^Seccomp:\t2$", status, re.M) and re.search(r"^NoNewPrivs:\t1$", status, re.M), (role, status)
            assert re.search(r"^CapEff:\t0+$", status, re.M) or os.geteuid() != 0 or "mta-user" not in server.conf.read_text()


def headers(path, *options):
    return subprocess.run(["readelf", "-W", *options, str(path)], capture_output=True, text=True, check=True).stdout


def test_the_binary_is_hardened():
    """PIE, full RELRO, no stack that runs, nothing both written and run, and the stack protector."""
    kind, segments, dynamic, symbols = (headers(EILBOTE, option) for option in ("-h", "-l", "-d", "--dyn-syms"))
    assert re.search(r"Type:\s+DYN ", kind) and re.search(r"\(FLAGS_1\).*\bPIE\b", dynamic)
    assert "GNU_RELRO" in segments and re.search(r"\(FLAGS_1\).*\bNOW\b", dynamic)
    assert re.search(r"GNU_STACK\s+\S+ \S+ \S+ \S+ \S+ RW\s", segments) and not re.search(r"\bRWE\b", segments)
    assert "TEXTREL" not in dynamic and "RPATH" not in dynamic and "RUNPATH" not in dynamic
    assert "__stack_chk_fail" in symbols


def test_calls_on_buffers_are_fortified():
    """Those that have a checked form use it; snprintf may be there without for buffers whose size is not known."""
    symbols = headers(EILBOTE, "--dyn-syms")
    used = set(re.findall(r" UND (\w+)@", symbols))
    assert {"__vsnprintf_chk", "__snprintf_chk", "__fprintf_chk"} <= used
    assert not used & {"vsnprintf", "sprintf", "strcpy", "strcat", "gets", "printf", "fprintf"}, used


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="these marks are those of x86-64")
def test_indirect_branches_are_marked():
    """
    In every object of ours (-fcf-protection). The program as a whole cannot carry the mark: the C library's start-up files of Debian 12 have
    none, and the linker keeps only what all have.
    """
    for library in ("libpure.a", "librooms.a"):
        notes = headers(BUILD / "src" / library, "-n").split("\nFile: ")[1:]
        assert len(notes) > 10 and [note.split("\n")[0] for note in notes if not re.search(r"x86 feature:.*\bIBT\b.*\bSHSTK\b", note)] == []
