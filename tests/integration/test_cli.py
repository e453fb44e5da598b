# SPDX-License-Identifier: ISC
"""The operator's commands: init, check, domain, user, alias, directory."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EILBOTE = os.environ.get("EILBOTE", str(ROOT / "build" / "eilbote"))


def run(*words, stdin="", conf=None):
    env = dict(os.environ)
    env.pop("EILBOTE_CONF", None)
    if conf:
        env["EILBOTE_CONF"] = str(conf)
    return subprocess.run([EILBOTE, *map(str, words)], input=stdin, capture_output=True, text=True, env=env, check=False)


def good(*words, **more):
    """What it prints. Whether answers of the DNS can be proven on this machine is not the tests' concern."""
    done = run(*words, **more)
    assert (done.returncode, re.sub(r"^warning: resolver: .*\n", "", done.stderr)) == (0, "")
    return done.stdout


def refused(*words, status=1, **more):
    done = run(*words, **more)
    assert done.returncode == status
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.fixture
def server(tmp_path):
    good("init", "--dir", tmp_path / "dir", "--domain", "example.test", "--user", "alice@example.test", "--local",
         "--password-stdin", stdin="secret\n")
    return tmp_path / "dir" / "eilbote.conf"


def test_init_makes_what_check_accepts(server):
    assert good("-c", server, "check") == f"{server} is good\n"
    assert good("check", conf=server) == f"{server} is good\n"
    assert json.loads(good("check", "--json", conf=server)) == {"ok": True, "errors": []}
    modes = {name: oct((server.parent / name).stat().st_mode & 0o777) for name in
             ("eilbote.conf", "directory.db", "tls/key.pem", "spool", "mail", "spool/bodies", "log/mta", "ctl/mda")}
    assert modes == {"eilbote.conf": "0o644", "directory.db": "0o640", "tls/key.pem": "0o640", "spool": "0o700", "mail": "0o700",
                     "spool/bodies": "0o700", "log/mta": "0o750", "ctl/mda": "0o700"}


def test_init_as_root_gives_each_role_its_own(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    reachable = pathlib.Path(subprocess.run(["mktemp", "-d", "/tmp/eilbote-test-init-XXXXXX"], capture_output=True, text=True,
                                            check=True).stdout.strip())
    try:
        reachable.chmod(0o755)
        good("init", "--dir", reachable / "d", "--domain", "example.test", "--user", "a@example.test", "--password-stdin", stdin="x\n")
        conf = (reachable / "d" / "eilbote.conf").read_text()
        users = re.findall(r'^(mta|mda)-user = "([^"]+)"$', conf, re.M)
        assert [name for name, _ in users] == ["mta", "mda"]
        owner = {name: (reachable / "d" / name).stat() for name in ("spool", "spool/journal", "mail", "log/mta", "log/mda", "directory.db")}
        assert owner["spool"].st_uid == owner["spool/journal"].st_uid == owner["log/mta"].st_uid != 0
        assert owner["mail"].st_uid == owner["log/mda"].st_uid not in (0, owner["spool"].st_uid)
        assert owner["directory.db"].st_uid == 0
        assert owner["directory.db"].st_gid == owner["spool"].st_gid == owner["mail"].st_gid != 0
        good("-c", reachable / "d" / "eilbote.conf", "check")
    finally:
        shutil.rmtree(reachable)


def test_init_begins_with_a_policy_unless_it_is_for_this_machine_alone(tmp_path, server):
    good("init", "--dir", tmp_path / "open", "--domain", "example.test", "--user", "alice@example.test")
    conf = tmp_path / "open" / "eilbote.conf"
    good("-c", conf, "check")
    assert "unknown-sender-domain = \"refuse\"" in good("-c", conf, "check", "--print") and 'policy "mx"' in conf.read_text()
    assert "policy" not in server.read_text()


def test_init_takes_a_domain_in_u_labels(tmp_path):
    folder = tmp_path / "d"
    said = good("init", "--dir", folder, "--domain", "M\u00fcnchen.test", "--user", "A@M\u00dcNCHEN.test")
    assert "a@xn--mnchen-3ya.test" in said
    conf = folder / "eilbote.conf"
    assert good("user", "list", conf=conf) == "a@xn--mnchen-3ya.test quota=0 enabled=yes\n"
    assert 'hostname = "mail.xn--mnchen-3ya.test"\n' in conf.read_text()


def test_init_prints_the_password_it_made_and_the_dns(tmp_path):
    out = good("init", "--dir", tmp_path, "--domain", "example.test", "--user", "alice@example.test", "--relay", "smtp.example.net:587",
               "--trust", "10.0.0.0/8", "--trust", "::1", "--port-offset", "2000")
    assert re.search(r"^alice@example\.test has the password [a-z2-9]{24}$", out, re.M)
    assert f"what eilbote -c {tmp_path}/eilbote.conf dns print example.test says" in out and "  mail.example.test.  A    <IPv4 address>\n" in out
    assert out.endswith(f"Next: eilbote -c {tmp_path}/eilbote.conf check\n")
    printed = good("-c", tmp_path / "eilbote.conf", "check", "--print")
    assert 'hostname = "mail.example.test"\n' in printed
    assert "port-offset = 2000\n" in printed
    assert '    trust = {"10.0.0.0/8", "::1/128"}\n' in printed
    assert '    host = "smtp.example.net"\n    port = 587\n' in printed


@pytest.mark.parametrize("relay, host, port", [("[::1]:25", "::1", 25), ("[2001:db8::2]:587", "2001:db8::2", 587),
                                               ("192.0.2.1:25", "192.0.2.1", 25)])
def test_init_takes_addresses_as_relay(tmp_path, relay, host, port):
    good("init", "--dir", tmp_path, "--domain", "a.test", "--user", "x@a.test", "--relay", relay)
    printed = json.loads(good("-c", tmp_path / "eilbote.conf", "check", "--print", "--json"))
    assert (printed["smarthost"]["host"], printed["smarthost"]["port"]) == (host, port)


@pytest.mark.parametrize("relay", ["::1:25", "::1", "[::1]", "[::1]:0", "[::1]:x", "[::1:25", "[192.0.2.1]:25", "[h.test]:25", "[]:25", ":25",
                                   "[::g]:25", "h.test:", "[::1]25"])
def test_init_refuses_what_is_no_relay(tmp_path, relay):
    assert refused("init", "--dir", tmp_path / "d", "--domain", "a.test", "--user", "x@a.test", "--relay", relay, status=2)[0] == (
        f'eilbote init: --relay is "{relay}"; allowed: HOST:PORT, with an IPv6 address [IPV6]:PORT')


def test_init_with_the_configuration_elsewhere(tmp_path):
    (tmp_path / "etc").mkdir()
    conf = tmp_path / "etc" / "eilbote.conf"
    good("init", "--dir", tmp_path / "var", "--conf", conf, "--domain", "a.test", "--user", "x@a.test")
    assert f'state-directory = "{tmp_path}/var"\n' in conf.read_text()
    assert not (tmp_path / "var" / "eilbote.conf").exists()
    assert good("check", conf=conf) == f"{conf} is good\n"
    assert good("user", "list", conf=conf) == "x@a.test quota=0 enabled=yes\n"


@pytest.mark.parametrize("user", ["postmaster", "root"])
def test_init_makes_no_alias_of_the_users_own_name(tmp_path, user):
    other = {"postmaster": "root", "root": "postmaster"}[user]
    good("init", "--dir", tmp_path / "d", "--domain", "example.test", "--user", f"{user}@example.test")
    assert good("-c", tmp_path / "d" / "eilbote.conf", "alias", "list") == f"{other}@example.test {user}@example.test\n"


def test_init_refuses_to_overwrite(server):
    before = server.read_text()
    assert refused("init", "--dir", server.parent, "--domain", "b.test", "--user", "b@b.test") == [
        f"eilbote init: {server} exists already; init does not overwrite"]
    assert server.read_text() == before


@pytest.mark.parametrize("words, message", [
    (["--domain", "a.test", "--user", "x@a.test"], "--dir, --domain and --user are needed"),
    (["--dir", "D", "--domain", "a b", "--user", "x@a.test"], '--domain is "a b"; allowed: a domain name'),
    (["--dir", "D", "--domain", "10.1", "--user", "x@10.1"], '--domain is "10.1"; allowed: a domain name'),
    (["--dir", "D", "--domain", "_x.test", "--user", "x@_x.test"], '--domain is "_x.test"; allowed: a domain name'),
    (["--dir", "D", "--domain", "a.test", "--user", "x@a.test", "--hostname", "192.0.2.1"],
     '--hostname is "192.0.2.1"; allowed: a domain name'),
    (["--dir", "D", "--domain", "a.test", "--user", "x@a.test", "--relay", "192.0.2.256:25"],
     '--relay is "192.0.2.256:25"; allowed: HOST:PORT, with an IPv6 address [IPV6]:PORT'),
    (["--dir", "D", "--domain", "a.test", "--user", "x@b.test"], '--user is "x@b.test"; allowed: an address like alice@a.test'),
    (["--dir", "D", "--domain", "a.test", "--user", "x@a.test", "--port-offset", "x"], '--port-offset is "x"; allowed: 0 to 60000'),
    (["--dir", "D", "--domain", "a.test", "--user", "x@a.test", "--relay", "h"],
     '--relay is "h"; allowed: HOST:PORT, with an IPv6 address [IPV6]:PORT'),
    (["--dir", "D", "--domain", "a.test", "--user", "x@a.test", "--trust", "10.0.0.1/8"],
     '--trust is "10.0.0.1/8"; allowed: a network like 192.0.2.0/24'),
    (["--dir"], "--dir needs a value"),
    (["--what"], "unknown option --what"),
    (["word"], "word is too much"),
])
def test_init_usage_errors(words, message, tmp_path):
    lines = refused("init", *[str(tmp_path / "d") if w == "D" else w for w in words], status=2)
    assert lines[0] == f"eilbote init: {message}"
    assert lines[1].startswith("usage: eilbote init --dir DIR ")
    assert not (tmp_path / "d").exists()


def test_unknown_commands_and_help():
    assert refused("serf", status=2) == ['eilbote: unknown command "serf"', "eilbote --help lists what there is"]
    assert refused("domain", status=2) == ['eilbote: unknown command "domain"', "usage: eilbote domain add DOMAIN...",
                                           "usage: eilbote domain list ", "usage: eilbote domain remove DOMAIN"]
    commands = re.findall(r"^  ([a-z]+(?: [a-z]+)?) {2,}", good("--help"), re.M)
    assert len(commands) == 46
    for command in commands:
        assert good(*command.split(), "--help").startswith(f"usage: eilbote {command} ")
        assert ("age>DURATION" in good(*command.split(), "--help")) == command.startswith("queue ")
    assert good("domain", "--help").splitlines() == refused("domain", status=2)[1:]
    assert refused("serf", "--help", status=2)[0] == 'eilbote: unknown command "serf"'
    version = re.search(r"version: '([^']*)'", (ROOT / "meson.build").read_text())[1]
    assert good("--version") == f"eilbote {version}\n"


def test_options_with_a_value_are_there_once(server):
    said = f'-c is there twice: "{server}" and "other.conf"'
    assert refused("-c", server, "-c", "other.conf", "check", status=2) == [f"eilbote: {said}"]
    assert refused("-c", server, "check", "-c", "other.conf", status=2)[0] == f"eilbote check: {said}"
    assert refused("check", "-c", server, "-c", "other.conf", status=2)[0] == f"eilbote check: {said}"
    assert refused("user", "set", "alice@example.test", "--quota", "1M", "--quota", "2M", status=2, conf=server)[0] == (
        'eilbote user set: --quota is there twice: "1M" and "2M"')
    assert refused("bench", "source", "--from", "a@b.test", "--from", "c@d.test", status=2)[0] == (
        'eilbote bench source: --from is there twice: "a@b.test" and "c@d.test"')
    assert refused("-c", status=2) == ["eilbote: -c needs a file"]
    # EILBOTE_CONF is no option, and what only says yes may be said again.
    assert json.loads(good("--json", "-c", server, "--json", "check", "--json"))["ok"] is True


def test_options_with_their_value_behind_a_sign(server):
    good("user", "set", "alice@example.test", "--quota=1M", conf=server)
    assert json.loads(good("user", "list", "--json", conf=server))[0]["quota"] == 1 << 20
    assert refused("user", "set", "alice@example.test", "--quota=1M", "--quota", "2M", status=2, conf=server)[0] == (
        'eilbote user set: --quota is there twice: "1M" and "2M"')
    assert refused("user", "set", "alice@example.test", "--quota=", status=2, conf=server)[0].startswith('eilbote user set: --quota is "";')
    assert refused("user", "list", "--json=yes", status=2, conf=server)[0] == "eilbote user list: --json has no value"
    assert refused("user", "list", "--nothing=x", status=2, conf=server)[0] == "eilbote user list: unknown option --nothing"


def test_users(server):
    assert good("user", "add", "bob@example.test", "--password-stdin", "--quota", "5M", stdin="pw\n", conf=server) == ""
    made = json.loads(good("user", "add", "carol@example.test", "--json", conf=server))
    assert made["account"] == "carol@example.test" and len(made["password"]) == 24
    assert good("user", "list", conf=server) == ("alice@example.test quota=0 enabled=yes\nbob@example.test quota=5242880 enabled=yes\n"
                                                 "carol@example.test quota=0 enabled=yes\n")
    good("user", "set", "bob@example.test", "--quota", "0", "--enabled", "no", conf=server)
    good("user", "remove", "carol@example.test", conf=server)
    assert json.loads(good("user", "list", "--json", conf=server)) == [
        {"account": "alice@example.test", "quota": 0, "enabled": True}, {"account": "bob@example.test", "quota": 0, "enabled": False}]
    assert refused("user", "add", "bob@example.test", conf=server) == ["eilbote user add: bob@example.test exists already"]
    assert refused("user", "add", "x@gone.test", conf=server) == [
        "eilbote user add: gone.test is not in the directory; eilbote domain add makes it ours"]
    assert refused("user", "add", "dave", conf=server) == ["eilbote user add: dave is not an address like alice@example.org"]
    assert refused("user", "passwd", "x@example.test", conf=server) == ["eilbote user passwd: x@example.test is not in the directory"]
    assert refused("user", "add", "x@example.test", "--password-stdin", conf=server) == [
        "eilbote user add: no password of at most 1024 bytes on standard input"]
    assert refused("user", "set", "bob@example.test", "--enabled", "maybe", status=2, conf=server)[0] == (
        'eilbote user set: --enabled is "maybe"; allowed: yes, no')


def test_passwd_changes_the_verifier(server):
    before = good("directory", "export", conf=server)
    good("user", "passwd", "alice@example.test", "--password-stdin", stdin="other\n", conf=server)
    assert good("directory", "export", conf=server) != before


def test_domains_and_aliases(server):
    good("domain", "add", "b.test", "a.test", conf=server)
    assert good("domain", "list", conf=server) == "a.test\nb.test\nexample.test\n"
    assert json.loads(good("domain", "list", "--json", conf=server)) == ["a.test", "b.test", "example.test"]
    good("domain", "remove", "b.test", conf=server)
    assert refused("domain", "remove", "example.test", conf=server) == [
        "eilbote domain remove: example.test still has accounts or aliases"]
    good("alias", "add", "info@a.test", "alice@example.test", "eve@far.net", conf=server)
    good("alias", "add", "@a.test", "alice@example.test", conf=server)
    assert good("alias", "list", conf=server) == ("@a.test alice@example.test\ninfo@a.test alice@example.test\ninfo@a.test eve@far.net\n"
                                                  "postmaster@example.test alice@example.test\n"
                                                  "root@example.test alice@example.test\n")
    good("alias", "remove", "info@a.test", "eve@far.net", conf=server)
    good("alias", "remove", "@a.test", conf=server)
    assert json.loads(good("alias", "list", "--json", conf=server)) == [
        {"alias": "info@a.test", "target": "alice@example.test"},
        {"alias": "postmaster@example.test", "target": "alice@example.test"},
        {"alias": "root@example.test", "target": "alice@example.test"}]


def test_domains_that_are_none(server):
    """Nothing is added when one of several cannot be."""
    for name in ("1.2.3.4", "_x.org", "a..b", "exa mple", "", "a" * 64 + ".org", "a." * 150 + "org", "b\u00fc cher.example", "b\u00fc_cher.example"):
        assert refused("domain", "add", "new.test", name, status=2, conf=server)[0] == f'eilbote domain add: "{name}" is no domain name that mail can have'
    assert refused("domain", "add", "new.test", "New.test", status=2, conf=server)[0] == "eilbote domain add: New.test is there twice"
    assert refused("domain", "add", "new.test", "example.test", conf=server) == ["eilbote domain add: example.test exists already"]
    assert good("domain", "list", conf=server) == "example.test\n"


def test_domains_that_are_not_ascii(server):
    good("domain", "add", "B\u00fccher.example", conf=server)
    assert good("domain", "list", conf=server) == "example.test\nxn--bcher-kva.example\n"
    assert refused("domain", "add", "xn--bcher-kva.example", conf=server) == ["eilbote domain add: xn--bcher-kva.example exists already"]
    assert "\nxn--bcher-kva.example. IN MX " in good("dns", "print", "b\u00fccher.example", conf=server)
    good("domain", "remove", "b\u00fccher.example", conf=server)
    assert good("domain", "list", conf=server) == "example.test\n"


def test_directory_round_trip_and_line_errors(server, tmp_path):
    text = good("directory", "export", conf=server)
    file = tmp_path / "directory.txt"
    file.write_text(text)
    good("directory", "apply", file, conf=server)
    good("directory", "apply", "-", stdin=text, conf=server)
    whole = json.loads(good("directory", "export", "--json", conf=server))
    assert whole["domains"] == ["example.test"]
    assert whole["aliases"] == [{"alias": f"{name}@example.test", "target": "alice@example.test"} for name in ("postmaster", "root")]
    (account,) = whole["accounts"]
    assert f"account {account['account']} quota={account['quota']} enabled=yes scram-sha-256={account['scram-sha-256']}\n" in text
    assert good("directory", "export", conf=server) == text
    file.write_text(text + "alias x@gone.test alice@example.test\n")
    line = text.count("\n") + 1
    assert refused("directory", "apply", file, conf=server) == [
        f'eilbote directory apply: {file}:{line}: "gone.test" has no domain line before this one']
    assert good("directory", "export", conf=server) == text


def test_check_names_what_is_wrong(server):
    key = server.parent / "tls" / "key.pem"
    other = server.parent / "tls" / "other.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", other],
                   check=True, capture_output=True)
    key.write_text(other.read_text())
    shutil.rmtree(server.parent / "mail")
    server.write_text('mta-user = "nobody-of-that-name"\n' + re.sub(r"^m[td]a-user.*\n", "", server.read_text(), flags=re.M))
    lines = refused("check", conf=server)
    assert [line for line in lines if "mail" in line] == [
        f"eilbote check: {server.parent}/{name} is missing; eilbote init makes it" for name in ("mail", "mail/journal", "mail/accounts")]
    assert any("key.pem" in line for line in lines)
    assert lines[-1] == f'eilbote check: {server}:1: mta-user is "nobody-of-that-name"; there is no such user; allowed: a name, or UID:GID'
    at = server.read_text().split("\n").index('certificate "main" {') + 1
    assert any(line.startswith(f'eilbote check: {server}:{at}: certificate "main": ') for line in lines)
    server.write_text("hostname = a.test\nlimits {\n    message-size = big\n}\n")
    assert refused("check", conf=server) == [
        f'eilbote check: {server}:3: message-size is "big"; allowed: a size from 64K to 2G']
    done = run("check", "--json", conf=server)
    assert done.returncode == 1 and json.loads(done.stdout)["ok"] is False


def test_only_sockets_make_way_for_sockets(server):
    path = server.parent / "ctl" / "lmtp.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    good("check", conf=server)
    path.unlink()
    path.write_text("dear to somebody")
    line = server.read_text().split("\n").index('listener "lmtp" {') + 1
    assert refused("check", conf=server) == [
        f'eilbote check: {server}:{line}: listener "lmtp": {path} exists and is not a socket; it is not replaced']
    assert 'exists and is not a socket' in refused("serve", conf=server)[-1]
    assert path.read_text() == "dear to somebody"


def test_check_and_serve_refuse_two_listeners_at_one_place(server):
    server.write_text(server.read_text() + 'listener "again" {\n role = mx\n}\n')
    for command in ("check", "serve"):
        assert re.search(r'eilbote\.conf:\d+: listener "again" has 0\.0\.0\.0 port 25, which listener "mx" of line \d+ has or takes in$',
                         refused(command, conf=server)[-1])


def test_check_ports_finds_the_one_in_use(server):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server.write_text(f'hostname = a.test\nlistener "x" {{\n role = mx\n tls = none\n address = {{"127.0.0.1"}}\n port = {port}\n}}\n')
        good("check", conf=server)
        lines = refused("check", "--ports", conf=server)
        assert len(lines) == 1 and lines[0].startswith(f'eilbote check: {server}:2: listener "x": ') and str(port) in lines[0]


def test_a_file_that_is_missing_is_called_so(server):
    (server.parent / "tls" / "key.pem").unlink()
    assert any(line.endswith("key.pem: No such file or directory") for line in refused("check", conf=server))
    server.unlink()
    assert refused("user", "list", conf=server) == [
        f"eilbote user list: open {server}: No such file or directory; eilbote init makes one, and -c FILE or EILBOTE_CONF names another"]


def test_check_wants_a_listener(server):
    server.write_text("hostname = a.test\n")
    assert refused("check", conf=server) == [f"eilbote check: {server}: there is no listener section, so nobody reaches this server"]


def test_too_many_stub_servers_are_refused(server):
    zones = [f'stub-zone "z{k}.test" {{\n server = {{"127.0.0.{k}", "127.0.1.{k}"}}\n}}\n' for k in range(1, 34)]
    server.write_text(server.read_text() + "".join(zones[:-1]))
    good("check", conf=server)
    line = server.read_text().count("\n") + 1
    server.write_text(server.read_text() + zones[-1])
    assert refused("check", conf=server) == [f"eilbote check: {server}:{line}: the stub zones up to here have 66 servers; allowed: 64"]


def test_check_names_the_hop_whose_password_cannot_be_read(server):
    hop = ' host = h.test\n tls = verify\n username = u\n password-file = "none"\n}\n'
    server.write_text(f'hostname = a.test\nsmarthost {{\n{hop}transport "b.test" {{\n{hop}')
    lines = refused("check", conf=server)
    assert [line.rsplit(": ", 2)[0] for line in lines if "none" in line] == [
        f"eilbote check: {server}:2: smarthost", f'eilbote check: {server}:8: transport "b.test"']


@pytest.mark.parametrize("section, option, content", [
    ("delivery", "ca-file", None), ("delivery", "ca-file", "no certificate"), ("resolver", "trust-anchor-file", None), ("resolver", "root-hints", None)])
def test_check_names_files_that_cannot_be_read(server, section, option, content):
    """With the first the roles do not start; with the others no answer of the DNS comes."""
    file = server.parent / "named"
    if content:
        file.write_text(content)
    before = server.read_text()
    server.write_text(before + f'{section} {{\n    {option} = "{file}"\n}}\n')
    line, = refused("check", conf=server)
    assert line.startswith(f"eilbote check: {server}:{before.count(chr(10)) + 1}: {section}: ") and str(file) in line
    server.write_text(before)


def test_print_as_json(server):
    server.write_text(server.read_text() + 'transport ".b.test" {\n host = "x.test"\n}\n')
    printed = json.loads(good("check", "--print", "--json", conf=server))
    assert printed["hostname"] == "localhost" and printed["port-offset"] == 0 and printed["relay-domains"] == []
    assert printed["limits"]["message-size"] == "50M" and printed["resolver"]["validate"] is True
    assert printed["listener"]["mx"]["address"] == ["127.0.0.1"] and printed["listener"]["mx"]["role"] == "mx"
    assert printed["transport"][".b.test"]["host"] == "x.test" and "path" not in printed["transport"][".b.test"]
    text = good("check", "--print", conf=server)
    for name, value in printed["queue"].items():
        assert re.search(rf"^    {name} = {value}$", text, re.M)


def test_manual_page_has_the_defaults_and_limits_of_the_program(server):
    """What the page says of each number is what the program has by default and calls allowed."""
    page = (ROOT / "doc" / "eilbote.conf.5").read_text()
    policy = 'hostname = a.test\nlistener "mx" {\n role = mx\n tls = none\n}\npolicy "mx" {\n'
    milter = policy.replace('policy "mx" {\n', 'milter "mx" {\n socket = "inet:127.0.0.1:1"\n')
    server.write_text(policy + milter[milter.index("}"):] + "}\n")
    defaults = json.loads(good("check", "--print", "--json", conf=server))
    defaults.update({name: defaults[name]["mx"] for name in ("policy", "listener", "milter")})
    begins = {"policy": policy, "milter": milter, "listener": policy.replace('}\npolicy "mx" {\n', "")}
    section, option, count = None, None, 0
    for line in page.split("\n"):
        if found := re.match(r"Options of (?:the|a) sections? \\fB([a-z-]+)", line):
            section = found[1]
        elif found := re.match(r"\.It Cm ([a-z-]+)$", line):
            option = found[1]
        elif found := re.match(r"Default: (\w+), from (\w+) to (\w+)\.$", line):
            value = str((defaults[section] if section else defaults)[option])
            begin = begins.get(section, f"hostname = a.test\n{section} {{\n")
            server.write_text(f"{begin} {option} = x\n}}\n" if section else f"{option} = x\n")
            allowed = re.search(r"allowed: a \w+ from (\w+) to (\w+)$", refused("check", conf=server)[0])
            assert (section, option, *found.groups()) == (section, option, value, re.sub("^0s$", "0", allowed[1]), allowed[2])
            count += 1
    assert count == len(re.findall(r"^    NUMBER\(", (ROOT / "src" / "conf" / "field.c").read_text(), re.M)) - 2  # ports of listeners and hops


def mandoc_complaints(page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "style", str(ROOT / "doc" / page)], capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if "referenced manual not found" not in line]


def test_manual_pages_are_clean_and_name_everything(server):
    assert mandoc_complaints("eilbote.1") == []
    assert mandoc_complaints("eilbote.conf.5") == []
    page = (ROOT / "doc" / "eilbote.conf.5").read_text()
    options = set(re.findall(r'"([a-z-]+)",\s*(?:FIELD_|AT\(|HOP\()', (ROOT / "src" / "conf" / "field.c").read_text()))
    assert options == set(re.findall(r"^\.It Cm ([a-z-]+)$", page, re.M))
    page = (ROOT / "doc" / "eilbote.1").read_text()
    for command in re.findall(r"^  ([a-z]+(?: [a-z]+)?) {2,}", good("--help"), re.M):
        assert re.search(rf"^\.It (?:Xo )?Cm {command}\b", page, re.M), command


def unit_file(tmp_path):
    """The unit as it is installed."""
    unit = tmp_path / "eilbote.service"
    unit.write_text((ROOT / "contrib" / "eilbote.service.in").read_text().replace("@SBINDIR@", "/usr/sbin"))
    return unit


def test_unit_file_lets_the_roles_confine_themselves(tmp_path):
    """systemd 252 (Debian 12) has these calls in no group; without them the package would serve without Landlock."""
    allowed = set()
    for sign, names in re.findall(r"^SystemCallFilter=(~?)(.*)$", unit_file(tmp_path).read_text(), re.M):
        allowed = allowed - set(names.split()) if sign else allowed | set(names.split())
    assert {"seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"} <= allowed


def test_unit_file_is_understood(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    unit = unit_file(tmp_path)
    unit.write_text(unit.read_text().replace("/usr/sbin/eilbote", os.path.abspath(EILBOTE)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "eilbote" in line]) == (0, [])


def test_unit_file_is_hardened(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    out = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit_file(tmp_path))],
                         capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stdout.splitlines()[-1]


def complete(*words):
    script = (f'eilbote() {{ "{EILBOTE}" "$@"; }}; source "{ROOT}/contrib/eilbote.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              '_eilbote; printf "%s\\n" "${COMPREPLY[@]}"')
    return subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True).stdout.split()


def test_completion():
    assert complete("eilbote", "di") == ["directory"]
    assert complete("eilbote", "-c", "x", "user", "pa") == ["passwd"]
    assert complete("eilbote", "user", "add", "--q") == ["--quota"]
    assert complete("eilbote", "init", "--po") == ["--port-offset"]
    assert complete("eilbote", "try", "") == ["smtp", "spf", "message", "route"]
    assert complete("eilbote", "try", "spf", "--tr") == ["--trust-anchor"]
