"""Starting and stopping: an empty folder, existing data, bad configuration, signals, secrets, metrics."""
import os
import re
import signal
import socket
import sqlite3
import stat
import time

import pytest

import harness
from harness import Client, Events, quickest, wait_until


def test_an_empty_folder_is_enough(server):
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.data / "master.key").stat().st_mode) == 0o600
    assert f":{server.port}/setup?token=" in server.setup_url
    status = Client(server).get("/api/v1/status")
    assert status["setup_required"] and not status["signed_in"]


def test_setup_happens_once(server, owner):
    assert owner.get("/api/v1/me")["name"] == "Olivia"
    again = Client(server).request("POST", "/api/v1/setup", {"name": "Mallory", "password": harness.PASSWORD})
    assert again.status_code == 409
    assert Client(server).get("/api/v1/status")["setup_required"] is False


def test_health_pages(server):
    client = Client(server)
    assert client.request("GET", "/livez").text == "ok\n"
    assert client.request("GET", "/readyz").text == "ready\n"


def test_a_second_start_keeps_everything(make_server):
    server = make_server().start()
    owner = server.setup()
    made = owner.post("/api/v1/characters", {"card": {"name": "Ada", "first_mes": "Hello."}}, status=201)
    session = owner.http.cookies.copy()
    server.stop()
    server.start()
    assert server.setup_url is None
    back = Client(server)
    back.http.cookies.update(session)
    assert back.get(f"/api/v1/characters/{made['id']}")["card"]["first_mes"] == "Hello."
    server.sign_in()


def test_start_with_existing_data_is_fast(make_server, capsys):
    program = harness.release_binary()
    server = make_server(program=program).start()
    server.setup()
    took, work = [], []
    for _ in range(5):
        server.stop()
        took.append(server.start().ready_s * 1000)
        work.append(server.ready_cpu_ms)
    with capsys.disabled():
        print(f"\n  start to ready with data: {min(took):.0f} ms, {min(work):.0f} ms of processor time "
              f"({'release' if program else 'sanitized'} build)")
    assert min(work) <= (150 if program else 1000), work
    assert min(took) <= 3000, f"{took}: it waits for something"


def test_ready_is_told_only_when_it_serves(make_server):
    """start() asks nothing before READY=1 came: the first request after it must be answered."""
    server = make_server()
    for _ in range(3):
        server.start()
        with socket.create_connection(("127.0.0.1", server.port), timeout=harness.WAIT_S) as sock:
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
        server.stop()


def test_supervisor_is_notified(make_server, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(harness.WAIT_S)
        server = make_server(environment={"NOTIFY_SOCKET": path}).start()
        assert sock.recv(100) == b"READY=1\n"
        server.stop()
        assert sock.recv(100) == b"STOPPING=1\n"


# ---- refusing to start ----

def test_unknown_setting_stops_with_file_and_line(make_server):
    server = make_server()
    server.data.mkdir(parents=True, mode=0o700)
    (server.data / "atelier.ini").write_text("address = 127.0.0.1\n\nporrt = 99\n")
    code, said = server.fails_to_start()
    assert code == 1 and "atelier.ini:3" in said and "porrt" in said, said


def test_bad_value_tells_what_is_allowed(make_server):
    code, said = make_server().fails_to_start("--engine-slots", "65")
    assert code == 1 and "engine_slots" in said and "1 to 64" in said, said
    code, said = make_server().fails_to_start("--log-level", "loud")
    assert code == 1 and "debug|info|warn|error" in said, said


def test_unknown_environment_setting_stops(make_server):
    code, said = make_server(environment={"ATELIER_NO_SUCH": "1"}).fails_to_start()
    assert code == 1 and "ATELIER_NO_SUCH" in said, said


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_readable_master_key_is_refused(make_server, mode):
    server = make_server().start()
    server.stop()
    os.chmod(server.data / "master.key", mode)
    code, said = server.fails_to_start()
    assert code == 1 and "master.key" in said and "chmod 600" in said, said


def test_wide_data_folder_is_narrowed(make_server):
    server = make_server()
    server.data.mkdir(parents=True)
    os.chmod(server.data, 0o755)
    server.start()
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


def test_newer_schema_is_refused(make_server):
    server = make_server().start()
    server.stop()
    db = sqlite3.connect(server.data / "atelier.db")
    table = next(n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'") if "migration" in n)
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    last = dict(zip(columns, db.execute(f"SELECT * FROM {table} ORDER BY 1 DESC LIMIT 1").fetchone()))
    last[columns[0]] += 1000
    db.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
               list(last.values()))
    db.commit()
    db.close()
    code, said = server.fails_to_start()
    assert code == 1 and "newer" in said, said


def test_port_in_use_is_said(make_server):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = make_server().fails_to_start("--port", str(port))
    assert code == 1 and str(port) in said, said


# ---- signals ----

@pytest.mark.server(engine="fake")
def test_term_drains_and_keeps_the_text(server, owner, upstream):
    """A reply is being streamed to a listener and will not end by itself: its text is there after the next start."""
    model = upstream.connect(owner)
    conversation = owner.conversation(model=model)
    events = Events(owner)
    reply = owner.say(conversation, "words=5 wait=never | go")["reply"]
    events.wait_delta(reply)
    server.stop()
    wait_until(lambda: events.closed, what="the listener's stream to end")
    shown = events.text_of(reply)
    assert shown.startswith("word0")
    server.start()
    kept = server.sign_in().message(reply)
    assert kept["status"] == "interrupted" and kept["content"].strip() == shown.strip()


def test_idle_server_stops_at_once(server):
    """Long before what it gives those who are being answered."""
    def turn():
        if not server.process:
            server.start()
        begin = time.monotonic()
        server.stop()
        return time.monotonic() - begin

    assert quickest(turn, 3) <= 3


def test_interrupt_stops_too(server):
    server.process.send_signal(signal.SIGINT)
    server.finish()


def test_hangup_reopens_the_log(make_server, tmp_path):
    path = tmp_path / "atelier.log"
    server = make_server(args=["--log-file", str(path)]).start()
    path.rename(tmp_path / "old.log")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: path.exists() and "reopened" in path.read_text(), what="the new log file")
    server.stop()
    assert "stopping" in path.read_text()
    assert "stopping" not in (tmp_path / "old.log").read_text()


# ---- secrets ----

def test_no_secret_in_arguments_environments_or_log(make_server, upstream):
    """With a provider's key, an API key and a password in use, a database password in the configuration file."""
    server = make_server(engine="real", args=["--outbound-private", "127.0.0.1", "--log-level", "debug"]).start()
    setup_token = server.setup_url.partition("token=")[2]
    owner = server.setup()
    keyed = owner.new_key()
    keyed.get("/api/v1/me")
    upstream.connect(owner)
    master = (server.data / "master.key").read_text().strip()
    session = next(c.value for c in owner.http.cookies)
    secrets = [setup_token, keyed.key, "sk-scripted-secret", master, session, owner.csrf, harness.PASSWORD]
    wait_until(server.children, what="the engine")
    for pid in [server.pid, *server.children()]:
        for name in ("cmdline", "environ"):
            text = open(f"/proc/{pid}/{name}", "rb").read().decode(errors="replace")
            for secret in secrets:
                assert secret not in text, f"{name} of {pid}"
            if pid != server.pid and name == "cmdline":
                assert not re.search(r"--api-key(\0|=)", text)
    answers = [owner.get("/api/v1/keys"), owner.get("/api/v1/providers"), owner.get("/api/v1/settings"),
               owner.get("/api/v1/engine"), owner.get("/api/v1/engine/log")]
    server.stop()
    for secret in secrets:
        assert secret not in server.log()
        assert secret not in repr(answers)
        if secret == owner.csrf:
            continue  # worth nothing without the session, of which only the hash is kept
        for path in server.data.rglob("atelier.db*"):
            assert secret.encode() not in path.read_bytes(), path


# ---- metrics ----

SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)( \S+)?')


def parse_openmetrics(text):
    """{family: type}, {sample name + labels: value}; asserts the grammar that scrapers insist on."""
    lines = text.split("\n")
    assert lines[-1] == "" and lines[-2] == "# EOF", "ends with # EOF"
    families, samples, current = {}, {}, None
    for line in lines[:-2]:
        if line.startswith("# "):
            word, name, rest = line[2:].split(" ", 2)
            assert word in ("TYPE", "HELP", "UNIT"), line
            if word == "TYPE":
                assert name not in families, f"{name} twice"
                families[name] = rest
            current = name
            assert current in families, f"{name}: HELP before TYPE"
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name = match.group(1)
        suffix = name.removeprefix(current)
        assert name.startswith(current), f"{name} outside its family {current}"
        allowed = {"counter": ("_total", "_created"), "gauge": ("",), "info": ("_info",),
                   "histogram": ("_bucket", "_sum", "_count", "_created")}[families[current]]
        assert suffix in allowed, f"{name} in a {families[current]}"
        assert match.group(1) + (match.group(2) or "") not in samples, f"{line} twice"
        samples[match.group(1) + (match.group(2) or "")] = float(match.group(3))
    return families, samples


def test_metrics_are_openmetrics(server, owner):
    assert Client(server).request("GET", "/metrics").status_code == 401
    answer = owner.request("GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families, before = parse_openmetrics(answer.text)
    for wanted in ("atelier_http_requests", "atelier_http_request_duration_seconds", "atelier_streams_open",
                   "atelier_database_queue", "atelier_pool_queue"):
        assert wanted in families
    for _ in range(5):
        owner.get("/api/v1/me")
    events = Events(owner)
    _, after = parse_openmetrics(owner.request("GET", "/metrics").text)
    key = 'atelier_http_requests_total{class="2xx"}'
    assert after[key] - before[key] >= 5
    assert after["atelier_streams_open"] == before["atelier_streams_open"] + 1
    buckets = [v for k, v in after.items() if k.startswith("atelier_http_request_duration_seconds_bucket")]
    assert buckets == sorted(buckets) and buckets[-1] == after["atelier_http_request_duration_seconds_count"]
    events.close()
