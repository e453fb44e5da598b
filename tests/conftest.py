# SPDX-License-Identifier: ISC
"""A server of its own for each test: made by init, on free ports, ended by its process id."""
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "integration"))

from peers import SmtpStub
from server import Server, free_port


@pytest.fixture
def make_server():
    """Makes servers that are ended, and looked after for reports of sanitizers and leftovers, when the test is over."""
    made = []

    def make(*init, conf="", start=True, single=False, roles_have_users=False):
        base = pathlib.Path(tempfile.mkdtemp(prefix="eb-"))
        if roles_have_users:
            base.chmod(0o755)
        server = Server(base, init, conf, single)
        made.append(server)
        if start:
            server.start()
        return server

    yield make
    try:
        for server in made:
            server.stop()
            server.assert_clean()
    finally:
        for server in made:
            server.end_all()
            shutil.rmtree(server.base, ignore_errors=True)


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture
def make_stub():
    """SMTP servers that do as they are told."""
    made = []

    def make(host="127.0.0.1", port=None, **how):
        stub = SmtpStub(host, port or free_port(), **how)
        made.append(stub)
        return stub

    yield make
    for stub in made:
        stub.close()


@pytest.fixture
def stub(make_stub):
    return make_stub()
