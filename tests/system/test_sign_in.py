"""What a sign-in gives away, and how fast a session that was ended is out."""
import base64
import concurrent.futures
import hashlib
import hmac
import os
import select
import socket
import statistics
import struct
import subprocess
import time
from pathlib import Path

from harness import PASSWORD, WAIT_S, Client, Events

ROUNDS = 8
ENDS_S = 20  # less than the first ping (ATL_WS_PING_MS): it was told, and not found out


def cpu_ns(pid):
    """Processor time of all the server's threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:  # a thread that ended
            pass
    return total


def test_unknown_names_cost_as_much(server, owner):
    """Nobody learns from the work that a name exists: within a tenth of each other. Processor time, since the clock of a
    busy machine says nothing. A right sign-in in between keeps the throttle quiet."""
    def cost(name):
        client = Client(server)
        begin = cpu_ns(server.pid)
        answer = client.request("POST", "/api/v1/session", {"name": name, "password": "not the password"})
        spent = cpu_ns(server.pid) - begin
        assert answer.status_code == 401, answer.text
        told = answer.json()
        return spent, (told["slug"], told["detail"])

    known, unknown, said = [], [], set()
    device = server.sign_in()
    for i in range(ROUNDS):
        for name, costs in (("Olivia", known), (f"Nobody {i}", unknown)) if i % 2 else ((f"Nobody {i}", unknown), ("Olivia", known)):
            spent, text = cost(name)
            costs.append(spent)
            said.add(text)
        device = server.sign_in()
    assert device.csrf
    assert len(said) == 1, said
    ratio = statistics.median(known) / statistics.median(unknown)
    assert 1 / 1.1 < ratio < 1.1, f"known {known}, unknown {unknown}"


def open_socket(client):
    sock = socket.create_connection(("127.0.0.1", client.server.port), timeout=WAIT_S)
    cookies = "; ".join(f"{one.name}={one.value}" for one in client.http.cookies)
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall((f"GET /api/v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{client.server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nOrigin: {client.server.base}\r\nCookie: {cookies}\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(4096)
    assert head.startswith(b"HTTP/1.1 101"), head
    return sock


def ends_within(sock, seconds):
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([sock], [], [], left)[0]:
            try:
                data = sock.recv(65536)
            except ConnectionError:
                return True
            if not data:
                return True
            if data[0] == 0x88 or b"\x88\x02" in data:  # a close frame, which it waits to have answered
                return True
    return False


def test_ended_session_leaves_its_socket(server, owner):
    phone = server.sign_in()
    sock, stays = open_socket(phone), open_socket(owner)
    stream = Events(phone)
    sessions = owner.get("/api/v1/sessions")["items"]
    assert len(sessions) == 2 and all(one["remote"] == "127.0.0.1" and one["last_seen_at"] for one in sessions)
    other = next(one for one in sessions if not one["current"])
    owner.delete(f"/api/v1/sessions/{other['id']}", status=204)
    assert ends_within(sock, ENDS_S)
    with stream._changed:
        assert stream._changed.wait_for(lambda: stream.closed, ENDS_S)
    assert phone.request("GET", "/api/v1/me").status_code == 401
    assert not ends_within(stays, 0.3)
    # all others at once
    second, third = server.sign_in(), server.sign_in()
    socks = [open_socket(second), open_socket(third)]
    owner.delete("/api/v1/sessions", status=204)
    assert all(ends_within(one, ENDS_S) for one in socks)
    assert [one["current"] for one in owner.get("/api/v1/sessions")["items"]] == [True]
    for one in [sock, stays, *socks]:
        one.close()


def test_passwords_that_are_tried_first(server):
    client = Client(server)
    for password in ("password123", "Olivia2024", "qwertyuiop", "P@ssw0rd!"):
        answer = client.request("POST", "/api/v1/setup", {"name": "Olivia", "password": password})
        assert (answer.status_code, answer.json()["field"]) == (400, "password"), password
    client.ok("POST", "/api/v1/setup", {"name": "Olivia", "password": PASSWORD}, status=201)


def code_of(secret, ahead=0):
    mac = hmac.new(base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30 + ahead), hashlib.sha1).digest()
    return f"{(struct.unpack_from('>I', mac, mac[19] & 15)[0] & 0x7fffffff) % 1000000:06d}"


def test_second_factor(server, owner):
    """One code is one session, however many ask at once; whoever runs the server can take it off."""
    secret = owner.post("/api/v1/me/second-factor", {"password": PASSWORD}, status=201)["secret"]
    codes = owner.post("/api/v1/me/second-factor/confirm", {"code": code_of(secret, -1)}, status=200)["recovery_codes"]

    def first_step():
        client = Client(server)
        answer = client.request("POST", "/api/v1/session", {"name": "Olivia", "password": PASSWORD})
        assert (answer.status_code, answer.json()["slug"]) == (401, "second_factor_required")
        assert client.get("/api/v1/status")["signed_in"] is False
        return client

    def race(code_now):
        clients = [first_step() for _ in range(4)]
        code = code_now()  # only now: it is old in a minute
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda one: one.request("POST", "/api/v1/session/second", {"code": code}).status_code, clients))
        assert sorted(answers) == [201, 401, 401, 401], answers

    race(lambda: code_of(secret))
    race(lambda: codes[0].upper().replace("-", " "))
    command = [server.program, "user", "second-factor", "Olivia", "--data", str(server.data)]
    done = subprocess.run(command, env=server.env(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert server.sign_in().get("/api/v1/me/second-factor")["enabled"] is False
    assert secret not in server.log() and codes[1] not in server.log()
