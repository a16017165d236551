"""The real program on synthetic latents: killed, stopped, gone on with, and as two processes."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from mini import compose, train
from mini.autoencoder import Autoencoder

PROGRAM = pathlib.Path(__file__).with_name("train_quietly.py")
SECONDS = 600  # for what takes a few on a quiet machine
STEPS, DECAY = 150, 145
CONFIG = {"shape": {"width": 128, "depth": 1, "context": 32, "layers": 1}, "sizes": [128], "batch": [4],
          "muon": 1, "average": 0.99, "compile": False, "kept": 50, "seed": 1,
          "phases": [{"until": STEPS, "decay": DECAY, "rate": 1e-3, "chance": [1]}]}


@pytest.fixture(scope="module")
def data(tmp_path_factory, tokenizer) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(1)
    notes = [{"kind": kind, "weight": 1, "captions": [f"a {word} {thing}"]} for kind in ("plain", "colour")
             for word in ("red", "blue") for thing in ("apple", "fish", "cat")]
    for size, side in ((128, 2), (256, 4)):  # smaller than the true ones, and as different from each other
        np.save(folder / f"latents-{size}.0of1.npy", random.standard_normal((12, 16, side, side)).astype(np.float16))
        (folder / f"latents-{size}.0of1.json").write_text(json.dumps(notes))
    os.link(tokenizer, folder / "tokenizer.json")
    torch.save({"model": Autoencoder().state_dict()}, folder / "autoencoder.pt")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def started(data: pathlib.Path, out: pathlib.Path, *more: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *launcher, str(PROGRAM), "--data", str(data), "--autoencoder", str(data / "autoencoder.pt"),
         "--out", str(out), "--config", str(data / "config.json"), "--threads", "1", *more],
        stdout=subprocess.PIPE, text=True)


def checkpoint(out: pathlib.Path) -> dict:
    return torch.load(out / "last.pt", map_location="cpu", weights_only=True)


def losses(out: pathlib.Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


def test_killed_stopped_and_gone_on_with(data, tmp_path):
    """SIGKILL after the first checkpoint, SIGTERM in the next run, the third runs to the end."""
    first = started(data, tmp_path)
    end = time.monotonic() + SECONDS
    while not (tmp_path / "stable.pt").exists() and first.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    first.kill()
    first.communicate()
    killed = checkpoint(tmp_path)
    assert killed["step"] == STEPS - DECAY

    second = started(data, tmp_path)
    assert second.stdout.readline().rstrip().endswith(f"step {STEPS - DECAY}")
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=SECONDS)
    stopped = checkpoint(tmp_path)
    assert second.returncode == 0
    assert STEPS - DECAY < stopped["step"] < STEPS and stopped["step"] % 10 == 0

    third = started(data, tmp_path)
    third.communicate(timeout=SECONDS)
    whole = checkpoint(tmp_path)
    assert third.returncode == 0 and whole["step"] == STEPS
    assert whole["seconds"] >= stopped["seconds"] >= killed["seconds"]
    assert whole["shape"] == killed["shape"]
    told = losses(tmp_path)
    assert told[-1] < told[0] and all(np.isfinite(told))
    kept = [torch.load(tmp_path / f"step-{step:06}.pt", weights_only=True) for step in (50, 100, 150)]
    assert [(one["step"], one["samples"]) for one in kept] == [(step, {"128": 4 * step}) for step in (50, 100, 150)]
    assert kept[2]["ema"].keys() == whole["ema"].keys()
    changed = [name for name in whole["ema"] if not torch.equal(whole["ema"][name], killed["ema"][name])]
    assert "text.embedding" in changed and "transformer.final_layer.linear.weight" in changed


def test_two_processes_train_as_one(data, tmp_path):
    run = started(data, tmp_path, "--steps", "50", "--decay", "10",
                  launcher=("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"))
    run.communicate(timeout=SECONDS)
    assert run.returncode == 0
    assert checkpoint(tmp_path)["step"] == 50 and checkpoint(tmp_path)["samples"] == {"128": 50 * CONFIG["batch"][0]}
    assert len(losses(tmp_path)) == 1 and np.isfinite(losses(tmp_path)[0])
    assert torch.load(tmp_path / "stable.pt", weights_only=True)["step"] == 40


def test_compiled_for_two_sizes_and_any_length_of_text(data, tmp_path):
    """What compiles for one size may not for another: dynamic shapes have limits."""
    config = {**CONFIG, "compile": True, "sizes": [128, 256], "batch": [8, 4],
              "phases": [{"until": 8, "decay": 4, "rate": 1e-3, "chance": [1, 0]},
                         {"until": 20, "decay": 5, "rate": 5e-4, "chance": [0.5, 0.5]}]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    run = started(data, tmp_path, "--config", str(tmp_path / "config.json"))
    run.communicate(timeout=SECONDS)
    assert run.returncode == 0
    whole = checkpoint(tmp_path)
    assert whole["step"] == 20
    small, large = whole["samples"]["128"] // 8, whole["samples"]["256"] // 4
    assert small + large == 20 and 8 < small < 20  # the first phase has small pictures alone


def test_the_rate_rises_stays_and_falls():
    (phase,) = train.phases_of(CONFIG, 1000, 200)
    values = [train.factor(step, phase) for step in range(1000)]
    assert values[0] == pytest.approx(0.01) and values[100:801] == [1.0] * 701 and values[999] == pytest.approx(0.005)


def test_phases_follow_each_other_and_a_run_may_end_within_one():
    config = {"phases": [{"until": 400, "decay": 100, "rate": 2, "chance": [1]}, {"until": 900, "decay": 300, "rate": 1, "chance": [1]}]}
    span = lambda *how: [(one["from"], one["until"], one["decay"]) for one in train.phases_of(config, *how)]
    assert span(None, None) == [(0, 400, 100), (400, 900, 300)]
    assert span(1200, 700) == [(0, 400, 100), (400, 1200, 700)]
    assert span(300, None) == [(0, 300, 100)]
    later = train.phases_of(config, None, None)[1]
    assert train.factor(400, later) == pytest.approx(0.01) and train.factor(599, later) == 1.0


def test_kinds_are_drawn_by_their_share(data):
    pool = train.Pool(data, 128)
    random = np.random.default_rng(1)
    captions = pool.draw(4000, random)[1]
    assert sum(caption == "" for caption in captions) / 4000 == pytest.approx(train.DROPPED, abs=0.02)
    kinds = np.diff([0, *pool.upto])
    assert kinds[:6].sum() / kinds[6:].sum() == pytest.approx(compose.KINDS["plain"] / compose.KINDS["colour"])
