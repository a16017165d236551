"""Two servers on one PostgreSQL and one Redis: what is ended on one is ended on the other, rates are one allowance, and
a Redis that is gone takes nothing with it."""
import re
import signal
import time

import pytest

from harness import Events, wait_until
from redis_server import Redis

SOON_S = 1.0


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


def ended_within(listener, seconds):
    end = time.monotonic() + seconds
    with listener._changed:
        while not listener.closed and time.monotonic() < end:
            listener._changed.wait(end - time.monotonic())
        return listener.closed


def redis_is(up, *clients):
    wait_until(lambda: all(metric(client, "atelier_redis_up") == up for client in clients), what=f"redis_up {up}")


def sign_out_reaches(first, second, name):
    """Signing out at the first ends requests and streams at the second."""
    here = first.sign_in(name)
    there = at(second, here)
    assert status(there) == 200  # it is remembered there now
    listener = Events(there)
    here.delete("/api/v1/session")
    begin = time.monotonic()
    wait_until(lambda: status(there) == 401, timeout=SOON_S, what="the session's end at the other server")
    assert ended_within(listener, SOON_S - (time.monotonic() - begin))
    assert "session.revoked" in [event["event"] for event in listener.seen]


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
    wait_until(lambda: status(key_there, "/v1/models") == 401, timeout=SOON_S, what="the key's end")
    # a role, a suspension, a deletion
    first.add_user("Mia")
    mia_id = {user["name"]: user["id"] for user in owner.get("/api/v1/users")["items"]}["Mia"]
    mia = at(second, first.sign_in("Mia"))
    assert status(mia, "/api/v1/users") == 403
    owner.patch(f"/api/v1/users/{mia_id}", {"role": "admin"})
    wait_until(lambda: status(mia, "/api/v1/users") == 200, timeout=SOON_S, what="the new role")
    listener = Events(mia)
    owner.post(f"/api/v1/users/{mia_id}/suspend")
    wait_until(lambda: status(mia) == 401, timeout=SOON_S, what="the suspension")
    assert ended_within(listener, SOON_S)
    owner.post(f"/api/v1/users/{mia_id}/resume")
    mia = at(second, first.sign_in("Mia"))
    assert status(mia) == 200
    owner.delete(f"/api/v1/users/{mia_id}")
    wait_until(lambda: status(mia) == 401, timeout=SOON_S, what="the deletion")
    # switches
    owner.patch("/api/v1/server", {"maintenance": True})
    wait_until(lambda: there.get("/api/v1/notice")["maintenance"], timeout=SOON_S, what="maintenance")


def test_without_redis_the_database_tells(make_server):
    first, second, owner = pair(make_server, None)
    sign_out_reaches(first, second, "Olivia")
    assert metric(at(second, owner), "atelier_redis_up") is None


RATES = ("--rate-local", "true", "--rate-read", "40", "--rate-generate", "0", "--rate-write", "0", "--rate-sign-in", "0")


def taken_until_refused(client, most=200):
    for count in range(most):
        answer = client.request("GET", "/v1/models")
        if answer.status_code == 429:
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.json()["error"]["code"] == "rate_limited"
            return count
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
    assert 30 <= taken_until_refused(key) <= 45
    # the other server learns of it from its own next request
    wait_until(lambda: there.request("GET", "/v1/models").status_code == 429, timeout=3, what="the shared refusal")
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
    assert 38 <= taken_until_refused(key) <= 45
    assert 38 <= taken_until_refused(at(second, key)) <= 45, "each server counts for itself"
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
        begin = time.monotonic()
        assert status(owner) == 200
        server.stop()
        assert time.monotonic() - begin < 8
    finally:
        redis.process.send_signal(signal.SIGCONT)
        redis.stop()
