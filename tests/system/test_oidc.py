"""Signing in through services: a real provider program, and one that lies in every way it can."""
import html
import os
import re
import sqlite3
import subprocess
from pathlib import Path
from urllib.parse import urljoin, urlsplit, parse_qs

import pytest
import requests

from harness import Client

LOOPBACK = ["--outbound-private", "127.0.0.1"]
pytestmark = pytest.mark.server(args=LOOPBACK)


class Service:
    def __init__(self, *args):
        modules = Path(os.environ["ATELIER_NODE_MODULES"])
        self.process = subprocess.Popen([modules.parent / "bin" / "node", Path(__file__).parent / "oidc_provider.mjs", *args],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
        self.issuer = self.process.stdout.readline().strip()
        assert self.issuer.startswith("http://127.0.0.1:"), "the sign-in service did not start"

    def control(self, **values):
        return requests.post(f"{self.issuer}/control", json=values, timeout=120).json()

    def seen(self):
        return requests.get(f"{self.issuer}/control", timeout=120).json()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture
def service(server):
    if "ATELIER_NODE_MODULES" not in os.environ:
        pytest.skip("ATELIER_NODE_MODULES is not set")
    made = []

    def make(*args):
        made.append(Service(*args))
        return made[-1]

    yield make
    for one in made:
        one.close()


def configure(owner, issuer, **more):
    body = {"preset": "generic", "name": "Test ID", "issuer": issuer, "client_id": "atelier",
            "secret": "a secret: with %20 & co", **more}
    return owner.post("/api/v1/login-providers", {name: value for name, value in body.items() if value is not None}, status=201)


def follow(browser, url, login="ada", stop=None):
    """Walks like a browser until it is back on Atelier's page, filling in the service's forms; the last address."""
    http = browser.http
    answer = http.get(url, allow_redirects=False, timeout=120)
    for _ in range(30):
        if answer.status_code in (302, 303):
            url = urljoin(url, answer.headers["Location"])
            if stop and url.startswith(stop):
                return url
            if url.startswith(browser.server.base) and urlsplit(url).path == "/":
                return url
            answer = http.get(url, allow_redirects=False, timeout=120)
            continue
        assert answer.status_code == 200, f"{url}: {answer.status_code} {answer.text[:500]}"
        action = html.unescape(re.search(r'<form[^>]* action="([^"]+)"', answer.text).group(1))
        prompt = re.search(r'name="prompt" value="(\w+)"', answer.text).group(1)
        url = urljoin(url, action)
        answer = http.post(url, data={"prompt": prompt, "login": login, "password": "x"}, allow_redirects=False, timeout=120)
    raise AssertionError("it goes round in circles")


def start(browser, provider, **more):
    return follow(browser, f"{browser.server.base}/api/v1/login/{provider['id']}/start", **more)


def outcome(url):
    return parse_qs(urlsplit(url).query).get("login", [None])[0]


def signed_in(browser):
    status = browser.get("/api/v1/status")
    return status["user"]["name"] if status["signed_in"] else None


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_real_provider(server, owner, service, alg):
    """Refused while unknown, linked from the account, signed in, unlinked; then a new person by new_people."""
    real = service("real", f"{server.base}/login/callback", alg)
    provider = configure(owner, real.issuer)
    assert "secret" not in provider and provider["has_secret"] is True
    offers = Client(server).get("/api/v1/login")["items"]
    assert offers == [{"id": provider["id"], "preset": "generic", "name": "Test ID", "takes_new": False}]

    stranger = Client(server)
    assert outcome(start(stranger, provider)) == "unknown"
    assert signed_in(stranger) is None

    way = owner.post("/api/v1/me/logins", {"provider_id": provider["id"]})
    assert outcome(follow(owner, way["url"])) == "linked"
    links = owner.get("/api/v1/me/logins")["items"]
    assert [(one["name"], one["label"]) for one in links] == [("Test ID", "ada@example.org")]

    browser = Client(server)
    assert outcome(start(browser, provider)) is None
    assert signed_in(browser) == "Olivia"

    # the same identity is nobody else's
    server.add_user("Bert")
    bert = server.sign_in("Bert")
    way = bert.post("/api/v1/me/logins", {"provider_id": provider["id"]})
    assert outcome(follow(bert, way["url"])) == "taken"
    bert.delete(f"/api/v1/me/logins/{links[0]['id']}", status=404)

    owner.delete(f"/api/v1/me/logins/{links[0]['id']}", status=204)
    assert outcome(start(Client(server), provider)) == "unknown"
    owner.patch(f"/api/v1/login-providers/{provider['id']}", {"new_people": "all"})
    new = Client(server)
    assert outcome(start(new, provider, login="carla")) is None
    assert signed_in(new) == "carla"
    status = new.get("/api/v1/status")
    assert status["user"]["role"] == "member"
    # no password fits an account that has none
    assert Client(server).request("POST", "/api/v1/session", {"name": "carla", "password": "!"}).status_code == 401
    # a second one of that name is another person
    owner.patch(f"/api/v1/login-providers/{provider['id']}", {"enabled": False})
    assert outcome(start(Client(server), provider)) == "off"
    assert Client(server).get("/api/v1/login")["items"] == []


LIES = {
    "alg none": {"header": {"alg": "none"}},
    "HS256 with the public key": {"header": {"alg": "HS256"}},
    "another issuer": {"claims": {"iss": "https://accounts.google.com"}},
    "another audience": {"claims": {"aud": "other"}},
    "a second audience": {"claims": {"aud": ["atelier", "other"]}},
    "another azp": {"claims": {"azp": "other"}},
    "another nonce": {"claims": {"nonce": "x"}},
    "no nonce": {"claims": {"nonce": None}},
    "expired": {"claims": {"exp": 1000}},
    "not yet valid": {"claims": {"nbf": 99999999999}},
    "no subject": {"claims": {"sub": ""}},
    "a key that is not published": {"key": "b"},
    "another's key under a published name": {"key": "b", "header": {"kid": "a"}},
    "a mixed-up provider": {"answer": {"iss": "https://other.example"}},
    "no issuer though it tells it": {"answer": {"iss": None}},
    "a changed state": {"answer": {"state": "x" * 43}},
    "no code": {"answer": {"code": None}},
    "an invented code": {"answer": {"code": "abc"}},
    "an error": {"answer": {"error": "server_error", "error_description": "<b>boo</b>"}},
    "a failing token endpoint": {"token_status": 500},
}


def test_hostile_provider(server, owner, service):
    double = service("double")
    provider = configure(owner, double.issuer, new_people="all")
    good = Client(server)
    assert outcome(start(good, provider)) is None and signed_in(good) == "ada"
    for what, lie in LIES.items():
        double.control(**lie)
        browser = Client(server)
        said = outcome(start(browser, provider))
        assert said in ("refused", "stale", "client", "unreachable"), f"{what}: {said}"
        assert signed_in(browser) is None, what
    # forged key names have asked for the keys once, not each time
    assert double.seen()["jwks"] <= 2
    assert "a secret" not in server.log()


def test_replays(server, owner, service):
    double = service("double")
    provider = configure(owner, double.issuer, new_people="all")
    browser = Client(server)
    back = start(browser, provider, stop=f"{server.base}/login/callback")
    # another browser cannot use it, and does not use it up
    assert outcome(follow(Client(server), back)) == "stale"
    assert outcome(follow(browser, back)) is None
    assert signed_in(browser) == "ada"
    # the same state and code a second time
    assert outcome(follow(browser, back)) == "stale"
    # a code of another sign-in under a state of one's own: the verifier does not fit
    first = start(browser, provider, stop=f"{server.base}/login/callback")
    second = start(browser, provider, stop=f"{server.base}/login/callback")
    code = parse_qs(urlsplit(first).query)["code"][0]
    own = parse_qs(urlsplit(second).query)["code"][0]
    fresh = Client(server)
    fresh.http.cookies.set("atelier_login", browser.http.cookies["atelier_login"])
    assert outcome(follow(fresh, second.replace(own, code))) == "client"
    assert signed_in(fresh) is None
    # cancelled over there
    double.control(answer={"error": "access_denied", "code": None})
    assert outcome(start(Client(server), provider)) == "cancelled"


def test_keys_rotate(server, owner, service):
    """The service signs with a new key: its keys are fetched again, once; the old key is gone afterwards."""
    double = service("double")
    provider = configure(owner, double.issuer, new_people="all")
    assert outcome(start(Client(server), provider)) is None
    assert double.seen()["jwks"] == 1
    double.control(key="b", published=["b"])
    assert outcome(start(Client(server), provider)) == "refused"  # asked less than a minute ago: not asked again
    assert double.seen()["jwks"] == 1
    with sqlite3.connect(server.data / "atelier.db") as database:  # a minute later
        database.execute("UPDATE login_documents SET keys_tried_at = keys_tried_at - 60000")
    assert outcome(start(Client(server), provider)) is None
    assert double.seen()["jwks"] == 2
    double.control(key="a", published=["b"])
    assert outcome(start(Client(server), provider)) == "refused"
    assert double.seen()["jwks"] == 2


def test_discovery_must_be_its_own(server, owner, service):
    double = service("double")
    for changes in ({"issuer": "https://accounts.google.com"}, {"issuer": double.issuer + "/"},
                    {"token_endpoint": "http://192.0.2.1/token"}, {"jwks_uri": "file:///etc/passwd"}):
        double.control(discovery=changes)
        provider = configure(owner, double.issuer)
        assert outcome(start(Client(server), provider)) == "unreachable", changes
        owner.delete(f"/api/v1/login-providers/{provider['id']}", status=204)
    for issuer in ("http://192.0.2.1", "ftp://id.example", "http://localhost:1"):
        answer = owner.request("POST", "/api/v1/login-providers", {"preset": "generic", "name": "x", "issuer": issuer, "client_id": "x"})
        assert answer.status_code in (400, 403), issuer


@pytest.mark.server(args=[])
def test_loopback_only_where_allowed(server, owner):
    answer = owner.request("POST", "/api/v1/login-providers",
                           {"preset": "generic", "name": "x", "issuer": "http://127.0.0.1:9", "client_id": "x"})
    assert answer.status_code == 403, answer.text
