# SPDX-License-Identifier: ISC
"""Mail programs of other people: swaks, msmtp, curl, Python's own, fetchmail; from submission to the mailbox and out of it."""
import email
import poplib
import smtplib
import ssl
import subprocess

import pytest
from server import PASSWORD, PATIENCE_S, until

ALICE, BOB = "alice@example.test", "bob@example.test"


def run(*words, stdin="", status=0):
    done = subprocess.run([str(w) for w in words], input=stdin, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def insecure():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def pop3(server, user=BOB):
    box = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"), context=insecure())
    box.user(user)
    box.pass_(PASSWORD)
    return box


def mail_of(server, count=1, user=BOB):
    """The messages in a mailbox, once there are so many."""
    def look():
        box = pop3(server, user)
        number = box.stat()[0]
        found = [email.message_from_bytes(b"\r\n".join(box.retr(k + 1)[1])) for k in range(number)] if number >= count else None
        box.quit()
        return found
    return until(look)


@pytest.mark.parametrize("words", [
    ["-tls", "--auth", "PLAIN"], ["-tls", "--auth", "LOGIN"], ["-tlsc", "--auth", "PLAIN"],
])
def test_swaks_submits(server, words):
    port = server.port("submissions" if "-tlsc" in words else "submission")
    out = run("swaks", "--server", "127.0.0.1", "--port", port, *words, "--auth-user", ALICE, "--auth-password", PASSWORD, "--from", ALICE,
              "--to", BOB, "--header", "Subject: by swaks")
    assert "250 2.0.0 accepted as" in out
    message, = mail_of(server)
    assert message["Subject"] == "by swaks" and message["Return-Path"] == f"<{ALICE}>"


def test_swaks_is_refused_with_a_wrong_password_and_without_one(server):
    common = ["swaks", "--server", "127.0.0.1", "--port", server.port("submission"), "-tls", "--from", ALICE, "--to", BOB]
    assert "535 5.7.8" in run(*common, "--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", "wrong", status=28)
    assert "530 5.7.0" in run(*common, status=23)


@pytest.mark.parametrize("auth", ["plain", "login", "scram-sha-256"])
def test_msmtp_submits(server, tmp_path, auth):
    text = "From: a@example.test\nTo: bob@example.test\nSubject: by msmtp\n\n.\n..\nline\n"
    out = run("msmtp", "-C", msmtp_conf(server, tmp_path, auth), BOB, stdin=text)
    assert out == ""
    message, = mail_of(server)
    assert message.get_payload().splitlines() == [".", "..", "line"]
    assert message["Date"] and message["Message-ID"]


def msmtp_conf(server, folder, auth):
    conf = folder / "msmtprc"
    conf.write_text(f"account default\nhost 127.0.0.1\nport {server.port('submission')}\ntls on\ntls_certcheck off\nauth {auth}\nuser {ALICE}\n"
                    f"password {PASSWORD}\nfrom {ALICE}\n")
    conf.chmod(0o600)
    return conf


def test_curl_sends_and_reads(server, tmp_path):
    (tmp_path / "mail").write_bytes(b"From: alice@example.test\r\nTo: bob@example.test\r\nSubject: by curl\r\n\r\nhello\r\n")
    run("curl", "-sS", "--ssl-reqd", "-k", f"smtp://127.0.0.1:{server.port('submission')}", "--user", f"{ALICE}:{PASSWORD}", "--mail-from",
        ALICE, "--mail-rcpt", BOB, "-T", tmp_path / "mail")
    mail_of(server)
    out = run("curl", "-sS", "-k", f"pop3s://127.0.0.1:{server.port('pop3s')}/1", "--user", f"{BOB}:{PASSWORD}")
    assert "Subject: by curl\n" in out.replace("\r", "") and out.replace("\r", "").endswith("\nhello\n")
    assert run("curl", "-sS", "--ssl-reqd", "-k", f"pop3://127.0.0.1:{server.port('pop3')}/", "--user", f"{BOB}:{PASSWORD}").startswith("1 ")


def test_smtplib_over_both_ports_and_poplib(server):
    with smtplib.SMTP("127.0.0.1", server.port("submission")) as client:
        client.starttls(context=insecure())
        client.login(ALICE, PASSWORD)
        client.sendmail(ALICE, [BOB], "Subject: one\r\n\r\nx\r\n")
    with smtplib.SMTP_SSL("127.0.0.1", server.port("submissions"), context=insecure()) as client:
        client.login(ALICE, PASSWORD)
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail(BOB, [BOB], "x")
        client.sendmail(ALICE, [BOB, ALICE], "Subject: two\r\n\r\ny\r\n")
    assert sorted(m["Subject"] for m in mail_of(server, 2)) == ["one", "two"]
    assert [m["Subject"] for m in mail_of(server, 1, ALICE)] == ["two"]


def test_pop3_deletes_at_quit_only(server):
    server.cli("send", "--from", ALICE, "--to", BOB, stdin="x\n")
    mail_of(server)
    box = pop3(server)
    box.dele(1)
    box.close()
    box = until(lambda: pop3(server))
    assert box.stat()[0] == 1
    box.dele(1)
    box.quit()
    assert pop3(server).stat()[0] == 0


def test_pop3_refuses_a_wrong_password_and_clear_text(server):
    box = poplib.POP3("127.0.0.1", server.port("pop3"))
    with pytest.raises(poplib.error_proto):
        box.user(BOB)
        box.pass_(PASSWORD)
    box = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"), context=insecure())
    with pytest.raises(poplib.error_proto, match="AUTH"):
        box.user(BOB)
        box.pass_("wrong")


def test_fetchmail_reads(server, tmp_path):
    server.cli("send", "--from", ALICE, "--to", BOB, "--subject", "fetched", stdin="hello\n")
    mail_of(server)
    rc = tmp_path / "fetchmailrc"
    rc.write_text(f'poll 127.0.0.1 protocol pop3 port {server.port("pop3s")}\n user "{BOB}" password "{PASSWORD}" ssl no sslcertck\n'
                  f' mda "/usr/bin/tee {tmp_path}/got" nokeep\n')
    rc.chmod(0o700)
    run("env", f"HOME={tmp_path}", f"FETCHMAILHOME={tmp_path}", "fetchmail", "-f", rc, "--nosyslog", "--nodetach")
    assert "Subject: fetched" in (tmp_path / "got").read_text()
    assert pop3(server).stat()[0] == 0


def test_mail_to_an_unknown_subaddress_alias_and_catch_all(server):
    server.cli("alias", "add", "team@example.test", BOB, ALICE)
    server.cli("alias", "add", "@example.test", BOB)
    with server.smtp() as c:
        c.message("x@far.test", ["bob+lists@example.test"], "Subject: sub\r\n\r\nx\r\n")
        c.message("x@far.test", ["team@example.test"], "Subject: team\r\n\r\nx\r\n")
        c.message("x@far.test", ["anything@example.test"], "Subject: all\r\n\r\nx\r\n")
    assert sorted(m["Subject"] for m in mail_of(server, 3)) == ["all", "sub", "team"]
    assert [m["Subject"] for m in mail_of(server, 1, ALICE)] == ["team"]
