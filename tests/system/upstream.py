"""A scripted OpenAI-compatible server on loopback, for providers whose behaviour a test decides.

The last user message is the script: words `key=value` before a `|`; the rest is ignored.
  words=N       how many words it answers (default 5)
  delay=S       seconds between two words (default 0)
  status=N      answers this HTTP status with an error object instead
  cut=N         hangs up after N words
  wait=NAME     after the first word it waits until test code calls release(NAME)
Threads: one per connection (http.server). `requests` holds every parsed body in order.
"""
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def script_of(body):
    for message in reversed(body.get("messages", [])):
        content = message.get("content")
        if message.get("role") != "user" or not isinstance(content, str) or "|" not in content:
            continue
        words = content.partition("|")[0].split()
        return dict(word.split("=", 1) for word in words if "=" in word)
    return {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, value, headers=()):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path.endswith("/models"):
            self.reply(200, {"object": "list", "data": [{"id": "echo", "object": "model", "context_length": 32768}]})
        else:
            self.reply(404, {"error": {"message": "no such page"}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        up = self.server.upstream
        with up.lock:
            up.requests.append({"path": self.path, "headers": dict(self.headers), "body": body})
        script = script_of(body)
        if "status" in script:
            status = int(script["status"])
            self.reply(status, {"error": {"message": f"scripted {status}", "type": "scripted", "code": "scripted"}},
                       [("Retry-After", "7")] if status == 429 else [])
            return
        words = [f"word{i} " for i in range(int(script.get("words", 5)))]
        if not body.get("stream"):
            self.reply(200, {"id": "c1", "object": "chat.completion", "model": "echo", "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "".join(words)}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 7, "completion_tokens": len(words), "total_tokens": 7 + len(words)}})
            return
        self.stream(script, words)

    def stream(self, script, words):
        up = self.server.upstream
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with up.lock:
            up.open_streams += 1
        try:
            for i, word in enumerate(words):
                if "cut" in script and i == int(script["cut"]):
                    return
                self.piece({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
                if i == 0 and "wait" in script:
                    self.wait_for(up.gate(script["wait"]))
                elif float(script.get("delay", 0)):
                    up.stopping.wait(float(script["delay"]))
            self.piece({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            self.piece({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": len(words)}})
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            pass
        finally:
            with up.lock:
                up.open_streams -= 1

    def wait_for(self, gate):
        """Until the gate opens, noticing the reader's hang-up meanwhile by comment lines."""
        while not gate.wait(0.02):
            self.wfile.write(b": waiting\n\n")
            self.wfile.flush()

    def piece(self, value):
        value = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "echo", **value}
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        pass  # a killed reader


class Upstream:
    def __init__(self):
        self.lock = threading.Lock()
        self.requests = []
        self.open_streams = 0
        self.stopping = threading.Event()
        self._gates = {}
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.upstream = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def gate(self, name):
        with self.lock:
            return self._gates.setdefault(name, threading.Event())

    def release(self, name):
        self.gate(name).set()

    def close(self):
        self.stopping.set()
        for gate in list(self._gates.values()):
            gate.set()
        self._server.shutdown()
        self._server.server_close()

    def connect(self, client, name="Scripted"):
        """Configures this as a provider of the server; the model's public id."""
        made = client.post("/api/v1/providers", {"preset": "custom", "name": name, "base_url": self.base_url,
                                                 "key": "sk-scripted-secret-0123456789"}, status=201)
        client.post(f"/api/v1/providers/{made['id']}/refresh")
        return f"{made['id']}/echo"
