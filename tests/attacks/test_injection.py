# SPDX-License-Identifier: ISC
"""X"""


def test_text_of_a_refusal_is_made_harmless(make_server, make_stub):
    stub = make_stub(replies={"RCPT": ["550 5.1.1 no\x1b[31m such\x07 user\tX", ...]})
    server = make_server(conf=transport("away.test", stub.port))
    with server.submission() as c:
        message = c.message("alice@example.test", ["x@away.test"])
    failed = server.wait_event("delivery.failed", message=message)
    assert failed["text"] == "no?[31m such? user?X"
    server.wait_empty()
    notice = email.message_from_bytes(pop(server)[0])
    assert notice.get_content_type() == "multipart/report"
    status = notice.get_payload(1).get_payload(1)
    assert (status["Action"], status["Status"], status["Final-Recipient"]) == ("failed", "5.1.1", "rfc822; x@away.test")
    assert status["Diagnostic-Code"] == "smtp; 550 5.1.1 no?[31m such? user?X"
    assert not re.search(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]", pop(server)[0])


def test_what_strangers_say_stays_where_it_is_put(server):
    """Control characters and quotes reach neither the trace field nor the lines of the event log."""
    nasty = ['EHLO a"b\\c', "EHLO a(b)c;d", "EHLO a\u00e9b", "EHLO <script>", 'EHLO "},{"event":"x"']
    for hello in nasty:
        with server.smtp(hello="") as c:
            got = c.ask(hello)
            if got.startswith("250"):
                c.message("x@elsewhere.test", ["alice@example.test"])
            c.ask('MAIL FROM:<"a\\"},{\\"event\\":\\"x"@elsewhere.test>')
            c.ask('RCPT TO:<"a\\"},{\\"event\\":\\"x"@example.test>')
    server.wait_empty()
    assert server.events("x") == []
    texts = pop(server)
    assert texts
    for text in texts:
        trace = email.message_from_bytes(text).get_all("Received")
        assert len(trace) == 2 and all(re.fullmatch(r"from [-A-Za-z0-9.?_\[\]:+/=]+ \(.*", field, flags=re.S) for field in trace), trace
