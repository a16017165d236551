"""Mails: a new password, the proof of an address, and a mail server that is slow, refuses, or is not there."""
import re
import socket
import sqlite3

import pytest

from harness import PASSWORD, Client, wait_until
from mail_double import MailServer

LINK = re.compile(r"http://127\.0\.0\.1:\d+/(reset|verify)\?token=([\w-]+)")
NEW = "a brand new password"


@pytest.fixture
def mail():
    server = MailServer(b"atelier\0pass:word @1")
    yield server
    server.close()


@pytest.fixture
def site(make_server, mail):
    """A server that sends mail, with an owner and a person whose address it knows."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"smtp://atelier:pass%3Aword%20%401@127.0.0.1:{mail.port}"
    server = make_server(args=["--smtp-url", url, "--smtp-from", "Ätelier <studio@studio.example>", "--port", str(port), "--public-url", f"http://127.0.0.1:{port}",
                              "--outbound-private", "127.0.0.1"]).start()
    server.owner = server.setup()
    server.add_user("Mara")
    with sqlite3.connect(server.data / "atelier.db") as database:
        database.execute("UPDATE users SET email = 'Mara@Example.org', email_folded = 'mara@example.org' WHERE name = 'Mara'")
    return server


def ask(server, address):
    return Client(server).request("POST", "/api/v1/password-reset", {"email": address})


def token_of(text):
    kind, token = LINK.search(text).groups()
    return kind, token


def rows(server, sql):
    with sqlite3.connect(server.data / "atelier.db") as database:
        return database.execute(sql).fetchall()


def wait_rows(server, sql, wanted):
    wait_until(lambda: rows(server, sql) == wanted, what=f"{sql}: {wanted}")


def test_reset(site, mail):
    assert Client(site).get("/api/v1/status")["mail"] is True
    mara, key_holder = site.sign_in("Mara"), site.sign_in("Mara")
    key = key_holder.post("/api/v1/keys", {"name": "k", "scopes": ["chat"]}, status=201)
    answer = ask(site, "MARA@example.org")
    assert answer.status_code == 202 and answer.text == ""
    receivers, message, text = mail.next()
    assert receivers == ["mara@example.org"] and str(message["To"]) == "mara@example.org"
    assert str(message["From"]) == "Ätelier <studio@studio.example>" and message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain" and message.get_content_charset() == "utf-8" and message["Message-ID"]
    assert "Mara" in text and message["Subject"] == "A new password for Atelier"
    kind, token = token_of(text)
    assert kind == "reset"
    # nothing of the token is kept, nor the address once it is sent
    wait_rows(site, "SELECT address FROM mails", [(None,)])
    assert token not in "".join(str(row) for row in rows(site, "SELECT * FROM one_time_links"))
    assert token not in site.log() and "mara@example.org" not in site.log() and "pass:word" not in site.log()
    # a password that is none does not use the link up
    anybody = Client(site)
    assert anybody.request("POST", "/api/v1/password-reset/finish", {"token": token, "password": "password1"}).status_code == 400
    anybody.post("/api/v1/password-reset/finish", {"token": token, "password": NEW}, status=204)
    assert mara.get("/api/v1/status")["signed_in"] is False
    assert Client(site).request("POST", "/api/v1/session", {"name": "Mara", "password": PASSWORD}).status_code == 401
    Client(site).post("/api/v1/session", {"name": "Mara", "password": NEW}, status=201)
    assert anybody.request("POST", "/api/v1/password-reset/finish", {"token": token, "password": NEW}).status_code == 410
    assert anybody.request("POST", "/api/v1/password-reset/finish", {"token": "x" * 43, "password": NEW}).status_code == 410
    actions = [one["action"] for one in site.owner.get("/api/v1/audit?limit=50")["items"]]
    assert "user.password_reset" in actions and "mail.send" in actions
    assert key["id"]


def test_unknown_addresses_say_and_do_the_same(site, mail):
    """One answer; no mail; the work for a request is the same: it only writes a row."""
    known, unknown = ask(site, "mara@example.org"), ask(site, "nobody@example.org")
    assert (known.status_code, known.text) == (unknown.status_code, unknown.text) == (202, "")
    assert {name for name in known.headers if name.lower() != "date"} == {name for name in unknown.headers if name.lower() != "date"}
    assert mail.next()[0] == ["mara@example.org"]
    wait_rows(site, "SELECT count(*) FROM mails WHERE address IS NOT NULL", [(0,)])
    assert mail.taken.empty()
    assert ask(site, "not an address").status_code == 400
    # a suspended person, and one without a password, are as good as unknown
    with sqlite3.connect(site.data / "atelier.db") as database:
        database.execute("UPDATE users SET disabled_at = 1 WHERE name = 'Mara'")
    assert ask(site, "mara@example.org").status_code == 202
    wait_rows(site, "SELECT count(*) FROM mails WHERE address IS NOT NULL", [(0,)])
    assert mail.taken.empty()


def test_nobody_floods_a_mailbox(site, mail):
    """Three mails an hour for one address, whoever asks; and who asks often is slowed down."""
    for count in (1, 2, 3, 3):
        assert ask(site, "mara@example.org").status_code == 202
        wait_rows(site, "SELECT count(*) FROM mails", [(count,)])
    wait_rows(site, "SELECT count(*) FROM mails WHERE address IS NOT NULL", [(0,)])
    assert [mail.next()[0] for _ in range(3)] == [["mara@example.org"]] * 3
    assert mail.taken.empty()
    said = [ask(site, f"nobody{number}@example.org").status_code for number in range(4)]
    assert said[0] == 202 and said[-1] == 429


def test_server_that_fails(site, mail):
    """Refused for now: again, with a link that works; refused for good: not again; the request never waits for it."""
    mail.answers["RCPT"] = ["451 later"]
    mail.go_on.clear()  # as long as it says nothing
    assert ask(site, "mara@example.org").status_code == 202
    mail.go_on.set()
    _, _, text = mail.next()
    Client(site).post("/api/v1/password-reset/finish", {"token": token_of(text)[1], "password": NEW}, status=204)
    mail.answers["RCPT"] = ["550 no such mailbox"]
    assert ask(site, "mara@example.org").status_code == 202
    wait_rows(site, "SELECT count(*) FROM mails WHERE address IS NOT NULL", [(0,)])
    assert mail.taken.empty()
    mail.password = b"another\0one"
    assert ask(site, "mara@example.org").status_code == 202
    wait_until(lambda: "does not take the name or the password" in site.log(), what="the refusal in the log")
    assert rows(site, "SELECT count(*) FROM mails WHERE address IS NOT NULL") == [(1,)]  # it is tried again


def test_domain_sign_up_is_proved_by_mail(site, mail):
    site.owner.request("PUT", "/api/v1/sign-up/rules", {"mode": "domain", "domains": ["corp.example"]}).raise_for_status()
    made = Client(site).post("/api/v1/sign-up", {"name": "Visit http://evil.example", "password": NEW, "email": "dora@corp.example"}, status=201)
    assert made["waiting"] is True and made["mailed"] is True
    receivers, message, text = mail.next()
    assert receivers == ["dora@corp.example"] and "evil" not in text and message["Subject"] == "Is this your address?"
    kind, token = token_of(text)
    assert kind == "verify"
    enter = {"name": "Visit http://evil.example", "password": NEW}
    assert Client(site).request("POST", "/api/v1/session", enter).status_code == 403
    assert Client(site).request("POST", "/api/v1/password-reset/finish", {"token": token, "password": NEW}).status_code == 410
    Client(site).post("/api/v1/sign-up/verify", {"token": token}, status=204)
    Client(site).post("/api/v1/session", enter, status=201)
    assert Client(site).request("POST", "/api/v1/sign-up/verify", {"token": token}).status_code == 410
    # the rules have changed meanwhile: an administrator decides
    Client(site).post("/api/v1/sign-up", {"name": "Dino", "password": NEW, "email": "dino@corp.example"}, status=201)
    token = token_of(mail.next()[2])[1]
    site.owner.request("PUT", "/api/v1/sign-up/rules", {"mode": "open", "domains": []}).raise_for_status()
    assert Client(site).request("POST", "/api/v1/sign-up/verify", {"token": token}).status_code == 410
    assert Client(site).request("POST", "/api/v1/session", {"name": "Dino", "password": NEW}).status_code == 403


HOSTILE = ["a@corp.example\r\nBcc: x@evil.example", "a@corp.example\nDATA", "a>,<b@corp.example", "a b@corp.example", "<a@corp.example>",
           "a@corp.example\x00", "a@corp.example ", "\"a\r\n\"@corp.example", "a@b@corp.example", "ä@corp.example"]


def test_no_header_or_command_can_be_made(site, mail):
    site.owner.request("PUT", "/api/v1/sign-up/rules", {"mode": "domain", "domains": ["corp.example"]}).raise_for_status()
    ask(site, "mara@example.org")
    for number, address in enumerate(HOSTILE):
        answer = Client(site).request("POST", "/api/v1/sign-up", {"name": f"H{number}", "password": NEW, "email": address})
        assert answer.status_code in (400, 403, 201, 429), address
    mail.next()
    wait_rows(site, "SELECT count(*) FROM mails WHERE address IS NOT NULL", [(0,)])
    for line in mail.commands:
        assert line.split(" ")[0].upper() in ("EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"), line
        if line.startswith("RCPT"):
            assert line == "RCPT TO:<mara@example.org>", line


def test_operators_link(site, mail):
    mara = next(one for one in site.owner.get("/api/v1/users")["items"] if one["name"] == "Mara")
    made = site.owner.post(f"/api/v1/users/{mara['id']}/reset-link", {}, status=201)
    kind, token = token_of(made["url"])
    again = site.owner.post(f"/api/v1/users/{mara['id']}/reset-link", {}, status=201)
    assert Client(site).request("POST", "/api/v1/password-reset/finish", {"token": token, "password": NEW}).status_code == 410  # the older one ends
    Client(site).post("/api/v1/password-reset/finish", {"token": token_of(again["url"])[1], "password": NEW}, status=204)
    Client(site).post("/api/v1/session", {"name": "Mara", "password": NEW}, status=201)
    own = site.owner.get("/api/v1/status")["user"]["id"]
    assert site.owner.request("POST", f"/api/v1/users/{own}/reset-link", {}).status_code == 409
    member = Client(site)
    member.post("/api/v1/session", {"name": "Mara", "password": NEW}, status=201)
    assert mail.taken.empty()


def test_without_a_mail_server(server, owner):
    assert owner.get("/api/v1/status")["mail"] is False
    assert Client(server).request("POST", "/api/v1/password-reset", {"email": "a@example.org"}).status_code == 403
