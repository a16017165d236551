"""The real server as a child process, and clients of it.

Server   starts `atelier serve` in a folder, finds its address, stops or kills it and looks at what it left behind.
Client   one signed-in browser (cookie and CSRF token) or one API key.
Events   one listener of /api/v1/events, read by a thread; wait() blocks until an event is there.
"""
import http.client
import io
import json
import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time
import uuid
from pathlib import Path

import requests
from PIL import Image

SANITIZER = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error:|WARNING: ThreadSanitizer|SUMMARY: \w+Sanitizer")
PASSWORD = "correct horse battery"
WAIT_S = 120.0  # for anything that comes by itself: far more than a slow machine needs; what succeeds does not wait it out


def binary():
    return os.environ["ATELIER_BIN"]


def release_binary():
    return os.environ.get("ATELIER_BIN_RELEASE") or None


def wait_until(check, timeout=WAIT_S, what="a condition", pause=0.01):
    """The condition's first true value; polls only what cannot be waited for (another process's state)."""
    end = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"waited {timeout} s for {what}"
        time.sleep(pause)


def quickest(turn, enough, most=8):
    """For what must be prompt: the least of up to `most` turns, each of which returns how long it took; the first that is
    `enough` ends it. A machine that is slow or stops for a while now and then delays some turns, a server that waits for
    something it should not wait for delays them all."""
    took = []
    while len(took) < most and (not took or min(took) > enough):
        took.append(turn())
    return min(took)


def under_load(workers, count):
    """Until one of the workers (threads with `idle`) has got another answer: a slow machine has load, too, when it is killed."""
    before = count()
    wait_until(lambda: count() > before or all(one.idle.is_set() for one in workers), what="an answer under load", pause=0.001)


def processor_ms(pid):
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def pixels(data):
    """What is seen of a picture file: two files of the same pixels differ in their signatures."""
    with Image.open(io.BytesIO(data)) as image:
        return image.mode, image.size, image.tobytes()


def new_postgres_database():
    """A fresh database on the test server, as a URL; None without one."""
    url = os.environ.get("ATELIER_TEST_PG")
    if not url:
        return None
    name = "t" + uuid.uuid4().hex[:16]
    subprocess.run(["psql", "-q", "-X", url, "-c", f"CREATE DATABASE {name}"], check=True, capture_output=True)
    return re.sub(r"^(\w+://[^/]*)/[^?]*", rf"\1/{name}", url)


class Server:
    def __init__(self, folder, *, program=None, database=None, args=(), environment=None, wrapper=()):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.program = program or binary()
        self.database = database
        self.args = list(args)
        self.wrapper = list(wrapper)
        self.environment = environment or {}
        self.process = None
        self.port = None
        self.scheme = "http"
        self.authority = None  # a file: whose certificates clients believe
        self.setup_url = None
        self.starts = 0
        self.ready_s = self.ready_cpu_ms = None

    # ---- life ----

    def env(self):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("ATELIER_")}
        clean["ASAN_OPTIONS"] = "detect_leaks=1:exitcode=99:abort_on_error=0:allocator_may_return_null=1"
        clean["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1:exitcode=98"
        clean.update(self.environment)
        return clean

    def command(self, *more):
        return self.wrapper + [self.program, "serve", "--data", str(self.data), "--port", "0"] + (
            ["--database", self.database] if self.database else []) + self.decode_arguments() + self.args + list(more)

    def decode_arguments(self):
        """In a build folder the decoder lies beside the program's folder, not beside the program."""
        path = Path(self.program).parent.parent / "worker" / "atelier-decode"
        return ["--decode-program", str(path)] if path.exists() else []

    @property
    def log_path(self):
        return self.folder / f"stderr.{self.starts}"

    def start(self, timeout=WAIT_S):
        self.starts += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        read_fd, write_fd = os.pipe()
        begin = time.monotonic()
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(self.command("--ready-fd", str(write_fd)), pass_fds=(write_fd,),
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, bufsize=0,
                                            env=self.env(), cwd=self.folder)
        os.close(write_fd)
        try:
            text = b""
            if select.select([read_fd], [], [], timeout)[0]:
                text = os.read(read_fd, 64)
            self.ready_s = time.monotonic() - begin
            self.ready_cpu_ms = processor_ms(self.pid) if text else None
            assert text == b"READY=1\n", f"not ready after {self.ready_s:.1f} s: {self.log()[-3000:]}"
        finally:
            os.close(read_fd)
        line = self.process.stdout.readline().decode()
        self.scheme, port = re.fullmatch(r"Atelier is ready: (https?)://[^:]+:(\d+)/\n", line).groups()
        self.port = int(port)
        self.setup_url = None
        if select.select([self.process.stdout], [], [], 0)[0]:
            self.setup_url = self.process.stdout.readline().decode().partition(": ")[2].strip() or None
        return self

    def fails_to_start(self, *more, timeout=WAIT_S):
        """Runs it, expecting an exit of its own; (exit code, what it said)."""
        done = subprocess.run(self.command(*more), env=self.env(), capture_output=True, text=True, timeout=timeout)
        assert not SANITIZER.search(done.stderr), done.stderr
        return done.returncode, done.stderr

    def stop(self, timeout=WAIT_S):
        """TERM; it must end by itself, cleanly, leaving nothing allocated and no child behind."""
        if not self.process:
            return
        children = self.children()
        self.process.send_signal(signal.SIGTERM)
        self.finish(timeout)
        left = [pid for pid in children if alive(pid)]
        assert not left, f"children outlived the server: {left}"

    def finish(self, timeout=WAIT_S):
        process, self.process = self.process, None
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"it did not end within {timeout} s: {self.log()[-3000:]}")
        finally:
            process.stdout.close()
        log = self.log()
        assert not SANITIZER.search(log), log[-8000:]
        assert code == 0, f"exit code {code}: {log[-3000:]}"

    def kill(self):
        process, self.process = self.process, None
        process.kill()
        process.wait()
        process.stdout.close()
        assert not SANITIZER.search(self.log()), self.log()[-8000:]

    def abandon(self):
        """After a failed test: nothing may keep running."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def pid(self):
        return self.process.pid

    def children(self):
        done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.pid)], capture_output=True, text=True)
        return [int(word) for word in done.stdout.split()]

    # ---- clients ----

    @property
    def base(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def setup(self, name="Olivia"):
        client = Client(self)
        answer = client.ok("POST", "/api/v1/setup", {"name": name, "password": PASSWORD}, status=201)
        client.signed_in(answer)
        return client

    def sign_in(self, name="Olivia"):
        client = Client(self)
        answer = client.ok("POST", "/api/v1/session", {"name": name, "password": PASSWORD}, status=(200, 201))
        client.signed_in(answer)
        return client

    def add_user(self, name, role="member"):
        command = [self.program, "user", "add", name, role, "--data", str(self.data)]
        if self.database:
            command += ["--database", self.database]
        done = subprocess.run(command, input=PASSWORD + "\n", env=self.env(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Client:
    def __init__(self, server, key=None):
        self.server = server
        self.http = requests.Session()
        self.http.trust_env = False
        if server.authority:
            self.http.verify = str(server.authority)
        self.csrf = None
        self.user = None
        self.key = key
        if key:
            self.http.headers["Authorization"] = f"Bearer {key}"

    def signed_in(self, session):
        self.csrf = session["csrf_token"]
        self.user = session["user"]

    def again(self):
        """A second device: the same cookie over connections of its own."""
        other = Client(self.server, self.key)
        other.csrf, other.user = self.csrf, self.user
        other.http.cookies.update(self.http.cookies)
        return other

    def request(self, method, path, body=None, *, headers=None, data=None, stream=False, timeout=WAIT_S):
        headers = dict(headers or {})
        if self.csrf and method not in ("GET", "HEAD"):
            headers.setdefault("X-CSRF-Token", self.csrf)
            headers.setdefault("Origin", self.server.base)
        return self.http.request(method, self.server.base + path, json=body, data=data, headers=headers, stream=stream,
                                 timeout=timeout, allow_redirects=False)

    def ok(self, method, path, body=None, *, status=(200, 201, 202, 204), **more):
        answer = self.request(method, path, body, **more)
        wanted = status if isinstance(status, tuple) else (status,)
        assert answer.status_code in wanted, f"{method} {path}: {answer.status_code} {answer.text[:800]}"
        return answer.json() if answer.content and "json" in answer.headers.get("Content-Type", "") else None

    def get(self, path, **more):
        return self.ok("GET", path, status=200, **more)

    def post(self, path, body=None, **more):
        return self.ok("POST", path, body if body is not None else {}, **more)

    def patch(self, path, body, **more):
        return self.ok("PATCH", path, body, **more)

    def delete(self, path, **more):
        return self.ok("DELETE", path, **more)

    def new_key(self, *scopes):
        made = self.post("/api/v1/keys", {"name": "test", "scopes": list(scopes) or ["admin"]}, status=201)
        return Client(self.server, made["key"])

    # ---- what most tests do ----

    def conversation(self, **more):
        return self.post("/api/v1/conversations", more, status=201)

    def say(self, conversation, content, **more):
        return self.post(f"/api/v1/conversations/{conversation['id']}/messages", {"content": content, **more},
                         status=(200, 201, 202))

    def message(self, message):
        return self.get(f"/api/v1/messages/{message['id']}")

    def path_of(self, conversation):
        return self.get(f"/api/v1/conversations/{conversation['id']}/messages?limit=200")["items"]


class Events:
    """Events of one user from now on: `seen` grows; wait(test) returns the first one that passes, old or new."""

    def __init__(self, client, last_event_id=None):
        self.seen = []
        self.hello = None
        self.closed = False
        self._changed = threading.Condition()
        self._connection = http.client.HTTPConnection("127.0.0.1", client.server.port, timeout=2 * WAIT_S)
        headers = {"Accept": "text/event-stream"}
        if client.key:
            headers["Authorization"] = f"Bearer {client.key}"
        cookies = "; ".join(f"{c.name}={c.value}" for c in client.http.cookies)
        if cookies:
            headers["Cookie"] = cookies
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        self._connection.request("GET", "/api/v1/events", headers=headers)
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200, self._answer.read()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.hello = self.wait(lambda e: e["event"] in ("hello", "reset"), what="hello")

    def _read(self):
        event = {}
        try:
            while True:
                line = self._answer.readline()
                if not line:
                    break
                name, _, value = line.decode().rstrip("\r\n").partition(":")
                if name:
                    event[name] = event.get(name, "") + value.removeprefix(" ")
                elif "data" in event:
                    with self._changed:
                        self.seen.append({"id": event.get("id"), "event": event.get("event", "message"),
                                          "data": json.loads(event["data"]), "at": time.monotonic()})
                        self._changed.notify_all()
                    event = {}
                else:
                    event = {}
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def wait(self, test, timeout=WAIT_S, what="an event", start=0):
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                for event in self.seen[start:]:
                    if test(event):
                        return event
                left = end - time.monotonic()
                assert left > 0 and not self.closed, \
                    f"waited for {what}; closed {self.closed}; last: {self.seen[-3:]}"
                self._changed.wait(left)

    def of(self, name):
        with self._changed:
            return [e["data"] for e in self.seen if e["event"] == name]

    def wait_end(self, message, timeout=2 * WAIT_S):
        """The message.updated that ends this reply."""
        return self.wait(lambda e: e["event"] == "message.updated" and e["data"]["message"]["id"] == message["id"]
                         and e["data"]["message"]["status"] != "streaming", timeout, "the end of the reply"
                         )["data"]["message"]

    def wait_delta(self, message, count=1, timeout=2 * WAIT_S):
        """Until `count` deltas of this message were seen."""
        def enough(_):
            return len([e for e in self.seen if e["event"] == "message.delta"
                        and e["data"]["message_id"] == message["id"]]) >= count
        self.wait(enough, timeout, f"{count} deltas")

    def text_of(self, message, base="", after=0):
        """What a page shows: `base` (its content at stream_seq `after`) and the deltas that follow, without a gap."""
        text, seq = base, after
        for delta in self.of("message.delta"):
            if delta["message_id"] != message["id"] or delta["seq"] <= seq:
                continue
            assert delta["seq"] == seq + 1, f"gap: {delta['seq']} after {seq}"
            seq = delta["seq"]
            if delta["channel"] == "content":
                text += delta["text"]
        return text

    def close(self):
        try:
            self._connection.sock and self._connection.sock.shutdown(2)
        except OSError:
            pass
        self._connection.close()


def engine_arguments(data):
    """The real llama-server with the small model, in a models folder of its own."""
    models = Path(data).parent / "models"
    models.mkdir(parents=True, exist_ok=True)
    model = Path(os.environ["ATELIER_MODEL"])
    if not (models / model.name).exists():
        try:
            os.link(model, models / model.name)
        except OSError:
            shutil.copy(model, models / model.name)
    return ["--engine-program", os.environ["ATELIER_LLAMA_SERVER"], "--models-dir", str(models),
            "--engine-context-size", "4096", "--engine-threads", "1"]
