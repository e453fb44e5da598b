# SPDX-License-Identifier: ISC
"""X"""


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
