"""A picture by Atelier Mini, as a person waits for it. Run by bench.py (script/bench mini).

"a red apple", 256 x 256, with the defaults of the model: from the request to the first preview and to the finished picture, by
the events that the page follows; the processor time of server, engine and decoder; the engine's peak memory. The first run
reads the model, as a person's first picture does; the others find it there.
"""
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import threading
import time

import image_engine

FILES = ("atelier-mini.gguf", "atelier-mini-taef1.safetensors")
RUNS = int(os.environ.get("BENCH_PICTURES") or 8)


class Follower:
    """Events of the server, each with the time at which it came."""

    def __init__(self, server):
        self.seen, self.changed = [], threading.Condition()
        self.answer = server.session.get(server.url + "/api/v1/events", stream=True)
        threading.Thread(target=self.read, daemon=True).start()
        self.first(lambda name, data: name == "hello")

    def read(self):
        name = ""
        try:
            for line in self.answer.iter_lines(chunk_size=1):
                field, _, value = line.decode().partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    with self.changed:
                        self.seen.append((time.monotonic(), name, json.loads(value)))
                        self.changed.notify_all()
        except OSError:
            pass  # closed

    def first(self, is_wanted, start=0):
        """When the first such event came, after the first `start`."""
        with self.changed:
            while True:
                for at, name, data in self.seen[start:]:
                    if is_wanted(name, data):
                        return at
                if not self.changed.wait(120):
                    raise TimeoutError("no such event")


def picture(server, follower, seed):
    """Seconds to the first preview and to the picture, processor seconds."""
    start, cpu = len(follower.seen), image_engine.tree_seconds(server.pid)
    begin = time.monotonic()
    answer = server.session.post(server.url + "/api/v1/jobs", json={"prompt": "a red apple", "seed": seed})
    answer.raise_for_status()
    job = answer.json()["id"]
    preview, done = (follower.first(lambda name, data: name == kind and job in (data.get("id"), data.get("job", {}).get("id")),
                                    start) for kind in ("job.preview", "job.asset"))
    return preview - begin, done - begin, image_engine.tree_seconds(server.pid) - cpu


def engine_peak_mb(server):
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if fields["Name"].strip() == "atelier-image" and int(fields["PPid"]) == server.pid:
            return int(fields["VmHWM"].split()[0]) / 1024
    raise RuntimeError("there is no engine")


def rows(server):
    follower = Follower(server)
    fresh, *runs = (picture(server, follower, seed) for seed in range(1, RUNS + 2))
    threads = server.session.get(server.url + "/api/v1/picture-engine").json()["threads"]
    print(f"mini, {threads} threads: first {fresh}, then {runs}", file=sys.stderr)
    preview, done, cpu = (statistics.median(run[i] for run in runs) for i in range(3))
    what = f"Mini, 256 x 256, 12 steps, {threads} thread{'s' if threads > 1 else ''}"
    return [(f"{what}: a picture", f"{done:.2f} s, {cpu:.2f} s CPU", "-", f"the first {fresh[1]:.2f} s", "<= 8 s"),
            (f"{what}: first preview", f"{preview:.2f} s", "-", f"the first {fresh[0]:.2f} s", "<= 1.5 s"),
            (f"{what}: peak memory of atelier-image", f"{engine_peak_mb(server):.0f} MB", "-", "", "<= 600 MB")]


def measure(start):
    """With as many threads as the server takes by itself, and with one on every core. `start(*options)` gives a bench.Atelier
    that is set up."""
    models, found = tempfile.mkdtemp(prefix="atelier-bench-models-"), []
    for name in FILES:
        shutil.copy(pathlib.Path(os.environ["ATELIER_MODEL"]).parent / name, models)
    for options in ((), ("--picture-threads", str(os.cpu_count()))):
        server = start("--models-dir", models, *options)
        try:
            found += rows(server)
        finally:
            server.remove()
    shutil.rmtree(models)
    return found
