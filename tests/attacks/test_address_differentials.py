# SPDX-License-Identifier: ISC
"""
Address differentials: an address that this server and another reader understand as different domains gets past whoever checks it first.

For every address taken here, the domain that the mail is routed by must be the one that Python's email package and aiosmtpd read from what
is sent on, and the one that Postfix decides by. The defence is that address_parse_path() takes RFC 5321's grammar and nothing else, and that
what goes out is printed anew by address_print().
"""
import email._header_value_parser as parser
import itertools
import os
import re
import types

import pytest
from aiosmtpd.smtp import SMTP
from dialogue import pop
from peers import SmtpStub, transport
from postfix import Postfix
from server import Smtp, free_port

LOCALS = ["x", "x.y", '"x"', '"x y"', '"x@far.test"', '"x@evil.test"', '"x@far.test>"', '"x>"', '"<x"', r'"\""', r'"\\"', r'"x\"@evil.test"', r'"x\\"', r'"x\@evil.test"', '""',
          '"x,y@evil.test"', '"x:y"', '"x;y"', '"(x)"', "x%evil.test", "evil.test!x", "x+y", "x=y", "x/y", "{x}", "x'y", "`x`", "|x", "x#y", "x&y", "*", "?", "-x", "--", "_",
          '"."', '".x"', '"x."', '"x..y"', "x" * 64, '"@"', '"@far.test:x"', '"=?utf-8?q?x=40evil.test?="', "=?utf-8?q?x=40evil.test?=", '"x\t"', "x\\y", "x(y)", "x<y", "x,y"]
DOMAINS = ["far.test", "FAR.test", "evil.test", "far.test.evil.test", "evil-far.test", "[127.0.0.1]", "[127.0.0.001]", "[IPv6:::1]", "[IPv6:::ffff:127.0.0.1]", "far.test.", "far..test",
           "far.test@evil.test", "far.test:25", "far.test%evil.test", "[far.test]", "far.test(evil.test)", "far\\.test", "far_test", "1.2.3.4", "xn--far-.test", "far.test,evil.test"]
# Nobody may relay through it, and it says no to nothing but that.
STRANGER = """mynetworks =
smtpd_recipient_restrictions = reject_unauth_destination
smtpd_reject_unlisted_recipient = no
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 100000
smtpd_junk_command_limit = 100000
"""
ROUTES = ["", "@evil.test:", "@far.test,@evil.test:", "@far.test:"]


def candidates():
    """Every local part at two domains, every domain with three local parts, by every route; and what a letter more or less makes of them."""
    pairs = [*itertools.product(LOCALS, ("far.test", "evil.test")), *itertools.product(("x", '"x@evil.test"', "x%evil.test"), DOMAINS)]
    plain = [f"{local}@{domain}" for local, domain in pairs]
    routed = [f"{route}x@{domain}" for route in ROUTES for domain in ("far.test", "evil.test")]
    changed = [f"x{c}@far.test" for c in '<>()[]\\,;:"@ \t'] + [f"x@{c}far.test" for c in '<>()[]\\,;:"@ \t'] + [f"x@far.test{c}" for c in '()[]\\,;:"@ \t']
    return list(dict.fromkeys(plain + routed + changed))


@pytest.fixture
def sorting(make_server):
    """Eilbote with one next hop for far.test and one for the rest of the world, here without a delivery: what it decides is in the queue."""
    far, rest = SmtpStub("127.0.0.1", free_port()), SmtpStub("127.0.0.1", free_port())
    server = make_server("--trust", "127.0.0.1/32", "--relay", f"127.0.0.1:{rest.port}",
                         conf="limits {\n greeting-delay = 0\n errors-per-connection = 10000\n}\n" + transport("far.test", far.port))
    yield server, far, rest
    far.close()
    rest.close()


def take_all(server):
    """The addresses that were taken, each in a message of its own with the number as its subject."""
    taken = []
    with server.smtp() as c:
        for address in candidates():
            c.expect("MAIL FROM:<me@elsewhere.test>", "250 ")
            if c.ask(f"RCPT TO:<{address}>").startswith("250"):
                c.expect("DATA", "354 ")
                c.expect(f"Subject: {len(taken)}\r\n\r\nx\r\n.", "250 ")
                taken.append(address)
            else:
                c.expect("RSET", "250 ")
    server.wait_empty()
    return taken


def sent_to(stub):
    """What RCPT said for each subject."""
    found = {}
    for m in stub.messages:
        line, = m.rcpt
        path = re.fullmatch(r"RCPT TO:(<.*>)(?: ORCPT=.*)?", line)[1]
        found[int(re.search(r"^Subject: (\d+)", m.text, re.M)[1])] = path
    return found


def domain_by_email(path):
    value, rest = parser.get_angle_addr(path)
    assert rest == "" and not value.route, path
    return value.domain


def domain_by_aiosmtpd(path):
    address, rest = SMTP._getaddr(types.SimpleNamespace(local_part_limit=0), path)  # pylint: disable=protected-access
    assert rest == "", path
    return address.rpartition("@")[2] if isinstance(address, str) else address.domain


def test_python_reads_the_domain_that_the_mail_is_routed_by(sorting):
    server, far, rest = sorting
    taken = take_all(server)
    by_far, by_rest = sent_to(far), sent_to(rest)
    assert len(by_far) >= 50 and len(by_rest) >= 40 and sorted([*by_far, *by_rest]) == list(range(len(taken)))
    for number, path in [*by_far.items(), *by_rest.items()]:
        for read in (domain_by_email, domain_by_aiosmtpd):
            domain = read(path).strip()
            assert (domain.lower() == "far.test") == (number in by_far), (taken[number], path, read.__name__, domain)


@pytest.mark.skipif(os.geteuid() != 0, reason="Postfix wants to be started by root")
def test_postfix_decides_by_the_same_domain(sorting):
    """What we take for far.test is far.test's mail to Postfix, and what we take for others' it would not take for its own."""
    server, far, rest = sorting
    take_all(server)
    peer = Postfix(free_port(), free_port(), STRANGER)
    try:
        answers = {}
        with Smtp(("127.0.0.1", peer.port)) as c:
            for path in {*sent_to(far).values(), *sent_to(rest).values()}:
                c.expect("MAIL FROM:<me@elsewhere.test>", "250 ")
                answers[path] = c.ask(f"RCPT TO:{path}")
                c.expect("RSET", "250 ")
    finally:
        peer.close()
    for path in sent_to(far).values():
        # What it refuses by syntax, or because the local part might be a route, goes nowhere.
        assert answers[path].startswith(("250", "501 5.1.3")) or "%" in path or "!" in path or "@" in path.rpartition("@")[0], (path, answers[path])
    for path in sent_to(rest).values():
        assert answers[path].startswith(("554 5.7.1", "501 5.1.3", "454 4.7.1", "550 5.1.")), (path, answers[path])


@pytest.mark.parametrize("local", [r'bob+x y', r'bob+> SIZE=1', r'bob+\"', r'bob+a@b', 'bob+..', 'bob+"'])
def test_quoted_local_parts_stay_quoted(server, local):
    quoted = '"' + re.sub(r'(["])', r'\\\1', local.replace("\\", "")) + '"'
    with server.smtp() as c:
        c.message("x@elsewhere.test", [f"{quoted}@example.test"])
    server.wait_empty()
    assert [f"Delivered-To: {quoted}@example.test\r\n".encode() in text for text in pop(server, "bob@example.test")] == [True]


def test_an_alias_passes_on_what_was_asked_for(make_server, stub):
    server = make_server(conf=transport("away.test", stub.port))
    server.cli("alias", "add", "team@example.test", "x@away.test")
    with server.smtp() as c:
        c.message("x@elsewhere.test", ["team+a=b@example.test"])
        c.message("x@elsewhere.test", ['"team+a b"@example.test'])
    stub.wait(2)
    assert sorted(m.rcpt for m in stub.messages) == [['RCPT TO:<x@away.test> ORCPT=rfc822;"team+2Ba+20b"@example.test'],
                                                     ["RCPT TO:<x@away.test> ORCPT=rfc822;team+2Ba+3Db@example.test"]]
