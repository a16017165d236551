"""With nothing configured no packet leaves the machine.

The server runs in a network namespace of its own, whose default route and name server lead back into the loopback
interface: whatever it sends to anywhere else than loopback addresses is seen there. Needs root.
"""
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

SETUP = """set -e
ip link set lo up
ip address add 192.0.2.10/32 dev lo
ip route add default dev lo src 192.0.2.10
ip -6 route add default dev lo 2>/dev/null || true
mount --bind "$0" /etc/resolv.conf
exec "$@"
"""


def inside(tmp_path, *command):
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.53\noptions timeout:1 attempts:1\n")
    return subprocess.run(["unshare", "-n", "-m", "sh", "-c", SETUP, str(tmp_path / "resolv.conf"), *command],
                          capture_output=True, text=True, timeout=180,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)})


def run(tmp_path, body):
    script = tmp_path / "inside.py"
    script.write_text(PRELUDE + body)
    done = inside(tmp_path, sys.executable, str(script), str(tmp_path / "server"))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


PRELUDE = '''
import os, socket, struct, sys, threading
import harness
from harness import Client, Events, wait_until

class Watch(threading.Thread):
    """Every packet on the namespace's only interface; `away` holds those whose destination is not loopback."""

    def __init__(self):
        super().__init__(daemon=True)
        self.away, self.seen, self.lock = [], [], threading.Lock()
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
        self.socket.bind(("lo", 3))
        self.start()

    def run(self):
        while True:
            packet, address = self.socket.recvfrom(65536)
            home = packet[16] == 127 if packet[0] >> 4 == 4 else packet[24:40] == bytes(15) + b"\\1"
            with self.lock:
                self.seen.append(packet[-16:])
                if not home and address[2] == 4:  # PACKET_OUTGOING: each is also seen coming back
                    self.away.append(packet[:60])

    def sent(self):
        """Packets that left so far: a marker sent now has been seen, so everything before it has."""
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        marker = os.urandom(16)
        probe.sendto(marker, ("127.0.0.1", 9))
        wait_until(lambda: marker in self.seen, what="the marker")
        assert struct.unpack("II", self.socket.getsockopt(263, 6, 8))[1] == 0, "packets were missed"
        with self.lock:
            return len(self.away)

watch = Watch()
sent = watch.sent
'''


def test_the_counter_counts(tmp_path):
    """Else the other test could not fail: a name look-up and a connection attempt must be seen."""
    out = run(tmp_path, '''
before = sent()
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.53", 53))
assert sent() == before + 1, (before, sent())
try:
    socket.getaddrinfo("example.com", 80)
except OSError:
    pass
assert sent() > before + 1
print("counted", sent() - before)
''')
    assert "counted" in out


@pytest.mark.parametrize("engine", ["none", "real"])
def test_nothing_leaves(tmp_path, engine):
    if engine == "real" and not Path(os.environ.get("ATELIER_MODEL", "")).is_file():
        pytest.skip("no model")
    out = run(tmp_path, f'''
folder = sys.argv[1]
engine = {engine!r}
args = harness.engine_arguments(folder + "/data") if engine == "real" else ["--engine-program", "/nonexistent/llama"]
before = sent()
server = harness.Server(folder, args=args).start()
owner = server.setup()
events = Events(owner)
for path in ("/", "/api/v1/status", "/api/v1/characters", "/api/v1/models", "/api/v1/engine", "/api/v1/providers",
             "/api/v1/provider-presets", "/api/v1/engine/models", "/api/v1/engine/catalogue", "/metrics", "/api/docs",
             "/v1/models", "/api/openapi.json"):
    assert owner.request("GET", path).status_code in (200, 404), path
character = owner.post("/api/v1/characters", {{"card": {{"name": "Ada", "first_mes": "Hello."}}}}, status=201)
conversation = owner.conversation(character_id=character["id"], sampling={{"max_tokens": 12}})
if engine == "real":
    wait_until(lambda: owner.get("/api/v1/engine")["state"] == "healthy", what="the engine")
    end = events.wait_end(owner.say(conversation, "Hello?")["reply"])
    assert end["status"] == "complete", end
else:
    answer = owner.request("POST", f"/api/v1/conversations/{{conversation['id']}}/messages", {{"content": "Hello?"}})
    assert answer.status_code in (202, 503), answer.text
    if answer.status_code == 202:
        assert events.wait_end(answer.json()["reply"])["status"] == "failed"
owner.get("/api/v1/search?q=hello")
events.close()
server.stop()
assert sent() == before, f"{{sent() - before}} packets left: {{watch.away[:3]}}"
print("quiet")
''')
    assert "quiet" in out
