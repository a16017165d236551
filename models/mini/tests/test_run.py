import os
import random
import signal
import time

import pytest
import torch

from mini import run as runs


@pytest.fixture(autouse=True)
def signals():
    """A run takes these over; the tests give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def saving(folder, write) -> None:
    """In a process of its own: one checkpoint after another, a byte through the pipe for each."""
    run = runs.Run(folder)
    state = run.load()
    step = state["step"] if state else 0
    while True:
        step += 1
        run.save({"step": step, "weights": torch.full((200_000,), float(step))})
        os.write(write, b".")


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_leaves_a_whole_checkpoint(tmp_path, seed):
    """Killed at any moment, also in the midst of writing: what is there loads, and is the last or the one before."""
    chance, before = random.Random(seed), 0
    for _ in range(4):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            saving(tmp_path, write)
        os.close(write)
        saved = 0
        for _ in range(chance.randint(1, 3)):
            saved += len(os.read(read, 1))
        time.sleep(chance.uniform(0, 0.01))  # the moment of the kill
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        state = torch.load(tmp_path / "last.pt", weights_only=True)
        assert state["step"] >= before + saved
        assert (state["weights"] == state["step"]).all()
        before = state["step"]


def test_seconds_go_on_where_they_were(tmp_path):
    run = runs.Run(tmp_path)
    run.before = 1000.0
    run.save({"step": 1})
    again = runs.Run(tmp_path)
    again.load()
    assert 1000 <= again.before <= again.seconds < 1060


def test_a_signal_stops_between_steps(tmp_path):
    run = runs.Run(tmp_path)
    os.kill(os.getpid(), signal.SIGTERM)
    assert run.stopped


def test_pace_rises_and_falls():
    values = [runs.pace(step, 100, warm=10) for step in range(101)]
    assert values[0] < values[5] < values[9] and values[20] > values[60] > values[100] == pytest.approx(0)
