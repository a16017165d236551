"""One picture by Atelier's engine, warm, against the same library's own program. Run by bench.py (script/bench image).

The job is the starter's, 256 x 256, 20 steps. Ours is the job's own time from its start to its end: it holds the picture's
PNG, its thumbnails and the library's row. The peer's is what sd-cli itself reports for generating, without loading the
model; the whole of its run is told beside it. Both use as many threads; runs take turns, the middle ratio of the pairs counts.
"""
import datetime
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

KIT = pathlib.Path(__file__).resolve().parent.parent / "kit"
PAIRS = int(os.environ.get("BENCH_PAIRS") or 7)
STEPS, SIDE = 20, 256


def get_model(folder):
    """The starter's files, or the test kit's of the same layout."""
    ready = pathlib.Path(os.environ["ATELIER_MODEL"]).parent
    names = ("atelier-starter.safetensors", "atelier-starter-taef1.safetensors")
    os.makedirs(folder, exist_ok=True)
    if all((ready / name).exists() for name in names):
        for name in names:
            shutil.copy(ready / name, folder)
        return
    with tempfile.TemporaryDirectory() as made:
        subprocess.run([sys.executable, KIT / "random_checkpoint.py", made], check=True)
        shutil.copy(f"{made}/tiny.safetensors", f"{folder}/{names[0]}")
        shutil.copy(f"{made}/taef1.safetensors", f"{folder}/{names[1]}")


def ours(server, seed):
    url = server.url + "/api/v1/jobs"
    asked = {"model": "local/starter", "prompt": "a boat", "width": SIDE, "height": SIDE, "steps": STEPS, "seed": seed,
             "cfg_scale": 4, "sampler": "euler", "scheduler": "discrete"}
    answer = server.session.post(url, json=asked)
    answer.raise_for_status()
    while True:
        job = server.session.get(f"{url}/{answer.json()['id']}").json()
        if job["state"] in ("done", "failed"):
            break
        time.sleep(0.05)
    assert job["state"] == "done", job
    started, finished = (datetime.datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    return (finished - started).total_seconds()


def theirs(program, models, threads, seed, folder):
    begun = time.monotonic()
    done = subprocess.run([program, "-m", f"{models}/atelier-starter.safetensors", "--taesd",
                           f"{models}/atelier-starter-taef1.safetensors", "-p", "a boat", "-W", str(SIDE), "-H", str(SIDE),
                           "--steps", str(STEPS), "-s", str(seed), "-t", str(threads), "--cfg-scale", "4",
                           "--sampling-method", "euler", "--scheduler", "discrete", "-o", f"{folder}/peer.png"],
                          capture_output=True, text=True, check=True)
    whole = time.monotonic() - begun
    found = re.search(r"generate_image completed in ([\d.]+)s", done.stdout + done.stderr)
    assert found, (done.stdout + done.stderr)[-2000:]
    return float(found.group(1)), whole


def measure(start):
    """`start(*options)` gives a bench.Atelier that is set up."""
    program = os.environ["ATELIER_SD_CLI"]
    models = tempfile.mkdtemp(prefix="atelier-bench-models-")
    get_model(models)
    server = start("--models-dir", models)
    try:
        ours(server, 1)  # loads the model
        threads = server.session.get(server.url + "/api/v1/picture-engine").json()["threads"]
        pairs = []
        for seed in range(2, 2 + PAIRS):
            mine = ours(server, seed)
            peer, whole = theirs(program, models, threads, seed, models)
            pairs.append((mine / peer, mine, peer, whole))
        ratio = statistics.median(pair[0] for pair in pairs)
        mine, peer, whole = (statistics.median(pair[i] for pair in pairs) for i in (1, 2, 3))
    finally:
        server.remove()
        shutil.rmtree(models)
    return [(f"one picture, {SIDE} x {SIDE}, {STEPS} steps, starter, {threads} thread{'s' if threads > 1 else ''}, job's start to end",
             f"{mine * 1000:.0f} ms", f"sd-cli {peer * 1000:.0f} ms generating, {whole * 1000:.0f} ms in all",
             f"{ratio:.2f} x", "<= 1.03")]
