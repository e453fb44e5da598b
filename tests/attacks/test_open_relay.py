# SPDX-License-Identifier: ISC
"""X"""


def test_empty_local_part_does_not_answer_for_the_domain(server):
    with server.smtp() as c:
        c.expect("MAIL FROM:<x@elsewhere.test>", "250 ")
        c.expect('RCPT TO:<""@example.test>', "550 5.1.1")
        c.expect("RCPT TO:<alice@example.test>", "250 ")
        c.expect("RCPT TO:<nobody@example.test>", "550 5.1.1")


def test_empty_local_part_with_a_catch_all(server):
    server.cli("alias", "add", "@example.test", "bob@example.test")
    with server.smtp() as c:
        c.message("x@elsewhere.test", ['""@example.test'])
        c.message("x@elsewhere.test", ["alice@example.test"], "Subject: to alice\r\n\r\n\r\n")
    server.wait_empty()
    assert [b"to alice" in text for text in pop(server)] == [True]
    assert len(pop(server, "bob@example.test")) == 1


def test_postmaster_without_domain(server):
    with server.smtp() as c:
        c.message("x@elsewhere.test", ["postmaster"])
    server.wait_empty()
    assert len(pop(server)) == 1


RELAYED = ["x%other.test@[127.0.0.2]", "alice@[127.0.0.2]", "x@example.test.other.test", "x@sub.example.test", "x@relay.test.other.test",
           "x@notrelay.test", '"x@other.test"@other.test', "@example.test:x@other.test", "@other.test,@example.test:x@other.test",
           "x@[IPv6:::1]", "x@xample.test"]


UNKNOWN = ["x%other.test@example.test", '"x@other.test"@example.test', "@other.test:x@example.test", "other.test!x@example.test",
           "x%other.test@EXAMPLE.TEST", "x%other.test@[127.0.0.1]"]


BROKEN = ["x@example.test.", "x@", "@", "@example.test", "x@example.test@other.test", "x@other.test@example.test", "x@@example.test",
          "x@.test", "x@example..test", "x@other.test:x@example.test", "x y@example.test", '"x@example.test', "x@[127.0.0.1", "x@[300.1.1.1]"]


@pytest.mark.parametrize("listener", ["smtp"])
def test_nobody_relays(make_server, listener):
    server = make_server(conf='relay-domains = { "relay.test" }')
    with server.smtp(listener) as c:
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        c.expect("RCPT TO:<x@relay.test>", "250 ")
        c.expect("RCPT TO:<x@RELAY.test>", "250 ")
        for address in RELAYED:
            c.expect(f"RCPT TO:<{address}>", "550 5.7.1")
        c.expect("RCPT TO:<x@relay.test> ORCPT=rfc822;x@other.test", "250 ")
    with server.smtp(listener) as c:
        c.expect("MAIL FROM:<alice@example.test>", "250 ")
        for address in UNKNOWN:
            c.expect(f"RCPT TO:<{address}>", "550 5.1.1")
    with server.smtp(listener) as c:
        c.expect("MAIL FROM:<alice@example.test> SMTPUTF8", "250 ")
        for address in BROKEN:
            c.expect(f"RCPT TO:<{address}>", "501 5.1.3")
        c.expect("RCPT TO:<x@ex\u0430mple.test>", "550 5.7.1")
        c.expect("RCPT TO:<x@example\u3002test>", "5")


def test_a_login_sends_only_as_itself(server):
    server.cli("alias", "add", "sales@example.test", "alice@example.test")
    with server.submission() as c:
        for good in ("alice@example.test", "ALICE@Example.TEST", "alice+x@example.test", "sales@example.test", '"alice"@example.test', ""):
            c.expect(f"MAIL FROM:<{good}>", "250 ")
            c.expect("RSET", "250 ")
        for bad in ("bob@example.test", "alice@other.test", "alice@sub.example.test", "bob+alice@example.test", '"alice@example.test"@other.test',
                    "alice%example.test@example.test", "@example.test:bob@example.test", "alice@[127.0.0.1]"):
            c.expect(f"MAIL FROM:<{bad}>", "550 5.7.1")
