# SPDX-License-Identifier: ISC
"""Postfix as client, as next hop and as peer for delivery notices; Dovecot as the keeper of mailboxes."""
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from postfix import Postfix
from server import Smtp, free_port, until
from test_clients import mail_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="Postfix and Dovecot want to be started by root")

@pytest.fixture
def postfix(make_server):
    """Eilbote sends through Postfix what is not its own, and Postfix everything through Eilbote."""
    port = free_port()
    server = make_server("--relay", f"127.0.0.1:{port}")
    peer = Postfix(port, server.port("smtp"))
    yield server, peer
    peer.close()


def test_postfix_hands_mail_in(postfix):
    server, peer = postfix
    with Smtp(("127.0.0.1", peer.port)) as c:
        c.expect("MAIL FROM:<you@far.test>", "250 ")
        c.expect("RCPT TO:<bob@example.test>", "250 ")
        c.expect("RCPT TO:<alice@example.test>", "250 ")
        c.expect("DATA", "354 ")
        c.expect("Subject: from postfix\r\n\r\n..x\r\n.", "250 ")
    assert mail_of(server)[0]["Subject"] == "from postfix"
    assert mail_of(server, 1, "alice@example.test")[0].get_payload() == ".x"
    server.wait_event("smtp.session.ended", tls=True, messages=1)


def test_postfix_takes_mail_and_tells_of_success(postfix):
    server, peer = postfix
    with server.submission() as c:
        c.message("alice@example.test", ["you@far.test"], "Subject: to postfix\r\n\r\n.x\r\n", mail=" ENVID=tell+2Bme RET=HDRS",
                  rcpt=" NOTIFY=SUCCESS ORCPT=rfc822;first@far.test")
    until(lambda: "Subject: to postfix" in peer.box(), why=peer.log)
    assert "\n.x\n" in peer.box()
    notice, = mail_of(server, 1, "alice@example.test")
    about, rcpt = [dict(part.items()) for part in notice.get_payload()[1].get_payload()][:2]
    assert about["Original-Envelope-Id"] == "tell+me"
    assert (rcpt["Action"], rcpt["Original-Recipient"]) == ("delivered", "rfc822;first@far.test")
    assert server.events("notice.accepted") == []


def test_postfix_refuses_and_the_sender_reads_its_words(postfix):
    server, peer = postfix
    with server.submission() as c:
        c.message("alice@example.test", ["you@far.test", "gone@far.test"], "Subject: half\r\n\r\nx\r\n")
    until(lambda: "Subject: half" in peer.box(), why=peer.log)
    notice, = mail_of(server, 1, "alice@example.test")
    rcpt = dict(notice.get_payload()[1].get_payload()[1].items())
    assert (rcpt["Final-Recipient"], rcpt["Action"], rcpt["Status"]) == ("rfc822; gone@far.test", "failed", "5.1.1")
    assert "550 5.1.1 <gone@far.test>: Recipient address rejected: User unknown" in " ".join(rcpt["Diagnostic-Code"].split())


def test_postfix_down_then_up(make_server):
    port = free_port()
    server = make_server("--relay", f"127.0.0.1:{port}", conf="queue {\n retry-first = 1h\n}\n")
    with server.submission() as c:
        c.message("alice@example.test", ["you@far.test"], "Subject: later\r\n\r\nx\r\n")
    server.wait_event("delivery.deferred")
    peer = Postfix(port, server.port("smtp"))
    try:
        server.cli("queue", "retry", "--all")
        until(lambda: "Subject: later" in peer.box(), why=peer.log)
    finally:
        peer.close()


DOVECOT = """base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log
protocols = lmtp
ssl = no
mail_location = maildir:{base}/mail/%u
auth_mechanisms = plain
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={base}/mail/%u
}}
service lmtp {{
  unix_listener {base}/lmtp {{
    mode = 0666
  }}
}}
"""


@pytest.fixture
def dovecot():
    base = pathlib.Path(tempfile.mkdtemp(prefix="eb-dc-"))
    base.chmod(0o755)
    (base / "mail").mkdir()
    os.chown(base / "mail", 65534, 65534)
    (base / "conf").write_text(DOVECOT.format(base=base))
    process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", str(base / "conf")])
    until(lambda: (base / "lmtp").exists(), why=lambda: (base / "log").read_text())
    yield base
    process.terminate()
    process.wait()
    shutil.rmtree(base)


def test_dovecot_keeps_the_mail(make_server, dovecot):
    server = make_server("--trust", "127.0.0.1/32", conf=f'transport "box.test" {{\n protocol = lmtp\n path = "{dovecot}/lmtp"\n tls = never\n}}\n')
    with server.smtp() as c:
        c.message("me@back.test", ["one@box.test", "two@box.test"], "Subject: to dovecot\r\n\r\nx\r\n")
    server.wait_empty()
    for user in ("one@box.test", "two@box.test"):
        mail, = (dovecot / "mail" / user / "new").iterdir()
        assert "Subject: to dovecot\n" in mail.read_text().replace("\r", "")
    until(lambda: len(server.events("delivery.done")) == 2)
