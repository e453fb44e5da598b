# SPDX-License-Identifier: ISC
"""
User enumeration: neither words nor time tell whether there is an account of that name.

The defences are directory_verifier(), which makes a verifier for names that do not exist and directory_check_password(), which hashes in any
case (that it is the same number of hashes is counted in tests/unit/test_directory.c), clients_may_login() for every name, and 252 to VRFY.
"""
import base64
import re
import statistics
import time

import pytest
from dialogue import drained, plain
from server import PASSWORD, Talk, until



def test_a_locked_account_does_not_tell_which_password_is_right(make_server):
    server = make_server(conf="limits {\n auth-failures-per-account = 3\n auth-failures-per-address = 1000\n}")
    with server.smtp("submissions") as c:
        c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "535 ")
        c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "535 ")
    with server.smtp("submissions") as c:
        c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "535 ")
        wrong = c.ask(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}")
        assert wrong.startswith("454 4.7.0"), wrong
        assert c.ask(f"AUTH PLAIN {plain('bob@example.test')}") == wrong
        c.expect(f"AUTH PLAIN {plain('alice@example.test')}", "235 ")
    with Talk(server.where("pop3s"), implicit_tls=True) as c:
        c.reply()
        for _ in range(3):
            c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "-ERR [AUTH]")
        wrong = c.expect(f"AUTH PLAIN {plain('bob@example.test', 'wrong')}", "-ERR [SYS/TEMP]")
        assert c.ask(f"AUTH PLAIN {plain('bob@example.test')}") == wrong
        c.expect("USER bob@example.test", "+OK")
        assert c.ask(f"PASS {PASSWORD}") == wrong


KNOWN, UNKNOWN = "alice@example.test", "alicf@example.test"


@pytest.fixture
def lenient(make_server):
    server = make_server(conf="limits {\n greeting-delay = 0\n auth-failures-per-account = 100000\n auth-failures-per-address = 100000\n"
                              " errors-per-connection = 100000\n}\n")
    server.cli("user", "add", "off@example.test", "--password-stdin", stdin=PASSWORD + "\n")
    server.cli("user", "set", "off@example.test", "--enabled", "no")
    return server


def attempts(user):
    """Every way to try a password, as lines; those behind the first answer a challenge."""
    def b64(text):
        return base64.b64encode(text.encode()).decode()
    return {"plain": [f"AUTH PLAIN {plain(user, 'wrong')}"], "login": ["AUTH LOGIN", b64(user), b64("wrong")],
            "plain with another name": [f"AUTH PLAIN {plain(user, 'wrong', act_as='bob@example.test')}"], "empty": [f"AUTH PLAIN {plain(user, '')}"],
            "forbidden": [f"AUTH PLAIN {plain(user, chr(0x340))}"], "scram": [f"AUTH SCRAM-SHA-256 {b64(f'n,,n={user},r=abc')}", b64("c=biws,r=abc,p=" + "A" * 43 + "=")]}


def ask_all(c, lines):
    return [c.ask(line) for line in lines]


def challenge(answers):
    """Nonce, salt and count of rounds of SCRAM's first message."""
    return base64.b64decode(answers[0].split()[1]).split(b",")


@pytest.mark.parametrize("way", attempts(KNOWN))
@pytest.mark.parametrize("listener", ["submissions", "pop3s"])
def test_the_words_are_the_same(lenient, listener, way):
    answers = {}
    for user in (KNOWN, UNKNOWN, "off@example.test", "alice@elsewhere.test", "alice", "../alice@example.test"):
        with Talk(lenient.where(listener), implicit_tls=True) as c:
            c.reply()
            if listener == "submissions":
                c.expect("EHLO c.test", "250-")
            answers[user] = ask_all(c, attempts(user)[way])
    if way == "scram":
        # Salt and nonce differ, but not what they look like; and the salt of nobody is always the same.
        answers = {user: (re.sub(rb"[^,]", b"x", challenge(got)[0]), challenge(got)[2], got[1]) for user, got in answers.items()}
        salts = set()
        for _ in range(2):
            with lenient.smtp("submissions") as c:
                salts.add(challenge(ask_all(c, attempts(UNKNOWN)[way]))[1])
        assert len(salts) == 1
    assert len(set(map(str, answers.values()))) == 1, answers


def test_pop3_and_vrfy_know_nobody(lenient):
    """USER says the same to all, PASS too; VRFY and EXPN confirm nothing."""
    answers = set()
    for user in (KNOWN, UNKNOWN, "off@example.test", "x"):
        with Talk(lenient.where("pop3s"), implicit_tls=True) as c:
            c.reply()
            answers.add((c.ask(f"USER {user}"), c.ask("PASS wrong")))
    assert len(answers) == 1
    with lenient.smtp() as c:
        assert len({(c.ask(f"VRFY {user}"), c.ask(f"EXPN {user}")) for user in (KNOWN, UNKNOWN, "alice", "nobody")}) == 1


def took(c, lines):
    start = time.monotonic()
    for line in lines:
        assert c.ask(line) != ""
    return time.monotonic() - start


@pytest.mark.parametrize("way", ["plain", "login", "scram"])
@pytest.mark.parametrize("other", [UNKNOWN, "off@example.test", "alice@elsewhere.test", "not an address"])
def test_the_time_is_the_same(lenient, way, other):
    """Medians of attempts in turns, compared as a ratio. A machine under load may spoil one comparison, not every one."""
    ratios = []

    def is_alike():
        times = {KNOWN: [], other: []}
        with lenient.smtp("submissions") as c:
            for _ in range(2):
                ask_all(c, attempts(KNOWN)[way])
        for _ in range(10):
            for user, list_of_times in times.items():
                with lenient.smtp("submissions") as c:
                    list_of_times += [took(c, attempts(user)[way]) for _ in range(2)]
        ratios.append(statistics.median(times[other]) / statistics.median(times[KNOWN]))
        return 0.75 < ratios[-1] < 1.33

    until(is_alike, why=lambda: f"unknown to known: {ratios}")


def test_guessing_names_at_rcpt_is_limited(make_server):
    """RCPT has to say who is there; nobody may ask long."""
    server = make_server(conf="limits {\n greeting-delay = 0\n}\n")
    with server.smtp() as c:
        c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
        c.send(b"".join(b"RCPT TO:<guess%d@example.test>\r\n" % k for k in range(1000)))
        answers = drained(c).splitlines()
    assert len(answers) <= 20 and answers[-1].startswith(b"421 4.7.0")
