# SPDX-License-Identifier: ISC
"""X"""


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
