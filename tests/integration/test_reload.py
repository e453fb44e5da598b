# SPDX-License-Identifier: ISC
"""A reload: options and certificates anew, listeners opened and closed, no session dropped; what cannot be had changes nothing."""
import os
import pathlib
import poplib
import re
import resource
import signal
import smtplib
import socket
import threading

import pytest
from server import IS_SANITIZED, Smtp, free_port, has_ipv6, until

ONE_PROCESS = "the sanitized builds serve with --single: there is no process of a role"
in_processes = pytest.mark.skipif(IS_SANITIZED, reason=ONE_PROCESS)


@pytest.fixture(params=["processes", "single"])
def server(request, make_server):
    """In processes and on threads."""
    if request.param == "processes" and IS_SANITIZED:
        pytest.skip(ONE_PROCESS)
    return make_server(single=request.param == "single")


def replace(server, before, after):
    text = server.conf.read_text()
    assert before in text
    server.conf.write_text(text.replace(before, after))


def remove_listener(server, name):
    text = server.conf.read_text()
    server.conf.write_text(re.sub(rf'listener "{name}" {{.*?\n}}\n', "", text, flags=re.S))
    assert server.conf.read_text() != text


def add_listener(server, name, role, port):
    server.add_conf(f'listener "{name}" {{\n role = {role}\n address = {{"127.0.0.1"}}\n port = {port - server.offset}\n}}\n')


def is_open(where):
    with socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET) as s:
        try:
            s.connect(where)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True


def is_pop3_open(port):
    client = poplib.POP3("127.0.0.1", port)
    welcome = client.getwelcome()
    client.quit()
    return welcome.startswith(b"+OK")


def test_keys_may_be_anywhere(make_server):
    server = make_server(start=False)
    keys = server.base / "keys"
    (server.directory / "tls").rename(keys)
    replace(server, '"tls/', f'"{keys}/')
    server.start()
    with server.smtp("submissions") as c:
        c.login("alice@example.test")
    server.reload()
    if not server.wait_event("role.ready")["landlock"]:
        pytest.skip("no Landlock here that could forbid it (kernel, or serve --single)")


def test_sessions_stay_and_new_ones_have_the_new_limits(server):
    with server.smtp() as c:
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        server.add_conf("limits {\n message-size = 64K\n}\n")
        server.reload()
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("DATA", "354 ")
        c.expect("Subject: s\r\n\r\nx\r\n.", "250 ")
        with server.smtp() as other:
            assert "SIZE 65536" in other.hello


def test_listeners_of_both_roles_come_and_go_and_sessions_stay(server):
    more_smtp, more_pop3 = free_port(), free_port()
    lmtp = str(server.directory / "ctl" / "lmtp.sock")
    with server.smtp() as c, smtplib.LMTP(lmtp) as l:
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        l.ehlo()
        add_listener(server, "more", "mx", more_smtp)
        add_listener(server, "mail", "pop3", more_pop3)
        remove_listener(server, "mx")
        remove_listener(server, "pop3")
        replace(server, 'path = "ctl/lmtp.sock"', 'path = "ctl/other.sock"')
        server.reload()
        assert not is_open(server.where("smtp")) and not is_open(server.where("pop3")) and not is_open(lmtp)
        assert is_open(server.where("submission")) and is_open(server.where("pop3s"))
        with Smtp(("127.0.0.1", more_smtp)) as other:
            other.expect("MAIL FROM:<a@far.test>", "250 ")
        assert is_pop3_open(more_pop3)
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("DATA", "354 ")
        c.expect("Subject: s\r\n\r\nx\r\n.", "250 ")
        l.sendmail("a@far.test", ["bob@example.test"], b"Subject: s\r\n\r\nx\r\n")
    assert not pathlib.Path(lmtp).exists()
    with smtplib.LMTP(str(server.directory / "ctl" / "other.sock")) as other:
        other.sendmail("a@far.test", ["bob@example.test"], b"Subject: s\r\n\r\nx\r\n")
    # And back, by signal.
    remove_listener(server, "more")
    server.add_conf('listener "mx" {\n role = mx\n address = {"127.0.0.1"}\n}\n')
    server.hang_up("reload.done")
    with server.smtp() as again:
        again.expect("NOOP", "250 ")
    until(lambda: not is_open(("127.0.0.1", more_smtp)))


def test_a_listener_that_is_renamed_keeps_its_socket(server):
    """Whoever waits to be accepted is not sent away: it is the same socket all the time."""
    inode = socket_inode(server, server.port("smtp"))
    replace(server, 'listener "mx" {', 'listener "world" {')
    server.reload()
    assert socket_inode(server, server.port("smtp")) == inode
    with server.smtp() as c:
        c.expect("NOOP", "250 ")


@pytest.mark.parametrize("one, every", [("127.0.0.1", "0.0.0.0"), ("::1", "::")])
def test_a_listener_moves_between_one_address_and_all(server, one, every):
    """Within one reload, and nobody who connects meanwhile finds no listener."""
    family = socket.AF_INET6 if ":" in one else socket.AF_INET
    if family == socket.AF_INET6 and not has_ipv6():
        pytest.skip("no IPv6 here")
    port = free_port()
    remove_listener(server, "mx")

    def move(address, other):
        if f'address = {{"{other}"}} #moves' in server.conf.read_text():
            replace(server, f'address = {{"{other}"}} #moves', f'address = {{"{address}"}} #moves')
        else:
            server.add_conf(f'listener "mx" {{\n role = mx\n address = {{"{address}"}} #moves\n port = {port - server.offset}\n}}\n')
        server.reload()

    def knock():
        while not is_over.wait(0.05):
            with socket.socket(family) as s:
                if error := s.connect_ex((one, port)):
                    errors.append(error)

    move(one, every)
    errors, is_over = [], threading.Event()
    visitor = threading.Thread(target=knock)
    with Smtp((one, port)) as c:
        c.expect("MAIL FROM:<a@far.test>", "250 ")
        visitor.start()
        try:
            for address, other in ((every, one), (one, every)):
                move(address, other)
                # A second server gets no share of the port.
                with pytest.raises(OSError, match="in use"):
                    socket.create_server((one, port), family=family)
                with Smtp((one, port)) as new:
                    new.expect("NOOP", "250 ")
        finally:
            is_over.set()
            visitor.join()
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("DATA", "354 ")
        c.expect("Subject: s\r\n\r\nx\r\n.", "250 ")
    assert errors == []


def socket_inode(server, port):
    for line in pathlib.Path("/proc/net/tcp").read_text().split("\n")[1:]:
        field = line.split()
        if field and field[1].endswith(f":{port:04X}") and field[3] == "0A":
            return field[9]
    raise AssertionError(f"nobody listens on port {port}: " + "".join(server.output))


def test_a_broken_configuration_changes_nothing(server):
    server.add_conf("nonsense = 1\n")
    assert 'unknown option "nonsense"' in server.cli("reload", status=1)
    server.hang_up("reload.failed")
    until(lambda: any(line.startswith("eilbote: reload refused: eilbote.conf:") for line in server.output))
    assert all('unknown option "nonsense"' in e["text"] for e in server.events("reload.failed"))
    with server.smtp() as c:
        assert "SIZE 52428800" in c.hello


def test_a_port_that_is_taken_changes_nothing(server):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        remove_listener(server, "mx")
        server.add_conf(f'listener "taken" {{\n role = mx\n address = {{"127.0.0.1"}}\n port = {port - server.offset}\n}}\n')
        assert f'listener "taken": cannot listen on 127.0.0.1:{port}: Address already in use' in server.cli("reload", status=1)
    with server.smtp() as c:
        c.expect("NOOP", "250 ")
    server.reload()
    assert not is_open(server.where("smtp")) and is_open(("127.0.0.1", port))


def test_what_the_roles_refuse_costs_no_listener(server):
    """The supervisor does not look at keys, the roles do."""
    port = free_port()
    before = server.conf.read_text()
    add_listener(server, "more", "mx", port)
    remove_listener(server, "pop3")
    key = server.directory / "tls" / "key.pem"
    content = key.read_bytes()
    key.write_bytes(b"no key\n")
    assert re.search(r"the m[td]a refused: .*key\.pem", server.cli("reload", status=1))
    assert not is_open(("127.0.0.1", port))
    with server.smtp() as c:
        c.expect("NOOP", "250 ")
    assert is_pop3_open(server.port("pop3"))
    key.write_bytes(content)
    server.reload()
    assert is_open(("127.0.0.1", port)) and not is_open(server.where("pop3"))
    server.conf.write_text(before)
    server.reload()
    assert is_pop3_open(server.port("pop3"))


@in_processes
@pytest.mark.skipif(os.geteuid() != 0, reason="the roles have users of their own only when root starts them")
def test_what_one_role_refuses_is_undone_for_the_other(make_server):
    server = make_server(roles_have_users=True)
    port = free_port()
    add_listener(server, "more", "mx", port)
    key = server.directory / "tls" / "key.pem"
    os.chown(key, int(re.search(r'mta-user = "(\d+):', server.conf.read_text())[1]), -1)
    key.chmod(0o400)
    assert re.search("the mda refused: .*key.pem", server.cli("reload", status=1))
    assert "the mda refused" in server.wait_event("reload.undone")["text"]
    assert not is_open(("127.0.0.1", port))
    # The mta gets what has worked when it is started again.
    server.crash_role("mta")
    assert not is_open(("127.0.0.1", port))
    key.chmod(0o444)
    server.reload()
    assert is_open(("127.0.0.1", port))


@in_processes
def test_a_role_that_dies_during_a_reload_is_started_with_the_new_set(make_server):
    server = make_server()
    port = free_port()
    add_listener(server, "more", "pop3", port)
    remove_listener(server, "pop3")
    mda = until(lambda: server.role("mda"))
    until(lambda: len(server.events("role.ready")) == 2)  # in the file, before its writer is stopped
    os.kill(mda, signal.SIGSTOP)
    server.hang_up("reload.done", 1)
    # The mta works with the new set, the mda with the old one, whose sockets are kept.
    assert is_open(server.where("pop3"))
    os.kill(mda, signal.SIGKILL)
    until(lambda: len(server.events("role.ready")) == 3)
    assert is_pop3_open(port)
    until(lambda: not is_open(server.where("pop3")))


@in_processes
def test_a_role_without_room_for_the_sockets_refuses_and_goes_on(make_server):
    server = make_server()
    port = free_port()
    add_listener(server, "more", "mx", port)
    mta = until(lambda: server.role("mta"))
    before = resource.prlimit(mta, resource.RLIMIT_NOFILE)
    open_now = 1 + max(int(entry.name) for entry in pathlib.Path(f"/proc/{mta}/fd").iterdir())
    resource.prlimit(mta, resource.RLIMIT_NOFILE, (open_now, before[1]))
    server.hang_up("reload.failed", 1)
    assert "too many open files" in server.events("reload.failed")[0]["text"]
    until(lambda: any("reload: the mta refused: too many open files" in line for line in server.output))
    resource.prlimit(mta, resource.RLIMIT_NOFILE, before)
    server.reload()
    assert is_open(("127.0.0.1", port)) and server.role("mta") == mta


@in_processes
def test_a_signal_that_comes_while_a_role_starts_is_kept(make_server):
    """Before it listens to signals a role would be ended by one, and leave things half done."""
    server = make_server(start=False)
    for _ in range(5):
        server.begin()
        until(lambda: server.role("mta") and server.role("mda"))
        for name in ("mta", "mda"):
            os.kill(server.role(name), signal.SIGHUP)
        server.stop()
        assert "was ended" not in "".join(server.output)
        server.assert_clean()


def test_reload_without_a_server(make_server):
    server = make_server(start=False)
    assert "the server is not running; start it with: eilbote -c " in server.cli("reload", status=1)
