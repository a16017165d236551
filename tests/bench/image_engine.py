"""One picture by Atelier's engine against the same library's own program. Run by bench.py (script/bench image).

The model is Atelier Mini, 256 x 256, 20 steps, with as many threads on both sides. The unit is the processor time of all
processes that take part: ours the server, the engine and the decoder that makes thumbnails, from the request to the
finished job; the peer's sd-cli as a whole, with the PNG it writes. Two ways, each in pairs that take turns:

loaded   the model is there. The peer's is what a second picture costs: a run for two less a run for one.
fresh    the model is read first: ours is unloaded before the job, the peer's is a run for one.
"""
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

MODEL, TAE = "atelier-mini.gguf", "atelier-mini-taef1.safetensors"
PAIRS = int(os.environ.get("BENCH_PAIRS") or 10)
STEPS, SIDE = 20, 256
TICK = os.sysconf("SC_CLK_TCK")


def tree_seconds(root):
    """Processor time of a process, its living descendants, and those of theirs that have ended."""
    parents, ticks = {}, {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        ticks[pid] = sum(int(field) for field in fields[11:15])
    found, added = {root}, True
    while added:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        added = bool(more)
    return sum(ticks.get(pid, 0) for pid in found) / TICK


def ours(server, seed, fresh=False):
    url = server.url + "/api/v1/jobs"
    asked = {"model": "local/mini", "prompt": "a boat", "width": SIDE, "height": SIDE, "steps": STEPS, "seed": seed,
             "cfg_scale": 4, "sampler": "euler", "scheduler": "discrete"}
    if fresh:
        server.session.post(server.url + "/api/v1/picture-engine/unload", json={}).raise_for_status()
    before = tree_seconds(server.pid)
    answer = server.session.post(url, json=asked)
    answer.raise_for_status()
    while True:
        job = server.session.get(f"{url}/{answer.json()['id']}").json()
        if job["state"] in ("done", "failed"):
            break
        time.sleep(0.5)  # the answers are of the server's processor time too
    assert job["state"] == "done", job
    return tree_seconds(server.pid) - before


def theirs(program, models, threads, seed, folder, pictures):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([program, "-m", f"{models}/{MODEL}", "--taesd", f"{models}/{TAE}", "-p", "a boat",
                    "-W", str(SIDE), "-H", str(SIDE),
                    "--steps", str(STEPS), "-s", str(seed), "-t", str(threads), "--cfg-scale", "4", "-b", str(pictures),
                    "--sampling-method", "euler", "--scheduler", "discrete", "-o", f"{folder}/peer.png"],
                   capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def row(words, threads, pairs):
    """The middle ratio of the pairs, and how far apart the middle half of them is."""
    ratios = [mine / peer for mine, peer in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    mine, peer = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    return (f"one picture, {SIDE} x {SIDE}, {STEPS} steps, Mini, {threads} thread{'s' if threads > 1 else ''}, {words}",
            f"{mine * 1000:.0f} ms CPU", f"sd-cli {peer * 1000:.0f} ms CPU",
            f"{middle:.3f} x ({low:.3f} to {high:.3f}, {len(pairs)} pairs)", "<= 1.03")


def measure(start):
    """`start(*options)` gives a bench.Atelier that is set up."""
    program = os.environ["ATELIER_SD_CLI"]
    models = tempfile.mkdtemp(prefix="atelier-bench-models-")
    for name in (MODEL, TAE):
        shutil.copy(pathlib.Path(os.environ["ATELIER_MODEL"]).parent / name, models)
    server = start("--models-dir", models)
    try:
        ours(server, 1)  # starts the engine
        threads = server.session.get(server.url + "/api/v1/picture-engine").json()["threads"]
        loaded, fresh = [], []
        for seed in range(2, 2 + PAIRS):
            one = theirs(program, models, threads, seed, models, 1)
            fresh.append((ours(server, seed, fresh=True), one))
            two = theirs(program, models, threads, seed, models, 2)
            loaded.append((ours(server, seed), two - one))
            print(f"image: loaded {loaded[-1]}, fresh {fresh[-1]}", file=sys.stderr)
    finally:
        server.remove()
        shutil.rmtree(models)
    return [row("model loaded", threads, loaded), row("model read first", threads, fresh)]
