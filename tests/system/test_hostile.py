"""Hostile requests over raw sockets: each is refused with the right status, and nobody else notices.

Every test runs beside a second client that asks for its own data all the time: each of its answers must be 200.
"""
import json
import socket
import threading
import time

import pytest

from harness import WAIT_S, Client, PASSWORD

SLOW_S = 3  # an answer that takes milliseconds
HELD_S = 8  # less than the server lets a slow head or body go on: nobody waits for that


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """One server for all of them: what one attack breaks, the next test sees."""
    import harness
    server = harness.Server(tmp_path_factory.mktemp("hostile"), args=["--engine-enabled", "false"]).start()
    server.owner = server.setup()
    server.key = server.owner.new_key().key
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def bystander(site):
    over, problems, slow, count = threading.Event(), [], [], [0]

    def watch():
        client = Client(site, site.key)
        while not over.is_set():
            try:
                begin = time.monotonic()
                answer = client.request("GET", "/api/v1/me")
                if answer.status_code != 200:
                    problems.append(answer.status_code)
                if (took := time.monotonic() - begin) > SLOW_S:
                    slow.append(took)
            except Exception as problem:
                problems.append(problem)
            count[0] += 1
            over.wait(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    yield
    over.set()
    thread.join()
    assert not problems, problems[:5]
    assert len(slow) <= 1 and all(took <= HELD_S for took in slow), slow  # one: the machine itself may stop for a moment
    assert count[0] > 0


def connect(site):
    return socket.create_connection(("127.0.0.1", site.port), timeout=WAIT_S)


def raw(site, data, more=b""):
    """All that comes back until the server closes; `data` should end the connection."""
    with connect(site) as sock:
        try:
            sock.sendall(data)
            if more:
                sock.sendall(more)
        except OSError:
            pass
        return drain(sock)


def drain(sock):
    out = b""
    try:
        while True:
            piece = sock.recv(65536)
            if not piece:
                return out
            out += piece
    except ConnectionResetError:
        return out


def status(answer):
    assert answer.startswith(b"HTTP/1.1 "), answer[:200]
    return int(answer[9:12])


def request(method="GET", target="/api/v1/status", *headers, body=b"", host="localhost"):
    lines = [f"{method} {target} HTTP/1.1"] + ([f"Host: {host}"] if host is not None else [])
    lines += ["Connection: close", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def auth(site):
    return f"Authorization: Bearer {site.key}"


# ---- who may be asked, and from where ----

@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.2", "evil.example:80",
                                  "169.254.169.254", "[::2]"])
def test_unknown_host(site, host):
    assert status(raw(site, request(host=host))) == 421


@pytest.mark.parametrize("host", [None, "", "local host", "localhost:99999", "a@localhost", "localhost,evil", "[::1"])
def test_malformed_host(site, host):
    assert status(raw(site, request(host=host))) == 400


def test_two_hosts(site):
    assert status(raw(site, request("GET", "/livez", "Host: localhost"))) == 400
    assert status(raw(site, request("GET", "/livez", "Host: evil.example"))) == 400


def test_absolute_target_must_agree_with_host(site):
    assert status(raw(site, request(target="http://evil.example/livez"))) in (400, 421)
    assert status(raw(site, request(target="http://localhost/livez"))) == 200


FOREIGN = ["http://evil.example", "null", "https://localhost.evil.example", "http://127.0.0.1:1"]


@pytest.mark.parametrize("origin", FOREIGN)
def test_foreign_origin_changes_nothing(site, origin):
    owner = site.owner
    for method, path, body in [("POST", "/api/v1/characters", {"card": {"name": "X"}}),
                               ("PATCH", "/api/v1/me", {"name": "Mallory"}), ("DELETE", "/api/v1/session", None),
                               ("PUT", "/api/v1/me/preferences", {"a": 1}), ("POST", "/api/v1/keys", {"name": "x"})]:
        answer = owner.request(method, path, body, headers={"Origin": origin})
        assert answer.status_code == 403, (method, path, answer.text)
    assert owner.get("/api/v1/me")["name"] == "Olivia"


def test_cross_site_fetch_and_missing_token(site):
    owner = site.owner
    answer = owner.request("POST", "/api/v1/characters", {"card": {"name": "X"}},
                           headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    for token in ("", "wrong", owner.csrf[:-1]):
        answer = owner.request("POST", "/api/v1/characters", {"card": {"name": "X"}}, headers={"X-CSRF-Token": token})
        assert answer.status_code == 403 and answer.json()["slug"]
    quiet = owner.request("POST", "/api/v1/characters", {"card": {"name": "X"}}, headers={"Origin": None})
    assert quiet.status_code == 403, "silence about the origin is not enough"


@pytest.mark.parametrize("origin", FOREIGN)
def test_foreign_sign_in_and_setup(site, origin):
    for path in ("/api/v1/session", "/api/v1/setup"):
        answer = Client(site).request("POST", path, {"name": "Olivia", "password": PASSWORD},
                                      headers={"Origin": origin})
        assert answer.status_code == 403


@pytest.mark.parametrize("origin", FOREIGN + [None])
def test_foreign_websocket(site, origin):
    cookie = "; ".join(f"{c.name}={c.value}" for c in site.owner.http.cookies)
    lines = ["GET /api/v1/ws HTTP/1.1", f"Host: 127.0.0.1:{site.port}", "Connection: Upgrade", "Upgrade: websocket",
             "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"Cookie: {cookie}"]
    if origin:
        lines.append(f"Origin: {origin}")
    with connect(site) as sock:
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        assert status(sock.recv(4096)) == 403
    lines = [line for line in lines if not line.startswith("Origin")] + [f"Origin: {site.base}"]
    with connect(site) as sock:
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        assert status(sock.recv(4096)) == 101


def test_no_cross_origin_reading(site):
    answer = site.owner.request("GET", "/api/v1/me", headers={"Origin": "http://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers
    preflight = Client(site).request("OPTIONS", "/api/v1/me", headers={
        "Origin": "http://evil.example", "Access-Control-Request-Method": "PATCH"})
    assert "Access-Control-Allow-Origin" not in preflight.headers


def test_throttled_stranger_does_not_lock_the_owner_out(site):
    codes = [Client(site).request("POST", "/api/v1/session", {"name": "Nobody", "password": "wrong wrong"}).status_code
             for _ in range(30)]
    assert 401 in codes and set(codes) <= {401, 429}
    assert site.owner.get("/api/v1/me")["name"] == "Olivia"


# ---- too much ----

def test_long_target(site):
    assert status(raw(site, request(target="/" + "a" * 9000))) == 414
    assert status(raw(site, request(target="/?" + "a" * 200000))) == 414


def test_large_and_many_headers(site):
    assert status(raw(site, request("GET", "/livez", "X-Big: " + "a" * 40000))) == 431
    assert status(raw(site, request("GET", "/livez", *[f"X-{i}: 1" for i in range(300)]))) == 431
    assert status(raw(site, request("GET", "/livez", "X" * 40000 + ": 1"))) == 431


def test_large_body_is_refused_before_it_is_read(site):
    head = request("POST", "/api/v1/characters", auth(site), "Content-Type: application/json",
                   "Content-Length: 10000000000")
    assert status(raw(site, head)) == 413, "not 408, which who waits for a body would answer in the end"


def test_large_chunked_body(site):
    head = request("POST", "/api/v1/characters", auth(site), "Content-Type: application/json",
                   "Transfer-Encoding: chunked")
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert status(raw(site, head, piece * 200)) == 413


def test_stranger_may_not_send_a_body(site):
    head = request("POST", "/api/v1/characters", "Content-Type: application/json", "Content-Length: 900000")
    assert status(raw(site, head)) in (401, 403), "refused before the body"


@pytest.mark.parametrize("text", ["[" * 100000, '{"card":' * 20000, '{"card":{"name":"x","extensions":' + '{"a":' * 5000
                                  + "1" + "}" * 5002])
def test_deep_json(site, text):
    answer = site.owner.request("POST", "/api/v1/characters", data=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and answer.json()["slug"]


@pytest.mark.parametrize("data", [
    b'{"card":{"name":"\xff\xfe"}}', b'{"card":{"name":"\xc0\xaf"}}', b'{"card":{"name":"\xed\xa0\x80"}}',
    b'{"card":{"name":"\xf4\x90\x80\x80"}}', b'{"card":{"name":"\\ud800"}}', b'{"card":{"name":"a\\u0000b"}}',
    b'{"card":{"name":"a\x00b"}}', b'{"card":{"name":"tab\tin"}}', b'\xef\xbb\xbf', b'', b'{', b'nul',
    b'{"card":{"name":"x"}} trailing', b'{"card":{"name":"x"},"card":{"name":"y"},}', b'[]', b'"text"', b'1e999',
    b'{"card":{"name":1}}', b'{"unknown_key":1}'])
def test_broken_json(site, data):
    answer = site.owner.request("POST", "/api/v1/characters", data=data, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert answer.headers["Content-Type"].startswith("application/problem+json") and problem["status"] == 400


def test_wrong_content_type(site):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = site.owner.request("POST", "/api/v1/characters", data=b'{"card":{"name":"x"}}',
                                    headers={"Content-Type": kind})
        assert answer.status_code == 415


# ---- paths ----

@pytest.mark.parametrize("target", [
    "/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/a/../../b", "/./livez",
    "/%2e/livez", "//livez", "/api//v1/status", "/livez%00", "/livez%00.html", "/%", "/%zz", "/%c0%ae%c0%ae/", "/a\\..\\b",
    "/api/v1/assets/..%2f..%2fmaster.key", "/api/v1/engine/models/..%2fmaster.key"])
def test_path_tricks(site, target):
    answer = raw(site, request("GET", target, auth(site)))
    assert status(answer) in (400, 404), answer[:300]
    assert b"root:" not in answer


@pytest.mark.parametrize("name", ["..%2fevil.gguf", "%2e%2e%2fevil.gguf", "a%2fb.gguf", "evil.sh", ".gguf",
                                  "a%00.gguf", "%0d%0aX-Evil:1.gguf"])
def test_upload_names(site, name):
    answer = raw(site, request("PUT", f"/api/v1/engine/models/{name}", auth(site), "Content-Length: 4", body=b"GGUF"))
    assert 400 <= status(answer) < 500
    assert not list(site.folder.rglob("*evil*"))


@pytest.mark.parametrize("target", ["livez", "*", "/li vez", "/livez#x", "/\x7f", "/\xe9"])
def test_odd_targets(site, target):
    assert status(raw(site, request("GET", target))) in (400, 404)


# ---- injection ----

def test_header_injection(site):
    for target in ("/nothing%0d%0aX-Evil:%201", "/problems/%0d%0aX-Evil:%201", "/api/v1/characters/%0aX-Evil:1"):
        head = raw(site, request("GET", target, auth(site))).split(b"\r\n\r\n")[0]
        assert b"\nX-Evil" not in head
    made = site.owner.request("POST", "/api/v1/characters", {"card": {"name": "x\r\nX-Evil: 1"}})
    assert "X-Evil" not in made.headers
    assert status(raw(site, request("GET", "/livez", "X-A: b\rX-Evil: 1"))) == 400
    assert status(raw(site, request("GET", "/livez", "X-A: b\0c"))) == 400
    talk = site.owner.conversation()
    key = site.owner.request("POST", f"/api/v1/conversations/{talk['id']}/messages", {"content": "x", "reply": False},
                             headers={"Idempotency-Key": "a b\tc"})
    assert key.status_code == 400


# ---- smuggling ----

POST = "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
INNER = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("head", [
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "Content-Length: 4\r\nContent-Length: 5\r\n", "Content-Length: 4\r\nContent-Length: 4\r\n",
    "Content-Length: 4, 4\r\n", "Content-Length: +4\r\n", "Content-Length: -1\r\n", "Content-Length: 0x4\r\n",
    "Content-Length: 99999999999999999999\r\n", "Content-Length:\r\n", "Content-Length: 4 4\r\n",
    "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding:\x0bchunked\r\n", "Transfer-Encoding: gzip, chunked\r\n", " Transfer-Encoding: chunked\r\n",
    "X: y\r\n Transfer-Encoding: chunked\r\n", "X: y\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: \"chunked\"\r\n"],
    ids=repr)
def test_ambiguous_lengths(site, head):
    """Refused, and what follows is never taken as a request of its own."""
    answer = raw(site, POST.encode() + head.encode("latin-1") + b"\r\n" + b"0\r\n\r\n" + INNER)
    assert 400 <= status(answer) < 502 and answer.count(b"HTTP/1.1 ") == 1, answer[:400]
    assert status(answer) in (400, 411, 413, 501)


@pytest.mark.parametrize("chunks", [
    b"-1\r\n", b"0x4\r\n{}{}\r\n0\r\n\r\n", b"fffffffffffffffff\r\n", b"4\n{}{}\n0\n\n", b"4 \r\n{}{}\r\n0\r\n\r\n",
    b"2\r\n{}{}\r\n0\r\n\r\n", b"4\r\n{}{}0\r\n\r\n", b"\r\n4\r\n", b"4\r{}{}\r0\r\r", b"zz\r\n",
    b"2\r\n{}\r\n0\r\nA\0: b\r\n\r\n"], ids=repr)
def test_chunk_tricks(site, chunks):
    answer = raw(site, POST.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + INNER)
    assert status(answer) in (400, 413) and answer.count(b"HTTP/1.1 ") == 1, answer[:400]


@pytest.mark.parametrize("data", [
    b"GET /livez HTTP/1.1\nHost: localhost\n\n", b"GET /livez HTTP/1.1\r\nHost: localhost\n\r\n",
    b"GET /livez\r\n\r\n", b"GET /livez HTTP/2.0\r\nHost: localhost\r\n\r\n", b"GET /livez HTTP/1.9\r\nHost: l\r\n\r\n",
    b"get /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 64,
    b"GET /livez HTTP/1.1\r\nHost: localhost\r\nBad Name: x\r\n\r\n", b"GET /livez HTTP/1.1\r\n: x\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX\xff: y\r\n\r\n"], ids=repr)
def test_not_http(site, data):
    answer = raw(site, data)
    assert answer == b"" or status(answer) in (400, 405, 501, 505), answer[:300]


def test_unknown_methods(site):
    for method in ("TRACE", "CONNECT", "PROPFIND", "BREW"):
        assert status(raw(site, request(method, "/livez"))) in (400, 405, 501)
    assert status(raw(site, request("DELETE", "/livez"))) == 405


def test_pipelined_requests_keep_their_order(site):
    one = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    two = b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = raw(site, (one + two) * 5 + request("GET", "/livez"))
    assert answer.count(b"HTTP/1.1 200 ") == 11
    bodies = [b"ok\n" in part for part in answer.split(b"HTTP/1.1 200 ")[1:]]
    assert bodies == [True, False] * 5 + [True]


# ---- slow, and many ----

def test_slow_heads_and_bodies_hold_nobody_up(site):
    """300 connections stop in the middle of head, body or answer; the bystander and a newcomer are served meanwhile."""
    held = []
    try:
        for i in range(300):
            sock = connect(site)
            held.append(sock)
            if i % 3 == 0:
                sock.sendall(b"GET /livez HTTP/1.1\r\nHost: loc")
            elif i % 3 == 1:
                sock.sendall(request("POST", "/api/v1/characters", auth(site), "Content-Type: application/json",
                                     "Content-Length: 1000", body=b'{"card"'))
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                sock.sendall(b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)

        def newcomer():
            begin = time.monotonic()
            assert Client(site, site.key).request("GET", "/api/v1/characters").status_code == 200
            return time.monotonic() - begin

        took = sorted(newcomer() for _ in range(20))
        assert took[len(took) // 2] < 1, took
    finally:
        for sock in held:
            sock.close()


def test_slow_head_is_cut_off(site):
    """One byte a second would hold a connection for ever: the whole head has 10 s."""
    begin, answer = time.monotonic(), b""
    with connect(site) as sock:
        sock.settimeout(1)
        for byte in b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 60:
            try:
                sock.sendall(bytes([byte]))
                answer = sock.recv(4096)
                break
            except TimeoutError:
                continue
            except OSError:
                break
        took = time.monotonic() - begin
        assert 9 <= took <= 60, f"cut off after {took:.1f} s; all of it takes longer than that"
        assert answer == b"" or status(answer) == 408


def test_hang_ups_in_the_middle(site):
    for i in range(100):
        sock = connect(site)
        sock.sendall(request("POST", "/api/v1/characters", auth(site), "Content-Type: application/json",
                             "Content-Length: 50", body=b'{"card":{"name"')[: 20 + 2 * i])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    assert site.owner.get("/api/v1/status")["signed_in"]


def test_secrets_are_not_echoed(site):
    answer = raw(site, request("GET", "/api/v1/me", "Authorization: Bearer atl_not_a_real_key_0123456789"))
    assert status(answer) == 401 and b"not_a_real_key" not in answer
    assert "not_a_real_key" not in site.log()
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["status"] == 401
