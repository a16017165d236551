"""Signing in through services without OpenID Connect (GitHub, Discord): a double with the documented answers, and its lies.

Also what every service's word decides: roles from claims, domains, and the sign-up rules for who is new.
"""
import pytest

from harness import Client
from test_oidc import LOOPBACK, configure, follow, outcome, service, signed_in, start  # noqa: F401  (service: a fixture)

pytestmark = pytest.mark.server(args=LOOPBACK)

NAMES = {"github": "Monalisa", "discord": "Nelly"}
LABELS = {"github": "mona@example.org", "discord": "nelly@example.org"}
USER_PATH = {"github": "/api/v3/user", "discord": "/api/v10/users/@me"}
TOKEN_PATH = {"github": "/login/oauth/access_token", "discord": "/api/oauth2/token"}


@pytest.mark.parametrize("preset", ["github", "discord"])
def test_sign_in(server, owner, service, preset):
    """Unknown, linked, signed in, unlinked, new; with PKCE, state, the documented scopes, and no secret in the log."""
    double = service("oauth")
    provider = configure(owner, double.issuer, preset=preset, name=None)
    assert provider["name"].lower() == preset and provider["new_people"] == "none"
    assert outcome(start(Client(server), provider)) == "unknown"
    way = owner.post("/api/v1/me/logins", {"provider_id": provider["id"]})
    assert outcome(follow(owner, way["url"])) == "linked"
    links = owner.get("/api/v1/me/logins")["items"]
    assert [one["label"] for one in links] == [LABELS[preset]]
    browser = Client(server)
    assert outcome(start(browser, provider)) is None and signed_in(browser) == "Olivia"
    owner.delete(f"/api/v1/me/logins/{links[0]['id']}", status=204)
    owner.patch(f"/api/v1/login-providers/{provider['id']}", {"new_people": "all"})
    new = Client(server)
    assert outcome(start(new, provider)) is None and signed_in(new) == NAMES[preset]
    seen = double.seen()
    asked = seen["authorize"][-1]
    assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43 and len(asked["state"]) >= 43
    assert asked["scope"] == {"github": "read:user user:email", "discord": "identify email"}[preset] and "nonce" not in asked
    assert all(one["agent"] and one["authorization"] == "Bearer gho_16C7e42F292c6912E7" for one in seen["user"])
    assert "gho_16C7" not in server.log() and "a secret" not in server.log()


def test_known_addresses(server, owner):
    """The real services' own addresses need nothing but the client."""
    for preset, issuer in (("github", "https://github.com"), ("discord", "https://discord.com")):
        made = owner.post("/api/v1/login-providers", {"preset": preset, "client_id": "c", "secret": "s"}, status=201)
        assert made["issuer"] == issuer
        answer = Client(server).http.get(f"{server.base}/api/v1/login/{made['id']}/start", allow_redirects=False)
        assert answer.status_code == 303 and answer.headers["Location"].startswith(
            {"github": "https://github.com/login/oauth/authorize?", "discord": "https://discord.com/api/oauth2/authorize?"}[preset])


LIES = {
    "no token": {"token": {"access_token": None}},
    "an empty token": {"token": {"access_token": ""}},
    "another type of token": {"token": {"token_type": "mac"}},
    "no type of token": {"token": {"token_type": None}},
    "a token with a header in it": {"token": {"access_token": "x\r\nX-Admin: 1"}},
    "an error with a token": {"token": {"error": "bad_verification_code"}},
    "a failing token endpoint": {"token_status": 500},
    "a refusing API": {"user_status": 403},
    "a failing API": {"user_status": 502},
    "nobody": {"user": {"id": None}},
    "an id that is an object": {"user": {"id": {"a": 1}}},
    "an id that is a fraction": {"user": {"id": 1.5}},
    "a negative id": {"user": {"id": -1}},
    "an empty id": {"user": {"id": ""}},
    "an id with a space": {"user": {"id": "1 2"}},
    "an id without end": {"user": {"id": "1" * 65}},
    "a list of people": {"user": [{"id": 583231}]},
    "a changed state": {"answer": {"state": "x" * 43}},
    "no code": {"answer": {"code": None}},
    "an invented code": {"answer": {"code": "abc"}},
    "an error": {"answer": {"error": "server_error", "error_description": "<b>boo</b>"}},
    "another service's answer": {"answer": {"iss": "https://accounts.google.com"}},
}


@pytest.mark.parametrize("preset", ["github", "discord"])
def test_hostile(server, owner, service, preset):
    double = service("oauth")
    provider = configure(owner, double.issuer, preset=preset, new_people="all")
    lies = dict(LIES)
    lies["a token by redirect"] = {"redirect": TOKEN_PATH[preset]}
    lies["a person by redirect"] = {"redirect": USER_PATH[preset]}
    if preset == "discord":
        lies["no issuer though it tells it"] = {"answer": {"iss": None}}
    for what, lie in lies.items():
        double.control(**lie)
        browser = Client(server)
        said = outcome(start(browser, provider))
        assert said in ("refused", "stale", "client", "unreachable"), f"{what}: {said}"
        assert signed_in(browser) is None, what
    double.control()
    good = Client(server)
    assert outcome(start(good, provider)) is None and signed_in(good) == NAMES[preset]


UNVERIFIED = {
    "github": [{"emails": [{"email": "boss@corp.example", "primary": True, "verified": False}]},
               {"emails": [{"email": "boss@corp.example", "primary": False, "verified": True}]},
               {"emails": [{"email": "boss@corp.example", "primary": True, "verified": "true"}]},
               {"emails": {"email": "boss@corp.example", "primary": True, "verified": True}},
               {"emails": [], "user": {"email": "boss@corp.example", "verified": True}},
               {"emails_status": 404, "user": {"email": "boss@corp.example"}}],
    "discord": [{"user": {"email": "boss@corp.example", "verified": False}}, {"user": {"email": "boss@corp.example", "verified": None}},
                {"user": {"email": None}}, {"user": {"email": "boss@corp.example", "verified": 1}}],
}


@pytest.mark.parametrize("preset", ["github", "discord"])
def test_only_verified_addresses_count(server, owner, service, preset):
    double = service("oauth")
    provider = configure(owner, double.issuer, preset=preset, new_people="all", domains=["Corp.example"])
    for lie in UNVERIFIED[preset]:
        double.control(**lie)
        browser = Client(server)
        assert outcome(start(browser, provider)) == "domain", lie
        assert signed_in(browser) is None
    double.control(emails=[{"email": "boss@corp.example", "primary": True, "verified": True}], user={"email": "boss@CORP.example", "verified": True})
    assert outcome(start(Client(server), provider)) is None
    # the domain is asked for at each sign-in, not at the first alone
    double.control()
    assert outcome(start(Client(server), provider)) == "domain"


def person(owner, name):
    return next(one for one in owner.get("/api/v1/users")["items"] if one["name"] == name)


def test_roles_follow_claims(server, owner, service):
    """A rule gives a role at each sign-in and takes it back; what was given by hand stays; owners are never touched."""
    double = service("double")
    crew = owner.post("/api/v1/roles", {"name": "Crew", "permissions": ["usage.read"]}, status=201)
    rules = [{"claim": "realm_access.roles", "value": "mods", "role": "moderator"}, {"claim": "https://id.example/crew", "value": "true", "role": crew["id"]}]
    provider = configure(owner, double.issuer, new_people="all", role_rules=rules)
    assert provider["role_rules"] == rules

    def enter(**claims):
        double.control(claims=claims)
        browser = Client(server)
        assert outcome(start(browser, provider)) is None
        return browser, person(owner, "ada")["role"]

    first, role = enter(realm_access={"roles": ["x", "mods"]})
    assert role == "moderator"
    second, role = enter(**{"https://id.example/crew": True})
    assert role == crew["id"]
    assert first.get("/api/v1/status")["user"]["role"] != "moderator"  # what is open elsewhere follows at once
    assert enter(realm_access={"roles": "mods"}, **{"https://id.example/crew": "false"})[1] == "moderator"
    assert enter()[1] == "member"
    assert enter(realm_access={"roles": ["modsx"]}, groups=["mods"])[1] == "member"
    owner.patch(f"/api/v1/users/{person(owner, 'ada')['id']}", {"role": "guest"})
    assert enter()[1] == "guest"  # given by hand
    # a role that is gone gives nothing
    owner.patch(f"/api/v1/login-providers/{provider['id']}", {"role_rules": rules[1:]})
    owner.delete(f"/api/v1/roles/{crew['id']}", status=204)
    assert enter(**{"https://id.example/crew": True})[1] == "guest"
    # owners stay owners
    owner.patch(f"/api/v1/login-providers/{provider['id']}", {"role_rules": [{"claim": "sub", "value": "olivia", "role": "guest"}]})
    double.control(claims={"sub": "olivia"})
    assert outcome(follow(owner, owner.post("/api/v1/me/logins", {"provider_id": provider["id"]})["url"])) == "linked"
    assert outcome(start(Client(server), provider)) is None
    assert person(owner, "Olivia")["role"] == "owner"
    audit = owner.get("/api/v1/audit?limit=200")["items"]
    assert [one["note"] for one in audit if one["action"] == "login.role"][-1] in ("moderator", crew["id"])


def test_no_rule_makes_more_than_who_wrote_it(server, owner, service):
    double = service("double")
    answer = owner.request("POST", "/api/v1/login-providers", {"preset": "generic", "name": "x", "issuer": double.issuer, "client_id": "x",
                           "role_rules": [{"claim": "a", "value": "b", "role": "owner"}]})
    assert answer.status_code == 400 and "role_rules" in answer.text
    keeper = owner.post("/api/v1/roles", {"name": "Keeper", "permissions": ["settings.manage"]}, status=201)
    server.add_user("Karl")
    owner.patch(f"/api/v1/users/{person(owner, 'Karl')['id']}", {"role": keeper["id"]})
    karl = server.sign_in("Karl")
    body = {"preset": "generic", "name": "x", "issuer": double.issuer, "client_id": "x"}
    answer = karl.request("POST", "/api/v1/login-providers", {**body, "role_rules": [{"claim": "a", "value": "b", "role": "admin"}]})
    assert answer.status_code == 403, answer.text
    answer = karl.request("POST", "/api/v1/login-providers", {**body, "role_rules": [{"claim": "a", "value": "b", "role": "nobody"}]})
    assert answer.status_code == 400
    karl.post("/api/v1/login-providers", {**body, "role_rules": [{"claim": "a", "value": "b", "role": keeper["id"]}]}, status=201)


def test_sign_up_rules_hold(server, owner, service):
    """new_people "rules": closed, by invitation, by a verified address's domain, open with approval."""
    double = service("double")
    provider = configure(owner, double.issuer, new_people="rules")

    def enter(sub, invitation=None, **claims):
        double.control(claims={"sub": sub, "name": sub, **claims})
        browser = Client(server)
        url = f"{server.base}/api/v1/login/{provider['id']}/start" + (f"?invitation={invitation}" if invitation else "")
        return outcome(follow(browser, url)), signed_in(browser)

    def rules(mode, *domains):
        owner.request("PUT", "/api/v1/sign-up/rules", {"mode": mode, "domains": list(domains)}).raise_for_status()

    link = owner.post("/api/v1/invitations", {"role": "moderator", "uses_max": 1}, status=201)
    rules("closed")
    assert enter("cleo", link["token"]) == ("sign_up", None)
    rules("invitation")
    assert enter("ida") == ("sign_up", None)
    assert enter("ida", "not a token") == ("stale", None)
    assert enter("ida", link["token"]) == (None, "ida")
    assert person(owner, "ida")["role"] == "moderator"
    assert enter("ivo", link["token"]) == ("stale", None)  # used up
    assert enter("ida") == (None, "ida")
    rules("domain", "corp.example")
    assert enter("dora", email="dora@corp.example", email_verified=False) == ("sign_up", None)
    assert enter("dora", email="dora@evil.example", email_verified=True) == ("sign_up", None)
    assert enter("dora", email="dora@corp.example", email_verified=True) == (None, "dora")
    rules("open")
    assert enter("otto") == ("waiting", None)
    assert enter("otto") == ("waiting", None)
    owner.post(f"/api/v1/users/{person(owner, 'otto')['id']}/approve", {}, status=200)
    assert enter("otto") == (None, "otto")
