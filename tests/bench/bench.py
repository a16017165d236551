"""The floors of docs/performance.md, measured against peers in the same run. Run by script/bench.

Each measurement is a function that returns rows (what, ours, peer, bar). CPU time of a server is read from /proc, so
other load on the machine changes little. Servers are pinned to core 0, load to the last core.
"""
import asyncio
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import requests

import image_engine
import mini

BIN = os.environ["ATELIER_BIN"]
LLAMA = os.environ["ATELIER_LLAMA_SERVER"]
MODEL = os.environ["ATELIER_MODEL"]
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TICK = os.sysconf("SC_CLK_TCK")
LOAD_CORE = str(os.cpu_count() - 1)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


class Atelier:
    """The real server in an empty folder, with an owner and a key."""

    def __init__(self, *options, data=None, pin=True, engine=False):
        self.folder = data or tempfile.mkdtemp(prefix="atelier-bench-")
        command = (["taskset", "-c", "0"] if pin else []) + [BIN, "serve", "--data", self.folder, "--port", "0",
                                                             "--loops", "1", *options]
        if engine:
            os.makedirs(self.folder + "/models", mode=0o700, exist_ok=True)
            if not os.path.exists(self.folder + "/models/starter.gguf"):
                os.link(MODEL, self.folder + "/models/starter.gguf")
            command += ["--engine-program", LLAMA]
        else:
            command += ["--engine-enabled", "false"]
        started = time.monotonic()
        self.log = open(self.folder + "/log", "w")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env={"PATH": os.environ["PATH"], "HOME": self.folder})
        line = self.process.stdout.readline()
        self.start_ms = (time.monotonic() - started) * 1000
        self.url = re.search(r"http://\S+?(?=/?$)", line.strip()).group(0).rstrip("/")
        self.pid = self.process.pid
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.session = requests.Session()

    def setup(self):
        answer = self.session.post(self.url + "/api/v1/setup", json={"name": "bench", "password": "bench password"})
        if answer.status_code == 409:
            answer = self.session.post(self.url + "/api/v1/session", json={"name": "bench", "password": "bench password"})
        self.session.headers.update({"X-CSRF-Token": answer.json()["csrf_token"], "Origin": self.url})
        key = self.session.post(self.url + "/api/v1/keys", json={"name": "bench", "scopes": ["admin"]}).json()
        self.key = key["key"]
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def wrk(url, seconds=5, connections=64, headers=()):
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    for header in headers:
        command += ["-H", header]
    output = subprocess.run(command + [url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output:
        raise RuntimeError(output)
    return int(re.search(r"(\d+) requests in", output).group(1))


def per_request_us(pid, url, **options):
    wrk(url, seconds=1, **options)
    before = cpu_seconds(pid)
    count = wrk(url, **options)
    return (cpu_seconds(pid) - before) / count * 1e6


NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; sendfile on; open_file_cache max=100;
  types {{ text/css css; }}
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port};
    location = /json {{ default_type application/json; return 200 '{body}'; }}
    location / {{ root {folder}; }} }}
}}
"""


def measure_http():
    server = Atelier().setup()
    page = requests.get(server.url + "/").text
    asset = re.search(r'/assets/[^"\']+\.css', page).group(0)
    body = requests.get(server.url + asset, headers={"Accept-Encoding": "identity"}).content
    session = requests.get(server.url + "/api/v1/session", headers={"x-api-key": server.key}).text
    folder = tempfile.mkdtemp(prefix="atelier-nginx-")
    os.chmod(folder, 0o755)
    pathlib.Path(folder, "asset.css").write_bytes(body)
    port = 18081
    pathlib.Path(folder, "conf").write_text(NGINX.format(folder=folder, port=port, body=session.replace("'", "")))
    nginx = subprocess.Popen(["taskset", "-c", "0", "nginx", "-c", folder + "/conf"], stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            requests.get(f"http://127.0.0.1:{port}/json", timeout=1)
            break
        except requests.ConnectionError:
            time.sleep(0.05)
    worker = int(subprocess.check_output(["pgrep", "-P", str(nginx.pid)], text=True).split()[0])
    rows = []
    for what, ours, theirs, headers in (
            (f"static GET, {len(body)} bytes", server.url + asset, f"http://127.0.0.1:{port}/asset.css", ()),
            (f"JSON GET, {len(session)} bytes, key checked", server.url + "/api/v1/session",
             f"http://127.0.0.1:{port}/json", (f"x-api-key: {server.key}",))):
        pairs = []
        for _ in range(3):
            pairs.append((per_request_us(server.pid, ours, headers=headers), per_request_us(worker, theirs)))
        mine, peer = (statistics.median(p[i] for p in pairs) for i in (0, 1))
        ratio = statistics.median(p[1] / p[0] for p in pairs)
        rows.append((what, f"{mine:.1f} us CPU", f"nginx {peer:.1f} us", f"{ratio:.2f} x nginx's requests per CPU second",
                     ">= 0.85"))
    nginx.terminate()
    nginx.wait()
    shutil.rmtree(folder, ignore_errors=True)
    server.remove()
    return rows


async def hold(server, count, rounds):
    """`count` idle event streams; each round changes one thing and waits until every stream has heard of it."""
    host, port = server.url.removeprefix("http://").split(":")
    request = (f"GET /api/v1/events HTTP/1.1\r\nHost: {host}:{port}\r\nx-api-key: {server.key}\r\n\r\n").encode()
    before_kib = resident_kib(server.pid)
    heard, done = [0], asyncio.Event()

    class Stream(asyncio.Protocol):
        def connection_made(self, transport):
            self.tail = b""
            transport.write(request)

        def data_received(self, data):
            self.tail += data
            found = self.tail.count(b"event: persona.changed")
            if found:
                heard[0] += found
                self.tail = b""
                if heard[0] >= count:
                    done.set()
            elif len(self.tail) > 4096:
                self.tail = self.tail[-64:]

    loop = asyncio.get_running_loop()
    transports = []
    for start in range(0, count, 200):
        opened = await asyncio.gather(*(loop.create_connection(Stream, host, int(port))
                                        for _ in range(min(200, count - start))))
        transports += [transport for transport, _ in opened]
    await asyncio.sleep(2)
    each_kib = (resident_kib(server.pid) - before_kib) / count
    before = cpu_seconds(server.pid)
    for number in range(rounds):
        heard[0] = 0
        done.clear()
        await asyncio.to_thread(server.session.post, server.url + "/api/v1/personas", json={"name": f"p{number}"})
        await asyncio.wait_for(done.wait(), 60)
    used = cpu_seconds(server.pid) - before
    for transport in transports:
        transport.abort()
    return each_kib, used / (rounds * count) * 1e6


def measure_idle():
    server = Atelier("--max-connections", "20000").setup()
    count = 10000
    each_kib, frame_us = asyncio.run(hold(server, count, 20))
    server.remove()
    return [(f"{count} idle event streams, resident each", f"{each_kib:.1f} KiB", "-", "", "<= 12 KiB"),
            ("CPU per delivered frame", f"{frame_us:.1f} us", "libmicrohttpd about 11 us (facts)", "", "<= 8 us")]


def measure_writes():
    server = Atelier(pin=False).setup()
    conversations = [server.session.post(server.url + "/api/v1/conversations", json={"title": f"c{i}"}).json()["id"]
                     for i in range(64)]
    script = pathlib.Path(server.folder, "post.lua")
    script.write_text("""
local ids = {%s}
local n = 0
request = function()
  n = n + 1
  return wrk.format("POST", "/api/v1/conversations/" .. ids[n %% #ids + 1] .. "/messages",
    {["x-api-key"] = "%s", ["content-type"] = "application/json"}, '{"content":"hello there, ' .. n .. '","reply":false}')
end
""" % (",".join(f'"{c}"' for c in conversations), server.key))
    output = subprocess.run(["wrk", "-t1", "-c64", "-d8s", "-s", str(script), server.url], capture_output=True, text=True,
                            check=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    server.remove()
    return [("durable message appends, 64 clients, SQLite synchronous=FULL", f"{rate:.0f}/s"
             + (f" ({bad.group(1)} refused)" if bad else ""), "-", "", ">= 2,500/s")]


def measure_jobs():
    """Submitting over HTTP while the queue is paused, then the whole queue of jobs that do nothing."""
    server = Atelier("--outbound-private", "127.0.0.1", pin=False).setup()
    fake = server.session.post(server.url + "/api/v1/providers", json={"preset": "fake"}).json()["id"]
    server.session.post(server.url + "/api/v1/queue/pause")
    script = pathlib.Path(server.folder, "jobs.lua")
    script.write_text("""
wrk.method = "POST"
wrk.body = [[%s]]
wrk.headers["content-type"] = "application/json"
wrk.headers["x-api-key"] = "%s"
""" % (json.dumps({"prompt": "a boat", "model": f"{fake}/noop"}), server.key))
    output = subprocess.run(["wrk", "-t1", "-c64", "-d2s", "-s", str(script), server.url + "/api/v1/jobs"],
                            capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    total = int(re.search(r"(\d+) requests in", output).group(1))
    if bad:  # what was refused (a full queue) was not submitted
        rate *= (total - int(bad.group(1))) / total
    queue = server.url + "/api/v1/queue"
    count = server.session.get(queue).json()["queued"]
    begun = time.monotonic()
    server.session.post(queue + "/resume")
    while True:
        now = server.session.get(queue).json()
        if now["queued"] + now["running"] == 0:
            break
        time.sleep(0.02)
    done = count / (time.monotonic() - begun)
    server.remove()
    return [("jobs submitted, durable, 64 clients, SQLite", f"{rate:.0f}/s" + (f" ({bad.group(1)} refused)" if bad else ""),
             "-", "", ">= 2,500/s"),
            ("jobs that do nothing, from the queue to their end", f"{done:.0f}/s", "-", "", ">= 2,000/s")]


def measure_start():
    first = Atelier(pin=False).setup()
    folder = first.folder
    first.stop()
    times, resident = [], 0
    for _ in range(9):
        server = Atelier(data=folder, pin=False)
        times.append(server.start_ms)
        time.sleep(0.3)
        resident = resident_kib(server.pid)
        server.stop()
    shutil.rmtree(folder, ignore_errors=True)
    return [("start to ready, existing database (median of 9)", f"{statistics.median(times):.0f} ms", "-", "", "<= 150 ms"),
            ("resident memory, idle", f"{resident / 1024:.1f} MB", "-", "", "<= 25 MB")]


def generate(url, headers, model, streams):
    """Tokens per second of `streams` replies at once, by the engine's own count."""
    def one(number):
        body = {"model": model, "max_tokens": 200, "temperature": 0, "seed": number, "ignore_eos": True,
                "messages": [{"role": "user", "content": f"Tell a long story about the number {number}."}]}
        answer = requests.post(url + "/v1/chat/completions", json=body, headers=headers, timeout=300)
        answer.raise_for_status()
        return answer.json()["usage"]["completion_tokens"]
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(streams) as pool:
        tokens = sum(pool.map(one, range(streams)))
    return tokens / (time.monotonic() - started)


def measure_chat():
    server = Atelier("--engine-slots", "4", pin=False, engine=True).setup()
    for _ in range(600):
        if server.session.get(server.url + "/api/v1/engine").json()["state"] == "healthy":
            break
        time.sleep(0.1)
    sock = next(pathlib.Path(server.folder).rglob("*.sock"))
    key = next(p for p in sock.parent.iterdir() if p.is_file() and p.name.endswith("key")).read_text().strip()
    relay = subprocess.Popen([sys.executable, str(ROOT / "tests/bench/unix_relay.py"), str(sock), "18082"])
    time.sleep(0.5)
    rows = []
    for streams in (1, 4):
        ratios, ours, direct = [], [], []
        for _ in range(5):
            a = generate(server.url, {"x-api-key": server.key}, "default", streams)
            b = generate("http://127.0.0.1:18082", {"Authorization": "Bearer " + key}, "m", streams)
            ours.append(a)
            direct.append(b)
            ratios.append(a / b)
        rows.append((f"local chat, {streams} stream{'s' if streams > 1 else ''}", f"{statistics.median(ours):.0f} tokens/s",
                     f"same llama-server directly {statistics.median(direct):.0f}",
                     f"{statistics.median(ratios):.2f} x", ">= 0.98"))
    relay.terminate()
    server.remove()
    return rows


def measure_gateway():
    runner = ROOT / "tests/bench/gateway/run.sh"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ATELIER_")}
    output = subprocess.run([str(runner), BIN], capture_output=True, text=True, timeout=900, env=plain)
    rows = [line for line in output.stdout.splitlines() if " conns " in line]
    if output.returncode != 0 or not rows:
        raise RuntimeError(output.stdout[-2000:] + output.stderr[-2000:])
    return rows


def bench_program(name, *arguments):
    program = pathlib.Path(BIN).resolve().parents[2] / "tests/bench" / name
    output = subprocess.run(["taskset", "-c", "0", program, *arguments], capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def measure_png():
    rows = []
    for one in bench_program("bench_png"):
        rows.append((f"PNG of 1024 x 1024 RGB, photo-like, sensor noise {one['noise']}", f"{one['ours_ms']:.0f} ms CPU",
                     f"libpng level 6 {one['libpng_ms']:.0f} ms", f"{one['speed']:.1f} x as fast, {one['size']:.2f} x the size",
                     ">= 8 x, <= 1.10 x" if one["noise"] == 3 else ""))
    return rows


def measure_thumbs():
    decode = pathlib.Path(BIN).resolve().parents[1] / "worker/atelier-decode"
    with tempfile.TemporaryDirectory(prefix="atelier-bench-") as folder:
        photo, ours, theirs = folder + "/photo.jpg", folder + "/ours.webp", folder + "/theirs.webp"
        bench_program("bench_thumbs", "make", photo)
        pairs = []
        for _ in range(5):
            mine = bench_program("bench_thumbs", "run", decode, photo, "64", ours)[0]["per_cpu_s"]
            peer = json.loads(subprocess.run(
                ["taskset", "-c", "0", "node", ROOT / "tests/bench/sharp_thumbs.cjs", os.environ["SHARP_DIR"], photo, "64",
                 theirs], capture_output=True, text=True, check=True).stdout)["per_cpu_s"]
            pairs.append((mine / peer, mine, peer))
        ratio, mine, peer = sorted(pairs)[len(pairs) // 2]
        quality = [bench_program("bench_thumbs", "compare", photo, thumb)[0]["psnr_db"] for thumb in (ours, theirs)]
    return [("thumbnails, 2048 x 2048 JPEG to 512 WebP", f"{mine:.0f} per CPU second, {quality[0]:.1f} dB",
             f"sharp {peer:.0f}, {quality[1]:.1f} dB", f"{ratio:.2f} x", ">= 1.0")]


def measure_image():
    return image_engine.measure(lambda *options: Atelier(*options, pin=False).setup())


def measure_mini():
    return mini.measure(lambda *options: Atelier(*options, pin=False).setup())


def measure_page():
    """The page's first words in a browser that has nothing of it; the release build's page on its own engine."""
    output = subprocess.run(["node", ROOT / "tests/bench/page.mjs", "9"], capture_output=True, text=True, check=True).stdout
    times = sorted(json.loads(output.splitlines()[-1])["lcp_ms"])
    return [("largest contentful paint of a cold page, a conversation (best and median of 9)",
             f"{times[0]:.0f} ms, {statistics.median(times):.0f} ms", "-", "", "<= 300 ms (best)")]


MEASURES = {"http": measure_http, "idle": measure_idle, "writes": measure_writes, "jobs": measure_jobs, "start": measure_start,
            "chat": measure_chat, "png": measure_png, "thumbs": measure_thumbs, "image": measure_image,
            "mini": measure_mini, "page": measure_page, "gateway": measure_gateway}
HEAD = ("what", "Atelier", "peer, same run", "ratio", "bar")


def main():
    wanted = [name for name in sys.argv[1:] if not name.startswith("-")] or list(MEASURES)
    lines = []
    for name in wanted:
        print(f"{name} ...", file=sys.stderr)
        rows = MEASURES[name]()
        if name == "gateway":
            lines += ["", "Chat completions passed through, 600-byte replies, key check and usage recording on; 512 streams of"
                      " 64 deltas, 20 ms apart (p50 and p99 are of the first delta there):", "", "```text", *rows, "```"]
            continue
        if not lines:
            lines += ["| " + " | ".join(HEAD) + " |", "| " + " | ".join("---" for _ in HEAD) + " |"]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
    table = "\n".join(lines)
    print(table)
    if "--write" in sys.argv:
        page = ROOT / "docs/performance.md"
        text = page.read_text()
        start, end = "<!-- table -->\n", "\n<!-- end of table -->"
        page.write_text(text[:text.index(start) + len(start)] + table + text[text.index(end):])


if __name__ == "__main__":
    main()
