"""What both trainings share: the run's folder, its log, checkpoints that survive a kill at any moment, the pace."""

import json
import math
import os
import pathlib
import signal
import time

import torch


class Run:
    """A folder with log.jsonl and last.pt. `seconds` counts the time of all slices together."""

    def __init__(self, folder: pathlib.Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.checkpoint = folder / "last.pt"
        self.began = time.monotonic()
        self.before = 0.0
        self.stopped = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.stop)

    def stop(self, *_) -> None:
        """The step under way ends, a checkpoint is written, the program leaves."""
        self.stopped = True

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.began

    def load(self) -> dict | None:
        if not self.checkpoint.exists():
            return None
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        self.before = state["seconds"]
        return state

    def save(self, state: dict) -> None:
        """Written beside, then put in place: a kill leaves the old one or the new one, never half of one."""
        unfinished = self.checkpoint.with_suffix(".part")
        with open(unfinished, "wb") as file:
            torch.save({**state, "seconds": self.seconds}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, self.checkpoint)

    def log(self, **figures) -> None:
        line = {key: round(value, 5) if isinstance(value, float) else value for key, value in figures.items()}
        with open(self.folder / "log.jsonl", "a") as file:
            file.write(json.dumps({**line, "seconds": round(self.seconds)}) + "\n")
        print("  ".join(f"{key} {value}" for key, value in line.items()), f" {self.seconds:.0f} s", flush=True)


def pace(step: int, steps: int, warm: int, floor: float = 0.0) -> float:
    """The learning rate's factor: up over `warm` steps, down along a cosine to `floor` at the end."""
    fraction = min(1.0, step / max(1, steps))
    return min(1.0, (step + 1) / warm) * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * fraction)))
