# SPDX-License-Identifier: ISC
"""A Postfix of its own for a test."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from server import PATIENCE_S, Smtp, until

MASTER = """{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

MAIN = """compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
myhostname = postfix.test
mydestination =
inet_interfaces = {address}
inet_protocols = ipv4
mynetworks = 127.0.0.0/8 {address}/32
disable_dns_lookups = yes
relayhost = [127.0.0.1]:{relay}
virtual_mailbox_domains = far.test
virtual_mailbox_maps = texthash:{base}/boxes
virtual_mailbox_base = {base}/mail
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 100
smtp_tls_security_level = may
maillog_file = {base}/data/log
maillog_file_prefixes = {base}
"""


def merged(text):
    """
    The last of settings with one name is in force. Postfix warns of the others, the program that writes the log too, into the
    socket that it reads the log from; so it would wait for itself for ever.
    """
    return "".join(f"{name} ={value}\n" for name, value in dict(line.split(" =", 1) for line in text.splitlines()).items())


class Postfix:
    """Its mailbox is you@far.test; everything else goes to the relay's port. What is more in its configuration overrules that."""

    def __init__(self, port, relay, more="", address="127.0.0.1"):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="eb-pf-"))
        self.base.chmod(0o755)
        for name in ("etc", "queue", "data", "mail"):
            (self.base / name).mkdir()
        shutil.chown(self.base / "data", "postfix")
        os.chown(self.base / "mail", 65534, 65534)
        (self.base / "boxes").write_text("you@far.test box\n")
        (self.base / "etc" / "main.cf").write_text(merged(MAIN.format(base=self.base, relay=relay, address=address) + more))
        (self.base / "etc" / "master.cf").write_text(MASTER.format(port=port))
        self.port, self.address = port, address
        with (self.base / "out").open("wb") as out:
            self.process = subprocess.Popen(["postfix", "-c", str(self.base / "etc"), "start-fg"], stdout=out, stderr=out,
                                            start_new_session=True)
        try:
            until(self.is_ready, why=self.log)
        except AssertionError:
            self.close()
            raise

    def is_ready(self):
        try:
            with Smtp((self.address, self.port)):
                return True
        except (OSError, AssertionError):  # before it listens, and before it has what it needs to greet
            return False

    def log(self):
        return "".join(p.read_text() for p in (self.base / "out", self.base / "data" / "log") if p.exists())

    def box(self):
        path = self.base / "mail" / "box"
        return path.read_text() if path.exists() else ""

    def close(self):
        """The master ends its children; one that does not is killed with all that are in its session's group."""
        pid = self.base / "queue" / "pid" / "master.pid"
        try:
            os.kill(int(pid.read_text()) if pid.exists() else self.process.pid, signal.SIGTERM)
            self.process.wait(PATIENCE_S)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.base)
