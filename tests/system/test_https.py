"""The server's own TLS: what works over http works over https, certificates are renewed while it runs, and nothing that
is sent to the port harms it."""
import base64
import hashlib
import os
import random
import signal
import socket
import ssl
import struct
import subprocess

import pytest
from harness import Client, wait_until


def run(folder, *command):
    subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)


def make_certificate(folder, serial, kind="ec"):
    """cert.pem and key.pem for 127.0.0.1 and localhost, signed by authority.pem, put in place as certbot does."""
    folder.mkdir(exist_ok=True)
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    if not (folder / "authority.pem").exists():
        run(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "authority.key",
            "-out", "authority.pem", "-days", "30", "-subj", "/CN=Test authority", "-addext", "basicConstraints=critical,CA:true")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-newkey", "rsa:2048"]
    run(folder, "req", *new, "-nodes", "-keyout", "new.key", "-out", "new.csr", "-subj", "/CN=localhost")
    run(folder, "x509", "-req", "-in", "new.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-set_serial", str(serial),
        "-days", "20", "-out", "new.pem", "-extfile", "ext")
    os.replace(folder / "new.key", folder / "key.pem")
    os.replace(folder / "new.pem", folder / "cert.pem")


def context(folder):
    made = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    made.set_alpn_protocols(["h2", "http/1.1"])
    return made


def connect(server, folder, using=None):
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=120)
    return (using or context(folder)).wrap_socket(plain, server_hostname="127.0.0.1")


def serial(sock):
    return int(sock.getpeercert()["serialNumber"], 16)


def ask(sock, path, *headers):
    sock.sendall("".join([f"GET {path} HTTP/1.1\r\n", "Host: 127.0.0.1\r\n", *(f"{line}\r\n" for line in headers), "\r\n"]).encode())
    data = b""
    while b"\r\n\r\n" not in data:
        got = sock.recv(65536)
        assert got, data
        data += got
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(body) < length:
        body += sock.recv(65536)
    return head.decode(), body


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "certificates"
    make_certificate(folder, 1001)
    return folder


@pytest.fixture
def https(make_server, files):
    server = make_server(args=["--tls-cert", str(files / "cert.pem"), "--tls-key", str(files / "key.pem"),
                               "--trusted-proxies", "127.0.0.1"])
    server.authority = files / "authority.pem"
    return server.start()


def test_the_studio_over_https(https, files):
    assert https.setup_url.startswith("https://")
    owner = https.setup()
    cookie = next(one for one in owner.http.cookies if "atelier" in one.name and one.secure)
    assert cookie.name.startswith("__Host-")
    # there and back, larger than every buffer on the way
    text = os.urandom(3 << 20).hex()
    made = owner.post("/api/v1/personas", {"name": "Long", "description": text[:20000]}, status=201)
    assert owner.get(f"/api/v1/personas/{made['id']}")["description"] == text[:20000]
    refused = owner.request("POST", "/api/v1/personas", {"name": "Longer", "description": text})
    assert refused.status_code == 413
    document = owner.get("/api/openapi.json")
    assert document["openapi"].startswith("3.1")
    # live events
    stream = owner.request("GET", "/api/v1/events", headers={"Accept": "text/event-stream"}, stream=True)
    lines = stream.iter_lines()
    assert any(line == b"event: hello" for line in lines)
    owner.conversation()
    assert any(line.startswith(b"event: conversation") for line in lines)
    stream.close()
    with connect(https, files) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
        key = base64.b64encode(os.urandom(16)).decode()
        cookies = "; ".join(f"{one.name}={one.value}" for one in owner.http.cookies)
        sock.sendall((f"GET /api/v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{https.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nOrigin: {https.base}\r\nCookie: {cookies}\r\n\r\n").encode())
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        assert head.startswith(b"HTTP/1.1 101") and accept in head


def test_many_requests_that_came_together(https, files):
    """Answered in order, although they fill the read-ahead many times over."""
    with connect(https, files) as sock:
        request = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Filler: " + b"f" * 700 + b"\r\n\r\n"
        sock.sendall(request * 300)
        data = b""
        while data.count(b"HTTP/1.1 200") < 300:
            got = sock.recv(65536)
            assert got
            data += got


def test_headers(https, files):
    with connect(https, files) as sock:
        head, _ = ask(sock, "/")
        assert "Strict-Transport-Security" not in head  # would hold for all of this machine's servers
        for name in ("Content-Security-Policy: ", "Cross-Origin-Opener-Policy: same-origin", "Permissions-Policy: ",
                     "Cross-Origin-Resource-Policy: same-origin", "Referrer-Policy: ", "X-Content-Type-Options: nosniff"):
            assert name in head, head
        assert "unsafe" not in head
        head, _ = ask(sock, "/", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https")
        assert "Strict-Transport-Security: max-age=31536000" in head
        head, _ = ask(sock, "/", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: http")
        assert "Strict-Transport-Security" not in head


def test_a_renewed_certificate(https, files):
    old = connect(https, files)
    assert serial(old) == 1001
    make_certificate(files, 1002, "rsa")
    https.process.send_signal(signal.SIGHUP)

    def now():
        with connect(https, files) as sock:
            return serial(sock)
    wait_until(lambda: now() == 1002, what="the new certificate")
    assert ask(old, "/livez")[0].startswith("HTTP/1.1 200")
    old.close()
    # half a renewal: the key of another certificate
    before = (files / "key.pem").read_bytes()
    run(files, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key.pem")
    https.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "the one before goes on" in https.log(), what="the refusal in the log")
    assert now() == 1002
    (files / "key.pem").write_bytes(before)


def test_files_that_do_not_do(make_server, files, tmp_path):
    cert, key = str(files / "cert.pem"), str(files / "key.pem")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    run(files, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "other.pem")
    run(files, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-pass", "pass:word", "-out",
        "locked.pem")
    for arguments, said in (
            (["--tls-cert", cert], "belong together"),
            (["--tls-cert", str(empty), "--tls-key", key], "no certificate in PEM form"),
            (["--tls-cert", str(tmp_path / "none"), "--tls-key", key], "no certificate in PEM form"),
            (["--tls-cert", cert, "--tls-key", str(files / "other.pem")], "does not belong to the certificate"),
            (["--tls-cert", cert, "--tls-key", str(files / "locked.pem")], "without a password")):
        code, text = make_server(args=arguments).fails_to_start()
        assert code != 0 and said in text, text


def test_who_speaks_http_is_told(https):
    with socket.create_connection(("127.0.0.1", https.port), timeout=120) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        data = b""
        while got := sock.recv(4096):
            data += got
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400") and b"https://" in body
    assert f"Content-Length: {len(body)}".encode() in head


def test_old_protocols_are_refused(https, files):
    old = context(files)
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(https, files, old)
    weak = context(files)
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("AES128-SHA:AES256-SHA")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(https, files, weak)


def test_torn_and_damaged(https, files):
    """Handshakes and records that are cut, changed or made up; a slow one goes through."""
    dice = random.Random(7)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context(files).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    first = outgoing.read()
    for turn in range(300):
        data = bytearray(first)
        if turn % 3 == 0:
            data = bytearray(b"\x16\x03\x01" + struct.pack(">H", dice.randrange(65536)) + dice.randbytes(dice.randrange(600)))
        elif turn % 3 == 1:
            for _ in range(dice.randrange(1, 8)):
                data[dice.randrange(1, len(data))] = dice.randrange(256)
        else:
            data = data[:dice.randrange(1, len(data))]
        with socket.create_connection(("127.0.0.1", https.port), timeout=120) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            try:
                while sock.recv(65536):
                    pass
            except ConnectionError:
                pass
    # a record of a running connection is changed
    sock = connect(https, files)
    assert ask(sock, "/livez")[0].startswith("HTTP/1.1 200")
    raw = socket.socket(fileno=os.dup(sock.fileno()))
    raw.sendall(b"\x17\x03\x03\x00\x20" + dice.randbytes(32))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        assert sock.recv(4096)
        sock.recv(4096)
    raw.close()
    sock.close()
    # byte by byte
    with socket.create_connection(("127.0.0.1", https.port), timeout=120) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        slow = context(files).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")

        def drive(step):
            while True:
                try:
                    done = step()
                except ssl.SSLWantReadError:
                    done = None
                for byte in outgoing.read():
                    plain.sendall(bytes([byte]))
                if done is not None:
                    return done
                incoming.write(plain.recv(65536))
        drive(lambda: slow.do_handshake() or True)
        slow.write(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert drive(lambda: slow.read(4096)).startswith(b"HTTP/1.1 200")
    assert Client(https).request("GET", "/livez").status_code == 200
