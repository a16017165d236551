"""Two servers on one PostgreSQL and one Redis: what is ended on one is ended on the other, rates are one allowance, and
a Redis that is gone takes nothing with it."""
import re
import signal
import time

import pytest

from harness import Events, quickest, wait_until
from redis_server import Redis

SOON_S = 1.0    # told as soon as this
CACHE_S = 40.0  # less than who somebody is is remembered for (ATL_AUTH_CACHE_MS): it was told, or it would still hold


@pytest.fixture
def redis(tmp_path):
    one = Redis(tmp_path / "redis")
    yield one
    one.stop()


def pair(make_server, redis_url, *args):
    """Two servers, the owner signed in on the first, and the same cookie at the second."""
    args = (["--redis-url", redis_url] if redis_url else []) + list(args)
    first = make_server(db="postgres", args=args).start()
    owner = first.setup()
    second = make_server(db="sqlite", args=args)  # the second on the first one's database
    second.database = first.database
    second.data.mkdir(parents=True)
    (second.data / "master.key").write_bytes((first.data / "master.key").read_bytes())
    (second.data / "master.key").chmod(0o600)
    second.start()
    return first, second, owner


def at(server, client):
    """The same browser at the other server."""
    other = client.again()
    other.server = server
    return other


def status(client, path="/api/v1/me"):
    return client.request("GET", path).status_code


def metric(client, name):
    text = client.request("GET", "/metrics").text
    found = re.search(rf"^{re.escape(name)} (\d+)$", text, re.M)
    return int(found.group(1)) if found else None


def ended(listener):
    with listener._changed:
        return listener._changed.wait_for(lambda: listener.closed, CACHE_S)


def soon(check, what):
    wait_until(check, CACHE_S, what)


def redis_is(up, *clients):
    wait_until(lambda: all(metric(client, "atelier_redis_up") == up for client in clients), what=f"redis_up {up}")


def sign_out_reaches(first, second, name):
    """Signing out at the first ends requests and streams at the second."""
    def turn():
        here = first.sign_in(name)
        there = at(second, here)
        assert status(there) == 200  # it is remembered there now
        listener = Events(there)
        here.delete("/api/v1/session")
        begin = time.monotonic()
        soon(lambda: status(there) == 401, "the session's end at the other server")
        assert ended(listener)
        took = time.monotonic() - begin
        assert "session.revoked" in [event["event"] for event in listener.seen]
        return took

    assert quickest(turn, SOON_S) <= SOON_S


def test_what_ends_here_ends_there(make_server, redis):
    first, second, owner = pair(make_server, redis.url)
    there = at(second, owner)
    redis_is(1, owner, there)
    sign_out_reaches(first, second, "Olivia")
    for way in ("redis", "database"):  # one of them was first; both told
        wait_until(lambda: metric(there, f'atelier_peers_news_total{{by="{way}"}}') >= 1, what=way)  # noqa: B023
    # a key
    key = owner.new_key("chat")
    key_there = at(second, key)
    assert status(key_there, "/v1/models") == 200
    made = owner.get("/api/v1/keys")["items"][0]
    owner.delete(f"/api/v1/keys/{made['id']}")
    soon(lambda: status(key_there, "/v1/models") == 401, "the key's end")
    # a role, a suspension, a deletion
    first.add_user("Mia")
    mia_id = {user["name"]: user["id"] for user in owner.get("/api/v1/users")["items"]}["Mia"]
    mia = at(second, first.sign_in("Mia"))
    assert status(mia, "/api/v1/users") == 403
    owner.patch(f"/api/v1/users/{mia_id}", {"role": "admin"})
    soon(lambda: status(mia, "/api/v1/users") == 200, "the new role")
    listener = Events(mia)
    owner.post(f"/api/v1/users/{mia_id}/suspend")
    soon(lambda: status(mia) == 401, "the suspension")
    assert ended(listener)
    owner.post(f"/api/v1/users/{mia_id}/resume")
    mia = at(second, first.sign_in("Mia"))
    assert status(mia) == 200
    owner.delete(f"/api/v1/users/{mia_id}")
    soon(lambda: status(mia) == 401, "the deletion")
    # switches
    owner.patch("/api/v1/server", {"maintenance": True})
    soon(lambda: there.get("/api/v1/notice")["maintenance"], "maintenance")


def test_without_redis_the_database_tells(make_server):
    first, second, owner = pair(make_server, None)
    sign_out_reaches(first, second, "Olivia")
    assert metric(at(second, owner), "atelier_redis_up") is None


RATE = 40  # a minute
RATES = ("--rate-local", "true", "--rate-read", str(RATE), "--rate-generate", "0", "--rate-write", "0", "--rate-sign-in", "0")


def taken_until_refused(client, most=200):
    """How many were answered, and how many more than 40 there may be: what comes back meanwhile, and what is not settled."""
    begin = time.monotonic()
    for count in range(most):
        answer = client.request("GET", "/v1/models")
        if answer.status_code == 429:
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.json()["error"]["code"] == "rate_limited"
            return count, 5 + (time.monotonic() - begin) * RATE / 60
        assert answer.status_code == 200, answer.text
    raise AssertionError(f"{most} requests and no end")


def test_rates_are_one_allowance(make_server, redis):
    first, second, owner = pair(make_server, redis.url, *RATES)
    first.add_user("Mia")
    key = first.sign_in("Mia").new_key("chat")
    there = at(second, key)
    answer = there.request("GET", "/v1/models")
    assert answer.headers["RateLimit-Policy"].endswith(";q=40;w=60")
    wait_until(lambda: "atelier:rate:" in redis.ask("KEYS", "*"), what="the first exchange")
    taken, more = taken_until_refused(key)
    assert RATE - 10 <= taken <= RATE + more
    # the other server learns of it from its own next request, long before that many are its own
    asked = []
    wait_until(lambda: asked.append(there.request("GET", "/v1/models").status_code) or asked[-1] == 429, pause=0.2,
               what="the shared refusal")
    assert len(asked) <= RATE - 10, asked
    assert status(at(second, owner)) == 200, "another person's allowance is untouched"
    keys = redis.ask("KEYS", "*")
    assert "203.0" not in keys and "usr_" not in keys and "127.0" not in keys, "names do not leave the server"
    assert all(0 < int(redis.ask("PTTL", name).strip(":\r\n")) <= 62_000 for name in re.findall(r"atelier:rate:\w+", keys))


def test_redis_gone_and_back(make_server, redis):
    first, second, owner = pair(make_server, redis.url, *RATES)
    there = at(second, owner)
    redis_is(1, owner, there)
    redis.stop()
    redis_is(0, owner, there)
    sign_out_reaches(first, second, "Olivia")  # by the database
    first.add_user("Mia")
    key = first.sign_in("Mia").new_key("chat")
    for client in (key, at(second, key)):  # each server counts for itself
        taken, more = taken_until_refused(client)
        assert RATE - 2 <= taken <= RATE + more
    redis.start()
    redis_is(1, owner, there)
    sign_out_reaches(first, second, "Olivia")
    assert status(owner) == 200 and status(there) == 200, "nobody else was signed out"
    assert "Redis" in first.log()


def test_starts_without_redis(make_server, tmp_path):
    server = make_server(args=["--redis-url", f"unix://{tmp_path}/nothing.sock"]).start()
    owner = server.setup()
    assert status(owner) == 200
    assert metric(owner, "atelier_redis_up") == 0
    assert server.log().count("rates are counted by this server alone") == 1


def test_password_and_hang(make_server, tmp_path):
    """The right password is used and never shown; a Redis that stops answering holds nothing up."""
    redis = Redis(tmp_path / "redis", "--requirepass", "hush")
    try:
        server = make_server(args=["--redis-url", f"unix://{redis.socket}"]).start()
        owner = server.setup()
        wait_until(lambda: "NOAUTH" in server.log() or "Authentication" in server.log(), what="the refusal")
        assert metric(owner, "atelier_redis_up") == 0
        redis.process.send_signal(signal.SIGSTOP)

        def asked():
            begin = time.monotonic()
            assert status(owner) == 200
            return time.monotonic() - begin

        assert quickest(asked, 1) <= 1
        server.stop(timeout=30)  # it says nothing ever again: what waited for it would wait for ever
    finally:
        redis.process.send_signal(signal.SIGCONT)
        redis.stop()
